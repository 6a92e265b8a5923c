"""Old boards of larch on joists, nailed, bleached by the sun and never painted: nine rows, of various widths.

A board is cut from a log: its rings are circles about a pith that lies below the board, leans and wanders, so that the
face shows straight lines where rings stand upright and tongues where they are cut flat. Branches are cut across: the
grain flows round a knot as water flows round a post (the stream function of a cylinder), and the knot has rings of its
own. Late wood is dark and hard, and stands out where early wood has worn away. Checks and fibres follow the grain.

Colours in linear light: pale and heart wood of conifers reflect 0.2 to 0.45 and greyed wood 0.15 to 0.3 in the visible
(ECOSTRESS Spectral Library, Meerdink et al. 2019, man-made materials).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainer.starter.fields import Canvas, Colour, Field, Ids, hollows, ink, mix, smoothstep
from trainer.starter.surface import Surface

METRES = 1.2
ROWS = 9
JOISTS = 4  # on which boards end, and into which they are nailed
NAIL = 0.0040  # radius of a head in metres
GAP = 0.0042  # between rows

EARLY, LATE = (0.300, 0.205, 0.124), (0.120, 0.065, 0.034)
GREY, DARK_GREY = (0.255, 0.232, 0.200), (0.120, 0.104, 0.088)
KNOT, BARK = (0.130, 0.062, 0.032), (0.035, 0.024, 0.018)
RUST, IRON, STAIN = (0.085, 0.040, 0.022), (0.045, 0.040, 0.037), (0.050, 0.042, 0.038)
DUST = (0.190, 0.165, 0.130)

Numbers = NDArray[np.float64]


class Boards:
    """Where the boards lie, and numbers that differ from board to board."""

    def __init__(self, canvas: Canvas) -> None:
        self.canvas = canvas
        self.random = canvas.random("boards")
        widths = self.random.uniform(0.09, 0.165, ROWS)
        edges = np.concatenate([[0], np.cumsum(widths)]) * canvas.metres / widths.sum()
        shift = np.float32(0.4 * edges[1])  # the picture's border crosses boards
        starts, lengths, rows = self._laid(canvas.metres)
        waver = np.float32(0.0007) * canvas.noise("waver", 0.5, 0.08, 1.6)
        row = (np.searchsorted(edges, (canvas.y + waver + shift) % np.float32(canvas.metres), side="right") - 1).clip(
            0, ROWS - 1
        )
        self.ids: Ids = np.zeros(row.shape, np.int32)
        for number, (start, length, of_row) in enumerate(zip(starts, lengths, rows, strict=True)):
            along = (canvas.x - np.float32(start)) % np.float32(canvas.metres)
            self.ids[(row == of_row) & (along < length)] = number
        self.count = len(starts)
        self.length, self.width = np.array(lengths), (edges[1:] - edges[:-1])[rows]
        self.start, self.middle = np.array(starts), ((edges[1:] + edges[:-1]) / 2)[rows] - float(shift)
        self.x = (canvas.x - self.of(self.start)) % np.float32(canvas.metres)  # metres from the board's left end
        y = canvas.y + waver - self.of(self.middle)
        self.y = y - np.float32(canvas.metres) * np.round(y / np.float32(canvas.metres))
        self.half = self.of(self.width / 2)

    def _laid(self, metres: float) -> tuple[list[float], list[float], list[int]]:
        """Left ends, lengths and rows of the boards. Neighbouring rows do not end on the same joist."""
        starts, lengths, rows = [], [], []
        ends: list[int] = []  # of each row, a joist
        for row in range(ROWS):
            taken = {*ends[-1:], *(ends[:1] if row == ROWS - 1 else ())}
            ends.append(int(self.random.choice([each for each in range(JOISTS) if each not in taken])))
            start = metres * (ends[-1] + 0.5) / JOISTS + self.random.uniform(-0.004, 0.004)
            short = metres * int(self.random.integers(1, 3)) / JOISTS + self.random.uniform(-0.004, 0.004)
            parts = (
                [(start, short), (start + short, metres - short)] if self.random.random() < 0.3 else [(start, metres)]
            )
            for begin, length in parts:
                starts.append(begin)
                lengths.append(length)
                rows.append(row)
        return starts, lengths, rows

    def of(self, values: Numbers) -> Field:
        """These numbers of the boards, at each pixel of a board."""
        return np.asarray(values, np.float32)[self.ids]

    def uniform(self, low: float, high: float) -> Field:
        return self.of(self.random.uniform(low, high, self.count))

    def normal(self, spread: float) -> Field:
        return self.of(self.random.normal(0, spread, self.count).clip(-2.2 * spread, 2.2 * spread))


class Knot(NamedTuple):
    """A branch that was cut across: its board, its place on it, and its radius, in metres."""

    board: int
    x: float
    y: float
    radius: float
    long: float  # how many times as long as wide
    dead: bool


class Grain(NamedTuple):
    """What the log left on the boards' faces."""

    late: Field  # late wood, 0 to 1
    aside: Field  # metres that the grain is turned aside by knots
    knots: Field  # 1 within knots
    rims: Field  # bark around dead knots, and their cracks
    heart: Field  # 0 sap wood to 1 heart wood


