"""The sheet of the starter library: a piece of each material, painted by its quilt and lit by a low sun.

The light is ours: a sun from the upper right with cast shadows, a sky that the ambient occlusion dims, Lambert's
diffuse part and the GGX lobe of Walter et al. 2007 with Schlick's Fresnel term. There are no bounces.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from server.model.maps import BASE_COLOUR, HEIGHT, NORMAL, OCCLUSION, ROUGHNESS
from server.model.starter import RELIEF, StarterMaterial
from server.model.torus import Size, Window
from server.network.model_file import read_model
from server.network.texture import texture_bytes
from trainer.judge.pictures import Picture, laid_out
from trainer.starter.fields import Field
from trainer.starter.surface import encoded

SHOWN_M = 1.0  # of each material
WIDEST = 1.5  # times the width of its swatch
CELL = 400  # pixels
ROW = 4  # cells
PAINTED = 2048  # pixels, side of the texture of which a piece is shown
SUN = (35.0, 28.0)  # degrees: where from, counter-clockwise from the right; above the surface
SUNLIGHT = (4.8, 4.46, 3.94)
SKYLIGHT = (0.56, 0.68, 0.90)
GROUND = (0.27, 0.23, 0.20)  # what a wall gets from below
SHADOW_M = 0.0008  # a place that much deeper than the shadow's edge is all dark


def starter_sheet(folder: Path, materials: Sequence[StarterMaterial]) -> Picture:
    """Of those whose model is in the folder. Raises BrokenModel."""
    cells = [
        (f"{each.name}, {min(SHOWN_M, WIDEST * each.metres):g} m", piece(each.path(folder), each.metres))
        for each in materials
        if each.path(folder).exists()
    ]
    rows = [cells[first : first + ROW] for first in range(0, len(cells), ROW)]
    return laid_out(rows, "The starter library: a piece of each material, painted by its model and lit by a low sun")


def piece(path: Path, metres: float, seed: int = 1) -> Picture:
    """Of a texture of this model, whose swatch is so many metres wide: (CELL, CELL, 3). Raises BrokenModel."""
    model = read_model(path)
    generator = model.texture_generator()
    pixel = metres / model.swatch.width
    side = round(min(SHOWN_M, WIDEST * metres) / pixel)
    planes = texture_bytes(generator, seed, Size(PAINTED, PAINTED), Window(0, 0, side, side))
    maps = {each.name: _unit(plane) for each, plane in zip(generator.maps, planes, strict=True)}
    relief = model.training.get(RELIEF, 0.0)
    seen = lit(maps, float(relief) if isinstance(relief, int | float) else 0.0, pixel)
    small = [
        np.asarray(Image.fromarray(channel).resize((CELL, CELL), Image.Resampling.BOX))
        for channel in np.moveaxis(seen.astype(np.float32), 2, 0)
    ]
    return (encoded(_toned(np.stack(small, 2))) * 255 + 0.5).clip(0, 255).astype(np.uint8)


def _unit(plane: torch.Tensor) -> Field:
    values = plane.numpy()
    unit: Field = values.astype(np.float32) / np.iinfo(values.dtype).max
    return unit


def lit(maps: Mapping[str, Field], relief: float, pixel: float) -> Field:
    """Light that a camera in front of the surface gets, (H, W, 3), linear.

    `maps`: (H, W, channels) in [0, 1]; `relief`: metres of their height; `pixel`: metres of a pixel. The picture wraps.
    """
    colour = maps[BASE_COLOUR.name]
    colour = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    normal = maps[NORMAL.name] * 2 - 1
    normal = normal / np.linalg.norm(normal, axis=2, keepdims=True)
    turn, rise = np.radians(SUN)
    sun = np.array([np.cos(rise) * np.cos(turn), np.cos(rise) * np.sin(turn), np.sin(rise)], np.float32)
    half = sun + np.array([0, 0, 1], np.float32)
    half = half / np.linalg.norm(half)
    n_l, n_h = (np.clip(normal @ way, 0, 1)[..., None] for way in (sun, half))
    n_v = np.clip(normal[..., 2:], 0.05, 1)
    rough = maps[ROUGHNESS.name].clip(0.05, 1)
    a2 = rough**4
    k = a2**0.5 / 2
    lobe = a2 / (np.pi * (n_h**2 * (a2 - 1) + 1) ** 2) / ((n_l * (1 - k) + k) * (n_v * (1 - k) + k) + 1e-4) / 4
    fresnel = 0.04 + 0.96 * (1 - half[2]) ** 5
    direct = _sunny(maps[HEIGHT.name][..., 0] * relief, pixel, turn, rise)[..., None] * n_l * np.array(SUNLIGHT)
    up = normal[..., 1:2] / 2 + 0.5
    around = maps[OCCLUSION.name] * (np.array(SKYLIGHT) * up + np.array(GROUND) * (1 - up))
    mirrored = np.where(2 * normal[..., 2:] * normal[..., 1:2] > 0, np.array(SKYLIGHT), np.array(GROUND))
    glossy = mirrored * maps[OCCLUSION.name] * (1 - rough) ** 1.5 * (0.04 + 0.3 * (1 - normal[..., 2:]) ** 3)
    seen: Field = colour * (direct / np.pi + around) + direct * np.minimum(lobe * fresnel, 4) + glossy
    return seen


def _sunny(height: Field, pixel: float, turn: float, rise: float) -> Field:
    """The share of the sun's light that gets past what stands towards it."""
    hidden = np.full(height.shape, -1.0)
    for away in (*range(1, 24), *range(24, 72, 3)):
        down, across = -round(away * float(np.sin(turn))), round(away * float(np.cos(turn)))
        ray = np.hypot(down, across) * pixel * np.tan(rise)
        np.maximum(hidden, np.roll(height, (-down, -across), (0, 1)) - height - ray, out=hidden)
    sunny: Field = 1 - np.clip(hidden / SHADOW_M + 0.5, 0, 1)
    return sunny


def _toned(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bright light bends over instead of being cut off."""
    scaled = light * np.float32(1.35)
    toned: NDArray[np.float32] = scaled * (1 + scaled / 4) / (1 + scaled)
    return toned
