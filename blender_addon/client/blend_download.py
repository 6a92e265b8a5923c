"""The download of a texture of several models, which a mask puts in their places. No bpy here.

It is a texture in all else: parts arrive in any order, and all must be of the same versions of the models.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from ..protocol import blending, wire
from ..protocol.errors import Refused
from ..protocol.rect import Rect
from .connection import Connection
from .sinks import Sink
from .texture_download import IN_FLIGHT, TextureDownload

FEATURE: Final = "blend"  # in a server's welcome


@dataclass(frozen=True, kw_only=True)
class Blending:
    """Which models are blended, and how.

    `mask`: rows from top to bottom of uint8 samples, interleaved; `shape` is its height, width and channels: 1 for two
    models (0 the first, 255 the second), else one for each model. It covers the whole texture.
    """

    models: tuple[str, ...]
    mask: bytes = field(repr=False)
    shape: tuple[int, int, int]
    softness: float = blending.SOFTNESS
    heights: float = blending.HEIGHTS
    reach: float = blending.REACH

    @property
    def name(self) -> str:
        """For people and for files."""
        return " + ".join(self.models)


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
