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
from trainer.judge.map_measures import relief_angle
from trainer.swatch.map_set import parse_map, part_of, read_map_set, recognised
from trainer.swatch.relief import levelled
from trainer.swatch.swatch import Swatch, UnusableSwatch, read_swatch


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


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("castle_brick_broken_06_diff_1k.jpg", "basecolor"),  # Poly Haven
        ("castle_brick_broken_06_nor_gl_1k.png", "normal"),
        ("castle_brick_broken_06_nor_dx_4k.png", "normal_dx"),
        ("castle_brick_broken_06_arm_1k.jpg", "arm"),
        ("castle_brick_broken_06_disp_2k.png", "height"),
        ("Rock058_1K-JPG_Color.jpg", "basecolor"),  # ambientCG
        ("Rock058_1K-JPG_NormalGL.jpg", "normal"),
        ("Rock058_1K-JPG_NormalDX.jpg", "normal_dx"),
        ("Rock058_1K-PNG_AmbientOcclusion.png", "ao"),
        ("Metal053C_4K_Metalness.tif", "metallic"),
        ("Metal053C_4K_Displacement.tif", "height"),
        ("albedo.jpg", "basecolor"),
        ("Base_Color.png", "basecolor"),
        ("roughness.png", "roughness"),
        ("brick.jpg", None),
        ("roughcast wall.jpg", None),
    ],
)
def test_names_that_libraries_give_are_recognised(name: str, part: str | None) -> None:
    assert part_of(Path(name)) == part


def test_a_folder_is_a_set_where_it_has_a_base_colour_and_another_map(tmp_path: Path) -> None:
    colour = save(tmp_path / "stone_diff_1k.png", gravel(64, 64))
    assert recognised(tmp_path) == {}
    rough = save(tmp_path / "stone_rough_1k.png", gravel(64, 64)[:, :1])
    normal = save(tmp_path / "stone_nor_gl_1k.png", tilted(0.2, 0.1))
    save(tmp_path / "stone_nor_dx_1k.png", tilted(0.2, -0.1))
    save(tmp_path / "preview.png", gravel(64, 64))
    assert recognised(tmp_path) == {"basecolor": colour, "roughness": rough, "normal": normal}
    save(tmp_path / "stone_roughness.png", gravel(64, 64)[:, :1])
    with pytest.raises(UnusableSwatch, match="both look like the roughness map"):
        recognised(tmp_path)


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
        "two roughness maps": {
            "roughness": save(tmp_path / "r.png", grey),
            "arm": save(tmp_path / "arm.png", gravel(96, 96, seed=4)),
        },
        "nowhere.png": {"height": tmp_path / "nowhere.png"},
    }
    for why, parts in refused.items():
        with pytest.raises(UnusableSwatch, match=why):
            read_map_set(swatch, parts)


@pytest.mark.parametrize("text", ["height", "height=", "bump=x.png", "=x.png"])
def test_map_options_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="NAME=FILE"):
        parse_map(text)


def test_derived_maps_fill_what_is_not_given(swatch: Swatch, tmp_path: Path) -> None:
    given = save(tmp_path / "r.png", gravel(96, 96, seed=9)[:, :1])
    whole = read_map_set(swatch, {"roughness": given}, ("normal", "height", "roughness"))
    assert [each.name for each in whole.maps] == ["basecolor", "normal", "roughness", "height"]
    torch.testing.assert_close(whole.pixels[:, 6:7], gravel(96, 96, seed=9)[:, :1], atol=1 / 500, rtol=0)
    assert any("Guessed from light and dark: normal, height." in note for note in whole.notes)


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
