"""Captions and signatures on a painting: a compact block of thin strokes on a plain ground, near a border.

What is thin stands out when a picture is closed (or opened) by a square: dark strokes on light ground, or light ones
on dark. Strokes near each other are a block. It is taken for writing if it is small and near a border, if there are
several strokes, or a line around it, and if its ground and what lies around it are plain. Strokes of paint, foam or
leaves have no plain ground around them; a signature among them is not found.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from server.strokes.light import luminance
from trainer.strokes.hygiene import Rectangle

SIDE = 1024  # of the picture in which is looked, at most; lengths below are in its pixels
THICK = 15  # strokes are thinner
STANDS_OUT = 30  # of 255, from the ground
NEAR = 4  # strokes are a block if they are at most twice so far from each other
CELL = 3
BORDER = 0.004, 0.09  # of the picture's longer side, from the border: at least and at most
LEAST, MOST = 22, 0.33  # the longer side of a block, and its share of a side of the picture
MOST_AREA = 0.04  # of the picture
INK = 0.18, 0.55  # the share of a block that is strokes
STRONG = 50, 75  # the median and the strongest tenth of strokes stand out so much
STROKES, STROKE = 4, 8  # so many strokes of so many pixels each
PLAIN = 10.0  # deviation of what lies around a block, in steps of 8 bits
GROUND = 0.8, 16.0  # so many pixels of a block's ground are so near its usual light
AROUND = 3, 9  # pixels from a block
ALONG = 0.8  # of each side of a block that a line around it covers
EDGE = 5  # pixels within which such a line lies
WIDER = 4  # a block is left out with so many pixels around it


def captions(pixels: Tensor) -> list[Rectangle]:
    """Where writing stands on a picture (3, H, W) uint8, in its pixels. Rectangles that overlap are one."""
    scale = max(1.0, max(pixels.shape[1:]) / SIDE)
    light = luminance(pixels).float()[None, None] / 16
    if scale > 1:
        light = F.interpolate(light, size=[round(side / scale) for side in pixels.shape[1:]], mode="area")
    found: list[Rectangle] = []
    for sign in (1, -1):
        for block in _writing(sign * light[0, 0]):
            wide = Rectangle(block.top - WIDER, block.left - WIDER, block.height + 2 * WIDER, block.width + 2 * WIDER)
            for other in [each for each in found if _gap(each, wide) < 0]:
                found.remove(other)
                wide = _around(wide, other)
            found.append(wide)
    return [_scaled(each, scale, pixels.shape[1], pixels.shape[2]) for each in found]


def _scaled(block: Rectangle, scale: float, height: int, width: int) -> Rectangle:
    top, left = max(0, int(block.top * scale)), max(0, int(block.left * scale))
    bottom = min(height, int((block.top + block.height) * scale + 0.999))
    right = min(width, int((block.left + block.width) * scale + 0.999))
    return Rectangle(top, left, bottom - top, right - left)


def _gap(one: Rectangle, other: Rectangle) -> int:
    """Pixels between two rectangles; below 0 where they overlap."""
    down = max(one.top, other.top) - min(one.top + one.height, other.top + other.height)
    across = max(one.left, other.left) - min(one.left + one.width, other.left + other.width)
    return max(down, across)


def _around(one: Rectangle, other: Rectangle) -> Rectangle:
    top, left = min(one.top, other.top), min(one.left, other.left)
    bottom = max(one.top + one.height, other.top + other.height)
    return Rectangle(top, left, bottom - top, max(one.left + one.width, other.left + other.width) - left)


def _writing(light: Tensor) -> list[Rectangle]:
    """Blocks of dark writing in a luminance (H, W), and single strokes and words beside them."""
    ground = -_largest(-_largest(light, THICK), THICK)
    contrast = ground - light
    ink = contrast > STANDS_OUT
    likely = [
        block
        for block in _blocks(ink)
        if _is_small(block, light.shape) and _is_strong(block.within(contrast)) and _is_plain(block, light, ink)
    ]
    found = [
        block for block in likely if max(block.height, block.width) >= LEAST and _are_strokes(block.within(contrast))
    ]
    for block in found:  # which grows meanwhile
        reach = min(block.height, block.width)
        found += [each for each in likely if each not in found and _gap(block, each) <= reach]
    return found


def _largest(values: Tensor, side: int) -> Tensor:
    """The largest of side x side pixels around each."""
    wide = F.max_pool2d(values[None, None], (1, side), stride=1, padding=(0, side // 2))
    return F.max_pool2d(wide, (side, 1), stride=1, padding=(side // 2, 0))[0, 0]


def _blocks(ink: Tensor) -> Iterator[Rectangle]:
    """Rectangles of strokes that are near each other."""
    grown = _largest(ink.float(), 2 * NEAR + 1)
    cells = F.max_pool2d(grown[None, None], CELL, ceil_mode=True)[0, 0] > 0
    for rows, columns in _components(cells):
        top, left = min(rows) * CELL, min(columns) * CELL
        part = ink[top : (max(rows) + 1) * CELL, left : (max(columns) + 1) * CELL]
        member = torch.zeros(cells.shape, dtype=torch.bool)
        member[rows, columns] = True
        own = member.repeat_interleave(CELL, 0).repeat_interleave(CELL, 1)[top:, left:]
        down, across = (part & own[: part.shape[0], : part.shape[1]]).nonzero().unbind(1)
        if len(down):
            first, begin = int(down.min()), int(across.min())
            yield Rectangle(top + first, left + begin, int(down.max()) - first + 1, int(across.max()) - begin + 1)


def _components(cells: Tensor) -> Iterator[tuple[list[int], list[int]]]:
    """Rows and columns of what hangs together in (H, W) bool, by sides and corners."""
    left = {(row, column) for row, column in cells.nonzero().tolist()}
    while left:
        waiting, rows, columns = [left.pop()], [], []
        while waiting:
            row, column = waiting.pop()
            rows.append(row)
            columns.append(column)
            for beside in ((row + down, column + across) for down in (-1, 0, 1) for across in (-1, 0, 1)):
                if beside in left:
                    left.remove(beside)
                    waiting.append(beside)
        yield rows, columns


def _is_small(block: Rectangle, size: torch.Size) -> bool:
    """Whether it is, and near a border."""
    height, width = size
    away = min(block.top, block.left, height - block.top - block.height, width - block.left - block.width)
    return (
        BORDER[0] * max(size) <= away <= BORDER[1] * max(size)
        and block.height <= MOST * height
        and block.width <= MOST * width
        and block.height * block.width <= MOST_AREA * height * width
    )


def _is_strong(contrast: Tensor) -> bool:
    """Whether there is as much as writing has, and it stands out."""
    ink = contrast > STANDS_OUT
    strength = contrast[ink].quantile(torch.tensor([0.5, 0.9]))
    return INK[0] <= float(ink.float().mean()) <= INK[1] and bool((strength >= torch.tensor(STRONG)).all())


def _are_strokes(contrast: Tensor) -> bool:
    """Whether there are several strokes, or a line around."""
    ink = contrast > STANDS_OUT
    sides = ink[:EDGE].any(0), ink[-EDGE:].any(0), ink[:, :EDGE].any(1), ink[:, -EDGE:].any(1)
    if all(float(each.float().mean()) >= ALONG for each in sides):
        return True
    return sum(len(rows) >= STROKE for rows, _ in _components(ink)) >= STROKES


def _is_plain(block: Rectangle, light: Tensor, ink: Tensor) -> bool:
    rings = [
        (
            slice(max(0, block.top - more), block.top + block.height + more),
            slice(max(0, block.left - more), block.left + block.width + more),
        )
        for more in AROUND
    ]
    around = torch.zeros_like(ink)
    around[rings[1]] = True
    around[rings[0]] = False
    ground = block.within(light)[block.within(_largest(ink.float(), 3)) == 0]
    if float(light[around].std()) > PLAIN or not len(ground):
        return False
    return float((ground - ground.median()).abs().quantile(GROUND[0])) <= GROUND[1]
