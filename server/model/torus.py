"""The torus a texture lives on: its size, the grids of its levels, windows of it, and the canonical tiles.

A texture of height H has round(H / 2^s) rows of cells at the level whose cells are about 2^s pixels tall. So the
cells of a level are stretched by less than half a cell over the whole period, any size wraps exactly, and a cell of
one level finds the cell above it (its parent) by whole-number arithmetic. Rows and columns are treated alike.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from blender_addon.protocol.errors import BadRequest
from blender_addon.protocol.rect import MAX_SIDE, MIN_SIDE, Size, Window, is_whole
from blender_addon.protocol.tile_grid import TILE, Cut, cuts, tile_side
from blender_addon.protocol.wire import MAX_SEED

__all__ = [
    "MAX_SIDE",
    "MIN_SIDE",
    "TILE",
    "Axis",
    "Piece",
    "Size",
    "Span",
    "Window",
    "canonical_tiles",
    "check_seed",
    "pieces",
]


def check_seed(seed: int) -> None:
    """Raise BadRequest unless `seed` is a whole number in [0, 2^64)."""
    if not is_whole(seed) or not 0 <= seed <= MAX_SEED:
        raise BadRequest(f"seed: it is {seed!r}; it must be a whole number from 0 to 18446744073709551615.")


@dataclass(frozen=True)
class Span:
    """Cells [start, stop) along one axis of one level; unwrapped, so start may be negative."""

    start: int
    stop: int

    @property
    def count(self) -> int:
        return self.stop - self.start

    def grown(self, margin: int) -> "Span":
        return Span(self.start - margin, self.stop + margin)


@dataclass(frozen=True)
class Axis:
    """One axis of the torus: `side` pixels in a period, seen by `levels` grids, level 0 the coarsest."""

    side: int
    levels: int

    def cells(self, level: int) -> int:
        """Cells in one period of this level: round(side / 2^s), at least one."""
        steps = self.levels - 1 - level
        return max(1, (2 * self.side + (1 << steps)) >> (steps + 1))

    def parent(self, level: int, cell: int) -> int:
        """The cell of level - 1 that lies under the middle of `cell` of `level`; unwrapped in, unwrapped out."""
        return (2 * cell + 1) * self.cells(level - 1) // (2 * self.cells(level))

    def parents(self, level: int, span: Span) -> Span:
        return Span(self.parent(level, span.start), self.parent(level, span.stop - 1) + 1)

    def between(self, level: int, cell: int) -> tuple[int, float]:
        """The cell of level - 1 whose middle lies before that of `cell`, or upon it, and how far on towards the next.

        In [0, 1), of the way from middle to middle. Unwrapped in, unwrapped out.
        """
        cells, coarser = self.cells(level), self.cells(level - 1)
        first, rest = divmod((2 * cell + 1) * coarser - cells, 2 * cells)
        return first, rest / (2 * cells)

    def around(self, level: int, span: Span) -> Span:
        """The cells of level - 1 that `between` finds for those of a span, each with the next."""
        return Span(self.between(level, span.start)[0], self.between(level, span.stop - 1)[0] + 2)


def canonical_tiles(size: Size) -> tuple[int, int]:
    """Height and width of the tiles every window of a texture of this size is cut from."""
    return tile_side(size.height), tile_side(size.width)


@dataclass(frozen=True)
class Piece:
    """A part of a window that one canonical tile covers: copy tile[source] to window[target], as (rows, columns)."""

    tile: Window
    source: tuple[slice, slice]
    target: tuple[slice, slice]

    @property
    def part(self) -> Window:
        """What of the tile is copied, as a window of the texture."""
        rows, columns = self.source
        return Window(
            self.tile.top + rows.start,
            self.tile.left + columns.start,
            rows.stop - rows.start,
            columns.stop - columns.start,
        )


def pieces(size: Size, window: Window) -> Iterator[Piece]:
    """The pieces of `window`, row by row. The last tiles of a period overhang and wrap."""
    tile_height, tile_width = canonical_tiles(size)
    across = list(cuts(window.left, window.width, size.width, tile_width))
    for down in cuts(window.top, window.height, size.height, tile_height):
        for right in across:
            tile = Window(down.tile, right.tile, tile_height, tile_width)
            yield Piece(tile, (_source(down), _source(right)), (_target(down), _target(right)))


def _source(cut: Cut) -> slice:
    return slice(cut.offset, cut.offset + cut.length)


def _target(cut: Cut) -> slice:
    return slice(cut.done, cut.done + cut.length)
