"""Facts about the worker processes, with small programs in the workers' place and a clock that is set by hand."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from server.service.processes import SLOWEST_RESTART_S, START_S, STOPPED_S, Processes, _is_stopped
from server.worker.worker_config import MISCONFIGURED, WorkerConfig
from tests.server.session import eventually

CONFIG = WorkerConfig(endpoint="tcp://127.0.0.1:1", name="cpu/0", device="cpu", threads=3)
WAITS = "import sys; sys.stdin.buffer.read()"
DEAF = "import time; time.sleep(600)"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Kept(Processes):
    """Processes of one program, ended with the test."""

    def __init__(self, program: str, *names: str) -> None:
        self.clock = Clock()
        configs = [WorkerConfig(endpoint="", name=name) for name in names] or [CONFIG]
        super().__init__(configs, command=(sys.executable, "-S", "-c", program), clock=self.clock)

    def ticks(self, *reporting: bytes) -> list[str]:
        """The names of those that have ended; each with the routing id that it was started with."""
        ids = self.ids()
        ended = self.tick(reporting)
        assert all(ids[each.name] == each.id for each in ended)
        return [each.name for each in ended]

    def ids(self) -> dict[str, bytes]:
        return {name: each.id for name, each in self._processes.items()}

    def dies(self) -> list[str]:
        """Tick until somebody has died."""
        found: list[str] = eventually(self.ticks, "a death")
        return found


@pytest.fixture
def started() -> Iterator[list[Kept]]:
    kept: list[Kept] = []
    yield kept
    for each in kept:
        each.stop()


def start(started: list[Kept], program: str, *names: str) -> Kept:
    started.append(Kept(program, *names))
    return started[-1]


def test_each_is_told_its_configuration_on_standard_input(started: list[Kept], tmp_path: Path) -> None:
    told = tmp_path / "told"
    program = f"import os, sys; open({str(told)!r}, 'w').write(os.environ['OMP_NUM_THREADS'] + sys.stdin.readline())"
    start(started, program)
    eventually(lambda: told.exists() and told.read_text().endswith("\n"), "the configuration")
    assert told.read_text()[:1] == "3"
    config = WorkerConfig(**json.loads(told.read_text()[1:]))
    assert config == replace(CONFIG, routing_id=config.routing_id)
    assert len(config.routing_id) == 16


@pytest.mark.parametrize("chosen", [None, "active"])
def test_threads_wait_asleep_unless_the_person_chose_otherwise(
    started: list[Kept], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: str | None
) -> None:
    if chosen:
        monkeypatch.setenv("OMP_WAIT_POLICY", chosen)
    else:
        monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    told = tmp_path / "told"
    start(started, f"import os; open({str(told)!r}, 'w').write(os.environ['OMP_WAIT_POLICY'] + '.')")
    eventually(lambda: told.exists() and told.read_text().endswith("."), "the environment")
    assert told.read_text() == f"{chosen or 'passive'}."


def test_no_key_is_shown_among_the_processes_arguments() -> None:
    config = WorkerConfig(endpoint="", name="a", own_key="5e" * 32)
    processes = Processes([config], command=(sys.executable, "-S", "-c", WAITS))
    try:
        (pid,) = processes.pids().values()
        if Path("/proc").is_dir():
            assert config.own_key.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
            assert config.own_key.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
    finally:
        processes.stop()


def test_one_that_dies_is_told_of_once_and_started_again(started: list[Kept]) -> None:
    processes = start(started, WAITS, "a", "b")
    before = processes.pids()
    first = processes.ids()["a"]
    processes.kill(first)
    assert processes.dies() == ["a"]
    assert processes.ticks() == []
    processes.kill(first)  # late: its successor is another one
    assert processes.ticks() == []
    after = processes.pids()
    assert after["b"] == before["b"]
    assert after["a"] != before["a"]


def test_a_name_is_started_once(started: list[Kept]) -> None:
    processes = start(started, WAITS, "a")
    before = processes.pids()
    processes.add(WorkerConfig(endpoint="", name="a"))
    assert processes.pids() == before
    processes.kill(b"nobody")
    processes.add(WorkerConfig(endpoint="", name="b"))
    assert processes.pids().keys() == {"a", "b"}


def test_one_that_keeps_dying_before_it_reports_is_started_later_and_later(started: list[Kept]) -> None:
    processes = start(started, "")
    waits = []
    for _ in range(9):
        assert processes.dies() == ["cpu/0"]
        began = processes.clock.now
        while not processes.pids():
            processes.clock.now += 0.5
            processes.ticks()
        waits.append(processes.clock.now - began)
    assert waits == [0, 1, 2, 4, 8, 16, SLOWEST_RESTART_S, SLOWEST_RESTART_S, SLOWEST_RESTART_S]


def test_one_that_had_reported_is_started_at_once_however_often(started: list[Kept]) -> None:
    processes = start(started, WAITS)
    for _ in range(4):
        assert processes.ticks(*processes.ids().values()) == []
        processes.kill(processes.ids()["cpu/0"])
        processes.dies()
        assert processes.pids()


def test_one_that_says_it_would_not_help_is_not_started_again(started: list[Kept]) -> None:
    processes = start(started, f"import sys; sys.exit({MISCONFIGURED})")
    assert not processes.misconfigured
    processes.dies()
    assert processes.misconfigured
    for _ in range(10):
        processes.clock.now += 10 * SLOWEST_RESTART_S
        assert processes.ticks() == []
        assert processes.pids() == {}


def test_a_death_before_the_configuration_is_read_is_a_death_like_others(started: list[Kept]) -> None:
    processes = start(started, "import os; os.close(0); os._exit(3)")
    assert processes.dies() == ["cpu/0"]


def test_one_that_never_reports_is_ended_and_has_longer_the_next_time(started: list[Kept]) -> None:
    processes = start(started, DEAF)
    for patience_s in (START_S, 2 * START_S, 4 * START_S):
        processes.clock.now += patience_s - 1
        assert processes.ticks() == []
        processes.clock.now += 2
        assert processes.dies() == ["cpu/0"]
        processes.clock.now += SLOWEST_RESTART_S
        assert processes.ticks() == []
        assert processes.pids()


def test_one_that_no_longer_reports_is_ended_whatever_it_did_before(started: list[Kept]) -> None:
    processes = start(started, DEAF, "a", "b")
    ids = processes.ids()
    for _ in range(5):
        processes.clock.now += START_S - 1
        assert processes.ticks(*ids.values()) == []
    processes.clock.now += START_S - 1
    assert processes.ticks(ids["b"]) == []
    processes.clock.now += 2
    assert eventually(lambda: processes.ticks(ids["b"]), "a death") == ["a"]


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="the system does not say who is stopped")
@pytest.mark.parametrize("reports", [True, False], ids=["at work", "starting"])
def test_one_that_is_stopped_has_little_time(started: list[Kept], reports: bool) -> None:
    processes = start(started, DEAF)
    reporting = list(processes.ids().values()) if reports else []
    (pid,) = processes.pids().values()
    os.kill(pid, signal.SIGSTOP)
    eventually(lambda: _is_stopped(pid), "that it is stopped")
    assert processes.ticks(*reporting) == []
    processes.clock.now += STOPPED_S - 1
    assert processes.ticks(*reporting) == []
    os.kill(pid, signal.SIGCONT)
    eventually(lambda: not _is_stopped(pid), "that it goes on")
    processes.clock.now += 2
    assert processes.ticks(*reporting) == []
    os.kill(pid, signal.SIGSTOP)
    eventually(lambda: _is_stopped(pid), "that it is stopped")
    assert processes.ticks(*reporting) == []
    processes.clock.now += STOPPED_S + 1
    assert eventually(lambda: processes.ticks(*reporting), "a death") == ["cpu/0"]
    assert processes.pids() != {"cpu/0": pid}


def test_one_that_cannot_be_started_is_tried_again_later(started: list[Kept], monkeypatch: pytest.MonkeyPatch) -> None:
    processes = start(started, WAITS)

    def no_memory(*_: object, **__: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "Popen", no_memory)
        processes.kill(processes.ids()["cpu/0"])
        processes.dies()
    assert processes.pids() == {}
    processes.clock.now += SLOWEST_RESTART_S + 1
    assert processes.ticks() == []
    assert processes.pids()


def test_all_end_with_the_server_those_too_that_do_not_listen(started: list[Kept]) -> None:
    for program in (WAITS, DEAF):
        processes = start(started, program, "a", "b")
        pids = processes.pids().values()
        began = time.monotonic()
        processes.stop()
        assert time.monotonic() - began < 20
        assert processes.pids() == {}
        for pid in pids:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)


@pytest.mark.skipif(sys.platform == "win32", reason="process groups of POSIX")
def test_ctrl_c_in_a_terminal_does_not_reach_them(started: list[Kept]) -> None:
    processes = start(started, WAITS)
    (pid,) = processes.pids().values()
    assert os.getpgid(pid) == pid != os.getpgid(0)
