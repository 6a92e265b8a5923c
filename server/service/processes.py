"""The worker processes of this machine: started, watched, started again when they die, ended with the server.

Spawned, never forked: torch and CUDA do not survive a fork. A worker is told what it needs on its standard input, where
no other user sees it, and leaves by itself when that closes, so it never outlives the server, not even one that was
killed.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from server.worker.worker_config import MISCONFIGURED, WorkerConfig

# Ctrl-C in a terminal is for the server, which lets its workers finish; it reaches all of a process group.
_OWN_GROUP: dict[str, Any] = (
    {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
    if sys.platform == "win32"
    else {"process_group": 0}
)
COMMAND = (sys.executable, "-m", "server.worker")
YOUNG_S = 10.0  # a worker that dies before is taken for one that will die again
SLOWEST_RESTART_S = 30.0


@dataclass(eq=False)
class _Process:
    config: WorkerConfig
    popen: "subprocess.Popen[bytes] | None" = None
    started: float = 0.0
    again: float = 0.0  # not to be started before
    failures: int = 0  # deaths in a row soon after the start


class Processes:
    """One process for each configuration, by the configuration's name."""

    def __init__(
        self,
        configs: Sequence[WorkerConfig],
        *,
        command: Sequence[str] = COMMAND,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._command, self._clock = tuple(command), clock
        self._processes: dict[str, _Process] = {}
        self.misconfigured = False  # a worker said that starting it again would not help
        for config in configs:
            self.add(config)

    def add(self, config: WorkerConfig) -> None:
        """Start a process with this configuration, unless there is one of its name."""
        if config.name not in self._processes:
            self._processes[config.name] = _Process(config)
            self._start(self._processes[config.name])

    def tick(self) -> list[str]:
        """The names of those that died since; each is started again, later and later while it keeps dying.

        One that says that this would not help is left alone.
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
        """End it without asking; the next tick tells of its death."""
        process = self._processes.get(name)
        if process is not None and process.popen is not None:
            process.popen.kill()

    def pids(self) -> dict[str, int]:
        """The process ids of those that run, by name."""
        return {name: each.popen.pid for name, each in self._processes.items() if each.popen is not None}

    def stop(self, patience_s: float = 0.5) -> None:
        """End them all: ask by closing their standard input, then kill, as what they are at is nobody's loss."""
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
        environment = os.environ | ({"OMP_NUM_THREADS": str(threads)} if threads else {})
        process.started = self._clock()
        process.popen = subprocess.Popen(self._command, stdin=subprocess.PIPE, env=environment, **_OWN_GROUP)
        assert process.popen.stdin is not None
        with suppress(BrokenPipeError):  # it died at once, and the next tick tells of it
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
