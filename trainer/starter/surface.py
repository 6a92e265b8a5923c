"""What is drawn, and the maps that are made from it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server.model.lattice import Vector
from server.model.maps import BASE_COLOUR, HEIGHT, NORMAL, OCCLUSION, ROUGHNESS
from trainer.starter.fields import Canvas, Colour, Field, normals, occlusion

OCCLUDERS_M = 0.06  # how far away what shades a place may stand
DARKEST, BRIGHTEST = 0.02, 0.85  # of what reflects light diffusely; soot and fresh lime


@dataclass(frozen=True, kw_only=True, eq=False)
class Surface:
    """A drawing: height in metres, colour in linear light without any shading, roughness in [0, 1].

    `periods`: two steps, (down, across) in metres, by which a regular material repeats.
    """

    height: Field
    colour: Colour
    roughness: Field
    periods: tuple[Vector, Vector] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """A drawn material. `maps`: by name, (side, side[, 3]), uint8, the height uint16. `metres`: its width.

    `relief`: metres between the lowest height and the highest, which are 0 and 65535 in the map. `periods`: see
    Surface.
    """

    name: str
    category: str
    metres: float
    relief: float
    maps: Mapping[str, NDArray[np.uint8] | NDArray[np.uint16]]
    periods: tuple[Vector, Vector] | None = None


def drawn(name: str, category: str, canvas: Canvas, surface: Surface) -> Drawn:
    """The maps of a drawing: the normals and the ambient occlusion follow from its height."""
    low, high = float(surface.height.min()), float(surface.height.max())
    relief = max(high - low, 1e-6)
    colour = surface.colour.clip(DARKEST, BRIGHTEST)
    maps: dict[str, NDArray[np.uint8] | NDArray[np.uint16]] = {
        BASE_COLOUR.name: _bytes(encoded(colour)),
        NORMAL.name: _bytes(normals(surface.height, canvas.pixel) / 2 + np.float32(0.5)),
        ROUGHNESS.name: _bytes(surface.roughness),
        OCCLUSION.name: _bytes(occlusion(surface.height, canvas.pixel, OCCLUDERS_M)),
        HEIGHT.name: ((surface.height - low) / relief * 65535 + 0.5).astype(np.uint16),
    }
    return Drawn(name=name, category=category, metres=canvas.metres, relief=relief, maps=maps, periods=surface.periods)


def encoded(light: Colour) -> Colour:
    """Linear light with the transfer curve of sRGB (IEC 61966-2-1)."""
    curve: Colour = np.where(light <= 0.0031308, light * 12.92, 1.055 * light.clip(1e-9, None) ** (1 / 2.4) - 0.055)
    return curve


def _bytes(values: Field) -> NDArray[np.uint8]:
    whole: NDArray[np.uint8] = (values.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    return whole
