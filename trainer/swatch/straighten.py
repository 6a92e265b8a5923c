"""The part of a picture between four corners, made a rectangle: it crops, and straightens what was taken at an angle.

The four corners of a rectangle in reality and their four images determine a homography, the only map of the plane that
keeps straight lines straight. (Hartley & Zisserman, Multiple View Geometry, 2004, section 2.3.)

Points are (down, across), as fractions of the picture, clockwise from the rectangle's top left. Pixels are sampled by
Pillow with bicubic interpolation; the result has as many as the longer of two opposite sides, so nothing is scaled up
but what was farther away.
"""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from server.errors import TexserverError

LEAST_ANGLE = math.radians(8)  # between two sides at a corner; flatter ones would be stretched beyond use
Point = tuple[float, float]


class UnusableCorners(TexserverError):
    """Four corners between which there is nothing to learn from; the text says what to change."""


@dataclass(frozen=True, kw_only=True)
class Straighten:
    """`aspect`: width over height of the rectangle in reality; None: as the lengths of its sides say.

    Raises UnusableCorners.
    """

    corners: tuple[Point, Point, Point, Point]
    aspect: float | None = None

    def __post_init__(self) -> None:
        if not all(0 <= each <= 1 for corner in self.corners for each in corner):
            raise UnusableCorners("A corner lies outside the picture. Corners are fractions of it, from 0 to 1.")
        if self.aspect is not None and not 1 / 16 <= self.aspect <= 16:
            raise UnusableCorners(f"The aspect is {self.aspect:g}; it must be from 1/16 to 16.")
        for index, (y, x) in enumerate(self.corners):
            (y1, x1), (y2, x2) = self.corners[index - 1], self.corners[(index + 1) % 4]
            cross = (x - x1) * (y2 - y) - (y - y1) * (x2 - x)  # above 0 where the way turns to the right
            if cross <= math.sin(LEAST_ANGLE) * math.hypot(y - y1, x - x1) * math.hypot(y2 - y, x2 - x):
                raise UnusableCorners(
                    "The four corners make no rectangle seen at an angle. Give them clockwise, from the top left on, "
                    "none of them between two others."
                )

    @classmethod
    def parse(cls, text: str, aspect: float | None = None) -> Self:
        """Read "y,x;y,x;y,x;y,x". Raises ValueError, UnusableCorners."""
        try:
            points = [tuple(map(float, point.split(","))) for point in text.split(";")]
            if len(points) != 4 or any(len(point) != 2 for point in points):
                raise ValueError
        except ValueError:
            raise ValueError(
                f"--corners {text[:60]!r} is not four points y,x;y,x;y,x;y,x as fractions of the picture."
            ) from None
        first, second, third, fourth = ((point[0], point[1]) for point in points)
        return cls(corners=(first, second, third, fourth), aspect=aspect)

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the rectangle that is cut from a picture of this height and width."""
        (y1, x1), (y2, x2), (y3, x3), (y4, x4) = ((y * height, x * width) for y, x in self.corners)
        across = max(math.hypot(y2 - y1, x2 - x1), math.hypot(y3 - y4, x3 - x4))
        down = max(math.hypot(y4 - y1, x4 - x1), math.hypot(y3 - y2, x3 - x2))
        if self.aspect is not None:
            across, down = min(across, down * self.aspect), min(down, across / self.aspect)
        return max(1, round(down)), max(1, round(across))

    def picture(self, image: Image.Image) -> Image.Image:
        """The rectangle of a picture in any mode that Pillow interpolates."""
        height, width = self.size(image.height, image.width)
        return image.transform(
            (width, height),
            Image.Transform.PERSPECTIVE,
            self._homography(image.height, image.width),
            Image.Resampling.BICUBIC,
        )

    def values(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """The rectangle of (height, width, channels) float32."""
        planes = [Image.fromarray(np.ascontiguousarray(values[..., each])) for each in range(values.shape[2])]
        return np.stack([np.asarray(self.picture(plane)) for plane in planes], 2)

    def angle(self, height: int, width: int) -> float:
        """By how much the rectangle's top edge falls to the right in a picture of this height and width, in radians."""
        (y1, x1), (y2, x2), *_ = self.corners
        return math.atan2((y2 - y1) * height, (x2 - x1) * width)

    def _homography(self, height: int, width: int) -> tuple[float, ...]:
        """The eight numbers by which Pillow finds a pixel of the picture for one of the rectangle."""
        own_height, own_width = self.size(height, width)
        corners = ((0, 0), (0, own_width), (own_height, own_width), (own_height, 0))
        rows, wanted = [], []
        for (v, u), (down, across) in zip(corners, self.corners, strict=True):
            y, x = down * height, across * width
            rows += [[u, v, 1, 0, 0, 0, -x * u, -x * v], [0, 0, 0, u, v, 1, -y * u, -y * v]]
            wanted += [x, y]
        return tuple(float(each) for each in np.linalg.solve(np.array(rows, float), np.array(wanted, float)))


def turned(normals: Tensor, angle: float) -> Tensor:
    """Normals of a rectangle whose top edge fell by `angle`, in its own axes. (1, 3, H, W) in [0, 1], y up."""
    if not angle:
        return normals
    x, y = (normals[:, each : each + 1] * 2 - 1 for each in range(2))
    own = (math.cos(angle) * x - math.sin(angle) * y, math.sin(angle) * x + math.cos(angle) * y)
    return torch.cat([*((each + 1) / 2 for each in own), normals[:, 2:]], 1)
