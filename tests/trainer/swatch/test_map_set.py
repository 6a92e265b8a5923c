"""Reading the maps of a material: names, sizes, conventions, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from server.model.maps import HEIGHT, NORMAL, channels_of
from server.network.normals import central_steps
from tests.drawn import gravel
from trainer.job import strongest
from trainer.judge.map_measures import relief_angle
from trainer.swatch.map_set import parse_map, read_map_set, y_is_up
from trainer.swatch.relief import levelled
from trainer.swatch.swatch import Swatch, UnusableSwatch, read_swatch

PHOTOGRAPHS = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "pbr"


def save(path: Path, pixels: Tensor, bits: int = 8) -> Path:
    """(1, 1 or 3, H, W) in [0, 1] as a PNG; 16 bits of grey alone."""
    values = pixels[0].permute(1, 2, 0).numpy()
    if bits == 16:
        Image.fromarray((values[..., 0] * 65535 + 0.5).astype(np.uint16)).save(path)
    else:
        Image.fromarray((values * 255 + 0.5).astype(np.uint8).squeeze()).save(path)
    return path


def tilted(right: float, up: float) -> Tensor:
    """A normal map of one slope, and a little more of it at one place, or it would be one colour."""
    normals = torch.tensor([-right, -up, 1.0]).view(1, 3, 1, 1).repeat(1, 1, 96, 96)
    normals[..., 20:70, 30:80] = torch.tensor([right, up, 1.0]).view(1, 3, 1, 1)
    return F.normalize(normals, dim=1).add(1).div(2)


@pytest.fixture
def swatch(tmp_path: Path) -> Swatch:
    return read_swatch(save(tmp_path / "stone_diff.png", gravel(96, 96, seed=1)), None)


def test_maps_are_read_in_one_order_at_the_swatch_s_size(swatch: Swatch, tmp_path: Path) -> None:
    height = gravel(96, 96, seed=2)[:, :1]
    large = F.interpolate(height, scale_factor=2, mode="nearest")
    parts = {"height": save(tmp_path / "h.png", large, 16), "normal": save(tmp_path / "n.png", tilted(0.5, 0.2))}
    whole = read_map_set(swatch, parts)
    assert [each.name for each in whole.maps] == ["basecolor", "normal", "height"]
    assert whole.pixels.shape == (1, 7, 96, 96)
    assert torch.equal(whole.pixels[:, :3], swatch.pixels)
    level = levelled(height, None, [])["height"]
    torch.testing.assert_close(whole.pixels[:, 6:], level, atol=0.25, rtol=0)  # the scaling sharpens steps
    assert (whole.pixels[:, 6:] - level).abs().mean() < 0.01
    lengths = (whole.pixels[:, 3:6] * 2 - 1).norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones_like(lengths), atol=1e-4, rtol=0)


def test_sixteen_bits_of_height_are_kept(swatch: Swatch, tmp_path: Path) -> None:
    ramp = torch.linspace(0.4, 0.5, 96 * 96).view(1, 1, 96, 96)
    whole = read_map_set(swatch, {"height": save(tmp_path / "h.png", ramp, 16)})
    assert len(whole.pixels[:, 3].unique()) > 6000


def test_linear_maps_are_taken_as_they_are_stored_whatever_the_profile(swatch: Swatch, tmp_path: Path) -> None:
    from PIL import ImageCms

    rough = gravel(96, 96, seed=5)[:, :1]
    path = tmp_path / "r.png"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    Image.fromarray((rough[0, 0].numpy() * 255 + 0.5).astype(np.uint8)).save(path, icc_profile=profile)
    whole = read_map_set(swatch, {"roughness": path})
    torch.testing.assert_close(whole.pixels[:, 3:], rough, atol=1 / 500, rtol=0)


def test_packed_maps_are_taken_apart_and_flat_ones_left_out(swatch: Swatch, tmp_path: Path) -> None:
    packed = gravel(96, 96, seed=3)
    packed[:, 2] = 0.0
    whole = read_map_set(swatch, {"arm": save(tmp_path / "arm.png", packed)})
    assert [each.name for each in whole.maps] == ["basecolor", "roughness", "ao"]
    torch.testing.assert_close(whole.pixels[:, channels_of(whole.maps, "ao")], packed[:, :1], atol=1 / 500, rtol=0)
    torch.testing.assert_close(
        whole.pixels[:, channels_of(whole.maps, "roughness")], packed[:, 1:2], atol=1 / 500, rtol=0
    )
    assert any("metallic map is 0.00 everywhere" in note for note in whole.notes)


def test_directx_normals_are_turned_and_told(swatch: Swatch, tmp_path: Path) -> None:
    opengl = read_map_set(swatch, {"normal": save(tmp_path / "gl.png", tilted(0.3, 0.6))})
    directx = read_map_set(swatch, {"normal_dx": save(tmp_path / "dx.png", tilted(0.3, -0.6))})
    torch.testing.assert_close(opengl.pixels, directx.pixels, atol=0.01, rtol=0)
    assert any("DirectX" in note for note in directx.notes)


def test_what_does_not_belong_together_is_refused(swatch: Swatch, tmp_path: Path) -> None:
    grey = gravel(96, 96)[:, :1]
    refused = {
        "do not show the same area": {"height": save(tmp_path / "wide.png", gravel(96, 192)[:, :1])},
        "grey, but a normal map has three": {"normal": save(tmp_path / "grey.png", grey)},
        "not a normal map in tangent space": {"normal": save(tmp_path / "red.png", gravel(96, 96) * 0.4)},
        "nowhere.png": {"height": tmp_path / "nowhere.png"},
    }
    for why, parts in refused.items():
        with pytest.raises(UnusableSwatch, match=why):
            read_map_set(swatch, parts)


@pytest.mark.parametrize("text", ["height", "height=", "shine=x.png", "=x.png"])
def test_map_options_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="NAME=FILE"):
        parse_map(text)


def test_derived_maps_fill_what_is_not_given(swatch: Swatch, tmp_path: Path) -> None:
    given = save(tmp_path / "r.png", gravel(96, 96, seed=9)[:, :1])
    whole = read_map_set(swatch, {"roughness": given}, ("normal", "height", "roughness"))
    assert [each.name for each in whole.maps] == ["basecolor", "normal", "roughness", "height"]
    torch.testing.assert_close(whole.pixels[:, 6:7], gravel(96, 96, seed=9)[:, :1], atol=1 / 500, rtol=0)
    assert any("Guessed from light and dark: normal, height." in note for note in whole.notes)
    assert whole.guessed == ("normal", "height")


def test_patterns_are_searched_in_maps_of_their_own_alone(swatch: Swatch, tmp_path: Path) -> None:
    """A derived map repeats as the base colour does, and each search takes seconds."""
    given = save(tmp_path / "r.png", gravel(96, 96, seed=9)[:, :1])
    whole = read_map_set(swatch, {"roughness": given}, ("normal", "height"))
    looked_at: list[Tensor] = []
    assert strongest(whole, looked_at.append) is None  # type: ignore[arg-type]
    assert [round(float(each.mean()), 4) for each in looked_at] == [
        round(float(whole.pixels[:, part].mean()), 4) for part in (slice(0, 3), slice(6, 7))
    ]


def test_a_height_s_slow_rise_is_levelled_and_the_normals_stay_its_slopes() -> None:
    """A hill over the whole picture goes, the stones on it stay."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 192), torch.linspace(-1, 1, 192), indexing="ij")
    stones = gravel(192, 192, seed=3, stone=9).mean(1, keepdim=True)
    stones = 0.15 * F.avg_pool2d(F.pad(stones, (2,) * 4, mode="reflect"), 5, 1)
    height = stones + 0.6 * (1 - (y.square() + x.square()) / 2)
    steps = 12 * central_steps(F.pad(height, (1,) * 4, mode="replicate"))
    slope = torch.cat([-steps[:, :1], steps[:, 1:], torch.ones_like(height)], 1)
    notes: list[str] = []
    found = levelled(height, F.normalize(slope, dim=1) / 2 + 0.5, notes)
    assert len(notes) == 1
    inner = (..., slice(48, -48), slice(48, -48))  # at the edges the hill goes on as its mirror image
    assert found["height"][inner].std() < 1.1 * stones[inner].std() < 0.5 * height.std()
    both = torch.stack([found["height"][inner].flatten(), stones[inner].flatten()])
    assert torch.corrcoef(both)[0, 1] > 0.95
    pixels, maps = torch.cat([found["normal"], found["height"]], 1)[inner], (NORMAL, HEIGHT)
    assert relief_angle(pixels, maps, 12) < 0.5
    flat: list[str] = []
    levelled(stones + 0.3, None, flat)
    assert flat == []


