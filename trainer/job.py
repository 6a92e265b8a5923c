"""From one picture to one model: read it, train, write the model, and write pictures that show how good it is.

Job
├── QuiltJob        (trainer/quilt_job.py)
├── StyleQuiltJob   (trainer/style_quilt_job.py)
└── NetworkJob
    ├── TextureJob
    └── StyleJob
"""

import dataclasses
import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from server import __version__
from server.model.architecture import PRESETS
from server.model.header import BrokenModel, SwatchFacts, read_facts
from server.model.lattice import Lattice
from server.network.devices import prepare
from server.network.model_file import Model, write_model
from server.network.stylize import stylize
from trainer.descriptor.descriptors import NetworkDescriptor
from trainer.judge.map_sheet import map_sheet
from trainer.judge.pictures import (
    Picture,
    as_picture,
    base_colour,
    contact_sheet,
    filmstrip,
    style_sheet,
    thumbnail,
    write_picture,
)
from trainer.progress import Progress
from trainer.report import Report
from trainer.swatch.contents import Contents, find_contents
from trainer.swatch.map_set import MapSet, read_map_set
from trainer.swatch.materials import Material
from trainer.swatch.periods import find_lattice, lattice_from_periods, lattice_picture
from trainer.swatch.swatch import read_swatch
from trainer.training.checkpoint import UnusableCheckpoint, checkpoint_path, resume, write_checkpoint
from trainer.training.recipe import Recipe
from trainer.training.style import StyleTraining
from trainer.training.texture import TextureTraining
from trainer.training.training import Training, TrainingFailed
from trainer.training_config import TrainingConfig

UNFINISHED = ".unfinished.safetensors"  # written by a stopped training beside a finished model of that name
CHECKPOINT_EVERY = 100  # iterations
SWATCH_SIDE = 2048  # the longer side of the swatch's picture, at most
LATTICE_SIDE = 1024  # the picture is reduced to this shorter side, or up to twice as much, to find a lattice
GROWTH_FRAMES = 16
GROWTH_SIDE = 192
FRAME = 384  # side of a frame that is reported, at most
REPORT_EVERY = 10  # iterations
SHOWN = 384  # shorter side of the contents on a style's sheet


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """One model to be made. `made_from`: a hash of the pictures and options that shape it (trainer/batch.py)."""

    material: Material
    output: Path
    made_from: str


class Stop:
    """Whether the training should stop after the current step."""

    requested = False


Say = Callable[[str], None]


class Job(ABC):
    """Makes one model from one picture."""

    def __init__(
        self,
        task: Task,
        recipe: Recipe,
        device: torch.device,
        config: TrainingConfig,
        say: Say,
        report: Report,
    ) -> None:
        self.task, self.material, self.output = task, task.material, task.output
        self.recipe, self.device, self.config, self.say, self.report = recipe, device, config, say, report
        self.swatch_size = config.swatch_size or recipe.swatch_size
        report.at(0.02, "Reading the picture.")
        self.swatch = read_swatch(self.material.path, self.swatch_size, config.straighten)
        self.picture = as_picture(self.swatch.pixels)
        self.started = time.monotonic()

    @abstractmethod
    def run(self, stop: Stop) -> bool:
        """Train and write the model. False if it was stopped before its end."""

    def _introduce(self) -> None:
        swatch = self.swatch
        _, _, height, width = swatch.pixels.shape
        self.say(f"{swatch.path}: training on {width} x {height} pixels, model {self.output}.")
        for note in swatch.notes:
            self.say(f"  {note}")
        for warning in swatch.warnings:
            self.say(f"  Warning: {warning}")
        self._introduce_more()
        self._leave("swatch", lambda: thumbnail(self.picture, SWATCH_SIDE))

    @abstractmethod
    def _introduce_more(self) -> None:
        """Tell the user more before the training."""

    def _swatch_facts(self) -> SwatchFacts:
        _, _, height, width = self.swatch.pixels.shape
        return SwatchFacts(name=self.swatch.path.name, sha256=self.swatch.sha256, height=height, width=width)

    def _made(self, *, finished: bool) -> dict[str, Any]:
        """How the model came about, for its file."""
        return {
            **self.config.told,
            "finished": finished,
            "made_from": self.task.made_from,
            "seconds": round(time.monotonic() - self.started, 1),
            "trainer": __version__,
        }

    def _destination(self, *, finished: bool) -> Path:
        """Where the model goes. An unfinished one never replaces a finished one; it is written beside it."""
        aside = self.output.with_name(f"{self.output.name.removesuffix('.safetensors')}{UNFINISHED}")
        return aside if not finished and _is_finished(self.output) else self.output

    def _clear_unfinished(self) -> None:
        """Remove the unfinished model of an earlier training, now that there is a finished one."""
        self.output.with_name(f"{self.output.name.removesuffix('.safetensors')}{UNFINISHED}").unlink(missing_ok=True)

    def _beside(self, what: str, suffix: str = ".png") -> Path:
        return self.output.with_name(f"{self.output.name.removesuffix('.safetensors')}.{what}{suffix}")

    def _leave(self, what: str, draw: Callable[[], Picture]) -> None:
        """Draw a picture and write it beside the model, unless only the model is wanted."""
        if not self.config.model_only:
            write_picture(self._beside(what), draw())

    def _say_written(self, took_s: float) -> None:
        sheet = "" if self.config.model_only else f" and its contact sheet {self._beside('sheet')}"
        self.say(f"Wrote {self.output}{sheet} ({took_s:.0f} s).")

    def _report_picture(self, picture: Picture) -> None:
        """The growing texture, for the program that waits for the model."""
        self.report.picture(self._beside("growth", ".rgb"), thumbnail(picture, FRAME))


