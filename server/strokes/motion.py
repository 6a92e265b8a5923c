"""Where each pixel of a frame was in the frame before: estimated coarse to fine, in whole numbers.

Source: Lucas & Kanade, "An iterative image registration technique" (IJCAI 1981), in a pyramid (Bouguet 2001). Differs:
each step is held back where a block shows nothing to hold on to, and medians of steps keep edges of things sharp.

Motions are (2, H, W) int64, down and right, in 1/UNIT of a pixel: from a pixel of the new frame to its place in the
frame before.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from server.strokes.light import boxes, same
from server.strokes.pieces import UNIT

SMALLEST = 12  # pixels of the shorter side of the coarsest pictures
BLOCKS = (17, 9)  # pixels of the side of what is compared, in turn
HELD = 0.1  # added to the mean squares of a block's gradients: noise alone moves nothing
MOST = 2 * UNIT  # of one step
UNEXPLAINED = 12  # a difference of luminance that is none of noise
MOST_UNEXPLAINED = 0.4  # of the pixels: with more the frame begins a new shot


def estimated(before: Tensor, now: Tensor) -> Tensor | None:
    """The motion between two luminances (H, W) uint8 of one size; None where the frames have too little in common."""
    pictures = [(before.double(), now.double())]
    while min(pictures[-1][0].shape) >= 2 * SMALLEST:
        pictures.append((halved(pictures[-1][0]), halved(pictures[-1][1])))
    motion = torch.zeros(2, *pictures[-1][0].shape, dtype=torch.int64)
    for number, (first, second) in enumerate(reversed(pictures)):
        if number:
            motion = 2 * enlarged(motion, (second.shape[0], second.shape[1]))
        across, down = _slopes(second)
        finest = number == len(pictures) - 1 > 0
        for block in BLOCKS if finest else BLOCKS * 2:
            motion = motion - _step(_moved(first, motion) - 16 * second, down, across, block)
            if not finest or block == BLOCKS[-1]:  # there once is enough: it takes longest
                motion = torch.stack([_median(each) for each in motion])
    left = (_moved(pictures[0][0], motion) / 16 - pictures[0][1]).abs()
    return None if float((left > UNEXPLAINED).double().mean()) > MOST_UNEXPLAINED else motion


def halved(pixels: Tensor) -> Tensor:
    """Means of 2 x 2 pixels, rounded down: (H, W) to half the height and width, rounded up."""
    height, width = pixels.shape
    even = F.pad(pixels[None], (0, width % 2, 0, height % 2), mode="replicate")
    return (F.avg_pool2d(even, 2, divisor_override=1)[0] / 4).floor()


def enlarged(motion: Tensor, size: tuple[int, int]) -> Tensor:
    """A motion (2, h, w) at another size, of the nearest pixel; in its own units."""
    for axis, side in enumerate(size, 1):
        numbers = (2 * torch.arange(side) + 1) * motion.shape[axis]
        motion = motion.index_select(axis, numbers.div(2 * side, rounding_mode="floor"))
    return motion


def _slopes(light: Tensor) -> tuple[Tensor, Tensor]:
    """Twice the gradients of a luminance, to the right and down."""
    wide = same(light, 1)
    return wide[1:-1, 2:] - wide[1:-1, :-2], wide[2:, 1:-1] - wide[:-2, 1:-1]


def _step(off: Tensor, down: Tensor, across: Tensor, block: int) -> Tensor:
    """What is to be taken from a motion, where the luminances are so far off, in 1/16: (2, H, W) int64."""
    products = torch.stack([down * down, down * across, across * across, down * off, across * off])
    sums = boxes(same(products, block // 2), block)
    held = HELD * block**2
    first, both, second = sums[0] + held, sums[1], sums[2] + held
    share = UNIT / 8 / (first * second - both * both)  # slopes are doubled, differences in 1/16
    steps = torch.stack([second * sums[3] - both * sums[4], first * sums[4] - both * sums[3]]) * share
    return steps.round().clamp(-MOST, MOST).long()


def _moved(before: Tensor, motion: Tensor) -> Tensor:
    """The frame before where its pixels lie now, in 1/16: whole numbers in [0, 4080]."""
    height, width = before.shape
    lines = []
    for axis, side in enumerate((height, width)):
        line = torch.arange(side) * UNIT
        place = ((line[:, None] if axis == 0 else line) + motion[axis]).clamp(0, (side - 1) * UNIT)
        first = place.div(UNIT, rounding_mode="floor").clamp(max=max(0, side - 2))
        lines.append((first, (first + 1).clamp(max=side - 1), (place - first * UNIT).double()))
    (top, bottom, down), (left, right, across) = lines
    flat = before.flatten()
    above = flat[top * width + left] * (UNIT - across) + flat[top * width + right] * across
    below = flat[bottom * width + left] * (UNIT - across) + flat[bottom * width + right] * across
    return ((above * (UNIT - down) + below * down) / (UNIT * UNIT // 16)).floor()


def _median(values: Tensor) -> Tensor:
    """Of the 5 x 5 pixels around each."""
    wide = F.pad(values[None, None].float(), (2, 2, 2, 2), mode="replicate")
    return F.unfold(wide, 5)[0].median(0).values.view_as(values).long()
