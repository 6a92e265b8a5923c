"""texget: paints a texture into an image file, or puts pictures into a style, with a texture server or without one.

    texget                                                   lists the models of the server on this machine
    texget brick --seed 7 --size 4096x2048 -o brick.png      width x height, any from 16 to 65536; 2k is 2048x2048
    texget brick --window 900,600,300x200                    left, top, width x height: a part of the same texture
    texget brick --map all -o brick_{map}.tif                one file for each map, height in 16 bits
    texget brick --orm --normals directx                     for game engines: ao, roughness and metallic in one
    texget brick --for unreal -o Textures                    T_brick_BC.png, T_brick_ORM.png, …, packed and named for it
    texget brick --udim 1001-1004 --size 4k                  one texture over four UDIM squares: brick-….1001.png, …
    texget brick --seeds 0-15 -o out/brick.png               out/brick-0000.png, out/brick-0001.png, …
    texget brick --variants 4 -o brick-{variant}.png         four that fit beside each other: their edges are equal
    texget brick --wang 2 --size 1k                          a Wang set: 4 x 4 tiles of that size in one picture
    texget brick --wang 2 -o brick-{tile}.png                or a file for each of the 16
    texget ink --stylize in.png --strength .7 -o out.png     a picture in the style of ink
    texget wall --train photo.jpg --metres 2                 a new model on the server, from a photograph or a folder
    texget --blend brick,moss --mask mask.png                two models in one texture, by a painted mask
    texget ink --stylize frames -o styled                    all pictures of a folder, or frames/%04d.png
    texget brick --connect studio.line                       with a server on another machine, by its pairing line
    texget brick --models models                             without a server, on a device of this machine
    texget --starter                                         lists the starter library, and what of it is made

Textures are written part by part, so memory stays small at any size, and appear under their name when complete. Every
file names the model, seed, size and window that it shows, so it can be made again. The pixels are the same with and
without a server. A sequence that was stopped continues where it was: see server/cli/stylize_files.py.

Names of the files written go to standard output, everything else to standard error. The exit code is 0 when all is
done, 1 when something failed that may work another time (no server, no memory, a full disk), 2 when something that was
asked for makes no sense, 130 after Ctrl-C.
"""

import argparse
import os
import re
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NoReturn

from tqdm import tqdm

from blender_addon.client.blending import Blending
from blender_addon.client.image_file import ImageFileError
from blender_addon.client.sinks import MemorySink, Sink
from blender_addon.client.style_download import CALM
from blender_addon.client.texture_sets import ENGINES
from blender_addon.protocol.pairing import ENVIRONMENT, SCHEME, NoServer, parse_pairing
from blender_addon.protocol.wire import MAX_NOISE, MIN_SIDE, RETRY_HELPS, STROKES
from server import __version__, openjd
from server.cli.bar import Bar
from server.cli.blend_files import ONLY_BLENDING, add_blend_flags, blending_of
from server.cli.export_files import Painter, export_files
from server.cli.pictures import Order, Picture, ordered, parse_variants
from server.cli.stylize_files import Plan, planned, stylize_files
from server.cli.train_files import ONLY_TRAINING, add_training_flags, list_jobs, train_files
from server.client.client import Client, ServerUnreachable, TimedOut
from server.client.stylized import StyleParameters, Stylizer
from server.client.trained import TrainingFailed
from server.errors import BadRequest, Refused, TexserverError
from server.files.map_sinks import DirectxNormals, OrmSink, maps_for_orm
from server.files.output_file import check_folder, check_format, check_raster, is_jpeg, make_folder, sink_for
from server.model.library import Entry, Library
from server.model.models_folder import models_folder
from server.model.starter import STARTER, state_of
from server.model.torus import Size, Window, check_seed
from server.precision import PRECISIONS
from server.printable import printable
from server.replace_file import UnusableOutput

SIZE = "1024x1024"
MAX_SEEDS = 10_000
LISTED_SIDES = (256, 512, 1024, 2048, 4096)

