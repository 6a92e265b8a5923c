"""Normals that agree with the height map and have unit length, as shaders expect.

If a generator paints both maps, its normals are the slope of its height plus a detail. What it paints as a normal is
only that detail, so normals and height cannot contradict each other by more.

Pixels of all maps: (B, C, H, W), channels in the order of the maps. A normal n is painted as p = n / 2 + 1 / 2. A
surface z = k h(x, y) has the normal (-k dh/dx, -k dh/dy, 1), scaled to unit length; k is its steepness, in pixels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from server.model.maps import HEIGHT_NAME, NORMAL_NAME, Map

SHORTEST = 1e-6  # a normal shorter than this points nowhere
RELIEF_MARGIN = 1  # pixels around a window whose height its slopes need


def central_steps(height: Tensor) -> Tensor:
    """Central differences per pixel, right and down: (B, 1, H, W) -> (B, 2, H - 2, W - 2)."""
    right = height[..., 1:-1, 2:] - height[..., 1:-1, :-2]
    down = height[..., 2:, 1:-1] - height[..., :-2, 1:-1]
    return torch.cat([right, down], 1) / 2


def on_relief(pixels: Tensor, maps: Sequence[Map], steepness: Tensor) -> Tensor:
    """Add the slope of the height to the normals. The result is RELIEF_MARGIN pixels smaller on every side."""
    parts = dict(zip([each.name for each in maps], torch.split(pixels, [m.channels for m in maps], 1), strict=True))
    steps = central_steps(parts[HEIGHT_NAME].clamp(0, 1)) * steepness
    slope = torch.cat([-steps[:, :1], steps[:, 1:], torch.zeros_like(steps[:, :1])], 1)  # y is up, and rows go down
    inner = {name: part[..., 1:-1, 1:-1] for name, part in parts.items()}
    inner[NORMAL_NAME] = inner[NORMAL_NAME] + slope / 2
    return torch.cat([inner[each.name] for each in maps], 1)


def finished(pixels: Tensor, maps: Sequence[Map]) -> Tensor:
    """Scale the map `normal` to unit length, if there is one.

    Each pixel is scaled by itself, so windows still agree. Gradients pass. The argument is not changed.
    """
    if all(each.name != NORMAL_NAME for each in maps):
        return pixels
    parts = torch.split(pixels, [each.channels for each in maps], 1)
    return torch.cat(
        [_unit(part) if each.name == NORMAL_NAME else part for each, part in zip(maps, parts, strict=True)], 1
    )


def _unit(pixels: Tensor) -> Tensor:
    """(B, 3, H, W). A normal of length zero becomes straight up."""
    normals = 2 * pixels - 1
    squares = normals.square().sum(1, keepdim=True)
    nowhere = squares < SHORTEST**2
    up = normals.new_tensor([0.0, 0.0, 1.0])[:, None, None]
    lengths = torch.where(nowhere, 1.0, squares).sqrt()  # chosen before the root, whose gradient at 0 is infinite
    return torch.where(nowhere, up, normals / lengths) / 2 + 0.5
