"""Whether a swatch tiles: whether its last row continues in its first row, and its last column in its first.

Ready-made materials often tile, and a quilt that knows it can let its pieces cross the border. Two things are compared
across the seam and inside: the steps between rows, and how alike neighbouring rows are. This is done over 1, 2 and 4
pixels of a reduced picture, where the noise of a JPEG at its border is small. The measure is the seam's value over the
upper quartile of the values inside. It was at most 1.42 for photographs that tile, over all their maps, and at least
2.1 for those that do not, except plain ones (wood, large tiles) whose seam cannot be seen.

The lattice of a swatch that tiles must go on across its border, too, so it has whole cycles over each side.

Shapes: pixels are (1, channels of all maps, height, width), float32 in [0, 1].
"""

import dataclasses

import torch.nn.functional as F
from torch import Tensor

from server.model.lattice import Lattice

REDUCED = 256  # the picture is reduced to this shorter side, or up to twice as much
STEPS = (1, 2, 4)  # pixels
MOST = 1.45  # measure of a picture that tiles
OFF_CYCLES = 0.15  # a wave found in a picture that tiles is measured about so well over its side
CALM = 0.7  # if the border varies less than this share of the inside (sky, a frame), it does not count as tiling


def tiles(pixels: Tensor) -> tuple[bool, bool]:
    """Whether the picture tiles, (down, across)."""
    factor = max(1, min(pixels.shape[2:]) // REDUCED)
    small = F.avg_pool2d(pixels, factor)[0]
    spread = small.std((1, 2), keepdim=True)
    telling = spread[:, 0, 0] > 1 / 255
    if not bool(telling.any()):
        return False, False
    even = (small / spread)[telling]
    return _goes_on(even.movedim(1, 0)), _goes_on(even.movedim(2, 0))


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


def seam_measure(lines: Tensor) -> float:
    """The difference between the last line and the first, over the upper quartile of those between neighbours.

    `lines`: (lines, channels, pixels).
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
            quartile = float(inside.kthvalue(max(1, 3 * len(inside) // 4)).values)
            most = max(most, float(over[-1]) / max(quartile, 1e-6))
    return most


def _goes_on(lines: Tensor) -> bool:
    varies = lines.std(2).mean(1)
    border = float(varies[[0, 1, -2, -1]].mean())
    return border >= CALM * float(varies.median()) and seam_measure(lines) <= MOST
