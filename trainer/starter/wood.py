"""The grain of boards that were cut from logs: rings, knots, fibres and checks.

A board's rings are circles about a pith that lies below it, leans and wanders, so that the face shows straight lines
where rings stand upright and tongues where they are cut flat. Branches are cut across: the grain flows round a knot as
water flows round a post (the stream function of a cylinder), and the knot has rings of its own.
"""

from typing import NamedTuple

import numpy as np

from trainer.starter.boards import WIDTH, Boards
from trainer.starter.fields import Field, smoothstep

RING = 0.0031  # metres, the mean of a year
KNOT_RING = 0.0026
FLOWS = 9.0  # radii of a knot beyond which the grain is straight


class Knot(NamedTuple):
    """A branch that was cut across: its board, its place on it, and its radius, in metres."""

    board: int
    x: float
    y: float
    radius: float
    long: float  # how many times as long as wide
    dead: bool


class Knots(NamedTuple):
    """What knots do to a floor."""

    aside: Field  # metres that the grain is turned aside
    bulge: Field  # metres that rings are lifted
    within: Field  # 1 within knots
    rings: Field  # of the knots themselves
    rims: Field  # bark around dead knots, and their cracks, from 0 to 1


class Grain(NamedTuple):
    """What the logs left on the boards' faces."""

    late: Field  # late wood, 0 to 1
    knots: Field  # 1 within knots
    rims: Field  # bark around dead knots, and their cracks
    heart: Field  # 0 sap wood to 1 heart wood
    fibres: Field  # fine lines along the grain, mean 0 and standard deviation 1
    streaks: Field  # broader ones
    checks: Field  # 1 where a crack is open


def grain_of(boards: Boards) -> Grain:
    """The grain on the faces of these boards."""
    canvas = boards.canvas
    knots = _knots(boards)
    ripple = canvas.of_each(canvas.noise("ripple", 0.05, 0.006, 1.5, (1.0, 11.0)), boards.ids, "ripple of each")
    radius = _radius(boards, knots.aside) + np.float32(0.0008) * ripple + knots.bulge
    ring = _years(boards, radius)
    late = _late(ring, np.hypot(*np.gradient(ring)))
    in_knots = _late(knots.rings, np.full_like(ring, 0.3))

    def along(field: Field) -> Field:
        """Turned aside as the grain is, and another part of it on each board."""
        return canvas.shifted(field, knots.aside + boards.uniform(0, canvas.metres), boards.uniform(0, canvas.metres))

    return Grain(
        late=late * (1 - knots.within) + in_knots * knots.within,
        knots=knots.within,
        rims=knots.rims,
        heart=smoothstep(0.13, 0.05, radius + np.float32(0.004) * ripple),
        fibres=along(canvas.noise("fibres", 0.006, 0.0, 0.5, (1.0, 28.0))),
        streaks=along(canvas.noise("streaks", 0.03, 0.0, 1.0, (1.0, 14.0))),
        checks=_checks(boards, knots.aside),
    )


def _radius(boards: Boards, aside: Field) -> Field:
    """How far the pith is from each place, in metres."""
    canvas, random = boards.canvas, boards.random
    wander = canvas.of_each(canvas.noise("wander", 1.2, 0.3, 1.8, (8.0, 1.0)), boards.ids, "wander of each")
    sway = canvas.of_each(canvas.noise("sway", 1.0, 0.22, 1.8, (8.0, 1.0)), boards.ids, "sway of each")
    below = boards.of(random.uniform(0.006, 0.07, boards.count)) + np.float32(0.004) * wander
    below += boards.normal(0.016) * (boards.x - boards.of(boards.length / 2))
    beside = boards.y + aside - boards.uniform(-0.55 * WIDTH, 0.55 * WIDTH)
    beside -= np.float32(0.006) * sway + boards.normal(0.012) * boards.x
    return np.hypot(beside, below)


def _years(boards: Boards, radius: Field) -> Field:
    """Which ring a place is in. Some years are better than others, and good ones come together."""
    random, count = boards.random, 1500
    better = np.convolve(random.standard_normal(count), np.ones(9) / 5, "same")
    widths = np.exp(0.35 * random.standard_normal(count) + 0.5 * better)
    ends = np.concatenate([[0], np.cumsum(widths / widths.mean())]) * RING
    first = boards.of(random.uniform(0, ends[-1] * 0.6, boards.count))
    ring = np.interp(first + radius * boards.uniform(0.7, 1.25), ends, np.arange(count + 1))
    return ring.astype(np.float32)


