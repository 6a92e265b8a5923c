"""Regular materials: how a swatch is stretched so that a torus holds whole periods of its lattice. No torch here.

The lattice of the swatch has two waves B (rows, in cycles per pixel); the nearest ones that close on a torus are B',
whole cycles over its sides. The swatch, sampled at T u with T = B^-1 B', has exactly the waves B'. So patches that lie
whole periods V = (B'^-1)^T apart continue each other, and bricks stay bricks. Stretching is by less than half a cycle
over the whole torus, evenly.

A swatch that tiles and holds whole cycles tiles when it is stretched, too: it shows the same again every T^-1 H and
T^-1 W, which are no whole pixels. So it is stretched a patch farther than that, and a patch may begin anywhere in it.
"""

import dataclasses
import math
from dataclasses import dataclass

from blender_addon.pictures.plan_size import PLAN_SIDE
from server.model.lattice import Lattice
from server.model.quilt import MAX_SIDE, QuiltArchitecture
from server.model.torus import Size

UNIT = 24  # bits of a pixel in places between pixels
MOST_STRETCH = 0.12  # more than this, and the lattice is left alone
CLOSED_CYCLES = 1e-3  # a wave that is less than this off whole cycles over the swatch goes on across its border


@dataclass(frozen=True)
class Periods:
    """The two vectors (down, across) by which a torus repeats, in 2^-UNIT pixels. `swatch`: the sides after which the
    swatch shows the same again, down and across, likewise; 0 where it does not tile.
    """

    first: tuple[int, int]
    second: tuple[int, int]
    swatch: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Stretch:
    """Where the pixels of the stretched swatch lie in the swatch: down and across for a step down, for a step across,
    and of the first pixel, all in 2^-UNIT pixels. `height`, `width`: of the stretched swatch. `wraps`: whether what
    lies beyond the swatch, down and across, is the swatch again.
    """

    down: tuple[int, int]
    across: tuple[int, int]
    first: tuple[int, int]
    height: int
    width: int
    wraps: tuple[bool, bool] = (False, False)


def fitted(lattice: Lattice, size: Size, settings: QuiltArchitecture) -> tuple[Stretch, Periods] | None:
    """How the swatch of a quilt is stretched for a torus of this size. None if it would be stretched too much."""
    height, width = settings.height, settings.width
    (a, b), (c, d) = lattice.basis
    cycles = lattice.cycles(size)
    (e, f), (g, h) = ((y / size.height, x / size.width) for y, x in cycles)
    area = a * d - b * c
    # T = B^-1 B', rows: where a step of the stretched swatch leads, down and across.
    t = ((d * e - b * g) / area, (d * f - b * h) / area), ((a * g - c * e) / area, (a * h - c * f) / area)
    off = (abs(t[0][0] - 1), abs(t[1][1] - 1), abs(t[0][1]), abs(t[1][0]))
    if max(off) > MOST_STRETCH:
        return None
    new_area = e * h - f * g
    wraps = _goes_on(lattice, settings)
    again = [side / t[axis][axis] if wraps[axis] else 0.0 for axis, side in enumerate((height, width))]
    periods = Periods(
        _whole(h / new_area, -g / new_area), _whole(-f / new_area, e / new_area), _whole(again[0], again[1])
    )
    more = settings.factor * settings.longest
    rows, columns = (
        math.ceil(each) + more if each else side for each, side in zip(again, (height, width), strict=True)
    )
    for _ in range(4):
        if not wraps[0]:
            rows = int((height - 1 - abs(t[0][1]) * (columns - 1)) / t[0][0]) + 1
        if not wraps[1]:
            columns = int((width - 1 - abs(t[1][0]) * (rows - 1)) / t[1][1]) + 1
    first = max(0.0, -t[0][1] * (columns - 1)), max(0.0, -t[1][0] * (rows - 1))
    return (
        Stretch(_whole(t[0][0], t[1][0]), _whole(t[0][1], t[1][1]), _whole(*first), rows, columns, wraps),
        periods,
    )


def _goes_on(lattice: Lattice, settings: QuiltArchitecture) -> tuple[bool, bool]:
    """Whether a swatch tiles down, and across, and its lattice with it, and a patch more of it is not too much."""
    most = min(MAX_SIDE, 4 * PLAN_SIDE * settings.factor)

    def on(axis: int, side: int) -> bool:
        off = max(abs(wave[axis] * side - round(wave[axis] * side)) for wave in lattice.basis)
        longest = side / (1 - MOST_STRETCH) + settings.factor * settings.longest
        return settings.wraps[axis] and off < CLOSED_CYCLES and longest < most

    return on(0, settings.height), on(1, settings.width)


def _whole(y: float, x: float) -> tuple[int, int]:
    return round(y * 2**UNIT), round(x * 2**UNIT)


def reduced_stretch(stretch: Stretch, factor: int) -> Stretch:
    """The same for a swatch of 1/`factor` the size: the middles of its pixels go where they went."""
    first = [
        (start + (down + across - (1 << UNIT)) * (factor - 1) // 2) // factor
        for start, down, across in zip(stretch.first, stretch.down, stretch.across, strict=True)
    ]
    height, width = stretch.height // factor, stretch.width // factor
    return Stretch(stretch.down, stretch.across, (first[0], first[1]), height, width, stretch.wraps)


def is_plain(stretch: Stretch) -> bool:
    """Whether nothing is stretched."""
    return stretch.down == (1 << UNIT, 0) and stretch.across == (0, 1 << UNIT) and stretch.first == (0, 0)


def stretched_settings(settings: QuiltArchitecture, stretch: Stretch) -> QuiltArchitecture | None:
    """The sizes of a quilt whose swatch is stretched; None if patches have no room in it any more."""
    if is_plain(stretch):
        return settings
    height, width = (side // settings.factor * settings.factor for side in (stretch.height, stretch.width))
    try:
        return dataclasses.replace(settings, height=height, width=width, wraps=(False, False))
    except ValueError:
        return None