def draw(canvas: Canvas) -> Surface:
    """The floor, seen from above; boards run from left to right."""
    boards = Boards(canvas)
    grain = _grain(canvas, boards)
    fibres = _along_grain(canvas, boards, grain, canvas.noise("fibres", 0.006, 0.0, 0.5, (1.0, 28.0)))
    streaks = _along_grain(canvas, boards, grain, canvas.noise("streaks", 0.03, 0.0, 1.0, (1.0, 14.0)))
    checks = _checks(canvas, boards, grain, fibres)
    weathered = (
        boards.uniform(0.0, 0.95) + 0.22 * canvas.noise("sun", 0.5, 0.03, 1.5, (1.0, 2.5)) + 0.10 * streaks
    ).clip(0, 1)
    inside = _inside(canvas, boards, fibres)
    nails, rust = _nails(canvas, boards, grain)
    height = _height(canvas, boards, grain, inside, fibres, streaks, checks, weathered, nails)
    colour = _wood(canvas, boards, grain, fibres, streaks, weathered)
    roughness = 0.66 + 0.16 * weathered - 0.10 * grain.late * (1 - weathered) + 0.04 * fibres - 0.06 * grain.knots
    colour = mix(colour, BARK, 0.8 * checks)
    colour = mix(colour, STAIN, 0.55 * rust)
    colour = mix(colour, IRON, smoothstep(0.1, 0.6, nails))
    colour = mix(
        colour, RUST, smoothstep(0.1, 0.6, nails) * smoothstep(-0.6, 0.9, canvas.noise("rust", 0.004, 0.0, 0.8))
    )
    # Dust lies in gaps, in checks and where the grain is deep.
    gap = smoothstep(0.0008, -0.0012, inside)
    deep = smoothstep(0.0001, 0.0016, hollows(canvas, height, 0.006))
    clouds = canvas.noise("dust", 0.25, 0.004, 1.2)
    dirt = canvas.noise("dirt", 0.01, 0.0, 0.8)
    colour = mix(colour, ink(DUST) * 0.45, (0.32 * deep + 0.05 * clouds.clip(0, 2)).clip(0, 0.6) * (1 - gap))
    floor = ink(DUST) * np.exp(-0.9 + 0.25 * dirt + 0.25 * clouds)[..., None]
    colour = mix(colour, floor, gap)
    roughness = roughness + (0.95 - roughness) * np.maximum(gap, 0.5 * deep)
    return Surface(height=height, colour=colour, roughness=roughness.clip(0.3, 1).astype(np.float32))


