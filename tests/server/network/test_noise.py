"""Facts about the noise field: uniform, independent of itself in every direction we thought of, the same everywhere.

All draws have fixed seeds, so the tests are deterministic. Where a statistic is normal the bar is 5 sigma (one in two
million by chance); for the largest of many it is 6.
"""

from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from server.network.noise import Field

SIGMAS = 5.0
LARGEST_SEED = 2**64 - 1
SEEDS = (0, 1, 2, 7, 2**31, 2**32 - 1, 2**32, 2**32 + 1, 2**63, LARGEST_SEED - 1, LARGEST_SEED)

# 2^16 times the values of channels 0 to 3, rounded down, at cells (0, 0) and (5, 3) of fields of 8 x 6 cells. A model
# file promises its pixels for ever: whoever changes the hash changes every texture of every seed.
KNOWN = {
    (0, 0): [[31514, 57020], [35642, 16290], [12368, 40684], [29815, 39797]],
    (1, 0): [[54466, 8606], [50274, 13337], [51041, 23335], [50728, 16248]],
    (0, 1): [[49815, 7294], [13348, 30732], [43379, 20068], [57752, 59740]],
    (7, 5): [[32369, 23942], [39781, 31154], [29823, 43367], [59144, 29168]],
    (2**32, 2): [[17138, 35741], [7606, 57661], [2348, 55272], [17660, 2758]],
    (LARGEST_SEED, 7): [[44144, 60646], [459, 27537], [48531, 19804], [18744, 31960]],
}


def field(seed: int = 0, level: int = 0, side: int = 256, channels: int = 1) -> np.ndarray:
    """The whole field as (channels, side, side) uint16: the bits behind the values."""
    values = Field(seed=seed, level=level, height=side, width=side).window(0, 0, side, side, channels)[0]
    return (values.double() * 2**16).floor().numpy().astype(np.uint16)


def normal(values: np.ndarray) -> np.ndarray:
    """Zero mean and unit variance, by what a uniform variable has."""
    return (values.astype(np.float64) / 2**16 - 0.5 + 2**-17) * 12**0.5


def chi_square(counts: np.ndarray, freedom: int | None = None) -> float:
    """Sigmas between the counts and an even spread."""
    freedom = freedom or counts.size - 1
    expected = counts.sum() / counts.size
    return float((np.square(counts - expected).sum() / expected - freedom) / (2 * freedom) ** 0.5)


def assert_independent(first: np.ndarray, second: np.ndarray) -> None:
    """Not correlated, and no other relation of one value to the other either."""
    n = first.size
    assert abs((normal(first) * normal(second)).sum()) / n**0.5 < SIGMAS
    high = np.bincount(((first >> 12 << 4) + (second >> 12)).ravel(), minlength=256)
    low = np.bincount((((first & 15) << 4) + (second & 15)).ravel(), minlength=256)
    assert abs(chi_square(high)) < SIGMAS
    assert abs(chi_square(low)) < SIGMAS
    assert abs((first == second).sum() - n / 2**16) < SIGMAS * (n / 2**16) ** 0.5 + 1


@pytest.mark.parametrize("seed", SEEDS)
def test_values_are_uniform(seed: int) -> None:
    values = field(seed, channels=2)
    for channel in values:
        for byte in (channel >> 8, channel & 255):
            assert abs(chi_square(np.bincount(byte.ravel(), minlength=256))) < SIGMAS
        ordered = np.sort(channel.ravel() / 2**16 + 2**-17)
        steps = np.arange(ordered.size + 1) / ordered.size
        distance = max(np.abs(steps[1:] - ordered).max(), np.abs(steps[:-1] - ordered).max())
        assert distance * ordered.size**0.5 < 2.75  # Kolmogorov: 2 exp(-2 t^2) at 5 sigma


@pytest.mark.parametrize("seed", SEEDS)
def test_every_row_and_every_column_is_uniform(seed: int) -> None:
    values = normal(field(seed))
    for axis in (0, 1):
        means = values.mean(axis) * values.shape[axis] ** 0.5
        assert np.abs(means).max() < SIGMAS
        assert abs(np.square(means).mean() - 1) < SIGMAS * (2 / means.size) ** 0.5


