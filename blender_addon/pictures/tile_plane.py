"""Which tile of a Wang set stands in which cell of an endless plane, as the node group chooses it. No bpy here.

Every corner of the plane's cells has one of two colours, by a hash of its place, and a cell shows the tile with the
colours of its corners (protocol/edges.py). The hash is that of Blender's White Noise node, so that what is baked is
what is seen: Bob Jenkins, lookup3 (https://burtleburtle.net/bob/c/lookup3.c), over the bits of three float32 numbers.

Cells are counted to the right (x) and up (y), as coordinates in Blender are; rows of the atlas are counted down.
"""

import struct
from typing import Final

from ..protocol.edges import PLACES, number_of

MIDDLE: Final = 0.5  # added to a corner's place: zero has two signs, and so two hashes
_ALL: Final = 0xFFFFFFFF
_BEGIN: Final = (0xDEADBEEF + (3 << 2) + 13) & _ALL  # for three words
_FINAL: Final = (14, 11, 25, 16, 4, 14, 24)


def corner_colour(x: int, y: int, number: float = 0.0) -> int:
    """The colour of the corner at (x, y), 0 or 1. `number`: of the arrangement; each object may have its own."""
    return int(white_noise(x + MIDDLE, y + MIDDLE, number) < 0.5)


def tile_of(x: int, y: int, number: float = 0.0) -> tuple[int, int]:
    """Row and column in the atlas of the tile that stands in the cell with its lower left corner at (x, y)."""
    corners = ((x, y + 1), (x + 1, y + 1), (x, y), (x + 1, y))  # upper left, upper right, lower left, lower right
    north_west, north_east, south_west, south_east = (corner_colour(*each, number) for each in corners)
    return PLACES[number_of((north_west, north_east, south_west, south_east))]


def white_noise(x: float, y: float, z: float) -> float:
    """The value of Blender's White Noise node in three dimensions, in [0, 1]."""
    words: tuple[int, ...] = struct.unpack("<3I", struct.pack("<3f", x, y, z))
    state = [(_BEGIN + each) & _ALL for each in words]
    for step, turn in enumerate(_FINAL):
        at, by = ((2, 1), (0, 2), (1, 0))[step % 3]
        state[at] = ((state[at] ^ state[by]) - (state[by] << turn | state[by] >> (32 - turn))) & _ALL
    return state[2] / _ALL