def test_heights_of_sixteen_bits_are_kept_exactly_where_hills_are(swatch: Swatch, tmp_path: Path) -> None:
    values = torch.randint(0, 65536, (1, 1, 96, 96), generator=torch.Generator().manual_seed(0))
    path = save(tmp_path / "h.png", values.float() / 65535, bits=16)
    found = read_map_set(swatch, {"height": path}, keep_hills=True)
    height = found.pixels[:, found.channels(HEIGHT)]
    assert torch.equal((height * 65535).round().long(), values)


@pytest.mark.parametrize(("size", "sides"), [(None, 96), (90, 96), (1024, 192), (192, 192), (150, 150)])
def test_maps_come_to_the_finest_map_s_size_up_to_what_is_asked(
    swatch: Swatch, tmp_path: Path, size: int | None, sides: int
) -> None:
    fine = save(tmp_path / "rough.png", gravel(192, 192, seed=2)[:, :1])
    coarse = save(tmp_path / "ao.png", gravel(64, 64, seed=3)[:, :1])
    found = read_map_set(swatch, {"roughness": fine, "ao": coarse}, size=size)
    assert found.pixels.shape == (1, 5, sides, sides)
    assert any("scaled up from 96 px" in note for note in found.notes) == (sides > 96)
    if sides == 192:
        own = gravel(192, 192, seed=2)[:, :1]
        assert (found.pixels[:, 3:4] - own).abs().max() < 1.1 / 255


