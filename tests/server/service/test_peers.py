"""Facts about connections: whose they are, whether they are there, and that one can be cut without the others."""

import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import zmq
from zmq.utils.monitor import recv_monitor_message

from server.service.peers import Peers
from tests.server.session import eventually


class Meeting:
    """A ROUTER socket, the peers behind it, and clients."""

    def __init__(self, context: "zmq.Context[Any]") -> None:
        self._context = context
        self.router: zmq.Socket[Any] = context.socket(zmq.ROUTER)
        self.router.linger = 0
        self.router.router_mandatory = True
        self.router.bind("tcp://127.0.0.1:*")
        self.peers = Peers(2**30, 2**30)
        self._dealers: list[zmq.Socket[Any]] = []

    def comes(self) -> tuple["zmq.Socket[Any]", bytes]:
        dealer: zmq.Socket[Any] = self._context.socket(zmq.DEALER)
        self._dealers.append(dealer)
        dealer.linger = 0
        dealer.rcvhwm = 1
        dealer.reconnect_ivl = -1
        dealer.connect(self.router.last_endpoint.decode().rstrip("\0"))  # type: ignore[union-attr]
        dealer.send(b"hello")
        id, frame = self.router.recv_multipart(copy=False)
        peer = self.peers.meet(id.bytes, frame)
        assert (peer.public_key, peer.address) == ("", "127.0.0.1")
        return dealer, id.bytes

    def gone(self) -> list[bytes]:
        self.router.poll(0)  # ZeroMQ does its own work in calls
        return self.peers.gone()


@pytest.fixture
def meeting() -> Iterator[Meeting]:
    context: zmq.Context[Any] = zmq.Context()
    yield Meeting(context)
    context.destroy(linger=0)


def test_who_leaves_is_gone_and_who_stays_is_not(meeting: Meeting) -> None:
    leaves, first = meeting.comes()
    _, second = meeting.comes()
    assert meeting.gone() == []
    leaves.close()
    assert eventually(meeting.gone, "that it is gone") == [first]
    meeting.peers.forget(first)
    _, third = meeting.comes()  # perhaps by the same descriptor
    assert meeting.gone() == []
    assert set(meeting.peers.all()) == {second, third}


def test_a_connection_that_is_cut_frees_what_waits_for_it(meeting: Meeting) -> None:
    _, deaf = meeting.comes()
    reads, other = meeting.comes()
    trackers = [
        meeting.router.send_multipart([deaf, bytes(2**20)], zmq.NOBLOCK, copy=False, track=True) for _ in range(40)
    ]
    time.sleep(0.3)
    assert not all(tracker.done for tracker in trackers)
    meeting.peers.cut(deaf)

    def freed() -> bool:
        meeting.router.poll(0)
        return all(tracker.done for tracker in trackers)

    eventually(freed, "that all is freed")
    assert meeting.gone() == [deaf]
    meeting.router.send_multipart([other, b"still here"])
    assert reads.recv() == b"still here"


@pytest.mark.skipif(sys.platform != "linux", reason="told by Linux")
def test_what_the_other_side_has_taken_is_known(meeting: Meeting) -> None:
    reads, client = meeting.comes()
    before = meeting.peers.taken(client)
    meeting.router.send_multipart([client, bytes(2**20)])
    assert len(reads.recv()) == 2**20
    eventually(lambda: 2**20 <= meeting.peers.taken(client) - before < 2**21, "a megabyte taken")
    assert meeting.peers.taken(b"nobody") == 0


@pytest.mark.skipif(sys.platform != "linux", reason="told by Linux")
def test_who_sends_too_much_that_is_no_whole_message_is_cut(meeting: Meeting) -> None:
    meeting.peers = Peers(2**22, 2**30)
    monitor = meeting.router.get_monitor_socket(zmq.EVENT_ACCEPTED)

    def accepted() -> None:
        while monitor.poll(200):
            meeting.peers.accepted(recv_monitor_message(monitor)["value"])

    honest, other = meeting.comes()
    hoarder, _ = meeting.comes()
    accepted()
    for _ in range(40):
        honest.send(bytes(2**20))
        _, frame = meeting.router.recv_multipart(copy=False)
        meeting.peers.read(other, 1, len(frame.buffer))
        meeting.peers.cut_hoarders()
    assert meeting.peers.hoarders == 0
    for _ in range(8):
        hoarder.send(bytes(2**20), zmq.SNDMORE)

    def cut() -> bool:
        meeting.peers.cut_hoarders()
        return meeting.peers.hoarders > 0

    time.sleep(0.2)
    assert not meeting.router.poll(0)  # as long as it is not complete, ZeroMQ shows nothing of it
    hoarder.send(b"")  # a DEALER begins to send when a message is complete
    eventually(cut, "that it is cut")
    while meeting.router.poll(200):
        meeting.router.recv_multipart()
    honest.send(b"still here")
    assert meeting.router.recv_multipart()[1] == b"still here"


def test_cutting_what_is_gone_or_unknown_cuts_nobody_else(meeting: Meeting) -> None:
    leaves, first = meeting.comes()
    leaves.close()
    eventually(meeting.gone, "that it is gone")
    reads, second = meeting.comes()  # by the descriptor that the first had
    assert meeting.peers.all()[second].descriptor == meeting.peers.all()[first].descriptor
    meeting.peers.cut(first)
    meeting.peers.cut(b"nobody")
    meeting.router.send_multipart([second, b"still here"])
    assert reads.recv() == b"still here"