def _grain(canvas: Canvas, boards: Boards) -> Grain:
    y, x = boards.y, boards.x
    knots = _knots(boards)
    aside = np.zeros_like(y)
    knot, rims, bulge = np.zeros_like(y), np.zeros_like(y), np.zeros_like(y)
    own = np.zeros_like(y)
    wobble = canvas.noise("knots", 0.02, 0.002, 1.2)
    for each in knots:
        index, down, across = _around(canvas, boards, each.board, each.x, each.y, 9 * each.radius * each.long)
        down = down + 0.08 * each.radius * wobble[index]
        away = np.hypot(down, across / np.float32(each.long))
        share = (each.radius / np.maximum(away, each.radius)) ** 2
        fade = smoothstep(9.0, 4.0, away / np.float32(each.radius))
        here = boards.ids[index] == each.board
        aside[index] -= np.where(here, down * share * fade, 0)
        bulge[index] += np.where(here, 0.5 * each.radius * np.exp(-((away / np.float32(1.6 * each.radius)) ** 2)), 0)
        within = np.where(here, smoothstep(1.03, 0.93, away / np.float32(each.radius)), 0)
        knot[index] = np.maximum(knot[index], within)
        own[index] = np.where(within > 0, away / np.float32(0.0026) + 0.25 * wobble[index], own[index])
        turn = np.arctan2(down, across)
        crack = smoothstep(0.10, 0.03, np.abs(np.sin(turn * 1.5 + each.x * 91)) * away / np.float32(each.radius)) * (
            away > 0.1 * each.radius
        )
        rim = smoothstep(0.30, 0.08, np.abs(away / np.float32(each.radius) - 1) - 0.03 * wobble[index]) * (
            0.9 if each.dead else 0.35
        )
        rims[index] = np.maximum(rims[index], np.where(here, np.maximum(rim, 0.5 * crack * within), 0))
    # The pith wanders and leans below the board.
    wander = canvas.of_each(canvas.noise("wander", 1.2, 0.3, 1.8, (8.0, 1.0)), boards.ids, "wander of each")
    sway = canvas.of_each(canvas.noise("sway", 1.0, 0.22, 1.8, (8.0, 1.0)), boards.ids, "sway of each")
    depth = (
        boards.of(boards.random.uniform(0.006, 0.07, boards.count))
        + boards.normal(0.016) * (x - boards.of(boards.length / 2))
        + 0.004 * wander
    )
    across_pith = y + aside - boards.uniform(-1.1, 1.1) * boards.half - 0.006 * sway - boards.normal(0.012) * x
    ripple = canvas.of_each(canvas.noise("ripple", 0.05, 0.006, 1.5, (1.0, 11.0)), boards.ids, "ripple of each")
    radius = np.hypot(across_pith, depth) + 0.0008 * ripple + bulge
    ring = _rings(boards, radius)
    late = _late(canvas, ring, np.hypot(*np.gradient(ring)))
    late_in_knot = _late(canvas, own, np.full_like(own, 0.3))
    late = late * (1 - knot) + late_in_knot * knot
    heart = smoothstep(0.13, 0.05, radius + 0.004 * ripple)
    return Grain(late.astype(np.float32), aside, knot, rims, heart)


def _knots(boards: Boards) -> list[Knot]:
    random = boards.random
    found = []
    for board in range(boards.count):
        half = boards.width[board] / 2
        for _ in range(random.poisson(2.2 * boards.length[board])):
            radius = float(random.choice([0.003, 0.007, 0.011], p=[0.35, 0.4, 0.25]) * random.uniform(0.8, 1.4))
            x = random.uniform(0.08, 0.92) * boards.length[board]
            y = random.uniform(-0.75, 0.75) * half
            found.append(
                Knot(board, float(x), float(y), radius, float(random.uniform(1.0, 1.5)), random.random() < 0.35)
            )
    return found


def _around(
    canvas: Canvas, boards: Boards, board: int, x: float, y: float, reach: float
) -> tuple[tuple[NDArray[np.intp], NDArray[np.intp]], Field, Field]:
    """Indices of the pixels around a place on a board, and how far down and across they are from it, in metres."""
    patch = canvas.patch(float(boards.middle[board]) + y, float(boards.start[board]) + x, reach)
    down, across = np.broadcast_arrays(patch.y, patch.x)
    return patch.at, down, across


def _rings(boards: Boards, radius: Field) -> Field:
    """Which ring a place is in. Years differ: some rings are wide, some narrow, and good years come together."""
    random = boards.random
    count = 1500
    years = np.exp(
        0.35 * random.standard_normal(count) + 0.5 * np.convolve(random.standard_normal(count), np.ones(9) / 5, "same")
    )
    ends = np.concatenate([[0], np.cumsum(years / years.mean())]) * 0.0031
    skipped = random.uniform(0, ends[-1] * 0.6, boards.count)
    ring = np.interp(radius * boards.uniform(0.7, 1.25) + boards.of(skipped), ends, np.arange(count + 1))
    return ring.astype(np.float32)


