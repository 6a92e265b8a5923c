"""Whether a swatch tiles: whether its last row continues in its first row, and its last column in its first.

Ready-made materials often tile, and a quilt that knows it can let its pieces cross the border. Two things are compared
across the seam and inside: the steps between rows, and how alike neighbouring rows are. This is done over 1, 2 and 4
pixels of a reduced picture, where the noise of a JPEG at its border is small. The measure is the seam's value over the
upper quartile of the values inside. It was at most 1.42 for photographs that tile, over all their maps, and at least
2.1 for those that do not, except plain ones (wood, large tiles) whose seam cannot be seen. If the swatch is regular and
its border lies on a joint of tiles, the seam is compared with other joints.

The lattice of a swatch that tiles must go on across its border, too, so it has whole cycles over each side.

Shapes: pixels are (1, channels of all maps, height, width), float32 in [0, 1].
"""

import dataclasses
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from server.model.lattice import Lattice

REDUCED = 256  # the picture is reduced to this shorter side, or up to twice as much
STEPS = (1, 2, 4)  # pixels
MOST = 1.45  # measure of a picture that tiles
OFF_WHOLE = 0.03  # a lattice that is so many cycles off whole ones over a side does not tell where the seam's like are
FEWEST_PERIODS = 3  # along a side, to be compared with
OFF_CYCLES = 0.15  # a wave found in a picture that tiles is measured about so well over its side
CALM = 0.7  # if the border varies less than this share of the inside (sky, a frame), it does not count as tiling


def tiles(pixels: Tensor, lattice: Lattice | None = None) -> tuple[bool, bool]:
    """Whether the picture tiles, (down, across). `lattice`: its own, if it has one."""
    factor = max(1, min(pixels.shape[2:]) // REDUCED)
    small = F.avg_pool2d(pixels, factor)[0]
    spread = small.std((1, 2), keepdim=True)
    telling = spread[:, 0, 0] > 1 / 255
    if not bool(telling.any()):
        return False, False
    even = (small / spread)[telling]
    down, across = (
        _goes_on(even.movedim(axis + 1, 0), _periods(lattice, axis, side) if lattice else 1)
        for axis, side in enumerate(pixels.shape[2:])
    )
    return down, across


def _periods(lattice: Lattice, axis: int, side: int) -> int:
    """How many whole periods of a lattice lie along a side of the swatch. 1 if they are not whole, or too few."""
    cycles = [wave[axis] * side for wave in lattice.basis]
    if max(abs(each - round(each)) for each in cycles) > OFF_WHOLE:
        return 1
    count = math.gcd(*map(round, cycles))
    return count if count >= FEWEST_PERIODS else 1


def closed(lattice: Lattice, sides: tuple[int, int], wraps: tuple[bool, bool], *, free: bool = False) -> Lattice:
    """The lattice with whole cycles over the sides of its swatch, down and across, where that tiles.

    A side over which a wave is more than OFF_CYCLES off is left as it is: there the lattice does not go on. `free`: the
    second wave may be any, as that of courses.
    """
    waves = [list(wave) for wave in lattice.basis]
    for axis, side in enumerate(sides):
        off = [abs(wave[axis] * side - round(wave[axis] * side)) for wave in waves[: 1 if free else 2]]
        if wraps[axis] and max(off) <= OFF_CYCLES:
            for wave in waves:
                wave[axis] = round(wave[axis] * side) / side
    first, second = ((wave[0], wave[1]) for wave in waves)
    return dataclasses.replace(lattice, basis=(first, second))


def seam_measure(lines: Tensor, periods: int = 1) -> float:
    """The difference between the last line and the first, over the upper quartile of those between neighbours.

    `lines`: (lines, channels, pixels). `periods`: if there are so many on the way from the first line to the last, the
    seam is compared with the lines that are whole periods away from it: it may be a joint between tiles.
    """
    flat = lines.flatten(1)
    shape = flat - flat.mean(1, keepdim=True)
    shape = shape / shape.norm(dim=1, keepdim=True).clamp_min(1e-6)
    most = 0.0
    for step in STEPS:
        steps = (flat.roll(-step, 0) - flat).abs().mean(1)
        unlike = 1 - (shape.roll(-step, 0) * shape).sum(1)
        for measure in (steps, unlike):
            over = measure.unfold(0, step, 1).mean(1)  # all pairs across one gap between lines; the last: the seam
            inside = over[: len(over) - step]
            if periods > 1:
                inside = _whole_periods_away(inside, len(lines), periods, step)
            quartile = float(inside.kthvalue(max(1, 3 * len(inside) // 4)).values)
            most = max(most, float(over[-1]) / max(quartile, 1e-6))
    return most


def _whole_periods_away(over: Tensor, count: int, periods: int, step: int) -> Tensor:
    """Of the measures between lines, `count` lines in all, those at the same place of the other periods."""
    before, behind = _places(count, periods)
    last = len(over) - 1
    return torch.maximum(over[(before - step).clamp(0, last)], over[(behind - step).clamp(0, last)])


def _places(count: int, periods: int) -> tuple[Tensor, Tensor]:
    """The lines at which periods but the first begin, and those behind, if they begin between two."""
    whole = torch.arange(1, periods) * count
    return whole // periods, -(-whole // periods)


def _goes_on(lines: Tensor, periods: int) -> bool:
    varies = lines.std(2).mean(1)
    border = float(varies[[0, 1, -2, -1]].mean())
    if border >= CALM * float(varies.median()) and seam_measure(lines) <= MOST:
        return True
    if periods == 1:
        return False
    at = _places(len(lines), periods)[0]
    usual = torch.stack([varies[at + step] for step in (-2, -1, 0, 1)]).mean(0).median()
    return border >= CALM * float(usual) and seam_measure(lines, periods) <= MOST
