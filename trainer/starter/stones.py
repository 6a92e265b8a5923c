"""Stones as bodies: a few faces cut from a block, with worn edges, lying on a flat side as stones do.

A body is where a point is behind all of its faces and within an ellipsoid, which takes the corners off. Its upper side
is the lowest of the faces that look up; where two are nearly as low, a fillet joins them.
"""

import numpy as np
from numpy.typing import NDArray

from trainer.starter.fields import Field

STEEPEST = 0.08  # a face that looks more sideways than this is taken for this

Matrix = NDArray[np.float64]


class Stone:
    """A stone of about `radius` metres, to be looked at from above. Its middle is the origin."""

    def __init__(
        self,
        random: np.random.Generator,
        radius: float,
        *,
        faces: int,
        worn: float,
        flat: tuple[float, float] = (0.45, 0.8),
        tilt: float = 0.35,
    ) -> None:
        """`worn`: 0 is freshly crushed, 1 a pebble. `flat`: thickness by width, from and to. `tilt`: radians."""
        axes = radius * np.array([random.uniform(1.0, 1.4), random.uniform(0.7, 1.0), random.uniform(*flat)])
        turn = _turn(random, tilt)
        normals = (_spread(random, faces) / axes) @ turn.T
        least = STEEPEST / axes[2]
        upright = np.abs(normals[:, 2]) < least
        normals[upright, 2] = np.where(normals[upright, 2] < 0, -least, least)
        self._normals, self._offsets = normals, random.uniform(0.60 + 0.2 * worn, 0.95 + 0.1 * worn, faces)
        self._shape: Matrix = turn @ np.diag(axes**2) @ turn.T
        self._trim = 1.22 - 0.2 * worn
        self._fillet = np.float32((0.02 + 0.16 * worn) * axes[2])
        self.thickness = float(axes[2])
        self.reach = float(np.sqrt(max(self._shape[0, 0], self._shape[1, 1])) * self._trim)

    def sides(self, y: Field, x: Field) -> tuple[Field, Field]:
        """Heights of the upper and the lower side at places in metres; there is a stone where the upper is higher."""
        up = self._normals[:, 2] > 0
        form = np.linalg.inv(self._shape)
        lean = ((form[0, 2] * x + form[1, 2] * y) / form[2, 2]).astype(np.float32)
        across = form[0, 0] * x * x + 2 * form[0, 1] * x * y + form[1, 1] * y * y - self._trim**2
        under_root = lean * lean - (across / form[2, 2]).astype(np.float32)
        beyond = np.where(under_root > 0, np.float32(0), np.float32(100 * self.thickness))
        half = np.sqrt(np.maximum(under_root, 0)) - beyond
        upper = self._lowest(np.concatenate([self._faces(up, y, x), (half - lean)[None]]))
        lower = self._lowest(np.concatenate([-self._faces(~up, y, x), (half + lean)[None]]))
        return upper, -lower

    def _faces(self, which: NDArray[np.bool_], y: Field, x: Field) -> NDArray[np.float32]:
        """The heights of these faces."""
        normals, offsets = self._normals[which], self._offsets[which]
        level = (offsets / normals[:, 2]).astype(np.float32)[:, None, None]
        right, down = ((normals[:, axis] / normals[:, 2]).astype(np.float32)[:, None, None] for axis in (0, 1))
        return np.asarray(level - right * x - down * y)

    def _lowest(self, heights: NDArray[np.float32]) -> Field:
        lowest = heights.min(0)
        total = np.exp((lowest - heights) / self._fillet).sum(0)
        return np.asarray(lowest - self._fillet * np.log(total))


def _turn(random: np.random.Generator, tilt: float) -> Matrix:
    """A rotation by any angle about the vertical, and by about `tilt` radians out of it."""
    lean = random.normal(0, tilt)
    about_x = np.array([[1, 0, 0], [0, np.cos(lean), -np.sin(lean)], [0, np.sin(lean), np.cos(lean)]])
    return np.asarray(_about_z(random) @ about_x @ _about_z(random))


def _about_z(random: np.random.Generator) -> Matrix:
    angle = random.uniform(0, 2 * np.pi)
    return np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])


def _spread(random: np.random.Generator, count: int) -> Matrix:
    """Unit vectors in all directions: a spiral over the sphere, turned and shaken."""
    along = (np.arange(count) + 0.5) / count
    z, angle = 1 - 2 * along, np.pi * (1 + 5**0.5) * np.arange(count)
    around = np.sqrt(1 - z * z)
    vectors = np.stack([around * np.cos(angle), around * np.sin(angle), z], 1) @ _turn(random, np.pi).T
    vectors += random.normal(0, 0.28, vectors.shape)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
