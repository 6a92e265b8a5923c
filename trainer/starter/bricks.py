"""A wall of old facing bricks in running bond: six bricks across, eighteen courses, mortar with sand.

No two bricks are alike: each has a firing colour, a burnt end, marks of the bricks that stood on it in the kiln, its
own size, turn and tilt, and edges that are chipped in some places only. Mortar is recessed, smeared over edges here and
there, and full of grains. Sources: in linear light red brick reflects (0.26, 0.10, 0.06) and concrete 0.51
(physicallybased.info); the bricks are those of Britain, 215 x 65 mm with joints of 10 mm.
"""

import numpy as np
from numpy.typing import NDArray

from trainer.starter.fields import (
    Canvas,
    Colour,
    Field,
    Ids,
    hollows,
    mix,
    rounded_box,
    smooth_max,
    smoothstep,
)
from trainer.starter.surface import Surface

COLUMNS, COURSES = 6, 18
STEP = (0.075, 0.225)  # metres from brick to brick, down and across
JOINT = 0.010
PERIODS = (STEP[0], STEP[1] / 2), (0.0, STEP[1])

TONES = np.array(  # linear light
    [
        (0.250, 0.092, 0.056),  # red
        (0.300, 0.118, 0.068),  # orange red
        (0.205, 0.074, 0.050),  # deep red
        (0.155, 0.065, 0.050),  # brown
        (0.330, 0.160, 0.095),  # salmon, fired softly
        (0.095, 0.060, 0.055),  # burnt, blue brown
    ],
    np.float32,
)
SHARES = (0.30, 0.22, 0.20, 0.13, 0.09, 0.06)
BURNT = (0.060, 0.045, 0.044)
LIME = (0.52, 0.49, 0.44)
MORTAR = (0.37, 0.335, 0.285)
SOOT = (0.060, 0.055, 0.050)


class _Bricks:
    """Where each brick lies, and numbers that differ from brick to brick."""

    def __init__(self, canvas: Canvas) -> None:
        self.canvas = canvas
        self.random = canvas.random("bricks")
        # Courses are not laid to a hair: their lines waver.
        y = canvas.y + np.float32(0.0012) * canvas.noise("courses", 0.6, 0.15)
        x = canvas.x + np.float32(0.0010) * canvas.noise("perpends", 0.4, 0.1)
        y, x = y + np.float32(0.4 * STEP[0]), x + np.float32(0.3 * STEP[1])  # the picture's border crosses bricks
        course = np.floor(y / STEP[0]).astype(np.int32)
        along = x - (course % 2) * np.float32(STEP[1] / 2)
        column = np.floor(along / STEP[1]).astype(np.int32)
        self.ids: Ids = (course % COURSES) * COLUMNS + column % COLUMNS
        self.y = y - (course + np.float32(0.5)) * np.float32(STEP[0]) - self.each(0.0, 0.0009)
        self.x = along - (column + np.float32(0.5)) * np.float32(STEP[1]) - self.each(0.0, 0.0017)
        turn = self.each(0.0, 0.004)
        self.y, self.x = self.y + turn * self.x, self.x - turn * self.y
        self.half_y = (STEP[0] - JOINT) / 2 + self.each(0.0, 0.0009)
        self.half_x = (STEP[1] - JOINT) / 2 + self.each(0.0, 0.0015)

    def each(self, mean: float, spread: float) -> Field:
        """A number for each brick, normally distributed but never far out, at each pixel of it."""
        return self.of(mean + spread * self.random.standard_normal(COURSES * COLUMNS).clip(-2.2, 2.2))

    def uniform(self, low: float, high: float) -> Field:
        return self.of(self.random.uniform(low, high, COURSES * COLUMNS))

    def of(self, values: NDArray[np.float64]) -> Field:
        return values.astype(np.float32)[self.ids]


def draw(canvas: Canvas) -> Surface:
    """The wall, as seen from the front."""
    bricks = _Bricks(canvas)
    inside = _edges(canvas, bricks)
    fine = canvas.noise("fine", 0.004, 0.0, 0.6)
    pits = canvas.specks("pits", 2600, 0.0035, 0.9) + canvas.specks("small pits", 16000, 0.0018, 0.9)
    face = _faces(canvas, bricks, inside, fine, pits)
    mortar, grains = _mortar(canvas, inside)
    height = smooth_max(face, mortar, 0.0018)
    is_brick = smoothstep(-0.0012, 0.0014, face - mortar)
    clay, burnt = _clay(canvas, bricks, inside, pits, fine)
    joint = _joint(canvas, grains, height)
    colour = mix(joint, clay, is_brick)
    colour, lime = _weather(canvas, bricks, colour, height, is_brick)
    rough_clay = 0.86 + 0.05 * fine.clip(-2, 2) - 0.22 * burnt + 0.08 * lime
    roughness = rough_clay * is_brick + (0.93 + 0.03 * grains.clip(-1, 1)) * (1 - is_brick)
    return Surface(height=height, colour=colour, roughness=roughness.clip(0.45, 1).astype(np.float32), periods=PERIODS)


