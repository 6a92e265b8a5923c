"""Pixels survive, memory stays flat, a picture that fails leaves no trace: PNG and TIFF as other programs read them."""

import errno
import json
import os
import stat
import struct
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Iterator
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from blender_addon.pictures import draft, image_file, tiff_file
from blender_addon.pictures.draft import ImageFileError, IncompleteImage
from blender_addon.pictures.image_file import Format, format_of, open_image
from blender_addon.pictures.raster import ImageFile
from blender_addon.protocol.rect import Rect

few_files = settings(max_examples=40, deadline=None)  # each waits for the disk several times
FORMATS: tuple[Format, ...] = ("png", "tiff")
METADATA = {"Software": "texserver 0.1", "model": "brick", "seed": "18446744073709551615", "server": "tcp://höst:5555"}


def picture(height: int, width: int, channels: int = 3, depth: int = 8, seed: int = 0) -> np.ndarray:
    """Smooth and noisy places, flat ones and the extremes, (height, width, channels), as a decoder meets them."""
    noise = np.random.default_rng(seed).integers(0, 2**depth, (height, width, channels))
    noise[: height // 3] //= 64
    noise[height // 2 : height // 2 + 2] = 2**depth - 1
    return noise.astype("u1" if depth == 8 else "<u2")


def begin(path: Path, pixels: np.ndarray, format: Format | None = None, **options: object) -> ImageFile:
    height, width, channels = pixels.shape
    depth = 8 * pixels.itemsize
    return open_image(path, width=width, height=height, channels=channels, depth=depth, format=format, **options)  # type: ignore[arg-type]


def save(path: Path, pixels: np.ndarray, format: Format | None = None, **options: object) -> bytes:
    with begin(path, pixels, format, **options) as file:
        file.write_rows(pixels.data)
    return path.read_bytes()


def chunks_of(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at = 8
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", png, at + 8 + length)[0] == zlib.crc32(kind + data)
        yield kind, data
        at += 12 + length


def decode_png(png: bytes) -> np.ndarray:
    """A decoder by the letter of the specification (filters 0 and 3), since Pillow has no 16-bit RGB."""
    chunks = list(chunks_of(png))
    width, height, depth, colour, *_ = struct.unpack(">IIBBBBB", dict(chunks)[b"IHDR"])
    channels = {0: 1, 2: 3, 6: 4}[colour]
    step = channels * depth // 8
    raw = zlib.decompress(b"".join(data for kind, data in chunks if kind == b"IDAT"))
    above, rows = bytes(width * step), bytearray()
    for line in range(height):
        start = line * (1 + width * step)
        kind, row = raw[start], bytearray(raw[start + 1 : start + 1 + width * step])
        if kind == 3:
            for i in range(len(row)):
                left = row[i - step] if i >= step else 0
                row[i] = (row[i] + (left + above[i]) // 2) % 256
        else:
            assert kind == 0
        rows += row
        above = bytes(row)
    return np.frombuffer(rows, ">u2" if depth == 16 else "u1").reshape(height, width, channels)


# ------------------------------------------------------------------------------------------------------------- pixels


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pillow_reads_8_bit_pixels_back(tmp_path: Path, format: Format, channels: int) -> None:
    for size in ((1, 1), (1, 7), (9, 1), (37, 53), (300, 401)):
        pixels = picture(*size, channels)
        save(tmp_path / "a", pixels, format)
        with Image.open(tmp_path / "a") as image:
            assert image.format == format.upper()
            assert image.mode == {1: "L", 3: "RGB", 4: "RGBA"}[channels]
            np.testing.assert_array_equal(np.asarray(image).reshape(pixels.shape), pixels, str(size))


@pytest.mark.parametrize("format", FORMATS)
def test_pillow_reads_16_bit_grey_back(tmp_path: Path, format: Format) -> None:
    pixels = picture(37, 53, 1, 16)
    save(tmp_path / "a", pixels, format)
    with Image.open(tmp_path / "a") as image:
        assert image.mode == "I;16"
        np.testing.assert_array_equal(np.asarray(image), pixels[..., 0])


@few_files
@given(
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    channels=st.sampled_from([1, 3, 4]),
    depth=st.sampled_from([8, 16]),
    seed=st.integers(0, 99),
)
def test_pixels_survive(
    tmp_path_factory: pytest.TempPathFactory, height: int, width: int, channels: int, depth: int, seed: int
) -> None:
    pixels = picture(height, width, channels, depth, seed)
    folder = tmp_path_factory.mktemp("survive")
    np.testing.assert_array_equal(decode_png(save(folder / "a.png", pixels)), pixels)
    back = tifffile.imread(BytesIO(save(folder / "a.tif", pixels)))
    np.testing.assert_array_equal(back.reshape(pixels.shape), pixels)


@few_files
@given(cuts=st.lists(st.integers(0, 40), max_size=6), format=st.sampled_from(FORMATS), depth=st.sampled_from([8, 16]))
def test_band_heights_do_not_change_a_byte(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], format: Format, depth: int
) -> None:
    pixels = picture(40, 19, 3, depth)
    folder = tmp_path_factory.mktemp("bands")
    with begin(folder / "bands", pixels, format) as file:
        for top, bottom in pairwise(sorted([0, *cuts, 40])):
            file.write_rows(pixels[top:bottom].tobytes())
    assert (folder / "bands").read_bytes() == save(folder / "whole", pixels, format)


def test_a_large_png_has_several_chunks_of_pixels_whatever_the_bands(tmp_path: Path) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (500, 700, 3), np.uint8)
    whole = save(tmp_path / "whole.png", pixels)
    with begin(tmp_path / "rows.png", pixels) as file:
        for row in pixels:
            file.write_rows(row.data)
    assert (tmp_path / "rows.png").read_bytes() == whole
    sizes = [len(data) for kind, data in chunks_of(whole) if kind == b"IDAT"]
    assert len(sizes) > 2
    assert set(sizes[:-1]) == {256 * 1024}


@few_files
@given(data=st.data(), depth=st.sampled_from([8, 16]))
def test_windows_in_any_order_make_the_same_tiff_as_rows(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, depth: int
) -> None:
    pixels = picture(30, 41, 3, depth)
    step = data.draw(st.integers(5, 41))
    corners = [(top, left) for top in range(0, 30, step) for left in range(0, 41, step)]
    order = data.draw(st.permutations(corners))
    again = data.draw(st.lists(st.sampled_from(corners), max_size=3))
    folder = tmp_path_factory.mktemp("windows")
    with begin(folder / "windows.tif", pixels) as file:
        for number, (top, left) in enumerate([*order[:-1], *again, order[-1]], start=1):
            assert file.pixels_missing > 0 or number > len(order)
            part = pixels[top : top + step, left : left + step]
            file.write_window(Rect(top, left, part.shape[0], part.shape[1]), part.tobytes())
        assert file.pixels_missing == 0
    assert (folder / "windows.tif").read_bytes() == save(folder / "rows.tif", pixels)


def test_missing_pixels_are_counted_exactly_when_windows_overlap(tmp_path: Path) -> None:
    seen = np.zeros((40, 50), bool)
    rng = np.random.default_rng(5)
    with begin(tmp_path / "a.tif", picture(40, 50)) as file:
        for _ in range(60):
            top, left = int(rng.integers(0, 40)), int(rng.integers(0, 50))
            height, width = int(rng.integers(1, 41 - top)), int(rng.integers(1, 51 - left))
            file.write_window(Rect(top, left, height, width), bytes(3 * width * height))
            seen[top : top + height, left : left + width] = True
            assert file.pixels_missing == (~seen).sum()
        file.abort()


def test_a_png_takes_windows_that_are_its_next_rows(tmp_path: Path) -> None:
    pixels = picture(20, 11)
    with begin(tmp_path / "a.png", pixels) as file:
        file.write_window(Rect(0, 0, 6, 11), pixels[:6].data)
        for top, left, width in [(0, 0, 11), (7, 0, 11), (6, 1, 10), (6, 0, 10)]:
            with pytest.raises(ValueError, match="whole rows from row 6"):
                file.write_window(Rect(top, left, 1, width), bytes(3 * width))
        file.write_window(Rect(6, 0, 14, 11), pixels[6:].data)
    np.testing.assert_array_equal(decode_png((tmp_path / "a.png").read_bytes()), pixels)


# ------------------------------------------------------------------------------------------------------------ headers


def test_png_metadata_is_read_by_pillow(tmp_path: Path) -> None:
    save(tmp_path / "a.png", picture(3, 4), metadata=METADATA)
    with PngImageFile(tmp_path / "a.png") as image:
        assert image.text == METADATA


def test_tiff_metadata_is_read_by_pillow_and_tifffile(tmp_path: Path) -> None:
    save(tmp_path / "a.tif", picture(3, 4), metadata=METADATA)
    with TiffImageFile(tmp_path / "a.tif") as image:
        assert json.loads(image.tag_v2[270]) == METADATA
        assert image.tag_v2[305] == "texserver 0.1"
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert json.loads(file.pages.first.description) == METADATA


@pytest.mark.parametrize("format", FORMATS)
def test_keys_that_a_png_cannot_hold_are_refused_in_both_formats(tmp_path: Path, format: Format) -> None:
    for key in ("", "x" * 80, " x", "x ", "a  b", "höhe", "a\nb"):
        with pytest.raises(ValueError, match="metadata key"):
            save(tmp_path / "a", picture(1, 1), format, metadata={key: "x"})
        assert not list(tmp_path.iterdir()), key


def test_a_png_text_without_end_is_refused_before_a_file_is_made(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="NUL"):
        begin(tmp_path / "a.png", picture(1, 1), metadata={"x": "a\0b"})
    assert not list(tmp_path.iterdir())


def test_a_png_says_srgb_only_when_asked(tmp_path: Path) -> None:
    colour, height = picture(3, 4), picture(3, 4, 1, 16)
    assert (b"sRGB", b"\0") in list(chunks_of(save(tmp_path / "a.png", colour, srgb=True)))
    assert b"sRGB" not in dict(chunks_of(save(tmp_path / "b.png", height)))


def test_tiff_strips_cover_the_pixels_in_pieces_of_about_256_kib(tmp_path: Path) -> None:
    pixels = picture(700, 500, 4)
    save(tmp_path / "a.tif", pixels)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        page = file.pages.first
        assert not file.is_bigtiff
        assert page.extrasamples == (2,)
        assert page.planarconfig == 1
        counts, offsets = page.databytecounts, page.dataoffsets
    assert sum(counts) == pixels.nbytes
    assert all(a + n == b for a, n, b in zip(offsets, counts, offsets[1:], strict=False))
    assert 200 * 1024 < max(counts) <= 256 * 1024


def test_a_tiff_beyond_4_gib_is_a_sparse_bigtiff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    side, part = 65536, picture(5, 7)
    with open_image(tmp_path / "a.tif", width=side, height=side, channels=3, depth=8) as file:
        file.write_window(Rect(side - 5, side - 7, 5, 7), part.data)
        (draft,) = tmp_path.iterdir()
        assert draft.stat().st_size > 3 * side * side
        if draft.stat().st_blocks * 512 > 64 * 2**20:
            pytest.skip("this file system has no sparse files")
        with tifffile.TiffFile(draft) as tiff:
            page = tiff.pages.first
            assert tiff.is_bigtiff
            assert page.shape == (side, side, 3)
            assert len(page.dataoffsets) == side
            assert page.dataoffsets[-1] + page.databytecounts[-1] == draft.stat().st_size
        tail = np.memmap(draft, np.uint8, "r", page.dataoffsets[0], (side, side, 3))[-5:, -7:]
        np.testing.assert_array_equal(tail, part)
        del tail
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
        with Image.open(draft) as image:
            assert (image.size, image.mode) == ((side, side), "RGB")
        file.abort()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("size", "big"), [((65536, 16380), False), ((65536, 16384), True)], ids=str)
def test_bigtiff_begins_where_32_bits_end(tmp_path: Path, size: tuple[int, int], big: bool) -> None:
    with open_image(tmp_path / "a.tif", width=size[1], height=size[0], channels=4) as file:
        (draft,) = tmp_path.iterdir()
        with draft.open("rb") as written:
            assert written.read(4) == (b"II+\0" if big else b"II*\0")
        file.abort()


@pytest.mark.parametrize("big", [False, True])
def test_tiff_values_lie_at_multiples_of_8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, big: bool) -> None:
    monkeypatch.setattr(tiff_file, "_CLASSIC_BYTES", 0 if big else 2**32 - 1)
    for length in range(8):
        save(tmp_path / "a.tif", picture(700, 500), metadata={"note": "x" * length})
        with tifffile.TiffFile(tmp_path / "a.tif") as file:
            tags = [tag for tag in file.pages.first.tags.values() if tag.valuebytecount > (8 if big else 4)]
            assert len(tags) >= 3
            assert not any(tag.valueoffset % 8 for tag in tags), length
            assert file.pages.first.dataoffsets[0] % 16 == 0, length


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_bigtiff_pixels_survive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, channels: int) -> None:
    monkeypatch.setattr(tiff_file, "_CLASSIC_BYTES", 0)
    pixels = picture(300, 401, channels)
    assert save(tmp_path / "a.tif", pixels, metadata=METADATA)[:4] == b"II+\0"
    for back in (np.asarray(Image.open(tmp_path / "a.tif")), tifffile.imread(tmp_path / "a.tif")):
        np.testing.assert_array_equal(back.reshape(pixels.shape), pixels)


