"""A drawing as a camera above it sees it: in the light of a low sun, with its shadows, and of a blue sky."""

import numpy as np

from server.model.maps import BASE_COLOUR, HEIGHT, OCCLUSION
from trainer.judge.pictures import Picture
from trainer.starter.fields import Field, ink, normals
from trainer.starter.surface import Drawn, encoded

SUN = (-0.69, -0.52, 0.50)  # the way to it, (across, down, up), of unit length
SUNLIGHT, SKYLIGHT = (2.00, 1.86, 1.64), (0.37, 0.43, 0.53)
FARTHEST = 60  # pixels that a shadow may be long


def photograph(drawing: Drawn) -> Picture:
    """(side, side, 3) uint8, sRGB."""
    pixel = drawing.metres / drawing.maps[HEIGHT.name].shape[1]
    height = drawing.maps[HEIGHT.name].astype(np.float32) * np.float32(drawing.relief / 65535)
    stored = drawing.maps[BASE_COLOUR.name].astype(np.float32) / 255
    colour = np.where(stored <= 0.04045, stored / 12.92, ((stored + 0.055) / 1.055) ** 2.4)
    facing = (normals(height, pixel) * ink((SUN[0], -SUN[1], SUN[2]))).sum(2).clip(0, None)
    open_sky = drawing.maps[OCCLUSION.name].astype(np.float32) / 255
    sun, sky = facing * _sunlit(height, pixel), open_sky**1.3
    light = colour * (sun[..., None] * ink(SUNLIGHT) + sky[..., None] * ink(SKYLIGHT))
    whole: Picture = (encoded(light / (1 + 0.25 * light)).clip(0, 1) * 255 + 0.5).astype(np.uint8)
    return whole


def _sunlit(height: Field, pixel: float) -> Field:
    """1 where the sun is seen, 0 in shadows; their borders are soft."""
    lit = np.ones_like(height)
    across, down, up = (each / float(np.hypot(*SUN[:2])) for each in SUN)
    for step in range(1, FARTHEST):
        there = np.roll(height, (-round(down * step), -round(across * step)), (0, 1))
        lit = np.minimum(
            lit, (1 - (there - height - np.float32(up * step * pixel)) / np.float32(0.6 * pixel)).clip(0, 1)
        )
    return lit
