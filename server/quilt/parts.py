"""Which patches of a torus stand first, which show the same as others, and under which numbers chance knows them.

A plain torus: patches of four colours, one colour after the other. Where tiles have edges in common: the patches on
edges come first. Those of one kind show the same everywhere. A corner's kind is its colour, an edge's its direction and
the colours of its two corners, so 2 colours make 2 corners and 8 edges. What they show depends on the seed alone. The
patches inside follow, with the variant in their chance.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import torch
from torch import Tensor

from blender_addon.protocol.edges import CORNERS, Edges
from server.model.grid import PatchAxis

COLOURS = ((0, 0), (1, 1), (0, 1), (1, 0))  # the order in which patches are placed, by row and column parity
RANKS = torch.tensor([[0, 2], [3, 1]])  # of the colours
Patch = tuple[int, int]  # its row and column
ON_EDGES = 2  # stages of their own: first every other patch of an edge, then those between


@dataclass(frozen=True, eq=False)
class Parts:
    """`ranks`: (rows, columns) int64, the stage at which each patch is placed. `first`: the first stage of those that
    are placed block by block; the stages before are of the patches on edges. `owners`: (rows, columns, 2), the patch
    that each shows the same as. `keys`: (rows, columns, 2), what is hashed for it. `turns`: (rows, columns), its number
    in the even sequence of drawn places. `period`: rows and columns of patches from tile to tile. `alike`: for each
    place of a tile the patches that stand there in all tiles, one of each kind, in the order in which they are placed;
    empty if there are no edges.
    """

    ranks: Tensor
    first: int
    owners: Tensor
    keys: Tensor
    turns: Tensor
    period: tuple[int, int]
    alike: Mapping[Patch, Sequence[Patch]]

    @property
    def stages(self) -> int:
        return self.first + len(COLOURS)

    def before(self, patch: Patch) -> Sequence[Patch]:
        """The patches that are placed before this one at the same place of other tiles."""
        there = self.alike[patch[0] % self.period[0], patch[1] % self.period[1]]
        return there[: there.index(patch)]

    @property
    def in_turn(self) -> Iterator[tuple[Patch, ...]]:
        """The first of each place of a tile, then the second of each that has one, and so on."""
        for turn in zip_longest(*self.alike.values()):
            yield tuple(patch for patch in turn if patch)


def make_parts(axes: tuple[PatchAxis, PatchAxis], edges: Edges | None) -> Parts:
    """The parts of a torus of patches. `edges` is None if its axes have none."""
    down, across = axes[0].patches, axes[1].patches
    rows, columns = torch.arange(down), torch.arange(across)
    ranks = RANKS[rows % 2][:, columns % 2]
    own = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), -1)
    half = (across + 1) // 2
    turns = own[..., 0] // 2 * half + own[..., 1] // 2
    if edges is None:
        return Parts(ranks, 0, own, own, turns, (down, across), {})
    level, upright = (torch.tensor([axis.on_edge(k) for k in range(axis.patches)]) for axis in axes)
    on_edge = level[:, None] | upright[None]
    ranks = torch.where(on_edge, (ranks > 0).long(), ranks + ON_EDGES)
    keys, owners = own.clone(), own.clone()
    keys[..., 0] += torch.where(on_edge, 0, (edges.variant + 1) << 16)
    turns = turns + torch.where(on_edge, 0, (edges.variant + 1) * ((down + 1) // 2 * half))
    period = axes[0].every, axes[1].every
    alike: dict[Patch, list[Patch]] = {}
    first: dict[tuple[int, ...], Patch] = {}
    for row, column in on_edge.nonzero().tolist():
        owners[row, column] = torch.tensor(first.setdefault(_kind(axes, edges, row, column), (row, column)))
    for row, column in (owners == own).all(-1).nonzero().tolist():
        alike.setdefault((row % period[0], column % period[1]), []).append((row, column))
    return Parts(ranks, ON_EDGES, owners, keys, turns, period, alike)


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
