"""Begins a PNG or a TIFF file, written piece by piece. It appears under its name when it is complete. No bpy here."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from .draft import ImageFileError
from .png_file import PngFile
from .raster import ImageFile, Raster
from .tiff_file import TiffFile

Format = Literal["png", "tiff"]

_SUFFIXES: Mapping[str, Format] = MappingProxyType({".png": "png", ".tif": "tiff", ".tiff": "tiff"})
_LARGEST_SIDE: Mapping[Format, int] = MappingProxyType({"png": 2**31 - 1, "tiff": 2**32 - 1})


def format_of(path: str | os.PathLike[str]) -> Format:
    """The file format of this suffix. Raises ImageFileError for a suffix that is neither PNG nor TIFF."""
    suffix = Path(path).suffix
    if suffix.lower() not in _SUFFIXES:
        raise ImageFileError(f"Cannot tell a format from the name {os.fspath(path)!r}: end it in .png, .tif or .tiff.")
    return _SUFFIXES[suffix.lower()]


def open_image(
    path: str | os.PathLike[str],
    *,
    width: int,
    height: int,
    channels: int,
    depth: int = 8,
    format: Format | None = None,
    metadata: Mapping[str, str] = MappingProxyType({}),
    srgb: bool = False,
    durable: bool = True,
) -> ImageFile:
    """Begin a picture of height x width pixels; use it in a `with` block, or call close() or abort() at the end.

    `channels` is 1, 3 or 4, `depth` 8 or 16 bits per sample. `format` None: by the suffix. `metadata`
    becomes text chunks of a PNG, or a JSON object in the ImageDescription of a TIFF, whose Software tag repeats the key
    "Software"; its keys are 1 to 79 printable ASCII characters. `srgb` marks a PNG as sRGB; a TIFF has no such mark.
    A `durable` picture survives a power failure once it has its name; for this, each write may wait for a busy disk.

    Raises ImageFileError if the folder is missing, full or read-only, ValueError for anything the format cannot hold.
    """
    chosen = format_of(path) if format is None else format
    raster = Raster(width=width, height=height, channels=channels, depth=depth)
    if max(width, height) > _LARGEST_SIDE[chosen]:
        raise ValueError(f"a {chosen} side is at most {_LARGEST_SIDE[chosen]} pixels, got {width} x {height}")
    for key in metadata:
        if not (1 <= len(key) <= 79 and key.isascii() and key.isprintable() and key == " ".join(key.split())):
            raise ValueError(f"a metadata key is 1 to 79 printable ASCII characters without spare spaces, got {key!r}")
    if chosen == "png":
        return PngFile(Path(path), raster, metadata, srgb=srgb, durable=durable)
    return TiffFile(Path(path), raster, metadata, durable=durable)
