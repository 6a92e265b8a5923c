"""The command line of the command that paints a file's textures on a farm. No bpy here, standard library only."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

NAME: Final = "texserver"  # of the command in Blender
MOST_FACTOR: Final = 16.0


@dataclass(frozen=True, kw_only=True)
class PaintOptions:
    """What to paint, and where."""

    missing_only: bool
    out: str | None  # a folder, which may begin with //; None: where the file expects its textures
    size_factor: float
    save: str | None  # None: over the file
    connect: str | None


def parse(argv: Sequence[str]) -> PaintOptions:
    """What follows the command's name. Raises SystemExit, as argparse does, after it has said why."""
    parser = argparse.ArgumentParser(prog=f"blender -b FILE.blend --command {NAME}", description="Texserver on a farm.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="paint")
    paint = commands.add_parser("paint", help="paint the textures of the .blend file")
    paint.add_argument("--missing-only", action="store_true", help="only those whose files are missing")
    paint.add_argument(
        "--out",
        metavar="FOLDER",
        help="where the files go; // is the folder of the .blend file (default: where it expects them)",
    )
    paint.add_argument(
        "--size-factor",
        type=_factor,
        default=1.0,
        metavar="F",
        help="times the width and height of each texture: as detailed, but repeating less often",
    )
    paint.add_argument(
        "--save",
        metavar="FILE.blend",
        help="where to save the file if its images must point elsewhere (default: over the file)",
    )
    paint.add_argument(
        "--connect",
        metavar="FILE",
        help="connection file, or a file that holds a pairing line (default: as in the preferences, else that of the "
        "environment variable TEXSERVER_CONNECTION, else the server on this machine)",
    )
    given = vars(parser.parse_args(list(argv)))
    del given["command"]
    return PaintOptions(**given)


def _factor(text: str) -> float:
    value = float(text)
    if not 1 / MOST_FACTOR <= value <= MOST_FACTOR:
        raise argparse.ArgumentTypeError(f"{text} is not from 1/16 to 16")
    return value
