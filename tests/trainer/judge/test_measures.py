"""Facts about the measures: each is quiet where all is well and loud for the one thing it looks for."""

from collections.abc import Callable
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from server.model.lattice import Lattice
from tests.drawn import clouds, gravel, square_tiles
from trainer.judge import measures
from trainer.swatch.periods import lattice_from_periods

PERIOD = 32  # of the tiles


@cache
def stones(seed: int = 0, side: int = 256) -> Tensor:
    return gravel(side, side, seed)


@cache
def wall() -> Tensor:
    return square_tiles(2 * 256, 2 * 256, seed=1)


@cache
def tiles() -> Tensor:
    return wall()[..., :256, :256]


@cache
def tiles_lattice() -> Lattice:
    return lattice_from_periods(tiles(), (PERIOD, 0), (0, PERIOD))


@cache
def soft(seed: int = 0, side: int = 512) -> Tensor:
    """A torus: coloured noise, blurred round the wrap."""
    noise = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(seed))
    for _ in range(2):
        noise = F.avg_pool2d(F.pad(noise, (2,) * 4, mode="circular"), 5, 1)
    return ((noise - 0.5) * 5 + 0.5).clamp(0, 1)


def noise(seed: int = 0, side: int = 256) -> Tensor:
    return torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(seed))


