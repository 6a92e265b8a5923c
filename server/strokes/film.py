"""Frames of a sequence: pieces of the painting move along with the scene, and are changed only where they must be.

Source of the idea: brush strokes that stick to what they paint (Meier, "Painterly rendering for animation", SIGGRAPH
1996). Every piece is moved as a whole, along the median of the motion under it, and laid anew by a cut. It shows the
same place of the painting in every frame, so nothing is resampled and nothing wears off.

The largest pieces cover the frame: new ones go beneath where it is uncovered, and a piece is exchanged only for one
that fits better by a margin. Smaller pieces stay as long as they are nearer to the picture than what lies beneath
them; new ones come as in a first frame, but must be better by more.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from server.model.style_quilt import PATCHES
from server.strokes.canvas import EMPTY, MARGIN, Canvas, sources
from server.strokes.guide import Guide
from server.strokes.light import looked_up
from server.strokes.pieces import UNIT, Pieces, layers
from server.strokes.search import AT_ONCE, CHANCE, Chance, refined, searched
from server.strokes.sewing import Changes, Manner, border_cells_of, far, present, repeated, smaller
from server.strokes.tables import Level, Tables

SAMPLES = 7  # of the motion under a piece, down and across
TRIES = 3  # times a piece's new place is looked for
SEEN = 400  # a piece of whose pixels fewer than one in so many are seen is given up
LEAVES = 0.2  # a smaller piece stays while what lies beneath it is so much of the patience away
WORSE = 1.25  # or until it is so much further from the picture than that
EXCHANGED = 0.5  # a largest piece gives way to another whose light is so much nearer
CHANGES = Changes(enters=1.5, again=5.0, better=0.5)


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame's pieces, and which of them is seen at each pixel: `owners` (H, W) int32, EMPTY where none of them is."""

    pieces: Pieces
    owners: Tensor
    count: int  # owners are less

    @classmethod
    def of(cls, canvas: Canvas) -> "Frame":
        """Without the pieces of which hardly anything was seen among those of their level."""
        pieces = canvas.pieces
        stays = torch.cat(canvas.seen) * SEEN >= torch.tensor(PATCHES)[pieces.numbers] ** 2
        numbers = torch.where(stays, stays.cumsum(0) - 1, EMPTY).to(torch.int32)
        height, width = canvas.size
        seen = canvas.owners[MARGIN : MARGIN + height, MARGIN : MARGIN + width]
        owners = torch.where(seen < 0, EMPTY, looked_up(numbers, seen.clamp(min=0)))
        return cls(pieces[stays], owners, int(stays.sum()))

    def moved(self, motion: Tensor) -> "Frame":
        """The same where it lies in the next frame, without the pieces that left it. `motion`: (2, H, W), see
        motion.py, in plan pixels. The owners stay numbers of these pieces, and so do the names of the pieces.
        """
        size = self.owners.shape
        sides = torch.tensor(PATCHES)[self.pieces.numbers]
        share = (2 * torch.arange(SAMPLES) + 1)[:, None] * sides * UNIT // (2 * SAMPLES)  # (SAMPLES, n)
        corners = self.pieces.corners
        for _ in range(TRIES):
            rows, columns = (
                (corners[:, axis] + share).div(UNIT, rounding_mode="floor").clamp(0, size[axis] - 1) for axis in (0, 1)
            )
            at = (rows[:, None] * size[1] + columns[None]).flatten(0, 1)
            steps = torch.stack([part.flatten()[at].median(0).values for part in motion], -1)
            corners = self.pieces.corners - steps
        pieces = replace(self.pieces, corners=corners, names=torch.arange(len(corners)))
        whole = pieces.pixels
        seen = ((whole + sides[:, None] > 0) & (whole < torch.tensor(size))).all(1)
        rows, columns = (
            (torch.arange(side).view(-1, *[1] * (1 - axis)) * UNIT + motion[axis] + UNIT // 2).div(
                UNIT, rounding_mode="floor"
            )
            for axis, side in enumerate(size)
        )
        there = (rows >= 0) & (rows < size[0]) & (columns >= 0) & (columns < size[1])
        at = rows.clamp(0, size[0] - 1) * size[1] + columns.clamp(0, size[1] - 1)
        return Frame(pieces[seen], torch.where(there, looked_up(self.owners, at), EMPTY), self.count)


