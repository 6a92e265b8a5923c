"""One unit of work for a worker: a tile of a texture or of a blend, or a whole picture in a style. No torch here."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from blender_addon.protocol import wire
from blender_addon.protocol.wire import MAX_CARRY, Data
from server.front.tile_cache import TileKey
from server.model.maps import Map
from server.model.work import Item, PaintTile, StylizePicture

NOT_GIVEN = 0  # the number of an item that no worker was given yet

Waiting = TypeVar("Waiting")


@dataclass(kw_only=True, eq=False)
class WorkItem(Generic[Waiting]):
    """What a worker computes, and who waits for it."""

    key: Hashable  # two items with the same key have the same result
    is_kept: bool  # whether its result goes into the cache
    models: tuple[str, ...]  # names
    pixels: int
    message: Item
    answer_bytes: Sequence[int]  # of each buffer that must come back
    most_carry: int | None = None  # bytes of one more that comes back; None for no such one
    waiting: list[Waiting] = field(default_factory=list)  # requests
    lost: int = 0  # workers that ended while computing it
    is_exact: bool = False  # whether its samples are the same on every device; else on those of equal arithmetic

    @property
    def number(self) -> int:
        return self.message.number

    @property
    def hashes(self) -> tuple[str, ...]:
        """Of the model files, as `models`."""
        return self.message.hashes

    def numbered(self, number: int) -> None:
        """From now on workers know it by this number."""
        self.message = replace(self.message, number=number)

    def let_go(self) -> None:
        """Nobody waits for it, so what came with the request need not be kept."""
        if isinstance(self.message, StylizePicture):
            self.message = replace(self.message, content=b"", carry=b"")


def tile_item(key: TileKey, model: str, maps: Sequence[Map], *, is_exact: bool = False) -> WorkItem[Waiting]:
    """One tile. `maps`: all of the model's, which all come back. `is_exact`: the same on every device."""
    pixels = key.tile.pixels
    return WorkItem(
        key=key,
        is_kept=True,
        models=(model,),
        pixels=pixels,
        message=PaintTile(
            number=NOT_GIVEN,
            sha256=key.sha256,
            seed=key.seed,
            size=key.size,
            tile=key.tile,
            depths=key.depths,
            edges=key.edges,
        ),
        answer_bytes=[pixels * each.channels * depth // 8 for each, depth in zip(maps, key.depths, strict=True)],
        is_exact=is_exact,
    )


def picture_item(
    key: Hashable, request: wire.Stylize, sha256: str, statistics: bytes, statistics_bytes: int, carry: Data = b""
) -> WorkItem[Waiting]:
    """One picture. `statistics`: checked for this model, or empty for its own; `statistics_bytes` come back. `carry`:
    of the frame before, for this model, or empty.
    """
    height, width, channels = request.image_shape
    return WorkItem(
        key=key,
        is_kept=False,
        models=(request.model,),
        pixels=height * width,
        message=StylizePicture(
            number=NOT_GIVEN,
            sha256=sha256,
            shape=request.content.shape,
            dtype=request.content.dtype,
            strength=request.strength,
            seed=request.seed,
            keep_colours=request.keep_colours,
            noise=request.noise,
            stroke=request.stroke,
            statistics=statistics,
            sequence=request.sequence,
            content=request.content.data,
            carry=carry,
        ),
        answer_bytes=[height * width * channels * wire.ITEM_BYTES[request.content.dtype], statistics_bytes],
        most_carry=MAX_CARRY if request.sequence else None,
    )
