"""Frames of a sequence: pieces of the painting move along with the scene, and are changed only where they must be.

Source of the idea: brush strokes that stick to what they paint (Meier, "Painterly rendering for animation", SIGGRAPH
1996). Every piece follows the motion under it: it is moved, turned and stretched as a whole (following.py), and shows
the same place of the painting in every frame, so nothing is resampled twice and nothing wears off. The cuts move along
with the pieces: what a piece holds of its place when it is laid is its claim from then on.

The largest pieces cover the frame: new ones go beneath where it is uncovered, and a piece is exchanged only for one
that fits better by a margin. Smaller pieces stay as long as they are nearer to the picture than what lies beneath
them; new ones come as in a first frame, but must be better by more.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from server.model.style_quilt import PATCHES
from server.strokes.canvas import EMPTY, MARGIN, Canvas, held, mapped, mapped_sources
from server.strokes.following import followed
from server.strokes.guide import Guide
from server.strokes.light import looked_up
from server.strokes.pieces import ONE, Pieces, layers
from server.strokes.search import AT_ONCE, CHANCE, Chance, refined, searched
from server.strokes.sewing import Changes, Manner, border_cells_of, far, present, repeated, smaller
from server.strokes.tables import Level, Tables

SEEN = 400  # a piece of whose pixels fewer than one in so many are seen is given up
LEAVES = 0.03  # a smaller piece stays while what lies beneath it is so much of the patience away
WORSE = 1.7  # or until it is so much further from the picture than that
EXCHANGED = 0.45  # a largest piece gives way to another whose light is so much nearer
CHANGES = Changes(enters=4.0, again=8.0, better=0.4)
LEAST_AREA, MOST_LENGTH = 0.5, 2.0  # of a piece: how far it is shrunk; sums of squares of how far it is stretched


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame's pieces, and which of them is seen at each pixel: `owners` (H, W) int32, EMPTY where none of them is.

    `claims`: of the pieces of each level in their order, what each holds of its place, (n, side, side) bool.
    """

    pieces: Pieces
    owners: Tensor
    claims: tuple[Tensor, ...]

    @classmethod
    def of(cls, canvas: Canvas) -> "Frame":
        """Without the pieces of which hardly anything was seen among those of their level."""
        pieces = canvas.pieces
        stays = torch.cat(canvas.seen) * SEEN >= torch.tensor(PATCHES)[pieces.numbers] ** 2
        numbers = torch.where(stays, stays.cumsum(0) - 1, EMPTY).to(torch.int32)
        height, width = canvas.size
        seen = canvas.owners[MARGIN : MARGIN + height, MARGIN : MARGIN + width]
        owners = torch.where(seen < 0, EMPTY, looked_up(numbers, seen.clamp(min=0)))
        return cls(pieces[stays], owners, _chosen(canvas.all_claims(), pieces.numbers, stays))

    def moved(self, motion: Tensor) -> "Frame":
        """The same where it lies in the next frame, without the pieces that left it. `motion`: (2, H, W), see
        motion.py, in plan pixels. The owners are no longer told.
        """
        pieces = self.pieces
        halves = pieces.halves
        middles, steps, seen = followed(self.owners, motion, pieces.corners + halves)
        maps = (pieces.maps @ steps).div(ONE, rounding_mode="floor")
        pieces = replace(pieces, corners=middles - halves, maps=maps, names=torch.arange(len(pieces)))
        size = torch.tensor(self.owners.shape)
        sides = torch.tensor(PATCHES)[pieces.numbers, None]
        whole = pieces.pixels
        stays = (seen > 0) & ((whole + sides > 0) & (whole < size)).all(1) & usable(maps)
        return Frame(pieces[stays], self.owners, _chosen(self.claims, pieces.numbers, stays))


def usable(maps: Tensor) -> Tensor:
    """Whether pieces with these maps (n, 2, 2) are neither too large nor too small, nor stretched too far: (n,)."""
    parts = maps.double() / ONE
    areas = (parts[:, 0, 0] * parts[:, 1, 1] - parts[:, 0, 1] * parts[:, 1, 0]).abs()
    lengths = parts.square().sum((1, 2))
    return (areas >= LEAST_AREA) & (lengths <= 2 * MOST_LENGTH)


