"""Rectangles that cover the pixels of a part of a picture that are wanted, so that little else is painted.

Every rectangle costs something by itself and something for the margin around it, so they are few and compact: strips
with what each needs, joined as long as that saves work.
"""

import numpy as np
from numpy.typing import NDArray

STEP = 64  # rows of a strip; a gap of that many columns may split it
EACH = 14_000  # what a rectangle costs by itself, in pixels painted
MARGIN = 20  # pixels, both sides together

Rectangle = tuple[slice, slice]  # rows, columns


def rectangles(wanted: NDArray[np.bool_]) -> list[Rectangle]:
    """A few rectangles that together cover all true pixels; they may overlap."""
    found = []
    for top in range(0, len(wanted), STEP):
        strip = wanted[top : top + STEP]
        rows = np.flatnonzero(strip.any(1))
        if not len(rows):
            continue
        columns = np.flatnonzero(strip.any(0))
        splits = np.flatnonzero(np.diff(columns) > STEP)
        firsts, lasts = columns[np.append(0, splits + 1)], columns[np.append(splits, len(columns) - 1)]
        across = slice(top + int(rows[0]), top + int(rows[-1]) + 1)
        found += [(across, slice(int(first), int(last) + 1)) for first, last in zip(firsts, lasts, strict=True)]
    while len(found) > 1:
        saved, one, other = max(
            (_cost(found[i]) + _cost(found[j]) - _cost(_around(found[i], found[j])), i, j)
            for j in range(len(found))
            for i in range(j)
        )
        if saved < 0:
            break
        found[one] = _around(found[one], found.pop(other))
    return found


def _cost(rectangle: Rectangle) -> int:
    rows, columns = (int(each.stop - each.start) + MARGIN for each in rectangle)
    return EACH + rows * columns


def _around(one: Rectangle, other: Rectangle) -> Rectangle:
    rows, columns = (slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other, strict=True))
    return rows, columns
