"""The options of texget."""

import argparse
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from blender_addon.client.style_download import CALM
from blender_addon.pictures.texture_sets import ENGINES
from blender_addon.protocol.pairing import ENVIRONMENT
from blender_addon.protocol.wire import MAX_NOISE, STROKES
from server import __version__
from server.cli.blend_files import add_blend_flags
from server.cli.train_files import add_training_flags
from server.errors import BadRequest
from server.precision import PRECISIONS

SIZE = "1024x1024"


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, like the rest of the command, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        raise BadRequest(f"{message}; see texget --help.")


class _Joined(argparse.Action):
    """An option that may be given again: its values, with commas between them."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option: str | None = None) -> None:
        before = getattr(namespace, self.dest)
        setattr(namespace, self.dest, values if before is None else f"{before},{values}")


def parser_of_texget() -> argparse.ArgumentParser:
    """All options. What argparse refuses is BadRequest."""
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
    parser.add_argument(
        "--depth",
        type=int,
        choices=(8, 16),
        help="bits of a sample (default: 16 for height, else 8; with --stylize, those of the picture)",
    )
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
        "--region",
        action="append",
        metavar="MASK=STYLE",
        help="another style, or none for the picture itself, where a mask of the picture's size is white; can be given "
        "several times, later ones lie on top",
    )
    style.add_argument(
        "--statistics",
        choices=("first", "own"),
        help="for several pictures: use those of the first for all, so that frames do not flicker, or each picture's "
        "own, for unrelated pictures (default: first)",
    )
    style.add_argument(
        "--exposure",
        metavar="STOPS",
        help="for renders in OpenEXR: make their light 2^STOPS times as bright (default: 0)",
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


def joined(argv: Sequence[str]) -> list[str]:
    """`--window -5,0,8x8` as `--window=-5,0,8x8`: argparse mistakes a value that begins with a dash for an option."""
    result = list(argv)
    for index in range(len(result) - 1):
        if result[index] == "--window" and re.match(r"-[0-9]", result[index + 1]):
            result[index : index + 2] = [f"--window={result[index + 1]}"]
            break
    return result


def print_completion(shell: str) -> None:
    """What makes this shell complete the options. Raises BadRequest where shtab is not installed."""
    try:
        import shtab  # only then
    except ImportError:
        raise BadRequest("print-completion: it needs the package shtab; install it: pip install shtab.") from None
    print(shtab.complete(parser_of_texget(), shell))
