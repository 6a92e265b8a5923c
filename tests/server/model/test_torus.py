"""Facts about the torus: its grids wrap exactly into each other, and canonical tiles cover every window once."""

from collections import Counter
from fractions import Fraction
from math import floor
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from server.errors import BadRequest
from server.model.torus import MAX_SIDE, MIN_SIDE, TILE, Axis, Size, Span, Window, canonical_tiles, check_seed, pieces

deterministic = settings(derandomize=True, deadline=None, max_examples=60)
sides = st.integers(16, 3000)
levels = st.integers(2, 8)


# ------------------------------------------------------------------------------------------------------------- grids


@deterministic
@given(side=st.integers(MIN_SIDE, MAX_SIDE), levels=st.integers(1, 8))
@example(side=24, levels=5)
def test_a_level_has_as_many_cells_as_fit_rounded(side: int, levels: int) -> None:
    axis = Axis(side, levels)
    assert axis.cells(levels - 1) == side
    for level in range(levels):
        exact = Fraction(side, 2 ** (levels - 1 - level))
        assert axis.cells(level) == max(1, floor(exact + Fraction(1, 2)))


@deterministic
@given(side=sides, levels=levels, turns=st.integers(-3, 3))
def test_one_period_of_children_maps_onto_one_period_of_parents(side: int, levels: int, turns: int) -> None:
    axis = Axis(side, levels)
    for level in range(1, levels):
        children, parents = axis.cells(level), axis.cells(level - 1)
        found = [axis.parent(level, cell) for cell in range(children)]
        assert found == sorted(found)
        assert set(found) == set(range(parents))
        moved = [axis.parent(level, cell + turns * children) for cell in range(children)]
        assert moved == [parent + turns * parents for parent in found]


@deterministic
@given(side=sides, levels=levels)
@example(side=20, levels=4)
def test_every_parent_has_one_to_three_children(side: int, levels: int) -> None:
    axis = Axis(side, levels)
    for level in range(1, levels):
        family = Counter(axis.parent(level, cell) for cell in range(axis.cells(level)))
        assert set(family.values()) <= {1, 2, 3}


@deterministic
@given(side=st.integers(MIN_SIDE, MAX_SIDE), levels=levels, cell=st.integers(-200_000, 200_000))
def test_the_middle_of_a_cell_lies_in_its_parent(side: int, levels: int, cell: int) -> None:
    axis = Axis(side, levels)
    for level in range(1, levels):
        middle = Fraction(2 * cell + 1, 2 * axis.cells(level))  # in periods
        parent = axis.parent(level, cell)
        assert Fraction(parent, axis.cells(level - 1)) <= middle < Fraction(parent + 1, axis.cells(level - 1))


@pytest.mark.parametrize("side", [256, 1024, 65536])
def test_a_power_of_two_halves_from_level_to_level(side: int) -> None:
    axis = Axis(side, 6)
    assert [axis.cells(level) for level in range(6)] == [side >> steps for steps in (5, 4, 3, 2, 1, 0)]
    assert [axis.parent(5, cell) for cell in range(-4, 4)] == [-2, -2, -1, -1, 0, 0, 1, 1]


@deterministic
@given(side=sides, levels=levels, start=st.integers(-5000, 5000), count=st.integers(1, 300))
def test_the_parents_of_a_span_are_those_of_its_cells(side: int, levels: int, start: int, count: int) -> None:
    axis = Axis(side, levels)
    span = Span(start, start + count)
    assert span.count == count
    assert span.grown(2) == Span(start - 2, start + count + 2)
    for level in range(1, levels):
        parents = axis.parents(level, span)
        found = {axis.parent(level, cell) for cell in range(span.start, span.stop)}
        assert found == set(range(parents.start, parents.stop))


@deterministic
@given(side=st.integers(MIN_SIDE, MAX_SIDE), levels=levels, cell=st.integers(-200_000, 200_000))
def test_a_cells_middle_lies_between_those_of_two_coarser_cells(side: int, levels: int, cell: int) -> None:
    axis = Axis(side, levels)
    for level in range(1, levels):
        first, share = axis.between(level, cell)
        assert 0 <= share < 1
        middle = Fraction(2 * cell + 1, 2 * axis.cells(level))  # in periods
        found = (first + Fraction(1, 2) + Fraction(share)) / axis.cells(level - 1)
        assert abs(found - middle) < Fraction(1, 10**12)
        turns = axis.between(level, cell + 3 * axis.cells(level))
        assert turns == (first + 3 * axis.cells(level - 1), share)


@deterministic
@given(side=sides, levels=levels, start=st.integers(-5000, 5000), count=st.integers(1, 300))
def test_what_lies_around_a_span_is_what_its_cells_lie_between(side: int, levels: int, start: int, count: int) -> None:
    axis = Axis(side, levels)
    span = Span(start, start + count)
    for level in range(1, levels):
        around = axis.around(level, span)
        firsts = [axis.between(level, cell)[0] for cell in range(span.start, span.stop)]
        assert (around.start, around.stop) == (min(firsts), max(firsts) + 2)


# ------------------------------------------------------------------------------------------------------------- tiles


