"""Facts about reading a swatch: what is refused, what is converted and told, what is warned of."""

import hashlib
import os
import re
import struct
import warnings
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import skimage.data
import tifffile
import torch
from numpy.typing import NDArray
from PIL import Image, ImageCms, PngImagePlugin

from server.errors import TexserverError
from server.files import picture_file
from trainer.swatch.materials import find_materials
from trainer.swatch.swatch import MIN_SIDE_PX, UnusableSwatch, model_name, read_swatch

PHOTOGRAPHS = Path(__file__).resolve().parents[3].parent / "shared/data/swatches"
MATERIALS = sorted(path for path in PHOTOGRAPHS.glob("*") if not path.name.startswith("style_"))

Bytes = NDArray[np.uint8]


def pattern(height: int = 160, width: int = 200, seed: int = 0) -> Bytes:
    """Coloured noise in 4 px grains that uses the whole range, (height, width, 3): stationary, nothing to warn of."""
    grains = np.random.default_rng(seed).integers(0, 256, (-(-height // 4), -(-width // 4), 3), dtype=np.uint8)
    return grains.repeat(4, 0).repeat(4, 1)[:height, :width]


def save(path: Path, picture: Bytes | Image.Image, **options: object) -> Path:
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(path, **options)  # type: ignore[arg-type]
    return path


def photograph(name: str) -> Bytes:
    return np.asarray(Image.fromarray(getattr(skimage.data, name)()).convert("RGB"))


def as_bytes(pixels: torch.Tensor) -> NDArray[np.int64]:
    return pixels[0].permute(1, 2, 0).mul(255).round().numpy().astype(np.int64)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(values: NDArray[np.generic], bits: int = 16, extra: bytes = b"") -> bytes:
    """What Pillow cannot write: (H, W, channels) as a PNG of 16 bits a channel, or with chunks of our own."""
    height, width, channels = values.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2" if bits == 16 else ">u1").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + extra
        + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )


# ---- a plain picture


def test_pixels_are_the_files_own(tmp_path: Path) -> None:
    picture = pattern()
    path = save(tmp_path / "Brick Wall.PNG", picture)
    read = read_swatch(path, None)
    assert read.pixels.dtype == torch.float32
    assert read.pixels.is_contiguous()
    np.testing.assert_array_equal(as_bytes(read.pixels), picture)
    assert (read.name, read.path, read.original_size) == ("brick_wall", path, (160, 200))
    assert read.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (read.notes, read.warnings) == ((), ())


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".avif", ".tif", ".bmp", ".ppm", ".tga"])
def test_common_formats_are_read_without_a_note(tmp_path: Path, suffix: str) -> None:
    picture = np.asarray(Image.fromarray(pattern()).resize((200, 160), Image.Resampling.BOX))
    read = read_swatch(save(tmp_path / f"brick{suffix}", picture), None)
    assert read.pixels.shape == (1, 3, 160, 200)
    assert abs(as_bytes(read.pixels) - picture).mean() < 20  # lossy formats too
    assert read.notes == ()


@pytest.mark.parametrize(
    ("stored", "size", "expected"),
    [((160, 200), 128, (128, 160)), ((201, 160), 133, (167, 133)), ((160, 160), 160, (160, 160))],
    ids=str,
)
def test_shorter_side_comes_down_to_the_size(
    tmp_path: Path, stored: tuple[int, int], size: int, expected: tuple[int, int]
) -> None:
    read = read_swatch(save(tmp_path / "brick.png", pattern(*stored)), size)
    assert tuple(read.pixels.shape[2:]) == expected
    assert read.original_size == stored
    assert read.notes == ()


def test_scaling_keeps_the_mean_and_the_range(tmp_path: Path) -> None:
    read = read_swatch(save(tmp_path / "brick.png", pattern(400, 400)), 100)
    np.testing.assert_allclose(as_bytes(read.pixels).mean((0, 1)), pattern(400, 400).mean((0, 1)), atol=1)
    assert read.pixels.min() >= 0
    assert read.pixels.max() <= 1


