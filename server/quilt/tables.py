"""What a quilt compares, made from its maps in whole numbers: features of pixels and appearances of cells.

    features     F numbers per plan pixel: weighted sums of all maps (colour, normals, height, ...), int8, and as one
                 more channel how much they change from pixel to pixel
    appearance   8 numbers per cell: weighted sums of the features of the 5 x 5 cells around, int8

The weights come from the trainer (trainer/quilt) as small whole numbers, so every table is the same on every device.
Tables reach beyond the swatch by a margin: around it where it tiles, else mirrored, and then those places are marked
as not valid. All floats here are whole numbers below 2^24 (float32) or 2^53 (float64), so sums are exact in any order.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from server.model.quilt import APPEARANCE, REACH, QuiltArchitecture
from server.quilt.balance import make_traits

LAST_OFF = (1 << 56) - 1  # leaves out the last of eight packed numbers, which is the change from pixel to pixel
STRIPE = 32  # rows of cells whose appearances are computed at once


@dataclass(frozen=True, eq=False)
class Tables:
    """Everything that is compared, on one device.

    `margin`: (down, right) plan pixels around the swatch on every side. `packed`: (rows, columns) int64, eight int8 a
    plan pixel: features, zeros, and last the change. `valid`: bool, same shape: pixels of the swatch itself.
    `fine`: (rows, columns) int64, eight int8 a cell of a quarter of the search cell, every eighth of it in plan pixels
    from the margin's corner on. `coarse`: (8, rows, columns) float32 of search cells, every half of one; `coarse_valid`
    bool. `steps`: plan pixels between neighbours of `coarse` and of `fine`. `traits`: (traits, rows, columns) int64 of
    the search's places, on the processor (server/quilt/balance.py).
    """

    margin: int
    packed: Tensor
    valid: Tensor
    fine: Tensor
    coarse: Tensor
    coarse_valid: Tensor
    steps: tuple[int, int]
    traits: Tensor


@dataclass(frozen=True, eq=False)
class Weights:
    """How features and appearances are summed, whole numbers in small integer tensors.

    `features`: (F, channels of all maps) int8, of pixels in [0, 255], divided by 2^7; `feature_means`: (F,) int16,
    taken off. `coarse`, `fine`: (8, F, 5, 5) int8, of mean features of cells, divided by 2^shift; `means`: (2, 8)
    int16; `shifts`: (2,) int16.
    """

    features: Tensor
    feature_means: Tensor
    coarse: Tensor
    fine: Tensor
    means: Tensor
    shifts: Tensor


def make_tables(plan: Tensor, settings: QuiltArchitecture, weights: Weights) -> Tables:
    """`plan`: (channels of all maps, height, width) uint8, the swatch in plan pixels."""
    height, width = settings.plan
    cell = settings.cell
    margin = settings.longest if any(settings.wraps) else settings.overlap
    margin = -(-margin // cell) * cell
    look = margin + (2 * REACH + 1) * cell  # so that the margin's cells have neighbours too
    rows = extended(height, look, settings.wraps[0], plan.device)
    columns = extended(width, look, settings.wraps[1], plan.device)
    features = make_features(plan, weights)
    wide = features[:, rows][:, :, columns]
    inside = slice(look - margin, wide.shape[1] - look + margin), slice(look - margin, wide.shape[2] - look + margin)
    change = steepest(features).clamp(max=127)[rows][:, columns]
    sides = (part.stop - part.start for part in inside)
    numbers = torch.zeros(*sides, 8, dtype=torch.int8, device=plan.device)
    for channel, plane in enumerate((*wide, change)):
        numbers[..., channel if channel < len(wide) else 7] = plane[*inside].to(torch.int8)
    packed = numbers.view(torch.int64)[..., 0]
    down, right = (
        within if not wraps else torch.ones_like(within)
        for within, wraps in (
            (in_swatch(height, margin, plan.device), settings.wraps[0]),
            (in_swatch(width, margin, plan.device), settings.wraps[1]),
        )
    )
    valid = down[:, None] & right[None, :]
    coarse_step, fine_step = max(1, cell // 2), max(1, cell // 8)
    fine_cell = max(1, cell // 4)
    fine = appearance(wide, look - margin, fine_cell, fine_step, weights.fine, weights.means[1], weights.shifts[1])
    coarse = appearance(wide, look - margin, cell, coarse_step, weights.coarse, weights.means[0], weights.shifts[0])
    coarse = coarse.clamp(-settings.most, settings.most)
    middles = slice(cell // 2, None, coarse_step)
    rows_valid, columns_valid = down[middles][: coarse.shape[1]], right[middles][: coarse.shape[2]]
    return Tables(
        margin=margin,
        packed=packed,
        valid=valid,
        fine=fine.clamp(-127, 127).to(torch.int8).permute(1, 2, 0).contiguous().view(torch.int64)[..., 0],
        coarse=coarse,
        coarse_valid=rows_valid[:, None] & columns_valid[None, :],
        steps=(coarse_step, fine_step),
        traits=make_traits(wide, change, look, settings),
    )


def extended(side: int, margin: int, wraps: bool, device: torch.device) -> Tensor:
    """Which pixel of the swatch is shown at [-margin, side + margin): wrapped if the swatch tiles, else mirrored."""
    places = torch.arange(-margin, side + margin, device=device)
    if wraps:
        return places % side
    places = places.remainder(2 * side)
    return torch.where(places >= side, 2 * side - 1 - places, places)


def in_swatch(side: int, margin: int, device: torch.device) -> Tensor:
    """Which of [-margin, side + margin) lie in the swatch."""
    places = torch.arange(-margin, side + margin, device=device)
    return (places >= 0) & (places < side)


def make_features(plan: Tensor, weights: Weights) -> Tensor:
    """(channels, height, width) uint8 to (F, height, width) float32, whole numbers in [-127, 127]."""
    sums: Tensor = torch.tensordot(weights.features.to(plan.device, torch.float32), plan.float(), 1)
    means = weights.feature_means.to(plan.device, torch.float32)[:, None, None]
    sums = (sums / 128).round() - means
    return sums.clamp(-127, 127)


def steepest(features: Tensor) -> Tensor:
    """How much neighbouring pixels differ: (F, H, W) -> (H, W), the larger of down and right, over all features."""
    padded = F.pad(features[None], (0, 1, 0, 1), mode="replicate")[0]
    down = (padded[:, 1:, :-1] - padded[:, :-1, :-1]).square().sum(0)
    right = (padded[:, :-1, 1:] - padded[:, :-1, :-1]).square().sum(0)
    most = torch.maximum(down, right)
    around: Tensor = F.max_pool2d(most[None, None], 3, 1, 1)[0, 0]
    around = around.double().sqrt().floor()
    return around.float()


def cell_means(wide: Tensor, cell: int, step: int = 1) -> Tensor:
    """Means of the cells that begin at every `step` pixels, times 16, rounded: (F, H, W) to (F, rows, columns)."""
    rows = F.avg_pool2d(wide[None], (cell, 1), (step, 1), divisor_override=1)
    sums = F.avg_pool2d(rows, (1, cell), (1, step), divisor_override=1)[0]
    return sums.mul_(16).div_(cell * cell).round_()


def appearance(wide: Tensor, skip: int, cell: int, step: int, kernel: Tensor, means: Tensor, shift: Tensor) -> Tensor:
    """Appearances of the cells at every `step` pixels from `skip` on, as far as the other end: (8, rows, columns)."""
    first = skip - REACH * cell
    spread = cell // step
    cells = cell_means(wide[:, first:, first:], cell, step)
    weights, more = kernel.to(wide.device, torch.float64), 2 * REACH * spread
    rows, columns = ((side - 2 * skip - cell) // step + 1 for side in wide.shape[1:])
    values = torch.empty(APPEARANCE, rows, columns, device=wide.device)
    scale = 2.0 ** max(0, min(30, int(shift)))
    means = means.to(wide.device, torch.float64)[:, None, None]
    for top in range(0, rows, STRIPE):  # a convolution takes 25 times the memory of what it is given
        stripe = cells[None, :, top : top + min(STRIPE, rows - top) + more, : columns + more].double()
        values[:, top : top + STRIPE] = F.conv2d(stripe, weights, dilation=spread)[0].div_(scale).round_().sub_(means)
    return values


def packed_distances(ours: Tensor, theirs: Tensor) -> Tensor:
    """Squared distances of eight int8 packed into an int64, each: int64. Sums stay below 2^24, so float32 is exact."""
    first, second = (_unpacked(each).view(-1, 8).float() for each in (ours, theirs))
    squares = first.sub_(second).square_()
    # A product with ones is the fastest sum on a processor; elsewhere products may be rounded to fewer bits.
    sums = squares @ torch.ones(8) if squares.device.type == "cpu" else squares.sum(-1)
    return sums.long().view(ours.shape)


def first_distances(ours: Tensor, theirs: Tensor, count: int) -> Tensor:
    """As `packed_distances`, of the first `count` numbers alone, which is faster for a few of many."""
    first, second = (_unpacked(each) for each in (ours, theirs))
    sums = torch.zeros(ours.shape, dtype=torch.int32, device=ours.device)
    for number in range(count):
        apart = first[..., number].to(torch.int32).sub_(second[..., number])
        sums.addcmul_(apart, apart)
    return sums.long()


def _unpacked(packed: Tensor) -> Tensor:
    return packed.contiguous().view(torch.int8).view(*packed.shape, 8)
