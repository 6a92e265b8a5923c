"""`python -m trainer --swatch brick.jpg`: the command line of the trainer.

Exit codes: 0 done; 2 something asked for can't be done, one sentence says what to do; 130 stopped by Ctrl-C or SIGTERM,
with the best model so far written.
"""

import argparse
import dataclasses
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from tqdm import tqdm

from server import __version__
from server.errors import TexserverError
from server.model.maps import BASE_COLOUR
from server.network.devices import choose_device
from server.replace_file import UnusableOutput
from trainer.descriptor.descriptors import CHOICES, SET_ITERATIONS, choose_descriptor
from trainer.job import Job, Stop, StyleJob, TextureJob
from trainer.quilt_job import QuiltJob
from trainer.swatch.derive import CAN, parse_names
from trainer.swatch.map_set import PARTS, parse_map, recognised
from trainer.swatch.periods import parse_lattice
from trainer.swatch.swatch import UnusableSwatch, find_swatches, model_name
from trainer.training.recipe import STYLE, SWATCH_SIZES, Recipe


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command: 0 when done, 2 after one sentence on stderr, 130 when stopped."""
    options = _parser().parse_args(arguments)
    try:
        recipe = Recipe.of(**{each.name: getattr(options, each.name) for each in dataclasses.fields(Recipe)})
        periods = parse_lattice(options.lattice)
        parts = _parts(options)
        derive = parse_names(options.derive) if options.derive else ()
        is_set = BASE_COLOUR.name in parts  # a folder that is one
        swatches = [parts[BASE_COLOUR.name]] if is_set else find_swatches(options.swatch)
        if parts and len(swatches) > 1:
            raise UnusableSwatch("--map belongs to one swatch. Name one picture with --swatch.")
        named = options.swatch if is_set else swatches
        outputs = [_output(options.out, path, alone=len(swatches) == 1) for path in named]
        device = choose_device(options.device)
        if recipe.arch != "quilt":
            descriptor = choose_descriptor(options.descriptor, options.vgg_weights, device, _say(options.quiet))
            if options.iterations is None and recipe.kind == "texture":
                share = SET_ITERATIONS if derive or parts.keys() - {BASE_COLOUR.name} else 1
                recipe = dataclasses.replace(recipe, iterations=round(share * descriptor.iterations))
        elif idle := _idle(options):
            _say(options.quiet)(
                f"A quilt, which is made by default, takes no {' and no '.join(idle)}: that was left out. "
                "--arch taper trains a network."
            )
        for path, output in zip(swatches, outputs, strict=True):
            with _stop_requests() as stop:
                say = _say(options.quiet)
                job: Job
                common = path, output, recipe, device, options, say
                if recipe.kind == "style":
                    job = StyleJob(*common, content=options.content, descriptor=descriptor)
                elif recipe.arch == "quilt":
                    job = QuiltJob(*common, periods=periods, parts=parts, derive=derive)
                else:
                    job = TextureJob(*common, periods=periods, parts=parts, derive=derive, descriptor=descriptor)
                if not job.run(stop):
                    return 130
    except (TexserverError, ValueError) as error:
        print(f"trainer: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # before a training began, or a second time
        print("trainer: Stopped at once; nothing more was written.", file=sys.stderr)
        return 130
    return 0


def _parts(options: argparse.Namespace) -> Mapping[str, Path]:
    """The files of a map set: those of --map, or all of a folder that is one."""
    parts: dict[str, Path] = {}
    for text in options.map or ():
        name, path = parse_map(text)
        if name in parts:
            raise ValueError(f"--map {name} is given twice. Name one file for each map.")
        parts[name] = path
    if len(options.swatch) == 1 and options.swatch[0].is_dir() and not parts and options.kind == "texture":
        parts = dict(recognised(options.swatch[0]))
        if parts:
            told = ", ".join(f"{name} {path.name}" for name, path in parts.items())
            _say(options.quiet)(f"{options.swatch[0]} is a map set: {told}.")
    if (parts or options.derive) and options.kind != "texture":
        raise ValueError("--map and --derive are for textures; a style is learned from one picture.")
    return parts


def _idle(options: argparse.Namespace) -> list[str]:
    """Options that were given and that only shape a network."""
    numbers = ("iterations", "batch", "size", "rate", "vgg_weights")
    given = [name for name in numbers if getattr(options, name) is not None]
    given += ["descriptor"] if options.descriptor != "auto" else []
    return [f"--{name.replace('_', '-')}" for name in given]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="textrain" if Path(sys.argv[0]).stem == "textrain" else "python -m trainer",
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
        help="shorter side the swatch is scaled down to, in pixels "
        f"(default: {SWATCH_SIZES['quilt']}, for a network {SWATCH_SIZES['texture']}, "
        f"for a style {SWATCH_SIZES['style']})",
    )
    parser.add_argument(
        "--keep-light", action="store_true", help="for a quilt: leave slow light and drift of colour in the swatch"
    )
    for each in dataclasses.fields(Recipe):
        other = f", for a style {STYLE[each.name]}" if each.name in STYLE else ""
        parser.add_argument(
            f"--{each.name}",
            type=type(each.default),
            default=None if each.name != "kind" else each.default,
            choices=each.metadata.get("choices"),
            help=f"{each.metadata['help']} (default: {each.metadata.get('default', each.default)}{other})",
        )
    parser.add_argument(
        "--map",
        action="append",
        metavar="NAME=FILE",
        help=f"another map of the material, NAME one of {', '.join(PARTS)}; a folder of a whole set needs none of it",
    )
    parser.add_argument("--derive", metavar="MAPS", help=f"maps to guess from the swatch: a list of {', '.join(CAN)}")
    parser.add_argument(
        "--content", type=Path, metavar="DIR", help="for a style: pictures to learn on (default: drawn ones)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: auto)")
    parser.add_argument(
        "--descriptor",
        choices=CHOICES,
        default="auto",
        help="what looks at the pictures (default: auto, VGG-19 where its weights are at hand)",
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


@contextmanager
def _stop_requests() -> Iterator[Stop]:
    """Ctrl-C and SIGTERM ask for a stop after the step at hand; asked a second time, they end the program at once."""
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
