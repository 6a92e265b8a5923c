"""Colours of 16 bits a channel from a file, which Pillow cuts to 8: it is made to decode them twice."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile

from server.files.picture_file import Stored, stored_picture

_ASSOCIATED = "RGBa;16"  # which Pillow divides by alpha, byte by byte


def sixteen_bits(path: Path, data: bytes, stored: Stored) -> NDArray[np.uint16]:
    """The upright samples (H, W, C) of a picture with 16 bits a channel: `stored.deep`. Alpha is unassociated.

    Pillow keeps the high byte of each sample. With the order of bytes exchanged, it keeps the low one. Use it within
    `guarded`.
    """
    associated = []

    def swapped(image: ImageFile.ImageFile) -> None:
        associated.append(_ASSOCIATED in str(image.tile))
        _rewrite(image, lambda text: _swapped(_undivided(text)))

    low = _samples(stored_picture(path, data, change=swapped))
    if associated == [True]:
        stored = stored_picture(path, data, change=lambda image: _rewrite(image, _undivided))
    values = _samples(stored) * np.uint16(256) + low
    if associated == [True]:
        alpha = values[..., 3:].astype(np.uint32)
        colours = (values[..., :3].astype(np.uint32) * 65535 + alpha // 2) // alpha.clip(1)
        values[..., :3] = colours.clip(0, 65535)
    return values


def _samples(stored: Stored) -> NDArray[np.uint16]:
    return np.asarray(stored.upright()).astype(np.uint16)


def _undivided(text: str) -> str:
    return text.replace(_ASSOCIATED, "RGBA;16")


def _swapped(text: str) -> str:
    """As if the other byte came first."""
    other = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}  # N: this machine's own order
    return re.sub(r";16([BLN])", lambda found: f";16{other[found[1]]}", text)


def _rewrite(image: ImageFile.ImageFile, change: Callable[[str], str]) -> None:
    """Change how Pillow is told to decode a picture."""
    image.tile = [
        tile._replace(
            args=change(tile.args)
            if isinstance(tile.args, str)
            else tuple(change(each) if isinstance(each, str) else each for each in tile.args or ())
        )
        for tile in image.tile
    ]
