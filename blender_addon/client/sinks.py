"""Sinks take the pixels of a download as they arrive: into image files, or into memory. No bpy here.

A download calls `begin` once, then `write` with rectangles that cover the painting exactly once, in any order, and then
`finish` or `abort`. Samples are rows from top to bottom, interleaved, uint8 or little-endian uint16, as on the wire.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..pictures.draft import Data, ImageFileError
from ..pictures.image_file import format_of, open_image
from ..pictures.raster import ImageFile
from ..protocol.rect import Rect


@dataclass(frozen=True, kw_only=True)
class PaintedMap:
    """One map of a painting."""

    name: str
    channels: int
    colour_space: str  # "srgb" or "linear"
    depth: int  # bits per sample, 8 or 16


@dataclass(frozen=True, kw_only=True)
class Painting:
    """What is painted, and by which server: everything needed to paint it again."""

    model: str
    sha256: str  # of the model file
    seed: int
    size: tuple[int, int]  # height, width: the period
    window: tuple[int, int, int, int]  # top, left, height, width
    maps: tuple[PaintedMap, ...]
    precision: str
    software: str  # name and version of the server
    server: str  # HOST:PORT
    variant: int | None = None  # of the textures with common edges
    wang: int = 0  # corner colours of a Wang set

    @property
    def identity(self) -> str:
        """A hash that other pixels of the same seed and size do not have: it names their files."""
        return self.sha256

    @property
    def depth(self) -> int | None:
        """Bits per sample of all maps; None if each map has its own."""
        depths = {each.depth for each in self.maps}
        return depths.pop() if len(depths) == 1 else None

    def provenance(self, map: PaintedMap) -> dict[str, str]:
        """Metadata for the file of one map, in the words of texget."""
        height, width = self.size
        top, left, rows, columns = self.window
        described = {
            "Software": self.software,
            "Model": self.model,
            "Model SHA-256": self.sha256,
            "Map": map.name,
            "Seed": str(self.seed),
            "Size": f"{width}x{height}",
            "Window": f"{left},{top},{columns}x{rows}",
            "Precision": self.precision,
            **({"Variant": str(self.variant)} if self.variant is not None else {}),
            **({"Wang": str(self.wang)} if self.wang else {}),
            **({"Server": self.server} if self.server else {}),
        }
        return {key: value if value.isprintable() else ascii(value) for key, value in described.items()}


class Sink(Protocol):
    """Takes the pixels of one painting. Raises ImageFileError if the disk refuses."""

    def begin(self, painting: Painting) -> None:
        """Called once, before the first pixels."""

    def write(self, map: str, rect: Rect, data: Data) -> None:
        """Take the pixels of one map in a rectangle of the painting."""

    def finish(self) -> None:
        """All pixels have been written."""

    def abort(self) -> None:
        """No more pixels will come: leave no trace. May be called before `begin`."""


class MemorySink:
    """Keeps all pixels: `pixels[map]` holds (height, width, channels) samples, row by row."""

    def __init__(self) -> None:
        self.painting: Painting | None = None
        self.pixels: dict[str, bytearray] = {}

    def begin(self, painting: Painting) -> None:
        self.painting = painting
        _, _, height, width = painting.window
        self._pixel_bytes = {each.name: each.channels * each.depth // 8 for each in painting.maps}
        self._width = width
        self.pixels = {name: bytearray(height * width * each) for name, each in self._pixel_bytes.items()}

    def write(self, map: str, rect: Rect, data: Data) -> None:
        pixels, pixel_bytes = self.pixels[map], self._pixel_bytes[map]
        for row, samples in enumerate(_rows_of(data, rect.height), rect.top):
            start = (row * self._width + rect.left) * pixel_bytes
            pixels[start : start + rect.width * pixel_bytes] = samples

    def finish(self) -> None:
        """The pixels stay."""

    def abort(self) -> None:
        self.pixels = {}


class FileSink:
    """Writes one PNG or TIFF per map, by the suffix of its name. The files appear when all are complete.

    `name_files` gets the names of the maps and returns their paths, in the same order. `durable`: see open_image. In
    Blender files are not durable: its window must not wait for a disk, and a lost texture can be painted again.
    """

    def __init__(self, name_files: Callable[[Sequence[str]], Sequence[Path]], *, durable: bool = True) -> None:
        self._durable = durable
        self.paths: dict[str, Path] = {}  # by map
        self._name_files = name_files
        self._files: dict[str, ImageFile | _InOrder] = {}

    def begin(self, painting: Painting) -> None:
        names = [each.name for each in painting.maps]
        self.paths = dict(zip(names, self._name_files(names), strict=True))
        if len(set(self.paths.values())) < len(names):
            raise ImageFileError(f"{', '.join(names)} would be one file. Give each map a name of its own.")
        _, _, height, width = painting.window
        for each in painting.maps:
            path = self.paths[each.name]
            file = open_image(
                path,
                width=width,
                height=height,
                channels=each.channels,
                depth=each.depth,
                metadata=painting.provenance(each),
                srgb=each.colour_space == "srgb",
                durable=self._durable,
            )
            self._files[each.name] = _InOrder(file) if format_of(path) == "png" else file

    def write(self, map: str, rect: Rect, data: Data) -> None:
        self._files[map].write_window(rect, data)

    def finish(self) -> None:
        for file in self._files.values():
            file.close()

    def abort(self) -> None:
        for file in self._files.values():
            file.abort()


class _InOrder:
    """A picture that is written from top to bottom: holds rows back until all rows above them are complete."""

    def __init__(self, file: ImageFile) -> None:
        self._file = file
        self._next = 0
        self._rows: dict[int, bytearray] = {}
        self._missing: dict[int, int] = {}  # pixels

    def write_window(self, rect: Rect, data: Data) -> None:
        raster = self._file.raster
        if (rect.top, rect.width) == (self._next, raster.width):
            self._file.write_rows(data)
            self._next += rect.height
            return
        start, stop = rect.left * raster.pixel_bytes, rect.right * raster.pixel_bytes
        for row, samples in enumerate(_rows_of(data, rect.height), rect.top):
            self._rows.setdefault(row, bytearray(raster.row_bytes))[start:stop] = samples
            self._missing[row] = self._missing.get(row, raster.width) - rect.width
        complete = []
        while self._missing.get(self._next) == 0:
            complete.append(self._rows.pop(self._next))
            del self._missing[self._next]
            self._next += 1
        self._file.write_rows(b"".join(complete))

    def close(self) -> None:
        self._file.close()

    def abort(self) -> None:
        self._rows.clear()
        self._file.abort()


def _rows_of(data: Data, height: int) -> Iterator[memoryview]:
    view = memoryview(data).cast("B")
    row_bytes = len(view) // height
    for start in range(0, len(view), row_bytes):
        yield view[start : start + row_bytes]
