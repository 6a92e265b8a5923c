"""Drawn materials have a lattice known to the last digit; photographs come from the shared folder, if it is there."""

import functools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from server.model.lattice import Lattice, Vector
from tests import drawn
from trainer.swatch.periods import (
    UnusableLattice,
    find_lattice,
    lattice_from_periods,
    lattice_picture,
    mean_cell,
    parse_lattice,
)

SWATCHES = Path(__file__).resolve().parents[3].parent / "shared/data/swatches"

Periods = tuple[Vector, Vector]

REGULAR: dict[str, tuple[Callable[[], Tensor], Periods]] = {
    "running bond": (lambda: drawn.running_bond(seed=0), drawn.running_bond_periods()),
    "running bond, other colours": (lambda: drawn.running_bond(seed=1), drawn.running_bond_periods()),
    "running bond of fractions": (
        lambda: drawn.running_bond(288, 416, 2, brick=(19.37, 61.8)),
        drawn.running_bond_periods((19.37, 61.8)),
    ),
    "square tiles": (lambda: drawn.square_tiles(256, 256, 3), drawn.square_tiles_periods()),
    "oblong tiles of fractions": (
        lambda: drawn.square_tiles(256, 300, 4, tile=(41.3, 17.45)),
        drawn.square_tiles_periods((41.3, 17.45)),
    ),
    "hexagons": (lambda: drawn.hexagons(seed=5), drawn.hexagons_periods()),
    "small hexagons": (lambda: drawn.hexagons(256, 256, 6, across=19.6), drawn.hexagons_periods(19.6)),
    "large hexagons": (lambda: drawn.hexagons(288, 288, 9, across=53.37), drawn.hexagons_periods(53.37)),
    "rotated weave": (lambda: drawn.rotated_weave(seed=7), drawn.rotated_weave_periods()),
    "weave turned further": (
        lambda: drawn.rotated_weave(256, 320, 8, pitch=11.3, angle_degrees=33),
        drawn.rotated_weave_periods(11.3, 33),
    ),
}


@functools.cache
def regular(name: str) -> tuple[Tensor, Periods]:
    draw, periods = REGULAR[name]
    return draw(), periods


@functools.cache
def found(name: str) -> Lattice:
    lattice = find_lattice(regular(name)[0])
    assert lattice is not None
    return lattice


def random_joints(seed: int, row: int = 24) -> Tensor:
    """Rows of equal height with upright joints anywhere: regular one way only."""
    random = torch.Generator().manual_seed(seed)
    wall = 0.5 + 0.03 * torch.randn(1, 3, 288, 288, generator=random)
    for top in range(5, 288, row):
        wall[:, :, top : top + 2] = 0.9
        for column in torch.randint(0, 288, (6,), generator=random).tolist():
            wall[:, :, top : top + row, column : column + 2] = 0.9
    return wall.clamp(0, 1)


def noise() -> Tensor:
    return torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(4))


def stripes() -> Tensor:
    wave = torch.sin(torch.arange(288) * 2 * math.pi / 17.3)
    return (0.5 + 0.4 * wave)[None, None, :, None].expand(1, 3, -1, 288)


def one_colour() -> Tensor:
    return torch.full((1, 3, 200, 200), 0.5)


IRREGULAR: dict[str, Callable[[], Tensor]] = {
    "gravel": lambda: drawn.gravel(seed=0),
    "coarse gravel": lambda: drawn.gravel(256, 256, 1, stone=22),
    "clouds": lambda: drawn.clouds(seed=2),
    "rough clouds": lambda: drawn.clouds(256, 320, 3, slope=1.0),
    "noise": noise,
    "one colour": one_colour,
    "stripes": stripes,
    "rows with joints anywhere": lambda: random_joints(6),
}


def assert_spans(lattice: Lattice, periods: Periods) -> None:
    """Both sets of vectors span one lattice: the true ones are whole combinations of the found, and no area is lost."""
    true, found = np.array(periods), np.array(lattice.periods())
    whole = true @ np.linalg.inv(found)
    assert np.abs(whole - whole.round()).max() < 0.05, f"{found.tolist()} do not make {true.tolist()}"
    assert abs(np.linalg.det(true) / np.linalg.det(found)) == pytest.approx(1, rel=0.03)


