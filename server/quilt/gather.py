"""Puts a window of a torus together: the bands of its patches (bands.py), each weighed by how much the patch shows."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from server.model.grid import Nodes, nodes_of, slow_reach
from server.quilt.bands import DETAIL_FEATHER, LOW_FEATHER, MIDDLE_FEATHER, SLOW_FEATHER, Bands, feathered
from server.quilt.between import between_nodes
from server.quilt.plan import Plan
from server.quilt.relief import Relief, rises

Patch = tuple[int, int, list[int]]  # row, column, place
Find = Callable[[Tensor, Tensor], tuple[Tensor, list[Patch]]]  # labels of rows and columns (labels.py)


@dataclass(frozen=True)
class Gather:
    """How windows of one quilt are put together. `tiled`: whether it is of tiles, whose colours end at their joints.
    `on_lattice`: whether its patches lie on a lattice. `find`: finds the labels of the torus.
    """

    plan: Plan
    find: Find
    bands: Bands
    relief: Relief | None
    tiled: bool
    on_lattice: bool

    def sharp(self, lines: Sequence[range]) -> list[Tensor]:
        """The two finer bands over a window, of each map (channels, rows, columns). Of tiles: all there is."""
        bands, factor = self.bands, self.bands.settings.factor
        feathers = DETAIL_FEATHER * factor, MIDDLE_FEATHER * factor
        halo = max(feathers)
        takes = bands.detail, bands.soft if self.tiled else bands.middle
        wide = [torch.arange(line.start - halo, line.stop + halo) for line in lines]
        sums = [_Mean(bands.maps, (len(lines[0]), len(lines[1])), bands.device) for _ in feathers]
        for patch, part, mask in self._shown(wide, halo):
            source = [
                range(line.start + p.start + more, line.start + p.stop + more)
                for line, p, more in zip(lines, part, self.plan.shift(*patch), strict=True)
            ]
            fraction = self.plan.fraction(patch[0], patch[1])
            for take, feather, mean in zip(takes, feathers, sums, strict=True):
                weight = _Weight(mask, halo - feather, feather)
                mean.add(
                    weight, _slices(part), [take(index, source[0], source[1], fraction) for index in range(bands.count)]
                )
        first, second = (mean.values() for mean in sums)
        return [detail.add_(middle) for detail, middle in zip(first, second, strict=True)]

    def slow(self, lines: Sequence[range]) -> tuple[list[Tensor], Tensor | None]:
        """The two slower bands over a window, for each map (channels, rows, columns): nodes, interpolated. With them
        what to tilt normals by (server/quilt/relief.py): (2, rows, columns), or None.
        """
        bands, settings, plan = self.bands, self.bands.settings, self.plan
        factor = settings.factor
        axes = [nodes_of(axis, settings) for axis in plan.axes]
        spans = [_around(nodes, line) for nodes, line in zip(axes, lines, strict=True)]
        # On a lattice most cuts run in joints, so light is hardly mixed across them.
        reach = min(slow_reach(axis, settings) for axis in plan.axes)
        feathers = [min(reach, each) for each in ((2, 4) if self.on_lattice else (LOW_FEATHER, SLOW_FEATHER))]
        halo = max(1, *feathers)  # rises look at the places around
        relief = self.relief
        if relief:  # it looks at the nodes before and behind
            spans = [range(span.start - 1, span.stop + 1) for span in spans]
        wide = [_pixels(nodes, range(s.start - halo, s.stop + halo)) for nodes, s in zip(axes, spans, strict=True)]
        inside = [line[halo : len(line) - halo] for line in wide]
        kinds = [*bands.maps, bands.maps[relief.height].expand(2, -1, -1)] if relief else bands.maps
        means = [_Mean(kinds, (len(inside[0]), len(inside[1])), bands.device) for _ in feathers]
        for patch, part, mask in self._shown(wide, halo):
            around = [
                (line[halo + own.start - 1 : halo + own.stop + 1] + more).div(factor, rounding_mode="floor")
                for line, own, more in zip(wide, part, plan.shift(*patch), strict=True)
            ]
            source = [line[1:-1] for line in around]
            for take, feather, mean in zip((bands.low, bands.slow), feathers, means, strict=True):
                shown = [take(index, source[0], source[1]) for index in range(bands.count)]
                if relief:
                    height = take(relief.height, around[0], around[1])
                    shown.append(rises(height.float())[:, 1:-1, 1:-1])
                mean.add(_Weight(mask, halo - feather, feather), _slices(part), shown)
        first, second = (mean.values() for mean in means)
        grids = [grid.add_(slow) for grid, slow in zip(first, second, strict=True)]
        if relief:
            down, right = (F.pad((line[2:] - line[:-2]) * 4096 // factor, (1, 1), value=1) for line in inside)
            grids[-1] = relief.slopes(rises(grids[relief.height]), grids[-1], (down, right))
        result = []
        for grid in grids:
            for dimension, (nodes, span, line) in enumerate(zip(axes, spans, lines, strict=True), 1):
                grid = between_nodes(grid, dimension, _pixels(nodes, span), line)
            result.append(grid)
        return (result[:-1], result[-1]) if relief else (result, None)

    def _shown(self, pixels: Sequence[Tensor], halo: int) -> Iterator[tuple[Patch, list[range], Tensor]]:
        """The patches that show in a window, `pixels` are its rows and columns and `halo` more on every side. With each
        where in the window, its feathers included, and which pixels up to `halo` around that are its own:
        (rows + 2 halo, columns + 2 halo) bool.
        """
        labels, patches = self.find(pixels[0], pixels[1])
        labels = labels.to(self.bands.device)
        for number, patch in enumerate(patches):
            near = [
                _within(line, axis.corner(at) - axis.overlap, axis.corner(at + 1) + axis.overlap)
                for line, axis, at in zip(pixels, self.plan.axes, patch[:2], strict=True)
            ]
            own = labels[_slices(near)] == number
            part = []
            for line, found, side in zip(near, (own.any(1), own.any(0)), labels.shape, strict=True):
                places = found.nonzero()
                if len(places):
                    first, last = line.start + int(places[0]), line.start + int(places[-1])
                    part.append(range(max(0, first - 2 * halo), min(side - 2 * halo, last + 1)))
            if len(part) == 2 and all(part):
                around = [range(line.start, line.stop + 2 * halo) for line in part]
                yield patch, part, labels[_slices(around)] == number


class _Weight:
    """How much a patch counts at each pixel: float32 of whole numbers from 0 to `most`, coarser for samples of 16 bits.

    Sums of weights times samples stay below 2^24, so float32 holds them exactly.
    """

    def __init__(self, mask: Tensor, spare: int, feather: int) -> None:
        """`mask`: where the patch is, (rows, columns) bool, wider than what is wanted by `spare` + `feather`."""
        inner = mask[spare : mask.shape[0] - spare, spare : mask.shape[1] - spare]
        whole, most = feathered(inner, feather), (feather + 1) ** 4
        shift = max(0, most.bit_length() - 11)
        self.fine = (whole >> shift if shift else whole).float()
        self.coarse = (whole >> max(0, most.bit_length() - 7)).float()


class _Mean:
    """Weighted means of what patches show, of each map (channels, rows, columns)."""

    def __init__(self, pixels: Sequence[Tensor], shape: tuple[int, int], device: torch.device) -> None:
        self._deep = [each.dtype == torch.uint16 for each in pixels]
        self._sums = [torch.zeros(len(each), *shape, device=device) for each in pixels]
        self._weights = {deep: torch.zeros(shape, device=device) for deep in set(self._deep)}

    def add(self, weight: _Weight, target: tuple[slice, slice], shown: Sequence[Tensor]) -> None:
        """One more patch at a part of the window."""
        for deep, total in self._weights.items():
            total[target] += weight.coarse if deep else weight.fine
        for deep, total, values in zip(self._deep, self._sums, shown, strict=True):
            total[:, *target].addcmul_(values.float(), weight.coarse if deep else weight.fine)

    def values(self) -> list[Tensor]:
        """The means, rounded to whole numbers."""
        return [total.div_(self._weights[deep]).round_() for deep, total in zip(self._deep, self._sums, strict=True)]


def _pixels(nodes: Nodes, numbers: range) -> Tensor:
    return torch.tensor([nodes.pixel(number) for number in numbers])


def _around(nodes: Nodes, line: range) -> range:
    """The nodes from the last one before a range of pixels to the first one behind it."""
    first = line.start * nodes.count // nodes.side
    while nodes.pixel(first) > line.start:
        first -= 1
    last = (line.stop - 1) * nodes.count // nodes.side
    while nodes.pixel(last) < line.stop:
        last += 1
    return range(first, last + 1)


def _slices(parts: Sequence[range]) -> tuple[slice, slice]:
    rows, columns = (slice(part.start, part.stop) for part in parts)
    return rows, columns


def _within(pixels: Tensor, first: int, last: int) -> range:
    """Which of these rising pixels lie in [first, last)."""
    start, stop = torch.searchsorted(pixels, torch.tensor([first, last])).tolist()
    return range(start, stop)
