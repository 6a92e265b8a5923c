"""Minimum-error cuts through the overlaps of patches. They decide which patch every pixel comes from.

First the patches of each row are cut from each other: an upright path runs through the overlap of two neighbours. Then
whole rows are cut from each other by a level path from patch to patch. It passes fixed nodes, the best pixel above the
middle of each patch, so it never breaks, and every piece of it depends on only four patches.

Paths are those of least summed energy (Efros & Freeman, SIGGRAPH 2001), found by dynamic programming, all paths of a
block at once. The energy of a pixel is the squared difference of the two patches' features, divided by how much the
quieter of them changes there, so a path prefers an edge to a plain area. All in whole numbers.

Where tiles have edges in common, a level path that crosses an upright edge keeps, in the part that the patches on the
edge show alone, to the path that these two patches would have by themselves. Upright paths cross a level edge inside
such patches anyway. So cuts along an edge depend on the patches on it alone.

Paths are in plan pixels, `rows` and `columns` count from the upper left corner of a patch, overlaps included.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from server.model.grid import PatchAxis
from server.quilt.bands import boxed
from server.quilt.plan import Plan
from server.quilt.tables import LAST_OFF, first_distances, packed_distances

Numbers = npt.NDArray[np.int64]

BARE = 2**20  # the energy of a pixel outside the swatch
CALM = 8  # added to the change of features, before energies are divided by it
TONE_SIDE = 5  # plan pixels
APART = 4  # a squared distance of fine appearances counts as one in so many
PLACE_BITS = 12  # a place on a line is below 2^12, a total below 2^50
PLACES = 2**PLACE_BITS - 1
FAR = np.int64(2**50)
NODE_REACH = 4  # plan pixels at either side of a node that count


@dataclass(frozen=True, eq=False)
class Cuts:
    """The cuts of the patches in `rows` x `columns` (unwrapped), on the CPU.

    `places`: (rows, columns, 2), as the plan's, of one more row and column. `upright`: (rows + 1, columns, length)
    int64: in which column of the overlap the right neighbour begins, at each row of the patch. `level`: (rows, columns,
    length): in which row of the overlap the lower neighbour begins, at each column from the middle of this patch to the
    middle of the next.
    """

    rows: range
    columns: range
    places: Tensor
    upright: Tensor
    level: Tensor


def make_cuts(plan: Plan, rows: range, columns: range) -> Cuts:
    """The cuts at the right and lower sides of these patches."""
    places = plan.places(range(rows.start, rows.stop + 1), range(columns.start, columns.stop + 1))
    upright = _upright(plan, columns, places)
    level = _level(plan, rows, columns, places, upright)
    return Cuts(rows=rows, columns=columns, places=places, upright=upright, level=level)


def joined(blocks: Sequence[Sequence[Cuts]], rows: range, columns: range) -> Cuts:
    """The cuts of these rows and columns, from neighbouring blocks that contain them.

    The first block contains the first row and column. Blocks have one size and are counted without wrapping.
    """
    height, width = len(blocks[0][0].rows), len(blocks[0][0].columns)
    top, left = rows.start % height, columns.start % width

    def grid(parts: list[list[Tensor]], down: int, across: int) -> Tensor:
        """Each part's own rows and columns; the last parts also give what lies beyond them."""
        lines = []
        for row, line in enumerate(parts):
            own_rows = height if row + 1 < len(parts) else height + down
            cells = [
                part[:own_rows, : width if column + 1 < len(line) else width + across]
                for column, part in enumerate(line)
            ]
            lines.append(torch.cat(cells, 1))
        whole = torch.cat(lines, 0)
        return whole[top : top + len(rows) + down, left : left + len(columns) + across]

    return Cuts(
        rows=rows,
        columns=columns,
        places=grid([[each.places for each in line] for line in blocks], 1, 1),
        upright=grid([[each.upright for each in line] for line in blocks], 1, 0),
        level=grid([[each.level for each in line] for line in blocks], 0, 0),
    )


