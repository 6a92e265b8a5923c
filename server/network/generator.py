"""The generators: pyramids of small convolutions over noise, coarse to fine.

Two architectures by name.
`pyramid` is the paper's (Ulyanov et al. 2016, arXiv 1603.03417, fig. 2): at every level noise goes through a block
(3x3, 3x3, 1x1), joins the upsampled coarser result, and both go through a block of the joined width. Differs: the
second normalisation at the join is left out, since both sides leave a normalised block.
`taper` is ours: wide at the coarse levels, where cells are few, and narrow at the fine ones; noise joins the upsampled
coarser result directly and two 3x3 convolutions follow, of which the second narrows to what the next level takes
(half, at the pixels).

All convolutions are valid (no padding): the caller passes every level the halo it needs, so there is no edge anywhere,
and the cost of a window depends on its size alone. Levels are numbered from 0, the coarsest. Upsampling
(server/model/torus.py) is nearest in the paper's pyramid. In a taper the coarse levels are upsampled linearly: with
nearest upsampling all features jump at once at the border of a large cell, and the networks put joints of walls and
rocks there, every 32 pixels.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from server.model.architecture import Architecture, carried, level_plans
from server.model.lattice import Lattice
from server.model.maps import Map, check_maps, have_relief
from server.network.normals import RELIEF_MARGIN, on_relief

SLOPE = 0.2  # of the leaky ReLU

Normalisation = Callable[[int], nn.Module]


class Line(NamedTuple):
    """Where a level's cells are read in the coarser result, along one axis.

    `cells`: int64, which coarser cell each is read from. `shares`: None, or how much of the cell behind it is mixed in,
    in [0, 1).
    """

    cells: Tensor
    shares: Tensor | None = None


class Parents(NamedTuple):
    """The same, along both axes."""

    rows: Line
    columns: Line


class Block(nn.Module):
    """Valid convolution, normalisation, leaky ReLU. A frozen generator has its normalisation in the convolution."""

    def __init__(self, inputs: int, outputs: int, kernel: int, normalisation: Normalisation | None) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, bias=normalisation is None)
        self.norm = normalisation(outputs) if normalisation else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu_(self.norm(self.conv(x)), SLOPE)


class Level(nn.Module, ABC):
    """One level: from its own noise and waves and the upsampled coarser result to features.

    On every side it needs more cells than it returns: `own_margin` of noise and waves, `margin` of the coarser result.
    """

    own_margin: int
    margin: int
    channels: int

    @abstractmethod
    def forward(self, own: Tensor, coarser: Tensor | None) -> Tensor:
        """Both inputs are (B, C, rows, columns) with margins; the features have none."""


class TaperLevel(Level):
    """Two 3x3 convolutions over noise, waves and coarser result together. The second has fewer channels."""

    def __init__(self, own: int, coarser: int, width: int, outputs: int, norm: Normalisation | None) -> None:
        super().__init__()
        self.blocks = nn.Sequential(Block(own + coarser, width, 3, norm), Block(width, outputs, 3, norm))
        self.own_margin = self.margin = 2
        self.channels = outputs

    def forward(self, own: Tensor, coarser: Tensor | None) -> Tensor:
        return self.blocks(own if coarser is None else torch.cat((coarser, own), 1))  # type: ignore[no-any-return]


class PyramidLevel(Level):
    """The paper's level: a block over the noise alone, then one over its result and the coarser result together."""

    def __init__(self, own: int, coarser: int, width: int, norm: Normalisation | None) -> None:
        super().__init__()
        self.own = nn.Sequential(Block(own, width, 3, norm), Block(width, width, 3, norm), Block(width, width, 1, norm))
        joined = width + coarser
        self.joined = (
            nn.Sequential(
                Block(joined, joined, 3, norm), Block(joined, joined, 3, norm), Block(joined, joined, 1, norm)
            )
            if coarser
            else nn.Sequential()
        )
        self.margin = 2 if coarser else 0
        self.own_margin = 2 + self.margin
        self.channels = joined

    def forward(self, own: Tensor, coarser: Tensor | None) -> Tensor:
        own = self.own(own)
        return own if coarser is None else self.joined(torch.cat((coarser, own), 1))


