"""The best place of the painting for a patch: an exhaustive search, then a finer one by single pixels.

Costs are whole numbers and ties go to the first place, so the result is the same everywhere. The bounds on weights keep
sums below 2^24, where float32 holds whole numbers exactly.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from server.model.style_quilt import CELLS, COMPONENTS, STEPS
from server.quilt.hashing import words
from server.strokes import strays
from server.strokes.canvas import first_least
from server.strokes.light import DIRECTION_CELLS, LIGHT_CELLS, looked_up
from server.strokes.tables import BARRED, Level, unpacked
from server.strokes.turns import TURNS, directions_to_painting, to_painting

BORDER = 8  # weight of a border's components
BUSY = 6  # weight of how busy cells are that are busier than the picture's mean, so that line work is drawn by lines
MOST_LIGHT = 22  # of the weights of light
LAST_MIRRORED = 2  # the level of the smallest patches that are mirrored as well as turned
MOST_MOVED = 6  # plan pixels, after the search
CHANCE = 1024  # a cost is raised by up to this, by hash, at noise 1
AT_ONCE = 2**22  # costs


@dataclass(frozen=True, eq=False)
class Wanted:
    """What n patches ask for. Whole numbers in float32, but for `cells` and `known`.

    `cells`: colours of the cells, (n, 3, count, count) int8, those of the border count. `known`: which patches have
    them, (n,) bool. `lights`, `light_weights`: (n, 6, 6). `mean_weights`: (n,). `ways`: (n, 2, 3, 3). `way_weights`,
    `busy`, `busy_weights`, `stray_weights`: (n, 3, 3).
    """

    cells: Tensor
    known: Tensor
    lights: Tensor
    light_weights: Tensor
    mean_weights: Tensor
    ways: Tensor
    way_weights: Tensor
    busy: Tensor
    busy_weights: Tensor
    stray_weights: Tensor

    def part(self, which: slice | Tensor) -> "Wanted":
        """Some of the patches."""
        return Wanted(**{name: value[which] for name, value in vars(self).items()})


@dataclass(frozen=True)
class Chance:
    """Costs are raised by less than `most`, by a hash of the seed."""

    seed: int
    most: int


def searched(
    level: Level, wanted: Wanted, repeats: Tensor | None, chance: Chance, keys: Tensor
) -> tuple[Tensor, Tensor]:
    """The cheapest turn and place of each patch: (n,) int64 and (n, 2) int64.

    `repeats`: more prices, (n, places). `keys`: (n, 2), by which a patch's chance is hashed.
    """
    places, count = level.matrix.shape[1], TURNS if level.number <= LAST_MIRRORED else TURNS // 2
    chances = (words(chance.seed, 3, level.number, torch.arange(2 * count * places)) * chance.most >> 32).float()
    starts = (words(chance.seed, 4, level.number, keys[:, 0], keys[:, 1]) * count * places) >> 32
    turns, found = [torch.zeros(0, dtype=torch.int64)], [torch.zeros(0, 2, dtype=torch.int64)]
    step = max(1, AT_ONCE // (count * places))
    for begin in range(0, len(keys), step):
        part = slice(begin, begin + step)
        asked = wanted.part(part)
        border = level.border(asked.cells, count)
        costs = torch.stack([_asked(level, asked, border[:, turn], turn) for turn in range(count)], 1) @ level.matrix
        if repeats is not None:
            costs += repeats[part, None]
        costs = costs.flatten(1)
        for line, start in zip(costs, starts[part].tolist(), strict=True):
            line += chances[start : start + len(line)]
        best = costs.min(1).indices
        turns.append(best.div(places, rounding_mode="floor"))
        found.append(level.place(best % places))
    return torch.cat(turns), torch.cat(found)


def _asked(level: Level, wanted: Wanted, border: Tensor, turn: int) -> Tensor:
    """What multiplies the columns of a level's matrix, for one turn: (n, numbers) float32."""
    known = wanted.known.float()[:, None] * BORDER
    lights, light_weights, way_weights, busy, busy_weights = (
        to_painting(each, turn).flatten(1)
        for each in (wanted.lights, wanted.light_weights, wanted.way_weights, wanted.busy, wanted.busy_weights)
    )
    ways = directions_to_painting(wanted.ways, turn).flatten(1)
    mean_weights = wanted.mean_weights[:, None]
    columns = [
        -2 * known * border,
        -2 * light_weights * lights,
        -2 * mean_weights * wanted.lights.mean((1, 2))[:, None].round(),
        -2 * way_weights.repeat(1, 2) * ways,
        -2 * busy_weights * busy,
        known,
        light_weights,
        mean_weights,
        way_weights,
        busy_weights,
        torch.ones(len(border), 1),
    ]
    if level.number <= strays.LAST:
        columns.append(to_painting(strays.asked(wanted.lights, wanted.stray_weights), turn).flatten(1))
    return torch.cat(columns, 1)


