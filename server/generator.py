"""The generators: pyramids of small convolutions over noise, coarse to fine.

Two architectures by name.
`pyramid` is the paper's (Ulyanov et al. 2016, arXiv 1603.03417, fig. 2): at every level noise goes through a block
(3x3, 3x3, 1x1), joins the upsampled coarser result, and both go through a block of the joined width. Differs: the
second normalisation at the join is left out, since both sides leave a normalised block.
`taper` is ours: wide at the coarse levels, where cells are few, and narrow at the fine ones; noise joins the upsampled
coarser result directly and two 3x3 convolutions follow, of which the second narrows to what the next level takes
(half, at the pixels).

All convolutions are valid (no padding): the caller hands every level the halo it needs, so a window costs what it shows
and there is no edge anywhere. Levels are numbered from 0, the coarsest. Upsampling is nearest (server/torus.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from server.lattice import Lattice
from server.maps import MAX_MAPS, Map

ARCHITECTURES = ("taper", "pyramid")
MAX_LEVELS = 8
MAX_WIDTH = 512
SLOPE = 0.2  # of the leaky ReLU

Normalisation = Callable[[int], nn.Module]


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A generator's dimensions, coarse to fine.

    `noise`: noise channels of each level. `widths`: for `taper`, channels that enter each level, noise included and
    lattice waves not; for `pyramid`, channels of the level's own noise block (the joined width is the sum so far).
    """

    name: str
    widths: tuple[int, ...]
    noise: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.name not in ARCHITECTURES:
            raise ValueError(f"an architecture is one of {', '.join(ARCHITECTURES)}, not {self.name[:40]!r}")
        if not 1 <= len(self.widths) <= MAX_LEVELS or len(self.noise) != len(self.widths):
            raise ValueError(f"an architecture has 1 to {MAX_LEVELS} levels, each with a width and noise channels")
        if not all(1 <= width <= MAX_WIDTH for width in self.widths):
            raise ValueError(f"a level is 1 to {MAX_WIDTH} channels wide")
        if not all(1 <= noise <= 64 for noise in self.noise):
            raise ValueError("a level has 1 to 64 noise channels")
        if self.name == "taper" and any(n >= width for n, width in zip(self.noise, self.widths, strict=True)):
            raise ValueError("a level of a taper is wider than its noise")

    @property
    def levels(self) -> int:
        return len(self.widths)


PRESETS = {
    "taper": Architecture(name="taper", widths=(128, 128, 96, 64, 32, 16), noise=(16, 8, 8, 4, 4, 2)),
    "pyramid": Architecture(name="pyramid", widths=(8,) * 5, noise=(3,) * 5),
}


