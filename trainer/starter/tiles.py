"""Glazed tiles made by hand, eight by eight: no tile is level, none is square, and none has quite the next one's green.

The clay was cut while it was leather-hard and its edges were chiselled, so they are uneven and show the clay where
glaze chipped off. The glaze pools in hollows, where it is darker, and breaks over edges, where it is pale. Some tiles
are crazed. Colours in linear light, by eye: fired clay reflects (0.56, 0.21, 0.11), unglazed porcelain about 0.8;
a glaze takes light from its ground twice, so it is darker and more saturated.
"""

import numpy as np
from numpy.typing import NDArray

from trainer.starter.fields import Canvas, Colour, Field, Ids, hollows, mix, rounded_box, smooth_max, smoothstep
from trainer.starter.surface import Surface

TILES = 8  # along each side
STEP = 0.1125  # metres
JOINT = 0.0028
PERIODS = (STEP, 0.0), (0.0, STEP)

GLAZES = np.array(  # linear light
    [
        (0.105, 0.205, 0.165),  # sea green
        (0.130, 0.235, 0.195),  # pale sea green
        (0.075, 0.160, 0.135),  # deep
        (0.120, 0.215, 0.205),  # bluish
        (0.145, 0.230, 0.160),  # yellowish
        (0.055, 0.120, 0.105),  # bottle green
    ],
    np.float32,
)
SHARES = (0.32, 0.22, 0.17, 0.12, 0.11, 0.06)
CLAY = (0.43, 0.275, 0.185)
GROUT = (0.36, 0.335, 0.295)


class _Tiles:
    """Where each tile lies, and numbers that differ from tile to tile."""

    def __init__(self, canvas: Canvas) -> None:
        self.random = canvas.random("tiles")
        y, x = canvas.y + np.float32(0.4 * STEP), canvas.x + np.float32(0.3 * STEP)  # the border crosses tiles
        row, column = np.floor(y / STEP).astype(np.int32), np.floor(x / STEP).astype(np.int32)
        self.ids: Ids = (row % TILES) * TILES + column % TILES
        self.y = y - (row + np.float32(0.5)) * np.float32(STEP) - self.each(0.0, 0.0005)
        self.x = x - (column + np.float32(0.5)) * np.float32(STEP) - self.each(0.0, 0.0005)
        turn = self.each(0.0, 0.004)
        self.y, self.x = self.y + turn * self.x, self.x - turn * self.y
        self.half_y = (STEP - JOINT) / 2 + self.each(0.0, 0.0004) + self.each(0.0, 0.006) * self.x
        self.half_x = (STEP - JOINT) / 2 + self.each(0.0, 0.0004) + self.each(0.0, 0.006) * self.y

    def each(self, mean: float, spread: float) -> Field:
        return self.of(mean + spread * self.random.standard_normal(TILES**2).clip(-2.2, 2.2))

    def uniform(self, low: float, high: float) -> Field:
        return self.of(self.random.uniform(low, high, TILES**2))

    def of(self, values: NDArray[np.floating]) -> Field:
        return values.astype(np.float32)[self.ids]


def draw(canvas: Canvas) -> Surface:
    """The tiles, as seen from the front."""
    tiles = _Tiles(canvas)
    ragged = canvas.noise("ragged", 0.014, 0.0025, 1.2)
    inside = rounded_box(tiles.y, tiles.x, tiles.half_y, tiles.half_x, tiles.uniform(0.0008, 0.0025))
    inside = inside + 0.00035 * ragged
    chipped = _chips(canvas, tiles, inside, ragged)
    height, glaze, pool = _relief(canvas, tiles, inside, chipped)
    grout, sand = _grout(canvas)
    is_tile = smoothstep(-0.0002, 0.0003, height - grout)
    colour = _glaze_colour(canvas, tiles, inside, pool)
    clay = np.asarray(CLAY, np.float32) * np.exp(0.12 * canvas.noise("clay", 0.01, 0.0, 0.8))[..., None]
    colour = mix(clay, colour, glaze)
    joint = np.asarray(GROUT, np.float32) * np.exp(0.12 * sand + 0.12 * canvas.noise("batch", 0.3, 0.0, 1.6))[..., None]
    colour = mix(joint, colour, is_tile)
    height = smooth_max(height, grout, 0.0004)
    dirt = smoothstep(0.0, 0.0014, hollows(canvas, height, 0.0035)) * (1 - 0.6 * is_tile * glaze)
    colour = mix(colour, (0.110, 0.092, 0.072), 0.55 * dirt)
    grime = smoothstep(0.3, 2.4, canvas.noise("grime", 0.25, 0.004, 1.4))
    near_joint = np.exp(-np.clip(inside, 0, None) / np.float32(0.006))
    colour = mix(colour, (0.150, 0.130, 0.105), 0.35 * near_joint * grime)
    dull = smoothstep(0.2, 2.2, canvas.noise("dull", 0.20, 0.004, 1.2))
    worn = tiles.uniform(0.0, 0.07) + 0.10 * dull + 0.14 * near_joint * grime
    shine = 0.11 + worn + 0.025 * canvas.noise("orange peel", 0.004, 0.0, 0.5)
    roughness = (shine * glaze + 0.88 * (1 - glaze)) * is_tile + (0.93 + 0.02 * sand) * (1 - is_tile)
    return Surface(height=height, colour=colour, roughness=roughness.clip(0.06, 1), periods=PERIODS)


