"""The tiles that were computed last. Asked for again, they need no worker."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import NamedTuple

from blender_addon.protocol.edges import Edges
from server.model.maps import Depth
from server.model.torus import Size, Window


class TileKey(NamedTuple):
    """Everything that a tile's samples depend on, because a texture is a pure function."""

    sha256: str  # of the model file
    seed: int
    size: Size
    tile: Window
    depths: tuple[Depth, ...]  # of each map of the model
    edges: Edges | None = None


Planes = tuple[memoryview, ...]  # of a tile: the samples of each map of the model, row-major, interleaved


class TileCache:
    """Tiles by key, of at most `most` bytes together; the least recently used are dropped first."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.bytes = self.hits = 0
        self._tiles: OrderedDict[Hashable, Planes] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tiles)

    def get(self, key: Hashable) -> Planes | None:
        planes = self._tiles.get(key)
        if planes is not None:
            self.hits += 1
            self._tiles.move_to_end(key)
        return planes

    def put(self, key: Hashable, planes: Planes) -> None:
        size = _bytes(planes)
        if size > self.most or key in self._tiles:
            return
        self._tiles[key] = planes
        self.bytes += size
        while self.bytes > self.most:
            _, dropped = self._tiles.popitem(last=False)
            self.bytes -= _bytes(dropped)


def _bytes(planes: Planes) -> int:
    return sum(plane.nbytes for plane in planes)
