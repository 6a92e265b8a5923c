"""Prices of places that repeat what patches nearby show, or go on copying a neighbour.

A place costs as much as the area that it has in common with what patches nearby show. These prices add up, so what has
been shown twice costs twice, and a texture of few patches shows all of its swatch about alike. A price of the nearest
repeat alone, falling with the distance, does not: every place of a small swatch lies near one, and the farthest away
was taken, however bad its joints.

All sums are whole numbers below 2^24, so float32 is exact in any order.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

REPEATS = 128  # price of showing the same as one patch nearby, in 1/256 of the median cost
IN_TILES = 512  # likewise, where tiles have edges in common: their patches are shown again and again
GOES_ON = 128  # price of going on copying a neighbour, likewise
SHARES = 32  # of a patch's side, in which it is counted what two have in common


def prices(
    apart: Sequence[Tensor], standing: Tensor, pitch: int, going_on: Sequence[Tensor], price: int = REPEATS
) -> Tensor:
    """What each place costs, in 1/256 of the median cost: (patches, rows, columns) int64.

    `apart`: how far the rows, and the columns, lie from those that the patches nearby show, in pixels: (patches,
    around, rows) and (patches, around, columns). `standing`: which of these patches count, (patches, around) bool.
    `pitch`: the side of a patch. `going_on`: which rows, and which columns, go on with what a neighbour shows:
    (patches, neighbours, rows) and (patches, neighbours, columns) bool. `price`: of showing the same as one of them.
    """
    down, across = ((pitch - each).clamp(min=0).mul(SHARES).div(pitch, rounding_mode="floor") for each in apart)
    rows = torch.cat([price * down * standing[..., None], GOES_ON * SHARES * going_on[0]], 1)
    columns = torch.cat([across, SHARES * going_on[1]], 1)
    exact = torch.float32 if rows.device.type == "cpu" else torch.float64  # elsewhere products may be rounded
    sums = rows.to(exact).transpose(1, 2) @ columns.to(exact)
    return sums.long().div(SHARES**2, rounding_mode="floor")
