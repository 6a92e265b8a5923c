"""Height, normal and roughness maps guessed from a photograph alone.

They are guesses from light and dark, not measurements. A place that is darker than its surroundings, at several sizes
of surroundings, is taken to lie deeper. This holds for stones, bark, joints and cracks in soft light. It fails where
the colour itself is dark (letters, spots, dark bricks) and where the light comes from one side. Normals are the slopes
of that height. Roughness is taken to be higher where a place is dull and uneven, lower where it is smooth and bright.

Source: "dark is deep" (Langer & Zucker 1994, shape from shading on a cloudy day).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from server.model.maps import HEIGHT, NORMAL, ROUGHNESS
from server.network.normals import central_steps

CAN = (NORMAL.name, HEIGHT.name, ROUGHNESS.name)
LIGHT = (0.2126, 0.7152, 0.0722)  # Rec. 709
REACHES = (2, 4, 8, 16, 32)  # pixels of the surroundings, for a swatch of 384 pixels
STEEP = 0.25  # the mean slope of the normals
NOTE = "Guessed from light and dark: {}. Dark colours become deep, and light from one side tilts everything."


def derived(pixels: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
    """Guess maps by name, (1, channels, H, W) in [0, 1], of a swatch (1, 3, H, W). Beyond its edges it is mirrored."""
    light = (pixels.square() * pixels.new_tensor(LIGHT)[:, None, None]).sum(1, keepdim=True).sqrt()
    height = sum((_standard(light - blurred(light, reach)) * reach**0.5 for reach in REACHES), torch.zeros_like(light))
    height = (0.5 + 0.18 * _standard(blurred(height, 1))).clamp(0, 1)
    found = {}
    if HEIGHT.name in names:
        found[HEIGHT.name] = height
    if NORMAL.name in names:
        steps = central_steps(F.pad(height, (1, 1, 1, 1), mode="reflect"))
        steep = STEEP / steps.square().sum(1).sqrt().mean().clamp_min(1e-6)
        normals = torch.cat([-steep * steps[:, :1], steep * steps[:, 1:], torch.ones_like(height)], 1)
        found[NORMAL.name] = F.normalize(normals, dim=1).add(1).div(2)
    if ROUGHNESS.name in names:
        uneven = blurred((light - blurred(light, 2)).abs(), 3)
        found[ROUGHNESS.name] = (0.65 + 0.1 * _standard(uneven) - 0.08 * _standard(blurred(light, 2))).clamp(0.05, 1)
    return found


def parse_names(text: str) -> tuple[str, ...]:
    """Read a list such as `normal,height` from the command line. Raises ValueError."""
    names = tuple(name.strip() for name in text.split(","))
    if not all(name in CAN for name in names) or len(set(names)) != len(names):
        raise ValueError(
            f"--derive {text!r} is not a list of {', '.join(CAN)}, each at most once. Write for example normal,height."
        )
    return names


def _standard(values: Tensor) -> Tensor:
    return (values - values.mean()) / values.std().clamp_min(1e-6)


def blurred(values: Tensor, reach: int) -> Tensor:
    """Blur with three boxes: nearly a Gaussian of this standard deviation, in pixels."""
    side = 2 * reach + 1
    for _ in range(3):
        values = F.pad(values, (reach,) * 4, mode="reflect")
        for line in ((side, 1), (1, side)):  # a square at once takes far longer
            values = F.avg_pool2d(values, line, 1)
    return values
