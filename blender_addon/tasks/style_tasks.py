"""Pictures and sequences that someone in Blender wants in a style, from the click to the files. No bpy here.

They stand in the session's list beside the textures (tasks.py) and take their turns there. What a sequence is to show
comes from a `Source`, frame by frame, as a file that picture_reader reads: a frame may have to be rendered first.

All frames of a sequence are painted by the statistics of its first one, or it would flicker. These are kept beside the
frames, in sequence.json, with all that decides how a frame looks: whoever goes on later goes on with the same.
"""

import json
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from ..client.connection import Connection
from ..client.download import State
from ..client.image_file import ImageFileError
from ..client.picture_reader import PictureError, read_picture
from ..client.sinks import FileSink, MemorySink, Painting
from ..client.style_download import CALM, StyleDownload, StylizedPicture
from ..protocol import wire
from .tasks import Name, Painted

RECORD: Final = "sequence.json"
RECORD_VERSION: Final = 1
MOST_RECORD_BYTES: Final = 2**18


class NoContent(Exception):
    """There is no picture to stylize; a sentence that says what to do."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a picture is to look."""

    model: str
    strength: float = 1.0  # 0 is the content, 1 the style
    seed: int = 0
    keep_colours: bool = False


@dataclass(frozen=True, kw_only=True)
class StyleOrder:
    """One picture. `content` is its file, which is removed when it is done; `name` is what people call it."""

    look: Look
    content: Path
    name: str

    @property
    def title(self) -> str:
        """For one line of a panel."""
        return f"{self.name} in {self.look.model}"


@dataclass(frozen=True, kw_only=True)
class SequenceOrder:
    """A sequence: the numbers of its frames, and the file that each becomes. Files that are there are not made again.

    `sha256` is of the model file, "" where it is not known.
    """

    look: Look
    name: str
    folder: Path
    frames: tuple[tuple[int, Path], ...]
    sha256: str = ""

    @property
    def title(self) -> str:
        """For one line of a panel."""
        return f"{self.name} in {self.look.model}, {len(self.frames)} frames"


class Source(Protocol):
    """Where the frames of a sequence come from."""

    def content(self, frame: int) -> Path | None:
        """Its file, None as long as it is not there: asked again and again. Raises NoContent."""

    def close(self) -> None:
        """No more is wanted."""


class _Styling:
    """What both have in common: a state, and an end to all patience."""

    preview: Painted | None = None

    def __init__(self, id: int, connection: Connection, patience_s: float, clock: Callable[[], float]) -> None:
        self.id = id
        self.state: State = "waiting"
        self.message = "Waiting for its turn."
        self.result: Painted | None = None
        self._connection = connection
        self._patience_s = patience_s
        self._clock = clock
        self._job: StyleDownload | None = None
        self._heard_at = 0.0
        self._heard: object = None

    @property
    def ended(self) -> bool:
        return self.state in ("done", "failed", "cancelled")

    def cancel(self, why: str = "Cancelled.") -> None:
        """End. Does nothing when the task has ended."""
        if not self.ended:
            self._end("cancelled", why)

    def fail(self, why: str) -> None:
        """What was painted cannot be used; `why` is for people."""
        self.result = None
        self._end("failed", why)

    def _end(self, state: State, message: str) -> None:
        if self._job:
            self._job.cancel()
        self._job = None  # it holds a picture
        self.state, self.message = state, message

    def _start(
        self, look: Look, content: Path, sink: FileSink | MemorySink, statistics: str = "", noise: float = 1.0
    ) -> StyleDownload:
        """Raises PictureError."""
        picture = read_picture(content)
        self._heard = None
        return StyleDownload(
            self._connection,
            look.model,
            picture.data,
            picture.shape,
            sink,
            dtype=picture.dtype,
            strength=look.strength,
            seed=look.seed,
            keep_colours=look.keep_colours,
            noise=noise,
            statistics=statistics,
            clock=self._clock,
        )

    def _watch(self, job: StyleDownload) -> None:
        """A server that is away for long, or hangs, must not keep an artist waiting without end."""
        now, heard = self._clock(), (job, job.done_pixels)
        if heard != self._heard:
            self._heard_at, self._heard = now, heard
        elif not self.ended and now - self._heard_at > self._patience_s:
            reason = self._connection.reason or "The server accepts requests, but nothing comes back."
            self._end("failed", f"Nothing came for {self._patience_s:.0f} seconds. {reason} Then press Retry.")


