"""`python -m trainer --swatch brick.jpg`: the command line of the trainer.

Exit codes: 0 all models are made or up to date; 2 a picture or an option cannot be used; 1 a training failed, or its
model could not be written; 130 stopped by Ctrl-C or SIGTERM, with the best model so far written. Of what cannot be used
and of what fails, one sentence on stderr says why and what to do.
"""

import argparse
import dataclasses
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from tqdm import tqdm

from server import __version__
from server.config_flags import add_flags, from_options
from server.console import print_anything
from server.errors import TexserverError
from server.model.maps import BASE_COLOUR
from server.model.style_quilt import MOST_PAINTINGS
from server.network.devices import choose_device
from server.replace_file import UnusableOutput, remove_abandoned_drafts, replace_file
from trainer import on_ray
from trainer.batch import Outcome, as_json, check_all, described, exit_code, fingerprint, make_all, summary, table
from trainer.descriptor.descriptors import SET_ITERATIONS, NetworkDescriptor, choose_descriptor
from trainer.estimate import Estimate, Size
from trainer.job import Job, Say, Stop, StyleJob, Task, TextureJob
from trainer.quilt_job import QuiltJob
from trainer.report import OpenJDReport, Report
from trainer.style_quilt_job import StyleQuiltJob
from trainer.swatch.materials import Found, Material, as_one, find_materials
from trainer.swatch.swatch import UnusableSwatch
from trainer.training_config import TrainingConfig
from trainer.with_parent import leave_with_parent

ADVICE = "use --map to name it beside its base colour, or --colour to learn it as a picture"
STOPPING = b"\nStopping after this step, then saving. Once more ends it at once, without saving.\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    print_anything()
    options = _parser().parse_args(arguments)
    report = _report(options)
    try:
        config = from_options(TrainingConfig, options)
        if config.leave_with_parent:
            leave_with_parent()
        say = report.say if report.wanted else _say(config)
        found = _found(config, say)
        if config.ray is not None and not config.estimate:
            return _on_ray(config.ray, found, config, say, report)
        tasks = _tasks(config, found.materials, say)
        if config.ignored:
            say(
                f"A quilt, which is made by default, takes no {' and no '.join(config.ignored)}: that was left out. "
                f"--arch {'taper' if config.kind == 'texture' else 'residual'} trains a network."
            )
        with _stop_requests(config.quiet) as stop:
            outcomes = check_all(tasks, config, stop, say, report)
            if config.estimate and not stop.requested:
                return _estimate(outcomes, found, config, say, report)
            for folder in {task.output.parent for task in tasks}:
                remove_abandoned_drafts(folder)
            if any(outcome.state == "not begun" for outcome in outcomes):
                make_all(outcomes, _kind_of_job(config, say, report), config, stop, say, report)
        if len(outcomes) > 1:
            say(f"\n{table(outcomes)}")
        if config.json:
            replace_file(config.json, as_json(list(map(described, outcomes)), found.left_out).encode())
    except (TexserverError, ValueError) as error:
        print(f"trainer: {error}", file=sys.stderr)
        report.ended(str(error))
        return 2
    except KeyboardInterrupt:  # before a training began, or a second time
        print("trainer: Stopped at once; nothing more was written.", file=sys.stderr)
        return 130
    report.ended(summary(outcomes))
    return exit_code({each.state for each in outcomes})


