"""The stored numbers of a picture file, in all channels and in full depth: for maps, which hold data and no colours.

Pillow reads most formats, but cuts 16-bit colours to 8 bits. `_sixteen_bits` makes it decode them twice. OpenEXR files
are read by OpenEXR's own library. No colour profile is applied.
"""

import re
import sys
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile

from server.files.picture_file import (
    MAX_PIXELS,
    Stored,
    UnusablePicture,
    guarded,
    picture_bytes,
    quoted,
    stored_picture,
)

EXR_SUFFIX = ".exr"
_EXR = b"\x76\x2f\x31\x01"  # how such a file begins
_REC709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)  # x and y of red, green, blue and white
_XYZ = ("X", "Y", "Z")
_GREY_MODES = {"1": "L", "L": "L", "LA": "LA", "La": "LA"}
_BITS_PER_SAMPLE = 258  # tag of a TIFF


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """`values`: (height, width, 1 to 4) float32: grey, grey and alpha, RGB, or RGB and alpha.

    `own_range`: None if 0 is black and 1 is white. Else a word for numbers whose range is the file's own affair.
    """

    values: NDArray[np.float32]
    own_range: str | None = None
    is_rec709: bool = True  # False: the file names other primaries
    notes: tuple[str, ...] = ()


def is_exr(data: bytes) -> bool:
    """Whether these are the bytes of an OpenEXR file."""
    return data.startswith(_EXR)


def read_samples(path: Path, data: bytes | None = None, least_side: int = 1, too_small: str = "") -> Samples:
    """Read the picture of this file, or of its bytes. Raises UnusablePicture.

    If a side is below `least_side`, the error says that it is `too_small`.
    """
    data = picture_bytes(path) if data is None else data
    with guarded(path):
        if is_exr(data):
            return _exr(path, data, least_side, too_small)
        return _samples(path, data, stored_picture(path, data, least_side, too_small))