def _late(canvas: Canvas, ring: Field, steps: Field) -> Field:
    """The late wood of a ring: it grows darker until the year ends at once. Of rings finer than pixels, its mean."""
    part = ring % 1
    soft = np.maximum(0.05, 0.7 * np.minimum(steps, 1))
    late = smoothstep(0.30, 0.92, part) ** 2 * (1 - smoothstep(1 - soft, np.ones_like(soft), part))
    blend = smoothstep(0.35, 0.8, np.minimum(steps, 1))
    return (late * (1 - blend) + 0.28 * blend).astype(np.float32)


def _along_grain(canvas: Canvas, boards: Boards, grain: Grain, field: Field) -> Field:
    """A field that runs from left to right, turned aside where the grain is; each board has another part of it."""
    return canvas.shifted(field, grain.aside + boards.uniform(0, METRES), boards.uniform(0, METRES))


def _inside(canvas: Canvas, boards: Boards, fibres: Field) -> Field:
    """How far inside its board a place is, in metres; negative in the gaps. Edges are splintered along the grain."""
    edge = canvas.noise("edge", 0.05, 0.003, 1.2, (1.0, 3.0))
    sides = boards.half - np.abs(boards.y) - boards.uniform(0.3, 0.7) * np.float32(GAP) + 0.00035 * edge
    ends = np.minimum(boards.x, boards.of(boards.length) - boards.x) - boards.uniform(0.0006, 0.0016) + 0.00012 * fibres
    corner = np.float32(0.003)
    over_sides, over_ends = np.maximum(corner - sides, 0), np.maximum(corner - ends, 0)
    inside = corner - np.hypot(over_sides, over_ends) + np.maximum(np.minimum(sides, ends) - corner, 0)
    # Here and there a splinter has come off.
    torn = smoothstep(1.5, 2.6, canvas.noise("torn", 0.06, 0.004, 1.2, (1.0, 4.0)))
    return np.asarray(inside - 0.004 * torn * smoothstep(0.012, 0.0, sides), np.float32)


def _checks(canvas: Canvas, boards: Boards, grain: Grain, fibres: Field) -> Field:
    """Cracks along the grain, 1 where one is open: longest and widest at the ends of boards."""
    checks = np.zeros_like(boards.y)
    random = boards.random
    bent = canvas.noise("checks", 0.05, 0.004, 1.5, (1.0, 7.0))
    for board in range(boards.count):
        for _ in range(random.poisson(7 * boards.length[board])):
            long = float(np.exp(random.normal(np.log(0.05), 0.7)))
            end = random.random()
            x = random.uniform(0, boards.length[board])
            if end < 0.45:
                x = 0.3 * long if end < 0.22 else boards.length[board] - 0.3 * long
            y = random.uniform(-0.8, 0.8) * boards.width[board] / 2
            index, down, across = _around(canvas, boards, board, float(x), float(y), min(long, 0.55))
            rows = np.abs(down[:, 0]) < 0.02
            index = (index[0][rows], index[1])
            down, across = down[rows] + grain.aside[index] + 0.0016 * bent[index], across[rows]
            here = boards.ids[index] == board
            wide = random.uniform(0.25, 0.9) * 0.001 * np.sqrt(np.clip(1 - (across / long) ** 2, 0, 1))
            open_ = (1.2 * (wide + 0.0001) / canvas.pixel).clip(0, 1) * smoothstep(
                1.0, 0.3, np.abs(down) / (wide + 0.6 * canvas.pixel)
            )
            checks[index] = np.maximum(checks[index], np.where(here & (np.abs(across) < long), open_, 0))
    return checks.astype(np.float32)


def _nails(canvas: Canvas, boards: Boards, grain: Grain) -> tuple[Field, Field]:
    """Heads of nails, 1 at their middles and 0 outside; and the stain of their iron in the wood around."""
    heads, stain = np.zeros_like(boards.y), np.zeros_like(boards.y)
    random = boards.random
    streaky = canvas.noise("stains", 0.03, 0.002, 1.2, (1.0, 10.0))
    for board in range(boards.count):
        length = boards.length[board]
        places = [0.014 + random.uniform(0, 0.008), length - 0.014 - random.uniform(0, 0.008)]
        places += [
            each * METRES / JOISTS + random.uniform(-0.01, 0.01) for each in range(1, round(length * JOISTS / METRES))
        ]
        for x in places:
            for side in (-1, 1):
                y = side * boards.width[board] * (0.27 + random.uniform(-0.04, 0.04))
                index, down, across = _around(
                    canvas, boards, board, float(x + random.uniform(-0.004, 0.004)), float(y), 0.09
                )
                here = boards.ids[index] == board
                away = np.hypot(down, across)
                heads[index] = np.maximum(
                    heads[index], np.where(here, (1 - away / np.float32(NAIL + 0.5 * canvas.pixel)).clip(0, 1), 0)
                )
                run = np.hypot(down / np.float32(0.0045), across / np.float32(random.uniform(0.012, 0.045)))
                near = np.exp(-run) * (1 + 0.35 * streaky[index])
                stain[index] = np.maximum(stain[index], np.where(here, near, 0))
    return heads, stain.clip(0, 1)


