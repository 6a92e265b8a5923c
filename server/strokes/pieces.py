"""The pieces of a painting that make up one picture: what the next frame of a sequence begins with."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from server.model.style_quilt import PATCHES
from server.strokes.turns import MATRICES

UNIT = 16  # of a plan pixel, in which pieces move
ONE = 4096  # of maps
UNIT_BITS, ONE_BITS = UNIT.bit_length() - 1, ONE.bit_length() - 1


@dataclass(frozen=True, eq=False)
class Pieces:
    """In the order in which they are laid. All int64.

    `numbers`: (n,) levels. `corners`: (n, 2) in the picture, in 1/UNIT of a plan pixel. `maps`: (n, 2, 2), from the
    picture to the painting, both from the middle of the piece on, in 1/ONE. `places`: (n, 2), corners in the painting.
    `names`: (n,), which of the pieces of the frame before each is, -1 for a new one.
    """

    numbers: Tensor
    corners: Tensor
    maps: Tensor
    places: Tensor
    names: Tensor

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, which: slice | Tensor) -> "Pieces":
        return Pieces(*(value[which] for value in vars(self).values()))

    @classmethod
    def joined(cls, parts: Sequence["Pieces"]) -> "Pieces":
        """One after the other."""
        none = cls.of(0, torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64), torch.zeros(0, 2))
        both = [none, *parts]
        return cls(*(torch.cat([getattr(each, name) for each in both]) for name in vars(none)))

    @classmethod
    def of(cls, number: int, corners: Tensor, turns: Tensor, places: Tensor) -> "Pieces":
        """New ones of one level. `corners`: (n, 2) in whole plan pixels."""
        numbers = torch.full((len(turns),), number, dtype=torch.int64)
        return cls(numbers, corners.long() * UNIT, MATRICES[turns] * ONE, places.long(), torch.full_like(numbers, -1))

    @property
    def halves(self) -> Tensor:
        """Half of their sides, (n, 1), in 1/UNIT of a plan pixel."""
        return torch.tensor(PATCHES)[self.numbers, None] * (UNIT // 2)

    @property
    def shifts(self) -> Tensor:
        """t of turns.py, (n, 2), in 1/(UNIT ONE) of a plan pixel."""
        mapped = (self.maps * (self.corners + self.halves)[:, None]).sum(-1)
        return (self.places * UNIT + self.halves) * ONE - mapped

    @property
    def pixels(self) -> Tensor:
        """Corners in whole pixels."""
        return (self.corners + UNIT // 2).div(UNIT, rounding_mode="floor")


def layers(corners: Tensor, side: int) -> list[Tensor]:
    """Patches of one side at these corners (n, 2), in parts to be laid one after the other: in each, no two touch, and
    of two that do the first comes before. Numbers of patches.
    """
    if not len(corners):
        return []
    cell = max(1, side // 6)
    first = corners - corners.amin(0)
    begin = first.div(cell, rounding_mode="floor").tolist()
    end = (first + side - 1).div(cell, rounding_mode="floor").add(1).tolist()
    deepest = np.zeros([max(each[axis] for each in end) for axis in (0, 1)], np.int32)
    depths = []
    for (top, left), (bottom, right) in zip(begin, end, strict=True):
        part = deepest[top:bottom, left:right]
        depth = int(part.max())
        part[:] = depth + 1
        depths.append(depth)
    depth_of = torch.tensor(depths)
    return [(depth_of == depth).nonzero()[:, 0] for depth in range(max(depths) + 1)]