# ----------------------------------------------------------------------------------------------------------- failures


def fail_half_way(path: Path, format: Format) -> None:
    with begin(path, picture(9, 9), format) as file:
        file.write_rows(bytes(27))
        raise ZeroDivisionError


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("earlier", [b"an earlier picture", None])
def test_an_exception_leaves_no_trace_and_an_earlier_file_untouched(
    tmp_path: Path, format: Format, earlier: bytes | None
) -> None:
    path = tmp_path / "a"
    if earlier is not None:
        path.write_bytes(earlier)
    with pytest.raises(ZeroDivisionError):
        fail_half_way(path, format)
    assert [p.read_bytes() for p in tmp_path.iterdir()] == ([] if earlier is None else [earlier])


@pytest.mark.parametrize("format", FORMATS)
def test_the_earlier_file_stays_until_close_and_is_then_replaced(tmp_path: Path, format: Format) -> None:
    path, pixels = tmp_path / "a", picture(9, 9)
    path.write_bytes(b"earlier")
    file = begin(path, pixels, format)
    file.write_rows(pixels.data)
    assert path.read_bytes() == b"earlier"
    file.close()
    file.close()
    file.abort()
    assert list(tmp_path.iterdir()) == [path]
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)
    with pytest.raises(ValueError, match="already closed"):
        file.write_rows(b"")


