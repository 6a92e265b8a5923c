"""From a swatch to a quilt: learn for some seconds, write the model and the pictures that show how good it is."""

import dataclasses
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from server.model.lattice import Lattice
from server.model.maps import Map, channels_of
from server.network.devices import prepare
from server.network.model_file import Model, write_model
from server.quilt.quilt import Quilt
from trainer.job import FRAME, GROWTH_SIDE, Job, Stop, drawn_over, introduce_maps, lattice_of, name_maps, strongest
from trainer.judge.map_sheet import map_sheet
from trainer.judge.pictures import (
    Picture,
    as_picture,
    base_colour,
    filmstrip,
    quilt_sheet,
    thumbnail,
)
from trainer.progress import Progress
from trainer.quilt.learning import ROUNDS, choose_sizes, learn_prices, unpriced
from trainer.swatch.courses import courses_picture, find_courses
from trainer.swatch.light import levelled
from trainer.swatch.map_set import read_map_set
from trainer.swatch.periods import lattice_picture
from trainer.swatch.tiling import closed, tiles

GROWN = 1024  # side of the texture that is painted for a frame of NAME.growth.png
REPORTED = 512  # likewise, of one that is reported
REPORT_ROUNDS = 3  # after which a texture is reported
ROWS = 256  # of a swatch, that are worked on at once
SHOWN = 512  # side of the texture that is painted for the thumbnail
CONTAINS = "the photograph"  # what such a model file contains, told among its training facts


