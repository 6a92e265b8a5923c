"""Strays: parts of a patch that are far lighter or darker than what is asked for where the picture is plain.

A plain sky asks only for the mean light of a patch, so that it may show strokes. A patch that is half a dark cypress
and half a bright sky has the same mean. So each of a patch's 3 x 3 cells also pays for how far its light leaves the
wanted one, beyond what a plain piece of this painting does anyway; and for how much busier it is than plain pieces,
since white foam on blue may have the mean light of paper. That is a table over places and wanted lights, so it is a
part of the same matrix product. Whole numbers.
"""

import torch
from torch import Tensor

from server.strokes.light import DIRECTION_CELLS, LIGHT_CELLS

LAST = 2  # the level of the smallest patches that pay
LEVELS, STEP = 16, 4  # wanted lights that are told apart, of 64
PLAINEST = 20  # a twentieth of the painting's places leave their mean less than is free
MOST = 1000  # price of a cell
PLAIN_CELLS = 2  # half of the painting's cells are plain
WEIGHT = 32  # of what plain cells pay: as the mean light of a patch, squares of 1/64 of white


def free(lights: Tensor) -> int:
    """How far cells of plain places (n, 6, 6) leave the mean of the place: what costs nothing."""
    if not len(lights):
        return 0
    away = (lights - lights.mean((1, 2), keepdim=True).round()).abs().amax((1, 2))
    return int(away.kthvalue(max(1, len(away) // PLAINEST)).values)


def free_busy(busy: Tensor) -> int:
    """How busy plain cells are: of all cells of places, (n, 3, 3)."""
    return int(busy.flatten().kthvalue(max(1, busy.numel() // PLAIN_CELLS)).values) if len(busy) else 0


def prices(lights: Tensor, tolerance: int, busy: Tensor, most_busy: int) -> Tensor:
    """What the 3 x 3 cells of patches with these lights (n, 6, 6), so busy (n, 3, 3), pay for each wanted light and, as
    the last, for being busy: (n, LEVELS + 1, 3, 3).
    """
    wanted = torch.arange(LEVELS)[:, None, None] * STEP + STEP // 2
    beyond = ((lights[:, None] - wanted).abs() - tolerance).clamp(min=0).square()
    parts = LIGHT_CELLS // DIRECTION_CELLS
    sums = torch.nn.functional.avg_pool2d(beyond, parts, divisor_override=1)
    more = (busy - most_busy).clamp(min=0).square()
    return torch.cat([sums, more[:, None]], 1).clamp(max=MOST)


def asked(lights: Tensor, weights: Tensor) -> Tensor:
    """The weights (n, 3, 3) at the wanted lights (n, 6, 6), else 0, and as the last: (n, LEVELS + 1, 3, 3)."""
    parts = LIGHT_CELLS // DIRECTION_CELLS
    means = torch.nn.functional.avg_pool2d(lights, parts, divisor_override=1) / parts**2
    number = means.div(STEP, rounding_mode="floor").long()
    which = torch.nn.functional.one_hot(number, LEVELS).permute(0, 3, 1, 2).float()
    return torch.cat([which * weights[:, None], weights[:, None]], 1)
