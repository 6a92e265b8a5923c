"""A texture lies on an object at its own scale, and its size holds whole bricks, as near as may be to the one asked."""

import math

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from blender_addon.tasks.placement import STRETCH, Lattice, preview_size, tile_width, waves, whole_periods
from server.model.lattice import Lattice as Waves
from server.model.torus import Size

RUNNING_BOND: Lattice = ((27.0, 38.0), (0.0, 76.0))
sides = st.integers(16, 16384)
steps = st.tuples(st.floats(-300, 300), st.floats(-300, 300))


@st.composite
def lattices(draw: st.DrawFn) -> Lattice:
    """Two steps that are not all but parallel, with waves that pixels can carry."""
    first, second = draw(steps), draw(steps)
    area = abs(first[0] * second[1] - first[1] * second[0])
    assume(area > 0.3 * math.hypot(*first) * math.hypot(*second))
    assume(max(map(abs, (*first, *second))) <= 0.5 * area)
    return first, second


def of_server(lattice: Lattice) -> Waves:
    return Waves(basis=waves(lattice), harmonics=((1, 0), (0, 1)), strength=1.0)


def worst(lattice: Lattice, size: tuple[int, int], axis: int) -> float:
    """The stretch along one axis, from what the server itself would paint."""
    basis = of_server(lattice).basis
    return max(abs(round(wave[axis] * size[axis]) / size[axis] - wave[axis]) / math.hypot(*wave) for wave in basis)


def stretch(lattice: Lattice, size: tuple[int, int]) -> float:
    return max(worst(lattice, size, axis) for axis in (0, 1))


def longest_step(lattice: Lattice, axis: int) -> int:
    return math.ceil(max(abs(step[axis]) for step in lattice))


# -------------------------------------------------------------------------------------------------------------- scale


def test_a_texture_is_as_wide_as_its_texels() -> None:
    assert tile_width((512, 1024), 256.0) == 4.0
    assert tile_width((512, 2048), 256.0) == 8.0


@pytest.mark.parametrize(("size", "texels"), [((0, 8), 1.0), ((8, 8), 0.0), ((8, 8), math.inf), ((8, 8), math.nan)])
def test_a_scale_without_end_is_refused(size: tuple[int, int], texels: float) -> None:
    with pytest.raises(ValueError, match="above zero"):
        tile_width(size, texels)


# ------------------------------------------------------------------------------------------------------------ periods


@given(lattices())
def test_waves_are_those_of_the_server(lattice: Lattice) -> None:
    for told, step in zip(of_server(lattice).periods(), lattice, strict=True):
        assert told == pytest.approx(step, rel=1e-9, abs=1e-9)


def test_bricks_in_running_bond_get_whole_courses_and_whole_bricks() -> None:
    height, width = whole_periods(RUNNING_BOND, (512, 512))
    assert abs(height - 486) <= 4  # nine pairs of courses of 27 pixels
    assert abs(width - 532) <= 4  # seven bricks of 76 pixels
    assert stretch(RUNNING_BOND, (512, 512)) > 0.02


@given(lattices(), st.tuples(sides, sides))
def test_the_pattern_is_never_stretched_more_than_at_the_size_asked_for(
    lattice: Lattice, size: tuple[int, int]
) -> None:
    found = whole_periods(lattice, size)
    for axis in (0, 1):
        assert worst(lattice, found, axis) <= worst(lattice, size, axis) or worst(lattice, found, axis) <= STRETCH


@given(lattices(), st.tuples(sides, sides))
def test_the_size_stays_within_one_step_of_the_pattern_and_within_the_bounds(
    lattice: Lattice, size: tuple[int, int]
) -> None:
    found = whole_periods(lattice, size)
    assert all(abs(found[axis] - size[axis]) <= longest_step(lattice, axis) for axis in (0, 1))
    assert all(16 <= side <= 16384 for side in found)


@given(lattices(), st.tuples(st.integers(16, 700), st.integers(16, 700)))
def test_no_nearer_size_would_do_as_well(lattice: Lattice, size: tuple[int, int]) -> None:
    found = whole_periods(lattice, size)
    for axis in (0, 1):
        good = worst(lattice, found, axis) <= STRETCH
        reach = abs(found[axis] - size[axis]) - 1 if good else longest_step(lattice, axis)
        limit = STRETCH if good else worst(lattice, found, axis) - 1e-12
        for side in range(max(16, size[axis] - reach), size[axis] + reach + 1):
            assert worst(lattice, (side, side), axis) > limit


@given(lattices(), sides, sides, sides)
def test_height_and_width_do_not_care_for_each_other(lattice: Lattice, height: int, width: int, other: int) -> None:
    assert whole_periods(lattice, (height, width))[0] == whole_periods(lattice, (height, other))[0]
    assert whole_periods(lattice, (height, width))[1] == whole_periods(lattice, (other, width))[1]


@given(lattices(), st.tuples(sides, sides))
def test_a_size_that_was_found_is_kept(lattice: Lattice, size: tuple[int, int]) -> None:
    found = whole_periods(lattice, size)
    if stretch(lattice, found) <= STRETCH:
        assert whole_periods(lattice, found) == found


@settings(suppress_health_check=[HealthCheck.filter_too_much])  # few sizes fit, and they are found fast
@given(lattices(), st.tuples(st.integers(256, 16384), st.integers(256, 16384)))
def test_the_server_says_that_such_a_size_fits(lattice: Lattice, size: tuple[int, int]) -> None:
    found = whole_periods(lattice, size)
    assume(stretch(lattice, found) <= STRETCH)
    assert of_server(lattice).fits(Size(*found))


def test_sides_keep_to_the_bounds_given() -> None:
    assert whole_periods(RUNNING_BOND, (4, 100_000)) == whole_periods(RUNNING_BOND, (16, 16384))
    assert max(whole_periods(RUNNING_BOND, (512, 512), most=512)) <= 512
    assert min(whole_periods(RUNNING_BOND, (512, 512), least=512)) >= 512


@pytest.mark.parametrize(
    "lattice", [((1.0, 2.0), (2.0, 4.0)), ((0.0, 0.0), (5.0, 5.0)), ((math.nan, 1.0), (1.0, 9.0))], ids=str
)
def test_steps_that_span_no_area_are_refused(lattice: Lattice) -> None:
    with pytest.raises(ValueError, match="span"):
        whole_periods(lattice, (512, 512))


# ------------------------------------------------------------------------------------------------------------ preview


@pytest.mark.parametrize("size", [(512, 512), (16, 512), (300, 200)], ids=str)
def test_a_small_texture_needs_no_preview(size: tuple[int, int]) -> None:
    assert preview_size(size, RUNNING_BOND) is None


def test_without_a_pattern_a_preview_is_as_large_as_may_be() -> None:
    assert preview_size((4096, 300), None) == (512, 300)
    assert preview_size((4096, 4096), None, most=64) == (64, 64)


@given(lattices(), st.tuples(sides, sides), st.integers(32, 1024))
def test_a_preview_is_within_its_bounds_and_no_worse_than_a_plain_cut(
    lattice: Lattice, size: tuple[int, int], most: int
) -> None:
    found = preview_size(size, lattice, most)
    if found is None:
        assert max(size) <= most
        return
    for axis in (0, 1):
        assert 16 <= found[axis] <= min(size[axis], most)
        cut = min(size[axis], most)
        assert worst(lattice, found, axis) <= max(STRETCH, worst(lattice, (cut, cut), axis))
        if size[axis] <= most:
            assert found[axis] == size[axis]
