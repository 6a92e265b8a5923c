"""How a camera says that its picture is to be turned, and pixels turned so. No bpy here.

Cameras and telephones store a picture as the sensor lies, and beside it one of eight orientations. Blender ignores it,
so that such a picture lies on its side there. Trainers and viewers turn it.

An orientation is stored, seen from the upright picture: rows and columns swapped or not, then rows and columns counted
from the far end or not.

Sources: Exif 3.0 (CIPA DC-008), tag 274; where it lies: JPEG APP1 (the same, 4.7.2), PNG third edition 11.3.4.5 (eXIf),
WebP container (RFC 9649, 2.7.1.5), TIFF 6.0.
"""

import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final, Literal

from .picture_reader import Tags

UPRIGHT: Final = 1
_TAG: Final = 274
_WAYS: Final = {  # swapped, rows from the far end, columns from the far end
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, True, False),
    7: (True, True, True),
    8: (True, False, True),
}
_MOST_SEGMENTS: Final = 1000
_EXIF: Final = b"Exif\0\0"
_MOST_BYTES: Final = 2**20  # of what is read of Exif
_ITEMS: Final[dict[int, Literal["B", "H", "I", "Q"]]] = {
    1: "B",
    2: "H",
    4: "I",
    8: "Q",
}  # memoryview's letters for pixels of so many bytes


def orientation_of(path: Path) -> int:
    """1 (upright) to 8, as the file of a picture says; 1 where it says nothing that can be read."""
    found = UPRIGHT
    with suppress(OSError, ValueError, struct.error), path.open("rb") as file:
        head = file.read(12)
        if head.startswith((b"II*\0", b"MM\0*")):
            found = Tags(file, file.seek(0, 2)).one(_TAG, UPRIGHT)
        elif exif := _exif(file, head):
            exif = exif.removeprefix(_EXIF)
            found = Tags(BytesIO(exif), len(exif)).one(_TAG, UPRIGHT)
    return found if found in _WAYS else UPRIGHT


def swaps(orientation: int) -> bool:
    """Whether height becomes width."""
    return _WAYS[orientation][0]


def stored_place(orientation: int, x: float, y: float) -> tuple[float, float]:
    """Where a place of the upright picture lies in the stored one, both as fractions from the top left."""
    swapped, down, across = _WAYS[orientation]
    if swapped:
        x, y = y, x
    return (1 - x if across else x), (1 - y if down else y)


def turned_rows(data: memoryview, height: int, width: int, orientation: int) -> Iterator[bytes]:
    """The rows of the upright picture. `data`: the stored one, of height x width pixels of 1, 2, 4 or 8 bytes each."""
    pixels = data.cast("B").cast(_ITEMS[data.nbytes // (height * width)])
    swapped, down, across = _WAYS[orientation]

    def index(row: int, column: int) -> int:
        if swapped:
            row, column = column, row
        return (height - 1 - row if down else row) * width + (width - 1 - column if across else column)

    rows, columns = (width, height) if swapped else (height, width)
    for row in range(rows):
        first = index(row, 0)
        step = index(row, 1) - first
        end = first + step * columns
        yield pixels[first : end if end >= 0 else None : step].tobytes()


def _exif(file: BinaryIO, head: bytes) -> bytes:
    """What the file holds of Exif: a TIFF without pixels, perhaps with its name before it; else nothing."""
    if head.startswith(b"\xff\xd8"):
        return _in_jpeg(file)
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        file.seek(8)
        return _in_chunks(file, b"eXIf", lambda: struct.unpack(">I4s", file.read(8)), spare=4)
    if head[:4] == b"RIFF" and head[8:] == b"WEBP":

        def next_chunk() -> tuple[int, bytes]:
            kind, length = struct.unpack("<4sI", file.read(8))
            return length, kind

        return _in_chunks(file, b"EXIF", next_chunk, even=True)
    return b""


def _in_jpeg(file: BinaryIO) -> bytes:
    file.seek(2)
    for _ in range(_MOST_SEGMENTS):
        marker, kind, length = struct.unpack(">BBH", file.read(4))
        if marker != 0xFF or kind == 0xDA:  # the picture itself begins
            return b""
        if kind == 0xE1:
            data = file.read(length - 2)
            if data.startswith(_EXIF):
                return data
        else:
            file.seek(length - 2, 1)
    return b""


def _in_chunks(
    file: BinaryIO, wanted: bytes, begin: Callable[[], tuple[int, bytes]], *, spare: int = 0, even: bool = False
) -> bytes:
    """The data of the first chunk of that kind. `begin` reads its length and kind; `spare` bytes follow the data."""
    for _ in range(_MOST_SEGMENTS):
        length, kind = begin()
        if kind == wanted:
            return file.read(min(length, _MOST_BYTES))
        file.seek(length + spare + (length % 2 if even else 0), 1)
    return b""
