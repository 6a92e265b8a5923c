"""The canvas: which pixel of the painting each pixel of the picture shows, and the cuts of patches that are laid.

Source of the cuts: Efros & Freeman, "Image quilting" (SIGGRAPH 2001). Differs: all patches of a colour are laid at
once, each with a cut along all four sides.

The canvas reaches MARGIN plan pixels beyond the picture on every side, so that patches may overhang.
"""

from functools import cache

import torch
from torch import Tensor

from server.model.style_quilt import PATCHES
from server.strokes.light import looked_up
from server.strokes.pieces import Pieces
from server.strokes.tables import unpacked
from server.strokes.turns import MATRICES

MARGIN = PATCHES[0]
EMPTY = -1
STEADY = 1500  # of a cut: for each pixel that would go to another patch than in the frame before


class Canvas:
    """`size`: height and width of the picture in plan pixels. `colours`: the painting, as in Tables."""

    def __init__(self, size: tuple[int, int], colours: Tensor) -> None:
        self.size, self.colours = size, colours
        sides = [side + 3 * MARGIN for side in size]
        self.source = torch.full((sides[0], sides[1]), EMPTY, dtype=torch.int32)  # flat index into the painting
        self.owners = torch.full((sides[0], sides[1]), EMPTY, dtype=torch.int32)  # which of `laid` lies here
        self.laid: list[Pieces] = []
        self.seen: list[Tensor] = []  # of the pieces of each level, how many pixels showed when the level was complete
        self._count = 0

    @property
    def pieces(self) -> Pieces:
        """All that were laid, also those that are no longer seen."""
        return Pieces.joined(self.laid)

    def pixels(self, corners: Tensor, side: int) -> Tensor:
        """Flat indices of the canvas' pixels in patches at these corners (n, 2), in picture pixels: (n, side, side)
        int32.
        """
        line = torch.arange(side) + MARGIN
        rows, columns = (corners[:, axis, None].add(line).to(torch.int32) for axis in (0, 1))
        return rows[:, :, None] * self.source.shape[1] + columns[:, None, :]

    def shown(self, corners: Tensor, side: int) -> tuple[Tensor, Tensor]:
        """What stands there: packed colours (n, side, side) int32, and whether anything does, bool."""
        source = looked_up(self.source, self.pixels(corners, side))
        return looked_up(self.colours, source.clamp(min=0)), source >= 0

    def end_level(self) -> None:
        """All patches of a level are laid."""
        owners = self.owners.flatten()
        counts = torch.bincount(owners[owners >= 0], minlength=self._count)
        self.seen.append(counts[sum(map(len, self.seen)) :])

    def lay(self, pieces: Pieces, before: tuple[Tensor, Tensor] | None = None) -> None:
        """Lay pieces of one level that do not touch each other. `before`: where each was seen in the frame before, and
        where others of its level were, (n, side, side) bool; cuts stay there unless others are much better.
        """
        if not len(pieces):
            return
        side = PATCHES[int(pieces.numbers[0])]
        at = self.pixels(pieces.pixels, side)
        source = sources(pieces.places, pieces.turns, side, self.colours.shape[1])
        stands = looked_up(self.source, at)
        empty = stands < 0
        there = unpacked(looked_up(self.colours, stands.clamp(min=0)))[..., :3].float()
        new = unpacked(looked_up(self.colours, source))[..., :3].float()
        energy = (there - new).square().sum(-1).div(8).floor().masked_fill(empty, 0)
        mask = empty | inside(energy, side // 3, before)
        laid = mask.flatten().nonzero()[:, 0]
        where = looked_up(at, laid).long()
        self.source.view(-1)[where] = looked_up(source, laid)
        owner = torch.arange(self._count, self._count + len(pieces), dtype=torch.int32)
        self.owners.view(-1)[where] = looked_up(owner, laid.div(side**2, rounding_mode="floor"))
        self.laid.append(pieces)
        self._count += len(pieces)


def sources(places: Tensor, turns: Tensor, side: int, width: int) -> Tensor:
    """Flat indices of the painting's pixels that patches show: (n, side, side) int32."""
    first = (places[:, 0] * width + places[:, 1]).to(torch.int32)
    found: Tensor = _within(side, width)[turns] + first[:, None, None]
    return found


@cache
def _within(side: int, width: int) -> Tensor:
    """Of each turn, the indices from a patch's corner in the painting on: (TURNS, side, side) int32."""
    line = 2 * torch.arange(side) + 1 - side  # in half pixels from the middle
    points = torch.stack(torch.meshgrid(line, line, indexing="ij"), -1)
    turned = (MATRICES[:, None, None] * points[None, :, :, None]).sum(-1) + side - 1
    within = turned.div(2, rounding_mode="floor")  # (8, side, side, 2)
    return (within[..., 0] * width + within[..., 1]).to(torch.int32)


def inside(energy: Tensor, overlap: int, before: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """What of each patch lies inside its four cuts: energies (n, side, side) to bool. `before`: see Canvas.lay()."""
    sides = _four(energy)[:, :, :overlap]
    if before:
        own, others = (_four(each.to(energy.dtype) * STEADY)[:, :, :overlap] for each in before)
        sides = sides + own.cumsum(2) - own + others.flip(2).cumsum(2).flip(2)
    cut = cheapest_paths(sides)  # (4 n, side)
    beyond = torch.arange(energy.shape[1])[None, None] >= cut[:, :, None]
    left, right, top, bottom = beyond.chunk(4)
    return left & right.flip(2) & top.transpose(1, 2) & bottom.transpose(1, 2).flip(1)


def _four(values: Tensor) -> Tensor:
    """(n, side, side) as seen from the left, the right, the top and the bottom: (4 n, side, side)."""
    return torch.cat([values, values.flip(2), values.transpose(1, 2), values.flip(1).transpose(1, 2)])


def cheapest_paths(energy: Tensor) -> Tensor:
    """The column of the cheapest path down through (n, length, width), at each row: (n, length) int64."""
    count, length, width = energy.shape
    far = torch.full((count, 1), 2.0**40, dtype=torch.float64)
    total = energy[:, 0].double()
    back = torch.zeros(length, count, width, dtype=torch.int8)
    for row in range(1, length):
        wide = torch.cat([far, total, far], 1)
        left, right = wide[:, :-2], wide[:, 2:]
        best = torch.minimum(torch.minimum(left, right), total)
        back[row] = (total > best).to(torch.int8) * torch.where(left <= right, -1, 1).to(torch.int8)
        total = best + energy[:, row]
    at = first_least(total)
    path = torch.empty(count, length, dtype=torch.int64)
    for row in range(length - 1, -1, -1):
        path[:, row] = at
        at = at + back[row].gather(1, at[:, None])[:, 0]
    return path


def first_least(costs: Tensor) -> Tensor:
    """The first index of the least value along the last axis: int64."""
    least = costs.amin(-1, keepdim=True)
    numbers = torch.arange(costs.shape[-1]).expand_as(costs)
    return numbers.masked_fill(costs > least, costs.shape[-1]).amin(-1)