class StyleTask(_Styling):
    """One picture on its way. `result` is there when it is complete: the one file "image"."""

    def __init__(
        self,
        id: int,
        order: StyleOrder,
        connection: Connection,
        name: Name,
        *,
        patience_s: float = 120.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(id, connection, patience_s, clock)
        self.order = order
        self._name = name
        self._sink = FileSink(lambda _: self._name(self._known()), durable=False)

    def tick(self) -> bool:
        """Go on a little, without waiting. False when the task has ended."""
        if self.ended:
            return False
        try:
            self._job = job = self._job or self._start(self.order.look, self.order.content, self._sink)
        except PictureError as error:
            self._end("failed", str(error))
            return False
        job.tick()
        self.state, self.message = job.state, job.message
        if job.state == "done":
            self.result = Painted(painting=self._known(), files=self._sink.paths)
            with suppress(OSError):
                self.order.content.unlink()
        if self.ended:
            self._end(self.state, self.message)
        else:
            self._watch(job)
        return not self.ended

    @property
    def fraction(self) -> float:
        """How much is done, in [0, 1]."""
        return 1.0 if self.state == "done" else self._job.fraction if self._job else 0.0

    def _known(self) -> Painting:
        assert self._job
        assert self._job.picture  # the sink begins when the answer has told it
        return self._job.picture


class SequenceTask(_Styling):
    """A sequence on its way, one frame after the other. Frames that are complete stay, whatever becomes of it."""

    def __init__(
        self,
        id: int,
        order: SequenceOrder,
        connection: Connection,
        source: Source,
        *,
        patience_s: float = 120.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(id, connection, patience_s, clock)
        self.order = order
        self.picture: StylizedPicture | None = None  # of the frame that was painted last
        self._source = source
        self._statistics: str | None = None  # None: not looked for yet
        self._left: deque[tuple[int, Path]] = deque()
        self._sink: FileSink | MemorySink = MemorySink()
        self._content = Path()

    def tick(self) -> bool:
        """Go on a little, without waiting. False when the task has ended."""
        if self.ended:
            return False
        try:
            self._go_on()
        except (NoContent, PictureError, ImageFileError) as error:
            self._end("failed", f"{error} Finished frames stay; Retry goes on from there.")
        except BaseException:
            self._end("failed", "It was stopped by an error of the program itself.")
            raise
        return not self.ended

    @property
    def fraction(self) -> float:
        """How much is done, in [0, 1], of all frames."""
        if self.state == "done":
            return 1.0
        if self._statistics is None:
            return 0.0
        of_frame = self._job.fraction if self._job and isinstance(self._sink, FileSink) else 0.0
        return (self._done + of_frame) / len(self.order.frames)

    @property
    def _done(self) -> int:
        return len(self.order.frames) - len(self._left)

    def _end(self, state: State, message: str) -> None:
        super()._end(state, message)
        self._source.close()

    def _go_on(self) -> None:
        if self._statistics is None:
            self._statistics = read_record(self.order)
            # a frame that is there lacks at most its statistics
            self._left.extend(each for each in self.order.frames if not each[1].is_file())
        if self._job is None:
            if not self._left:
                self._end("done", f"{self.order.title}: all are there, in {self.order.folder}.")
                return
            self.state = "running"
            self._begin_frame()
            return
        job, number = self._job, self._number
        job.tick()
        self.message = f"Frame {number}, {self._done + 1} of {len(self.order.frames)}. {job.message}"
        if not job.ended:
            self._watch(job)
            return
        with suppress(OSError):
            self._content.unlink()
        if job.state != "done":
            self._end(job.state, f"Frame {number}: {job.message} Finished frames stay; Retry goes on from there.")
            return
        self._job, self.picture = None, job.picture
        if not self._statistics:
            if not job.statistics:
                raise NoContent("The server tells no statistics, without which a sequence flickers. Update it.")
            self._statistics = job.statistics
            write_record(self.order, job.statistics)
        if isinstance(self._sink, FileSink):
            self._left.popleft()

    def _begin_frame(self) -> None:
        """The next frame, or the first one of all where its statistics are not known."""
        number, path = self._left[0] if self._statistics else self.order.frames[0]
        again = path.is_file()
        if again and self._statistics:  # someone else has made it meanwhile
            self._left.popleft()
            return
        content = self._source.content(number)
        if content is None:
            self.message = f"Waiting for frame {number}."
            return
        self._number, self._content = number, content
        self._sink = MemorySink() if again else FileSink(lambda _: [path], durable=False)
        self._job = self._start(self.order.look, content, self._sink, self._statistics or "", CALM)


# -------------------------------------------------------------------------------------------------------------- record


def read_record(order: SequenceOrder) -> str:
    """The statistics by which the frames in the folder are painted, "" where there are none.

    Raises NoContent where they are painted in another way than is wanted now.
    """
    try:
        with (order.folder / RECORD).open("rb") as file:
            record = json.loads(file.read(MOST_RECORD_BYTES))
    except (OSError, ValueError, RecursionError):
        record = None
    if not isinstance(record, dict) or record.get("version") != RECORD_VERSION:
        return ""
    statistics = record.get("statistics")
    if not isinstance(statistics, str) or len(statistics) > wire.MAX_STATISTICS:
        return ""
    wanted = _record(order)
    if {key: record.get(key) for key in wanted} != wanted:
        if any(path.is_file() for _, path in order.frames):
            raise NoContent(
                f"The frames in {order.folder} were painted by another model or with other settings. Choose another "
                "folder, or overwrite them."
            )
        return ""
    return statistics


def write_record(order: SequenceOrder, statistics: str) -> None:
    """For whoever goes on. Raises ImageFileError."""
    path = order.folder / RECORD
    draft = path.with_name(f".{RECORD}.part")
    text = json.dumps({"version": RECORD_VERSION, **_record(order), "statistics": statistics})
    try:
        draft.write_text(text, encoding="utf-8")
        os.replace(draft, path)  # noqa: PTH105, of both
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        raise ImageFileError(f"{path} was not written: {error.strerror or error}. Choose another folder.") from error


def _record(order: SequenceOrder) -> Mapping[str, Any]:
    look = order.look
    return {
        "model": look.model,
        "sha256": order.sha256,
        "strength": round(look.strength, 6),
        "seed": look.seed,
        "keep_colours": look.keep_colours,
    }


def remove_frames(order: SequenceOrder) -> None:
    """So that all are made anew. Raises ImageFileError."""
    for path in (*(path for _, path in order.frames), order.folder / RECORD):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise ImageFileError(f"{path} cannot be replaced: {error.strerror or error}.") from error


AnyStyleTask = StyleTask | SequenceTask
