"""A quilted style as a generator: its model's tensors, the plan of a picture, and pixels from the plan.

Pixels are copied from the painting at the picture's scale, so nothing is resampled twice. Joints are hidden in two
bands (Burt & Adelson 1983): what lies on both sides of a cut is averaged, fine detail over a pixel or two at either
side, slow light over more. All in whole numbers, except that the painting is once brought to the picture's scale.
"""

import copy
from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from server.model.style_quilt import PLAN_SIDE, StyleQuiltArchitecture
from server.model.torus import Window
from server.strokes.canvas import MARGIN, Canvas, decoded
from server.strokes.guide import Guide, Lights
from server.strokes.sewing import manner, sewn
from server.strokes.tables import Tables, make_tables
from server.strokes.turns import MATRICES

LARGEST_PLAN = 2048  # plan pixels along the longer side of a picture
ENLARGED = 2  # the painting's pixels are enlarged no further by themselves
SMALLEST = 0.5  # nor reduced further, as a picture's pixels for one plan pixel
LOW_SIDE = 9  # plan pixels: the box that blurs the slow band
DETAIL_TAPS = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))
LOW_TAPS = ((0, 0), (-4, 0), (4, 0), (0, -4), (0, 4), (-3, -3), (-3, 3), (3, -3), (3, 3))  # plan pixels, likewise


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
    def sewn(self, pixels: Tensor, statistics: Lights, seed: int, strength: float, noise: float) -> Iterator[Canvas]:
        """The canvas of a picture (3, H, W) uint8 in plan pixels, again and again until it is complete."""
        how = manner(strength)
        guide = Guide(pixels, statistics, self.tables.lights, how.emphasis)
        yield from sewn(self.tables, self.usable, guide, seed, how, noise)


class Brush:
    """Paints windows of one picture from its canvas. `size`: of the picture in pixels."""

    def __init__(self, quilt: StyleQuilt, canvas: Canvas, size: tuple[int, int]) -> None:
        self._canvas, self._size = canvas, size
        self._longer, self._most = max(size), max(canvas.size)
        painting = _scaled(quilt, self._longer, self._most)
        step = max(1, round(self._longer / self._most))
        side = LOW_SIDE * step | 1
        self._step, self._sides = step, painting.shape[1:]
        low = painting.float()
        for dimensions in ((side, 1), (1, side)):
            more = dimensions[0] // 2, dimensions[1] // 2
            wide = F.pad(low[None], (more[1], more[1], more[0], more[0]), mode="reflect")
            low = (F.avg_pool2d(wide, dimensions, 1, divisor_override=1) / side).round()[0]
        self._low = low.to(torch.int16).flatten(1)
        self._detail = (painting.float() - low).to(torch.int16).flatten(1)

    def painted(self, window: Window) -> Tensor:
        """(3, height, width) uint8."""
        detail = self._mean(self._detail, window, [(y * self._step, x * self._step) for y, x in DETAIL_TAPS])
        low = self._mean(self._low, window, [(y * self._step, x * self._step) for y, x in LOW_TAPS])
        return (detail + low).round().clamp(0, 255).to(torch.uint8)

    def _mean(self, band: Tensor, window: Window, taps: list[tuple[int, int]]) -> Tensor:
        total = torch.zeros(3, window.height * window.width)
        for down, across in taps:
            total += band[:, self._places(window, down, across)]
        return (total / len(taps)).view(3, window.height, window.width)

    def _places(self, window: Window, down: int, across: int) -> Tensor:
        """Which pixel of the scaled painting each pixel shows if it belongs to the patch that lies so far from it."""
        lines = [
            torch.arange(window.top, window.top + window.height),
            torch.arange(window.left, window.left + window.width),
        ]
        at = []
        for line, step, side, plan in zip(lines, (down, across), self._size, self._canvas.size, strict=True):
            there = (line + step).clamp(0, side - 1)
            at.append(((2 * there + 1) * plan).div(2 * side, rounding_mode="floor") + MARGIN)
        turns, *shift = decoded(self._canvas.codes[at[0]][:, at[1]])
        rows, columns = 2 * lines[0][:, None] + 1, 2 * lines[1][None] + 1
        found = []
        for axis, (side, more) in enumerate(zip(self._sides, shift, strict=True)):
            scaled = (2 * more * self._longer + self._most).div(2 * self._most, rounding_mode="floor")
            matrix = MATRICES[:, axis][turns]
            place = (matrix[..., 0] * rows + matrix[..., 1] * columns - 1).div(2, rounding_mode="floor") + scaled
            place = place.remainder(2 * side)
            found.append(torch.where(place >= side, 2 * side - 1 - place, place))
        return (found[0] * self._sides[1] + found[1]).flatten()


def _scaled(quilt: StyleQuilt, longer: int, most: int) -> Tensor:
    """The painting at a picture's scale: `longer` pixels for `most` plan pixels."""
    height, width = ((2 * side * longer + most) // (2 * most) for side in quilt.architecture.plan)
    if (height, width) == tuple(quilt.painting.shape[1:]):
        return quilt.painting
    resized = F.interpolate(quilt.painting[None].double(), size=(height, width), mode="bicubic", antialias=True)
    return resized[0].round().clamp(0, 255).to(torch.uint8)
