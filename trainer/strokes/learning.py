"""From a painting to a quilted style: the components by which borders of patches are compared."""

import torch
from torch import Tensor

from server.model.style_quilt import CELLS, COMPONENTS, PATCHES, STEPS, StyleQuiltArchitecture
from server.strokes.light import boxes
from server.strokes.tables import MOST, border_cells, packed_cells

SAMPLES = 4000  # places from which components are learned


def learn_components(plan: Tensor, usable: Tensor, architecture: StyleQuiltArchitecture) -> dict[str, Tensor]:
    """basis, means and shifts of all levels, for a painting (3, H, W) uint8 in plan pixels."""
    state: dict[str, Tensor] = {}
    shifts = []
    for number, side in enumerate(PATCHES):
        basis, means, shift = _components(plan, usable, number, architecture)
        state[f"basis.{number}"], state[f"means.{number}"] = basis, means
        shifts.append(shift)
        assert side % CELLS[number] == 0
    return state | {"shifts": torch.tensor(shifts, dtype=torch.int16)}


def no_prices(architecture: StyleQuiltArchitecture) -> dict[str, Tensor]:
    """Prices at which all places cost the same."""
    return {f"prices.{n}": torch.zeros(architecture.places(n), dtype=torch.int16) for n in range(len(PATCHES))}


def _components(
    plan: Tensor, usable: Tensor, number: int, architecture: StyleQuiltArchitecture
) -> tuple[Tensor, Tensor, int]:
    side, count = PATCHES[number], CELLS[number]
    down, across = architecture.places(number)
    rows, columns = torch.meshgrid(torch.arange(down), torch.arange(across), indexing="ij")
    corners = torch.stack([rows, columns], -1).view(-1, 2) * STEPS[number]
    whole = boxes((usable > 0).double(), side)[corners[:, 0], corners[:, 1]] == side**2
    corners = corners[whole]
    corners = corners[:: max(1, len(corners) // SAMPLES)]
    cells = border_cells(packed_cells(plan, side // count), number, corners)
    border = torch.zeros(count, count, dtype=torch.bool)
    overlap = count // 3
    border[:overlap] = border[-overlap:] = True
    border[:, :overlap] = border[:, -overlap:] = True
    vectors = cells.float().flatten(2)[:, :, border.flatten()].flatten(1)
    # all eight turns of a place are places, too, so the components are those of all turns: see turned()
    turned = torch.cat([cells, cells.rot90(1, (2, 3)), cells.rot90(2, (2, 3)), cells.rot90(3, (2, 3))])
    turned = torch.cat([turned, turned.flip(3)])
    turned = turned[:: max(1, len(turned) // SAMPLES)]
    vectors = turned.float().flatten(2)[:, :, border.flatten()].flatten(1)
    centred = vectors - vectors.mean(0)
    _, _, rows_of = torch.svd_lowrank(centred, q=COMPONENTS + 8, niter=4)
    kept = rows_of[:, :COMPONENTS].T
    kept = kept * kept.gather(1, kept.abs().argmax(1, keepdim=True)).sign()
    values = centred @ kept.T
    largest = float(values.abs().flatten().kthvalue(max(1, int(0.99 * values.numel()))).values)
    room = 127 / float(kept.abs().max())
    shift = 0
    while MOST / max(largest, 1.0) * 2 ** (shift + 1) <= room and shift < 30:
        shift += 1
    whole_basis = torch.zeros(COMPONENTS, 3, count * count)
    whole_basis[:, :, border.flatten()] = (kept * MOST / max(largest, 1.0) * 2**shift).view(COMPONENTS, 3, -1)
    basis = whole_basis.round().flatten(1)
    means = (basis @ turned.float().flatten(1).mean(0) / 2**shift).round()
    return basis.to(torch.int8), means.to(torch.int16), shift
