"""A lattice: the two basis waves of a regular swatch, from whose cosines and sines a generator learns where bricks are
(server/network/waves.py).

Every further wave is a whole-number combination of the two. On a torus each basis wave
takes the nearest whole number of cycles per period, so any size tiles exactly and holds whole bricks, and the waves
never beat against each other. A wave is a pure function of place, so windows agree.

Frequencies are in cycles per pixel, (y, x), y down, at the scale the swatch was trained on.
"""

import math
from dataclasses import dataclass

from server.model.torus import Size

Vector = tuple[float, float]
Cycles = tuple[int, int]

# A grid carries a wave only where a cycle is at least this many cells long: below, the sampled sine is a beat.
CELLS_PER_CYCLE = 3.0
MAX_HARMONICS = 12
STRETCH = 0.02


@dataclass(frozen=True, kw_only=True)
class Lattice:
    """What is periodic in a swatch.

    `basis`: two reciprocal vectors (fy, fx) in cycles per pixel. `harmonics`: pairs (m, n), the wave m*b1 + n*b2; the
    first two are (1, 0) and (0, 1). `strength`: share of the swatch that follows the lattice, in [0, 1].
    """

    basis: tuple[Vector, Vector]
    harmonics: tuple[Cycles, ...]
    strength: float

    def __post_init__(self) -> None:
        (a, b), (c, d) = self.basis
        if not all(math.isfinite(value) and abs(value) <= 0.5 for value in (a, b, c, d)):
            raise ValueError("a lattice wave has at most half a cycle per pixel")
        if abs(a * d - b * c) < 1e-7:
            raise ValueError("the two waves of a lattice must not be parallel")
        if self.harmonics[:2] != ((1, 0), (0, 1)) or len(self.harmonics) > MAX_HARMONICS:
            raise ValueError(f"harmonics begin with (1, 0), (0, 1) and are at most {MAX_HARMONICS}")
        if any(max(abs(m), abs(n)) > 16 for m, n in self.harmonics):
            raise ValueError("a harmonic is at most 16 times a basis wave")
        if not 0 <= self.strength <= 1:
            raise ValueError("the strength of a lattice lies between 0 and 1")

    def periods(self) -> tuple[Vector, Vector]:
        """The two vectors, in pixels (y, x), by which the pattern repeats: the inverse transpose of the basis."""
        (a, b), (c, d) = self.basis
        area = a * d - b * c
        return (d / area, -c / area), (-b / area, a / area)

    def cycles(self, size: Size) -> tuple[Cycles, Cycles]:
        """Whole cycles of the two basis waves down and across a torus of this size; never parallel."""
        first, second = ((round(fy * size.height), round(fx * size.width)) for fy, fx in self.basis)
        if first[0] * second[1] - first[1] * second[0] == 0:  # a torus smaller than a cell
            return _least_change(self.basis, size)
        return first, second

    def fits(self, size: Size) -> bool:
        """Whether this size holds the pattern with neither wave bent or stretched by more than 2 %."""
        for (fy, fx), (cy, cx) in zip(self.basis, self.cycles(size), strict=True):
            if math.dist((cy / size.height, cx / size.width), (fy, fx)) > STRETCH * math.hypot(fy, fx):
                return False
        return True

    def carried(self, cell: float) -> list[Cycles]:
        """The harmonics that a grid of cells of this many pixels can carry."""
        result = []
        for m, n in self.harmonics:
            frequency = math.hypot(*(m * b1 + n * b2 for b1, b2 in zip(*self.basis, strict=True)))
            if frequency * cell * CELLS_PER_CYCLE <= 1:
                result.append((m, n))
        return result


def _least_change(basis: tuple[Vector, Vector], size: Size) -> tuple[Cycles, Cycles]:
    """The pair of whole, not parallel vectors nearest to the basis, for sizes of about a cell or less."""
    wanted = [(fy * size.height, fx * size.width) for fy, fx in basis]
    near = [[(round(y) + i, round(x) + j) for i in (-1, 0, 1) for j in (-1, 0, 1)] for y, x in wanted]
    pairs = [(p, q) for p in near[0] for q in near[1] if p[0] * q[1] != p[1] * q[0]]
    return min(pairs, key=lambda pair: sum(math.dist(got, want) for got, want in zip(pair, wanted, strict=True)))
