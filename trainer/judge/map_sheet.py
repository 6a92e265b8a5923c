"""The sheet of a map set: every map beside the swatch's own, and both lit from two sides, flat and on a ball.

The light is our own small shader: Lambert's diffuse part and the GGX lobe of Walter et al. 2007 with Schlick's Fresnel
term, as in most renderers; no shadows, no bounces. Height has no part in it, since the normals hold its slopes.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from server.model.maps import BASE_COLOUR, METALLIC, NORMAL, OCCLUSION, ROUGHNESS, Map, channels_of, has_map
from server.network.texture import TextureGenerator, texture
from trainer.judge.pictures import Picture, as_picture, laid_out

SIDE = 384
LIGHTS = ((-0.6, 0.5, 0.65), (0.7, 0.2, 0.6))  # x right, y up, z towards the eye
AMBIENT = 0.12


def map_sheet(generator: TextureGenerator, swatch: Tensor, name: str) -> Picture:
    """`swatch`: (1, channels of all maps, H, W) in [0, 1]."""
    maps = generator.maps
    painted = texture(generator, 0, (SIDE, SIDE))
    rows = []
    for caption, pixels in (("the swatch's", swatch[..., :SIDE, :SIDE]), ("seed 0's", painted)):
        rows.append([(f"{caption} {each.name}", _shown(pixels[:, channels_of(maps, each.name)])) for each in maps])
        lit_ones = [
            (f"{caption} lit from the {side}", as_picture(lit(pixels, maps, light)))
            for side, light in zip(("left", "right"), LIGHTS, strict=True)
        ]
        rows.append([*lit_ones, (f"{caption} on a ball", as_picture(ball(pixels, maps, LIGHTS[0])))])
    return laid_out(rows, f"{name}: {', '.join(each.name for each in maps)}")


def _shown(pixels: Tensor) -> Picture:
    return as_picture(pixels.expand(-1, 3, -1, -1))


def lit(pixels: Tensor, maps: Sequence[Map], light: Sequence[float], around: Tensor | None = None) -> Tensor:
    """A flat piece under one distant light, seen straight from above: (1, 3, H, W), sRGB in [0, 1].

    `around`: normals (1, 3, H, W) of a curved surface that carries the map.
    """
    colour = pixels[:, channels_of(maps, BASE_COLOUR.name)] ** 2.2
    normal = _normal(pixels, maps)
    if around is not None:
        normal = _on(around, normal)
    rough, metal, open = (
        pixels[:, channels_of(maps, each.name)] if has_map(maps, each) else torch.full_like(colour[:, :1], usual)
        for each, usual in ((ROUGHNESS, 0.6), (METALLIC, 0.0), (OCCLUSION, 1.0))
    )
    to_light = F.normalize(pixels.new_tensor(light), dim=0)[:, None, None]
    to_eye = pixels.new_tensor([0.0, 0.0, 1.0])[:, None, None]
    half = F.normalize(to_light + to_eye, dim=0)
    n_l, n_v, n_h = ((normal * way).sum(1, keepdim=True).clamp_min(1e-3) for way in (to_light, to_eye, half))
    a2 = rough.clamp_min(0.05) ** 4
    spread = a2 / (torch.pi * ((n_h * n_h) * (a2 - 1) + 1) ** 2)
    k = (rough + 1) ** 2 / 8
    masked = 1 / ((n_l * (1 - k) + k) * (n_v * (1 - k) + k)) / 4
    first = 0.04 * (1 - metal) + colour * metal
    fresnel = first + (1 - first) * (1 - (half * to_eye).sum(0, keepdim=True)) ** 5
    diffuse = colour * (1 - metal) / torch.pi
    seen = (diffuse + spread * masked * fresnel) * n_l * 3.5 + AMBIENT * open * colour
    return seen.clamp(0, 1) ** (1 / 2.2)


def ball(pixels: Tensor, maps: Sequence[Map], light: Sequence[float]) -> Tensor:
    """The same on a ball on a black background."""
    height, width = pixels.shape[2:]
    y, x = np.mgrid[:height, :width]
    x, y = 2.1 * (x + 0.5) / width - 1.05, 1.05 - 2.1 * (y + 0.5) / height
    inside = x * x + y * y < 0.99
    z = np.sqrt(np.clip(1 - x * x - y * y, 0.01, None))
    around = F.normalize(torch.from_numpy(np.stack([x, y, z])[None]).float(), dim=1)
    # A simple projection from above: enough to see how the material reflects light.
    place = torch.from_numpy(np.stack([np.arctan2(x, z), -np.arctan2(y, z)], -1)[None]).float() / (np.pi / 2)
    wrapped = F.grid_sample(pixels, place, mode="bilinear", padding_mode="reflection", align_corners=False)
    return lit(wrapped, maps, light, around) * torch.from_numpy(inside).float()


def _normal(pixels: Tensor, maps: Sequence[Map]) -> Tensor:
    if has_map(maps, NORMAL):
        return F.normalize(pixels[:, channels_of(maps, NORMAL.name)] * 2 - 1, dim=1)
    return torch.zeros_like(pixels[:, :3]) + pixels.new_tensor([0.0, 0.0, 1.0])[:, None, None]


def _on(around: Tensor, normal: Tensor) -> Tensor:
    """Normals of a map on a surface with the normals `around`; the map's x runs right, as far as the surface allows."""
    right = F.normalize(torch.cat([around[:, 2:], torch.zeros_like(around[:, :1]), -around[:, :1]], 1), dim=1)
    up = torch.cross(around, right, dim=1)
    return F.normalize(normal[:, :1] * right + normal[:, 1:2] * up + normal[:, 2:] * around, dim=1)