def _chosen(claims: tuple[Tensor, ...], numbers: Tensor, stays: Tensor) -> tuple[Tensor, ...]:
    return tuple(each[stays[numbers == number]] for number, each in enumerate(claims))


class _Sewer:
    """Lays the pieces of a frame that came from another."""

    def __init__(self, tables: Tables, guide: Guide, chance: Chance, before: Frame) -> None:
        self.tables, self.guide, self.chance = tables, guide, chance
        self.pieces, self._claims = before.pieces, before.claims
        self.canvas = self._new()

    def _new(self) -> Canvas:
        return Canvas(self.guide.size, self.tables.colours)

    def _lay(self, pieces: Pieces, claims: Tensor, side: int) -> None:
        """Pieces of one level."""
        for part in layers(pieces.pixels, side):
            for some in torch.split(part, max(1, AT_ONCE // side**2)):
                self.canvas.lay_again(pieces[some], claims[some])

    def largest(self) -> None:
        """Cover the frame by the largest pieces."""
        level = self.tables.levels[0]
        number, side = level.number, level.side
        pieces, claims = self.pieces[self.pieces.numbers == number], self._claims[number]
        self._lay(pieces, claims, side)
        if len(pieces):
            corners = pieces.pixels
            others = self._chosen(level, corners, pieces)
            fine, weights = self.guide.fine_lights(number, corners), 1 + self.guide.weights(number, corners)
            errors = [present(self._shown(each), number, fine, weights) for each in (pieces, others)]
            better = errors[1] < EXCHANGED * errors[0]
            if better.any():
                pieces, claims = _exchanged(pieces, claims, others, better)
                self.canvas = self._new()
                self._lay(pieces, claims, side)
        found = _uncovered(self.canvas, side)
        if len(found):
            new = self._chosen(level, found, pieces)
            height, width = self.canvas.size
            for part in layers(new.pixels, side):
                some = new[part]
                barred = self.canvas.shown(some.pixels, side)[1]
                rows, columns = (some.pixels[:, axis, None] + torch.arange(side) for axis in (0, 1))
                down, across = (rows >= 0) & (rows < height), (columns >= 0) & (columns < width)
                self.canvas.lay(some, barred & down[:, :, None] & across[:, None])
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

    def _shown(self, pieces: Pieces) -> Tensor:
        """Packed colours of the pieces themselves: (n, side, side)."""
        colours = self.tables.colours
        return looked_up(colours, mapped_sources(pieces, mapped(pieces)[0], colours.shape[1]))

    def keep(self, level: Level, least: float) -> Pieces:
        """Lay those of the smaller pieces of a level that are still of use, and tell which."""
        number, side = level.number, level.side
        pieces = self.pieces[self.pieces.numbers == number]
        if not len(pieces):
            return pieces
        useful = []
        for part in torch.split(torch.arange(len(pieces)), max(1, AT_ONCE // side**2)):
            some = pieces[part]
            corners = some.pixels
            fine, weights = self.guide.fine_lights(number, corners), 1 + self.guide.weights(number, corners)
            here = present(self.canvas.shown(corners, side)[0], number, fine, weights)
            own = present(self._shown(some), number, fine, weights)
            useful.append((own < WORSE * here) & (far(self.canvas, self.guide, number, corners) > least))
        which = torch.cat(useful)
        self._lay(pieces[which], self._claims[number][which], side)
        return pieces[which]


def _exchanged(pieces: Pieces, claims: Tensor, others: Pieces, which: Tensor) -> tuple[Pieces, Tensor]:
    """Some of the pieces exchanged for others, which hold the picture where they did."""
    names = ("corners", "maps", "places", "names")
    changed = {
        name: torch.where(
            which.view(-1, *[1] * (getattr(pieces, name).dim() - 1)), getattr(others, name), getattr(pieces, name)
        )
        for name in names
    }
    new = replace(pieces, **changed)
    within, covered = mapped(pieces[which])
    holds = held(claims[which], within) & covered
    into, _ = mapped(new[which])
    claims = claims.clone()
    claims[which] = (
        torch.zeros_like(holds).flatten(1).scatter_(1, into.flatten(1).long(), holds.flatten(1)).view_as(holds)
    )
    return new, claims


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
