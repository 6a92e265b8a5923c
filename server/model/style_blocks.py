"""How a picture is cut into blocks, and which part of it each of them needs. Whole numbers only, no torch.

Beyond its edges a picture continues as its own mirror image (the pixel at the edge twice, and again and again for a
small picture), so that no border is visible and nothing wraps. Blocks lie on one grid over the whole picture, so every
window is cut from the same blocks. They begin at multiples of the generator's stride; the last may overhang the
picture.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from server.errors import BadRequest
from server.model.torus import MAX_SIDE, Window


@dataclass(frozen=True)
class Block:
    """A block and what of it a window shows: copy block[source] to window[target], as (rows, columns)."""

    place: Window
    source: tuple[slice, slice]
    target: tuple[slice, slice]


def check_window(size: tuple[int, int], window: Window | None) -> Window:
    """The window, or all of the picture of `size` (height, width). Raises BadRequest if it leaves the picture."""
    height, width = size
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise BadRequest(f"content: it is {width}x{height} pixels; a side is 1 to {MAX_SIDE} pixels long.")
    if window is None:
        return Window(0, 0, height, width)
    inside = 0 <= window.top <= height - window.height and 0 <= window.left <= width - window.width
    if not inside:
        raise BadRequest(f"window: it leaves the picture, which is {width}x{height} pixels.")
    return window


def block_rows(size: tuple[int, int], window: Window, stride: int, most: int) -> Iterator[list[Block]]:
    """The blocks under `window`, row by row from the top, each at most about `most` pixels a side."""
    across = list(_cuts(window.left, window.width, size[1], stride, most))
    for top, height, source_rows, target_rows in _cuts(window.top, window.height, size[0], stride, most):
        yield [
            Block(Window(top, left, height, width), (source_rows, source_columns), (target_rows, target_columns))
            for left, width, source_columns, target_columns in across
        ]


def _cuts(start: int, count: int, side: int, stride: int, most: int) -> Iterator[tuple[int, int, slice, slice]]:
    """Along one axis: where the block starts, how long it is, which part of it is shown, where that lies."""
    step = _up(-(-side // max(1, -(-side // most))), stride)
    for begin in range(start // step * step, start + count, step):
        first, last = max(begin, start), min(begin + step, start + count)
        length = min(step, _up(side - begin, stride))
        yield begin, length, slice(first - begin, last - begin), slice(first - start, last - start)


def _up(value: int, stride: int) -> int:
    return -(-value // stride) * stride


def mirrored_places(start: int, stop: int, side: int) -> list[int]:
    """Which of `side` pixels in a row shows at each place from `start` to `stop`, the mirror images included."""
    period = 2 * side
    places = (place % period for place in range(start, stop))
    return [place if place < side else period - 1 - place for place in places]


def looked_at(size: tuple[int, int], place: Window, halo: int) -> Window:
    """The part of the picture that a block at `place` is made from."""
    rows = mirrored_places(place.top - halo, place.top + place.height + halo, size[0])
    columns = mirrored_places(place.left - halo, place.left + place.width + halo, size[1])
    top, left = min(rows), min(columns)
    return Window(top, left, max(rows) + 1 - top, max(columns) + 1 - left)
