"""The program that sets up a server: a virtual environment of its own with texserver in it. No bpy here.

    python -m blender_addon.tasks.installer install --folder DIR --wheel FILE --device cpu [--wheels DIR]
    python -m blender_addon.tasks.installer remove --folder DIR

The add-on runs it in a process of its own, by whatever Python is at hand: Blender's own will do, since this needs the
standard library alone and installs nothing into the Python that runs it. It uses `uv` where there is one, or else
`pip` of a Python 3.11 or newer; Blender's own Python is the last choice, as the base of the virtual environment.

An environment that was not finished is made anew; earlier ones go once the new one runs. Each run holds a lock on the
folder for as long as anything that it started lives.

Everything is told on standard output. A line that begins with "setup: " is for people; the last one says what has
failed and what to do. The exit code is 0 when all is done, and 1 otherwise.
"""

import argparse
import json
import os
import platform
import re
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .environments import MARKER, OURS, Device, Environment, digest_of, ours, python_in, version_of

SAYS: Final = "setup: "
LOCK: Final = "setup.lock"
NEEDS_BYTES: Final[dict[Device, int]] = {"cpu": 2 * 10**9, "cuda": 12 * 10**9}
OLDEST: Final = (3, 11)
# In the order of preference: PyTorch comes late to the newest.
PYTHONS: Final = ("python3.13", "python3.12", "python3.11", "python3.14", "python3", "python", "py")
KEPT_CHARACTERS: Final = 20_000  # of what a program says, to tell why it failed

_IS_THERE = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2], sys.maxsize > 2**32)"
_CHECK = """
import importlib.metadata as installed, json, torch
(program,) = installed.entry_points(group="console_scripts", name="texserver")
program.load()
told = {"version": installed.version("texserver"), "torch": torch.__version__, "gpu": torch.cuda.is_available()}
print("checked: " + json.dumps(told))
"""
_FULL = re.compile(r"No space left on device|os error 28|Errno 28|WinError 112|not enough space|Disk quota", re.I)
_NO_NETWORK = re.compile(
    r"NewConnectionError|ConnectTimeout|ReadTimeout|name resolution|getaddrinfo|Name or service not known|dns error"
    r"|Network is unreachable|Connection refused|error sending request|Could not connect|No route to host"
    r"|ProxyError|Max retries exceeded|timed out",
    re.I,
)
_FORBIDDEN = re.compile(r"Permission denied|Read-only file system|os error 13|Access is denied|WinError 5\b", re.I)
_NOT_FOUND = re.compile(
    r"No matching distribution found for ([\w.-]+)"
    r"|Because (?:there (?:is|are) no versions? of )?([\w.-]+) (?:was not found|and you require|has no)"
    r"|because ([\w.-]+) was not found",
    re.I,
)


class SetupError(Exception):
    """The server was not set up; the text says why, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to install."""

    folder: Path
    wheel: Path  # of texserver
    device: Device
    wheels: Path | None = None  # a folder that holds everything else; then no network is used


def install(order: Order, run: "Runner") -> Environment:
    """Set the server up, unless it is set up already. Raises SetupError."""
    try:
        version, digest = version_of(order.wheel), digest_of(order.wheel)
    except ValueError as error:
        raise SetupError(f"{error}. Install the add-on again, from a release.") from None
    if order.device == "cuda" and sys.platform == "darwin":
        raise SetupError("This computer has no CUDA. Choose the processor.")
    if order.wheels is not None and not order.wheels.is_dir():
        raise SetupError(f"There is no folder {order.wheels}. Choose the folder that holds the wheels.")
    with _disk(order.folder):
        order.folder.mkdir(parents=True, exist_ok=True)
    with _alone(order.folder) as lock:
        run.keeps = lock
        target = order.folder / f"texserver-{version}-{order.device}-{digest[:8]}"
        if (ready := Environment.read(target)) and ready.wheel == digest:
            with _disk(order.folder):
                os.utime(target / MARKER)  # the newest is the one that is used
        else:
            try:
                with _disk(order.folder):
                    _make(order, target, run)
                    checked = _check(target, version, run)
                    _mark(target, digest, order.device, checked)
            except BaseException:
                _hear_no_more()
                shutil.rmtree(target, ignore_errors=True)
                raise
            ready = Environment.read(target)
            assert ready
        for path in ours(order.folder):
            if path != target:
                shutil.rmtree(path, ignore_errors=True)
    return ready


