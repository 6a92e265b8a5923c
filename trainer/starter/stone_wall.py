"""A wall of rough sandstone and limestone, bedded in lime mortar: stones of all sizes, none of them square.

Stones are laid like a mason lays them: some large ones first, then what fits into the gaps, row by row. Each has its
own outline, a face broken in a few planes, beds of its own direction, its own colour. Weather has rounded the edges,
stained the faces with iron, and let lichens grow. Colours by eye: limestone and sandstone
reflect 0.2 to 0.5.
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
    smooth_min,
    smoothstep,
)
from trainer.starter.surface import Surface

GRID = 40  # units along each side; stones are whole units large before their outlines are bent
FIRST = 16  # large stones that are laid first
JOINT = 0.016  # metres, on average

TONES = np.array(  # linear light
    [
        (0.330, 0.265, 0.185),  # buff sandstone
        (0.300, 0.270, 0.220),  # grey buff
        (0.235, 0.222, 0.200),  # grey
        (0.300, 0.205, 0.120),  # ochre
        (0.180, 0.178, 0.172),  # blue grey
        (0.390, 0.345, 0.270),  # pale limestone
        (0.225, 0.160, 0.115),  # brown
    ],
    np.float32,
)
SHARES = (0.24, 0.22, 0.18, 0.11, 0.08, 0.10, 0.07)
RUST = (0.235, 0.120, 0.052)
PATINA = (0.095, 0.088, 0.078)
MORTAR = (0.375, 0.335, 0.270)
LICHEN = (0.400, 0.405, 0.350)
GOLD = (0.330, 0.215, 0.050)


def draw(canvas: Canvas) -> Surface:
    """The wall, as seen from the front."""
    stones = _Stones(canvas)
    inside = _outline(canvas, stones)
    grain = canvas.noise("grain", 0.006, 0.0, 0.5)
    face, broken = _faces(canvas, stones, inside, grain)
    mortar, sand = _mortar(canvas, inside)
    height = smooth_max(face, mortar, 0.003)
    is_stone = smoothstep(-0.0015, 0.002, face - mortar)
    stone = _rock(canvas, stones, grain, broken)
    joint = np.broadcast_to(np.asarray(MORTAR, np.float32), stone.shape)
    joint = joint * np.exp(0.10 * canvas.noise("batches", 0.4, 0.0, 1.6) + 0.09 * sand.clip(-2, 2))[..., None]
    joint = mix(joint, (0.12, 0.11, 0.10), 0.5 * np.minimum(canvas.specks("dark sand", 9000, 0.0022, 0.7), 1))
    joint = mix(joint, (0.55, 0.53, 0.48), 0.5 * np.minimum(canvas.specks("lime lumps", 2600, 0.004, 0.7), 1))
    colour, lichen = _weather(canvas, stones, mix(joint, stone, is_stone), height, is_stone)
    roughness = 0.88 - 0.05 * grain.clip(-2, 2) * is_stone + 0.05 * (1 - is_stone) + 0.06 * lichen
    return Surface(height=height, colour=colour, roughness=roughness.clip(0.6, 1))


class _Stones:
    """Which stone lies where, and numbers that differ from stone to stone. `y`, `x`: from the stone's middle."""

    def __init__(self, canvas: Canvas) -> None:
        self.random = canvas.random("stones")
        unit = canvas.metres / GRID
        # What was laid on a grid is bent, so that no joint is straight and no two stones are parallel.
        y = canvas.y + np.float32(0.010) * canvas.noise("bent down", 0.5, 0.10, 1.4)
        x = canvas.x + np.float32(0.011) * canvas.noise("bent across", 0.5, 0.10, 1.4)
        laid, boxes = _lay(self.random)
        row, column = np.floor(y / unit).astype(np.int32) % GRID, np.floor(x / unit).astype(np.int32) % GRID
        self.ids: Ids = laid[row, column]
        self.count = len(boxes)
        top, left, tall, wide = (self.of(boxes[:, each] * unit) for each in range(4))
        self.half_y, self.half_x = tall / 2, wide / 2
        self.y = _around(y - top - self.half_y, canvas.metres)
        self.x = _around(x - left - self.half_x, canvas.metres)

    def of(self, values: NDArray[np.floating]) -> Field:
        return values.astype(np.float32)[self.ids]

    def uniform(self, low: float, high: float) -> Field:
        return self.of(self.random.uniform(low, high, self.count))

    def each(self, spread: float) -> Field:
        return self.of(spread * self.random.standard_normal(self.count).clip(-2.2, 2.2))


def _around(away: Field, period: float) -> Field:
    """The shortest way around the torus."""
    return away - np.round(away / np.float32(period)) * np.float32(period)


