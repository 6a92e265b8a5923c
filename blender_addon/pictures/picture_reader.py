"""Reads the one kind of picture that Blender writes for us: an uncompressed TIFF. No bpy here.

Rows from top to bottom, interleaved: (height, width, 1, 3 or 4 channels), 8 bits per sample, or 16, little-endian.
Alpha is unassociated. Orientation (tag 274) does not count: Blender copies it from the picture that it read, whose rows
it leaves as they were. Nothing needs decoding, so 1080p takes some ms and Blender's window stays responsive. Numbers in
the file are checked against its length before they are used.

Source: TIFF 6.0 (Adobe, 1992), sections 2 to 7; the strips are those of Blender 4.2 to 5.2.

    TexserverError
    └── PictureError    the file is missing, or not such a TIFF
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from ..protocol.errors import TexserverError

MOST_BYTES: Final = 2**28  # of samples; a server accepts a quarter of this
MOST_STRIPS: Final = 2**16
_SIZES: Final = {1: 1, 2: 1, 3: 2, 4: 4}  # bytes of the types that are read: BYTE, ASCII, SHORT, LONG
_LETTERS: Final = {1: "B", 2: "B", 3: "H", 4: "I"}


class PictureError(TexserverError):
    """The picture cannot be read. The text says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class TiffPicture:
    """Samples for a StyleDownload."""

    shape: tuple[int, int, int]  # height, width, channels
    dtype: str  # "uint8" or "uint16"
    data: bytearray


@dataclass(frozen=True, kw_only=True)
class TiffLayout:
    """Where the samples of such a TIFF lie."""

    shape: tuple[int, int, int]  # height, width, channels
    bits: int  # per sample, 8 or 16
    strips: tuple[tuple[int, int], ...]  # from top to bottom: offset and length in bytes, both inside the file


def read_picture(path: Path) -> TiffPicture:
    """The picture in this file. Raises PictureError."""
    with reading(path, "Save it as an uncompressed TIFF."), path.open("rb") as file:
        return _read(file)


@contextmanager
def reading(path: Path, advice: str) -> Iterator[None]:
    """Turn what goes wrong while a picture is read into PictureError."""
    try:
        yield
    except OSError as error:
        why = error.strerror or error
        raise PictureError(f"The picture {path} cannot be read: {why}. Begin again from the picture itself.") from error
    except (ValueError, struct.error) as error:
        raise PictureError(f"{path} cannot be read: {error}. {advice}") from None


def _read(file: BinaryIO) -> TiffPicture:
    layout = layout_of(file)
    height, width, channels = layout.shape
    size = height * width * channels * layout.bits // 8
    if size > MOST_BYTES:
        raise ValueError(f"it is too large, {width} x {height} pixels")
    data = bytearray(size)
    view, start = memoryview(data), 0
    for offset, count in layout.strips:
        file.seek(offset)
        if file.readinto(view[start : start + count]) != count:  # type: ignore[attr-defined]
            raise ValueError("it is cut off")
        start += count
    return TiffPicture(shape=layout.shape, dtype=f"uint{layout.bits}", data=data)


def layout_of(file: BinaryIO, *, any_alpha: bool = False) -> TiffLayout:
    """Where the samples lie. Raises ValueError or struct.error where it is not such a TIFF.

    `any_alpha`: associated alpha is taken too, as Blender writes it with 16 bits; it is all the same where it is 1.
    """
    length = file.seek(0, 2)
    tags = Tags(file, length)
    width, height = tags.one(256), tags.one(257)
    channels, bits = tags.one(277, 1), tags.all(258)
    if width < 1 or height < 1 or channels not in (1, 3, 4):
        raise ValueError(f"{width} x {height} pixels of {channels} channels")
    if set(bits) not in ({8}, {16}) or (set(bits) == {16} and tags.order == ">"):
        raise ValueError(f"samples of {bits[0]} bits")
    told = (tags.one(259, 1), tags.one(284, 1), tags.one(317, 1))
    if told != (1, 1, 1):  # Compression, PlanarConfiguration, Predictor
        raise ValueError("it is compressed, or its channels lie apart")
    if tags.one(262) != (1 if channels == 1 else 2):  # PhotometricInterpretation
        raise ValueError("its colours are neither RGB nor grey")
    if channels == 4 and tags.all(338) != (2,) and not (any_alpha and tags.all(338) == (1,)):  # ExtraSamples
        raise ValueError("its alpha is associated")
    row_bytes = width * channels * bits[0] // 8
    offsets, counts = tags.all(273), tags.all(279)
    rows = min(height, tags.one(278, height))
    if rows < 1 or not len(offsets) == len(counts) == -(-height // rows):
        raise ValueError("strips are missing")
    whole = [min(rows, height - index * rows) * row_bytes for index in range(len(offsets))]
    strips = tuple(zip(offsets, counts, strict=True))
    if list(counts) != whole or any(offset + count > length for offset, count in strips):
        raise ValueError("it is cut off")
    return TiffLayout(shape=(height, width, channels), bits=bits[0], strips=strips)


class Tags:
    """The first directory of a file."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        self._file, self._length = file, length
        head = self._bytes(0, 8)
        if head[:4] not in (b"II*\0", b"MM\0*"):
            raise ValueError("it is not a TIFF")
        self.order = "<" if head[:2] == b"II" else ">"
        (start,) = struct.unpack(f"{self.order}I", head[4:])
        (count,) = struct.unpack(f"{self.order}H", self._bytes(start, 2))
        entries = self._bytes(start + 2, 12 * count)
        self._entries: dict[int, tuple[int, int, bytes]] = {}
        for each in range(0, len(entries), 12):
            tag, kind, number = struct.unpack(f"{self.order}HHI", entries[each : each + 8])
            self._entries[tag] = kind, number, entries[each + 8 : each + 12]

    def all(self, tag: int) -> tuple[int, ...]:
        """The values of a tag."""
        if tag not in self._entries:
            raise ValueError(f"its tag {tag} is missing")
        kind, number, inline = self._entries[tag]
        if kind not in _SIZES or not 1 <= number <= MOST_STRIPS:
            raise ValueError(f"its tag {tag} is invalid")
        size = _SIZES[kind] * number
        if size > 4:
            (place,) = struct.unpack(f"{self.order}I", inline)
            inline = self._bytes(place, size)
        return struct.unpack(f"{self.order}{number}{_LETTERS[kind]}", inline[:size])

    def one(self, tag: int, default: int | None = None) -> int:
        """The single value of a tag."""
        if tag not in self._entries and default is not None:
            return default
        (value,) = self.all(tag)
        return value

    def _bytes(self, place: int, size: int) -> bytes:
        if place + size > self._length:
            raise ValueError("it is cut off")
        self._file.seek(place)
        return self._file.read(size)
