"""Reads pictures that are to be stylized: as picture_file.py, and renders in OpenEXR. Colours keep their 16 bits.

Pixels are (height, width, 1, 3 or 4), sRGB, uint8 or uint16.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.errors import BadRequest
from server.files.deep_picture import sixteen_bits
from server.files.exr_file import EXR_SUFFIX, is_exr
from server.files.picture_file import (
    SUFFIXES,
    Picture,
    Stored,
    guarded,
    in_srgb,
    picture_bytes,
    picture_of,
    quoted,
    read_picture,
    stored_picture,
)
from server.files.render_file import read_render

CONTENT_SUFFIXES = (*SUFFIXES, EXR_SUFFIX)


def read_content(path: Path, exposure: float | None = None) -> Picture:
    """Read one picture. `exposure`: in stops, for linear light only. Raises UnusablePicture, BadRequest."""
    data = picture_bytes(path)
    if is_exr(data):
        return read_render(path, data, exposure or 0.0)
    if exposure is not None:
        raise BadRequest(f"exposure: {quoted(path)} holds no linear light, as OpenEXR does; leave it out.")
    if data.startswith(b"#?"):
        return read_picture(path)  # which refuses it
    with guarded(path):
        stored = stored_picture(path, data)
        return _deep(path, data, stored) or picture_of(path, stored)


def in_depth(pixels: NDArray[Any], depth: int) -> NDArray[Any]:
    """The same picture with 8 or 16 bits a sample."""
    if 8 * pixels.dtype.itemsize == depth:
        return pixels
    if depth == 8:
        return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return pixels.astype(np.uint16) * np.uint16(257)


def _deep(path: Path, data: bytes, stored: Stored) -> Picture | None:
    """A picture of 16 bits; None for one of less, and where colours must be converted, which is done in 8."""
    image = stored.image
    if not stored.deep or image.mode not in ("LA", "RGB", "RGBA") or "transparency" in image.info:
        return None
    if stored.profile and image.mode != "LA":
        colours = image.convert("RGB")
        if in_srgb(colours, stored.profile, []) is not colours:
            return None
    values = sixteen_bits(path, data, stored)
    if image.mode == "LA":
        values = np.concatenate([values[..., :1].repeat(3, 2), values[..., 1:]], 2)
    return Picture(pixels=values, notes=tuple(stored.notes))
