"""Fallen leaves in colour, drawn: the swatch of `make demo`, which needs no photograph and no licence.

Leaves fall one by one, each with a shadow, an edge of teeth, a midrib with veins, a bend in its shading, and spots.
"""

import numpy as np
from numpy.typing import NDArray

SIDE = 768
FINE = 2  # samples per pixel and axis
LEAVES = 1300  # on a picture of this side
COLOURS = np.array(
    [
        (0.72, 0.42, 0.10),  # ochre
        (0.78, 0.30, 0.07),  # orange
        (0.56, 0.14, 0.07),  # red
        (0.80, 0.62, 0.16),  # yellow
        (0.42, 0.26, 0.14),  # brown
        (0.30, 0.19, 0.12),  # dark brown
        (0.52, 0.40, 0.24),  # straw
        (0.36, 0.40, 0.13),  # green
    ]
)
SHARES = np.array([0.17, 0.13, 0.08, 0.10, 0.20, 0.14, 0.12, 0.06])

Field = NDArray[np.float64]


def leaves(seed: int = 0, side: int = SIDE) -> NDArray[np.uint8]:
    """(side, side, 3), sRGB."""
    random = np.random.default_rng(seed)
    extent = side * FINE
    picture = np.full((extent, extent, 3), (0.10, 0.075, 0.05))
    for number in range(LEAVES):
        length = FINE * random.uniform(26, 58) * side / SIDE
        middle = random.uniform(-length, extent + length, 2)
        reach = int(length * 1.2)
        low, high = (np.clip(middle.astype(int) + way * reach, 0, extent) for way in (-1, 1))
        if (low >= high).any():
            continue
        part = np.s_[low[0] : high[0], low[1] : high[1]]
        y, x = np.mgrid[part].astype(np.float64)
        colour, inside, shadow = _leaf(random, (y - middle[0]) / length, (x - middle[1]) / length)
        depth = 0.55 + 0.45 * min(1.0, 1.6 * number / LEAVES)  # the first lie deep, in the dark
        picture[part] *= 1 - 0.55 * shadow[..., None]
        picture[part] = np.where(inside[..., None], colour * depth, picture[part])
    small = picture.reshape(side, FINE, side, FINE, 3).mean((1, 3))
    small += random.normal(0, 0.012, small.shape)
    whole: NDArray[np.uint8] = (np.clip(small, 0, 1) * 255 + 0.5).astype(np.uint8)
    return whole


def _leaf(random: np.random.Generator, y: Field, x: Field) -> tuple[Field, NDArray[np.bool_], Field]:
    """Colour, which pixels it covers, and how dark its shadow lies, at places in leaf lengths from its middle."""
    turn, curl = random.uniform(0, 2 * np.pi), random.uniform(-0.25, 0.25)
    width, teeth, tooth = random.uniform(0.30, 0.52), random.integers(7, 15), random.uniform(0, 0.10)
    lobes, lobe = random.integers(2, 4), random.choice([0.0, 0.0, 0.22])

    def outline(y: Field, x: Field) -> tuple[Field, Field, Field]:
        along = y * np.cos(turn) + x * np.sin(turn)
        across = x * np.cos(turn) - y * np.sin(turn) - curl * along**2
        body = np.clip(1 - along**2, 0, None) ** 0.75 * (1 - 0.35 * along)
        edge = 1 + tooth * (np.abs(along * teeth % 2 - 1) - 0.5) + lobe * np.cos(along * lobes * np.pi)
        return along, across, width * body * edge

    along, across, half = outline(y, x)
    inside = np.abs(across) < half
    stalk = (along > 0.85) & (along < 1.15) & (np.abs(across) < 0.018)
    _, under, reach = outline(y - 0.07, x - 0.05)
    shadow = np.clip((reach - np.abs(under)) / 0.06, 0, 1)
    base = COLOURS[random.choice(len(COLOURS), p=SHARES)] * random.uniform(0.75, 1.2) + random.normal(0, 0.02, 3)
    other = COLOURS[random.choice(len(COLOURS), p=SHARES)]
    rim = np.clip(np.abs(across) / np.maximum(half, 1e-3), 0, 1)
    mixed = base + (other - base) * (random.uniform(0.1, 0.5) * rim**2)[..., None]
    bend = 1 + random.uniform(0.1, 0.3) * np.sign(across) * np.sin(turn + 0.8) - 0.25 * rim**3
    waves = 1 + 0.07 * np.sin(9 * along + 5 * np.abs(across) + random.uniform(0, 6))
    veins = np.abs((along + 0.9 * np.abs(across)) * 6 % 1 - 0.5) < 0.035
    midrib = np.abs(across) < 0.016
    light = bend * waves * np.where(veins, 1.13, 1) * np.where(midrib, 1.35, 1)
    spots = np.ones_like(y)
    for _ in range(random.integers(0, 7)):
        at, size = random.uniform(-0.7, 0.7, 2) * (1, width), random.uniform(0.015, 0.06)
        spots = np.where((along - at[0]) ** 2 + (across - at[1]) ** 2 < size**2, 0.55, spots)
    colour = mixed * (light * spots)[..., None]
    colour = np.where(stalk[..., None], base * 0.6, colour)
    return colour, inside | stalk, shadow
