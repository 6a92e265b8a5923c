"""A task: one thing that someone in Blender wants painted, from the click to the files. No bpy here.

All tasks stand in the session's list and take turns. The kinds are TextureTask (texture_task.py), PictureTask
(picture_task.py) and SequenceTask (sequence_task.py).
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from ..client.connection import Connection
from ..client.download import Download, State
from ..client.region_download import RegionDownload
from ..client.sinks import Painting
from .painted import Painted

PATIENCE_S: Final = 120.0  # without a sign that the server works, before a task fails

NameFiles = Callable[[Painting], Sequence[Path]]  # the files of a painting, in the order of its maps


class Task(ABC):
    """What all kinds of tasks share: a state, a message for people, a result, and a limit of patience."""

    def __init__(
        self,
        id: int,
        connection: Connection,
        *,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.id = id
        self.state: State = "waiting"
        self.message = "Waiting for its turn."
        self.result: Painted | None = None  # complete
        self.seen = False  # whether somebody has dismissed what is said of it
        self.note = ""  # for people: what was done with the result that they may not expect
        self._connection = connection
        self._patience_s = patience_s
        self._clock = clock
        self._progress: object = None  # changes with every new pixel
        self._progress_at = 0.0

    @property
    @abstractmethod
    def title(self) -> str:
        """For one line of a panel."""

    @property
    @abstractmethod
    def fraction(self) -> float:
        """How much is done, in [0, 1]."""

    @abstractmethod
    def _advance(self) -> None:
        """Do a little, without waiting."""

    @abstractmethod
    def _stop(self) -> None:
        """Cancel the downloads. Called at every end, also when they have ended."""

    def tick(self) -> bool:
        """Do a little, without waiting. False when the task has ended."""
        if not self.ended:
            self._advance()
        return not self.ended

    def cancel(self, why: str = "Cancelled.") -> None:
        """End without a result. Does nothing when the task has ended."""
        if not self.ended:
            self._end("cancelled", why)

    def leave(self, why: str = "Cancelled.") -> None:
        """End, because nobody is left here to wait. The same as cancel() for what needs us."""
        self.cancel(why)

    def fail(self, why: str) -> None:
        """Call this when the result is unusable. `why` is for people."""
        self.result = None
        self._end("failed", why)

    @property
    def ended(self) -> bool:
        return self.state in ("done", "failed", "cancelled")

    def _end(self, state: State, message: str) -> None:
        self._stop()
        self.state, self.message = state, message

    def _watch(self, download: Download | RegionDownload) -> None:
        """Fail when there was no sign of work for too long, so that nobody waits forever for an absent server."""
        now, progress = self._clock(), (download, download.signs)
        if progress != self._progress:
            self._progress_at, self._progress = now, progress
        elif not self.ended and now - self._progress_at > self._patience_s:
            reason = self._connection.reason or "The server accepts requests but does not answer them."
            self._end("failed", f"No pixels arrived for {self._patience_s:.0f} seconds. {reason} Then press Retry.")