@pytest.mark.parametrize("format", FORMATS)
def test_closing_early_is_an_error_that_says_what_is_missing(tmp_path: Path, format: Format) -> None:
    with pytest.raises(IncompleteImage, match="27 of its 63 pixels"), begin(tmp_path / "a", picture(7, 9), format) as f:
        f.write_rows(bytes(4 * 27))
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="already aborted"):
        f.close()


@pytest.mark.parametrize("format", FORMATS)
def test_wrong_byte_counts_are_named_and_harm_nothing(tmp_path: Path, format: Format) -> None:
    pixels = picture(7, 9)
    with begin(tmp_path / "a", pixels, format) as file:
        with pytest.raises(ValueError, match="multiple of 27 bytes, got 28"):
            file.write_rows(bytes(28))
        with pytest.raises(ValueError, match=r"at most 7 more rows \(189 bytes\), got 8 \(216 bytes\)"):
            file.write_rows(bytes(8 * 27))
        with pytest.raises(ValueError, match="expected 54 bytes, got 53"):
            file.write_window(Rect(0, 0, 2, 9), bytes(53))
        file.write_rows(pixels.data)
        with pytest.raises(ValueError, match="at most 0 more"):
            file.write_rows(bytes(27))
    assert (tmp_path / "a").read_bytes() == save(tmp_path / "b", pixels, format)


