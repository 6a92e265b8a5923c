"""Every window is cut along one grid, which begins anew with each period."""

from hypothesis import example, given
from hypothesis import strategies as st

from blender_addon.protocol.tile_grid import TILE, cuts, tile_side

sides = st.integers(16, 5000)


@given(side=sides, most=st.integers(1, 1024))
@example(side=TILE + 1, most=TILE)
def test_tiles_are_as_few_and_as_equal_as_they_can_be(side: int, most: int) -> None:
    tile = tile_side(side, most)
    count = -(-side // tile)
    assert tile <= most
    assert count == -(-side // most)
    assert tile * count - side < count


@given(period=sides, data=st.data())
def test_cuts_follow_one_another_and_each_lies_in_one_tile(period: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(-period, 2 * period))
    length = data.draw(st.integers(1, period))
    tile = tile_side(period)
    done = 0
    for cut in cuts(start, length, period, tile):
        assert cut.done == done
        assert cut.length > 0
        assert cut.tile % tile == 0
        assert 0 <= cut.tile < period
        assert cut.tile + cut.offset == (start + done) % period
        assert cut.offset + cut.length <= tile
        assert cut.tile + cut.offset + cut.length <= period
        done += cut.length
    assert done == length