class Generator(nn.Module):
    """From noise and waves on every level to the maps.

    `normalisation` makes the layer after every convolution, for training. None: the frozen form that is served.
    """

    def __init__(
        self,
        architecture: Architecture,
        maps: Sequence[Map],
        lattice: Lattice | None = None,
        normalisation: Normalisation | None = None,
    ) -> None:
        super().__init__()
        check_maps(maps)
        self.architecture = architecture
        self.maps = tuple(maps)
        self.lattice = lattice
        self.harmonics = [carried(architecture, lattice, level) for level in range(architecture.levels)]
        self.levels = nn.ModuleList()
        plans = level_plans(architecture, lattice)
        for plan in plans:
            level: Level
            if architecture.name == "taper":
                level = TaperLevel(plan.own, plan.coarser, plan.width, plan.outputs, normalisation)
            else:
                level = PyramidLevel(plan.own, plan.coarser, plan.width, normalisation)
            self.levels.append(level)
        self.paint = nn.Conv2d(plans[-1].outputs, sum(each.channels for each in maps), 1)
        self.has_relief = have_relief(maps)
        if self.has_relief:  # pixels of height that a height of 1 stands for
            self.register_buffer("steepness", torch.ones(1))

    @property
    def paint_margin(self) -> int:
        """Pixels beyond the window on every side that painting it needs."""
        return RELIEF_MARGIN if self.has_relief else 0

    def margins(self, level: int) -> tuple[int, int]:
        """Cells of halo that the level needs: of its own noise and waves, of the coarser result."""
        one = self.levels[level]
        assert isinstance(one, Level)
        return one.own_margin, one.margin

    def forward(self, own: Sequence[Tensor], parents: Sequence[Parents]) -> Tensor:
        """Paint one window.

        `own[k]`: noise and waves of level k, (B, C_k, rows, columns), zero mean and unit variance, halo included.
        `parents[k]`: which rows and columns of level k's result the cells of level k + 1 are read from.
        Returns (B, channels of all maps, height, width) float32, nominally in [0, 1] but not clamped.
        """
        result: Tensor | None = None
        for level, cells in enumerate(own):
            if result is not None:
                result = upsampled(result, *parents[level - 1])
            result = self.levels[level](cells, result)
        assert result is not None
        with torch.autocast(result.device.type, enabled=False):  # colours keep float32 where the levels do without
            pixels = _painted(result.float(), self.paint)
            return on_relief(pixels, self.maps, self.get_buffer("steepness")) if self.has_relief else pixels


def upsampled(x: Tensor, rows: Line, columns: Line) -> Tensor:
    """(B, C, H, W) -> (B, C, cells of rows, cells of columns)."""
    if rows.shares is None or columns.shares is None:
        return _gathered(x, rows.cells, columns.cells)
    above, below = (_mixed(x, rows.cells + step, columns.cells, columns.shares) for step in (0, 1))
    return above + (below - above) * rows.shares[:, None]


def _mixed(x: Tensor, rows: Tensor, columns: Tensor, shares: Tensor) -> Tensor:
    """Linear between two columns."""
    left = _gathered(x, rows, columns)
    return left + (_gathered(x, rows, columns + 1) - left) * shares


def _gathered(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Gather whole cells at once, channels last: about eight times faster than selecting along H and then W."""
    batch, channels, _, width = x.shape
    cells = (rows[:, None] * width + columns).flatten()
    flat = x.permute(0, 2, 3, 1).reshape(batch, -1, channels)
    return flat.index_select(1, cells).view(batch, len(rows), len(columns), channels).permute(0, 3, 1, 2)


def _painted(x: Tensor, paint: nn.Conv2d) -> Tensor:
    """The 1x1 convolution `paint` as matrix products of at most eight outputs: (B, C, H, W) -> (B, channels, H, W).

    Such small products give the same bits with any number of threads. The convolution itself does not.
    """
    assert paint.bias is not None
    cells = x.permute(0, 2, 3, 1)
    weight, bias = paint.weight.flatten(1), paint.bias
    parts = [F.linear(cells, weight[at : at + 8], bias[at : at + 8]) for at in range(0, len(bias), 8)]
    return torch.cat(parts, 3).permute(0, 3, 1, 2)
