"""The canvas: which pixel of the painting each pixel of the picture shows, and the cuts of patches that are laid.

Source of the cuts: Efros & Freeman, "Image quilting" (SIGGRAPH 2001). Differs: all patches of a colour are laid at
once, each with a cut along all four sides.

The canvas reaches MARGIN plan pixels beyond the picture on every side, so that patches may overhang.
"""

from functools import cache

import torch
from torch import Tensor

from server.model.style_quilt import PATCHES
from server.strokes.light import looked_up
from server.strokes.pieces import ONE, ONE_BITS, UNIT, UNIT_BITS, Pieces
from server.strokes.tables import unpacked
from server.strokes.turns import MATRICES

MARGIN = PATCHES[0]
EMPTY = -1


class Canvas:
    """`size`: height and width of the picture in plan pixels. `colours`: the painting, as in Tables."""

    def __init__(self, size: tuple[int, int], colours: Tensor) -> None:
        self.size, self.colours = size, colours
        sides = [side + 3 * MARGIN for side in size]
        self.source = torch.full((sides[0], sides[1]), EMPTY, dtype=torch.int32)  # flat index into the painting
        self.owners = torch.full((sides[0], sides[1]), EMPTY, dtype=torch.int32)  # which of `laid` lies here
        self.laid: list[Pieces] = []
        self.claims: list[Tensor] = []  # of `laid`: what each holds of its place, (n, side, side) bool
        self.seen: list[Tensor] = []  # of the pieces of each level, how many pixels showed when the level was complete
        self._count = 0

    @property
    def pieces(self) -> Pieces:
        """All that were laid, also those that are no longer seen."""
        return Pieces.joined(self.laid)

    def all_claims(self) -> tuple[Tensor, ...]:
        """Of the pieces of each level in their order, what each holds of its place: (n, side, side) bool."""
        levels = [int(each.numbers[0]) for each in self.laid]
        return tuple(
            torch.cat(
                [torch.zeros(0, side, side, dtype=torch.bool)]
                + [each for each, other in zip(self.claims, levels, strict=True) if other == number]
            )
            for number, side in enumerate(PATCHES)
        )

    def pixels(self, corners: Tensor, side: int) -> Tensor:
        """Flat indices of the canvas' pixels in patches at these corners (n, 2), in picture pixels: (n, side, side)
        int32.
        """
        line = torch.arange(side) + MARGIN
        rows, columns = (corners[:, axis, None].add(line).to(torch.int32) for axis in (0, 1))
        return rows[:, :, None] * self.source.shape[1] + columns[:, None, :]

    def shown(self, corners: Tensor, side: int) -> tuple[Tensor, Tensor]:
        """What stands there: packed colours (n, side, side) int32, and whether anything does, bool."""
        source = looked_up(self.source, self.pixels(corners, side))
        return looked_up(self.colours, source.clamp(min=0)), source >= 0

    def end_level(self) -> None:
        """All patches of a level are laid."""
        owners = self.owners.flatten()
        counts = torch.bincount(owners[owners >= 0], minlength=self._count)
        self.seen.append(counts[sum(map(len, self.seen)) :])

    def lay(self, pieces: Pieces, barred: Tensor | None = None) -> None:
        """Lay new pieces of one level that do not touch each other, by cuts. `barred`: pixels that they must not take
        from others, (n, side, side) bool.
        """
        if not len(pieces):
            return
        side = PATCHES[int(pieces.numbers[0])]
        at = self.pixels(pieces.pixels, side)
        turns = turns_of(pieces.maps)
        source = sources(pieces.places, turns, side, self.colours.shape[1])
        stands = looked_up(self.source, at)
        empty = stands < 0
        there = unpacked(looked_up(self.colours, stands.clamp(min=0)))[..., :3].float()
        new = unpacked(looked_up(self.colours, source))[..., :3].float()
        energy = (there - new).square().sum(-1).div(8).floor().masked_fill(empty, 0)
        mask = inside(energy, side // 3)
        if barred is not None:
            mask &= ~barred
        mask |= empty
        within = _within(side, side)[turns].long()
        claims = torch.zeros(len(pieces), side**2, dtype=torch.bool).scatter_(1, within.flatten(1), mask.flatten(1))
        self._put(pieces, claims.view(-1, side, side), at, source, mask)

    def lay_again(self, pieces: Pieces, claims: Tensor) -> None:
        """Lay pieces of the frame before, likewise, where they hold the picture, and where nothing lies yet."""
        if not len(pieces):
            return
        at = self.pixels(pieces.pixels, PATCHES[int(pieces.numbers[0])])
        within, covered = mapped(pieces)
        mask = covered & (held(claims, within) | (looked_up(self.source, at) < 0))
        self._put(pieces, claims, at, mapped_sources(pieces, within, self.colours.shape[1]), mask)

    def _put(self, pieces: Pieces, claims: Tensor, at: Tensor, source: Tensor, mask: Tensor) -> None:
        laid = mask.flatten().nonzero()[:, 0]
        where = looked_up(at, laid).long()
        self.source.view(-1)[where] = looked_up(source, laid)
        owner = torch.arange(self._count, self._count + len(pieces), dtype=torch.int32)
        self.owners.view(-1)[where] = looked_up(owner, laid.div(mask[0].numel(), rounding_mode="floor"))
        self.laid.append(pieces)
        self.claims.append(claims)
        self._count += len(pieces)


def turns_of(maps: Tensor) -> Tensor:
    """Which of turns.py each of these maps is, (n,) int64; 0 for others."""
    return (maps[:, None] == MATRICES * ONE).all(3).all(2).long().argmax(1)


def sources(places: Tensor, turns: Tensor, side: int, width: int) -> Tensor:
    """Flat indices of the painting's pixels that patches show: (n, side, side) int32."""
    first = (places[:, 0] * width + places[:, 1]).to(torch.int32)
    found: Tensor = _within(side, width)[turns] + first[:, None, None]
    return found


def mapped(pieces: Pieces) -> tuple[Tensor, Tensor]:
    """Of pieces of one level, which pixel of its place each shows, (n, side, side) int32 in [0, side^2), and which of
    these it really has, bool.
    """
    side = PATCHES[int(pieces.numbers[0])]
    half = side * UNIT // 2
    line = torch.arange(side) * UNIT + UNIT // 2 - half
    down, across = ((line + (pieces.pixels * UNIT - pieces.corners)[:, axis, None]).to(torch.int32) for axis in (0, 1))
    maps = pieces.maps.to(torch.int32)
    rows, columns = (
        ((maps[:, axis, 0, None] * down)[:, :, None] + (maps[:, axis, 1, None] * across)[:, None] + half * ONE)
        >> UNIT_BITS + ONE_BITS
        for axis in (0, 1)
    )
    covered = (rows >= 0) & (rows < side) & (columns >= 0) & (columns < side)
    return rows.clamp_(0, side - 1).mul_(side).add_(columns.clamp_(0, side - 1)), covered


def mapped_sources(pieces: Pieces, within: Tensor, width: int) -> Tensor:
    """As sources(), of pieces that moved. `within`: of mapped()."""
    side = within.shape[1]
    first = (pieces.places[:, 0] * width + pieces.places[:, 1]).to(torch.int32)[:, None, None]
    return within + within.div(side, rounding_mode="floor") * (width - side) + first


def held(claims: Tensor, within: Tensor) -> Tensor:
    """Where pieces hold the picture: of their places (n, side, side) bool; `within`: of mapped()."""
    begin = torch.arange(len(claims), dtype=torch.int32)[:, None, None] * claims[0].numel()
    return looked_up(claims, within + begin)


@cache
def _within(side: int, width: int) -> Tensor:
    """Of each turn, the indices from a patch's corner in the painting on: (TURNS, side, side) int32."""
    line = 2 * torch.arange(side) + 1 - side  # in half pixels from the middle
    points = torch.stack(torch.meshgrid(line, line, indexing="ij"), -1)
    turned = (MATRICES[:, None, None] * points[None, :, :, None]).sum(-1) + side - 1
    within = turned.div(2, rounding_mode="floor")  # (8, side, side, 2)
    return (within[..., 0] * width + within[..., 1]).to(torch.int32)


def inside(energy: Tensor, overlap: int) -> Tensor:
    """What of each patch lies inside its four cuts: energies (n, side, side) to bool."""
    cut = cheapest_paths(_four(energy)[:, :, :overlap])  # (4 n, side)
    beyond = torch.arange(energy.shape[1])[None, None] >= cut[:, :, None]
    left, right, top, bottom = beyond.chunk(4)
    return left & right.flip(2) & top.transpose(1, 2) & bottom.transpose(1, 2).flip(1)


def _four(values: Tensor) -> Tensor:
    """(n, side, side) as seen from the left, the right, the top and the bottom: (4 n, side, side)."""
    return torch.cat([values, values.flip(2), values.transpose(1, 2), values.flip(1).transpose(1, 2)])


def cheapest_paths(energy: Tensor) -> Tensor:
    """The column of the cheapest path down through (n, length, width), at each row: (n, length) int64."""
    count, length, width = energy.shape
    far = torch.full((count, 1), 2.0**40, dtype=torch.float64)
    total = energy[:, 0].double()
    back = torch.zeros(length, count, width, dtype=torch.int8)
    for row in range(1, length):
        wide = torch.cat([far, total, far], 1)
        left, right = wide[:, :-2], wide[:, 2:]
        best = torch.minimum(torch.minimum(left, right), total)
        back[row] = (total > best).to(torch.int8) * torch.where(left <= right, -1, 1).to(torch.int8)
        total = best + energy[:, row]
    at = first_least(total)
    path = torch.empty(count, length, dtype=torch.int64)
    for row in range(length - 1, -1, -1):
        path[:, row] = at
        at = at + back[row].gather(1, at[:, None])[:, 0]
    return path


def first_least(costs: Tensor) -> Tensor:
    """The first index of the least value along the last axis: int64."""
    least = costs.amin(-1, keepdim=True)
    numbers = torch.arange(costs.shape[-1]).expand_as(costs)
    return numbers.masked_fill(costs > least, costs.shape[-1]).amin(-1)
