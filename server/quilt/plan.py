"""The plan of a torus: which place of the swatch each patch shows.

Image quilting (Efros & Freeman, SIGGRAPH 2001) with all patches of a colour at once: the patches of a torus have four
colours like a checkerboard of 2 x 2. Patches of the first colour take hashed places, spread evenly. Those of the other
colours, one colour after the other, take the place that best continues their finished neighbours over all the overlap:
first by an exhaustive search at half search cells, then in finer and finer steps to whole pixels. Differs: an order of
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
from itertools import pairwise, product

import torch
import torch.nn.functional as F
from torch import Tensor

from blender_addon.protocol.edges import Edges
from server.model.fitting import UNIT, Periods
from server.model.grid import PatchAxis
from server.model.quilt import QuiltArchitecture
from server.quilt import balance
from server.quilt.hashing import words
from server.quilt.parts import make_parts
from server.quilt.stretch import places_of
from server.quilt.tables import LAST_OFF, Tables, packed_distances
from server.quilt.wishes import Wishes

BLOCK = 8
NEAR = 2  # patches: how far a repeat is looked for
GOES_ON = 128  # price of going on copying a neighbour, in 1/256 of the median cost
REPEATS = 512  # price of showing a neighbour's place again, falling to nothing WIDE pitches away
WIDE = 1.25  # that much of a patch can be seen: its own part and half its overlaps
CHANCE = 10  # a cost is raised by up to one part in this many, by hash
DRAWS = 32  # places of which one is taken, where something is wished of patches
NOBODY = 4  # variances: the cost of a cell that neither patch covers
_SPREAD = (0.7548776662466927, 0.5698402909980532)  # 1/g and 1/g^2, g the plastic number: pairs that spread evenly


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
        periods: Periods | None = None,
        edges: Edges | None = None,
        kin: "Plan | None" = None,
    ) -> None:
        """`kin`: the plan of another variant of the same texture, whose edges need not be found again."""
        self.periods, self.edges = periods, edges
        self.tables, self.settings, self.prices, self.seed, self.axes = tables, settings, prices, seed, axes
        self.device = tables.packed.device
        down, across = self.shape = axes[0].patches, axes[1].patches
        self._parts = make_parts(axes, edges)
        self._places = torch.zeros(down, across, 2, dtype=torch.int64)
        self._fractions = torch.zeros(down, across, 2, dtype=torch.int64)
        blocks = [-(-each // BLOCK) for each in self._parts.period]
        self._done = [torch.zeros(*blocks, dtype=torch.bool) for _ in range(self._parts.stages)]
        factor, cell = settings.factor, settings.cell
        self.overlaps = tuple(axis.overlap // factor for axis in axes)  # plan pixels
        self.longest = tuple(  # plan pixels, overlaps included
            -(-axis.longest // factor) + 2 * overlap for axis, overlap in zip(axes, self.overlaps, strict=True)
        )
        self._pitch_cells = [max(1, round(axis.side / axis.patches / factor / cell)) for axis in axes]
        self._overlap_cells = [max(1, round(2 * overlap / cell)) for overlap in self.overlaps]
        self._searched_places = tuple(
            settings.searched(axis, longest, overlap)
            for axis, (longest, overlap) in enumerate(zip(self.longest, self.overlaps, strict=True))
        )
        self._low = [places.start for places in self._searched_places]
        self._counts = [len(places) for places in self._searched_places]
        self._wishes = Wishes(tables, settings, self._parts, axes, self.searched()) if edges else None
        self._traits = torch.stack([self._over_places(each) for each in tables.traits]).cpu()
        if kin:
            on_edges = self._parts.ranks < self._parts.first
            for table, known in ((self._places, kin._places), (self._fractions, kin._fractions)):
                table[on_edges] = known[on_edges]
        else:
            for stage in range(self._parts.first):
                self._place_on_edges(stage)

    # ------------------------------------------------------------------------------------------------------- asked for

    def is_kin(self, seed: int, axes: tuple[PatchAxis, PatchAxis], edges: Edges | None) -> bool:
        """Whether the patches on the edges of that texture show what they show here."""
        if edges is None or self.edges is None:
            return False
        return (self.seed, self.axes, self.edges.wang) == (seed, axes, edges.wang)

    def places(self, rows: range, columns: range) -> Tensor:
        """The places of these patches (unwrapped): (rows, columns, 2) int64 on the CPU."""
        self._ensure(self._parts.stages - 1, rows, columns)
        return self._places[torch.tensor(rows) % self.shape[0]][:, torch.tensor(columns) % self.shape[1]]

    def fraction(self, row: int, column: int) -> tuple[int, int]:
        """The offset of a patch's place from the whole pixel, in 1/PHASES pixels, -32 to 31.

        It is 0 unless the patch lies on a lattice, whose periods are not whole pixels.
        """
        down, across = self._fractions[row % self.shape[0], column % self.shape[1]].tolist()
        return down, across

    def shift(self, row: int, column: int, place: Sequence[int]) -> list[int]:
        """What to add to a pixel of the torus, down and across, for the pixel of the swatch that a patch shows there."""
        return [
            at + axis.overlap - axis.corner(patch)
            for at, axis, patch in zip(place, self.axes, (row, column), strict=True)
        ]

    def searched(self) -> tuple[range, range]:
        """The places that an exhaustive search tries, in plan pixels down and across."""
        first, second = self._searched_places
        return first, second

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
        for table in (self._places, self._fractions):
            table[rows, columns] = table[first]

    def _place(self, stage: int, index: Tensor) -> None:
        if not len(index):
            return
        if self.periods:
            found, fractions = self._on_lattice(index, stage, self.periods)
            self._places[index[:, 0], index[:, 1]] = found
            self._fractions[index[:, 0], index[:, 1]] = fractions
            return
        drawn = self._is_drawn(stage) and 1 not in self.shape
        if drawn:
            draws = self._drawn(index)
            found = draws[torch.arange(len(index)), self._liked(index, draws)]
        else:
            found = self._searched(index, stage)
            tables, cell = self.tables, self.settings.cell
            found = self._refined(index, found, stage, "fine", tables.steps[1], tables.steps[0] // 2, cell)
            if tables.steps[1] > 1:
                found = self._refined(index, found, stage, "packed", 1, tables.steps[1] // 2 + 1, cell // 2)
        self._places[index[:, 0], index[:, 1]] = found

    # ------------------------------------------------------------------------------------------------ the first colour

    def _is_drawn(self, stage: int) -> bool:
        """Whether patches of this stage have no neighbours yet."""
        return stage in (0, self._parts.first)

    def _keys(self, index: Tensor) -> Tensor:
        """What is hashed for these patches: (patches, 2)."""
        return self._parts.keys[index[:, 0], index[:, 1]]

    def _drawn(self, index: Tensor) -> Tensor:
        """Places spread evenly over the swatch by their chances: an additive sequence over patches, with some hash.

        Returns (patches, draws, 2). The draws after the first one lie anywhere.
        """
        draws = torch.arange(DRAWS if self._wished(index) else 1)
        turn, keys = self._parts.turns[index[:, 0], index[:, 1]], self._keys(index)
        shares = []
        for axis in (0, 1):
            start = int(words(self.seed, 1, axis))
            jitter = words(self.seed, 2, axis, keys[:, 0], keys[:, 1]) >> 2
            again = words(self.seed, 6, axis, keys[:, :1], keys[:, 1:], draws) * (draws > 0)
            first = start + turn * int(_SPREAD[axis] * 2**32) + jitter
            shares.append((first[:, None] + again).flatten() & 0xFFFFFFFF)
        chances = self._over_places(self.prices.chances).clamp(min=1)
        by_row = chances.sum(1).cumsum(0)
        row = torch.searchsorted(by_row, (shares[0] * int(by_row[-1])) >> 32, right=True)
        in_row = chances[row].cumsum(1)
        column = torch.searchsorted(in_row, ((shares[1] * in_row[:, -1]) >> 32)[:, None], right=True)[:, 0]
        places = torch.stack(
            [torch.tensor(part)[at] for part, at in zip(self.searched(), (row, column), strict=True)], 1
        )
        within = words(self.seed, 4, torch.arange(2)[None], keys[:, :1], keys[:, 1:]) % self.tables.steps[0]
        return (places.view(len(index), -1, 2) + within[:, None]) * self.settings.factor

    def _wished(self, index: Tensor) -> Wishes | None:
        """What is wished of these patches, if it is anything."""
        return self._wishes if self._wishes and any(map(self._wishes.has_any, _pairs(index))) else None

    def _liked(self, index: Tensor, places: Tensor) -> Tensor:
        """Which of its places (patches, n, 2) each patch takes, if it has no neighbours yet: (patches,)."""
        wishes, count = self._wished(index), places.shape[1]
        if wishes is None:
            return torch.zeros(len(index), dtype=torch.int64)
        each = zip(_pairs(index), places, strict=True)
        prices = [wishes.prices(patch, self._places, own) for patch, own in each]
        return (torch.stack(prices) * count + torch.arange(count)).amin(1) % count

    # ----------------------------------------------------------------------------------------------- exhaustive search

    def _searched(self, index: Tensor, stage: int) -> Tensor:
        """The cheapest place of each patch, at half search cells: (patches, 2) int64, full pixels."""
        sums, cells = self._distances(index, stage)
        cost = (sums * 256).div(cells.clamp(min=1), rounding_mode="floor")  # of a cell, in 1/256
        cost = torch.where(cells > 0, cost, torch.full_like(cost, 256 * self.settings.variance))
        median = cost.flatten(1).median(1).values[:, None, None].clamp(min=256)
        rows, columns = (torch.tensor(part, device=self.device) for part in self.searched())
        extra = self._over_places(self.prices.table) + self._repeats(index, stage, rows, columns)
        if self.edges is None:
            extra += self._unbalanced(index, stage).to(self.device)
        cost = (cost + (median * extra).div(256, rounding_mode="floor")).clamp(min=0, max=2**36)
        if wishes := self._wished(index):
            prices = [wishes.prices(patch, self._places) for patch in _pairs(index)]
            cost = cost + torch.stack(prices).view_as(cost)
        number = torch.arange(len(rows) * len(columns), device=self.device).view(len(rows), len(columns))
        keys = self._keys(index).to(self.device)[:, :, None, None]
        cost = cost * (256 * CHANCE + (words(self.seed, 3, keys[:, 0], keys[:, 1], number[None]) >> 24))
        best = (cost.div(2**10, rounding_mode="floor") * 2**20 + number).flatten(1).amin(1) % 2**20
        place = torch.stack([rows[best // len(columns)], columns[best % len(columns)]], 1)
        return place.cpu() * self.settings.factor

    def _over_places(self, table: Tensor) -> Tensor:
        """A table brought to the places of this torus, int64: patches of other sizes have a few more or less."""
        table = table.to(self.device, torch.int64)
        rows, columns = (
            torch.arange(count, device=self.device) * side // count
            for count, side in zip(self._counts, table.shape, strict=True)
        )
        return table[rows][:, columns]

    def _distances(self, index: Tensor, stage: int) -> tuple[Tensor, Tensor]:
        """For every place: the sum of squared distances to finished neighbours, and the number of its cells."""
        tables = self.tables
        target, known, standing = self._target(index, stage)
        first = [(low + tables.margin) // tables.steps[0] for low in self._low]
        spread = self.settings.cell // tables.steps[0]
        needed = [count + (side - 1) * spread for count, side in zip(self._counts, target.shape[2:], strict=True)]
        valid = _cut_or_padded(tables.coarse_valid[None].float(), first, needed)
        field = _cut_or_padded(tables.coarse, first, needed) * valid
        lengths = field.square().sum(0, keepdim=True)
        own = target.square().sum(1) * known
        sums = torch.zeros(len(index), *self._counts, dtype=torch.int64, device=self.device)
        cells = sums.clone()
        whole = bool(valid.all())
        for rows, columns in product(*map(_parts, self._pitch_cells, self._overlap_cells)):
            here = known[:, rows, columns]
            if not bool(standing[:, rows, columns].any()):
                continue
            under = (
                slice(None),
                *(
                    slice(part.start * spread, count + (part.stop - 1) * spread)
                    for part, count in zip((rows, columns), self._counts, strict=True)
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
            sums += slid(valid, own[:, None, rows, columns]) + NOBODY * self.settings.variance * neither
            cells += slid(valid, here[:, None]) + neither
        for axis in (0, 1):
            if self.shape[axis] == 1:
                more, count = self._own_distances(axis)
                sums, cells = sums + more, cells + count
        return sums, cells

    def _own_distances(self, axis: int) -> tuple[Tensor, int]:
        """For a patch that is its own neighbour: how much its far end differs from its near end, for every place."""
        tables, step = self.tables, self.tables.steps[0]
        field = tables.coarse.transpose(1, 2) if axis else tables.coarse
        apart = max(1, round(self.axes[axis].side / self.settings.factor / step))
        far = field[:, torch.arange(field.shape[1], device=self.device).add(apart).clamp(max=field.shape[1] - 1)]
        squares = (field - far).square().sum(0, keepdim=True)
        squares = squares.transpose(1, 2) if axis else squares
        first = [(low + tables.margin) // step for low in self._low]
        sides = [self._overlap_cells[k] if k == axis else self._pitch_cells[k] + self._overlap_cells[k] for k in (0, 1)]
        spread = self.settings.cell // step
        needed = [count + (side - 1) * spread for count, side in zip(self._counts, sides, strict=True)]
        ones = torch.ones(1, 1, *sides, device=self.device)
        return correlated(_cut_or_padded(squares, first, needed), ones, spread), sides[0] * sides[1]

    def _target(self, index: Tensor, stage: int) -> tuple[Tensor, Tensor, Tensor]:
        """What the neighbours show where a patch overlaps them: appearances (patches, 8, rows, columns) of its cells,
        which of these are known, and which belong to a neighbour that stands, (patches, rows, columns) each, float32.
        """
        tables, factor, cell = self.tables, self.settings.factor, self.settings.cell
        parts, offsets = [], []
        for pitch, overlap in zip(self._pitch_cells, self._overlap_cells, strict=True):
            cells = torch.arange(pitch + overlap)
            parts.append((cells >= pitch).long() - (cells < overlap).long())
            offsets.append(cells * cell * factor)
        places, standing = self._shown(index, stage, parts, offsets)
        step = tables.steps[0]
        grid = (places.div(factor, rounding_mode="floor") + tables.margin + step // 2) // step
        last = torch.tensor(tables.coarse.shape[1:]) - 1
        rows, columns = torch.minimum(grid.clamp(min=0), last).to(self.device).unbind(-1)
        target = tables.coarse[:, rows, columns].permute(1, 0, 2, 3)
        standing = standing.to(self.device)
        return target, (tables.coarse_valid[rows, columns] & standing).float(), standing.float()

    def _shown(self, index: Tensor, stage: int, parts: list[Tensor], offsets: list[Tensor]) -> tuple[Tensor, Tensor]:
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
        standing = self._parts.ranks[rows, columns] < stage
        shown = self._places[rows, columns]
        shape = shown.shape[:-1]
        steps = [places[0][:, :, None].expand(shape), places[1][:, None, :].expand(shape)]
        return shown + torch.stack(steps, -1), standing

    def _repeats(self, index: Tensor, stage: int, rows: Tensor, columns: Tensor) -> Tensor:
        """The prices of places that continue a copy of a neighbour, or repeat what a patch nearby shows, in 1/256.

        A price falls with the larger of the distances down and across.
        """
        worst = torch.zeros(len(index), len(rows), len(columns), dtype=torch.int32, device=self.device)
        factor = self.settings.factor
        pitch = max(1, round(WIDE * self.axes[0].side / self.axes[0].patches / factor))
        same = max(2, 3 * self.settings.cell // 4)
        for down in range(-NEAR, NEAR + 1):
            for across in range(-NEAR, NEAR + 1):
                number = (index + torch.tensor([down, across])) % torch.tensor(self.shape)
                standing = (self._parts.ranks[number[:, 0], number[:, 1]] < stage) & (number != index).any(1)
                if not standing.any():
                    continue
                place = self._places[number[:, 0], number[:, 1]].div(factor, rounding_mode="floor")
                prices = [
                    (REPEATS * (pitch - self._apart(place, axis, line))).div(pitch, rounding_mode="floor").clamp(min=0)
                    for axis, line in ((0, rows), (1, columns))
                ]
                worst = _raised(worst, prices, standing)
                if max(abs(down), abs(across)) == 1:
                    steps = [
                        (self.axes[k].corner(int(n)) - self.axes[k].corner(int(n + d))) // factor
                        for k, d in ((0, down), (1, across))
                        for n in index[:, k]
                    ]
                    on = place + torch.tensor(steps).view(2, -1).T
                    prices = [
                        GOES_ON * (self._apart(on, axis, line) <= same) for axis, line in ((0, rows), (1, columns))
                    ]
                    worst = _raised(worst, prices, standing)
        return worst.long()

    def _unbalanced(self, index: Tensor, stage: int) -> Tensor:
        """The prices of places for the balance of what patches nearby show, in 1/256: (patches, rows, columns)."""
        line = torch.arange(-NEAR, NEAR + 1)
        number = (index[:, None] + torch.cartesian_prod(line, line)) % torch.tensor(self.shape)
        standing = (self._parts.ranks[number[..., 0], number[..., 1]] < stage) & (number != index[:, None]).any(2)
        shown = self._places[number[..., 0], number[..., 1]].div(self.settings.factor, rounding_mode="floor")
        at = [
            (shown[..., axis] - self._low[axis]).div(self.settings.step, rounding_mode="floor").clamp(0, count - 1)
            for axis, count in enumerate(self._counts)
        ]
        return balance.prices(self._traits, self._traits[:, at[0], at[1]], standing)

    def _apart(self, places: Tensor, axis: int, line: Tensor) -> Tensor:
        """How far each of these lies from each number of a line, in plan pixels: (places, line)."""
        distance = (line[None] - places[:, axis, None].to(self.device)).abs()
        if self.settings.wraps[axis]:
            side = self.settings.plan[axis]
            distance = (distance % side).minimum(side - distance % side)
        return distance

    # ------------------------------------------------------------------------------------------------------- a lattice

    def _on_lattice(self, index: Tensor, stage: int, periods: Periods) -> tuple[Tensor, Tensor]:
        """Of all places that lie whole periods from where the pattern must be, the cheapest for each patch.

        Returns places (patches, 2) int64 and their fractions. All patches have the same hashed phase.
        """
        tables, factor, cell = self.tables, self.settings.factor, self.settings.cell
        shift = [int(words(self.seed, 5, axis)) << 4 for axis in (0, 1)]  # up to 4096 pixels
        step = tables.steps[0]
        low = [part.start * factor for part in self.searched()]
        high = [(part[-1] + step) * factor - 1 for part in self.searched()]
        table = self._over_places(self.prices.table)
        parts, offsets = self._samples(cell)
        theirs, standing = self._shown(index, stage, parts, offsets)
        lattice = torch.stack(torch.meshgrid(*offsets, indexing="ij"), -1)
        standing &= self._valid(theirs)
        drawn = self._drawn(index) if self._is_drawn(stage) else None
        found, fractions = [], []
        for number, (patch, keys) in enumerate(zip(index.tolist(), self._keys(index).tolist(), strict=True)):
            corner = [axis.corner(at) - axis.overlap for axis, at in zip(self.axes, patch, strict=True)]
            start = [(at << UNIT) + more for at, more in zip(corner, shift, strict=True)]
            exact = places_of(
                periods, (start[0], start[1]), (low[0] << UNIT, low[1] << UNIT), (high[0] << UNIT, high[1] << UNIT)
            )
            whole = (exact + (1 << (UNIT - 1))) >> UNIT
            if drawn is not None:
                apart = (whole[None] - drawn[number][:, None]).square().sum(-1) * len(whole) + torch.arange(len(whole))
                near = whole[apart.amin(1) % len(whole)]
                liked = near[self._liked(index[number : number + 1], near[None])]
                cost = (whole - liked).square().sum(1)
            else:
                cost = self._lattice_costs(index[number : number + 1], whole, lattice, theirs[number], standing[number])
                plan = whole.div(factor, rounding_mode="floor")
                rows = ((plan[:, 0] - self._low[0]) // step).clamp(0, table.shape[0] - 1)
                columns = ((plan[:, 1] - self._low[1]) // step).clamp(0, table.shape[1] - 1)
                median = cost.median().clamp(min=256)
                extra = table[rows, columns] + self._repeats_at(index[number], stage, plan)
                cost = (cost + (median * extra).div(256, rounding_mode="floor")).clamp(0, 2**36)
                if wishes := self._wished(index[number : number + 1]):
                    cost = cost + wishes.prices(_pairs(index)[number], self._places, whole)
                chance = words(self.seed, 3, *keys, torch.arange(len(whole))) >> 24
                cost = (cost * (256 * CHANCE + chance)).div(2**10, rounding_mode="floor")
            best = int((cost * 2**20 + torch.arange(len(cost))).amin() % 2**20)
            found.append(whole[best])
            fractions.append((exact[best] - (whole[best] << UNIT)) >> (UNIT - 6))
        return torch.stack(found), torch.stack(fractions)

    def _lattice_costs(
        self, index: Tensor, places: Tensor, samples: Tensor, theirs: Tensor, standing: Tensor
    ) -> Tensor:
        """Mean squared distances in 1/256 of the places of one patch to its neighbours, over the samples: (places,)."""
        spacing, flat = self.tables.steps[1], self.tables.fine.flatten()
        own = places[:, None, None] + samples[None]
        counted = standing[None] & self._valid(own)
        here, there = (flat[self._numbered(each, spacing, self.tables.fine, 0)] for each in (own, theirs))
        distances = packed_distances(here, there[None].expand_as(here)).long() * counted
        count = counted.flatten(1).sum(1)
        mean = (distances.flatten(1).sum(1) * 256).div(count.clamp(min=1), rounding_mode="floor")
        return torch.where(count > 0, mean, 256 * self.settings.variance)

    def _repeats_at(self, index: Tensor, stage: int, places: Tensor) -> Tensor:
        """The prices of places that show again what patches nearby show, of one patch in 1/256: (places,).

        Differs from `_repeats`: a price is as large as the area in common, and prices add up. A lattice leaves few
        places, so what has been shown twice would be shown a third time.
        """
        rows, columns = places.unbind(1)
        total = torch.zeros(len(places), dtype=torch.int64)
        pitch = max(1, round(self.axes[0].side / self.axes[0].patches / self.settings.factor))
        for down in range(-NEAR, NEAR + 1):
            for across in range(-NEAR, NEAR + 1):
                number = (index + torch.tensor([down, across])) % torch.tensor(self.shape)
                if int(self._parts.ranks[number[0], number[1]]) >= stage or bool((number == index).all()):
                    continue
                place = self._places[number[0], number[1]][None].div(self.settings.factor, rounding_mode="floor")
                common = [
                    (pitch - self._apart(place, axis, line)[0]).clamp(min=0) for axis, line in ((0, rows), (1, columns))
                ]
                total += (REPEATS * common[0] * common[1]).div(pitch**2, rounding_mode="floor")
        return total

    # ---------------------------------------------------------------------------------------------------- finer search

    def _refined(
        self, index: Tensor, places: Tensor, stage: int, table: str, step: int, reach: int, every: int
    ) -> Tensor:
        """The places moved by up to `reach` plan pixels, in steps, to where they continue their neighbours best.

        Compared in the table of that name, at every `every` plan pixels of the overlaps.
        """
        tables, factor = self.tables, self.settings.factor
        packed, spacing = (tables.fine, tables.steps[1]) if table == "fine" else (tables.packed, 1)
        line = torch.arange(-(reach // step), reach // step + 1) * step
        moves = torch.cartesian_prod(line, line)
        moves = moves[moves.abs().sum(1).sort(stable=True).indices]
        parts, offsets = self._samples(every)
        theirs, standing = self._shown(index, stage, parts, offsets)
        own = places[:, None, None] + torch.stack(torch.meshgrid(*offsets, indexing="ij"), -1)
        both = torch.stack(torch.meshgrid(*parts, indexing="ij"), -1)
        selves = ((index[:, None, None] + both - index[:, None, None]) % torch.tensor(self.shape) == 0).all(-1)
        selves &= (both != 0).any(-1)
        sides = torch.tensor([axis.side for axis in self.axes])
        theirs = torch.where(selves[..., None], own - both * sides, theirs)  # a patch that is its own neighbour
        counted = (standing | selves) & self._valid(own) & self._valid(theirs)
        pick = counted.flatten().nonzero()[:, 0].to(self.device)
        patch = pick // counted[0].numel()
        here, there = (
            self._numbered(each, spacing, packed, reach).flatten().to(self.device)[pick] for each in (own, theirs)
        )
        moving = selves.flatten().to(self.device)[pick]
        flat = packed.flatten() & LAST_OFF if spacing == 1 else packed.flatten()
        there_values = flat[there]
        costs = []
        for down, across in moves.tolist():
            by = down // spacing * packed.shape[1] + across // spacing
            values = flat[there + by * moving] if bool(moving.any()) else there_values
            costs.append(
                torch.zeros(len(index), dtype=torch.int64, device=self.device).index_add_(
                    0, patch, packed_distances(flat[here + by], values)
                )
            )
        cost = torch.stack(costs, 1) * 2**8 + torch.arange(len(moves), device=self.device)
        best = (cost.amin(1) % 2**8).cpu()
        return places + moves[best] * factor

    def _samples(self, every: int) -> tuple[list[Tensor], list[Tensor]]:
        """Where a patch is compared: on each axis which neighbour lies there (-1, 0, 1), and pixels from its corner."""
        parts, offsets = [], []
        for axis in (0, 1):
            overlap = 2 * self.overlaps[axis]
            pitch = self.axes[axis].side // self.axes[axis].patches // self.settings.factor
            samples = torch.arange(min(every, overlap) // 2, pitch + overlap, every)
            parts.append((samples >= pitch).long() - (samples < overlap).long())
            offsets.append(samples * self.settings.factor)
        return parts, offsets

    def _valid(self, pixels: Tensor) -> Tensor:
        """Whether pixels of the swatch, (..., 2), lie in it."""
        inside = torch.ones(pixels.shape[:-1], dtype=torch.bool)
        for axis, side in enumerate((self.settings.height, self.settings.width)):
            if not self.settings.wraps[axis]:
                inside &= (pixels[..., axis] >= 0) & (pixels[..., axis] < side)
        return inside

    def _numbered(self, pixels: Tensor, spacing: int, table: Tensor, reach: int) -> Tensor:
        """The flat index in a table of each pixel, far enough from its ends for any move."""
        plan = (pixels.div(self.settings.factor, rounding_mode="floor") + self.tables.margin).div(
            spacing, rounding_mode="floor"
        )
        room = -(-reach // spacing)
        rows = plan[..., 0].clamp(room, table.shape[0] - 1 - room)
        columns = plan[..., 1].clamp(room, table.shape[1] - 1 - room)
        return rows * table.shape[1] + columns


def _raised(worst: Tensor, prices: Sequence[Tensor], counts: Tensor) -> Tensor:
    """The larger of `worst` and, where it counts, the smaller of two prices, by row and by column."""
    by_row, by_column = (each.to(torch.int32) * counts.to(each.device)[:, None] for each in prices)
    return worst.maximum(torch.minimum(by_row[:, :, None], by_column[:, None, :]))


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


def _pairs(index: Tensor) -> list[tuple[int, int]]:
    return [(row, column) for row, column in index.tolist()]


def _blocks(numbers: range, count: int) -> Iterator[int]:
    """The blocks of a period of `count` patches that these patches lie in, each once."""
    if len(numbers) >= count:
        numbers = range(count)
    seen = {number % count // BLOCK for number in numbers}
    yield from sorted(seen)


def _block(block: int, count: int) -> range:
    return range(block * BLOCK, min((block + 1) * BLOCK, count))
