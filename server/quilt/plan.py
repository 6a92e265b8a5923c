"""The plan of a torus: which place of the swatch each patch shows.

Image quilting (Efros & Freeman, SIGGRAPH 2001) with all patches of a colour at once: the patches of a torus have four
colours like a checkerboard of 2 x 2. Patches of the first colour take hashed places, spread evenly. Those of the other
colours, one colour after the other, take the place that best continues their finished neighbours over all the overlap:
first by an exhaustive search at half search cells (search.py), then in finer and finer steps to whole pixels
(refine.py). On a lattice, of the places of equal phase (on_lattice.py). Differs: an order of
four steps in place of a scan line, so a torus has no beginning, and a patch depends on few others.

Where tiles have edges in common, the patches on edges are placed before all others (server/quilt/parts.py). There a
place also costs more if all tiles would look alike or an edge would show (server/quilt/wishes.py). So in a Wang set a
patch depends on those at its place in the tiles before it as well, and a block is planned in all tiles at once.

A patch depends on patches at most two away of the colours before its own, and so on at most five away in all. Plans
are made in blocks of BLOCK x BLOCK patches, a colour at a time, as they are needed; blocks change no result.

Costs are whole numbers and ties go to the first place, so the plan is the same on every device. A place is the pixel of
the swatch, at full size, that a patch shows at its upper left corner, overlaps included; it may lie outside.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from blender_addon.protocol.edges import Edges
from server.model.fitting import Periods
from server.model.grid import PatchAxis
from server.model.quilt import QuiltArchitecture
from server.quilt.draws import Draws
from server.quilt.on_lattice import OnLattice
from server.quilt.parts import make_parts
from server.quilt.patches import NEAR, Patches
from server.quilt.refine import refined
from server.quilt.search import Search
from server.quilt.tables import Tables
from server.quilt.wishes import Wishes

BLOCK = 8


@dataclass(frozen=True, eq=False)
class Prices:
    """What a place costs beside its fit. It is learned so that all parts of the swatch are shown equally often.

    `table`: (rows, columns) int16 over search places, in 1/256 of the median cost. `chances`: the same shape, int16
    from 1 to 2^14: how often the first patches draw each.
    """

    table: Tensor
    chances: Tensor


class Plan:
    """The places of one torus. They are found when they are asked for."""

    def __init__(
        self,
        tables: Tables,
        settings: QuiltArchitecture,
        prices: Prices,
        seed: int,
        axes: tuple[PatchAxis, PatchAxis],
        phases: Tensor | None = None,
        periods: Periods | None = None,
        edges: Edges | None = None,
        kin: "Plan | None" = None,
    ) -> None:
        """`phases`: of the swatch's courses at the search's places (server/quilt/phases.py). `kin`: the plan of another
        variant of the same texture, whose edges need not be found again.
        """
        self.periods, self.edges = periods, edges
        self.tables, self.settings, self.seed, self.axes = tables, settings, seed, axes
        self._parts = make_parts(axes, edges)
        patches = self._patches = Patches(tables, settings, seed, axes, self._parts, periods)
        self.shape, self.overlaps, self.longest = patches.shape, patches.overlaps, patches.longest
        blocks = [-(-each // BLOCK) for each in self._parts.period]
        self._done = [torch.zeros(*blocks, dtype=torch.bool) for _ in range(self._parts.stages)]
        wishes = Wishes(tables, settings, self._parts, axes, patches.searched) if edges else None
        self._draws = Draws(patches, prices.chances, phases, wishes)
        self._search = Search(patches, prices.table, wishes, balanced=edges is None)
        self._lattice = OnLattice(patches, periods, prices.table, self._draws, wishes) if periods else None
        if kin:
            on_edges = self._parts.ranks < self._parts.first
            for table, known in zip(self._found, kin._found, strict=True):
                table[on_edges] = known[on_edges]
        else:
            for stage in range(self._parts.first):
                self._place_on_edges(stage)

    @property
    def _found(self) -> tuple[Tensor, Tensor]:
        return self._patches.places, self._patches.fractions

    def is_kin(self, seed: int, axes: tuple[PatchAxis, PatchAxis], edges: Edges | None) -> bool:
        """Whether the patches on the edges of that texture show what they show here."""
        if edges is None or self.edges is None:
            return False
        return (self.seed, self.axes, self.edges.wang) == (seed, axes, edges.wang)

    def places(self, rows: range, columns: range) -> Tensor:
        """The places of these patches (unwrapped): (rows, columns, 2) int64 on the CPU."""
        self._ensure(self._parts.stages - 1, rows, columns)
        return self._patches.places[torch.tensor(rows) % self.shape[0]][:, torch.tensor(columns) % self.shape[1]]

    def fraction(self, row: int, column: int) -> tuple[int, int]:
        """The offset of a patch's place from the whole pixel, in 1/PHASES pixels, -32 to 31.

        It is 0 unless the patch lies on a lattice, whose periods are not whole pixels.
        """
        down, across = self._patches.fractions[row % self.shape[0], column % self.shape[1]].tolist()
        return down, across

    def shift(self, row: int, column: int, place: Sequence[int]) -> list[int]:
        """What to add to a pixel of the torus, down and across, to have the pixel of the swatch that a patch shows."""
        return [
            at + axis.overlap - axis.corner(patch)
            for at, axis, patch in zip(place, self.axes, (row, column), strict=True)
        ]

    def searched(self) -> tuple[range, range]:
        """The places that an exhaustive search tries, in plan pixels down and across."""
        return self._patches.searched

    def _ensure(self, stage: int, rows: range, columns: range) -> None:
        """Find the places of all patches of the colours up to `stage` in these ranges, and likewise in all tiles."""
        for row in _blocks(rows, self._parts.period[0]):
            for column in _blocks(columns, self._parts.period[1]):
                if self._done[stage][row, column]:
                    continue
                own = _block(row, self._parts.period[0]), _block(column, self._parts.period[1])
                if stage > self._parts.first:
                    self._ensure(stage - 1, *(range(part.start - NEAR, part.stop + NEAR) for part in own))
                for tile in product(*(range(0, *each) for each in zip(self.shape, self._parts.period, strict=True))):
                    first = [start + part.start for start, part in zip(tile, own, strict=True)]
                    ranks = self._parts.ranks[first[0] : first[0] + len(own[0]), first[1] : first[1] + len(own[1])]
                    self._place(stage, (ranks == stage).nonzero() + torch.tensor(first))
                self._done[stage][row, column] = True

    def _place_on_edges(self, stage: int) -> None:
        """Find the places of one patch of each kind, and give them to all of that kind."""
        own = self._parts.ranks == stage
        for turn in self._parts.in_turn:
            index = torch.tensor([patch for patch in turn if own[patch]]).view(-1, 2)
            for start in range(0, len(index), BLOCK):  # a few at a time, for the sake of memory
                self._place(stage, index[start : start + BLOCK])
        rows, columns = own.nonzero().unbind(1)
        first = self._parts.owners[rows, columns].unbind(1)
        for table in self._found:
            table[rows, columns] = table[first]

    def _place(self, stage: int, index: Tensor) -> None:
        if not len(index):
            return
        places, fractions = self._found
        rows, columns = index.unbind(1)
        has_no_neighbours = stage in (0, self._parts.first)
        if self._lattice:
            places[rows, columns], fractions[rows, columns] = self._lattice.places(
                index, stage, drawn=has_no_neighbours
            )
        elif has_no_neighbours and 1 not in self.shape:
            draws = self._draws.places(index)
            places[rows, columns] = draws[torch.arange(len(index)), self._draws.liked(index, draws)]
        else:
            found = self._search.cheapest(index, stage)
            places[rows, columns] = refined(self._patches, index, found, stage)


def _blocks(numbers: range, count: int) -> Iterator[int]:
    """The blocks of a period of `count` patches that these patches lie in, each once."""
    if len(numbers) >= count:
        numbers = range(count)
    seen = {number % count // BLOCK for number in numbers}
    yield from sorted(seen)


def _block(block: int, count: int) -> range:
    return range(block * BLOCK, min((block + 1) * BLOCK, count))
