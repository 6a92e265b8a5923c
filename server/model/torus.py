"""The torus a texture lives on: its size, the grids of its levels, windows of it, and the canonical tiles.

A texture of height H has round(H / 2^s) rows of cells at the level whose cells are about 2^s pixels tall. So the
cells of a level are stretched by less than half a cell over the whole period, any size wraps exactly, and a cell of
one level finds the cell above it (its parent) by whole-number arithmetic. Rows and columns are treated alike.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from server.errors import BadRequest

MIN_SIDE = 16
MAX_SIDE = 65536
MAX_SEED = 2**64 - 1

# The side of a canonical tile in pixels: large enough that halos cost little, small enough that a tile stays in the
# processor's cache and a small window is cheap. Measured in benchmarks/generate.py.
TILE = 512


@dataclass(frozen=True)
class Size:
    """The period of a texture in pixels, each side in [16, 65536]."""

    height: int
    width: int

    def __post_init__(self) -> None:
        for name, value in (("height", self.height), ("width", self.width)):
            if not _whole(value) or not MIN_SIDE <= value <= MAX_SIDE:
                raise BadRequest(f"size: the {name} is {value!r}; it must be a whole number from 16 to 65536 pixels.")


@dataclass(frozen=True)
class Window:
    """The part of a texture wanted, in pixels. It may start anywhere, negative too, and wraps around both edges."""

    top: int
    left: int
    height: int
    width: int

    def __post_init__(self) -> None:
        for name, value in (("top", self.top), ("left", self.left)):
            if not _whole(value) or abs(value) > 2**31:
                raise BadRequest(f"window: {name} is {value!r}; it must be a whole number of pixels.")
        for name, value in (("height", self.height), ("width", self.width)):
            if not _whole(value) or not 1 <= value <= MAX_SIDE:
                raise BadRequest(f"window: the {name} is {value!r}; it must be a whole number from 1 to 65536 pixels.")


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def check_seed(seed: int) -> None:
    """Raise BadRequest unless `seed` is a whole number in [0, 2^64)."""
    if not _whole(seed) or not 0 <= seed <= MAX_SEED:
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


def canonical_tiles(size: Size) -> tuple[int, int]:
    """Height and width of the tiles every window of a texture of this size is cut from; equal parts, at most TILE."""
    return tuple(-(-side // -(-side // TILE)) for side in (size.height, size.width))  # type: ignore[return-value]


@dataclass(frozen=True)
class Piece:
    """A part of a window that one canonical tile covers: copy tile[source] to window[target], as (rows, columns)."""

    tile: Window
    source: tuple[slice, slice]
    target: tuple[slice, slice]


def pieces(size: Size, window: Window) -> Iterator[Piece]:
    """The pieces of `window`, row by row. Tiles start at multiples of the tile's sides; the last ones overhang and
    wrap.
    """
    tile_height, tile_width = canonical_tiles(size)
    across = list(_cuts(window.left, window.width, size.width, tile_width))
    for tile_top, source_rows, target_rows in _cuts(window.top, window.height, size.height, tile_height):
        for tile_left, source_columns, target_columns in across:
            tile = Window(tile_top, tile_left, tile_height, tile_width)
            yield Piece(tile, (source_rows, source_columns), (target_rows, target_columns))


def _cuts(start: int, count: int, period: int, tile: int) -> Iterator[tuple[int, slice, slice]]:
    """Along one axis: (where the tile starts, which part of it, where that lies in the window)."""
    done = 0
    while done < count:
        place = (start + done) % period
        offset = place % tile
        step = min(tile - offset, period - place, count - done)
        yield place - offset, slice(offset, offset + step), slice(done, done + step)
        done += step