def remove(folder: Path) -> None:
    """Remove every environment of ours in the folder, and the folder if nothing else is in it. Raises SetupError."""
    if not folder.is_dir():
        return
    with _disk(folder), _alone(folder):
        for path in ours(folder):
            say(f"Removing {path.name} …")
            (path / MARKER).unlink(missing_ok=True)  # first: one that is half removed is none
            shutil.rmtree(path)
        (folder / LOCK).unlink(missing_ok=True)
    with suppress(OSError):  # something else is in it
        folder.rmdir()


def say(sentence: str) -> None:
    """Tell people."""
    print(f"{SAYS}{sentence}", flush=True)


# ------------------------------------------------------------------------------------------------------- the programs


class Runner:
    """Runs programs one after the other, and passes on what they say."""

    def __init__(self, *, leave_with_parent: bool = False) -> None:
        self.keeps: int | None = None  # a file descriptor that they inherit
        self._leave = leave_with_parent and sys.platform != "win32"  # there the add-on ends them itself

    def __call__(self, command: Sequence[str | Path], folder: Path) -> str:
        """What it said; SetupError with all of it if it failed."""
        code, said = self.attempt(command, folder)
        if code:
            raise SetupError(said.strip() or f"{command[0]} ended with code {code}")
        return said

    def attempt(
        self, command: Sequence[str | Path], folder: Path, *, within_s: float | None = None, aloud: bool = True
    ) -> tuple[int, str]:
        """Its exit code and the end of what it said. Ends it, and this program, when the add-on has gone.

        `within_s`: how long it may be silent. `aloud`: what it says is passed on.
        """
        inherited = (self.keeps,) if self.keeps is not None and sys.platform != "win32" else ()
        hidden = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # on Windows
        try:
            process = subprocess.Popen(
                [str(each) for each in command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=folder,
                pass_fds=inherited,
                creationflags=hidden,
            )
        except OSError as error:
            return 127, f"{command[0]}: {error.strerror or error}"
        said = ""
        with process:
            try:
                for piece in self._pieces(process, within_s):
                    print(piece if aloud else "", end="", flush=True)
                    said = (said + piece)[-KEPT_CHARACTERS:]
            except BaseException:
                process.kill()
                raise
        return process.returncode, said

    def _pieces(self, process: "subprocess.Popen[bytes]", within_s: float | None) -> Iterator[str]:
        assert process.stdout
        out, own_input = process.stdout.fileno(), 0
        watched = [out, *([own_input] if self._leave else [])]
        while True:
            if sys.platform != "win32":  # where only sockets can be watched
                ready, _, _ = select.select(watched, [], [], within_s)
                if not ready:
                    raise SetupError("A program that was started says nothing. Read the log, then try again.")
                if own_input in ready and not os.read(own_input, 1):
                    raise SystemExit(1)
                if out not in ready:
                    continue
            piece = os.read(out, 65536)
            if not piece:
                return
            yield piece.decode("utf-8", "replace")


def _make(order: Order, target: Path, run: Runner) -> None:
    """Make the environment and install into it, by whichever way works. Raises SetupError."""
    _room(order)
    ways: list[Callable[[], None]] = []
    if uv := shutil.which("uv"):
        ways.append(lambda: _by_uv(uv, order, target, run))
    ways.append(lambda: _by_pip(order, target, run))
    for index, way in enumerate(ways, 1):
        shutil.rmtree(target, ignore_errors=True)
        with _disk(target):
            target.mkdir()
            (target / OURS).write_text("The add-on Texserver made this folder, and may remove it.\n", "utf-8")
        try:
            way()
            return
        except SetupError as error:
            if index == len(ways) or _FULL.search(str(error)):
                raise SetupError(reason(str(error), order)) from error
            say("That did not work. Trying with pip …")


def _by_uv(uv: str, order: Order, target: Path, run: Runner) -> None:
    say("uv makes a virtual environment …")
    offline = ["--offline"] if order.wheels else []
    run([uv, "venv", "--allow-existing", "--no-project", "--python", f">={_dotted(OLDEST)}", *offline, target], target)
    say(f"uv installs {_what(order)} …")
    run(_with_uv(uv, order, target), target)


def _by_pip(order: Order, target: Path, run: Runner) -> None:
    python = _find_python(run, target)
    say("Making a virtual environment …")
    run([*python, "-I", "-m", "venv", target], target)
    own: list[str | Path] = [python_in(target), "-I", "-m", "pip", "install", "--no-input", "--progress-bar=off"]
    if _pip_brings_another(order.device) and not order.wheels:
        say(f"Fetching uv, which can choose PyTorch for the {_name(order.device)} …")
        code, _ = run.attempt([*own, "uv"], target)
        if code == 0:
            uv = python_in(target).with_name("uv.exe" if sys.platform == "win32" else "uv")
            say(f"uv installs {_what(order)} …")
            code, _ = run.attempt(_with_uv(uv, order, target), target)
            if code == 0:
                return
        if order.device == "cuda":
            raise SetupError("uv brings PyTorch for CUDA here, and did not work. Install uv, or choose the processor.")
        say("uv did not work. pip brings PyTorch for CUDA, too: larger, and it paints on the processor as well.")
    say(f"pip installs {_what(order)} …")
    offline = ["--no-index", f"--find-links={order.wheels}"] if order.wheels else []
    run([*own, *offline, order.wheel], target)


def _with_uv(uv: str | Path, order: Order, target: Path) -> list[str | Path]:
    """The command that installs, and that chooses PyTorch by the device."""
    choice = ["--torch-backend", "cpu" if order.device == "cpu" else "auto"] if sys.platform != "darwin" else []
    if order.wheels:
        choice = ["--offline", "--no-index", f"--find-links={order.wheels}"]
    return [uv, "pip", "install", "--python", python_in(target), *choice, order.wheel]


def _pip_brings_another(device: Device) -> bool:
    """Whether plain pip brings PyTorch for another device: for CUDA on Linux, for the processor elsewhere."""
    return (sys.platform == "linux" and device == "cpu") or (sys.platform == "win32" and device == "cuda")


def _find_python(run: Runner, folder: Path) -> list[str]:
    """The command of a Python that can be the base of an environment. Raises SetupError."""
    say("Looking for a Python …")
    for name in (*PYTHONS, sys.executable):
        found = shutil.which(name)
        if not found:
            continue
        command = [found, "-3"] if name == "py" else [found]
        code, said = run.attempt([*command, "-I", "-c", _IS_THERE], folder, within_s=30, aloud=False)
        told = re.search(r"^(\d+)\.(\d+) True\s*$", said, re.M)
        if code == 0 and told and (int(told[1]), int(told[2])) >= OLDEST:
            return command
    raise SetupError(
        f"There is no Python {_dotted(OLDEST)} or newer here that can make virtual environments. Install Python (on "
        "Debian and Ubuntu with python3-venv) or uv, then try again."
    )


def _check(target: Path, version: str, run: Runner) -> dict[str, Any]:
    """What the environment says of itself. Raises SetupError."""
    say("Checking it …")
    code, said = run.attempt([python_in(target), "-I", "-c", _CHECK], target)
    told = re.search(r"^checked: (.*)$", said, re.M)
    if code or not told:
        last = said.strip().splitlines()[-1:] or [f"it ended with code {code}"]
        raise SetupError(f"What was installed does not run: {last[0]}. Read the log, then try again.")
    found: dict[str, Any] = json.loads(told[1])
    if found["version"] != version:
        raise SetupError(f"texserver {found['version']} was installed in place of {version}. Try again.")
    return found


def _mark(target: Path, digest: str, device: Device, checked: dict[str, Any]) -> None:
    note = ""
    if device == "cuda" and not checked["gpu"]:
        note = "PyTorch finds no CUDA device here, so it paints on the processor."
    told = {"version": checked["version"], "torch": checked["torch"], "wheel": digest, "device": device, "note": note}
    part = target / f"{MARKER}.part"
    with part.open("w", encoding="utf-8") as file:
        json.dump(told, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(target / MARKER)


# -------------------------------------------------------------------------------------------------------------- words


def reason(said: str, order: Order) -> str:
    """Why an installation failed, in a sentence, from what pip or uv said."""
    if _FULL.search(said):
        return _full(order.folder)
    if _FORBIDDEN.search(said):
        return f"The folder {order.folder} cannot be written to. Choose another one."
    missing = _NOT_FOUND.search(said)
    name = next((each for each in missing.groups() if each), "") if missing else ""
    if order.wheels:
        what = f"no wheel of {name} that fits" if name else "not all that is needed for"
        return (
            f"The folder {order.wheels} has {what} {platform.python_implementation()} on this computer. Put it there, "
            "or leave the folder of wheels empty to fetch everything."
        )
    if _NO_NETWORK.search(said):
        return (
            "The packages could not be fetched: there is no way to the network. Try again when there is one, or choose "
            "a folder of wheels."
        )
    if name:
        return f"There is no package {name} that fits this Python and system. Install Python 3.13, then try again."
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"error\b", line, re.I)]
    last = re.sub(r"^error:\s*", "", (errors or lines or ["nothing was said"])[-1], flags=re.I)
    return f"The installation failed: {last[:300].rstrip('.')}. Read the log, then try again."


