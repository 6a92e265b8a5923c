"""The trainings that the server does, or has done lately, for this client's key. No bpy here.

They outlive their clients: after Blender was closed, or the connection was lost, they are found here again.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ..client.connection import Connection
from ..protocol import wire
from ..protocol.training import FEATURE, TEXTURE

EVERY_S: Final = 5.0  # while one is under way


@dataclass(frozen=True, kw_only=True)
class ListedJob:
    """One training."""

    token: str
    name: str  # of the model
    kind: str  # of the model
    state: str  # one of wire.JOB_STATES
    fraction: float
    text: str

    @property
    def ended(self) -> bool:
        return self.state not in ("waiting", "running")


class ServerJobs:
    """Asks for the list at each new connection, on refresh(), and again while something is under way."""

    def __init__(self, connection: Connection, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.jobs: tuple[ListedJob, ...] = ()  # the latest first
        self._connection = connection
        self._clock = clock
        self._welcome: wire.Welcome | None = None  # of the connection that was asked last
        self._asked: int | None = None
        self._ask_at = float("inf")

    def refresh(self) -> None:
        """Ask again soon."""
        self._ask_at = 0.0

    def tick(self) -> None:
        """Ask, if it is time. Never waits."""
        welcome = self._connection.welcome
        if self._connection.state != "ready" or welcome is None or FEATURE not in welcome.features:
            return
        if welcome is not self._welcome:
            self._welcome, self._asked = welcome, None
            self.refresh()
        if self._asked is None and self._clock() >= self._ask_at:
            self._ask_at = float("inf")
            self._asked = self._connection.ask(wire.ListJobs, self._take)

    def _take(self, reply: wire.Reply) -> None:
        self._asked = None
        if isinstance(reply, wire.Jobs):
            self.jobs = tuple(
                ListedJob(
                    token=each["token"],
                    name=each["name"],
                    kind=each.get("kind", TEXTURE),
                    state=each["state"],
                    fraction=each.get("fraction", 0.0),
                    text=each.get("text", ""),
                )
                for each in reply.jobs
            )
            if any(not each.ended for each in self.jobs):
                self._ask_at = self._clock() + EVERY_S
