"""Tweed: a herringbone twill of woollen yarns, two over and two under, dark warp and light weft.

Every yarn is a body of its own with a path: it bends over and under the others, wanders a little, is thick and thin in
turns (slubs), and is twisted of fibres of several shades. Some fibres stick out and lie over the cloth. Colours in
linear light, by eye: white fleece is near 0.55, black wool near 0.03, and heather is mixed of dyed fibres.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.starter.fields import Canvas, Colour, Field, ink, mix, smoothstep
from trainer.starter.pile import FINE, coarser
from trainer.starter.surface import Surface

METRES = 0.16
YARNS = 96  # across and down
STRIPE = 12  # warps until the twill turns round
PITCH = METRES / YARNS
WAVE, THICK, WIDE = 0.30 * PITCH, 0.36 * PITCH, 0.52 * PITCH  # how far a yarn bends, half its height and its width
TWIST = 0.4  # metres across for a metre along, of a fibre on a yarn's surface
SPREAD = 2.5  # times TWIST is whole, so that the fibres' pattern closes
HAIRS_PER_M2 = 240_000
TURNS = 44  # of a yarn over METRES
OTHER = {"warp": "weft", "weft": "warp"}


@dataclass(frozen=True, kw_only=True)
class Wool:
    """Colours of the fibres of a yarn."""

    middle: tuple[float, float, float]
    dark: tuple[float, float, float]
    light: tuple[float, float, float]


WARP = Wool(middle=(0.078, 0.069, 0.062), dark=(0.030, 0.029, 0.030), light=(0.200, 0.175, 0.145))
WEFT = Wool(middle=(0.330, 0.290, 0.230), dark=(0.190, 0.155, 0.115), light=(0.470, 0.430, 0.360))
NEPS = ((0.30, 0.12, 0.05), (0.10, 0.15, 0.07), (0.42, 0.30, 0.10), (0.08, 0.11, 0.18))  # knots of dyed fibres


def draw(canvas: Canvas) -> Surface:
    """The cloth, seen from above; the warp runs down."""
    fine = dataclasses.replace(canvas, side=canvas.side * FINE)
    over = _lifted()
    warp = _Yarns(fine, "warp", WARP, over)
    weft = _Yarns(fine, "weft", WEFT, ~over.T)
    on_top = warp.height > weft.height
    height = np.maximum(warp.height, weft.height)
    colour = np.where(on_top[..., None], warp.colour, weft.colour)
    deep = smoothstep(0.35 * THICK, -0.9 * THICK, height)
    colour = colour * (1 - 0.45 * deep)[..., None]
    height, colour, hair = _hairs(fine, height, colour)
    height = height + np.float32(0.00012) * fine.noise("lie", 0.08, 0.01, 1.8)
    roughness = 0.86 + 0.05 * deep - 0.06 * hair
    return Surface(
        height=coarser(height),
        colour=coarser(colour),
        roughness=coarser(roughness),
        periods=((4 * PITCH, 0.0), (0.0, 2 * STRIPE * PITCH)),
    )


def _lifted() -> NDArray[np.bool_]:
    """Which warp (first axis) lies over which weft: herringbone with a cut, where the twill turns round."""
    steps = np.where(np.arange(YARNS) // STRIPE % 2 == 0, 1, -1)
    steps[::STRIPE] = 2
    return np.asarray((np.arange(YARNS)[None] + np.cumsum(steps)[:, None]) % 4 < 2)


class _Yarns:
    """All yarns of one direction: the height of their upper side, and their colour, on the fine canvas.

    They are drawn upright: a yarn runs down, and x is across it. Weft is turned at the end.
    """

    def __init__(self, canvas: Canvas, name: str, wool: Wool, over: NDArray[np.bool_]) -> None:
        """`over[i, j]`: whether yarn i lies over yarn j of the other direction."""
        random = canvas.random(name)
        across = canvas.x + _wander(canvas, name)
        along = canvas.y + _wander(canvas, OTHER[name]).T
        place = across / np.float32(PITCH)
        yarn = np.floor(place).astype(np.int32) % YARNS
        off = (place % 1 - np.float32(0.5)) * np.float32(PITCH)

        def each(values: NDArray[np.float64]) -> Field:
            return np.asarray(values.astype(np.float32)[yarn])

        lines = np.arange(YARNS) * canvas.side // YARNS
        slubs = canvas.noise(f"{name} slubs", 0.035, 0.002, 1.0, (6.0, 0.3))[:, lines].clip(-2, 2.4)
        slub = np.take_along_axis(slubs, yarn, 1)
        own = each(random.normal(0, 0.05, YARNS))
        lift = _between(np.where(over, np.float32(1), np.float32(-1)), yarn, along)
        wide = np.float32(WIDE) * (0.90 + 0.10 * lift + 0.07 * slub + own)
        side = (off / wide).clip(-1, 1)
        angle = np.arcsin(side)
        # Fibres wind around the yarn: what is straight in the noise is drawn along the twist.
        wound = np.float32(WIDE) * angle - np.float32(TWIST) * canvas.y + each(random.uniform(0, METRES, YARNS))
        shift = each(random.uniform(0, METRES, YARNS)), wound * np.float32(SPREAD) - canvas.x
        fibres = canvas.shifted(canvas.noise(f"{name} fibres", 0.0016, 0.0003, 0.4, (7.0, 1.0)), *shift)
        shades = canvas.shifted(canvas.noise(f"{name} shades", 0.008, 0.0006, 0.7, (4.0, 1.0)), *shift)
        turns = np.float32(2 * np.pi * TURNS / METRES) * canvas.y + each(random.uniform(0, 2 * np.pi, YARNS))
        round_ = np.sqrt(1 - side * side) * (1 + 0.07 * np.cos(2 * angle - turns) + 0.075 * fibres)
        height = np.float32(WAVE) * lift + np.float32(THICK) * (1 + 0.10 * slub + own) * round_
        self.height: Field = np.where(np.abs(off) < wide, height, height - np.float32(0.8 * THICK))
        tone = np.exp(each(random.normal(0, 0.07, YARNS)) + 0.05 * slub + 0.08 * fibres)
        colour = _heather(wool, shades, fibres) * tone[..., None]
        neps = canvas.noise(f"{name} neps", 0.004, 0.0010, 0.5, (2.2, 0.8)) + 0.25 * fibres
        dyes = ink(NEPS)[random.integers(0, len(NEPS), YARNS)][yarn]
        self.colour: Colour = mix(colour, dyes, 0.75 * smoothstep(2.5, 3.0, neps))
        if name == "weft":
            self.height, self.colour = self.height.T, self.colour.swapaxes(0, 1)


def _wander(canvas: Canvas, name: str) -> Field:
    """How far yarns are from their places, in metres across them; drawn upright."""
    wander = canvas.noise(f"{name} wander", 0.05, 4 * PITCH, 1.6, (4.0, 1.0))
    return np.asarray(np.float32(0.20 * PITCH) * wander + np.float32(0.4 * PITCH))  # the border crosses yarns


def _heather(wool: Wool, shades: Field, fibres: Field) -> Colour:
    colour: Colour = np.broadcast_to(ink(wool.middle), (*fibres.shape, 3))
    colour = mix(colour, wool.dark, 0.8 * smoothstep(0.0, 1.8, -shades - 0.5 * fibres))
    return mix(colour, wool.light, 0.8 * smoothstep(0.3, 2.0, shades + 0.6 * fibres))


def _between(levels: NDArray[np.float32], yarn: NDArray[np.int32], along: Field) -> Field:
    """The height of a yarn's middle along its way, from one crossing to the next: levels[yarn, crossing]."""
    place = along / np.float32(PITCH) - np.float32(0.5)
    crossing = np.floor(place).astype(np.int32)
    share = smoothstep(0.0, 1.0, place - crossing)
    first, second = levels[yarn, crossing % YARNS], levels[yarn, (crossing + 1) % YARNS]
    return np.asarray(first + (second - first) * share)


