"""Sets up a server on this computer from within Blender: runs the installer, and tells how far it is. No bpy here.

The installer (installer.py) is a process of its own, so nothing here waits, and nothing goes into Blender's Python.
"""

import os
import sys
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

from .child_process import ChildProcess, absolute, last_lines, log_size, module_command
from .environments import Environment, digest_of
from .installer import SAYS, Order

State = Literal["idle", "installing", "removing", "failed"]

GRACE_S: Final = 20.0  # from cancel() until it is killed; it removes what it has begun
TAIL_BYTES: Final = 16 * 1024
BUNDLE: Final = Path(__file__).parents[1] / "server"  # in the extension's zip, with the server of its own version


class Installation:
    """At most one setup at a time. Nothing here raises: see `state` and `message`."""

    def __init__(self, log: Path, *, installed: Callable[[], str], clock: Callable[[], float] = time.monotonic) -> None:
        """`installed` is called once after each successful installation. Returns what failed then, "" if nothing."""
        self.state: State = "idle"
        self.message = ""  # for people: what it does now, or why it failed and what to do
        self.log = log
        self._installed = installed
        self._clock = clock
        self._process: ChildProcess | None = None

    @property
    def busy(self) -> bool:
        """Whether an installation or a removal is under way."""
        return self._process is not None

    @property
    def version(self) -> object:
        """Changes whenever something else is to be shown."""
        return self.state, self.message, log_size(self.log) if self.busy else 0

    def install(self, order: Order) -> None:
        """Begin to set the server up, unless something is under way."""
        arguments = [f"--folder={absolute(order.folder)}", f"--wheel={order.wheel}", f"--device={order.device}"]
        if order.wheels is not None:
            arguments.append(f"--wheels={absolute(order.wheels)}")
        self._start("installing", "The setup begins.", ["install", *arguments, "--leave-with-parent"])

    def remove(self, folder: Path) -> None:
        """Begin to remove what was set up there, unless something is under way."""
        self._start("removing", "The server is being removed.", ["remove", f"--folder={absolute(folder)}"])

    def cancel(self) -> None:
        """Ask it to end. Nothing of an unfinished installation stays."""
        if self._process is not None and not self._process.asked_to_end:
            self._process.ask_to_end(GRACE_S)
            if sys.platform == "win32":  # it cannot hear there; the next setup removes what it leaves
                self._process.kill()
            else:
                self._process.terminate()
            self.message = "The setup is being cancelled."

    def tick(self) -> None:
        """Update `state` and `message`, without waiting."""
        if self._process is None:
            return
        code, asked = self._process.poll(), self._process.asked_to_end
        if code is not None:
            self._ended(code, asked=asked)
        elif not asked and (said := self._said()):
            self.message = said

    def tail(self, lines: int) -> list[str]:
        """The last lines of the log."""
        return [line.removeprefix(SAYS) for line in last_lines(self.log, TAIL_BYTES)][-lines:]

    def close(self) -> None:
        """For quitting: end it within a third of a second. The next setup removes what it leaves."""
        if self._process is not None:
            self._process.close()
            self._process = None
            self.state, self.message = "idle", ""

    def _start(self, state: State, message: str, arguments: list[str]) -> None:
        if self._process is not None:
            return
        try:
            command = module_command("tasks.installer", arguments)
            self._process = ChildProcess(command, self.log, self.log.parent, clock=self._clock)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            self.state = "failed"
            self.message = f"The setup cannot begin: {why}. See that {self.log.parent} can be written to."
            return
        self.state, self.message = state, message

    def _ended(self, code: int, *, asked: bool) -> None:
        self._process, was = None, self.state
        if asked:
            self.state, self.message = "idle", "The setup was cancelled."
        elif code == 0:
            self.state, self.message = "idle", ""
            if was == "installing" and (why := self._installed()):
                self.state, self.message = "failed", why
        else:
            self.state = "failed"
            self.message = (
                self._said() or f"The setup ended with code {code}. Read its log, {self.log}, then try again."
            )

    def _said(self) -> str:
        """The last sentence of the installer."""
        lines = last_lines(self.log, TAIL_BYTES)
        return next((line.removeprefix(SAYS) for line in reversed(lines) if line.startswith(SAYS)), "")


def default_folder() -> Path:
    """The user's folder for data of programs, the same for all versions of Blender."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "texserver" / "server"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "texserver" / "server"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "texserver" / "server"


def bundled() -> Path | None:
    """The wheel of texserver that came with the add-on; None in a copy that has none."""
    return next(iter(sorted(BUNDLE.glob("texserver-*.whl"))), None)


def is_current(environment: Environment, wheel: Path) -> bool:
    """Whether an environment has the server that came with the add-on."""
    return environment.wheel == _digest(wheel, wheel.stat().st_mtime)


@lru_cache(maxsize=4)
def _digest(wheel: Path, changed: float) -> str:
    return digest_of(wheel)
