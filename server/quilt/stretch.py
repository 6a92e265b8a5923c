"""Regular materials: samples a swatch as server/model/fitting.py says, and lists the places of a phase.

It is done once for a size, in whole numbers, by Lanczos' filter of six pixels a side: swatches lose detail twice, by
stretch and by place. Cubic interpolation (Keys 1981) left less of the finest detail, such as that of AO.
"""

import math
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from server.model.fitting import UNIT, Periods, Stretch

REACH = 3  # pixels at either side of a sample
PHASES = 64  # places between two pixels that a sample may have


def stretched(maps: Sequence[Tensor], stretch: Stretch, rows: range, columns: range) -> list[Tensor]:
    """A part of a stretched swatch. Each map (C, H, W) uint8 or uint16 gives (C, rows, columns) of the same kind."""
    row, column = (torch.arange(line.start, line.stop) for line in (rows, columns))
    level = stretch.down[1] == stretch.across[0] == 0  # then rows and columns are sampled one after the other
    numbers, weights = [], []
    for axis, side in enumerate(maps[0].shape[1:]):
        place = row[:, None] * stretch.down[axis] + column[None] * stretch.across[axis] + stretch.first[axis]
        place = (place + (1 << UNIT - 7)) >> UNIT - 6  # to the nearest of PHASES
        if level:
            place = place[0] if axis else place[:, 0]
        taps = [((place >> 6) + tap).flatten() for tap in range(1 - REACH, REACH + 1)]
        numbers.append(taps if stretch.wraps[axis] else [tap.clamp(0, side - 1) for tap in taps])
        weights.append(sample_taps()[place & 63].flatten(0, -2))
    result: list[Tensor] = [torch.empty(0)] * len(maps)
    for kind, wide in ((torch.uint8, torch.int32), (torch.uint16, torch.int64)):
        own = [number for number, each in enumerate(maps) if each.dtype == kind]
        if own:
            part = [maps[number] for number in own]
            found = _by_lines(part, numbers, weights, wide) if level else _at_points(part, numbers, weights, wide)
            found = found.clamp(0, 255 if kind == torch.uint8 else 65535).to(torch.int32).to(kind)
            found = found.view(-1, len(rows), len(columns))
            for number, part_of_it in zip(own, torch.split(found, [len(maps[each]) for each in own]), strict=True):
                result[number] = part_of_it
    return result


def _by_lines(
    maps: Sequence[Tensor], numbers: Sequence[Sequence[Tensor]], weights: Sequence[Tensor], kind: torch.dtype
) -> Tensor:
    """(channels of all maps, rows, columns): the same sums as `_at_points`, where a row of samples is a row of the
    swatch.
    """
    values = _needed(maps, numbers, kind)
    for dimension, (taps, weight) in enumerate(zip(numbers, weights, strict=True), 1):
        first = int(taps[0].min())
        shape = (1, -1, 1) if dimension == 1 else (1, 1, -1)
        lines = [values.index_select(dimension, tap - first) for tap in taps]
        total = lines[0] * weight[:, 0].view(shape).to(kind)
        for each, line in enumerate(lines[1:], 1):
            total.addcmul_(line, weight[:, each].view(shape).to(kind))
        values = total
    return (values + 2**15) >> 16


def _at_points(
    maps: Sequence[Tensor], numbers: Sequence[Sequence[Tensor]], weights: Sequence[Tensor], kind: torch.dtype
) -> Tensor:
    """(channels of all maps, pixels): sums of the pixels around each sample, by weights that sum to 2^16. In `kind`
    every sum is exact.
    """
    part = _needed(maps, numbers, kind)
    width = part.shape[2]
    rows, columns = (int(taps[0].min()) for taps in numbers)
    pixels = part.permute(1, 2, 0).flatten(0, 1).contiguous()  # a gather then takes all channels at once
    total = pixels.new_full((len(weights[0]), len(part)), 2**15)
    for i, row in enumerate(numbers[0]):
        start = (row - rows) * width - columns
        for j, column in enumerate(numbers[1]):
            weight = (weights[0][:, i] * weights[1][:, j]).to(kind)
            total.addcmul_(pixels.index_select(0, start + column), weight[:, None])
    return (total >> 16).T.contiguous()


def _needed(maps: Sequence[Tensor], numbers: Sequence[Sequence[Tensor]], kind: torch.dtype) -> Tensor:
    """The rows and columns of all maps that are read, from the first to the last, wrapped: (channels of all maps, rows,
    columns).
    """
    parts = list(maps)
    for dimension, taps in enumerate(numbers, 1):
        low, high, side = int(taps[0].min()), int(taps[-1].max()), maps[0].shape[dimension]
        if low >= 0 and high < side:
            parts = [each.narrow(dimension, low, high + 1 - low) for each in parts]
        else:
            parts = [picked(each, dimension, torch.arange(low, high + 1) % side) for each in parts]
    return torch.cat([each.to(kind) for each in parts])


def picked(table: Tensor, dimension: int, numbers: Tensor) -> Tensor:
    """These rows, columns or channels of a table, in this order."""
    if table.dtype == torch.uint16:  # torch selects of few kinds of 16 bits
        return table.view(torch.int16).index_select(dimension, numbers.to(table.device)).view(torch.uint16)
    return table.index_select(dimension, numbers.to(table.device))


@cache
def sample_taps() -> Tensor:
    """Lanczos' filter at PHASES places between two pixels, (PHASES, 2 REACH) int32; each sums to 256."""
    lines = []
    for phase in range(PHASES):
        away = [phase / PHASES - tap for tap in range(1 - REACH, REACH + 1)]
        exact = [_sinc(each) * _sinc(each / REACH) for each in away]
        whole = [math.floor(256 * each / sum(exact) + 0.5) for each in exact]
        whole[REACH - 1 if phase < PHASES // 2 else REACH] += 256 - sum(whole)
        lines.append(whole)
    return torch.tensor(lines, dtype=torch.int32)


def _sinc(x: float) -> float:
    return math.sin(math.pi * x) / (math.pi * x) if x else 1.0


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
