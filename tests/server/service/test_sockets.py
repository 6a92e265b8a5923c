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

HALF_SENT = """
import sys, threading, time, zmq
from blender_addon.client.connection import Connection
from blender_addon.protocol.pairing import Pairing
from server.service.sockets import endpoint_of, port_of, router
from server.worker.worker import connected
from server.worker.worker_config import WorkerConfig

class Peer:
    def __init__(self, context, bound):
        self.socket = connected(context, WorkerConfig(endpoint=endpoint_of(bound), name=""))

    def close(self):
        self.socket.close()

class AddOn(Peer):
    def __init__(self, context, bound):
        here = Pairing(host="127.0.0.1", port=port_of(bound), keys=None)
        self.connection = Connection(lambda: here, context=context)
        self.connection.tick()
        self.socket = self.connection.sockets[0]

    def close(self):
        self.connection.close()

by, kind = sys.argv[1], AddOn if sys.argv[1] == "add-on" else Peer
for round in range(20):
    ours, theirs = zmq.Context(), zmq.Context()
    bound = router(ours, "tcp://127.0.0.1:*", "clients", None)
    peer = kind(theirs, bound)
    peer.socket.send(b"hello")
    to, _ = bound.recv_multipart()
    many = [bytes(1000000)] * 9
    for _ in range(4):
        bound.send_multipart([to, *many]) if by == "server" else peer.socket.send_multipart(many)
    time.sleep(round / 5000)
    together = threading.Barrier(2)

    def leave():
        together.wait()
        peer.close()
        theirs.term()

    leaving = threading.Thread(target=leave)
    leaving.start()
    together.wait()
    bound.close()
    ours.term()
    leaving.join()
print("lives on")
"""


def run_in_process(program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


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
    done = run_in_process(FLOODED)
    assert (done.returncode, done.stdout) == (0, "lives on\n"), done.stderr


@pytest.mark.parametrize("by", ["server", "worker", "add-on"])
def test_both_sides_may_leave_together_with_a_message_half_sent(by: str) -> None:
    """libzmq aborts the side that sends, if it does not linger."""
    done = run_in_process(HALF_SENT, by)
    assert (done.returncode, done.stdout) == (0, "lives on\n"), done.stderr
