"""The grid of canonical tiles, which every window of a texture is cut from.

Tiles are equal parts of the texture's sides, of at most `most` pixels. The grid begins at row 0 and column 0 and begins
anew with each period, so the last tile of a period may overhang. The standard library alone, no bpy.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

# The side of a canonical tile in pixels: large enough that halos cost little, small enough that a tile stays in the
# processor's cache and a small window is cheap. Measured in benchmarks/generate.py.
TILE: Final = 512


class Cut(NamedTuple):
    """What one tile gives to a window along one axis, in pixels."""

    tile: int  # where the tile starts in the texture
    offset: int  # from the start of the tile
    done: int  # from the start of the window
    length: int


def tile_side(side: int, most: int = TILE) -> int:
    """The side of the tiles along a side of the texture."""
    return -(-side // -(-side // most))


def cuts(start: int, length: int, period: int, tile: int) -> Iterator[Cut]:
    """Along one axis: what each tile of `tile` pixels gives to the window [start, start + length), in order."""
    done = 0
    while done < length:
        place = (start + done) % period
        offset = place % tile
        step = min(tile - offset, period - place, length - done)
        yield Cut(place - offset, offset, done, step)
        done += step
