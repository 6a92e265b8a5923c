"""Facts about renders in OpenEXR as pictures: which layer is taken, what its light becomes, and what is refused."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest
from numpy.typing import NDArray

from server.errors import BadRequest
from server.files import exr_file
from server.files.content_file import read_content
from server.files.picture_file import UnusablePicture
from server.files.render_file import BRIGHT, LINEAR, NO_NUMBERS, WIDE, to_rec709

RENDERS = Path(__file__).resolve().parents[2] / "fixtures" / "renders"
SIDES = 6, 9


def exr(path: Path, channels: dict[str, NDArray[Any]], **header: object) -> Path:
    OpenEXR.File({"compression": OpenEXR.ZIP_COMPRESSION, **header}, channels).write(str(path))
    return path


def planes(names: str, value: float = 0.5, sides: tuple[int, int] = SIDES) -> dict[str, NDArray[Any]]:
    return {name: np.full(sides, value, np.float32) for name in names.split()}


def seen(light: float) -> int:
    return round(65535 * (1.055 * light ** (1 / 2.4) - 0.055))


@pytest.mark.parametrize("version", ["4.5.15", "5.2.3"])
def test_a_multilayer_render_is_what_blenders_view_standard_shows(version: str) -> None:
    """Its passes are in one part, or each in its own."""
    shown = read_content(RENDERS / f"blender-{version}.png").pixels.astype(int)
    read = read_content(RENDERS / f"blender-{version}.exr").pixels
    assert (read.dtype, read.shape) == (np.uint16, (32, 48, 4))
    assert len(np.unique(shown)) > 700
    assert np.abs(read.astype(int) - shown).max() <= 2  # of 65535


@pytest.mark.parametrize(
    "names",
    [
        "R G B", "depth.Z R G B normal.R normal.G normal.B", "L.Normal.R L.Normal.G L.Normal.B L.Combined.{}",
        "Composite.Combined.{} A.Combined.R A.Combined.G A.Combined.B", "diffuse.R diffuse.G diffuse.B beauty.{}",
        "V.Combined.left.{} V.Combined.right.R V.Combined.right.G V.Combined.right.B", "Ci.r Ci.g Ci.b", "only.{}",
    ],
)  # fmt: skip
def test_the_picture_is_found_among_the_layers(tmp_path: Path, names: str) -> None:
    wanted = next((each for each in names.split() if "{}" in each), "")
    channels = planes(names.replace(wanted, " ".join(wanted.format(each) for each in "RGB")) if wanted else names, 0.9)
    for name in channels:
        if name in "RGB" or name.startswith((wanted.partition("{")[0] or "Ci", "Ci")):
            channels[name][:] = 0.2
    pixels = read_content(exr(tmp_path / "x.exr", channels)).pixels
    assert pixels.shape == (*SIDES, 3)
    assert np.abs(pixels.astype(int) - seen(0.2)).max() <= 1


def test_the_first_part_is_the_picture_whatever_its_name(tmp_path: Path) -> None:
    parts = [
        OpenEXR.Part({"name": name}, planes(names, value))
        for name, names, value in (("main", "R G B A", 0.3), ("spec", "R G B", 0.8), ("z", "Z", 5.0))
    ]
    OpenEXR.File(parts).write(str(tmp_path / "x.exr"))
    pixels = read_content(tmp_path / "x.exr").pixels
    assert pixels[0, 0].tolist() == [seen(1.0)] * 3 + [int(0.3 * 65535 + 0.5)]  # 0.3 over an alpha of 0.3


def test_light_is_scaled_by_stops_and_what_is_brighter_than_white_is_told(tmp_path: Path) -> None:
    path = exr(tmp_path / "x.exr", planes("R G B", 2.0))
    assert read_content(path).notes == (LINEAR, BRIGHT)
    darker = read_content(path, -3.0)
    assert darker.notes == (LINEAR,)
    assert np.abs(darker.pixels.astype(int) - seen(0.25)).max() <= 1
    odd = planes("Y", 0.5)
    odd["Y"][0, :3] = np.nan, np.inf, -1.0
    told = read_content(exr(tmp_path / "y.exr", odd))
    assert told.notes[:2] == (LINEAR, NO_NUMBERS)
    assert told.pixels[0, :3, 0].tolist() == [0, 65535, 0]


def test_alpha_is_no_longer_in_the_colours_and_light_without_any_stays(tmp_path: Path) -> None:
    channels = planes("R G B A", 0.1)
    channels["A"][0, :3] = 0.5, 0.0, 7.0
    pixels = read_content(exr(tmp_path / "x.exr", channels)).pixels
    assert np.abs(pixels[0, :3, 0].astype(int) - [seen(0.2), seen(0.1), seen(0.1)]).max() <= 1
    assert pixels[0, :3, 3].tolist() == [32768, 0, 65535]


def test_the_picture_is_the_display_window(tmp_path: Path) -> None:
    """Less than it was rendered, more of it, or both; then what lies outside is cut, and what lacks is clear."""
    window = (np.array([-2, 1], "i4"), np.array([6, 6], "i4"))
    display = (np.array([0, 0], "i4"), np.array([9, 4], "i4"))
    channels = planes("R G B A", 0.5)
    channels["R"][0, 2] = 1.0
    pixels = read_content(exr(tmp_path / "x.exr", channels, dataWindow=window, displayWindow=display)).pixels
    assert pixels.shape == (5, 10, 4)
    assert not pixels[0].any()
    assert not pixels[:, 7:].any()
    assert bool((pixels[1:, :7, 3] == 32768).all())
    assert int(pixels[1, 0, 0]) == 65535


def test_wide_gamuts_become_srgb_by_their_primaries(tmp_path: Path) -> None:
    """ACEScg's matrix to Rec. 709 with Bradford's adaptation, as colour libraries publish it."""
    ap1 = (0.713, 0.293, 0.165, 0.830, 0.128, 0.044, 0.32168, 0.33767)
    published = [[1.70505, -0.62179, -0.08326], [-0.13026, 1.14080, -0.01055], [-0.02400, -0.12897, 1.15297]]
    np.testing.assert_allclose(to_rec709(ap1), published, atol=2e-4)
    for header in ({"chromaticities": ap1}, {"colorInteropID": "lin_ap1_scene"}):
        channels = planes("R G B", 0.2)
        channels["R"][:] = 0.4
        read = read_content(exr(tmp_path / "x.exr", channels, **header))
        assert WIDE in read.notes
        wanted = [seen(float(np.dot(row, (0.4, 0.2, 0.2)))) for row in published]
        assert np.abs(read.pixels[0, 0].astype(int) - wanted).max() < 20


# ------------------------------------------------------------------------------------------------------------- refused


def test_without_a_colour_layer_its_channels_are_named(tmp_path: Path) -> None:
    passes = planes("normal.X normal.Y normal.Z depth.Z a.R a.G a.B b.R b.G b.B")
    with pytest.raises(UnusablePicture, match=r"the channels a\.B, .* save the render itself, with R, G and B"):
        read_content(exr(tmp_path / "x.exr", passes))


def test_a_cut_or_damaged_render_is_one_sentence(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = (RENDERS / "blender-5.2.3.exr").read_bytes()
    for count in (4, 300, len(whole) // 2, len(whole) - 50):
        (tmp_path / "cut.exr").write_bytes(whole[:count])
        with pytest.raises(UnusablePicture, match=r"'.*cut\.exr' is truncated or damaged"):
            read_content(tmp_path / "cut.exr")
    random = np.random.default_rng(1)
    for _ in range(25):
        damaged = bytearray(whole)
        for place in random.integers(0, len(whole), 4):
            damaged[place] = random.integers(256)
        (tmp_path / "cut.exr").write_bytes(damaged)
        try:
            assert read_content(tmp_path / "cut.exr").pixels.ndim == 3
        except UnusablePicture:
            continue
    assert capfd.readouterr() == ("", "")  # the library prints, and standard output is for results


def test_huge_and_deep_ones_are_refused_by_their_headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = exr(tmp_path / "x.exr", planes("R G B"))
    small = path.read_bytes()
    corner = struct.pack("<2i", SIDES[1] - 1, SIDES[0] - 1)
    for far in (15_000, 100_000, 2**30):
        path.write_bytes(small.replace(corner, struct.pack("<2i", far, far)))
        with pytest.raises(UnusablePicture, match=r"megapixels|damaged"):
            read_content(path)
    monkeypatch.setattr(exr_file, "MOST_BYTES", 4 * 3 * SIDES[0] * SIDES[1] - 1)
    path.write_bytes(small)
    with pytest.raises(UnusablePicture, match="save the picture without its passes"):
        read_content(path)
    monkeypatch.undo()
    counts = np.empty(SIDES, object)
    for place in np.ndindex(*SIDES):
        counts[place] = np.array([0.5, 0.7], np.float32)
    header = {"type": OpenEXR.deepscanline, "compression": OpenEXR.ZIPS_COMPRESSION}
    OpenEXR.File(header, dict.fromkeys("RGBA", counts)).write(str(path))
    with pytest.raises(UnusablePicture, match="holds deep pixels: save it as a flat picture"):
        read_content(path)


def test_exposure_is_for_linear_light(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"exposure: .* holds no linear light, as OpenEXR does; leave it out"):
        read_content(RENDERS / "blender-5.2.3.png", 1.0)
