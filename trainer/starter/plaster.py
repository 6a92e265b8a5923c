"""Lime plaster, laid on with a trowel and washed with lime: sweeps of the blade, hair cracks, stains of damp.

The trowel is what shapes it: each sweep of the blade leaves a shallow plane that ends in a ridge, lines that grains of
sand drew, and places where it dragged. Colours by eye: fresh lime reflects about
0.8, weathered plaster 0.4 to 0.7.
"""

import numpy as np

from trainer.starter.fields import Canvas, Colour, Field, hollows, mix, smoothstep
from trainer.starter.surface import Surface

SWEEPS = 260  # of the trowel over the whole picture
LIME = (0.600, 0.555, 0.475)
OCHRE = (0.500, 0.410, 0.290)
UNDERCOAT = (0.330, 0.285, 0.225)
DAMP = (0.235, 0.205, 0.165)


def draw(canvas: Canvas) -> Surface:
    """The wall, as seen from the front."""
    sweeps, drag, polish = _sweeps(canvas)
    sand = canvas.noise("sand", 0.006, 0.0, 0.4)
    hills = canvas.noise("hills", 0.7, 0.10, 1.8)
    lumps = canvas.noise("lumps", 0.12, 0.006, 1.6)
    grains = canvas.specks("grains", 5000, 0.0035, 0.9) * smoothstep(-0.5, 1.5, canvas.noise("coarse", 0.3, 0.02, 1.4))
    pits = canvas.specks("pits", 1100, 0.006, 0.95) + 0.6 * canvas.specks("holes", 2600, 0.0040, 0.9)
    rough = 1 - 0.75 * polish
    height = sweeps + 0.0010 * hills + 0.00030 * lumps + 0.00014 * sand * rough + 0.0006 * grains * rough
    height = height - 0.0009 * np.minimum(pits, 1.2) * smoothstep(-0.4, 1.4, drag)
    cracks = _cracks(canvas)
    height = height - 0.0011 * cracks
    bare = smoothstep(2.3, 2.6, canvas.noise("bare", 0.22, 0.010, 1.7) + 0.25 * drag)  # the wash has come off
    height = height - 0.0004 * bare + 0.00012 * sand * bare
    colour = _colour(canvas, height, drag, sand, bare, cracks)
    roughness = 0.84 - 0.20 * polish + 0.10 * bare + 0.03 * sand.clip(-2, 2)
    return Surface(height=height, colour=colour, roughness=roughness.clip(0.45, 1))


def _sweeps(canvas: Canvas) -> tuple[Field, Field, Field]:
    """Heights left by the trowel, how it dragged, around 0, and where its steel polished, from 0 to 1."""
    random = canvas.random("sweeps")
    height = np.zeros((canvas.side, canvas.side), np.float32)
    drag, polish = height.copy(), height.copy()
    wobble = canvas.noise("wobble", 0.3, 0.03, 2.0)
    lines = canvas.noise("lines", 0.02, 0.0, 0.7)
    for _ in range(SWEEPS):
        middle = random.uniform(0, canvas.metres, 2)
        length, width = random.uniform(0.25, 0.60), random.uniform(0.08, 0.20)
        turn, curl = random.uniform(-0.9, 0.9) + (np.pi if random.random() < 0.5 else 0), random.uniform(-1.6, 1.6)
        patch = canvas.patch(middle[0], middle[1], 0.62 * length)
        along = (patch.y * np.sin(turn) + patch.x * np.cos(turn)).astype(np.float32)
        across = patch.y * np.cos(turn) - patch.x * np.sin(turn) - curl * along**2
        across = across + 0.006 * wobble[patch.at]
        u, v = along / (length / 2), across / (width / 2)
        # Full under the blade; it lifts towards the end of the sweep.
        cover = smoothstep(1.08, 0.94, np.abs(v)) * smoothstep(1.0, 0.55, np.abs(u))
        level = random.normal(0, 0.0005) + random.normal(0, 0.0095) * across + random.normal(0, 0.0014) * along
        ridge = np.exp(-(((v - 1.0) / 0.07) ** 2)) * random.uniform(0.0, 0.0009) * smoothstep(-1, 0.6, u)
        # Grains under the blade draw lines along the sweep: the noise of one line across, the same all along it.
        index = ((across / canvas.pixel).astype(np.int32) + random.integers(canvas.side)) % canvas.side
        scratch = lines[random.integers(canvas.side)][index]
        new = level + 0.00010 * scratch * random.uniform(0.2, 1.4)
        old = height[patch.at]
        weight = cover * np.float32(random.uniform(0.7, 1.0))
        height[patch.at] = old + (new - old) * weight + ridge * smoothstep(1.0, 0.6, np.abs(u))
        drag[patch.at] += (random.normal(0, 1) + 0.5 * scratch - drag[patch.at]) * weight
        polish[patch.at] += (np.float32(random.random() ** 2) - polish[patch.at]) * weight
    return height, drag, polish


