"""A texture on its way from the server into a sink, part by part.

No bpy here; ZeroMQ's own thread waits, tick() never does.

The first part that comes tells the maps, the model file's hash and the precision; all others must agree, or the parts
would not fit together. A few parts are under way at once and may come in any order, but none far ahead of the first
that is missing, so that a sink that needs them in order holds little.

    Exception
    └── NotPainted    the server will not or cannot paint it; `code` says why, the text is for people
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Final, Literal

from . import wire
from .connection import MAX_FRAME_BYTES, Connection
from .image_file import ImageFileError
from .sinks import PaintedMap, Painting, Sink
from .windows import Part, cut, remaining

State = Literal["waiting", "running", "done", "failed", "cancelled"]

IN_FLIGHT: Final = 3
TICK_S: Final = 0.03  # of writing, before Blender's window is given its turn
SLAB_BYTES: Final = 2**20  # written at once; as PNG that takes 13 ms
FIRST_PAUSE_S: Final = 0.2  # before a refused part is asked for again, doubled up to
LONGEST_PAUSE_S: Final = 5.0
SHORTEST_PAUSE_S: Final = 0.05  # whatever the server says
MOST_TRIES: Final = 5  # of a part, when the server fails on it
MOST_CHANNELS: Final = 4 * wire.MAX_BUFFERS

_TAKES_TIME: Final = frozenset({"busy", "shutting_down"})  # asked again without end
_RETRY_HELPS: Final = wire.RETRY_HELPS | {"expired"}


class NotPainted(Exception):
    """The server refused, or answered what cannot be used. `code` is of wire.ERROR_CODES where the server gave it."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class TextureJob:
    """Paints a window of a texture, by default all of it, into a sink."""

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
        depth: int = 8,
        in_flight: int = IN_FLIGHT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.connection = connection
        self.model = model
        self.seed = seed
        self.size = size
        self.window = window or (0, 0, *size)  # top, left, height, width
        self.maps = tuple(maps) if maps is not None else None
        self.depth = depth
        self.state: State = "waiting"
        self.message = connection.reason  # for people: what it is doing, or what is wrong
        self.error: NotPainted | ImageFileError | None = None  # why it failed
        self.painting: Painting | None = None  # known from the first answer on
        self.total_pixels = self.window[2] * self.window[3]
        self._sink = sink
        self._in_flight = in_flight
        self._clock = clock
        self._limits = wire.Limits()
        self._parts: deque[_Part] = deque()  # those not yet written, in order
        self._ahead = 1  # of them at most are under way or held
        self._finished_pixels = 0
        self._hindrance = ""  # what the server last gave as a reason to wait
        self._inbox: deque[tuple[_Part, wire.Reply]] = deque()

    def tick(self) -> bool:
        """Take what has arrived, write some of it, ask for more. False when the job has ended."""
        if self.ended:
            return False
        try:
            self.connection.tick()
            self._go_on()
        except (NotPainted, ImageFileError) as error:
            self.error = error
            self._end("failed", str(error))
        except BaseException:
            self._end("failed", "It was stopped by an error of the program itself.")
            raise
        return not self.ended

    def cancel(self) -> None:
        """End without a result. Does nothing when the job has ended."""
        if not self.ended:
            self._end("cancelled", "Cancelled.")

    @property
    def ended(self) -> bool:
        return self.state in ("done", "failed", "cancelled")

    @property
    def idle(self) -> bool:
        """Whether the next tick is of use only when something has arrived."""
        return not self._inbox and all(part.buffers is None for part in self._parts)

    @property
    def done_pixels(self) -> int:
        """Of total_pixels: written, arrived, or told of by the server."""
        return self._finished_pixels + sum(part.done_pixels for part in self._parts)

    def _go_on(self) -> None:
        if not self._parts:
            if self.connection.state != "ready" or self.connection.welcome is None:
                self.message = self.connection.reason
                return
            self._begin(self.connection.welcome.limits)
        while self._inbox:
            self._take(*self._inbox.popleft())
        self._write()
        if self.painting and not self._parts:
            self._sink.finish()
            self._end("done", f"{self.model} is painted.")
            return
        self._ask()
        self.message = self.connection.reason or self._hindrance or self._progress()

    def _progress(self) -> str:
        return f"Painting {self.model}: {100 * self.done_pixels // self.total_pixels} %."

    def _end(self, state: State, message: str) -> None:
        for part in self._parts:
            if part.id is not None:
                self.connection.forget(part.id)
        self._parts.clear()
        self._inbox.clear()
        self.state, self.message = state, message
        if state != "done":
            self._sink.abort()

    # --------------------------------------------------------------------------------------------------------- asking

    def _begin(self, limits: wire.Limits) -> None:
        """Ask for a first part that is small enough whatever the maps are."""
        try:  # by the server's own rules, but for the size of the window
            anything = replace(limits, max_window_pixels=wire.MAX_ID)
            wire.parse_request(wire.encode(self._request(Part(0, 0, *self.window[2:]), id=1)), anything)
        except wire.Refused as refused:
            raise NotPainted(refused.code, str(refused)) from None
        self._limits = limits
        channels = 4 * len(self.maps) if self.maps else MOST_CHANNELS
        first, *_ = cut(self.size, self.window, limits.tile, self._most_pixels(channels))
        self._parts.append(_Part(first))

    def _most_pixels(self, channels: int) -> int:
        most_bytes = min(self._limits.max_result_bytes, MAX_FRAME_BYTES)
        return max(1, min(self._limits.max_window_pixels, most_bytes // (channels * self.depth // 8)))

    def _ask(self) -> None:
        under_way = sum(part.id is not None for part in self._parts)
        for index, part in enumerate(self._parts):
            if index >= self._ahead or under_way >= self._in_flight:
                return
            if part.is_missing and self._clock() >= part.ask_at:
                part.id = self.connection.ask(partial(self._request, part.place), partial(self._answered, part))
                under_way += 1

    def _request(self, place: Part, id: int) -> wire.Generate:
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

    def _answered(self, part: "_Part", reply: wire.Reply) -> None:
        self._inbox.append((part, reply))  # callbacks raise nothing: another job's tick may run them

    # -------------------------------------------------------------------------------------------------------- answers

    def _take(self, part: "_Part", reply: wire.Reply) -> None:
        if isinstance(reply, wire.Progress):
            part.told_pixels = min(reply.done, part.place.pixels)
            return
        part.id = None
        part.told_pixels = 0
        if isinstance(reply, wire.Error):
            self._refused(part, reply)
        elif isinstance(reply, wire.Result):
            self._check(part, reply)
            part.buffers = reply.buffers
            self._hindrance = ""
        else:
            raise NotPainted("", f"The server answered with {reply.op} where pixels were asked for. Update it.")

    def _refused(self, part: "_Part", error: wire.Error) -> None:
        if error.code == "unknown_model" and self.painting:
            raise NotPainted(error.code, self._replaced())
        part.tries += 1
        part.failures += error.code not in _TAKES_TIME
        if error.code not in _RETRY_HELPS or part.failures >= MOST_TRIES:
            raise NotPainted(error.code, error.text)
        pause_s = min(FIRST_PAUSE_S * 2 ** min(part.tries - 1, 10), LONGEST_PAUSE_S)
        if error.retry_ms is not None:
            pause_s = max(error.retry_ms / 1000, SHORTEST_PAUSE_S)
        part.ask_at = self._clock() + pause_s
        self._hindrance = f"{error.text} Asking again."

    def _replaced(self) -> str:
        return (
            f"The model {self.model!r} was replaced or removed on the server while it painted, and parts of two models "
            "would not fit together. Paint it again."
        )

    def _check(self, part: "_Part", result: wire.Result) -> None:
        """The first answer is believed, if it makes sense; the others must be like it."""
        maps = tuple(PaintedMap(name=b.name, channels=b.shape[2], colour_space=b.colour_space) for b in result.buffers)
        names = tuple(each.name for each in maps)
        dtype, shape = f"uint{self.depth}", (part.place.height, part.place.width)
        if any(each.dtype != dtype or each.shape[:2] != shape for each in result.buffers) or (
            not names
            or len(set(names)) < len(names)
            or not all(name.isidentifier() for name in names)  # they become names of files
            or (self.maps is not None and names != self.maps)
        ):
            raise NotPainted("", "The server sent other pixels than were asked for. Update it, or this client.")
        if self.painting is None:
            self._know(part, maps, result)
        elif result.sha256 != self.painting.sha256:
            raise NotPainted("unknown_model", self._replaced())
        elif (result.precision, maps) != (self.painting.precision, self.painting.maps):
            raise NotPainted(
                "",
                f"The server now paints with another precision ({result.precision}) than it began with "
                f"({self.painting.precision}), which would show. Paint it again.",
            )

    def _know(self, first: "_Part", maps: tuple[PaintedMap, ...], result: wire.Result) -> None:
        assert self.connection.welcome
        self.painting = Painting(
            model=self.model,
            sha256=result.sha256,
            seed=self.seed,
            size=self.size,
            window=self.window,
            maps=maps,
            depth=self.depth,
            precision=result.precision,
            software=self.connection.welcome.server,
            server=self.connection.place,
        )
        self.state = "running"
        self._sink.begin(self.painting)
        most_pixels = self._most_pixels(sum(each.channels for each in maps))
        rest = remaining(self.size, self.window, self._limits.tile, most_pixels, first.place)
        self._parts.extend(_Part(place) for place in rest)
        # a row of tiles, or what is under way: no more is held when one part keeps the others waiting
        self._ahead = max(self._in_flight, *Counter(part.place.top for part in self._parts).values())

    def _write(self) -> None:
        until = self._clock() + TICK_S
        for part in islice(self._parts, self._ahead):
            while part.buffers is not None and self._clock() < until:
                self._write_slab(part, part.buffers)
        while self._parts and self._parts[0].is_written:
            self._finished_pixels += self._parts.popleft().place.pixels

    def _write_slab(self, part: "_Part", buffers: tuple[wire.Buffer, ...]) -> None:
        top, left, height, width = part.place
        pixel_bytes = sum(each.shape[2] for each in buffers) * self.depth // 8
        start = part.rows_written
        stop = min(height, start + max(1, SLAB_BYTES // (self.window[3] * pixel_bytes)))
        for each in buffers:
            row_bytes = width * each.shape[2] * self.depth // 8
            rows = memoryview(each.data).cast("B")[start * row_bytes : stop * row_bytes]
            self._sink.write(each.name, top + start, left, stop - start, width, rows)
        part.rows_written = stop
        if part.is_written:
            part.buffers = None


@dataclass(eq=False)
class _Part:
    """A part of the window, from being asked for to being written."""

    place: Part
    id: int | None = None  # of the request, while one is under way
    ask_at: float = 0.0
    tries: int = 0
    failures: int = 0  # of the server's, among them
    told_pixels: int = 0  # done, as the server says
    buffers: tuple[wire.Buffer, ...] | None = None  # arrived and not wholly written
    rows_written: int = 0

    @property
    def is_missing(self) -> bool:
        return self.id is None and self.buffers is None and not self.is_written

    @property
    def is_written(self) -> bool:
        return self.rows_written == self.place.height

    @property
    def done_pixels(self) -> int:
        written = self.rows_written * self.place.width
        return self.place.pixels if self.buffers is not None else max(written, self.told_pixels)