@deterministic
@given(side=st.integers(MIN_SIDE, MAX_SIDE))
@example(side=MIN_SIDE)
@example(side=TILE)
@example(side=TILE + 1)
@example(side=MAX_SIDE)
def test_canonical_tiles_are_equal_parts_of_at_most_a_tile(side: int) -> None:
    height, width = canonical_tiles(Size(side, 300))
    assert (width, canonical_tiles(Size(300, side))) == (300, (300, height))
    count = -(-side // TILE)
    assert height <= TILE
    assert (count - 1) * height < side <= count * height
    assert count * height - side < count  # what overhangs is less than a pixel for each tile


@settings(derandomize=True, deadline=None, max_examples=150)
@given(
    height=sides,
    width=sides,
    top=st.integers(-9000, 9000),
    left=st.integers(-9000, 9000),
    share=st.tuples(st.floats(0, 3), st.floats(0, 3)),
)
@example(height=1000, width=700, top=900, left=600, share=(0.3, 0.29))
@example(height=16, width=3000, top=-1, left=-1, share=(2.5, 0))
@example(height=513, width=512, top=512, left=-512, share=(0.01, 2))
def test_pieces_cover_every_pixel_of_a_window_once_from_its_own_tile(
    height: int, width: int, top: int, left: int, share: tuple[float, float]
) -> None:
    rows, columns = max(1, int(share[0] * height)), max(1, int(share[1] * width))
    size, window = Size(height, width), Window(top, left, rows, columns)
    found = list(pieces(size, window))
    targets = [piece.target for piece in found]
    down = sorted({(rows.start, rows.stop) for rows, _ in targets})
    across = sorted({(columns.start, columns.stop) for _, columns in targets})
    for cuts, length in ((down, rows), (across, columns)):
        assert [start for start, _ in cuts] == [0, *(stop for _, stop in cuts[:-1])]
        assert cuts[-1][1] == length
    order = [(rows.start, columns.start) for rows, columns in targets]
    assert order == [(y, x) for y, _ in down for x, _ in across]  # row by row, none left out, none twice

    tile_height, tile_width = canonical_tiles(size)
    for piece in found:
        tile = piece.tile
        assert (tile.height, tile.width) == (tile_height, tile_width)
        ends = (
            (tile.top, tile_height, height, top, piece.source[0], piece.target[0]),
            (tile.left, tile_width, width, left, piece.source[1], piece.target[1]),
        )
        for tile_start, tile_side, period, window_start, source, target in ends:
            assert 0 <= source.start < source.stop <= tile_side
            assert source.stop - source.start == target.stop - target.start
            place = (window_start + target.start) % period
            assert tile_start == place // tile_side * tile_side  # the tile follows from the place alone
            assert tile_start + source.start == place
            assert tile_start + source.stop <= period  # what overhangs the period belongs to the first tile


def test_a_window_of_one_pixel_takes_one_piece_and_a_shared_tile_is_named_the_same() -> None:
    size = Size(1000, 700)
    (one,) = pieces(size, Window(999, 699, 1, 1))
    (same,) = pieces(size, Window(-1, -1, 1, 1))
    assert (one.tile, one.source) == (same.tile, same.source)
    assert one.tile == Window(500, 350, 500, 350)


# ---------------------------------------------------------------------------------------------------------- refusals

NOT_WHOLE = [1.5, 64.0, True, "2048", None, [64], float("nan")]


@pytest.mark.parametrize("name", ["height", "width"])
def test_a_size_out_of_range_is_refused_by_name(name: str) -> None:
    for value in (0, -1, 15, 65537, 2**70, *NOT_WHOLE):
        sides = {"height": 256, "width": 256, name: value}
        with pytest.raises(BadRequest, match=rf"^size: the {name} is .* from 16 to 65536 pixels\.$") as refusal:
            Size(**sides)
        assert refusal.value.code == "bad_request"


@pytest.mark.parametrize("name", ["height", "width"])
def test_an_empty_or_enormous_window_is_refused_by_name(name: str) -> None:
    for value in (0, -1, 65537, 2**70, *NOT_WHOLE):
        sides = {"top": 0, "left": 0, "height": 8, "width": 8, name: value}
        with pytest.raises(BadRequest, match=rf"^window: the {name} is .* from 1 to 65536 pixels\.$"):
            Window(**sides)


@pytest.mark.parametrize("name", ["top", "left"])
def test_a_window_nowhere_is_refused_by_name(name: str) -> None:
    for value in (2**31 + 1, -(2**31) - 1, 2**70, *NOT_WHOLE):
        sides = {"top": 0, "left": 0, "height": 8, "width": 8, name: value}
        with pytest.raises(BadRequest, match=rf"^window: {name} is "):
            Window(**sides)


@pytest.mark.parametrize("value", [-1, 2**64, *NOT_WHOLE], ids=repr)
def test_a_seed_out_of_range_is_refused_by_name(value: Any) -> None:
    with pytest.raises(BadRequest, match=r"^seed: .* from 0 to 18446744073709551615\.$"):
        check_seed(value)


def test_the_ends_of_every_range_are_accepted() -> None:
    Size(16, 65536)
    Window(-(2**31), 2**31, 1, 65536)
    check_seed(0)
    check_seed(2**64 - 1)
