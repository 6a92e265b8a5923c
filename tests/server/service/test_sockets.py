"""Facts about the server's sockets: what peers do cannot end the process that has them."""

import os
import subprocess
import sys

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
