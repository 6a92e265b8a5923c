"""Facts about what is on its way to clients: counted until it is gone, bounded, and never waited for."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import zmq

from blender_addon.protocol.linger import LINGER_MS
from server.service import outbox
from server.service.outbox import PRESSED_STUCK_S, PROGRESS_BYTES, STUCK_S, UNSENT_BYTES, Outbox
from tests.server.session import eventually

MEGABYTE = bytes(2**20)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Post:
    """An outbox and the clients of its socket."""

    def __init__(self, context: "zmq.Context[Any]") -> None:
        self._context = context
        self.router: zmq.Socket[Any] = context.socket(zmq.ROUTER)
        self.router.router_mandatory = True
        self.router.linger = LINGER_MS
        self.router.bind("tcp://127.0.0.1:*")
        self.dealers: list[zmq.Socket[Any]] = []
        self.gone: list[bytes] = []
        self.clock = Clock()
        self.taken: dict[bytes, int] = {}
        self.outbox = Outbox(self.router, self.gone.append, self.clock, lambda client: self.taken.get(client, 0))

    def client(self) -> tuple["zmq.Socket[Any]", bytes]:
        """A client that holds one message itself, and its routing id."""
        dealer: zmq.Socket[Any] = self._context.socket(zmq.DEALER)
        self.dealers.append(dealer)
        dealer.rcvhwm, dealer.rcvbuf, dealer.linger = 1, 2**16, 0
        dealer.connect(self.router.last_endpoint.decode().rstrip("\0"))  # type: ignore[union-attr]
        dealer.send(b"hello")
        client, _ = self.router.recv_multipart()
        return dealer, client

    def fill(self, client: bytes) -> None:
        """More than a client that does not read may have."""
        for _ in range(2 * UNSENT_BYTES // 2**20):
            self.outbox.send(client, [b"TX1j", b"{}", MEGABYTE])


@pytest.fixture
def post() -> Iterator[Post]:
    context: zmq.Context[Any] = zmq.Context()
    post = Post(context)
    yield post
    for each in (post.router, *post.dealers):
        each.close()
    context.term()


def ticked(post: Post, holds: bool) -> bool:
    post.outbox.tick()
    return post.outbox.empty is holds


def test_what_is_read_arrives_whole_and_is_forgotten(post: Post) -> None:
    dealer, client = post.client()
    for letter in b"ab":
        post.outbox.send(client, [b"TX1j", b"{}", bytearray([letter]) * 2**20])
    for letter in b"ab":
        assert dealer.recv_multipart() == [b"TX1j", b"{}", bytes([letter]) * 2**20]
    eventually(lambda: ticked(post, True), "nothing on its way")
    assert not post.outbox.blocked(client, 0)
    assert (post.gone, post.outbox.dropped) == ([], 0)


def test_a_client_that_does_not_read_is_blocked_until_it_does(post: Post) -> None:
    dealer, client = post.client()
    other, reads = post.client()
    assert not post.outbox.blocked(client, 0)
    began = time.monotonic()
    post.fill(client)
    assert time.monotonic() - began < 10  # never waits
    assert post.outbox.blocked(client, 0)
    assert not post.outbox.empty
    assert not post.outbox.blocked(reads, 0)
    post.outbox.send(reads, [b"TX1j", b"{}"])
    assert other.recv_multipart() == [b"TX1j", b"{}"]
    while dealer.poll(500):
        dealer.recv_multipart()
    eventually(lambda: ticked(post, True), "nothing on its way")
    assert not post.outbox.blocked(client, 0)
    assert post.gone == []


def test_a_client_that_is_gone_is_told_of(post: Post) -> None:
    dealer, client = post.client()
    dealer.close()

    def told() -> bool:
        post.outbox.send(client, [b"TX1j", b"{}"])
        return bool(post.gone)

    eventually(told, "a client that is gone")
    assert post.gone == [client]
    assert post.outbox.dropped == 1
    post.outbox.send(b"nobody", [b"TX1j", b"{}", MEGABYTE])
    assert post.gone == [client, b"nobody"]
    assert post.outbox.empty


def test_a_client_that_takes_nothing_for_long_is_taken_for_gone(post: Post) -> None:
    _, client = post.client()
    post.fill(client)
    time.sleep(0.5)  # what the system's own buffers take is taken
    post.outbox.tick()
    post.clock.now += STUCK_S - 1
    post.outbox.tick()
    assert post.gone == []
    post.clock.now += 2
    post.outbox.tick()
    assert post.gone == [client]
    assert post.outbox.dropped > 0
    assert post.outbox.empty
    assert not post.outbox.blocked(client, 0)


def test_a_client_that_reads_slowly_is_not(post: Post) -> None:
    dealer, client = post.client()
    post.fill(client)
    post.outbox.tick()
    for _ in range(4):
        post.clock.now += STUCK_S - 1
        for _ in range(3):
            dealer.recv_multipart()
        time.sleep(0.3)
        post.outbox.tick()
    assert post.gone == []


def test_a_large_message_on_a_slow_line_is_progress(post: Post) -> None:
    _, client = post.client()
    post.fill(client)
    time.sleep(0.5)
    for step in range(1, 5):
        post.outbox.tick()
        post.clock.now += STUCK_S - 1
        post.taken[client] = step * PROGRESS_BYTES
    post.outbox.tick()
    post.clock.now += STUCK_S + 1
    post.taken[client] += PROGRESS_BYTES - 1  # too little
    post.outbox.tick()
    assert post.gone == [client]


def test_too_much_for_all_together_blocks_all_and_those_are_given_up_that_take_nothing(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "ALL_UNSENT_BYTES", 60 * 2**20)
    deaf = [post.client()[1] for _ in range(3)]
    _, reads = post.client()
    for client in deaf:
        assert not post.outbox.blocked(reads, 2**21)
        for _ in range(23):
            post.outbox.send(client, [b"TX1j", b"{}", MEGABYTE])
    assert post.outbox.blocked(reads, 2**21)
    assert not post.outbox.blocked(reads, 2**20)
    assert post.outbox.blocked(deaf[0], 0)
    time.sleep(0.5)
    post.outbox.tick()
    assert post.gone == []
    post.clock.now += PRESSED_STUCK_S - 1
    post.outbox.tick()
    assert post.gone == []
    post.clock.now += 2
    post.outbox.tick()
    assert 1 <= len(post.gone) < 3  # until there is room again
    assert not post.outbox.blocked(reads, 2**21)


def test_beyond_what_zeromq_queues_replies_are_dropped_and_counted(post: Post) -> None:
    post.router.sndhwm = 5
    post.router.bind("tcp://127.0.0.1:*")  # options of a socket hold for what is bound after them
    _, client = post.client()
    post.fill(client)
    assert post.outbox.dropped > 0
    assert post.gone == []