def test_a_small_picture_is_never_scaled_up_and_it_is_told(tmp_path: Path) -> None:
    read = read_swatch(save(tmp_path / "brick.png", pattern(160, 200)), 384)
    assert read.pixels.shape == (1, 3, 160, 200)
    assert any("not scaled up" in note for note in read.notes)


# ---- refused, in one sentence


def truncated(kind: str) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pattern()).save(buffer, kind)
    return buffer.getvalue()[: len(buffer.getvalue()) // 2]


def text_bomb() -> bytes:
    note = b"comment\0\0" + zlib.compress(bytes(PngImagePlugin.MAX_TEXT_CHUNK + 1))
    return png(pattern(), bits=8, extra=png_chunk(b"zTXt", note))


def claims(width: int, height: int) -> bytes:
    """A PNG of a hundred bytes whose header claims a size."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(b"\0" * 16)) + png_chunk(b"IEND", b"")


def encoded(picture: Bytes | Image.Image, kind: str) -> bytes:
    buffer = BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(buffer, kind)
    return buffer.getvalue()


def psd(picture: Bytes, bits: int = 8, profile: bytes = b"") -> bytes:
    """A Photoshop file without layers: the whole picture, as people save it for other programs."""
    height, width, channels = picture.shape
    resources = (
        b"8BIM" + struct.pack(">H2xI", 1039, len(profile)) + profile + b"\0" * (len(profile) % 2) if profile else b""
    )
    planes = picture.transpose(2, 0, 1).astype(">u2" if bits == 16 else "u1").tobytes()
    header = b"8BPS" + struct.pack(">H6xHIIHH", 1, channels, height, width, bits, 3)
    return header + struct.pack(">II", 0, len(resources)) + resources + struct.pack(">IH", 0, 0) + planes


def float_tiff() -> bytes:
    buffer = BytesIO()
    tifffile.imwrite(buffer, np.ones((80, 80, 3), np.float32), photometric="rgb")
    return buffer.getvalue()


UNUSABLE: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "is empty"),
    "text": (lambda: b"dear diary, " * 100, "not a picture"),
    "zeros": (lambda: bytes(4096), "not a picture"),
    "postscript": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 256 256\n%%EndComments\n", "not a picture"),
    "png cut in half": (lambda: truncated("PNG"), "truncated or damaged"),
    "jpeg cut in half": (lambda: truncated("JPEG"), "truncated or damaged"),
    "tiff cut in half": (lambda: truncated("TIFF"), "truncated or damaged"),
    "bmp cut in half": (lambda: truncated("BMP"), "truncated or damaged"),
    "webp cut in half": (lambda: truncated("WEBP"), "truncated or damaged"),
    "avif cut in half": (lambda: truncated("AVIF"), "truncated or damaged"),
    "photoshop of 16 bits": (lambda: psd(pattern(), bits=16), "Photoshop file of 16 bits a channel"),
    "photoshop cut in half": (lambda: psd(pattern())[:5000], "truncated or damaged"),
    "tiff of floating-point colours": (lambda: float_tiff(), "TIFF of a kind that is not read here"),
    "radiance": (lambda: b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 80 +X 80\n", "linear light"),
    "text bomb": (text_bomb, "truncated or damaged"),
    "1 x 1": (lambda: encoded(pattern(1, 1), "PNG"), "too small to learn from"),
    "63 px": (lambda: encoded(pattern(63, 300), "PNG"), "too small to learn from"),
    "12000 x 12000": (lambda: claims(12000, 12000), "12000 x 12000 pixels: scale it below 100 megapixels"),
    "100001 x 1000": (lambda: claims(100_001, 1000), "megapixels"),
    "2 billion square": (lambda: claims(2**31 - 1, 2**31 - 1), "megapixels"),
    "floating point": (lambda: encoded(Image.fromarray(np.ones((80, 80), np.float32)), "TIFF"), "floating-point"),
    "32-bit integers": (lambda: encoded(Image.fromarray(np.full((80, 80), 1 << 20, np.int32)), "TIFF"), "32-bit"),
    "fully transparent": (lambda: encoded(Image.new("RGBA", (80, 80)), "PNG"), "fully transparent"),
    "no image data": (lambda: claims(100, 100), "truncated or damaged"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_an_unusable_file_is_refused_in_one_sentence(tmp_path: Path, case: str) -> None:
    make, says = UNUSABLE[case]
    path = tmp_path / "brick.png"
    path.write_bytes(make())
    with pytest.raises(UnusableSwatch) as refused:
        read_swatch(path, 128)
    sentence = str(refused.value)
    assert says in sentence
    assert "brick.png" in sentence
    assert ": " in sentence  # what is wrong: what to do
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert "object at 0x" not in sentence


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "AVIF", "BMP", "TGA", "PPM"])
def test_whatever_is_flipped_in_a_file_it_reads_or_is_refused(tmp_path: Path, kind: str) -> None:
    whole = encoded(pattern(64, 64), kind)
    random = np.random.default_rng(1)
    path = tmp_path / "brick.img"
    for _ in range(20):
        damaged = bytearray(whole)
        for place in random.integers(0, min(len(whole), 400), 3):
            damaged[place] = random.integers(256)
        path.write_bytes(damaged)
        try:
            read = read_swatch(path, None)
        except UnusableSwatch:
            continue
        assert read.pixels.shape[:2] == (1, 3)


@pytest.mark.parametrize(
    "error", [OSError("x"), SyntaxError("x"), ValueError(), struct.error("x"), KeyError("x"), MemoryError()], ids=repr
)
def test_any_error_of_the_decoder_ends_as_unusable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    path = save(tmp_path / "brick.png", pattern())
    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(UnusableSwatch, match=r"brick.png.*\.$"):
        read_swatch(path, None)


def test_a_size_the_descriptor_cannot_use_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableSwatch, match="ask for 64 px"):
        read_swatch(save(tmp_path / "brick.png", pattern()), MIN_SIDE_PX - 1)


def test_a_missing_file_a_folder_and_an_odd_name_are_refused(tmp_path: Path) -> None:
    for path, says in [
        (tmp_path / "none.png", "There is no file"),
        (tmp_path, "is a folder"),
        (tmp_path / "nul\0.png", "cannot be read"),
        (tmp_path / ("long" * 100 + ".png"), "cannot be read"),
    ]:
        with pytest.raises(UnusableSwatch, match=says):
            read_swatch(path, None)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs on this system")
@pytest.mark.timeout(20)
def test_a_fifo_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "brick.png")
    with pytest.raises(UnusableSwatch, match="not a regular file"):
        read_swatch(tmp_path / "brick.png", None)


@pytest.mark.parametrize("read", [lambda path: read_swatch(path, None), lambda path: find_materials([path.parent])])
def test_permission_denied_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], object]
) -> None:
    def denied(self: Path) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    path = save(tmp_path / "brick.png", pattern())
    monkeypatch.setattr(Path, "read_bytes", denied)  # not chmod: the tests may run as root
    monkeypatch.setattr(Path, "iterdir", denied)
    with pytest.raises(UnusableSwatch, match="may not be read"):
        read(path)


def test_errors_are_for_people() -> None:
    assert issubclass(UnusableSwatch, TexserverError)


# ---- converted, and told


def told(path: Path, says: str) -> NDArray[np.int64]:
    """The pixels of a swatch one of whose notes says so."""
    read = read_swatch(path, None)
    assert any(says in note for note in read.notes), read.notes
    assert all(note.endswith(".") for note in read.notes)
    return as_bytes(read.pixels)


@pytest.mark.parametrize("channels", [1, 2, 3, 4], ids=["grey", "grey and alpha", "rgb", "rgba"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path, channels: int) -> None:
    eight = pattern()[..., :1].repeat(channels, 2) if channels < 3 else pattern()[..., [0, 1, 2, 0][:channels]]
    if channels in (2, 4):
        eight[..., -1] = 255
    (tmp_path / "brick.png").write_bytes(png(eight.astype(np.int64) * 257))
    colours = eight[..., :1].repeat(3, 2) if channels < 3 else eight[..., :3]
    np.testing.assert_array_equal(told(tmp_path / "brick.png", "16 bits"), colours)


@pytest.mark.parametrize("suffix", [".tif", ".pgm"])
def test_sixteen_bit_grey_of_other_formats_is_scaled(tmp_path: Path, suffix: str) -> None:
    deep = pattern()[..., 0].astype(np.uint16) * 257
    read = told(save(tmp_path / f"brick{suffix}", Image.fromarray(deep)), "16 bits")
    np.testing.assert_array_equal(read[..., 1], pattern()[..., 0])


def test_sixteen_bit_rgb_tiff_is_scaled(tmp_path: Path) -> None:
    data = (pattern(64, 64).astype("<u2") * 257).tobytes()
    tags = [(256, 4, 1, 64), (257, 4, 1, 64), (258, 3, 3, 122), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 128)]
    tags += [(277, 3, 1, 3), (278, 4, 1, 64), (279, 4, 1, len(data))]
    directory = struct.pack("<H", 9) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    assert 8 + len(directory) == 122
    (tmp_path / "brick.tif").write_bytes(
        b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<3H", 16, 16, 16) + data
    )
    np.testing.assert_array_equal(told(tmp_path / "brick.tif", "16 bits"), pattern(64, 64))


def test_a_five_six_five_bitmap_is_not_taken_for_sixteen_bits_a_channel(tmp_path: Path) -> None:
    header = struct.pack("<IiiHHIIiiII", 40, 64, 64, 1, 16, 3, 64 * 64 * 2, 0, 0, 0, 0)
    masks = struct.pack("<III", 0xF800, 0x07E0, 0x001F)
    pixels = np.random.default_rng(0).integers(0, 65536, 64 * 64).astype("<u2").tobytes()
    offset = 14 + len(header) + len(masks)
    (tmp_path / "a.bmp").write_bytes(
        struct.pack("<2sIII", b"BM", offset + len(pixels), 0, offset) + header + masks + pixels
    )
    assert read_swatch(tmp_path / "a.bmp", None).notes == ()


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    inks = Image.fromarray(pattern()).convert("CMYK")
    read = told(save(tmp_path / "brick.tif", inks), "CMYK")
    assert abs(read - pattern()).max() <= 2


def test_a_palette_becomes_its_colours(tmp_path: Path) -> None:
    indexed = Image.fromarray(pattern()).quantize(64)
    read = told(save(tmp_path / "brick.png", indexed), "palette")
    np.testing.assert_array_equal(read, np.asarray(indexed.convert("RGB")))


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    read = told(save(tmp_path / "brick.png", pattern()[..., 0]), "grey")
    np.testing.assert_array_equal(read, pattern()[..., :1].repeat(3, 2))


def test_black_and_white_becomes_zero_and_255(tmp_path: Path) -> None:
    read = told(save(tmp_path / "brick.png", Image.fromarray(pattern()[..., 0] > 127)), "grey")
    np.testing.assert_array_equal(read[..., 0], np.where(pattern()[..., 0] > 127, 255, 0))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_filled_with_the_mean_of_the_opaque(tmp_path: Path, mode: str) -> None:
    # A green that must not be seen lies under the transparent left half.
    picture = Image.fromarray(pattern()).convert("L").convert("RGB") if mode == "LA" else Image.fromarray(pattern())
    shown = np.asarray(picture)[:, 100:]
    hidden = np.dstack([np.asarray(picture), np.where(np.arange(200) < 100, 0, 255)[None].repeat(160, 0)]).astype(
        np.uint8
    )
    hidden[:, :100, :3] = (0, 255, 0)
    image = Image.fromarray(hidden)
    if mode == "LA":
        image = image.convert("LA")
    if mode == "P":
        image = image.quantize(256)
        shown = np.asarray(image.convert("RGBA"))[:, 100:, :3]
    read = told(save(tmp_path / "brick.png", image), "ransparent")
    np.testing.assert_allclose(read[:, :100].reshape(-1, 3).std(0), 0)
    np.testing.assert_allclose(read[0, 0], shown.reshape(-1, 3).mean(0), atol=1)
    np.testing.assert_array_equal(read[:, 100:], shown)


def test_an_alpha_channel_that_hides_nothing_is_not_worth_a_note(tmp_path: Path) -> None:
    read = read_swatch(save(tmp_path / "brick.png", Image.fromarray(pattern()).convert("RGBA")), None)
    assert read.notes == ()
    np.testing.assert_array_equal(as_bytes(read.pixels), pattern())


@pytest.mark.parametrize("kind", ["png", "tif", "jpg"])
@pytest.mark.parametrize("orientation", [2, 3, 6, 8])
def test_an_exif_rotated_picture_is_turned_upright(tmp_path: Path, kind: str, orientation: int) -> None:
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        6: Image.Transpose.ROTATE_270,
        8: Image.Transpose.ROTATE_90,
    }
    image = Image.fromarray(pattern())
    exif = Image.Exif()
    exif[0x0112] = orientation
    read = told(save(tmp_path / f"brick.{kind}", image, exif=exif, quality=100, subsampling=0), "upright")
    upright = np.asarray(image.transpose(turns[orientation])).astype(int)
    assert read.shape == upright.shape
    assert abs(read - upright).mean() < 2
    assert read_swatch(tmp_path / f"brick.{kind}", None).original_size == upright.shape[:2]


@pytest.mark.parametrize("exif", [b"Exif\0\0junk that is no TIFF", b"Exif\0\0II*\0\xff\xff\xff\xff"], ids=repr)
def test_damaged_exif_costs_no_swatch(tmp_path: Path, exif: bytes) -> None:
    path = save(tmp_path / "brick.jpg", pattern(), exif=exif)
    assert read_swatch(path, None).pixels.shape == (1, 3, 160, 200)


def test_of_an_animation_the_first_frame_is_taken(tmp_path: Path) -> None:
    frames = [Image.fromarray(pattern(seed=seed)).quantize(64) for seed in range(3)]
    read = told(save(tmp_path / "brick.gif", frames[0], save_all=True, append_images=frames[1:]), "first was taken")
    assert abs(read - np.asarray(frames[0].convert("RGB")).astype(int)).max() <= 1


def profile(name: Literal["sRGB", "LAB"]) -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()


def linear_profile() -> bytes:
    """sRGB's primaries with a straight tone curve: the sRGB profile with its curves exchanged."""
    data = bytearray(profile("sRGB"))
    for index in range(struct.unpack_from(">I", data, 128)[0]):
        tag, offset, _ = struct.unpack_from(">4sII", data, 132 + 12 * index)
        if tag in (b"rTRC", b"gTRC", b"bTRC"):
            struct.pack_into(">4s4xI", data, offset, b"curv", 0)  # no entries: the identity
    return bytes(data)


def test_a_foreign_profile_is_converted_to_srgb(tmp_path: Path) -> None:
    read = told(save(tmp_path / "brick.png", pattern(), icc_profile=linear_profile()), "to sRGB")
    light = pattern() / 255
    encoded_light = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    assert abs(read - 255 * encoded_light).max() <= 2


# The primaries of red, green and blue in the connection space (D50), and the curve's exponent; None is sRGB's curve.
SPACES: dict[str, tuple[list[list[float]], float | None]] = {
    "Display P3": ([[0.5151, 0.2412, -0.0011], [0.2920, 0.6922, 0.0419], [0.1571, 0.0666, 0.7841]], None),
    "Adobe RGB": ([[0.6097, 0.3111, 0.0195], [0.2053, 0.6257, 0.0609], [0.1492, 0.0632, 0.7446]], 563 / 256),
}
SRGB = [[0.4360, 0.2225, 0.0139], [0.3851, 0.7169, 0.0971], [0.1431, 0.0606, 0.7141]]


def profile_of(primaries: list[list[float]], exponent: float | None) -> bytes:
    """sRGB's profile with other primaries and another tone curve."""
    data = bytearray(profile("sRGB"))
    for index in range(struct.unpack_from(">I", data, 128)[0]):
        tag, offset, _ = struct.unpack_from(">4sII", data, 132 + 12 * index)
        if tag in (b"rXYZ", b"gXYZ", b"bXYZ"):
            values = primaries[b"rgb".index(tag[:1])]
            struct.pack_into(">3i", data, offset + 8, *(round(value * 65536) for value in values))
        elif exponent and tag in (b"rTRC", b"gTRC", b"bTRC"):
            struct.pack_into(">4s4xIH", data, offset, b"curv", 1, round(exponent * 256))
    return bytes(data)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp", ".avif", ".psd", ".heic"])
def test_colours_of_wide_spaces_become_srgb_in_every_format(tmp_path: Path, space: str, suffix: str) -> None:
    primaries, exponent = SPACES[space]
    share = pattern()[::8, ::8].repeat(8, 0).repeat(8, 1) / 255  # even blocks, which lossy formats keep
    light = share**exponent if exponent else np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    linear = (light @ np.array(primaries) @ np.linalg.inv(np.array(SRGB))).clip(0, 1)
    expected = 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clip(1e-9) ** (1 / 2.4) - 0.055)
    stored, icc = (share * 255).round().astype(np.uint8), profile_of(primaries, exponent)
    path = tmp_path / f"brick{suffix}"
    if suffix == ".psd":
        path.write_bytes(psd(stored, profile=icc))
    else:
        if suffix == ".heic":
            pytest.importorskip("pillow_heif").register_heif_opener()
        lossless: dict[str, dict[str, object]] = {
            ".webp": {"lossless": True},
            ".jpg": {"subsampling": 0, "quality": 100},
            ".avif": {"subsampling": "4:4:4", "quality": 100},
        }
        save(path, stored, icc_profile=icc, **lossless.get(suffix, {"quality": 100}))
    read = told(path, "to sRGB")
    apart = abs(read - expected)
    assert np.median(apart) <= 2
    assert np.quantile(apart, 0.95) <= (4 if suffix in (".png", ".tif", ".webp", ".psd") else 12)