def test_values_lie_inside_0_and_1_and_are_exact_in_float32() -> None:
    values = Field(seed=3, level=2, height=512, width=512).window(0, 0, 512, 512, 3)
    assert values.dtype == torch.float32
    assert values.shape == (1, 3, 512, 512)
    assert values.min() > 0
    assert values.max() < 1
    assert torch.equal((values.double() * 2**17) % 2, torch.ones_like(values, dtype=torch.float64))


@pytest.mark.parametrize(("first", "second"), [*pairwise(SEEDS), (0, LARGEST_SEED), (1, 2**32), (5, 5 + 2**33)])
def test_seeds_are_independent(first: int, second: int) -> None:
    assert_independent(field(first), field(second))


def test_a_hundred_neighbouring_seeds_share_no_pattern() -> None:
    """Whatever all seeds had in common would stay in their mean; and no two of them are alike."""
    seeds = np.stack([normal(field(seed, side=64)[0]) for seed in range(100)])
    mean = seeds.mean(0) * 10
    assert np.abs(mean).max() < SIGMAS
    assert abs(np.square(mean).mean() - 1) < SIGMAS * (2 / mean.size) ** 0.5
    flat = seeds.reshape(100, -1)
    between = (flat @ flat.T / flat.shape[1] ** 0.5)[np.triu_indices(100, 1)]
    assert np.abs(between).max() < 6
    assert abs(np.square(between).mean() - 1) < SIGMAS * (2 / between.size) ** 0.5


def test_levels_are_independent() -> None:
    levels = [field(11, level) for level in range(6)]
    for first, second in combinations(levels, 2):
        assert_independent(first, second)


def test_channels_are_independent_also_the_two_halves_of_one_hash() -> None:
    channels = field(12, channels=9)
    for first, second in combinations(channels, 2):
        assert_independent(first, second)


def test_a_seed_is_not_another_seed_at_another_level_or_channel() -> None:
    """Seeds, levels and channel pairs are small numbers; exchanging them must not meet the same noise."""
    fields = [field(seed, level, channels=4)[channel] for seed in (1, 2) for level in (1, 2) for channel in (0, 2)]
    for first, second in combinations(fields, 2):
        assert_independent(first, second)


@pytest.mark.parametrize("number_of_channels", [1, 2, 3, 8])
def test_a_channel_does_not_depend_on_how_many_are_asked_for(number_of_channels: int) -> None:
    assert np.array_equal(field(4, channels=number_of_channels), field(4, channels=9)[:number_of_channels])


@pytest.mark.parametrize("shift", [(0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0), (0, 64), (64, 0)], ids=str)
def test_neighbours_are_independent(shift: tuple[int, int]) -> None:
    values = field(21)[0]
    assert_independent(values, np.roll(values, shift, (0, 1)))


def test_the_field_is_not_its_own_mirror_image() -> None:
    values = field(22, side=512)[0]
    upper = np.triu_indices(512, 1)
    assert_independent(values[upper], values.T[upper])
    for mirrored in (values[::-1], values[:, ::-1]):
        assert_independent(values[:256, :256].copy(), mirrored[:256, :256].copy())


@pytest.mark.parametrize("seed", [0, 1, LARGEST_SEED])
@pytest.mark.parametrize("channel", [0, 1])
def test_no_lag_is_correlated(seed: int, channel: int) -> None:
    """All 512 x 512 lags around the torus at once, by the spectrum (Wiener and Khinchin)."""
    values = normal(field(seed, side=512, channels=2)[channel])
    correlation = np.fft.ifft2(np.abs(np.fft.fft2(values)) ** 2).real / values.size**0.5
    lags = np.delete(correlation.ravel(), 0)
    assert np.abs(lags).max() < 6
    assert abs(np.square(lags).mean() - 1) < SIGMAS * (4 / lags.size) ** 0.5  # each lag stands there twice