class _Sewer:
    """Lays the pieces of a frame that came from another."""

    def __init__(self, tables: Tables, guide: Guide, chance: Chance, before: Frame) -> None:
        self.tables, self.guide, self.chance = tables, guide, chance
        self.pieces = before.pieces
        self._owners = F.pad(before.owners, (MARGIN, 2 * MARGIN, MARGIN, 2 * MARGIN), value=EMPTY)
        self._alive = torch.zeros(before.count + 1, dtype=torch.bool)  # the last one is for pixels that none had
        self.canvas = self._new()

    def _new(self) -> Canvas:
        return Canvas(self.guide.size, self.tables.colours)

    def _lay(self, pieces: Pieces, side: int) -> None:
        """Pieces of one level."""
        self._alive[pieces.names[pieces.names >= 0]] = True
        for part in layers(pieces.pixels, side):
            some = pieces[part]
            had = looked_up(self._owners, self.canvas.pixels(some.pixels, side)).long()
            own = had == torch.where(some.names < 0, -2, some.names)[:, None, None]
            others = self._alive[had] & ~own
            self.canvas.lay(some, (own, others))

    def largest(self) -> None:
        """Cover the frame by the largest pieces."""
        level = self.tables.levels[0]
        number, side = level.number, level.side
        pieces = self.pieces[self.pieces.numbers == number]
        self._lay(pieces, side)
        found = _uncovered(self.canvas, side)
        if len(found):
            pieces = Pieces.joined([self._chosen(level, found, pieces), pieces])
            self.canvas = self._new()
            self._lay(pieces, side)
        corners = pieces.pixels
        others = self._chosen(level, corners, pieces)
        fine, weights = self.guide.fine_lights(number, corners), 1 + self.guide.weights(number, corners)
        errors = [present(self._shown(each, side), number, fine, weights) for each in (pieces, others)]
        better = errors[1] < EXCHANGED * errors[0]
        if better.any():
            turns = torch.where(better, others.turns, pieces.turns)
            places = torch.where(better[:, None], others.places, pieces.places)
            self.canvas = self._new()
            self._lay(replace(pieces, turns=turns, places=places), side)
        self.canvas.end_level()

    def _chosen(self, level: Level, corners: Tensor, pieces: Pieces) -> Pieces:
        """The largest pieces that a frame would have at these corners (n, 2)."""
        shown, stands = self.canvas.shown(corners, level.side)
        ring = level.side // 3
        stands[:, ring:-ring, ring:-ring] = True
        cells = border_cells_of(shown, level.number)
        wanted = self.guide.wanted(level.number, corners, cells, stands.flatten(1).all(1))
        prices = repeated(level, corners, pieces.pixels, pieces.places)
        turns, places = searched(level, wanted, prices, self.chance, corners)
        places, _ = refined(level, wanted, self.guide.fine_lights(level.number, corners), turns, places)
        return Pieces.of(level.number, corners, turns, places)

    def _shown(self, pieces: Pieces, side: int) -> Tensor:
        """Packed colours of the pieces themselves: (n, side, side)."""
        colours = self.tables.colours
        return looked_up(colours, sources(pieces.places, pieces.turns, side, colours.shape[1]))

    def keep(self, level: Level, least: float) -> Pieces:
        """Lay those of the smaller pieces of a level that are still of use, and tell which."""
        number, side = level.number, level.side
        pieces = self.pieces[self.pieces.numbers == number]
        useful = [torch.zeros(0, dtype=torch.bool)]
        for part in torch.split(torch.arange(len(pieces)), max(1, AT_ONCE // side**2)):
            some = pieces[part]
            corners = some.pixels
            fine, weights = self.guide.fine_lights(number, corners), 1 + self.guide.weights(number, corners)
            here = present(self.canvas.shown(corners, side)[0], number, fine, weights)
            own = present(self._shown(some, side), number, fine, weights)
            useful.append((own < WORSE * here) & (far(self.canvas, self.guide, number, corners) > least))
        pieces = pieces[torch.cat(useful)]
        self._lay(pieces, side)
        return pieces


def sewn_on(tables: Tables, guide: Guide, seed: int, how: Manner, noise: float, before: Frame) -> Iterator[Canvas]:
    """As sewing.sewn(), from the frame before: Frame.moved()."""
    sewer = _Sewer(tables, guide, Chance(seed, round(CHANCE * noise)), before)
    sewer.largest()
    yield sewer.canvas
    for level in tables.levels[1:]:
        patience = how.patience[level.number]
        lying = sewer.keep(level, LEAVES * patience)
        yield sewer.canvas
        yield from smaller(sewer.canvas, level, guide, sewer.chance, patience, CHANGES, lying.pixels)
        sewer.canvas.end_level()


def _uncovered(canvas: Canvas, side: int) -> Tensor:
    """Corners (n, 2) of patches that cover what is bare of the picture, as far beyond its edge as they can lie."""
    height, width = canvas.size
    grain = side // 6
    line = [torch.arange(-MARGIN, extent, grain) for extent in (height, width)]
    corners = torch.cartesian_prod(*line)
    empty = (canvas.source < 0)[None, None].double()
    inner = side - side // 3  # what a patch adds where it overlaps its neighbours by half of a cut
    sums = torch.zeros(empty.shape[2] + 1, empty.shape[3] + 1, dtype=torch.float64)
    found: list[Tensor] = []
    while True:
        holes = (empty[0, 0, MARGIN : MARGIN + height, MARGIN : MARGIN + width] > 0).nonzero()
        if not len(holes):
            return torch.stack(found) if found else torch.zeros(0, 2, dtype=torch.int64)
        hole = holes[0]
        sums[1:, 1:] = empty[0, 0].cumsum(0).cumsum(1)
        begin = corners + MARGIN + (side - inner) // 2
        end = begin + inner
        gain = sums[end[:, 0], end[:, 1]] - sums[begin[:, 0], end[:, 1]] - sums[end[:, 0], begin[:, 1]]
        gain = gain + sums[begin[:, 0], begin[:, 1]]
        covers = ((corners <= hole) & (hole < corners + side)).all(1)
        best = corners[gain.masked_fill(~covers, -1).argmax()]
        found.append(best)
        top, left = (best + MARGIN).tolist()
        empty[0, 0, top : top + side, left : left + side] = 0
