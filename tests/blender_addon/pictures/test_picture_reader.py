"""What Blender writes is read sample by sample, and everything else is refused by a sentence."""

import struct
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from blender_addon.pictures.image_file import open_image
from blender_addon.pictures.picture_reader import PictureError, TiffPicture, read_picture


def pixels(height: int, width: int, channels: int, dtype: str = "uint8") -> NDArray[np.generic]:
    return np.random.default_rng(7).integers(0, np.iinfo(dtype).max, (height, width, channels), dtype)


def array(picture: TiffPicture) -> NDArray[np.generic]:
    return np.frombuffer(bytes(picture.data), picture.dtype).reshape(picture.shape)


def tiff(
    path: Path, *, order: str = "<", strip_rows: int = 3, changed: dict[int, object] | None = None
) -> NDArray[np.generic]:
    """8 x 5 RGBA pixels, as Blender's libtiff writes them: strips, then the directory's values behind them."""
    image = pixels(5, 8, 4)
    data = image.tobytes()
    strips = [data[start : start + strip_rows * 32] for start in range(0, len(data), strip_rows * 32)]
    start = 1000
    offsets = [start + sum(len(each) for each in strips[:index]) for index in range(len(strips))]
    tags: dict[int, tuple[str, list[int]]] = {
        256: ("H", [8]), 257: ("H", [5]), 258: ("H", [8] * 4), 259: ("H", [1]), 262: ("H", [2]),
        273: ("I", offsets), 277: ("H", [4]), 278: ("H", [strip_rows]), 279: ("I", [len(each) for each in strips]),
        284: ("H", [1]), 338: ("H", [2]),
    }  # fmt: skip
    for key, value in (changed or {}).items():
        if value is None:
            del tags[key]
        else:
            tags[key] = value  # type: ignore[assignment]
    entries, values, place = b"", b"", 8 + 2 + 12 * len(tags) + 4
    for tag, (letter, numbers) in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(numbers)}{letter}", *numbers)
        entries += struct.pack(f"{order}HHI", tag, {"H": 3, "I": 4}[letter], len(numbers))
        if len(packed) > 4:
            entries += struct.pack(f"{order}I", place + len(values))
            values += packed
        else:
            entries += packed.ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(tags))
    whole = head + entries + bytes(4) + values
    path.write_bytes(whole.ljust(start, b"\0") + data)
    return image


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("strip_rows", [1, 3, 5, 32])
def test_strips_become_rows(tmp_path: Path, order: str, strip_rows: int) -> None:
    image = tiff(tmp_path / "a.tif", order=order, strip_rows=strip_rows)
    np.testing.assert_array_equal(array(read_picture(tmp_path / "a.tif")), image)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("depth", [8, 16])
def test_what_is_written_here_is_read_here(tmp_path: Path, channels: int, depth: int) -> None:
    image = pixels(37, 53, channels, f"uint{depth}")
    with open_image(tmp_path / "a.tif", width=53, height=37, channels=channels, depth=depth) as file:
        file.write_rows(image.tobytes())
    picture = read_picture(tmp_path / "a.tif")
    assert (picture.shape, picture.dtype) == ((37, 53, channels), f"uint{depth}")
    np.testing.assert_array_equal(array(picture), image)


def test_what_blender_copied_of_a_turned_picture_changes_no_row(tmp_path: Path) -> None:
    image = tiff(tmp_path / "a.tif", changed={274: ("H", [3])})
    np.testing.assert_array_equal(array(read_picture(tmp_path / "a.tif")), image)


def test_another_program_s_file_is_read(tmp_path: Path) -> None:
    image = pixels(40, 30, 3)
    Image.fromarray(image).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(array(read_picture(tmp_path / "a.tif")), image)


@pytest.mark.parametrize(
    "changed",
    [
        {259: ("H", [5])},  # LZW
        {284: ("H", [2])},  # planes
        {317: ("H", [2])},  # differences
        {262: ("H", [5])},  # CMYK
        {338: ("H", [1])},  # associated
        {338: None},
        {256: None},
        {256: ("H", [0])},
        {256: ("H", [9])},
        {256: ("I", [2**31])},
        {257: ("I", [2**32 - 1])},
        {258: ("H", [8, 8, 8, 16])},
        {258: ("H", [32] * 4)},
        {277: ("H", [5])},
        {278: ("H", [0])},
        {278: ("H", [2])},
        {273: ("I", [1000, 2**32 - 1])},
        {279: ("I", [96, 63])},
    ],
    ids=str,
)
def test_other_files_are_refused(tmp_path: Path, changed: dict[int, object]) -> None:
    tiff(tmp_path / "a.tif", changed=changed)
    with pytest.raises(PictureError, match=r"a\.tif cannot be read: .*\. Save it as an uncompressed TIFF"):
        read_picture(tmp_path / "a.tif")


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    tiff(tmp_path / "a.tif")
    whole = (tmp_path / "a.tif").read_bytes()
    for length in (0, 3, 8, 9, 50, 150, len(whole) - 1):
        (tmp_path / "a.tif").write_bytes(whole[:length])
        with pytest.raises(PictureError, match="cannot be read"):
            read_picture(tmp_path / "a.tif")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.tif", tmp_path):
        with pytest.raises(PictureError, match=r"cannot be read: .*Begin again"):
            read_picture(path)


@given(st.binary(max_size=400), st.integers(0, 999))
def test_whatever_is_in_a_file_it_is_a_picture_or_refused(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, place: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "junk.tif"
    tiff(path)
    whole = bytearray(path.read_bytes())
    whole[place : place + len(junk)] = junk
    path.write_bytes(whole)
    try:
        picture = read_picture(path)
    except PictureError:
        return
    height, width, channels = picture.shape
    assert len(picture.data) == height * width * channels * {"uint8": 1, "uint16": 2}[picture.dtype]


@pytest.mark.serial
def test_full_hd_is_read_without_a_pause(tmp_path: Path) -> None:
    with open_image(tmp_path / "a.tif", width=1920, height=1080, channels=4) as file:
        file.write_rows(bytes(1920 * 1080 * 4))
    fastest = min(_seconds(tmp_path / "a.tif") for _ in range(5))
    assert fastest < 0.1


def _seconds(path: Path) -> float:
    started = time.perf_counter()
    read_picture(path)
    return time.perf_counter() - started
