"""The server's log: lines are queued, and a thread writes them, because writing may block for ever.

A pipe that nobody reads is full after 64 KiB, and a disk may hang. Whoever logs never waits: beyond QUEUED_LINES, lines
are dropped and counted, and the count is written once there is room again. The thread writes to the file descriptor
itself, so that it holds no lock that the program would need at its end.
"""

import json
import logging
import os
import queue
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Literal

QUEUED_LINES = 2000
LONGEST_LINE = 10_000  # characters; a traceback may have some thousand
LONGEST_MESSAGE, LONGEST_TRACEBACK = 2000, 4000  # characters in JSON, so that nothing is cut from its end
LAST_LINES_S = 1.0  # to write what is queued at the end
FORMAT = "%(asctime)s %(levelname)s %(message)s"
LogFormat = Literal["text", "json"]
LOG_FORMATS: tuple[LogFormat, ...] = ("text", "json")

_FIELD = re.compile(r"(?<!\S)([a-z_]+)=('[^']*'|\"[^\"]*\"|\S+)")


class JsonLines(logging.Formatter):
    """An object a line: `time` (UTC), `level`, `message`, and each NAME=VALUE of the message under `fields`, as text.

    `traceback` stands beside them where there is one.
    """

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()[:LONGEST_MESSAGE]
        told: dict[str, Any] = {
            "time": f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%dT%H:%M:%S.%f}Z",
            "level": record.levelname.lower(),
            "message": message,
        }
        if fields := {name: value.strip("'\"") for name, value in _FIELD.findall(message)}:
            told["fields"] = fields
        if record.exc_info:
            told["traceback"] = self.formatException(record.exc_info)[-LONGEST_TRACEBACK:]
        return json.dumps(told, ensure_ascii=False)


class LogWriter(logging.Handler):
    """Writes to the file descriptor. `dropped`: lines so far that could not be queued."""

    def __init__(self, descriptor: int, format: LogFormat = "text") -> None:
        super().__init__()
        self.setFormatter(JsonLines() if format == "json" else logging.Formatter(FORMAT))
        self.dropped = 0
        self._told = 0  # of those dropped
        self._descriptor = descriptor
        self._lines: queue.Queue[str | None] = queue.Queue(QUEUED_LINES)
        self._thread = threading.Thread(target=self._write_all, daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.put_nowait(self.format(record)[:LONGEST_LINE])
        except queue.Full:
            self.dropped += 1

    def end(self) -> None:
        """Write what is queued, if that takes no longer than LAST_LINES_S."""
        try:
            self._lines.put(None, timeout=LAST_LINES_S)
        except queue.Full:
            return
        self._thread.join(LAST_LINES_S)

    def _write_all(self) -> None:
        while (line := self._lines.get()) is not None:
            if (dropped := self.dropped) > self._told:
                line += f"\n{self._of_dropped(dropped - self._told)}"
                self._told = dropped
            try:
                self._write(f"{line}\n".encode(errors="backslashreplace"))
            except OSError:  # closed, or the disk is full
                self.dropped += 1

    def _of_dropped(self, count: int) -> str:
        text = f"texserver: {count} lines of the log were dropped: they came too fast."
        if not isinstance(self.formatter, JsonLines):
            return text
        return self.formatter.format(logging.LogRecord("texserver", logging.WARNING, "", 0, text, None, None))

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._descriptor, data) :]


@contextmanager
def logging_to_stderr(level: str, format: LogFormat = "text") -> Iterator[LogWriter | None]:
    """The log of this program goes to standard error, from this level on. None where there is no standard error."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(level.upper())
    writer = None
    with suppress(AttributeError, OSError, ValueError):  # there is no standard error, or it is no file
        writer = LogWriter(sys.stderr.fileno(), format)
        root.addHandler(writer)
    try:
        yield writer
    finally:
        root.setLevel(before)
        if writer is not None:
            root.removeHandler(writer)
            writer.end()
