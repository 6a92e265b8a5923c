"""texget: paints a texture into an image file, by a texture server or without one.

    texget                                                   lists the models of the server that runs here
    texget brick --seed 7 --size 4096x2048 -o brick.png      width x height, any from 16 to 65536
    texget brick --window 900,600,300x200                    left, top, width x height: a part of the same texture
    texget brick --seeds 0-15 -o brick.png                   brick-0000.png, brick-0001.png, …
    texget brick --connect texserver://…                     by a server on another machine
    texget brick --models models                             without a server, on a device of this machine

Pictures go to the disk part by part, so memory stays small at any size, and appear under their name when complete.
What was made can be made again: the file says which model, seed, size and window it shows. The pixels are the same with
a server and without.
"""

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, Protocol

from tqdm import tqdm

from blender_addon.image_file import ImageFileError, format_of
from blender_addon.pairing import NoServer
from blender_addon.sinks import FileSink, Sink
from server import __version__
from server.client import Client, ServerUnreachable
from server.errors import BadRequest, TexserverError
from server.jpeg_sink import JPEG_PIXELS, JPEG_SIDE, JPEG_SUFFIXES, JpegSink
from server.library import Entry, Library
from server.precision import PRECISIONS
from server.torus import Size, Window, check_seed

MAX_SEEDS = 10_000
LISTED_SIDES = (256, 512, 1024, 2048, 4096)

