"""Another piece of the same texture for each object, without another image.

A texture has no border, so any part of it is as good as another: moved by some texels, it is another piece. A regular
material (bricks, tiles) is moved by whole periods of its pattern, so that its joints stay where they were. Which piece
an object shows follows from its own number: Blender's Object Info > Random, which comes from the object's name, or the
property texserver_piece where somebody has rolled the dice for it. Objects with the same number show the same piece.
"""

from typing import Any, Final

from ..tasks.placement import Lattice, Size, waves
from .wiring import Value, Wiring

PROPERTY: Final = "texserver_piece"  # of an object: a whole number from 1 on
MOST: Final = 2**20  # a property's number, which must stay exact in 32 bits
_MOST_CELLS: Final = 4096

Vector = tuple[float, float, float]


def steps_of(size: Size, lattice: Lattice | None) -> tuple[Vector, Vector, Vector]:
    """By which steps (u, v) the texture may be moved, in repeats of it, and how many of each there are (as a vector).

    On a texture the two waves of a pattern are rounded to whole cycles (server/model/lattice.py). Its steps are what
    moves one of the waves by one cycle and the other by none. Without a pattern the steps are texels.
    """
    height, width = size
    texels = (1 / width, 0.0, 0.0), (0.0, 1 / height, 0.0), (float(width), float(height), 0.0)
    if lattice is None:
        return texels
    (a, b), (c, d) = ((round(down * height), round(across * width)) for down, across in waves(lattice))
    cells = a * d - b * c
    if cells == 0:  # smaller than one period
        return texels
    count = float(min(abs(cells), _MOST_CELLS))
    return (-c / cells, -d / cells, 0.0), (a / cells, b / cells, 0.0), (count, count, 0.0)


def number_of_object(wiring: Wiring, vary: Value) -> Any:
    """The own number of the object that is shaded; 0 for all unless `vary`."""
    random = wiring.node("ShaderNodeObjectInfo").outputs["Random"]
    rolled = wiring.node("ShaderNodeAttribute", attribute_type="OBJECT", attribute_name=PROPERTY).outputs["Fac"]
    none = wiring.math("LESS_THAN", rolled, 0.5)
    number = wiring.math("MULTIPLY_ADD", random, none, rolled)
    return wiring.math("MULTIPLY", number, wiring.math("GREATER_THAN", vary, 0.5))


def piece(wiring: Wiring, number: Value, one: Value, other: Value, counts: Value) -> Any:
    """How far to move the texture on an object with this number, in repeats of it; by nothing for 0."""
    noise = wiring.node("ShaderNodeTexWhiteNoise", noise_dimensions="1D")
    wiring.set(noise.inputs["W"], number)
    chosen = wiring.vector("FLOOR", wiring.vector("MULTIPLY", noise.outputs["Color"], counts))
    first, second, _ = wiring.separate(chosen)
    moved = wiring.vector("ADD", wiring.scale(one, first), wiring.scale(other, second))
    within = wiring.vector("FRACTION", moved)
    return wiring.scale(within, wiring.math("GREATER_THAN", number, 0.0))
