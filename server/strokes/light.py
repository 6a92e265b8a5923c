"""Luminance, edges and directions of pictures, in whole numbers held by float64: exact in any order, on any device.

Source of the directions: the structure tensor (Förstner & Gülch 1987; Kass & Witkin 1987).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from server.quilt.bands import boxed

WEIGHTS = (77, 150, 29)  # of R'G'B' in 1/256, Recommendation ITU-R BT.601
DIRECTION = 31  # of a cell whose gradients all point one way
LIGHT_CELLS, DIRECTION_CELLS = 6, 3  # along the side of a patch
THIN = 9  # pixels: what is narrower is a thin structure


def luminance(pixels: Tensor) -> Tensor:
    """(3, H, W) uint8 to (H, W) float64 of whole numbers in [0, 4080], 1/16 of a step of 8 bits."""
    weights = torch.tensor(WEIGHTS, dtype=torch.float64)
    return ((pixels.double() * weights[:, None, None]).sum(0) / 16).floor()


def boxes(values: Tensor, side: int, every: int = 1) -> Tensor:
    """Sums over the side x side pixels from each on: (..., H, W) to (..., H - side + 1, W - side + 1).

    `every`, a divisor of `side`: only from every so many-th on, down and across.
    """
    if every > 1:
        height, width = values.shape[-2:]
        sums = F.avg_pool2d(values.reshape(1, -1, height, width), every, divisor_override=1)
        values = sums.view(*values.shape[:-2], height // every, width // every)
    for dimension in (-2, -1):
        values = boxed(values, dimension, side // every)
    return values


def largest(values: Tensor, side: int) -> Tensor:
    """The largest of the side x side pixels from each on, as boxes()."""
    for dimension in (-2, -1):
        run = 1
        while run < side:
            step = min(run, side - run)
            rest = values.shape[dimension] - step
            values = torch.maximum(values.narrow(dimension, 0, rest), values.narrow(dimension, step, rest))
            run += step
    return values


def same(values: Tensor, margin: int) -> Tensor:
    """(..., H, W) continued by its outermost pixels, `margin` on every side."""
    flat = values.reshape(1, -1, *values.shape[-2:])
    wide = F.pad(flat, (margin, margin, margin, margin), mode="replicate")
    return wide.reshape(*values.shape[:-2], *wide.shape[-2:])


def gradients(light: Tensor) -> Tensor:
    """The structure tensor of a luminance (H, W) in [0, 4080]: (3, H, W), gx^2 - gy^2, 2 gx gy and gx^2 + gy^2."""
    soft = (boxes(same(light, 1), 3) / 9 / 16).round()
    wide = same(soft, 1)
    across = wide[1:-1, 2:] - wide[1:-1, :-2]
    down = wide[2:, 1:-1] - wide[:-2, 1:-1]
    return torch.stack([across * across - down * down, 2 * across * down, across * across + down * down])


def thin(light: Tensor) -> Tensor:
    """How far narrow things stand out, lighter or darker: (H, W) in [0, 4080], the larger of both top hats."""
    here, wide = light.to(torch.int16), same(light, THIN - 1).to(torch.int16)
    lightest, darkest = largest(wide, THIN), -largest(-wide, THIN)
    opened, closed = largest(darkest, THIN), -largest(-lightest, THIN)
    return torch.maximum(here - opened, closed - here).double()


def edges(energy: Tensor) -> Tensor:
    """Lengths of gradients from gx^2 + gy^2, in 1/16 of a step of 8 bits: whole numbers."""
    return (energy.sqrt() * 16).floor()


def looked_up(table: Tensor, numbers: Tensor) -> Tensor:
    """What stands at these flat indices: as `table.flatten()[numbers]`, several times as fast."""
    return table.flatten().index_select(0, numbers.flatten()).view_as(numbers)


def gathered(table: Tensor, corners: Tensor, count: int, spacing: int, every: int = 1) -> Tensor:
    """`count` x `count` samples of a table (..., H, W), `spacing` apart, from each corner (n, 2) on: (..., n, count,
    count). The table holds every so many-th pixel.
    """
    corners = corners.div(every, rounding_mode="floor")
    line = torch.arange(count) * (spacing // every)
    rows, columns = corners[:, 0, None] + line, corners[:, 1, None] + line
    return table.flatten(-2)[..., rows[:, :, None] * table.shape[-1] + columns[:, None, :]]


class Looks:
    """What patches are guided by, of one picture, for any patch of a level. All whole numbers.

    `light`: (H, W) float64 in [0, 4080]. `mean_edge`: of its gradients, in 1/16 of a step of 8 bits. `aligned`: the
    corners of patches are only asked for at multiples of their light's cell.
    """

    def __init__(self, light: Tensor, mean_edge: int, *, aligned: bool = False) -> None:
        self.light, self.aligned = light, aligned
        self._gradients: Tensor | None = None
        self._mean_energy = max(1.0, mean_edge / 16) ** 2
        self._powers = torch.tensor([2.0 ** (step / 8 - 4) for step in range(1, 63)], dtype=torch.float64)
        self._lights: dict[int, Tensor] = {}  # of the side asked for last
        self._tensors: dict[int, Tensor] = {}

    @property
    def tensor(self) -> Tensor:
        """The structure tensor: see gradients()."""
        if self._gradients is None:
            self._gradients = gradients(self.light).float()
        return self._gradients

    def lights(self, corners: Tensor, side: int) -> Tensor:
        """Mean luminance of the 6 x 6 cells of patches of this side: (n, 6, 6) in [0, 63]."""
        cell = side // LIGHT_CELLS
        if side not in self._lights:
            sums = boxes(self.light, cell, self._every(side))
            self._lights = {side: (sums / (64 * cell**2)).floor().float()}
        return gathered(self._lights[side], corners, LIGHT_CELLS, cell, self._every(side))

    def _every(self, side: int) -> int:
        return side // LIGHT_CELLS if self.aligned else 1

    def directions(self, corners: Tensor, side: int) -> tuple[Tensor, Tensor]:
        """Of the 3 x 3 cells of patches: directions (n, 2, 3, 3) in [-31, 31], cosine and sine of twice the angle times
        how far the cell has one; and how busy a cell is against the whole picture, (n, 3, 3) in [-31, 31], eighths of a
        doubling of the energy.
        """
        cell = side // DIRECTION_CELLS
        if side not in self._tensors:
            every = self._every(side)
            energy = boxes(self.tensor[2].double(), cell, every) / cell**2
            planes = [torch.bucketize(energy / self._mean_energy, self._powers).float() - 31]
            for part in self.tensor[:2]:
                mean = boxes(part.double(), cell, every) / cell**2
                planes.insert(-1, (DIRECTION * mean / (energy + self._mean_energy)).round().float())
            self._tensors = {side: torch.stack(planes)}
        found = gathered(self._tensors[side], corners, DIRECTION_CELLS, cell, self._every(side)).transpose(0, 1)
        return found[:, :2], found[:, 2]
