"""The tiles that were computed last. Asked for again, they need no worker."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
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


@dataclass(frozen=True)
class KeptTile:
    """The samples of a tile, and who computed them."""

    planes: Planes
    painter: Hashable


class TileCache:
    """Tiles by key, of at most `most` bytes together; the least recently used are dropped first."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.bytes = self.hits = 0
        self._tiles: OrderedDict[Hashable, KeptTile] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tiles)

    def get(self, key: Hashable) -> KeptTile | None:
        kept = self._tiles.get(key)
        if kept is not None:
            self.hits += 1
            self._tiles.move_to_end(key)
        return kept

    def put(self, key: Hashable, planes: Planes, painter: Hashable = None) -> None:
        size = _bytes(planes)
        if size > self.most or key in self._tiles:
            return
        self._tiles[key] = KeptTile(planes, painter)
        self.bytes += size
        while self.bytes > self.most:
            _, dropped = self._tiles.popitem(last=False)
            self.bytes -= _bytes(dropped.planes)

    def drop_all_of(self, painter: Hashable) -> int:
        """Forget the tiles of this one; how many they were."""
        theirs = [key for key, kept in self._tiles.items() if kept.painter == painter]
        for key in theirs:
            self.bytes -= _bytes(self._tiles.pop(key).planes)
        return len(theirs)


def _bytes(planes: Planes) -> int:
    return sum(plane.nbytes for plane in planes)