def _late(ring: Field, steps: Field) -> Field:
    """The late wood of a ring: it grows darker until the year ends at once. Of rings finer than pixels, its mean.

    `steps`: rings from pixel to pixel.
    """
    part, steps = ring % 1, np.minimum(steps, 1)
    soft = np.maximum(np.float32(0.05), np.float32(0.7) * steps)
    late = smoothstep(0.30, 0.92, part) ** 2 * (1 - smoothstep(1 - soft, np.ones_like(soft), part))
    too_fine = smoothstep(0.35, 0.8, steps)
    return np.asarray(late + (np.float32(0.28) - late) * too_fine)


def _knots(boards: Boards) -> Knots:
    knots = Knots(*(np.zeros_like(boards.y) for _ in Knots._fields))
    wobble = boards.canvas.noise("knots", 0.02, 0.002, 1.2)
    for each in _branches(boards):
        around = boards.around(each.board, each.x, each.y, FLOWS * each.radius * each.long)
        at, here = around.at, around.here
        down = (around.down / np.float32(each.radius) + np.float32(0.08) * wobble[at]).astype(np.float32)
        across = around.across / np.float32(each.radius * each.long)
        away = np.hypot(down, across)  # in radii
        turned = down / np.maximum(away, 1) ** 2 * smoothstep(FLOWS, 4.0, away)
        knots.aside[at] -= np.where(here, np.float32(each.radius) * turned, 0)
        knots.bulge[at] += np.where(here, np.float32(0.5 * each.radius) * np.exp(-((away / np.float32(1.6)) ** 2)), 0)
        within = np.where(here, smoothstep(1.03, 0.93, away), 0)
        knots.within[at] = np.maximum(knots.within[at], within)
        rings = away * np.float32(each.radius / KNOT_RING) + np.float32(0.25) * wobble[at]
        knots.rings[at] = np.where(within > 0, rings, knots.rings[at])
        crack = smoothstep(0.10, 0.03, away * np.abs(np.sin(1.5 * np.arctan2(down, across) + 91 * each.x)))
        bark = smoothstep(0.30, 0.08, np.abs(away - 1) - np.float32(0.03) * wobble[at]) * (0.9 if each.dead else 0.35)
        rims = np.maximum(bark, 0.5 * crack * within * (away > 0.1))
        knots.rims[at] = np.maximum(knots.rims[at], np.where(here, rims, 0))
    return knots


def _branches(boards: Boards) -> list[Knot]:
    random, found = boards.random, []
    for board in range(boards.count):
        for _ in range(random.poisson(2.2 * boards.length[board])):
            radius = float(random.choice([0.003, 0.007, 0.011], p=[0.35, 0.4, 0.25]) * random.uniform(0.8, 1.4))
            x = float(random.uniform(0.08, 0.92) * boards.length[board])
            y = float(random.uniform(-0.375, 0.375) * WIDTH)
            found.append(Knot(board, x, y, radius, float(random.uniform(1.0, 1.5)), bool(random.random() < 0.35)))
    return found


def _checks(boards: Boards, aside: Field) -> Field:
    """Cracks along the grain, 1 where one is open: many begin at the ends of boards."""
    checks, random, pixel = np.zeros_like(boards.y), boards.random, boards.canvas.pixel
    bent = boards.canvas.noise("checks", 0.05, 0.004, 1.5, (1.0, 7.0))
    for board, length in enumerate(boards.length):
        for _ in range(random.poisson(7 * length)):
            long = float(np.exp(random.normal(np.log(0.05), 0.7)).clip(0.01, 0.5))
            x = random.choice([0.3 * long, length - 0.3 * long, random.uniform(0, length)], p=[0.22, 0.23, 0.55])
            around = boards.around(board, float(x), float(random.uniform(-0.4, 0.4) * WIDTH), long)
            rows = np.abs(around.down[:, 0]) < 0.02
            at = around.at[0][rows], around.at[1]
            off = np.abs(around.down[rows] + aside[at] + np.float32(0.0016) * bent[at])
            wide = random.uniform(0.25, 0.9) * 0.001 * np.sqrt(np.clip(1 - (around.across[rows] / long) ** 2, 0, 1))
            seen = (1.2 * (wide + 0.0001) / pixel).clip(0, 1)  # narrower than a pixel, it is seen in part
            shape = seen * smoothstep(1.0, 0.3, off / (wide + 0.6 * pixel)) * (np.abs(around.across[rows]) < long)
            checks[at] = np.maximum(checks[at], np.where(around.here[rows], shape, 0))
    return checks
