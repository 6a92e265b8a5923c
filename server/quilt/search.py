"""Where a patch continues its finished neighbours well, of all places: an exhaustive search at half search cells.

The cost of a place is the mean squared distance of appearances over all the overlap. To it come the learned price of
the place, the prices of repeats nearby (server/quilt/repeats.py), of imbalance (server/quilt/balance.py) and of what
tiles with common edges wish for (server/quilt/wishes.py), and some chance. All in whole numbers; ties go to the first
place. The cheapest places are looked at closely in server/quilt/refine.py.
"""

from collections.abc import Sequence
from itertools import pairwise, product

import torch
import torch.nn.functional as F
from torch import Tensor

from server.quilt import balance, repeats
from server.quilt.draws import wished
from server.quilt.hashing import words
from server.quilt.patches import Patches, pairs
from server.quilt.wishes import Wishes

FOUND = 32  # places of which one is taken; where tiles have common edges one, which meets their wishes best
CHANCE = 10  # a cost is raised by up to one part in this many, by hash
NOBODY = 4  # variances: the cost of a cell that neither patch covers


class Search:
    """`prices`: of the search's places, learned, in 1/256 of the median cost. `balanced`: whether imbalance has a
    price, too.
    """

    def __init__(self, patches: Patches, prices: Tensor, wishes: Wishes | None, *, balanced: bool) -> None:
        self._patches, self._prices, self._wishes, self._balanced = patches, prices, wishes, balanced
        self._traits = torch.stack([patches.over_places(each) for each in patches.tables.traits]).cpu()

    def cheapest(self, index: Tensor, stage: int) -> Tensor:
        """The cheapest places of each patch, at half search cells, the cheapest first: (patches, up to FOUND, 2) int64,
        full pixels.
        """
        patches = self._patches
        sums, cells = self._distances(index, stage)
        cost = (sums * 256).div(cells.clamp(min=1), rounding_mode="floor")  # of a cell, in 1/256
        cost = torch.where(cells > 0, cost, torch.full_like(cost, 256 * patches.settings.variance))
        median = cost.flatten(1).median(1).values[:, None, None].clamp(min=256)
        rows, columns = (torch.tensor(part, device=patches.device) for part in patches.searched)
        extra = patches.over_places(self._prices) + self._repeats(index, stage, rows, columns)
        if self._balanced:
            extra += self._unbalanced(index, stage).to(patches.device)
        cost = (cost + (median * extra).div(256, rounding_mode="floor")).clamp(min=0, max=2**36)
        if wishes := wished(self._wishes, index):
            prices = [wishes.prices(patch, patches.places) for patch in pairs(index)]
            cost = cost + torch.stack(prices).view_as(cost)
        number = torch.arange(len(rows) * len(columns), device=patches.device).view(len(rows), len(columns))
        keys = patches.keys(index).to(patches.device)[:, :, None, None]
        cost = cost * (256 * CHANCE + (words(patches.seed, 3, keys[:, 0], keys[:, 1], number[None]) >> 24))
        costs = (cost.div(2**10, rounding_mode="floor") * 2**20 + number).flatten(1)
        best = costs.topk(1 if self._wishes else min(FOUND, costs.shape[1]), 1, largest=False).values % 2**20
        place = torch.stack([rows[best // len(columns)], columns[best % len(columns)]], 2)
        return place.cpu() * patches.settings.factor

    def _distances(self, index: Tensor, stage: int) -> tuple[Tensor, Tensor]:
        """For every place: the sum of squared distances to finished neighbours, and the number of its cells."""
        patches = self._patches
        tables = patches.tables
        target, known, standing = self._target(index, stage)
        first = [(low + tables.margin) // tables.steps[0] for low in patches.low]
        spread = patches.settings.cell // tables.steps[0]
        needed = [count + (side - 1) * spread for count, side in zip(patches.counts, target.shape[2:], strict=True)]
        valid = _cut_or_padded(tables.coarse_valid[None].float(), first, needed)
        field = _cut_or_padded(tables.coarse, first, needed) * valid
        lengths = field.square().sum(0, keepdim=True)
        own = target.square().sum(1) * known
        sums = torch.zeros(len(index), *patches.counts, dtype=torch.int64, device=patches.device)
        cells = sums.clone()
        whole = bool(valid.all())
        for rows, columns in product(*map(_parts, patches.pitch_cells, patches.overlap_cells)):
            here = known[:, rows, columns]
            if not bool(standing[:, rows, columns].any()):
                continue
            under = (
                slice(None),
                *(
                    slice(part.start * spread, count + (part.stop - 1) * spread)
                    for part, count in zip((rows, columns), patches.counts, strict=True)
                ),
            )

            def slid(image: Tensor, kernels: Tensor, under: tuple[slice, ...] = under) -> Tensor:
                return correlated(image[under], kernels, spread)

            sums += slid(lengths, here[:, None])
            sums -= 2 * slid(field, target[:, :, rows, columns] * here[:, None])
            if whole:
                sums += own[:, rows, columns].sum((1, 2), dtype=torch.float64).long()[:, None, None]
                cells += here.sum((1, 2)).long()[:, None, None]
                continue
            neither = slid(1 - valid, (standing[:, rows, columns] - here)[:, None])
            sums += slid(valid, own[:, None, rows, columns]) + NOBODY * patches.settings.variance * neither
            cells += slid(valid, here[:, None]) + neither
        for axis in (0, 1):
            if patches.shape[axis] == 1:
                more, count = self._own_distances(axis)
                sums, cells = sums + more, cells + count
        return sums, cells

    def _own_distances(self, axis: int) -> tuple[Tensor, int]:
        """For a patch that is its own neighbour: how much its far end differs from its near end, for every place."""
        patches = self._patches
        tables, step = patches.tables, patches.tables.steps[0]
        field = tables.coarse.transpose(1, 2) if axis else tables.coarse
        apart = max(1, round(patches.axes[axis].side / patches.settings.factor / step))
        far = field[:, torch.arange(field.shape[1], device=patches.device).add(apart).clamp(max=field.shape[1] - 1)]
        squares = (field - far).square().sum(0, keepdim=True)
        squares = squares.transpose(1, 2) if axis else squares
        first = [(low + tables.margin) // step for low in patches.low]
        sides = [
            patches.overlap_cells[k] if k == axis else patches.pitch_cells[k] + patches.overlap_cells[k] for k in (0, 1)
        ]
        spread = patches.settings.cell // step
        needed = [count + (side - 1) * spread for count, side in zip(patches.counts, sides, strict=True)]
        ones = torch.ones(1, 1, *sides, device=patches.device)
        return correlated(_cut_or_padded(squares, first, needed), ones, spread), sides[0] * sides[1]

    def _target(self, index: Tensor, stage: int) -> tuple[Tensor, Tensor, Tensor]:
        """What the neighbours show where a patch overlaps them: appearances (patches, 8, rows, columns) of its cells,
        which of these are known, and which belong to a neighbour that stands, (patches, rows, columns) each, float32.
        """
        patches = self._patches
        tables, factor, cell = patches.tables, patches.settings.factor, patches.settings.cell
        parts, offsets = [], []
        for pitch, overlap in zip(patches.pitch_cells, patches.overlap_cells, strict=True):
            cells = torch.arange(pitch + overlap)
            parts.append((cells >= pitch).long() - (cells < overlap).long())
            offsets.append(cells * cell * factor)
        places, standing = patches.shown(index, stage, parts, offsets)
        step = tables.steps[0]
        grid = (places.div(factor, rounding_mode="floor") + tables.margin + step // 2) // step
        last = torch.tensor(tables.coarse.shape[1:]) - 1
        rows, columns = torch.minimum(grid.clamp(min=0), last).to(patches.device).unbind(-1)
        target = tables.coarse[:, rows, columns].permute(1, 0, 2, 3)
        standing = standing.to(patches.device)
        return target, (tables.coarse_valid[rows, columns] & standing).float(), standing.float()

    def _repeats(self, index: Tensor, stage: int, rows: Tensor, columns: Tensor) -> Tensor:
        """The prices of places that repeat what patches nearby show, or go on copying a neighbour, in 1/256."""
        patches, factor = self._patches, self._patches.settings.factor
        number, standing = patches.nearby(index, stage)
        beside = torch.cartesian_prod(torch.arange(-1, 2), torch.arange(-1, 2))
        neighbour, stands = patches.standing(index, stage, beside)
        same = max(2, 3 * patches.settings.cell // 4)
        apart, going_on = [], []
        for k, line in ((0, rows), (1, columns)):
            axis = patches.axes[k]
            shown = patches.places[number[..., 0], number[..., 1], k].div(factor, rounding_mode="floor")
            apart.append(patches.apart(shown, k, line))
            corners = torch.tensor([axis.corner(patch) for patch in range(-1, axis.patches + 1)])
            steps = corners[index[:, k, None] + 1] - corners[index[:, k, None] + 1 + beside[:, k]]
            shown = patches.places[neighbour[..., 0], neighbour[..., 1], k].div(factor, rounding_mode="floor")
            on = shown + steps.div(factor, rounding_mode="floor")
            going_on.append((patches.apart(on, k, line) <= same) & stands[..., None].to(patches.device))
        pitch = max(1, round(patches.axes[0].side / patches.axes[0].patches / factor))
        price = repeats.REPEATS if self._balanced else repeats.IN_TILES
        return repeats.prices(apart, standing.to(patches.device), pitch, going_on, price)

    def _unbalanced(self, index: Tensor, stage: int) -> Tensor:
        """The prices of places for the balance of what patches nearby show, in 1/256: (patches, rows, columns)."""
        patches = self._patches
        number, standing = patches.nearby(index, stage)
        shown = patches.places[number[..., 0], number[..., 1]].div(patches.settings.factor, rounding_mode="floor")
        at = [
            (shown[..., axis] - patches.low[axis]).div(patches.settings.step, rounding_mode="floor").clamp(0, count - 1)
            for axis, count in enumerate(patches.counts)
        ]
        return balance.prices(self._traits, self._traits[:, at[0], at[1]], standing)


def _parts(pitch: int, overlap: int) -> list[slice]:
    """The cells of a patch along one axis: over the neighbour before it, over none, over the one behind it."""
    ends = [0, min(overlap, pitch), pitch, pitch + overlap]
    return [slice(start, stop) for start, stop in pairwise(ends) if stop > start]


def _cut_or_padded(table: Tensor, first: Sequence[int], count: Sequence[int]) -> Tensor:
    """(C, count, count) of a table from `first` on; zeros where it ends before."""
    part = table[:, first[0] : first[0] + count[0], first[1] : first[1] + count[1]]
    return F.pad(part, (0, count[1] - part.shape[2], 0, count[0] - part.shape[1]))


def correlated(image: Tensor, kernels: Tensor, spread: int) -> Tensor:
    """(C, H, W) under (P, C, h, w) kernels whose cells lie `spread` apart: (P, rows, columns) int64, exact.

    All sums are whole numbers below 2^24, so float32 is exact on a processor, whose convolutions multiply and add.
    Other devices may use transforms; there float64 is used and rounded.
    """
    if image.device.type == "cpu":
        return F.conv2d(image[None], kernels, dilation=spread)[0].long()
    return F.conv2d(image[None].double(), kernels.double(), dilation=spread)[0].round().long()
