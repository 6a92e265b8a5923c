"""A pile over the torus: things fall on what lies there already, and hide what lies below them.

A pile is drawn with `FINE` samples per pixel and axis and averaged at the end, so that outlines are smooth.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainer.starter.fields import Canvas, Colour, Field, Mask, Patch, between
from trainer.starter.surface import Surface

FINE = 2
COARSE = 16  # samples


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

    def mean_height(self) -> float:
        """Of some points all over the pile, in metres."""
        return float(self.height[::16, ::16].mean())

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
        """A limp thing, made of points, as it lies: it follows the ground over some centimetres, and rests on it.

        `points`: its height from its own zero. `share`: of it is above what lies there, as in `rest`.
        """
        ground = self._smooth_ground(points)
        some = slice(None, None, max(1, len(ground) // 600))
        gaps = self.height.reshape(-1)[self._places(points)[some]] - points.z[some] - ground[some]
        return Points(points.y, points.x, points.z + ground + np.float32(np.quantile(gaps, share)))

    def _smooth_ground(self, points: Points) -> Field:
        """The height below points, without what is smaller than about two steps of COARSE samples."""
        count = self.canvas.side // COARSE
        lines = np.arange(count) * self.canvas.side // count
        coarse = self.height[np.ix_(lines, lines)]
        for axis in (0, 1, 0, 1):
            coarse = (2 * coarse + np.roll(coarse, 1, axis) + np.roll(coarse, -1, axis)) / 4
        step = np.float32(self.canvas.metres / count)
        return between(coarse, points.y / step, points.x / step)

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
