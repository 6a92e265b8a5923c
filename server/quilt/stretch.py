"""Regular materials: samples a swatch as server/model/fitting.py says, and lists the places of a phase.

It is done once for a size, by cubic interpolation (Keys 1981) in whole numbers.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from server.model.fitting import UNIT, Periods, Stretch

SHARPNESS = -0.75  # Keys' a; -0.5 is the smoother usual one, and swatches lose detail twice, by stretch and by place
PHASES = 64  # places between two pixels that a sample may have


def stretched(maps: Sequence[Tensor], stretch: Stretch, rows: range, columns: range) -> list[Tensor]:
    """A part of a stretched swatch. Each map (C, H, W) uint8 or uint16 gives (C, rows, columns) of the same kind."""
    row, column = (torch.arange(line.start, line.stop) for line in (rows, columns))
    numbers, weights = [], []
    for axis, side in enumerate(maps[0].shape[1:]):
        place = row[:, None] * stretch.down[axis] + column[None] * stretch.across[axis] + stretch.first[axis]
        place = (place + (1 << UNIT - 7)) >> UNIT - 6  # to the nearest of PHASES
        numbers.append([((place >> 6) + tap).clamp(0, side - 1).flatten() for tap in range(-1, 3)])
        weights.append(cubic_taps()[place & 63].flatten(0, 1))
    result: list[Tensor] = [torch.empty(0)] * len(maps)
    for kind, wide in ((torch.uint8, torch.int32), (torch.uint16, torch.int64)):
        own = [number for number, each in enumerate(maps) if each.dtype == kind]
        if own:
            found = _interpolated([maps[number] for number in own], numbers, weights, wide)
            found = found.clamp(0, 255 if kind == torch.uint8 else 65535).to(torch.int32).to(kind)
            found = found.T.reshape(-1, len(rows), len(columns))
            for number, part in zip(own, torch.split(found, [len(maps[each]) for each in own]), strict=True):
                result[number] = part
    return result


def _interpolated(
    maps: Sequence[Tensor], numbers: Sequence[Sequence[Tensor]], weights: Sequence[Tensor], kind: torch.dtype
) -> Tensor:
    """(pixels, channels of all maps): four by four pixels of the swatch, by weights that sum to 2^16. In `kind` every
    sum is exact.
    """
    rows, columns = (range(int(line[0].min()), int(line[-1].max()) + 1) for line in numbers)
    part = torch.cat([each[:, rows.start : rows.stop, columns.start : columns.stop].to(kind) for each in maps])
    pixels = part.permute(1, 2, 0).flatten(0, 1).contiguous()  # a gather then takes all channels at once
    total = pixels.new_full((len(weights[0]), len(part)), 2**15)
    for i, row in enumerate(numbers[0]):
        start = (row - rows.start) * len(columns) - columns.start
        for j, column in enumerate(numbers[1]):
            weight = (weights[0][:, i] * weights[1][:, j]).to(kind)
            total.addcmul_(pixels.index_select(0, start + column), weight[:, None])
    return total >> 16


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
