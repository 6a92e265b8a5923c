"""What a camera says of how its picture is to be turned is read from every kind of file, and done as others do it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from blender_addon.pictures.orientation import orientation_of, stored_place, swaps, turned_rows

STORED = np.random.default_rng(3).integers(0, 256, (3, 5, 4), np.uint8)
EIGHT = range(1, 9)


def exif(orientation: int) -> Image.Exif:
    data = Image.Exif()
    data[0x010F] = "a maker of cameras"  # another entry before it
    data[0x0112] = orientation
    return data


def upright(orientation: int) -> np.ndarray:
    """By another program."""
    picture = Image.fromarray(STORED)
    picture.getexif()[0x0112] = orientation
    return np.asarray(ImageOps.exif_transpose(picture))


@pytest.mark.parametrize("orientation", EIGHT)
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_it_is_read_from_files(suffix: str, orientation: int, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    picture = Image.fromarray(STORED[..., :3])
    if suffix == "tif":
        picture.save(path, tiffinfo={274: orientation})
    else:
        picture.save(path, exif=exif(orientation), icc_profile=bytes(333))
    assert orientation_of(path) == orientation


@pytest.mark.parametrize("orientation", EIGHT)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_rows_are_turned_as_others_turn_them(dtype: type, orientation: int) -> None:
    pixels = STORED.astype(dtype)
    rows = b"".join(turned_rows(memoryview(pixels), 3, 5, orientation))
    found = np.frombuffer(rows, dtype).reshape(5 if swaps(orientation) else 3, -1, 4)
    np.testing.assert_array_equal(found, upright(orientation))


@pytest.mark.parametrize("orientation", EIGHT)
def test_a_place_in_the_upright_picture_is_found_in_the_stored_one(orientation: int) -> None:
    turned = upright(orientation)
    height, width = turned.shape[:2]
    for row, column in np.ndindex(height, width):
        x, y = stored_place(orientation, (column + 0.5) / width, (row + 0.5) / height)
        assert STORED[int(y * 3), int(x * 5)].tolist() == turned[row, column].tolist()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xd8\xff\xe1\0\x20Exif\0\0II*\0\xff\xff\xff\xff",
        b"\xff\xd8\xff\xda\0\x02",
        b"\x89PNG\r\n\x1a\n\xff\xff\xff\xffeXIf",
        b"RIFF\0\0\0\0WEBPEXIF\0\0\0\0",
        b"II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\x09\0\0\0",  # orientation 9
    ],
    ids=range(6),
)
def test_what_is_damaged_counts_as_upright(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(data)
    assert orientation_of(tmp_path / "a") == 1
    assert orientation_of(tmp_path / "missing") == 1
