"""Cuts a large window of a texture into parts that each fit into one answer.

The server computes whole canonical tiles, on a grid that begins at row 0 and column 0 of the texture, and cuts windows
from them. So cuts lie where that grid lies: whole rows of tiles when they fit, else as many tiles of one row as fit.
Sizes are (height, width) and windows (top, left, height, width), in pixels; a window wraps around both edges.
Parts are counted from the window's own top left corner. No bpy here.
"""

from collections.abc import Iterator

from ..protocol.rect import Rect
from ..protocol.tile_grid import cuts, tile_side


def cut(size: tuple[int, int], window: tuple[int, int, int, int], tile: int, most_pixels: int) -> list[Rect]:
    """The window in parts of at most `most_pixels`, from top to bottom and from left to right. `tile` is its limit."""
    across = min(tile_side(size[1], tile), most_pixels)
    down = min(tile_side(size[0], tile), max(1, most_pixels // across))
    return list(_cut(size, window, down, across, most_pixels))


def remaining(
    size: tuple[int, int], window: tuple[int, int, int, int], tile: int, most_pixels: int, first: Rect
) -> list[Rect]:
    """Split what remains of the window after `first`: right of it, then below."""
    top, left, height, width = window
    parts = []
    if first.width < width:
        right = cut(size, (top, left + first.width, first.height, width - first.width), tile, most_pixels)
        parts += [part.moved(0, first.width) for part in right]
    if first.height < height:
        below = cut(size, (top + first.height, left, height - first.height, width), tile, most_pixels)
        parts += [part.moved(first.height, 0) for part in below]
    return parts


def _cut(
    size: tuple[int, int], window: tuple[int, int, int, int], down: int, across: int, most_pixels: int
) -> Iterator[Rect]:
    top, left, height, width = window
    for part_top, part_height in _runs(top, height, size[0], down, most_pixels // width):
        for part_left, part_width in _runs(left, width, size[1], across, most_pixels // part_height):
            yield Rect(part_top, part_left, part_height, part_width)


def _runs(start: int, count: int, period: int, tile: int, most: int) -> Iterator[tuple[int, int]]:
    """Along one axis: neighbouring tiles together as long as they have `most` pixels, but one at least."""
    run_start = run_count = 0
    for _, _, _, step in cuts(start, count, period, tile):
        if run_count and run_count + step > most:
            yield run_start, run_count
            run_start, run_count = run_start + run_count, 0
        run_count += step
    yield run_start, run_count
