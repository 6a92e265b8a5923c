"""Courses: patterns that repeat in one direction only, such as planks, random bond and corrugated sheet.

How it works. The autocorrelation of the swatch (trainer/swatch/periods.py) is averaged along lines of equal lag across
the courses. The result is high at every whole number of courses. Its mean there, without lag zero, is the share of the
swatch's detail that its courses explain. Directions within a few degrees of level and of upright are tried.

A quilt takes courses as a lattice whose second wave is free: a period of a few pixels along the course, so that pieces
may be moved along the courses nearly as they like, and across them by whole courses alone.

Shapes: pixels (1, 3, H, W) float32 RGB in [0, 1]. Vectors are (y, x), y down, in pixels or in cycles per pixel.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from server.model.lattice import Lattice, Vector
from trainer.swatch.periods import (
    FEWEST_REPEATS,
    SHORTEST_PX,
    STRAIGHT_CYCLES,
    Autocorrelation,
    Floats,
    as_bytes,
    detail_of,
    with_lines,
)

WEAKEST = 0.12  # courses explain at least this share of the swatch's detail
TILT = 0.04  # pixels across per pixel along: the most that courses are off level or upright
TILT_STEPS = 8  # to either side, at first
ALONG_PX = 4  # between the samples along a course
FREE_PX = 128  # a piece may be moved along its course by steps of one in so many of the swatch's side


@dataclass(frozen=True)
class Courses:
    """`share`: of the swatch's detail that they explain. `period`: pixels from one to the next along `axis`: 0 down, 1
    across. `tilt`: pixels along that axis for each pixel along a course.
    """

    share: float
    period: float
    tilt: float
    axis: int

    @property
    def wave(self) -> Vector:
        """In cycles per pixel."""
        across = (1.0, -self.tilt) if self.axis == 0 else (-self.tilt, 1.0)
        return across[0] / self.period, across[1] / self.period


def find_courses(pixels: Tensor) -> Lattice | None:
    """The courses of a swatch as a lattice, or None if it has none. The first wave is that of the courses."""
    courses = max(all_courses(pixels), key=lambda each: each.share)
    if courses.share < WEAKEST:
        return None
    along = (courses.tilt, 1.0) if courses.axis == 0 else (1.0, courses.tilt)
    length = math.hypot(*along) * max(2.0, min(pixels.shape[2:]) / FREE_PX)
    second = along[0] / length, along[1] / length
    return Lattice(basis=(courses.wave, second), harmonics=((1, 0), (0, 1)), strength=min(courses.share, 1.0))


def all_courses(pixels: Tensor, fewest: float = FEWEST_REPEATS) -> list[Courses]:
    """The strongest courses one above the other, and the strongest beside each other, however weak, of those that come
    at least `fewest` times.
    """
    correlation = Autocorrelation(detail_of(pixels))
    found = []
    for axis in (0, 1):
        share, period, tilt = _best(correlation, axis, fewest)
        if abs(tilt) * pixels.shape[3 - axis] < STRAIGHT_CYCLES * period:
            tilt = 0.0
        found.append(Courses(share, period, tilt, axis))
    return found


def courses_picture(pixels: Tensor, lattice: Lattice) -> NDArray[np.uint8]:
    """A picture for people, (H, W, 3) uint8 RGB: the swatch with a line drawn at the same phase of every course."""
    return as_bytes(with_lines(pixels, lattice, lattice.basis[:1]))


def _best(correlation: Autocorrelation, axis: int, fewest: float) -> tuple[float, float, float]:
    """The share that the best courses explain, their period across in pixels (down or right), their tilt."""
    side = (correlation.height, correlation.width)[axis]
    longest = side / fewest
    best = (0.0, SHORTEST_PX, 0.0)
    tilts = np.linspace(-TILT, TILT, 2 * TILT_STEPS + 1)
    # Periods that differ by a pixel over all repeats are apart.
    periods = np.exp(np.linspace(math.log(SHORTEST_PX), math.log(longest), 600))
    for tilt in tilts:
        best = max(best, _strongest(correlation, axis, float(tilt), periods))
    share, period, tilt = best
    spread, turn = 0.02 * period, float(tilts[1] - tilts[0])
    for _ in range(5):
        near = np.linspace(period - spread, period + spread, 9)
        for near_tilt in np.linspace(tilt - turn, tilt + turn, 5):
            best = max(best, _strongest(correlation, axis, float(near_tilt), near))
        share, period, tilt = best
        spread, turn = spread / 3, turn / 2.5
    # A fraction of the period that explains as much is the period itself.
    parts = np.array([period / divisor for divisor in (5, 4, 3, 2)])
    for part, own in zip(parts.tolist(), _explained(_profile(correlation, axis, tilt), parts, side), strict=True):
        if part >= SHORTEST_PX and own > 0.85 * share:
            return float(own), part, tilt
    return share, period, tilt


def _strongest(correlation: Autocorrelation, axis: int, tilt: float, periods: Floats) -> tuple[float, float, float]:
    """Of these periods the one that explains most: its share, itself, the tilt."""
    side = (correlation.height, correlation.width)[axis]
    shares = _explained(_profile(correlation, axis, tilt), periods, side)
    number = int(np.argmax(shares))
    return float(shares[number]), float(periods[number]), tilt


def _profile(correlation: Autocorrelation, axis: int, tilt: float) -> Floats:
    """The autocorrelation at every half pixel across the courses, its mean along them. Linear between whole lags."""
    values = correlation.values if axis == 0 else correlation.values.T
    half, reach = values.shape[0] // 2, values.shape[1] // 4
    along = np.arange(-reach, reach + 1, ALONG_PX)
    down = np.floor(tilt * along).astype(np.int64)
    part = tilt * along - down
    count = math.ceil(0.9 * half)  # of whole lags across
    rows = np.arange(half, half + count + 2)[:, None] + down
    found = values[rows.clip(0, len(values) - 1), along + values.shape[1] // 2]
    profile = np.empty(2 * count)
    for start in (0, 1):
        shares = [np.maximum(1 - np.abs(part + start / 2 - step), 0) / len(along) for step in (0, 1, 2)]
        profile[start::2] = sum(found[step : step + count] @ share for step, share in enumerate(shares))
    return profile


def _explained(profile: Floats, periods: Floats, side: int) -> Floats:
    """Of each period: the mean at whole periods over that halfway between them, by how much two copies of the swatch
    share there.
    """
    counts = (0.9 * side / periods - 0.5).astype(np.int64)[:, None]
    numbers = np.arange(1, int(counts.max()) + 1)
    multiples = numbers * periods[:, None]
    weights = np.where(numbers <= counts, 1 - multiples / side, 0)
    places = np.arange(len(profile)) * 0.5
    high, low = (np.interp(multiples + shift * periods[:, None], places, profile) for shift in (0.0, 0.5))
    means = (np.minimum(high, high - low) * weights).sum(1) / weights.sum(1).clip(1e-9)
    return np.where(counts[:, 0] < 2, 0.0, means)