def _edges(canvas: Canvas, bricks: _Bricks) -> Field:
    """How far inside its brick's front a place is, in metres: uneven edges, with corners and pieces broken off."""
    ragged = canvas.noise("ragged", 0.030, 0.004, 1.2)
    crumbs = canvas.noise("crumbs", 0.006, 0.0, 0.8)
    corner = bricks.uniform(0.003, 0.009)
    inside = rounded_box(bricks.y, bricks.x, bricks.half_y, bricks.half_x, corner)
    inside += (0.0006 + 0.0009 * bricks.uniform(0, 1) ** 2) * ragged + 0.00022 * crumbs
    for number in range(3):
        # A piece is broken out of an edge: a round place on the outline, its border as ragged as the break.
        along = bricks.uniform(-1, 1) * bricks.half_x
        side = np.sign(bricks.uniform(-1, 1)) * bricks.half_y
        if number == 2:
            along = np.sign(along) * bricks.half_x
        size = (bricks.uniform(0, 1) ** 4) * (0.016 if number < 2 else 0.022)
        away = np.hypot((bricks.y - side) * 1.3, bricks.x - along) + 0.0022 * ragged + 0.0008 * crumbs
        inside = np.minimum(inside, away - size)
    return inside.astype(np.float32)


def _faces(canvas: Canvas, bricks: _Bricks, inside: Field, fine: Field, pits: Field) -> Field:
    """Heights of the bricks' faces; they fall off beyond their edges."""
    rolls = canvas.of_each(canvas.noise("rolls", 0.07, 0.012, 1.6), bricks.ids, "rolls of each")
    creases = canvas.of_each(canvas.noise("creases", 0.022, 0.0035, 1.5, (0.5, 1.5)), bricks.ids, "creases of each")
    folds = -np.abs(canvas.of_each(canvas.noise("folds", 0.05, 0.004, 1.5, (0.6, 1.5)), bricks.ids, "folds of each"))
    rough = bricks.uniform(0.35, 1.0)
    face = bricks.each(0.0, 0.0011) + bricks.each(0.0, 0.022) * bricks.y + bricks.each(0.0, 0.007) * bricks.x
    face += rough * (0.00040 * rolls + 0.00030 * creases) + bricks.uniform(0, 1) ** 2 * 0.0007 * folds
    face += 0.00010 * fine - 0.0013 * np.minimum(pits, 1.2) * rough
    worn = 0.0016 + 0.0030 * smoothstep(-0.3, 1.6, canvas.noise("worn", 0.12, 0.01, 1.4))
    near = np.clip(1 - inside / worn, 0, 1)
    face -= 0.75 * worn * (1 - np.sqrt(np.clip(1 - near * near, 0, 1)))  # a rounded edge
    face += 4 * np.minimum(inside, 0)  # the sides
    deep: Field = np.maximum(face, -0.03)
    return deep


def _mortar(canvas: Canvas, inside: Field) -> tuple[Field, Field]:
    """Heights of the mortar, and its grains of sand, from -1 to 1 and more."""
    filled = canvas.noise("filled", 0.16, 0.02, 1.5)
    lumps = canvas.noise("lumps", 0.018, 0.002, 1.3)
    grains = canvas.noise("grains", 0.006, 0.002, 0.6)
    gravel = canvas.specks("gravel", 22000, 0.0016, 0.5)
    holes = canvas.specks("holes", 1500, 0.003, 0.8)
    recess = 0.0052 - 0.0016 * filled.clip(-1.5, 1.6)
    # Struck with the trowel: it climbs a little at the bricks.
    climbs = 0.0011 * np.exp(-np.clip(-inside, 0, None) / np.float32(0.0018))
    height = -recess + climbs + 0.0005 * lumps + 0.00022 * grains + 0.0005 * gravel - 0.0022 * np.minimum(holes, 1)
    return height.astype(np.float32), grains


