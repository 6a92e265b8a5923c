"""A texture on its way from the server into a sink, part by part.

No bpy here; what it shares with other jobs is in job.py.

The first part that comes tells the maps, the model file's hash and the precision; all others must agree, or the parts
would not fit together. A few parts are under way at once and may come in any order, but none far ahead of the first
that is missing, so that a sink that needs them in order holds little.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from ..protocol import wire
from ..protocol.errors import Refused
from ..protocol.rect import Rect
from .connection import Connection
from .job import LONGEST_PAUSE_S, MOST_TRIES, Job, Portion, State
from .sinks import PaintedMap, Painting, Sink
from .windows import cut, remaining

__all__ = ["LONGEST_PAUSE_S", "MOST_TRIES", "State", "TextureJob"]

IN_FLIGHT: Final = 3
MOST_CHANNELS: Final = 4 * wire.MAX_BUFFERS


class TextureJob(Job):
    """Paints a window of a texture, by default all of it, into a sink.

    `depth`: bits a sample of all maps, 8 or 16; None: each map has its own, which the first part tells.
    """

    def __init__(
        self,
        connection: Connection,
        model: str,
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
        self.seed = seed
        self.size = size
        self.window = window or (0, 0, *size)  # top, left, height, width
        self.maps = tuple(maps) if maps is not None else None
        self.depth = depth
        self.painting: Painting | None = None  # known from the first answer on
        super().__init__(connection, model, self.window[2:], sink, in_flight=in_flight, clock=clock)

    def _doing(self) -> str:
        return f"Painting {self.model}"

    def _done(self) -> str:
        return f"{self.model} is painted."

    # --------------------------------------------------------------------------------------------------------- asking

    def _first(self) -> Rect:
        """A part that is small enough whatever the maps are."""
        anything = replace(self._limits, max_window_pixels=wire.MAX_ID)
        self._check_request(anything, Rect(0, 0, *self.window[2:]))
        channels = 4 * len(self.maps) if self.maps else MOST_CHANNELS
        first, *_ = cut(
            self.size, self.window, self._limits.tile, self._most_pixels(channels * (self.depth or 16) // 8)
        )
        return first

    def _most_pixels(self, pixel_bytes: int) -> int:
        return max(1, min(self._limits.max_window_pixels, self._limits.max_result_bytes // pixel_bytes))

    def _request(self, place: Rect, id: int) -> wire.Generate:
        top, left, _, _ = self.window
        if place.top or place.left:  # the window's own corner goes as it is, to be refused where it is wrong
            top, left = (top + place.top) % self.size[0], (left + place.left) % self.size[1]
        return wire.Generate(
            id=id,
            model=self.model,
            seed=self.seed,
            size=self.size,
            window=(top, left, place.height, place.width),
            maps=self.maps,
            depth=self.depth,
            sha256=self.painting.sha256 if self.painting else "",
            progress=True,
        )

    # -------------------------------------------------------------------------------------------------------- answers

    def _refused(self, part: Portion, error: wire.Error) -> None:
        if error.code == "unknown_model" and self.painting:
            raise Refused(error.code, self._replaced())
        super()._refused(part, error)

    def _replaced(self) -> str:
        return (
            f"The model {self.model!r} was replaced or removed on the server while it painted, and parts of two models "
            "would not fit together. Paint it again."
        )

    def _accept(self, part: Portion, result: wire.Result) -> None:
        """The first answer is believed, if it makes sense; the others must be like it."""
        maps = tuple(
            PaintedMap(
                name=each.name,
                channels=each.shape[2],
                colour_space=each.colour_space,
                depth=8 * wire.ITEM_BYTES[each.dtype],
            )
            for each in result.buffers
        )
        names = tuple(each.name for each in maps)
        if any(each.shape[:2] != (part.place.height, part.place.width) for each in result.buffers) or (
            not names
            or any(each.depth != (self.depth or each.depth) for each in maps)
            or len(set(names)) < len(names)
            or not all(name.isidentifier() for name in names)  # they become names of files
            or (self.maps is not None and names != self.maps)
        ):
            raise Refused("", "The server sent other pixels than were asked for. Update it, or this client.")
        if self.painting is None:
            self._know(part, maps, result)
        elif result.sha256 != self.painting.sha256:
            raise Refused("unknown_model", self._replaced())
        elif (result.precision, maps) != (self.painting.precision, self.painting.maps):
            raise Refused(
                "",
                f"The server now paints with another precision ({result.precision}) than it began with "
                f"({self.painting.precision}), which would show. Paint it again.",
            )

    def _know(self, first: Portion, maps: tuple[PaintedMap, ...], result: wire.Result) -> None:
        assert self.connection.welcome
        self.painting = Painting(
            model=self.model,
            sha256=result.sha256,
            seed=self.seed,
            size=self.size,
            window=self.window,
            maps=maps,
            precision=result.precision,
            software=self.connection.welcome.server,
            server=self.connection.place,
        )
        self.state = "running"
        self._sink.begin(self.painting)
        most_pixels = self._most_pixels(sum(each.channels * each.depth // 8 for each in maps))
        rest = remaining(self.size, self.window, self._limits.tile, most_pixels, first.place)
        self._parts.extend(Portion(place) for place in rest)
        # a row of tiles, or what is under way: no more is held when one part keeps the others waiting
        self._ahead = max(self._in_flight, *Counter(part.place.top for part in self._parts).values())
