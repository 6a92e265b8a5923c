"""Regular materials: stretches a swatch so that a torus holds whole periods of its lattice.

The lattice of the swatch has two waves B (rows, in cycles per pixel); the nearest ones that close on a torus are B',
whole cycles over its sides. The swatch, sampled at T u with T = B^-1 B', has exactly the waves B'. So patches that lie
whole periods V = (B'^-1)^T apart continue each other, and bricks stay bricks. Stretching is by less than half a cycle
over the whole torus, evenly; it is done once for a size, by cubic interpolation (Keys 1981) in whole numbers.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from server.model.lattice import Lattice
from server.model.torus import Size

UNIT = 24  # bits of a pixel in places between pixels
SHARPNESS = -0.75  # Keys' a; -0.5 is the smoother usual one, and swatches lose detail twice, by stretch and by place
PHASES = 64  # places between two pixels that a sample may have
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


def is_plain(stretch: Stretch) -> bool:
    """Whether nothing is stretched."""
    return stretch.down == (1 << UNIT, 0) and stretch.across == (0, 1 << UNIT) and stretch.first == (0, 0)


def stretched(samples: Tensor, stretch: Stretch) -> Tensor:
    """(C, H, W) uint8 or uint16 to (C, stretch.height, stretch.width) of the same kind."""
    kind, most = samples.dtype, 255 if samples.dtype == torch.uint8 else 65535
    channels, height, width = samples.shape
    flat = samples.to(torch.int32).flatten(1)
    taps = cubic_taps().to(torch.int64)
    result = torch.empty(channels, stretch.height, stretch.width, dtype=torch.int32)
    line = torch.arange(stretch.width)
    for top in range(0, stretch.height, 128):
        row = torch.arange(top, min(top + 128, stretch.height))[:, None]
        parts = []
        for axis, side in ((0, height), (1, width)):
            place = row * stretch.down[axis] + line[None] * stretch.across[axis] + stretch.first[axis]
            place = (place + (1 << UNIT - 7)) >> UNIT - 6  # to the nearest of PHASES
            whole, phase = place >> 6, place & 63
            numbers = [(whole + tap).clamp(0, side - 1) for tap in range(-1, 3)]
            parts.append((numbers, taps[phase]))
        (rows, down), (columns, across) = parts
        total = torch.zeros(channels, *rows[0].shape, dtype=torch.int64)
        for i in range(4):
            for j in range(4):
                values = flat[:, rows[i] * width + columns[j]]
                total += values * (down[..., i] * across[..., j])
        result[:, top : top + len(row)] = ((total + 2**15) >> 16).clamp(0, most).to(torch.int32)
    return result.to(kind)


def cubic_taps() -> Tensor:
    """Keys' cubic at PHASES places between two pixels, (PHASES, 4) int32; each sums to 256."""
    lines = []
    for phase in range(PHASES):
        s = phase / PHASES
        a = SHARPNESS
        exact = [
            a * (s - 2 * s * s + s**3),
            1 - (a + 3) * s * s + (a + 2) * s**3,
            -a * s + (2 * a + 3) * s * s - (a + 2) * s**3,
            a * (s * s - s**3),
        ]
        whole = [math.floor(256 * each + 0.5) for each in exact]
        whole[1 if s < 0.5 else 2] += 256 - sum(whole)
        lines.append(whole)
    return torch.tensor(lines, dtype=torch.int32)


def places_of(periods: Periods, start: tuple[int, int], low: tuple[int, int], high: tuple[int, int]) -> Tensor:
    """Every place of the phase of `start` that lies in [low, high], in 2^-UNIT pixels: (places, 2) int64, sorted."""
    (a, b), (c, d) = periods.first, periods.second
    area = a * d - b * c
    ends = []
    for y in (low[0], high[0]):
        for x in (low[1], high[1]):
            dy, dx = y - start[0], x - start[1]
            ends.append(((d * dy - c * dx) // area, (a * dx - b * dy) // area))
    first = torch.arange(min(e[0] for e in ends) - 1, max(e[0] for e in ends) + 3)
    second = torch.arange(min(e[1] for e in ends) - 1, max(e[1] for e in ends) + 3)
    down = start[0] + first[:, None] * a + second[None] * c
    right = start[1] + first[:, None] * b + second[None] * d
    inside = (down >= low[0]) & (down <= high[0]) & (right >= low[1]) & (right <= high[1])
    return torch.stack([down[inside], right[inside]], 1)
