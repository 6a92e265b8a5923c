"""Slow light is levelled; what is lit evenly stays as it is."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.drawn import blobs, gravel, hexagons, running_bond, square_tiles
from tests.trainer.command_line import save_picture
from trainer.swatch.light import level, levelled
from trainer.swatch.swatch import Swatch, read_swatch
from trainer.swatch.tiling import tiles

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data"


def even_blobs(seed: int = 0) -> Tensor:
    return blobs(384, 384, seed)


def falling(strong: float) -> Tensor:
    """Light that falls to the left, sRGB-encoded."""
    return torch.linspace(strong, 1, 384).view(1, 1, 1, 384)


def corners(strong: float) -> Tensor:
    """A lens that leaves the corners dark."""
    line = torch.linspace(-1, 1, 384)
    return 1 - (1 - strong) * (line[:, None].square() + line[None].square())[None, None] / 2


def parts(pixels: Tensor) -> Tensor:
    """Mean values of nine parts: (9,)."""
    return torch.stack([each.mean() for row in pixels.tensor_split(3, dim=2) for each in row.tensor_split(3, dim=3)])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("light", [falling(0.4), falling(0.5).flip(3), falling(0.5).mT, corners(0.4)])
def test_a_strong_gradient_comes_out_level(light: Tensor, seed: int) -> None:
    even = even_blobs(seed)
    lit = even * light
    before, after = parts(lit) / parts(even), parts(level(lit)[0]) / parts(even)
    assert float(before.max() / before.min()) > 1.2
    assert float((after / after.mean() - 1).abs().max()) < 0.05
    assert level(lit)[1]["brightness"] > 1.5


def test_a_drift_of_colour_comes_out_level_and_brightness_stays() -> None:
    clay = torch.tensor([0.9, 0.6, 0.5]).view(1, 3, 1, 1)
    even, ramp = even_blobs().mean(1, keepdim=True) * clay, torch.linspace(0.7, 1, 384)
    lit = even * torch.stack([ramp, torch.ones(384), ramp.flip(0)])[None, :, None]
    after, what = level(lit)
    assert list(what) == ["colour"]
    for channel in (0, 2):
        shares = parts(after[:, channel : channel + 1]) / parts(even[:, channel : channel + 1])
        assert float((shares / shares.mean() - 1).abs().max()) < 0.05


def test_the_mean_colour_stays() -> None:
    lit = even_blobs() * falling(0.5)
    assert (level(lit)[0].mean((2, 3)) - lit.mean((2, 3))).abs().max() < 0.02


@pytest.mark.parametrize("draw", [even_blobs, gravel, hexagons, running_bond, square_tiles])
def test_what_is_lit_evenly_stays_as_it_is(draw: Callable[[], Tensor]) -> None:
    even = draw()
    after, what = level(even)
    assert not what
    assert float((after - even).abs().max()) <= 1 / 255


def test_along_an_axis_that_tiles_nothing_is_taken_off() -> None:
    lit = even_blobs() * falling(0.5)
    assert not level(lit, wraps=(False, True))[1]
    assert level(lit, wraps=(True, False))[1]


def test_large_shapes_are_no_light() -> None:
    """Half of it dark: a step, which no slow surface explains, or the person would lose it."""
    blobs = torch.zeros(1, 3, 384, 384)
    for top, left in ((20, 30), (200, 60), (90, 250), (260, 280)):
        blobs[..., top : top + 90, left : left + 90] = 1
    assert not level((even_blobs() * 0.3 + blobs * 0.6).clamp(0, 1))[1]


@pytest.fixture
def swatch(tmp_path: Path) -> Swatch:
    return read_swatch(save_picture(tmp_path / "wall.png", even_blobs() * falling(0.3)), None)


def test_it_is_told_in_a_note_and_warned_of_no_longer(swatch: Swatch) -> None:
    assert any("light is uneven" in warning for warning in swatch.warnings)
    after = levelled(swatch)
    assert not any("light is uneven" in warning for warning in after.warnings)
    assert after.notes[-1].startswith("Slow light was levelled: brightness (")
    assert after.notes[-1].endswith("; --keep-light leaves it.")


def test_a_swatch_in_even_light_is_the_same_swatch(swatch: Swatch) -> None:
    even = dataclasses.replace(swatch, pixels=even_blobs())
    assert levelled(even) is even


@pytest.mark.skipif(not SHARED.exists(), reason="needs photographs beside the repository")
@pytest.mark.parametrize(
    "name",
    [
        "castle_brick_broken_06",
        "leaves_forest_ground",
        "long_white_tiles",
        "onyx003",
        "red_peppers",
        "roof_slates_02",
        "rosewood_veneer1",
        "rustymetal053c",
    ],
)
def test_photographs_in_even_light_stay_as_they_are(name: str) -> None:
    pixels = read_swatch(SHARED / "swatches" / f"{name}.jpg", 1024).pixels
    assert not level(pixels, tiles(pixels))[1]
    assert not level(pixels)[1]