@pytest.mark.parametrize(
    "window", [(-1, 0, 1, 1), (0, -1, 1, 1), (0, 0, 1, 0), (0, 0, 1, 10), (0, 9, 1, 1), (7, 0, 1, 1)]
)
def test_windows_outside_the_picture_are_refused(tmp_path: Path, window: tuple[int, int, int, int]) -> None:
    with begin(tmp_path / "a.tif", picture(7, 9)) as file:
        with pytest.raises(ValueError, match="inside 9 x 7"):
            file.write_window(Rect(*window), bytes(3))
        file.abort()


@pytest.mark.parametrize(
    "wrong",
    [{"width": 0}, {"height": 0}, {"channels": 2}, {"depth": 1}, {"width": 2**31}, {"height": 2**31}],
    ids=str,
)
def test_impossible_pictures_are_refused_before_a_file_is_made(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="got"):
        open_image(tmp_path / "a.png", **{"width": 1, "height": 1, "channels": 1, "depth": 8} | wrong)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_the_suffix_chooses_the_format() -> None:
    assert [format_of(name) for name in ("a.png", "b.PNG", "c.tif", Path("d.Tiff"))] == ["png", "png", "tiff", "tiff"]
    with pytest.raises(ImageFileError, match=r"\.png, \.tif or \.tiff"):
        format_of("a.jpg")


