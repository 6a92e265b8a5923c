"""Where a patch on a lattice may lie: at the places of the swatch where the pattern has the right phase.

These are enumerated, and each patch takes the one that fits its finished neighbours best. There are few of them, so no
imbalance has a price, and repeats add up.
"""

import torch
from torch import Tensor

from server.model.fitting import UNIT, Periods
from server.quilt.draws import Draws, wished
from server.quilt.hashing import words
from server.quilt.patches import NEAR, Patches, pairs
from server.quilt.search import CHANCE
from server.quilt.stretch import places_of
from server.quilt.tables import packed_distances
from server.quilt.wishes import Wishes

REPEATS = 512  # price of showing the same as a patch nearby, in 1/256 of the median cost: more than elsewhere, since
# there are few places, and what has been shown twice would be shown a third time


class OnLattice:
    """`prices`: of the search's places, learned, in 1/256 of the median cost."""

    def __init__(self, patches: Patches, periods: Periods, prices: Tensor, draws: Draws, wishes: Wishes | None) -> None:
        self._patches, self._periods, self._prices, self._draws, self._wishes = patches, periods, prices, draws, wishes

    def places(self, index: Tensor, stage: int, *, drawn: bool) -> tuple[Tensor, Tensor]:
        """Of all places that lie whole periods from where the pattern must be, the cheapest for each patch.

        Returns places (patches, 2) int64 and their fractions. All patches have the same hashed phase.
        """
        patches = self._patches
        tables, factor, cell = patches.tables, patches.settings.factor, patches.settings.cell
        shift = [int(words(patches.seed, 5, axis)) << 4 for axis in (0, 1)]  # up to 4096 pixels
        step = tables.steps[0]
        low = [part.start * factor << UNIT for part in patches.searched]
        high = [
            again - 1 if again else ((part[-1] + step) * factor - 1) << UNIT
            for part, again in zip(patches.searched, self._periods.swatch, strict=True)
        ]
        table = patches.over_places(self._prices)
        parts, offsets = patches.samples(cell)
        theirs, standing = patches.shown(index, stage, parts, offsets)
        lattice = torch.stack(torch.meshgrid(*offsets, indexing="ij"), -1)
        standing &= patches.valid(theirs)
        draws = self._draws.places(index) if drawn else None
        found, fractions = [], []
        for number, (patch, keys) in enumerate(zip(index.tolist(), patches.keys(index).tolist(), strict=True)):
            corner = [axis.corner(at) - axis.overlap for axis, at in zip(patches.axes, patch, strict=True)]
            start = [(at << UNIT) + more for at, more in zip(corner, shift, strict=True)]
            exact = places_of(self._periods, (start[0], start[1]), (low[0], low[1]), (high[0], high[1]))
            whole = (exact + (1 << (UNIT - 1))) >> UNIT
            if draws is not None:
                apart = (whole[None] - draws[number][:, None]).square().sum(-1) * len(whole) + torch.arange(len(whole))
                near = whole[apart.amin(1) % len(whole)]
                liked = near[self._draws.liked(index[number : number + 1], near[None])]
                cost = (whole - liked).square().sum(1)
            else:
                cost = self._costs(index[number : number + 1], whole, lattice, theirs[number], standing[number])
                plan = whole.div(factor, rounding_mode="floor")
                rows = ((plan[:, 0] - patches.low[0]) // step).clamp(0, table.shape[0] - 1)
                columns = ((plan[:, 1] - patches.low[1]) // step).clamp(0, table.shape[1] - 1)
                median = cost.median().clamp(min=256)
                extra = table[rows, columns] + self._repeats_at(index[number], stage, plan)
                cost = (cost + (median * extra).div(256, rounding_mode="floor")).clamp(0, 2**36)
                if wishes := wished(self._wishes, index[number : number + 1]):
                    cost = cost + wishes.prices(pairs(index)[number], patches.places, whole)
                chance = words(patches.seed, 3, *keys, torch.arange(len(whole))) >> 24
                cost = (cost * (256 * CHANCE + chance)).div(2**10, rounding_mode="floor")
            best = int((cost * 2**20 + torch.arange(len(cost))).amin() % 2**20)
            found.append(whole[best])
            fractions.append((exact[best] - (whole[best] << UNIT)) >> (UNIT - 6))
        return torch.stack(found), torch.stack(fractions)

    def _costs(self, index: Tensor, places: Tensor, samples: Tensor, theirs: Tensor, standing: Tensor) -> Tensor:
        """Mean squared distances in 1/256 of the places of one patch to its neighbours, over the samples: (places,)."""
        patches = self._patches
        spacing, flat = patches.tables.steps[1], patches.tables.fine.flatten()
        own = places[:, None, None] + samples[None]
        counted = standing[None] & patches.valid(own)
        here, there = (flat[patches.numbered(each, spacing, patches.tables.fine, 0)] for each in (own, theirs))
        distances = packed_distances(here, there[None].expand_as(here)).long() * counted
        count = counted.flatten(1).sum(1)
        mean = (distances.flatten(1).sum(1) * 256).div(count.clamp(min=1), rounding_mode="floor")
        return torch.where(count > 0, mean, 256 * patches.settings.variance)

    def _repeats_at(self, index: Tensor, stage: int, places: Tensor) -> Tensor:
        """The prices of places that show again what patches nearby show, of one patch in 1/256: (places,)."""
        patches = self._patches
        rows, columns = places.unbind(1)
        total = torch.zeros(len(places), dtype=torch.int64)
        pitch = max(1, round(patches.axes[0].side / patches.axes[0].patches / patches.settings.factor))
        for down in range(-NEAR, NEAR + 1):
            for across in range(-NEAR, NEAR + 1):
                number = (index + torch.tensor([down, across])) % torch.tensor(patches.shape)
                if int(patches.parts.ranks[number[0], number[1]]) >= stage or bool((number == index).all()):
                    continue
                place = patches.places[number[0], number[1]].div(patches.settings.factor, rounding_mode="floor")
                common = [
                    (pitch - patches.apart(place[axis], axis, line)).clamp(min=0)
                    for axis, line in ((0, rows), (1, columns))
                ]
                total += (REPEATS * common[0] * common[1]).div(pitch**2, rounding_mode="floor")
        return total
