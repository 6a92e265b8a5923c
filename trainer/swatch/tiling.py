"""Whether a swatch tiles: its last row goes on in its first as rows go on inside it, and its columns likewise.

Ready-made materials often do, and a quilt that knows it may let its pieces run over the border. Compared are the steps
between rows and how alike neighbouring rows are, over 1, 2 and 4 pixels of a reduced picture: there the noise at the
border of a JPEG, or of a picture that was scaled by itself, is small. The measure is the seam's over the upper quartile
inside. Of photographs that tile it was up to 1.42, over all their maps; of those that do not, from 2.1, but for plain
ones (wood, large tiles) whose seam nobody sees.

Shapes: pixels are (1, channels of all maps, height, width), float32 in [0, 1].
"""

import torch.nn.functional as F
from torch import Tensor

REDUCED = 256  # shorter side of the picture that is looked at, or up to twice as much
STEPS = (1, 2, 4)  # pixels
MOST = 1.45  # of the seam's measure over the inside's
CALM = 0.7  # a border that varies less than this share of the inside (sky, a frame) tells nothing


def tiles(pixels: Tensor) -> tuple[bool, bool]:
    """Whether the picture goes on over its border, (down, across)."""
    factor = max(1, min(pixels.shape[2:]) // REDUCED)
    small = F.avg_pool2d(pixels, factor)[0]
    spread = small.std((1, 2), keepdim=True)
    telling = spread[:, 0, 0] > 1 / 255
    if not bool(telling.any()):
        return False, False
    even = (small / spread)[telling]
    return _goes_on(even.movedim(1, 0)), _goes_on(even.movedim(2, 0))


def seam_measure(lines: Tensor) -> float:
    """How much the last line differs from the first, over the upper quartile of how much neighbours do inside.

    `lines`: (lines, channels, places).
    """
    flat = lines.flatten(1)
    shape = flat - flat.mean(1, keepdim=True)
    shape = shape / shape.norm(dim=1, keepdim=True).clamp_min(1e-6)
    most = 0.0
    for step in STEPS:
        steps = (flat.roll(-step, 0) - flat).abs().mean(1)
        unlike = 1 - (shape.roll(-step, 0) * shape).sum(1)
        for measure in (steps, unlike):
            over = measure.unfold(0, step, 1).mean(
                1
            )  # all pairs that span a place between two lines; the last: the seam
            inside = over[: len(over) - step]
            quartile = float(inside.kthvalue(max(1, 3 * len(inside) // 4)).values)
            most = max(most, float(over[-1]) / max(quartile, 1e-6))
    return most


def _goes_on(lines: Tensor) -> bool:
    varies = lines.std(2).mean(1)
    border = float(varies[[0, 1, -2, -1]].mean())
    return border >= CALM * float(varies.median()) and seam_measure(lines) <= MOST