def slope_of(height: Tensor, steepness: float = 12) -> Tensor:
    """The normal map of a height, y up."""
    steps = steepness * central_steps(F.pad(height, (1,) * 4, mode="replicate"))
    return F.normalize(torch.cat([-steps[:, :1], steps[:, 1:], torch.ones_like(height)], 1), dim=1) / 2 + 0.5


def flipped(normals: Tensor) -> Tensor:
    return torch.cat([normals[:, :1], 1 - normals[:, 1:2], normals[:, 2:]], 1)


@pytest.mark.parametrize("material", ["castle_brick_broken_06/nor_gl.jpg", "rock058/normal.jpg", None])
def test_normals_tell_which_way_their_y_points(material: str | None) -> None:
    normals = slope_of(gravel(160, 160, seed=2)[:, :1])
    if material:
        path = PHOTOGRAPHS / material
        if not path.exists():
            pytest.skip("the photographs are not here")
        with Image.open(path) as image:
            normals = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)[None] / 255
    assert y_is_up(normals) > 0.4
    assert y_is_up(flipped(normals)) < -0.4
    assert abs(y_is_up(torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0)))) < 0.1


def test_normals_whose_name_says_nothing_are_turned_if_they_are_directx_s(swatch: Swatch, tmp_path: Path) -> None:
    normals = slope_of(gravel(96, 96, seed=2)[:, :1])
    up, down = save(tmp_path / "up.png", normals), save(tmp_path / "down.png", flipped(normals))
    read = {
        (part, path): read_map_set(swatch, {part: path}, keep_hills=True)
        for part in ("normal", "normal_gl", "normal_dx")
        for path in (up, down)
    }
    right = read["normal", up].pixels
    for same in (("normal", down), ("normal_gl", up), ("normal_dx", down)):
        torch.testing.assert_close(read[same].pixels, right, atol=0.02, rtol=0)
    for name, note in ((("normal", down), "from DirectX"), (("normal_gl", down), "--map normal_dx")):
        assert any(note in each for each in read[name].notes)
    assert read["normal", up].notes == read["normal_gl", up].notes == ()
    assert (read["normal_gl", down].pixels - right).abs().max() > 0.2  # a name that says which is believed


