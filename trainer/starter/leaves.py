"""Fallen leaves on the soil of a wood: crumbs of earth, small stones, twigs, scraps of old leaves, and leaves on top.

Leaves of six species in nine states of decay lie on one another, curled and folded (trainer/starter/leaf.py). Colours
in linear light, by eye: yellow leaves reflect 0.4 of red light, brown ones 0.1 to 0.25; moist humus 0.03 to 0.08.
"""

import numpy as np

from trainer.starter.fields import Canvas, hollows, ink, mix, smoothstep
from trainer.starter.leaf import SPECIES, STATES, Leaf
from trainer.starter.pile import Pile, Points
from trainer.starter.rods import rod
from trainer.starter.stones import Stone
from trainer.starter.surface import Surface
from trainer.starter.textures import Textures

METRES = 1.0
CRUMBS, SCRAPS, LEAVES = 3600, 2600, 600  # on a canvas of METRES
PEBBLE_EVERY, TWIG_EVERY = 30, 6
SOIL, CRUMB = (0.058, 0.042, 0.030), (0.082, 0.060, 0.042)
PEBBLE = ((0.26, 0.24, 0.21), (0.16, 0.155, 0.15), (0.30, 0.24, 0.17), (0.40, 0.37, 0.33))
BARK = ((0.105, 0.080, 0.060), (0.075, 0.052, 0.038), (0.150, 0.125, 0.100))


def draw(canvas: Canvas) -> Surface:
    """The ground, seen from above."""
    random = canvas.random("leaves")
    pile = Pile(canvas, _soil(canvas))
    textures = Textures(canvas, (0.04, 0.006, 1.5), (0.008, 0.0014, 0.7), (0.0026, 0.0, 0.2))
    area = (canvas.metres / METRES) ** 2
    for _ in range(round(CRUMBS * area)):
        radius = float(np.exp(random.normal(np.log(0.0022), 0.5)))
        colour = ink(CRUMB) * np.exp(random.normal(-0.1, 0.25))
        _bit(pile, random, textures, Stone(random, min(radius, 0.009), faces=14, worn=0.7), colour, 0.93, 0.6)
    scraps, leaves = round(SCRAPS * area), round(LEAVES * area)
    for number in range(scraps):
        if number % PEBBLE_EVERY == 0:
            stone = Stone(random, float(random.uniform(0.003, 0.010)), faces=11, worn=random.uniform(0.2, 0.8))
            _bit(pile, random, textures, stone, ink(PEBBLE[random.integers(len(PEBBLE))]), 0.75, 0.8)
        _leaf(pile, random, textures, 0.0, float(np.exp(random.normal(np.log(0.0065), 0.5))))
    for number in range(leaves):
        if number % TWIG_EVERY == 0:
            _twig(pile, random)
        _leaf(pile, random, textures, number / leaves)
    return _finished(canvas, pile.surface())


def _soil(canvas: Canvas) -> Surface:
    rises, crumbs = canvas.noise("rises", 0.5, 0.05, 1.7), canvas.noise("crumbs", 0.03, 0.001, 1.4)
    grains = canvas.noise("grains of soil", 0.004, 0.0, 0.3)
    colour = np.broadcast_to(ink(SOIL), (*rises.shape, 3)) * np.exp(0.25 * crumbs + 0.2 * grains)[..., None]
    height = 0.0045 * rises + 0.0012 * crumbs + 0.0003 * grains
    return Surface(
        height=height.astype(np.float32), colour=colour.astype(np.float32), roughness=np.full_like(height, 0.95)
    )


def _bit(
    pile: Pile,
    random: np.random.Generator,
    textures: Textures,
    body: Stone,
    colour: np.ndarray,
    roughness: float,
    share: float,
    tries: int = 1,
) -> None:
    """A crumb, a stone or a scrap, at a low place."""
    patch = pile.canvas.patch(*pile.low_place(random, body.reach, tries), body.reach + pile.canvas.pixel)
    upper, lower = body.sides(patch.y, patch.x)
    inside = upper > lower
    if not inside.any():
        return
    clouds, lumps, grains = textures.window(random, inside.shape)
    top = upper + body.thickness * (0.10 * lumps + 0.05 * clouds) + pile.rest(patch, lower, inside, share)
    seen = pile.put(patch, top, inside)
    shade = np.exp(0.12 * clouds[seen] + 0.12 * grains[seen])
    pile.paint(patch, seen, (colour * shade[:, None]).astype(np.float32), roughness)