@pytest.mark.parametrize("seed", [0, 1, LARGEST_SEED])
def test_the_spectrum_is_flat(seed: int) -> None:
    """Power is exponentially distributed with mean 1, in every block of frequencies and along both axes."""
    power = np.abs(np.fft.fft2(normal(field(seed, side=512)[0]))) ** 2 / 512**2
    half = power[1:, 1:256]  # the other half is its mirror image
    blocks = half[:510, :255].reshape(30, 17, 15, 17).mean((1, 3))
    assert np.abs(blocks - 1).max() < SIGMAS / 17
    for line in (power[0, 1:256], power[1:256, 0], np.diagonal(power)[1:256]):
        assert abs(line.mean() - 1) < SIGMAS / 255**0.5
    assert half.max() < np.log(half.size) + 14  # the largest of n exponentials, but for one in a million


def test_a_cell_is_more_than_its_row_and_its_column() -> None:
    """The hash adds a row's number to a column's; in a weak one the corners of rectangles would show it."""
    values = field(31, side=512)[0]
    quarters = [values[a : a + 256, b : b + 256].copy() for a in (0, 256) for b in (0, 256)]
    product = np.prod([normal(quarter) for quarter in quarters], 0)
    assert abs(product.sum()) / product.size**0.5 < SIGMAS
    assert_independent(quarters[0] + quarters[3], quarters[1] + quarters[2])
    assert_independent(quarters[0] ^ quarters[3], quarters[1] ^ quarters[2])
    assert np.linalg.svd(normal(values), compute_uv=False)[0] < 2 * 512**0.5 + 5  # as of a random matrix: no low rank


@settings(derandomize=True, deadline=None, max_examples=80)
@given(data=st.data())
def test_any_window_is_cut_from_the_same_field(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    seed, level = data.draw(st.integers(0, LARGEST_SEED)), data.draw(st.integers(0, 7))
    top, left = data.draw(st.integers(-200, 200)), data.draw(st.integers(-200, 200))
    rows, columns = data.draw(st.integers(1, 90)), data.draw(st.integers(1, 90))
    channels = data.draw(st.integers(1, 4))
    one = Field(seed=seed, level=level, height=height, width=width)
    whole = one.window(0, 0, height, width, channels)
    wrapped = whole[:, :, torch.arange(top, top + rows) % height][:, :, :, torch.arange(left, left + columns) % width]
    assert torch.equal(one.window(top, left, rows, columns, channels), wrapped)


def test_a_place_has_its_value_whatever_the_period() -> None:
    """A larger torus begins with the cells of the smaller one, so a seed keeps its character when the size changes."""
    small = Field(seed=5, level=1, height=20, width=30).window(0, 0, 20, 30, 2)
    large = Field(seed=5, level=1, height=70, width=90).window(0, 0, 20, 30, 2)
    assert torch.equal(small, large)


def test_far_ends_of_the_largest_torus_differ() -> None:
    largest = Field(seed=9, level=7, height=65536, width=65536)
    corners = [largest.window(y, x, 64, 64, 1) for y in (0, 65536 - 64) for x in (0, 65536 - 64)]
    assert torch.equal(largest.window(65536, -65536, 64, 64, 1), corners[0])
    for first, second in combinations(corners, 2):
        assert (first == second).float().mean() < 0.01


@pytest.mark.parametrize(("seed", "level"), list(KNOWN), ids=str)
def test_the_hash_is_the_one_that_model_files_were_made_with(seed: int, level: int) -> None:
    values = Field(seed=seed, level=level, height=8, width=6).window(0, 0, 8, 6, 4)[0]
    bits = (values.double() * 2**16).floor().long()
    assert [[int(channel[0, 0]), int(channel[5, 3])] for channel in bits] == KNOWN[seed, level]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("seed", SEEDS)
def test_processor_and_gpu_give_the_same_bits(seed: int) -> None:
    one = Field(seed=seed, level=3, height=1000, width=777)
    on_processor = one.window(-40, 700, 300, 200, 5)
    assert torch.equal(one.window(-40, 700, 300, 200, 5, "cuda").cpu(), on_processor)
