"""Facts about stored numbers: all channels, all bits, whatever the format; or the true reason why not."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from server.files.picture_file import UnusablePicture
from tests.drawn import gravel
from trainer.swatch.map_set import read_map_set
from trainer.swatch.samples import glance, read_samples
from trainer.swatch.swatch import Swatch, UnusableSwatch, read_swatch

SIDES = 72, 88


def deep(channels: int, seed: int = 0) -> NDArray[np.uint16]:
    random = np.random.default_rng(seed)
    return random.integers(0, 65536, (*SIDES, channels), dtype=np.uint16)


def png(path: Path, values: NDArray[np.uint16], interlaced: bool = False) -> Path:
    """A PNG of 16 bits a channel, written by hand, since Pillow writes only grey ones."""
    height, width, channels = values.shape
    if interlaced:
        starts = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
        passes = [values[top::down, left::across] for top, left, down, across in starts]
    else:
        passes = [values]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for part in passes for row in part)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    colours = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, colours, 0, 0, interlaced)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )
    return path


def exr(path: Path, channels: dict[str, NDArray[Any]], **header: object) -> Path:
    OpenEXR.File({"compression": OpenEXR.ZIP_COMPRESSION, **header}, channels).write(str(path))
    return path


@pytest.fixture
def swatch(tmp_path: Path) -> Swatch:
    path = tmp_path / "stone_diff.png"
    Image.fromarray((gravel(*SIDES)[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)).save(path)
    return read_swatch(path, None)


# ------------------------------------------------------------------------------------------------------- whole numbers


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("interlaced", [False, True], ids=["plain", "interlaced"])
def test_a_png_keeps_its_sixteen_bits_in_every_channel(tmp_path: Path, channels: int, interlaced: bool) -> None:
    values = deep(channels)
    read = read_samples(png(tmp_path / "x.png", values, interlaced))
    assert np.array_equal((read.values * 65535).round().astype(int), values)
    assert read.own_range is None


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_tiff_keeps_its_sixteen_bits(tmp_path: Path, compression: str | None, order: str, channels: int) -> None:
    values = deep(channels)
    path = tmp_path / "x.tif"
    more: dict[str, Any] = {"photometric": "rgb" if channels > 1 else "minisblack", "compression": compression}
    more |= {"extrasamples": ["unassalpha"]} if channels == 4 else {}
    tifffile.imwrite(path, values if channels > 1 else values[..., 0], byteorder=order, **more)
    assert np.array_equal((read_samples(path).values * 65535).round().astype(int), values)


@pytest.mark.parametrize("more", [{"rowsperstrip": 7}, {"tile": (32, 32)}, {"predictor": True, "compression": "zlib"}])
def test_a_tiff_keeps_them_however_it_is_laid_out(tmp_path: Path, more: dict[str, Any]) -> None:
    values = deep(3)
    tifffile.imwrite(tmp_path / "x.tif", values, photometric="rgb", **more)
    assert np.array_equal((read_samples(tmp_path / "x.tif").values * 65535).round().astype(int), values)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_channels_in_separate_planes_are_refused_where_they_would_lose_bits(
    tmp_path: Path, compression: str | None
) -> None:
    path = tmp_path / "x.tif"
    more: dict[str, Any] = {"photometric": "rgb", "planarconfig": "separate", "compression": compression}
    tifffile.imwrite(path, np.moveaxis(deep(3), -1, 0), **more)
    with pytest.raises(UnusablePicture, match="separate planes"):
        read_samples(path)
    eight = (deep(3) >> 8).astype(np.uint8)
    tifffile.imwrite(path, np.moveaxis(eight, -1, 0), **more)
    assert np.array_equal((read_samples(path).values * 255).round(), eight)


def test_a_turned_picture_of_sixteen_bits_is_turned_upright(tmp_path: Path) -> None:
    values = deep(3)
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, values, photometric="rgb", extratags=[(274, 3, 1, 6, True)])  # its right side is up
    assert np.array_equal((read_samples(path).values * 65535).round().astype(int), np.rot90(values, -1))


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("LA", 2), ("RGB", 3), ("RGBA", 4), ("1", 1)])
def test_eight_bits_keep_all_channels(tmp_path: Path, mode: str, channels: int) -> None:
    values = np.random.default_rng(0).integers(0, 2 if mode == "1" else 256, (*SIDES, channels), dtype=np.uint8)
    image = Image.fromarray(values[..., 0] * 255, "L").convert("1") if mode == "1" else None
    image = image or Image.fromarray(values if channels > 1 else values[..., 0], mode)
    image.save(tmp_path / "x.png")
    white = 1 if mode == "1" else 255
    assert np.array_equal((read_samples(tmp_path / "x.png").values * white).round(), values)


def test_inks_are_no_data(tmp_path: Path) -> None:
    Image.new("CMYK", (80, 80), (1, 2, 3, 4)).save(tmp_path / "x.jpg")
    with pytest.raises(UnusablePicture, match=r"CMYK.*grey or RGB"):
        read_samples(tmp_path / "x.jpg")


# -------------------------------------------------------------------------------------------------------------- floats


@pytest.mark.parametrize("kind", [np.float16, np.float32])
@pytest.mark.parametrize("names", ["Y", "V", "RGB", "RGBA", "XYZ", "layer.R layer.G layer.B"])
def test_an_exr_gives_its_channels_in_order(tmp_path: Path, kind: Any, names: str) -> None:
    channels = names.split() if " " in names else list(names)
    random = np.random.default_rng(0)
    planes = {name: random.uniform(-2, 3, SIDES).astype(kind) for name in channels}
    read = read_samples(exr(tmp_path / "x.exr", dict(reversed(planes.items()))))
    assert np.array_equal(read.values, np.stack([planes[name] for name in channels], -1).astype(np.float32))
    assert read.own_range


@pytest.mark.parametrize("compression", ["NO", "RLE", "ZIPS", "ZIP", "PIZ"])
def test_an_exr_is_read_however_it_is_packed(tmp_path: Path, compression: str) -> None:
    plane = np.random.default_rng(0).uniform(0, 1, SIDES).astype(np.float16)
    path = exr(tmp_path / "x.exr", {"Y": plane}, compression=getattr(OpenEXR, f"{compression}_COMPRESSION"))
    assert np.array_equal(read_samples(path).values[..., 0], plane.astype(np.float32))


def test_an_exr_of_several_layers_is_refused_by_its_channels(tmp_path: Path) -> None:
    plane = np.zeros(SIDES, np.float32)
    with pytest.raises(UnusablePicture, match=r"depth\.Z, normal\.X"):
        read_samples(exr(tmp_path / "x.exr", {"normal.X": plane, "depth.Z": plane}))


def test_a_damaged_exr_is_refused_in_a_sentence(tmp_path: Path) -> None:
    whole = exr(
        tmp_path / "x.exr", {"Y": np.random.default_rng(0).uniform(0, 1, SIDES).astype(np.float32)}
    ).read_bytes()
    for count in (4, 40, len(whole) // 2, len(whole) - 10):
        (tmp_path / "cut.exr").write_bytes(whole[:count])
        with pytest.raises(UnusablePicture, match=r"damaged"):
            read_samples(tmp_path / "cut.exr")


@pytest.mark.parametrize("compression", ["NO", "ZIP", "PIZ", "B44", "DWAA"])
def test_whatever_is_flipped_in_an_exr_it_reads_or_is_refused(tmp_path: Path, compression: str) -> None:
    random = np.random.default_rng(1)
    planes = {name: random.uniform(0, 1, SIDES).astype(np.float16) for name in "RGB"}
    path = exr(tmp_path / "x.exr", planes, compression=getattr(OpenEXR, f"{compression}_COMPRESSION"))
    whole = path.read_bytes()
    for _ in range(40):
        damaged = bytearray(whole)
        for place in random.integers(0, min(len(whole), 700), 3):
            damaged[place] = random.integers(256)
        path.write_bytes(damaged)
        try:
            read = read_samples(path)
        except UnusablePicture:
            continue
        assert read.values.dtype == np.float32
        assert read.values.ndim == 3


def test_an_exr_that_claims_gigabytes_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    data = exr(tmp_path / "x.exr", {"Y": np.zeros(SIDES, np.float32)}).read_bytes()
    box = struct.pack("<4i", 0, 0, SIDES[1] - 1, SIDES[0] - 1)
    assert data.count(box) == 2
    (tmp_path / "x.exr").write_bytes(data.replace(box, struct.pack("<4i", 0, 0, 20000, 20000)))
    with pytest.raises(UnusablePicture, match="20001 x 20001"):
        read_samples(tmp_path / "x.exr")


@pytest.mark.parametrize(
    ("low", "high", "stretched"),
    [(0.0, 1.0, False), (0.2, 0.7, False), (-0.05, 0.11, True), (0.0, 0.02, True), (120, 9000, True)],
)
def test_heights_of_any_unit_keep_their_range_and_depth(
    swatch: Swatch, tmp_path: Path, low: float, high: float, stretched: bool
) -> None:
    plane = np.linspace(low, high, SIDES[0] * SIDES[1], dtype=np.float32).reshape(SIDES)
    for path in (exr(tmp_path / "h.exr", {"Y": plane}), tmp_path / "h.tif"):
        if path.suffix == ".tif":
            tifffile.imwrite(path, plane)
        found = read_map_set(swatch, {"height": path}, keep_hills=True)
        height = found.pixels[0, 3].numpy()
        expected = (plane - low) / (high - low) if stretched else plane
        np.testing.assert_allclose(height, expected, atol=1e-4)
        assert any("stretched" in note for note in found.notes) == stretched


def test_whole_numbers_of_unknown_range_are_heights_and_nothing_else(swatch: Swatch, tmp_path: Path) -> None:
    plane = np.linspace(-3000, 4_000_000, SIDES[0] * SIDES[1]).astype(np.int32).reshape(SIDES)
    tifffile.imwrite(tmp_path / "h.tif", plane)
    found = read_map_set(swatch, {"height": tmp_path / "h.tif"}, keep_hills=True)
    assert found.pixels[0, 3].min() == 0
    assert found.pixels[0, 3].max() == 1
    with pytest.raises(UnusableSwatch, match=r"whole numbers of unknown range from -3000 to 4e\+06.*from 0 to 1"):
        read_map_set(swatch, {"roughness": tmp_path / "h.tif"})


def test_numbers_that_are_none_are_refused(swatch: Swatch, tmp_path: Path) -> None:
    plane = np.random.default_rng(0).uniform(0, 1, SIDES).astype(np.float32)
    plane[3, 4] = np.nan
    with pytest.raises(UnusableSwatch, match="NaN"):
        read_map_set(swatch, {"roughness": exr(tmp_path / "x.exr", {"Y": plane})})


def test_vectors_from_minus_one_to_one_are_normals_too(swatch: Swatch, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    vectors = np.stack([random.uniform(-0.5, 0.5, SIDES), random.uniform(-0.5, 0.5, SIDES), np.ones(SIDES)], -1)
    vectors = (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)
    signed = exr(tmp_path / "a.exr", {name: vectors[..., at].copy() for at, name in enumerate("RGB")})
    usual = exr(tmp_path / "b.exr", {name: (vectors[..., at] + 1) / 2 for at, name in enumerate("RGB")})
    for path in (signed, usual):
        found = read_map_set(swatch, {"normal_gl": path}, keep_hills=True).pixels[0, 3:].permute(1, 2, 0).numpy()
        np.testing.assert_allclose(found * 2 - 1, vectors, atol=1e-5)


def test_sixteen_bits_of_normals_are_kept(swatch: Swatch, tmp_path: Path) -> None:
    values = np.full((*SIDES, 3), 32768, np.uint16)
    values[..., 0] += np.arange(SIDES[1], dtype=np.uint16)  # steps of less than 8 bits
    values[..., 2] = 65535
    found = read_map_set(swatch, {"normal_gl": png(tmp_path / "n.png", values)}, keep_hills=True)
    assert len(found.pixels[0, 3].unique()) == SIDES[1]


# ------------------------------------------------------------------------------------------------- colours and a glance


def test_an_exr_of_colours_is_a_swatch_in_srgb(tmp_path: Path) -> None:
    encoded = np.random.default_rng(0).integers(0, 256, (*SIDES, 3))
    share = encoded / 255
    light = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4).astype(np.float32)
    path = exr(tmp_path / "x.exr", {name: light[..., at].copy() for at, name in enumerate("RGB")})
    read = read_swatch(path, None)
    assert np.array_equal((read.pixels[0].permute(1, 2, 0).numpy() * 255).round(), encoded)
    assert any("converted to sRGB" in note for note in read.notes)
    brighter = exr(tmp_path / "y.exr", {name: 3 * light[..., at] for at, name in enumerate("RGB")})
    assert any("brighter than white" in note for note in read_swatch(brighter, None).notes)


def test_colours_of_a_wide_gamut_are_refused(tmp_path: Path) -> None:
    plane = np.random.default_rng(0).uniform(0, 1, SIDES).astype(np.float32)
    ap0 = (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, 0.32168, 0.33767)
    path = exr(tmp_path / "x.exr", {"R": plane, "G": plane, "B": plane}, chromaticities=ap0)
    with pytest.raises(UnusableSwatch, match="wide gamut"):
        read_swatch(path, None)


def test_a_glance_shows_the_whole_picture_small(tmp_path: Path) -> None:
    values = np.zeros((500, 700, 3), np.uint8)
    values[:250, :, 0] = values[:, 350:, 1] = 255
    for suffix in (".png", ".jpg"):
        Image.fromarray(values).save(tmp_path / f"x{suffix}", quality=95)
        seen = glance(tmp_path / f"x{suffix}", 64)
        assert seen is not None
        assert max(seen.shape) <= 128
        np.testing.assert_allclose(seen.mean((0, 1)), [0.5, 0.5, 0], atol=0.02)
    (tmp_path / "x.png").write_bytes(b"words")
    assert glance(tmp_path / "x.png", 64) is None
    buffer = io.BytesIO()
    Image.new("RGB", (3, 2), (255, 0, 0)).save(buffer, "PNG")
    (tmp_path / "y.png").write_bytes(buffer.getvalue())
    small = glance(tmp_path / "y.png", 64)
    assert small is not None
    assert small.shape == (2, 3, 3)
