"""A picture that is being written, whatever its format: the shape of its samples, and how far it is. No bpy here.

Samples are rows from top to bottom, row-major and interleaved: (height, width, channels), 1 (grey), 3 (RGB) or 4 (RGB
and unassociated alpha) channels, uint8 or little-endian uint16. They are stored unchanged; no colour is converted.
Memory use is constant: beside the caller's band only a few rows and a chunk are held, whatever the size of the picture.

A wrong call (sizes, byte counts, order) raises ValueError; what is already written stays valid.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from ..protocol.rect import Rect
from .draft import Data, Draft, IncompleteImage


@dataclass(frozen=True, kw_only=True)
class Raster:
    """The shape of a picture's samples."""

    width: int
    height: int
    channels: int
    depth: int  # bits per sample

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f"width and height are at least 1, got {self.width} x {self.height}")
        if self.channels not in (1, 3, 4):
            raise ValueError(f"channels is 1, 3 or 4, got {self.channels}")
        if self.depth not in (8, 16):
            raise ValueError(f"depth is 8 or 16 bits, got {self.depth}")

    @property
    def pixel_bytes(self) -> int:
        return self.channels * self.depth // 8

    @property
    def row_bytes(self) -> int:
        return self.width * self.pixel_bytes


class ImageFile(ABC):
    """A picture that is being written."""

    def __init__(self, path: Path, raster: Raster, *, durable: bool = True) -> None:
        self.path = path
        self.raster = raster
        self._draft = Draft(path, durable=durable)
        self._next_row = 0

    @abstractmethod
    def write_rows(self, rows: Data) -> None:
        """Append complete rows, any number of them: (n, width, channels) samples."""

    @abstractmethod
    def write_window(self, rect: Rect, data: Data) -> None:
        """Put (height, width, channels) samples at this rectangle.

        A TIFF takes windows in any order, also repeatedly; a PNG takes only whole rows, from top to bottom.
        """

    @property
    @abstractmethod
    def pixels_missing(self) -> int:
        """How many pixels have not been written yet."""

    def close(self) -> None:
        """Give the picture its name, replacing an earlier file. Raises IncompleteImage if pixels are missing."""
        if self._draft.published:
            return
        self._draft.require_open()
        if self.pixels_missing:
            self.abort()
            pixels = self.raster.width * self.raster.height
            raise IncompleteImage(
                f"{self.path} was not written: {self.pixels_missing} of its {pixels} pixels are missing. "
                "Make the picture again."
            )
        try:
            self._finish()
        except BaseException:
            self.abort()
            raise
        self._draft.publish()

    def abort(self) -> None:
        """Leave no trace. An earlier file of that name is unchanged. Does nothing after close()."""
        self._draft.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.abort()
        elif self._draft.is_open:
            self.close()

    @abstractmethod
    def _finish(self) -> None:
        """Write what follows the last pixel."""

    def _new_rows(self, rows: Data) -> tuple[memoryview, int]:
        """The next rows as bytes, and their number."""
        self._draft.require_open()
        view, row_bytes = memoryview(rows).cast("B"), self.raster.row_bytes
        count, rest = divmod(len(view), row_bytes)
        if rest:
            raise ValueError(f"expected whole rows, a multiple of {row_bytes} bytes, got {len(view)} bytes")
        left = self.raster.height - self._next_row
        if count > left:
            raise ValueError(
                f"expected at most {left} more rows ({left * row_bytes} bytes), got {count} ({len(view)} bytes)"
            )
        return view, count


def require_bytes(data: Data, expected: int) -> memoryview:
    """The data as bytes, which must be so many. Raises ValueError."""
    view = memoryview(data).cast("B")
    if len(view) != expected:
        raise ValueError(f"expected {expected} bytes, got {len(view)}")
    return view
