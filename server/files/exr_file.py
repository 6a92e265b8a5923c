"""Opens OpenEXR files with OpenEXR's own library, after a look at what their headers claim.

A file has parts, a part has channels, and the name of a channel ends in its kind: `ViewLayer.Combined.R`. Channels are
(height, width) float16, float32 or uint32, of the part's data window, which may be larger or smaller than the picture
(the display window).

Source: https://openexr.com/en/latest/TechnicalIntroduction.html
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blender_addon.protocol.rect import Rect
from server.files.picture_file import MAX_PIXELS, UnusablePicture, quoted

EXR_SUFFIX = ".exr"
MOST_BYTES = 1 << 32  # of all channels, which are decoded together
_EXR = b"\x76\x2f\x31\x01"  # how such a file begins


@dataclass(frozen=True, kw_only=True, eq=False)
class ExrPart:
    """One picture of a file. `channels`: by name. `data`: what they cover, on the same axes as the `display` window,
    which is the picture.
    """

    header: Mapping[str, Any]
    channels: Mapping[str, NDArray[Any]]
    data: Rect
    display: Rect


def is_exr(data: bytes) -> bool:
    """Whether these are the bytes of an OpenEXR file."""
    return data.startswith(_EXR)


def read_exr(path: Path, data: bytes, least_side: int = 1, too_small: str = "") -> list[ExrPart]:
    """All parts of the file with these bytes. Use it within `guarded`.

    If a side is below `least_side`, the error says that it is `too_small`. Raises UnusablePicture.
    """
    import OpenEXR  # it takes a tenth of a second to load, and few need it

    flat = (None, OpenEXR.scanlineimage, OpenEXR.tiledimage)
    with _silence():
        headers = [part.header for part in OpenEXR.File(BytesIO(data), separate_channels=True, header_only=True).parts]
    claimed = 0
    for header in headers:
        if header.get("type") not in flat:
            raise UnusablePicture(f"{quoted(path)} holds deep pixels: save it as a flat picture.")
        for name in ("dataWindow", "displayWindow"):
            place = _window(header[name])
            if place.pixels > MAX_PIXELS:
                raise UnusablePicture(
                    f"{quoted(path)} has {place.width} x {place.height} pixels: "
                    f"scale it below {MAX_PIXELS // 10**6} megapixels."
                )
            if min(place.height, place.width) < least_side:
                raise UnusablePicture(f"{quoted(path)} is {place.width} x {place.height} px, {too_small}")
        claimed += 4 * _window(header["dataWindow"]).pixels * len(header["channels"])
    if claimed > MOST_BYTES:
        raise UnusablePicture(
            f"{quoted(path)} holds more than {MOST_BYTES >> 30} GiB of channels: save the picture without its passes."
        )
    with _silence():
        parts = OpenEXR.File(BytesIO(data), separate_channels=True).parts
    if len(parts) < len(headers):  # it leaves out what it cannot decode
        raise ValueError("a part cannot be decoded")
    return [
        ExrPart(
            header=part.header,
            channels={name: channel.pixels for name, channel in part.channels.items()},
            data=_window(part.header["dataWindow"]),
            display=_window(part.header["displayWindow"]),
        )
        for part in parts
    ]


def _window(corners: Any) -> Rect:
    (left, top), (right, bottom) = np.asarray(corners).astype(int).tolist()
    return Rect(top, left, bottom - top + 1, right - left + 1)


@contextmanager
def _silence() -> Iterator[None]:
    """Keep the library from printing: what is wrong becomes a sentence of ours, and standard output is for results.

    It prints by Python to standard output, and by itself to standard error.
    """
    if sys.stderr is not None:
        sys.stderr.flush()
    with redirect_stdout(StringIO()), Path(os.devnull).open("wb") as nowhere:
        try:
            kept = os.dup(2)
        except OSError:  # there is none, as in a program with windows
            yield
            return
        try:
            os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
