"""Messages on their way: sent without waiting, and counted until ZeroMQ has passed them on.

Nothing new is computed for a client that reads slowly until it has caught up, so what is held for it is bounded in
bytes, not in messages. What is held for all of them has a bound of its own: when it comes near, those are given up that
take nothing, and beyond it nobody is sent anything large. Whoever owns the socket is told who is gone or given up.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import zmq

UNSENT_BYTES = 24 * 2**20  # for one client; above that its requests wait
ALL_UNSENT_BYTES = 192 * 2**20  # for all of them; above that all large requests wait
SMALL_BYTES = 2**20
STUCK_S = 60.0  # without any progress, after which a client counts as gone
PRESSED_STUCK_S = 3.0  # likewise, once half of ALL_UNSENT_BYTES is unsent
PROGRESS_BYTES = 64 * 1024  # less is no progress


@dataclass
class _Unsent:
    messages: list[tuple[zmq.MessageTracker, int]] = field(default_factory=list)
    moved: float = 0.0
    taken: int = 0  # bytes that the other side had taken then

    @property
    def bytes(self) -> int:
        return sum(size for tracker, size in self.messages if not tracker.done)


class Outbox:
    """Messages to all clients through one ROUTER socket.

    `gone` is called with the routing id of one that is not there any more or is given up. `taken` says how many bytes
    the other side has taken so far, so that a large message on a slow line counts as progress; always 0 where nobody
    knows.
    """

    def __init__(
        self,
        socket: "zmq.Socket[Any]",
        gone: Callable[[bytes], None],
        clock: Callable[[], float] = time.monotonic,
        taken: Callable[[bytes], int] = lambda client: 0,
    ) -> None:
        self._socket, self._gone, self._clock, self._taken = socket, gone, clock, taken
        self._unsent: dict[bytes, _Unsent] = {}
        self._all_bytes = 0  # unsent at the last tick, and what was sent since
        self.dropped = 0  # messages whose client was gone or given up

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
            unsent = self._unsent.get(client)
            if unsent is None:
                unsent = self._unsent[client] = _Unsent(moved=self._clock(), taken=self._taken(client))
            unsent.messages.append((tracker, size))
            self._all_bytes += size

    def blocked(self, client: bytes, size: int) -> bool:
        """Whether so many bytes more must wait, because too much is unsent for this client or for all.

        A small message goes to whoever has taken all before it, however little the others take.
        """
        unsent = self._unsent.get(client)
        own = unsent.bytes if unsent is not None else 0
        too_much = self._all_bytes + size > ALL_UNSENT_BYTES
        return own > UNSENT_BYTES or (too_much and (own > 0 or size > SMALL_BYTES))

    def forget(self, client: bytes) -> None:
        """It is gone: what was unsent is dropped."""
        unsent = self._unsent.pop(client, None)
        if unsent is not None:
            self.dropped += sum(not tracker.done for tracker, _ in unsent.messages)
            self._all_bytes -= unsent.bytes

    @property
    def unsent_bytes(self) -> int:
        """Of all clients, at the last tick, and what was sent since."""
        return self._all_bytes

    @property
    def empty(self) -> bool:
        """Whether ZeroMQ has passed on everything."""
        return not any(not tracker.done for unsent in self._unsent.values() for tracker, _ in unsent.messages)

    def tick(self) -> None:
        """Forget what is sent, and give up clients that have read nothing for too long."""
        now = self._clock()
        for client, unsent in tuple(self._unsent.items()):
            left = [each for each in unsent.messages if not each[0].done]
            taken = self._taken(client)
            if len(left) < len(unsent.messages) or taken >= unsent.taken + PROGRESS_BYTES:
                unsent.messages, unsent.moved, unsent.taken = left, now, taken
            if not left:
                del self._unsent[client]
        self._all_bytes = sum(unsent.bytes for unsent in self._unsent.values())
        for client, unsent in sorted(self._unsent.items(), key=lambda each: each[1].moved):
            patience_s = PRESSED_STUCK_S if self._all_bytes > ALL_UNSENT_BYTES / 2 else STUCK_S
            if now - unsent.moved <= patience_s:
                return
            self._gone(client)
            self.forget(client)
