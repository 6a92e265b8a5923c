"""The quilt as a generator: `samples` of any window of any torus, from plan, cuts and bands.

All numbers are whole numbers, or floats that are rounded once, in the same way on every device. So the same pixels
have the same bytes in every window, with any number of threads, on any device.
"""

import copy
import dataclasses
import math
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from blender_addon.protocol.edges import Edges
from server.model.common_edges import check_edges
from server.model.fitting import UNIT, Periods, Stretch, fitted, is_plain, reduced_stretch, stretched_settings
from server.model.grid import edged_axis, patch_axis
from server.model.lattice import Lattice
from server.model.maps import NORMAL_NAME, Depth, Map
from server.model.quilt import QuiltArchitecture
from server.model.torus import Size, Window
from server.quilt.bands import (
    FRACTION,
    Bands,
)
from server.quilt.gather import Gather
from server.quilt.labels import Labels, kept
from server.quilt.plan import Plan, Prices
from server.quilt.relief import Relief, relief_of, tilted
from server.quilt.stretched_swatch import StretchedSwatch
from server.quilt.tables import Tables, Weights, make_tables

PLANS_KEPT = 8
STRETCHES_KEPT = 3  # sizes
STRETCHES_BYTES = 2**29  # of stretched swatches, if more than one is kept
TILES_STRENGTH = 0.3  # of a lattice whose cuts keep to its joints
TILES_ACROSS = 100  # along the shorter side of the swatch; more are too small to have colours of their own


class Quilt:
    """A texture generator that sews pieces of its swatch together.

    `pixels`: of each map (channels, height, width) uint8, or uint16 for one of 16 bits. `plan`: the same in plan
    pixels, or None if that is the same. `phases`: (waves, *settings.places) int16, of the courses that settings tell
    of (server/quilt/phases.py), or None.
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
        phases: Tensor | None = None,
    ) -> None:
        self.lattice, self.phases = lattice, phases
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
        self._labels = Labels()

    def on(self, device: torch.device) -> "Quilt":
        """The same quilt for this device. Plans are still made on the processor. Pixels and tables are shared."""
        other = copy.copy(self)
        other._plans, other._labels, other._stretches = OrderedDict(), Labels(), OrderedDict()
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
        self._labels = Labels()
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
        if self.phases is not None:
            state["phases"] = self.phases
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
            state.get("phases"),
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
            return Plan(self.tables, self.settings, self.prices, seed, axes, self.phases, self._periods, edges, kin)

        return kept(self._plans, (seed, size, edges), PLANS_KEPT, made)

    def fitted(self, size: Size) -> tuple["Quilt", Stretch | None]:
        """The quilt for this size, with its swatch stretched so that whole periods of its lattice fit, and the stretch.

        Without a lattice, or if it would need too much stretching: the quilt itself and None.
        """

        def made() -> tuple[Quilt, Stretch | None]:
            assert self.lattice
            found = fitted(self.lattice, size, self.settings)
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
        most = STRETCHES_BYTES // self._stretched_bytes()
        return kept(self._stretches, size, max(1, min(STRETCHES_KEPT, most)), made)

    def _stretched_bytes(self) -> int:
        """What one stretched swatch takes at most: where the swatch tiles, it goes on for a patch."""
        total = sum(each.nbytes for each in self.pixels)
        for side, wraps in zip(self.settings.plan, self.settings.wraps, strict=True):
            total = total * (side + self.settings.longest * wraps) // side
        return total

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
        gather = Gather(
            plan,
            partial(self._labels.of, plan, key),
            self.bands,
            self.relief,
            tiled=self._tiled,
            on_lattice=self._periods is not None,
        )
        painted = gather.sharp(lines)
        slopes = None
        if not self._tiled:
            low, slopes = gather.slow(lines)
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
            return self._wrapped((torch.stack(places, -1) + (1 << (UNIT - 1))) >> UNIT)
        plan = self.plan(seed, size, edges)
        place = window.moved(plan.axes[0].edge, plan.axes[1].edge)
        lines = torch.arange(place.top, place.bottom), torch.arange(place.left, place.right)
        return self.places(seed, size, *lines, edges)

    def places(self, seed: int, size: Size, ys: Tensor, xs: Tensor, edges: Edges | None = None) -> Tensor:
        """`sources` of some rows and columns of the torus (unwrapped, rising), of a quilt that was fitted to it."""
        plan = self.plan(seed, size, edges)
        labels, patches = self._labels.of(plan, (seed, size, edges), ys, xs)
        result = torch.stack(torch.meshgrid(ys, xs, indexing="ij"), -1)
        shifts = torch.tensor([plan.shift(row, column, place) for row, column, place in patches])
        return self._wrapped(result + shifts[labels])

    def _wrapped(self, places: Tensor) -> Tensor:
        """Pixels of the swatch, (..., 2), on the axes where it tiles brought into it."""
        for axis, side in enumerate((self.settings.height, self.settings.width)):
            if self.settings.wraps[axis]:
                places[..., axis] %= side
        return places


def reduced(maps: Sequence[Tensor], factor: int) -> list[Tensor]:
    """Maps in plan pixels: means of squares of `factor` pixels, rounded."""
    result = []
    for each in maps:
        sums = F.avg_pool2d(each.to(torch.int32).float()[None], factor, divisor_override=1)[0]
        result.append((sums / factor**2).round().to(torch.int32).to(each.dtype))
    return result


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