def test_inks_with_a_profile_are_no_guess(tmp_path: Path) -> None:
    """A profile of inks cannot be made here; one that does not fit is told, and the plain conversion is."""
    picture = Image.fromarray(pattern()).convert("CMYK")
    read = read_swatch(save(tmp_path / "brick.tif", picture, icc_profile=profile("sRGB")), None)
    assert any("profile cannot be used" in note for note in read.notes)
    assert any("CMYK inks were converted" in note for note in read.notes)


def test_a_turned_heic_is_upright(tmp_path: Path) -> None:
    pytest.importorskip("pillow_heif").register_heif_opener()
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = pattern(160, 200)[::8, ::8].repeat(8, 0).repeat(8, 1)
    read = read_swatch(save(tmp_path / "IMG_0001.HEIC", picture, exif=exif, quality=90, format="HEIF"), None)
    assert read.pixels.shape[2:] in ((200, 160), (160, 200))
    turned = np.rot90(picture, -1) if read.pixels.shape[2] == 200 else picture
    assert np.median(abs(as_bytes(read.pixels) - turned)) < 8


def test_a_damaged_heic_is_told_as_damaged(tmp_path: Path) -> None:
    pytest.importorskip("pillow_heif")
    (tmp_path / "IMG_0001.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200))
    with pytest.raises(UnusableSwatch, match="truncated or damaged: export it again"):
        read_swatch(tmp_path / "IMG_0001.HEIC", None)


def test_without_pillow_heif_a_heic_is_refused_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_file, "_heif_is_read", lambda: False)
    (tmp_path / "IMG_0001.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200))
    with pytest.raises(UnusableSwatch, match=r"IMG_0001.HEIC' is a HEIC picture: install .*pip install pillow-heif"):
        read_swatch(tmp_path / "IMG_0001.HEIC", None)


def test_an_srgb_profile_changes_nothing_and_is_not_told(tmp_path: Path) -> None:
    read = read_swatch(save(tmp_path / "brick.png", pattern(), icc_profile=profile("sRGB")), None)
    assert read.notes == ()
    np.testing.assert_array_equal(as_bytes(read.pixels), pattern())


@pytest.mark.parametrize("icc", [b"junk", profile("LAB"), profile("sRGB")[:200]], ids=["junk", "of L*a*b*", "cut"])
def test_a_useless_profile_is_told_and_the_colours_kept(tmp_path: Path, icc: bytes) -> None:
    read = told(save(tmp_path / "brick.png", pattern(), icc_profile=icc), "profile cannot be used")
    np.testing.assert_array_equal(read, pattern())


# ---- what is warned of


def lit_from(side: str, picture: Bytes, darkest: float) -> Bytes:
    ramp = np.linspace(1, darkest, picture.shape[1] if side in ("left", "right") else picture.shape[0])
    ramp = ramp[::-1] if side in ("right", "bottom") else ramp
    shading = ramp[None, :, None] if side in ("left", "right") else ramp[:, None, None]
    return (picture * shading).astype(np.uint8)


@pytest.mark.parametrize("name", ["brick", "grass", "gravel"])
@pytest.mark.parametrize("quality", [None, 90, 75])
def test_a_good_photograph_gives_no_warning(tmp_path: Path, name: str, quality: int | None) -> None:
    path = tmp_path / ("swatch.png" if quality is None else "swatch.jpg")
    save(path, photograph(name), **({} if quality is None else {"quality": quality}))
    for size in (384, 256, 128):
        assert read_swatch(path, size).warnings == ()


@pytest.mark.skipif(not MATERIALS, reason="the photographs are not here")
@pytest.mark.parametrize("path", MATERIALS, ids=lambda path: path.stem)
def test_the_materials_we_train_on_give_no_warning(path: Path) -> None:
    assert read_swatch(path, 384).warnings == ()


@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
@pytest.mark.parametrize("name", ["brick", "grass", "gravel"])
def test_light_from_one_side_is_warned_of(tmp_path: Path, name: str, side: str) -> None:
    read = read_swatch(save(tmp_path / "a.png", lit_from(side, photograph(name), 0.5)), 256)
    assert [warning for warning in read.warnings if f"brightest at the {side}" in warning] == list(read.warnings)
    assert len(read.warnings) == 1


def test_slightly_uneven_light_is_not_warned_of(tmp_path: Path) -> None:
    # Fine grain leaves nothing but the light once it is blurred; it is the light's strength that must count.
    faint = 255 - pattern(512, 512) // 4
    assert read_swatch(save(tmp_path / "a.png", lit_from("left", faint, 0.8)), None).warnings == ()


def test_the_flash_in_the_middle_is_warned_of(tmp_path: Path) -> None:
    away = np.hypot(*np.meshgrid(np.linspace(-1, 1, 512), np.linspace(-1, 1, 512)))[..., None]
    read = read_swatch(save(tmp_path / "a.png", (photograph("gravel") / (1 + away**2)).astype(np.uint8)), 256)
    assert len(read.warnings) == 1
    assert "brightest at the middle" in read.warnings[0]


@pytest.mark.parametrize("colour", [0, 128, 255])
def test_one_flat_colour_is_warned_of_once(tmp_path: Path, colour: int) -> None:
    noise = np.random.default_rng(0).integers(-2, 3, (160, 160, 3))  # a sensor's
    read = read_swatch(save(tmp_path / "a.png", (colour + noise).clip(0, 255).astype(np.uint8)), None)
    assert len(read.warnings) == 1
    assert "flat colour" in read.warnings[0]


def test_a_scene_is_warned_of_as_parts_that_differ(tmp_path: Path) -> None:
    read = read_swatch(save(tmp_path / "a.png", photograph("coffee")), 384)
    assert len(read.warnings) == 1
    assert "differ a lot" in read.warnings[0]


def test_two_materials_in_one_picture_are_warned_of_even_if_equally_bright(tmp_path: Path) -> None:
    rough, smooth = photograph("gravel").astype(float), photograph("gravel").astype(float)
    smooth = 0.3 * (smooth - smooth.mean()) + smooth.mean()
    read = read_swatch(save(tmp_path / "a.png", np.hstack([rough, smooth]).astype(np.uint8)), 256)
    assert any("differ a lot" in warning for warning in read.warnings)


@pytest.mark.parametrize(("side", "warned"), [(64, True), (127, True), (128, False)])
def test_too_few_pixels_are_warned_of(tmp_path: Path, side: int, warned: bool) -> None:
    picture = pattern(512, 512)
    for path, size in [(save(tmp_path / "a.png", picture), side), (save(tmp_path / "b.png", picture[:side]), None)]:
        read = read_swatch(path, size)
        assert any(f"only {side} px" in warning for warning in read.warnings) == warned


@pytest.mark.parametrize("name", ["brick", "grass", "gravel", "coffee"])
@pytest.mark.parametrize("upright", [True, False])
def test_jpeg_blocks_are_warned_of(tmp_path: Path, name: str, upright: bool) -> None:
    exif = Image.Exif()
    exif[0x0112] = 1 if upright else 6  # turned or not, the grid begins where the file does
    picture = photograph(name)[:301, :299]
    read = read_swatch(save(tmp_path / "a.jpg", picture, quality=10, exif=exif), 256)
    assert any("8 x 8 blocks" in warning for warning in read.warnings)


def test_jpeg_blocks_scaled_away_are_not_warned_of(tmp_path: Path) -> None:
    large = np.tile(photograph("gravel"), (2, 2, 1))
    path = save(tmp_path / "a.jpg", large, quality=10)
    assert any("8 x 8 blocks" in warning for warning in read_swatch(path, 512).warnings)
    assert read_swatch(path, 200).warnings == ()


def test_every_warning_says_what_suffers_and_what_to_do(tmp_path: Path) -> None:
    flat = np.full((80, 80, 3), 90, np.uint8)
    said = [
        *read_swatch(save(tmp_path / "a.png", flat), None).warnings,
        *read_swatch(save(tmp_path / "b.png", lit_from("top", photograph("brick"), 0.4)), 256).warnings,
        *read_swatch(save(tmp_path / "c.jpg", photograph("coffee"), quality=10), 256).warnings,
    ]
    assert len(said) == 5
    for sentence in said:
        assert "will" in sentence  # what suffers
        assert any(advice in sentence for advice in ("use ", "even out", "crop to"))
        assert sentence.endswith(".")
        assert "\n" not in sentence


def test_reading_disturbs_nobodys_settings(tmp_path: Path) -> None:
    before = (Image.MAX_IMAGE_PIXELS, list(warnings.filters))
    read_swatch(save(tmp_path / "brick.png", pattern()), None)
    assert before == (Image.MAX_IMAGE_PIXELS, list(warnings.filters))


# ---- finding


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("brick.jpg", "brick"),
        ("Old Brick (2).JPG", "old_brick_2"),
        ("Grès rosé.png", "gres_rose"),
        ("a.b.png", "a_b"),
        ("../../etc.png", "etc"),
        ("木目.png", "mumu_d096"),
        ("Дерево 2.jpg", "derevo_2_81a3"),
        ("חול.jpg", "hvl_c495"),
        ("🧱.png", "bricks_9059"),
        ("Straße.png", "strasse_58a3"),
        ("CON.png", "con_"),
        ("--x--.png", "x"),
        ("_.png", "swatch_d2e2"),
        ("x" * 200 + ".png", "x" * 59 + "_aa20"),
    ],
)
def test_model_names_are_safe_everywhere(file: str, name: str) -> None:
    assert model_name(Path(file)) == name


def test_two_names_never_become_one_where_letters_were_lost() -> None:
    files = ["木目", "目木", "石", "岩", "ひ", "x" * 200, "x" * 201, "_", "-", "é木", "e木", "\udcff", "\udcfe"]
    names = [model_name(Path(f"{file}.png")) for file in files]
    assert len(set(names)) == len(files)
    assert all(re.fullmatch(r"[a-z0-9_-]{1,64}", name) for name in names)
    assert model_name(Path("Grès.png")) == model_name(Path("Gre\u0300s.png")) == "gres"  # as macOS writes it
    assert model_name(Path("木é.png")) == model_name(Path("木e\u0301.png"))


def test_every_suffix_has_a_reader() -> None:
    pytest.importorskip("pillow_heif").register_heif_opener()
    Image.init()
    assert {Image.EXTENSION[suffix] for suffix in picture_file.SUFFIXES} <= {*picture_file.FORMATS, "HEIF"}
