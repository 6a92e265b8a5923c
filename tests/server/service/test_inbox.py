"""Facts about messages that come in: whole, in order, and none that is too large."""

from collections.abc import Iterator
from typing import Any

import pytest
import zmq

from server.service.inbox import DROPPED_AT_ONCE, MOST_FRAMES, Inbox
from tests.server.session import eventually


class Post:
    def __init__(self, context: "zmq.Context[Any]") -> None:
        self.router: zmq.Socket[Any] = context.socket(zmq.ROUTER)
        self.dealer: zmq.Socket[Any] = context.socket(zmq.DEALER)
        self.router.bind("inproc://post")
        self.dealer.connect("inproc://post")
        self.cut: list[bytes] = []
        self.inbox = Inbox(self.router, 1000, lambda frame: self.cut.append(frame.bytes))

    def next(self) -> list[bytes]:
        """The next message, without the routing id."""
        frames = eventually(self.inbox.next, "a message")
        return [frame.bytes for frame in frames[1:]]


@pytest.fixture
def post() -> Iterator[Post]:
    context: zmq.Context[Any] = zmq.Context()
    yield Post(context)
    context.destroy(linger=0)


def test_messages_come_whole_and_in_order(post: Post) -> None:
    assert post.inbox.next() is None
    post.dealer.send_multipart([b"a", b"", bytes(998)])
    post.dealer.send_multipart([b"b"] * (MOST_FRAMES - 1))
    assert post.next() == [b"a", b"", bytes(998)]
    assert post.next() == [b"b"] * (MOST_FRAMES - 1)
    assert post.inbox.next() is None
    assert (post.cut, post.inbox.dropped) == ([], 0)


@pytest.mark.parametrize(
    "frames",
    [[bytes(1001)], [bytes(600), bytes(401)], [bytes(1001), b"more"], [b""] * MOST_FRAMES],
    ids=["one", "two", "and more", "many"],
)
def test_one_that_is_too_large_is_dropped_and_its_sender_cut(post: Post, frames: list[bytes]) -> None:
    post.dealer.send_multipart(frames)
    post.dealer.send_multipart([b"next"])
    assert post.next() == [b"next"]
    assert (len(post.cut), post.inbox.dropped) == (1, 1)


def test_one_of_very_many_frames_is_dropped_a_little_at_a_time(post: Post) -> None:
    post.dealer.send_multipart([b""] * (MOST_FRAMES + 3 * DROPPED_AT_ONCE))
    post.dealer.send_multipart([b"next"])
    assert [post.inbox.next() for _ in range(4)] == [None] * 4
    assert post.next() == [b"next"]
