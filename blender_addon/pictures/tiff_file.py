"""Writes TIFF files, window by window in any order. No bpy here.

Sources: TIFF 6.0 (Adobe, 1992), BigTIFF (libtiff's description,
https://libtiff.gitlab.io/libtiff/specification/bigtiff.html).
"""

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from ..protocol.rect import Rect
from .draft import Data
from .raster import ImageFile, Raster, require_bytes

_STRIP_BYTES = 256 * 1024
_MOST_STRIPS = 65536  # more rows go into one strip beyond it, so that the table stays within a megabyte
_CLASSIC_BYTES = 2**32 - 1  # a larger file needs BigTIFF's 64-bit offsets


def _without(rect: Rect, hole: Rect) -> Iterator[Rect]:
    """What the hole leaves of the rectangle, as at most four rectangles."""
    top, bottom = max(rect.top, hole.top), min(rect.bottom, hole.bottom)
    left, right = max(rect.left, hole.left), min(rect.right, hole.right)
    if top >= bottom or left >= right:
        yield rect
        return
    for part in (
        Rect(rect.top, rect.left, top - rect.top, rect.width),
        Rect(top, rect.left, bottom - top, left - rect.left),
        Rect(top, right, bottom - top, rect.right - right),
        Rect(bottom, rect.left, rect.bottom - bottom, rect.width),
    ):
        if part.pixels:
            yield part


class TiffFile(ImageFile):
    """An uncompressed TIFF: the header, then all rows without gaps, so the position of every window is known.

    The file has its full length from the start, but is sparse if the file system allows it. Strips are 256 KiB or one
    row. The header is BigTIFF only beyond 4 GiB, since not every program reads it.
    """

    def __init__(self, path: Path, raster: Raster, metadata: Mapping[str, str], *, durable: bool = True) -> None:
        header = _tiff_header(raster, metadata)
        super().__init__(path, raster, durable=durable)
        self._start = len(header)
        self._missing = [Rect(0, 0, raster.height, raster.width)]
        self._draft.write(header)
        self._draft.resize(self._start + raster.height * raster.row_bytes)

    def write_rows(self, rows: Data) -> None:
        view, count = self._new_rows(rows)
        if count:
            self.write_window(Rect(self._next_row, 0, count, self.raster.width), view)
            self._next_row += count

    def write_window(self, rect: Rect, data: Data) -> None:
        self._draft.require_open()
        raster = self.raster
        top, left, height, width = rect
        if min(top, left) < 0 or min(width, height) < 1 or rect.right > raster.width or rect.bottom > raster.height:
            raise ValueError(
                f"expected a window inside {raster.width} x {raster.height} pixels, "
                f"got {width} x {height} at row {top}, column {left}"
            )
        line_bytes = width * raster.pixel_bytes
        view = require_bytes(data, height * line_bytes)
        if width == raster.width:
            self._draft.write(view, at=self._start + top * raster.row_bytes)
        else:
            for line in range(height):
                place = self._start + (top + line) * raster.row_bytes + left * raster.pixel_bytes
                self._draft.write(view[line * line_bytes : (line + 1) * line_bytes], at=place)
        self._missing = [part for missing in self._missing for part in _without(missing, rect)]

    @property
    def pixels_missing(self) -> int:
        return sum(part.pixels for part in self._missing)

    def _finish(self) -> None:
        """Nothing follows the pixels."""


@dataclass(frozen=True)
class _Tag:
    """One entry of a TIFF directory."""

    number: int
    kind: int  # the type's number in TIFF 6.0, section 2, and in BigTIFF
    count: int
    value: bytes


def _shorts(number: int, *values: int) -> _Tag:
    return _Tag(number, 3, len(values), struct.pack(f"<{len(values)}H", *values))


def _longs(number: int, values: Sequence[int], *, big: bool = False) -> _Tag:
    return _Tag(number, 16 if big else 4, len(values), struct.pack(f"<{len(values)}{'Q' if big else 'I'}", *values))


def _ascii(number: int, text: str) -> _Tag:
    value = text.encode("ascii") + b"\0"
    return _Tag(number, 2, len(value), value)


def _ratio(number: int, numerator: int, denominator: int) -> _Tag:
    return _Tag(number, 5, 1, struct.pack("<II", numerator, denominator))


def _tiff_header(raster: Raster, metadata: Mapping[str, str]) -> bytes:
    """Everything before the first pixel. Its length is a multiple of 16."""
    rows = max(1, _STRIP_BYTES // raster.row_bytes, ceil(raster.height / _MOST_STRIPS))
    tops = range(0, raster.height, rows)
    strip_bytes = [(min(top + rows, raster.height) - top) * raster.row_bytes for top in tops]

    def header(start: int, *, big: bool) -> bytes:
        tags = [
            _longs(256, [raster.width]),
            _longs(257, [raster.height]),
            _shorts(258, *[raster.depth] * raster.channels),  # BitsPerSample
            _shorts(259, 1),  # Compression: none
            _shorts(262, 1 if raster.channels == 1 else 2),  # Photometric: black is zero, or RGB
            _longs(273, [start + top * raster.row_bytes for top in tops], big=big),  # StripOffsets
            _shorts(277, raster.channels),
            _longs(278, [min(rows, raster.height)]),  # RowsPerStrip
            _longs(279, strip_bytes, big=big),
            _ratio(282, 72, 1),  # the baseline asks for a resolution
            _ratio(283, 72, 1),
            _shorts(284, 1),  # PlanarConfiguration: interleaved
            _shorts(296, 1),  # ResolutionUnit: none, the numbers give the pixel's aspect alone
        ]
        if metadata:
            tags.append(_ascii(270, json.dumps(dict(metadata))))  # ImageDescription
        software = metadata.get("Software", "")
        if software.isascii() and software.isprintable() and software:
            tags.append(_ascii(305, software))
        if raster.channels == 4:
            tags.append(_shorts(338, 2))  # ExtraSamples: unassociated alpha
        return _directory(sorted(tags, key=lambda tag: tag.number), big=big)

    start = len(header(0, big=True))
    if start + raster.height * raster.row_bytes > _CLASSIC_BYTES:
        return header(start, big=True)
    return header(len(header(0, big=False)), big=False)


def _directory(tags: Sequence[_Tag], *, big: bool) -> bytes:
    """A file header with its one directory, little-endian. Values that do not fit into their entries follow it."""
    word = "Q" if big else "I"
    inline = struct.calcsize(f"<{word}")
    head = struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16) if big else struct.pack("<2sHI", b"II", 42, 8)
    head += struct.pack("<Q" if big else "<H", len(tags))
    entries, values = bytearray(), bytearray()
    values_start = len(head) + len(tags) * (4 + 2 * inline) + inline
    for tag in tags:
        entries += struct.pack(f"<HH{word}", tag.number, tag.kind, tag.count)
        if len(tag.value) <= inline:
            entries += tag.value.ljust(inline, b"\0")
        else:
            values += bytes(-(values_start + len(values)) % 8)  # offsets are even; 8 also suits 64-bit values
            entries += struct.pack(f"<{word}", values_start + len(values))
            values += tag.value
    whole = head + entries + bytes(inline) + values  # the zero word: no further directory
    return whole + bytes(-len(whole) % 16)
