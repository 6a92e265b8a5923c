"""The server's log: lines are queued, and a thread writes them, because writing may block for ever.

A pipe that nobody reads is full after 64 KiB, and a disk may hang. Whoever logs never waits: beyond QUEUED_LINES, lines
are dropped and counted, and the count is written once there is room again. The thread writes to the file descriptor
itself, so that it holds no lock that the program would need at its end.
"""

import logging
import os
import queue
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

QUEUED_LINES = 2000
LONGEST_LINE = 10_000  # characters; a traceback may have some thousand
LAST_LINES_S = 1.0  # to write what is queued at the end
FORMAT = "%(asctime)s %(levelname)s %(message)s"


class LogWriter(logging.Handler):
    """Writes to the file descriptor. `dropped`: lines so far that could not be queued."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter(FORMAT))
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
                line += f"\ntexserver: {dropped - self._told} lines of the log were dropped: they came too fast."
                self._told = dropped
            try:
                self._write(f"{line}\n".encode(errors="backslashreplace"))
            except OSError:  # closed, or the disk is full
                self.dropped += 1

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._descriptor, data) :]


@contextmanager
def logging_to_stderr(level: str) -> Iterator[LogWriter | None]:
    """The log of this program goes to standard error, from this level on. None where there is no standard error."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(level.upper())
    writer = None
    with suppress(AttributeError, OSError, ValueError):  # there is no standard error, or it is no file
        writer = LogWriter(sys.stderr.fileno())
        root.addHandler(writer)
    try:
        yield writer
    finally:
        root.setLevel(before)
        if writer is not None:
            root.removeHandler(writer)
            writer.end()