def blurred(image: Tensor, side: int = 5) -> Tensor:
    return F.avg_pool2d(F.pad(image, (side // 2,) * 4, mode="reflect"), side, 1)


def distance_in_floors(image: Tensor, patch: int = 7, scales: int = 4) -> float:
    target, own = target_and_floor(patch, scales)
    return measures.patch_distance(measures.patch_statistics(image, patch, scales), target) / own


@cache
def target_and_floor(patch: int, scales: int) -> tuple[measures.Statistics, float]:
    def statistics(image: Tensor) -> measures.Statistics:
        return measures.patch_statistics(image, patch, scales)

    return statistics(stones()), measures.floor(stones(), statistics, measures.patch_distance)


# ---- distances


def test_the_swatch_is_no_distance_from_itself() -> None:
    assert distance_in_floors(stones()) == 0


def test_more_of_the_same_material_is_about_a_floor_away() -> None:
    assert 0.2 < distance_in_floors(stones(seed=1)) < 2.5


def test_a_blurred_swatch_is_farther_than_more_of_the_same_and_noise_farther_still() -> None:
    assert distance_in_floors(stones(seed=1)) < distance_in_floors(blurred(stones())) < distance_in_floors(noise())


def test_colours_are_compared_without_regard_to_place() -> None:
    shuffled = stones().flatten(2)[:, :, torch.randperm(256**2, generator=torch.Generator().manual_seed(0))]
    assert distance_in_floors(shuffled.view_as(stones()), patch=1, scales=1) < 0.3
    assert distance_in_floors(stones() * 0.8, patch=1, scales=1) > 2


def test_the_size_of_a_picture_does_not_move_its_distance() -> None:
    large, small = stones(seed=1, side=384), stones(seed=1, side=384)[..., :256, :256]
    assert distance_in_floors(large) == pytest.approx(distance_in_floors(small), abs=0.8)


def test_gram_distance_is_relative_to_the_swatch() -> None:
    def features(image: Tensor) -> dict[str, Tensor]:
        return {"gradient": image.diff(dim=2)}

    wanted = measures.gram_statistics(stones(), features, smallest=8)
    assert len(wanted) == measures.GRAM_SCALES
    assert measures.gram_distance(wanted, wanted) == 0
    twice = [2 * each for each in wanted]
    assert measures.gram_distance(twice, wanted) == pytest.approx(1, abs=1e-4)


def test_the_floor_follows_from_its_seed() -> None:
    first, again, other = (
        measures.floor(stones(), lambda image: measures.patch_statistics(image, 1, 1), measures.patch_distance, seed)
        for seed in (0, 0, 1)
    )
    assert first == again != other


# ---- seams


def test_a_torus_has_no_seam() -> None:
    assert measures.seam(soft()) <= 1.05


@pytest.mark.parametrize("cut", [(slice(0, 300), slice(None)), (slice(None), slice(0, 300))], ids=("rows", "columns"))
def test_a_seam_is_seen_on_either_axis(cut: tuple[slice, slice]) -> None:
    assert measures.seam(soft()[:, :, *cut]) > 2


def test_a_joint_on_the_wrap_is_no_seam() -> None:
    lines = torch.zeros(1, 3, 128, 128)
    lines[..., ::16, :] = 1
    assert measures.seam(lines) <= 1


# ---- lattice


def kept(image: Tensor) -> float:
    found = measures.lattice_kept(image, tiles(), tiles_lattice())
    assert found is not None
    return found


def test_the_swatch_keeps_its_own_lattice() -> None:
    assert kept(tiles()) == pytest.approx(1)


def test_more_of_the_same_wall_keeps_the_lattice() -> None:
    assert kept(wall()[..., 256:, 200:500]) > 0.85


def test_whole_cycles_may_cost_a_stretch() -> None:
    assert kept(F.interpolate(tiles(), size=(266, 246), mode="bicubic").clamp(0, 1)) > 0.85


def test_another_period_is_a_lost_lattice() -> None:
    assert kept(F.interpolate(tiles(), size=(320, 320), mode="bicubic").clamp(0, 1)) < 0.6


def test_rows_that_slip_against_each_other_are_seen() -> None:
    slipped = tiles().clone()
    for row in range(0, 256, 2 * PERIOD):
        slipped[..., row : row + PERIOD, :] = slipped[..., row : row + PERIOD, :].roll(PERIOD // 2, 3)
    assert 0.2 < kept(slipped) < 0.8


def test_stones_keep_no_lattice() -> None:
    assert kept(stones()) < 0.3


def test_without_peaks_in_the_swatch_nothing_can_be_kept() -> None:
    assert measures.lattice_kept(tiles(), noise(), tiles_lattice()) is None
    assert measures.lattice_kept(tiles(), tiles()[..., :60, :60], tiles_lattice()) is None  # no period fits half of it


# ---- diversity and repeats


def test_one_picture_for_all_seeds_has_no_diversity() -> None:
    assert measures.diversity(stones().repeat(3, 1, 1, 1), stones(), None) == pytest.approx(0, abs=1e-6)


def test_other_grain_on_the_same_shapes_is_no_diversity() -> None:
    grained = stones().repeat(3, 1, 1, 1) + 0.1 * torch.randn(
        3, 3, 256, 256, generator=torch.Generator().manual_seed(0)
    )
    found = measures.diversity(grained, stones(), None)
    assert found is not None
    assert found < 0.1


def test_unrelated_pictures_are_as_diverse_as_pieces_of_the_swatch() -> None:
    samples = torch.cat([stones(seed) for seed in (1, 2, 3)])
    assert measures.diversity(samples, stones(), None) == pytest.approx(1, abs=0.2)


def test_a_shared_lattice_costs_no_diversity() -> None:
    samples = torch.cat([wall()[..., :256, 256:], wall()[..., 256:, :256], wall()[..., 256:, 256:]])
    found, blind = (measures.diversity(samples, tiles(), lattice) for lattice in (tiles_lattice(), None))
    assert found == pytest.approx(1, abs=0.25)
    assert blind is not None
    assert found is not None
    assert blind < found - 0.1


def test_one_seed_has_no_diversity_to_measure() -> None:
    assert measures.diversity(stones(), stones(), None) is None


def test_a_piece_that_comes_again_is_a_repeat() -> None:
    material = clouds(512, 512, slope=1.2)
    assert measures.repeats(clouds(512, 512, seed=1, slope=1.2), material) < 0.2
    assert measures.repeats(clouds(512, 512, seed=1, slope=1.2)[..., :128, :128].tile(1, 1, 4, 4), material) > 0.6


def test_a_regular_swatch_may_be_repeated_as_it_repeats_itself() -> None:
    assert measures.repeats(wall(), tiles()) < 0.1


# ---- copying


@pytest.mark.parametrize("shift", [(0, 0), (37, 90)], ids=str)
def test_a_tiled_swatch_is_copied(shift: tuple[int, int]) -> None:
    tiled = stones().roll(shift, (2, 3)).tile(1, 1, 2, 2)
    inside = measures.copying(tiled, stones())
    assert inside is not None
    assert inside > 0.7  # pieces across a seam are new


def test_the_swatch_copies_itself() -> None:
    assert measures.copying(stones(), stones()) == 1


def test_a_mended_copy_is_still_a_copy() -> None:
    grained = stones() + 0.03 * torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    found = measures.copying(grained * 0.98, stones())
    assert found is not None
    assert found > 0.8


@pytest.mark.parametrize("side", [1, 9], ids=("sharp", "blurred"))
def test_more_of_the_same_material_is_not_copied(side: int) -> None:
    found = measures.copying(blurred(stones(seed=1), side), stones())
    assert found is not None
    assert found < 0.03


def test_other_tiles_of_the_same_wall_are_not_copied() -> None:
    found = measures.copying(wall()[..., 256:, 256:], tiles())
    assert found is not None
    assert found < 0.1


def test_copying_is_not_measured_in_a_small_swatch() -> None:
    assert measures.copying(stones(), stones()[..., :95, :]) is None


# ---- grid


def sharper_every_second_column(image: Tensor) -> Tensor:
    result = image.clone()
    result[..., 1:-1:2] = (image[..., 0:-2:2] + 2 * image[..., 1:-1:2] + image[..., 2::2]) / 4
    return result


def checkerboard(image: Tensor, side: int, strength: float) -> Tensor:
    y, x = (torch.arange(length) // side for length in image.shape[2:])
    return image + strength * (2 * ((y[:, None] + x[None, :]) % 2) - 1)


@pytest.mark.parametrize("size", [(256, 256), (250, 214)], ids=str)
def test_a_clean_texture_has_no_grid(size: tuple[int, int]) -> None:
    assert measures.grid(stones(seed=1)[..., : size[0], : size[1]], stones()) < 1.8


def test_a_swatchs_own_grid_is_not_held_against_the_texture() -> None:
    marked = checkerboard(stones(), 1, 0.03)
    assert measures.grid(marked, marked) == pytest.approx(1, abs=0.05)
    assert measures.grid(marked, stones()) > 3


@pytest.mark.parametrize("side", [1, 2, 4, 8])
def test_a_faint_checkerboard_is_seen(side: int) -> None:
    assert measures.grid(checkerboard(stones(seed=1), side, 0.015 * side), stones()) > 2.5


def test_a_change_of_sharpness_every_second_pixel_is_seen() -> None:
    assert measures.grid(sharper_every_second_column(stones(seed=1)), stones()) > 2.5


def test_a_lattice_is_not_taken_for_a_grid() -> None:
    wider = square_tiles(256, 256, seed=1, tile=(19, 23))
    assert measures.grid(wider, stones()) < 2


def test_rows_as_long_as_a_cell_are_not_taken_for_a_grid_and_hide_no_other() -> None:
    rows = stones(seed=1) + 0.1 * torch.cos(2 * torch.pi * torch.arange(256) / 16)[:, None]
    lattice = Lattice(basis=((1 / 32, 0.0), (0.0, 1 / 40)), harmonics=((1, 0), (0, 1)), strength=0.5)
    assert measures.grid(rows, stones()) > 3
    assert measures.grid(rows, stones(), lattice) < 2
    assert measures.grid(checkerboard(rows, 1, 0.015), stones(), lattice) > 2.5


@pytest.mark.parametrize("period", [4, 8, 16])
def test_a_turned_lattice_hides_no_mark(period: int) -> None:
    turned = Lattice(basis=((0.043, 0.0157), (-0.0157, 0.043)), harmonics=((1, 0), (0, 1), (1, 1)), strength=0.5)
    marked = stones(seed=1) + 0.1 * torch.cos(2 * torch.pi * torch.arange(256) / period)
    assert measures.grid(marked, stones(), turned) > 2.5


# ---- coarse grid


@cache
def seeds(count: int = 3) -> Tensor:
    return torch.cat([billows(seed) for seed in range(count)])


@cache
def billows(seed: int, height: int = 512, width: int = 512) -> Tensor:
    """A torus of fractal noise."""
    noise = torch.fft.rfft2(torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(seed)))
    frequency = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None])
    frequency[0, 0] = torch.inf
    pixels = torch.fft.irfft2(noise * frequency**-1.2, s=(height, width))
    return 0.5 + 0.15 * pixels / pixels.std()


def in_cells(period: float, side: int, axes: str = "both") -> Tensor:
    """1 on the first `side` pixels of every cell: lines of one axis, or squares of both."""
    line = (torch.arange(512) % period < side).float()
    rows, columns = line[:, None].expand(512, 512), line[None].expand(512, 512)
    return {"rows": rows, "columns": columns, "both": rows * columns}[axes]


def keeps_to_cells(samples: Tensor, lattice: Lattice | None = None) -> float:
    found = measures.coarse_grid(samples, lattice)
    assert found is not None
    return found


@pytest.mark.parametrize("draw", [gravel, lambda h, w, seed: billows(seed, h, w)], ids=("gravel", "billows"))
def test_shapes_that_lie_anywhere_keep_to_no_cells(draw: Callable[[int, int, int], Tensor]) -> None:
    assert keeps_to_cells(torch.cat([draw(512, 512, seed) for seed in range(3)])) < 1.7
    assert keeps_to_cells(draw(512, 512, 7)) < 2.2  # one sample is less sure


@pytest.mark.parametrize("axes", ["rows", "columns", "both"])
@pytest.mark.parametrize("period", [32, 64])
def test_shapes_on_coarse_cells_are_seen_where_the_finer_grid_is_not_marked(period: int, axes: str) -> None:
    marked = seeds() - 0.1 * in_cells(period, period // 4, axes)
    assert keeps_to_cells(marked) > 10
    assert keeps_to_cells(marked[:1]) > 2.5


def test_a_checkerboard_of_coarse_cells_is_seen() -> None:
    assert keeps_to_cells(checkerboard(seeds(), 16, 0.02)) > 5


def test_contrast_on_coarse_cells_is_seen() -> None:
    grain = 0.05 * torch.randn(3, 3, 512, 512, generator=torch.Generator().manual_seed(1))
    assert keeps_to_cells(seeds() + grain) < 1.7
    assert keeps_to_cells(seeds() + grain * (1 + 0.3 * in_cells(32, 8))) > 4


def test_cells_of_another_period_are_none() -> None:
    assert keeps_to_cells(seeds() - 0.1 * in_cells(512 / 18, 7)) < 1.7


def test_a_size_that_no_cell_divides_is_folded_as_its_torus_is() -> None:
    """600 pixels hold round(600 / 32) = 19 cells."""
    samples = torch.cat([billows(seed, 600) for seed in range(3)])
    for cells, marked in ((19, True), (18, False)):
        lines = (torch.arange(600) * cells / 600 % 1 < 0.25).float()
        assert (keeps_to_cells(samples - 0.1 * lines[:, None]) > 2) == marked


def test_a_rhythm_that_begins_elsewhere_for_every_seed_is_no_mark() -> None:
    shifts = [0, 5, 9, 14, 20, 27]
    courses = torch.stack([in_cells(32, 6, "rows").roll(shift, 0) for shift in shifts])[:, None]
    assert keeps_to_cells(seeds(6) - 0.2 * courses) < 3
    assert keeps_to_cells(seeds(6) - 0.2 * in_cells(32, 6, "rows")) > 50


@pytest.mark.parametrize("tile", [(32, 32), (64, 512 / 11)], ids=str)
def test_a_lattice_of_a_cells_period_is_no_mark_and_hides_no_other(tile: tuple[float, float]) -> None:
    lattice = Lattice(basis=((1 / tile[0], 0.0), (0.0, 1 / tile[1])), harmonics=((1, 0), (0, 1)), strength=0.9)
    joints = in_cells(tile[0], 3, "rows").maximum(in_cells(tile[1], 3, "columns"))
    tiled = seeds() - 0.2 * joints
    assert keeps_to_cells(tiled) > 10
    assert keeps_to_cells(tiled, lattice) < 2
    if tile[1] != 32:
        assert keeps_to_cells(tiled - 0.1 * in_cells(32, 8, "columns"), lattice) > 10


def test_few_cells_are_not_measured() -> None:
    assert measures.coarse_grid(clouds(96, 96)) is None
    assert measures.coarse_grid(torch.cat([clouds(128, 128, seed) for seed in range(2)])) is not None


def test_a_picture_of_one_colour_has_no_mark() -> None:
    assert keeps_to_cells(torch.full((3, 3, 256, 256), 0.5)) == pytest.approx(1)


def test_more_samples_make_the_grid_surer() -> None:
    samples = torch.cat([stones(seed) for seed in (1, 2, 3)])
    assert measures.grid(samples, stones()) < 1.5
