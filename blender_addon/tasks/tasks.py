"""A task: one texture that someone in Blender wants, from the click to the files. No bpy here.

A large texture takes seconds, so a small one of the same seed comes first, as a preview: size means area and not
detail, so it shows the same bricks, only fewer of them. A preview that fails is passed over in silence; the texture
itself then says what is wrong.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..client.connection import Connection
from ..client.download import State
from ..client.sinks import FileSink, Painting
from ..client.texture_download import TextureDownload

Size = tuple[int, int]
Name = Callable[[Painting], Sequence[Path]]  # the files of a painting, in the order of its maps


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is wanted. `maps` None: all that the model has. `preview` None: the texture is small enough by itself."""

    model: str
    seed: int  # in [0, 2^64)
    size: Size  # height, width in pixels
    maps: tuple[str, ...] | None = None
    depth: int | None = None  # bits a sample of all maps; None: each map has its own
    preview: Size | None = None

    @property
    def title(self) -> str:
        """For one line of a panel."""
        return f"{self.model} {size_text(self.size)} #{self.seed}"


@dataclass(frozen=True, kw_only=True)
class Painted:
    """Finished files of one painting, by map."""

    painting: Painting
    files: dict[str, Path]


class Task:
    """One order on its way. `preview` and `result` are there when they are complete."""

    def __init__(
        self,
        id: int,
        order: Order,
        connection: Connection,
        name: Name,
        name_preview: Name,
        *,
        patience_s: float = 120.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.id = id
        self.order = order
        self.preview: Painted | None = None
        self.result: Painted | None = None
        self.message = "Waiting for its turn."
        self.state: State = "waiting"
        self._connection = connection
        self._patience_s = patience_s
        self._clock = clock
        self._name = name
        self._small = _Painting(connection, order, order.preview, name_preview) if order.preview else None
        self._full: _Painting | None = None
        self._heard_at: float | None = None
        self._heard: object = None

    def tick(self) -> bool:
        """Go on a little, without waiting. False when the task has ended."""
        if self.ended:
            return False
        if self._small:
            self.message = self._small.job.message
            if self._small.job.tick():
                self._watch(self._small.job)
                return not self.ended
            self.preview = self._small.painted()
            self._small = None
            return True
        if self._full is None:  # not before the preview is there, which would have to share the server with it
            self._full = _Painting(self._connection, self.order, self.order.size, self._name)
        job = self._full.job
        job.tick()
        self.state, self.message = job.state, job.message
        self.result = self._full.painted()
        self._watch(job)
        return not self.ended

    def cancel(self, why: str = "Cancelled.") -> None:
        """End without a result. Does nothing when the task has ended."""
        if not self.ended:
            self._stop()
            self.state, self.message = "cancelled", why

    def fail(self, why: str) -> None:
        """What was painted cannot be used; `why` is for people."""
        self._stop()
        self.state, self.message, self.result = "failed", why, None

    @property
    def ended(self) -> bool:
        return self.state in ("done", "failed", "cancelled")

    @property
    def fraction(self) -> float:
        """How much is done, in [0, 1]."""
        if self.state == "done":
            return 1.0
        return self._full.job.done_pixels / self._full.job.total_pixels if self._full else 0.0

    def _watch(self, job: TextureDownload) -> None:
        """A server that is away for long, or hangs, must not keep an artist waiting without end."""
        now, heard = self._clock(), (job, job.done_pixels)
        if self._heard_at is None or heard != self._heard:
            self._heard_at, self._heard = now, heard
        elif not self.ended and now - self._heard_at > self._patience_s:
            self._stop()
            reason = self._connection.reason or "The server accepts requests, but nothing comes back."
            self.state = "failed"
            self.message = f"Nothing came for {self._patience_s:.0f} seconds. {reason} Then press Retry."

    def _stop(self) -> None:
        for each in (self._small, self._full):
            if each:
                each.job.cancel()


class _Painting:
    """A job with its files."""

    def __init__(self, connection: Connection, order: Order, size: Size, name: Name) -> None:
        self.sink = FileSink(lambda _: name(self._known()), durable=False)
        self.job = TextureDownload(
            connection, order.model, order.seed, size, self.sink, maps=order.maps, depth=order.depth
        )

    def _known(self) -> Painting:
        assert self.job.painting  # the sink begins when the first answer has told it
        return self.job.painting

    def painted(self) -> Painted | None:
        return Painted(painting=self._known(), files=self.sink.paths) if self.job.state == "done" else None


SIDES: Final = {512: "512", 1024: "1K", 2048: "2K", 4096: "4K", 8192: "8K", 16384: "16K"}


def size_text(size: Size) -> str:
    """A size as artists say it, width first: 1K, 2048 x 1024."""
    height, width = size
    return SIDES.get(height, f"{width} x {height}") if height == width else f"{width} x {height}"
