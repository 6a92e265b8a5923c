"""Renders in OpenEXR as pictures: which layer is the picture, and its scene-linear light as a screen shows it.

Light is brought to the primaries of sRGB, multiplied by 2^exposure, and encoded by sRGB's curve, which is Blender's
view "Standard"; what is brighter than white becomes white. A film-like view, as AgX, looks otherwise. Alpha becomes
unassociated. The result is (height, width, 1, 3 or 4) uint16, of the display window: what a file does not cover is
black and transparent.

Sources: IEC 61966-2-1 (the curve); SMPTE RP 177 (from primaries to a matrix); Lam 1985 (Bradford's adaptation to
another white); https://github.com/AcademySoftwareFoundation/ColorInterop (the names of colour spaces).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.files.exr_file import ExrPart, read_exr
from server.files.picture_file import Picture, UnusablePicture, guarded, quoted

LINEAR = "The linear light of the OpenEXR file was converted to sRGB."
BRIGHT = "Parts are brighter than white, and became white; --exposure -1 halves the light."
NO_NUMBERS = "Some pixels are infinite or no numbers (NaN), and became white or black."
WIDE = "The colours were converted from other primaries to those of sRGB."

# Names of layers that are the picture, the likeliest first; of any program, so without case.
_PICTURES = ("", "composite.combined", "combined", "composite", "beauty", "rgba", "rgb", "ci", "c", "color", "colour")
_VIEW = re.compile(r"(^|\.)(left|right)$")  # of stereo; the left one comes first
_COLOURS, _LUMINANCE, _ALPHA = ("R", "G", "B"), "Y", "A"

_D65, _D60 = (0.3127, 0.3290), (0.32168, 0.33767)
REC709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, *_D65)  # x and y of red, green, blue and white
_PRIMARIES = {
    "lin_rec709_scene": REC709,
    "lin_p3d65_scene": (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, *_D65),
    "lin_rec2020_scene": (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *_D65),
    "lin_ap1_scene": (0.713, 0.293, 0.165, 0.830, 0.128, 0.044, *_D60),
    "lin_ap0_scene": (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, *_D60),
}
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_CLEAR = 1e-6  # alpha below this is none; such a pixel shows its light as it is
_MANY = 0.001  # a share of pixels that is told


def read_render(path: Path, data: bytes, exposure: float = 0.0) -> Picture:
    """The picture in an OpenEXR file of these bytes. `exposure`: in stops. Raises UnusablePicture."""
    with guarded(path):
        part, names = _picture(path, read_exr(path, data))
        notes = [LINEAR]
        planes = np.stack([_on_display(part, part.channels[name]) for name in names], -1)
        if not np.isfinite(planes).all():
            notes.append(NO_NUMBERS)
            planes = np.nan_to_num(planes, nan=0.0, posinf=65504.0, neginf=0.0)
        light, alpha = (planes, None) if len(names) in (1, 3) else (planes[..., :-1], planes[..., -1:].clip(0, 1))
        if alpha is not None:
            light = np.divide(light, alpha, out=light.copy(), where=alpha > _CLEAR)
        primaries = _primaries(part.header)
        if light.shape[2] == 3 and not np.allclose(primaries, REC709, atol=2e-3):
            notes.append(WIDE)
            light = (light @ to_rec709(primaries).T.astype(np.float32)).clip(0, None)
        light = light * np.float32(2.0**exposure)
        if (light > 1).any(2).mean() > _MANY:
            notes.append(BRIGHT)
        seen = encoded(light)
        if alpha is not None:
            seen = np.concatenate([seen if seen.shape[2] == 3 else seen.repeat(3, 2), alpha], 2)
        pixels = (seen * 65535 + 0.5).astype(np.uint16)
    return Picture(pixels=pixels, notes=tuple(notes))


def encoded(light: NDArray[Any]) -> NDArray[Any]:
    """Linear light as sRGB shows it, in [0, 1]."""
    light = light.clip(0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light.clip(1e-9, None) ** (1 / 2.4) - 0.055)


def to_rec709(primaries: Iterable[float]) -> NDArray[np.float64]:
    """The 3 x 3 matrix from light of these primaries and white, as REC709, to that of sRGB, white to white."""
    from_xyz, own, white, wanted = np.linalg.inv(_to_xyz(REC709)), tuple(primaries), _BRADFORD, _white(REC709)
    gains = (white @ wanted) / (white @ _white(own))
    adapted: NDArray[np.float64] = from_xyz @ np.linalg.inv(white) @ np.diag(gains) @ white @ _to_xyz(own)
    return adapted


def _to_xyz(primaries: Iterable[float]) -> NDArray[np.float64]:
    xy = np.asarray(tuple(primaries)).reshape(4, 2)[:3]
    columns = np.array([xy[:, 0] / xy[:, 1], np.ones(3), (1 - xy.sum(1)) / xy[:, 1]])
    return columns * np.linalg.solve(columns, _white(primaries))


def _white(primaries: Iterable[float]) -> NDArray[np.float64]:
    x, y = tuple(primaries)[6:]
    return np.array([x / y, 1, (1 - x - y) / y])


def _primaries(header: Mapping[str, Any]) -> tuple[float, ...]:
    told = header.get("chromaticities")
    if told is not None and len(np.ravel(told)) == 8:
        return tuple(np.ravel(told).astype(float).tolist())
    return _PRIMARIES.get(str(header.get("colorInteropID", "")), REC709)


# --------------------------------------------------------------------------------------------------------------- layers


def _picture(path: Path, parts: list[ExrPart]) -> tuple[ExrPart, list[str]]:
    """The part and the channels that are the picture: grey, or RGB, with alpha if it has it."""
    layers = list(_layers(parts))
    for wanted in _PICTURES:
        for name, part, channels in layers:
            if name == wanted or (wanted and name.rpartition(".")[2] == wanted):
                return part, channels
    for _, part, channels in layers:
        if len(layers) == 1 or (part is parts[0] and "." not in channels[0]):
            return part, channels
    names = ", ".join(sorted({name for part in parts for name in part.channels})[:8])
    raise UnusablePicture(
        f"{quoted(path)} holds the channels {names}, of which none is plainly the picture: save the render itself, "
        "with R, G and B."
    )


def _layers(parts: list[ExrPart]) -> Iterator[tuple[str, ExrPart, list[str]]]:
    """Every layer of colours or of luminance: its name, or that of its part, in small letters, the part, and its
    channels in order.
    """
    for part in parts:
        layers: dict[str, dict[str, str]] = {}
        for name, pixels in part.channels.items():
            layer, _, kind = name.rpartition(".")
            if pixels.shape == (part.data.height, part.data.width):  # and not one of every second pixel
                layers.setdefault(layer, {})[kind.upper()] = name
        for layer, kinds in layers.items():
            colours = next((each for each in (_COLOURS, (_LUMINANCE,)) if kinds.keys() >= {*each}), ())
            if colours and not (colours == (_LUMINANCE,) and {"X", "Z"} & kinds.keys()):
                name = _VIEW.sub("", (layer or str(part.header.get("name", ""))).lower())
                yield name, part, [kinds[each] for each in (*colours, _ALPHA) if each in kinds]


def _on_display(part: ExrPart, plane: NDArray[Any]) -> NDArray[np.float32]:
    """A channel over the display window."""
    shown, data = part.display, part.data
    if shown == data:
        return plane.astype(np.float32)
    result = np.zeros((shown.height, shown.width), np.float32)
    top, left = max(shown.top, data.top), max(shown.left, data.left)
    bottom, right = min(shown.bottom, data.bottom), min(shown.right, data.right)
    if bottom > top and right > left:
        result[top - shown.top : bottom - shown.top, left - shown.left : right - shown.left] = plane[
            top - data.top : bottom - data.top, left - data.left : right - data.left
        ]
    return result