FAILED, MISTAKEN = 1, 2  # it may work another time; it never will as it was asked for
INTERRUPTED, NOBODY_READS = 130, 141  # as shells report a command that Ctrl-C, or the end of its pipe, ended
MAY_WORK_LATER = RETRY_HELPS | {"oom", "expired", "cancelled", ""}  # codes of refusals


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code. What goes wrong is one sentence on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal may lack a name's characters
    try:
        code = _run(argv)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:  # as of texget | head; what is left is for nobody
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NOBODY_READS
    return code


def _run(argv: Sequence[str] | None) -> int:
    given = sys.argv[1:] if argv is None else argv
    try:
        arguments = _parser().parse_args(_joined(given))
        if arguments.print_completion is not None:
            _print_completion(arguments.print_completion)
        elif arguments.train is not None or arguments.jobs:
            _train(arguments)
        elif arguments.starter:
            _list_starter(arguments)
        elif arguments.stylize is not None:
            _stylize(arguments)
        elif arguments.blend is not None:
            _blend(arguments)
        elif arguments.model is not None and arguments.engine is not None:
            _export(arguments)
        elif arguments.model is not None:
            _paint(arguments)
        elif arguments.models is not None:
            _list_folder(Library(Path(arguments.models)))
        else:
            _list_server(arguments.connect)
    except (NoServer, ServerUnreachable) as error:
        _failed(f"{error} Or paint without a server: texget --models DIR.", given)
        return FAILED if isinstance(error, ServerUnreachable) else MISTAKEN
    except TexserverError as error:
        _failed(str(error), given)
        may_work_later = isinstance(error, TimedOut | UnusableOutput | ImageFileError | TrainingFailed) or (
            isinstance(error, Refused) and error.code in MAY_WORK_LATER
        )
        return FAILED if may_work_later else MISTAKEN
    except KeyboardInterrupt:
        print("texget: stopped; no unfinished picture remains.", file=sys.stderr)
        return INTERRUPTED
    return 0


def _failed(why: str, given: Sequence[str]) -> None:
    print(f"texget: {printable(why)}", file=sys.stderr)
    if "--openjd" in given:
        openjd.failed(why)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, like the rest of the command, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        raise BadRequest(f"{message}; see texget --help.")


