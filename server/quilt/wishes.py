"""What is wished of patches where tiles have edges in common, as prices of places, in whole numbers.

**Tiles unlike each other.** A plane of tiles repeats, at the distance of a tile, what they all show at the same place:
their mean. So a patch should show the opposite of what stands at its place in the tiles before it. Its price is S.c,
with S the sum of the appearances there and c the appearance of the new place, brought to the usual length: a place is
dear for what it shows, whether it is dull or lively.

**Calm edges.** Along an edge of tiles, the step from pixel to pixel across it should not be larger than usual: no
scratch and no joint of bricks should run along it.

**Dull edges and corners.** What lies on them is seen in many tiles, so nothing rare should: no white stone among grey
ones. A place is dear for the part of it that is farthest from the swatch's mean appearance, beyond what is usual.

All products and sums stay below 2^24, so float32 is exact in any order.
"""

import math
from functools import cached_property

import torch
from torch import Tensor

from server.model.grid import PatchAxis
from server.model.quilt import QuiltArchitecture
from server.quilt.parts import Parts
from server.quilt.tables import LAST_OFF, Tables, packed_distances

SAMPLES = 8  # of appearances along each side of a patch, at most: 8^3 products of two int8 are below 2^24
PIXELS = 64  # of an edge that are compared, at most
DEAREST = 2**36
CALM = 2  # price of a step of twice the usual, in variances
DULL = 2  # price of a part that is twice as far from the mean as usual, squared, in variances


