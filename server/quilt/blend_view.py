"""What a quilt shows of a torus before joints are blended, a little blurred: what cuts between materials look at."""

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from server.model.maps import HEIGHT_NAME, Map
from server.model.torus import Size
from server.quilt.bands import boxed, counted
from server.quilt.quilt import Quilt, eight_bits
from server.quilt.tables import extended


class Swatch:
    """The swatch of a quilt as cuts see it: `colours` in 16ths and `ranks` of heights from 0 to 255, pixel by pixel."""

    def __init__(self, quilt: Quilt, colour: int, height: int | None) -> None:
        samples = eight_bits([quilt.small[colour]])
        soft = _softened(samples, quilt.settings.wraps)
        self.spread = _histograms(samples)
        self.colours = soft.flatten(1).T.contiguous()  # (pixels, channels) int16
        self.ranks: Tensor | None = None  # (pixels,) uint8
        if height is not None:
            heights = eight_bits([quilt.small[height]])
            below = _histograms(heights)[0].cumsum(0)
            self.ranks = (255 * below // below[-1])[heights[0].long()].flatten().to(torch.uint8)


_swatches: "WeakKeyDictionary[Quilt, dict[tuple[int, int | None], Swatch]]" = WeakKeyDictionary()


def _swatch(quilt: Quilt, colour: int, height: int | None) -> Swatch:
    """Made once for each quilt: it takes a tenth of what its tables take."""
    made = _swatches.setdefault(quilt, {})
    if (colour, height) not in made:
        made[colour, height] = Swatch(quilt, colour, height)
    return made[colour, height]


class View:
    """What a quilt shows at any place of one torus."""

    def __init__(self, quilt: Quilt, maps: Sequence[Map], seed: int, size: Size) -> None:
        self._quilt, _ = quilt.fitted(size)
        self._seed, self._size = seed, size
        names = [each.name for each in quilt.maps]
        has_height = any(each.name == HEIGHT_NAME for each in maps)
        height = names.index(HEIGHT_NAME) if has_height else None
        self._swatch = _swatch(self._quilt, names.index(maps[0].name), height)

    @property
    def spread(self) -> Tensor:
        """How often each of 256 values comes in the swatch: (channels, 256) int64."""
        return self._swatch.spread

    def at(self, ys: Tensor, xs: Tensor) -> tuple[Tensor, Tensor | None]:
        """Colours (rows, columns, channels) and ranks of heights (rows, columns) from 0 to 255, int32."""
        settings = self._quilt.settings
        places = self._quilt.places(self._seed, self._size, ys, xs).div(settings.factor, rounding_mode="floor")
        rows, columns = (
            _inside(places[..., axis], side, wraps)
            for axis, (side, wraps) in enumerate(zip(settings.plan, settings.wraps, strict=True))
        )
        number = (rows * settings.plan[1] + columns).flatten()
        colours = self._swatch.colours.index_select(0, number).to(torch.int32).view(*rows.shape, -1)
        ranks = self._swatch.ranks
        return colours, None if ranks is None else ranks.index_select(0, number).to(torch.int32).view(rows.shape)


def mean_difference(one: View, other: View) -> int:
    """Of two pixels drawn by chance from two swatches, summed over channels, in 16ths; at least 1."""
    values = torch.arange(256)
    apart = (values[:, None] - values[None]).abs()
    total = sum(int((a[:, None] * b[None] * apart).sum()) for a, b in zip(one.spread, other.spread, strict=True))
    return max(1, 16 * total // (int(one.spread[0].sum()) * int(other.spread[0].sum())))


def _inside(places: Tensor, side: int, wraps: bool) -> Tensor:
    """Pixels of the swatch that are shown at these places, a few of which lie outside."""
    if wraps:
        return places % side
    places = places % (2 * side)
    return torch.where(places >= side, 2 * side - 1 - places, places)


def _softened(colour: Tensor, wraps: tuple[bool, bool]) -> Tensor:
    """(1, 2, 1) / 4 each way, in 16ths: (channels, height, width) int16."""
    values = counted(colour).to(torch.int16)
    for dimension in (1, 2):
        line = extended(values.shape[dimension], 1, wraps[dimension - 1], values.device)
        values = boxed(boxed(values.index_select(dimension, line), dimension, 2), dimension, 2) >> 2
    return values


def _histograms(samples: Tensor) -> Tensor:
    """How often each of 256 values comes: (channels, height, width) uint8 to (channels, 256) int64."""
    return torch.stack([torch.bincount(each.flatten().long(), minlength=256) for each in samples])
