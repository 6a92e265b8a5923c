"""Measures where the courses of a swatch lie, if they are too weak or uneven for a lattice (server/quilt/phases.py).

How it works. The courses' wave is found as for a lattice (trainer/swatch/courses.py), with a lower bar. The swatch's
detail times the opposite wave, averaged around a place (complex demodulation), has the phase that courses have there
beyond that of an even wave.
"""

import dataclasses
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from server.model.quilt import CYCLE, QuiltArchitecture
from trainer.swatch.courses import Courses, all_courses
from trainer.swatch.periods import detail_of, softened

WEAKEST = 0.03  # courses explain at least this share of the swatch's detail
FEWEST = 6  # courses across the swatch
SIDE = 512  # the swatch is reduced to this shorter side, or up to twice as much, to find them
AROUND = 4  # parts of a patch's side, of which one is the spread of the Gaussian that weighs what lies around


def with_phases(settings: QuiltArchitecture, features: Tensor) -> tuple[QuiltArchitecture, Tensor | None]:
    """Settings with the waves of the swatch's courses, and the phase of each at the search's places: (waves, rows,
    columns) int16. None if there are no courses. `features`: (F, height, width) in plan pixels, the strongest first.
    """
    pixels = features[:3][None] / 127
    factor = max(1, min(settings.plan) // SIDE)
    pixels = F.avg_pool2d(pixels, factor)
    found = [
        dataclasses.replace(each, period=each.period * factor)
        for each in all_courses(pixels, FEWEST)
        if each.share >= WEAKEST
    ]
    if not found:
        return settings, None
    settings = dataclasses.replace(settings, waves=tuple(each.wave for each in found))
    return settings, torch.stack([_phases(settings, pixels, factor, each) for each in found]).to(torch.int16)


def _phases(settings: QuiltArchitecture, pixels: Tensor, factor: int, courses: Courses) -> Tensor:
    """The phase of these courses at the search's places, whole numbers from 0 to CYCLE - 1: (rows, columns).

    `pixels`: those of the plan, reduced by `factor`.
    """
    spread = settings.pitch / AROUND / factor
    margin = [math.ceil(3 * spread) if wraps else 0 for wraps in settings.wraps]
    wide = F.pad(detail_of(pixels), (margin[1], margin[1], margin[0], margin[0]), mode="circular")[0].double()
    rows, columns = (torch.arange(side) - more for side, more in zip(wide.shape[1:], margin, strict=True))
    turns = factor * (courses.wave[0] * rows[:, None].double() + courses.wave[1] * columns[None].double())
    turned = wide * torch.exp(-2j * math.pi * turns)
    parts = [softened(part[None], spread)[0] for part in (turned.real, turned.imag)]
    around = torch.complex(parts[0], parts[1])
    # Channels differ by a phase of their own: the strongest combination of them speaks for all.
    flat = around.flatten(1)
    _, vectors = torch.linalg.eigh(flat @ flat.mH)
    more = torch.angle(torch.einsum("c,chw->hw", vectors[:, -1].conj(), around)) / (2 * math.pi)
    half = settings.pitch // 2 + settings.overlap
    lines = [torch.tensor(settings.usually_searched(axis)) for axis in (0, 1)]
    sides = [min(side, factor * wide) for side, wide in zip(settings.plan, pixels.shape[2:], strict=True)]
    middles = [
        ((line + half) % side if wraps else (line + half).clamp(0, side - 1)) // factor + first
        for line, side, wraps, first in zip(lines, sides, settings.wraps, margin, strict=True)
    ]
    even = courses.wave[0] * lines[0][:, None].double() + courses.wave[1] * lines[1][None].double()
    return ((even + more[middles[0]][:, middles[1]]) * CYCLE).round().long() % CYCLE
