"""Which patches of a torus stand first, which show the same as others, and under which numbers chance knows them.

A plain torus: patches of four colours, one colour after the other. Where tiles have edges in common: the patches on
edges come first. Those of one kind show the same everywhere. A corner's kind is its colour, an edge's its direction and
the colours of its two corners, so 2 colours make 2 corners and 8 edges. What they show depends on the seed alone. The
patches inside follow, with the variant in their chance.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from blender_addon.protocol.edges import CORNERS, Edges
from server.model.grid import PatchAxis

COLOURS = ((0, 0), (1, 1), (0, 1), (1, 0))  # the order in which patches are placed, by row and column parity
RANKS = torch.tensor([[0, 2], [3, 1]])  # of the colours
ON_EDGES = 2  # stages of their own: first every other patch of an edge, then those between


@dataclass(frozen=True, eq=False)
class Parts:
    """`ranks`: (rows, columns) int64, the stage at which each patch is placed. `first`: the first stage of those that
    are placed block by block; the stages before are of the patches on edges. `owners`: (rows, columns, 2), the patch
    that each shows the same as. `keys`: (rows, columns, 2), what is hashed for it. `turns`: (rows, columns), its number
    in the even sequence of drawn places.
    """

    ranks: Tensor
    first: int
    owners: Tensor
    keys: Tensor
    turns: Tensor

    @property
    def stages(self) -> int:
        return self.first + len(COLOURS)


def make_parts(axes: tuple[PatchAxis, PatchAxis], edges: Edges | None) -> Parts:
    """The parts of a torus of patches. `edges` is None if its axes have none."""
    down, across = axes[0].patches, axes[1].patches
    rows, columns = torch.arange(down), torch.arange(across)
    ranks = RANKS[rows % 2][:, columns % 2]
    own = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), -1)
    half = (across + 1) // 2
    turns = own[..., 0] // 2 * half + own[..., 1] // 2
    if edges is None:
        return Parts(ranks, 0, own, own, turns)
    level, upright = (torch.tensor([axis.on_edge(k) for k in range(axis.patches)]) for axis in axes)
    on_edge = level[:, None] | upright[None]
    ranks = torch.where(on_edge, (ranks > 0).long(), ranks + ON_EDGES)
    keys, owners = own.clone(), own.clone()
    keys[..., 0] += torch.where(on_edge, 0, (edges.variant + 1) << 16)
    turns = turns + torch.where(on_edge, 0, (edges.variant + 1) * ((down + 1) // 2 * half))
    first: dict[tuple[int, ...], tuple[int, int]] = {}
    for row, column in on_edge.nonzero().tolist():
        owners[row, column] = torch.tensor(first.setdefault(_kind(axes, edges, row, column), (row, column)))
    return Parts(ranks, ON_EDGES, owners, keys, turns)


def _kind(axes: tuple[PatchAxis, PatchAxis], edges: Edges, row: int, column: int) -> tuple[int, ...]:
    """What the place of a patch on an edge depends on: its direction, the colours of the corners, its place between."""
    (tile_row, down), (tile_column, across) = divmod(row, axes[0].every), divmod(column, axes[1].every)
    corner = _colour(edges, tile_row, tile_column)
    if down == across == 0:
        return 0, corner
    if down == 0:
        return 1, across, corner, _colour(edges, tile_row, tile_column + 1)
    return 2, down, corner, _colour(edges, tile_row + 1, tile_column)


def _colour(edges: Edges, row: int, column: int) -> int:
    return CORNERS[row % edges.across][column % edges.across] if edges.wang else 0
