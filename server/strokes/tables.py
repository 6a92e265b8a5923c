"""What is compared of a painting: every place of every size of patch, as columns of one matrix.

A place is compared with what a picture asks for by one matrix product. Its column holds

    border     COMPONENTS principal components of the colours of its cells along the border, and their squared length
    light      mean luminance of 6 x 6 cells and its squares, and the same of the whole patch
    direction  directions of 3 x 3 cells, and their squared lengths
    busy       how busy these cells are, and its squares
    stray      what these cells pay for each wanted light: see strays

All are whole numbers, and so are the weights that a picture brings; the sums stay below 2^24, so float32 is exact.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from server.model.style_quilt import CELLS, COMPONENTS, LIGHTS, PATCHES, STEPS, StyleQuiltArchitecture
from server.strokes import strays
from server.strokes.light import Looks, boxes, edges, gathered, gradients, luminance
from server.strokes.turns import TURNS, to_picture

MOST = 63  # of a component
BARRED = 2**23  # the price of a place that must not be shown


@dataclass(frozen=True, eq=False)
class Level:
    """One size of patch. `matrix`: (numbers, places) float32. `prices`: (places,) float32. `shape`: places down and
    across. `cells`: (rows, columns) int32, four int8 for the mean of the d x d pixels from each on: red, green, blue
    and luminance, less 128. `whole`: (rows, columns) bool, from which pixels on a patch may be shown.
    """

    number: int
    matrix: Tensor
    prices: Tensor
    shape: tuple[int, int]
    cells: Tensor
    whole: Tensor
    basis: Tensor  # (numbers of a patch's cells, TURNS * COMPONENTS)
    means: Tensor
    shift: int
    free: int  # see strays

    @property
    def side(self) -> int:
        return PATCHES[self.number]

    @property
    def spacing(self) -> int:
        """Pixels of a cell."""
        return PATCHES[self.number] // CELLS[self.number]

    def place(self, number: Tensor) -> Tensor:
        """Upper left corners (..., 2) of places by number."""
        rows = number.div(self.shape[1], rounding_mode="floor")
        return torch.stack([rows, number % self.shape[1]], -1) * STEPS[self.number]

    def border(self, cells: Tensor, turns: int = 1) -> Tensor:
        """Components (n, turns, COMPONENTS) float32 of the colours of cells, (n, 3, count, count) int8, as the painting
        shows them under each of the first so many turns.
        """
        sums = cells.flatten(1).float() @ self.basis[:, : turns * COMPONENTS]
        whole: Tensor = (sums / 2**self.shift).round().view(len(cells), turns, COMPONENTS) - self.means
        return whole.clamp(-MOST, MOST)


@dataclass(frozen=True, eq=False)
class Tables:
    """All levels. `colours`: the painting (H, W) int32, packed like cells. `lights`: quantiles of its luminance."""

    levels: tuple[Level, ...]
    colours: Tensor
    lights: Tensor


def make_tables(plan: Tensor, usable: Tensor, state: dict[str, Tensor], architecture: StyleQuiltArchitecture) -> Tables:
    """`plan`: the painting (3, H, W) uint8 in plan pixels; `usable`: (H, W), 0 where it must not be shown."""
    light = luminance(plan)
    looks = Looks(light, mean_edge(light, usable))
    return Tables(
        levels=tuple(_level(number, plan, usable, looks, state, architecture) for number in architecture.levels),
        colours=packed_cells(plan, 1),
        lights=quantiles(light[usable > 0]),
    )


def quantiles(light: Tensor) -> Tensor:
    """LIGHTS quantiles of luminances, evenly spaced, least to largest: (LIGHTS,) int64."""
    counts = torch.bincount(light.flatten().long(), minlength=4081).cumsum(0)
    wanted = (torch.arange(LIGHTS) * (int(counts[-1]) - 1)).div(LIGHTS - 1, rounding_mode="floor")
    return torch.searchsorted(counts, wanted, right=True)


def mean_edge(light: Tensor, usable: Tensor | None = None) -> int:
    """Mean length of the gradients, in 1/16 of a step of 8 bits, from 1 to 65535."""
    found = edges(gradients(light)[2])
    found = found if usable is None else found[usable > 0]
    return max(1, min(65535, int(found.sum()) // max(1, found.numel())))


def packed_cells(pixels: Tensor, side: int) -> Tensor:
    """(3, H, W) uint8 to means over side x side pixels from each on, packed: (H - side + 1, W - side + 1) int32."""
    planes = torch.cat([pixels.double(), luminance(pixels)[None] / 16])
    means = (boxes((planes * 16).floor(), side) / (16 * side**2)).round() - 128
    return means.to(torch.int8).permute(1, 2, 0).contiguous().view(torch.int32)[..., 0]


def unpacked(cells: Tensor) -> Tensor:
    """(..., ) int32 to (..., 4) int8."""
    return cells.contiguous().view(torch.int8).view(*cells.shape, 4)


def border_cells(cells: Tensor, number: int, corners: Tensor) -> Tensor:
    """Colours (n, 3, count, count) int8 of the patches of a level at these corners."""
    found = unpacked(gathered(cells, corners, CELLS[number], PATCHES[number] // CELLS[number]))
    return found[..., :3].permute(0, 3, 1, 2)


def _turned(basis: Tensor, count: int) -> Tensor:
    """A basis (COMPONENTS, numbers) for cells of a picture under each turn: (numbers, TURNS * COMPONENTS)."""
    square = basis.view(COMPONENTS, 3, count, count)
    return torch.cat([to_picture(square, turn).reshape(COMPONENTS, -1) for turn in range(TURNS)]).T.contiguous()


def _level(
    number: int,
    plan: Tensor,
    usable: Tensor,
    looks: Looks,
    state: dict[str, Tensor],
    architecture: StyleQuiltArchitecture,
) -> Level:
    side = PATCHES[number]
    shape = architecture.places(number)
    cells = packed_cells(plan, side // CELLS[number])
    level = Level(
        number=number,
        matrix=torch.zeros(0),
        prices=state[f"prices.{number}"].flatten().float(),
        shape=shape,
        cells=cells,
        whole=boxes((usable > 0).double(), side) == side**2,
        basis=_turned(state[f"basis.{number}"].float(), CELLS[number]),
        means=state[f"means.{number}"].float(),
        shift=int(state["shifts"][number - architecture.first]),
        free=0,
    )
    corners = level.place(torch.arange(shape[0] * shape[1]))
    border = torch.cat([level.border(border_cells(cells, number, part))[:, 0] for part in torch.split(corners, 2048)])
    cells_lights = looks.lights(corners, side)
    lights = cells_lights.flatten(1)
    cells_ways, cells_busy = looks.directions(corners, side)
    ways, busy = cells_ways.flatten(1), cells_busy.flatten(1)
    lengths = ways.view(len(ways), 2, -1).square().sum(1)
    whole = level.whole[corners[:, 0], corners[:, 1]]
    prices = level.prices.masked_fill(~whole, BARRED)
    free = strays.free(cells_lights[whole])
    mean = lights.mean(1, keepdim=True).round()
    squares = [border.square().sum(1, keepdim=True), lights.square(), mean.square(), lengths, busy.square()]
    columns = [border, lights, mean, ways, busy, *squares, prices[:, None]]
    if number <= strays.LAST:
        most_busy = strays.free_busy(cells_busy[whole])
        columns.append(strays.prices(cells_lights, free, cells_busy, most_busy).flatten(1))
    return replace(level, matrix=torch.cat(columns, 1).T.contiguous(), prices=prices, free=free)
