"""Normals leave a generator with unit length, which a network hits only nearly and shaders count on.

Pixels of all maps: (B, C, H, W), channels in the order of the maps. A normal n is painted as p = n / 2 + 1 / 2.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from server.maps import NORMAL_NAME, Map

SHORTEST = 1e-6  # a normal shorter than this points nowhere


def finished(pixels: Tensor, maps: Sequence[Map]) -> Tensor:
    """The pixels with the map `normal` of unit length; without one, as they are.

    Each pixel by itself, so windows agree as before. Gradients pass, and the pixels given stay as they are.
    """
    if all(each.name != NORMAL_NAME for each in maps):
        return pixels
    parts = torch.split(pixels, [each.channels for each in maps], 1)
    return torch.cat(
        [_unit(part) if each.name == NORMAL_NAME else part for each, part in zip(maps, parts, strict=True)], 1
    )


def _unit(pixels: Tensor) -> Tensor:
    """(B, 3, H, W): what points nowhere points straight up."""
    normals = 2 * pixels - 1
    squares = normals.square().sum(1, keepdim=True)
    nowhere = squares < SHORTEST**2
    up = normals.new_tensor([0.0, 0.0, 1.0])[:, None, None]
    lengths = torch.where(nowhere, 1.0, squares).sqrt()  # chosen before the root, whose gradient at 0 is infinite
    return torch.where(nowhere, up, normals / lengths) / 2 + 0.5
