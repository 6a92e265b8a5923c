"""Moves places in finer and finer steps, down to whole pixels, to where patches continue their neighbours best."""

import torch
from torch import Tensor

from server.quilt.patches import Patches
from server.quilt.tables import LAST_OFF, packed_distances


def refined(patches: Patches, index: Tensor, found: Tensor, stage: int) -> Tensor:
    """The places (patches, 2) of these patches moved by up to half a search cell."""
    tables, cell = patches.tables, patches.settings.cell
    found = _moved(patches, index, found, stage, "fine", tables.steps[1], tables.steps[0] // 2, cell)
    if tables.steps[1] > 1:
        found = _moved(patches, index, found, stage, "packed", 1, tables.steps[1] // 2 + 1, cell // 2)
    return found


def _moved(
    patches: Patches, index: Tensor, places: Tensor, stage: int, table: str, step: int, reach: int, every: int
) -> Tensor:
    """The places moved by up to `reach` plan pixels, in steps, to where they continue their neighbours best.

    Compared in the table of that name, at every `every` plan pixels of the overlaps.
    """
    tables, factor = patches.tables, patches.settings.factor
    packed, spacing = (tables.fine, tables.steps[1]) if table == "fine" else (tables.packed, 1)
    line = torch.arange(-(reach // step), reach // step + 1) * step
    moves = torch.cartesian_prod(line, line)
    moves = moves[moves.abs().sum(1).sort(stable=True).indices]
    parts, offsets = patches.samples(every)
    theirs, standing = patches.shown(index, stage, parts, offsets)
    own = places[:, None, None] + torch.stack(torch.meshgrid(*offsets, indexing="ij"), -1)
    both = torch.stack(torch.meshgrid(*parts, indexing="ij"), -1)
    selves = ((index[:, None, None] + both - index[:, None, None]) % torch.tensor(patches.shape) == 0).all(-1)
    selves &= (both != 0).any(-1)
    sides = torch.tensor([axis.side for axis in patches.axes])
    theirs = torch.where(selves[..., None], own - both * sides, theirs)  # a patch that is its own neighbour
    counted = (standing | selves) & patches.valid(own) & patches.valid(theirs)
    pick = counted.flatten().nonzero()[:, 0].to(patches.device)
    patch = pick // counted[0].numel()
    here, there = (
        patches.numbered(each, spacing, packed, reach).flatten().to(patches.device)[pick] for each in (own, theirs)
    )
    moving = selves.flatten().to(patches.device)[pick]
    flat = packed.flatten() & LAST_OFF if spacing == 1 else packed.flatten()
    there_values = flat[there]
    costs = []
    for down, across in moves.tolist():
        by = down // spacing * packed.shape[1] + across // spacing
        values = flat[there + by * moving] if bool(moving.any()) else there_values
        costs.append(
            torch.zeros(len(index), dtype=torch.int64, device=patches.device).index_add_(
                0, patch, packed_distances(flat[here + by], values)
            )
        )
    cost = torch.stack(costs, 1) * 2**8 + torch.arange(len(moves), device=patches.device)
    best = (cost.amin(1) % 2**8).cpu()
    return places + moves[best] * factor
