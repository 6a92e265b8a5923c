"""Replies on their way to clients: sent without waiting, and counted until ZeroMQ has passed them on.

Nothing new is computed for a client that reads slowly until it has caught up, so what is held for it is bounded in
bytes, not in messages. The front learns which clients are gone, so that nothing more is computed for them.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import zmq

UNSENT_BYTES = 24 * 2**20  # for one client; above that its requests wait
STUCK_S = 60.0  # without any progress, after which a client counts as gone


@dataclass
class _Unsent:
    messages: list[tuple[zmq.MessageTracker, int]] = field(default_factory=list)
    moved: float = 0.0


class Outbox:
    """Replies of all clients through one ROUTER socket."""

    def __init__(
        self, socket: "zmq.Socket[Any]", gone: Callable[[bytes], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._socket, self._gone, self._clock = socket, gone, clock
        self._unsent: dict[bytes, _Unsent] = {}
        self.dropped = 0  # replies whose client was gone

    def send(self, client: bytes, frames: Sequence[bytes | bytearray | memoryview]) -> None:
        size = sum(memoryview(frame).nbytes for frame in frames)
        try:
            tracker = self._socket.send_multipart([client, *frames], zmq.NOBLOCK, copy=False, track=True)
        except zmq.ZMQError as error:
            self.dropped += 1
            if error.errno == zmq.EHOSTUNREACH:
                self._gone(client)
                self.forget(client)
            elif error.errno != zmq.EAGAIN:
                raise
            return
        if tracker is not None and not tracker.done:
            unsent = self._unsent.setdefault(client, _Unsent(moved=self._clock()))
            unsent.messages.append((tracker, size))

    def blocked(self, client: bytes) -> bool:
        """Whether too much is unsent for this client."""
        unsent = self._unsent.get(client)
        return unsent is not None and sum(size for tracker, size in unsent.messages if not tracker.done) > UNSENT_BYTES

    def forget(self, client: bytes) -> None:
        """It is gone: what was unsent is dropped."""
        unsent = self._unsent.pop(client, None)
        if unsent is not None:
            self.dropped += sum(not tracker.done for tracker, _ in unsent.messages)

    @property
    def empty(self) -> bool:
        """Whether ZeroMQ has passed on everything."""
        return not any(not tracker.done for unsent in self._unsent.values() for tracker, _ in unsent.messages)

    def tick(self) -> None:
        """Forget what is sent, and clients that have read nothing for too long."""
        now = self._clock()
        for client, unsent in tuple(self._unsent.items()):
            left = [each for each in unsent.messages if not each[0].done]
            if len(left) < len(unsent.messages):
                unsent.messages, unsent.moved = left, now
            if not left:
                del self._unsent[client]
            elif now - unsent.moved > STUCK_S:
                self._gone(client)
                self.forget(client)
