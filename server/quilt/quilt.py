"""The quilt as a generator: `samples` of any window of any torus, from plan, cuts and bands.

All numbers are whole numbers, or floats that are rounded once, in the same way on every device. So the same pixels
have the same bytes in every window, with any number of threads, on any device.
"""

import copy
import dataclasses
import math
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from blender_addon.protocol.edges import Edges
from server.model.common_edges import check_edges
from server.model.fitting import UNIT, Periods, Stretch, fitted, is_plain, reduced_stretch, stretched_settings
from server.model.grid import Nodes, PatchAxis, edged_axis, nodes_of, patch_axis, slow_reach
from server.model.lattice import Lattice
from server.model.maps import NORMAL_NAME, Depth, Map
from server.model.quilt import QuiltArchitecture
from server.model.torus import Size, Window
from server.quilt.bands import (
    DETAIL_FEATHER,
    FRACTION,
    LOW_FEATHER,
    MIDDLE_FEATHER,
    SLOW_FEATHER,
    Bands,
    feathered,
)
from server.quilt.between import between_nodes
from server.quilt.cuts import Cuts, joined, make_cuts
from server.quilt.plan import Plan, Prices
from server.quilt.relief import Relief, relief_of, rises, tilted
from server.quilt.stretched_swatch import StretchedSwatch
from server.quilt.tables import Tables, Weights, make_tables

PLANS_KEPT = 8
CUTS_KEPT = 64
STRETCHES_KEPT = 3  # sizes
STRETCHES_BYTES = 2**29  # of stretched swatches, if more than one is kept
CUT_BLOCK = 4  # patches a side
TILES_STRENGTH = 0.3  # of a lattice whose cuts keep to its joints
TILES_ACROSS = 100  # along the shorter side of the swatch; more are too small to have colours of their own

T = TypeVar("T")


