"""Four corners in a picture, and the rectangle that they show: for a small view of what the trainer will learn.

The trainer straightens the picture itself, with all its pixels. Corners are fractions of width and height, (x, y) from
the top left, in the order top left, top right, bottom right, bottom left. No bpy here.

Source: the projective map of a square onto a quadrilateral, Heckbert, "Fundamentals of Texture Mapping and Image
Warping" (1989), section 2.2.3.
"""

import math
from collections.abc import Callable, Iterator
from typing import Final

from ..protocol.errors import TexserverError
from ..protocol.wire import Buffer

Point = tuple[float, float]
Corners = tuple[Point, Point, Point, Point]

WHOLE: Final[Corners] = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
SMALLEST: Final = 0.02  # of width and height, that the corners must lie apart
BAND_PIXELS: Final = 8192  # sampled at once, in about 10 ms


class BadCorners(TexserverError):
    """The corners span no rectangle seen from somewhere. The text says what to do."""


def check(corners: Corners) -> None:
    """Raises BadCorners unless they are in the picture, in order, and span a convex area."""
    if any(not (0 <= x <= 1 and 0 <= y <= 1) for x, y in corners):
        raise BadCorners("The corners must lie in the picture, from 0 to 1.")
    for at in range(4):
        (ax, ay), (bx, by), (cx, cy) = (corners[(at + each) % 4] for each in range(3))
        if (bx - ax) * (cy - by) - (by - ay) * (cx - bx) < SMALLEST**2:
            raise BadCorners(
                "The corners must go around an area without a dent: top left, top right, bottom right, bottom left."
            )


def onto(corners: Corners) -> Callable[[float, float], Point]:
    """From a place (x, y) in the rectangle, as fractions, to the place in the picture that it shows."""
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = corners
    sx, sy = x0 - x1 + x2 - x3, y0 - y1 + y2 - y3
    dx1, dy1, dx2, dy2 = x1 - x2, y1 - y2, x3 - x2, y3 - y2
    area = dx1 * dy2 - dx2 * dy1
    g = (sx * dy2 - dx2 * sy) / area
    h = (dx1 * sy - sx * dy1) / area
    a, b, d, e = x1 - x0 + g * x1, x3 - x0 + h * x3, y1 - y0 + g * y1, y3 - y0 + h * y3

    def place(u: float, v: float) -> Point:
        w = g * u + h * v + 1
        return (a * u + b * v + x0) / w, (d * u + e * v + y0) / w

    return place


def size_of(corners: Corners, height: float, width: float) -> tuple[float, float]:
    """Height and width of the rectangle: the mean lengths of its sides in a picture of this size."""

    def length(one: Point, other: Point) -> float:
        return math.hypot((one[0] - other[0]) * width, (one[1] - other[1]) * height)

    across = length(corners[0], corners[1]) + length(corners[3], corners[2])
    down = length(corners[0], corners[3]) + length(corners[1], corners[2])
    return down / 2, across / 2


def proportion(corners: Corners, height: float, width: float) -> float:
    """Height over width of the rectangle, in a picture of this size."""
    down, across = size_of(corners, height, width)
    return down / across


def small_view(picture: Buffer, corners: Corners, most: int) -> Iterator[Buffer | None]:
    """What the corners show, `most` pixels at its longer side: None after each band, and then the picture.

    `picture`: (height, width, 3) uint8. Pixels are the nearest ones: it is only for a glance.
    """
    height, width, _ = picture.shape
    high = proportion(corners, height, width)
    rows, columns = (most, max(1, round(most / high))) if high > 1 else (max(1, round(most * high)), most)
    place, data = onto(corners), memoryview(picture.data)
    found = bytearray()
    for row in range(rows):
        v = (row + 0.5) / rows
        for column in range(columns):
            x, y = place((column + 0.5) / columns, v)
            start = 3 * (min(int(y * height), height - 1) * width + min(int(x * width), width - 1))
            found += data[start : start + 3]
        if row % max(1, BAND_PIXELS // columns) == 0:
            yield None
    yield Buffer(name=picture.name, dtype="uint8", shape=(rows, columns, 3), data=found, colour_space="srgb")
