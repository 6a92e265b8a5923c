"""A texture server on this machine, started by the add-on as a child process. No bpy here; nothing waits.

The server exits when its standard input closes (texserver --leave-with-parent). Servers before 0.2 printed their
pairing line into the log, so keys are removed from everything that is shown of it.
"""

import re
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Literal

from .child_process import ChildProcess, NoLog, absolute, last_lines, read_log

State = Literal["stopped", "starting", "running", "failed"]

DRAIN_S: Final = 3.0  # for the server to finish its requests
GRACE_S: Final = 6.0  # from stop() until it is killed
SLOW_S: Final = 30.0  # then the message says that the start takes long
TAIL_BYTES: Final = 32 * 1024
HEAD_BYTES: Final = 256 * 1024  # in which to look for the line that says it listens

_PYTHON = re.compile(r"(python|pypy)[0-9.]*w?(\.exe)?", re.IGNORECASE)
_LISTENS = re.compile(rb"^texserver \S+ serves .* at tcp://(\S+:\d+)\.\r?$", re.MULTILINE)
_SAYS = re.compile(r"texserver(?: worker \S+)?: (.+)")  # its last words
_KEYS = re.compile(r"(texserver://[^/\s]*)\S*")


class LocalServer:
    """At most one server at a time. Nothing here raises: see `state` and `message`."""

    def __init__(self, log: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.state: State = "stopped"
        self.message = ""  # for people: what it does now, or what is wrong and what to do
        self.log = log
        self.makes_library = False  # whether it was started without a folder of models, so that it makes its own
        self._clock = clock
        self._process: ChildProcess | None = None
        self._started = 0.0
        self._next: Callable[[], None] | None = None  # a start that waits for the end of the earlier server

    def start(
        self, command: str, models: Path | None, connection_file: Path | None = None, extra: Sequence[str] = ()
    ) -> None:
        """Start the server, unless it runs. If it is stopping, start again as soon as it has ended.

        `command`: the path of a Python with texserver installed, or of the program texserver; "" for that on the PATH.
        `models`: their folder; None for what the server serves without one.
        """
        if self._process is None:
            self._start(command, models, connection_file, extra)
        elif self._process.asked_to_end:
            self._next = lambda: self._start(command, models, connection_file, extra)
            self._tell("starting", "Waiting for the earlier server to end.")

    def tick(self) -> None:
        """Update `state` and `message`, without waiting."""
        if self._process is None:
            return
        code, asked = self._process.poll(), self._process.asked_to_end
        if code is not None:
            self._ended(code, asked=asked)
        elif self.state == "starting" and not asked:
            if listens := _LISTENS.search(read_log(self.log, 0, HEAD_BYTES)):
                self._tell("running", f"The local server runs at {listens[1].decode('ascii', 'replace')}.")
            elif self._clock() - self._started > SLOW_S:
                self.message = (
                    f"The local server takes long to start. Its log, {self.log}, may say why. Wait, or stop it."
                )

    def tail(self, lines: int = 12) -> list[str]:
        """The last lines of the log, with the keys removed."""
        return [_KEYS.sub(r"\1/…", line) for line in last_lines(self.log, TAIL_BYTES)][-lines:]

    def stop(self) -> None:
        """Ask the server to end. It has a few seconds to finish its requests; then tick() kills it."""
        self._next = None
        if self._process is not None:
            self._process.ask_to_end(GRACE_S)
            self._tell("stopped", "The local server is stopping.")

    def close(self) -> None:
        """For quitting: end the server within a third of a second."""
        self._next = None
        if self._process is not None:
            self._process.close()
            self._process = None
            self._tell("stopped", "")

    # -------------------------------------------------------------------------------------------------------- starting

    def _start(self, command: str, models: Path | None, connection_file: Path | None, extra: Sequence[str]) -> None:
        self._started = self._clock()
        self.makes_library = models is None
        program = _program(command)
        if program is None:
            self._tell(
                "failed",
                "There is no program texserver on the PATH. Set a server up, or give the path of the Python that has "
                "texserver.",
            )
            return
        arguments = ["--models", str(absolute(models))] if models is not None else []
        arguments += ["--leave-with-parent", "--drain", str(DRAIN_S)]
        if connection_file is not None:
            arguments += ["--connection-file", str(absolute(connection_file))]
        try:
            self._process = ChildProcess([*program, *arguments, *extra], self.log, self.log.parent, clock=self._clock)
        except NoLog as error:
            self._tell(
                "failed", f"The log {self.log} cannot be written: {error.strerror}. Make room, or make it writable."
            )
        except (OSError, ValueError) as error:  # ValueError: a zero byte in a name
            why = getattr(error, "strerror", None) or error
            self._tell(
                "failed",
                f"{program[0]} cannot be started: {why}. Give the path of the program texserver, or of the Python that "
                "has it.",
            )
        else:
            self._tell("starting", "The local server is starting.")

    # ---------------------------------------------------------------------------------------------------------- ending

    def _ended(self, code: int, *, asked: bool) -> None:
        starting = self.state == "starting"
        self._process = None
        if self._next is not None:
            following, self._next = self._next, None
            following()
        elif asked:
            self._tell("stopped", "")
        elif code == 0:
            self._tell("stopped", "The local server has ended. Start it again when you need it.")
        else:
            self._tell("failed", self._why(code, starting))

    def _why(self, code: int, starting: bool) -> str:
        """The reason, from the server's last words: texserver's own say what to do."""
        lines = self.tail()
        for line in reversed(lines):
            if said := _SAYS.fullmatch(line):
                return f"The local server {'did not start' if starting else 'has ended'}: {said[1]}"
        last = lines[-1].strip() if lines else ""
        if "No module named" in last:
            return (
                f"That Python has no texserver ({last}). Install texserver there, or give the path of the Python that "
                "has it."
            )
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        words = f" Its last words: {last[:300]}" if last else ""
        return f"The local server {how}. Read its log, {self.log}, then start it again.{words}"

    def _tell(self, state: State, message: str) -> None:
        self.state, self.message = state, message


def _program(command: str) -> list[str] | None:
    """The command line without options. None when there is no texserver on the PATH."""
    command = command.strip().strip('"')
    if not command:
        found = shutil.which("texserver")
        return [found] if found else None
    path = Path(command)
    program = str(absolute(path)) if len(path.parts) > 1 else shutil.which(command) or command
    return [program, "-m", "server"] if _PYTHON.fullmatch(path.name) else [program]
