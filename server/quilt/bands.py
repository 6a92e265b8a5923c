"""Hides joints: a window is put together from its patches, band by band.

Source: Burt & Adelson, "A multiresolution spline with application to image mosaics" (ACM ToG 2, 1983): fine detail
changes from one patch to the next within a few pixels, slow light over a wide zone, so neither steps nor ghosts can be
seen. Differs: four bands on full grids in place of a pyramid, so no grid shows and any size wraps.

    detail    what a blur of about 2 plan pixels takes away; feathered over one plan pixel at either side of a cut
    middle    between that and a blur of about 2 nodes; feathered over 2 plan pixels
    low       between that and a blur of about 5 nodes; feathered over 2 nodes
    slow      the rest; feathered over 8 nodes

The last two are computed at nodes of the torus, every 4 plan pixels, and interpolated. Feathers are only as wide as
needed to hide a joint: a mean of two patches has less contrast than either. Wider feathers (2 and 6 pixels, 4 and 12
nodes) made the distance that Gram matrices measure a fifth larger.

Tiles of a lattice have colours of their own up to their joints, where cuts run. There all but the detail is one band,
feathered as the middle one.

In small swatches patches lie closer together, and so do nodes.

All values are float32 of whole numbers, and every sum is below 2^24: exact in any order, on any device.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from server.model.grid import SHARP_REACH, SLOW_REACH
from server.model.quilt import QuiltArchitecture
from server.quilt.between import between_cells
from server.quilt.stretch import PHASES, REACH, picked, sample_taps
from server.quilt.stretched_swatch import StretchedSwatch
from server.quilt.tables import extended

FRACTION = 16  # a sample of 8 bits is counted in this many parts
DETAIL_FEATHER, MIDDLE_FEATHER = 1, SHARP_REACH  # plan pixels at either side of a cut
LOW_FEATHER, SLOW_FEATHER = 2, SLOW_REACH  # nodes, likewise
LOW_BOX, SLOW_BOX = 5, 13  # nodes: side of the box that blurs, twice


class Bands:
    """The bands of a swatch, at any of its pixels.

    `maps`: for each map (channels, height, width) uint8 or uint16, at full size. If they are larger than the plan, only
    the parts that are painted are read. `plan`: the same maps in plan pixels, or the maps themselves. `swatch`: they
    stretched, if that is what is painted from.
    """

    def __init__(
        self,
        maps: Sequence[Tensor],
        plan: Sequence[Tensor],
        settings: QuiltArchitecture,
        device: torch.device,
        swatch: StretchedSwatch | None = None,
    ) -> None:
        self.maps, self.settings, self.device, self._swatch = list(maps), settings, device, swatch
        self._middle, self._low, self._slow, self._detail, self._soft = [], [], [], [], []
        node = settings.node
        for each in plan:
            whole = counted(each.to(device))
            soft = _blurred(whole, 5 if node > 1 else 3, 2, settings.wraps)
            low, slow = (_low(whole, node, settings.wraps, box) for box in (LOW_BOX, SLOW_BOX))
            kind = torch.int16 if each.dtype == torch.uint8 else torch.int32
            self._low.append((low - slow).to(kind))
            self._slow.append(slow.to(kind))
            self._middle.append((soft - low).to(kind))
            self._soft.append(soft.to(kind))
            if settings.factor == 1:
                self._detail.append((whole - soft).to(kind))

    @property
    def count(self) -> int:
        """How many maps."""
        return len(self.maps)

    def detail(self, number: int, rows: range, columns: range, fraction: tuple[int, int] = (0, 0)) -> Tensor:
        """What a blur takes away of map `number`: (channels, rows, columns), full pixels."""
        if any(fraction):
            return _between_pixels(partial(self.detail, number), rows, columns, fraction)
        wraps, factor = self.settings.wraps, self.settings.factor
        if factor == 1:
            return _taken(self._detail[number], rows, columns, wraps)
        own = counted(self._pixels(number, rows, columns).to(self.device))
        return own - _enlarged(self._soft[number], rows, columns, factor, wraps)

    def _pixels(self, number: int, rows: range, columns: range) -> Tensor:
        if self._swatch is None:
            return _taken(self.maps[number], rows, columns, self.settings.wraps)
        places = [
            _numbers(torch.arange(line.start, line.stop), side, False)
            for line, side in zip((rows, columns), (self.settings.height, self.settings.width), strict=True)
        ]
        first = [int(line.min()) for line in places]
        part = self._swatch.part(
            number, *(range(low, int(line.max()) + 1) for low, line in zip(first, places, strict=True))
        )
        for dimension, (low, line) in enumerate(zip(first, places, strict=True), 1):
            if len(line) > 1 and not bool((line.diff() == 1).all()):
                part = picked(part, dimension, line - low)
        return part

    def middle(self, number: int, rows: range, columns: range, fraction: tuple[int, int] = (0, 0)) -> Tensor:
        """What lies between the first two blurs: (channels, rows, columns), full pixels."""
        return self._wide(self._middle, number, rows, columns, fraction)

    def soft(self, number: int, rows: range, columns: range, fraction: tuple[int, int] = (0, 0)) -> Tensor:
        """All but the detail, in the same form: the sum of the other three bands."""
        return self._wide(self._soft, number, rows, columns, fraction)

    def _wide(
        self, tables: Sequence[Tensor], number: int, rows: range, columns: range, fraction: tuple[int, int]
    ) -> Tensor:
        if any(fraction):
            return _between_pixels(partial(self._wide, tables, number, fraction=(0, 0)), rows, columns, fraction)
        wraps, factor = self.settings.wraps, self.settings.factor
        if factor == 1:
            return _taken(tables[number], rows, columns, wraps)
        return _enlarged(tables[number], rows, columns, factor, wraps)

    def low(self, number: int, rows: Tensor, columns: Tensor) -> Tensor:
        """What lies between the last two blurs at these rows and columns, in plan pixels: (channels, rows, columns)."""
        return self._at(self._low[number], rows, columns)

    def slow(self, number: int, rows: Tensor, columns: Tensor) -> Tensor:
        """The last blur, in the same form."""
        return self._at(self._slow[number], rows, columns)

    def _at(self, table: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        down, across = (
            _numbers(line, side, wraps).to(self.device)
            for line, side, wraps in zip((rows, columns), table.shape[1:], self.settings.wraps, strict=True)
        )
        return table[:, down[:, None], across]


def counted(samples: Tensor) -> Tensor:
    """Samples as the whole numbers that bands are made of, float32: 8 bits in 1/16, 16 bits as they are."""
    return samples.float() * FRACTION if samples.dtype == torch.uint8 else samples.to(torch.int32).float()


def feathered(mask: Tensor, feather: int) -> Tensor:
    """How much of a patch shows at each pixel: (rows, columns) bool, `feather` wider on every side, to whole numbers
    in [0, (feather + 1)^4], int32. A box of side feather + 1, twice.
    """
    sums = mask.to(torch.int16 if feather <= 6 else torch.int32)
    for dimension in (0, 1):
        for _ in range(2):
            sums = boxed(sums, dimension, feather + 1)
    return sums.to(torch.int32)


def boxed(values: Tensor, dimension: int, side: int) -> Tensor:
    """Sums of `side` neighbours along a dimension, by sums of 1, 2, 4, ... of them; `side` - 1 fewer come out."""
    count = values.shape[dimension] - side + 1
    result, done, width = None, 0, 1
    while True:
        if side & width:
            part = values.narrow(dimension, done, count)
            result = part if result is None else result + part
            done += width
        width *= 2
        if width > side:
            assert result is not None
            return result
        length = values.shape[dimension] - width // 2
        values = values.narrow(dimension, 0, length) + values.narrow(dimension, width // 2, length)


def _between_pixels(
    take: Callable[[range, range], Tensor], rows: range, columns: range, fraction: tuple[int, int]
) -> Tensor:
    """What lies `fraction` of 1/PHASES pixels, -32 to 31, down and right of these pixels, rounded each way."""
    values = take(*(range(line.start - REACH, line.stop + REACH) for line in (rows, columns))).float()
    for dimension, part, count in ((1, fraction[0], len(rows)), (2, fraction[1], len(columns))):
        whole, phase = divmod(part, PHASES)  # -1 or 0, and a place between two pixels
        taps = sample_taps()[phase].tolist()
        total = torch.zeros((), device=values.device)
        for tap, weight in enumerate(taps):
            if weight:
                total = total + values.narrow(dimension, whole + tap + 1, count) * (weight / 256)
        values = total.round()
    return values


def _blurred(whole: Tensor, side: int, times: int, wraps: tuple[bool, bool]) -> Tensor:
    """Mean over boxes, several times, rounded each time: (C, H, W) float32 of whole numbers."""
    margin = side // 2 * times
    height, width = whole.shape[1:]
    rows = extended(height, margin, wraps[0], whole.device)
    columns = extended(width, margin, wraps[1], whole.device)
    wide = whole[:, rows][:, :, columns][None]
    for _ in range(times):
        wide = (F.avg_pool2d(wide, (side, 1), 1, divisor_override=1) / side).round()
        wide = (F.avg_pool2d(wide, (1, side), 1, divisor_override=1) / side).round()
    return wide[0]


def _low(whole: Tensor, node: int, wraps: tuple[bool, bool], box: int) -> Tensor:
    """A wide blur: means of cells of `node` pixels, blurred, interpolated."""
    margin = (2 * box - 2) * node
    height, width = whole.shape[1:]
    more = [-side % node for side in (height, width)]
    rows = extended(height, margin + more[0], wraps[0], whole.device)[more[0] :]
    columns = extended(width, margin + more[1], wraps[1], whole.device)[more[1] :]
    cells = (F.avg_pool2d(whole[:, rows][:, :, columns][None], node, divisor_override=1) / node**2).round()
    for _ in range(2):
        cells = (F.avg_pool2d(cells, (box, 1), 1, divisor_override=1) / box).round()
        cells = (F.avg_pool2d(cells, (1, box), 1, divisor_override=1) / box).round()
    skip = margin - (box - 1) * node  # pixels of the swatch's surroundings that are left
    down, across = range(skip, skip + height), range(skip, skip + width)
    return between_cells(cells[0], down, across, node)


def _numbers(line: Tensor, side: int, wraps: bool) -> Tensor:
    """Which row or column of the swatch is shown at these positions, inside the swatch or outside."""
    if wraps:
        return line % side
    line = line % (2 * side)
    return torch.where(line >= side, 2 * side - 1 - line, line)


def _taken(table: Tensor, rows: range, columns: range, wraps: tuple[bool, bool]) -> Tensor:
    """A part of the swatch; it may reach outside: (C, rows, columns)."""
    for dimension, line, wrap in ((1, rows, wraps[0]), (2, columns, wraps[1])):
        side = table.shape[dimension]
        if line.start >= 0 and line.stop <= side:
            table = table.narrow(dimension, line.start, len(line))
        else:
            places = _numbers(torch.arange(line.start, line.stop), side, wrap)
            table = picked(table, dimension, places)
    return table


def _enlarged(table: Tensor, rows: range, columns: range, factor: int, wraps: tuple[bool, bool]) -> Tensor:
    """A part of a table in plan pixels, at full size: (C, rows, columns) float32."""
    firsts = [line.start // factor - 1 for line in (rows, columns)]
    parts = [range(first, line.stop // factor + 2) for first, line in zip(firsts, (rows, columns), strict=True)]
    cells = _taken(table, parts[0], parts[1], wraps).float()
    lines = [
        range(line.start - first * factor, line.stop - first * factor)
        for first, line in zip(firsts, (rows, columns), strict=True)
    ]
    return between_cells(cells, lines[0], lines[1], factor)