def _lay(random: np.random.Generator) -> tuple[Ids, NDArray[np.float64]]:
    """The stone of each unit of the grid, and each stone's top, left, height and width in units."""
    laid = np.full((GRID, GRID), -1, np.int32)
    boxes: list[tuple[int, int, int, int]] = []

    def lay(top: int, left: int, tall: int, wide: int) -> bool:
        place = np.ix_(np.arange(top, top + tall) % GRID, np.arange(left, left + wide) % GRID)
        if (laid[place] >= 0).any():
            return False
        laid[place] = len(boxes)
        boxes.append((top, left, tall, wide))
        return True

    left = 0
    while left < GRID - 2:  # a row of stones across the border, where the rows begin that are laid later
        wide = int(random.integers(3, 8))
        lay(GRID - int(random.integers(1, 4)), left, int(random.integers(3, 6)), min(wide, GRID - left))
        left += wide
    while len(boxes) < FIRST:
        tall = int(random.integers(4, 7))
        top, left = (int(each) for each in random.integers(0, GRID, 2))
        lay(top, left, tall, tall + int(random.integers(1, 5)))
    for top in range(GRID):
        for left in range(GRID):
            if laid[top, left] >= 0:
                continue
            run = 1
            while run < 9 and laid[top, (left + run) % GRID] < 0:
                run += 1
            wide = min(run, int(random.integers(3, 9)))
            if run - wide == 1:  # no gap is left that is too narrow for a stone
                wide = run if run <= 8 else wide - 1
            tall = int(random.integers(2, 5)) if wide < 6 else int(random.integers(2, 4))
            while not lay(top, left, tall, wide):
                tall -= 1
    return laid, np.array(boxes, np.float64)


def _outline(canvas: Canvas, stones: _Stones) -> Field:
    """How far inside its stone a place is, in metres."""
    ragged = canvas.noise("ragged", 0.09, 0.012, 1.4)
    crumbs = canvas.noise("crumbs", 0.018, 0.0, 1.1)
    y, x = stones.y + stones.each(0.05) * stones.x, stones.x + stones.each(0.10) * stones.y
    gap = JOINT / 2 + stones.uniform(-0.004, 0.006)
    half_y, half_x = stones.half_y - gap, stones.half_x - gap
    small = np.minimum(half_y, half_x)
    inside = rounded_box(y, x, half_y, half_x, small * stones.uniform(0.15, 0.55))
    for down in (-1, 1):
        for across in (-1, 1):  # corners that were struck off
            cut = small * stones.uniform(-0.2, 1) ** 3 * 0.9
            slant = stones.uniform(0.5, 1.4)
            corner = (half_y - down * y) * slant + half_x - across * x - cut
            inside = smooth_min(inside, corner / np.sqrt(1 + slant**2), 0.012)
    outline: Field = inside + 0.0030 * ragged + 0.0011 * crumbs
    return outline


def _faces(canvas: Canvas, stones: _Stones, inside: Field, grain: Field) -> tuple[Field, Field]:
    """Heights of the stones' faces, and how freshly broken they are, from 0 to 1."""
    planes = np.full(inside.shape, 0.032, np.float32)
    strength = stones.uniform(0.25, 1.0)
    bend = canvas.of_each(canvas.noise("bend", 0.20, 0.02, 1.7), stones.ids, "bend of each")
    for _ in range(6):
        angle, steep = stones.uniform(0, 2 * np.pi), stones.uniform(0.04, 0.24)
        away = stones.y * np.sin(angle) / stones.half_y + stones.x * np.cos(angle) / stones.half_x
        offset = stones.uniform(0.008, 0.026)
        plane = offset - steep * np.minimum(stones.half_y, stones.half_x) * (away + 0.25 * bend)
        planes = smooth_min(planes, plane, 0.003)
    rock = canvas.of_each(canvas.noise("rock", 0.12, 0.005, 1.9), stones.ids, "rock of each")
    ridges = 1 - np.abs(canvas.of_each(canvas.noise("ridges", 0.08, 0.007, 1.8), stones.ids, "ridges of each"))
    beds = canvas.of_each(canvas.noise("beds", 0.06, 0.006, 1.5, (0.5, 2.4)), stones.ids, "beds of each")
    pits = canvas.specks("pits", 900, 0.006, 0.9) + canvas.specks("small pits", 6000, 0.003, 0.9)
    face = strength * planes + 0.0018 * rock + 0.0012 * strength * ridges
    face += 0.0009 * beds * stones.uniform(0, 1) ** 3 + 0.00028 * grain
    face -= 0.0020 * np.minimum(pits, 1.3) * stones.uniform(0.1, 1)
    worn = 0.010 + 0.012 * smoothstep(-0.5, 1.5, canvas.noise("worn", 0.25, 0.03, 1.5))
    near = np.clip(1 - inside / worn, 0, 1)
    face -= 0.9 * worn * (1 - np.sqrt(np.clip(1 - near * near, 0, 1)))
    face += stones.each(0.003) + 3.5 * np.minimum(inside, 0)
    return np.maximum(face, -0.06), smoothstep(0.5, 1.5, ridges + 0.5 * bend)