def _chips(canvas: Canvas, tiles: _Tiles, inside: Field, ragged: Field) -> Field:
    """How deep inside a chip of the edge a place is, in metres; negative elsewhere."""
    chipped = np.full(inside.shape, -1, np.float32)
    fine = canvas.noise("broken", 0.004, 0.0, 1.0)
    for number in range(5):
        along, size = tiles.uniform(-1, 1), tiles.uniform(0, 1) ** 3 * 0.0065
        side = np.sign(tiles.uniform(-1, 1))
        if number % 2:
            away = np.hypot(tiles.y - along * tiles.half_y, (tiles.x - side * tiles.half_x) * 1.6)
        else:
            away = np.hypot((tiles.y - side * tiles.half_y) * 1.6, tiles.x - along * tiles.half_x)
        chipped = np.maximum(chipped, size - away + 0.0007 * ragged + 0.0003 * fine)
    nibbled = canvas.noise("nibbled", 0.02, 0.0012, 1.1) - 1.3  # all along the chiselled edge
    deepest: Field = np.maximum(chipped, 0.0011 * nibbled - np.clip(inside - 0.0004, 0, None))
    return deepest


def _relief(canvas: Canvas, tiles: _Tiles, inside: Field, chipped: Field) -> tuple[Field, Field, Field]:
    """Heights of the tiles, where there is glaze, from 0 to 1, and how deep it has pooled, around 0."""
    waves = canvas.of_each(canvas.noise("waves", 0.06, 0.012, 1.9), tiles.ids, "waves of each")
    ripple = canvas.of_each(canvas.noise("ripple", 0.012, 0.003, 1.3), tiles.ids, "ripple of each")
    tilt = tiles.each(0.0, 0.013) * tiles.y + tiles.each(0.0, 0.013) * tiles.x
    hollow = tiles.uniform(-0.008, 0.024) * (tiles.y**2 + tiles.x**2) / np.float32(STEP)  # they warp in the kiln
    body = tiles.each(0.0, 0.0003) + tilt + hollow + 0.00020 * waves * tiles.uniform(0.4, 1.3) + 0.000022 * ripple
    lip = np.clip(1 - inside / tiles.uniform(0.0014, 0.0032), 0, 1)
    body = body - 0.0010 * lip * lip
    pinholes = canvas.specks("pinholes", 2600, 0.0011, 0.9) + 1.3 * canvas.specks("craters", 260, 0.0022, 0.9)
    pinholes = np.minimum(pinholes, 1) * (tiles.uniform(0, 1) > 0.35)
    body = body - 0.00035 * pinholes
    glaze = smoothstep(0.00015, -0.0002, chipped) * (1 - smoothstep(0.5, 0.9, pinholes))
    broken = np.clip(chipped, 0, None)
    height = body - np.minimum(0.8 * broken, 0.0016) - 0.00025 * smoothstep(-0.0001, 0.0002, chipped)
    height = height + 0.00012 * canvas.noise("fracture", 0.003, 0.0, 0.9) * (1 - glaze) + 5 * np.minimum(inside, 0)
    return np.maximum(height, -0.006), glaze, waves + 0.4 * ripple


def _grout(canvas: Canvas) -> tuple[Field, Field]:
    """Heights of the grout, and its sand, from -1 to 1 and more."""
    sand = canvas.noise("sand", 0.002, 0.0, 0.4).clip(-2, 2)
    filled = canvas.noise("filled", 0.08, 0.006, 1.5).clip(-2, 2)
    return -0.0021 + 0.00030 * filled + 0.00008 * sand, sand


def _glaze_colour(canvas: Canvas, tiles: _Tiles, inside: Field, pool: Field) -> Colour:
    """The glaze: darker where it is thick, pale over edges, speckled and in some tiles crazed."""
    tone = GLAZES[tiles.random.choice(len(GLAZES), TILES**2, p=SHARES)]
    light = np.exp(0.17 * tiles.random.standard_normal((TILES**2, 1))).astype(np.float32)
    second = GLAZES[tiles.random.choice(len(GLAZES), TILES**2)]
    clouds = canvas.of_each(canvas.noise("clouds", 0.09, 0.0, 1.5), tiles.ids, "clouds of each")
    runs = canvas.of_each(canvas.noise("runs", 0.03, 0.001, 1.2, (3.0, 0.8)), tiles.ids, "runs of each")
    colour = mix((tone * light)[tiles.ids], second[tiles.ids], 0.55 * smoothstep(-0.6, 1.8, clouds))
    thick = -0.16 * pool + 0.10 * clouds + 0.10 * runs * tiles.uniform(0.2, 1.2)
    colour = colour ** (1 - 0.32 * thick.clip(-1, 1))[..., None]  # light passes the glaze more than once
    edge = np.exp(-np.clip(inside, 0, None) / tiles.uniform(0.0012, 0.0030))
    colour = mix(
        colour, (0.33, 0.36, 0.27), 0.55 * edge * smoothstep(-1.0, 1.0, canvas.noise("break", 0.03, 0.002, 1.2))
    )
    colour = colour * np.exp(0.05 * canvas.noise("grain", 0.003, 0.0, 0.4))[..., None]
    colour = mix(colour, (0.030, 0.040, 0.034), 0.6 * np.minimum(canvas.specks("iron", 1500, 0.0012, 0.9), 1))
    colour = mix(colour, (0.30, 0.36, 0.30), 0.4 * np.minimum(canvas.specks("bubbles", 3200, 0.0012, 0.9), 1))
    cracks = canvas.cells("crazing", 0.011, 0.95)
    line = smoothstep(0.0011, 0.0, cracks.second - cracks.first + 0.0002 * canvas.noise("bent", 0.01, 0.001, 1.0))
    crazed = smoothstep(0.55, 1.0, tiles.uniform(0, 1)) * smoothstep(-0.6, 0.9, clouds)
    return mix(colour, (0.045, 0.050, 0.040), 0.40 * line * crazed)
