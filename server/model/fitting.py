"""Regular materials: how a swatch is stretched so that a torus holds whole periods of its lattice. No torch here.

The lattice of the swatch has two waves B (rows, in cycles per pixel); the nearest ones that close on a torus are B',
whole cycles over its sides. The swatch, sampled at T u with T = B^-1 B', has exactly the waves B'. So patches that lie
whole periods V = (B'^-1)^T apart continue each other, and bricks stay bricks. Stretching is by less than half a cycle
over the whole torus, evenly.
"""

import dataclasses
from dataclasses import dataclass

from server.model.lattice import Lattice
from server.model.quilt import QuiltArchitecture
from server.model.torus import Size

UNIT = 24  # bits of a pixel in places between pixels
MOST_STRETCH = 0.12  # more than this, and the lattice is left alone


@dataclass(frozen=True)
class Periods:
    """The two vectors (down, across) by which a torus repeats, in 2^-UNIT pixels."""

    first: tuple[int, int]
    second: tuple[int, int]


@dataclass(frozen=True)
class Stretch:
    """Where the pixels of the stretched swatch lie in the swatch: down and across for a step down, for a step across,
    and of the first pixel, all in 2^-UNIT pixels. `height`, `width`: of the stretched swatch.
    """

    down: tuple[int, int]
    across: tuple[int, int]
    first: tuple[int, int]
    height: int
    width: int


def fitted(lattice: Lattice, size: Size, height: int, width: int) -> tuple[Stretch, Periods] | None:
    """How a swatch of these sides is stretched for a torus of this size. None if it would be stretched too much."""
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
    periods = Periods(_whole(h / new_area, -g / new_area), _whole(-f / new_area, e / new_area))
    rows, columns = height, width
    for _ in range(4):
        rows = int((height - 1 - abs(t[0][1]) * (columns - 1)) / t[0][0]) + 1
        columns = int((width - 1 - abs(t[1][0]) * (rows - 1)) / t[1][1]) + 1
    first = max(0.0, -t[0][1] * (columns - 1)), max(0.0, -t[1][0] * (rows - 1))
    return (
        Stretch(_whole(t[0][0], t[1][0]), _whole(t[0][1], t[1][1]), _whole(*first), rows, columns),
        periods,
    )


def _whole(y: float, x: float) -> tuple[int, int]:
    return round(y * 2**UNIT), round(x * 2**UNIT)


def reduced_stretch(stretch: Stretch, factor: int) -> Stretch:
    """The same for a swatch of 1/`factor` the size: the middles of its pixels go where they went."""
    first = [
        (start + (down + across - (1 << UNIT)) * (factor - 1) // 2) // factor
        for start, down, across in zip(stretch.first, stretch.down, stretch.across, strict=True)
    ]
    return Stretch(
        stretch.down, stretch.across, (first[0], first[1]), stretch.height // factor, stretch.width // factor
    )


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
