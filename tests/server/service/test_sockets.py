"""Facts about the server's sockets: what peers do cannot end the process that has them."""

import os
import subprocess
import sys

import pytest
import zmq

from server.service.sockets import endpoint_of, router
from server.worker.worker import connected
from server.worker.worker_config import WorkerConfig
from tests.server.session import PATIENCE_S, ROOT

FLOODED = """
import time, zmq
from server.service.sockets import endpoint_of, router
from server.worker.worker import connected
from server.worker.worker_config import WorkerConfig

ours, theirs = zmq.Context(), zmq.Context()
bound = router(ours, "tcp://127.0.0.1:*", "clients", None)
peer = connected(theirs, WorkerConfig(endpoint=endpoint_of(bound), name=""))
for _ in range(3000):  # more than either side queues
    peer.send(bytes(100))
time.sleep(0.5)
peer.close()
theirs.term()
time.sleep(13)
count = 0
while bound.poll(200):
    bound.recv_multipart()
    count += 1
ours.destroy(linger=0)
print("lives on")
"""


def test_no_socket_has_heartbeats() -> None:
    """With them libzmq can abort the process; the slow test below waits for it."""
    with zmq.Context() as context:
        bound = router(context, "tcp://127.0.0.1:*", "clients", None)
        peer = connected(context, WorkerConfig(endpoint=endpoint_of(bound), name=""))
        assert (bound.get(zmq.HEARTBEAT_IVL), peer.get(zmq.HEARTBEAT_IVL)) == (0, 0)
        bound.close(0)
        peer.close(0)


@pytest.mark.slow
def test_a_peer_that_floods_and_leaves_while_nobody_reads_ends_nothing() -> None:
    """libzmq aborts where its heartbeats are on."""
    done = subprocess.run(
        [sys.executable, "-c", FLOODED],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert (done.returncode, done.stdout) == (0, "lives on\n"), done.stderr
