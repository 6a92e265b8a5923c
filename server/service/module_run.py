"""A Python module that runs beside the server, as a process of its own: `python -m MODULE ...`, watched until it ends.

The server neither imports such a module nor waits for it. The module

- tells on standard output how far it is, one JSON object a line (trainer/report.py describes those of the trainer),
- ends when its standard input closes, so that it never outlives the server (the trainer's --leave-with-parent),
- ends with 0 when its work is done; otherwise the last line on standard error is a sentence that says why.

To run another module, give its name, its arguments and a folder of its own for what it says:

    run = ModuleRun("trainer.starter", ["--out", str(models), "--leave-with-parent"], folder)
    ...                               # several times a second:
    for line in run.look():           # what it has said since
        ...
    if run.ended: print(run.why)      # "" if all went well

It gets what time of the processors the server and its workers leave, and is ended when it is silent for too long, of
the time that it has had (server/service/own_time.py).
"""

import json
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from server import PATIENT
from server.service.own_time import OwnTime
from server.service.processes import OWN_GROUP

SILENT_S = 600.0  # of its time, without a line, after which it is taken to hang
NICE = 10
MOST_SAID_BYTES = 64 * 2**20  # on standard output
READ_AT_ONCE = 256 * 1024
MOST_WHY = 400  # characters
SAID, WRONG = "said.jsonl", "wrong.txt"  # its standard output and error, in its folder

log = logging.getLogger("texserver")


class ModuleRun:
    """One run of a module. `ended`: it runs no more; then `why` says why it failed, "" if it did not.

    Raises OSError if it cannot be started.
    """

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        folder: Path,
        *,
        silent_s: float = SILENT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.ended = False
        self.why = ""
        self._module, self._folder = module, folder
        self._silent_s = silent_s
        self._read = 0  # bytes of what it said
        self._rest = b""  # an unfinished line
        with ExitStack() as stack:
            said, wrong = (stack.enter_context((folder / name).open("wb")) for name in (SAID, WRONG))
            self._popen = subprocess.Popen(
                (sys.executable, "-m", module, *arguments),
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=wrong,
                env=PATIENT | os.environ | {"PYTHONIOENCODING": "utf-8"},
                **OWN_GROUP,
            )
        self._time = OwnTime(self._popen.pid, clock=clock)
        self._heard = 0.0  # of its time
        if sys.platform != "win32":
            with suppress(OSError):  # threads that it starts later inherit it
                os.setpriority(os.PRIO_PROCESS, self._popen.pid, NICE)

    @property
    def pid(self) -> int:
        return self._popen.pid

    def look(self) -> list[Mapping[str, Any]]:
        """What it has said since the last look, and whether it has ended. Never waits."""
        if self.ended:
            return []
        code = self._popen.poll()  # before it is read: what it said last is there then
        lines = self._lines()
        if code is not None:
            self._end(self._why(code))
        elif self._time.had_s() - self._heard > self._silent_s:
            self.stop(f"It did nothing for {self._silent_s / 60:.0f} minutes and was ended. Try again.")
        elif self._read > MOST_SAID_BYTES:
            self.stop("It said too much and was ended.")
        return lines

    def stop(self, why: str = "It was ended.") -> None:
        """End it at once."""
        if not self.ended:
            self._popen.kill()
            self._popen.wait()
            self._end(why)

    def _end(self, why: str) -> None:
        self.ended, self.why = True, why
        assert self._popen.stdin is not None
        with suppress(OSError):
            self._popen.stdin.close()

    def _lines(self) -> list[Mapping[str, Any]]:
        try:
            with (self._folder / SAID).open("rb") as file:
                file.seek(self._read)
                more = file.read(READ_AT_ONCE)
        except OSError:
            return []
        if not more:
            return []
        self._read += len(more)
        self._heard = self._time.had_s()
        *lines, self._rest = (self._rest + more).split(b"\n")
        return [told for line in lines if (told := _object(line)) is not None]

    def _why(self, code: int) -> str:
        if code == 0:
            return ""
        if code < 0:
            return f"It was ended by signal {-code}, perhaps because memory ran out. Try again, or with smaller maps."
        try:
            lines = (self._folder / WRONG).read_bytes()[-READ_AT_ONCE:].decode("utf-8", "replace").splitlines()
        except OSError:
            lines = []
        said = [line.strip() for line in lines if line.strip()]
        if not said:
            return f"It ended with code {code} and said nothing."
        return re.sub(r"^\w+: (?=[A-Z/'\"])", "", said[-1])[:MOST_WHY]


def _object(line: bytes) -> Mapping[str, Any] | None:
    with suppress(ValueError, RecursionError):
        value = json.loads(line)
        if isinstance(value, dict):
            return value
    return None
