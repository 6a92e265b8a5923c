"""The beginning of a file tells how large its picture is."""

from pathlib import Path

import pytest
from PIL import Image

from blender_addon.pictures.picture_size import sample_bytes


@pytest.mark.parametrize(
    ("name", "mode", "expected"),
    [
        ("a.png", "RGB", 3 * 30 * 20),
        ("a.png", "RGBA", 4 * 30 * 20),
        ("a.png", "I;16", 2 * 30 * 20),
        ("a.jpg", "RGB", 3 * 30 * 20),
        ("a.jpg", "L", 30 * 20),
        ("a.tif", "RGB", None),
    ],
)
def test_png_and_jpeg_tell_their_size(tmp_path: Path, name: str, mode: str, expected: int | None) -> None:
    Image.new(mode, (30, 20)).save(tmp_path / name)
    assert sample_bytes(tmp_path / name) == expected


def test_a_progressive_jpeg_with_a_profile_tells_it_too(tmp_path: Path) -> None:
    picture = Image.new("RGB", (300, 200))
    picture.save(tmp_path / "a.jpg", progressive=True, icc_profile=bytes(70_000), exif=Image.Exif())
    assert sample_bytes(tmp_path / "a.jpg") == 3 * 300 * 200


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xe0\x00\x04ab\x00\x00", b"\x89PNG\r\n\x1a\n" * 2])
def test_a_damaged_file_tells_nothing(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(data)
    assert sample_bytes(tmp_path / "a.jpg") is None
    assert sample_bytes(tmp_path / "missing.jpg") is None
