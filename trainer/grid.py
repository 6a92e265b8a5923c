"""The mark of the pixel grid, as a loss: what pixels are like must not depend on where they lie in their cells.

A generator of halving levels upsamples to the nearest cell, so a pixel knows whether it is the first or the second of
its cell of two, of four, of eight. Gram matrices and patches of all places together are blind to what that leaves:
every second column a little sharper, a faint raster of dots. No photograph has such marks, so they are pressed to
nothing whatever the swatch.

Source: our own; the statistics of stationary noise must be stationary.
"""

import torch
from torch import Tensor, nn

from server.torus import Axis
from trainer.losses import Place

SCALES = 3  # cells of two, four and eight pixels
_LEVELS = 8  # any number above SCALES: the last levels of all architectures have the same grids


class GridLoss(nn.Module):
    """Squared spread, over the places in a cell, of mean colour, of contrast and of sharpness; each relative.

    Contrast is the mean square of steps from pixel to pixel, sharpness that of bends at a pixel, both along x and y.
    The mean colour counts by half its standard deviation in the picture: a raster of dots is seen long before its
    contrast measures much.
    """

    def forward(self, images: Tensor, place: Place) -> Tensor:
        """Images (B, C, H, W) in [0, 1] at their place -> one number, 0 where no place in a cell is special."""
        pixels = images.float()
        middle = pixels[..., 1:-1, 1:-1]
        left, right = pixels[..., 1:-1, :-2], pixels[..., 1:-1, 2:]
        above, below = pixels[..., :-2, 1:-1], pixels[..., 2:, 1:-1]
        strengths = torch.stack(
            [
                difference.square().mean((0, 1))
                for difference in (middle - left, middle - above, 2 * middle - left - right, 2 * middle - above - below)
            ]
        ).flatten(1)
        colours = middle.mean(0).flatten(1)
        values = torch.cat((strengths, colours))
        units = torch.cat((strengths.mean(1).clamp_min(1e-8), colours.detach().var(1).clamp_min(1e-6).sqrt() / 2))
        rows = _places(place.size.height, place.window.top, place.window.height)
        columns = _places(place.size.width, place.window.left, place.window.width)
        total = torch.zeros((), device=images.device)
        for scale in range(SCALES):
            side = 2 << scale
            index = (rows[scale][1:-1, None] * side + columns[scale][None, 1:-1]).flatten().to(images.device)
            hits = torch.bincount(index, minlength=side * side)
            sums = torch.zeros(len(values), side * side, device=images.device).index_add(1, index, values)
            spread = (sums / hits.clamp_min(1) - values.mean(1, keepdim=True)) / units[:, None]
            total = total + (spread.square() * (hits / hits.sum())).sum(1).mean()
        return total / SCALES


def _places(side: int, start: int, count: int) -> list[Tensor]:
    """For cells of 2, 4 and 8 pixels: where each pixel lies in its cell, from 0 on, along one axis."""
    axis = Axis(side, _LEVELS)
    cells = list(range(start, start + count))
    place = torch.zeros(count, dtype=torch.int64)
    places = []
    for scale in range(SCALES):
        level = _LEVELS - 1 - scale
        above = [axis.parent(level, cell) for cell in cells]
        second = [axis.parent(level, cell - 1) == parent for cell, parent in zip(cells, above, strict=True)]
        place = place + torch.tensor(second, dtype=torch.int64) * (1 << scale)
        places.append(place)
        cells = above
    return places
