"""Size and scale of a texture on an object: how often it repeats, which sizes hold its pattern whole, a preview of it.

A texture's size is the area it covers, never its detail: at twice the size there are twice as many bricks, each of as
many pixels as before. So what is laid on an object has a number of texels per unit, and the size says after how many
units it repeats.

A regular material repeats by two steps (y, x) in pixels, as the models list tells them. Its two basis waves are their
inverse transpose, in cycles per pixel, and on a texture of H x W pixels each takes the nearest whole numbers of cycles
(server/model/lattice.py). Where that is not what the wave has by itself, the pattern is stretched along that axis.
Height and width are each other's equals here, and each is chosen by itself.

Sizes are (height, width) in pixels. No bpy here, and the standard library alone.
"""

import math
from collections.abc import Iterator
from typing import Final

from ..protocol.wire import MIN_SIDE

Size = tuple[int, int]
Vector = tuple[float, float]
Lattice = tuple[Vector, Vector]  # two steps (y, x) in pixels

STRETCH: Final = 0.005  # of a pattern's wave along one axis: nobody sees it
MAX_SIDE: Final = 16384


def mapping_scale(size: Size, texels_per_unit: float) -> Vector:
    """How often a texture repeats in one unit of the coordinates, (x, y). ValueError unless both are above zero."""
    height, width = size
    if not (min(size) > 0 and 0 < texels_per_unit < math.inf):
        raise ValueError(f"size and texels per unit must be above zero, got {size} and {texels_per_unit}")
    return texels_per_unit / width, texels_per_unit / height


def whole_periods(lattice: Lattice, size: Size, least: int = MIN_SIDE, most: int = MAX_SIDE) -> Size:
    """The size nearest to this one that holds the pattern unstretched, each side from `least` to `most`.

    A side moves by one step of the pattern at most: to the nearest one with at most 0.5 % of stretch, or where there is
    none, as with patterns that lie askew, to the one with the least. ValueError for steps that span no area.
    """
    down, across = (_nearest(axis, lattice, side, least, most) for axis, side in enumerate(size))
    return down, across


def preview_size(size: Size, lattice: Lattice | None, most: int = 512) -> Size | None:
    """A smaller size, of the same scale, to look at first: no side over `most`. None where the size itself is small.

    The pattern, if there is one, stays whole along each side that becomes shorter.
    """
    if max(size) <= most:
        return None
    down, across = (
        _nearest(axis, lattice, most, min(MIN_SIDE, most), most) if lattice and side > most else min(side, most)
        for axis, side in enumerate(size)
    )
    return down, across


def waves(lattice: Lattice) -> tuple[Vector, Vector]:
    """The two basis waves (fy, fx) of a pattern, in cycles per pixel. ValueError for steps that span no area."""
    (a, b), (c, d) = lattice
    area = a * d - b * c
    if not 1 <= abs(area) < math.inf:
        raise ValueError(f"the two steps of a pattern span at least one pixel, got {lattice}")
    return (d / area, -c / area), (-b / area, a / area)


def stretch(lattice: Lattice, size: Size) -> float:
    """By how much the pattern's waves are stretched on a texture of that size, along the worse of its two axes."""
    return max(_stretch(along, side) for axis, side in enumerate(size) for along in _along(axis, lattice))


def _nearest(axis: int, lattice: Lattice, side: int, least: int, most: int) -> int:
    side = min(max(side, least), most)
    along = list(_along(axis, lattice))
    step = min(math.ceil(max(abs(step[axis]) for step in lattice)), most)
    best, best_stretch = side, math.inf
    for other in _outwards(side, step):
        if least <= other <= most:
            worst = max(_stretch(wave, other) for wave in along)
            if worst <= STRETCH:
                return other
            if worst < best_stretch:
                best, best_stretch = other, worst
    return best


def _along(axis: int, lattice: Lattice) -> Iterator[tuple[float, float]]:
    """Of each wave: cycles per pixel along the axis, and along the wave's own direction."""
    for wave in waves(lattice):
        yield wave[axis], math.hypot(*wave)


def _stretch(wave: tuple[float, float], side: int) -> float:
    """Whole cycles against the wave's own, as a share of its frequency. Python rounds halves as the server does."""
    along, frequency = wave
    return abs(round(along * side) / side - along) / frequency


def _outwards(side: int, reach: int) -> Iterator[int]:
    """The side itself, then those around it, the nearest first and the larger of two first."""
    yield side
    for distance in range(1, reach + 1):
        yield side + distance
        yield side - distance