def _cracks(canvas: Canvas) -> Field:
    """Hair cracks, from 0 to 1: here and there a net of them, finer where they end."""
    bend = 0.006 * canvas.noise("bend down", 0.2, 0.02, 1.8), 0.006 * canvas.noise("bend across", 0.2, 0.02, 1.8)
    found = np.zeros_like(bend[0])
    for name, across, most in (("cracks", 0.33, 1.0), ("small cracks", 0.09, 0.6)):
        cells = canvas.cells(name, across, 1.0, bend=bend)
        opened = smoothstep(0.45, 1.7, canvas.noise(f"open {name}", 0.5, 0.05, 1.6))
        away = (cells.second - cells.first) / np.float32(2 * canvas.pixel)
        found = np.maximum(found, most * opened * smoothstep(1.1, 0.2, away))  # thinner than a pixel, so they are faint
    return found


def _colour(canvas: Canvas, height: Field, drag: Field, sand: Field, bare: Field, cracks: Field) -> Colour:
    """Lime wash over plaster: thin and thick coats, the undercoat where it came off, damp and dust."""
    wash = canvas.noise("wash", 0.6, 0.0, 1.5) + 0.5 * canvas.noise("brush", 0.12, 0.002, 1.2, (0.8, 1.3))
    colour = mix(
        np.broadcast_to(np.asarray(LIME, np.float32), (*height.shape, 3)), OCHRE, 0.5 * smoothstep(-1.2, 2.4, wash)
    )
    colour = colour * np.exp(0.045 * drag.clip(-2, 2) + 0.03 * sand + 0.045 * wash)[..., None]
    under = (
        np.asarray(UNDERCOAT, np.float32) * np.exp(0.12 * sand + 0.1 * canvas.noise("under", 0.05, 0.0, 1.0))[..., None]
    )
    colour = mix(colour, under, 0.6 * bare)
    damp = smoothstep(0.6, 2.6, canvas.noise("damp", 0.55, 0.006, 1.55, (1.5, 0.8)))
    rim = smoothstep(0.0, 0.25, damp) * smoothstep(0.6, 0.25, damp)
    colour = mix(colour, DAMP, 0.26 * damp + 0.10 * rim)
    deep = smoothstep(0.0, 0.0012, hollows(canvas, height, 0.008))
    colour = mix(colour, (0.30, 0.26, 0.205), 0.40 * deep)
    proud = smoothstep(0.0, 0.0009, -hollows(canvas, height, 0.02))
    colour = mix(colour, (0.66, 0.63, 0.57), 0.25 * proud)
    colour = mix(colour, (0.15, 0.125, 0.10), 0.5 * cracks)
    specks = canvas.specks("dark sand", 1800, 0.0026, 0.8)
    return mix(colour, (0.20, 0.17, 0.13), 0.4 * np.minimum(specks, 1))