class QuiltJob(Job):
    """From a swatch, or a set of maps, to a quilt."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.wraps = tiles(self.swatch.pixels)
        if not self.config.keep_light:
            self.swatch = levelled(self.swatch, self.wraps)
        self.set = read_map_set(
            self.swatch, self.material.parts, self.config.guessed, size=self.swatch_size, keep_hills=True
        )
        self.swatch = dataclasses.replace(self.swatch, pixels=self.set.pixels[:, :3])
        self.picture = as_picture(self.swatch.pixels)
        if len(self.set.maps) > 1:
            self.wraps = both(self.wraps, tiles(self.set.pixels))
        self.wraps = both(self.wraps, whole(self.set.pixels))
        self.lattice: Lattice | None = None
        self.courses: Lattice | None = None

    def _find_pattern(self) -> None:
        self.report.at(0.05, "Looking for a pattern.")
        self.lattice = lattice_of(self.set, self.config.periods)
        if self.config.periods != "auto":
            return
        height, width = self.set.pixels.shape[2:]
        if self.lattice:
            self.wraps = both(tiles(self.set.pixels, self.lattice), whole(self.set.pixels))
            self.lattice = closed(self.lattice, (height, width), self.wraps)
        elif courses := strongest(self.set, find_courses):
            self.courses = closed(courses, (height, width), self.wraps, free=True)

    def run(self, stop: Stop) -> bool:
        """False if it was stopped before its end. What was learned so far is written either way."""
        self._find_pattern()
        self._introduce()
        if self.config.resume:
            self.say("A quilt is learned in seconds and keeps no checkpoint: starting from the beginning.")
        self.report.at(0.2, "Sewing a first texture.")
        quilt = self._unpriced()
        self._name_waves(quilt)
        small = reduced(quilt)
        self._report_texture(small)
        self.report.at(0.35, "Learning.")
        frames: list[tuple[int, Picture]] = []
        self._grow(frames, 0, small)
        done = 0
        with Progress(ROUNDS, "rounds", self.say, quiet=self.config.quiet) as shown:
            rounds = learn_prices(small, ROUNDS)
            while done < ROUNDS and not stop.requested:
                done = next(rounds)
                shown.show(done)
                self.report.at(0.35 + 0.6 * done / ROUNDS, f"Learning, round {done} of {ROUNDS}.")
                if done % REPORT_ROUNDS == 0 and done < ROUNDS:  # then the model itself comes
                    self._report_texture(small)
        quilt.prices = small.prices
        quilt.forget()
        path = self._write(quilt, small, done)
        if stop.requested:
            self.say(f"Stopped after {done} of {ROUNDS} rounds. The best model so far is in {path}.")
            return False
        self._grow(frames, done, small)
        self._show(quilt, small)
        return True

    def _unpriced(self) -> Quilt:
        """A quilt that has learned nothing so far."""
        pixels = stored(self.set.pixels[0], self.set.maps)
        lattice = self.lattice or self.courses
        return unpriced(pixels, self.set.maps, self.wraps, lattice, in_step=self.config.periods == "auto")

    def _name_waves(self, quilt: Quilt) -> None:
        """Say which courses are kept in step."""
        settings = quilt.settings
        for wave in settings.waves:
            way = "down" if settings.across(wave) == 0 else "across"
            self.say(
                f"  It has uneven courses, about every {settings.factor / math.hypot(*wave):.0f} pixels {way}: pieces "
                "keep them in step; --lattice none turns it off."
            )

    def _report_texture(self, small: Quilt) -> None:
        if self.report.wanted:
            side = max(GROWTH_SIDE, min(REPORTED, *small.settings.plan))
            self._report_picture(as_picture(base_colour(small, 0, (side, side))))

    def _grow(self, frames: list[tuple[int, Picture]], done: int, small: Quilt) -> None:
        """Add a frame to NAME.growth.png: a texture about as wide as the swatch, scaled down if that is large."""
        if self.config.model_only:
            return
        side = max(GROWTH_SIDE, min(GROWN, *small.settings.plan))
        frames.append((done, thumbnail(as_picture(base_colour(small, 0, (side, side))), FRAME)))
        self._leave("growth", lambda: filmstrip(frames, "the texture after so many rounds of learning"))

    def _introduce_more(self) -> None:
        if any(self.wraps):
            how = "down and across" if all(self.wraps) else "down" if self.wraps[0] else "across"
            self.say(f"  It tiles {how}: pieces may run over its border.")
        if not self.courses:
            introduce_maps(self.set, self.lattice, self._beside("lattice"), self.say)
            if lattice := self.lattice:
                self._leave("lattice", lambda: drawn_over(self.set.pixels[:, :3], lattice, lattice_picture))
            return
        name_maps(self.set, self.say)
        courses = self.courses
        wave, picture = courses.basis[0], self._beside("lattice")
        way = "down" if abs(wave[0]) > abs(wave[1]) else "across"
        self.say(
            f"  Its courses come every {1 / math.hypot(*wave):.1f} pixels {way}, strength "
            f"{courses.strength:.2f}: {picture} shows them; --lattice none turns it off."
        )
        self._leave("lattice", lambda: drawn_over(self.set.pixels[:, :3], courses, courses_picture))

    def _write(self, quilt: Quilt, small: Quilt, done: int) -> Path:
        """Write the model and return its file."""
        finished = done == ROUNDS
        path = self._destination(finished=finished)
        sample = as_picture(base_colour(small, 0, (SHOWN, SHOWN)))
        write_model(
            path,
            Model(
                name=path.stem,
                generator=quilt,
                training={"arch": "quilt", "contains": CONTAINS, "rounds": done, **self._made(finished=finished)},
                descriptor="none",
                swatch=self._swatch_facts(),
                thumbnail=torch.from_numpy(thumbnail(sample).copy()),
            ),
        )
        if finished:
            self._clear_unfinished()
        return path

    def _show(self, quilt: Quilt, small: Quilt) -> None:
        painter = prepare(quilt, self.device)
        if len(self.set.maps) > 1:
            self._leave("maps", lambda: map_sheet(painter, self.set.pixels, self.output.stem))
        took = time.monotonic() - self.started
        title = f"{self.output.stem}: a quilt, made in {took:.0f} s"
        factor, small_painter = quilt.settings.factor, prepare(reduced(quilt), self.device)
        self._leave("sheet", lambda: quilt_sheet(painter, small_painter, factor, self.picture, title))
        self._say_written(took)


def reduced(quilt: Quilt) -> Quilt:
    """The same quilt at 1/factor of the size: it paints the same textures in the pixels of the plan."""
    settings, lattice = quilt.settings, quilt.lattice
    factor = settings.factor
    if factor == 1:
        return quilt
    height, width = settings.plan
    if lattice:
        (y1, x1), (y2, x2) = lattice.basis
        basis = (y1 * factor, x1 * factor), (y2 * factor, x2 * factor)
        fits = max(map(abs, (*basis[0], *basis[1]))) <= 0.5  # cycles a pixel
        lattice = dataclasses.replace(lattice, basis=basis) if fits else None
    settings = dataclasses.replace(settings, height=height, width=width, factor=1)
    return Quilt(settings, quilt.maps, quilt.small, quilt.weights, quilt.prices, lattice=lattice, phases=quilt.phases)


def both(one: tuple[bool, bool], other: tuple[bool, bool]) -> tuple[bool, bool]:
    """Axis by axis, whether both are true."""
    return one[0] and other[0], one[1] and other[1]


def whole(pixels: Tensor) -> tuple[bool, bool]:
    """Which sides are multiples of a quilt's factor. Others are cropped, and no longer tile."""
    height, width = pixels.shape[2:]
    factor = choose_sizes(height, width).factor
    return height % factor == 0, width % factor == 0


def stored(pixels: Tensor, maps: Sequence[Map]) -> list[Tensor]:
    """Maps as a quilt keeps them: uint8, heights uint16. `pixels`: (channels of all maps, H, W) float32 in [0, 1]."""
    result = []
    for each in maps:
        own = pixels[channels_of(maps, each.name)]
        whole = torch.empty(own.shape, dtype=torch.uint16 if each.depth == 16 else torch.uint8)
        for top in range(0, own.shape[1], ROWS):  # of a large map there is never a second copy in float
            rows = own[:, top : top + ROWS]
            whole[:, top : top + ROWS] = (
                (rows * 65535 + 0.5).to(torch.int32).to(torch.uint16)
                if each.depth == 16
                else (rows * 255 + 0.5).to(torch.uint8)
            )
        result.append(whole)
    return result
