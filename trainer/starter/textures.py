"""What the faces of small things are covered with: random windows of fields that are drawn once."""

from typing import NamedTuple

import numpy as np

from trainer.starter.fields import Canvas, Field
from trainer.starter.pile import FINE


class Texture(NamedTuple):
    """Clouds, lumps and grains: from slow to fine, each of mean 0 and standard deviation 1."""

    clouds: Field
    lumps: Field
    grains: Field

    def at(self, seen: np.ndarray) -> "Texture":
        """Those of the pixels that are seen."""
        return Texture(*(each[seen] for each in self))


class Textures:
    """Three fields with the samples of a pile on this canvas, which repeat after half of its width."""

    def __init__(
        self,
        canvas: Canvas,
        clouds: tuple[float, float, float],
        lumps: tuple[float, float, float],
        grains: tuple[float, float, float],
    ) -> None:
        """Each: the longest waves and the shortest, in metres, and the slope (`Canvas.noise`)."""
        small = Canvas(side=canvas.side * FINE // 2, metres=canvas.metres / 2, seed=canvas.seed)
        self._side = small.side
        fields = small.noise("clouds", *clouds), small.noise("lumps", *lumps), small.noise("grains", *grains)
        self._whole = Texture(*(np.tile(each, (2, 2)) for each in fields))

    def window(self, random: np.random.Generator, shape: tuple[int, ...]) -> Texture:
        """A window of this height and width, each at most half the canvas's."""
        top, left = random.integers(0, self._side, 2)
        rows, columns = slice(top, top + shape[0]), slice(left, left + shape[1])
        return Texture(*(each[rows, columns] for each in self._whole))