INTERRUPTED = 130  # as shells report a command that Ctrl-C ended


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command: 0 when done, 2 after one sentence on stderr, 130 after Ctrl-C."""
    try:
        arguments = _parser().parse_args(_joined(sys.argv[1:] if argv is None else argv))
        if arguments.model is not None:
            _paint(arguments)
        elif arguments.models is not None:
            _list_folder(Library(Path(arguments.models)))
        else:
            _list_server(arguments.connect)
    except (NoServer, ServerUnreachable) as error:
        print(f"texget: {error} Or paint without a server: texget --models DIR.", file=sys.stderr)
        return 2
    except (TexserverError, ImageFileError) as error:
        print(f"texget: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("texget: stopped; no unfinished picture was left behind.", file=sys.stderr)
        return INTERRUPTED
    return 0


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, as the rest of the command does, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        raise BadRequest(f"{message}; see texget --help.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="texget",
        description="Paints a texture of a trained model into a PNG, TIFF or JPEG file; without a model, lists them.",
    )
    parser.add_argument("model", nargs="?", help="the model's name, as `texget` lists it")
    parser.add_argument(
        "--connect", metavar="PAIRING", help="the server: its pairing line or connection file (default: the one here)"
    )
    parser.add_argument("--models", metavar="DIR", help="paint without a server, with the models of this folder")
    seeds = parser.add_mutually_exclusive_group()
    seeds.add_argument("--seed", default="0", metavar="N", help="which of the endless textures (default: %(default)s)")
    seeds.add_argument("--seeds", metavar="N-M", help="several, one file each: 0-15 or 3,5,9-12")
    parser.add_argument("--size", default="1024x1024", metavar="WxH", help="period in pixels (default: %(default)s)")
    parser.add_argument("--window", metavar="LEFT,TOP,WxH", help="only this part; it wraps, and may start below zero")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="PNG, TIFF or JPEG by its suffix; {seed} and {map} are filled in (default: MODEL-SEED-WxH.png)",
    )
    parser.add_argument("--map", default="all", metavar="NAME", help="which map, or several: a,b (default: all)")
    parser.add_argument("--depth", type=int, default=8, choices=(8, 16), help="bits of a sample (default: 8)")
    parser.add_argument("--device", default="auto", metavar="NAME", help="of --models: auto, cpu, cuda, cuda:N or mps")
    parser.add_argument(
        "--precision",
        default="auto",
        choices=PRECISIONS,
        help="of --models: exact is float32, fast bfloat16, a few 1/255 off (default: fast where the processor has it)",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.add_argument("--version", action="version", version=f"texserver {__version__}")
    return parser


def _joined(argv: Sequence[str]) -> list[str]:
    """`--window -5,0,8x8` as `--window=-5,0,8x8`: argparse takes a value that begins with a dash for an option."""
    result = list(argv)
    for index in range(len(result) - 1):
        if result[index] == "--window" and re.match(r"-[0-9]", result[index + 1]):
            result[index : index + 2] = [f"--window={result[index + 1]}"]
            break
    return result


# ----------------------------------------------------------------------------------------------------------- painting


class _Painter(Protocol):
    """What paints: a client of a server, or this process itself."""

    def paint(
        self,
        model: str,
        *,
        seed: int,
        size: tuple[int, int],
        sink: Sink,
        window: tuple[int, int, int, int] | None,
        maps: Sequence[str] | None,
        depth: Any,
        progress: Callable[[int], None],
    ) -> None: ...


def _paint(arguments: argparse.Namespace) -> None:
    size = parse_size(arguments.size)
    window = parse_window(arguments.window) if arguments.window is not None else None
    seeds = parse_seeds(arguments.seeds) if arguments.seeds is not None else [parse_seed(arguments.seed)]
    maps = None if arguments.map == "all" else arguments.map.split(",")
    template = arguments.output or _default_output(arguments.model, size, window)
    part = window or Window(0, 0, size.height, size.width)
    check_output(_named(template, seeds[0], False, ["map"])[0], part, arguments.depth)
    if arguments.models is not None:
        from server.local_painter import LocalPainter

        _paint_all(
            LocalPainter(Library(Path(arguments.models)), arguments.device, arguments.precision),
            arguments, template, size, part, maps, seeds,
        )  # fmt: skip
        return
    with Client(arguments.connect) as client:
        _paint_all(client, arguments, template, size, part, maps, seeds)


def _paint_all(
    painter: _Painter,
    arguments: argparse.Namespace,
    template: str,
    size: Size,
    part: Window,
    maps: Sequence[str] | None,
    seeds: Sequence[int],
) -> None:
    pixels = part.height * part.width
    kind = JpegSink if Path(template).suffix.lower() in JPEG_SUFFIXES else FileSink
    with _Bar(arguments.model, pixels * len(seeds), arguments.quiet) as bar:
        for index, seed in enumerate(seeds):
            painter.paint(
                arguments.model,
                seed=seed,
                size=(size.height, size.width),
                sink=kind(partial(_named, template, seed, arguments.seeds is not None)),
                window=(part.top, part.left, part.height, part.width),
                maps=maps,
                depth=arguments.depth,
                progress=partial(bar.advance, index * pixels),
            )


class _Bar:
    """A progress bar that appears with the first pixels, so that a mistake is one sentence and nothing else."""

    def __init__(self, name: str, total: int, quiet: bool) -> None:
        self._make = partial(
            tqdm, total=total, unit="px", unit_scale=True, desc=name[:40], disable=quiet, file=sys.stderr
        )
        self._bar: Any = None

    def advance(self, before: int, done: int) -> None:
        """`done` pixels of the present picture, after `before` of others."""
        if done:
            self._bar = self._bar or self._make()
            self._bar.update(before + done - self._bar.n)

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


def check_output(path: Path, window: Window, depth: int) -> None:
    """Raise BadRequest, before minutes of work, for a format that cannot be had and a folder that is not there."""
    if path.suffix.lower() not in JPEG_SUFFIXES:
        try:
            format_of(path)
        except ImageFileError as error:
            raise BadRequest(
                f"output: {str(path)!r} says no format; end it in .png, .tif, .tiff, .jpg or .jpeg."
            ) from error
    elif depth != 8:
        raise BadRequest("output: a JPEG has 8 bits a sample; end the name in .png or .tif.")
    elif max(window.height, window.width) > JPEG_SIDE:
        raise BadRequest(f"output: a JPEG is at most {JPEG_SIDE} pixels a side; end the name in .png or .tif.")
    elif window.height * window.width > JPEG_PIXELS:
        raise BadRequest(
            f"output: a JPEG is held in memory, so at most {JPEG_PIXELS // 10**6} megapixels; "
            "end the name in .png or .tif."
        )
    if not path.parent.is_dir():
        raise BadRequest(f"output: there is no folder {path.parent}; create it or choose another.")


# -------------------------------------------------------------------------------------------------- names and numbers


def _default_output(name: str, size: Size, window: Window | None) -> str:
    part = f"-at-{window.left},{window.top}-{window.width}x{window.height}" if window else ""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", name)[:100]  # whether there is such a model is not known yet
    return f"{name}-{{seed}}-{size.width}x{size.height}{part}.png"


def _named(template: str, seed: int, several: bool, maps: Sequence[str]) -> list[Path]:
    """The files of one seed: placeholders filled in, and what would tell files apart added before the suffix."""
    path = Path(template)
    if not path.name:
        raise BadRequest(f"output: {template!r} is a folder; add a file name such as brick.png.")
    added = f"-{seed:04}" if several and "{seed}" not in path.name else ""
    if len(maps) > 1 and "{map}" not in path.name:
        added += "-{map}"
    name = f"{path.stem}{added}{path.suffix}".replace("{seed}", str(seed))
    return [path.with_name(name.replace("{map}", each)) for each in maps]


def parse_size(text: str) -> Size:
    """ "4096x2048", width x height. Raises BadRequest."""
    found = re.fullmatch(r"([0-9]{1,10})x([0-9]{1,10})", text)
    if not found:
        raise BadRequest(f"size: {text[:60]!r} is not WIDTHxHEIGHT, such as 2048x1024.")
    return Size(height=int(found[2]), width=int(found[1]))


def parse_window(text: str) -> Window:
    """ "900,600,300x200": left, top, width x height. Raises BadRequest."""
    found = re.fullmatch(r"(-?[0-9]{1,10}),(-?[0-9]{1,10}),([0-9]{1,10})x([0-9]{1,10})", text)
    if not found:
        raise BadRequest(f"window: {text[:60]!r} is not LEFT,TOP,WIDTHxHEIGHT, such as 900,600,300x200.")
    left, top, width, height = (int(number) for number in found.groups())
    return Window(top=top, left=left, height=height, width=width)


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
    with Client(connect) as client:
        models = client.list()
    if not models:
        print("The server has no models. Train one: python -m trainer --swatch PHOTO")
    _print_list([(model.name, _told(model.state, model.reason, model.facts)) for model in models])


def _print_list(lines: Sequence[tuple[str, str]]) -> None:
    width = max((len(name) for name, _ in lines), default=0)
    for name, about in lines:
        print(f"{name:{width}}  {about}")


def _described(entry: Entry) -> str:
    if entry.facts is None:
        return f"broken: {entry.reason}"
    swatch, lattice = entry.facts.swatch, entry.facts.lattice
    fits = None if lattice is None else [side for side in LISTED_SIDES if lattice.fits(Size(side, side))]
    return _about(swatch.height, swatch.width, fits)


def _told(state: str, reason: str, facts: Mapping[str, Any]) -> str:
    """As a server tells it (docs/PROTOCOL.md, Models)."""
    if state != "ready":
        return f"{state}: {reason}" if reason else state
    height, width = facts["swatch"]
    warning = f"; {facts['warning']}" if "warning" in facts else ""
    return _about(height, width, facts.get("fits")) + warning


def _about(height: int, width: int, fits: Sequence[int] | None) -> str:
    about = f"ready, swatch {width}x{height}"
    if fits is None:
        return f"{about}, no lattice: any size"
    sides = ", ".join(f"{side}x{side}" for side in fits)
    return f"{about}, lattice: whole periods at {sides or 'none of the usual sizes'}"


if __name__ == "__main__":
    sys.exit(main())
