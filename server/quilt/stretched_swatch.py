"""The stretched swatch of a regular material, made block by block as it is painted from.

So a texture of a large swatch begins at once, and a small window takes little memory. Blocks that were made are kept.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from server.model.fitting import Stretch
from server.quilt.stretch import stretched

BLOCK = 256  # pixels a side


class StretchedSwatch:
    """`swatch`: its maps as they are, (channels, height, width) uint8 or uint16."""

    def __init__(self, swatch: Sequence[Tensor], stretch: Stretch) -> None:
        self._swatch, self._stretch = list(swatch), stretch
        self._blocks: dict[tuple[int, int], list[Tensor]] = {}

    def part(self, number: int, rows: range, columns: range) -> Tensor:
        """These pixels of map `number`, which lie inside the stretched swatch: (channels, rows, columns)."""
        lines = []
        for row in _blocks(rows):
            line = []
            for column in _blocks(columns):
                inside = [_inside(block, wanted) for block, wanted in ((row, rows), (column, columns))]
                line.append(self._block(row, column)[number][:, inside[0], inside[1]])
            lines.append(torch.cat(line, 2))
        return torch.cat(lines, 1)

    def _block(self, row: int, column: int) -> list[Tensor]:
        if (row, column) not in self._blocks:
            own = [range(at * BLOCK, (at + 1) * BLOCK) for at in (row, column)]
            self._blocks[row, column] = stretched(self._swatch, self._stretch, own[0], own[1])
        return self._blocks[row, column]


def _blocks(line: range) -> range:
    return range(line.start // BLOCK, (line.stop - 1) // BLOCK + 1)


def _inside(block: int, wanted: range) -> slice:
    """What is wanted of a block."""
    return slice(max(0, wanted.start - block * BLOCK), min(BLOCK, wanted.stop - block * BLOCK))