class Wishes:
    """The prices of places for the patches of one torus. `searched`: the places that a search tries, in plan pixels."""

    def __init__(
        self,
        tables: Tables,
        settings: QuiltArchitecture,
        parts: Parts,
        axes: tuple[PatchAxis, PatchAxis],
        searched: tuple[range, range],
    ) -> None:
        self._tables, self._settings, self._parts, self._axes = tables, settings, parts, axes
        self._searched = searched
        self._usual: dict[tuple[bool, bool], tuple[int, Tensor]] = {}
        factor, cell = settings.factor, settings.cell
        lines = []
        for axis in axes:
            cells = max(1, round(axis.longest / factor / cell))
            lines.append((torch.arange(0, cells, -(-cells // SAMPLES)) * cell * factor) + axis.overlap)
        self._samples = torch.stack(torch.meshgrid(*lines, indexing="ij"), -1).flatten(0, 1)

    def prices(self, patch: tuple[int, int], shown: Tensor, places: Tensor | None = None) -> Tensor:
        """The prices of places (n, 2) for a patch, in 1/256 of a squared distance of appearances: (n,) int64 from 0.

        `shown`: the places of all patches so far. `places`: full pixels; None for all that a search tries, row by row.
        """
        result = self._steps(patch, places) + self._rarity(patch, places)
        before = self._parts.before(patch)
        if before:
            rows, columns = torch.tensor(before).unbind(1)
            root = math.isqrt(len(before) << 16)  # in 1/256
            there = self._appearances(shown[rows, columns]).long().sum(0)
            there = (there * 256).div(root, rounding_mode="floor").clamp(-127, 127)
            own = self._all_appearances if places is None else self._appearances(places)
            lengths = self._all_lengths if places is None else _lengths(own)
            alike = (own.float() @ there.float()).long() * (root * self._usual_length)
            result = result + alike.div(lengths * len(self._samples), rounding_mode="floor")
        return (result - result.amin()).clamp(max=DEAREST)

    def has_any(self, patch: tuple[int, int]) -> bool:
        """Whether anything is wished of this patch."""
        return any(self._on_edges(patch)) or bool(self._parts.before(patch))

    @cached_property
    def _all_places(self) -> Tensor:
        lines = [torch.tensor(part) * self._settings.factor for part in self._searched]
        return torch.stack(torch.meshgrid(*lines, indexing="ij"), -1).flatten(0, 1)

    @cached_property
    def _all_appearances(self) -> Tensor:
        return self._appearances(self._all_places)

    @cached_property
    def _all_lengths(self) -> Tensor:
        return _lengths(self._all_appearances)

    @cached_property
    def _usual_length(self) -> int:
        return int(self._all_lengths.median())

    def _appearances(self, places: Tensor) -> Tensor:
        """What patches at these places show, without their overlaps: (n, samples x APPEARANCE) int8."""
        tables, step = self._tables, self._tables.steps[0]
        pixels = (places[:, None] + self._samples).div(self._settings.factor, rounding_mode="floor")
        grid = (pixels + tables.margin + step // 2) // step
        rows, columns = torch.minimum(grid.clamp(min=0), torch.tensor(tables.coarse.shape[1:]) - 1).unbind(-1)
        return tables.coarse[:, rows, columns].to(torch.int8).permute(1, 2, 0).reshape(len(places), -1)

    # ------------------------------------------------------------------------------------------- dull edges and corners

    def _rarity(self, patch: tuple[int, int], places: Tensor | None) -> Tensor:
        """The prices of what is rare, for a patch that an edge runs through: (n,) int64."""
        if not any(self._on_edges(patch)):
            return torch.zeros(len(self._all_places if places is None else places), dtype=torch.int64)
        far = self._all_far if places is None else self._farthest(self._appearances(places))
        more = (far - self._usual_far).clamp(min=0) * (256 * DULL * self._settings.variance)
        return more.div(self._usual_far, rounding_mode="floor")

    @cached_property
    def _all_far(self) -> Tensor:
        return self._farthest(self._all_appearances)

    @cached_property
    def _usual_far(self) -> int:
        return max(1, int(self._all_far.median()))

    def _farthest(self, appearances: Tensor) -> Tensor:
        """The square of the longest of the appearances in each of (n, samples x APPEARANCE) int8: (n,) int64."""
        each = appearances.view(len(appearances), len(self._samples), -1)
        return each.float().square().sum(2).amax(1).long()

    # ------------------------------------------------------------------------------------------------------ calm edges

    def _on_edges(self, patch: tuple[int, int]) -> tuple[bool, bool]:
        """Whether a level edge runs through a patch, and whether an upright one does."""
        return self._axes[0].on_edge(patch[0]), self._axes[1].on_edge(patch[1])

    def _steps(self, patch: tuple[int, int], places: Tensor | None) -> Tensor:
        """The prices of steps across the edges that run through a patch: (n,) int64."""
        kind = self._on_edges(patch)
        if not any(kind):
            return torch.zeros(len(self._all_places if places is None else places), dtype=torch.int64)
        if kind not in self._usual:
            steps = self._steps_at(self._all_places, kind)
            self._usual[kind] = max(1, int(steps.median())), steps
        usual, steps = self._usual[kind]
        if places is not None:
            steps = self._steps_at(places, kind)
        more = (steps - usual).clamp(min=0) * (256 * CALM * self._settings.variance)
        return more.div(usual, rounding_mode="floor")

    def _steps_at(self, places: Tensor, kind: tuple[bool, bool]) -> Tensor:
        """How much pixels differ across the edges in patches at these places, summed along them: (n,) int64."""
        factor, tables = self._settings.factor, self._tables
        total = torch.zeros(len(places), dtype=torch.int64)
        width, flat = tables.packed.shape[1], tables.packed.flatten() & LAST_OFF
        for number, runs in enumerate(kind):
            if not runs:
                continue
            axis, along = self._axes[number], self._axes[1 - number]
            pixels = along.longest // factor
            line = torch.arange(0, pixels, -(-pixels // PIXELS)) + along.overlap // factor
            across = (axis.middle(0) - axis.corner(0) + axis.overlap) // factor
            plan = places.div(factor, rounding_mode="floor") + tables.margin
            at = [plan[:, number, None] + across, plan[:, 1 - number, None] + line]
            last = tables.packed.shape[number] - 1, tables.packed.shape[1 - number] - 1
            at = [each.clamp(1, most) for each, most in zip(at, last, strict=True)]
            rows, columns = at if number == 0 else at[::-1]
            here = rows * width + columns
            squares = packed_distances(flat[here], flat[here - (width if number == 0 else 1)])
            total += (squares * 256).double().sqrt().floor().long().sum(1)
        return total


def _lengths(appearances: Tensor) -> Tensor:
    """Of each of (n, numbers) int8, as a whole number from 1: (n,) int64."""
    return appearances.float().square().sum(1).double().sqrt().floor().long().clamp(min=1)