class NetworkJob(Job):
    """Trains a network step by step."""

    def __init__(
        self,
        task: Task,
        recipe: Recipe,
        device: torch.device,
        config: TrainingConfig,
        say: Say,
        report: Report,
        *,
        descriptor: NetworkDescriptor,
    ) -> None:
        super().__init__(task, recipe, device, config, say, report)
        self.descriptor = descriptor

    def run(self, stop: Stop) -> bool:
        """False if it was stopped before its end. The best model so far is written either way."""
        self._introduce()
        checkpoint, belongs_to = checkpoint_path(self.output), self._belongs_to()
        if checkpoint.exists() and (self.config.resume or self.config.share):
            training = self._resumed(checkpoint, belongs_to)
        else:
            training = self._training()
            if self.config.resume:
                self.say(f"There is no {checkpoint}: starting from the beginning.")
        try:
            self._train(training, stop, checkpoint, belongs_to)
        except TrainingFailed as error:
            if training.best:
                written = self._write(training, pictures=False)
                raise TrainingFailed(f"{error} The best model so far is in {written}.") from error
            raise
        written = self._write(training, pictures=not stop.requested)
        if stop.requested:
            write_checkpoint(checkpoint, training.state(), belongs_to)
            self.say(
                f"Stopped at iteration {training.step}. The best model so far is in {written}; "
                "--resume goes on from here."
            )
            return False
        checkpoint.unlink(missing_ok=True)
        return True

    def _resumed(self, checkpoint: Path, belongs_to: dict[str, object]) -> Training[Any]:
        """From the checkpoint. Raises UnusableCheckpoint if --resume asks for one that is of another training."""
        training = self._training()
        try:
            resume(training, checkpoint, belongs_to)
        except UnusableCheckpoint:
            if self.config.resume:
                raise
            self.say(f"The checkpoint {checkpoint} is of another training: starting from the beginning.")
            return self._training()  # the other may have loaded a part of it
        self.say(f"Going on from iteration {training.step}.")
        return training

    def _train(self, training: Training[Any], stop: Stop, checkpoint: Path, belongs_to: dict[str, object]) -> None:
        frames: list[tuple[int, Picture]] = []
        every = max(1, self.recipe.iterations // GROWTH_FRAMES)
        with Progress(
            self.recipe.iterations, "iterations", self.say, quiet=self.config.quiet, done=training.step
        ) as shown:
            for progress in training.run():
                shown.show(progress.step, f"loss {progress.loss:.4f}, rate {progress.rate:.1e}")
                if progress.step % every == 0 or progress.step in (1, every // 4, every // 2):
                    frames.append((progress.step, self._frame(training)))
                    self._leave("growth", lambda: filmstrip(frames))
                    self._report_picture(frames[-1][1])
                if progress.step % REPORT_EVERY == 0:
                    share = progress.step / self.recipe.iterations
                    self.report.at(0.05 + 0.9 * share, f"Learning, step {progress.step} of {self.recipe.iterations}.")
                if progress.step % CHECKPOINT_EVERY == 0:
                    write_checkpoint(checkpoint, training.state(), belongs_to)
                if stop.requested:
                    return

    def _write(self, training: Training[Any], *, pictures: bool) -> Path:
        """Write the best model so far and return its file."""
        finished = training.step == self.recipe.iterations
        path = self._destination(finished=finished)
        generator = training.finished()
        painter = prepare(generator, self.device)
        model = Model(
            name=path.stem,
            generator=generator,
            training={
                **{name: value for name, value in dataclasses.asdict(self.recipe).items() if name != "kind"},
                **self._facts(),
                **self._made(finished=finished),
                "iterations": training.step,  # fewer than the recipe's, where it was stopped
                "loss": training.best_loss,
            },
            descriptor=self.descriptor.name,
            swatch=self._swatch_facts(),
            thumbnail=torch.from_numpy(thumbnail(self._sample(painter)).copy()),
        )
        write_model(path, model)
        if finished:
            self._clear_unfinished()
        if pictures:
            self._show(painter, training)
        return path

    def _show(self, painter: Any, training: Training[Any]) -> None:
        took = time.monotonic() - self.started
        title = f"{self.output.stem}: {training.step} iterations in {took:.0f} s, looked at with {self.descriptor.name}"
        self._leave("sheet", lambda: self._sheet(painter, title))
        self._say_written(took)

    def _belongs_to(self) -> dict[str, object]:
        return {
            "swatch": self.swatch.sha256,
            "size of swatch": list(self.swatch.pixels.shape[2:]),
            "recipe": dataclasses.asdict(self.recipe),
            "descriptor": self.descriptor.name,
            **self._belongs_to_more(),
        }

    # ----------------------------------------------------------------------------------------- what the kinds differ in

    @abstractmethod
    def _training(self) -> Training[Any]:
        """From the beginning."""

    @abstractmethod
    def _frame(self, training: Training[Any]) -> Picture:
        """A small sample from the generator in training."""

    @abstractmethod
    def _sample(self, painter: Any) -> Picture:
        """The model's thumbnail, before it is made small."""

    @abstractmethod
    def _sheet(self, painter: Any, title: str) -> Picture:
        """The contact sheet, by which people judge the model."""

    def _facts(self) -> dict[str, str]:
        """More facts for the model file."""
        return {}

    @abstractmethod
    def _belongs_to_more(self) -> dict[str, object]:
        """More that must be the same to go on from a checkpoint."""


def _is_finished(path: Path) -> bool:
    """Whether the file is a finished model. Older files do not say; at that time only finished ones were kept."""
    try:
        return bool(read_facts(path).training.get("finished", True))
    except (BrokenModel, OSError):
        return False


def lattice_of(maps: MapSet, periods: object) -> Lattice | None:
    """`periods`: "auto", None or two periods in pixels of the swatch."""
    if periods == "auto":  # in all maps: the joints of old bricks can be clearer in the AO than in the colours
        return strongest(maps, find_lattice)
    if periods is None:
        return None
    assert isinstance(periods, tuple)
    return lattice_from_periods(maps.pixels[:, :3], *periods)


def strongest(maps: MapSet, find: Callable[[Tensor], Lattice | None]) -> Lattice | None:
    """The strongest lattice that `find` sees in any of the maps. Large maps are reduced first.

    Maps that were derived from the base colour repeat as that does, and are left out.
    """
    factor = max(1, min(maps.pixels.shape[2:]) // LATTICE_SIDE)
    own = [each for each in maps.maps if each.name not in maps.guessed]
    pictures = [maps.pixels[:, maps.channels(each)].expand(-1, 3, -1, -1) for each in own]
    found = [lattice for lattice in (find(F.avg_pool2d(picture, factor)) for picture in pictures) if lattice]
    if not found:
        return None
    lattice = max(found, key=lambda each: each.strength)
    return scaled(lattice, factor)


def scaled(lattice: Lattice, factor: float) -> Lattice:
    """The lattice of the same swatch, `factor` times as large."""
    (y1, x1), (y2, x2) = lattice.basis
    return dataclasses.replace(lattice, basis=((y1 / factor, x1 / factor), (y2 / factor, x2 / factor)))


def drawn_over(pixels: Tensor, lattice: Lattice, draw: Callable[[Tensor, Lattice], Picture]) -> Picture:
    """A picture of a lattice over its swatch, of which a large one is reduced first."""
    factor = max(1, min(pixels.shape[2:]) // LATTICE_SIDE)
    return draw(F.avg_pool2d(pixels, factor), scaled(lattice, 1 / factor))


def introduce_maps(maps: MapSet, lattice: Lattice | None, picture: Path, say: Say) -> None:
    """Say which maps there are and how they repeat. `picture`: the file that will show the lattice."""
    name_maps(maps, say)
    if lattice:
        (y1, x1), (y2, x2) = lattice.periods()
        say(
            f"  It repeats by ({y1:.1f}, {x1:.1f}) and ({y2:.1f}, {x2:.1f}) pixels down and across, strength "
            f"{lattice.strength:.2f}: {picture} shows it; --lattice none turns it off."
        )


def name_maps(maps: MapSet, say: Say) -> None:
    """Say which maps there are."""
    if len(maps.maps) > 1:
        say(f"  Maps: {', '.join(each.name for each in maps.maps)}.")
    for note in maps.notes:
        say(f"  {note}")


class TextureJob(NetworkJob):
    """From a swatch, or a set of maps, to a network for textures."""

    def __init__(self, *arguments: Any, descriptor: NetworkDescriptor) -> None:
        super().__init__(*arguments, descriptor=descriptor)
        self.set = read_map_set(self.swatch, self.material.parts, self.config.guessed)
        self.lattice = lattice_of(self.set, self.config.periods)

    def _training(self) -> TextureTraining:
        return TextureTraining(
            self.set.pixels,
            self.lattice,
            self.descriptor,
            self.recipe,
            maps=self.set.maps,
            device=self.device,
            say=self.say,
        )

    def _introduce_more(self) -> None:
        introduce_maps(self.set, self.lattice, self._beside("lattice"), self.say)
        if lattice := self.lattice:
            self._leave("lattice", lambda: drawn_over(self.set.pixels[:, :3], lattice, lattice_picture))

    def _frame(self, training: Training[Any]) -> Picture:
        return as_picture(base_colour(training.generator, 0, (GROWTH_SIDE, GROWTH_SIDE)))

    def _sample(self, painter: Any) -> Picture:
        return as_picture(base_colour(painter, 0, (256, 256)))

    def _sheet(self, painter: Any, title: str) -> Picture:
        return contact_sheet(painter, self.picture, title)

    def _show(self, painter: Any, training: Training[Any]) -> None:
        if len(self.set.maps) > 1:
            self._leave("maps", lambda: map_sheet(painter, self.set.pixels, self.output.stem))
        super()._show(painter, training)

    def _belongs_to_more(self) -> dict[str, object]:
        maps = [each.name for each in self.set.maps]
        digest = hashlib.sha256(self.set.pixels.numpy().tobytes()).hexdigest()
        return {
            "lattice": dataclasses.asdict(self.lattice) if self.lattice else None,
            **({"interpolated levels": smooth} if (smooth := PRESETS[self.recipe.arch].smooth) else {}),
            **({"maps": maps, "pixels of maps": digest} if len(maps) > 1 else {}),
        }


class StyleJob(NetworkJob):
    """From a picture to a network that stylizes."""

    def __init__(self, *arguments: Any, descriptor: NetworkDescriptor) -> None:
        super().__init__(*arguments, descriptor=descriptor)
        self.contents: Contents = find_contents(self.config.content, self.say)

    def _training(self) -> StyleTraining:
        return StyleTraining(
            self.swatch.pixels, self.contents, self.descriptor, self.recipe, device=self.device, say=self.say
        )

    def _introduce_more(self) -> None:
        self.say(f"  Learning on {self.contents.name}.")

    def _frame(self, training: Training[Any]) -> Picture:
        return self._stylized(training.generator, self.contents.shown(GROWTH_SIDE)[0], 1.0)

    def _sample(self, painter: Any) -> Picture:
        return self._stylized(painter, self.contents.shown(256)[0], 1.0)

    def _sheet(self, painter: Any, title: str) -> Picture:
        return style_sheet(partial(self._stylized, painter), self.picture, self.contents.shown(SHOWN), title)

    def _stylized(self, painter: Any, content: Tensor, strength: float) -> Picture:
        return as_picture(stylize(painter, content.permute(1, 2, 0), 0, strength).permute(2, 0, 1)[None])

    def _facts(self) -> dict[str, str]:
        return {"content": self.contents.name}

    def _belongs_to_more(self) -> dict[str, object]:
        return {"content": self.contents.name}
