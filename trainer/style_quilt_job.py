"""From a painting to a quilted style: learn for some seconds, write the model and a sheet by which to judge it."""

import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from server.model.header import SwatchFacts
from server.model.style_quilt import FACTORS, MIN_SIDE, PATCHES, PLAN_SIDE, StyleQuiltArchitecture
from server.network.model_file import Model, write_model
from server.network.quilted import Wish, quilted
from server.quilt.quilt import reduced
from server.strokes.painter import StyleQuilt
from trainer.job import Job, Stop
from trainer.judge.pictures import Picture, as_picture, style_sheet, thumbnail
from trainer.strokes.hygiene import Rectangle, within_frame
from trainer.strokes.learning import learn_components, learn_prices, whole_places
from trainer.swatch.contents import find_contents
from trainer.swatch.swatch import UnusableSwatch

CONTAINS = "the painting"  # what such a model file contains, told among its training facts
SHOWN, SMALL = 288, 160  # shorter sides of the contents on the sheet and of the thumbnail's


class StyleQuiltJob(Job):
    """From a painting to a quilted style."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.contents = find_contents(self.config.content, self.say)
        pixels = (self.swatch.pixels[0] * 255 + 0.5).to(torch.uint8)
        self.frame = within_frame(pixels)
        pixels = self.frame.of(pixels)
        factor = next((each for each in FACTORS if max(pixels.shape[1:]) <= PLAN_SIDE * each), FACTORS[-1])
        height, width = (side // factor * factor for side in pixels.shape[1:])
        if min(height, width) < MIN_SIDE * factor:
            why = f"{self.swatch.path} is {width} x {height} pixels without its frame. A painting needs {MIN_SIDE} "
            why += "pixels a side, and a larger picture has more strokes."
            by_program = self.config.progress_lines  # whose user knows no options of ours
            raise UnusableSwatch(why if by_program else f"{why} Or --arch residual learns a network from it.")
        self.painting = pixels[:, :height, :width].contiguous()
        self.architecture = StyleQuiltArchitecture(height=height, width=width, factor=factor)
        self.plan = reduced([self.painting], factor)[0] if factor > 1 else self.painting
        self.usable = torch.ones(self.architecture.plan, dtype=torch.uint8)
        for rectangle in self._rectangles():
            rectangle.within(self.usable)[...] = 0
        first = self.architecture.first
        if not len(whole_places(self.usable, first, self.architecture)):
            side = PATCHES[first] * factor
            raise UnusableSwatch(
                f"So much of {self.swatch.path} is left out that no piece of {side} x {side} pixels remains. Leave out "
                "less, or use a larger picture."
            )

    def _rectangles(self) -> list[Rectangle]:
        """What must not be shown, in plan pixels."""
        height, width = self.swatch.pixels.shape[2:]
        factor = self.architecture.factor
        return [each.moved(height, width, self.frame, factor) for each in self.config.rectangles]

    def run(self, stop: Stop) -> bool:
        """False if it was stopped before its end; then nothing is written."""
        self._introduce()
        if self.config.resume:
            self.say("A quilted style is learned in seconds and keeps no checkpoint: starting from the beginning.")
        self.report.at(0.2, "Learning.")
        state = {"painting": self.painting, "usable": self.usable}
        if self.architecture.factor > 1:
            state["plan"] = self.plan
        state |= learn_components(self.plan, self.usable, self.architecture) | learn_prices(
            self.plan, self.architecture
        )
        if stop.requested:
            self.say("Stopped; nothing was written.")
            return False
        style = StyleQuilt(self.architecture, state)
        self._write(style)
        took = time.monotonic() - self.started
        self._leave("sheet", lambda: self._sheet(style, f"{self.output.stem}: a quilted style, made in {took:.0f} s"))
        self._say_written(took)
        return True

    def _introduce_more(self) -> None:
        height, width = self.swatch.pixels.shape[2:]
        if (self.frame.height, self.frame.width) != (height, width):
            self.say(
                f"  A frame around the painting is left out: {self.frame.width} x {self.frame.height} pixels remain."
            )
        share = 1 - float(self.usable.float().mean())
        if share:
            self.say(f"  Left out: {100 * share:.0f} % of the painting.")

    def _write(self, style: StyleQuilt) -> Path:
        path = self._destination(finished=True)
        sample = self._stylized(style, self.contents.shown(SMALL)[0], 1.0)
        write_model(
            path,
            Model(
                name=path.stem,
                generator=style,
                training={"arch": "quilt", "contains": CONTAINS, **self._made(finished=True)},
                descriptor="none",
                swatch=SwatchFacts(
                    name=self.swatch.path.name,
                    sha256=self.swatch.sha256,
                    height=self.architecture.height,
                    width=self.architecture.width,
                ),
                thumbnail=torch.from_numpy(thumbnail(sample, 256).copy()),
            ),
        )
        self._clear_unfinished()
        return path

    def _sheet(self, style: StyleQuilt, title: str) -> Picture:
        return style_sheet(partial(self._stylized, style), self.picture, self.contents.shown(SHOWN)[:2], title)

    def _stylized(self, style: StyleQuilt, content: Tensor, strength: float) -> Picture:
        wish = Wish(seed=0, strength=strength)
        return as_picture(quilted(style, content.permute(1, 2, 0), wish).permute(2, 0, 1)[None])
