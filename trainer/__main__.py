"""`python -m trainer --swatch brick.jpg`: the command line of the trainer.

Exit codes: 0 done; 2 something asked for can't be done, one sentence says what to do; 130 stopped by Ctrl-C or SIGTERM,
with the best model so far written.
"""

import argparse
import dataclasses
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import torch
from tqdm import tqdm

from server import __version__
from server.devices import choose_device, prepare
from server.errors import TexserverError
from server.generator import Generator
from server.lattice import Lattice
from server.model_file import Model, write_model
from server.model_header import SwatchFacts
from server.replace_file import UnusableOutput
from server.texture import texture
from trainer.checkpoint import checkpoint_path, resume, write_checkpoint
from trainer.descriptors import CHOICES, Descriptor, choose_descriptor
from trainer.periods import find_lattice, lattice_from_periods, lattice_picture, parse_lattice
from trainer.pictures import Picture, as_picture, contact_sheet, filmstrip, thumbnail, write_picture
from trainer.recipe import Recipe
from trainer.swatch import find_swatches, model_name, read_swatch
from trainer.texture_training import TextureTraining
from trainer.training import TrainingFailed

CHECKPOINT_EVERY = 100  # iterations
GROWTH_FRAMES = 16
GROWTH_SIDE = 192


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command: 0 when done, 2 after one sentence on stderr, 130 when stopped."""
    options = _parser().parse_args(arguments)
    try:
        recipe = Recipe(**{each.name: getattr(options, each.name) for each in dataclasses.fields(Recipe)})
        periods = parse_lattice(options.lattice)
        swatches = find_swatches(options.swatch)
        outputs = [_output(options.out, path, alone=len(swatches) == 1) for path in swatches]
        device = choose_device(options.device)
        descriptor = choose_descriptor(options.descriptor, options.vgg_weights, device, _say(options.quiet))
        for path, output in zip(swatches, outputs, strict=True):
            with _stop_requests() as stop:
                job = _Job(path, output, recipe, periods, descriptor, device, options)
                if not job.run(stop):
                    return 130
    except (TexserverError, ValueError) as error:
        print(f"trainer: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # before a training began, or a second time
        print("trainer: Stopped at once; nothing more was written.", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m trainer",
        description="Learns a texture from one photograph (the swatch) and writes a model that paints it at any size.",
    )
    parser.add_argument(
        "--swatch",
        type=Path,
        nargs="+",
        action="extend",
        required=True,
        help="photographs, or folders of them; one model each",
    )
    parser.add_argument("--out", type=Path, help="model file, or folder for several (default: models/NAME.safetensors)")
    parser.add_argument(
        "--swatch-size",
        type=int,
        default=384,
        help="shorter side the swatch is scaled down to, in pixels (default: 384)",
    )
    for each in dataclasses.fields(Recipe):
        parser.add_argument(
            f"--{each.name}",
            type=type(each.default),
            default=each.default,
            choices=each.metadata.get("choices"),
            help=f"{each.metadata['help']} (default: {each.default})",
        )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: auto)")
    parser.add_argument(
        "--descriptor",
        choices=CHOICES,
        default="auto",
        help="what looks at the textures (default: auto, VGG-19 if it can be had)",
    )
    parser.add_argument("--vgg-weights", type=Path, help="file with VGG-19's weights (or set TEXTURE_VGG19)")
    parser.add_argument(
        "--lattice",
        default="auto",
        help="auto, none, or two periods of the swatch in pixels as y1,x1;y2,x2 (default: auto)",
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on from the checkpoint of a training that was cut off"
    )
    parser.add_argument("--quiet", action="store_true", help="say nothing but errors")
    parser.add_argument("--version", action="version", version=f"texserver {__version__}")
    return parser


def _output(out: Path | None, swatch: Path, *, alone: bool) -> Path:
    """Where the model of this swatch goes. Makes the folder, so that it fails before the training and not after."""
    name = f"{model_name(swatch)}.safetensors"
    if out is None:
        path = Path("models") / name
    elif out.suffix == ".safetensors":
        if not alone:
            raise UnusableOutput(f"--out {out} is one file, but there are several swatches. Name a folder instead.")
        path = out
    else:
        path = out / name
    if path.is_dir():
        raise UnusableOutput(f"{path} is a folder, and the model is one file. Choose another --out.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        probe = path.parent / f".{path.stem[:40]}.probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UnusableOutput(f"{path.parent} cannot be written to: {error.strerror}. Choose another --out.") from error
    return path


def _say(quiet: bool):  # type: ignore[no-untyped-def]
    return (lambda text: None) if quiet else (lambda text: tqdm.write(text))


class _Job:
    """One swatch to one model: read, train, write, and leave the pictures."""

    def __init__(
        self,
        path: Path,
        output: Path,
        recipe: Recipe,
        periods: object,
        descriptor: Descriptor,
        device: torch.device,
        options: argparse.Namespace,
    ) -> None:
        self.output, self.recipe, self.descriptor, self.device = output, recipe, descriptor, device
        self.quiet, self.resume = options.quiet, options.resume
        self.say = _say(options.quiet)
        self.swatch = read_swatch(path, options.swatch_size)
        self.picture = as_picture(self.swatch.pixels)
        self.lattice = self._lattice(periods)
        self.started = time.monotonic()

    def run(self, stop: "_Stop") -> bool:
        """False when it was stopped before its end. The best model so far is written either way."""
        self._introduce()
        training = TextureTraining(
            self.swatch.pixels, self.lattice, self.descriptor, self.recipe, device=self.device, say=self.say
        )
        checkpoint, belongs_to = checkpoint_path(self.output), self._belongs_to()
        if self.resume and checkpoint.exists():
            resume(training, checkpoint, belongs_to)
            self.say(f"Going on from iteration {training.step}.")
        elif self.resume:
            self.say(f"There is no {checkpoint}: starting from the beginning.")
        try:
            self._train(training, stop, checkpoint, belongs_to)
        except TrainingFailed as error:
            if training.best:
                self._write(training, pictures=False)
                raise TrainingFailed(f"{error} The best model so far is in {self.output}.") from error
            raise
        self._write(training, pictures=not stop.requested)
        if stop.requested:
            write_checkpoint(checkpoint, training.state(), belongs_to)
            self.say(
                f"Stopped at iteration {training.step}. The best model so far is in {self.output}; "
                "--resume goes on from here."
            )
            return False
        checkpoint.unlink(missing_ok=True)
        return True

    def _lattice(self, periods: object) -> Lattice | None:
        if periods == "auto":
            return find_lattice(self.swatch.pixels)
        if periods is None:
            return None
        assert isinstance(periods, tuple)
        return lattice_from_periods(self.swatch.pixels, *periods)

    def _introduce(self) -> None:
        swatch = self.swatch
        _, _, height, width = swatch.pixels.shape
        self.say(f"{swatch.path}: training on {width} x {height} pixels, model {self.output}.")
        for note in swatch.notes:
            self.say(f"  {note}")
        for warning in swatch.warnings:
            self.say(f"  Warning: {warning}")
        if self.lattice:
            (y1, x1), (y2, x2) = self.lattice.periods()
            self.say(
                f"  It repeats by ({y1:.1f}, {x1:.1f}) and ({y2:.1f}, {x2:.1f}) pixels down and across, strength "
                f"{self.lattice.strength:.2f}: {self._beside('lattice')} shows it; --lattice none turns it off."
            )
            write_picture(self._beside("lattice"), lattice_picture(swatch.pixels, self.lattice))
        write_picture(self._beside("swatch"), self.picture)

    def _train(self, training: TextureTraining, stop: "_Stop", checkpoint: Path, belongs_to: dict[str, object]) -> None:
        frames: list[tuple[int, Picture]] = []
        every = max(1, self.recipe.iterations // GROWTH_FRAMES)
        bar = tqdm(
            total=self.recipe.iterations,
            initial=training.step,
            unit="it",
            disable=self.quiet or None,
            dynamic_ncols=True,
        )
        with bar:
            for progress in training.run():
                bar.update(progress.step - bar.n)  # a training may go back
                bar.set_postfix_str(f"loss {progress.loss:.4f}, rate {progress.rate:.1e}", refresh=False)
                if progress.step % every == 0 or progress.step in (1, every // 4, every // 2):
                    frames.append((progress.step, self._frame(training)))
                    write_picture(self._beside("growth"), filmstrip(frames))
                if progress.step % CHECKPOINT_EVERY == 0:
                    write_checkpoint(checkpoint, training.state(), belongs_to)
                if stop.requested:
                    return

    def _frame(self, training: TextureTraining) -> Picture:
        return as_picture(texture(training.generator, 0, (GROWTH_SIDE, GROWTH_SIDE)))

    def _write(self, training: TextureTraining, *, pictures: bool) -> None:
        generator = training.finished()
        painter = prepare(generator, self.device)
        _, _, height, width = self.swatch.pixels.shape
        model = Model(
            name=self.output.stem,
            generator=generator,
            training={
                **dataclasses.asdict(self.recipe),
                "iterations": training.step,  # fewer than the recipe's, where it was stopped
                "loss": training.best_loss,
                "seconds": round(time.monotonic() - self.started, 1),
                "trainer": __version__,
            },
            descriptor=self.descriptor.name,
            swatch=SwatchFacts(name=self.swatch.path.name, sha256=self.swatch.sha256, height=height, width=width),
            thumbnail=torch.from_numpy(thumbnail(as_picture(texture(painter, 0, (256, 256)))).copy()),
        )
        write_model(self.output, model)
        if pictures:
            self._show(painter, training)

    def _show(self, painter: Generator, training: TextureTraining) -> None:
        took = time.monotonic() - self.started
        title = f"{self.output.stem}: {training.step} iterations in {took:.0f} s, looked at with {self.descriptor.name}"
        write_picture(self._beside("sheet"), contact_sheet(painter, self.picture, title))
        self.say(f"Wrote {self.output} and its contact sheet {self._beside('sheet')} ({took:.0f} s).")

    def _beside(self, what: str) -> Path:
        return self.output.with_name(f"{self.output.name.removesuffix('.safetensors')}.{what}.png")

    def _belongs_to(self) -> dict[str, object]:
        return {
            "swatch": self.swatch.sha256,
            "size of swatch": list(self.swatch.pixels.shape[2:]),
            "recipe": dataclasses.asdict(self.recipe),
            "lattice": dataclasses.asdict(self.lattice) if self.lattice else None,
            "descriptor": self.descriptor.name,
        }


class _Stop:
    requested = False


@contextmanager
def _stop_requests() -> Iterator[_Stop]:
    """Ctrl-C and SIGTERM ask for a stop after the step at hand; asked a second time, they end the program at once."""
    stop = _Stop()

    def ask(number: int, frame: FrameType | None) -> None:
        stop.requested = True
        signal.signal(number, previous[signal.Signals(number)])

    previous = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
