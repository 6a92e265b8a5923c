"""Patch after patch, coarse to fine: what lies where on a canvas.

The largest patches lie everywhere, on a grid of four colours like a checkerboard of 2 x 2. Patches of the first two
colours take the place that the picture asks for; those of the other two also continue their neighbours. Then all are
chosen once more, now with all neighbours known. Smaller patches lie only where what stands there is too far from what
the picture asks for, at its edges above all, and only if they are nearer.

A patch depends on the picture and on patches at most two away of each colour and level, so a part of the canvas depends
on its surroundings alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from server.model.style_quilt import CELLS, PATCHES
from server.strokes.canvas import MARGIN, Canvas, sources
from server.strokes.guide import SCORE, Guide
from server.strokes.light import LIGHT_CELLS, looked_up
from server.strokes.pieces import Pieces
from server.strokes.search import AT_ONCE, CHANCE, Chance, every_cell, refined, searched
from server.strokes.tables import Level, Tables, unpacked

COLOURS = ((0, 0), (1, 1), (0, 1), (1, 0))
NEAR = 2  # patches: how far a repeat is looked for
REPEATS = 20_000  # price of showing a neighbour's place again, falling to nothing a patch away
LAST_REPEATS = 2  # the level of the smallest patches that are kept from repeating
PLAIN = (0.0, 0.3, 0.1, 0.0, 0.0)  # how much the mean light of a whole patch of each level counts, beside edges
BETTER = 0.8  # smaller patches are laid if their light is so much nearer


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How pictures are sewn. `emphasis`: how much luminance counts against continuing what lies beside, 1 to 6.

    `patience`: of each level, how far luminance may be from what is asked for, in squares of 1/64 of white, before
    patches of that level are laid.
    """

    emphasis: int
    patience: tuple[float, ...]


@dataclass(frozen=True)
class Changes:
    """When smaller patches are laid: if what stands there is `enters` times the patience away, `again` times where one
    of the level lies, and their light is nearer by `better`.
    """

    enters: float
    again: float
    better: float


FIRST = Changes(enters=1.0, again=1.0, better=BETTER)


def manner(strength: float) -> Manner:
    """From 0, nearest to the picture, to 1, the freest strokes."""
    free = 0.1 + 0.65 * strength**4
    return Manner(emphasis=2 + round(3 * (1 - strength)), patience=(0.0, 10 * free, 14 * free, 20 * free, 32 * free))


def sewn(tables: Tables, guide: Guide, seed: int, how: Manner, noise: float = 1.0) -> Iterator[Canvas]:
    """The canvas of a picture, again and again while it is sewn; the last is complete. `noise`: how much is chance."""
    chance = Chance(seed, round(CHANCE * noise))
    canvas = Canvas(guide.size, tables.colours)
    yield from _largest(canvas, tables, guide, chance)
    canvas.end_level()
    for level in tables.levels[1:]:
        yield from smaller(canvas, level, guide, chance, how.patience[level.number])
        canvas.end_level()


# ------------------------------------------------------------------------------------------------- the largest patches


