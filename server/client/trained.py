"""Trainings that scripts have a server do: numpy arrays in, a model on the server out. No torch.

A map is (height, width, channels): 1, 3 or 4 channels, uint8 or uint16; the base colour is sRGB.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from blender_addon.protocol import wire
from blender_addon.protocol.training import FEATURE, STYLE, STYLE_FEATURE, TEXTURE, in_bands
from server.errors import BadRequest, Refused, TexserverError

Point = tuple[float, float]
Part = tuple[float, float, float, float]


class TrainingFailed(TexserverError):
    """The server made no model. The text says why and what to do."""


class TrainingOptions(TypedDict, total=False):
    """How maps are learned. A style takes `category`, `leave_out`, `swatch_size` and `replace` alone."""

    kind: str  # of the model: "texture", the default, or "style"; then the base colour is a painting, and the only map
    leave_out: Sequence[Part]  # parts of a painting not to be shown: top, left, height and width, as fractions
    metres: float | None  # width of the picture in reality, after straightening
    category: str  # what kind of material it is, such as "Masonry"
    corners: Sequence[Point] | None  # four points (down, across) as fractions, clockwise from top left: this part alone
    aspect: float | None  # width over height of that part in reality
    swatch_size: int | None  # shorter side that the maps are scaled down to; by default 1024, for a style 1280
    keep_light: bool  # leave slow light and drift of colour
    derive: Sequence[str]  # maps to be guessed: normal, height, roughness
    replace: bool  # the model of that name, if there is one


def request_for(
    welcome: wire.Welcome, name: str, maps: Mapping[str, NDArray[Any]], options: TrainingOptions
) -> Callable[..., wire.Train]:
    """What is sent, but for id and token. Raises Refused for what the server would refuse, before it is sent."""
    if FEATURE not in welcome.features:
        raise Refused(
            "unknown_op",
            "This server trains no models for this client: it is older, or was told not to, or this client's key may "
            "not. The server's owner can give you a key that may: texserver keys add NAME --may-train.",
        )
    kind = options.get("kind", TEXTURE)
    if kind == STYLE and STYLE_FEATURE not in welcome.features:
        raise Refused(
            "unknown_op",
            "This server is older and makes no styles from pictures: its owner can update it. Or python -m trainer "
            "--kind style makes one, which the server serves from its models folder.",
        )
    corners = options.get("corners")
    make = partial(
        wire.Train,
        name=name,
        buffers=tuple(in_bands(_buffer(part, samples) for part, samples in maps.items())),
        kind=kind,
        leave_out=tuple(tuple(float(each) for each in part) for part in options.get("leave_out", ())),
        metres=options.get("metres"),
        category=options.get("category", ""),
        corners=None if corners is None else tuple(float(each) for point in corners for each in point),
        aspect=options.get("aspect"),
        swatch_size=options.get("swatch_size"),
        keep_light=options.get("keep_light", False),
        derive=tuple(options.get("derive", ())) or None,
        replace=options.get("replace", False),
    )
    try:
        wire.parse_request(wire.encode(make(id=1, token="0" * 32)), welcome.limits)
    except (TypeError, ValueError) as error:  # no header can express it
        raise BadRequest(f"This training is not possible: {error}.") from None
    return make


def _buffer(part: str, samples: NDArray[Any]) -> wire.Buffer:
    array = np.asarray(samples)
    array = array[..., None] if array.ndim == 2 else array
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or not array.size:
        raise BadRequest(f"{part}: its shape is {list(array.shape)[:9]}; it must be height x width x 1, 3 or 4.")
    if array.dtype.kind != "u" or array.dtype.itemsize > 2:
        raise BadRequest(f"{part}: its type is {array.dtype}; it must be uint8 or uint16.")
    dtype = "uint8" if array.dtype.itemsize == 1 else "uint16"
    data = np.ascontiguousarray(array, "u1" if dtype == "uint8" else "<u2")
    height, width, channels = array.shape
    return wire.Buffer(name=part, dtype=dtype, shape=(height, width, channels), data=data.data)