def _clay(canvas: Canvas, bricks: _Bricks, inside: Field, pits: Field, fine: Field) -> tuple[Colour, Field]:
    """The bricks' colour, and how far they are burnt, from 0 to 1."""
    count = COURSES * COLUMNS
    tone = TONES[bricks.random.choice(len(TONES), count, p=SHARES)]
    second = TONES[bricks.random.choice(len(TONES) - 1, count)]
    light = np.exp(0.15 * bricks.random.standard_normal(count)).astype(np.float32)
    clouds = canvas.of_each(canvas.noise("clouds", 0.12, 0.0, 1.5), bricks.ids, "clouds of each")
    clay = (tone * light[:, None])[bricks.ids]
    clay = mix(clay, second[bricks.ids], 0.45 * smoothstep(-0.4, 1.8, clouds))
    # Where bricks stood on each other in the kiln the fire did not reach: bands that are lighter, or darker.
    band = bricks.x - bricks.uniform(-0.08, 0.08) + 0.004 * clouds
    kiss = smoothstep(0.012, 0.0, np.abs(band) - bricks.uniform(0.015, 0.04)) * (bricks.uniform(0, 1) > 0.72)
    clay = clay * (1 + (bricks.uniform(-0.35, 0.35) * kiss)[..., None])
    end = bricks.x / np.float32(STEP[1]) * np.sign(bricks.uniform(-1, 1)) + 0.12 * clouds
    burnt = smoothstep(0.05, 0.75, end) * np.clip(bricks.uniform(-1.4, 0.9), 0, 1)
    rim = smoothstep(0.012, 0.0, inside + 0.003 * clouds) * np.clip(bricks.uniform(-0.6, 0.7), 0, 1)
    burnt = np.maximum(burnt, 0.55 * rim).astype(np.float32)
    clay = mix(clay, BURNT, 0.8 * burnt)
    iron = canvas.specks("iron", 9000, 0.0014, 0.8) + canvas.specks("iron lumps", 900, 0.003, 0.8)
    shell = canvas.specks("lime specks", 1400, 0.0017, 0.8)
    clay = mix(clay, (0.05, 0.04, 0.04), 0.55 * np.minimum(iron, 1))
    clay = mix(clay, (0.45, 0.38, 0.30), 0.6 * np.minimum(shell, 1) * (bricks.uniform(0, 1) > 0.5))
    sand = canvas.noise("sanded", 0.0028, 0.0, 0.3)
    clay = clay * np.exp(0.07 * sand + 0.05 * fine + 0.10 * clouds)[..., None]
    clay = clay * (1 - 0.45 * np.minimum(pits, 1))[..., None]
    # Fresh breaks show the lighter inside.
    broken = smoothstep(0.0022, 0.0, inside) * smoothstep(0.2, 1.2, canvas.noise("fresh", 0.08, 0.006, 1.2))
    return mix(clay, (0.30, 0.125, 0.075), 0.5 * broken), burnt


def _joint(canvas: Canvas, grains: Field, height: Field) -> Colour:
    """The mortar's colour: lime and sand of several colours, weathered in patches."""
    joint = np.broadcast_to(np.asarray(MORTAR, np.float32), (*height.shape, 3))
    patches = canvas.noise("batches", 0.35, 0.0, 1.6)
    joint = joint * np.exp(0.10 * patches + 0.13 * grains.clip(-2.5, 2.5))[..., None]
    dark, ochre = canvas.specks("dark sand", 26000, 0.0012, 0.7), canvas.specks("ochre sand", 20000, 0.0014, 0.7)
    joint = mix(joint, (0.11, 0.10, 0.09), 0.55 * np.minimum(dark, 1))
    joint = mix(joint, (0.36, 0.25, 0.14), 0.5 * np.minimum(ochre, 1))
    light = canvas.specks("light sand", 16000, 0.0013, 0.6)
    return mix(joint, (0.60, 0.58, 0.54), 0.5 * np.minimum(light, 1))


def _weather(canvas: Canvas, bricks: _Bricks, colour: Colour, height: Field, is_brick: Field) -> tuple[Colour, Field]:
    """Dust in hollows, soot in clouds, salts that have come out of the bricks; and the salts, from 0 to 1."""
    deep = smoothstep(0.0002, 0.0035, hollows(canvas, height, 0.008))
    colour = mix(colour, (0.16, 0.135, 0.105), 0.42 * deep)
    soot = smoothstep(0.1, 2.2, canvas.noise("soot", 0.5, 0.01, 1.6))
    colour = mix(colour, SOOT, 0.38 * soot)
    salt = canvas.noise("salt", 0.25, 0.004, 1.4) + 0.35 * canvas.noise("salt crystals", 0.012, 0.0, 0.8)
    lime = (smoothstep(1.5, 3.2, salt + bricks.each(0.0, 0.4)) * is_brick * 0.5).astype(np.float32)
    # Mortar that was smeared over the face and not washed off.
    smear = canvas.noise("smear", 0.05, 0.003, 1.2, (0.7, 1.5)) + 0.6 * canvas.noise("smeared", 0.4, 0.1, 1.6)
    film = smoothstep(1.5, 3.0, smear) * 0.35
    colour = mix(colour, LIME, lime)
    return mix(colour, MORTAR, film * is_brick), lime
