"""Sinks that convert maps to the form that some programs need, and pass them on to another sink.

A normal map for DirectX, whose green points the other way; and ambient occlusion, roughness and metallic in one
picture, `orm`, for game engines. Both convert part by part, and hold at most one part.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from blender_addon.client.sinks import PaintedMap, Painting, Sink
from blender_addon.pictures.draft import Data
from blender_addon.protocol.rect import Rect
from server.errors import BadRequest
from server.model.maps import NORMAL_NAME

ORM: Final = "orm"
PACKED: Final = ("ao", "roughness", "metallic")  # red, green, blue
WITHOUT: Final = (1, 0, 0)  # for a map that the model lacks: in full light, no metal


class DirectxNormals:
    """Flips the green channel of the map `normal`, which models paint for OpenGL.

    begin() raises BadRequest if there is no such map.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._dtype = "u1"

    def begin(self, painting: Painting) -> None:
        depth = next((each.depth for each in painting.maps if each.name == NORMAL_NAME and each.channels == 3), None)
        if depth is None:
            raise BadRequest(
                f"normals: no map {NORMAL_NAME!r} of {painting.model!r} is painted here, so nothing can be turned into "
                "DirectX's; leave it out."
            )
        self._dtype = f"<u{depth // 8}"
        self._sink.begin(_Directx(**{each.name: getattr(painting, each.name) for each in fields(Painting)}))

    def write(self, map: str, rect: Rect, data: Data) -> None:
        if map == NORMAL_NAME:
            samples = np.frombuffer(data, self._dtype).reshape(-1, 3).copy()
            samples[:, 1] = np.iinfo(samples.dtype).max - samples[:, 1]
            data = samples.data.cast("B")
        self._sink.write(map, rect, data)

    def finish(self) -> None:
        self._sink.finish()

    def abort(self) -> None:
        self._sink.abort()


@dataclass(frozen=True, kw_only=True)
class _Directx(Painting):
    """A painting whose files say that their normals are DirectX's."""

    def provenance(self, map: PaintedMap) -> dict[str, str]:
        """For the file of one map."""
        return super().provenance(map) | ({"Normals": "directx"} if map.name == NORMAL_NAME else {})


class OrmSink:
    """Passes on `orm`, of 3 channels, instead of ao (red), roughness (green) and metallic (blue).

    The same part of these three must come one after the other, as all painters here send them. Without ao, red is
    full; without metallic, blue is 0. begin() raises BadRequest if there is no roughness.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._maps: dict[str, PaintedMap] = {}  # those that are packed
        self._most = 0  # the largest sample
        self._dtype = "u1"
        self._place: Rect | None = None  # of the part that is being packed
        self._part: NDArray[Any] = np.empty(0)
        self._missing: set[str] = set()  # from it

    def begin(self, painting: Painting) -> None:
        names = [each.name for each in painting.maps]
        check_orm(painting.model, names)
        self._maps = {each.name: each for each in painting.maps if each.name in PACKED}
        for each in self._maps.values():
            if each.channels != 1:
                raise BadRequest(f"orm: the map {each.name!r} has {each.channels} channels, and one is packed.")
        depth = max(each.depth for each in self._maps.values())
        self._most, self._dtype = 2**depth - 1, f"<u{depth // 8}"
        orm = PaintedMap(name=ORM, channels=3, colour_space="linear", depth=depth)
        place = min(names.index(name) for name in self._maps)
        maps = [each for each in painting.maps if each.name not in PACKED]
        self._sink.begin(replace(painting, maps=(*maps[:place], orm, *maps[place:])))

    def write(self, map: str, rect: Rect, data: Data) -> None:
        if map not in self._maps:
            self._sink.write(map, rect, data)
            return
        if self._place != rect:
            assert not self._missing
            self._place, self._missing = rect, set(self._maps)
            self._part = np.empty((rect.height, rect.width, 3), self._dtype)
            self._part[:] = [self._most * each for each in WITHOUT]
        depth = self._maps[map].depth
        samples = np.frombuffer(data, f"<u{depth // 8}").reshape(rect.height, rect.width)
        self._part[..., PACKED.index(map)] = samples * self._part.dtype.type(self._most // (2**depth - 1))
        self._missing.remove(map)
        if not self._missing:
            self._place = None
            self._sink.write(ORM, rect, self._part.data.cast("B"))

    def finish(self) -> None:
        self._sink.finish()

    def abort(self) -> None:
        self._sink.abort()


def check_orm(model: str, maps: Sequence[str]) -> None:
    """Raise BadRequest unless an `orm` can be packed from maps of these names."""
    if "roughness" not in maps:
        raise BadRequest(
            f"orm: {model!r} paints {', '.join(maps)}, and orm needs the map 'roughness'; leave it out, or train a "
            "model on a set of maps that has roughness."
        )
    if ORM in maps:
        raise BadRequest(f"orm: {model!r} paints a map 'orm' of its own; leave it out.")


def maps_for_orm(model: str, maps: Sequence[str], wanted: Sequence[str] | None) -> list[str]:
    """Which of a model's maps to paint for `orm` and for the maps that are wanted besides, by default all others.

    In `wanted`, `orm` and the packed maps stand for the packed picture. Raises BadRequest as check_orm().
    """
    check_orm(model, maps)
    beside = [name for name in (maps if wanted is None else wanted) if name not in (*PACKED, ORM)]
    return beside + [name for name in PACKED if name in maps]
