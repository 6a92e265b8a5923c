"""From a painting to a quilted style: learn for some seconds, write the model and a sheet by which to judge it."""

import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from server.model.header import SwatchFacts
from server.model.style_quilt import PATCHES
from server.network.model_file import Model, write_model
from server.network.quilted import Wish, quilted
from server.strokes.painter import StyleQuilt
from trainer.job import Job, Stop
from trainer.judge.pictures import Picture, as_picture, style_sheet, thumbnail
from trainer.strokes.hygiene import Share
from trainer.strokes.learning import learn_components, learn_prices, whole_places
from trainer.strokes.paintings import Ground, Painting
from trainer.swatch.contents import find_contents
from trainer.swatch.swatch import UnusableSwatch, read_swatch

CONTAINS = "the painting", "the paintings"  # what such a model file contains, told among its training facts
MUCH_LARGER = 1.25  # than the smallest painting: it is told
SHOWN, SMALL = 288, 160  # shorter sides of the contents on the sheet and of the thumbnail's


class StyleQuiltJob(Job):
    """From a painting to a quilted style."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.contents = find_contents(self.config.content, self.say)
        beside = [read_swatch(path, self.swatch_size) for path in self.material.beside]
        self.paintings = [
            Painting.of(each, self._left_out(each.path), keep_writing=self.config.keep_writing)
            for each in (self.swatch, *beside)
        ]
        try:
            self.ground = Ground.of(self.paintings)
        except UnusableSwatch as error:
            by_program = self.config.progress_lines  # whose user knows no options of ours
            raise (
                error if by_program else UnusableSwatch(f"{error} Or --arch residual learns a network from it.")
            ) from None
        architecture = self.ground.architecture
        if not len(whole_places(self.ground.usable, architecture.first, architecture)):
            side = PATCHES[architecture.first] * architecture.factor
            raise UnusableSwatch(
                f"So much of {self.swatch.path} is left out that no piece of {side} x {side} pixels remains. Leave out "
                "less, or use a larger picture."
            )

    def _left_out(self, path: Path) -> list[Share]:
        """Parts of a picture that a person named."""
        return [each for each in self.config.rectangles if each.picture in ("", path.name)]

    def run(self, stop: Stop) -> bool:
        """False if it was stopped before its end; then nothing is written."""
        self._introduce()
        if self.config.resume:
            self.say("A quilted style is learned in seconds and keeps no checkpoint: starting from the beginning.")
        self.report.at(0.2, "Learning.")
        ground = self.ground
        state = {"painting": ground.painting, "usable": ground.usable}
        if ground.architecture.factor > 1:
            state["plan"] = ground.plan
        state |= learn_components(ground.plan, ground.usable, ground.architecture)
        state |= learn_prices(ground.plan, ground.architecture)
        if stop.requested:
            self.say("Stopped; nothing was written.")
            return False
        style = StyleQuilt(ground.architecture, state)
        self._write(style)
        took = time.monotonic() - self.started
        self._leave("sheet", lambda: self._sheet(style, f"{self.output.stem}: a quilted style, made in {took:.0f} s"))
        self._say_written(took)
        return True

    def _introduce_more(self) -> None:
        longer = min(max(each.size) for each in self.paintings)
        for each in self.paintings:
            of = f"{each.path.name}: " if len(self.paintings) > 1 else ""
            (height, width), share = each.size, 1 - float(each.shown.float().mean())
            if each.size != each.whole:
                self.say(f"  {of}A frame around the painting is left out: {width} x {height} pixels remain.")
            for place in each.writing:
                self.say(f"  {of}What looks like writing, at {place}, is left out; --keep-writing shows it.")
            if share:
                self.say(f"  {of}Left out: {100 * share:.0f} % of the painting.")
            if max(each.size) > MUCH_LARGER * longer:
                self.say(f"  {of}{max(each.size)} pixels wide or high are made {longer}, as many as the smallest has.")

    def _write(self, style: StyleQuilt) -> Path:
        path = self._destination(finished=True)
        sample = self._stylized(style, self.contents.shown(SMALL)[0], 1.0)
        write_model(
            path,
            Model(
                name=path.stem,
                generator=style,
                training={"arch": "quilt", "contains": CONTAINS[len(self.paintings) > 1], **self._made(finished=True)},
                descriptor="none",
                swatch=SwatchFacts(
                    name=" + ".join(each.path.name for each in self.paintings),
                    sha256=self.swatch.sha256,
                    height=self.ground.architecture.height,
                    width=self.ground.architecture.width,
                ),
                thumbnail=torch.from_numpy(thumbnail(sample, 256).copy()),
            ),
        )
        self._clear_unfinished()
        return path

    def _sheet(self, style: StyleQuilt, title: str) -> Picture:
        return style_sheet(
            partial(self._stylized, style),
            as_picture(self.ground.painting[None] / 255),
            self.contents.shown(SHOWN)[:2],
            title,
        )

    def _stylized(self, style: StyleQuilt, content: Tensor, strength: float) -> Picture:
        wish = Wish(seed=0, strength=strength)
        return as_picture(quilted(style, content.permute(1, 2, 0), wish).permute(2, 0, 1)[None])
