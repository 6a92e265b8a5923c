"""The worker processes of this machine: started, watched, started again when they die, ended with the server.

Spawned, never forked: torch and CUDA do not survive a fork. A worker reads its configuration from standard input, where
no other user sees it, and exits when that closes. So no worker outlives the server, not even one that was killed.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from server.worker.worker_config import MISCONFIGURED, WorkerConfig

# Ctrl-C in a terminal is for the server, which lets its workers finish; it reaches all of a process group.
_OWN_GROUP: dict[str, Any] = (
    {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
    if sys.platform == "win32"
    else {"process_group": 0}
)
# A worker's threads wait for each other asleep. Where other programs keep the processors busy, such as a render, those
# that wait awake take the time of those they wait for: painting then took ten times as long.
PATIENT = {"OMP_WAIT_POLICY": "passive"}
COMMAND = (sys.executable, "-m", "server.worker")
YOUNG_S = 10.0  # a worker that dies earlier will probably die again
SLOWEST_RESTART_S = 30.0


@dataclass(eq=False)
class _Process:
    config: WorkerConfig
    popen: "subprocess.Popen[bytes] | None" = None
    started: float = 0.0
    again: float = 0.0  # not started before this time
    failures: int = 0  # deaths in a row soon after the start


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

    def tick(self) -> list[str]:
        """Start dead ones again, later and later while they keep dying. Returns the names of those that died since.

        One that exited with MISCONFIGURED is not started again.
        """
        now, died = self._clock(), []
        for name, process in self._processes.items():
            if process.popen is None:
                if now >= process.again:
                    self._start(process)
            elif (code := process.popen.poll()) is not None:
                died.append(name)
                self._close(process)
                self.misconfigured |= code == MISCONFIGURED
                process.failures = process.failures + 1 if now - process.started < YOUNG_S else 0
                if code == MISCONFIGURED:
                    process.again = float("inf")
                elif process.failures < 2:
                    self._start(process)
                else:
                    process.again = now + min(SLOWEST_RESTART_S, 2.0 ** (process.failures - 2))
        return died

    def kill(self, name: str) -> None:
        """Kill it; the next tick reports its death."""
        process = self._processes.get(name)
        if process is not None and process.popen is not None:
            process.popen.kill()

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
            self._close(process)
        self._processes.clear()

    def _start(self, process: _Process) -> None:
        threads = process.config.threads
        environment = PATIENT | os.environ | ({"OMP_NUM_THREADS": str(threads)} if threads else {})
        process.started = self._clock()
        process.popen = subprocess.Popen(self._command, stdin=subprocess.PIPE, env=environment, **_OWN_GROUP)
        assert process.popen.stdin is not None
        with suppress(BrokenPipeError):  # it died at once, and the next tick reports it
            process.popen.stdin.write(process.config.to_json() + b"\n")
            process.popen.stdin.flush()

    def _close(self, process: _Process) -> None:
        assert process.popen is not None
        if process.popen.poll() is None:
            process.popen.kill()
            process.popen.wait()
        assert process.popen.stdin is not None
        with suppress(OSError):
            process.popen.stdin.close()
        process.popen = None
