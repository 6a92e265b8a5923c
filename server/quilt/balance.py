"""Keeps colour and contrast of a texture those of its swatch, even if few patches make it up.

Prices (trainer/quilt) show all of a swatch alike on the average of many textures. One texture of 4 x 4 patches may
still be redder than its swatch, or calmer. So a place costs more if it takes the mean of the patches nearby away from
the swatch, and less if it brings it back.

On a lattice there are too few places to choose from, and tiles with common edges have prices of their own: there
nothing is balanced.

What is balanced are traits: means, over the middle of a patch, of the strongest features and of how much pixels differ
from their neighbours. All in whole numbers, so every device finds the same.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from server.model.quilt import QuiltArchitecture

COLOURS = 6  # features that are balanced, the strongest
UNIT = 64  # steps of a trait
PARTS = 256  # of a step of a feature, in which traits are measured
PRICE = 400  # of being one spread away, in 1/256 of the median cost, if patches differed as much as pixels do
TOGETHER = 4  # patches that are placed at once and do not know of each other, or all would make up for the same


def make_traits(wide: Tensor, change: Tensor, look: int, settings: QuiltArchitecture) -> Tensor:
    """The traits of all places less those of the swatch: (traits, *settings.places) int64, in 1/UNIT of the geometric
    mean of their spread and that of the swatch's pixels.

    So the squares count in proportion to how much patches differ, over how much pixels do: where patches are alike
    (leaves, gravel) a joint counts more than balance.
    `wide`: features, (F, rows, columns) float32, whole numbers in [-127, 127]; `change`: how much pixels differ, (rows,
    columns), likewise. Both reach `look` pixels beyond the swatch on all sides.
    """
    planes = [*wide[:COLOURS], change]
    apart = torch.stack([_apart(plane, look, settings) for plane in planes])
    spread = apart.square().sum((1, 2)).div(apart[0].numel(), rounding_mode="floor").double().sqrt().long()
    pixels = torch.tensor([_spread(plane, look, settings) for plane in planes], device=apart.device)
    for each in (spread, pixels):
        each[:-1] = each[:-1].max()
    both = (spread * pixels).double().sqrt().long().clamp(min=1)
    return (apart * UNIT).div(both[:, None, None], rounding_mode="floor").cpu()


def _spread(plane: Tensor, look: int, settings: QuiltArchitecture) -> int:
    """How much the swatch's pixels differ from their mean, root mean square, in 1/PARTS."""
    height, width = settings.plan
    swatch = plane[look : look + height, look : look + width].double()
    count = height * width
    return math.isqrt((int(swatch.square().sum()) * count - int(swatch.sum()) ** 2) * PARTS**2 // count**2)


def _apart(plane: Tensor, look: int, settings: QuiltArchitecture) -> Tensor:
    """Means over the middle of the patch at each place less that of the swatch, in 1/PARTS: (rows, columns) int64."""
    height, width = settings.plan
    swatch = int(plane[look : look + height, look : look + width].double().sum())
    pitch, step = settings.pitch, settings.step
    lines = [settings.searched(axis, pitch + 2 * settings.overlap, settings.overlap) for axis in (0, 1)]
    start = look + settings.overlap
    inside = [slice(start + line[0], start + line[-1] + pitch) for line in lines]
    rows = F.avg_pool2d(plane[*inside][None, None], (pitch, 1), (step, 1), divisor_override=1).double()
    sums = F.avg_pool2d(rows, (1, pitch), (1, step), divisor_override=1)[0, 0].long()
    return (sums * PARTS).div(pitch**2, rounding_mode="floor") - swatch * PARTS // (height * width)


def prices(traits: Tensor, nearby: Tensor, standing: Tensor) -> Tensor:
    """What each place costs a patch for the balance of its surroundings, in 1/256 of the median: (patches, rows,
    columns) int64. It may be negative.

    `traits`: of all places, (traits, rows, columns). `nearby`: of the patches around each patch, (traits, patches,
    around), of which those count that are `standing`, (patches, around) bool. With a sum t of N patches, TOGETHER
    patches of traits s leave |t + TOGETHER s|^2 / N; the price is what that adds, for each of them.
    """
    total = (nearby * standing).sum(2)
    added = 2 * (total[:, :, None, None] * traits[:, None]).sum(0) + TOGETHER * traits.square().sum(0)
    shares = PRICE * 256 // (1 + standing.sum(1))
    return (added * shares[:, None, None]).div(256 * UNIT**2, rounding_mode="floor")
