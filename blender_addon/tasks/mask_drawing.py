"""Masks from numbers at the corners of a mesh, drawn into its UV square; and several masks laid over each other.

A mask is rows from top to bottom of one byte a pixel. Where triangles overlap the later one counts. Pixels that no
triangle covers take the nearest in their row, and rows without any the nearest row, so that islands have a margin.
Standard library only, no bpy.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor
from operator import itemgetter
from typing import Final

from ..protocol.blending import MASK_CHANNELS

LAYERED_SIDE: Final = 512  # pixels of the longer side of masks that are laid over each other
_GAP: Final = re.compile(rb"\0+")


@dataclass(frozen=True, kw_only=True)
class Mask:
    """Samples of one channel."""

    height: int
    width: int
    data: bytes

    def scaled(self, height: int, width: int) -> "Mask":
        """The nearest pixels."""
        if (height, width) == (self.height, self.width):
            return self
        columns = [each * self.width // width for each in range(width)]
        pick = itemgetter(*columns) if width > 1 else lambda row: (row[0],)
        starts = [each * self.height // height * self.width for each in range(height)]
        rows = {start: bytes(pick(self.data[start : start + self.width])) for start in dict.fromkeys(starts)}
        return Mask(height=height, width=width, data=b"".join(rows[start] for start in starts))


def ramp(level: float, transition: float, *, invert: bool = False) -> bytes:
    """For bytes.translate: from black to white around `level`, over `transition`, both as shares of all values."""
    half = max(transition / 2, 1 / 512)
    shares = [min(1.0, max(0.0, 0.5 + (each / 255 - level) / (2 * half))) for each in range(256)]
    return bytes(round(255 * (1 - each if invert else each)) for each in shares)


def drawn(height: int, width: int, corners: Sequence[float], values: Sequence[float]) -> Mask:
    """Triangles with a value at each corner, interpolated.

    `corners`: u and v of three corners for each triangle, v upwards. `values`: three for each, from 0 to 1.
    """
    rows = [bytearray(width) for _ in range(height)]
    covered = [bytearray(width) for _ in range(height)]
    for number in range(len(values) // 3):
        at, first = 6 * number, 3 * number
        x0, x1, x2 = (corners[at + each] * width - 0.5 for each in (0, 2, 4))
        y0, y1, y2 = ((1 - corners[at + each]) * height - 0.5 for each in (1, 3, 5))
        v0, v1, v2 = (255 * values[first + each] for each in (0, 1, 2))
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        top, bottom = max(0, ceil(min(y0, y1, y2))), min(height - 1, floor(max(y0, y1, y2)))
        if top > bottom or abs(area) < 0.5:  # smaller than a pixel: its middle
            row, column = round((y0 + y1 + y2) / 3), round((x0 + x1 + x2) / 3)
            if 0 <= row < height and 0 <= column < width:
                rows[row][column], covered[row][column] = _byte((v0 + v1 + v2) / 3), 1
            continue
        across = ((v1 - v0) * (y2 - y0) - (v2 - v0) * (y1 - y0)) / area
        down = ((v2 - v0) * (x1 - x0) - (v1 - v0) * (x2 - x0)) / area
        edges = [
            (*sorted((a[1], b[1])), (b[0] - a[0]) / (b[1] - a[1]), *a)
            for a, b in (((x0, y0), (x1, y1)), ((x1, y1), (x2, y2)), ((x2, y2), (x0, y0)))
            if a[1] != b[1]
        ]
        for row in range(top, bottom + 1):
            meets = [x + (row - y) * slope for low, high, slope, x, y in edges if low <= row <= high]
            if not meets:
                continue
            left, right = max(0, ceil(min(meets))), min(width - 1, floor(max(meets)))
            count = right - left + 1
            if count < 1:
                continue
            value = v0 + (left - x0) * across + (row - y0) * down
            if abs(across * count) < 0.5:
                line = bytes((_byte(value),)) * count
            else:
                line = bytes([_byte(value + each * across) for each in range(count)])
            rows[row][left : right + 1] = line
            covered[row][left : right + 1] = b"\1" * count
    return Mask(height=height, width=width, data=_filled(rows, covered, width))


def _byte(value: float) -> int:
    return 0 if value < 0 else 255 if value > 255 else int(value + 0.5)


def _filled(rows: list[bytearray], covered: list[bytearray], width: int) -> bytes:
    there = [index for index, each in enumerate(covered) if any(each)]
    if not there:
        return bytes(width * len(rows))
    for index in there:
        row = rows[index]
        for gap in _GAP.finditer(bytes(covered[index])):
            start, stop = gap.span()
            before = row[start - 1] if start else row[stop]
            behind = row[stop] if stop < width else before
            middle = (start + stop) // 2
            row[start:stop] = bytes((before,)) * (middle - start) + bytes((behind,)) * (stop - middle)
    nearest = [min(there, key=lambda each: abs(each - index)) for index in range(len(rows))] if there else []
    return b"".join(rows[each] for each in nearest)


def layered(masks: Sequence[Mask]) -> tuple[bytes, tuple[int, int, int]]:
    """The mask of a blend and its shape: `masks` say where the second model, the third, ... lie on those before."""
    if len(masks) == 1:
        (mask,) = masks
        return mask.data, (mask.height, mask.width, 1)
    largest = max(masks, key=lambda each: each.height * each.width)
    scale = min(1.0, LAYERED_SIDE / max(largest.height, largest.width))
    height, width = max(1, round(largest.height * scale)), max(1, round(largest.width * scale))
    channels = MASK_CHANNELS[len(masks) + 1]
    result = bytearray(height * width * channels)
    left = bytes((255,)) * (height * width)  # what is not covered from above
    for number in range(len(masks), 0, -1):
        over = masks[number - 1].scaled(height, width).data
        result[number::channels] = bytes(a * b // 255 for a, b in zip(left, over, strict=True))
        left = bytes(a * (255 - b) // 255 for a, b in zip(left, over, strict=True))
    result[0::channels] = left
    return bytes(result), (height, width, channels)
