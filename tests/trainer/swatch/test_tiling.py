"""Swatches that go on over their own border are found, and others are not taken for such."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from server.model.lattice import Lattice
from tests.drawn import blobs, clouds, gravel, hexagons, running_bond
from trainer.swatch.swatch import read_swatch
from trainer.swatch.tiling import closed, tiles

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data"


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("size", [(128, 128), (256, 320), (700, 520)], ids=str)
def test_a_torus_tiles_both_ways(size: tuple[int, int], seed: int) -> None:
    assert tiles(blobs(*size, seed=seed)) == (True, True)


@pytest.mark.parametrize("seed", range(6))
def test_a_piece_of_a_torus_tiles_only_where_it_is_whole(seed: int) -> None:
    torus = blobs(seed=seed)
    assert tiles(torus[..., :200, :]) == (False, True)
    assert tiles(torus[..., :211]) == (True, False)
    assert tiles(torus[..., 20:230, 10:270]) == (False, False)


@pytest.mark.parametrize("draw", [gravel, clouds, hexagons, running_bond], ids=lambda draw: draw.__name__)
@pytest.mark.parametrize("seed", range(3))
def test_drawn_materials_that_end_anywhere_do_not_tile(draw: object, seed: int) -> None:
    assert callable(draw)
    assert tiles(draw(300, 331, seed)) == (False, False)


def test_where_it_is_turned_around_does_not_matter() -> None:
    torus = blobs(seed=7)
    assert all(tiles(torus.roll((down, across), (2, 3))) == (True, True) for down, across in ((31, 0), (100, 77)))


def test_a_torus_made_smaller_still_tiles() -> None:
    small = F.interpolate(blobs(512, 512), size=(300, 300), mode="bicubic", antialias=True).clamp(0, 1)
    assert tiles(small) == (True, True)


def test_all_maps_are_looked_at() -> None:
    whole, cut = blobs(), gravel(256, 320)
    assert tiles(torch.cat([whole, whole.mean(1, keepdim=True)], 1)) == (True, True)
    assert tiles(torch.cat([whole[:, :1], cut], 1)) == (False, False)


def test_one_colour_and_a_calm_border_tell_nothing() -> None:
    assert tiles(torch.full((1, 3, 128, 128), 0.4)) == (False, False)
    framed = blobs()
    framed[..., :12, :] = framed[..., -12:, :] = 0.9
    assert tiles(framed) == (False, True)


@pytest.mark.skipif(not SHARED.exists(), reason="needs photographs beside the repository")
@pytest.mark.parametrize("size", [1024, 512])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("castle_brick_broken_06", True),
        ("leaves_forest_ground", True),
        ("long_white_tiles", True),
        ("onyx003", True),
        ("roof_slates_02", True),
        ("rosewood_veneer1", True),
        ("rustymetal053c", True),
        ("red_peppers", False),
        ("style_cezanne", False),
        ("style_great_wave", False),
        ("style_starry_night", False),
    ],
)
def test_photographs_that_libraries_made_to_tile_do_and_others_do_not(name: str, expected: bool, size: int) -> None:
    pixels = read_swatch(SHARED / "swatches" / f"{name}.jpg", size).pixels
    assert tiles(pixels) == (expected, expected)


def grouted(height: int = 288, width: int = 320, seed: int = 0) -> torch.Tensor:
    """Tiles of 24 x 40 pixels of many tones that fill the picture whole: all around it lies half a joint."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    random = torch.Generator().manual_seed(seed)
    tones = 0.4 + 0.1 * torch.rand(height // 24, width // 40, generator=random)
    joint = ((y + 2) % 24 < 4) | ((x + 2) % 40 < 4)
    grey = torch.where(joint, 0.9, tones[y // 24, x // 40]) + 0.02 * torch.randn(height, width, generator=random)
    return grey.clamp(0, 1).expand(1, 3, -1, -1)


TILES = Lattice(basis=((1 / 24, 0.0), (0.0, 1 / 40)), harmonics=((1, 0), (0, 1)), strength=0.9)


@pytest.mark.parametrize("seed", range(3))
def test_a_border_on_a_joint_of_tiles_is_like_other_joints(seed: int) -> None:
    whole = grouted(seed=seed)
    assert tiles(whole) == (False, False)  # hardly any line inside has such steps
    assert tiles(whole, TILES) == (True, True)
    assert tiles(whole[..., 9:, :], TILES) == (False, True)
    framed = whole.clone()
    framed[..., :8] = framed[..., -8:] = 0.2
    assert tiles(framed, TILES) == (True, False)


def test_a_lattice_has_whole_cycles_over_the_sides_that_tile() -> None:
    """Measured to a few hundredths of a cycle over the swatch; 0.3 of one is another lattice."""
    lattice = Lattice(basis=((10.04 / 300, 0.0), (0.02 / 300, 7.3 / 400)), harmonics=((1, 0), (0, 1)), strength=0.5)
    assert closed(lattice, (300, 400), (True, True)).basis == ((10 / 300, 0.0), (0.0, 7.3 / 400))
    assert closed(lattice, (300, 400), (False, True)) == lattice


def test_the_free_wave_of_courses_is_no_obstacle() -> None:
    courses = Lattice(basis=((9.95 / 300, 0.0), (0.0, 7.3 / 400)), harmonics=((1, 0), (0, 1)), strength=0.5)
    assert closed(courses, (300, 400), (True, True), free=True).basis == ((10 / 300, 0.0), (0.0, 7 / 400))
    assert closed(courses, (300, 400), (False, False), free=True) == courses
