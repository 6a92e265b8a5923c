"""PNG and TIFF files are read row by row, each sample as it was stored, whoever wrote them."""

import struct
import zlib
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from blender_addon.pictures.image_file import open_image
from blender_addon.pictures.picture_reader import PictureError
from blender_addon.pictures.picture_rows import PictureRows

RNG = np.random.default_rng(7)


def samples(height: int, width: int, channels: int, depth: int) -> NDArray[Any]:
    """Noise on a slope, so that every filter has something to do."""
    slope = np.linspace(0, 2**depth - 1, height * width).reshape(height, width, 1)
    noise = RNG.integers(0, 2 ** (depth - 3), (height, width, channels))
    return ((slope + noise) % 2**depth).astype(f"<u{depth // 8}")


def read(path: Path, band: int) -> bytes:
    with PictureRows(path) as rows:
        data = b""
        while piece := rows.read(band):
            data += piece
        return data


@pytest.mark.parametrize(("channels", "depth", "suffix"), list(product((1, 3, 4), (8, 16), (".png", ".tif"))))
def test_what_is_written_is_read(channels: int, depth: int, suffix: str, tmp_path: Path) -> None:
    pixels = samples(37, 53, channels, depth)
    path = tmp_path / f"picture{suffix}"
    with open_image(path, width=53, height=37, channels=channels, depth=depth) as file:
        file.write_rows(pixels.data)
    for band in (1, 10, 100):
        assert read(path, band) == pixels.tobytes()


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_png_of_others_is_read(channels: int, tmp_path: Path) -> None:
    """Their encoders choose another filter for each row."""
    pixels = samples(64, 100, channels, 8)
    Image.fromarray(pixels.squeeze()).save(tmp_path / "a.png", optimize=True)
    assert read(tmp_path / "a.png", 16) == pixels.tobytes()


def damaged(data: bytes, kind: str) -> bytes:
    match kind:
        case "cut":
            return data[: len(data) // 2]
        case "bit":
            return data[:60] + bytes([data[60] ^ 1]) + data[61:]
        case "empty":
            return b""
        case "another":
            return b"GIF89a" + data
        case "interlaced":
            header = data[16:28] + b"\1"
            return data[:16] + header + struct.pack(">I", zlib.crc32(header, zlib.crc32(b"IHDR"))) + data[33:]
    raise AssertionError(kind)


@pytest.mark.parametrize("kind", ["cut", "bit", "empty", "another", "interlaced"])
def test_a_file_that_is_damaged_or_another_is_refused_in_words(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    with open_image(path, width=30, height=20, channels=3) as file:
        file.write_rows(samples(20, 30, 3, 8).data)
    path.write_bytes(damaged(path.read_bytes(), kind))
    with pytest.raises(PictureError, match=r"cannot be read: .*\. Save it as"):
        read(path, 10)
    with pytest.raises(PictureError, match="No such file"):
        read(tmp_path / "nothing.png", 10)


def test_a_bomb_is_not_inflated_beyond_its_rows(tmp_path: Path) -> None:
    """The header says how much there is; what follows is left."""
    path = tmp_path / "a.png"
    header = struct.pack(">IIBBBBB", 4, 4, 8, 0, 0, 0, 0)
    bomb = zlib.compress(bytes(50_000_000), 9)
    chunks = ((b"IHDR", header), (b"IDAT", bomb), (b"IEND", b""))
    whole = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))
        for kind, data in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + whole)
    assert read(path, 10) == bytes(16)
