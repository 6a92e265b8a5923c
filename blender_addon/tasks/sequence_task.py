"""The task that stylizes a sequence, frame by frame. No bpy here.

A ContentSource gives the frames as files that picture_reader reads; a frame may have to be rendered first.

All frames are painted with the statistics of the first one, or the sequence would flicker. They are kept beside the
frames in sequence.json, with everything else that decides how a frame looks. What each frame gives to the next one is
kept there, too (carry_file.py). A task that continues the sequence later uses the same.
"""

import json
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Protocol

from ..client.connection import Connection
from ..client.region_download import RegionDownload
from ..client.sinks import FileSink, MemorySink
from ..client.style_download import CALM, StyleDownload, StylizedPicture
from ..pictures.carry_file import carry_path, is_refused, new_shot, read_carry, write_carry
from ..pictures.draft import ImageFileError
from ..pictures.picture_reader import PictureError
from .style_task import NoContent, StyleParameters, StyleTask
from .task import PATIENCE_S

RECORD: Final = "sequence.json"
RECORD_VERSION: Final = 1
MOST_RECORD_BYTES: Final = 2**18


@dataclass(frozen=True, kw_only=True)
class SequenceOrder:
    """Which frames to stylize, and how. Frames whose files exist are not painted again."""

    style: StyleParameters
    name: str
    folder: Path
    frames: tuple[tuple[int, Path], ...]  # the number of each frame, and the file it becomes
    sha256: str = ""  # of the model file; "" where it is not known

    @property
    def title(self) -> str:
        """For one line of a panel."""
        return f"{self.name} in {self.style.model}, {len(self.frames)} frames"


class ContentSource(Protocol):
    """Gives the frames of a sequence."""

    def content(self, frame: int) -> Path | None:
        """The file of a frame, None until it is there: the task asks again at every tick. Raises NoContent."""

    def close(self) -> None:
        """No more frames are needed."""


class SequenceTask(StyleTask):
    """Stylizes one frame after the other. Complete frames stay, however the task ends."""

    def __init__(
        self,
        id: int,
        order: SequenceOrder,
        connection: Connection,
        source: ContentSource,
        *,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(id, connection, patience_s=patience_s, clock=clock)
        self.order = order
        self.picture: StylizedPicture | None = None  # the frame that was painted last
        self._source = source
        self._statistics: str | None = None  # None before the record is read, "" where it has none
        self._left: deque[tuple[int, Path]] = deque()
        self._before = {path: other for (_, other), (_, path) in pairwise(order.frames)}
        self._sink: FileSink | MemorySink = MemorySink()
        self._content = Path()
        self._carry = b""  # what the frame before gave to this one

    @property
    def title(self) -> str:
        return self.order.title

    @property
    def fraction(self) -> float:
        if self.state == "done":
            return 1.0
        if self._statistics is None:
            return 0.0
        of_frame = self._download.fraction if self._download and isinstance(self._sink, FileSink) else 0.0
        return (self._done + of_frame) / len(self.order.frames)

    @property
    def _done(self) -> int:
        return len(self.order.frames) - len(self._left)

    def _stop(self) -> None:
        super()._stop()
        self._source.close()

    def _advance(self) -> None:
        try:
            if self._statistics is None:
                self._statistics = read_record(self.order)
                self._left.extend(each for each in self.order.frames if not each[1].is_file())
            if self._download:
                self._advance_frame(self._download)
            elif self._left:
                self.state = "running"
                self._begin_frame()
            else:
                self._end("done", f"{self.order.title}: all frames are in {self.order.folder}.")
        except (NoContent, PictureError, ImageFileError) as error:
            self._end("failed", f"{error} Finished frames stay; Retry continues from there.")
        except BaseException:
            self._end("failed", "An error in this program stopped it.")
            raise

    def _advance_frame(self, download: StyleDownload | RegionDownload) -> None:
        number = self._number
        download.tick()
        self.message = f"Frame {number}, {self._done + 1} of {len(self.order.frames)}. {download.message}"
        if not download.ended:
            self._watch(download)
            return
        if is_refused(self._carry, download.error):
            self.note = new_shot(f"frame {number}")
            self._begin_download(b"")
            return
        with suppress(OSError):
            self._content.unlink()
        if download.state != "done":
            self._end(
                download.state, f"Frame {number}: {download.message} Finished frames stay; Retry continues from there."
            )
            return
        if isinstance(self._sink, FileSink):
            write_carry(self._path, download.carry)
        self._download, self.picture = None, download.picture
        if not self._statistics:
            if not download.statistics:
                raise NoContent("The server sent no statistics, and without them a sequence flickers. Update it.")
            self._statistics = download.statistics
            write_record(self.order, download.statistics)
        if isinstance(self._sink, FileSink):
            self._left.popleft()

    def _begin_frame(self) -> None:
        """The next frame; or the first one of all, for its statistics, even where its file exists."""
        number, path = self._left[0] if self._statistics else self.order.frames[0]
        again = path.is_file()
        if again and self._statistics:  # another program has made it meanwhile
            self._left.popleft()
            return
        content = self._source.content(number)
        if content is None:
            self.message = f"Waiting for frame {number}."
            return
        self._number, self._path, self._content = number, path, content
        self._begin_download(read_carry(self._before.get(path)))

    def _begin_download(self, carry: bytes) -> None:
        path = self._path
        self._carry = carry
        self._sink = MemorySink() if path.is_file() else FileSink(lambda _: [path], durable=False)
        self._download = self._start(
            self.order.style, self._content, self._sink, statistics=self._statistics or "", carry=carry, noise=CALM
        )


# -------------------------------------------------------------------------------------------------------------- record


def read_record(order: SequenceOrder) -> str:
    """The statistics that the frames in the folder were painted with, "" where there are none.

    Raises NoContent where those frames were painted in another way.
    """
    try:
        with (order.folder / RECORD).open("rb") as file:
            record = json.loads(file.read(MOST_RECORD_BYTES))
    except (OSError, ValueError, RecursionError):
        record = None
    if not isinstance(record, dict) or record.get("version") != RECORD_VERSION:
        return ""
    statistics = record.get("statistics")
    if not isinstance(statistics, str) or len(statistics) > MOST_RECORD_BYTES:
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
    """Keep the statistics for a task that continues the sequence. Raises ImageFileError."""
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
    style = order.style
    return {
        "model": style.model,
        "sha256": order.sha256,
        "strength": round(style.strength, 6),
        "seed": style.seed,
        "keep_colours": style.keep_colours,
        **({} if style.stroke == 1 else {"stroke": round(style.stroke, 6)}),  # records of before have none
        **({"regions": [each.identity for each in style.regions]} if style.regions else {}),
    }


def remove_frames(order: SequenceOrder) -> None:
    """Remove the files, so that all frames are painted again. Raises ImageFileError."""
    frames = [path for _, path in order.frames]
    for path in (*frames, *map(carry_path, frames), order.folder / RECORD):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise ImageFileError(f"{path} cannot be replaced: {error.strerror or error}.") from error