def _twig(pile: Pile, random: np.random.Generator) -> None:
    step = 0.65 * pile.canvas.pixel
    y, x = random.uniform(0, pile.canvas.metres, 2)
    length = float(np.exp(random.normal(np.log(0.07), 0.5)).clip(0.02, 0.25))
    thick = float(random.uniform(0.008, 0.018) * length**0.5 * 0.5)
    angle = random.uniform(0, 2 * np.pi)
    bark = ink(BARK[random.integers(len(BARK))]) * np.exp(random.normal(0, 0.2))
    points, along, across = rod(random, (y, x, 0.0), angle, length, (thick, 0.4 * thick), 0.5, 0.0, step)
    shoots = [(points, along, across)]
    for _ in range(random.integers(0, 3)):
        at = int(random.uniform(0.2, 0.8) * len(points.y))
        start = float(points.y[at]), float(points.x[at]), 0.0
        shoots.append(
            rod(
                random,
                start,
                angle + random.choice([-0.7, 0.7]),
                length * random.uniform(0.15, 0.5),
                (0.5 * thick, 0.25 * thick),
                0.5,
                0.003,
                step,
            )
        )
    whole = Points(*(np.concatenate([each[0][axis] for each in shoots]) for axis in range(3)))
    along, across = (np.concatenate([each[index] for each in shoots]) for index in (1, 2))
    rings = np.sin(along * length * random.uniform(900, 2500)) * 0.06 + random.normal(0, 0.10, len(along))
    colour = bark * np.exp(rings - 0.25 * np.abs(across))[:, None]
    pile.scatter(pile.lie(whole, 0.85), colour.astype(np.float32), 0.85)


def _leaf(pile: Pile, random: np.random.Generator, textures: Textures, late: float, scrap: float | None = None) -> None:
    """A leaf, or a scrap of this radius in metres. `late`, from 0 to 1: of those that fall late fewer are rotten."""
    shares = np.array([each.share for each in STATES])
    shares[4] *= 2.2 * (1 - late)
    shares[5:] *= 0.2 + 1.6 * late
    state = STATES[random.choice(len(STATES), p=shares / shares.sum())]
    species = SPECIES[random.choice(len(SPECIES), p=[each.share for each in SPECIES])]
    step = 0.66 * pile.canvas.pixel
    leaf = Leaf(random, textures, step, state, species, scrap)
    if len(leaf.points.z) < 20:
        return
    y, x = pile.low_place(random, scrap or 0.4 * leaf.length, 2)
    points = Points(leaf.points.y + np.float32(y), leaf.points.x + np.float32(x), leaf.points.z)
    lying = pile.lie(points, 0.90)
    pile.scatter(lying, leaf.colour, leaf.roughness)
    if not scrap and random.random() < 0.75:
        at = int(np.argmin(leaf.points.x * np.cos(leaf.turn) + leaf.points.y * np.sin(leaf.turn)))
        start = float(lying.y[at]), float(lying.x[at]), float(lying.z[at]) - 0.0004
        stalk, _, across = rod(
            random,
            start,
            leaf.turn + np.pi,
            leaf.length * random.uniform(0.15, 0.4),
            (0.0008, 0.0007),
            0.6,
            random.normal(0.001, 0.003),
            step,
        )
        colour = ink(state.vein) * 0.7 * np.exp(-0.3 * np.abs(across))[:, None]
        pile.scatter(stalk, colour.astype(np.float32), 0.65)


def _finished(canvas: Canvas, ground: Surface) -> Surface:
    """Earth in the hollows, and damp: what lies deep is darker and smoother."""
    deep = smoothstep(0.001, 0.012, hollows(canvas, ground.height, 0.02))
    dirt = canvas.noise("dirt", 0.02, 0.001, 0.9)
    colour = mix(ground.colour, SOIL, (0.55 * deep + 0.05 * dirt).clip(0, 0.7))
    dust = smoothstep(1.2, 2.6, dirt + 0.3 * canvas.noise("dusted", 0.2, 0.02, 1.5))
    colour = mix(colour, SOIL, 0.5 * dust)
    roughness = ground.roughness + 0.06 * dirt - 0.08 * deep
    return Surface(height=ground.height, colour=colour, roughness=roughness.clip(0.35, 1).astype(np.float32))
