"""`python -m trainer --swatch brick.jpg`: the command line of the trainer.

Exit codes: 0 done; 2 it cannot be done, and one sentence says why and what to do; 130 stopped by Ctrl-C or SIGTERM,
with the best model so far written.
"""

import argparse
import dataclasses
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

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
from trainer.swatch.map_set import recognised
from trainer.swatch.swatch import UnusableSwatch, find_swatches, model_name
from trainer.training_config import TrainingConfig


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        config = from_options(TrainingConfig, options)
        say = _say(config.quiet)
        parts = _parts(config, say)
        is_set = BASE_COLOUR.name in parts  # a folder that is one
        swatches = [parts[BASE_COLOUR.name]] if is_set else find_swatches(config.swatch)
        if parts and len(swatches) > 1:
            raise UnusableSwatch("--map belongs to one swatch. Name one picture with --swatch.")
        named = config.swatch if is_set else swatches
        outputs = [_output(config.out, path, alone=len(swatches) == 1) for path in named]
        if config.ignored:
            say(
                f"A quilt, which is made by default, takes no {' and no '.join(config.ignored)}: that was left out. "
                "--arch taper trains a network."
            )
        job_of = _kind_of_job(config, parts, say)
        for path, output in zip(swatches, outputs, strict=True):
            with _stop_requests() as stop:
                if not job_of(path, output).run(stop):
                    return 130
    except (TexserverError, ValueError) as error:
        print(f"trainer: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # before a training began, or a second time
        print("trainer: Stopped at once; nothing more was written.", file=sys.stderr)
        return 130
    return 0


def _kind_of_job(config: TrainingConfig, parts: Mapping[str, Path], say: Say) -> Callable[[Path, Path], Job]:
    """A function that makes the job for a swatch and the file of its model."""
    recipe, device = config.recipe, choose_device(config.device)
    textures: dict[str, Any] = {"periods": config.periods, "parts": parts, "derive": config.guessed}
    if recipe.arch == "quilt":
        return lambda path, output: QuiltJob(path, output, recipe, device, config, say, **textures)
    descriptor = choose_descriptor(config.descriptor, config.vgg_weights, device, say)
    if recipe.kind == "style":
        more: dict[str, Any] = {"content": config.content, "descriptor": descriptor}
        return lambda path, output: StyleJob(path, output, recipe, device, config, say, **more)
    if config.iterations is None:
        share = SET_ITERATIONS if config.guessed or parts.keys() - {BASE_COLOUR.name} else 1
        recipe = dataclasses.replace(recipe, iterations=round(share * descriptor.iterations))
    textures["descriptor"] = descriptor
    return lambda path, output: TextureJob(path, output, recipe, device, config, say, **textures)


def _parts(config: TrainingConfig, say: Say) -> Mapping[str, Path]:
    """The files of a map set: those of --map, or all of a folder that is one."""
    if len(config.swatch) > 1 or not config.swatch[0].is_dir() or config.map_files or config.kind != "texture":
        return config.map_files
    parts = recognised(config.swatch[0])
    if parts:
        told = ", ".join(f"{name} {path.name}" for name, path in parts.items())
        say(f"{config.swatch[0]} is a map set: {told}.")
    return parts


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="textrain" if Path(sys.argv[0]).stem == "textrain" else "python -m trainer",
        description="Learns a texture from one photograph (the swatch) and writes a model that paints it at any size.",
    )
    add_flags(parser, TrainingConfig)
    parser.add_argument("--version", action="version", version=f"texserver {__version__}")
    return parser


def _output(out: Path | None, swatch: Path, *, alone: bool) -> Path:
    """Where the model of this swatch goes. Makes the folder now, so that a failure comes before the training."""
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
