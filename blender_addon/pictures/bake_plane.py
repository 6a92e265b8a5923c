"""Lays the tiles of an atlas out as the node group does: a plane that never repeats, as pictures for engines. No bpy.

Each map becomes one picture of so many cells, or a picture for each UDIM square of so many cells. Cell (0, 0) is the
one at the texture's origin; x runs to the right and y up. An atlas is first unpacked into a file of plain rows beside
the result, so a plane of any size takes little memory.

Also a program, `python -m blender_addon.pictures.bake_plane JOB.json`, with the output of program.py: the add-on runs
it in a process of its own, since packing takes seconds.
"""

import json
import mmap
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final

from ..protocol.edges import ACROSS
from ..protocol.errors import TexserverError
from . import program
from .draft import ImageFileError, advice
from .image_file import open_image
from .picture_rows import PictureRows
from .raster import Raster
from .tile_plane import tile_of
from .udim import ACROSS as SQUARES_ACROSS
from .udim import FIRST

MOST_SIDE: Final = 65536  # pixels of one picture
_BAND: Final = 64  # rows at once


class NotBaked(TexserverError):
    """The plane cannot be laid out. The text says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Plane:
    """So many cells to the right and up. `per_square`: cells along a side of a UDIM square; 0 for one picture.

    Raises NotBaked where they do not fit.
    """

    columns: int
    rows: int
    per_square: int = 0

    def __post_init__(self) -> None:
        if min(self.columns, self.rows) < 1 or self.per_square < 0:
            raise NotBaked("A plane has at least one cell each way.")
        if self.per_square and (self.columns % self.per_square or self.rows % self.per_square):
            raise NotBaked(
                f"{self.columns} x {self.rows} cells are no whole number of squares of {self.per_square} x "
                f"{self.per_square}. Choose multiples of {self.per_square}, or another number for a square."
            )
        if self.per_square and self.columns // self.per_square > SQUARES_ACROSS:
            raise NotBaked(f"UDIM has at most {SQUARES_ACROSS} squares side by side. Put more cells into a square.")

    def pictures(self) -> Iterator[tuple[str, range, range]]:
        """What stands in each picture's name, and the cells that it shows: columns, and rows upwards."""
        if not self.per_square:
            yield "", range(self.columns), range(self.rows)
            return
        for up in range(self.rows // self.per_square):
            for right in range(self.columns // self.per_square):
                across, along = (range(each * self.per_square, (each + 1) * self.per_square) for each in (right, up))
                yield f".{FIRST + right + SQUARES_ACROSS * up}", across, along


@dataclass(frozen=True, kw_only=True)
class BakeJob:
    """What the program does: which atlases (by map) become which files."""

    name: str
    folder: str
    plane: Plane
    maps: Mapping[str, str]
    srgb: tuple[str, ...] = ("basecolor",)
    metadata: Mapping[str, str] = field(default_factory=dict)


def bake(job: BakeJob, progress: Callable[[float], None] = lambda share: None) -> list[Path]:
    """Write the pictures, in place of files of these names. Raises NotBaked, PictureError or ImageFileError."""
    written: list[Path] = []
    pictures = list(job.plane.pictures())
    total = len(job.maps) * len(pictures)
    for map, path in job.maps.items():
        with _Atlas(Path(path), Path(job.folder)) as atlas:
            for suffix, columns, rows in pictures:
                file = Path(job.folder) / f"{job.name}_{map}{suffix}.png"
                raster = atlas.raster_of(len(columns), len(rows))
                with open_image(
                    file,
                    width=raster.width,
                    height=raster.height,
                    channels=raster.channels,
                    depth=raster.depth,
                    metadata={**job.metadata, "Map": map},
                    srgb=map in job.srgb,
                ) as picture:
                    for done, row in enumerate(reversed(rows)):
                        for band in atlas.cells(columns, row):
                            picture.write_rows(band)
                        progress((len(written) + (done + 1) / len(rows)) / total)
                written.append(file)
    return written


class _Atlas:
    """An atlas whose tiles are read by cell."""

    def __init__(self, path: Path, scratch: Path) -> None:
        self._path, self._scratch = path, scratch

    def __enter__(self) -> "_Atlas":
        try:
            self._file = TemporaryFile(dir=self._scratch)
            with PictureRows(self._path, any_alpha=True) as picture:
                self._raster = picture.raster
                for _ in range(0, picture.raster.height, _BAND):
                    self._file.write(picture.read(_BAND))
            self._file.flush()
            self._pixels = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise ImageFileError(advice(error, self._scratch)) from error
        if self._raster.width % ACROSS or self._raster.height % ACROSS:
            raise NotBaked(f"{self._path.name} is no atlas of {ACROSS} x {ACROSS} tiles. Paint it again.")
        self._height, self._width = self._raster.height // ACROSS, self._raster.width // ACROSS
        return self

    def __exit__(self, *_: object) -> None:
        self._pixels.close()
        self._file.close()

    def raster_of(self, columns: int, rows: int) -> Raster:
        """Of a picture of so many cells. Raises NotBaked."""
        width, height = columns * self._width, rows * self._height
        if max(width, height) > MOST_SIDE:
            raise NotBaked(
                f"{columns} x {rows} cells make a picture of {width} x {height} pixels; {MOST_SIDE} are the most on a "
                "side. Bake fewer cells, or UDIM squares."
            )
        return Raster(width=width, height=height, channels=self._raster.channels, depth=self._raster.depth)

    def cells(self, columns: range, row: int) -> Iterator[bytes]:
        """The pixels of a row of cells, in bands from top to bottom."""
        tiles = [tile_of(each, row) for each in columns]
        length = self._width * self._raster.pixel_bytes
        for top in range(0, self._height, _BAND):
            band = bytearray()
            for line in range(top, min(top + _BAND, self._height)):
                for down, right in tiles:
                    start = (down * self._height + line) * self._raster.row_bytes + right * length
                    band += self._pixels[start : start + length]
            yield bytes(band)


def job_text(job: BakeJob) -> str:
    """What the program is told, as JSON."""
    plane = {"columns": job.plane.columns, "rows": job.plane.rows, "per_square": job.plane.per_square}
    return json.dumps(
        {
            "name": job.name,
            "folder": job.folder,
            "plane": plane,
            "maps": dict(job.maps),
            "srgb": list(job.srgb),
            "metadata": dict(job.metadata),
        }
    )


def run(text: str) -> int:
    """The program: do what job_text() says. 1 where it was not done."""
    told: dict[str, Any] = json.loads(text)
    job = BakeJob(**{**told, "plane": Plane(**told["plane"]), "srgb": tuple(told["srgb"])})
    return program.run(lambda progress: bake(job, progress))


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1]).read_text("utf-8")))
