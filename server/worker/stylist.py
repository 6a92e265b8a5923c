"""One picture in a style, block after block, with a pause after each, and smaller blocks where memory is short.

In the pauses the worker reports progress and learns whether anyone still waits. The result is the same as that of
`stylize`, within 1/255 where memory was short. Shapes: as in server/network/stylize.py.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor

from server.model.style_blocks import block_rows, looked_at
from server.model.torus import Window
from server.model.work import Data, StylizePicture
from server.network.model_file import AnyStyle
from server.network.quilted import QuiltedPicture, Wish
from server.network.short_memory import NoMemory, is_out_of_memory
from server.network.style_generator import FrozenStyle, Statistics, StyleGenerator
from server.network.stylize import BLOCK, BLOCK_ON_CUDA, freeze, measure, paint_block
from server.strokes.painter import StyleQuilt

SMALLEST_BLOCK = 64  # pixels a side; if memory is too short for it, the picture fails

Paint = Callable[[Window], Tensor | None]  # a block, (height, width, channels); None where memory is too short for it


class Stylist:
    """Paints one picture. `make_room` is called when memory was too short, before another try or smaller blocks."""

    def __init__(self, item: StylizePicture, make_room: Callable[[], None]) -> None:
        self.content = _pixels(item.content, item.dtype).reshape(*item.shape)
        self.size: tuple[int, int] = (self.content.shape[0], self.content.shape[1])
        self.result = torch.empty(*self.size, max(3, self.content.shape[2]), dtype=self.content.dtype)
        self._used = b""  # the statistics
        self._carry = b""  # for the next frame
        self._item = item
        self._make_room = make_room

    def blocks(self, style: AnyStyle) -> Iterator[int]:
        """Paint it; after each block, how many pixels are done. Raises NoMemory."""
        yield from self._sewn(style) if isinstance(style, StyleQuilt) else self._painted(style)

    def _sewn(self, style: StyleQuilt) -> Iterator[int]:
        item = self._item
        wish = Wish(
            seed=item.seed,
            strength=item.strength,
            keep_colours=item.keep_colours,
            noise=item.noise,
            stroke=item.stroke,
        )
        picture = QuiltedPicture(style, self.content, wish, item.statistics, bytes(item.carry), sequence=item.sequence)
        self._used = picture.statistics
        pixels = self.size[0] * self.size[1]
        done = 0
        for share in picture.planning():
            done = int(pixels * share)
            yield done
        before, rows = done, 0
        for band in picture.bands():
            self.result[rows : rows + len(band)] = band
            rows += len(band)
            yield before + (pixels - before) * rows // self.size[0]
        if item.sequence:
            self._carry = picture.carry

    def _painted(self, generator: StyleGenerator) -> Iterator[int]:
        frozen = self._frozen(generator)
        side = BLOCK_ON_CUDA if generator.skip.device.type == "cuda" else BLOCK
        done = 0
        for row in block_rows(self.size, Window(0, 0, *self.size), generator.stride, side):
            for block in row:
                painted = in_halves(partial(self._block, frozen), block.place, generator.stride)[block.source]
                self.result[block.target] = painted
                done += painted.shape[0] * painted.shape[1]
                yield done

    def answer(self) -> list[memoryview]:
        """The samples, the statistics, and in a sequence what the next frame takes from this one, once all blocks are
        painted.
        """
        carry = [memoryview(self._carry)] if self._item.sequence else []
        return [self.result.numpy().data.cast("B"), memoryview(self._used), *carry]

    def _frozen(self, generator: StyleGenerator) -> FrozenStyle:
        for _ in range(2):
            try:
                statistics = self._statistics(generator)
                self._used = statistics.to_bytes()
                return freeze(generator, statistics, self._item.strength)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            self._make_room()  # here, where the failed one's tensors are gone
        raise NoMemory

    def _statistics(self, generator: StyleGenerator) -> Statistics:
        item = self._item
        if item.statistics:
            return Statistics.from_bytes(item.statistics, generator.architecture)
        return measure(generator, self.content, item.seed, item.strength, noise=item.noise)

    def _block(self, frozen: FrozenStyle, place: Window) -> Tensor | None:
        part = looked_at(self.size, place, frozen.generator.halo)
        seen = self.content[part.top : part.top + part.height, part.left : part.left + part.width]
        item = self._item
        keep = item.keep_colours
        try:
            return paint_block(frozen, seen, part, self.size, place, item.seed, keep_colours=keep, noise=item.noise)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        self._make_room()
        return None


def in_halves(paint: Paint, place: Window, stride: int) -> Tensor:
    """The block, or both halves of it on half the memory, and so on. Raises NoMemory at the smallest."""
    painted = paint(place)
    if painted is not None:
        return painted
    longer = max(place.height, place.width)
    first = longer // 2 // stride * stride
    if first < SMALLEST_BLOCK:
        raise NoMemory
    half = partial(in_halves, paint, stride=stride)
    if place.height == longer:
        below = Window(place.top + first, place.left, place.height - first, place.width)
        return torch.cat((half(Window(place.top, place.left, first, place.width)), half(below)), 0)
    right = Window(place.top, place.left + first, place.height, place.width - first)
    return torch.cat((half(Window(place.top, place.left, place.height, first)), half(right)), 1)


def _pixels(samples: Data, dtype: str) -> Tensor:
    """Samples as a tensor, where they lie if possible."""
    array = np.frombuffer(samples, "u1" if dtype == "uint8" else "<u2")
    if dtype != "uint8" or not array.flags.writeable:  # a frame may be unaligned, and torch wants memory it may write
        array = array.astype(dtype)
    return torch.from_numpy(array)
