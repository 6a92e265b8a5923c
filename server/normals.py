"""Normal maps leave a generator with unit length, whatever it painted."""

from collections.abc import Sequence

import torch
from torch import Tensor

from server.maps import Map

_SHORTEST = 1e-4


def finished(pixels: Tensor, maps: Sequence[Map]) -> Tensor:
    """What a generator painted, (B, channels of all maps, H, W), with its normals of unit length; gradients pass.

    A normal is stored as (n + 1) / 2. One of no length points straight up.
    """
    parts, first = [], 0
    for each in maps:
        part = pixels[:, first : first + each.channels]
        parts.append(_unit(part) if each.name == "normal" and each.channels == 3 else part)
        first += each.channels
    return pixels if all(each.name != "normal" for each in maps) else torch.cat(parts, 1)


def _unit(stored: Tensor) -> Tensor:
    normals = stored * 2 - 1
    length = normals.square().sum(1, keepdim=True).clamp_min(_SHORTEST**2).sqrt()
    up = normals.new_tensor([0.0, 0.0, 1.0])[:, None, None]
    return (torch.where(length > _SHORTEST, normals / length, up) + 1) / 2
