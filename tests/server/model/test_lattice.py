"""Facts about lattice waves: whole cycles on any torus, the same in any window, and one lattice in all harmonics."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from server.model.lattice import CELLS_PER_CYCLE, MAX_HARMONICS, Cycles, Lattice, Vector
from server.model.torus import Axis, Size, Span
from server.network.waves import phases, waves
from tests import drawn

deterministic = settings(derandomize=True, deadline=None, max_examples=25)
whole_sides = st.integers(16, 160)


def lattice_of(periods: tuple[Vector, Vector], harmonics: tuple[Cycles, ...] = ((1, 0), (0, 1), (1, 1))) -> Lattice:
    """The lattice of a pattern that repeats by these two vectors (y, x) in pixels."""
    (a, b), (c, d) = periods
    area = a * d - b * c
    return Lattice(basis=((d / area, -c / area), (-b / area, a / area)), harmonics=harmonics, strength=0.9)


LATTICES = {
    "bricks": lattice_of(drawn.running_bond_periods(), ((1, 0), (0, 1), (1, 1), (1, -1), (2, 0), (0, 2))),
    "tiles": lattice_of(drawn.square_tiles_periods(), ((1, 0), (0, 1), (2, 0), (0, 2))),
    "hexagons": lattice_of(drawn.hexagons_periods(), ((1, 0), (0, 1), (1, 1))),
    "weave": lattice_of(drawn.rotated_weave_periods(), ((1, 0), (0, 1), (1, 1), (1, -1))),
}
names = st.sampled_from(sorted(LATTICES))


def whole(lattice: Lattice, size: Size, level: int = 2, levels: int = 3) -> Tensor:
    """All harmonics over the whole torus, as complex (harmonics, rows, columns)."""
    axes = Axis(size.height, levels), Axis(size.width, levels)
    spans = Span(0, axes[0].cells(level)), Span(0, axes[1].cells(level))
    return as_complex(waves(lattice, list(lattice.harmonics), size, axes, level, spans))


def as_complex(channels: Tensor) -> Tensor:
    return torch.complex(channels[0, ::2].double(), channels[0, 1::2].double())


# ------------------------------------------------------------------------------------------------------ whole cycles


@deterministic
@given(name=names, height=whole_sides, width=whole_sides, level=st.integers(0, 2))
@example(name="bricks", height=301, width=173, level=2)
def test_every_wave_takes_whole_cycles_on_any_size(name: str, height: int, width: int, level: int) -> None:
    """Its spectrum over the torus is one point, where the whole numbers of cycles say."""
    lattice, size = LATTICES[name], Size(height, width)
    first, second = lattice.cycles(size)
    found = whole(lattice, size, level)
    rows, columns = found.shape[1:]
    spectrum = torch.fft.fft2(found).abs() / (rows * columns)
    for (m, n), one in zip(lattice.harmonics, spectrum, strict=True):
        down, across = m * first[0] + n * second[0], m * first[1] + n * second[1]
        assert one[down % rows, across % columns] == pytest.approx(1, abs=1e-5)
        assert one.square().sum() == pytest.approx(1, abs=1e-5)


@deterministic
@given(name=names, height=st.integers(16, 5000), width=st.integers(16, 5000))
def test_the_cycles_are_the_nearest_whole_numbers(name: str, height: int, width: int) -> None:
    lattice = LATTICES[name]
    first, second = lattice.cycles(Size(height, width))
    assert first[0] * second[1] != first[1] * second[0]
    if min(height, width) >= 80:  # at least a cell: no need to bend anything
        for (fy, fx), (down, across) in zip(lattice.basis, (first, second), strict=True):
            assert abs(down - fy * height) <= 0.5
            assert abs(across - fx * width) <= 0.5


@deterministic
@given(
    height=st.integers(16, 64),
    width=st.integers(16, 64),
    periods=st.tuples(st.floats(20, 400), st.floats(20, 400)),
    turn=st.floats(0, math.pi),
)
@example(height=16, width=16, periods=(400.0, 400.0), turn=0.0)
@example(height=16, width=16, periods=(20.0, 400.0), turn=math.pi / 4)
def test_a_torus_smaller_than_a_cell_still_gets_two_waves_that_are_not_parallel(
    height: int, width: int, periods: tuple[float, float], turn: float
) -> None:
    cos, sin = math.cos(turn), math.sin(turn)
    lattice = lattice_of(((periods[0] * cos, -periods[0] * sin), (periods[1] * sin, periods[1] * cos)))
    first, second = lattice.cycles(Size(height, width))
    assert first[0] * second[1] != first[1] * second[0]
    wanted = [(fy * height, fx * width) for fy, fx in lattice.basis]
    assert all(math.dist(got, want) < 2.2 for got, want in zip((first, second), wanted, strict=True))


@pytest.mark.parametrize("name", sorted(LATTICES))
def test_harmonics_are_products_of_the_two_basis_waves(name: str) -> None:
    """So they keep step everywhere: waves rounded one by one would beat against each other."""
    lattice = LATTICES[name]
    found = whole(lattice, Size(150, 133))
    for (m, n), harmonic in zip(lattice.harmonics, found, strict=True):
        torch.testing.assert_close(harmonic, found[0] ** m * found[1] ** n, rtol=0, atol=1e-5)


def test_a_wave_has_mean_zero_and_half_the_power_in_cosine_and_in_sine() -> None:
    found = whole(LATTICES["bricks"], Size(301, 173))
    for part in (found.real, found.imag):
        assert part.mean((1, 2)).abs().max() < 1e-5
        torch.testing.assert_close(part.square().mean((1, 2)), torch.full((6,), 0.5, dtype=torch.float64))


# ----------------------------------------------------------------------------------------------------------- windows


@deterministic
@given(data=st.data(), name=names, height=whole_sides, width=whole_sides, level=st.integers(0, 2))
def test_windows_of_waves_are_cut_from_the_whole_bit_for_bit(
    data: st.DataObject, name: str, height: int, width: int, level: int
) -> None:
    lattice, size = LATTICES[name], Size(height, width)
    axes = Axis(height, 3), Axis(width, 3)
    rows, columns = (axis.cells(level) for axis in axes)
    top, left = data.draw(st.integers(-900, 900)), data.draw(st.integers(-900, 900))
    spans = Span(top, top + data.draw(st.integers(1, 60))), Span(left, left + data.draw(st.integers(1, 60)))
    harmonics = list(lattice.harmonics)
    all_of_it = waves(lattice, harmonics, size, axes, level, (Span(0, rows), Span(0, columns)))
    down, across = (torch.arange(span.start, span.stop) for span in spans)
    found = waves(lattice, harmonics, size, axes, level, spans)
    assert found.dtype == torch.float32
    assert torch.equal(found, all_of_it[:, :, down % rows][:, :, :, across % columns])


@pytest.mark.parametrize("size", [(16, 16), (301, 173), (65536, 65535)], ids=str)
@pytest.mark.parametrize("turns", [-2, 1, 30000])
def test_waves_and_phases_wrap_exactly(size: tuple[int, int], turns: int) -> None:
    lattice, torus = LATTICES["weave"], Size(*size)
    axes = Axis(size[0], 2), Axis(size[1], 2)
    here = Span(3, 15), Span(-4, 9)
    for level in (0, 1):
        there = tuple(
            Span(span.start + turns * axis.cells(level), span.stop + turns * axis.cells(level))
            for span, axis in zip(here, axes, strict=True)
        )
        first, second = (
            waves(lattice, [(1, 0), (0, 1)], torus, axes, level, (spans[0], spans[1])) for spans in (here, there)
        )
        assert torch.equal(first, second)
    assert torch.equal(phases(lattice, torus, *here), phases(lattice, torus, *there))


# ------------------------------------------------------------------------------------------------------------ phases


@deterministic
@given(name=names, height=whole_sides, width=whole_sides)
def test_phases_agree_with_the_waves(name: str, height: int, width: int) -> None:
    lattice, size = LATTICES[name], Size(height, width)
    where = phases(lattice, size, Span(0, height), Span(0, width)).double() * (2 * math.pi)
    found = whole(lattice, size)[:2]
    assert where.shape == (2, height, width)
    torch.testing.assert_close(torch.polar(torch.ones_like(where), where), found, rtol=0, atol=2e-6)


def test_phase_is_zero_at_the_top_left_corner_and_grows_along_the_basis() -> None:
    lattice = lattice_of(((24.0, 0.0), (0.0, 16.0)))
    where = phases(lattice, Size(240, 160), Span(0, 24), Span(0, 16))
    torch.testing.assert_close(where[0, :, 5], (torch.arange(24) + 0.5) / 24)
    torch.testing.assert_close(where[1, 7], (torch.arange(16) + 0.5) / 16)


def test_phases_lie_below_one_cycle() -> None:
    lattice = lattice_of(((10.0, 10.0), (10.0, -10.0)))
    where = phases(lattice, Size(76, 76), Span(-50, 90), Span(-30, 90))
    assert where.min() >= 0
    assert where.max() < 1


# ------------------------------------------------------------------------------------------------- what a lattice is


@pytest.mark.parametrize(
    ("name", "periods"),
    [
        ("bricks", drawn.running_bond_periods()),
        ("tiles", drawn.square_tiles_periods()),
        ("hexagons", drawn.hexagons_periods()),
        ("weave", drawn.rotated_weave_periods()),
    ],
)
def test_periods_are_those_that_the_basis_was_made_from(name: str, periods: tuple[Vector, Vector]) -> None:
    for found, wanted in zip(LATTICES[name].periods(), periods, strict=True):
        assert found == pytest.approx(wanted)


def test_along_its_own_period_a_pattern_is_in_phase() -> None:
    """Moving by one period turns one basis wave by a whole cycle and leaves the other where it was."""
    lattice = LATTICES["hexagons"]
    for index, (py, px) in enumerate(lattice.periods()):
        turns = [fy * py + fx * px for fy, fx in lattice.basis]
        assert turns == pytest.approx([float(index == 0), float(index == 1)], abs=1e-12)


def stretch(lattice: Lattice, size: Size) -> float:
    """By how much the pattern is stretched or squeezed in the direction where it is worst."""
    got = torch.tensor([(y / size.height, x / size.width) for y, x in lattice.cycles(size)], dtype=torch.float64)
    change = torch.linalg.svdvals(torch.linalg.solve(torch.tensor(lattice.basis, dtype=torch.float64), got))
    return float((change - 1).abs().max())


@pytest.mark.parametrize("size", [(270, 760), (54, 76), (2700, 1520), (269, 762)], ids=str)
def test_sizes_of_whole_bricks_fit(size: tuple[int, int]) -> None:
    assert stretch(LATTICES["bricks"], Size(*size)) < 0.02
    assert LATTICES["bricks"].fits(Size(*size))


@pytest.mark.parametrize("size", [(256, 760), (270, 700), (40, 76), (16, 16)], ids=str)
def test_sizes_that_would_stretch_a_tile_do_not_fit(size: tuple[int, int]) -> None:
    lattice = lattice_of(((27.0, 0.0), (0.0, 76.0)))
    assert stretch(lattice, Size(*size)) > 0.02
    assert not lattice.fits(Size(*size))


@pytest.mark.parametrize("size", [(90, 110), (110, 90)], ids=str)
def test_a_slanted_pattern_that_would_be_sheared_does_not_fit(size: tuple[int, int]) -> None:
    lattice = lattice_of(((10.0, 10.0), (10.0, -10.0)))
    assert stretch(lattice, Size(*size)) > 0.05
    assert not lattice.fits(Size(*size))


@pytest.mark.parametrize("name", sorted(LATTICES))
def test_a_grid_carries_the_harmonics_whose_cycles_span_enough_cells(name: str) -> None:
    lattice = LATTICES[name]
    for cell in (1, 2, 4, 8, 16, 32):
        carried = lattice.carried(cell)
        for m, n in lattice.harmonics:
            (fy1, fx1), (fy2, fx2) = lattice.basis
            cells_per_cycle = 1 / math.hypot(m * fy1 + n * fy2, m * fx1 + n * fx2) / cell
            assert ((m, n) in carried) == (cells_per_cycle >= CELLS_PER_CYCLE)
    assert lattice.carried(1) == list(lattice.harmonics)
    assert lattice.carried(64) == []


# ---------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"basis": ((0.6, 0.0), (0.0, 0.1))}, "half a cycle"),
        ({"basis": ((math.nan, 0.0), (0.0, 0.1))}, "half a cycle"),
        ({"basis": ((0.1, 0.0), (0.0, -math.inf))}, "half a cycle"),
        ({"basis": ((0.1, 0.2), (0.05, 0.1))}, "parallel"),
        ({"basis": ((0.1, 0.0), (0.0, 0.0))}, "parallel"),
        ({"harmonics": ()}, "harmonics begin"),
        ({"harmonics": ((1, 0),)}, "harmonics begin"),
        ({"harmonics": ((0, 1), (1, 0))}, "harmonics begin"),
        ({"harmonics": ((1, 0), (0, 1), *((1, n) for n in range(1, MAX_HARMONICS)))}, "at most 12"),
        ({"harmonics": ((1, 0), (0, 1), (17, 0))}, "16 times"),
        ({"harmonics": ((1, 0), (0, 1), (0, -17))}, "16 times"),
        ({"strength": -0.1}, "strength"),
        ({"strength": 1.1}, "strength"),
        ({"strength": math.nan}, "strength"),
    ],
    ids=str,
)
def test_nonsense_is_no_lattice(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        replace(LATTICES["tiles"], **changes)