@pytest.mark.parametrize("name", REGULAR)
def test_a_regular_material_shows_its_lattice(name: str) -> None:
    assert found(name).strength > 0.4
    assert_spans(found(name), regular(name)[1])


@pytest.mark.parametrize("name", REGULAR)
def test_phases_stay_right_across_the_whole_swatch(name: str) -> None:
    pixels, periods = regular(name)
    lattice = found(name)
    waves, true = np.array(lattice.basis), np.linalg.inv(np.array(periods)).T
    nearest = (waves @ np.array(periods).T).round() @ true
    assert (np.abs(waves - nearest) @ np.array(pixels.shape[2:])).max() < 0.03  # cycles


@pytest.mark.parametrize("name", IRREGULAR)
def test_what_does_not_repeat_two_ways_has_no_lattice(name: str) -> None:
    assert find_lattice(IRREGULAR[name]()) is None


def test_a_straight_wall_gets_waves_that_are_exactly_straight() -> None:
    lattice = found("running bond of fractions")
    (a, b), (c, d) = lattice.basis
    assert 0.0 in (a + c, a - c)  # one combination runs straight across,
    assert 0.0 in (b + d, b - d)  # the other straight down


def test_a_turned_weave_is_not_straightened() -> None:
    lattice = found("rotated weave")
    assert all(abs(value) > 0.005 for wave in lattice.basis for value in wave)


@pytest.mark.parametrize("name", ["running bond", "small hexagons"])
def test_harmonics_are_few_and_no_finer_than_four_pixels(name: str) -> None:
    lattice = found(name)
    assert lattice.harmonics[:2] == ((1, 0), (0, 1))
    assert len(lattice.harmonics) == len(set(lattice.harmonics)) <= 8
    assert not {(-m, -n) for m, n in lattice.harmonics} & set(lattice.harmonics)
    assert np.hypot(*(np.array(lattice.harmonics) @ np.array(lattice.basis)).T).max() <= 0.25


def test_the_rows_do_not_take_all_harmonics_from_the_upright_joints() -> None:
    lattice = found("running bond")
    waves = np.abs(np.array(lattice.harmonics) @ np.array(lattice.basis))
    assert (waves[:, 1] > 1e-9).sum() >= 4


def test_noise_weakens_a_lattice_and_then_hides_it() -> None:
    clean, periods = regular("square tiles")
    dirt = drawn.gravel(256, 256, 1)
    strengths = []
    for share in (0.0, 0.4):
        lattice = find_lattice(torch.lerp(clean, dirt, share))
        assert lattice is not None
        assert_spans(lattice, periods)
        strengths.append(lattice.strength)
    assert strengths[0] > strengths[1] + 0.1
    assert find_lattice(torch.lerp(clean, dirt, 0.95)) is None


def test_a_weak_lattice_must_be_even() -> None:
    """Tiles laid by eye, as alike as those under a noise: a lattice would cut and bend them."""
    tiles = drawn.square_tiles(tile=(24, 24))
    generator = torch.Generator().manual_seed(1)
    bend_px = 5 * torch.randn(1, 2, 7, 7, generator=generator)
    bend = F.interpolate(bend_px, size=(384, 384), mode="bicubic", align_corners=True)[0].permute(1, 2, 0) / 192
    line = torch.linspace(-1, 1, 384)
    even = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)
    by_eye = F.grid_sample(tiles, (even + bend)[None], padding_mode="reflection", align_corners=True)
    share = lattice_from_periods(by_eye, (24.13, 0), (0, 23.89)).strength
    noisy = 0.35 * tiles + 0.65 * drawn.gravel()
    under_noise = find_lattice(noisy)
    assert under_noise
    assert under_noise.strength < 0.2
    assert share > 0.12
    assert find_lattice(by_eye) is None


