"""How pieces follow the motion under them: each is moved, turned and stretched as a whole.

The motion of the pixels that a piece shows is fitted by an affine one, by least squares in which pixels that move
otherwise hardly count (Cauchy's weights). Sums are whole numbers, and what follows is rounded.
"""

import torch
from torch import Tensor

from server.strokes.light import looked_up
from server.strokes.pieces import ONE, UNIT

ROUNDS = 5
WEIGHT = 64  # of a pixel that moves with the others
OFF = UNIT  # off by so much, it counts half
HELD = 3000  # pixels^2: turns and stretches that fewer pixels tell are held back
MOST = 0.2  # of a stretch in one frame


def followed(owners: Tensor, motion: Tensor, middles: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where the middles (n, 2) of pieces lie now, in 1/UNIT; the maps (n, 2, 2) from there to the frame before, in
    1/ONE; and by how many pixels each was seen.

    `owners`: (H, W), which piece each pixel of the frame before showed, -1 for none. `motion`: (2, H, W), from the
    frame now, see motion.py.
    """
    count, (height, width) = len(middles), owners.shape
    rows, columns = torch.arange(height)[:, None], torch.arange(width)[None]
    there = [
        (line * UNIT + motion[axis] + UNIT // 2).div(UNIT, rounding_mode="floor")
        for axis, line in enumerate((rows, columns))
    ]
    inside = (there[0] >= 0) & (there[0] < height) & (there[1] >= 0) & (there[1] < width)
    at = there[0].clamp(0, height - 1) * width + there[1].clamp(0, width - 1)
    had = torch.where(inside, looked_up(owners, at), -1).flatten()
    seen = (had >= 0).nonzero()[:, 0]
    own = had[seen].long()
    row, column = seen.div(width, rounding_mode="floor"), seen % width
    steps = [part.flatten()[seen] for part in motion]
    numbers = torch.bincount(own, minlength=count)
    means = [_medians(own, step, numbers) for step in steps]  # of the motion, in 1/UNIT, at the middle below
    slopes = [[torch.zeros(count, dtype=torch.float64) for _ in range(2)] for _ in range(2)]
    middle = [torch.zeros(count, dtype=torch.float64) for _ in range(2)]
    for turn in range(ROUNDS):
        off = torch.zeros(len(own), dtype=torch.float64)
        for axis, step in enumerate(steps):
            expected = means[axis][own]
            if turn:
                expected = expected + slopes[axis][0][own] * (row - middle[0][own])
                expected = expected + slopes[axis][1][own] * (column - middle[1][own])
            off += (step - expected).round().square()
        weight = (WEIGHT * OFF**2 / (OFF**2 + off)).floor()
        total = _sums(own, weight, count)
        least = total.clamp(min=1)
        places = [_sums(own, weight * line, count) for line in (row, column)]
        squares = [
            _sums(own, weight * one * other, count) - first * second / least
            for one, other, first, second in (
                (row, row, places[0], places[0]),
                (row, column, places[0], places[1]),
                (column, column, places[1], places[1]),
            )
        ]
        first, both, second = squares[0] + WEIGHT * HELD, squares[1], squares[2] + WEIGHT * HELD
        area = first * second - both * both
        middle = [place / least for place in places]
        for axis, step in enumerate(steps):
            moved = _sums(own, weight * step, count)
            down, across = (
                _sums(own, weight * step * line, count) - moved * place / least
                for line, place in zip((row, column), places, strict=True)
            )
            means[axis] = moved / least
            slopes[axis] = [
                ((second * down - both * across) / area).clamp(-MOST * UNIT, MOST * UNIT),
                ((first * across - both * down) / area).clamp(-MOST * UNIT, MOST * UNIT),
            ]
    grows = torch.stack([torch.stack(each, -1) for each in slopes], -2) / UNIT  # (n, 2, 2)
    grows = (grows * ONE).round() / ONE
    whole = grows + torch.eye(2, dtype=torch.float64)
    away = middles.double() / UNIT - (torch.stack(middle, -1) + 0.5) - torch.stack(means, -1) / UNIT
    area = whole[:, 0, 0] * whole[:, 1, 1] - whole[:, 0, 1] * whole[:, 1, 0]
    back = [
        (whole[:, 1, 1] * away[:, 0] - whole[:, 0, 1] * away[:, 1]) / area,
        (whole[:, 0, 0] * away[:, 1] - whole[:, 1, 0] * away[:, 0]) / area,
    ]
    now = (torch.stack(back, -1) + torch.stack(middle, -1) + 0.5) * UNIT
    return now.round().long(), (whole * ONE).round().long(), numbers


def _sums(own: Tensor, values: Tensor, count: int) -> Tensor:
    return torch.bincount(own, values.double(), minlength=count)


def _medians(own: Tensor, values: Tensor, numbers: Tensor) -> Tensor:
    """Of the whole numbers that belong to each: (n,) float64; 0 for those without any."""
    wide = 2**20
    order = (own * wide + values.long().clamp(-wide // 2, wide // 2 - 1) + wide // 2).sort().values
    begin = numbers.cumsum(0) - numbers
    found = (
        order[(begin + numbers // 2).clamp(max=max(0, len(order) - 1))] % wide - wide // 2 if len(order) else numbers
    )
    return torch.where(numbers > 0, found, 0).double()
