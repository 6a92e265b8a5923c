"""A quilted style as a generator: its model's tensors, the plan of a picture, and pixels from the plan.

Pixels are copied from the painting at the picture's scale, so nothing is resampled twice. Joints are hidden in two
bands (Burt & Adelson 1983): what lies on both sides of a cut is averaged, fine detail over a pixel or two at either
side, slow light over more. All in whole numbers, except that the painting is once brought to the picture's scale.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from server.model.style_quilt import PLAN_SIDE, StyleQuiltArchitecture
from server.model.torus import Window
from server.quilt.bands import boxed
from server.strokes.canvas import MARGIN, Canvas
from server.strokes.film import Frame, sewn_on
from server.strokes.guide import Guide, Lights
from server.strokes.light import looked_up
from server.strokes.pieces import ONE, ONE_BITS, UNIT, UNIT_BITS, Pieces
from server.strokes.sewing import manner, sewn
from server.strokes.tables import Tables, make_tables

LARGEST_PLAN = 2048  # plan pixels along the longer side of a picture
ENLARGED = 2  # the painting's pixels are enlarged no further by themselves
SMALLEST = 0.5  # nor reduced further, as a picture's pixels for one plan pixel
WHOLE = 256  # of the weights of pixels of the painting between which a piece lies
LOW_SIDE = 9  # plan pixels: the box that blurs the slow band
DETAIL_TAPS = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))
LOW_TAPS = ((0, 0), (-2, 0), (2, 0), (0, -2), (0, 2))  # plan pixels, likewise; wider ones smudge small pieces


class StyleQuilt:
    """A style that sews pieces of a painting together.

    `state`: the tensors of StyleQuiltArchitecture.tensors.
    """

    def __init__(self, architecture: StyleQuiltArchitecture, state: Mapping[str, Tensor]) -> None:
        self.architecture, self._state = architecture, dict(state)
        self._tables: Tables | None = None

    def state_dict(self) -> dict[str, Tensor]:
        """The tensors of the model file."""
        return self._state

    def on(self, device: torch.device) -> "StyleQuilt":
        """The same style. It is always painted on the processor; tables are shared."""
        del device
        return copy.copy(self)

    def to(self, device: torch.device) -> "StyleQuilt":
        """As the networks: it stays on the processor."""
        del device
        return self

    def cpu(self) -> "StyleQuilt":
        """As the networks."""
        return self

    @property
    def painting(self) -> Tensor:
        """(3, H, W) uint8, sRGB."""
        return self._state["painting"]

    @property
    def plan(self) -> Tensor:
        """The same in plan pixels."""
        return self._state["plan" if self.architecture.factor > 1 else "painting"]

    @property
    def usable(self) -> Tensor:
        """Where the painting may be shown: (rows, columns) uint8, plan pixels."""
        return self._state["usable"]

    @property
    def tables(self) -> Tables:
        """What is compared; made when it is first needed."""
        if self._tables is None:
            self._tables = make_tables(self.plan, self.usable, self._state, self.architecture)
        return self._tables

    def plan_size(self, size: tuple[int, int], stroke: float) -> tuple[int, int]:
        """Height and width in plan pixels of a picture of this size. `stroke`: the size of strokes, 1 by default.

        At 1, strokes are to the picture's longer side as they are to PLAN_SIDE pixels of the painting.
        """
        longer = max(size)
        scale = min(max(longer / PLAN_SIDE, SMALLEST), ENLARGED * self.architecture.factor) * stroke
        most = max(1, min(LARGEST_PLAN, round(longer / scale)))
        height, width = (max(1, (2 * side * most + longer) // (2 * longer)) for side in size)
        return height, width

    @torch.no_grad()
    def sewn(
        self,
        pixels: Tensor,
        statistics: Lights,
        seed: int,
        strength: float,
        noise: float,
        before: Frame | None = None,
    ) -> Iterator[Canvas]:
        """The canvas of a picture (3, H, W) uint8 in plan pixels, again and again until it is complete. `before`: the
        frame before, moved.
        """
        how = manner(strength)
        guide = Guide(pixels, statistics, self.tables.lights, how.emphasis)
        if before is None:
            yield from sewn(self.tables, guide, seed, how, noise)
        else:
            yield from sewn_on(self.tables, guide, seed, how, noise, before)


@dataclass(frozen=True)
class Depth:
    """How finely a picture is painted. `white`: its largest sample. A pixel's red, green and blue lie in one whole
    number of this type: where they begin, and what is added to each.
    """

    white: int
    dtype: torch.dtype
    places: tuple[int, int, int]
    bias: int


BYTES = Depth(255, torch.int32, (0, 10, 20), 2**9)
SIXTEEN_BITS = Depth(65535, torch.int64, (0, 20, 40), 2**17)


class Brush:
    """Paints windows of one picture from its canvas. `size`: of the picture in pixels. `moves`: it is a frame of a
    sequence, whose pieces lie between pixels.

    With SIXTEEN_BITS, what is blended at joints and brought to the picture's scale is not rounded to steps of 8 bits.
    The painting itself has 8, so where its own pixels are shown unchanged they have no more.
    """

    def __init__(
        self,
        quilt: StyleQuilt,
        canvas: Canvas,
        size: tuple[int, int],
        depth: Depth = BYTES,
        *,
        moves: bool = False,
    ) -> None:
        self._canvas, self._size, self._depth = canvas, size, depth
        self._longer, self._most = max(size), max(canvas.size)
        painting = _scaled(quilt, self._longer, self._most, depth)
        step = max(1, round(self._longer / self._most))
        side = LOW_SIDE * step | 1
        self._step, self._sides = step, painting.shape[1:]
        pieces = canvas.pieces
        self._between = moves
        self._shifts = self._scaled_shifts(pieces).to(torch.int32).T.contiguous()
        maps = pieces.maps if moves else pieces.maps.div(ONE, rounding_mode="floor")
        self._maps = maps.to(torch.int32).permute(1, 2, 0).contiguous()  # of each piece
        self._low = torch.zeros(painting.shape[1:].numel(), dtype=depth.dtype)
        self._detail = torch.zeros_like(self._low)
        for place, plane in zip(depth.places, painting, strict=True):
            low = plane[None].float()
            for dimension in (-2, -1):
                more = [side // 2 if dimension == each else 0 for each in (-1, -1, -2, -2)]
                low = (boxed(F.pad(low, more, mode="reflect"), dimension, side) / side).round()
            self._low |= low.flatten().to(depth.dtype) + depth.bias << place
            self._detail |= (plane - low).flatten().to(depth.dtype) + depth.bias << place

    def _scaled_shifts(self, pieces: Pieces) -> Tensor:
        """Shifts of pieces in 1/ONE of a picture's pixel; if they do not move, in whole pixels."""
        unit = UNIT if self._between else UNIT * ONE
        return (2 * pieces.shifts * self._longer + self._most * unit).div(2 * self._most * unit, rounding_mode="floor")

    def painted(self, window: Window) -> Tensor:
        """(3, height, width) float32, whole numbers from 0 to the depth's white."""
        owners = self._owners(window, 0, 0)
        rows = torch.arange(window.top, window.top + window.height, dtype=torch.int32)
        columns = torch.arange(window.left, window.left + window.width, dtype=torch.int32)
        total = torch.zeros(3, owners.numel())
        for band, taps in ((self._detail, DETAIL_TAPS), (self._low, LOW_TAPS)):
            beside = [self._owners(window, down * self._step, across * self._step) for down, across in taps]
            joint = torch.zeros_like(owners, dtype=torch.bool)
            for each in beside:
                joint |= each != owners
            means = self._colours(band, owners, rows[:, None], columns[None]).flatten(1)
            row, column = joint.nonzero().unbind(1)
            at = row * window.width + column
            row, column = rows[row], columns[column]
            sums = torch.zeros(3, len(at))
            for each in beside:
                sums += self._colours(band, looked_up(each.flatten(), at), row, column)
            means[:, at] = sums / len(taps)
            total += means
        return total.round().clamp(0, self._depth.white).view(3, window.height, window.width)

    def _owners(self, window: Window, down: int, across: int) -> Tensor:
        """Which pieces lie so far from each pixel of a window."""
        at = []
        for begin, count, step, side, plan in zip(
            (window.top, window.left),
            (window.height, window.width),
            (down, across),
            self._size,
            self._canvas.size,
            strict=True,
        ):
            there = (torch.arange(begin, begin + count) + step).clamp(0, side - 1)
            at.append(((2 * there + 1) * plan).div(2 * side, rounding_mode="floor") + MARGIN)
        return self._canvas.owners[at[0]][:, at[1]]

    def _colours(self, band: Tensor, owners: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """What the pixels at these rows and columns show of a band if they belong to these pieces: (3, ...) float32,
        exact. All int32.
        """
        places = []
        for axis, shifts in enumerate(self._shifts):
            down, across = (looked_up(self._maps[axis, each], owners) for each in (0, 1))
            places.append((down * (2 * rows + 1) + across * (2 * columns + 1) >> 1) + looked_up(shifts, owners))
        if not self._between:
            return self._spread(looked_up(band, self._within(*places))).float()
        first, parts = [], []
        for place in places:
            middle = place - ONE // 2
            first.append(middle >> ONE_BITS)
            parts.append((middle & ONE - 1) >> ONE_BITS - UNIT_BITS)
        total = torch.zeros(3, *owners.shape, dtype=self._depth.dtype)
        weights = LINEAR if band is self._low else CUBIC
        for step, one in weights:
            row = looked_up(one, parts[0])
            for other_step, other in weights:
                at = self._within(first[0] + step, first[1] + other_step)
                total += self._spread(looked_up(band, at)) * (row * looked_up(other, parts[1]))
        return total.float() / WHOLE**2

    def _within(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Flat indices into the scaled painting, which is mirrored at its border."""
        found = []
        for side, place in zip(self._sides, (rows, columns), strict=True):
            folded = place ^ (place >> 31)  # mirrored at the first pixel: -1 becomes 0
            found.append(torch.minimum(folded, 2 * side - 1 - folded))
        return found[0] * self._sides[1] + found[1]

    def _spread(self, packed: Tensor) -> Tensor:
        """Red, green and blue of packed numbers (...): (3, ...)."""
        bias = self._depth.bias
        return torch.stack([(packed >> place & 2 * bias - 1) - bias for place in self._depth.places])


def _taps(steps: range, weight: Callable[[float], float]) -> list[tuple[int, Tensor]]:
    """Steps from the pixel before a place, and their weights for each part of a pixel: int32, together WHOLE."""
    table = torch.tensor([[round(WHOLE * weight(abs(step - part / UNIT))) for step in steps] for part in range(UNIT)])
    table[:, steps.index(0)] += WHOLE - table.sum(1)
    return list(zip(steps, table.T.to(torch.int32).contiguous(), strict=True))


def _cubic(away: float) -> float:
    """The cubic B-spline: hardly softer between pixels of the painting than on them, so strokes do not shimmer."""
    return 2 / 3 - away**2 + away**3 / 2 if away < 1 else (2 - away) ** 3 / 6


LINEAR = _taps(range(2), lambda away: 1 - away)
CUBIC = _taps(range(-1, 3), _cubic)


def _scaled(quilt: StyleQuilt, longer: int, most: int, depth: Depth) -> Tensor:
    """The painting at a picture's scale, in the samples of a depth: `longer` pixels for `most` plan pixels."""
    height, width = ((2 * side * longer + most) // (2 * most) for side in quilt.architecture.plan)
    step = depth.white // BYTES.white
    if (height, width) == tuple(quilt.painting.shape[1:]):
        return quilt.painting if step == 1 else quilt.painting.to(torch.int32) * step
    result = torch.empty(3, height, width, dtype=torch.uint8 if step == 1 else torch.int32)
    for plane, to in zip(quilt.painting, result, strict=True):
        resized = F.interpolate(plane[None, None].double(), size=(height, width), mode="bicubic", antialias=True)
        to[:] = resized[0, 0].mul_(step).round_().clamp_(0, depth.white)
    return result
