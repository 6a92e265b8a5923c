"""Size and scale of a texture on an object: how often it repeats, which sizes fit its pattern, and the preview's size.

The size of a texture is the area it covers, never its detail: at twice the size there are twice as many bricks, each
with as many pixels as before. So a texture on an object has a fixed number of texels per metre, and its size decides
after how many metres it repeats.

A regular material repeats by two steps (y, x) in pixels; the list of models gives them. Its two basis waves are the
inverse transpose of the steps, in cycles per pixel. On a texture of H x W pixels each wave is rounded to whole numbers
of cycles (server/model/lattice.py), which stretches the pattern a little along each axis. Height and width are treated
alike, and each is chosen on its own.

Sizes are (height, width) in pixels. Standard library only, no bpy.
"""

import math
from collections.abc import Iterator
from typing import Final

from ..protocol.wire import MIN_SIDE

Size = tuple[int, int]
Vector = tuple[float, float]
Lattice = tuple[Vector, Vector]  # two steps (y, x) in pixels

STRETCH: Final = 0.005  # of a pattern's wave along one axis: not visible
MAX_SIDE: Final = 16384
SIDES: Final = {512: "512", 1024: "1K", 2048: "2K", 4096: "4K", 8192: "8K", 16384: "16K"}


def size_text(size: Size) -> str:
    """A size in artists' terms, width first: 1K, 2048 x 1024."""
    height, width = size
    return SIDES.get(height, f"{width} x {height}") if height == width else f"{width} x {height}"


def tile_width(size: Size, texels_per_metre: float) -> float:
    """How wide a texture of this size is, in metres. ValueError unless both are above zero."""
    if not (min(size) > 0 and 0 < texels_per_metre < math.inf):
        raise ValueError(f"size and texels per metre must be above zero, got {size} and {texels_per_metre}")
    return size[1] / texels_per_metre


def whole_periods(lattice: Lattice, size: Size, least: int = MIN_SIDE, most: int = MAX_SIDE) -> Size:
    """The nearest size that fits whole periods of the pattern, each side from `least` to `most`.

    A side changes by at most one step of the pattern: to the nearest side with at most 0.5 % of stretch. Some patterns,
    such as slanted ones, have none; then the side with the least stretch is taken. ValueError for steps without area.
    """
    down, across = (_nearest(axis, lattice, side, least, most) for axis, side in enumerate(size))
    return down, across


def preview_size(size: Size, lattice: Lattice | None, most: int = 512) -> Size | None:
    """A smaller size at the same scale, for the preview: no side over `most`. None if the size itself is that small.

    A pattern, if there is one, still fits each side that becomes shorter.
    """
    if max(size) <= most:
        return None
    down, across = (
        _nearest(axis, lattice, most, min(MIN_SIDE, most), most) if lattice and side > most else min(side, most)
        for axis, side in enumerate(size)
    )
    return down, across


def waves(lattice: Lattice) -> tuple[Vector, Vector]:
    """The two basis waves (fy, fx) of a pattern, in cycles per pixel. ValueError for steps without area."""
    (a, b), (c, d) = lattice
    area = a * d - b * c
    if not 1 <= abs(area) < math.inf:
        raise ValueError(f"the two steps of a pattern must span at least one pixel, got {lattice}")
    return (d / area, -c / area), (-b / area, a / area)


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
    """For each wave: cycles per pixel along the axis, and along the wave's own direction."""
    for wave in waves(lattice):
        yield wave[axis], math.hypot(*wave)


def _stretch(wave: tuple[float, float], side: int) -> float:
    """The error of rounding to whole cycles, relative to the wave's frequency. Python rounds as the server does."""
    along, frequency = wave
    return abs(round(along * side) / side - along) / frequency


def _outwards(side: int, reach: int) -> Iterator[int]:
    """The side itself, then the sides around it: the nearest first, and the larger of two equals first."""
    yield side
    for distance in range(1, reach + 1):
        yield side + distance
        yield side - distance