class Block(nn.Module):
    """Valid convolution, normalisation (none once frozen: it is folded into the convolution), leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, normalisation: Normalisation | None) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, bias=normalisation is None)
        self.norm = normalisation(outputs) if normalisation else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu_(self.norm(self.conv(x)), SLOPE)


class Level(nn.Module):
    """One level: its own noise and waves, and the upsampled coarser result, in; features out.

    `own_margin` and `margin` are the cells it needs beyond its output on every side: of noise, of the coarser result.
    """

    own_margin: int
    margin: int
    channels: int

    def forward(self, own: Tensor, coarser: Tensor | None) -> Tensor:
        raise NotImplementedError


class TaperLevel(Level):
    """Two 3x3 convolutions of noise, waves and coarser result together; the second narrows."""

    def __init__(self, own: int, coarser: int, width: int, outputs: int, norm: Normalisation | None) -> None:
        super().__init__()
        self.blocks = nn.Sequential(Block(own + coarser, width, 3, norm), Block(width, outputs, 3, norm))
        self.own_margin = self.margin = 2
        self.channels = outputs

    def forward(self, own: Tensor, coarser: Tensor | None) -> Tensor:
        return self.blocks(own if coarser is None else torch.cat((coarser, own), 1))  # type: ignore[no-any-return]


class PyramidLevel(Level):
    """The paper's: a block of the noise alone, then one of it and the coarser result side by side."""

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

    `normalisation` makes the layer after every convolution (training); None is the frozen form that is served.
    """

    def __init__(
        self,
        architecture: Architecture,
        maps: Sequence[Map],
        lattice: Lattice | None = None,
        normalisation: Normalisation | None = None,
    ) -> None:
        super().__init__()
        if not 1 <= len(maps) <= MAX_MAPS or len({each.name for each in maps}) != len(maps):
            raise ValueError(f"a generator paints 1 to {MAX_MAPS} maps of different names")
        self.architecture = architecture
        self.maps = tuple(maps)
        self.lattice = lattice
        self.harmonics = [self._carried(level) for level in range(architecture.levels)]
        self.levels = nn.ModuleList()
        coarser = 0
        for index, width in enumerate(architecture.widths):
            own = architecture.noise[index] + 2 * len(self.harmonics[index])
            level: Level
            if architecture.name == "taper":
                last = index + 1 == architecture.levels
                outputs = max(1, width // 2) if last else architecture.widths[index + 1] - architecture.noise[index + 1]
                level = TaperLevel(own, coarser, width, outputs, normalisation)
            else:
                level = PyramidLevel(own, coarser, width, normalisation)
            self.levels.append(level)
            coarser = level.channels
        self.paint = nn.Conv2d(coarser, sum(each.channels for each in maps), 1)

    def _carried(self, level: int) -> list[tuple[int, int]]:
        """Waves join wherever the grid can carry them; the pixels themselves have them from the level above."""
        cell = 2 ** (self.architecture.levels - 1 - level)
        return self.lattice.carried(cell) if self.lattice and cell > 1 else []

    def margins(self, level: int) -> tuple[int, int]:
        """Cells of halo that the level needs: of its own noise and waves, of the coarser result."""
        one = self.levels[level]
        assert isinstance(one, Level)
        return one.own_margin, one.margin

    def forward(self, own: Sequence[Tensor], parents: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """Paint one window.

        `own[k]`: noise and waves of level k, (B, C_k, rows, columns), zero mean and unit variance, halo included.
        `parents[k]`: for level k > 0, which rows and columns of level k - 1's result its cells are read from (int64).
        Returns (B, channels of all maps, height, width) float32, nominally in [0, 1] but not clamped.
        """
        result: Tensor | None = None
        for level, (cells, (rows, columns)) in enumerate(zip(own, parents, strict=True)):
            if result is not None:
                result = _upsampled(result, rows, columns)
            result = self.levels[level](cells, result)
        assert result is not None
        with torch.autocast(result.device.type, enabled=False):  # colours keep float32 where the levels do without
            return _painted(result.float(), self.paint)


def _upsampled(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, len(rows), len(columns)): nearest, each cell read from its parent.

    One gather of whole cells in channels-last order: about eight times faster than two selections along H and W.
    """
    batch, channels, _, width = x.shape
    cells = (rows[:, None] * width + columns).flatten()
    flat = x.permute(0, 2, 3, 1).reshape(batch, -1, channels)
    return flat.index_select(1, cells).view(batch, len(rows), len(columns), channels).permute(0, 3, 1, 2)


def _painted(x: Tensor, paint: nn.Conv2d) -> Tensor:
    """The 1x1 convolution `paint` as products of at most eight outputs: (B, C, H, W) -> (B, channels, H, W).

    Such small products come out equal to the bit with any number of threads; the convolution itself does not.
    """
    assert paint.bias is not None
    cells = x.permute(0, 2, 3, 1)
    weight, bias = paint.weight.flatten(1), paint.bias
    parts = [F.linear(cells, weight[at : at + 8], bias[at : at + 8]) for at in range(0, len(bias), 8)]
    return torch.cat(parts, 3).permute(0, 3, 1, 2)