class _Joined(argparse.Action):
    """An option that may be given again: its values, with commas between them."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option: str | None = None) -> None:
        before = getattr(namespace, self.dest)
        setattr(namespace, self.dest, values if before is None else f"{before},{values}")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="texget",
        description="Paints a texture of a trained model into a PNG, TIFF or JPEG file, or puts pictures into a style; "
        "without a model, lists them.",
    )
    parser.add_argument("model", nargs="?", help="name of the model; texget alone lists them")
    parser.add_argument(
        "--connect",
        metavar="FILE",
        help="connection file, or a file that holds a pairing line (default: that of the environment variable "
        f"{ENVIRONMENT}, or else the server of this machine)",
    )
    parser.add_argument("--models", metavar="DIR", help="paint without a server, with the models of this folder")
    parser.add_argument(
        "--starter",
        action="store_true",
        help="list the materials of the starter library, and whether they are made in the folder --models (default: "
        "that of texserver)",
    )
    seeds = parser.add_mutually_exclusive_group()
    seeds.add_argument(
        "--seed", default="0", metavar="N", help="each seed gives another texture (default: %(default)s)"
    )
    seeds.add_argument("--seeds", metavar="N-M", help="several, one file each: 0-15 or 3,5,9-12")
    variants = parser.add_mutually_exclusive_group()
    variants.add_argument(
        "--variants", metavar="N", help="this many textures that are equal along their edges and different inside"
    )
    variants.add_argument("--variant", metavar="K", help="only this one of them, counted from 0")
    parser.add_argument(
        "--wang",
        choices=("2",),
        help="a Wang set of 16 tiles, whose corners have 2 colours: one picture of 4 x 4 tiles, or with {tile} in the "
        "output's name a file for each; --size is that of a tile",
    )
    parser.add_argument("--size", metavar="WxH", help=f"period in pixels: 2048x1024, 512, 2k, 4kx2k (default: {SIZE})")
    parser.add_argument(
        "--udim",
        metavar="N-M",
        help="UDIM squares, 1001-1004 or 1001,1002,1011: a file of --size for each, cut from one texture without seams",
    )
    parser.add_argument("--window", metavar="LEFT,TOP,WxH", help="only this part; it wraps, and may start below zero")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="PNG, TIFF or JPEG by its suffix; {seed}, {variant}, {tile}, {map} and <UDIM> are filled in (default: "
        "MODEL-SEED-WxH.png, or PICTURE-MODEL.png); with --for, the folder",
    )
    parser.add_argument(
        "--map",
        metavar="NAME",
        action=_Joined,
        help="which map, or several: a,b (default: all); with --train: NAME=FILE",
    )
    parser.add_argument(
        "--normals",
        choices=("opengl", "directx"),
        help="direction of a normal map's green channel: up for OpenGL and Blender, down for DirectX (default: opengl)",
    )
    parser.add_argument(
        "--orm",
        action="store_true",
        help="one picture named orm instead of the maps ao (red), roughness (green) and metallic (blue)",
    )
    parser.add_argument(
        "--for",
        dest="engine",
        choices=ENGINES,
        help="all maps as PNG with the names, the packing and the normals of this engine, and a MaterialX document",
    )
    parser.add_argument("--depth", type=int, choices=(8, 16), help="bits of a sample (default: 16 for height, else 8)")
    style = parser.add_argument_group("pictures in the style of the model")
    style.add_argument(
        "--stylize", metavar="PICTURE", help="a picture, a folder of them, or the frames of a sequence: frame_%%04d.png"
    )
    style.add_argument("--strength", metavar="S", help="from 0, which is the picture itself, to 1 (default: 1)")
    style.add_argument(
        "--keep-colours",
        action="store_true",
        help="light and dark of the style, colours of the picture",
    )
    style.add_argument(
        "--noise",
        metavar="N",
        help=f"magnitude of the noise, from 0 to {MAX_NOISE} (default: 1, in a sequence {CALM:g})",
    )
    style.add_argument(
        "--stroke",
        metavar="N",
        help=f"size of the strokes, from {STROKES[0]:g} to {STROKES[1]:g} times the usual (default: 1); networks have "
        "one size",
    )
    style.add_argument(
        "--statistics",
        choices=("first", "own"),
        help="for several pictures: use those of the first for all, so that frames do not flicker, or each picture's "
        "own, for unrelated pictures (default: first)",
    )
    style.add_argument("--overwrite", action="store_true", help="for several pictures: make existing ones again, too")
    add_blend_flags(parser)
    add_training_flags(parser)
    parser.add_argument("--device", default="auto", metavar="NAME", help="for --models: auto, cpu, cuda, cuda:N or mps")
    parser.add_argument(
        "--precision",
        default="auto",
        choices=PRECISIONS,
        help="for --models: exact (float32) or fast (bfloat16, a few 1/255 off; the default if the processor has it)",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress, and no names of written files")
    parser.add_argument(
        "--openjd",
        action="store_true",
        help="for render farms: tell progress and failure as Open Job Description does",
    )
    parser.add_argument(
        "--print-completion",
        choices=("bash", "zsh", "tcsh"),
        help="print what makes this shell complete texget's options",
    )
    parser.add_argument("--version", action="version", version=f"texserver {__version__}")
    return parser


def _joined(argv: Sequence[str]) -> list[str]:
    """`--window -5,0,8x8` as `--window=-5,0,8x8`: argparse mistakes a value that begins with a dash for an option."""
    result = list(argv)
    for index in range(len(result) - 1):
        if result[index] == "--window" and re.match(r"-[0-9]", result[index + 1]):
            result[index : index + 2] = [f"--window={result[index + 1]}"]
            break
    return result


# ----------------------------------------------------------------------------------------------------------- painting


def _blend(arguments: argparse.Namespace) -> None:
    _refuse(arguments, "with --blend", "engine", "stylize", "variants", "variant", "wang", *ONLY_TRAINING)
    if arguments.model is not None:
        raise BadRequest("blend: it names all models; leave the model before it out.")
    _paint_model(arguments, blending_of(arguments))


def _paint(arguments: argparse.Namespace) -> None:
    _refuse(arguments, "without --train", *ONLY_TRAINING)
    _refuse(arguments, "without --blend", *ONLY_BLENDING)
    _paint_model(arguments, arguments.model)


def _paint_model(arguments: argparse.Namespace, model: str | Blending) -> None:
    _refuse(arguments, "without --stylize", "strength", "keep_colours", "noise", "stroke", "statistics", "overwrite")
    size = parse_size(SIZE if arguments.size is None else arguments.size)
    window = parse_window(arguments.window) if arguments.window is not None else None
    seeds = parse_seeds(arguments.seeds) if arguments.seeds is not None else [parse_seed(arguments.seed)]
    maps = None if arguments.map in (None, "all") else arguments.map.split(",")
    wang = int(arguments.wang or 0)
    if arguments.udim is not None:
        _refuse(arguments, "with --udim", "window", "wang")
    order = ordered(
        arguments.output or _default_output(_name_of(model), size, window, wang),
        size,
        window,
        seeds,
        parse_variants(arguments.variant, arguments.variants),
        wang,
        several_seeds=arguments.seeds is not None,
        udim=arguments.udim,
    )
    depth = arguments.depth
    part = order.pictures[0].window
    output = order.named(order.pictures[0], ["map"])[0]
    check_format(output)
    if depth is None and is_jpeg(output):
        depth = 8  # whatever the depths of the maps are
    check_raster(output, part.height, part.width, 3, depth or 8)
    check_folder(output.parent)
    if arguments.models is not None:
        from server.client.local_painter import LocalPainter

        library = Library(Path(arguments.models))
        painter = LocalPainter(library, arguments.device, arguments.precision)
        _paint_all(painter, model, arguments, order, maps, depth)
        return
    with Client(_not_secret(arguments.connect), tell=_tell) as client:
        _paint_all(client, model, arguments, order, maps, depth)


def _paint_all(
    painter: Painter,
    model: str | Blending,
    arguments: argparse.Namespace,
    order: Order,
    maps: Sequence[str] | None,
    depth: int | None,
) -> None:
    if arguments.orm:
        maps = maps_for_orm(_name_of(model), _maps_of(painter, model), maps)
    done = 0
    with Bar(_name_of(model), order.pixels, arguments.quiet, arguments.openjd, unit="px", unit_scale=True) as bar:
        for picture in order.pictures:
            written: list[Path] = []
            painter.paint(
                model,
                seed=picture.seed,
                size=order.size,
                sink=_sink(arguments, order, picture, written),
                window=picture.window,
                maps=maps,
                depth=depth,
                variant=picture.variant,
                wang=order.wang,
                progress=partial(bar.advance, done),
            )
            done += picture.window.pixels
            for path in written:
                bar.written(path)


def _export(arguments: argparse.Namespace) -> None:
    _refuse(arguments, "with --for", "window", "udim", "map", "depth", "normals", "orm", "variants", "variant", "wang")
    _refuse(arguments, "without --stylize", "strength", "keep_colours", "noise", "stroke", "statistics", "overwrite")
    check_folder(Path(arguments.output or "."))
    if arguments.models is not None:
        from server.client.local_painter import LocalPainter

        library = Library(Path(arguments.models))
        known = {each.name: each.facts.texels_per_metre for each in library.entries() if each.facts}
        painter = LocalPainter(library, arguments.device, arguments.precision)
        _export_all(painter, arguments, known.get(arguments.model))
        return
    with Client(_not_secret(arguments.connect), tell=_tell) as client:
        told = {each.name: each.facts.get("texels_per_metre") for each in client.list()}
        _export_all(client, arguments, told.get(arguments.model))


def _export_all(painter: Painter, arguments: argparse.Namespace, texels_per_metre: float | None) -> None:
    size = parse_size(SIZE if arguments.size is None else arguments.size)
    seeds = parse_seeds(arguments.seeds) if arguments.seeds is not None else [parse_seed(arguments.seed)]
    pixels = size.whole.pixels
    with Bar(
        arguments.model, pixels * len(seeds), arguments.quiet, arguments.openjd, unit="px", unit_scale=True
    ) as bar:
        for index, seed in enumerate(seeds):
            for path in export_files(
                painter,
                arguments.model,
                arguments.engine,
                Path(arguments.output or "."),
                seed=seed,
                several=arguments.seeds is not None,
                size=size,
                texels_per_metre=texels_per_metre,
                progress=partial(bar.advance, index * pixels),
            ):
                bar.written(path)


def _sink(arguments: argparse.Namespace, order: Order, picture: Picture, written: list[Path]) -> Sink:
    """The sink for the files of one picture. Their paths come into `written` when they are about to be written."""

    def named(maps: Sequence[str]) -> list[Path]:
        written[:] = order.named(picture, maps)
        make_folder(written[0].parent)
        return written

    sink = sink_for(Path(picture.template), named)
    if arguments.orm:
        sink = OrmSink(sink)
    return DirectxNormals(sink) if arguments.normals == "directx" else sink


def _maps_of(painter: Painter, model: str | Blending) -> Sequence[str]:
    """Names of all maps of a model. To learn them it paints the smallest texture; errors are those of any texture."""
    memory = MemorySink()
    painter.paint(
        model,
        seed=0,
        size=(MIN_SIDE, MIN_SIDE),
        sink=memory,
        window=None,
        maps=None,
        depth=None,
        progress=lambda pixels: None,
    )
    return tuple(memory.pixels)


def _train(arguments: argparse.Namespace) -> None:
    when = "with --train" if arguments.train is not None else "with --jobs"
    _refuse(arguments, when, "variants", "variant", "wang")
    _refuse(arguments, when, "size", "window", "udim", "seeds", "depth", "normals", "orm", "engine", "output", "models")
    _refuse(arguments, when, "stylize", "strength", "keep_colours", "noise", "stroke", "statistics", "overwrite")
    with Client(_not_secret(arguments.connect), tell=_tell) as client:
        if arguments.train is not None:
            train_files(client, arguments)
        else:
            list_jobs(client)


def _stylize(arguments: argparse.Namespace) -> None:
    _refuse(arguments, "without --train", *ONLY_TRAINING)
    _refuse(arguments, "with --stylize", "variants", "variant", "wang")
    _refuse(arguments, "with --stylize", "size", "window", "udim", "seeds", "map", "depth", "normals", "orm", "engine")
    if arguments.model is None:
        raise BadRequest("stylize: name the style, too: texget MODEL --stylize PICTURE.")
    plan = planned(arguments.stylize, arguments.output, arguments.model)
    sequence = plan.several and arguments.statistics != "own"
    parameters: StyleParameters = {
        "strength": parse_number("strength", arguments.strength, 1),
        "seed": parse_seed(arguments.seed),
        "keep_colours": arguments.keep_colours,
        "noise": parse_number("noise", arguments.noise, MAX_NOISE, CALM if sequence else 1.0),
        "stroke": parse_number("stroke", arguments.stroke, STROKES[1], least=STROKES[0]),
    }
    if arguments.models is not None:
        from server.client.local_painter import LocalPainter

        library = Library(Path(arguments.models))
        _stylize_all(LocalPainter(library, arguments.device, arguments.precision), parameters, plan, arguments)
        return
    with Client(_not_secret(arguments.connect), tell=_tell) as client:
        _stylize_all(client, parameters, plan, arguments)


def _stylize_all(stylizer: Stylizer, parameters: StyleParameters, plan: Plan, arguments: argparse.Namespace) -> None:
    shown = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total} [{elapsed}<{remaining}]"
    with Bar(arguments.model, len(plan.steps), arguments.quiet, arguments.openjd, bar_format=shown) as bar:
        stylize_files(
            stylizer,
            arguments.model,
            plan,
            parameters=parameters,
            overwrite=arguments.overwrite,
            own_statistics=arguments.statistics == "own",
            tell=lambda sentence: bar.tell(f"texget: {sentence}"),
            written=bar.written,
            done=partial(bar.advance, 0),
        )


def _tell(sentence: str) -> None:
    tqdm.write(f"texget: {printable(sentence)}", file=sys.stderr)


def _not_secret(connect: str | None) -> str | None:
    """What --connect named. Raises BadRequest for a line with keys: all users of a machine can see a command line."""
    if connect is not None and connect.startswith(SCHEME) and parse_pairing(connect).keys is not None:
        raise BadRequest(
            "connect: all users of this machine can see a line on a command line. Put it into a file of yours alone "
            f"(chmod 600) and name that, or into the environment variable {ENVIRONMENT}."
        )
    return connect


def _print_completion(shell: str) -> None:
    try:
        import shtab  # only then
    except ImportError:
        raise BadRequest("print-completion: it needs the package shtab; install it: pip install shtab.") from None
    print(shtab.complete(_parser(), shell))


def _refuse(arguments: argparse.Namespace, when: str, *names: str) -> None:
    """Raise BadRequest for options that have no meaning then."""
    for name in names:
        if getattr(arguments, name) not in (None, False):
            name = "for" if name == "engine" else name
            raise BadRequest(f"--{name.replace('_', '-')} has no meaning {when}; leave it out.")


# -------------------------------------------------------------------------------------------------- names and numbers


def _name_of(model: str | Blending) -> str:
    return model.name if isinstance(model, Blending) else model


def _default_output(name: str, size: Size, window: Window | None, wang: int) -> str:
    part = f"-at-{window.left},{window.top}-{window.width}x{window.height}" if window else ""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", name)[:100]  # whether there is such a model is not known yet
    return f"{name}-{{seed}}-{'wang-' if wang else ''}{size.width}x{size.height}{part}.png"


def parse_size(text: str) -> Size:
    """ "4096x2048", width x height, "512" or "2k" for a square; k stands for 1024. Raises BadRequest."""
    found = re.fullmatch(r"([0-9]{1,10}k?)(?:x([0-9]{1,10}k?))?", text, re.ASCII | re.IGNORECASE)
    if not found:
        raise BadRequest(f"size: {text[:60]!r} is not WIDTHxHEIGHT, such as 2048x1024, 512 or 2k.")
    width = _pixels(found[1])
    return Size(height=_pixels(found[2]) if found[2] else width, width=width)


def _pixels(text: str) -> int:
    return int(text[:-1]) * 1024 if text[-1] in "kK" else int(text)


def parse_window(text: str) -> Window:
    """ "900,600,300x200": left, top, width x height. Raises BadRequest."""
    found = re.fullmatch(r"(-?[0-9]{1,10}),(-?[0-9]{1,10}),([0-9]{1,10})x([0-9]{1,10})", text)
    if not found:
        raise BadRequest(f"window: {text[:60]!r} is not LEFT,TOP,WIDTHxHEIGHT, such as 900,600,300x200.")
    left, top, width, height = (int(number) for number in found.groups())
    return Window(top=top, left=left, height=height, width=width)


def parse_number(name: str, text: str | None, most: float, default: float = 1.0, least: float = 0) -> float:
    """A number from `least` to `most`, or the default if there is no text. Raises BadRequest."""
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not least <= value <= most:
        raise BadRequest(f"{name}: {text[:60]!r} is not a number from {least:g} to {most:g}.")
    return value


def parse_seed(text: str) -> int:
    """A whole number in [0, 2^64). Raises BadRequest."""
    if not re.fullmatch(r"[0-9]{1,20}", text):
        raise BadRequest(f"seed: {text[:60]!r} is not a whole number from 0 to 18446744073709551615.")
    check_seed(int(text))
    return int(text)


def parse_seeds(text: str) -> list[int]:
    """ "0-15" or "3,5,9-12", each seed once, in the order given. Raises BadRequest."""
    seeds: dict[int, None] = {}
    for part in text.split(","):
        first, dash, last = part.partition("-")
        start = parse_seed(first)
        stop = parse_seed(last) if dash else start
        if stop < start:
            raise BadRequest(f"seeds: {part[:60]!r} runs backwards; write {stop}-{start}.")
        if len(seeds) + stop - start >= MAX_SEEDS:
            raise BadRequest(f"seeds: at most {MAX_SEEDS} at once.")
        seeds.update(dict.fromkeys(range(start, stop + 1)))
    return list(seeds)


# ------------------------------------------------------------------------------------------------------------ the list


def _list_folder(library: Library) -> None:
    entries = library.entries()
    if not entries:
        print(f"No models in {library.folder}. Train one: python -m trainer --swatch PHOTO")
    _print_list([(entry.name, _described(entry)) for entry in entries])


def _list_server(connect: str | None) -> None:
    with Client(_not_secret(connect), tell=_tell) as client:
        models = client.list()
    if not models:
        print("The server has no models. Train one: python -m trainer --swatch PHOTO")
    _print_list([(model.name, _told(model.state, model.reason, model.facts)) for model in models])


def _list_starter(arguments: argparse.Namespace) -> None:
    if arguments.model is not None:
        raise BadRequest("starter: it lists the library; leave the model out, or --starter.")
    folder = models_folder() if arguments.models is None else Path(arguments.models)
    said = {"ready": "ready", "outdated": "ready, of an earlier version", "missing": "not made yet"}
    states = {each: state_of(each, folder) for each in STARTER}
    _print_list(
        [
            (each.name, f"{each.category:9}  {each.metres:4g} m  {said.get(state, 'another model')}: {each.about}")
            for each, state in states.items()
        ]
    )
    if "missing" in states.values():
        print(
            f"texserver makes them in {folder}; so does python -m trainer.starter, without a server."
            if arguments.models is None
            else f"This makes them: python -m trainer.starter --out {folder}"
        )


def _print_list(lines: Sequence[tuple[str, str]]) -> None:
    width = max((len(name) for name, _ in lines), default=0)
    for name, about in lines:
        print(printable(f"{name:{width}}  {about}"))


def _described(entry: Entry) -> str:
    if entry.facts is None:
        return f"broken: {entry.reason}"
    swatch, lattice = entry.facts.swatch, entry.facts.lattice
    if entry.facts.kind == "style":
        return _about_style(swatch.height, swatch.width)
    maps = [each.name for each in entry.facts.maps]
    fits = None if lattice is None else [side for side in LISTED_SIDES if lattice.fits(Size(side, side))]
    return _about(maps, swatch.height, swatch.width, fits)


def _told(state: str, reason: str, facts: Mapping[str, Any]) -> str:
    """An entry of a server's list (docs/PROTOCOL.md, Models)."""
    if state != "ready":
        return f"{state}: {reason}" if reason else state
    height, width = facts["swatch"]
    warning = f"; {facts['warning']}" if "warning" in facts else ""
    if facts.get("kind") == "style":
        return _about_style(height, width) + warning
    maps = [str(each["name"]) for each in facts.get("maps", ())]
    return _about(maps, height, width, facts.get("fits")) + warning


def _about_style(height: int, width: int) -> str:
    return f"ready, a style, learned from {width}x{height}"


def _about(maps: Sequence[str], height: int, width: int, fits: Sequence[int] | None) -> str:
    about = f"ready, {', '.join(maps)}, swatch {width}x{height}"
    if fits is None:
        return f"{about}, no lattice: any size"
    sides = ", ".join(f"{side}x{side}" for side in fits)
    return f"{about}, lattice: whole periods at {sides or 'none of the usual sizes'}"


if __name__ == "__main__":
    sys.exit(main())
