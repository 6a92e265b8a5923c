"""Undoes the filters of a PNG's rows, hundreds of rows at once, with long numbers in place of loops. No bpy here.

A sample needs the one on its left, the one above and the one left of that, so a row cannot be undone at once, but a
diagonal can: the sample of each row that lies one pixel to the left of that of the row above. A diagonal is one long
number of 16 bits a sample; its neighbours are the two diagonals before it, shifted. Some 30 million bytes a second.

Rows are padded with zeros to the length of all diagonals. Zeros stay zeros under every filter, so the samples before
the first pixel are right; those behind the last one are never looked at.

Source: PNG third edition (https://www.w3.org/TR/png-3/), 9 (filters).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

MOST_ROWS: Final = 256  # that are undone at once
_SUB, _UP, _AVERAGE, _PAETH = 1, 2, 3, 4


def undone(rows: Sequence[bytes], above: bytes, step: int) -> list[bytes]:
    """Rows without their filters, whose numbers stand before each. Raises ValueError for a number above 4.

    `above`: the row before them, undone; `step`: bytes of a pixel.
    """
    filters = bytes(row[0] for row in rows)
    if max(filters) > _PAETH:
        raise ValueError("it is damaged")
    predict = _predictor(filters)
    if predict is None:
        return [row[1:] for row in rows]
    found = [bytearray(len(above)) for _ in rows]
    for byte in range(step):  # each byte of a pixel depends on the same byte of others alone
        plane = _plane([row[1 + byte :: step] for row in rows], above[byte::step], predict)
        for row, own in zip(found, plane, strict=True):
            row[byte::step] = own
    return [bytes(row) for row in found]


Predict = Callable[[int, int, int], int]  # of left, above, and left of above


def _plane(rows: Sequence[bytes], above: bytes, predict: Predict) -> list[bytes]:
    """The same for one byte of each pixel."""
    count, width = len(rows), len(above)
    stride = width + count
    filtered = bytearray(2 * stride * count)
    for index, row in enumerate(rows):
        filtered[2 * index * stride : 2 * (index * stride + width) : 2] = row
    given = memoryview(filtered).cast("H")
    result = bytearray(2 * stride * count)
    taken = memoryview(result).cast("H")
    low = _repeated(0xFF, count)
    left = up = corner = 0
    for diagonal, first in enumerate(above + bytes(count - 1)):
        place = slice(diagonal, diagonal + (count - 1) * (stride - 1) + 1, stride - 1)
        corner, up = up, ((left << 16) & low) | first
        left = (int.from_bytes(given[place].tobytes(), "little") + predict(left, up, corner)) & low
        taken[place] = memoryview(left.to_bytes(2 * count, "little")).cast("H")
    return [bytes(result[2 * index * stride : 2 * (index * stride + width) : 2]) for index in range(count)]


def _predictor(filters: bytes) -> Predict | None:
    """What the filters of these rows expect; None if they expect nothing."""
    masks = {
        filter: sum(0xFFFF << 16 * row for row, own in enumerate(filters) if own == filter) for filter in set(filters)
    }
    masks.pop(0, None)
    lanes = _Lanes.of(len(filters))
    kinds: dict[int, Predict] = {
        _SUB: lambda left, up, corner: left,
        _UP: lambda left, up, corner: up,
        _AVERAGE: lambda left, up, corner: ((left + up) >> 1) & lanes.low,
        _PAETH: lanes.paeth,
    }
    parts = [(kinds[filter], mask) for filter, mask in masks.items()]
    if len(parts) < 2:
        return next((_masked(*part) for part in parts), None)

    def predict(left: int, up: int, corner: int) -> int:
        found = 0
        for kind, mask in parts:
            found |= kind(left, up, corner) & mask
        return found

    return predict


def _masked(kind: Predict, mask: int) -> Predict:
    return lambda left, up, corner: kind(left, up, corner) & mask


def _repeated(lane: int, count: int) -> int:
    return int.from_bytes(lane.to_bytes(2, "little") * count, "little")


@dataclass(frozen=True)
class _Lanes:
    """Comparisons of long numbers, each 16 bits for themselves. All lanes are below 2^15."""

    low: int  # 0x00FF in every lane
    high: int  # 0x8000

    @classmethod
    def of(cls, count: int) -> "_Lanes":
        return cls(_repeated(0xFF, count), _repeated(0x8000, count))

    def at_least(self, one: int, other: int) -> int:
        """0xFFFF where a lane of one is not below that of the other, else 0."""
        carried = (((one | self.high) - other) & self.high) >> 15
        return (carried << 16) - carried

    def apart(self, one: int, other: int) -> int:
        """How far the lanes lie apart."""
        swapped = (one ^ other) & self.at_least(one, other)
        return (other ^ swapped) - (one ^ swapped)

    def paeth(self, left: int, up: int, corner: int) -> int:
        """The one of the three that is nearest to left + up - corner; the first of equals, in this order."""
        of_left, of_up = self.apart(up, corner), self.apart(left, corner)
        of_corner = self.apart(left + up, 2 * corner)
        near = corner ^ ((corner ^ up) & self.at_least(of_corner, of_up))
        is_left = self.at_least(of_up, of_left) & self.at_least(of_corner, of_left)
        return near ^ ((near ^ left) & is_left)
