"""Old boards of larch on joists, nailed, bleached by the sun and never painted.

Late wood is dark and hard, and stands out where early wood has worn away; edges are worn round, and dust has filled the
gaps. Colours in linear light, by eye: wood of conifers reflects 0.2 to 0.45, greyed wood 0.15 to 0.3.
"""

import numpy as np

from trainer.starter.boards import JOIST, WIDTH, Boards
from trainer.starter.fields import Canvas, Colour, Field, hollows, ink, mix, smoothstep
from trainer.starter.surface import Surface
from trainer.starter.wood import Grain, grain_of

NAIL = 0.0040  # radius of a head in metres
GAP = 0.0042  # between rows
CORNER = np.float32(0.003)  # radius of a board's corners

EARLY, LATE = (0.300, 0.205, 0.124), (0.120, 0.065, 0.034)
GREY, DARK_GREY = (0.255, 0.232, 0.200), (0.120, 0.104, 0.088)
KNOT, BARK = (0.092, 0.055, 0.034), (0.035, 0.024, 0.018)
RUST, IRON, STAIN = (0.085, 0.040, 0.022), (0.045, 0.040, 0.037), (0.050, 0.042, 0.038)
DUST = (0.190, 0.165, 0.130)


def draw(canvas: Canvas) -> Surface:
    """The floor, seen from above; boards run from left to right."""
    boards = Boards(canvas)
    grain = grain_of(boards)
    sun = canvas.noise("sun", 0.5, 0.03, 1.5, (1.0, 2.5))
    weathered = (boards.uniform(0.25, 0.75) + 0.22 * sun + 0.10 * grain.streaks).clip(0, 1)
    inside = _inside(boards, grain)
    nails, stain = _nails(boards)
    dirt = canvas.noise("dirt", 0.01, 0.0, 0.8)
    height = _height(boards, grain, inside, weathered, nails)
    floor = -0.0075 + 0.0016 * canvas.noise("filled", 0.15, 0.01, 1.4) + 0.0005 * dirt
    height = np.maximum(height, floor).astype(np.float32)
    colour = _nailed(boards, _wood(boards, grain, weathered), nails, stain)
    roughness = 0.66 + 0.16 * weathered - 0.10 * grain.late * (1 - weathered) + 0.04 * grain.fibres - 0.06 * grain.knots
    # Dust lies in the gaps and where the grain is deep.
    gap = smoothstep(0.0008, -0.0012, inside)
    deep = smoothstep(0.0001, 0.0016, hollows(canvas, height, 0.006))
    clouds = canvas.noise("dust", 0.25, 0.004, 1.2)
    colour = mix(colour, ink(DUST) * 0.45, (0.32 * deep + 0.05 * clouds.clip(0, 2)).clip(0, 0.6))
    colour = mix(colour, ink(DUST) * np.exp(-0.9 + 0.25 * dirt + 0.25 * clouds)[..., None], gap)
    roughness = roughness + (0.95 - roughness) * np.maximum(gap, 0.5 * deep)
    return Surface(
        height=height,
        colour=colour,
        roughness=roughness.clip(0.3, 1).astype(np.float32),
        periods=((WIDTH, 0.0), (0.0, JOIST)),
    )


def _inside(boards: Boards, grain: Grain) -> Field:
    """How far inside its board a place is, in metres; negative in the gaps. Edges are splintered along the grain."""
    canvas = boards.canvas
    sides = WIDTH / 2 - np.abs(boards.y) - boards.uniform(0.3 * GAP, 0.7 * GAP)
    sides += 0.00035 * canvas.noise("edge", 0.05, 0.003, 1.2, (1.0, 3.0))
    ends = np.minimum(boards.x, boards.of(boards.length) - boards.x)
    ends += 0.00012 * grain.fibres - boards.uniform(0.0006, 0.0016)
    rounded = np.hypot(np.maximum(CORNER - sides, 0), np.maximum(CORNER - ends, 0))
    inside = CORNER - rounded + np.maximum(np.minimum(sides, ends) - CORNER, 0)
    torn = smoothstep(1.5, 2.6, canvas.noise("torn", 0.06, 0.004, 1.2, (1.0, 4.0)))  # a splinter has come off
    return np.asarray(inside - 0.004 * torn * smoothstep(0.012, 0.0, sides), np.float32)


