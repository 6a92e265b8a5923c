"""A process on a busy machine is not taken for hung: what counts is the time that it has had."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from server.service import own_time
from server.service.own_time import WINDOW_S, OwnTime, processor_time

SPINS = "print(flush=True)\nwhile True: pass"
WAITS = "import sys; print(flush=True); sys.stdin.read()"


class Told:
    """A clock, and the processor time of a process."""

    now = 50.0
    used: float | None = 7.0

    def own(self) -> OwnTime:
        return OwnTime(1, clock=lambda: self.now, used=lambda pid: self.used)

    def passes(self, seconds: float, used: float) -> None:
        self.now += seconds
        self.used = None if self.used is None else self.used + used


@pytest.mark.parametrize(
    ("share", "had"),
    [(0.1, 10.0), (0.01, 1.0), (4.0, 100.0), (0.0, 100.0)],
    ids=["a tenth of the time", "a hundredth", "four threads", "nothing: it waits"],
)
def test_what_it_has_used_counts_as_long_as_it_uses_any(share: float, had: float) -> None:
    told = Told()
    own = told.own()
    for _ in range(10):
        told.passes(10, 10 * share)
        own.had_s()
    assert own.had_s() == pytest.approx(had)
    assert own.held_back_s() == pytest.approx(100 - had)


def test_where_the_system_does_not_tell_all_of_the_time_counts() -> None:
    told = Told()
    told.used = None
    own = told.own()
    told.passes(30, 0)
    assert own.had_s() == 30


def test_a_moment_is_not_judged() -> None:
    """The clock of processor time is coarse."""
    told = Told()
    own = told.own()
    told.passes(WINDOW_S - 1, 0.5)
    assert own.held_back_s() == 0
    told.passes(2, 0)
    assert own.held_back_s() == pytest.approx(WINDOW_S + 1 - 0.5)


@contextmanager
def child(program: str) -> Iterator[int]:
    """A process that has started, and says so by a line."""
    command = [sys.executable, "-S", "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            assert process.stdout.readline()
            yield process.pid
        finally:
            process.kill()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the system does not tell")
def test_of_four_on_one_processor_each_is_held_back_and_one_that_waits_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_time, "WINDOW_S", 0.3)
    (first, *_) = os.sched_getaffinity(0)
    with ExitStack() as stack:
        pids = [stack.enter_context(child(SPINS)) for _ in range(4)]
        waiting = stack.enter_context(child(WAITS))
        for pid in pids:
            os.sched_setaffinity(pid, {first})
        began = time.monotonic()
        own, other = OwnTime(pids[0]), OwnTime(waiting)
        time.sleep(1.0)
        assert 0.4 < own.held_back_s() < time.monotonic() - began
        assert other.held_back_s() == 0


def test_no_process_has_no_time() -> None:
    assert processor_time(2**30) is None
