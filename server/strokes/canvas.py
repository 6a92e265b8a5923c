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
from server.strokes.tables import unpacked
from server.strokes.turns import MATRICES, shifts

MARGIN = PATCHES[0]
EMPTY = -1
SHIFT_BITS = 14  # of each part of a shift, after OFFSET was added
OFFSET = 2 ** (SHIFT_BITS - 1)


class Canvas:
    """`size`: height and width of the picture in plan pixels. `colours`: the painting, as in Tables."""

    def __init__(self, size: tuple[int, int], colours: Tensor) -> None:
        self.size, self.colours = size, colours
        sides = [side + 3 * MARGIN for side in size]
        self.source = torch.full((sides[0], sides[1]), EMPTY, dtype=torch.int32)  # flat index into the painting
        self.codes = torch.zeros(sides[0], sides[1], dtype=torch.int32)  # turn and shift of what lies here
        self.numbers = torch.zeros(sides[0], sides[1], dtype=torch.uint8)  # level of what lies here

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

    def lay(self, number: int, corners: Tensor, turns: Tensor, places: Tensor) -> None:
        """Lay patches of a level that do not touch each other. `places`: their corners in the painting."""
        side = PATCHES[number]
        at = self.pixels(corners, side)
        source = sources(places, turns, side, self.colours.shape[1])
        stands = looked_up(self.source, at)
        empty = stands < 0
        there = unpacked(looked_up(self.colours, stands.clamp(min=0)))[..., :3].float()
        new = unpacked(looked_up(self.colours, source))[..., :3].float()
        energy = (there - new).square().sum(-1).div(8).floor().masked_fill(empty, 0)
        mask = empty | inside(energy, side // 3)
        code = codes(turns, shifts(turns, places, corners, side))
        laid = mask.flatten().nonzero()[:, 0]
        where = looked_up(at, laid).long()
        self.source.view(-1)[where] = looked_up(source, laid)
        self.codes.view(-1)[where] = looked_up(code, laid.div(side**2, rounding_mode="floor"))
        self.numbers.view(-1)[where] = number


def codes(turns: Tensor, shift: Tensor) -> Tensor:
    """Turn and shift in one int32."""
    code: Tensor = (turns << 2 * SHIFT_BITS) + (shift[:, 0] + OFFSET << SHIFT_BITS) + shift[:, 1] + OFFSET
    return code.to(torch.int32)


def fields(code: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Turns, and both parts of shifts plus OFFSET, of the type of the codes."""
    part = (1 << SHIFT_BITS) - 1
    return code >> 2 * SHIFT_BITS, code >> SHIFT_BITS & part, code & part


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


def inside(energy: Tensor, overlap: int) -> Tensor:
    """What of each patch lies inside its four cuts: energies (n, side, side) to bool."""
    sides = torch.cat([energy, energy.flip(2), energy.transpose(1, 2), energy.flip(1).transpose(1, 2)])
    cut = cheapest_paths(sides[:, :, :overlap])  # (4 n, side)
    beyond = torch.arange(energy.shape[1])[None, None] >= cut[:, :, None]
    left, right, top, bottom = beyond.chunk(4)
    return left & right.flip(2) & top.transpose(1, 2) & bottom.transpose(1, 2).flip(1)


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
