"""From a painting to a quilted style: the components by which borders of patches are compared."""

import torch
from torch import Tensor

from server.model.style_quilt import CELLS, COMPONENTS, MOST_PRICE, PATCHES, STEPS, StyleQuiltArchitecture
from server.strokes.light import boxes, luminance
from server.strokes.tables import MOST, border_cells, packed_cells

MOST_BASIS = 63  # of a component's weights: sums over a patch then stay below 2^24
SAMPLES = 1500  # places from which components are learned
BINS = 32  # of luminance, each with its usual colour
RARE = 250  # the price of a place whose colour is as far from the usual as that of the median place


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
    """Prices of all levels: a place costs more the further its mean colour is from what its painting mostly has at that
    luminance. An accent, such as an orange moon in a blue sky, then stays one.
    Each of several paintings has its own colours.
    """
    unusual = torch.zeros(2, *plan.shape[1:], dtype=torch.float64)
    for top, left, height, width in architecture.places_of_paintings:
        part = slice(None), slice(top, top + height), slice(left, left + width)
        unusual[part] = _unusual(plan[part])
    prices = {}
    for number in architecture.levels:
        side = PATCHES[number]
        corners = _corners(architecture, number)
        away = boxes(unusual, side) / side**2
        far = away[:, corners[:, 0], corners[:, 1]].square().sum(0)
        price = (RARE * far / far.median().clamp(min=40.0)).clamp(max=MOST_PRICE)
        prices[f"prices.{number}"] = price.to(torch.int16).view(architecture.places(number))
    return prices


def _unusual(plan: Tensor) -> Tensor:
    """How far the colours of a painting (3, H, W) are from what it mostly has at their luminance: (2, H, W)."""
    light = luminance(plan)
    chroma = torch.stack([plan[0].double() - plan[1], plan[2].double() - plan[1]])
    bins = (light / (4081 / BINS)).long().flatten()
    counts = torch.bincount(bins, minlength=BINS).clamp(min=1)
    sums = torch.stack([torch.bincount(bins, weights=part, minlength=BINS) for part in chroma.flatten(1)])
    return chroma - (sums / counts)[:, bins].view_as(chroma)


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
