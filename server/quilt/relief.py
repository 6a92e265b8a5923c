"""Tilts normals where heights are blended.

The normals of a patch fit its own height. Where patches of different heights are blended, the height rises from one to
the other: a slope that no patch has. Here it is found at the nodes of the slow bands, where nearly all of it arises:
how much the blended height rises from the node before to the node behind, less the mean of what each patch rises
there. The normals are tilted by it. How many pixels high a height is, is fitted to the swatch's own normals.

All of it is in whole numbers, or in floats of 64 bits that are rounded once: the same on every device.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from server.model.maps import HEIGHT, NORMAL_NAME, Map
from server.quilt.bands import counted

UNIT = 4096  # parts of a slope of 1, pixel by pixel
STEEPEST = 8  # of the slopes that normals are tilted by
FLATTEST = 10  # a normal's z is at least one in this many parts


@dataclass(frozen=True)
class Relief:
    """`height`: which of the maps is the height. `steepness`: how many plan pixels high a height of 1 is, in 2^-24 of
    the height's counts.
    """

    height: int
    steepness: int

    def slopes(self, rise: Tensor, gathered: Tensor, spans: tuple[Tensor, Tensor]) -> Tensor:
        """What blending adds, right and down, in 1/UNIT: (2, rows, columns) float32, whole.

        `rise`: of the blended height, and `gathered`: the mean of what the patches' own heights rise, as `rises` gives
        them. `spans`: plan pixels over which they rise, at every row and at every column, in 1/2^12.
        """
        added = (rise - gathered).double() * self.steepness
        down, right = (each.to(rise.device, torch.float64) for each in spans)
        result = torch.stack([added[0] / right[None], added[1] / down[:, None]]).round()
        return result.clamp(-STEEPEST * UNIT, STEEPEST * UNIT).float()


def relief_of(maps: Sequence[Map], plan: Sequence[Tensor]) -> Relief | None:
    """The relief of a swatch in plan pixels; None if it has no normals, no height, or they do not go together."""
    names = [each.name for each in maps]
    if NORMAL_NAME not in names or HEIGHT.name not in names:
        return None
    number = names.index(HEIGHT.name)
    normals = plan[names.index(NORMAL_NAME)].to(torch.int32).long()
    most = 255 if plan[names.index(NORMAL_NAME)].dtype == torch.uint8 else 65535
    right, up, out = (2 * normals - most)[:, 1:-1, 1:-1]
    out = out.clamp(min=most // FLATTEST)
    told = torch.stack([-right, up]) * UNIT // out
    found = rises(counted(plan[number]))[:, 1:-1, 1:-1].long() // 2
    squares = int(found.square().sum())
    fitted = int((told * found).sum()) * (2**24 // UNIT) // max(1, squares)
    return Relief(number, fitted) if fitted > 0 else None


def rises(height: Tensor) -> Tensor:
    """How much a height rises from the place before to the place behind, right and down: (1, rows, columns) to
    (2, rows, columns). At the rim: 0.
    """
    across = height[:, 1:-1, 2:] - height[:, 1:-1, :-2]
    down = height[:, 2:, 1:-1] - height[:, :-2, 1:-1]
    return F.pad(torch.cat([across, down]), (1, 1, 1, 1))


def tilted(normals: Tensor, most: int, slopes: Tensor) -> Tensor:
    """Normals as whole numbers from 0 to `most`, (3, rows, columns), on a surface that rises by these slopes more."""
    vectors = 2 * normals.double() - most
    right = vectors[0] - (vectors[2] * slopes[0] / UNIT).round()
    up = vectors[1] + (vectors[2] * slopes[1] / UNIT).round()  # y is up, and rows go down
    return torch.stack([right, up, vectors[2]])
