"""A fallen leaf: an outline, veins, a shape in space, and the colours of its decay.

A leaf is flat at first: `a` runs along the midrib from the stalk, 0 to 1, `b` across it, both in lengths of the leaf.
Then it dries: it folds along the midrib, curls across and along, its rim ruffles, and it puffs up between the veins.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from trainer.starter.fields import Colour, Field, ink, mix, smoothstep
from trainer.starter.pile import Points
from trainer.starter.textures import Texture, Textures

Ink = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Species:
    """`width`: half of it, by length. `fullest`: where along it is widest. `lobes`: how deep they are cut, 0 for none.

    `veins`: on each side. `lean`: how far they run forward. `palmate`: with five lobes about the stalk, as maples.
    """

    share: float
    length: tuple[float, float]  # metres
    width: float
    fullest: float
    veins: int
    lean: float
    teeth: float = 0.0
    lobes: float = 0.0
    palmate: bool = False


SPECIES = (
    Species(share=0.34, length=(0.050, 0.085), width=0.31, fullest=0.45, veins=7, lean=0.75, teeth=0.010),  # beech
    Species(share=0.18, length=(0.045, 0.075), width=0.29, fullest=0.40, veins=12, lean=0.8, teeth=0.028),  # hornbeam
    Species(share=0.20, length=(0.070, 0.115), width=0.30, fullest=0.62, veins=6, lean=0.8, lobes=0.42),  # oak
    Species(share=0.12, length=(0.035, 0.055), width=0.40, fullest=0.28, veins=6, lean=0.9, teeth=0.045),  # birch
    Species(share=0.08, length=(0.060, 0.095), width=0.13, fullest=0.45, veins=14, lean=1.2, teeth=0.008),  # willow
    Species(share=0.08, length=(0.075, 0.120), width=0.55, fullest=0.5, veins=5, lean=0.9, palmate=True),  # maple
)


@dataclass(frozen=True, kw_only=True)
class Decay:
    """A state of a leaf: its colour, the one it turns to in blotches, the veins', and how it has shrunk."""

    share: float
    colour: Ink
    blotch: Ink
    vein: Ink
    roughness: float
    curl: float  # radians over its half width, about
    holes: float  # share of leaves with any


STATES = (
    Decay(
        share=0.20, colour=(0.195, 0.125, 0.066), blotch=(0.140, 0.080, 0.042), vein=(0.30, 0.215, 0.13),
        roughness=0.70, curl=0.7, holes=0.3,
    ),  # tan
    Decay(
        share=0.13, colour=(0.285, 0.215, 0.138), blotch=(0.240, 0.180, 0.115), vein=(0.42, 0.34, 0.24),
        roughness=0.75, curl=0.8, holes=0.3,
    ),  # bleached
    Decay(
        share=0.15, colour=(0.175, 0.135, 0.094), blotch=(0.130, 0.098, 0.068), vein=(0.29, 0.24, 0.18),
        roughness=0.80, curl=0.6, holes=0.6,
    ),  # grey
    Decay(
        share=0.21, colour=(0.115, 0.064, 0.034), blotch=(0.075, 0.043, 0.025), vein=(0.19, 0.12, 0.07),
        roughness=0.66, curl=0.6, holes=0.4,
    ),  # brown
    Decay(
        share=0.13, colour=(0.058, 0.037, 0.024), blotch=(0.040, 0.027, 0.019), vein=(0.095, 0.063, 0.04),
        roughness=0.62, curl=0.3, holes=0.8,
    ),  # rotting
    Decay(
        share=0.07, colour=(0.300, 0.118, 0.030), blotch=(0.180, 0.075, 0.026), vein=(0.42, 0.22, 0.07),
        roughness=0.52, curl=0.45, holes=0.15,
    ),  # orange
    Decay(
        share=0.06, colour=(0.390, 0.250, 0.052), blotch=(0.270, 0.140, 0.030), vein=(0.50, 0.36, 0.11),
        roughness=0.50, curl=0.35, holes=0.1,
    ),  # yellow
    Decay(
        share=0.03, colour=(0.160, 0.048, 0.028), blotch=(0.110, 0.036, 0.022), vein=(0.28, 0.10, 0.05),
        roughness=0.52, curl=0.45, holes=0.1,
    ),  # red
    Decay(
        share=0.02, colour=(0.200, 0.190, 0.045), blotch=(0.210, 0.130, 0.040), vein=(0.27, 0.25, 0.09),
        roughness=0.50, curl=0.3, holes=0.1,
    ),  # green still
)  # fmt: skip


