"""Regions of a picture, each in a style of its own or as it is, by masks that a person painted.

The whole picture is put into every style, and the results are laid over each other: where a mask is white its style
shows, where it is black what lies below, and grey mixes. So a border is as soft as the mask. Whole numbers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from blender_addon.client.region_download import joined, packed, split, unpacked
from blender_addon.client.sinks import MemorySink, Sink
from blender_addon.client.style_download import IMAGE, StylizedPicture
from blender_addon.pictures.region_mix import Letter, mixed_row
from blender_addon.protocol.rect import Rect
from server.client.stylized import StyleParameters, Stylizer, Used, checked_content, stylized_of
from server.errors import BadRequest

NONE = "none"  # in the place of a style: the picture itself


@dataclass(frozen=True, kw_only=True, eq=False)
class Region:
    """A part of all pictures. `mask`: (H, W) uint16, 0 outside. `style`: a model, or NONE. `name`: of its file."""

    mask: NDArray[np.uint16]
    style: str
    name: str


class RegionStylizer(Stylizer):
    """Stylizes by another stylizer, and then the regions on top, the last one uppermost.

    Every style keeps its own statistics of the first frame of a sequence. They, and what a frame gives to the next one,
    are those of all styles, one after the other. The add-on does the same (blender_addon/client/region_download.py).
    """

    def __init__(self, stylizer: Stylizer, regions: Sequence[Region]) -> None:
        self._stylizer, self._regions = stylizer, tuple(regions)

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
        count = 1 + len(self._regions)
        taken = parameters.get("carry")
        carries: Sequence[bytes | None] = [None] * count if taken is None else unpacked(taken, count)
        own: list[StyleParameters] = [
            {**parameters, "statistics": statistics, "carry": carry}
            for statistics, carry in zip(split(parameters.get("statistics", ""), count), carries, strict=True)
        ]
        every = [self._stylizer.stylize_into(memory, model, pixels, **own[0])]
        result = stylized_of(memory, every[0]).image
        for number, region in enumerate(self._regions, 1):
            progress(height * width * number // count)
            over, used = pixels if channels > 1 else pixels.repeat(3, axis=2), Used("", b"")
            if region.style != NONE:
                styled = self._stylizer.stylize(region.style, pixels, **own[number])
                over, used = styled.image, Used(styled.statistics, styled.carry)
            every.append(used)
            result = _laid(result, over, region.mask)
        painting = memory.painting
        if isinstance(painting, StylizedPicture):
            painting = replace(painting, regions=tuple(f"{each.name}={each.style}" for each in self._regions))
        assert painting
        try:
            sink.begin(painting)
            sink.write(IMAGE, Rect(0, 0, height, width), result.data.cast("B"))
            sink.finish()
        except BaseException:
            sink.abort()
            raise
        progress(height * width)
        return Used(joined([each.statistics for each in every]), packed([each.carry for each in every]))


def _laid(below: NDArray[Any], above: NDArray[Any], mask: NDArray[np.uint16]) -> NDArray[Any]:
    """One picture over another, row by row."""
    letter: Letter = "B" if below.dtype.itemsize == 1 else "H"
    parts = (np.ascontiguousarray(each) for each in (below, above, mask))
    rows = zip(*parts, strict=True)
    laid = b"".join(mixed_row(b.data.cast("B"), a.data.cast("B"), m.data.cast("B"), letter, "H") for b, a, m in rows)
    return np.frombuffer(laid, below.dtype).reshape(below.shape)