def _hairs(canvas: Canvas, height: Field, colour: Colour) -> tuple[Field, Colour, Field]:
    """The cloth with loose fibres over it, and where they are, from 0 to 1."""
    random = canvas.random("hairs")
    count = random.poisson(HAIRS_PER_M2 * METRES**2)
    along = np.linspace(0, 1, 96)[None]
    length = np.exp(random.normal(np.log(0.0030), 0.5, (count, 1)))
    start, bend, curl = random.uniform(0, 2 * np.pi, (count, 1)), *random.normal(0, 1.6, (2, count, 1))
    angle = start + bend * along + curl * along**2
    step = length / along.size / canvas.pixel
    row, column = (
        random.uniform(0, canvas.side, (count, 1)) + np.cumsum(way(angle) * step, 1) for way in (np.sin, np.cos)
    )
    strength = step * np.minimum(1, 4 * np.minimum(along, 1 - along)) * random.uniform(0.25, 0.8, (count, 1))
    cover = np.zeros_like(height)
    places = row.astype(np.int64) % canvas.side, column.astype(np.int64) % canvas.side
    np.add.at(cover, places, strength.astype(np.float32))
    cover = canvas.blur(cover, 0.6 * canvas.pixel).clip(0, 0.7)
    above = canvas.blur(height, 0.0006) + np.float32(0.7 * THICK)
    lifted = height + 0.35 * cover * np.maximum(above - height, 0)
    return lifted, mix(colour, (0.30, 0.265, 0.22), 0.75 * cover), cover
