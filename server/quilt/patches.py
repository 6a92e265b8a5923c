"""The patches of one torus: which place of the swatch each shows so far, and what stands around it.

A place is the pixel of the swatch, at full size, that a patch shows at its upper left corner, overlaps included; it may
lie outside. Ways to find places (server/quilt/search.py, refine.py, on_lattice.py) ask here what they have to fit.
"""

import torch
from torch import Tensor

from server.model.fitting import UNIT, Periods
from server.model.grid import PatchAxis
from server.model.quilt import QuiltArchitecture
from server.quilt.parts import Parts
from server.quilt.tables import Tables

NEAR = 2  # patches: how far a repeat is looked for


class Patches:
    """`places`: (rows, columns, 2) int64 on the CPU, of those that stand. `fractions`: what a place on a lattice lies
    off the whole pixel, in 1/PHASES pixels, the same shape. `searched`: the places that an exhaustive search tries, in
    plan pixels down and across. `sides`: after how many plan pixels the swatch shows the same again, down and across, 0
    where it does not tile.
    """

    def __init__(
        self,
        tables: Tables,
        settings: QuiltArchitecture,
        seed: int,
        axes: tuple[PatchAxis, PatchAxis],
        parts: Parts,
        periods: Periods | None = None,
    ) -> None:
        self.tables, self.settings, self.seed, self.axes, self.parts = tables, settings, seed, axes, parts
        self.device = tables.packed.device
        down, across = self.shape = axes[0].patches, axes[1].patches
        self.places = torch.zeros(down, across, 2, dtype=torch.int64)
        self.fractions = torch.zeros(down, across, 2, dtype=torch.int64)
        factor, cell = settings.factor, settings.cell
        self.overlaps = tuple(axis.overlap // factor for axis in axes)  # plan pixels
        self.longest = tuple(  # plan pixels, overlaps included
            -(-axis.longest // factor) + 2 * overlap for axis, overlap in zip(axes, self.overlaps, strict=True)
        )
        self.pitch_cells = [max(1, round(axis.side / axis.patches / factor / cell)) for axis in axes]
        self.overlap_cells = [max(1, round(2 * overlap / cell)) for overlap in self.overlaps]
        repeated = periods.swatch if periods else (0, 0)
        down, across = (
            side if wraps else round(again / (factor << UNIT))
            for side, wraps, again in zip(settings.plan, settings.wraps, repeated, strict=True)
        )
        self.sides = down, across
        first, second = (
            range(0, side, settings.step)
            if side and not settings.wraps[axis]
            else settings.searched(axis, longest, overlap)
            for axis, (longest, overlap, side) in enumerate(zip(self.longest, self.overlaps, self.sides, strict=True))
        )
        self.searched = first, second
        self.low = [places.start for places in self.searched]
        self.counts = [len(places) for places in self.searched]

    def keys(self, index: Tensor) -> Tensor:
        """What is hashed for these patches: (patches, 2)."""
        return self.parts.keys[index[:, 0], index[:, 1]]

    def over_places(self, table: Tensor) -> Tensor:
        """A table brought to the places of this torus, int64: patches of other sizes have a few more or less."""
        table = table.to(self.device, torch.int64)
        rows, columns = (
            torch.arange(count, device=self.device) * side // count
            for count, side in zip(self.counts, table.shape, strict=True)
        )
        return table[rows][:, columns]

    def shown(self, index: Tensor, stage: int, parts: list[Tensor], offsets: list[Tensor]) -> tuple[Tensor, Tensor]:
        """What a patch's neighbours show under it.

        `parts`: along each axis, for every sample, which neighbour lies there: -1, 0 or 1. `offsets`: where the sample
        lies, in full pixels from the patch's corner. Returns the pixels of the swatch that the neighbours show there,
        (patches, rows, columns, 2), and whether these neighbours stand already.
        """
        numbers, places = [], []
        for axis in (0, 1):
            number = index[:, axis, None] + parts[axis][None]
            corners = torch.tensor([self.axes[axis].corner(int(k)) for k in range(-1, self.shape[axis] + 1)])
            apart = corners[index[:, axis] + 1][:, None] - corners[number + 1]
            numbers.append(number % self.shape[axis])
            places.append(apart + offsets[axis][None])
        rows, columns = numbers[0][:, :, None], numbers[1][:, None, :]
        standing = self.parts.ranks[rows, columns] < stage
        shown = self.places[rows, columns]
        shape = shown.shape[:-1]
        steps = [places[0][:, :, None].expand(shape), places[1][:, None, :].expand(shape)]
        return shown + torch.stack(steps, -1), standing

    def nearby(self, index: Tensor, stage: int) -> tuple[Tensor, Tensor]:
        """As `standing`: the patches up to NEAR away. On a small torus some lie at both sides, and count twice."""
        line = torch.arange(-NEAR, NEAR + 1)
        return self.standing(index, stage, torch.cartesian_prod(line, line))

    def standing(self, index: Tensor, stage: int, away: Tensor) -> tuple[Tensor, Tensor]:
        """The patches that lie so far `away`, (around, 2), from each: (patches, around, 2), and which of them stand."""
        number = (index[:, None] + away) % torch.tensor(self.shape)
        stand = self.parts.ranks[number[..., 0], number[..., 1]] < stage
        return number, stand & (number != index[:, None]).any(2)

    def samples(self, every: int) -> tuple[list[Tensor], list[Tensor]]:
        """Where a patch is compared: on each axis which neighbour lies there (-1, 0, 1), and pixels from its corner."""
        parts, offsets = [], []
        for axis in (0, 1):
            overlap = 2 * self.overlaps[axis]
            pitch = self.axes[axis].side // self.axes[axis].patches // self.settings.factor
            samples = torch.arange(min(every, overlap) // 2, pitch + overlap, every)
            parts.append((samples >= pitch).long() - (samples < overlap).long())
            offsets.append(samples * self.settings.factor)
        return parts, offsets

    def valid(self, pixels: Tensor) -> Tensor:
        """Whether pixels of the swatch, (..., 2), lie in it."""
        inside = torch.ones(pixels.shape[:-1], dtype=torch.bool)
        for axis, side in enumerate((self.settings.height, self.settings.width)):
            if not self.settings.wraps[axis]:
                inside &= (pixels[..., axis] >= 0) & (pixels[..., axis] < side)
        return inside

    def numbered(self, pixels: Tensor, spacing: int, table: Tensor, reach: int) -> Tensor:
        """The flat index in a table of each pixel, far enough from its ends for any move."""
        plan = (pixels.div(self.settings.factor, rounding_mode="floor") + self.tables.margin).div(
            spacing, rounding_mode="floor"
        )
        room = -(-reach // spacing)
        rows = plan[..., 0].clamp(room, table.shape[0] - 1 - room)
        columns = plan[..., 1].clamp(room, table.shape[1] - 1 - room)
        return rows * table.shape[1] + columns

    def apart(self, places: Tensor, axis: int, line: Tensor) -> Tensor:
        """How far each of these rows or columns lies from each of a line, in plan pixels: (..., line)."""
        distance = (line - places[..., None].to(self.device)).abs()
        if side := self.sides[axis]:
            distance = (distance % side).minimum(side - distance % side)
        return distance


def pairs(index: Tensor) -> list[tuple[int, int]]:
    """Rows and columns of patches, (patches, 2), as numbers."""
    return [(row, column) for row, column in index.tolist()]
