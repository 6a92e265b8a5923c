"""Several materials in one texture: quilts of one seed and size, and a mask that says which of them shows where.

Each quilt is the texture that it would be alone. Where the mask is undecided, a minimal cut lays the border so that it
shows least: through mortar and between leaves, not through bricks. Source: Kwatra et al., "Graphcut textures" (2003).
Differs: the cut also pays for leaving the mask, and it is made in fixed blocks of the torus, so that any window shows
the same bytes. It looks at what the quilts show before joints are blended, at cells of one to three plan pixels.

    unary      120 (share - 1/2) at each cell, and the difference of the heights' ranks
    pairwise   5 + 400 (difference of the colours / mean difference of the two swatches' pixels)

With more than two materials each is cut into those before it. Whole numbers throughout, as in the quilt itself.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from blender_addon.protocol.blending import HEIGHTS, REACH, SOFTNESS
from server.model.maps import NORMAL_NAME, Depth, Map
from server.model.torus import Size, Window
from server.quilt.bands import boxed
from server.quilt.blend_mask import BlendMask
from server.quilt.blend_view import View, mean_difference
from server.quilt.min_cut import cheap_labels
from server.quilt.quilt import Quilt, unit_normals
from server.quilt.rectangles import rectangles

BLOCK = 192  # about how many cells a side are cut together
HALO = 24  # cells around a block that its cut sees
UNDECIDED = 6, 94  # hundredths of a share
MASK_PULL = 120
LEAST, PAIRWISE = 5, 400  # the cost of a border between two cells
MOST_PAIRWISE = 20_000
WIDEST = 24  # cells from a cut to the end of the softest feather
MOST_REACH = 64  # cells
BLOCKS_KEPT = 256
FULL = 256  # the weight of a material that shows alone
PIECE = 512  # pixels a side that are painted at once

Samples = NDArray[Any]
Views = dict[int, tuple[Tensor, Tensor | None]]  # colours and ranks of heights


def _numbers(labels: Tensor) -> list[int]:
    """Which labels there are, rising."""
    return torch.bincount(labels.flatten()).nonzero()[:, 0].tolist()


@dataclass(frozen=True, kw_only=True)
class BlendSettings:
    """How materials meet. `softness`: 0 is a hard edge, 1 a wide transition. `heights`: how much the higher of two
    materials is preferred near a cut, 0 to 1. `reach`: how far a cut may leave the mask's border, 0 to 1.
    """

    softness: float = SOFTNESS
    heights: float = HEIGHTS
    reach: float = REACH


class Blend:
    """Quilts blended by a mask: `samples` of any window of one torus. They must share the maps `maps`.

    `mask`: (height, width, channels) uint8; one channel for two quilts, else one for each.
    """

    def __init__(
        self, quilts: Sequence[Quilt], maps: Sequence[Map], mask: Tensor, settings: BlendSettings, seed: int, size: Size
    ) -> None:
        self.quilts, self.maps, self.seed, self.size = list(quilts), list(maps), seed, size
        cell = max(each.settings.factor * _cell_of(each.settings.cell) for each in quilts)
        self.rows, self.columns = self._cells = max(1, size.height // cell), max(1, size.width // cell)
        self._feather = int(WIDEST * settings.softness**2 + 0.5)
        self._heights = int(MASK_PULL * settings.heights + 0.5)
        self._mask = BlendMask(mask, *self._cells, int(MOST_REACH * settings.reach**2 + 0.5))
        self._views = [View(each, self.maps, seed, size) for each in quilts]
        self._means = {
            (one, other): mean_difference(self._views[one], self._views[other])
            for other in range(len(quilts))
            for one in range(other)
        }
        self._blocks: OrderedDict[tuple[int, int], Tensor] = OrderedDict()

    @torch.no_grad()
    def samples(self, window: Window, depths: Sequence[Depth]) -> list[Tensor]:
        """One tensor for each of `maps`: (height, width, channels), uint8 or uint16, on the CPU."""
        result = [
            np.empty((window.height, window.width, each.channels), np.uint16 if depth == 16 else np.uint8)
            for each, depth in zip(self.maps, depths, strict=True)
        ]
        for rows in _pieces(window.height):
            for columns in _pieces(window.width):
                place = Window(window.top + rows.start, window.left + columns.start, len(rows), len(columns))
                part = slice(rows.start, rows.stop), slice(columns.start, columns.stop)
                self._fill([each[part] for each in result], self._weights(place).numpy(), place, depths)
        return [torch.from_numpy(each) for each in result]

    def _fill(self, result: Sequence[Samples], weights: Samples, place: Window, depths: Sequence[Depth]) -> None:
        """Paint a part of a window: of each quilt only what shows of it."""
        shows = weights > 0
        several = shows.sum(0, dtype=np.uint8) > 1
        mixed = np.nonzero(several)
        order = np.empty(several.shape, np.int32)  # the number of each mixed pixel
        order[mixed] = np.arange(len(mixed[0]))
        sums = [np.zeros((len(mixed[0]), each.shape[2]), np.int32) for each in result]
        for number, (weight, left) in enumerate(zip(weights, shows, strict=True)):
            for part in rectangles(left):
                rows, columns = part
                shown = self._shown(
                    number,
                    Window(
                        place.top + rows.start,
                        place.left + columns.start,
                        rows.stop - rows.start,
                        columns.stop - columns.start,
                    ),
                    depths,
                )
                alone = (left[part] & ~several[part])[..., None]
                inside = np.nonzero(left[part] & several[part])
                target = order[part][inside]
                share = weight[part][inside][:, None]
                for whole, sum, samples in zip(result, sums, shown, strict=True):
                    np.copyto(whole[part], samples, where=alone)
                    sum[target] += samples[inside] * share
                left[part] = False  # another rectangle may reach in here
        total = weights[:, mixed[0], mixed[1]].sum(0)[:, None]
        for each, whole, sum, depth in zip(self.maps, result, sums, depths, strict=True):
            values = (sum + total // 2) // total
            if each.name == NORMAL_NAME and len(values):
                vectors = torch.from_numpy(values.T.astype(np.float32))[..., None]
                values = unit_normals(vectors, 2**depth - 1)[..., 0].numpy().T
            whole[mixed] = values

    def labels(self, rows: range, columns: range) -> Tensor:
        """Which material each cell shows, (rows, columns) int64: that of the cell's own block. Cells are unwrapped."""
        result = torch.empty(len(rows), len(columns), dtype=torch.int64)
        for down in _blocks_of(rows, self._cells[0]):
            for across in _blocks_of(columns, self._cells[1]):
                own = self._block(down.number, across.number)
                result[down.target, across.target] = own[down.source, across.source]
        return result

    def _shown(self, number: int, window: Window, depths: Sequence[Depth]) -> list[Samples]:
        """What one of the quilts shows, of the common maps."""
        quilt = self.quilts[number]
        names = [each.name for each in quilt.maps]
        own: list[Depth] = [8] * len(names)
        for each, depth in zip(self.maps, depths, strict=True):
            own[names.index(each.name)] = depth
        painted = quilt.samples(self.seed, self.size, window, own)
        return [painted[names.index(each.name)].numpy() for each in self.maps]

    def _weights(self, window: Window) -> Tensor:
        """How much of each quilt shows: (quilts, height, width) int32 from 0 to FULL."""
        feather = self._feather
        lines = []
        for start, count, side, cells in (
            (window.top, window.height, self.size.height, self._cells[0]),
            (window.left, window.width, self.size.width, self._cells[1]),
        ):
            doubled = (2 * torch.arange(start, start + count) + 1) * cells - side
            first = doubled.div(2 * side, rounding_mode="floor")
            lines.append((first, ((doubled % (2 * side)) * 256 // (2 * side)).to(torch.int32)))
        spans = [range(int(first[0]) - feather, int(first[-1]) + 2 + feather) for first, _ in lines]
        labels = self.labels(*spans)
        two = len(self.quilts) == 2
        result = torch.zeros(len(self.quilts), window.height, window.width, dtype=torch.int32)
        shown = _numbers(labels)
        if len(shown) == 1:
            result[shown[0]] = FULL
            return result
        for number in shown[: 1 if two else None]:
            values = (labels == number).to(torch.int32) * FULL
            for dimension in (0, 1):
                for _ in range(2):
                    values = boxed(values, dimension, feather + 1)
            values = values // (feather + 1) ** 4
            for dimension, (first, share) in enumerate(lines):
                places = first - first[0]
                share = share[:, None] if dimension == 0 else share[None]
                near, far = values.index_select(dimension, places), values.index_select(dimension, places + 1)
                values = near * (256 - share) + far * share
            result[number] = values
        if two:
            result[1] = FULL * 2**16 - result[0]
        if not feather:  # a hard edge, along the middle between cells
            best = result.argmax(0)
            return F.one_hot(best, len(self.quilts)).permute(2, 0, 1).to(torch.int32) * FULL
        return (result + 2**15) >> 16

    # ---------------------------------------------------------------------------------------------------------- cuts

    def _block(self, row: int, column: int) -> Tensor:
        """The labels of one block of cells."""
        key = row, column
        if key not in self._blocks:
            spans = [_span(number, cells) for number, cells in zip(key, self._cells, strict=True)]
            wide = [range(span.start - HALO, span.stop + HALO) for span in spans]
            self._blocks[key] = self._cut(*wide).clone()
            while len(self._blocks) > BLOCKS_KEPT:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(key)
        return self._blocks[key]

    def _cut(self, rows: range, columns: range) -> Tensor:
        """The labels of a part of the torus, seen with a halo: (rows, columns) int64, without the halo."""
        shares = self._mask.shares(rows, columns)
        below = shares.cumsum(0)
        both = below[1:].clamp(min=1)
        share = shares[1:]
        undecided = (100 * share > UNDECIDED[0] * both) & (100 * share < UNDECIDED[1] * both)
        leaning = (2 * MASK_PULL * share - MASK_PULL * both + both).div(2 * both, rounding_mode="floor")
        if not bool(undecided[:, HALO:-HALO, HALO:-HALO].any()):
            return _stacked(leaning > 0)[HALO:-HALO, HALO:-HALO]
        undecided[:, [0, -1]] = False
        undecided[:, :, [0, -1]] = False
        found = undecided.any(0)
        part = [_around(found.any(axis)) for axis in (1, 0)]
        chosen = leaning > 0
        chosen[:, part[0], part[1]] = self._chosen(
            leaning[:, part[0], part[1]], undecided[:, part[0], part[1]], rows[part[0]], columns[part[1]]
        )
        return _stacked(chosen)[HALO:-HALO, HALO:-HALO]

    def _chosen(self, leaning: Tensor, undecided: Tensor, rows: range, columns: range) -> Tensor:
        """Where each material but the first lies on those before it: (materials - 1, rows, columns) bool."""
        views = {0: self._view(0, rows, columns)}
        labels = torch.zeros(len(rows), len(columns), dtype=torch.int64)
        result = leaning > 0
        for number, (lean, open) in enumerate(zip(leaning, undecided, strict=True), 1):
            views[number] = self._view(number, rows, columns)
            if bool(open.any()):
                lean = torch.where(open, lean + self._heavier(views, labels, number), lean)
                costs = self._costs(views, labels, number)
                found = cheap_labels(lean.numpy(), open.numpy(), costs.numpy())
                result[number - 1] = torch.from_numpy(found)
            labels = torch.where(result[number - 1], number, labels)
        return result

    def _view(self, number: int, rows: range, columns: range) -> tuple[Tensor, Tensor | None]:
        lines = []
        for line, cells, side in zip((rows, columns), self._cells, (self.size.height, self.size.width), strict=True):
            places = torch.arange(line.start, line.stop)
            first = (places * side).div(cells, rounding_mode="floor")
            lines.append((first + ((places + 1) * side).div(cells, rounding_mode="floor")) // 2)
        return self._views[number].at(*lines)

    def _heavier(self, views: Views, labels: Tensor, number: int) -> Tensor:
        """How much higher a material lies than what it is cut into, (rows, columns) int64; 0 where heights lack."""
        own = views[number][1]
        result = torch.zeros_like(labels)
        if own is None or not self._heights:
            return result
        for each in _numbers(labels):
            other = views[each][1]
            if other is not None:
                result = torch.where(labels == each, self._heights * (own - other) // 255, result)
        return result

    def _costs(self, views: Views, labels: Tensor, number: int) -> Tensor:
        """What a border costs at each cell, (rows, columns) int64."""
        result = torch.zeros_like(labels)
        for each in _numbers(labels):
            apart = (views[number][0] - views[each][0]).abs().sum(2)
            result = torch.where(labels == each, PAIRWISE * apart // self._means[each, number], result)
        return (LEAST + result).clamp(max=MOST_PAIRWISE)


def _pieces(side: int) -> list[range]:
    return [range(first, min(side, first + PIECE)) for first in range(0, side, PIECE)]


def _stacked(chosen: Tensor) -> Tensor:
    """The last material that was chosen, (materials - 1, rows, columns) bool to (rows, columns) int64; 0 if none."""
    result = torch.zeros(chosen.shape[1:], dtype=torch.int64)
    for number, each in enumerate(chosen, 1):
        result = torch.where(each, number, result)
    return result


def _around(line: Tensor) -> slice:
    """From one before the first true value of a line to one behind the last."""
    places = line.nonzero()
    return slice(max(0, int(places[0]) - 1), int(places[-1]) + 2)


@dataclass(frozen=True)
class _Part:
    """The part of a line of cells that one block has."""

    number: int  # of the block
    source: slice
    target: slice


def _cell_of(search_cell: int) -> int:
    """The side of a cell of the cut, in plan pixels: about a fifth of a search cell."""
    return max(1, (search_cell + 2) // 5)


def _span(number: int, cells: int) -> range:
    """The cells of a block, of one axis."""
    blocks = max(1, -(-cells // BLOCK))
    return range(number * cells // blocks, (number + 1) * cells // blocks)


def _blocks_of(line: range, cells: int) -> Iterator[_Part]:
    """The blocks that a line of unwrapped cells passes, piece by piece."""
    blocks = max(1, -(-cells // BLOCK))
    at = line.start
    while at < line.stop:
        rounds, rest = divmod(at, cells)
        number = next(each for each in range(rest * blocks // cells, blocks) if rest < _span(each, cells).stop)
        own = _span(number, cells)
        stop = min(line.stop, rounds * cells + own.stop)
        yield _Part(
            number,
            slice(rest - own.start, rest - own.start + stop - at),
            slice(at - line.start, stop - line.start),
        )
        at = stop