def _nails(boards: Boards) -> tuple[Field, Field]:
    """Heads of nails, 1 at their middles and 0 outside; and the stain of their iron in the wood around."""
    heads, stain = np.zeros_like(boards.y), np.zeros_like(boards.y)
    random, pixel = boards.random, boards.canvas.pixel
    streaky = boards.canvas.noise("stains", 0.03, 0.002, 1.2, (1.0, 10.0))
    for board, length in enumerate(boards.length):
        end = random.uniform(0.014, 0.022)
        for x in (end, length - end, *(np.arange(1, round(length / JOIST)) * JOIST + random.uniform(-0.01, 0.01))):
            for side in (-0.27, 0.27):
                y = WIDTH * (side + random.uniform(-0.04, 0.04))
                at, down, across, here = boards.around(board, float(x + random.uniform(-0.004, 0.004)), float(y), 0.09)
                head = 1 - np.hypot(down, across) / np.float32(NAIL + 0.5 * pixel)
                heads[at] = np.maximum(heads[at], np.where(here, head, 0))
                away = np.hypot(down / np.float32(0.0045), across / np.float32(random.uniform(0.012, 0.045)))
                stained = np.exp(-away) * (1 + 0.35 * streaky[at])
                stain[at] = np.maximum(stain[at], np.where(here, stained, 0))
    return heads, stain.clip(0, 1)


def _height(boards: Boards, grain: Grain, inside: Field, weathered: Field, nails: Field) -> Field:
    """The boards' faces; they fall off steeply beyond their edges."""
    canvas = boards.canvas
    over = boards.y / np.float32(WIDTH / 2)
    height = boards.normal(0.0006) + boards.normal(0.0006) * over + boards.normal(0.0007) * over * over
    height += 0.0005 * canvas.noise("warp", 0.5, 0.05, 1.8)
    relief = 0.00042 * (grain.late - 0.3) + 0.00008 * grain.fibres + 0.00012 * grain.streaks
    height += (0.4 + 0.6 * weathered) * relief + 0.0003 * grain.knots
    # Here and there the marks of the saw are left.
    teeth = np.sin((boards.x + 0.75 * WIDTH * over * over) * boards.uniform(1100, 1900))
    height += 0.00005 * teeth * boards.uniform(0, 1) * smoothstep(0.2, 1.2, canvas.noise("saw", 0.2, 0.02, 1.4))
    worn = boards.uniform(0.002, 0.0045) + 0.0012 * canvas.noise("wear", 0.15, 0.01, 1.3).clip(-1, 2)
    near = (1 - inside / worn).clip(0, 1)
    height -= 0.8 * worn * (1 - np.sqrt(1 - near * near))  # a rounded edge
    height -= 0.0016 * grain.checks + 0.0004 * grain.rims
    head = smoothstep(0.05, 0.5, nails)
    height += head * (0.0008 * nails - 0.0006) - 0.0005 * smoothstep(0.0, 0.05, nails) * (1 - head)
    return np.asarray(height + 3.0 * np.minimum(inside, 0))


def _wood(boards: Boards, grain: Grain, weathered: Field) -> Colour:
    canvas, shape = boards.canvas, (*weathered.shape, 3)
    warmth = boards.normal(0.05)
    tint = np.exp(boards.normal(0.12))[..., None] * np.stack([1 + warmth, np.ones_like(warmth), 1 - 1.3 * warmth], 2)
    late = (0.95 * grain.late + 0.12 * grain.streaks).clip(0, 1)
    wood = mix(np.broadcast_to(ink(EARLY), shape), LATE, late) * (1 - 0.18 * grain.heart)[..., None]
    late = (0.65 * grain.late + 0.12 * grain.streaks + 0.10 * grain.fibres).clip(0, 1)
    patchy = smoothstep(-2.0, 1.0, canvas.noise("patchy", 0.08, 0.003, 1.1, (1.0, 6.0)))
    wood = mix(wood, mix(np.broadcast_to(ink(GREY), shape), DARK_GREY, late), 0.92 * weathered * patchy)
    wood = wood * tint * np.exp(0.13 * grain.fibres + 0.08 * grain.streaks)[..., None]
    knot = mix(np.broadcast_to(ink(KNOT) * 1.35, shape), ink(KNOT) * 0.35, grain.late)
    wood = mix(wood, mix(knot, DARK_GREY, 0.4 * weathered), 0.85 * grain.knots)
    wood = mix(wood, BARK, 0.75 * grain.rims)
    # Water has stood here and there, and left dark edges.
    water = canvas.noise("water", 0.35, 0.02, 1.6)
    stained = smoothstep(0.22, 0.0, np.abs(water - 1.1)) + smoothstep(1.0, 1.4, water)
    return mix(mix(wood, STAIN, 0.16 * stained), BARK, 0.8 * grain.checks)


def _nailed(boards: Boards, wood: Colour, nails: Field, stain: Field) -> Colour:
    head = smoothstep(0.1, 0.6, nails)
    rusty = smoothstep(-0.6, 0.9, boards.canvas.noise("rust", 0.004, 0.0, 0.8))
    return mix(mix(mix(wood, STAIN, 0.55 * stain), IRON, head), RUST, head * rusty)
