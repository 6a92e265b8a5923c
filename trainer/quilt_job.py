"""A swatch to a quilt: seconds of learning, and the pictures that show what came of it."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from server import __version__
from server.model.maps import Map, channels_of
from server.network.devices import prepare
from server.network.model_file import Model, write_model
from server.quilt.quilt import Quilt
from trainer.job import Job, Stop, introduce_maps, lattice_of
from trainer.judge.map_sheet import map_sheet
from trainer.judge.pictures import as_picture, base_colour, contact_sheet, filmstrip, thumbnail, write_picture
from trainer.quilt.learning import ROUNDS, learn_prices, unpriced
from trainer.swatch.map_set import read_map_set

CONTAINS = "the photograph"  # what a model file of this kind holds, for its training facts


class QuiltJob(Job):
    """A swatch to a quilt. `periods`, `parts`, `derive`: as for a network (trainer/job.py)."""

    def __init__(
        self,
        *arguments: Any,
        periods: object,
        parts: Mapping[str, Path] = MappingProxyType({}),
        derive: Sequence[str] = (),
    ) -> None:
        super().__init__(*arguments)
        self.set = read_map_set(self.swatch, parts, derive)
        self.lattice = lattice_of(self.set, periods)

    def run(self, stop: Stop) -> bool:
        """False when it was stopped before its end; what was learned so far is written either way."""
        self._introduce()
        quilt = unpriced(stored(self.set.pixels[0], self.set.maps), self.set.maps, (False, False), self.lattice)
        frames = [(0, as_picture(base_colour(quilt, 0, (192, 192))))]
        done = 0
        with tqdm(total=ROUNDS, unit="round", disable=self.quiet or None, dynamic_ncols=True) as bar:
            for done in learn_prices(quilt, ROUNDS):  # noqa: B007, what was done when it stopped
                bar.update()
                if stop.requested:
                    break
        self._write(quilt, done)
        if stop.requested:
            self.say(f"Stopped after {done} of {ROUNDS} rounds. The model so far is in {self.output}.")
            return False
        frames.append((done, as_picture(base_colour(quilt, 0, (192, 192)))))
        write_picture(self._beside("growth"), filmstrip(frames))
        self._show(quilt)
        return True

    def _introduce_more(self) -> None:
        introduce_maps(self.set, self.lattice, self._beside("lattice"), self.say)

    def _write(self, quilt: Quilt, done: int) -> None:
        write_model(
            self.output,
            Model(
                name=self.output.stem,
                generator=quilt,
                training={
                    "arch": "quilt",
                    "contains": CONTAINS,
                    "rounds": done,
                    "seconds": round(time.monotonic() - self.started, 1),
                    "trainer": __version__,
                },
                descriptor="none",
                swatch=self._swatch_facts(),
                thumbnail=torch.from_numpy(thumbnail(as_picture(base_colour(quilt, 0, (512, 512)))).copy()),
            ),
        )

    def _show(self, quilt: Quilt) -> None:
        painter = prepare(quilt, self.device)
        if len(self.set.maps) > 1:
            write_picture(self._beside("maps"), map_sheet(painter, self.set.pixels, self.output.stem))
        took = time.monotonic() - self.started
        title = f"{self.output.stem}: a quilt, made in {took:.0f} s"
        write_picture(self._beside("sheet"), contact_sheet(painter, self.picture, title))
        self.say(f"Wrote {self.output} and its contact sheet {self._beside('sheet')} ({took:.0f} s).")


def stored(pixels: Tensor, maps: Sequence[Map]) -> list[Tensor]:
    """Maps, (channels of all, height, width) float32 in [0, 1], as a quilt keeps them: uint8, or uint16 of a height."""
    result = []
    for each in maps:
        own = pixels[channels_of(maps, each.name)]
        if each.depth == 16:
            result.append((own * 65535 + 0.5).to(torch.int32).to(torch.uint16))
        else:
            result.append((own * 255 + 0.5).to(torch.uint8))
    return result
