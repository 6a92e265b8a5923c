"""The download of a texture of several models, which a mask puts in their places. No bpy here.

It is a texture in all else: parts arrive in any order, and all must be of the same versions of the models.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final

from ..protocol import wire
from ..protocol.errors import Refused
from ..protocol.rect import Rect
from .blending import BlendedPainting, Blending
from .connection import Connection
from .sinks import PaintedMap, Sink
from .texture_download import IN_FLIGHT, TextureDownload

FEATURE: Final = "blend"  # in a server's welcome


class BlendDownload(TextureDownload):
    """Brings a window of a texture of several models into a sink. The arguments are those of TextureDownload."""

    def __init__(
        self,
        connection: Connection,
        blend: Blending,
        seed: int,
        size: tuple[int, int],
        sink: Sink,
        *,
        window: tuple[int, int, int, int] | None = None,
        maps: Sequence[str] | None = None,
        depth: int | None = None,
        in_flight: int = IN_FLIGHT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.blend = blend
        self._mask = wire.Buffer(name="mask", dtype="uint8", shape=blend.shape, data=blend.mask)
        super().__init__(
            connection,
            blend.name,
            seed,
            size,
            sink,
            window=window,
            maps=maps,
            depth=depth,
            in_flight=in_flight,
            clock=clock,
        )

    def _first(self) -> Rect:
        assert self.connection.welcome
        if FEATURE not in self.connection.welcome.features:
            raise Refused("unknown_op", f"The texserver at {self.connection.place} cannot blend models. Update it.")
        return super()._first()

    def _request(self, place: Rect, id: int) -> wire.Blend:
        return wire.Blend(
            id=id,
            models=self.blend.models,
            mask=self._mask,
            seed=self.seed,
            size=self.size,
            window=self._window_of(place),
            softness=self.blend.softness,
            heights=self.blend.heights,
            reach=self.blend.reach,
            maps=self.maps,
            depth=self.depth,
            sha256=self.painting.sha256 if self.painting else "",
            progress=True,
        )

    def _painting_of(self, maps: tuple[PaintedMap, ...], result: wire.Result) -> BlendedPainting:
        return BlendedPainting(**vars(super()._painting_of(maps, result)), blend=self.blend)
