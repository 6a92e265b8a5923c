"""The download of one texture, part by part. No bpy here.

The first answer gives the maps, the model file's hash and the precision. All other answers must agree, or the parts
would not fit together. A few requests run at once, and their answers may come in any order. None is far ahead of the
first missing part, so a sink that needs the parts in order holds little.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from ..protocol import wire
from ..protocol.edges import FEATURE, edges_of
from ..protocol.errors import Refused
from ..protocol.rect import Rect
from .connection import Connection
from .download import Download, Portion
from .sinks import PaintedMap, Painting, Sink
from .windows import cut, remaining

IN_FLIGHT: Final = 3
MOST_CHANNELS: Final = 4 * wire.MAX_BUFFERS


class TextureDownload(Download):
    """Brings a window of a texture, by default the whole texture, into a sink.

    `depth`: bits per sample of all maps, 8 or 16; None: each map has its own, which the first answer gives.
    `sha256`: of the model file that must paint it; "": whichever has the model's name. `variant` and `wang`: of
    textures with common edges (protocol/edges.py).
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
        sha256: str = "",
        variant: int | None = None,
        wang: int = 0,
        in_flight: int = IN_FLIGHT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.seed = seed
        self.size = size
        self.window = window or (0, 0, *size)  # top, left, height, width
        self.maps = tuple(maps) if maps is not None else None
        self.depth = depth
        self.sha256 = sha256
        self.variant, self.wang = variant, wang
        self.painting: Painting | None = None  # None until the first answer
        super().__init__(connection, model, self.window[2:], sink, in_flight=in_flight, clock=clock)

    def _doing(self) -> str:
        return f"Painting {self.model}"

    def _done(self) -> str:
        return f"{self.model} is painted."

    # --------------------------------------------------------------------------------------------------------- asking

    def _first(self) -> Rect:
        """A part that is small enough for any set of maps."""
        assert self.connection.welcome
        if edges_of(self.variant, self.wang) and FEATURE not in self.connection.welcome.features:
            raise Refused(
                "unknown_op",
                f"The texserver at {self.connection.place} cannot paint textures with common edges. Update it.",
            )
        anything = replace(self._limits, max_window_pixels=wire.MAX_ID)
        self._check_request(anything, Rect(0, 0, *self.window[2:]))
        channels = 4 * len(self.maps) if self.maps else MOST_CHANNELS
        first, *_ = cut(
            self.size, self.window, self._limits.tile, self._most_pixels(channels * (self.depth or 16) // 8)
        )
        return first

    def _most_pixels(self, pixel_bytes: int) -> int:
        return max(1, min(self._limits.max_window_pixels, self._limits.max_result_bytes // pixel_bytes))

    def _window_of(self, place: Rect) -> tuple[int, int, int, int]:
        """Of the texture: the part of this download's window that lies there."""
        top, left, _, _ = self.window
        if place.top or place.left:  # the window's own corner is sent unchanged, so that the server can refuse it
            top, left = (top + place.top) % self.size[0], (left + place.left) % self.size[1]
        return top, left, place.height, place.width

    def _request(self, place: Rect, id: int) -> wire.Request:
        return wire.Generate(
            id=id,
            model=self.model,
            seed=self.seed,
            size=self.size,
            window=self._window_of(place),
            maps=self.maps,
            depth=self.depth,
            sha256=self.painting.sha256 if self.painting else self.sha256,
            progress=True,
            variant=self.variant,
            wang=self.wang,
        )

    # -------------------------------------------------------------------------------------------------------- answers

    def _refused(self, part: Portion, error: wire.Error) -> None:
        if error.code == "unknown_model" and self.painting:
            raise Refused(error.code, self._replaced())
        super()._refused(part, error)

    def _replaced(self) -> str:
        return (
            f"The model {self.model!r} was replaced or removed on the server during painting. Parts of two models do "
            "not fit together. Paint the texture again."
        )

    def _accept(self, part: Portion, result: wire.Result) -> None:
        """Accept the first answer if it makes sense; the others must match it."""
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
            or not all(name.isidentifier() for name in names)  # they become file names
            or (self.maps is not None and names != self.maps)
        ):
            raise Refused("", "The server sent other pixels than requested. Update the server or this client.")
        if self.painting is None:
            self._know(part, maps, result)
        elif result.sha256 != self.painting.sha256:
            raise Refused("unknown_model", self._replaced())
        elif (result.precision, maps) != (self.painting.precision, self.painting.maps):
            raise Refused(
                "",
                f"The server now paints with another precision ({result.precision}) than before "
                f"({self.painting.precision}), and the difference would be visible. Paint the texture again.",
            )

    def _know(self, first: Portion, maps: tuple[PaintedMap, ...], result: wire.Result) -> None:
        self.painting = self._painting_of(maps, result)
        self.state = "running"
        self._sink.begin(self.painting)
        most_pixels = self._most_pixels(sum(each.channels * each.depth // 8 for each in maps))
        rest = remaining(self.size, self.window, self._limits.tile, most_pixels, first.place)
        self._parts.extend(Portion(place) for place in rest)
        # one row of tiles, or all running requests: the bound on what is held when one part is late
        self._ahead = max(self._in_flight, *Counter(part.place.top for part in self._parts).values())

    def _painting_of(self, maps: tuple[PaintedMap, ...], result: wire.Result) -> Painting:
        assert self.connection.welcome
        return Painting(
            model=self.model,
            sha256=result.sha256,
            seed=self.seed,
            size=self.size,
            window=self.window,
            maps=maps,
            precision=result.precision,
            software=self.connection.welcome.server,
            server=self.connection.place,
            variant=self.variant,
            wang=self.wang,
        )
