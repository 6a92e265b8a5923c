"""The worker processes of this machine: started, watched, started again when they die, ended with the server.

Spawned, never forked: torch and CUDA do not survive a fork. A worker reads its configuration from standard input, where
no other user sees it, and exits when that closes. So no worker outlives the server, not even one that was killed.

Whatever state a process is in, something ends it if it does not get on: one that never reports to the front, or no
longer does, has a deadline (START_S); one that a signal has stopped has less time (STOPPED_S); one that hangs at its
work is found by the front's watchdog (server/front/crew.py), which says `kill`. All but the time of a stopped one is
the time that a process has had (server/service/own_time.py): a busy machine is no reason to end it.
"""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from secrets import token_hex
from typing import Any

from server import PATIENT
from server.service.own_time import OwnTime
from server.worker.worker_config import MISCONFIGURED, WorkerConfig

# Ctrl-C in a terminal is for the server, which lets its workers finish; it reaches all of a process group.
OWN_GROUP: dict[str, Any] = (
    {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
    if sys.platform == "win32"
    else {"process_group": 0}
)
COMMAND = (sys.executable, "-m", "server.worker")
SLOWEST_RESTART_S = 30.0
START_S = 60.0  # without a report to the front, after which a process is ended; doubled after each such failure, up to
SLOWEST_START_S = 960.0  # since loading torch may take minutes from a slow disk
STOPPED_S = 3.0  # in which one that was stopped (SIGSTOP) may be continued

log = logging.getLogger("texserver")


@dataclass(eq=False)
class _Process:
    config: WorkerConfig
    popen: "subprocess.Popen[bytes] | None" = None
    id: bytes = b""  # its routing id at the front; another one at each start
    time: OwnTime | None = None  # since its start
    has_reported: bool = False
    reported: float = 0.0  # when the front last knew it, or when it was started: of its time
    running: float = 0.0  # when it was last seen not stopped by a signal
    again: float = 0.0  # not started before this time
    for_good: bool = False  # it is not started again
    failures: int = 0  # deaths in a row before the first report


def worker_configs(config: WorkerConfig, device: str, workers: int) -> list[WorkerConfig]:
    """One for each process: "cuda:0,1" is two devices. Several CPU workers share the cores."""
    first, *others = device.split(",")
    names = [first, *(f"{first.partition(':')[0]}:{other.rpartition(':')[2]}" for other in others)]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = max(1, cores // workers) if workers > 1 and device in ("cpu", "auto") else 0
    return [
        replace(config, name=f"{name}/{index}", device=name, threads=threads)
        for name in names
        for index in range(workers)
    ]


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A process has ended. `id`: its routing id at the front."""

    name: str
    id: bytes


class Processes:
    """One process for each configuration, by name."""

    def __init__(
        self,
        configs: Sequence[WorkerConfig],
        *,
        command: Sequence[str] = COMMAND,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._command, self._clock = tuple(command), clock
        self._processes: dict[str, _Process] = {}
        self.misconfigured = False  # a worker has exited with MISCONFIGURED
        for config in configs:
            self.add(config)

    def add(self, config: WorkerConfig) -> None:
        """Start a process with this configuration, unless one has its name."""
        if config.name not in self._processes:
            self._processes[config.name] = _Process(config)
            self._start(self._processes[config.name])

    def tick(self, reporting: Collection[bytes]) -> list[Ended]:
        """Start dead ones again, later and later while they die before they report. Returns those that ended since.

        `reporting`: routing ids of the workers that the front knows. One that exited with MISCONFIGURED is not started
        again.
        """
        now, ended = self._clock(), []
        for name, process in self._processes.items():
            if process.popen is None:
                if now >= process.again:
                    self._start(process)
            elif (code := process.popen.poll()) is not None:
                ended.append(Ended(name=name, id=process.id))
                end_child(process.popen)
                process.popen = None
                self.misconfigured |= code == MISCONFIGURED
                process.failures = 0 if process.has_reported else process.failures + 1
                if code == MISCONFIGURED or process.for_good:
                    process.again = float("inf")
                elif process.failures < 2:
                    self._start(process)
                else:
                    process.again = now + min(SLOWEST_RESTART_S, 2.0 ** (process.failures - 2))
            else:
                self._check_gets_on(process, reporting, now)
        return ended

    def _check_gets_on(self, process: _Process, reporting: Collection[bytes], now: float) -> None:
        """Kill one that is stopped, or that the front knows nothing of, for too long."""
        assert process.popen is not None
        assert process.time is not None
        own = process.time.had_s()
        if process.id in reporting:
            process.has_reported, process.reported = True, own
        if not _is_stopped(process.popen.pid):
            process.running = now
        patience_s = min(SLOWEST_START_S, START_S * 2.0**process.failures)
        if now - process.running > STOPPED_S:
            log.warning("worker=%s was stopped by a signal and is ended", process.config.name)
        elif own - process.reported > patience_s:
            log.warning("worker=%s has not reported for %.0f s and is ended", process.config.name, patience_s)
        else:
            return
        process.popen.kill()

    def kill(self, id: bytes, *, for_good: bool = False) -> None:
        """Kill the one of this routing id, if it runs; the next tick reports its death. `for_good`: it stays dead."""
        for process in self._processes.values():
            if process.id == id and process.popen is not None:
                process.popen.kill()
                process.for_good = for_good

    def held_back_s(self, id: bytes) -> float:
        """Seconds since its start that the one of this routing id did not have, because others had the processors."""
        found = (each.time for each in self._processes.values() if each.id == id and each.popen is not None)
        return sum(time.held_back_s() for time in found if time is not None)

    def pids(self) -> dict[str, int]:
        """The ids of the running processes, by name."""
        return {name: each.popen.pid for name, each in self._processes.items() if each.popen is not None}

    def stop(self, patience_s: float = 0.5) -> None:
        """End them all: close their standard input, then kill those that go on. Nothing is lost by that."""
        running = [each for each in self._processes.values() if each.popen is not None]
        for process in running:
            assert process.popen is not None
            assert process.popen.stdin is not None
            with suppress(OSError):
                process.popen.stdin.close()
        end = time.monotonic() + patience_s
        for process in running:
            assert process.popen is not None
            with suppress(subprocess.TimeoutExpired):
                process.popen.wait(max(0.0, end - time.monotonic()))
            end_child(process.popen)
            process.popen = None
        self._processes.clear()

    def _start(self, process: _Process) -> None:
        threads = process.config.threads
        environment = PATIENT | os.environ | ({"OMP_NUM_THREADS": str(threads)} if threads else {})
        process.running = self._clock()
        process.has_reported, process.reported, process.time = False, 0.0, None
        process.id = token_hex(8).encode()
        try:
            process.popen = subprocess.Popen(self._command, stdin=subprocess.PIPE, env=environment, **OWN_GROUP)
        except OSError as error:  # no memory or no process left, for now
            log.warning("worker=%s cannot be started: %s", process.config.name, error.strerror or error)
            process.again = process.running + SLOWEST_RESTART_S
            return
        process.time = OwnTime(process.popen.pid, clock=self._clock)
        assert process.popen.stdin is not None
        with suppress(BrokenPipeError):  # it died at once, and the next tick reports it
            config = replace(process.config, routing_id=process.id.decode())
            process.popen.stdin.write(config.to_json() + b"\n")
            process.popen.stdin.flush()


def end_child(popen: "subprocess.Popen[bytes]") -> None:
    """Kill it if it still runs, wait for it, and close its standard input."""
    if popen.poll() is None:
        popen.kill()
        popen.wait()
    assert popen.stdin is not None
    with suppress(OSError):
        popen.stdin.close()


def _is_stopped(pid: int) -> bool:
    """Whether a signal has stopped this child of ours. False where the system does not say."""
    if sys.platform == "win32" or not hasattr(os, "waitid"):
        return False
    try:  # only looked at: Popen waits for it
        return os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None
    except OSError:
        return False
