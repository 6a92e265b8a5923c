"""Courses: patterns that repeat in one direction only, such as planks, random bond and corrugated sheet.

How it works. The autocorrelation of the swatch (trainer/swatch/periods.py) is averaged along lines of equal lag across
the courses. The result is high at every whole number of courses. Its mean there, without lag zero, is the share of the
swatch's detail that its courses explain. Directions within a few degrees of level and of upright are tried.

A quilt takes courses as a lattice whose second wave is free: a period of a few pixels along the course, so that pieces
may be moved along the courses nearly as they like, and across them by whole courses alone.

Shapes: pixels (1, 3, H, W) float32 RGB in [0, 1]. Vectors are (y, x), y down, in pixels or in cycles per pixel.
"""

import math

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from server.model.lattice import Lattice
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


def find_courses(pixels: Tensor) -> Lattice | None:
    """The courses of a swatch as a lattice, or None if it has none. The first wave is that of the courses."""
    correlation = Autocorrelation(detail_of(pixels))
    found = [_best(correlation, axis) for axis in (0, 1)]
    share, period, tilt, axis = max(found)
    if share < WEAKEST:
        return None
    if abs(tilt) * pixels.shape[3 - axis] < STRAIGHT_CYCLES * period:
        tilt = 0.0
    across = (1.0, -tilt) if axis == 0 else (-tilt, 1.0)
    along = (tilt, 1.0) if axis == 0 else (1.0, tilt)
    length = math.hypot(1, tilt)
    free = max(2.0, min(pixels.shape[2:]) / FREE_PX)
    first = across[0] / period, across[1] / period
    second = along[0] / (free * length), along[1] / (free * length)
    return Lattice(basis=(first, second), harmonics=((1, 0), (0, 1)), strength=min(share, 1.0))


def courses_picture(pixels: Tensor, lattice: Lattice) -> NDArray[np.uint8]:
    """A picture for people, (H, W, 3) uint8 RGB: the swatch with a line drawn at the same phase of every course."""
    return as_bytes(with_lines(pixels, lattice, lattice.basis[:1]))


def _best(correlation: Autocorrelation, axis: int) -> tuple[float, float, float, int]:
    """The share that the best courses explain, their period across in pixels (down or right), their tilt, the axis."""
    side = (correlation.height, correlation.width)[axis]
    longest = side / FEWEST_REPEATS
    best = (0.0, SHORTEST_PX, 0.0)
    tilts = np.linspace(-TILT, TILT, 2 * TILT_STEPS + 1)
    for tilt in tilts:
        profile = _profile(correlation, axis, float(tilt), np.arange(0.0, 0.9 * side, 0.5))
        # Periods that differ by a pixel over all repeats are apart.
        periods = np.exp(np.linspace(math.log(SHORTEST_PX), math.log(longest), 600))
        shares = [_explained(profile, period, side) for period in periods]
        number = int(np.argmax(shares))
        best = max(best, (shares[number], float(periods[number]), float(tilt)))
    share, period, tilt = best
    spread, turn = 0.02 * period, float(tilts[1] - tilts[0])
    for _ in range(5):
        for near_tilt in np.linspace(tilt - turn, tilt + turn, 5):
            profile = _profile(correlation, axis, float(near_tilt), np.arange(0.0, 0.9 * side, 0.5))
            for near in np.linspace(period - spread, period + spread, 9):
                best = max(best, (_explained(profile, float(near), side), float(near), float(near_tilt)))
        share, period, tilt = best
        spread, turn = spread / 3, turn / 2.5
    # A fraction of the period that explains as much is the period itself.
    profile = _profile(correlation, axis, tilt, np.arange(0.0, 0.9 * side, 0.5))
    for divisor in (5, 4, 3, 2):
        part = period / divisor
        if part >= SHORTEST_PX and (own := _explained(profile, part, side)) > 0.85 * share:
            return own, part, tilt, axis
    return share, period, tilt, axis


def _profile(correlation: Autocorrelation, axis: int, tilt: float, lags: Floats) -> Floats:
    """The autocorrelation at lags across the courses, its mean along them."""
    reach = (correlation.height, correlation.width)[1 - axis] // 2
    along = np.arange(-reach, reach + 1, ALONG_PX, dtype=np.float64)
    places = np.zeros((len(lags), len(along), 2))
    places[..., axis] = lags[:, None] + tilt * along
    places[..., 1 - axis] = along
    values = correlation.at_linear(correlation.values, places.reshape(-1, 2)).reshape(len(lags), len(along))
    return np.asarray(values.mean(1))


def _explained(profile: Floats, period: float, side: int) -> float:
    """The mean at whole periods over that halfway between them, by how much two copies of the swatch share there."""
    multiples = np.arange(1, int(0.9 * side / period - 0.5) + 1) * period
    if len(multiples) < 2:
        return 0.0
    weights = 1 - multiples / side
    places = np.arange(len(profile)) * 0.5
    high, low = (np.interp(multiples + shift, places, profile) for shift in (0.0, period / 2))
    return float((np.minimum(high, high - low) * weights).sum() / weights.sum())
