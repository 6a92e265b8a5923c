"""Keeps the courses of patches in step, where a swatch has courses that are too weak or uneven to be a lattice: slates,
shingles, rough walls.

Patches that are drawn by hash would have courses at any height, and a patch between two of them can go on with the
courses of only one. So a drawn place is moved by up to half a course, to where courses have the phase that they have at
this part of the torus, which holds whole courses. All other patches follow their neighbours. The trainer measures which
phase courses have at every place (trainer/quilt/phases.py). All in whole numbers.
"""

import torch
from torch import Tensor

from server.model.quilt import CYCLE
from server.quilt.hashing import words
from server.quilt.patches import Patches

_TURNS = 2  # the phase is looked up again where the first move led


class Phases:
    """`table`: (waves, rows, columns) of the search's places, in 1/CYCLE: the phase of each of the model's waves
    (QuiltArchitecture) at the pixel that the place names.
    """

    def __init__(self, patches: Patches, table: Tensor) -> None:
        self._patches, self._table = patches, table.long()

    def in_step(self, index: Tensor, places: Tensor) -> Tensor:
        """The places (patches, n, 2) of these patches, each moved across the courses to where they are in step."""
        for number in range(len(self._table)):
            for _ in range(_TURNS):
                places = self._moved(number, index, places)
        return places

    def _moved(self, number: int, index: Tensor, places: Tensor) -> Tensor:
        patches, settings = self._patches, self._patches.settings
        wave, factor, step = settings.waves[number], settings.factor, settings.step
        across = settings.across(wave)
        period = round(CYCLE / wave[across])  # of the courses, in 1/CYCLE plan pixels
        wanted = words(patches.seed, 7, number) % CYCLE
        for axis, frequency in enumerate(wave):
            torus = patches.axes[axis]
            cycles = round(frequency * torus.tile / factor)
            cycles = max(1, cycles) if axis == across else cycles
            corners = torch.tensor([torus.corner(patch) for patch in range(torus.patches)]) - torus.overlap
            wanted = wanted + (CYCLE * cycles * corners[index[:, axis]]).div(torus.tile, rounding_mode="floor")
        low = [settings.usually_searched(axis).start for axis in (0, 1)]
        plan = places.div(factor, rounding_mode="floor") - torch.tensor(low)
        last = torch.tensor(self._table.shape[1:]) - 1
        at = torch.minimum(plan.div(step, rounding_mode="floor").clamp(min=0), last)
        phase = self._table[number][at[..., 0], at[..., 1]]
        phase = phase + ((plan - at * step)[..., across] * CYCLE**2).div(period, rounding_mode="floor")
        turn = (wanted[:, None] - phase + CYCLE // 2) % CYCLE - CYCLE // 2
        move = (turn * period * factor).div(CYCLE**2, rounding_mode="floor")
        moved = places.clone()
        moved[..., across] += move
        line, course = patches.searched[across], period * factor // CYCLE
        first, stop = line.start * factor, (line[-1] + 1) * factor
        moved[..., across] += course * (moved[..., across] < first).long()
        moved[..., across] -= course * (moved[..., across] >= stop).long()
        moved[..., across] = moved[..., across].clamp(first, stop - 1)
        return moved
