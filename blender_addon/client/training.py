"""A training of the server's, followed by a client: sends the maps, asks how it is, takes the growing texture.

The training outlives us and the connection (docs/PROTOCOL.md, Training). leave() ends only the following. No bpy here.
"""

import time
from collections.abc import Callable
from functools import partial
from secrets import token_hex
from typing import Final

from ..protocol import wire
from .connection import Connection
from .download import State

ASK_EVERY_S: Final = 0.5
_STATES: Final[dict[str, State]] = {
    "waiting": "waiting",
    "running": "running",
    "done": "done",
    "failed": "failed",
    "cancelled": "cancelled",
    "interrupted": "failed",
}

Make = Callable[..., wire.Train]  # from `id` and `token`


def new_token() -> str:
    """The name of a new training, which nobody else knows."""
    return token_hex(16)


class ServerTraining:
    """One training. `make` None: the server has it already, by this token."""

    def __init__(
        self,
        connection: Connection,
        token: str,
        make: Make | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.token = token
        self.state: State = "waiting"
        self.message = "Sending the picture." if make else "Asking the server."
        self.fraction = 0.0
        self.picture: wire.Buffer | None = None  # the growing texture: the latest, uint8 RGB
        self.sha256 = ""  # of the model file, when it is done
        self._connection = connection
        self._make = make
        self._clock = clock
        self._seen = 0
        self._asked: int | None = None
        self._ask_at = 0.0
        if make:
            self._send(make)

    @property
    def ended(self) -> bool:
        return self.state in ("done", "failed", "cancelled")

    def tick(self) -> bool:
        """Ask how it is, if it is time. Never waits. False when it has ended. The caller ticks the connection."""
        if not self.ended and self._asked is None and self._clock() >= self._ask_at:
            make = partial(wire.GetJob, token=self.token, seen=self._seen)
            self._asked = self._connection.ask(make, self._take)
        if not self.ended and self._connection.state != "ready":
            self.message = self._connection.reason or self.message
        return not self.ended

    def cancel(self) -> None:
        """End it, on the server too. Does nothing when it has ended."""
        if not self.ended:
            self.leave()
            self._connection.ask(partial(wire.CancelJob, token=self.token), lambda _: None)

    def leave(self) -> None:
        """Follow it no longer. The server goes on."""
        if not self.ended:
            self.state = "cancelled"
            if self._asked is not None:
                self._connection.forget(self._asked)
            self._make = None

    def _send(self, make: Make) -> None:
        self._asked = self._connection.ask(partial(make, token=self.token), self._take)

    def _take(self, reply: wire.Reply) -> None:
        self._asked, self._ask_at = None, self._clock() + ASK_EVERY_S
        if self.ended:
            return
        if isinstance(reply, wire.Job):
            self.state, self.fraction = _STATES.get(reply.state, "running"), reply.fraction
            self.message = reply.text or {"waiting": "Waiting for its turn on the server."}.get(
                reply.state, "Learning."
            )
            self.sha256 = reply.sha256
            if reply.buffers:
                self.picture, self._seen = reply.buffers[0], reply.picture
        elif isinstance(reply, wire.Error) and reply.code in wire.RETRY_HELPS:
            self._ask_at = self._clock() + max(ASK_EVERY_S, (reply.retry_ms or 0) / 1000)
            self.message = reply.text
        elif isinstance(reply, wire.Error) and reply.code == "not_found" and self._make:
            self._send(self._make)  # it was lost with the connection
        else:
            self.state = "failed"
            self.message = reply.text if isinstance(reply, wire.Error) else "The server gave another answer. Update it."