def test_gloss_is_turned_into_roughness_and_told(swatch: Swatch, tmp_path: Path) -> None:
    rough = gravel(96, 96, seed=5)[:, :1]
    whole = read_map_set(swatch, {"gloss": save(tmp_path / "stone_gloss.png", 1 - rough)})
    assert [each.name for each in whole.maps] == ["basecolor", "roughness"]
    torch.testing.assert_close(whole.pixels[:, 3:], rough, atol=1 / 250, rtol=0)
    assert any("gloss of 'stone_gloss.png'" in note for note in whole.notes)


def rgba(path: Path, pixels: Tensor) -> Path:
    """(1, 4, H, W) as a PNG with alpha."""
    Image.fromarray((pixels[0].permute(1, 2, 0).numpy() * 255 + 0.5).astype(np.uint8), "RGBA").save(path)
    return path


@pytest.mark.parametrize(
    ("part", "holds"),
    [
        ("orm", {"ao": 0, "roughness": 1, "metallic": 2}),
        ("rma", {"roughness": 0, "metallic": 1, "ao": 2}),
        ("mra", {"metallic": 0, "roughness": 1, "ao": 2}),
        ("ord", {"ao": 0, "roughness": 1, "height": 2}),
        ("metallic_roughness", {"roughness": 1, "metallic": 2}),
        ("metallic_smoothness", {"metallic": 0, "roughness": -3}),
        ("mask_map", {"metallic": 0, "ao": 1, "roughness": -3}),
        ("specular_smoothness", {"roughness": -3}),
    ],
)
def test_each_packing_gives_its_channels(swatch: Swatch, tmp_path: Path, part: str, holds: dict[str, int]) -> None:
    """A negative channel is inverted."""
    packed = torch.cat([gravel(96, 96, seed=seed)[:, :1] for seed in range(4)], 1)
    whole = read_map_set(swatch, {part: rgba(tmp_path / "packed.png", packed)}, keep_hills=True)
    assert {each.name for each in whole.maps} == {"basecolor", *holds}
    for name, channel in holds.items():
        values = packed[:, [abs(channel)]]
        found = whole.pixels[:, channels_of(whole.maps, name)]
        torch.testing.assert_close(found, 1 - values if channel < 0 else values, atol=1 / 250, rtol=0)


def test_single_maps_win_over_packed_ones_which_fill_what_is_missing(swatch: Swatch, tmp_path: Path) -> None:
    packed = gravel(96, 96, seed=4)
    single = gravel(96, 96, seed=8)[:, :1]
    parts = {"arm": save(tmp_path / "arm.png", packed), "roughness": save(tmp_path / "rough.png", single)}
    whole = read_map_set(swatch, parts)
    assert [each.name for each in whole.maps] == ["basecolor", "roughness", "metallic", "ao"]
    torch.testing.assert_close(whole.pixels[:, channels_of(whole.maps, "roughness")], single, atol=1 / 250, rtol=0)
    torch.testing.assert_close(
        whole.pixels[:, channels_of(whole.maps, "metallic")], packed[:, 2:], atol=1 / 250, rtol=0
    )
    assert any("The roughness in 'arm.png' gave way to 'rough.png'." in note for note in whole.notes)


def test_a_packed_map_without_its_alpha_gives_the_rest_and_is_told(swatch: Swatch, tmp_path: Path) -> None:
    whole = read_map_set(swatch, {"metallic_smoothness": save(tmp_path / "x.png", gravel(96, 96, seed=4))})
    assert [each.name for each in whole.maps] == ["basecolor", "metallic"]
    assert any("no alpha channel, so no roughness" in note for note in whole.notes)
