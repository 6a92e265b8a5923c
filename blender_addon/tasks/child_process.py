"""A program that the add-on starts: its output goes into a log, and a pipe to its input ends it. No bpy here.

Nothing waits. A pipe tells the program of the add-on's end on every system, however Blender ends: a killed Blender
closes its end of it, too. The log is emptied at each start, and only its owner may read it.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

_RUN: Final = (
    "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); runpy.run_module(sys.argv.pop(1), run_name='__main__')"
)
LAST_WAIT_S: Final = 0.3  # for the program's end, when Blender quits


class NoLog(OSError):
    """The log cannot be written."""


class ChildProcess:
    """One program, from its start to its end; `log` is emptied first.

    Raises NoLog, OSError, or ValueError for a zero byte in a name.
    """

    def __init__(
        self, command: Sequence[str], log: Path, folder: Path, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._deadline: float | None = None  # for ending, once it was asked to
        output = _emptied(log)
        try:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                cwd=folder,  # python -m looks for modules here first
                env=environment(),
                **_apart(),
            )
        finally:
            os.close(output)

    @property
    def pid(self) -> int:
        """Its number, and that of its process group."""
        return self._process.pid

    def poll(self) -> int | None:
        """The exit code; None while it runs. Kills one that was asked to end and has not in its time."""
        code = self._process.poll()
        if code is not None:
            self.close_input()
        elif self._deadline is not None and self._clock() > self._deadline:
            self.kill()
        return code

    @property
    def asked_to_end(self) -> bool:
        """Whether ask_to_end() was called."""
        return self._deadline is not None

    def ask_to_end(self, within_s: float) -> None:
        """Close its input. After so many seconds poll() kills it. Asking again changes nothing."""
        if self._deadline is None:
            self._deadline = self._clock() + within_s
            self.close_input()

    def close_input(self) -> None:
        """Tell a program that watches its input to end."""
        if self._process.stdin:
            with suppress(OSError):
                self._process.stdin.close()

    def terminate(self) -> None:
        """Ask it and all that it started to end at once; not on Windows, where that would be a kill."""
        if sys.platform != "win32":
            self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End it, with all that it started."""
        if sys.platform != "win32":
            self._send(signal.SIGKILL)
        elif self._process.poll() is None:
            with suppress(OSError):
                tree = ["taskkill", "/T", "/F", "/PID", str(self._process.pid)]
                subprocess.run(tree, capture_output=True, check=False, timeout=5, **_apart())
            with suppress(OSError):
                self._process.kill()

    def close(self) -> None:
        """For quitting: end it within a third of a second."""
        self.close_input()
        self.terminate()  # a second signal, for which texserver finishes nothing
        if not self._ends():
            self.kill()
            self._ends()

    def _ends(self) -> bool:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(LAST_WAIT_S)
            return True
        return False

    def _send(self, number: int) -> None:
        """To its whole process group: a wrapper script would not pass it on. The id stays its own until we wait."""
        if sys.platform != "win32" and self._process.poll() is None:
            with suppress(OSError):
                os.killpg(self._process.pid, number)


def module_command(module: str, arguments: Sequence[str]) -> list[str]:
    """How to run a module of this package as a program, such as "tasks.installer", by the Python at hand.

    That may be Blender's own, which is told nothing of it: the package is found by the new process alone.
    """
    package = Path(__file__).parents[1]
    found = [str(package.parent), f"{package.name}.{module}"]
    return [sys.executable, "-I", "-B", "-c", _RUN, *found, *arguments]


def _emptied(path: Path) -> int:
    """The file descriptor of the log, which is empty now. Raises NoLog."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        if sys.platform != "win32":
            os.fchmod(log, 0o600)  # an older log may have another mode
    except OSError as error:
        raise NoLog(error.errno, error.strerror, str(path)) from error
    return log


def read_log(path: Path, begin: int, count: int) -> bytes:
    """A piece of the log; nothing where it cannot be read."""
    with suppress(OSError), path.open("rb") as file:
        file.seek(begin)
        return file.read(count)
    return b""


def log_size(path: Path) -> int:
    """In bytes; 0 where there is no log."""
    with suppress(OSError):
        return path.stat().st_size
    return 0


def last_lines(path: Path, most_bytes: int) -> list[str]:
    """The whole lines at the end of the log that are not empty."""
    begin = max(0, log_size(path) - most_bytes)
    text = read_log(path, begin, most_bytes).decode("utf-8", "replace")
    whole = text.splitlines()[1 if begin else 0 :]  # the first may be the rest of a line
    return [line for line in whole if line.strip()]


def absolute(path: Path) -> Path:
    """The path from the root, with ~ replaced."""
    with suppress(RuntimeError):  # ~name of a user that does not exist
        path = path.expanduser()
    return path.absolute()


def environment() -> dict[str, str]:
    """Our environment without the variables for Blender's own Python, such as PYTHONHOME. Output: unbuffered, UTF-8."""
    ours = {key: value for key, value in os.environ.items() if not key.upper().startswith("PYTHON")}
    return ours | {"PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}


def _apart() -> dict[str, Any]:
    """Options for a process group of its own, so that Ctrl-C in Blender's terminal does not reach it, and no window."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"process_group": 0}
