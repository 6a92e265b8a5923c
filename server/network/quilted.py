"""A picture in a quilted style (server/strokes), at any size: `pixels = quilted(style, content, seed, strength, ...)`.

The whole picture is planned at a reduced size, then painted in bands, so memory is bounded, and a window is equal to
the byte to that part of the whole. Below strength 1 the content's own pixels show through, so that less strength is
always nearer to it; at 0 the result is the content.

Pictures are as in server/network/stylize.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from server.model.style_blocks import check_window
from server.model.style_quilt import LIGHTS
from server.model.torus import Window, check_seed
from server.network.stylize import as_pixels, as_rgb, check_numbers, checked, recoloured, white_of
from server.strokes.canvas import Canvas
from server.strokes.carry import Carry, light_of
from server.strokes.film import Frame
from server.strokes.guide import Lights
from server.strokes.light import luminance
from server.strokes.painter import BYTES, SIXTEEN_BITS, Brush, StyleQuilt
from server.strokes.tables import mean_edge, quantiles

ROWS_PIXELS = 2**19  # painted at once
PIXELS_AT_ONCE = 2**20  # reduced at once
PLANNING = 0.8  # of the work of a picture


@dataclass(frozen=True, kw_only=True)
class Wish:
    """How a picture is put into a style; as the wire's Stylize."""

    seed: int
    strength: float
    keep_colours: bool = False
    noise: float = 1.0
    stroke: float = 1.0


class QuiltedPicture:
    """One picture in a quilted style. Raises BadRequest. `statistics`: of a sequence; by default the content's own.
    `carry`: that of the frame before, which this one continues.
    """

    def __init__(
        self,
        style: StyleQuilt,
        content: Tensor,
        wish: Wish,
        statistics: bytes = b"",
        carry: bytes = b"",
        *,
        sequence: bool = False,
    ) -> None:
        self.size = checked(content)
        check_numbers(wish.strength, wish.noise)
        check_seed(wish.seed)
        self._style, self._content, self._wish = style, content, wish
        self._depth = BYTES if content.dtype == torch.uint8 else SIXTEEN_BITS
        self._plan = reduced(content, style.plan_size(self.size, wish.stroke))
        self.statistics = statistics or measured(self._plan)
        size = self._plan.shape[1], self._plan.shape[2]
        self._before = Carry.from_bytes(carry, size, style.architecture) if carry else None
        self._moves = sequence or self._before is not None
        self._canvas: Canvas | None = None
        self._brush: Brush | None = None

    def planning(self) -> Iterator[float]:
        """Plan it; yields how much of all the work is done."""
        wish = self._wish
        if wish.strength == 0:
            return
        before = self._before.moved(self._plan) if self._before else None
        for turn, canvas in enumerate(
            self._style.sewn(self._plan, lights_of(self.statistics), wish.seed, wish.strength, wish.noise, before)
        ):
            self._canvas = canvas
            yield PLANNING * (1 - 0.9**turn)

    @property
    def carry(self) -> bytes:
        """What the next frame of a sequence takes from this one: see server/strokes/carry.py. After planning."""
        return Carry(Frame.of(self._canvas), light_of(self._plan)).to_bytes() if self._canvas else b""

    def bands(self, window: Window | None = None) -> Iterator[Tensor]:
        """From top to bottom, (rows, width, 3 or 4) of the content's type. After planning."""
        window = check_window(self.size, window)
        rows = max(1, ROWS_PIXELS // window.width)
        if self._wish.strength and self._brush is None:
            assert self._canvas
            self._brush = Brush(self._style, self._canvas, self.size, self._depth, moves=self._moves)
        for top in range(window.top, window.top + window.height, rows):
            height = min(rows, window.top + window.height - top)
            yield self._band(Window(top, window.left, height, window.width))

    def _band(self, part: Window) -> Tensor:
        own = self._content[part.top : part.top + part.height, part.left : part.left + part.width]
        content = as_rgb(own, white_of(own))
        result = content
        if self._brush:
            painted = self._brush.painted(part)[None] / self._depth.white
            if self._wish.keep_colours:
                painted = recoloured(painted, content)
            result = content + (painted - content) * self._wish.strength
        pixels = as_pixels(result, own.dtype)
        return torch.cat((pixels, own[..., 3:].to(pixels.dtype)), 2) if own.shape[2] == 4 else pixels


def quilted(
    style: StyleQuilt,
    content: Tensor,
    wish: Wish,
    *,
    statistics: bytes = b"",
    carry: bytes = b"",
    window: Window | None = None,
) -> Tensor:
    """The content in the style, or a window of it: (height, width, 3 or 4). Raises BadRequest."""
    picture = QuiltedPicture(style, content, wish, statistics, carry)
    for _ in picture.planning():
        pass
    return torch.cat(list(picture.bands(window)))


def measured(pixels: Tensor) -> bytes:
    """The statistics of a picture (3, H, W) uint8 in plan pixels: see StyleQuiltArchitecture.statistics_bytes."""
    light = luminance(pixels)
    values = [*quantiles(light).tolist(), mean_edge(light)]
    return np.array(values, "<u2").tobytes()


def lights_of(statistics: bytes) -> Lights:
    """The statistics in these bytes."""
    values = torch.from_numpy(np.frombuffer(statistics, "<u2").astype(np.int64))
    return Lights(quantiles=values[:LIGHTS], mean_edge=int(values[LIGHTS]))


def reduced(content: Tensor, size: tuple[int, int]) -> Tensor:
    """The content (H, W, channels) brought to this size: (3, height, width) uint8. Means of the pixels under each.

    In whole numbers, so that the number of threads changes nothing.
    """
    height, width = size
    result = torch.empty(3, height, width, dtype=torch.uint8)
    most = max(1, PIXELS_AT_ONCE // content.shape[1] * height // content.shape[0])
    for top in range(0, height, most):
        rows = range(top, min(height, top + most))
        first, last = rows.start * content.shape[0] // height, -(-rows.stop * content.shape[0] // height)
        part = (as_rgb(content[first:last], white_of(content))[0] * 65535).round().double()
        narrow = _means(part, range(width), width, content.shape[1], 0).transpose(1, 2)
        means = _means(narrow, rows, height, content.shape[0], first).transpose(1, 2)
        result[:, rows.start : rows.stop] = (means / 257).round().to(torch.uint8)
    return result


def _means(values: Tensor, wanted: range, count: int, side: int, first: int) -> Tensor:
    """Rounded means along the last axis, which holds pixels of a side from `first` on: those `wanted` of `count`."""
    numbers = torch.tensor(wanted)
    begin = (numbers * side).div(count, rounding_mode="floor") - first
    end = -((-(numbers + 1) * side).div(count, rounding_mode="floor")) - first
    sums = F.pad(values.cumsum(-1), (1, 0))
    return ((sums[..., end] - sums[..., begin]) / (end - begin)).round()
