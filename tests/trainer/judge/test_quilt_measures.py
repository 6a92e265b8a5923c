"""Facts about the measures of quilts: what is counted on drawn fields, and joints told apart on a real quilt."""

from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from server.model.maps import BASE_COLOUR
from server.model.torus import Size, Window
from server.quilt.quilt import Quilt
from tests.drawn import gravel
from trainer.judge.quilt_measures import (
    AREAS,
    Shown,
    inside,
    joints,
    nearest_copy,
    never_shown,
    seen_over_due,
    shown,
)
from trainer.quilt.learning import unpriced

SIDE = 192  # of the swatch
NO_WRAP = (False, False)
PLACES = np.arange(40 * 60, dtype=np.int32).reshape(40, 60)


# ---- what is shown


def test_a_tiled_swatch_is_shown_alike_and_comes_again_after_one_side() -> None:
    tiled = Shown(np.tile(PLACES, (4, 4)), (40, 60))
    assert seen_over_due(tiled) == pytest.approx(1)
    assert never_shown(tiled) == 0
    assert nearest_copy(tiled) == pytest.approx(1)


def test_a_half_that_is_never_shown_is_counted() -> None:
    tiled = Shown(np.tile(PLACES[:20], (8, 4)), (40, 60))
    assert seen_over_due(tiled) == pytest.approx(2)
    assert never_shown(tiled) == 0.5
    assert nearest_copy(tiled) == pytest.approx(0.5)


def test_copies_are_looked_for_across_the_wrap_and_beyond_the_nearest_pixels() -> None:
    field = np.arange(160 * 240, dtype=np.int32).reshape(160, 240)
    assert nearest_copy(Shown(field, (40, 60))) == pytest.approx(np.hypot(160, 240) / 2 / 40)
    beside = field // 4  # four pixels side by side show the same: one place, no copy
    assert nearest_copy(Shown(beside, (40, 60))) == pytest.approx(np.hypot(160, 240) / 2 / 40)
    ends = field.copy()
    ends[:, :120] = field[:, 120:].copy()  # half a torus away
    assert nearest_copy(Shown(ends, (40, 60))) == pytest.approx(120 / 40)


def test_places_outside_are_those_that_are_shown_there() -> None:
    line = torch.tensor([-2, -1, 0, 9, 10, 11])
    assert inside(line, 10, wraps=False).tolist() == [1, 0, 0, 9, 9, 8]
    assert inside(line, 10, wraps=True).tolist() == [8, 9, 0, 9, 0, 1]


def test_a_quilt_shows_places_of_its_swatch() -> None:
    field = shown(sewn(), seed=3)
    assert field.numbers.shape == (4 * SIDE, 4 * SIDE)
    assert field.numbers.min() >= 0
    assert field.numbers.max() < SIDE**2
    assert field.swatch == (SIDE, SIDE)
    assert 1 < seen_over_due(field) < AREAS / 4
    assert never_shown(field) < 0.3
    assert 0.2 < nearest_copy(field) < 2
    sources = sewn().sources(3, Size(4 * SIDE, 4 * SIDE), Window(0, 0, 8, 8))
    row, column = (inside(sources[..., axis], SIDE, wraps=False) for axis in (0, 1))
    assert (field.numbers[:8, :8] == (row * SIDE + column).numpy()).all()


# ---- joints


@cache
def sewn() -> Quilt:
    pixels = (gravel(SIDE, SIDE)[0] * 255).round().to(torch.uint8)
    return unpriced([pixels], (BASE_COLOUR,), NO_WRAP, None)


SIZE = Size(384, 320)
WHOLE = Window(0, 0, 384, 320)


@cache
def swatch() -> Tensor:
    return sewn().pixels[0][None].float() / 255


def copied(sources: Tensor) -> Tensor:
    """The pixels of these places, no joint blended."""
    rows, columns = (inside(sources[..., axis], SIDE, wraps=False) for axis in (0, 1))
    return swatch()[:, :, rows, columns]


def straight(seed: int) -> Tensor:
    """The sources of a quilt whose patches meet in straight lines."""
    plan = sewn().plan(seed, SIZE)
    places = plan.places(range(plan.shape[0]), range(plan.shape[1]))
    lines = []
    for axis, side in zip(plan.axes, SIZE, strict=True):
        patch = torch.tensor([axis.patch_at(pixel) for pixel in range(side)])
        corner = torch.tensor([axis.corner(int(each)) for each in patch])
        lines.append((patch, torch.arange(side) - corner + axis.overlap))
    (row, down), (column, across) = lines
    return places[row][:, column] + torch.stack(torch.meshgrid(down, across, indexing="ij"), -1)


@pytest.mark.parametrize("seed", [0, 1])
def test_straight_joints_that_are_not_blended_stand_out_and_a_quilts_do_not(seed: int) -> None:
    sample = sewn().samples(seed, SIZE, WHOLE, (8,))[0].permute(2, 0, 1)[None].float() / 255
    sources = sewn().sources(seed, SIZE, WHOLE)
    blended = joints(sample, sources, swatch(), NO_WRAP)
    cut = joints(copied(sources), sources, swatch(), NO_WRAP)
    bad = joints(copied(straight(seed)), straight(seed), swatch(), NO_WRAP)
    assert blended
    assert cut
    assert bad
    assert 0.7 < blended < 1.3
    assert bad > 1.25 * cut
    assert bad > 1.8


def test_joints_of_haze_are_soft() -> None:
    sources = straight(0)
    sample = copied(sources).clone()
    rows, columns = (torch.arange(side) for side in SIZE)
    near = [
        torch.stack([(line - axis.corner(k)).abs() < 6 for k in range(axis.patches + 1)]).any(0)
        for line, axis in zip((rows, columns), sewn().plan(0, SIZE).axes, strict=True)
    ]
    sample[:, :, near[0][:, None] | near[1][None]] = swatch().mean()
    found = joints(sample, sources, swatch(), NO_WRAP)
    assert found
    assert found < 0.5


def test_joints_along_the_swatchs_own_wrap_are_none() -> None:
    line = torch.arange(2 * SIDE) % SIDE
    sources = torch.stack(torch.meshgrid(line, line, indexing="ij"), -1)
    assert joints(copied(sources), sources, swatch(), (True, True)) is None
    assert joints(copied(sources), sources, swatch(), NO_WRAP)