def _largest(canvas: Canvas, tables: Tables, guide: Guide, chance: Chance) -> Iterator[Canvas]:
    level = tables.levels[0]
    number, side = level.number, level.side
    pitch, overlap = side * 2 // 3, side // 3
    down, across = (-(-extent // pitch) + 2 for extent in canvas.size)  # one more on every side
    places = torch.zeros(down, across, 2, dtype=torch.int64)
    turns = torch.zeros(down, across, dtype=torch.int64)
    placed = torch.zeros(down, across, dtype=torch.bool)
    grid = torch.stack(torch.meshgrid(torch.arange(down), torch.arange(across), indexing="ij"), -1)
    for sweep in range(2):
        for colour in COLOURS:
            index = grid[colour[0] :: 2, colour[1] :: 2].reshape(-1, 2)
            if not len(index):
                continue
            corners = (index - 1) * pitch - overlap // 2
            shown, stands = _neighbours(tables, side, index, places, turns, placed)
            known = stands.flatten(1).sum(1) == side**2 - (side - 2 * overlap) ** 2
            cells = border_cells_of(shown, number)
            wanted = guide.wanted(number, corners, cells, known)
            repeats = _repeats(level, index, places, placed)
            turn, place = searched(level, wanted, repeats, chance, corners + sweep)
            place, _ = refined(level, wanted, guide.fine_lights(number, corners), turn, place)
            places[index[:, 0], index[:, 1]], turns[index[:, 0], index[:, 1]] = place, turn
            placed[index[:, 0], index[:, 1]] = True
            yield canvas
    for colour in COLOURS:
        index = grid[colour[0] :: 2, colour[1] :: 2].reshape(-1, 2)
        at = index[:, 0], index[:, 1]
        canvas.lay(Pieces.of(number, (index - 1) * pitch - overlap // 2, turns[at], places[at]))
    yield canvas


def _neighbours(
    tables: Tables, side: int, index: Tensor, places: Tensor, turns: Tensor, placed: Tensor
) -> tuple[Tensor, Tensor]:
    """What the four neighbours show where a patch overlaps them: packed colours (n, side, side), and where any does."""
    pitch, overlap = side * 2 // 3, side // 3
    shown = torch.zeros(len(index), side, side, dtype=torch.int32)
    stands = torch.zeros(len(index), side, side, dtype=torch.bool)
    limits = torch.tensor(placed.shape) - 1
    for down, across in ((0, -1), (0, 1), (-1, 0), (1, 0)):
        other = index + torch.tensor([down, across])
        there = ((other >= 0) & (other <= limits)).all(1)
        at = other.clamp(min=0).minimum(limits)
        there = there & placed[at[:, 0], at[:, 1]]
        # The strip of this patch that the neighbour covers, and the strip of the neighbour.
        mine = [
            slice(0, overlap) if step < 0 else slice(pitch, side) if step else slice(None) for step in (down, across)
        ]
        its = [
            slice(pitch, side) if step < 0 else slice(0, overlap) if step else slice(None) for step in (down, across)
        ]
        source = sources(places[at[:, 0], at[:, 1]], turns[at[:, 0], at[:, 1]], side, tables.colours.shape[1])
        colours = looked_up(tables.colours, source[:, its[0], its[1]])
        target = shown[:, mine[0], mine[1]]
        shown[:, mine[0], mine[1]] = torch.where(there[:, None, None], colours, target)
        stands[:, mine[0], mine[1]] |= there[:, None, None]
    return shown, stands


def _repeats(level: Level, index: Tensor, places: Tensor, placed: Tensor) -> Tensor:
    """The prices of places near those that patches nearby show: (n, places) float32."""
    side = level.side
    lines = [
        level.place(torch.arange(level.shape[0]) * level.shape[1])[:, 0],
        level.place(torch.arange(level.shape[1]))[:, 1],
    ]
    worst = torch.zeros(len(index), *level.shape)
    limits = torch.tensor(placed.shape) - 1
    for down in range(-NEAR, NEAR + 1):
        for across in range(-NEAR, NEAR + 1):
            if not (down or across):
                continue
            other = index + torch.tensor([down, across])
            there = ((other >= 0) & (other <= limits)).all(1)
            at = other.clamp(min=0).minimum(limits)
            there = there & placed[at[:, 0], at[:, 1]]
            place = places[at[:, 0], at[:, 1]]
            prices = [
                ((side - (line[None] - place[:, axis, None]).abs()).clamp(min=0) * REPEATS).div(
                    side, rounding_mode="floor"
                )
                * there[:, None]
                for axis, line in enumerate(lines)
            ]
            worst = worst.maximum(torch.minimum(prices[0][:, :, None], prices[1][:, None, :]).float())
    return worst.flatten(1)


def repeated(level: Level, corners: Tensor, beside: Tensor, places: Tensor) -> Tensor:
    """The same for patches at these corners (n, 2), of patches at the corners `beside` (m, 2) that show these places.
    Those that lie at the same corner do not count.
    """
    side = level.side
    reach = NEAR * (side * 2 // 3) + side // 6
    lines = [
        level.place(torch.arange(level.shape[0]) * level.shape[1])[:, 0],
        level.place(torch.arange(level.shape[1]))[:, 1],
    ]
    worst = torch.zeros(len(corners), *level.shape)
    for number, corner in enumerate(corners):
        away = (beside - corner).abs().amax(1)
        for place in places[(away <= reach) & (away > 0)]:
            down, across = (
                ((side - (line - place[axis]).abs()).clamp(min=0) * REPEATS).div(side, rounding_mode="floor")
                for axis, line in enumerate(lines)
            )
            worst[number] = worst[number].maximum(torch.minimum(down[:, None], across[None]).float())
    return worst.flatten(1)


# ---------------------------------------------------------------------------------------------------- smaller patches


def smaller(
    canvas: Canvas,
    level: Level,
    guide: Guide,
    chance: Chance,
    patience: float,
    changes: Changes = FIRST,
    lying: Tensor | None = None,
) -> Iterator[Canvas]:
    """Lay patches of a level where they are asked for. `lying`: corners (n, 2) of those that lie there already."""
    number, side = level.number, level.side
    pitch, overlap = side * 2 // 3, side // 3
    down, across = (-(-extent // pitch) for extent in canvas.size)
    grid = torch.stack(torch.meshgrid(torch.arange(down), torch.arange(across), indexing="ij"), -1)
    places = torch.zeros(down, across, 2, dtype=torch.int64)
    placed = torch.zeros(down, across, dtype=torch.bool)
    served = torch.zeros(down, across, dtype=torch.bool)
    if lying is not None:
        cells = (lying + side // 2).div(pitch, rounding_mode="floor")
        cells = cells[((cells >= 0) & (cells < torch.tensor([down, across]))).all(1)]
        served[cells[:, 0], cells[:, 1]] = True
    for colour in COLOURS:
        index = grid[colour[0] :: 2, colour[1] :: 2].reshape(-1, 2)
        if not len(index):
            continue
        away = far(canvas, guide, number, index * pitch - overlap // 2)
        index = index[away > patience * torch.where(served[index[:, 0], index[:, 1]], changes.again, changes.enters)]
        for some in torch.split(index, max(1, AT_ONCE // side**2)):
            if not len(some):
                continue
            part = some * pitch - overlap // 2
            shown, _ = canvas.shown(part, side)
            cells = border_cells_of(shown, number)
            wanted = guide.wanted(number, part, cells, torch.ones(len(part), dtype=torch.bool))
            repeats = _repeats(level, some, places, placed) if number <= LAST_REPEATS else None
            turn, place = searched(level, wanted, repeats, chance, part)
            fine = guide.fine_lights(number, part)
            place, error = refined(level, wanted, fine, turn, place)
            there = present(shown, number, fine, 1 + wanted.light_weights)
            better = error < changes.better * there
            canvas.lay(Pieces.of(number, part[better], turn[better], place[better]))
            laid = some[better]
            places[laid[:, 0], laid[:, 1]], placed[laid[:, 0], laid[:, 1]] = place[better], True
            yield canvas


def border_cells_of(shown: Tensor, number: int) -> Tensor:
    """Colours of the cells (n, 3, count, count) int8 of what is shown, packed (n, side, side)."""
    cell = PATCHES[number] // CELLS[number]
    colours = unpacked(shown)[..., :3].permute(0, 3, 1, 2)
    if cell == 1:
        return colours
    means = torch.nn.functional.avg_pool2d(colours.float(), cell, divisor_override=1) / cell**2
    return means.round().to(torch.int8)


def far(canvas: Canvas, guide: Guide, number: int, corners: Tensor) -> Tensor:
    """How far the light of what stands at patches is from what is asked for, at edges: (n,) mean squares of 1/64."""
    side = PATCHES[number]
    scores = guide.scores(number, corners).double()
    wanted = guide.looks.lights(corners + MARGIN, side)
    present = torch.cat(
        [_lights(canvas.shown(part, side)[0]) for part in torch.split(corners, max(1, AT_ONCE // side**2))]
    )
    squares = (wanted - present).square()
    plain = ((wanted - present).double().sum((1, 2)) / LIGHT_CELLS**2).square() * PLAIN[number]
    return (scores * squares).sum((1, 2)) / (SCORE * LIGHT_CELLS**2) + plain


def _lights(shown: Tensor) -> Tensor:
    """Mean luminance of the 6 x 6 cells of what is shown, (n, side, side) packed: (n, 6, 6) in [0, 63]."""
    light = unpacked(shown)[..., 3].float() + 128
    cell = shown.shape[-1] // LIGHT_CELLS
    return (torch.nn.functional.avg_pool2d(light, cell, divisor_override=1) / (4 * cell**2)).floor()


def present(shown: Tensor, number: int, fine: Tensor, weights: Tensor) -> Tensor:
    """The error of what stands there, measured as refined() does: (n,) float64."""
    count = CELLS[number]
    every = every_cell(count)
    cell = PATCHES[number] // count
    light = unpacked(shown)[..., 3].float() + 128
    means = (torch.nn.functional.avg_pool2d(light, cell, divisor_override=1) / cell**2).round()
    wide = weights.repeat_interleave(count // LIGHT_CELLS, 1).repeat_interleave(count // LIGHT_CELLS, 2)
    squares = ((means - fine).square() * wide)[:, ::every, ::every]
    return squares.sum((1, 2), dtype=torch.float64) / (count // every) ** 2
