"""From a painting to a quilted style: the components by which borders of patches are compared."""

import torch
import torch.nn.functional as F
from torch import Tensor

from server.model.style_quilt import (
    CELLS,
    COMPONENTS,
    LARGEST_LIGHT,
    MOST_PRICE,
    PATCHES,
    STEPS,
    StyleQuiltArchitecture,
)
from server.strokes.light import boxes, luminance
from server.strokes.tables import MOST, border_cells, packed_cells

MOST_BASIS = 63  # of a component's weights: sums over a patch then stay below 2^24
SAMPLES = 1500  # places from which components are learned
BINS, HUE = 24, 12  # of luminance, and steps of 8 bits in red and blue less green, in which colours are counted
RARE, RAREST = 2500, 7  # price for each time that the usual colour is twice as frequent, and how often that counts


def whole_places(usable: Tensor, number: int, architecture: StyleQuiltArchitecture) -> Tensor:
    """The corners of a level's places that show nothing left out: (places, 2)."""
    side, corners = PATCHES[number], _corners(architecture, number)
    return corners[boxes((usable > 0).double(), side)[corners[:, 0], corners[:, 1]] == side**2]


def learn_components(plan: Tensor, usable: Tensor, architecture: StyleQuiltArchitecture) -> dict[str, Tensor]:
    """basis, means and shifts of all levels, for a painting (3, H, W) uint8 in plan pixels."""
    state: dict[str, Tensor] = {}
    shifts = []
    for number in architecture.levels:
        basis, means, shift = _components(plan, usable, number, architecture)
        state[f"basis.{number}"], state[f"means.{number}"] = basis, means
        shifts.append(shift)
    return state | {"shifts": torch.tensor(shifts, dtype=torch.int16)}


def learn_prices(plan: Tensor, architecture: StyleQuiltArchitecture) -> dict[str, Tensor]:
    """Prices of all levels: a place costs more the rarer its colours are among what its painting has at their
    luminance. An accent, such as an orange moon in a blue sky, then stays one.
    Each of several paintings has its own colours.
    """
    rare = torch.zeros(plan.shape[1:], dtype=torch.float64)
    for top, left, height, width in architecture.places_of_paintings:
        rows, columns = slice(top, top + height), slice(left, left + width)
        rare[rows, columns] = _rarity(plan[:, rows, columns])
    prices = {}
    for number in architecture.levels:
        side = PATCHES[number]
        corners = _corners(architecture, number)
        mean = boxes((rare * 256).floor(), side)[corners[:, 0], corners[:, 1]] / (256 * side**2)
        price = (RARE * (mean - mean.median()).clamp(min=0)).clamp(max=MOST_PRICE)
        prices[f"prices.{number}"] = price.to(torch.int16).view(architecture.places(number))
    return prices


def _rarity(plan: Tensor) -> Tensor:
    """How many times twice as frequent the most frequent colour is at a pixel's luminance: (H, W) float64."""
    light = (luminance(plan) * BINS / (LARGEST_LIGHT + 1)).long()
    red, blue = ((plan[channel].long() - plan[1] + 255).div(HUE, rounding_mode="floor") for channel in (0, 2))
    side = 2 * 255 // HUE + 1
    numbers = (light * side + red) * side + blue
    counts = torch.bincount(numbers.flatten(), minlength=BINS * side**2).double().view(1, BINS, side, side)
    soft = F.avg_pool3d(counts, 3, 1, padding=1)[0].flatten(1)
    most = soft.amax(1)
    return (most[light] / soft.flatten()[numbers]).log2().clamp(0, RAREST)


def _corners(architecture: StyleQuiltArchitecture, number: int) -> Tensor:
    """The corners of all places of a level: (places, 2)."""
    down, across = architecture.places(number)
    rows, columns = torch.meshgrid(torch.arange(down), torch.arange(across), indexing="ij")
    return torch.stack([rows, columns], -1).view(-1, 2) * STEPS[number]


def _components(
    plan: Tensor, usable: Tensor, number: int, architecture: StyleQuiltArchitecture
) -> tuple[Tensor, Tensor, int]:
    side, count = PATCHES[number], CELLS[number]
    corners = whole_places(usable, number, architecture)
    corners = corners[:: max(1, len(corners) // SAMPLES)]
    cells = border_cells(packed_cells(plan, side // count), number, corners)
    border = torch.zeros(count, count, dtype=torch.bool)
    overlap = count // 3
    border[:overlap] = border[-overlap:] = True
    border[:, :overlap] = border[:, -overlap:] = True
    # all eight turns of a place are places, too, so the components are those of all turns
    turned = torch.cat([cells, cells.rot90(1, (2, 3)), cells.rot90(2, (2, 3)), cells.rot90(3, (2, 3))])
    turned = torch.cat([turned, turned.flip(3)])
    turned = turned[:: max(1, len(turned) // SAMPLES)]
    vectors = turned.float().flatten(2)[:, :, border.flatten()].flatten(1)
    centred = vectors - vectors.mean(0)
    _, _, rows_of = torch.svd_lowrank(centred, q=COMPONENTS + 8, niter=2)
    kept = rows_of[:, :COMPONENTS].T
    kept = kept * kept.gather(1, kept.abs().argmax(1, keepdim=True)).sign()
    values = centred @ kept.T
    largest = float(values.abs().flatten().kthvalue(max(1, int(0.99 * values.numel()))).values)
    room = MOST_BASIS / float(kept.abs().max())
    shift = 0
    while MOST / max(largest, 1.0) * 2 ** (shift + 1) <= room and shift < 30:
        shift += 1
    whole_basis = torch.zeros(COMPONENTS, 3, count * count)
    whole_basis[:, :, border.flatten()] = (kept * MOST / max(largest, 1.0) * 2**shift).view(COMPONENTS, 3, -1)
    basis = whole_basis.round().flatten(1)
    means = (basis @ turned.float().flatten(1).mean(0) / 2**shift).round()
    return basis.to(torch.int8), means.to(torch.int16), shift
