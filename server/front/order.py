"""What a worker is told to compute, as values: one tile of a texture, or one picture in a style. No torch here.

Source: server/worker/worker.py reads these messages; server/front/crew.py hands them out.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from blender_addon.protocol import wire
from server.front.tile_cache import TileKey
from server.model.maps import Map


@dataclass(frozen=True, kw_only=True, eq=False)
class Order:
    """One task, whoever does it. `key` is the same for what need be done only once; `keeps`: and may be kept."""

    key: Hashable
    keeps: bool
    sha256: str  # of the model file
    model: str
    pixels: int
    says: Mapping[str, Any]  # the message, but for the task's number and the model
    buffers: Sequence[wire.Data] = ()  # that go with it
    answer_bytes: Sequence[int]  # of each buffer that must come back


def tile_order(key: TileKey, model: str, maps: Sequence[Map]) -> Order:
    """One tile. `maps`: all of the model's, which all come back."""
    size, tile = key.size, key.tile
    pixels = tile.height * tile.width
    return Order(
        key=key,
        keeps=True,
        sha256=key.sha256,
        model=model,
        pixels=pixels,
        says={
            "do": "paint",
            "seed": key.seed,
            "size": [size.height, size.width],
            "tile": [tile.top, tile.left, tile.height, tile.width],
            "depths": list(key.depths),
        },
        answer_bytes=[pixels * each.channels * depth // 8 for each, depth in zip(maps, key.depths, strict=True)],
    )


def picture_order(key: Hashable, request: wire.Stylize, sha256: str, statistics: bytes, statistics_bytes: int) -> Order:
    """One picture. `statistics`: checked for this model, or empty for its own; `statistics_bytes` come back."""
    height, width, channels = request.image_shape
    return Order(
        key=key,
        keeps=False,
        sha256=sha256,
        model=request.model,
        pixels=height * width,
        says={
            "do": "stylize",
            "shape": list(request.content.shape),
            "dtype": request.content.dtype,
            "strength": request.strength,
            "seed": request.seed,
            "keep_colours": request.keep_colours,
            "noise": request.noise,
            "statistics": statistics,
        },
        buffers=(request.content.data,),
        answer_bytes=[height * width * channels * wire.ITEM_BYTES[request.content.dtype], statistics_bytes],
    )
