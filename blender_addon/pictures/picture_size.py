"""How large a picture is, told by the beginning of its file: PNG and JPEG. No bpy here.

Sources: PNG third edition, 11.2.1; JPEG, ITU-T T.81, B.2.2 (frame headers).
"""

import struct
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

_FRAMES: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})  # markers that begin a frame
_MOST_SEGMENTS: Final = 1000


def sample_bytes(path: Path) -> int | None:
    """Bytes of the samples in such a file, height x width x channels x depth; None where it cannot be told."""
    with suppress(OSError, struct.error), path.open("rb") as file:
        head = file.read(26)
        if head.startswith(b"\x89PNG\r\n\x1a\n") and head[12:16] == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", head[16:26])
            return int(width * height * {2: 3, 6: 4}.get(colour, 1) * max(1, depth // 8))
        if head.startswith(b"\xff\xd8"):
            file.seek(2)
            return _in_jpeg(file)
    return None


def _in_jpeg(file: BinaryIO) -> int | None:
    for _ in range(_MOST_SEGMENTS):
        marker, kind, length = struct.unpack(">BBH", file.read(4))
        if marker != 0xFF:
            return None
        if kind in _FRAMES:
            _, height, width, channels = struct.unpack(">BHHB", file.read(6))
            return int(height * width * channels)
        file.seek(length - 2, 1)
    return None
