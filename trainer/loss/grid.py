"""The mark of the pixel grid, as a loss: the statistics of pixels must not depend on their position in a cell.

A generator of halving levels upsamples to the nearest cell, so a pixel knows whether it is the first or the second in
its cell of two, four or eight pixels. This leaves marks: every second column a little sharper, or a faint raster of
dots. Gram matrices and patches, which pool all positions, do not see them. No photograph has such marks, so they are
pressed to nothing whatever the swatch.

Source: our own; the statistics of stationary noise must be stationary.
"""

import torch
from torch import Tensor, nn

from server.model.torus import Axis
from trainer.loss.losses import Place

LEAST = 2 / 255  # smallest contrast that is divided by, for swatches of nearly one colour
SCALES = 3  # cells of two, four and eight pixels
SCALES_ON_A_LATTICE = 1  # joints a few pixels apart meet cells of eight unevenly, and the loss would bend them
_LEVELS = 8  # any number above SCALES: the last levels of all architectures have the same grids


class GridLoss(nn.Module):
    """Squared spread, over the positions in a cell, of mean colour, contrast and sharpness.

    Contrast is the mean square of steps from pixel to pixel, sharpness that of bends at a pixel, both along x and y,
    relative to the swatch's own. (Relative to the texture's own, a haze of fine noise would hide any mark.) Mean colour
    is measured in half the swatch's standard deviation, since the eye sees a weak raster of dots.
    """

    units: Tensor

    def __init__(self, swatch: Tensor, scales: int = SCALES) -> None:
        super().__init__()
        self.scales = scales
        strengths, colours = _strengths_and_colours(swatch)
        contrast = strengths.mean(1).clamp_min(LEAST**2)
        self.register_buffer("units", torch.cat((contrast, colours.std(1).clamp_min(LEAST) / 2))[:, None])

    def forward(self, images: Tensor, place: Place) -> Tensor:
        """Images (B, C, H, W) in [0, 1] at their place -> one number, 0 if all positions in a cell are alike."""
        values = torch.cat(_strengths_and_colours(images))
        rows = _places(place.size.height, place.window.top, place.window.height, self.scales)
        columns = _places(place.size.width, place.window.left, place.window.width, self.scales)
        total = torch.zeros((), device=images.device)
        for scale in range(self.scales):
            side = 2 << scale
            index = (rows[scale][1:-1, None] * side + columns[scale][None, 1:-1]).flatten().to(images.device)
            hits = torch.bincount(index, minlength=side * side)
            sums = torch.zeros(len(values), side * side, device=images.device).index_add(1, index, values)
            spread = (sums / hits.clamp_min(1) - values.mean(1, keepdim=True)) / self.units
            total = total + (spread.square() * (hits / hits.sum())).sum(1).mean()
        return total / self.scales


def _strengths_and_colours(images: Tensor) -> tuple[Tensor, Tensor]:
    """Squares of steps and bends along x and y, and colours: (4, pixels) and (C, pixels), averaged over a batch."""
    pixels = images.float()
    middle = pixels[..., 1:-1, 1:-1]
    left, right = pixels[..., 1:-1, :-2], pixels[..., 1:-1, 2:]
    above, below = pixels[..., :-2, 1:-1], pixels[..., 2:, 1:-1]
    differences = (middle - left, middle - above, 2 * middle - left - right, 2 * middle - above - below)
    strengths = torch.stack([difference.square().mean((0, 1)) for difference in differences])
    return strengths.flatten(1), middle.mean(0).flatten(1)


def _places(side: int, start: int, count: int, scales: int) -> list[Tensor]:
    """The position of each pixel in its cell along one axis, from 0, for cells of 2, 4, 8 … pixels."""
    axis = Axis(side, _LEVELS)
    cells = list(range(start, start + count))
    place = torch.zeros(count, dtype=torch.int64)
    places = []
    for scale in range(scales):
        level = _LEVELS - 1 - scale
        above = [axis.parent(level, cell) for cell in cells]
        second = [axis.parent(level, cell - 1) == parent for cell, parent in zip(cells, above, strict=True)]
        place = place + torch.tensor(second, dtype=torch.int64) * (1 << scale)
        places.append(place)
        cells = above
    return places
