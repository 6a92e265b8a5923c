"""`python -m trainer --swatch brick.jpg`: the command line of the trainer.

Exit codes: 0 done; 2 it cannot be done, and one sentence says why and what to do; 130 stopped by Ctrl-C or SIGTERM,
with the best model so far written.
"""

import argparse
import dataclasses
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from tqdm import tqdm

from server import __version__
from server.config_flags import add_flags, from_options
from server.errors import TexserverError
from server.model.maps import BASE_COLOUR
from server.network.devices import choose_device
from server.replace_file import UnusableOutput
from trainer.descriptor.descriptors import SET_ITERATIONS, choose_descriptor
from trainer.job import Job, Say, Stop, StyleJob, TextureJob
from trainer.quilt_job import QuiltJob
from trainer.swatch.materials import Material, find_materials
from trainer.swatch.swatch import UnusableSwatch
from trainer.training_config import TrainingConfig


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        config = from_options(TrainingConfig, options)
        say = _say(config.quiet)
        materials = _materials(config, say)
        outputs = [_output(config.out, each.name, alone=len(materials) == 1) for each in materials]
        if config.ignored:
            say(
                f"A quilt, which is made by default, takes no {' and no '.join(config.ignored)}: that was left out. "
                "--arch taper trains a network."
            )
        job_of = _kind_of_job(config, say)
        for material, output in zip(materials, outputs, strict=True):
            with _stop_requests() as stop:
                if not job_of(material, output).run(stop):
                    return 130
    except (TexserverError, ValueError) as error:
        print(f"trainer: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # before a training began, or a second time
        print("trainer: Stopped at once; nothing more was written.", file=sys.stderr)
        return 130
    return 0


def _kind_of_job(config: TrainingConfig, say: Say) -> Callable[[Material, Path], Job]:
    """A function that makes the job for a material and the file of its model."""
    recipe, device = config.recipe, choose_device(config.device)
    if recipe.arch == "quilt":
        return lambda material, output: QuiltJob(material, output, recipe, device, config, say)
    descriptor = choose_descriptor(config.descriptor, config.vgg_weights, device, say)
    if recipe.kind == "style":
        return lambda material, output: StyleJob(material, output, recipe, device, config, say, descriptor=descriptor)

    def texture(material: Material, output: Path) -> Job:
        share = SET_ITERATIONS if config.guessed or material.parts else 1
        iterations = config.iterations or round(share * descriptor.iterations)
        steps = dataclasses.replace(recipe, iterations=iterations)
        return TextureJob(material, output, steps, device, config, say, descriptor=descriptor)

    return texture


def _materials(config: TrainingConfig, say: Say) -> list[Material]:
    """What is to be learned. Tells which maps were found, and which files were left out."""
    found = find_materials(config.swatch, as_colours=config.colour or config.kind == "style" or bool(config.map_files))
    if config.map_files:
        if len(found.materials) > 1:
            raise UnusableSwatch("--map belongs to one swatch. Name one picture with --swatch.")
        return [dataclasses.replace(found.materials[0], parts=config.map_files)]
    for each in found.materials:
        if each.parts:
            told = ", ".join(f"{part} {path.name}" for part, path in each.parts.items())
            say(f"{each.name} is a map set: {BASE_COLOUR.name} {each.path.name}, {told}.")
    for path, why in found.left_out.items():
        say(f"{path} was left out: {why}.")
    return found.materials


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="textrain" if Path(sys.argv[0]).stem == "textrain" else "python -m trainer",
        description="Learns a texture from one photograph (the swatch) and writes a model that paints it at any size.",
    )
    add_flags(parser, TrainingConfig)
    parser.add_argument("--version", action="version", version=f"texserver {__version__}")
    return parser


def _output(out: Path | None, name: str, *, alone: bool) -> Path:
    """Where the model of this name goes. Makes the folder now, so that a failure comes before the training."""
    file = f"{name}.safetensors"
    if out is None:
        path = Path("models") / file
    elif out.suffix == ".safetensors":
        if not alone:
            raise UnusableOutput(f"--out {out} is one file, but there are several swatches. Name a folder instead.")
        path = out
    else:
        path = out / file
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


def _say(quiet: bool) -> Say:
    return (lambda text: None) if quiet else (lambda text: tqdm.write(text))


@contextmanager
def _stop_requests() -> Iterator[Stop]:
    """The first Ctrl-C or SIGTERM stops the training after the current step, the second ends the program at once."""
    stop = Stop()

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