def _full(folder: Path) -> str:
    return f"The disk of {folder} is full. Make room, or choose a folder on another disk."


def _room(order: Order) -> None:
    free = shutil.disk_usage(order.folder).free
    needed = NEEDS_BYTES[order.device]
    if free < needed:
        raise SetupError(
            f"{order.folder} has {free / 1e9:.1f} GB of free space, and the server needs about {needed / 1e9:.0f} GB. "
            "Make room, or choose a folder on another disk."
        )


def _what(order: Order) -> str:
    return f"texserver, and PyTorch for the {_name(order.device)}"


def _name(device: Device) -> str:
    return "processor" if device == "cpu" else "graphics card (CUDA)"


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


# ------------------------------------------------------------------------------------------------------------- folders


@contextmanager
def _alone(folder: Path) -> Iterator[int]:
    """Hold the folder's lock. Raises SetupError if another run has it."""
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            if sys.platform == "win32":
                import msvcrt

                msvcrt.locking(lock, msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SetupError(f"Another setup works in {folder}. Wait until it has ended.") from None
        yield lock
    finally:
        os.close(lock)


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    """Turn what the disk refuses into sentences."""
    try:
        yield
    except OSError as error:
        if _FULL.search(str(error)):
            raise SetupError(_full(folder)) from error
        where = error.filename or folder
        raise SetupError(f"{where} cannot be changed: {error.strerror or error}. Choose another folder.") from error


# ------------------------------------------------------------------------------------------------------------- command


def _told_to_end(*_: object) -> None:
    _hear_no_more()
    sys.exit(1)


def _hear_no_more() -> None:
    """Let nothing interrupt the removing of what was begun. Who cancels does both: asks, and closes our input."""
    if signal.getsignal(signal.SIGTERM) is _told_to_end:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Sets up a texture server in a folder of its own.")
    parser.add_argument("what", choices=("install", "remove"))
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--wheel", type=Path, help="of texserver")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--wheels", type=Path, help="a folder that holds all other wheels; no network is used")
    parser.add_argument("--leave-with-parent", action="store_true", help="end when standard input is closed")
    given = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, _told_to_end)
    try:
        if given.what == "remove":
            remove(given.folder)
            say("The server is removed.")
            return 0
        order = Order(folder=given.folder, wheel=given.wheel, device=given.device, wheels=given.wheels)
        made = install(order, Runner(leave_with_parent=given.leave_with_parent))
        say(f"texserver {made.version} is set up.")
    except SetupError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
