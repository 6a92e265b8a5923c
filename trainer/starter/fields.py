"""Fields over a square torus, from which materials are drawn: noise, cells, specks, and what follows from a height.

Everything wraps: what leaves at one side comes in at the other. Lengths are metres, so that a drawing is the same
material at any number of pixels. A field is (side, side) float32, rows down; a colour is (side, side, 3) float32,
linear light with the primaries of sRGB.
"""

import functools
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.floating[Any]]
Colour = NDArray[np.floating[Any]]
Ids = NDArray[np.int32]
Mask = NDArray[np.bool_]


class Cells(NamedTuple):
    """Which of some scattered points is the nearest, and how far it and the second are, in metres."""

    nearest: Ids
    first: Field
    second: Field


class Patch(NamedTuple):
    """A square part of a torus around a point: its indices for `field[patch.at]`, and places from the point."""

    at: tuple[NDArray[np.intp], NDArray[np.intp]]
    y: Field
    x: Field


@dataclass(frozen=True, kw_only=True)
class Canvas:
    """A torus of `side` x `side` pixels that is `metres` across. Each name of a random part has a stream of its own."""

    side: int
    metres: float
    seed: int = 0

    @property
    def pixel(self) -> float:
        """The side of a pixel in metres."""
        return self.metres / self.side

    @functools.cached_property
    def y(self) -> Field:
        """Metres down from the top, at the middle of each pixel."""
        line = (np.arange(self.side, dtype=np.float32) + np.float32(0.5)) * np.float32(self.pixel)
        return np.repeat(line[:, None], self.side, 1)

    @functools.cached_property
    def x(self) -> Field:
        """Metres from the left, at the middle of each pixel."""
        return np.ascontiguousarray(self.y.T)

    def random(self, name: str) -> np.random.Generator:
        """The random numbers of this name: another name gives others, and drawing one part changes no other."""
        return np.random.default_rng((self.seed, zlib.crc32(name.encode())))

    @functools.cached_property
    def _frequencies(self) -> tuple[Field, Field]:
        """Cycles per metre, down and across, of the numbers of `rfft2`."""
        down = np.fft.fftfreq(self.side, self.pixel).astype(np.float32)[:, None]
        return down, np.fft.rfftfreq(self.side, self.pixel).astype(np.float32)[None]

    def noise(
        self,
        name: str,
        longest: float,
        shortest: float = 0.0,
        slope: float = 1.7,
        stretch: tuple[float, float] = (1.0, 1.0),
    ) -> Field:
        """Random waves of lengths from `shortest` to `longest` metres: mean 0, standard deviation 1.

        `slope`: amplitudes fall as frequency^-slope; 0 is hiss, 1.7 clouds, 2.5 hills. `stretch`: how many times as
        long it is down and across.
        """
        down, across = self._frequencies
        frequency = np.hypot(down * np.float32(stretch[0]), across * np.float32(stretch[1]))
        frequency[0, 0] = 1  # its gain becomes 0
        white = self.random(name).standard_normal((self.side, self.side), np.float32)
        gain = frequency ** np.float32(-slope) / (1 + (1 / (frequency * np.float32(longest))) ** 6)
        if shortest > 0:
            gain = gain / (1 + (frequency * np.float32(shortest)) ** 6)
        gain[0, 0] = 0
        values: Field = np.fft.irfft2(np.fft.rfft2(white) * gain, s=white.shape).astype(np.float32)
        return values / max(float(values.std()), 1e-20)

    def blur(self, field: Field, reach: float) -> Field:
        """Blurred by a Gaussian whose standard deviation is `reach` metres."""
        down, across = self._frequencies
        gain = np.exp(-2 * np.float32((np.pi * reach) ** 2) * (down**2 + across**2))
        blurred: Field = np.fft.irfft2(np.fft.rfft2(field) * gain, s=field.shape).astype(np.float32)
        return blurred

    def specks(self, name: str, per_m2: float, radius: float, spread: float = 0.4) -> Field:
        """Round bumps at random places, (0, 1] high at their middles; where they meet they add up.

        `radius`: metres, at which a bump has fallen to a tenth. `spread`: how much their heights differ, from 0 to 1.
        """
        random = self.random(name)
        count = random.poisson(per_m2 * self.metres**2)
        field = np.zeros((self.side, self.side), np.float32)
        places = random.integers(0, self.side, (2, count))
        np.add.at(field, (places[0], places[1]), (1 - spread * random.random(count)).astype(np.float32))
        reach = max(radius / 2.15, 0.4 * self.pixel)
        return self.blur(field, reach) * np.float32(2 * np.pi * (reach / self.pixel) ** 2)

    def cells(
        self,
        name: str,
        across: float,
        jitter: float = 0.9,
        stretch: tuple[float, float] = (1.0, 1.0),
        bend: tuple[Field, Field] | None = None,
    ) -> Cells:
        """Scattered points, about `across` metres apart, and for each pixel the nearest of them.

        `jitter`: from 0, a square grid, to 1. `stretch`: how many times as far apart they are down and across.
        `bend`: metres by which places are moved down and across first, so that borders between cells are not straight.
        """
        rows, columns = (max(3, round(self.metres / (across * each))) for each in stretch)
        random = self.random(name)
        offsets = (0.5 + jitter * (random.random((2, rows, columns)) - 0.5)).astype(np.float32)
        y, x = (self.y, self.x) if bend is None else (self.y + bend[0], self.x + bend[1])
        v, u = y * np.float32(rows / self.metres), x * np.float32(columns / self.metres)
        row, column = np.floor(v).astype(np.int32), np.floor(u).astype(np.int32)
        first = np.full(v.shape, np.inf, np.float32)
        second, nearest = first.copy(), np.zeros(v.shape, np.int32)
        scale = np.float32(self.metres / rows) ** 2, np.float32(self.metres / columns) ** 2
        for i in (-1, 0, 1):
            for j in (-1, 0, 1):
                home = (row + i) % rows, (column + j) % columns
                away = (row + i + offsets[0][home] - v) ** 2 * scale[0]
                away += (column + j + offsets[1][home] - u) ** 2 * scale[1]
                closer = away < first
                second = np.where(closer, first, np.minimum(second, away))
                nearest = np.where(closer, home[0] * columns + home[1], nearest)
                first = np.where(closer, away, first)
        return Cells(nearest.astype(np.int32), np.sqrt(first), np.sqrt(second))

    def patch(self, y: float, x: float, reach: float) -> Patch:
        """The pixels within `reach` metres of a point, down and across; never more than the whole torus."""
        pixels = min(int(np.ceil(reach / self.pixel)), (self.side - 1) // 2)
        line = np.arange(-pixels, pixels + 1)
        row, column = int(np.floor(y / self.pixel)), int(np.floor(x / self.pixel))
        index = np.ix_((row + line) % self.side, (column + line) % self.side)
        away_y = ((row + line + 0.5) * self.pixel - y).astype(np.float32)
        away_x = ((column + line + 0.5) * self.pixel - x).astype(np.float32)
        return Patch((index[0], index[1]), away_y[:, None], away_x[None])

    def shifted(self, field: Field, down: Field, across: Field) -> Field:
        """The field as it is at other places: `down` and `across` metres away from each pixel, between its pixels."""
        half = np.float32(0.5)
        return between(
            field, (self.y + down) / np.float32(self.pixel) - half, (self.x + across) / np.float32(self.pixel) - half
        )

    def of_each(self, field: Field, ids: Ids, name: str) -> Field:
        """The field with a random shift for each object, so that what is on one does not go on over the next."""
        shifts = self.random(name).integers(0, self.side, (2, int(ids.max()) + 1), np.int32)
        line = np.arange(self.side, dtype=np.int32)
        rows, columns = (line[:, None] + shifts[0][ids]) % self.side, (line[None] + shifts[1][ids]) % self.side
        moved: Field = field[rows, columns]
        return moved


# ---------------------------------------------------------------------------------------------------- putting together


def between(field: Field, row: Field, column: Field) -> Field:
    """The field between its pixels, at places given as rows and columns of it, wrapped."""
    top, left = np.floor(row).astype(np.int32), np.floor(column).astype(np.int32)
    fv, fu = row - top, column - left
    rows, columns = ((each % side, (each + 1) % side) for each, side in zip((top, left), field.shape, strict=True))
    upper = field[rows[0], columns[0]] * (1 - fu) + field[rows[0], columns[1]] * fu
    lower = field[rows[1], columns[0]] * (1 - fu) + field[rows[1], columns[1]] * fu
    values: Field = (upper * (1 - fv) + lower * fv).astype(np.float32)
    return values


def smoothstep(low: float | Field, high: float | Field, values: Field) -> Field:
    """From 0 at `low` to 1 at `high`, without a corner."""
    t = np.clip((values - low) / (np.asarray(high, np.float32) - np.asarray(low, np.float32)), 0, 1)
    smooth: Field = (t * t * (3 - 2 * t)).astype(np.float32)
    return smooth


def ink(colour: Sequence[float] | Sequence[Sequence[float]]) -> Colour:
    """A single colour, or several of them, as numbers that fields of colours are made with."""
    return np.asarray(colour, np.float32)


def mix(first: Colour, second: Colour | Sequence[float], share: Field | float) -> Colour:
    """From the first colour to the second, by the share of the second. Colours are fields of three channels or one."""
    weight = share[..., None] if isinstance(share, np.ndarray) else np.float32(share)
    mixed: Colour = (first + (np.asarray(second, np.float32) - first) * weight).astype(np.float32)
    return mixed


def smooth_max(first: Field, second: Field, width: float) -> Field:
    """The larger, with a fillet where they are less than `width` apart."""
    near = np.clip(width - np.abs(first - second), 0, None) / np.float32(width)
    larger: Field = (np.maximum(first, second) + near * near * np.float32(width / 4)).astype(np.float32)
    return larger


def smooth_min(first: Field, second: Field, width: float) -> Field:
    """The smaller, with a fillet where they are less than `width` apart."""
    smaller: Field = -smooth_max(-first, -second, width)
    return smaller


def rounded_box(y: Field, x: Field, half_y: Field | float, half_x: Field | float, corner: Field | float) -> Field:
    """How far inside a rectangle with round corners a place is, in metres; negative outside."""
    over_y, over_x = np.abs(y) - half_y + corner, np.abs(x) - half_x + corner
    outside = np.hypot(np.maximum(over_y, 0), np.maximum(over_x, 0)) + np.minimum(np.maximum(over_y, over_x), 0)
    inside: Field = (corner - outside).astype(np.float32)
    return inside


# ------------------------------------------------------------------------------------------- what follows from a height


def slopes(height: Field, pixel: float) -> tuple[Field, Field]:
    """Metres up for each metre down the picture, and right: central differences."""
    scale = np.float32(0.5 / pixel)
    down = (np.roll(height, -1, 0) - np.roll(height, 1, 0)) * scale
    return down, (np.roll(height, -1, 1) - np.roll(height, 1, 1)) * scale


def normals(height: Field, pixel: float) -> Field:
    """(side, side, 3) in [-1, 1]: x right, y up, z out of the surface."""
    down, right = slopes(height, pixel)
    vectors = np.stack([-right, down, np.ones_like(down)], 2)
    unit: Field = vectors / np.sqrt((vectors**2).sum(2, keepdims=True))
    return unit


def occlusion(height: Field, pixel: float, reach: float, directions: int = 10) -> Field:
    """The share of a cloudy sky's light that reaches each place, in [0, 1], past what stands within `reach` metres.

    In each direction the horizon is the highest rise to any place there; light comes from above it. Source: horizon
    angles (Max 1988, Horizon mapping), with light weighted by the cosine.
    """
    steps, away = [], 1.0
    while away <= max(1.0, reach / pixel):
        steps.append(away)
        away = max(away + 1, away * 1.45)
    open_sky = np.zeros_like(height)
    for angle in np.arange(directions) * (2 * np.pi / directions):
        rise = np.zeros_like(height)
        for step in steps:
            down, across = round(step * float(np.sin(angle))), round(step * float(np.cos(angle)))
            length = np.float32(np.hypot(down, across) * pixel)
            np.maximum(rise, (np.roll(height, (-down, -across), (0, 1)) - height) / length, out=rise)
        open_sky += 1 / (1 + rise * rise)
    return open_sky / directions


def hollows(canvas: Canvas, height: Field, reach: float) -> Field:
    """How many metres a place lies below its surroundings: where dust stays. Negative on what stands out."""
    return canvas.blur(height, reach) - height
