"""Messages that come in through a ROUTER socket: whole ones, none of them too large.

ZeroMQ bounds the size of a frame, but neither how many frames a message has nor how many bytes they have together, and
hands a message over when it is complete. So the sender of one that is too large is cut as soon as that is seen, and
what has come of it is dropped a little at a time, so that nobody waits for it. Peers (peers.py) cut who sends too much
before it is complete.
"""

from collections.abc import Callable
from typing import Any

import zmq

MOST_FRAMES = 1000
DROPPED_AT_ONCE = 5000  # frames


class Inbox:
    """Messages through this socket. `cut` is called with the frame of the routing id of who sent one too large."""

    def __init__(self, socket: "zmq.Socket[Any]", most_bytes: int, cut: Callable[[zmq.Frame], None]) -> None:
        self._socket, self._most_bytes, self._cut = socket, most_bytes, cut
        self._is_dropping = False
        self.dropped = 0  # messages

    def next(self) -> list[zmq.Frame] | None:
        """The next message, from its sender's routing id on; None when there is none now, or none that may be read."""
        try:
            if self._is_dropping:
                self._drop()
                return None
            frames = [self._socket.recv(zmq.NOBLOCK, copy=False)]
        except zmq.Again:
            return None
        size = 0
        while frames[-1].more:
            frames.append(self._socket.recv(zmq.NOBLOCK, copy=False))
            size += len(frames[-1].buffer)
            if len(frames) > MOST_FRAMES or size > self._most_bytes:
                self._is_dropping = bool(frames[-1].more)
                self.dropped += 1
                self._cut(frames[0])
                return None
        return frames

    def _drop(self) -> None:
        for _ in range(DROPPED_AT_ONCE):
            self._socket.recv(zmq.NOBLOCK)
            if not self._socket.get(zmq.RCVMORE):
                self._is_dropping = False
                return