class Blade(NamedTuple):
    """Points of a leaf before it dries. `rim`: how far inside its outline, in lengths. `midrib`, `veins`: 1 on them."""

    a: Field
    b: Field
    rim: Field
    midrib: Field
    veins: Field
    texture: Texture


class Leaf:
    """A leaf around the origin, as points `step` metres apart at most, with their colours and roughness."""

    def __init__(
        self,
        random: np.random.Generator,
        textures: Textures,
        step: float,
        state: Decay,
        species: Species,
        scrap: float | None = None,
    ) -> None:
        """`scrap`: only what is left of it, a piece of about this radius in metres."""
        self._random, self._species, self._state = random, species, state
        self.length = float(random.uniform(*species.length))
        self.turn = float(random.uniform(0, 2 * np.pi))  # where its tip points, radians clockwise from the right
        self._upside = bool(random.random() < 0.5)
        blade = self._blade(textures, step, scrap)
        self.points = self._dried(blade)
        self.colour = self._coloured(blade)
        rough = state.roughness + (0.0 if self._upside else 0.08)
        self.roughness: Field = np.asarray(rough + 0.05 * blade.texture.clouds, np.float32)

    def _blade(self, textures: Textures, step: float, scrap: float | None) -> Blade:
        random = self._random
        half = 1.25 * self._species.width + 0.05
        low, high = np.array([0, -half]), np.array([1, half])
        if scrap:
            middle, reach = random.uniform((0.2, -0.5 * half), (0.8, 0.5 * half)), 1.6 * scrap / self.length
            low, high = np.maximum(low, middle - reach), np.minimum(high, middle + reach)
        counts = ((high - low) * self.length / step).astype(int) + 2
        lines = (np.linspace(*each, dtype=np.float32) for each in zip(low, high, counts, strict=True))
        a, b = np.meshgrid(*lines, indexing="ij")
        texture = textures.window(random, a.shape)
        rim = np.asarray(self._outline(a, b) + np.float32(0.006) * texture.lumps)
        if scrap:
            torn = scrap / self.length * (1 + np.float32(0.35) * texture.clouds + np.float32(0.12) * texture.lumps)
            rim = np.minimum(rim, torn - np.hypot(a - np.float32(middle[0]), b - np.float32(middle[1])))
        inside = rim > 0
        if not scrap and random.random() < 0.7 * self._state.holes:  # eaten, and torn
            inside &= texture.clouds + 0.12 * texture.lumps < random.uniform(1.5, 2.6)
            inside &= random.choice([-1, 1]) * (a - 0.5) + 0.10 * texture.clouds < random.uniform(0.1, 0.9)
        a, b, rim = a[inside], b[inside], rim[inside]
        return Blade(a, b, rim, *self._veins(a, b), texture.at(inside))

    def _outline(self, a: Field, b: Field) -> Field:
        """How far inside the leaf a place is, in lengths of the leaf, about; negative outside."""
        random, kind = self._random, self._species
        if kind.palmate:
            turn = np.arctan2(np.abs(b), a - np.float32(0.36))  # 0 towards the tip
            reach = np.full_like(a, 0.27)
            for middle, long, wide in ((0.0, 0.62, 0.66), (1.02, 0.58, 0.64), (2.05, 0.42, 0.60)):
                off = np.abs(turn - np.float32(middle)) / np.float32(wide)
                tooth = 1 - 0.10 * np.abs((off * 3.1) % 1 - 0.5)
                reach = np.maximum(reach, long * np.clip(1 - off, 0, 1) ** 0.7 * tooth)
            return np.asarray(reach - np.hypot(a - np.float32(0.36), b))
        near, far = 0.85 * kind.fullest / (1 - kind.fullest), 0.85
        peak = kind.fullest**near * (1 - kind.fullest) ** far
        half: Field = a ** np.float32(near) * (1 - a) ** np.float32(far) * np.float32(kind.width / peak)
        left = (b < 0).astype(np.int8)  # both halves differ a little
        half = half * random.uniform(0.9, 1.05, 2).astype(np.float32)[left]
        phase = random.random(2).astype(np.float32)[left]
        if kind.lobes:
            bays = 0.5 - 0.5 * np.cos(2 * np.pi * (a * np.float32(4.6) + np.float32(0.3) * phase))
            half = half * (1 - kind.lobes * bays * smoothstep(0.03, 0.25, a) * smoothstep(1.0, 0.8, a))
        if kind.teeth:
            saw = (a * np.float32(2.2 * kind.veins) + phase) % 1 - np.float32(0.5)
            half = half + kind.teeth * saw * smoothstep(0.02, 0.15, a)
        return np.asarray(half - np.abs(b), np.float32)

    def _veins(self, a: Field, b: Field) -> tuple[Field, Field]:
        """1 on the midrib, and 1 on side veins; both fall off to 0 beside them."""
        kind, mm = self._species, 0.001 / self.length
        if kind.palmate:
            turn, away = np.arctan2(np.abs(b), a - np.float32(0.06)), np.hypot(a - np.float32(0.06), b)
            rays = [
                np.abs(np.sin(turn - each)) * away + np.where(np.cos(turn - each) > 0, 0, 9) for each in (0, 0.62, 1.25)
            ]
            near = np.minimum.reduce(rays).astype(np.float32)
            side = np.abs(((near - 0.6 * away) * 11) % 1 - 0.5) / 11
            return smoothstep(1.1 * mm, 0.25 * mm, near), 0.6 * smoothstep(0.7 * mm, 0.1 * mm, side)
        midrib = smoothstep(1.0 * mm, 0.3 * mm, np.abs(b) / (1.15 - 0.75 * a))
        bent = kind.lean * np.abs(b) * (1 - 0.5 * np.abs(b) / np.float32(kind.width))
        along = (a - bent) * kind.veins + np.where(b < 0, np.float32(0.35), np.float32(0))
        return midrib, smoothstep(0.95 * mm, 0.2 * mm, np.abs(along % 1 - 0.5) / kind.veins)

    def _dried(self, blade: Blade) -> Points:
        """Its shape in space: arcs across and along, whose curvature grows along the leaf."""
        random, (a, b, rim, midrib, veins, texture) = self._random, blade
        curl, bend = (float(random.normal(0, each)) * self._state.curl for each in (0.75, 0.5))  # radians at the rim
        fold = float(np.tan(random.normal(0, 0.16)))
        edge = smoothstep(0.16, 0.0, rim)
        ruffle = 0.016 * np.sin(a * random.uniform(9, 22) + 4 * np.sign(b) + random.uniform(0, 6)) * edge
        angle = _not_zero((curl / self._species.width * b * (0.6 + 0.8 * a)).clip(-2.2, 2.2))
        across = b * np.sin(angle) / angle
        up = np.abs(b) * (np.sign(curl) * (1 - np.cos(angle)) / np.abs(angle) + fold) + ruffle
        up = up + (0.009 * texture.clouds + 0.0012 * texture.lumps) * (0.4 + edge)
        up = up + (1 if self._upside else -1) * (0.008 * midrib + 0.0055 * veins - 0.004)
        lean = _not_zero(bend * (a - 0.4) * (0.7 + 0.6 * a))
        forward = (a - 0.5) * np.sin(lean) / lean - up * np.sin(lean)
        z = (a - 0.5) * (1 - np.cos(lean)) / lean + up * np.cos(lean)
        cos, sin = np.cos(self.turn), np.sin(self.turn)
        y, x = forward * sin + across * cos, forward * cos - across * sin
        return Points(*((self.length * each).astype(np.float32) for each in (y, x, z)))

    def _coloured(self, blade: Blade) -> Colour:
        random, state, texture = self._random, self._state, blade.texture
        warmth = random.normal(0, 0.05)
        tint = np.exp(random.normal(0, 0.18) + np.array([warmth, 0, -1.3 * warmth])).astype(np.float32)
        colour: Colour = np.broadcast_to(ink(state.colour) * tint, (len(blade.a), 3))
        # Decay starts at the rim and spares the veins.
        decay = 0.9 * texture.clouds + 0.3 * texture.lumps + random.uniform(-0.8, 0.6)
        decay = decay + 2.2 * random.random() * smoothstep(0.12, 0.0, blade.rim)
        spared = 0.5 * np.maximum(blade.midrib, blade.veins)
        colour = mix(colour, ink(state.blotch) * tint, 0.85 * smoothstep(-0.1, 1.3, decay) * (1 - spared))
        colour = colour * np.exp(0.10 * texture.grains + 0.06 * texture.lumps)[..., None]
        veins = 0.8 * blade.midrib + 0.6 * blade.veins * (1 - blade.midrib)
        colour = mix(colour, ink(state.vein) * tint, veins)
        spots = smoothstep(1.5, 2.0, texture.lumps + 0.5 * texture.grains + random.normal(-0.2, 0.3))
        colour = mix(colour, (0.030, 0.021, 0.015), 0.8 * spots)
        if not self._upside:
            colour = mix(colour, colour.mean(1, keepdims=True) * ink((1.25, 1.18, 1.03)), 0.4)
        return colour


def _not_zero(angles: Field) -> Field:
    """The same, but large enough to divide by."""
    return np.where(np.abs(angles) < 1e-3, np.float32(1e-3), angles)