class Quilt:
    """A texture generator that sews pieces of its swatch together.

    `pixels`: of each map (channels, height, width) uint8, or uint16 for one of 16 bits. `plan`: the same in plan
    pixels, or None if that is the same.
    """

    def __init__(
        self,
        settings: QuiltArchitecture,
        maps: Sequence[Map],
        pixels: Sequence[Tensor],
        weights: Weights,
        prices: Prices,
        plan: Sequence[Tensor] | None = None,
        lattice: Lattice | None = None,
    ) -> None:
        self.lattice = lattice
        self.settings, self.maps, self.weights, self.prices = settings, tuple(maps), weights, prices
        self.pixels = list(pixels)
        self.small = self.pixels if plan is None else list(plan)
        self.device = torch.device("cpu")
        self._tables: Tables | None = None
        self._bands: Bands | None = None
        self._relief: tuple[Relief | None] | None = None
        self._periods: Periods | None = None  # of a quilt that was stretched for one size
        self._swatch: StretchedSwatch | None = None  # likewise, if it is larger than its plan
        self._tiled = False  # likewise: whether it is of tiles
        self._stretches: OrderedDict[Hashable, tuple[Quilt, Stretch | None]] = OrderedDict()
        self._plans: OrderedDict[Hashable, Plan] = OrderedDict()
        self._cuts: OrderedDict[Hashable, Cuts] = OrderedDict()

    def on(self, device: torch.device) -> "Quilt":
        """The same quilt for this device. Plans are still made on the processor. Pixels and tables are shared."""
        other = copy.copy(self)
        other._plans, other._cuts, other._stretches = OrderedDict(), OrderedDict(), OrderedDict()
        if device != self.device:
            other.device, other._bands = device, None
        return other

    def to(self, device: torch.device) -> "Quilt":
        """Paint on this device from now on."""
        if device != self.device:
            self.device, self._bands = device, None
            self._stretches.clear()
        return self

    def cpu(self) -> "Quilt":
        """Leave the device."""
        return self.to(torch.device("cpu"))

    @property
    def depths(self) -> tuple[Depth, ...]:
        """Bits of a sample of each map, as it is kept."""
        return tuple(16 if each.dtype == torch.uint16 else 8 for each in self.pixels)

    def forget(self) -> None:
        """Drop the plans made so far, because prices have changed."""
        self._plans.clear()
        self._cuts.clear()
        self._stretches.clear()

    @property
    def architecture(self) -> QuiltArchitecture:
        """As of the networks: what the model file says of the generator's sizes."""
        return self.settings

    def state_dict(self) -> dict[str, Tensor]:
        """The tensors of the model file, by QuiltArchitecture.tensors."""
        maps = zip(self.maps, self.pixels, self.small, strict=True)
        state = {}
        for each, pixels, small in maps:
            state[f"map.{each.name}"] = pixels
            if self.settings.factor > 1:
                state[f"plan.{each.name}"] = small
        weights = {field.name: getattr(self.weights, field.name) for field in dataclasses.fields(self.weights)}
        return state | weights | {"prices": self.prices.table, "chances": self.prices.chances}

    @classmethod
    def of_state(
        cls, settings: QuiltArchitecture, maps: Sequence[Map], lattice: Lattice | None, state: Mapping[str, Tensor]
    ) -> "Quilt":
        """The quilt whose `state_dict` this is."""
        weights = Weights(**{field.name: state[field.name] for field in dataclasses.fields(Weights)})
        return cls(
            settings,
            maps,
            [state[f"map.{each.name}"] for each in maps],
            weights,
            Prices(table=state["prices"], chances=state["chances"]),
            [state[f"plan.{each.name}"] for each in maps] if settings.factor > 1 else None,
            lattice,
        )

    @property
    def tables(self) -> Tables:
        """What the plan compares; made when it is first needed."""
        if self._tables is None:
            self._tables = make_tables(eight_bits(self.small), self.settings, self.weights)
        return self._tables

    @property
    def bands(self) -> Bands:
        """What textures are painted from; made when it is first needed."""
        if self._bands is None:
            self._bands = Bands(self.pixels, self.small, self.settings, self.device, self._swatch)
        return self._bands

    @property
    def relief(self) -> Relief | None:
        """How normals and heights go together; made when it is first needed."""
        if self._relief is None:
            self._relief = (relief_of(self.maps, self.small),)
        return self._relief[0]

    @property
    def is_prepared(self) -> bool:
        """Whether `tables` and `bands` are made."""
        return self._tables is not None and self._bands is not None

    def prepare(self) -> None:
        """Make `tables` and `bands` now. It takes seconds for a large swatch."""
        assert self.tables
        assert self.bands

    def plan(self, seed: int, size: Size, edges: Edges | None = None) -> Plan:
        """The plan of one torus."""

        def made() -> Plan:
            if edges is None:
                axes = patch_axis(size.height, self.settings), patch_axis(size.width, self.settings)
            else:
                axes = (
                    edged_axis(size.height, self.settings, edges.across),
                    edged_axis(size.width, self.settings, edges.across),
                )
            kin = next((each for each in self._plans.values() if each.is_kin(seed, axes, edges)), None)
            return Plan(self.tables, self.settings, self.prices, seed, axes, self._periods, edges, kin)

        return _kept(self._plans, (seed, size, edges), PLANS_KEPT, made)

    def fitted(self, size: Size) -> tuple["Quilt", Stretch | None]:
        """The quilt for this size, with its swatch stretched so that whole periods of its lattice fit, and the stretch.

        Without a lattice, or if it would need too much stretching: the quilt itself and None.
        """

        def made() -> tuple[Quilt, Stretch | None]:
            assert self.lattice
            found = fitted(self.lattice, size, self.settings.height, self.settings.width)
            if found is None:
                return self, None
            stretch, periods = found
            other = self.on(self.device)
            other.lattice = None
            if not is_plain(stretch):
                factor, settings = self.settings.factor, stretched_settings(self.settings, stretch)
                if settings is None:
                    return self, None
                other.settings = settings
                rows, columns = (range(side) for side in settings.plan)
                plan = StretchedSwatch(self.small, reduced_stretch(stretch, factor))
                other.small = [plan.part(number, rows, columns) for number in range(len(self.small))]
                if factor == 1:
                    other.pixels = other.small
                else:
                    other._swatch = StretchedSwatch(self.pixels, stretch)
                other._tables = other._bands = other._relief = None
            other._periods, other._tiled = periods, self._of_tiles()
            return other, stretch

        if self.lattice is None:
            return self, None
        most = STRETCHES_BYTES // sum(each.nbytes for each in self.pixels)
        return _kept(self._stretches, size, max(1, min(STRETCHES_KEPT, most)), made)

    def _of_tiles(self) -> bool:
        """Whether the lattice is one of tiles: strong, so that cuts follow its joints, and large enough to see each."""
        assert self.lattice
        most = max(math.hypot(*wave) for wave in self.lattice.basis) * min(self.settings.height, self.settings.width)
        return self.lattice.strength >= TILES_STRENGTH and most <= TILES_ACROSS

    # --------------------------------------------------------------------------------------------------------- painting

    @torch.no_grad()
    def samples(
        self, seed: int, size: Size, window: Window, depths: Sequence[Depth], edges: Edges | None = None
    ) -> list[Tensor]:
        """One tensor for each map: (height, width, channels), uint8 or uint16, on the CPU."""
        quilt, _ = self._for_tile(size, edges)
        if quilt is not self:
            return quilt.samples(seed, size, window, depths, edges)
        plan, key = self.plan(seed, size, edges), (seed, size, edges)
        place = window.moved(plan.axes[0].edge, plan.axes[1].edge)
        lines = [range(place.top, place.bottom), range(place.left, place.right)]
        painted = self._sharp(plan, key, lines)
        slopes = None
        if not self._tiled:
            low, slopes = self._low(plan, key, lines)
            painted = [rest.add_(slow) for rest, slow in zip(painted, low, strict=True)]
        result = []
        for each, pixels, depth, values in zip(self.maps, self.pixels, depths, painted, strict=True):
            deep = pixels.dtype == torch.uint16
            if each.name == NORMAL_NAME:
                values = unit_normals(values, 65535 if deep else 255 * FRACTION, slopes)
            result.append(_rounded(values, deep, depth).permute(1, 2, 0).contiguous().cpu())
        return result

    def _for_tile(self, size: Size, edges: Edges | None) -> "tuple[Quilt, Stretch | None]":
        """As `fitted`, so that each tile holds whole periods. Raises BadRequest where there can be no common edges."""
        if edges is None:
            return self.fitted(size)
        check_edges(self.settings, self.lattice, size, edges)
        return self.fitted(Size(size.height // edges.across, size.width // edges.across))

    def sources(self, seed: int, size: Size, window: Window, edges: Edges | None = None) -> Tensor:
        """Which pixel of the swatch every pixel shows if joints are not blended: (height, width, 2) int64.

        A few may lie outside the swatch by less than an overlap. They are shown mirrored.
        """
        quilt, stretch = self._for_tile(size, edges)
        if stretch is not None:
            found = quilt.sources(seed, size, window, edges)
            ways = zip(stretch.down, stretch.across, stretch.first, strict=True)
            places = [found[..., 0] * down + found[..., 1] * across + first for down, across, first in ways]
            return (torch.stack(places, -1) + (1 << (UNIT - 1))) >> UNIT
        plan = self.plan(seed, size, edges)
        place = window.moved(plan.axes[0].edge, plan.axes[1].edge)
        lines = torch.arange(place.top, place.bottom), torch.arange(place.left, place.right)
        return self.places(seed, size, *lines, edges)

    def places(self, seed: int, size: Size, ys: Tensor, xs: Tensor, edges: Edges | None = None) -> Tensor:
        """`sources` of some rows and columns of the torus (unwrapped, rising), of a quilt that was fitted to it."""
        plan = self.plan(seed, size, edges)
        labels, patches = self._labels(plan, (seed, size, edges), ys, xs)
        result = torch.stack(torch.meshgrid(ys, xs, indexing="ij"), -1)
        shifts = torch.tensor([plan.shift(row, column, place) for row, column, place in patches])
        result = result + shifts[labels.cpu()]
        for axis, side in enumerate((self.settings.height, self.settings.width)):
            if self.settings.wraps[axis]:
                result[..., axis] %= side
        return result

    def _sharp(self, plan: Plan, key: Hashable, lines: Sequence[range]) -> list[Tensor]:
        """The two finer bands over a window, of each map (channels, rows, columns). Of tiles: all there is."""
        factor, bands = self.settings.factor, self.bands
        feathers = DETAIL_FEATHER * factor, MIDDLE_FEATHER * factor
        halo = max(feathers)
        takes = bands.detail, bands.soft if self._tiled else bands.middle
        wide = [torch.arange(line.start - halo, line.stop + halo) for line in lines]
        labels, patches = self._labels(plan, key, *wide)
        sums = [_Mean(self.pixels, (len(lines[0]), len(lines[1])), self.device) for _ in feathers]
        for number, (row, column, place) in enumerate(patches):
            near = [
                _within(pixels, axis.corner(at) - axis.overlap, axis.corner(at + 1) + axis.overlap)
                for pixels, axis, at in zip(wide, plan.axes, (row, column), strict=True)
            ]
            seen = _seen(labels, number, near, halo)
            if seen is None:
                continue
            part, mask = seen
            source = [
                range(line.start + p.start + more, line.start + p.stop + more)
                for line, p, more in zip(lines, part, plan.shift(row, column, place), strict=True)
            ]
            fraction = plan.fraction(row, column)
            target = _slices(part)
            for take, feather, mean in zip(takes, feathers, sums, strict=True):
                weight = _Weight(mask, halo - feather, feather)
                mean.add(weight, target, [take(index, source[0], source[1], fraction) for index in range(bands.count)])
        first, second = (mean.values() for mean in sums)
        return [detail.add_(middle) for detail, middle in zip(first, second, strict=True)]

    def _low(self, plan: Plan, key: Hashable, lines: Sequence[range]) -> tuple[list[Tensor], Tensor | None]:
        """The two slower bands over a window, for each map (channels, rows, columns): nodes, interpolated. With them
        what to tilt normals by (server/quilt/relief.py): (2, rows, columns), or None.
        """
        factor, bands = self.settings.factor, self.bands
        axes = [nodes_of(axis, self.settings) for axis in plan.axes]
        spans = [_around(nodes, line) for nodes, line in zip(axes, lines, strict=True)]
        # On a lattice most cuts run in joints, so light is hardly mixed across them.
        reach = min(slow_reach(axis, self.settings) for axis in plan.axes)
        feathers = [min(reach, each) for each in ((2, 4) if self._periods else (LOW_FEATHER, SLOW_FEATHER))]
        halo = max(1, *feathers)  # rises look at the places around
        relief = self.relief
        if relief:  # it looks at the nodes before and behind
            spans = [range(span.start - 1, span.stop + 1) for span in spans]
        wide = [_pixels(nodes, range(s.start - halo, s.stop + halo)) for nodes, s in zip(axes, spans, strict=True)]
        labels, patches = self._labels(plan, key, *wide)
        inside = [line[halo : len(line) - halo] for line in wide]
        kinds = [*self.pixels, self.pixels[relief.height].expand(2, -1, -1)] if relief else self.pixels
        means = [_Mean(kinds, (len(inside[0]), len(inside[1])), self.device) for _ in feathers]
        for number, (row, column, place) in enumerate(patches):
            near = [
                _within(pixels, axis.corner(at) - axis.overlap, axis.corner(at + 1) + axis.overlap)
                for pixels, axis, at in zip(wide, plan.axes, (row, column), strict=True)
            ]
            seen = _seen(labels, number, near, halo)
            if seen is None:
                continue
            part, mask = seen
            around = [
                (line[halo + own.start - 1 : halo + own.stop + 1] + more).div(factor, rounding_mode="floor")
                for line, own, more in zip(wide, part, plan.shift(row, column, place), strict=True)
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

    def _labels(
        self, plan: Plan, key: Hashable, ys: Tensor, xs: Tensor
    ) -> tuple[Tensor, list[tuple[int, int, list[int]]]]:
        """Which patch each pixel of these rows and columns (unwrapped, rising) comes from: (rows, columns) int64, an
        index into the list of patches: row, column, place.
        """
        down, across = plan.axes
        rows = range(_node_before(down, int(ys[0])), _node_before(down, int(ys[-1])) + 1)
        columns = range(_node_before(across, int(xs[0])), _node_before(across, int(xs[-1])) + 1)
        cuts = self._all_cuts(plan, key, rows, columns)
        factor = self.settings.factor
        row_nodes = torch.tensor([down.middle(row) for row in rows])
        column_nodes = torch.tensor([across.middle(column) for column in columns])
        own_row = torch.searchsorted(row_nodes, ys, right=True) - 1
        own_column = torch.searchsorted(column_nodes, xs, right=True) - 1
        row_corners = torch.tensor([down.corner(row) for row in range(rows.start, rows.stop + 1)])
        column_corners = torch.tensor([across.corner(column) for column in range(columns.start, columns.stop + 1)])
        step = (xs - column_nodes[own_column]).div(factor, rounding_mode="floor")
        begins = cuts.level[:, own_column, step]  # (rows of patches, xs)
        lower_from = (row_corners[1:, None] - down.overlap + factor * begins).to(torch.int32)
        lower = ys.to(torch.int32)[:, None] >= lower_from[own_row]
        # Where the right neighbour begins at each y, in the upper of two rows of patches and in the lower one.
        right_from = []
        for row in (own_row, own_row + 1):
            line = (ys - row_corners[row] + down.overlap).div(factor, rounding_mode="floor")
            line = line.clamp(0, cuts.upright.shape[2] - 1)
            begins = column_corners[None, 1:] - across.overlap + factor * cuts.upright[row, :, line]
            right_from.append(begins.to(torch.int32)[:, own_column])
        right = xs.to(torch.int32)[None] >= torch.where(lower, right_from[1], right_from[0])
        first = own_row[:, None] * (len(columns) + 1) + own_column[None]
        labels = first.to(torch.int32) + lower * (len(columns) + 1) + right
        patches = [
            (rows.start + r, columns.start + c, cuts.places[r, c].tolist())
            for r in range(len(rows) + 1)
            for c in range(len(columns) + 1)
        ]
        return labels.to(self.device), patches

    def _all_cuts(self, plan: Plan, key: Hashable, rows: range, columns: range) -> Cuts:
        """The cuts of these patches, put together from blocks that are kept."""

        def block(row: int, column: int) -> Cuts:
            own = [
                range(index * CUT_BLOCK, (index + 1) * CUT_BLOCK)
                for index in (row % _rounds(plan.shape[0]), column % _rounds(plan.shape[1]))
            ]
            return _kept(self._cuts, (key, own[0].start, own[1].start), CUTS_KEPT, lambda: make_cuts(plan, *own))

        return joined(
            [
                [
                    block(row, column)
                    for column in range(columns.start // CUT_BLOCK, (columns.stop - 1) // CUT_BLOCK + 1)
                ]
                for row in range(rows.start // CUT_BLOCK, (rows.stop - 1) // CUT_BLOCK + 1)
            ],
            rows,
            columns,
        )


def reduced(maps: Sequence[Tensor], factor: int) -> list[Tensor]:
    """Maps in plan pixels: means of squares of `factor` pixels, rounded."""
    result = []
    for each in maps:
        sums = F.avg_pool2d(each.to(torch.int32).float()[None], factor, divisor_override=1)[0]
        result.append((sums / factor**2).round().to(torch.int32).to(each.dtype))
    return result


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


def _seen(labels: Tensor, number: int, near: Sequence[range], halo: int) -> tuple[list[range], Tensor] | None:
    """Where a patch shows in a window, its feathers included, and which pixels up to `halo` around that are its own.

    `labels`: of the window and `halo` pixels around it. `near`: rows and columns of labels that the patch can have.
    Returns rows and columns of the window, and (rows + 2 halo, columns + 2 halo) bool; None if it does not show.
    """
    own = labels[_slices(near)] == number
    part = []
    for line, found, side in zip(near, (own.any(1), own.any(0)), labels.shape, strict=True):
        places = found.nonzero()
        if not len(places):
            return None
        first, last = line.start + int(places[0]), line.start + int(places[-1])
        part.append(range(max(0, first - 2 * halo), min(side - 2 * halo, last + 1)))
        if not part[-1]:
            return None
    return part, labels[_slices([range(line.start, line.stop + 2 * halo) for line in part])] == number


def _node_before(axis: PatchAxis, pixel: int) -> int:
    """The last patch whose middle is at or before this pixel."""
    patch = axis.patch_at(pixel)
    return patch if axis.middle(patch) <= pixel else patch - 1


def _rounds(patches: int) -> int:
    """Blocks after which the patches of an axis come again at the same places of their blocks."""
    return math.lcm(patches, CUT_BLOCK) // CUT_BLOCK


def _kept(cache: "OrderedDict[Hashable, T]", key: Hashable, most: int, make: Callable[[], T]) -> T:
    """The value made earlier for this key, or made now. The least recently used values are dropped."""
    if key not in cache:
        cache[key] = make()
        while len(cache) > most:
            cache.popitem(last=False)
    cache.move_to_end(key)
    return cache[key]


def eight_bits(maps: Sequence[Tensor]) -> Tensor:
    """All maps side by side, (channels of all, height, width) uint8."""
    return torch.cat(
        [each if each.dtype == torch.uint8 else (each.to(torch.int32) >> 8).to(torch.uint8) for each in maps]
    )


def unit_normals(values: Tensor, most: int, slopes: Tensor | None = None) -> Tensor:
    """Normals, (3, rows, columns), whole numbers from 0 to `most`, tilted by these slopes and scaled to unit length."""
    vectors = 2 * values.double() - most if slopes is None else tilted(values, most, slopes)
    squares = vectors.square().sum(0, keepdim=True)
    up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64, device=values.device)[:, None, None]
    units = torch.where(squares < (most / 1000) ** 2, up, vectors / squares.clamp(min=1).sqrt())
    return ((units + 1) * most / 2).round().float()


def _rounded(values: Tensor, deep: bool, depth: Depth) -> Tensor:
    """Whole numbers of bands to samples: (C, H, W) uint8, or uint16 where `depth` is 16."""
    if depth == 8:
        whole = (values / 257 if deep else values / FRACTION).round_().clamp_(0, 255)
        return whole.to(torch.uint8)
    whole = (values if deep else (values * 257 / FRACTION).round_()).clamp_(0, 65535)
    return whole.to(torch.int32).to(torch.uint16)
