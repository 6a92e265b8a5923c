"""The download of one picture in a style: the picture goes to the server and comes back painted. No bpy here.

The whole picture is one request. Its result contains statistics. Send them with the other frames of a sequence, and all
frames are painted with the same numbers: between two frames only what moves changes.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ..protocol import wire
from ..protocol.errors import Refused
from ..protocol.rect import Rect
from .connection import Connection
from .download import Download, Portion
from .sinks import PaintedMap, Painting, Sink

IMAGE: Final = "image"  # the name of the one map
CARRY: Final = "carry"  # what the next frame of a sequence takes from one, and the feature of servers that know it
FEATURE: Final = "stylize"  # in a server's welcome
CALM: Final = 0.5  # noise for the frames of a sequence: it does not move with the scene, so less of it looks better


@dataclass(frozen=True, kw_only=True)
class StylizedPicture(Painting):
    """What is known of a picture in a style: the model, the parameters and the server."""

    strength: float
    keep_colours: bool
    noise: float
    stroke: float = 1.0
    regions: tuple[str, ...] = ()  # MASK=STYLE of each part in another style

    def provenance(self, map: PaintedMap) -> dict[str, str]:
        """Metadata for the picture's file."""
        told = super().provenance(map)
        del told["Map"], told["Window"]
        more = {"Strength": f"{self.strength:g}", "Keep colours": "yes" if self.keep_colours else "no"}
        if self.regions:
            more["Regions"] = ascii(", ".join(self.regions))[1:-1]
        numbers = {"Noise": self.noise, "Stroke": self.stroke}
        return told | more | {name: f"{value:g}" for name, value in numbers.items() if value != 1}


class StyleDownload(Download):
    """Brings a picture in a model's style into a sink, as the one map "image".

    `content`: rows from top to bottom, interleaved, sRGB; `shape` is its height, width and channels (1 grey, 3 or 4),
    `dtype` "uint8" or "uint16" (little-endian). The image has its size and dtype, and 3 channels, or 4 where it has 4.
    It must not change until the download has ended. `statistics`: of another frame, or "" for the picture's own.
    `sequence`: whether another frame follows, `carry`: what the one before gave, or b"".
    """

    def __init__(
        self,
        connection: Connection,
        model: str,
        content: wire.Data,
        shape: tuple[int, int, int],
        sink: Sink,
        *,
        dtype: str = "uint8",
        strength: float = 1.0,
        seed: int = 0,
        keep_colours: bool = False,
        noise: float = 1.0,
        stroke: float = 1.0,
        statistics: str = "",
        sequence: bool = False,
        carry: bytes = b"",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.content = wire.Buffer(name="content", dtype=dtype, shape=shape, data=memoryview(content).cast("B"))
        self.strength = strength
        self.seed = seed
        self.keep_colours = keep_colours
        self.noise = noise
        self.stroke = stroke
        self.statistics = statistics  # afterwards: those the picture was painted with, for other frames
        self.sequence = sequence
        self.carry = carry  # afterwards: what the next frame takes from this one; empty where styles need none
        self.picture: StylizedPicture | None = None  # None until the answer
        super().__init__(connection, model, shape[:2], sink, in_flight=1, clock=clock)

    def _doing(self) -> str:
        return f"Stylizing with {self.model}"

    def _done(self) -> str:
        return f"The picture is in the style of {self.model}."

    def _first(self) -> Rect:
        assert self.connection.welcome
        if FEATURE not in self.connection.welcome.features:
            raise Refused("unknown_op", f"The texserver at {self.connection.place} cannot stylize pictures. Update it.")
        whole = Rect(0, 0, *self.content.shape[:2])
        if CARRY not in self.connection.welcome.features:
            self.sequence, self.carry = False, b""
        self._check_request(self._limits, whole)
        self.state = "running"
        return whole

    def _request(self, place: Rect, id: int) -> wire.Stylize:
        return wire.Stylize(
            id=id,
            model=self.model,
            content=self.content,
            strength=self.strength,
            seed=self.seed,
            keep_colours=self.keep_colours,
            noise=self.noise,
            stroke=self.stroke,
            statistics=self.statistics,
            sequence=self.sequence,
            carry=self._carried(),
            progress=True,
        )

    def _carried(self) -> wire.Buffer | None:
        if not self.carry:
            return None
        return wire.Buffer(name=CARRY, dtype="uint8", shape=(1, len(self.carry), 1), data=self.carry)

    def _pixels(self, result: wire.Result) -> tuple[wire.Buffer, ...]:
        return result.buffers[:1]

    def _accept(self, part: Portion, result: wire.Result) -> None:
        height, width, channels = shape = self._request(part.place, id=1).image_shape
        image, carry = result.buffers[:1], result.buffers[1:]
        wanted = [(IMAGE, self.content.dtype, shape)]
        if [(each.name, each.dtype, each.shape) for each in image] != wanted or [each.name for each in carry] not in (
            [],
            [CARRY],
        ):
            raise Refused("", "The server sent another picture than requested. Update the server or this client.")
        assert self.connection.welcome
        depth = 8 * wire.ITEM_BYTES[self.content.dtype]
        self.statistics = result.statistics
        self.carry = bytes(carry[0].data) if carry and self.sequence else b""
        self.picture = StylizedPicture(
            model=self.model,
            sha256=result.sha256,
            seed=self.seed,
            size=(height, width),
            window=(0, 0, height, width),
            maps=(PaintedMap(name=IMAGE, channels=channels, colour_space="srgb", depth=depth),),
            precision=result.precision,
            software=self.connection.welcome.server,
            server=self.connection.place,
            strength=self.strength,
            keep_colours=self.keep_colours,
            noise=self.noise,
            stroke=self.stroke,
        )
        self._sink.begin(self.picture)
