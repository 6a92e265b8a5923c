"""How good a map set is: each map by itself, and how well the maps fit together.

Each map is turned into a picture of three channels and measured by trainer/judge/measures.py. Two more numbers say how
well the maps fit together:

    edges   correlation of the map's edges with those of the base colour, over the swatch's own. An edge is the length
    of
            the step from pixel to pixel, slightly blurred. 1: aligned as in the swatch, 0: not aligned
    relief  median angle in degrees between the normals and the slope of the height, over the swatch's own; the height's
            scale is fitted to the swatch

Shapes: samples and swatch are (1, channels of all maps, H, W) in [0, 1].
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from server.model.maps import BASE_COLOUR, HEIGHT, NORMAL, Map, channels_of, has_map
from trainer.judge import measures
from trainer.swatch.relief import slopes, steepness_of

BLUR_PX = 5  # side of the blur of edges, so that lines close to each other count as aligned

Distance = Callable[[Tensor], float]


@dataclass(frozen=True, kw_only=True)
class MapFigures:
    """The measurements of one map; None if they do not apply."""

    gram: float | None
    patch: float
    seam: float
    edges: float | None
    relief: float | None


class MapJudge:
    """Measures map sets against one swatch. `grams` gives the Gram statistics of a picture; None: no VGG-19."""

    def __init__(
        self, swatch: Tensor, maps: Sequence[Map], grams: Callable[[Tensor], measures.Statistics] | None
    ) -> None:
        self.swatch, self.maps = swatch, tuple(maps)
        self.distances: dict[str, dict[str, Distance]] = {}
        for each in self.maps:
            own = self._picture(swatch, each)
            found = {"patch": measures.multiple(own, measures.patch_statistics, measures.patch_distance)}
            if grams:
                found["gram"] = measures.multiple(own, grams, measures.gram_distance)
            self.distances[each.name] = found

    def _picture(self, pixels: Tensor, map: Map) -> Tensor:
        return pixels[:, channels_of(self.maps, map.name)].expand(-1, 3, -1, -1).contiguous()

    def figures(self, sample: Tensor, maps: Sequence[Map]) -> Mapping[str, MapFigures]:
        """The figures by map, for the maps that the swatch has too."""
        found = {}
        for each in [each for each in self.maps if has_map(maps, each)]:
            picture = sample[:, channels_of(maps, each.name)].expand(-1, 3, -1, -1).contiguous()
            distances = self.distances[each.name]
            found[each.name] = MapFigures(
                gram=distances["gram"](picture) if "gram" in distances else None,
                patch=distances["patch"](picture),
                seam=measures.seam(picture),
                edges=None if each == BASE_COLOUR else self._edges(sample, maps, each),
                relief=self._relief(sample, maps) if each == NORMAL and has_map(self.maps, HEIGHT) else None,
            )
        return found

    def _edges(self, sample: Tensor, maps: Sequence[Map], map: Map) -> float:
        own = edge_correlation(self.swatch, self.maps, map)
        return edge_correlation(sample, maps, map) / own if abs(own) > 0.02 else float("nan")

    def _relief(self, sample: Tensor, maps: Sequence[Map]) -> float | None:
        if not has_map(maps, HEIGHT):
            return None
        steepness = steepness_of(self.swatch, self.maps)
        return relief_angle(sample, maps, steepness) / max(relief_angle(self.swatch, self.maps, steepness), 1e-6)


def edge_correlation(pixels: Tensor, maps: Sequence[Map], map: Map) -> float:
    """Pearson's correlation of a map's edges with those of the base colour."""
    one, other = (edges(pixels[:, channels_of(maps, each.name)]).flatten() for each in (BASE_COLOUR, map))
    return float(torch.corrcoef(torch.stack([one, other]))[0, 1])


def edges(pixels: Tensor) -> Tensor:
    """Length of the step at each pixel, blurred: (1, C, H, W) -> (H - 1, W - 1)."""
    down, right = pixels.diff(dim=2)[..., :-1], pixels.diff(dim=3)[..., :-1, :]
    length = (down.square() + right.square()).sum(1, keepdim=True).sqrt()
    return F.avg_pool2d(length, BLUR_PX, 1, BLUR_PX // 2, count_include_pad=False)[0, 0]


def relief_angle(pixels: Tensor, maps: Sequence[Map], steepness: float) -> float:
    """Median angle in degrees between the normals and those of the height."""
    normals = F.normalize(pixels[:, channels_of(maps, NORMAL.name)] * 2 - 1, dim=1)[..., 1:-1, 1:-1]
    _, steps = slopes(pixels, maps)
    derived = torch.cat([-steepness * steps[:, :1], steepness * steps[:, 1:], torch.ones_like(steps[:, :1])], 1)
    cosine = (normals * F.normalize(derived, dim=1)).sum(1).clamp(-1, 1)
    return float(torch.rad2deg(torch.arccos(cosine)).median())
