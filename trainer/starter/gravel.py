"""Gravel of a river terrace, partly crushed: stones of some rocks, from 4 to 40 mm, with sand and dust between them.

Each stone is a body of its own (trainer/starter/stones.py) that was dropped on the others. Its rock shows in colour,
grain, bedding and veins, which run through the body and are cut by its faces. Colours in linear light, by
eye: basalt 0.06 to 0.12, granite and limestone 0.2 to 0.4, milky quartz 0.5, red sandstone 0.2, dry quartz sand 0.3,
all dimmed a little by dust.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from trainer.starter.fields import Canvas, Colour, Field, hollows, ink, mix, smoothstep
from trainer.starter.pile import Pile
from trainer.starter.stones import Stone
from trainer.starter.surface import Surface
from trainer.starter.textures import Texture, Textures

METRES = 0.8
STONES = 4600  # on a canvas of METRES
RADIUS, SPREAD = 0.0080, 0.45  # the median, in metres, and the deviation of its logarithm
HIGHEST = 0.012  # metres above the mean height that a stone's middle comes to lie
SMALLEST, LARGEST = 0.0024, 0.024
DIRT, SAND, DUST = (0.150, 0.118, 0.085), (0.215, 0.170, 0.122), (0.235, 0.198, 0.152)


@dataclass(frozen=True, kw_only=True)
class Rock:
    """`light` and `dark`: its minerals. `share`: of the stones. `worn`: how round they are. `veins`: share with any."""

    share: float
    light: tuple[float, float, float]
    dark: tuple[float, float, float]
    pattern: Literal["even", "crystals", "beds"]
    roughness: float
    worn: tuple[float, float]
    veins: float = 0.0


ROCKS = (
    Rock(
        share=0.24, light=(0.345, 0.315, 0.270), dark=(0.235, 0.210, 0.175), pattern="even", roughness=0.80,
        worn=(0.1, 0.8), veins=0.3,
    ),  # limestone
    Rock(
        share=0.13, light=(0.390, 0.370, 0.340), dark=(0.060, 0.060, 0.058), pattern="crystals", roughness=0.75,
        worn=(0.1, 0.7),
    ),  # granite
    Rock(
        share=0.07, light=(0.390, 0.280, 0.225), dark=(0.090, 0.075, 0.070), pattern="crystals", roughness=0.75,
        worn=(0.1, 0.7),
    ),  # red granite
    Rock(
        share=0.19, light=(0.145, 0.147, 0.145), dark=(0.085, 0.088, 0.090), pattern="even", roughness=0.70,
        worn=(0.0, 0.5), veins=0.15,
    ),  # basalt
    Rock(
        share=0.15, light=(0.225, 0.222, 0.212), dark=(0.130, 0.133, 0.135), pattern="beds", roughness=0.72,
        worn=(0.0, 0.5), veins=0.3,
    ),  # greywacke and slate
    Rock(
        share=0.12, light=(0.310, 0.235, 0.155), dark=(0.205, 0.145, 0.090), pattern="beds", roughness=0.86,
        worn=(0.3, 0.9),
    ),  # sandstone
    Rock(
        share=0.06, light=(0.500, 0.470, 0.420), dark=(0.360, 0.300, 0.220), pattern="even", roughness=0.55,
        worn=(0.3, 1.0),
    ),  # quartz
    Rock(
        share=0.04, light=(0.235, 0.130, 0.095), dark=(0.160, 0.080, 0.060), pattern="even", roughness=0.80,
        worn=(0.2, 0.9), veins=0.2,
    ),  # red sandstone
)  # fmt: skip


def draw(canvas: Canvas) -> Surface:
    """The ground, seen from above."""
    random = canvas.random("stones")
    rises = 0.003 * canvas.noise("rises", 0.4, 0.04, 1.6)
    dirt = np.broadcast_to(ink(DIRT), (*rises.shape, 3))
    pile = Pile(canvas, Surface(height=rises, colour=dirt, roughness=np.full_like(rises, 0.95)))
    textures = Textures(canvas, (0.02, 0.001, 1.3), (0.006, 0.0012, 0.6), (0.0022, 0.0008, 0.0))
    for radius in _radii(random, canvas):
        _drop(pile, random, textures, float(radius))
    return _with_sand(canvas, pile.surface())


def _radii(random: np.random.Generator, canvas: Canvas) -> np.ndarray:
    """Of all stones, in the order in which they fall: mostly the large ones first, so that small ones lie in gaps."""
    count = round(STONES * (canvas.metres / METRES) ** 2)
    radii = np.exp(random.normal(np.log(RADIUS), SPREAD, count)).clip(SMALLEST, LARGEST)
    return radii[np.argsort(-radii + random.normal(0, 0.0035, count))]


def _drop(pile: Pile, random: np.random.Generator, textures: Textures, radius: float) -> None:
    rock = ROCKS[random.choice(len(ROCKS), p=[each.share for each in ROCKS])]
    worn = random.uniform(*rock.worn)
    stone = Stone(random, radius, faces=int(random.integers(8, 15)), worn=worn)
    patch = pile.canvas.patch(*pile.low_place(random, radius, 8), stone.reach + pile.canvas.pixel)
    upper, lower = stone.sides(patch.y, patch.x)
    inside = upper > lower
    if not inside.any():
        return
    texture = textures.window(random, inside.shape)
    uneven = (
        radius * (0.016 * texture.clouds + 0.011 * texture.lumps) * (1.2 - worn) + np.float32(0.00008) * texture.grains
    )
    level = pile.rest(patch, lower, inside, 0.82)
    if level > pile.mean_height() + HIGHEST:
        return  # it rolls away
    top = upper + uneven + level
    seen = pile.put(patch, top, inside)
    if seen.any():
        y, x = (np.broadcast_to(each, seen.shape)[seen] for each in (patch.y, patch.x))
        texture = texture.at(seen)
        colour = _colour(random, rock, radius, (y, x, upper[seen]), texture)
        pile.paint(patch, seen, colour, rock.roughness + 0.05 * texture.clouds)


def _colour(
    random: np.random.Generator, rock: Rock, radius: float, place: tuple[Field, Field, Field], texture: Texture
) -> Colour:
    """Of points on a stone: `place` is (y, x, z) in metres from its middle."""
    clouds, lumps, grains = texture
    shape = (len(clouds), 3)
    warmth = random.normal(0, 0.04)
    tint = np.exp(random.normal(0, 0.16) + np.array([warmth, 0, -warmth])).astype(np.float32)
    light, dark = ink(rock.light) * tint, ink(rock.dark) * tint
    if rock.pattern == "crystals":
        middle = (0.72 * light + 0.28 * dark).astype(np.float32)
        colour = mix(np.broadcast_to(middle, shape), light * 1.12, smoothstep(-0.2, 0.9, grains - 0.4 * lumps))
        colour = mix(colour, dark, 0.9 * smoothstep(0.7, 1.3, 0.8 * lumps - 0.7 * grains))
    else:
        share = 0.5 + 0.30 * clouds + 0.10 * grains
        if rock.pattern == "beds":
            depth = _along(random, *place) / radius
            beds = np.sin(depth * random.uniform(5, 14) + random.uniform(0, 6) + 0.6 * clouds)
            share = share + random.uniform(0.05, 0.4) * beds
        colour = mix(np.broadcast_to(light, shape), dark, share.clip(0, 1))
    colour = colour * np.exp(0.05 * grains + 0.05 * lumps)[..., None]
    if random.random() < rock.veins:
        away = np.abs(_along(random, *place) + 0.1 * radius * clouds - random.uniform(-0.4, 0.4) * radius)
        vein = smoothstep(1.0, 0.3, away / np.float32(random.uniform(0.02, 0.06) * radius + 0.0003))
        colour = mix(colour, (0.50, 0.47, 0.42), 0.75 * vein)
    return colour


def _along(random: np.random.Generator, y: Field, x: Field, z: Field) -> Field:
    """How far a point is along a random direction: beds and veins are planes that the faces cut."""
    way = random.normal(0, 1, 3)
    way = (way / np.linalg.norm(way)).astype(np.float32)
    return np.asarray(way[0] * x + way[1] * y + way[2] * z)


def _with_sand(canvas: Canvas, stones: Surface) -> Surface:
    """Sand in the deepest gaps and dust in all hollows."""
    height, colour = stones.height, stones.colour
    grains = canvas.noise("sand", 0.004, 0.0014, 0.3)
    level = np.quantile(height, 0.10) + 0.0012 * canvas.noise("level", 0.2, 0.01, 1.6)
    sand = canvas.blur(np.minimum(height, level), 0.0016) + 0.0003 * grains
    cover = smoothstep(-0.0004, 0.0004, sand - height)
    deep = smoothstep(0.0, 0.008, hollows(canvas, height, 0.012))
    dust = (0.06 + 0.5 * deep + 0.06 * canvas.noise("dust", 0.1, 0.004, 1.0)).clip(0, 0.6)
    colour = mix(colour, ink(DUST) * 0.75, dust)
    colour = mix(colour, ink(SAND) * np.exp(0.2 * grains)[..., None], cover)
    roughness = stones.roughness + (0.95 - stones.roughness) * np.maximum(cover, dust)
    return Surface(
        height=np.maximum(height, sand).astype(np.float32), colour=colour, roughness=roughness.astype(np.float32)
    )
