"""Pictures as scripts hand them in to be stylized, and as they get them back: numpy arrays. No torch.

A picture is (height, width, channels): 1 channel (grey), 3 (RGB) or 4 (RGB and alpha), sRGB, uint8 or uint16.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blender_addon.sinks import MemorySink
from blender_addon.stylize_job import IMAGE
from server.errors import BadRequest


@dataclass(frozen=True, kw_only=True, eq=False)
class Stylized:
    """A picture in a style: of the content's height, width and type, with 4 channels where it has 4, and else 3.

    `statistics` is for the other frames of the same sequence, so that they do not flicker.
    """

    image: NDArray[Any]
    statistics: str = field(repr=False)


def stylized_of(sink: MemorySink, statistics: str) -> Stylized:
    """What a finished sink holds."""
    assert sink.painting
    height, width = sink.painting.size
    samples = np.frombuffer(sink.pixels[IMAGE], "u1" if sink.painting.depth == 8 else "<u2")
    return Stylized(image=samples.reshape(height, width, -1), statistics=statistics)


def checked_content(content: NDArray[Any]) -> NDArray[Any]:
    """The picture in one piece, little-endian; (height, width) is grey. Raises BadRequest for what is no picture."""
    array = np.asarray(content)
    array = array[..., None] if array.ndim == 2 else array
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or not array.size:
        raise BadRequest(f"content: its shape is {list(np.shape(content))[:9]}; it must be height x width x 1, 3 or 4.")
    if array.dtype.kind != "u" or array.dtype.itemsize > 2:
        raise BadRequest(
            f"content: its type is {array.dtype}; it must be uint8 or uint16, sRGB. Linear light needs a view first."
        )
    return np.ascontiguousarray(array, "u1" if array.dtype.itemsize == 1 else "<u2")
