"""A mask says which of several materials shows where: an image, scaled to the cells of a torus. Whole numbers."""

import torch
from torch import Tensor

from server.quilt.bands import boxed

WHOLE = 255 * 256  # the share of a material that shows alone


class BlendMask:
    """How much of each material a mask wants at each cell of a torus of `rows` x `columns` cells.

    `pixels`: (height, width, channels) uint8. One channel is for two materials: 0 shows the first, 255 the second.
    More channels: one for each material. The mask covers the whole torus and is interpolated around its edges, so a
    mask that tiles gives a texture that tiles. `reach`: cells by which the mask is softened on either side of its
    borders, so that a cut has room to follow what it finds there.
    """

    def __init__(self, pixels: Tensor, rows: int, columns: int, reach: int) -> None:
        self._pixels = pixels.permute(2, 0, 1)
        self._sides, self._reach = (rows, columns), reach

    def shares(self, rows: range, columns: range) -> Tensor:
        """Of each material, (materials, rows, columns) int64 in [0, WHOLE]; cells are unwrapped."""
        reach = self._reach
        values = self._pixels
        for dimension, (line, cells) in enumerate(zip((rows, columns), self._sides, strict=True), 1):
            side = values.shape[dimension]
            places = torch.arange(line.start - reach, line.stop + reach)
            doubled = (2 * places + 1) * side - cells
            first = doubled.div(2 * cells, rounding_mode="floor")
            share = (doubled % (2 * cells)) * 256 // (2 * cells)
            share = share[:, None] if dimension == 1 else share[None]
            near = values.index_select(dimension, first % side).to(torch.int64)
            far = values.index_select(dimension, (first + 1) % side).to(torch.int64)
            values = near * (256 - share) + far * share
        values = values >> 8
        for dimension in (1, 2):
            for _ in range(2):
                values = boxed(values, dimension, reach + 1)
        values = values // (reach + 1) ** 4
        return torch.cat((WHOLE - values, values)) if len(values) == 1 else values
