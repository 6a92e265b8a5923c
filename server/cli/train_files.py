"""Has a server learn a model from picture files: a photograph, a base colour with its maps, a folder of a set; or a
style from a painting.

    texget wall --train photo.jpg --metres 2
    texget wall --train colour.png --map normal=nor.png --map arm=arm.png
    texget wall --train rock058/
    texget oil --train painting.jpg --kind style --leave-out 0.8,0.9,0.2,0.1

The server goes on when texget is stopped; `texget --jobs` shows how it is.
"""

import argparse
import re
import sys
from pathlib import Path

from blender_addon.client.training import ServerTraining
from blender_addon.pictures.map_files import FileMaterial, materials_of, plain_name
from blender_addon.pictures.map_names import PARTS
from blender_addon.protocol.training import KINDS, STYLE, TEXTURE
from server.cli.bar import Bar
from server.client.client import Client
from server.client.trained import Part, Point, TrainingOptions
from server.errors import BadRequest
from server.files.map_file import read_maps
from server.files.picture_file import pictures_in, quoted
from server.picture_part import part_of
from server.printable import printable


def add_training_flags(parser: argparse.ArgumentParser) -> None:
    """The options of --train."""
    group = parser.add_argument_group("models that the server learns")
    group.add_argument(
        "--train",
        metavar="PICTURE",
        help="a photograph, or a folder of one set of maps; the model's name is that of the picture, unless one is "
        "given; --map NAME=FILE names further maps",
    )
    group.add_argument("--kind", choices=KINDS, help="what is made of it: a texture, which is the default, or a style")
    group.add_argument(
        "--leave-out",
        action="append",
        metavar="X,Y,W,H",
        help="for a style: a part of the painting never to be shown, such as a caption: left, top, width and height as "
        "fractions of the picture; may be given again",
    )
    group.add_argument("--metres", type=float, metavar="M", help="how wide the picture is in reality")
    group.add_argument("--category", metavar="NAME", help="what kind of material it is, such as Masonry")
    group.add_argument(
        "--corners",
        metavar="POINTS",
        help="the part to learn, made a rectangle: y,x;y,x;y,x;y,x as fractions, clockwise from top left",
    )
    group.add_argument("--aspect", type=float, metavar="N", help="width over height of that part in reality")
    group.add_argument("--derive", metavar="MAPS", help="maps to guess: a list of normal,height,roughness")
    group.add_argument("--keep-light", action="store_true", help="leave slow light and drift of colour")
    group.add_argument("--swatch-size", type=int, metavar="PX", help="shorter side that it is scaled down to")
    group.add_argument("--replace", action="store_true", help="replace the server's model of that name")
    group.add_argument("--jobs", action="store_true", help="list your trainings of the last day on the server")


ONLY_TRAINING = (
    "kind", "leave_out", "metres", "category", "corners", "aspect", "derive", "keep_light", "swatch_size", "replace",
)  # fmt: skip


def train_files(client: Client, arguments: argparse.Namespace) -> None:
    """Read the maps, send them, and show how the server learns them. Raises TexserverErrors, and KeyboardInterrupt."""
    path = Path(arguments.train)
    if arguments.kind == STYLE and path.is_dir():
        raise BadRequest(f"train: {quoted(path)} is a folder, and a style is learned from one picture. Name a file.")
    material = _material(path, arguments.map)
    name = material.name if arguments.model is None else arguments.model
    training = client.begin_training(name, read_maps(material), **_options(arguments))
    shown = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}"
    try:
        with Bar(name, 100, arguments.quiet, arguments.openjd, bar_format=shown) as bar:
            client.follow(training, lambda now: bar.advance(0, int(100 * now.fraction)))
    except KeyboardInterrupt:
        _stopped(client, training)
        raise
    if not arguments.quiet:
        print(name)


def list_jobs(client: Client) -> None:
    """Print the trainings of this client's key."""
    jobs = client.trainings()
    if not jobs:
        print("No trainings in the last day.")
    width = max((len(str(each["name"])) for each in jobs), default=0)
    for each in jobs:
        percent = f" {100 * each.get('fraction', 0):.0f} %" if each["state"] == "running" else ""
        print(printable(f"{each['name']:{width}}  {each['state']}{percent}: {each.get('text', '')}"))


def _stopped(client: Client, training: ServerTraining) -> None:
    """Ctrl-C: ask whether the server is to stop, too."""
    answer = ""
    if sys.stdin is not None and sys.stdin.isatty() and not training.ended:
        try:
            answer = input("\ntexget: Cancel the training on the server, too? [y/N] ")
        except (EOFError, KeyboardInterrupt):
            answer = ""
    if answer.strip().lower().startswith("y"):
        client.cancel_training(training)
        print("texget: the training is cancelled.", file=sys.stderr)
    elif not training.ended:
        print("texget: the training goes on without texget; texget --jobs shows how it is.", file=sys.stderr)


def _material(path: Path, maps: str | None) -> FileMaterial:
    if path.is_dir():
        if maps is not None:
            raise BadRequest("map: a folder of maps needs none; name the base colour with --train instead.")
        found = materials_of(pictures_in(path))
        if len(found) > 1:
            named = ", ".join(each.path.name for each in found[:5])
            raise BadRequest(f"train: {quoted(path)} holds several materials ({named}); name one file with --train.")
        return found[0]
    parts: dict[str, Path] = {}
    for each in maps.split(",") if maps else ():
        part, equals, file = each.partition("=")
        if not (equals and file) or part not in PARTS or part in parts:
            raise BadRequest(f"map: {each[:60]!r} is not NAME=FILE, or given twice. NAME is one of {', '.join(PARTS)}.")
        parts[part] = Path(file)
    return FileMaterial(name=plain_name(path.stem), path=path, parts=parts)


def _options(arguments: argparse.Namespace) -> TrainingOptions:
    return {
        "kind": arguments.kind or TEXTURE,
        "leave_out": [parse_part(each) for each in arguments.leave_out or ()],
        "metres": arguments.metres,
        "category": arguments.category or "",
        "corners": None if arguments.corners is None else parse_corners(arguments.corners),
        "aspect": arguments.aspect,
        "swatch_size": arguments.swatch_size,
        "keep_light": arguments.keep_light,
        "derive": tuple(arguments.derive.split(",")) if arguments.derive else (),
        "replace": arguments.replace,
    }


def parse_part(text: str) -> Part:
    """A part of a picture as left, top, width and height, as the trainer has it; as top, left, height, width. Raises
    BadRequest.
    """
    try:
        x, y, width, height = part_of(text)
    except ValueError as error:
        raise BadRequest(f"leave-out: {error}") from None
    return y, x, height, width


def parse_corners(text: str) -> list[Point]:
    """ "0,0;0,1;1,1;1,0": four points, down and across. Raises BadRequest."""
    number = r"[0-9]*\.?[0-9]+"
    if not re.fullmatch(rf"{number},{number}(;{number},{number}){{3}}", text):
        raise BadRequest(f"corners: {text[:60]!r} is not y,x;y,x;y,x;y,x, such as 0.1,0;0,1;1,1;0.9,0.")
    points = (point.split(",") for point in text.split(";"))
    return [(float(y), float(x)) for y, x in points]
