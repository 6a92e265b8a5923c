"""Facts about the log: whoever logs never waits, whatever becomes of the lines."""

import json
import logging
import os
import re
import select
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime

import pytest

from server.service.log_writer import LONGEST_LINE, QUEUED_LINES, LogWriter
from tests.server.session import eventually


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reads, writes = os.pipe()
    yield reads, writes
    for end in (reads, writes):
        os.close(end)


def logged(writer: LogWriter) -> logging.Logger:
    log = logging.Logger("test")
    log.addHandler(writer)
    return log


def test_lines_arrive_whole_and_in_order(pipe: tuple[int, int]) -> None:
    reads, writes = pipe
    writer = LogWriter(writes)
    log = logged(writer)
    for number in range(20):
        log.warning("line %d \u00e9", number)
    writer.end()
    lines = os.read(reads, 65536).decode().splitlines()
    assert [line.partition("WARNING ")[2] for line in lines] == [f"line {number} \u00e9" for number in range(20)]
    assert writer.dropped == 0


def test_a_line_of_json_holds_what_the_message_names(pipe: tuple[int, int]) -> None:
    reads, writes = pipe
    writer = LogWriter(writes, "json")
    log = logged(writer)
    log.warning("client=%s id=%d op=generate model=%s outcome=ok", "ab12", 7, "\u00e9", extra={})
    log.warning("op=hello name='Blender 5.2 x=1' says \udce9 in two\nlines")
    try:
        raise ValueError("on purpose")
    except ValueError:
        log.exception("x" * 20_000)
    writer.end()
    first, second, third = map(json.loads, os.read(reads, 65536).decode().splitlines())
    assert first["fields"] == {"client": "ab12", "id": "7", "op": "generate", "model": "\u00e9", "outcome": "ok"}
    assert (first["level"], first["message"][:11]) == ("warning", "client=ab12")
    assert datetime.fromisoformat(first["time"]).tzinfo is not None
    assert second["fields"] == {"op": "hello", "name": "Blender 5.2 x=1"}
    assert second["message"].endswith("lines")
    assert "ValueError: on purpose" in third["traceback"]


@pytest.mark.serial
def test_a_pipe_that_nobody_reads_costs_lines_and_no_time(pipe: tuple[int, int]) -> None:
    reads, writes = pipe
    writer = LogWriter(writes)
    log = logged(writer)
    began = time.monotonic()
    for _ in range(3 * QUEUED_LINES):
        log.warning("x" * 1000)
    eventually(
        lambda: not select.select([], [writes], [], 0)[1], "a full pipe"
    )  # the writer waits, however slow it was
    while not writer._lines.full():
        log.warning("x" * 1000)
    writer.end()
    assert time.monotonic() - began < 20
    assert writer.dropped >= QUEUED_LINES - 65536 // 1000
    os.set_blocking(reads, False)
    said = b""

    def told() -> bool:
        nonlocal said
        log.warning("one more")  # the count comes with a line
        with suppress(BlockingIOError):
            said += os.read(reads, 2**20)
        return sum(map(int, re.findall(rb"texserver: (\d+) lines of the log were dropped", said))) == writer.dropped

    eventually(told, "how many lines were dropped")

    def last() -> bool:
        nonlocal said
        log.warning("the last")
        with suppress(BlockingIOError):
            said += os.read(reads, 2**20)
        return b"the last" in said

    eventually(last, "the last line")  # so that nothing is left to be written
    writer.end()


def test_what_cannot_be_written_is_dropped_and_counted() -> None:
    reads, writes = os.pipe()
    os.close(reads)
    writer = LogWriter(writes)
    logged(writer).warning("to nobody")
    writer.end()
    os.close(writes)
    assert writer.dropped == 1


def test_a_line_has_a_bounded_length(pipe: tuple[int, int]) -> None:
    reads, writes = pipe
    writer = LogWriter(writes)
    logged(writer).warning("x" * 50_000)
    writer.end()
    assert len(os.read(reads, 65536)) == LONGEST_LINE + 1
