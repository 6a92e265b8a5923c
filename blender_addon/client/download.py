"""A download brings one picture from the server into a sink: it asks for the parts, retries, and writes what arrives.

No bpy here. ZeroMQ's own thread waits; tick() never does. The subclasses say what to ask for and check the answers:
TextureDownload (texture_download.py) and StyleDownload (style_download.py).
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Final, Literal

from ..pictures.draft import ImageFileError
from ..protocol import wire
from ..protocol.errors import Refused, TexserverError
from ..protocol.rect import Rect
from .connection import MAX_FRAME_BYTES, Connection
from .sinks import Sink

State = Literal["waiting", "running", "done", "failed", "cancelled"]

TICK_S: Final = 0.03  # of writing per tick, so that Blender's window stays responsive
SLAB_BYTES: Final = 2**20  # written at once; a PNG takes 13 ms for it
FIRST_PAUSE_S: Final = 0.2  # before the first retry of a refused part; doubled each time, up to
LONGEST_PAUSE_S: Final = 5.0
SHORTEST_PAUSE_S: Final = 0.05  # even when the server suggests less
MOST_TRIES: Final = 5  # of one part, when the server fails on it

_TAKES_TIME: Final = frozenset({"busy", "shutting_down"})  # retried without limit
_RETRY_HELPS: Final = wire.RETRY_HELPS | {"expired"}


@dataclass(eq=False)
class Portion:
    """One part of the picture, from the request until it is written."""

    place: Rect
    id: int | None = None  # of the request, while one is running
    ask_at: float = 0.0
    tries: int = 0
    failures: int = 0  # how many of the tries the server failed on
    told_pixels: int = 0  # done, as the server reported
    buffers: tuple[wire.Buffer, ...] | None = None  # arrived, not completely written
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


class Download(ABC):
    """Brings a picture of `size` (height, width) pixels into a sink. At most `in_flight` requests run at once."""

    def __init__(
        self,
        connection: Connection,
        model: str,
        size: tuple[int, int],
        sink: Sink,
        *,
        in_flight: int,
        clock: Callable[[], float],
    ) -> None:
        self.connection = connection
        self.model = model
        self.state: State = "waiting"
        self.message = connection.reason  # for people: what it does now, or what is wrong
        self.error: TexserverError | None = None  # why it failed
        self.total_pixels = size[0] * size[1]
        self._width = size[1]
        self._sink = sink
        self._in_flight = in_flight
        self._clock = clock
        self._limits = wire.Limits()
        self._parts: deque[Portion] = deque()  # not yet written, in order
        self._ahead = 1  # how many of them may be requested or held in memory
        self._finished_pixels = 0
        self._reports = 0  # of the server, on its way
        self._hindrance = ""  # the server's latest reason to wait
        self._inbox: deque[tuple[Portion, wire.Reply]] = deque()

    @abstractmethod
    def _first(self) -> Rect:
        """The first part, within self._limits. Raises Refused for a request that no server would accept."""

    @abstractmethod
    def _request(self, place: Rect, id: int) -> wire.Request:
        """The request for a part."""

    @abstractmethod
    def _accept(self, part: Portion, result: wire.Result) -> None:
        """Check an answer before it is written; the first one begins the sink. Raises Refused, ImageFileError."""

    def _pixels(self, result: wire.Result) -> tuple[wire.Buffer, ...]:
        """Those buffers of an answer that are written."""
        return result.buffers

    @abstractmethod
    def _doing(self) -> str:
        """What the download does, such as "Painting brick"."""

    @abstractmethod
    def _done(self) -> str:
        """A sentence for a finished download."""

    def tick(self) -> bool:
        """Take answers, write some pixels, request more. Never waits. False when the download has ended."""
        if self.ended:
            return False
        try:
            self.connection.tick()
            self._go_on()
        except (Refused, ImageFileError) as error:
            self.error = error
            self._end("failed", str(error))
        except BaseException:
            self._end("failed", "An error in this program stopped it.")
            raise
        return not self.ended

    def cancel(self) -> None:
        """End without a result. Does nothing when the download has ended."""
        if not self.ended:
            self._end("cancelled", "Cancelled.")

    @property
    def ended(self) -> bool:
        return self.state in ("done", "failed", "cancelled")

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do until the next message arrives."""
        return not self._inbox and all(part.buffers is None for part in self._parts)

    @property
    def done_pixels(self) -> int:
        """How many of total_pixels are written, have arrived, or are done as the server reported."""
        return self._finished_pixels + sum(part.done_pixels for part in self._parts)

    @property
    def signs(self) -> tuple[int, int]:
        """Changes with each sign that the server works on it; it may report before the first pixel is done."""
        return self._reports, self.done_pixels

    @property
    def fraction(self) -> float:
        """How much is done, in [0, 1]."""
        return self.done_pixels / max(1, self.total_pixels)

    def _go_on(self) -> None:
        if not self._parts:
            welcome = self.connection.welcome
            if self.connection.state != "ready" or welcome is None:
                self.message = self.connection.reason
                return
            most_bytes = min(welcome.limits.max_result_bytes, MAX_FRAME_BYTES)
            self._limits = replace(welcome.limits, max_result_bytes=most_bytes)
            self._parts.append(Portion(self._first()))
        while self._inbox:
            self._take(*self._inbox.popleft())
        self._write()
        if not self._parts:
            self._sink.finish()
            self._end("done", self._done())
            return
        self._ask()
        self.message = self.connection.reason or self._hindrance or f"{self._doing()}: {int(100 * self.fraction)} %."

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

    def _check_request(self, limits: wire.Limits, place: Rect) -> None:
        """Apply the server's own rules before anything is sent. Raises Refused."""
        try:
            wire.parse_request(wire.encode(self._request(place, id=1)), limits)
        except ValueError as error:  # no header can express it
            raise Refused("bad_request", f"This request is not possible: {error}.") from None

    def _ask(self) -> None:
        under_way = sum(part.id is not None for part in self._parts)
        for index, part in enumerate(self._parts):
            if index >= self._ahead or under_way >= self._in_flight:
                return
            if part.is_missing and self._clock() >= part.ask_at:
                part.id = self.connection.ask(partial(self._request, part.place), partial(self._answered, part))
                under_way += 1

    def _answered(self, part: Portion, reply: wire.Reply) -> None:
        self._inbox.append((part, reply))  # must not raise: another download's tick may call this

    # -------------------------------------------------------------------------------------------------------- answers

    def _take(self, part: Portion, reply: wire.Reply) -> None:
        if isinstance(reply, wire.Progress):
            part.told_pixels = min(reply.done, part.place.pixels)
            self._reports += 1
            return
        part.id = None
        part.told_pixels = 0
        if isinstance(reply, wire.Error):
            self._refused(part, reply)
        elif isinstance(reply, wire.Result):
            self._accept(part, reply)
            part.buffers = self._pixels(reply)
            self._hindrance = ""
        else:
            raise Refused("", f"The server answered with {reply.op} instead of pixels. Update the server.")

    def _refused(self, part: Portion, error: wire.Error) -> None:
        """Schedule a retry if that helps. Raises Refused if it does not."""
        part.tries += 1
        part.failures += error.code not in _TAKES_TIME
        if error.code not in _RETRY_HELPS or part.failures >= MOST_TRIES:
            raise Refused(error.code, error.text)
        pause_s = min(FIRST_PAUSE_S * 2 ** min(part.tries - 1, 10), LONGEST_PAUSE_S)
        if error.retry_ms is not None:
            pause_s = max(error.retry_ms / 1000, SHORTEST_PAUSE_S)
        part.ask_at = self._clock() + pause_s
        self._hindrance = f"{error.text} Trying again."

    def _write(self) -> None:
        until = self._clock() + TICK_S
        for part in islice(self._parts, self._ahead):
            while part.buffers is not None and self._clock() < until:
                self._write_slab(part, part.buffers)
        while self._parts and self._parts[0].is_written:
            self._finished_pixels += self._parts.popleft().place.pixels

    def _write_slab(self, part: Portion, buffers: tuple[wire.Buffer, ...]) -> None:
        top, left, height, width = part.place
        pixel_bytes = sum(each.shape[2] * wire.ITEM_BYTES[each.dtype] for each in buffers)
        start = part.rows_written
        stop = min(height, start + max(1, SLAB_BYTES // (self._width * pixel_bytes)))
        for each in buffers:
            row_bytes = width * each.shape[2] * wire.ITEM_BYTES[each.dtype]
            rows = memoryview(each.data).cast("B")[start * row_bytes : stop * row_bytes]
            self._sink.write(each.name, Rect(top + start, left, stop - start, width), rows)
        part.rows_written = stop
        if part.is_written:
            part.buffers = None
