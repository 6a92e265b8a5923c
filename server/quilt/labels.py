"""Which patch every pixel of a torus comes from, by the cuts between patches."""

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar

import torch
from torch import Tensor

from server.model.grid import PatchAxis
from server.quilt.cuts import Cuts, joined, make_cuts
from server.quilt.plan import Plan

CUTS_KEPT = 64
CUT_BLOCK = 4  # patches a side

T = TypeVar("T")


class Labels:
    """Finds labels. The cuts of the last tori are kept, in blocks."""

    def __init__(self) -> None:
        self._cuts: OrderedDict[Hashable, Cuts] = OrderedDict()

    def of(self, plan: Plan, key: Hashable, ys: Tensor, xs: Tensor) -> tuple[Tensor, list[tuple[int, int, list[int]]]]:
        """Which patch each pixel of these rows and columns (unwrapped, rising) comes from: (rows, columns) int32, an
        index into the list of patches: row, column, place. `key` stands for the plan.
        """
        down, across = plan.axes
        rows = range(_node_before(down, int(ys[0])), _node_before(down, int(ys[-1])) + 1)
        columns = range(_node_before(across, int(xs[0])), _node_before(across, int(xs[-1])) + 1)
        cuts = self._all_cuts(plan, key, rows, columns)
        factor = plan.settings.factor
        row_nodes = torch.tensor([down.middle(row) for row in rows])
        column_nodes = torch.tensor([across.middle(column) for column in columns])
        own_row = torch.searchsorted(row_nodes, ys, right=True) - 1
        own_column = torch.searchsorted(column_nodes, xs, right=True) - 1
        row_corners = torch.tensor([down.corner(row) for row in range(rows.start, rows.stop + 1)])
        column_corners = torch.tensor([across.corner(column) for column in range(columns.start, columns.stop + 1)])
        step = (xs - column_nodes[own_column]).div(factor, rounding_mode="floor")
        begins = cuts.level[:, own_column, step]  # (rows of patches, xs)
        lower_from = (row_corners[1:, None] - down.overlap + factor * begins).to(torch.int32)
        lower = ys.to(torch.int32)[:, None] >= lower_from[own_row]
        # Where the right neighbour begins at each y, in the upper of two rows of patches and in the lower one.
        right_from = []
        for row in (own_row, own_row + 1):
            line = (ys - row_corners[row] + down.overlap).div(factor, rounding_mode="floor")
            line = line.clamp(0, cuts.upright.shape[2] - 1)
            begins = column_corners[None, 1:] - across.overlap + factor * cuts.upright[row, :, line]
            right_from.append(begins.to(torch.int32)[:, own_column])
        right = xs.to(torch.int32)[None] >= torch.where(lower, right_from[1], right_from[0])
        first = own_row[:, None] * (len(columns) + 1) + own_column[None]
        labels = first.to(torch.int32) + lower * (len(columns) + 1) + right
        patches = [
            (rows.start + r, columns.start + c, cuts.places[r, c].tolist())
            for r in range(len(rows) + 1)
            for c in range(len(columns) + 1)
        ]
        return labels, patches

    def _all_cuts(self, plan: Plan, key: Hashable, rows: range, columns: range) -> Cuts:
        """The cuts of these patches, put together from blocks that are kept."""

        def block(row: int, column: int) -> Cuts:
            own = [
                range(index * CUT_BLOCK, (index + 1) * CUT_BLOCK)
                for index in (row % _rounds(plan.shape[0]), column % _rounds(plan.shape[1]))
            ]
            return kept(self._cuts, (key, own[0].start, own[1].start), CUTS_KEPT, lambda: make_cuts(plan, *own))

        return joined(
            [
                [
                    block(row, column)
                    for column in range(columns.start // CUT_BLOCK, (columns.stop - 1) // CUT_BLOCK + 1)
                ]
                for row in range(rows.start // CUT_BLOCK, (rows.stop - 1) // CUT_BLOCK + 1)
            ],
            rows,
            columns,
        )


def kept(cache: "OrderedDict[Hashable, T]", key: Hashable, most: int, make: Callable[[], T]) -> T:
    """The value made earlier for this key, or made now. The least recently used values are dropped."""
    if key not in cache:
        cache[key] = make()
        while len(cache) > most:
            cache.popitem(last=False)
    cache.move_to_end(key)
    return cache[key]


def _node_before(axis: PatchAxis, pixel: int) -> int:
    """The last patch whose middle is at or before this pixel."""
    patch = axis.patch_at(pixel)
    return patch if axis.middle(patch) <= pixel else patch - 1


def _rounds(patches: int) -> int:
    """Blocks after which the patches of an axis come again at the same places of their blocks."""
    return math.lcm(patches, CUT_BLOCK) // CUT_BLOCK
