"""The patches that are placed first, and have nothing to fit: places drawn by hash, spread evenly over the swatch.

If the swatch has courses, drawn places are moved to where these are in step (server/quilt/phases.py).
"""

import torch
from torch import Tensor

from server.quilt.hashing import words
from server.quilt.patches import Patches, pairs
from server.quilt.phases import Phases
from server.quilt.wishes import Wishes

DRAWS = 32  # places of which one is taken, where something is wished of patches
_SPREAD = (0.7548776662466927, 0.5698402909980532)  # 1/g and 1/g^2, g the plastic number: pairs that spread evenly


class Draws:
    """`chances`: how often each of the search's places is drawn (Prices of server/quilt/plan.py). `phases`: which
    phase courses have there, if there are any.
    """

    def __init__(self, patches: Patches, chances: Tensor, phases: Tensor | None, wishes: Wishes | None) -> None:
        self._patches, self._chances, self._wishes = patches, chances, wishes
        self._phases = None if phases is None else Phases(patches, phases)

    def places(self, index: Tensor) -> Tensor:
        """Places spread evenly over the swatch by their chances: an additive sequence over patches, with some hash.

        Returns (patches, draws, 2). The draws after the first one lie anywhere.
        """
        patches = self._patches
        draws = torch.arange(DRAWS if wished(self._wishes, index) else 1)
        turn, keys = patches.parts.turns[index[:, 0], index[:, 1]], patches.keys(index)
        shares = []
        for axis in (0, 1):
            start = int(words(patches.seed, 1, axis))
            jitter = words(patches.seed, 2, axis, keys[:, 0], keys[:, 1]) >> 2
            again = words(patches.seed, 6, axis, keys[:, :1], keys[:, 1:], draws) * (draws > 0)
            first = start + turn * int(_SPREAD[axis] * 2**32) + jitter
            shares.append((first[:, None] + again).flatten() & 0xFFFFFFFF)
        chances = patches.over_places(self._chances).clamp(min=1)
        by_row = chances.sum(1).cumsum(0)
        row = torch.searchsorted(by_row, (shares[0] * int(by_row[-1])) >> 32, right=True)
        in_row = chances[row].cumsum(1)
        column = torch.searchsorted(in_row, ((shares[1] * in_row[:, -1]) >> 32)[:, None], right=True)[:, 0]
        places = torch.stack(
            [torch.tensor(part)[at] for part, at in zip(patches.searched, (row, column), strict=True)], 1
        )
        within = words(patches.seed, 4, torch.arange(2)[None], keys[:, :1], keys[:, 1:]) % patches.tables.steps[0]
        places = (places.view(len(index), -1, 2) + within[:, None]) * patches.settings.factor
        return self._phases.in_step(index, places) if self._phases else places

    def liked(self, index: Tensor, places: Tensor) -> Tensor:
        """Which of its places (patches, n, 2) each patch takes, if it has no neighbours yet: (patches,)."""
        wishes, count = wished(self._wishes, index), places.shape[1]
        if wishes is None:
            return torch.zeros(len(index), dtype=torch.int64)
        each = zip(pairs(index), places, strict=True)
        prices = [wishes.prices(patch, self._patches.places, own) for patch, own in each]
        return (torch.stack(prices) * count + torch.arange(count)).amin(1) % count


def wished(wishes: Wishes | None, index: Tensor) -> Wishes | None:
    """What is wished of these patches, if it is anything."""
    return wishes if wishes and any(map(wishes.has_any, pairs(index))) else None
