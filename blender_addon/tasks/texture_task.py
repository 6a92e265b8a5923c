"""The task that paints one texture. No bpy here.

A large texture takes seconds. So a small one with the same seed comes first, as a preview. The size of a texture is the
area it covers, not its detail: the preview shows the same bricks, only fewer of them. If the preview fails, nothing is
said: the texture itself will fail in the same way and say why.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from ..client.blend_download import BlendDownload
from ..client.blending import Blending
from ..client.connection import Connection
from ..client.sinks import FileSink, Painting
from ..client.texture_download import TextureDownload
from .painted import Painted
from .placement import Size, size_text
from .task import PATIENCE_S, NameFiles, Task


@dataclass(frozen=True, kw_only=True)
class TextureOrder:
    """Which texture to paint."""

    model: str
    seed: int  # in [0, 2^64)
    size: Size  # height, width in pixels
    maps: tuple[str, ...] | None = None  # None: all maps of the model
    depth: int | None = None  # bits per sample of all maps; None: each has its own
    preview: Size | None = None  # None: the texture is small enough to do without
    blend: Blending | None = None  # several models; then `model` is its name

    @property
    def title(self) -> str:
        """For one line of a panel."""
        return f"{self.model} {size_text(self.size)} #{self.seed}"


class TextureTask(Task):
    """Downloads the preview, then the texture. `preview` and `result` are set when each is complete."""

    def __init__(
        self,
        id: int,
        order: TextureOrder,
        connection: Connection,
        name: NameFiles,
        name_preview: NameFiles,
        *,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(id, connection, patience_s=patience_s, clock=clock)
        self.order = order
        self.preview: Painted | None = None
        self._name = name
        self._small = FileDownload(connection, order, order.preview, name_preview) if order.preview else None
        self._full: FileDownload | None = None

    @property
    def title(self) -> str:
        return self.order.title

    @property
    def fraction(self) -> float:
        if self.state == "done":
            return 1.0
        return self._full.download.fraction if self._full else 0.0

    def _advance(self) -> None:
        if self._small:
            self._advance_preview(self._small)
            return
        if self._full is None:  # only now: the preview must not share the server with it
            self._full = FileDownload(self._connection, self.order, self.order.size, self._name)
        download = self._full.download
        download.tick()
        self.state, self.message = download.state, download.message
        self.result = self._full.painted()
        self._watch(download)

    def _advance_preview(self, small: "FileDownload") -> None:
        self.message = small.download.message
        if small.download.tick():
            self._watch(small.download)
        else:
            self.preview = small.painted()
            self._small = None

    def _stop(self) -> None:
        for each in (self._small, self._full):
            if each:
                each.download.cancel()


class FileDownload:
    """A download into files."""

    def __init__(self, connection: Connection, order: TextureOrder, size: Size, name: NameFiles) -> None:
        self.sink = FileSink(lambda _: name(self._painting()), durable=False)
        self.download: TextureDownload
        if order.blend:
            self.download = BlendDownload(
                connection, order.blend, order.seed, size, self.sink, maps=order.maps, depth=order.depth
            )
        else:
            self.download = TextureDownload(
                connection, order.model, order.seed, size, self.sink, maps=order.maps, depth=order.depth
            )

    def painted(self) -> Painted | None:
        """The files, None until they are complete."""
        if self.download.state != "done":
            return None
        return Painted(painting=self._painting(), files=self.sink.paths)

    def _painting(self) -> Painting:
        assert self.download.painting  # set before the sink begins
        return self.download.painting