@pytest.mark.parametrize("format", FORMATS)
def test_a_bad_place_is_told_at_once_and_with_advice(tmp_path: Path, format: Format) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path, advice in [
        (tmp_path / "none" / "a", "Create the folder"),
        (tmp_path / "file" / "a", "Create the folder"),
        (tmp_path, "Add a file name"),
        (tmp_path / ("x" * 300), "shorter"),
    ]:
        with pytest.raises(ImageFileError, match=advice) as caught:
            begin(path, picture(1, 1), format)
        assert str(path) in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_told_with_advice(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(ImageFileError, match="may write to"):
            begin(tmp_path / "a.png", picture(1, 1))
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk that is always full")
@pytest.mark.parametrize("format", FORMATS)
def test_a_full_disk_is_told_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: Format) -> None:
    real = Path.open
    monkeypatch.setattr(Path, "open", lambda _, *args, **options: real(Path("/dev/full"), "wb", buffering=0))
    with pytest.raises(ImageFileError, match=r"disk is full.*Free some space") as caught:
        begin(tmp_path / "a", picture(9, 9), format)
    assert str(tmp_path / "a") in str(caught.value)


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.EROFS, "may write to"),
        (errno.EDQUOT, "Free some space"),
        (errno.EFBIG, "smaller"),
        (errno.EIO, "try again"),
    ],
)
def test_a_disk_that_fails_at_the_last_step_leaves_the_earlier_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, advice: str
) -> None:
    def refuse(_: int) -> None:
        raise OSError(number, os.strerror(number))

    path = tmp_path / "a.png"
    path.write_bytes(b"earlier")
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(ImageFileError, match=advice):
        save(path, picture(9, 9))
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"earlier"]


LIMITED = """
import os, resource, sys
from blender_addon.pictures.draft import ImageFileError
from blender_addon.pictures.image_file import open_image
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
file = None
try:
    with open_image(sys.argv[1], width=100, height=1000, channels=3, depth=8) as file:
        for _ in range(1000):
            file.write_rows(os.urandom(300))
except ImageFileError as error:
    print(file is not None, error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
@pytest.mark.parametrize(("name", "opened"), [("a.png", True), ("a.tif", False)])
def test_a_disk_that_refuses_half_way_leaves_the_earlier_file(tmp_path: Path, name: str, opened: bool) -> None:
    path = tmp_path / name
    path.write_bytes(b"earlier")
    command = [sys.executable, "-c", LIMITED, str(path)]
    root = Path(image_file.__file__).parents[2]
    told = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    assert told.startswith(f"{opened} {path} was not written")  # a TIFF has its whole length at once and fails early
    assert "smaller size" in told
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"earlier"]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
def test_a_new_file_has_the_mode_that_the_umask_gives(tmp_path: Path) -> None:
    earlier = os.umask(0o027)
    try:
        save(tmp_path / "a.png", picture(2, 2))
    finally:
        os.umask(earlier)
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == 0o640


@pytest.mark.parametrize("format", FORMATS)
def test_memory_stays_flat(tmp_path: Path, format: Format) -> None:
    width, band = 2048, np.random.default_rng(1).integers(0, 256, (16, 2048, 3), np.uint8).tobytes()
    peaks = []
    for bands in (8, 64):
        tracemalloc.start()
        with open_image(tmp_path / "a", width=width, height=16 * bands, channels=3, depth=8, format=format) as file:
            for _ in range(bands):
                file.write_rows(band)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 2**21  # 6 MB of pixels went through
    assert peaks[1] < peaks[0] + 2**16


def test_only_the_standard_library_is_needed() -> None:
    code = "import sys; sys.modules.update(numpy=None, PIL=None, bpy=None); import blender_addon.pictures.image_file"
    subprocess.run([sys.executable, "-S", "-c", code], cwd=Path(image_file.__file__).parents[2], check=True)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
@pytest.mark.parametrize("durable", [True, False])
def test_only_a_durable_picture_waits_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, durable: bool
) -> None:
    waits: list[int] = []
    monkeypatch.setattr(draft, "_SYNC_BYTES", 1000)
    monkeypatch.setattr(os, "fsync", waits.append)
    with open_image(tmp_path / name, width=64, height=64, channels=3, durable=durable) as file:
        file.write_rows(np.random.default_rng(0).bytes(64 * 64 * 3))
    assert (tmp_path / name).exists()
    assert len(waits) > 1 if durable else waits == []