def refined(level: Level, wanted: Wanted, fine_lights: Tensor, turns: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """The places moved by up to half a step of the search, to where border and light fit best; and how far their light
    then is from what is wanted, weighted, (n,) float64.

    `fine_lights`: wanted luminance of the cells, (n, count, count) in [0, 255].
    """
    count = CELLS[level.number]
    every = every_cell(count)
    reach = min(STEPS[level.number] // 2, MOST_MOVED)
    line = torch.arange(-reach, reach + 1, 3 if reach > 4 else 2)
    moves = torch.cartesian_prod(line, line)
    moves = moves[moves.abs().sum(1).sort(stable=True).indices]
    border = torch.zeros(count, count)
    overlap = count // 3
    border[:overlap] = border[-overlap:] = border[:, :overlap] = border[:, -overlap:] = 1
    weights = (
        (1 + wanted.light_weights).repeat_interleave(count // LIGHT_CELLS, 1).repeat_interleave(count // LIGHT_CELLS, 2)
    )
    best_places, errors = torch.empty_like(places), torch.empty(len(places), dtype=torch.float64)
    colours = wanted.cells.float()
    for turn in range(TURNS):
        which = (turns == turn).nonzero()[:, 0]
        for part in torch.split(which, max(1, AT_ONCE // (4 * len(moves) * (count // every) ** 2))):
            asked = [
                to_painting(each[part], turn)[..., ::every, ::every] for each in (colours, fine_lights - 128, weights)
            ]
            here = border[::every, ::every] * wanted.known[part].float()[:, None, None]
            corners = (places[part, None] + moves).clamp(min=0)
            corners = torch.minimum(corners, torch.tensor(level.whole.shape) - 1)
            cells = torch.arange(0, count, every) * level.spacing
            rows, columns = (corners[..., axis, None].add(cells).to(torch.int32) for axis in (0, 1))
            index = rows[..., :, None] * level.cells.shape[1] + columns[..., None, :]
            shown = unpacked(looked_up(level.cells, index)).float()  # (n, moves, rows, columns, 4)
            colour = (shown[..., :3] - asked[0].permute(0, 2, 3, 1)[:, None]).square_().sum(-1) * here[:, None]
            light = (shown[..., 3] - asked[1][:, None]).square_() * asked[2][:, None]
            error = light.sum((-2, -1), dtype=torch.float64)
            cost = colour.sum((-2, -1), dtype=torch.float64) * (BORDER // 4) + error
            cost += (~level.whole[corners[..., 0], corners[..., 1]]) * float(2**50)
            best = first_least(cost)
            best_places[part] = corners.gather(1, best[:, None, None].expand(-1, 1, 2))[:, 0]
            errors[part] = error.gather(1, best[:, None])[:, 0] / (count // every) ** 2
    return best_places, errors


def every_cell(count: int) -> int:
    """Of `count` cells in a row, one of so many is looked at when a place is refined."""
    return 3 if count > 12 else 2


STRAYS = strays.WEIGHT * strays.MOST * 2 * DIRECTION_CELLS**2
LINES = 3 * BUSY * 31**2 * DIRECTION_CELLS**2
assert MOST_LIGHT * 3 * 63**2 * LIGHT_CELLS**2 + 3 * BORDER * 63**2 * COMPONENTS + STRAYS + LINES + BARRED < 2**25
assert DIRECTION_CELLS == 3
