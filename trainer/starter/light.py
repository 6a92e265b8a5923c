"""Light on a drawing or a texture, as a camera in front of it sees it: a low sun with cast shadows, and a sky.

The sky is dimmed by the ambient occlusion. Lambert's diffuse part, and the GGX lobe of Walter et al. 2007 with
Schlick's Fresnel term. There are no bounces.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from server.model.maps import BASE_COLOUR, HEIGHT, NORMAL, OCCLUSION, ROUGHNESS
from trainer.judge.pictures import Picture
from trainer.starter.fields import Field
from trainer.starter.surface import encoded

SUN = (35.0, 28.0)  # degrees: where from, counter-clockwise from the right; above the surface
SUNLIGHT = (4.8, 4.46, 3.94)
SKYLIGHT = (0.56, 0.68, 0.90)
GROUND = (0.27, 0.23, 0.20)  # what a wall gets from below
SHADOW_M = 0.0008  # a place that much deeper than the shadow's edge is all dark


def unit(samples: NDArray[np.uint8] | NDArray[np.uint16]) -> Field:
    """Samples of a map as (H, W, channels) in [0, 1]."""
    values: Field = samples.reshape(*samples.shape[:2], -1).astype(np.float32) / np.iinfo(samples.dtype).max
    return values


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


def developed(light: NDArray[np.float32]) -> Picture:
    """Linear light as a picture, (H, W, 3) uint8, sRGB. Bright light bends over instead of being cut off."""
    scaled = light.astype(np.float32) * np.float32(1.35)
    toned = scaled * (1 + scaled / 4) / (1 + scaled)
    return (encoded(toned) * 255 + 0.5).clip(0, 255).astype(np.uint8)
