"""A plane that never repeats: each cell of it shows one of sixteen tiles, which are one image, the atlas.

Which tile, the colours of the cell's corners say, and those a hash of the corner's place (pictures/tile_plane.py). All
maps are looked up at the same place of their atlas, so colour, normals and heights agree.

In the atlas every tile has neighbours that it joins, and a band along its edges is the same in all tiles that may stand
there. So a filter that reaches over the edge of a tile by less than the band finds what the next cell shows. Bilinear
interpolation does, but graphics cards reach further: they take a smaller version of the image where neighbouring pixels
of the screen lie far apart in it, as they do at the border of two cells, and draw lines there. (EEVEE's Cubic does so,
too.) So the four nearest texels are looked up one by one and mixed here, which is the same in Cycles and in EEVEE.
"""

from collections.abc import Sequence
from typing import Any, Final

from ..pictures.tile_plane import MIDDLE
from ..protocol.edges import ACROSS, PLACES
from .wiring import Value, Wiring

INTERPOLATION: Final = "Closest"
_TILES: Final = len(PLACES)


def cell(wiring: Wiring, place: Value, number: Value, texels: Value) -> tuple[Any, Any, Any]:
    """The tile and the texel in it that are seen at a place.

    `place`: coordinates in cells. `number`: of the arrangement. `texels`: width and height of a tile. Returns where the
    lower left corner of the tile lies in the atlas; the middle of the first of four texels, counted from there; and the
    share of the texels to the right of it and above it.
    """
    corner = wiring.vector("FLOOR", place)
    within = wiring.vector("MULTIPLY_ADD", wiring.vector("SUBTRACT", place, corner), texels, (-0.5, -0.5, 0.0))
    texel = wiring.vector("FLOOR", within)
    first = wiring.vector("ADD", corner, wiring.combine(MIDDLE, MIDDLE, number))
    tile: Any = None
    for weight, step in ((1.0, (0, 1, 0)), (2.0, (1, 1, 0)), (4.0, None), (8.0, (1, 0, 0))):
        at = wiring.vector("ADD", first, step) if step else first
        noise = wiring.node("ShaderNodeTexWhiteNoise", at, noise_dimensions="3D").outputs["Value"]
        colour = wiring.math("LESS_THAN", noise, 0.5)
        tile = wiring.math("MULTIPLY_ADD", colour, weight, 0.5 if tile is None else tile)
    ramp = wiring.node("ShaderNodeValToRGB", wiring.math("DIVIDE", tile, float(_TILES)))
    _fill(ramp.color_ramp)
    shares = wiring.vector("SUBTRACT", within, texel)
    return ramp.outputs["Color"], wiring.vector("ADD", texel, (0.5, 0.5, 0.0)), shares


def _fill(ramp: Any) -> None:
    """The places of the tiles in the atlas, by their numbers: to the right, and up."""
    ramp.interpolation = "CONSTANT"
    for number, (row, column) in enumerate(PLACES):
        stop = ramp.elements[0] if number == 0 else ramp.elements.new(number / _TILES)
        stop.color = (column / ACROSS, (ACROSS - 1 - row) / ACROSS, 0.0, 1.0)
    ramp.elements.remove(ramp.elements[-1])  # the white end that every ramp has


def bilinear(wiring: Wiring, texels: Sequence[Value], shares: Value) -> Any:
    """The mix of four texels: the first, the one to its right, and the two above them."""
    right, up, _ = wiring.separate(shares)
    below, above = wiring.mix(right, texels[0], texels[1]), wiring.mix(right, texels[2], texels[3])
    return wiring.mix(up, below, above)
