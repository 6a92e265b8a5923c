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
    texget ink --stylize shot/%04d.exr -o styled --depth 8   renders in OpenEXR, with all their passes
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
from collections.abc import Sequence
from functools import partial
from io import TextIOWrapper
from pathlib import Path

from tqdm import tqdm

from blender_addon.client.blending import Blending
from blender_addon.client.sinks import MemorySink, Sink
from blender_addon.client.style_download import CALM
from blender_addon.pictures.draft import ImageFileError, discard_all
from blender_addon.protocol.pairing import ENVIRONMENT, SCHEME, NoServer, parse_pairing
from blender_addon.protocol.wire import MAX_NOISE, MIN_SIDE, RETRY_HELPS, STROKES
from server import openjd
from server.cli.bar import Bar
from server.cli.blend_files import ONLY_BLENDING, blending_of
from server.cli.export_files import Painter, export_files
from server.cli.interrupts import lost_interrupts_come_again
from server.cli.listing import list_folder, list_server, list_starter
from server.cli.numbers import parse_number, parse_seed, parse_seeds, parse_size, parse_window
from server.cli.options import SIZE, joined, parser_of_texget, print_completion
from server.cli.pictures import Order, Picture, ordered, parse_variants
from server.cli.region_files import regions_of
from server.cli.stylize_files import ONLY_STYLIZING, Plan, planned, stylize_files
from server.cli.train_files import ONLY_TRAINING, list_jobs, train_files
from server.client.client import Client, ServerUnreachable, TimedOut
from server.client.regions import RegionStylizer
from server.client.stylized import StyleParameters, Stylizer
from server.client.trained import TrainingFailed
from server.errors import BadRequest, Refused, TexserverError
from server.files.map_sinks import DirectxNormals, OrmSink, maps_for_orm
from server.files.output_file import check_folder, check_format, check_raster, is_jpeg, make_folder, sink_for
from server.model.library import Library
from server.model.torus import Size, Window
from server.printable import printable
from server.replace_file import UnusableOutput

FAILED, MISTAKEN = 1, 2  # it may work another time; it never will as it was asked for
MOST_STOPS = 10  # of exposure, either way
INTERRUPTED, NOBODY_READS = 130, 141  # as shells report a command that Ctrl-C, or the end of its pipe, ended
MAY_WORK_LATER = RETRY_HELPS | {"oom", "expired", "cancelled", ""}  # codes of refusals


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code. What goes wrong is one sentence on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal may lack a name's characters
    try:
        with lost_interrupts_come_again():
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
        arguments = parser_of_texget().parse_args(joined(given))
        if arguments.print_completion is not None:
            print_completion(arguments.print_completion)
        elif arguments.train is not None or arguments.jobs:
            _train(arguments)
        elif arguments.starter:
            if arguments.model is not None:
                raise BadRequest("starter: it lists the library; leave the model out, or --starter.")
            list_starter(arguments.models)
        elif arguments.stylize is not None:
            _stylize(arguments)
        elif arguments.blend is not None:
            _blend(arguments)
        elif arguments.model is not None and arguments.engine is not None:
            _export(arguments)
        elif arguments.model is not None:
            _paint(arguments)
        elif arguments.models is not None:
            list_folder(Library(Path(arguments.models)))
        else:
            with Client(_not_secret(arguments.connect), tell=_tell) as client:
                list_server(client)
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
        discard_all()
        print("texget: stopped; no unfinished picture remains.", file=sys.stderr)
        return INTERRUPTED
    return 0


def _failed(why: str, given: Sequence[str]) -> None:
    print(f"texget: {printable(why)}", file=sys.stderr)
    if "--openjd" in given:
        openjd.failed(why)


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
    _refuse(arguments, "without --stylize", *ONLY_STYLIZING)
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
    _refuse(arguments, "without --train", *ONLY_TRAINING)
    _refuse(arguments, "without --blend", *ONLY_BLENDING)
    _refuse(arguments, "with --for", "window", "udim", "map", "depth", "normals", "orm", "variants", "variant", "wang")
    _refuse(arguments, "without --stylize", *ONLY_STYLIZING)
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
    _refuse(arguments, when, "stylize", *ONLY_STYLIZING)
    with Client(_not_secret(arguments.connect), tell=_tell) as client:
        if arguments.train is not None:
            train_files(client, arguments)
        else:
            list_jobs(client)


def _stylize(arguments: argparse.Namespace) -> None:
    _refuse(arguments, "without --train", *ONLY_TRAINING)
    _refuse(arguments, "without --blend", *ONLY_BLENDING)
    _refuse(arguments, "with --stylize", "variants", "variant", "wang")
    _refuse(arguments, "with --stylize", "size", "window", "udim", "seeds", "map", "normals", "orm", "engine")
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
    given = arguments.exposure
    exposure = None if given is None else parse_number("exposure", given, MOST_STOPS, least=-MOST_STOPS)
    if arguments.region:
        stylizer = RegionStylizer(stylizer, regions_of(arguments.region))
    shown = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total} [{elapsed}<{remaining}]"
    with Bar(arguments.model, len(plan.steps), arguments.quiet, arguments.openjd, bar_format=shown) as bar:
        stylize_files(
            stylizer,
            arguments.model,
            plan,
            parameters=parameters,
            overwrite=arguments.overwrite,
            own_statistics=arguments.statistics == "own",
            depth=arguments.depth,
            exposure=exposure,
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


if __name__ == "__main__":
    sys.exit(main())
