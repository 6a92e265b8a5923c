"""From the places that an exhaustive search found to the place that a patch takes, to the pixel.

The search sees cells as large as a course of slates, so what it likes best may still be half a course off. Its best
places are looked at closely, by fine appearances: the one that continues the neighbours best there is moved in finer
and finer steps, down to whole pixels. All in whole numbers; ties go to what the search liked more, or to the smaller
move.
"""

import torch
from torch import Tensor

from server.quilt.patches import Patches
from server.quilt.tables import LAST_OFF, packed_distances

MOVED = 4  # places that are also looked at in steps around them
NOWHERE = 2**40  # the cost of a place that has nothing to be compared


def refined(patches: Patches, index: Tensor, found: Tensor, stage: int) -> Tensor:
    """The place of each of these patches, (patches, 2): the best of those found for it, (patches, n, 2) in the order in
    which they are liked, moved by up to half a search cell.
    """
    tables, cell = patches.tables, patches.settings.cell
    step, reach = tables.steps[1], tables.steps[0] // 2
    fine = _Neighbours(patches, index, stage, "fine", cell)
    found = _best(found, fine.costs(found, _moves(0, 1)).amin(2), MOVED)
    found = _best(found, fine.costs(found, _moves(reach, 2 * step)).amin(2), 1)
    found = _moved(found, fine, _moves(reach, step))
    if step > 1:
        found = _moved(found, _Neighbours(patches, index, stage, "packed", cell // 2), _moves(step // 2 + 1, 1))
    return found[:, 0]


class _Neighbours:
    """What stands under these patches, at every `every` plan pixels of their overlaps, in the table of that name."""

    def __init__(self, patches: Patches, index: Tensor, stage: int, table: str, every: int) -> None:
        tables = patches.tables
        self._patches, self._packed = patches, tables.fine if table == "fine" else tables.packed
        self._spacing = tables.steps[1] if table == "fine" else 1
        self._mask = -1 if table == "fine" else LAST_OFF
        parts, offsets = patches.samples(every)
        self._offsets = torch.stack(torch.meshgrid(*offsets, indexing="ij"), -1)
        both = torch.stack(torch.meshgrid(*parts, indexing="ij"), -1)
        theirs, standing = patches.shown(index, stage, parts, offsets)
        selves = (both != 0).any(-1) & (both % torch.tensor(patches.shape) == 0).all(-1)
        # Samples in overlaps alone: (patches, samples), those of the neighbours that stand.
        rows, columns = (both != 0).any(-1).nonzero().unbind(1)
        self._offsets, self._theirs = self._offsets[rows, columns], theirs[:, rows, columns]
        self._selves, self._standing = selves[rows, columns], standing[:, rows, columns]
        sides = torch.tensor([axis.side for axis in patches.axes])
        self._around = both[rows, columns] * sides  # from a patch that is its own neighbour to itself

    def costs(self, places: Tensor, moves: Tensor) -> Tensor:
        """Of each place (patches, n, 2), moved in each way (m, 2) in plan pixels: the mean squared distance of what it
        shows to what stands, in 1/256: (patches, n, m) int64.
        """
        patches, width = self._patches, self._packed.shape[1]
        reach = int(moves.abs().amax())
        own = places[:, :, None] + self._offsets  # (patches, n, samples, 2)
        theirs = torch.where(self._selves[:, None], own - self._around, self._theirs[:, None].expand_as(own))
        counted = (self._standing | self._selves)[:, None] & patches.valid(own) & patches.valid(theirs)
        place = counted.flatten(0, 1).nonzero()[:, 0].to(patches.device)
        here, there = (
            patches.numbered(each[counted], self._spacing, self._packed, reach).to(patches.device)
            for each in (own, theirs)
        )
        moving = self._selves.expand_as(counted)[counted].to(patches.device)
        any_moving = bool(moving.any())
        flat = self._packed.flatten()
        standing = flat[there] & self._mask
        costs = []
        for down, across in moves.tolist():
            by = down // self._spacing * width + across // self._spacing
            values = flat[there + by * moving] & self._mask if any_moving else standing
            sums = torch.zeros(counted.shape[0] * counted.shape[1], dtype=torch.int64, device=patches.device)
            shown = flat[here + by] & self._mask
            costs.append(sums.index_add_(0, place, packed_distances(shown, values)).cpu())
        count = counted.sum(2)[..., None]
        means = (torch.stack(costs, 1).view(*count.shape[:2], -1) * 256).div(count.clamp(min=1), rounding_mode="floor")
        return torch.where(count > 0, means, NOWHERE)

    def moved(self, places: Tensor, moves: Tensor) -> Tensor:
        """Places (patches, n, 2) by moves of the same shape."""
        return places + moves * self._patches.settings.factor


def _best(places: Tensor, costs: Tensor, count: int) -> Tensor:
    """Those of the places (patches, n, 2) that cost least, (patches, count, 2), in the order in which they are."""
    number = torch.arange(costs.shape[1])
    keys = (costs * 2**10 + number).topk(min(count, len(number)), 1, largest=False).values
    chosen = (keys % 2**10).sort(1).values
    return places.gather(1, chosen[..., None].expand(-1, -1, 2))


def _moved(places: Tensor, neighbours: _Neighbours, moves: Tensor) -> Tensor:
    """Places (patches, 1, 2), each moved in the way that costs least."""
    costs = neighbours.costs(places, moves)
    best = (costs * 2**10 + torch.arange(len(moves))).amin(2) % 2**10
    return neighbours.moved(places, moves[best])


def _moves(reach: int, step: int) -> Tensor:
    """All moves by up to `reach` plan pixels in steps, the smallest first: (moves, 2)."""
    line = torch.arange(-(reach // step), reach // step + 1) * step
    moves = torch.cartesian_prod(line, line)
    return moves[moves.abs().sum(1).sort(stable=True).indices]
