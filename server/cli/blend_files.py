"""Textures of several models: texget --blend brick,moss --mask mask.png.

The mask covers the whole texture, whatever its size. For two models it is grey: black shows the first, white the
second. For three or four each model has a channel: red, green, blue, and for the fourth the alpha channel.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from blender_addon.client.blending import Blending
from blender_addon.protocol.blending import HEIGHTS, MASK_CHANNELS, MAX_MASK_SIDE, REACH, SOFTNESS
from server.client.blended import BlendParameters, blending
from server.errors import BadRequest
from server.files.picture_file import read_picture

if TYPE_CHECKING:
    from numpy.typing import NDArray

ONLY_BLENDING = ("mask", "softness", "heights", "reach")
MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def add_blend_flags(parser: argparse.ArgumentParser) -> None:
    """The options of blending."""
    group = parser.add_argument_group("several models in one texture")
    group.add_argument("--blend", metavar="A,B", help="2 to 4 models that the mask puts in their places")
    group.add_argument(
        "--mask",
        metavar="PICTURE",
        help="which model shows where: black the first of two, white the second; of three or four each has a channel",
    )
    group.add_argument("--softness", metavar="S", help=f"of their borders, from 0, hard, to 1 (default: {SOFTNESS:g})")
    group.add_argument(
        "--heights", metavar="H", help=f"how much the higher is preferred, from 0 to 1 (default: {HEIGHTS:g})"
    )
    group.add_argument(
        "--reach",
        metavar="R",
        help=f"how far borders may leave the mask's to follow what is there, from 0 to 1 (default: {REACH:g})",
    )


def blending_of(arguments: argparse.Namespace) -> Blending:
    """What the options ask for. Raises BadRequest, UnusablePicture."""
    models = arguments.blend.split(",")
    if len(models) not in MASK_CHANNELS:
        raise BadRequest(f"blend: {arguments.blend[:60]!r} is not 2 to 4 names of models, such as brick,moss.")
    if arguments.mask is None:
        raise BadRequest("blend: a picture must say which model shows where; add --mask PICTURE.")
    parameters: BlendParameters = {}
    if arguments.softness is not None:
        parameters["softness"] = _share("softness", arguments.softness)
    if arguments.heights is not None:
        parameters["heights"] = _share("heights", arguments.heights)
    if arguments.reach is not None:
        parameters["reach"] = _share("reach", arguments.reach)
    return blending(models, mask_of(Path(arguments.mask), len(models)), **parameters)


def mask_of(path: Path, models: int) -> "NDArray[np.uint8]":
    """The mask in a picture, made small enough, for so many models: (height, width, channels)."""
    pixels = read_picture(path).pixels
    if pixels.dtype != np.uint8:
        pixels = (pixels >> 8).astype(np.uint8)
    channels = MASK_CHANNELS[models]
    if channels == 4 and pixels.shape[2] != 4:
        raise BadRequest(f"mask: {path.name!r} has no alpha channel, which is the share of the fourth model.")
    image = Image.fromarray(pixels if pixels.shape[2] > 1 else pixels[..., 0])
    if channels < 4 and image.mode == "RGBA":
        image = image.convert("RGB")
    if image.mode != "RGBA":
        image = image.convert(MODES[channels])
    image.thumbnail((MAX_MASK_SIDE, MAX_MASK_SIDE))
    return np.asarray(image).reshape(image.height, image.width, channels)


def _share(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise BadRequest(f"{name}: {text[:60]!r} is not a number from 0 to 1.")
    return value
