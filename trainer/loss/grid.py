"""The mark of the pixel grid, as a loss: what pixels are like must not depend on where they lie in their cells.

A generator of halving levels upsamples to the nearest cell, so a pixel knows whether it is the first or the second of
its cell of two, of four, of eight. Gram matrices and patches of all places together are blind to what that leaves:
every second column a little sharper, a faint raster of dots. No photograph has such marks, so they are pressed to
nothing whatever the swatch.

Source: our own; the statistics of stationary noise must be stationary.
"""

import torch
from torch import Tensor, nn

from server.model.torus import Axis
from trainer.loss.losses import Place

LEAST = 2 / 255  # of a contrast that counts, for swatches of nearly one colour
SCALES = 3  # cells of two, four and eight pixels
SCALES_ON_A_LATTICE = 1  # joints of a few pixels' period meet the cells of eight unevenly, and would be bent for it
_LEVELS = 8  # any number above SCALES: the last levels of all architectures have the same grids


class GridLoss(nn.Module):
    """Squared spread, over the places in a cell, of mean colour, of contrast and of sharpness.

    Contrast is the mean square of steps from pixel to pixel, sharpness that of bends at a pixel, both along x and y,
    each relative to the swatch's own; measured by the texture's, a haze of fine noise would hide any mark. The mean
    colour counts by half the swatch's standard deviation: a raster of dots is seen long before it measures much.
    """

    units: Tensor

    def __init__(self, swatch: Tensor, scales: int = SCALES) -> None:
        super().__init__()
        self.scales = scales
        strengths, colours = _strengths_and_colours(swatch)
        contrast = strengths.mean(1).clamp_min(LEAST**2)
        self.register_buffer("units", torch.cat((contrast, colours.std(1).clamp_min(LEAST) / 2))[:, None])

    def forward(self, images: Tensor, place: Place) -> Tensor:
        """Images (B, C, H, W) in [0, 1] at their place -> one number, 0 where no place in a cell is special."""
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
    """Squares of steps and bends along x and y, and colours: (4, pixels) and (C, pixels), means of a batch."""
    pixels = images.float()
    middle = pixels[..., 1:-1, 1:-1]
    left, right = pixels[..., 1:-1, :-2], pixels[..., 1:-1, 2:]
    above, below = pixels[..., :-2, 1:-1], pixels[..., 2:, 1:-1]
    differences = (middle - left, middle - above, 2 * middle - left - right, 2 * middle - above - below)
    strengths = torch.stack([difference.square().mean((0, 1)) for difference in differences])
    return strengths.flatten(1), middle.mean(0).flatten(1)


def _places(side: int, start: int, count: int, scales: int) -> list[Tensor]:
    """For cells of 2, 4 and 8 pixels …: where each pixel lies in its cell, from 0 on, along one axis."""
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