def _height(
    canvas: Canvas,
    boards: Boards,
    grain: Grain,
    inside: Field,
    fibres: Field,
    streaks: Field,
    checks: Field,
    weathered: Field,
    nails: Field,
) -> Field:
    over = boards.y / boards.half
    height = boards.normal(0.0006) + boards.normal(0.0006) * over + boards.normal(0.0007) * over * over
    height += 0.0005 * canvas.noise("warp", 0.5, 0.05, 1.8)
    worn = 0.4 + 0.6 * weathered
    height += worn * (0.00042 * (grain.late - 0.3) + 0.00008 * fibres + 0.00012 * streaks) + 0.0003 * grain.knots
    saw = np.sin((boards.x + 1.5 * boards.y * boards.y / boards.half) * boards.uniform(1100, 1900)) * smoothstep(
        0.2, 1.2, canvas.noise("saw", 0.2, 0.02, 1.4)
    )
    height += 0.00005 * saw * boards.uniform(0, 1)
    round_ = boards.uniform(0.002, 0.0045) + 0.0012 * canvas.noise("wear", 0.15, 0.01, 1.3).clip(-1, 2)
    near = (1 - inside / round_).clip(0, 1)
    height -= 0.8 * round_ * (1 - np.sqrt(np.clip(1 - near * near, 0, 1)))
    height -= 0.0016 * checks + 0.0004 * grain.rims
    head = smoothstep(0.05, 0.5, nails)
    height = height * (1 - head) + head * (height - 0.0006 + 0.0008 * nails)
    height -= 0.0005 * smoothstep(0.0, 0.05, nails) * (1 - head)
    dirt = canvas.noise("dirt", 0.01, 0.0, 0.8)
    floor = -0.0075 + 0.0016 * canvas.noise("filled", 0.15, 0.01, 1.4) + 0.0005 * dirt
    height += 3.0 * np.minimum(inside, 0)
    return np.maximum(height, floor).astype(np.float32)


def _wood(canvas: Canvas, boards: Boards, grain: Grain, fibres: Field, streaks: Field, weathered: Field) -> Colour:
    early = np.broadcast_to(ink(EARLY), (*fibres.shape, 3))
    warmth = boards.normal(0.05)
    tint = np.exp(boards.normal(0.20))[..., None] * np.stack([1 + warmth, np.ones_like(warmth), 1 - 1.3 * warmth], 2)
    wood = mix(early, LATE, (0.95 * grain.late + 0.12 * streaks).clip(0, 1)) * (1 - 0.18 * grain.heart)[..., None]
    grey = mix(
        np.broadcast_to(ink(GREY), wood.shape),
        DARK_GREY,
        (0.65 * grain.late + 0.12 * streaks + 0.10 * fibres).clip(0, 1),
    )
    patchy = weathered * smoothstep(-2.0, 1.0, canvas.noise("patchy", 0.08, 0.003, 1.1, (1.0, 6.0)))
    wood = mix(wood, grey, 0.92 * patchy)
    wood = wood * tint * np.exp(0.13 * fibres + 0.08 * streaks)[..., None]
    knot = mix(np.broadcast_to(ink(KNOT) * 1.35, wood.shape), ink(KNOT) * 0.35, grain.late)
    wood = mix(wood, mix(knot, DARK_GREY, 0.4 * weathered), 0.85 * grain.knots)
    wood = mix(wood, BARK, 0.75 * grain.rims)
    # Water has stood here and there, and left dark edges.
    water = canvas.noise("water", 0.35, 0.02, 1.6)
    edge = smoothstep(0.22, 0.0, np.abs(water - 1.1)) * 0.16 + 0.16 * smoothstep(1.0, 1.4, water)
    return mix(wood, STAIN, edge.astype(np.float32))
