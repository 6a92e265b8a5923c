"""What the normals and the height of a map set each say of the surface's slope."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from server.maps import HEIGHT, NORMAL, Map
from server.normals import central_steps
from trainer.map_set import channels_of

STEEPEST = 0.1  # of a normal's z, below which its slope is not believed


def slopes(pixels: Tensor, maps: Sequence[Map], *, wraps: bool = False) -> tuple[Tensor, Tensor]:
    """The normals' slopes and the height's steps, right and down: two (B, 2, h, w) of (B, channels of all maps, H, W).

    A surface z = k h(x, y) has the normal (-k dh/dx, -k dh/dy, 1), scaled to unit length. Steps are central
    differences, per pixel. A torus that wraps gives all of its pixels, another picture all but those at its edges.
    """
    normals = pixels[:, channels_of(maps, NORMAL.name)] * 2 - 1
    z = normals[:, 2:].clamp_min(STEEPEST)
    told = torch.cat([-normals[:, :1] / z, normals[:, 1:2] / z], 1)  # y is up, and rows go down
    height = pixels[:, channels_of(maps, HEIGHT.name)]
    if wraps:
        height = F.pad(height, (1, 1, 1, 1), mode="circular")
    else:
        told = told[..., 1:-1, 1:-1]
    return told, central_steps(height)


def steepness_of(pixels: Tensor, maps: Sequence[Map]) -> float:
    """Pixels of height that a height of 1 stands for, by least squares of the normals' slopes."""
    told, found = slopes(pixels, maps)
    return float((told * found).sum() / found.square().sum().clamp_min(1e-12))
