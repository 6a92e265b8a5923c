"""A pile over the torus: things fall on what lies there already, and hide what lies below them.

A pile is drawn with `FINE` samples per pixel and axis and averaged at the end, so that outlines are smooth.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainer.starter.fields import Canvas, Colour, Field, Mask, Patch
from trainer.starter.surface import Surface

FINE = 2
STEEPEST = 0.18  # metres up for each metre along, of what lies on others


class Points(NamedTuple):
    """Places in metres from the top and the left of the canvas, and up."""

    y: Field
    x: Field
    z: Field


class Pile:
    """What lies on the ground so far: height in metres, colour in linear light, roughness."""

    def __init__(self, canvas: Canvas, ground: Surface) -> None:
        """`ground` has the canvas's pixels."""
        self.canvas = dataclasses.replace(canvas, side=canvas.side * FINE)
        self.height: Field = _finer(canvas, ground.height)
        self.colour: Colour = ground.colour.repeat(FINE, 0).repeat(FINE, 1)
        self.roughness: Field = ground.roughness.repeat(FINE, 0).repeat(FINE, 1)

    def low_place(self, random: np.random.Generator, reach: float, tries: int) -> tuple[float, float]:
        """The lowest of some random places (y, x) in metres; judged by the highest point within about `reach`."""
        places = random.uniform(0, self.canvas.metres, (2, tries, 1))
        around = np.array([[0, -0.6, 0.6, 0, 0], [0, 0, 0, -0.6, 0.6]])[:, None] * reach
        row, column = ((places + around) / self.canvas.pixel).astype(np.int64) % self.canvas.side
        best = int(np.argmin(self.height[row, column].max(1)))
        return float(places[0, best, 0]), float(places[1, best, 0])

    def rest(self, patch: Patch, bottom: Field, inside: Mask, share: float) -> float:
        """How high a thing lies whose lower side is `bottom`, so that `share` of it is above what lies there.

        What is pressed in a little lies firmly; 1 would be the first touch.
        """
        gaps = (self.height[patch.at] - bottom)[inside]
        place = min(int(share * len(gaps)), len(gaps) - 1)
        return float(np.partition(gaps, place)[place])

    def put(self, patch: Patch, top: Field, inside: Mask) -> Mask:
        """Raise the pile to a thing's upper side. Returns where in the patch the thing is seen."""
        below = self.height[patch.at]
        seen: Mask = inside & (top > below)
        self.height[patch.at] = np.where(seen, top, below)
        return seen

    def paint(self, patch: Patch, seen: Mask, colour: Colour, roughness: Field | float) -> None:
        """Colour what is seen of a thing: `colour` is (pixels seen, 3), `roughness` (pixels seen,) or one number."""
        places = (patch.at[0] * self.canvas.side + patch.at[1])[seen]
        self.colour.reshape(-1, 3)[places] = colour
        self.roughness.reshape(-1)[places] = roughness

    def lie(self, points: Points, share: float) -> Points:
        """A thing made of points, its height from its own zero, as it lies: tilted like the ground, at rest on it."""
        some = slice(None, None, max(1, len(points.z) // 400))
        y, x = points.y[some] - points.y.mean(), points.x[some] - points.x.mean()
        gaps = self.height.reshape(-1)[self._places(points)[some]] - points.z[some]
        (level, down, right), *_ = np.linalg.lstsq(np.stack([np.ones_like(y), y, x], 1), gaps, rcond=None)
        down, right = np.clip((down, right), -STEEPEST, STEEPEST)
        plane = np.float32(level) + np.float32(down) * y + np.float32(right) * x
        left = np.quantile(gaps - plane, share)
        z = points.z + np.float32(level + left) + np.float32(down) * (points.y - points.y.mean())
        return Points(points.y, points.x, z + np.float32(right) * (points.x - points.x.mean()))

    def scatter(self, points: Points, colour: Colour, roughness: Field | float) -> None:
        """Show a thing made of points, less than 0.7 samples apart, where they are higher than what lies there."""
        places = self._places(points)
        height = self.height.reshape(-1)
        np.maximum.at(height, places, points.z)
        seen = height[places] == points.z
        self.colour.reshape(-1, 3)[places[seen]] = colour[seen]
        self.roughness.reshape(-1)[places[seen]] = roughness[seen] if isinstance(roughness, np.ndarray) else roughness

    def _places(self, points: Points) -> NDArray[np.int64]:
        row, column = (
            (each / np.float32(self.canvas.pixel)).astype(np.int64) % self.canvas.side for each in points[:2]
        )
        return row * self.canvas.side + column

    def surface(self) -> Surface:
        """What is seen, with the pixels of the canvas."""
        return Surface(height=coarser(self.height), colour=coarser(self.colour), roughness=coarser(self.roughness))


def coarser(field: Field) -> Field:
    """The means of FINE x FINE samples."""
    side = len(field) // FINE
    means: Field = field.reshape(side, FINE, side, FINE, *field.shape[2:]).mean((1, 3))
    return means


def _finer(canvas: Canvas, field: Field) -> Field:
    """Without steps, by means of what lies halfway."""
    fine = field.repeat(FINE, 0).repeat(FINE, 1)
    for axis in (0, 1):
        fine = (2 * fine + np.roll(fine, 1, axis) + np.roll(fine, -1, axis)) / 4
    return fine.astype(np.float32)
