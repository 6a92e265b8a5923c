"""Textures that fit beside each other: variants with common edges, and Wang sets.

All variants of one texture are equal along the edges of the tile, so any of them joins any other. In a Wang set the
corners of tiles have colours; tiles whose corners agree join. Two colours make 16 tiles. Corners and not edges carry
the colours, since then no place is the same in all tiles (A. Lagae and P. Dutré, "An alternative for Wang tiles:
colored edges versus colored corners", ACM TOG 25, 2006).

The set is one texture, its *atlas*: a torus of 4 x 4 tiles in which each stands once. Neighbours in the atlas join as
well, and so do its opposite edges (a de Bruijn torus), so filtering across a tile's edge reads what belongs there
(L.-Y. Wei, "Tile-based texture mapping on graphics hardware", 2004). The standard library alone, no bpy.
"""

from typing import Final, NamedTuple

from .errors import BadRequest
from .rect import is_whole

FEATURE: Final = "variants"  # of a server that knows these
MAX_VARIANT: Final = 9999
COLOURS: Final = 2  # of corners in a Wang set
ACROSS: Final = 4  # tiles along a side of the atlas
CORNERS: Final = ((0, 0, 1, 0), (0, 0, 0, 1), (0, 1, 1, 1), (1, 0, 1, 1))  # the upper left corners of the atlas's tiles


class Edges(NamedTuple):
    """How a texture fits beside others: which variant it is, and whether it is an atlas of tiles.

    `wang`: 0 for a single tile, or the number of colours of a Wang set, whose `size` is that of the whole atlas.
    """

    variant: int = 0
    wang: int = 0

    @property
    def across(self) -> int:
        """How many tiles lie side by side."""
        return ACROSS if self.wang else 1


def edges_of(variant: int | None, wang: int = 0) -> Edges | None:
    """What a request's fields say; None for a plain texture. Raises BadRequest."""
    if wang not in (0, COLOURS) or not is_whole(wang):
        raise BadRequest(f"wang: it is {wang!r}; it must be {COLOURS}, the number of corner colours, or 0 for no set.")
    if variant is None:
        return Edges(0, wang) if wang else None
    if not is_whole(variant) or not 0 <= variant <= MAX_VARIANT:
        raise BadRequest(f"variant: it is {variant!r}; it must be a whole number from 0 to {MAX_VARIANT}.")
    return Edges(variant, wang)


def corners_of(row: int, column: int) -> tuple[int, int, int, int]:
    """The colours of the corners of a tile of the atlas, wrapped: upper left, upper right, lower left, lower right."""
    above, below = CORNERS[row % ACROSS], CORNERS[(row + 1) % ACROSS]
    left, right = column % ACROSS, (column + 1) % ACROSS
    return above[left], above[right], below[left], below[right]


def number_of(corners: tuple[int, int, int, int]) -> int:
    """The number of the tile with these corner colours, 0 to 15: upper left, upper right, lower left, lower right."""
    return sum(colour << place for place, colour in enumerate(corners))


def tile_at(number: int) -> tuple[int, int]:
    """Row and column in the atlas of the tile of this number."""
    return PLACES[number]


PLACES: Final = tuple(
    sorted(
        ((row, column) for row in range(ACROSS) for column in range(ACROSS)),
        key=lambda place: number_of(corners_of(*place)),
    )
)