def _on_ray(address: str, found: Found, config: TrainingConfig, say: Say, report: Report) -> int:
    """Have a Ray cluster make the models; the exit code."""
    arguments = on_ray.command_line(config, config.out or Path("models"))
    network, count = config.recipe.arch != "quilt", len(found.materials)
    told: list[Mapping[str, Any]] = []
    try:
        for result in on_ray.results(address, arguments, count, network=network):
            told.append(result)
            report.result(result)
            say(f"{len(told)} of {count}: {result['name']} {result['state']}. {result['why']}".rstrip())
            if result["why"]:
                print(f"trainer: {result['why']}", file=sys.stderr)
    except on_ray.ShardFailed as error:
        print(f"trainer: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("trainer: Stopped; the same command goes on from here.", file=sys.stderr)
        return 130
    finally:
        if config.json:
            replace_file(config.json, as_json(told, found.left_out).encode())
    return exit_code({result["state"] for result in told})


def _estimate(outcomes: Sequence[Outcome], found: Found, config: TrainingConfig, say: Say, report: Report) -> int:
    """Say what the models that were not begun will take; the exit code."""
    recipe = config.recipe
    network = recipe.arch != "quilt"
    descriptor = choose_descriptor(config.descriptor, config.vgg_weights, torch.device("cpu"), say) if network else None
    sizes = [
        Size(
            arch=recipe.arch,
            descriptor=descriptor.name if descriptor else "none",
            pixels=each.pixels,
            maps=each.maps,
            steps=_steps(config, each.task, descriptor) if descriptor else 0,
        )
        for each in outcomes
        if each.state == "not begun"
    ]
    finished = [each.facts for each in outcomes if each.state == "up to date" and each.facts]
    estimate = Estimate.of(sizes, finished, sheets=not config.model_only)
    say(estimate.spoken(len(outcomes)))
    report.estimate(dataclasses.asdict(estimate))
    if config.json:
        replace_file(config.json, as_json(list(map(described, outcomes)), found.left_out, estimate).encode())
    return exit_code({each.state for each in outcomes} - {"not begun"})


def _report(options: argparse.Namespace) -> Report:
    if options.openjd:
        return OpenJDReport(results=options.result_lines)
    return Report(wanted=options.progress_lines, results=options.result_lines)


def _kind_of_job(config: TrainingConfig, say: Say, report: Report) -> Callable[[Task], Job]:
    """A function that makes the job for a task."""
    recipe, device = config.recipe, choose_device(config.device)
    if recipe.arch == "quilt" and recipe.kind == "style":
        return lambda task: StyleQuiltJob(task, recipe, device, config, say, report)
    if recipe.arch == "quilt":
        return lambda task: QuiltJob(task, recipe, device, config, say, report)
    descriptor = choose_descriptor(config.descriptor, config.vgg_weights, device, say)
    if recipe.kind == "style":
        return lambda task: StyleJob(task, recipe, device, config, say, report, descriptor=descriptor)

    def texture(task: Task) -> Job:
        steps = dataclasses.replace(recipe, iterations=_steps(config, task, descriptor))
        return TextureJob(task, steps, device, config, say, report, descriptor=descriptor)

    return texture


def _steps(config: TrainingConfig, task: Task, descriptor: NetworkDescriptor) -> int:
    """How many iterations a network takes."""
    if config.recipe.kind == "style":
        return config.recipe.iterations
    share = SET_ITERATIONS if config.guessed or task.material.parts else 1
    return config.iterations or round(share * descriptor.iterations)


def _found(config: TrainingConfig, say: Say) -> Found:
    """What is to be learned. Says which maps were found, and which files were left out."""
    as_colours = config.colour or config.kind == "style" or bool(config.map_files)
    found = find_materials(config.swatches, as_colours=as_colours, advice=ADVICE)
    names = [each.path.name for each in found.materials]
    for alien in (each.picture for each in config.rectangles if each.picture not in ("", *names)):
        raise UnusableSwatch(f"--leave-out names {alien[:80]!r}, which is none of the swatches: {', '.join(names)}.")
    if config.together is not None:
        if not 1 < len(names) <= MOST_PAINTINGS:
            raise UnusableSwatch(f"--together takes 2 to {MOST_PAINTINGS} paintings, and here are {len(names)}.")
        found.materials = [as_one(found.materials, config.together)]
    if config.map_files:
        if len(found.materials) > 1:
            raise UnusableSwatch("--map belongs to one swatch. Name one picture with --swatch.")
        found.materials = [dataclasses.replace(found.materials[0], parts=config.map_files)]
        return found
    for each in found.materials:
        if each.parts:
            told = ", ".join(f"{part} {path.name}" for part, path in each.parts.items())
            say(f"{each.name} is a map set: {BASE_COLOUR.name} {each.path.name}, {told}.")
    for path, why in found.left_out.items():
        say(f"{path} was left out: {why}.")
    return found


def _tasks(config: TrainingConfig, materials: Sequence[Material], say: Say) -> list[Task]:
    """One for each model that is to be made, or for each in the shard."""
    own = config.share.of(materials) if config.share else materials
    if config.share:
        say(f"Shard {config.share} makes {len(own)} of {len(materials)} models.")
    alone = len(materials) == 1
    return [
        Task(material=each, output=_output(config, each.name, alone=alone), made_from=fingerprint(each, config))
        for each in own
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="textrain" if Path(sys.argv[0]).stem == "textrain" else "python -m trainer",
        description="Learns a texture from one photograph (the swatch) and writes a model that paints it at any size.",
    )
    add_flags(parser, TrainingConfig)
    parser.add_argument("--version", action="version", version=f"texserver {__version__}")
    return parser


def _output(config: TrainingConfig, name: str, *, alone: bool) -> Path:
    """Where the model of this name goes. Makes the folder now, so that a failure comes before the training."""
    file, out = f"{name}.safetensors", config.out
    if out is None:
        path = Path("models") / file
    elif config.names_file:
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
        probe.unlink(missing_ok=True)  # another task of a farm may try the same
    except OSError as error:
        raise UnusableOutput(f"{path.parent} cannot be written to: {error.strerror}. Choose another --out.") from error
    return path


def _say(config: TrainingConfig) -> Say:
    """What is said to people: not where programs read results."""
    if config.quiet:
        return lambda text: None
    out = sys.stderr if config.result_lines else sys.stdout
    return lambda text: tqdm.write(text, file=out)


@contextmanager
def _stop_requests(quiet: bool) -> Iterator[Stop]:
    """The first Ctrl-C or SIGTERM stops the training after the current step, the second ends the program at once."""
    stop = Stop()

    def ask(number: int, frame: FrameType | None) -> None:
        stop.requested = True
        signal.signal(number, previous[signal.Signals(number)])
        if not quiet:
            with suppress(OSError, ValueError):  # not by print: it may be what was interrupted
                os.write(sys.stderr.fileno(), STOPPING)

    previous = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
