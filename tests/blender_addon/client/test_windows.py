"""A window is cut into parts that fit, cover it once, and cut no tile in two."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from blender_addon.client.windows import cut, remaining
from blender_addon.protocol.rect import Rect
from blender_addon.protocol.tile_grid import tile_side
from server.model.torus import Size, canonical_tiles

sides = st.integers(16, 3000)


@st.composite
def windows(draw: st.DrawFn) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
    size = draw(sides), draw(sides)
    height, width = draw(st.integers(1, size[0])), draw(st.integers(1, size[1]))
    return size, (draw(st.integers(-size[0], size[0] - 1)), draw(st.integers(-size[1], size[1] - 1)), height, width)


def covers_once(parts: list[Rect], height: int, width: int) -> bool:
    """By sweeping rows: between two edges, the parts there must be one row from left to right."""
    edges = sorted({part.top for part in parts} | {part.top + part.height for part in parts})
    for row in edges[:-1]:
        across = sorted((p.left, p.width) for p in parts if p.top <= row < p.top + p.height)
        at = 0
        for left, part_width in across:
            if left != at:
                return False
            at += part_width
        if at != width:
            return False
    return (edges[0], edges[-1]) == (0, height)


@settings(deadline=None)  # the machine may be busy with others
@given(window=windows(), tile=st.integers(16, 700), most=st.integers(1, 10**6))
@example(window=((1024, 1024), (0, 0, 1024, 1024)), tile=512, most=1)
def test_parts_fit_and_cover_the_window_once(
    window: tuple[tuple[int, int], tuple[int, int, int, int]], tile: int, most: int
) -> None:
    size, (top, left, height, width) = window
    if height * width > 2000 * most:  # so many parts take long
        height, width = min(height, 40), min(width, 40)
    parts = cut(size, (top, left, height, width), tile, most)
    assert covers_once(parts, height, width)
    assert all(part.pixels <= most for part in parts)
    rest = remaining(size, (top, left, height, width), tile, 4 * most, parts[0])
    assert covers_once([parts[0], *rest], height, width)
    assert all(part.pixels <= 4 * most for part in rest)
    assert [(part.top, part.left) for part in rest] == sorted((part.top, part.left) for part in rest)


@settings(deadline=None)
@given(window=windows(), tile=st.integers(100, 700), most=st.integers(700**2, 4 * 2**20))
@example(window=((2000, 2000), (100, -70, 1800, 1900)), tile=500, most=700**2)
def test_cuts_lie_on_the_tile_grid(
    window: tuple[tuple[int, int], tuple[int, int, int, int]], tile: int, most: int
) -> None:
    size, (top, left, height, width) = window
    down, across = tile_side(size[0], tile), tile_side(size[1], tile)
    first, *_ = cut(size, (top, left, height, width), tile, most)
    for part in [first, *remaining(size, (top, left, height, width), tile, most, first)]:
        assert part.top == 0 or (top + part.top) % size[0] % down == 0
        assert part.left == 0 or (left + part.left) % size[1] % across == 0


def test_the_grid_is_the_servers() -> None:
    for height in range(16, 3000, 7):
        size = Size(height, 3016 - height)
        assert (tile_side(size.height, 512), tile_side(size.width, 512)) == canonical_tiles(size)


def test_parts_are_as_large_as_may_be() -> None:
    assert cut((1024, 1024), (0, 0, 1024, 1024), 512, 2**20) == [Rect(0, 0, 1024, 1024)]
    assert cut((16384, 16384), (0, 0, 16384, 16384), 512, 4 * 2**20)[:3] == [
        Rect(0, 0, 512, 8192),
        Rect(0, 8192, 512, 8192),
        Rect(512, 0, 512, 8192),
    ]
    assert cut((16384, 1024), (0, 0, 16384, 1024), 512, 4 * 2**20) == [
        Rect(top, 0, 4096, 1024) for top in range(0, 16384, 4096)
    ]
    assert cut((2048, 2048), (0, 0, 2048, 2048), 512, 4 * 2**20) == [Rect(0, 0, 2048, 2048)]
