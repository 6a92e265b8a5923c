"""Reads PNG and TIFF files row by row, so that a picture of any size takes little memory. No bpy here.

Rows from top to bottom, interleaved: (width, 1, 3 or 4 channels), uint8 or little-endian uint16, as raster.py
tells them. Of PNG: grey, RGB and RGBA of 8 and 16 bits, not interlaced, with every filter; colours stay as they are
stored. Of TIFF: what picture_reader.py reads.

Source: PNG third edition (https://www.w3.org/TR/png-3/), 5 (chunks).
"""

import struct
import zlib
from array import array
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

from .picture_reader import layout_of, reading
from .png_filters import MOST_ROWS, undone
from .raster import Raster

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_CHANNELS: Final = {0: 1, 2: 3, 6: 4}  # by the colour type
_PIECE: Final = 65536  # of compressed bytes
_ADVICE: Final = "Save it as a PNG of 8 or 16 bits, not interlaced."


class PictureRows:
    """The rows of one picture, each once. Use it in a `with` block. Raises PictureError. `any_alpha`: see layout_of."""

    def __init__(self, path: Path, *, any_alpha: bool = False) -> None:
        self.path = path
        with reading(path, _ADVICE):
            self._file = path.open("rb")
        try:
            with reading(path, _ADVICE):
                is_png = self._file.read(8) == _PNG
                self.raster, self._rows = _png(self._file) if is_png else _tiff(self._file, any_alpha)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "PictureRows":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, count: int) -> bytes:
        """The next rows, as many as are left but at most `count`."""
        with reading(self.path, _ADVICE):
            return b"".join(row for _, row in zip(range(count), self._rows, strict=False))


def _tiff(file: BinaryIO, any_alpha: bool) -> tuple[Raster, Iterator[bytes]]:
    layout = layout_of(file, any_alpha=any_alpha)
    height, width, channels = layout.shape
    raster = Raster(width=width, height=height, channels=channels, depth=layout.bits)

    def rows() -> Iterator[bytes]:
        for offset, count in layout.strips:
            for start in range(offset, offset + count, raster.row_bytes):
                file.seek(start)
                row = file.read(raster.row_bytes)
                if len(row) < raster.row_bytes:
                    raise ValueError("it is cut off")
                yield row

    return raster, rows()


def _png(file: BinaryIO) -> tuple[Raster, Iterator[bytes]]:
    kind, header = _chunk(file)
    if kind != b"IHDR":
        raise ValueError("it is no whole PNG")
    width, height, depth, colour, compression, filters, interlaced = struct.unpack(">IIBBBBB", header)
    if colour not in _CHANNELS or depth not in (8, 16) or (compression, filters, interlaced) != (0, 0, 0):
        raise ValueError(f"it is a PNG of another kind (colour type {colour}, {depth} bits)")
    raster = Raster(width=width, height=height, channels=_CHANNELS[colour], depth=depth)
    return raster, _unfiltered(_inflated(file, raster.row_bytes + 1), raster)


def _chunk(file: BinaryIO) -> tuple[bytes, bytes]:
    length, kind = struct.unpack(">I4s", file.read(8))
    if length > 2**31 - 1:
        raise ValueError("it is damaged")
    data = file.read(length)
    if file.read(4) != struct.pack(">I", zlib.crc32(data, zlib.crc32(kind))):
        raise ValueError("it is damaged or cut off")
    return kind, data


def _inflated(file: BinaryIO, row_bytes: int) -> Iterator[bytes]:
    """The rows, each with the number of its filter before it."""
    inflate, waiting = zlib.decompressobj(), bytearray()
    kind = b""
    while kind != b"IEND":
        kind, data = _chunk(file)
        for start in range(0, len(data), _PIECE) if kind == b"IDAT" else ():
            rest = data[start : start + _PIECE]
            while rest and not inflate.eof:
                try:
                    waiting += inflate.decompress(rest, 16 * _PIECE)
                except zlib.error as error:
                    raise ValueError("it is damaged") from error
                rest = inflate.unconsumed_tail
                while len(waiting) >= row_bytes:
                    yield bytes(waiting[:row_bytes])
                    del waiting[:row_bytes]


def _unfiltered(filtered: Iterator[bytes], raster: Raster) -> Iterator[bytes]:
    above = bytes(raster.row_bytes)
    for top in range(0, raster.height, MOST_ROWS):
        lines = list(islice(filtered, min(MOST_ROWS, raster.height - top)))
        if len(lines) < min(MOST_ROWS, raster.height - top):
            raise ValueError("it is cut off")
        rows = undone(lines, above, raster.pixel_bytes)
        above = rows[-1]
        for row in rows:
            yield _swapped(row) if raster.depth == 16 else row


def _swapped(row: bytes) -> bytes:
    samples = array("H", row)
    samples.byteswap()
    return samples.tobytes()
