"""Drawn pictures to teach the built-in descriptor with: no photographs needed, a new picture for every seed.

Each drawing imitates a kind of material: leaves and pebbles that hide each other, cells with shaded edges, courses of
bricks with joints, strokes along a flow, clouds of every roughness and their contours. Colours are muted: a palette is
the neighbourhood of one hue, sometimes with an accent.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from trainer.swatch.contents import leaves_over_each_other

Picture = NDArray[np.float32]  # (side, side, 3) in [0, 1]
Field = NDArray[np.float64]  # (side, side)


def draw(seed: int, side: int) -> Picture:
    """A picture of a random kind, with random sharpness, contrast and grain: (side, side, 3) in [0, 1]."""
    random = np.random.default_rng(seed)
    picture = KINDS[random.integers(len(KINDS))](random, side)
    if random.uniform() < 0.25:
        picture = _mixed(picture, KINDS[random.integers(len(KINDS))](random, side), random)
    if random.uniform() < 0.3:
        picture = ndimage.gaussian_filter(picture, (random.uniform(0.3, 1.5),) * 2 + (0,))
    if random.uniform() < 0.5:
        grain = random.normal(0, random.uniform(0.01, 0.12), (side, side, 1 if random.uniform() < 0.7 else 3))
        picture = picture + ndimage.gaussian_filter(grain, (random.choice([0.0, 0.6, 1.2]),) * 2 + (0,))
    contrast, brightness = random.uniform(0.5, 1.4), random.uniform(-0.15, 0.15)
    picture = (picture - picture.mean()) * contrast + picture.mean() + brightness
    clipped: Picture = np.clip(picture, 0, 1).astype(np.float32)
    return clipped


def dead_leaves(random: np.random.Generator, side: int) -> NDArray[np.float64]:
    """Leaves over each other, large and small (trainer/swatch/contents.py)."""
    return leaves_over_each_other(random, palette_of(random), side)


def small_leaves(random: np.random.Generator, side: int) -> NDArray[np.float64]:
    """A litter of leaves or chips of about one size, as on a forest floor or on bark."""
    palette, image = palette_of(random), np.zeros((side, side, 3))
    image[:] = palette[0] * random.uniform(0.2, 1)
    length, slender = random.uniform(5, 24), random.uniform(0.15, 0.9)
    y, x = np.mgrid[:side, :side].astype(np.float64)
    for _ in range(int(min(2.5 * side * side / (length * length * slender), 700))):
        centre_y, centre_x, angle = random.uniform(0, side), random.uniform(0, side), random.uniform(0, np.pi)
        size = length * random.uniform(0.6, 1.3)
        top, bottom = max(0, int(centre_y - size)), min(side, int(centre_y + size) + 1)
        left, right = max(0, int(centre_x - size)), min(side, int(centre_x + size) + 1)
        part = np.s_[top:bottom, left:right]
        dx, dy = x[part] - centre_x, y[part] - centre_y
        u, v = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
        away = (u / size) ** 2 + (v / (size * slender)) ** 2
        colour = palette[random.integers(len(palette))] * random.uniform(0.7, 1.2)
        light = 1 + 0.4 * v / size - 0.5 * np.clip(away, 0, 1) ** 2 - 0.3 * (np.abs(v) < 0.7)
        image[part] = np.where((away < 1)[..., None], colour * light[..., None], image[part])
    return image


def cells(random: np.random.Generator, side: int) -> NDArray[np.float64]:
    """Pebbles, scales or cracked ground: the cells of scattered or nearly regular points, with rims and relief."""
    count = int(random.integers(12, 400))
    points = random.uniform(-0.1, 1.1, (count, 2))
    if random.uniform() < 0.4:
        rows = max(2, int(np.sqrt(count)))
        grid = np.stack(np.meshgrid(np.arange(rows), np.arange(rows), indexing="ij"), -1).reshape(-1, 2) / (rows - 1.0)
        points = grid + random.normal(0, random.uniform(0.02, 0.3) / rows, grid.shape)
    stretch = np.array([1.0, random.uniform(0.4, 1.0)])
    y, x = np.mgrid[:side, :side] / side
    where = np.stack([y, x], -1) + 0.01 * random.uniform(0, 3) * np.stack([clouds(random, side, 2.0) for _ in "yx"], -1)
    distance, nearest = cKDTree(points * stretch).query(where * stretch, k=2)
    palette = palette_of(random)
    colours = palette[random.integers(len(palette), size=len(points))] * random.uniform(0.6, 1.25, (len(points), 1))
    rim = np.clip((distance[..., 1] - distance[..., 0]) * np.sqrt(count) / random.uniform(0.05, 0.8), 0, 1)
    relief = rim ** random.uniform(0.3, 2)
    image = colours[nearest[..., 0]] * (0.25 + 0.75 * relief[..., None])
    if random.uniform() < 0.7:
        image = image * (1 + random.uniform(0.2, 1.5) * lit(relief * random.uniform(1, 4), random)[..., None])
    clouded: NDArray[np.float64] = image * (
        1 + random.uniform(0, 0.3) * clouds(random, side, random.uniform(0.5, 2))[..., None]
    )
    return clouded


def courses(random: np.random.Generator, side: int) -> NDArray[np.float64]:
    """Bricks, tiles, planks or a weave: courses of blocks with joints, worn and coloured block by block."""
    tall, wide = random.uniform(8, 60), random.uniform(10, 90)
    angle = random.choice([0.0, np.pi / 2, random.uniform(0, np.pi)])
    y, x = np.mgrid[:side, :side].astype(np.float64)
    bent = random.uniform(0, 2.5)
    y, x = (each + bent * clouds(random, side, random.uniform(1, 2)) for each in (y, x))
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    row = np.floor(v / tall)
    shift = random.choice([0.0, 0.5, 1 / 3]) if random.uniform() < 0.8 else random.uniform(0, 1)
    if random.uniform() < 0.2:
        u = u + wide * ((row * 7919) % 13) / 13
    across = u / wide + shift * row
    column = np.floor(across)
    edge_v, edge_u = (v / tall - row - 0.5) * tall, (across - column - 0.5) * wide
    inside = np.minimum(tall / 2 - np.abs(edge_v), wide / 2 - np.abs(edge_u))
    joint = np.clip((inside - random.uniform(0.2, 3)) / random.uniform(0.5, 3), 0, 1)
    palette = palette_of(random)
    which = ((row * 92821 + column * 68917) % 251).astype(int)
    tint = random.uniform(0.75, 1.2, 251)[which]
    if random.uniform() < 0.5:
        image = palette[random.integers(len(palette), size=251)[which]]
    else:
        image = np.broadcast_to(palette[0], (side, side, 3))
    grain = 1 + random.uniform(0, 0.35) * clouds(random, side, random.uniform(0.3, 1.5))
    image = image * (tint * grain)[..., None]
    image = np.where(joint[..., None] < 1, image * joint[..., None] + palette[-1] * (1 - joint[..., None]), image)
    shaded: NDArray[np.float64] = image * (1 + random.uniform(0, 1.0) * lit(joint * 2, random)[..., None])
    return shaded


def strokes(random: np.random.Generator, side: int) -> NDArray[np.float64]:
    """Grain, hair, grass or brush strokes: noise smeared along a flow, coloured by a ramp."""
    length, waves = random.uniform(3, 25), random.uniform(0, 1.5)
    angle = random.uniform(0, np.pi) + waves * clouds(random, side, random.uniform(1.5, 2.5))
    y, x = np.mgrid[:side, :side].astype(np.float64)
    noise = random.normal(0, 1, (side, side))
    if random.uniform() < 0.5:
        noise = ndimage.gaussian_filter(noise, random.uniform(0.5, 2))
    total = np.zeros((side, side))
    for step in np.linspace(-length, length, 17):
        along = [y + step * np.sin(angle), x + step * np.cos(angle)]
        total += ndimage.map_coordinates(noise, along, order=1, mode="wrap")
    image = ramp(random, _unit(total))
    if random.uniform() < 0.4:
        image = image * (1 + random.uniform(0.2, 1.5) * lit(_unit(total) * 4, random)[..., None])
    return image


def blotches(random: np.random.Generator, side: int) -> NDArray[np.float64]:
    """Rust, marble, lichen: contours of clouds, bent by other clouds, two materials with a rim between."""
    field = clouds(random, side, random.uniform(0.6, 2.2))
    if random.uniform() < 0.5:
        y, x = np.mgrid[:side, :side].astype(np.float64)
        bend = random.uniform(2, 25)
        moved = [each + bend * clouds(random, side, random.uniform(1.2, 2.2)) for each in (y, x)]
        field = ndimage.map_coordinates(field, moved, order=1, mode="wrap")
    if random.uniform() < 0.4:
        field = np.sin(field * random.uniform(2, 12))
    image = ramp(random, _unit(field))
    if random.uniform() < 0.6:
        edge = np.clip(field * random.uniform(2, 30) + 0.5, 0, 1)[..., None]
        image = image * edge + ramp(random, _unit(clouds(random, side, random.uniform(0, 1.5)))) * (1 - edge)
    return image


def noise(random: np.random.Generator, side: int) -> NDArray[np.float64]:
    """Clouds in colour, from white noise to soft light; some of one direction."""
    power = random.uniform(0, 2.2)
    if random.uniform() < 0.5:
        return ramp(random, _unit(clouds(random, side, power, random.uniform(1, 6))))
    mixing = random.normal(0, 0.3, (3, 3)) + np.eye(3) * random.uniform(0, 0.5) + random.uniform(0, 1)
    stack = np.stack([clouds(random, side, power + random.uniform(-0.3, 0.3)) for _ in range(3)], -1)
    return 0.5 + random.uniform(0.03, 0.25) * stack @ mixing


KINDS = (dead_leaves, small_leaves, small_leaves, cells, cells, courses, courses, strokes, strokes, blotches, noise)


def clouds(random: np.random.Generator, side: int, power: float, stretch: float = 1.0) -> Field:
    """Noise with a spectrum of 1 / frequency^power: mean 0, deviation 1, periodic."""
    fy, fx = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :]
    angle = random.uniform(0, np.pi)
    u, v = fx * np.cos(angle) + fy * np.sin(angle), (fy * np.cos(angle) - fx * np.sin(angle)) * stretch
    frequency = np.hypot(u, v)
    frequency[0, 0] = 1.0  # any value but 0: the mean is removed below
    spectrum = np.fft.rfft2(random.normal(0, 1, (side, side))) / frequency**power
    spectrum[0, 0] = 0
    field = np.fft.irfft2(spectrum, s=(side, side))
    scaled: Field = field / max(field.std(), 1e-12)
    return scaled


def lit(height: Field, random: np.random.Generator) -> Field:
    """How much brighter a slope is when the light comes from one side: about -1 to 1."""
    angle = random.uniform(0, 2 * np.pi)
    down, right = np.gradient(height)
    shade: Field = np.tanh(down * np.sin(angle) + right * np.cos(angle))
    return shade


def palette_of(random: np.random.Generator) -> NDArray[np.float64]:
    """Six muted colours (6, 3): greys of one hue, sometimes with an accent."""
    hue = random.normal(0, random.choice([0.03, 0.1, 0.2]), 3)
    palette = random.uniform(0.05, 0.95, (6, 1)) + hue + random.normal(0, random.choice([0.02, 0.08, 0.15]), (6, 3))
    if random.uniform() < 0.3:
        palette[-1] = random.uniform(0, 1, 3)
    clipped: NDArray[np.float64] = np.clip(palette, 0, 1)
    return clipped


def ramp(random: np.random.Generator, field: Field) -> NDArray[np.float64]:
    """Colours for a field in [0, 1], between two to five stops."""
    palette = palette_of(random)[: int(random.integers(2, 6))]
    stops = np.sort(random.uniform(0, 1, len(palette)))
    return np.stack([np.interp(field, stops, palette[:, channel]) for channel in range(3)], -1)


def _unit(field: Field) -> Field:
    unit: Field = (field - field.min()) / max(np.ptp(field), 1e-12)
    return unit


def _mixed(one: NDArray[np.float64], other: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """The first picture multiplied by the other, or mixed with it by a mask or evenly."""
    side = len(one)
    how = random.integers(3)
    mixed: NDArray[np.float64]
    if how == 0:
        mixed = one * other / max(other.mean(), 0.1)
    else:
        share = np.clip(clouds(random, side, 1.8) * 4 * (how == 1) + 0.5, 0, 1)[..., None]
        mixed = one * share + other * (1 - share)
    return mixed