def _upright(plan: Plan, columns: range, places: Tensor) -> Tensor:
    """The cuts between neighbours in a row: (rows + 1, columns, length)."""
    factor = plan.settings.factor
    down = torch.arange(plan.longest[0])[:, None] * factor
    across = torch.arange(2 * plan.overlaps[1])[None] * factor
    pitches = _pitches(plan.axes[1], columns)[None, :, None, None]
    rows = min(len(places), plan.shape[0])  # those behind are the first ones again
    left = _Shown(plan, places[:rows, :-1], down, across + pitches)
    right = _Shown(plan, places[:rows, 1:], down, across)
    found = _paths(_energy(left, right, regular=plan.periods is not None))
    return found[torch.arange(len(places)) % rows]


def _level(plan: Plan, rows: range, columns: range, places: Tensor, upright: Tensor) -> Tensor:
    """The cuts between rows of patches, from node to node: (rows, columns, length)."""
    factor, axis = plan.settings.factor, plan.axes[1]
    overlap = axis.overlap
    corners = torch.tensor([axis.corner(column) for column in range(columns.start, columns.stop + 1)])
    middles = torch.tensor([axis.middle(column) for column in range(columns.start, columns.stop + 1)])
    down = torch.arange(2 * plan.overlaps[0])[:, None] * factor
    pitches = _pitches(plan.axes[0], rows)[:, None, None, None]
    # Nodes: the middles of all patches, one more than there are paths.
    about = torch.arange(-NODE_REACH, NODE_REACH + 1)[None] * factor
    near = (middles - corners)[None, :, None, None] + overlap + about
    upper = _Shown(plan, places[:-1], down + pitches, near)
    lower = _Shown(plan, places[1:], down, near)
    regular = plan.periods is not None
    nodes = _calmest(_energy(upper, lower, across=False, regular=regular).sum(-1))
    # Paths: along x from one middle to the next, through whichever patch of a row stands there.
    lengths = (middles[1:] - middles[:-1]).div(factor, rounding_mode="floor")
    along = torch.arange(-(-(axis.longest + 1) // factor) + 1)[None] * factor  # of one length everywhere
    x = middles[:-1, None, None] + along  # (columns, 1, length), in pixels
    sides = []
    for row, y in ((0, down + pitches), (1, down + 0 * pitches)):
        begins = upright[row : row + len(rows)]  # (rows, columns, length of a patch)
        lines = y.div(factor, rounding_mode="floor")[..., 0].expand(-1, len(columns), -1)
        cut = corners[1:][None, :, None] - overlap + factor * begins.gather(2, lines.clamp(max=begins.shape[2] - 1))
        right = x[None] >= cut[..., None]
        here = torch.where(right, corners[1:, None, None], corners[:-1, None, None])
        place = torch.where(
            right[..., None],
            places[row : row + len(rows), 1:, None, None],
            places[row : row + len(rows), :-1, None, None],
        )
        sides.append(_Shown(plan, place, y, x[None] - here + overlap, single=False))
    energy = _energy(*sides, across=False, regular=regular).transpose(2, 3)
    lengths = lengths[None].expand(len(rows), -1)
    if not axis.every:
        return _paths(energy, nodes[:, :-1], nodes[:, 1:], lengths)
    return _between_edges(energy, nodes, lengths, _across_edges(plan, rows, columns, places), axis, columns)


def _across_edges(plan: Plan, rows: range, columns: range, places: Tensor) -> Tensor:
    """The level cuts where an upright edge crosses them: (rows, columns + 1, 2 * reach + 1), from `reach` plan pixels
    left of the edge to as many right of it. Of other columns: what would be there.
    """
    factor, axis = plan.settings.factor, plan.axes[1]
    reach = axis.alone // factor
    down = torch.arange(2 * plan.overlaps[0])[:, None] * factor
    near = axis.middle(0) - axis.corner(0) + axis.overlap + torch.arange(-reach, reach + 1)[None] * factor
    upper = _Shown(plan, places[:-1], down + _pitches(plan.axes[0], rows)[:, None, None, None], near)
    lower = _Shown(plan, places[1:], down, near)
    return _paths(_energy(upper, lower, across=False, regular=plan.periods is not None).transpose(2, 3))


def _between_edges(
    energy: Tensor, nodes: Tensor, lengths: Tensor, crossing: Tensor, axis: PatchAxis, columns: range
) -> Tensor:
    """Paths from node to node that begin or end as the cuts across an edge, where there is one: as `_paths`."""
    reach = crossing.shape[2] // 2
    edges = [axis.on_edge(column) for column in range(columns.start, columns.stop + 1)]
    before, behind = (torch.tensor(part) * reach for part in (edges[:-1], edges[1:]))
    line = torch.arange(energy.shape[2])
    shifted = (line[None] + before[:, None]).clamp(max=len(line) - 1)
    shifted = shifted[None, :, :, None].expand(len(energy), -1, -1, energy.shape[3])
    first = torch.where(before > 0, crossing[:, :-1, -1], nodes[:, :-1])
    last = torch.where(behind > 0, crossing[:, 1:, 0], nodes[:, 1:])
    free = _paths(energy.gather(2, shifted), first, last, lengths - before - behind)
    left = crossing[:, :-1, reach:].gather(2, line.expand_as(free).clamp(max=reach))
    from_end = line - lengths[..., None]
    right = crossing[:, 1:].gather(2, (from_end + reach).clamp(0, 2 * reach))
    middle = free.gather(2, (line - before[:, None]).clamp(min=0).expand_as(free))
    path = torch.where(line < before[:, None], left, middle)
    return torch.where((from_end >= -behind[:, None]) & (behind[:, None] > 0), right, path)


class _Shown:
    """What patches show at these places of theirs, in pixels from their corners."""

    def __init__(self, plan: Plan, places: Tensor, down: Tensor, across: Tensor, *, single: bool = True) -> None:
        if single:
            places = places[:, :, None, None]
        tables, settings = plan.tables, plan.settings
        rows = (places[..., 0] + down).div(settings.factor, rounding_mode="floor")
        columns = (places[..., 1] + across).div(settings.factor, rounding_mode="floor")
        self.features = settings.features
        self.valid = torch.ones((), dtype=torch.bool)
        for line, axis in ((rows, 0), (columns, 1)):
            if not settings.wraps[axis]:
                self.valid = self.valid & (line >= 0) & (line < settings.plan[axis])
        height, width = tables.packed.shape
        index = (rows + tables.margin).clamp(0, height - 1) * width + (columns + tables.margin).clamp(0, width - 1)
        self.values = tables.packed.flatten()[index]
        self._tables, self._cell, self._rows, self._columns = tables, settings.cell, rows, columns

    def appearances(self) -> Tensor:
        """The fine appearances of the cells around each place, packed."""
        fine, step = self._tables.fine, self._tables.steps[1]
        rows, columns = (
            (line + self._tables.margin - self._cell // 8 + step // 2)
            .div(step, rounding_mode="floor")
            .clamp(0, side - 1)
            for line, side in zip((self._rows, self._columns), fine.shape, strict=True)
        )
        return fine.flatten()[rows * fine.shape[1] + columns]


def _energy(first: _Shown, second: _Shown, *, across: bool = True, regular: bool = False) -> Tensor:
    """What it costs to cut at each pixel: (rows, columns, down, across) int64.

    The first patch keeps what lies before the cut, the second what lies behind, in the direction across, or down.
    `regular`: compare what is around pixels, too, as for bricks: each has a tone of its own, and a step between two of
    them shows though it is less than the grain. And where one patch has a joint below a pixel and the other one above
    it, both show brick there, but a cut would leave the joint out.
    """
    change = torch.minimum(first.values >> 56, second.values >> 56)
    distance = first_distances(first.values, second.values, first.features)
    if regular:
        distance += _tone_distances(first.values & LAST_OFF, second.values & LAST_OFF)
    energy = (distance * 16).div(CALM + change, rounding_mode="floor") + 1
    if regular:
        energy += packed_distances(first.appearances(), second.appearances()).div(APART, rounding_mode="floor")
    if bool(first.valid.all()) and bool(second.valid.all()):
        return energy
    dimension = 3 if across else 2
    before, behind = ((~side.valid).long().expand_as(energy) for side in (first, second))
    before = before.cumsum(dimension) - before
    behind = behind.flip(dimension).cumsum(dimension).flip(dimension)
    energy = torch.where(first.valid & second.valid, energy, 1)
    return energy + BARE * (before + behind)


def _tone_distances(ours: Tensor, theirs: Tensor) -> Tensor:
    """Squared differences of sums over the TONE_SIDE x TONE_SIDE pixels around, over their number: int64."""
    first, second = (each.contiguous().view(torch.int8).view(*each.shape, 8) for each in (ours, theirs))
    sums = first.to(torch.int32) - second
    for dimension in (2, 3):
        ends = sums.narrow(dimension, 0, 1), sums.narrow(dimension, -1, 1)
        more = TONE_SIDE // 2
        sums = boxed(torch.cat([ends[0]] * more + [sums] + [ends[1]] * more, dimension), dimension, TONE_SIDE)
    return sums.square().sum(-1).div(TONE_SIDE**2, rounding_mode="floor")


def _calmest(energies: Tensor) -> Tensor:
    """The index of the least value along the last axis. The middle is slightly preferred."""
    count = energies.shape[-1]
    aside = (torch.arange(count) - count // 2).abs()
    cost = energies + energies.div(16 * count, rounding_mode="floor") * aside
    return (cost * 2**12 + torch.arange(count)).amin(-1) % 2**12


def _paths(
    energy: Tensor, first: Tensor | None = None, last: Tensor | None = None, lengths: Tensor | None = None
) -> Tensor:
    """The cheapest paths along the third axis of (rows, columns, length, width).

    From one line to the next a path steps at most one aside; on a line it may run aside as far as it likes, over pixels
    that it pays for, so a cut can follow mortar or go around a stone.
    They start at `first` and reach `last` after `lengths` steps, or are free. Returns (rows, columns, length) int64.
    """
    rows, columns, length, width = energy.shape
    costs = energy.reshape(-1, length, width).numpy()
    count = len(costs)
    total = np.full((count, width + 2), FAR)
    back = np.zeros((length, count, width), np.int8)
    entered = np.zeros((length, count, width), np.int16)  # where a path came onto the line
    if first is None:
        total[:, 1:-1] = costs[:, 0]
    else:
        total[np.arange(count), first.reshape(-1).numpy() + 1] = 0
    for step in range(1, length):
        left, middle, right = total[:, :-2], total[:, 1:-1], total[:, 2:]
        best = np.minimum(middle, left)
        came = back[step]
        came[left < middle] = -1
        came[right < best] = 1
        np.minimum(best, right, out=best)
        best += costs[:, step]
        best, entered[step] = _run_aside(best, costs[:, step])
        np.minimum(best, FAR, out=best)
        if lengths is not None:
            ended = step > lengths.reshape(-1).numpy()
            best[ended] = total[ended, 1:-1]
        total[:, 1:-1] = best
    path = np.zeros((count, length), np.int64)
    at: Numbers = total[:, 1:-1].argmin(1) if last is None else last.reshape(-1).numpy().copy()
    every = np.arange(count)
    for step in range(length - 1, -1, -1):
        path[:, step] = at
        if lengths is not None:
            going = step <= lengths.reshape(-1).numpy()
            on = np.where(going, entered[step, every, at], at)
            at = np.where(going, on + back[step, every, on], at)
        else:
            on = entered[step, every, at]
            at = on + back[step, every, on]
    return torch.from_numpy(path).view(rows, columns, length)


def _run_aside(best: Numbers, line: Numbers) -> tuple[Numbers, Numbers]:
    """The least totals (paths, width) where paths may run along a line, and where each came onto it.

    A total and its place are one number, so that one running minimum finds both: of equals the place next to it.
    """
    width = best.shape[1]
    places = np.arange(width)
    upto = line.cumsum(1)
    before = upto - line
    least = np.minimum.accumulate(((best - upto) << PLACE_BITS) + (width - 1 - places), 1)
    right, from_left = (least >> PLACE_BITS) + upto, (width - 1) - (least & PLACES)
    least = np.minimum.accumulate((((best + before) << PLACE_BITS) + places)[:, ::-1], 1)[:, ::-1]
    left, from_right = (least >> PLACE_BITS) - before, least & PLACES
    return np.minimum(right, left), np.where(right <= left, from_left, from_right)


def _pitches(axis: PatchAxis, patches: range) -> Tensor:
    """Pixels from each patch's corner to the next one's."""
    return torch.tensor([axis.corner(patch + 1) - axis.corner(patch) for patch in patches])
