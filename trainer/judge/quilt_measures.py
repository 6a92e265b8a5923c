"""How well a quilt (server/quilt) hides that it is sewn: how evenly it shows its swatch, and how its joints look.

A quilt knows for every pixel which pixel of the swatch it shows, so nothing is guessed from the picture. Pixels are
counted on one torus of AREAS swatch areas, in plan pixels (server/model/quilt.py).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from server.model.torus import Size, Window
from server.quilt.quilt import Quilt

SIDES = 4  # of the swatch, along each side of the torus that is counted
AREAS = SIDES**2
STRIP_PX = 256  # rows per request
PROBES = 1000  # pixels whose nearest copy is searched for
NEAR_PX = 8  # plan pixels: anything nearer is the same place, not a copy
JOINT_PROBES = 4096
STEP_SIDES_PX = (1, 2, 4, 8)  # of the squares at either side of a joint


class Shown(NamedTuple):
    """What a torus shows of a swatch.

    `numbers`: (rows, columns) int32, row by row the number of the plan pixel that each plan pixel of the torus shows.
    `swatch`: height and width of the swatch in plan pixels.
    """

    numbers: npt.NDArray[np.int32]
    swatch: tuple[int, int]


def shown(quilt: Quilt, seed: int = 0) -> Shown:
    """What a torus of AREAS swatch areas shows."""
    settings, factor = quilt.settings, quilt.settings.factor
    size = Size(SIDES * settings.height, SIDES * settings.width)
    rows = STRIP_PX if factor == 1 else 1
    numbers = np.empty((size.height // factor, size.width // factor), np.int32)
    for top in range(0, size.height, max(rows, factor)):
        window = Window(top, 0, min(rows, size.height - top), size.width)
        places = quilt.sources(seed, size, window)[:, ::factor]
        row, column = (
            inside(places[..., axis].div(factor, rounding_mode="floor"), settings.plan[axis], settings.wraps[axis])
            for axis in (0, 1)
        )
        numbers[top // factor : top // factor + len(places)] = (row * settings.plan[1] + column).numpy()
    return Shown(numbers, settings.plan)


def seen_over_due(field: Shown) -> float:
    """How often the source of a random pixel is shown in all, over the average. 1: all of the swatch alike.

    Sum of c^2 over sum of c, c the counts of the swatch's pixels, over the mean count. Random places give about
    1 + 1 / AREAS; if only one half of the swatch is shown, it is 2.
    """
    counts = _counts(field)
    return float(np.square(counts).sum() / counts.sum() / counts.mean())


def never_shown(field: Shown) -> float:
    """Share of the swatch that is not shown at all, in [0, 1]."""
    return float((_counts(field) == 0).mean())


def nearest_copy(field: Shown, seed: int = 0) -> float:
    """Median distance from random pixels to the nearest pixel with the same source, in shorter sides of the swatch.

    Measured on the torus. Random copies, one in each swatch area, would lie 0.47 sides apart; a tiled swatch has 1. A
    pixel that is never shown again counts as half the diagonal of the torus.
    """
    numbers = field.numbers
    height, width = numbers.shape
    order = np.argsort(numbers, axis=None, kind="stable")
    ordered = numbers.ravel()[order]
    random = np.random.default_rng(seed)
    found = []
    for y, x in zip(random.integers(height, size=PROBES), random.integers(width, size=PROBES), strict=True):
        first, behind = np.searchsorted(ordered, numbers[y, x]), np.searchsorted(ordered, numbers[y, x], "right")
        down, across = np.abs(order[first:behind] // width - y), np.abs(order[first:behind] % width - x)
        apart = np.hypot(np.minimum(down, height - down), np.minimum(across, width - across))
        found.append(apart[apart > NEAR_PX].min(initial=np.hypot(height, width) / 2))
    return float(np.median(found) / min(field.swatch))


def _counts(field: Shown) -> npt.NDArray[np.float64]:
    """How often each pixel of the swatch is shown."""
    return np.bincount(field.numbers.ravel(), minlength=field.swatch[0] * field.swatch[1]).astype(np.float64)


def inside(places: Tensor, side: int, wraps: bool) -> Tensor:
    """Map rows or columns outside the swatch to those that are shown: wrapped, or mirrored."""
    if wraps:
        return places % side
    places = places % (2 * side)
    return torch.where(places >= side, 2 * side - 1 - places, places)


# -------------------------------------------------------------------------------------------------------------- joints


def joints(sample: Tensor, sources: Tensor, swatch: Tensor, wraps: tuple[bool, bool], seed: int = 0) -> float | None:
    """Steps at joints over the swatch's own steps at the same places. 1: joints do not stand out.

    A joint lies between two neighbouring pixels of the sample whose sources are not neighbours in the swatch. The step
    there is the distance of the mean colours of two squares, one on each side of the joint. It is compared with the two
    steps that the swatch itself has there: from the source before the joint to the swatch's next pixel, and from the
    pixel before the other source to that source. So a cut along an edge of the swatch counts no more than that edge,
    and noise in the swatch allows the same noise at a joint. The figure is the sum of the steps over the sum of the
    swatch's own, at random joints, for squares of each of STEP_SIDES_PX; the one farthest from 1 is taken. Above 1
    joints show as edges, below 1 as soft lines. None if the sample has no joints.

    `sample`: (1, 3, H, W), a torus. `sources`: (H, W, 2), Quilt.sources of the same. `swatch`: (1, 3, h, w).
    """
    random = torch.Generator().manual_seed(seed)
    shown_steps = torch.zeros(len(STEP_SIDES_PX))
    own_steps = torch.zeros(len(STEP_SIDES_PX))
    for axis in (0, 1):
        at, before, behind = _ends(sources, axis, (swatch.shape[2], swatch.shape[3]), wraps, random)
        for number, side in enumerate(STEP_SIDES_PX):
            shown_steps[number] += _steps(sample, at, axis, side, (True, True)).sum()
            for place in (before, behind):
                own_steps[number] += _steps(swatch, place, axis, side, wraps).sum() / 2
    if not bool(own_steps.any()):
        return None
    ratios = (shown_steps / own_steps.clamp_min(1e-6)).clamp_min(1e-6)
    return float(ratios[ratios.log().abs().argmax()])


def _ends(
    sources: Tensor, axis: int, sides: tuple[int, int], wraps: tuple[bool, bool], random: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Random joints along an axis, up to JOINT_PROBES of them: (joints, 2) each, row and column.

    Of the pixel of the sample before the joint; of the place of the swatch that it shows; of the place one step back
    from what the pixel behind the joint shows.
    """
    following = sources.roll(-1, axis).clone()
    following[..., axis] -= 1
    step = following - sources
    for each, (side, wrap) in enumerate(zip(sides, wraps, strict=True)):
        if wrap:
            step[..., each] %= side
    at = step.any(-1).nonzero()
    at = at[torch.randperm(len(at), generator=random)[:JOINT_PROBES]]
    return at, sources[at[:, 0], at[:, 1]], following[at[:, 0], at[:, 1]]


def _steps(image: Tensor, at: Tensor, axis: int, side: int, wraps: tuple[bool, bool]) -> Tensor:
    """Distances of the mean colours of squares before and behind the line that follows on each of these pixels."""
    along = torch.arange(1 - side, side + 1)
    aside = torch.arange(side) - side // 2
    offsets = (along[:, None], aside[None]) if axis == 0 else (aside[:, None], along[None])
    rows, columns = (
        inside(at[:, each, None, None] + offsets[each][None], image.shape[2 + each], wraps[each]) for each in (0, 1)
    )
    squares = image[0][:, rows, columns]  # (3, joints, along, aside), or the other way round
    first, second = squares.chunk(2, 2 + axis)
    return (second.mean((2, 3)) - first.mean((2, 3))).square().mean(0).sqrt()
