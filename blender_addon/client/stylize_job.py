"""A picture on its way to the server and back, in a style.

No bpy here; what it shares with other jobs is in job.py.

The whole picture is one request. What its result tells of statistics may go along with the other frames of a sequence:
they are then all painted by the same numbers, and only what moves changes from one to the next.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ..protocol import wire
from ..protocol.errors import Refused
from ..protocol.rect import Rect
from .connection import Connection
from .job import Job, Portion
from .sinks import PaintedMap, Painting, Sink

IMAGE: Final = "image"  # the one map, as sinks know it
FEATURE: Final = "stylize"  # of a server's welcome
CALM: Final = 0.5  # noise of a sequence's frames: it stays on the screen while the scene moves under it


@dataclass(frozen=True, kw_only=True)
class StylizedPicture(Painting):
    """A picture in a style: as it is painted, and by whom."""

    strength: float
    keep_colours: bool
    noise: float

    def provenance(self, map: PaintedMap) -> dict[str, str]:
        """For the picture's file."""
        told = super().provenance(map)
        del told["Map"], told["Window"]
        more = {"Strength": f"{self.strength:g}", "Keep colours": "yes" if self.keep_colours else "no"}
        return told | more | ({"Noise": f"{self.noise:g}"} if self.noise != 1 else {})


class StylizeJob(Job):
    """Brings a picture in a model's style into a sink, as the one map "image".

    `content`: rows from top to bottom, interleaved, sRGB; `shape` is its height, width and channels (1 grey, 3 or 4),
    `dtype` "uint8" or "uint16" (little-endian). The image has its size and dtype, and 3 channels, or 4 where it has 4.
    It must not change until the job has ended. `statistics`: those of another frame, or "" for the picture's own.
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
        statistics: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.content = wire.Buffer(name="content", dtype=dtype, shape=shape, data=memoryview(content).cast("B"))
        self.strength = strength
        self.seed = seed
        self.keep_colours = keep_colours
        self.noise = noise
        self.statistics = statistics  # when it is done: those it was painted by, for other frames
        self.picture: StylizedPicture | None = None  # known when it is there
        super().__init__(connection, model, shape[:2], sink, in_flight=1, clock=clock)

    def _doing(self) -> str:
        return f"Stylizing with {self.model}"

    def _done(self) -> str:
        return f"The picture is in the style of {self.model}."

    def _first(self) -> Rect:
        assert self.connection.welcome
        if FEATURE not in self.connection.welcome.features:
            raise Refused("unknown_op", f"The texserver at {self.connection.place} stylizes no pictures; update it.")
        whole = Rect(0, 0, *self.content.shape[:2])
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
            statistics=self.statistics,
            progress=True,
        )

    def _accept(self, part: Portion, result: wire.Result) -> None:
        height, width, channels = shape = self._request(part.place, id=1).image_shape
        if [(each.name, each.dtype, each.shape) for each in result.buffers] != [(IMAGE, self.content.dtype, shape)]:
            raise Refused("", "The server sent another picture than was asked for. Update it, or this client.")
        assert self.connection.welcome
        depth = 8 * wire.ITEM_BYTES[self.content.dtype]
        self.statistics = result.statistics
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
        )
        self._sink.begin(self.picture)
