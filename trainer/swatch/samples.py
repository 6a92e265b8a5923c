"""The stored numbers of a picture file, in all channels and in full depth: for maps, which hold data and no colours.

16-bit colours and OpenEXR keep their depth: server/files/deep_picture.py and exr_file.py. No colour profile is applied.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.files.deep_picture import sixteen_bits
from server.files.exr_file import is_exr, read_exr
from server.files.picture_file import Stored, UnusablePicture, guarded, picture_bytes, quoted, stored_picture
from server.files.render_file import REC709

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
    if stored.deep and image.mode not in _GREY_MODES:  # Pillow gives grey with alpha in 8 bits alone
        return Samples(values=_unit(sixteen_bits(path, data, stored), 65535), notes=notes)
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


# ------------------------------------------------------------------------------------------------------------- OpenEXR


def _exr(path: Path, data: bytes, least_side: int, too_small: str) -> Samples:
    """The one layer of an OpenEXR file."""
    parts = read_exr(path, data, least_side, too_small)
    if len(parts) > 1:
        raise UnusablePicture(f"{quoted(path)} holds {len(parts)} pictures: save the one you mean by itself.")
    (part,) = parts
    chosen = _in_order(path, list(part.channels))
    if {part.channels[name].shape for name in chosen} != {(part.data.height, part.data.width)}:
        raise UnusablePicture(f"{quoted(path)} holds channels of different sizes: save it as plain RGB or grey.")
    primaries = part.header.get("chromaticities", REC709)
    return Samples(
        values=np.stack([part.channels[name].astype(np.float32) for name in chosen], -1),
        own_range="floating-point numbers",
        is_rec709=bool(np.allclose(np.ravel(primaries), REC709, atol=2e-3)),
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
