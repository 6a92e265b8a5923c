"""The task that paints one texture. No bpy here.

A large texture takes seconds. So a small one with the same seed comes first, as a preview. The size of a texture is the
area it covers, not its detail: the preview shows the same bricks, only fewer of them. If the preview fails, nothing is
said: the texture itself will fail in the same way and say why.

UDIM squares are windows of one texture, each in files of its own. They are painted one after the other.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ..client.blend_download import BlendDownload
from ..client.blending import Blending
from ..client.connection import Connection
from ..client.sinks import FileSink, Painting
from ..client.texture_download import TextureDownload
from ..pictures.udim import UdimSet, file_of
from ..protocol.edges import ACROSS
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
    squares: UdimSet | None = None  # UDIM squares that the texture is cut into
    wang: int = 0  # colours of the corners of a set of tiles, whose atlas has that size; 0: a texture that repeats

    @property
    def title(self) -> str:
        """For one line of a panel."""
        if self.squares:
            return f"{self.model} {len(self.squares.numbers)} x {size_text(self.squares.side)} #{self.seed}"
        if self.wang:
            height, width = self.size
            tile = size_text((height // ACROSS, width // ACROSS))
            return f"{self.model} {ACROSS**2} x {tile} #{self.seed}"
        return f"{self.model} {size_text(self.size)} #{self.seed}"


Part = tuple[int, int, int, int]  # of a texture: top, left, height, width in pixels


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
        self._full: FileDownload | SquaresDownload | None = None

    @property
    def title(self) -> str:
        return self.order.title

    @property
    def fraction(self) -> float:
        if self.state == "done":
            return 1.0
        return self._full.fraction if self._full else 0.0

    def _advance(self) -> None:
        if self._small:
            self._advance_preview(self._small)
            return
        if self._full is None:  # only now: the preview must not share the server with it
            kind = SquaresDownload if self.order.squares else FileDownload
            self._full = kind(self._connection, self.order, self.order.size, self._name)
        download = self._full.download
        download.tick()
        if self._full.goes_on():
            return
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

    def __init__(
        self,
        connection: Connection,
        order: TextureOrder,
        size: Size,
        name: NameFiles,
        window: Part | None = None,
        sha256: str = "",
    ) -> None:
        self.sink = FileSink(lambda _: name(self._painting()), durable=False)
        self.download: TextureDownload
        if order.blend:
            self.download = BlendDownload(
                connection, order.blend, order.seed, size, self.sink, maps=order.maps, depth=order.depth
            )
        else:
            self.download = TextureDownload(
                connection,
                order.model,
                order.seed,
                size,
                self.sink,
                window=window,
                maps=order.maps,
                depth=order.depth,
                sha256=sha256,
                wang=order.wang,
            )

    @property
    def fraction(self) -> float:
        """How much is done, in [0, 1]."""
        return self.download.fraction

    def goes_on(self) -> bool:
        """Whether another download takes the place of one that has ended."""
        return False

    def painted(self) -> Painted | None:
        """The files, None until they are complete."""
        if self.download.state != "done":
            return None
        return Painted(painting=self._painting(), files=self.sink.paths)

    def _painting(self) -> Painting:
        assert self.download.painting  # set before the sink begins
        return self.download.painting


class SquaresDownload:
    """A download for each UDIM square, into files with the square's number in place of <UDIM>."""

    def __init__(self, connection: Connection, order: TextureOrder, size: Size, name: NameFiles) -> None:
        assert order.squares
        self._connection, self._order, self._size, self._name = connection, order, size, name
        self.squares = order.squares
        self._ended: list[FileDownload] = []
        self._now = self._next()

    @property
    def download(self) -> TextureDownload:
        """The one that runs."""
        return self._now.download

    @property
    def fraction(self) -> float:
        """How much is done, in [0, 1]."""
        running = self.download.fraction if self.download.state == "running" else 0.0
        return (len(self._ended) + running) / len(self.squares.numbers)

    def goes_on(self) -> bool:
        """Begin with the next square where one has ended well."""
        if self.download.state != "done" or len(self._ended) + 1 == len(self.squares.numbers):
            return False
        self._ended.append(self._now)
        self._now = self._next()
        return True

    def painted(self) -> Painted | None:
        """The files of all squares, None until they are complete."""
        if self.download.state != "done":
            return None
        painting = self.download.painting
        assert painting
        whole = replace(painting, window=(0, 0, *self._size))
        files = dict(zip((each.name for each in painting.maps), self._name(painting), strict=True))
        return Painted(painting=whole, files=files, squares=self.squares)

    def _next(self) -> FileDownload:
        number = self.squares.numbers[len(self._ended)]

        def name(painting: Painting) -> list[Path]:
            return [file_of(each, number) for each in self._name(painting)]

        first = self._ended[0].download.painting if self._ended else None
        sha256 = first.sha256 if first else ""  # squares of two models would not join
        return FileDownload(self._connection, self._order, self._size, name, self.squares.window(number), sha256)
