"""Regions of a picture, each in a style of its own or as it is, by masks that a person painted.

The whole picture is put into every style, and the results are laid over each other: where a mask is white its style
shows, where it is black what lies below, and grey mixes. So a border is as soft as the mask. Whole numbers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from blender_addon.client.sinks import MemorySink, Sink
from blender_addon.client.style_download import IMAGE
from blender_addon.protocol.rect import Rect
from server.client.stylized import StyleParameters, Stylizer, Used, checked_content, stylized_of
from server.errors import BadRequest

NONE = "none"  # in the place of a style: the picture itself
WHITE = 65535


@dataclass(frozen=True, kw_only=True, eq=False)
class Region:
    """A part of all pictures. `mask`: (H, W) uint16, 0 outside. `style`: a model, or NONE. `name`: of its file."""

    mask: NDArray[np.uint16]
    style: str
    name: str


class RegionStylizer(Stylizer):
    """Stylizes by another stylizer, and then the regions on top, the last one uppermost.

    Every style keeps its own statistics of the first frame of a sequence. What a frame gives to the next one is that of
    all styles, one after the other.
    """

    def __init__(self, stylizer: Stylizer, regions: Sequence[Region]) -> None:
        self._stylizer, self._regions = stylizer, tuple(regions)
        self._statistics: dict[str, str] = {}

    def stylize_into(
        self,
        sink: Sink,
        model: str,
        content: NDArray[Any],
        *,
        progress: Callable[[int], None] = lambda pixels: None,
        **parameters: Unpack[StyleParameters],
    ) -> Used:
        """As Stylizer. Raises BadRequest where a mask has another size than the picture."""
        pixels = checked_content(content)
        height, width, channels = pixels.shape
        for region in self._regions:
            if region.mask.shape != (height, width):
                raise BadRequest(
                    f"region: {region.name} is {region.mask.shape[1]} x {region.mask.shape[0]} pixels and the picture "
                    f"{width} x {height}; paint the mask at the picture's size."
                )
        memory = MemorySink()
        given = unpacked(parameters.get("carry", b""), 1 + len(self._regions))
        lowest: StyleParameters = {**parameters, "carry": given[0]}
        used = self._stylizer.stylize_into(memory, model, pixels, **lowest)
        result, carries = stylized_of(memory, used).image, [used.carry]
        for count, region in enumerate(self._regions, 1):
            progress(height * width * count // (len(self._regions) + 1))
            over, carry = pixels, b""
            if region.style != NONE:
                over, carry = self._styled(region.style, pixels, {**parameters, "carry": given[count]})
            elif channels == 1:
                over = pixels.repeat(3, axis=2)
            carries.append(carry)
            share = region.mask[..., None].astype(np.int64)
            mixed = over.astype(np.int64) * share + result.astype(np.int64) * (WHITE - share)
            result = ((mixed + WHITE // 2) // WHITE).astype(pixels.dtype)
        assert memory.painting
        try:
            sink.begin(memory.painting)
            sink.write(IMAGE, Rect(0, 0, height, width), np.ascontiguousarray(result).data.cast("B"))
            sink.finish()
        except BaseException:
            sink.abort()
            raise
        progress(height * width)
        return Used(used.statistics, packed(carries))

    def _styled(self, style: str, pixels: NDArray[Any], parameters: StyleParameters) -> tuple[NDArray[Any], bytes]:
        first = self._statistics.get(style, "") if parameters.get("statistics") else ""
        own: StyleParameters = {**parameters, "statistics": first}
        found = self._stylizer.stylize(style, pixels, **own)
        self._statistics[style] = found.statistics
        return found.image, found.carry


def packed(parts: Sequence[bytes]) -> bytes:
    """Each after its length; empty where all of them are."""
    return b"".join(len(each).to_bytes(4, "little") + each for each in parts) if any(parts) else b""


def unpacked(data: bytes, count: int) -> list[bytes]:
    """So many parts; empty ones where these are not that many."""
    parts, rest = [], data
    while len(rest) >= 4:
        end = 4 + int.from_bytes(rest[:4], "little")
        parts.append(rest[4:end])
        rest = rest[end:]
    return parts if len(parts) == count else [b""] * count