def _mortar(canvas: Canvas, inside: Field) -> tuple[Field, Field]:
    """Heights of the mortar, and its sand, from -1 to 1 and more."""
    sand = canvas.noise("sand", 0.007, 0.0, 0.7)
    height = -0.012 + 0.0030 * canvas.noise("filled", 0.25, 0.03, 1.6).clip(-1.8, 1.8)
    height += 0.0011 * canvas.noise("lumps", 0.035, 0.003, 1.4) + 0.00035 * sand
    height += 0.0013 * canvas.specks("gravel", 5000, 0.004, 0.6) - 0.004 * canvas.specks("holes", 350, 0.008, 0.8)
    height += 0.002 * np.exp(-np.clip(-inside, 0, None) / np.float32(0.005))
    return height, sand


def _rock(canvas: Canvas, stones: _Stones, grain: Field, broken: Field) -> Colour:
    """The stones' colour."""
    tone = TONES[stones.random.choice(len(TONES), stones.count, p=SHARES)]
    light = np.exp(0.11 * stones.random.standard_normal((stones.count, 1))).astype(np.float32)
    second = TONES[stones.random.choice(len(TONES), stones.count, p=SHARES)]
    clouds = canvas.of_each(canvas.noise("clouds", 0.25, 0.0, 1.5), stones.ids, "clouds of each")
    layers = canvas.of_each(canvas.noise("layers", 0.09, 0.002, 1.2, (0.4, 4.0)), stones.ids, "layers of each")
    colour = mix((tone * light)[stones.ids], second[stones.ids], 0.5 * smoothstep(-0.5, 2.0, clouds))
    colour = colour * np.exp(0.13 * layers * stones.uniform(0.1, 1.0) + 0.10 * clouds)[..., None]
    iron = canvas.of_each(canvas.noise("iron", 0.18, 0.002, 1.3), stones.ids, "iron of each")
    colour = mix(colour, RUST, 0.62 * smoothstep(0.6, 2.3, iron + stones.each(0.6)))
    colour = colour * np.exp(0.10 * grain)[..., None]
    colour = mix(colour, (0.09, 0.08, 0.075), 0.45 * np.minimum(canvas.specks("minerals", 7000, 0.0028, 0.8), 1))
    colour = mix(colour, (0.50, 0.47, 0.42), 0.40 * np.minimum(canvas.specks("quartz", 6000, 0.0026, 0.8), 1))
    return colour * (1 + 0.14 * broken[..., None])


def _weather(canvas: Canvas, stones: _Stones, colour: Colour, height: Field, is_stone: Field) -> tuple[Colour, Field]:
    """Patina, dirt in hollows, lichens; and where these grow, from 0 to 1."""
    stained = canvas.noise("patina", 0.45, 0.006, 1.4) + 0.5 * canvas.noise("patina of stones", 0.06, 0.004, 1.2)
    colour = mix(colour, PATINA, 0.50 * smoothstep(0.0, 2.2, stained + stones.each(0.3)) * (0.4 + 0.6 * is_stone))
    deep = smoothstep(0.0004, 0.007, hollows(canvas, height, 0.016))
    colour = mix(colour, (0.105, 0.088, 0.066), 0.50 * deep)
    shape = canvas.noise("lichen shape", 0.03, 0.003, 1.3)
    cells = canvas.cells("lichens", 0.055, 1.0)
    random = canvas.random("sizes of lichens")
    size = (0.024 * random.random(int(cells.nearest.max()) + 1) ** 3).astype(np.float32)[cells.nearest]
    grows = smoothstep(-0.2, 1.2, canvas.noise("lichens grow", 0.5, 0.1, 1.6))
    lichen = smoothstep(0.0, 0.004, size * grows - cells.first + 0.0035 * shape) * (size > 0.004) * is_stone
    rim = 0.75 + 0.25 * smoothstep(0.0, 0.006, size - cells.first)
    gold = (random.random(int(cells.nearest.max()) + 1) < 0.16).astype(np.float32)[cells.nearest]
    tint = mix(np.broadcast_to(np.asarray(LICHEN, np.float32), colour.shape), GOLD, gold)
    tint = tint * (np.exp(0.12 * canvas.noise("lichen grain", 0.006, 0.0, 0.6)) * rim)[..., None]
    return mix(colour, tint, 0.72 * lichen), lichen