def test_measured_periods_are_taken_at_their_word() -> None:
    pixels, periods = regular("running bond")
    lattice = lattice_from_periods(pixels, (27, 38), (0, 76))
    assert_spans(lattice, periods)
    assert lattice.strength == pytest.approx(found("running bond").strength, abs=0.03)
    wrong = lattice_from_periods(pixels, (23.5, 31), (0, 66))
    assert_spans(wrong, ((23.5, 31), (0, 66)))
    assert wrong.strength < 0.1


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [((20, 10), (40, 20), "parallel"), ((3, 0), (0, 40), "too short"), ((20, 0), (0, 900), "never repeats")],
)
def test_periods_that_cannot_be_are_refused_in_words(first: Vector, second: Vector, words: str) -> None:
    with pytest.raises(UnusableLattice, match=words):
        lattice_from_periods(one_colour(), first, second)


def test_the_flag_says_auto_none_or_two_periods() -> None:
    assert parse_lattice("auto") == "auto"
    assert parse_lattice("None") is None
    assert parse_lattice("27,38; 0,76.5") == ((27, 38), (0, 76.5))


@pytest.mark.parametrize(
    "text", ["", "brick", "27,38", "27,38;0", "27,38;0,76;1,1", "27;38;0;76", "a,b;c,d", "nan,1;2,3"]
)
def test_a_flag_that_says_nothing_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UnusableLattice, match="27,38;0,76"):
        parse_lattice(text)


def test_the_mean_cell_of_waves_holds_one_period_of_them() -> None:
    lattice = Lattice(basis=((1 / 40, 0.0), (1 / 90, 1 / 30)), harmonics=((1, 0), (0, 1)), strength=1.0)
    y, x = torch.arange(360)[:, None] + 0.5, torch.arange(360)[None] + 0.5
    first, second = y / 40 + 0 * x, y / 90 + x / 30
    pixels = torch.stack([0.5 + 0.3 * torch.cos(2 * math.pi * phase) for phase in (first, second, first - second)])[
        None
    ]
    cell = mean_cell(pixels, lattice, bins=24)
    p, q = (torch.arange(24)[:, None] + 0.5) / 24, (torch.arange(24)[None] + 0.5) / 24
    wanted = torch.stack([0.5 + 0.3 * torch.cos(2 * math.pi * phase) for phase in (p + 0 * q, 0 * p + q, p - q)])[None]
    torch.testing.assert_close(cell, wanted, atol=0.06, rtol=0)  # bins are wider than pixels: phases differ within


def test_cells_smaller_than_the_bins_leave_no_hole() -> None:
    lattice = Lattice(basis=((1 / 8, 0.0), (0.0, 1 / 6)), harmonics=((1, 0), (0, 1)), strength=1.0)
    cell = mean_cell(0.4 + 0.2 * torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(0)), lattice)
    assert cell.shape == (1, 3, 24, 24)
    assert cell.min() >= 0.4
    assert cell.max() <= 0.6


def test_the_picture_shows_the_swatch_and_its_mean_cell_side_by_side() -> None:
    pixels, periods = regular("square tiles")
    picture = lattice_picture(pixels, lattice_from_periods(pixels, *periods))
    assert picture.dtype == np.uint8
    assert picture.shape == (256, 2 * 256 + 8, 3)


def swatch(name: str, shorter_side: int = 384) -> Tensor:
    if not (SWATCHES / name).is_file():
        pytest.skip("the shared swatches are not here")
    image = Image.open(SWATCHES / name).convert("RGB")
    scale = shorter_side / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255


def test_photographed_tiles_show_their_lattice() -> None:
    lattice = find_lattice(swatch("long_white_tiles.jpg"))
    assert lattice is not None
    assert_spans(lattice, ((38.45, 0), (0, 11.62)))
    assert lattice.strength > 0.4


@pytest.mark.parametrize(
    "name",
    [
        "red_peppers",
        "leaves_forest_ground",
        "onyx003",
        "rustymetal053c",
        "rosewood_veneer1",
        "style_cezanne",
        "style_great_wave",
        "style_starry_night",
    ],
)
def test_photographs_without_a_lattice_are_given_none(name: str) -> None:
    assert find_lattice(swatch(f"{name}.jpg")) is None


@pytest.mark.parametrize("name", ["castle_brick_broken_06", "roof_slates_02"])
def test_a_half_regular_wall_is_never_taken_for_a_strict_one(name: str) -> None:
    lattice = find_lattice(swatch(f"{name}.jpg"))
    assert lattice is None or lattice.strength < 0.3
