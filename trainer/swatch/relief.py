"""The surface's slope, from the normals and from the height of a map set."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from server.model.maps import HEIGHT, NORMAL, Map, channels_of
from server.network.normals import central_steps
from trainer.swatch.derive import blurred

SLOW_PX = 24  # the deviation of a blur
SLOW_SHARE = 0.3  # of a height's standard deviation: if the slow part exceeds it, people are told
STEEPEST = 0.1  # least z of a normal; a smaller one is clamped


def slopes(pixels: Tensor, maps: Sequence[Map], *, wraps: bool = False) -> tuple[Tensor, Tensor]:
    """The normals' slopes and the height's steps, right and down: two (B, 2, h, w) of (B, channels of all maps, H, W).

    A surface z = k h(x, y) has the normal (-k dh/dx, -k dh/dy, 1), scaled to unit length. Steps are central
    differences, per pixel. A torus that wraps gives all of its pixels; any other picture all but those at its edges.
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
    """How many pixels high a height of 1 is, fitted to the normals' slopes by least squares."""
    told, found = slopes(pixels, maps)
    return float((told * found).sum() / found.square().sum().clamp_min(1e-12))


def levelled(height: Tensor, normals: Tensor | None, notes: list[str]) -> dict[str, Tensor]:
    """Remove the slow rise and fall of the height, and from the normals its slope. Returns the maps by name.

    The tori of training are too small for a hill of a hundred pixels: every texture would get a pit and a hill squeezed
    into it. If much was removed, a note says so. Shapes: (1, 1, H, W) and (1, 3, H, W) in [0, 1].
    """
    slow = blurred(height, SLOW_PX)
    if float(slow.std()) > SLOW_SHARE * float(height.std()):
        notes.append(f"Rise and fall of the height over more than about {4 * SLOW_PX} pixels was levelled.")
    found = {HEIGHT.name: (height - slow + slow.mean()).clamp(0, 1)}
    if normals is not None:
        steepness = steepness_of(torch.cat([normals, height], 1), (NORMAL, HEIGHT))
        steps = central_steps(F.pad(slow, (1, 1, 1, 1), mode="replicate")) * steepness
        up = normals * 2 - 1
        z = up[:, 2:].clamp_min(STEEPEST)
        flatter = torch.cat([up[:, :1] + z * steps[:, :1], up[:, 1:2] - z * steps[:, 1:], up[:, 2:]], 1)
        found[NORMAL.name] = F.normalize(flatter, dim=1) / 2 + 0.5
    return found
