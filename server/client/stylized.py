"""Pictures that scripts stylize, and the results: numpy arrays. No torch.

A picture is (height, width, channels): 1 channel (grey), 3 (RGB) or 4 (RGB and alpha), sRGB, uint8 or uint16.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from blender_addon.client.sinks import MemorySink, Sink
from blender_addon.client.style_download import IMAGE
from server.errors import BadRequest


@dataclass(frozen=True, kw_only=True, eq=False)
class Stylized:
    """A picture in a style: of the content's height, width and type, with 4 channels where it has 4, and else 3.

    Pass `statistics` on with the other frames of the same sequence, and `carry`, which is empty for pictures by
    themselves, with the next one, so that they do not flicker.
    """

    image: NDArray[Any]
    statistics: str = field(repr=False)
    carry: bytes = field(default=b"", repr=False)


class Used(NamedTuple):
    """What a picture was painted with: its statistics, and what the next frame of a sequence takes from it."""

    statistics: str
    carry: bytes


class StyleParameters(TypedDict, total=False):
    """How a picture is put into a style."""

    strength: float  # from 0, which is the picture itself, to 1, the default
    seed: int  # of the noise, in [0, 2^64)
    keep_colours: bool  # the style's light and dark with the picture's colours
    noise: float  # its magnitude, from 0 to 10; 1 is the magnitude of the training
    stroke: float  # the size of strokes, from 0.25 to 4; networks have one size
    statistics: str  # those of the first frame of a sequence; "" for the picture's own
    carry: bytes | None  # that of the frame before; b"" for the first of a sequence, None for a picture by itself


class Stylizer(ABC):
    """What puts pictures into a style: a server, or this process."""

    @abstractmethod
    def stylize_into(
        self,
        sink: Sink,
        model: str,
        content: NDArray[Any],
        *,
        progress: Callable[[int], None] = lambda pixels: None,
        **parameters: Unpack[StyleParameters],
    ) -> Used:
        """stylize() into any sink, as its one map "image". Also raises what the sink raises."""

    def stylize(self, model: str, content: NDArray[Any], **parameters: Unpack[StyleParameters]) -> Stylized:
        """The picture in the model's style; see StyleParameters.

        `content`: (height, width, 1, 3 or 4 channels), uint8 or uint16, sRGB. Raises BadRequest, and what painting a
        texture there raises.
        """
        sink = MemorySink()
        return stylized_of(sink, self.stylize_into(sink, model, content, **parameters))


def stylized_of(sink: MemorySink, used: Used) -> Stylized:
    """The picture in a finished sink."""
    assert sink.painting
    height, width = sink.painting.size
    samples = np.frombuffer(sink.pixels[IMAGE], "u1" if sink.painting.maps[0].depth == 8 else "<u2")
    return Stylized(image=samples.reshape(height, width, -1), statistics=used.statistics, carry=used.carry)


def checked_content(content: NDArray[Any]) -> NDArray[Any]:
    """The picture as contiguous little-endian samples; (height, width) is grey. Raises BadRequest for other arrays."""
    array = np.asarray(content)
    array = array[..., None] if array.ndim == 2 else array
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or not array.size:
        raise BadRequest(f"content: its shape is {list(np.shape(content))[:9]}; it must be height x width x 1, 3 or 4.")
    if array.dtype.kind != "u" or array.dtype.itemsize > 2:
        raise BadRequest(
            f"content: its type is {array.dtype}; it must be uint8 or uint16, sRGB. Linear light needs a view first."
        )
    return np.ascontiguousarray(array, "u1" if array.dtype.itemsize == 1 else "<u2")