def glance(path: Path, side: int) -> NDArray[np.float32] | None:
    """Pixels from all over the picture, up to twice `side` along each side, in [0, 1]; None if it cannot be read."""
    try:
        data = picture_bytes(path)
        with guarded(path):
            if is_exr(data):
                values = _exr(path, data, 1, "").values
            else:
                stored = stored_picture(path, data, change=lambda image: image.draft(image.mode, (side, side)))
                values = _samples(path, data, stored).values
    except UnusablePicture:
        return None
    steps = (max(1, length // side) for length in values.shape[:2])
    return np.nan_to_num(values[tuple(slice(step // 2, None, step) for step in steps)]).clip(0, 1)


def _samples(path: Path, data: bytes, stored: Stored) -> Samples:
    image, notes = stored.upright(), tuple(stored.notes)
    if image.mode == "F":
        return Samples(values=np.asarray(image, np.float32)[..., None], own_range="floating-point numbers", notes=notes)
    if image.mode.startswith("I;16"):
        return Samples(values=_unit(np.asarray(image), 65535)[..., None], notes=notes)
    if image.mode == "I":
        values = np.asarray(image)[..., None]
        bits = max(getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, (0,)))
        if bits <= 16 and values.min() >= 0:  # PNG, and TIFF of unsigned numbers
            return Samples(values=_unit(values, 65535), notes=notes)
        return Samples(values=values.astype(np.float32), own_range="whole numbers of unknown range", notes=notes)
    if stored.deep:
        return Samples(values=_sixteen_bits(path, data, stored), notes=notes)
    if image.mode not in ("RGB", "RGBA", "P", "PA", "RGBX", *_GREY_MODES):
        raise UnusablePicture(
            f"{quoted(path)} is stored in the colours {image.mode}, but a map is data: save it as grey or RGB."
        )
    alpha = image.has_transparency_data
    mode = _GREY_MODES.get(image.mode) or ("RGBA" if alpha else "RGB")
    values = np.asarray(image.convert(mode))
    return Samples(values=_unit(values if values.ndim == 3 else values[..., None], 255), notes=notes)


def _unit(values: NDArray[Any], white: int) -> NDArray[np.float32]:
    return values.astype(np.float32) / np.float32(white)


def _sixteen_bits(path: Path, data: bytes, stored: Stored) -> NDArray[np.float32]:
    """Colours of 16 bits, (H, W, C) in [0, 1].

    Pillow keeps the high byte of each sample. With the order of bytes exchanged, it keeps the low one.
    """
    swapped = stored_picture(path, data, change=_swap_bytes)
    high, low = (np.asarray(each.upright()).astype(np.uint16) for each in (stored, swapped))
    return _unit(high * np.uint16(256) + low, 65535)


def _swap_bytes(image: ImageFile.ImageFile) -> None:
    """Make Pillow read 16-bit samples as if the other byte came first."""
    other = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}  # N: this machine's own order

    def swapped(text: str) -> str:
        return re.sub(r";16([BLN])", lambda found: f";16{other[found[1]]}", text)

    image.tile = [
        tile._replace(
            args=swapped(tile.args)
            if isinstance(tile.args, str)
            else tuple(swapped(each) if isinstance(each, str) else each for each in tile.args or ())
        )
        for tile in image.tile
    ]


# ------------------------------------------------------------------------------------------------------------- OpenEXR


def _exr(path: Path, data: bytes, least_side: int, too_small: str) -> Samples:
    """The one layer of an OpenEXR file."""
    import OpenEXR  # it takes a tenth of a second to load, and few need it

    header = OpenEXR.File(BytesIO(data), separate_channels=True, header_only=True).header()
    if header.get("type") not in (None, OpenEXR.scanlineimage, OpenEXR.tiledimage):
        raise UnusablePicture(f"{quoted(path)} holds deep pixels: save it as a flat picture.")
    (left, top), (right, bottom) = header["dataWindow"]
    width, height = int(right) - int(left) + 1, int(bottom) - int(top) + 1
    if width * height > MAX_PIXELS:
        raise UnusablePicture(
            f"{quoted(path)} has {width} x {height} pixels: scale it below {MAX_PIXELS // 10**6} megapixels."
        )
    if min(width, height) < least_side:
        raise UnusablePicture(f"{quoted(path)} is {width} x {height} px, {too_small}")
    file = OpenEXR.File(BytesIO(data), separate_channels=True)
    if len(file.parts) > 1:
        raise UnusablePicture(f"{quoted(path)} holds {len(file.parts)} pictures: save the one you mean by itself.")
    planes = {name: channel.pixels for name, channel in file.channels().items()}
    chosen = _in_order(path, list(planes))
    shapes = {planes[name].shape for name in chosen}
    if shapes != {(height, width)}:
        raise UnusablePicture(f"{quoted(path)} holds channels of different sizes: save it as plain RGB or grey.")
    values = np.stack([planes[name].astype(np.float32) for name in chosen], -1)
    primaries = header.get("chromaticities", _REC709)
    return Samples(
        values=values,
        own_range="floating-point numbers",
        is_rec709=bool(np.allclose(np.ravel(primaries), _REC709, atol=2e-3)),
    )


def _in_order(path: Path, names: list[str]) -> list[str]:
    """The channels of the one layer: grey, RGB or XYZ, with alpha if it has it."""
    layers = {name.rpartition(".")[0] for name in names}
    last: dict[str, str] = {name.rpartition(".")[2].upper(): name for name in names}
    if len(layers) == 1:
        for wanted in (("R", "G", "B"), _XYZ):
            if last.keys() == {*wanted} or last.keys() == {*wanted, "A"}:
                return [last[each] for each in (*wanted, "A") if each in last]
        colours = [name for name in last if name != "A"]
        if len(colours) == 1:
            return [last[colours[0]], *([last["A"]] if "A" in last else [])]
    raise UnusablePicture(
        f"{quoted(path)} holds the channels {', '.join(sorted(names)[:8])}: save it with R, G, B, or with one."
    )
