"""Makes the real Blenders that the tests and the packaging use, one virtual environment for each under .blender/.

    python packaging/blenders.py 4.5.15 5.2.3

The `bpy` wheel is Blender itself as a Python module, and fits one version of Python alone. An environment holds bpy,
pytest and coverage, and no pyzmq: that has to come from the add-on's own wheels. A file that names the exact pins is
written into it last, so that one whose making broke off is made anew.
"""

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".blender"
_MARKER = "ready.txt"
# Debian's names of the libraries that Blender is linked with; no display is needed.
_LIBRARIES = ("libx11-6", "libxrender1", "libxfixes3", "libxi6", "libxkbcommon0", "libsm6", "libgl1")
_INSTALL_WITHIN_S = 1800.0  # 400 MB on a slow line
_RUNS_WITHIN_S = 120.0


class NoBlender(Exception):
    """This Blender cannot be had here; the text says why, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Blender:
    """One release of the bpy wheel, with what it needs beside it."""

    version: str
    python: str
    numpy: str  # bpy leaves it open
    libraries: tuple[str, ...] = _LIBRARIES

    def pins(self) -> tuple[str, ...]:
        """Exactly what its environment is made of; pytest and coverage as in ours."""
        lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
        ours = (line for line in lines if line.startswith(("pytest==", "coverage==")))
        return (f"bpy=={self.version}", f"numpy=={self.numpy}", *ours)


BLENDERS = {
    blender.version: blender
    for blender in (
        Blender(version="4.2.23", python="3.11", numpy="2.4.6", libraries=(*_LIBRARIES, "libxxf86vm1", "libgomp1")),
        Blender(version="4.5.15", python="3.11", numpy="1.26.4"),
        Blender(version="5.0.1", python="3.11", numpy="1.26.4"),
        Blender(version="5.2.3", python="3.13", numpy="2.5.5"),
    )
}


def python_of(version: str) -> Path:
    """The interpreter that imports this Blender. NoBlender says why there is none."""
    blender = _known(version)
    if not _is_ready(blender):
        raise NoBlender(
            f"Blender {version} is not set up. `python packaging/blenders.py {version}` does it, or says why it cannot."
        )
    return _interpreter(version)


def set_up(version: str) -> Path:
    """Make the environment if it is not there, see that bpy imports, and return its interpreter. Raises NoBlender."""
    blender = _known(version)
    with _alone(version):
        if not _is_ready(blender):
            _make(blender)
        _import_bpy(blender)
    return _interpreter(version)


def command_line_tool(version: str) -> tuple[list[str], Path]:
    """How to call Blender's own tool for extensions, and its list of valid tags. Raises NoBlender."""
    python = python_of(version)
    scripts = next((HOME / version).glob("**/site-packages/bpy/*/scripts"))
    tool = scripts / "addons_core" / "bl_pkg" / "cli" / "blender_ext.py"
    return [str(python), "-I", str(tool)], scripts / "modules" / "_bpy_internal" / "extensions" / "tags.py"


def find_python(version: str) -> Path:
    """A Python X.Y that runs and can make environments. Raises NoBlender."""
    for path in _pythons(version):
        if _answers(path) == version:
            return path
    raise NoBlender(
        f"There is no Python {version} on PATH or in pyenv that can make environments. "
        f"Install one with its venv module (`pyenv install {version}`, or your system's python{version}-venv)."
    )


def _known(version: str) -> Blender:
    if version not in BLENDERS:
        raise NoBlender(f"Blender {version} is not one of those set up here: {', '.join(BLENDERS)}.")
    return BLENDERS[version]


def _interpreter(version: str) -> Path:
    return HOME / version / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def _is_ready(blender: Blender) -> bool:
    try:
        return (HOME / blender.version / _MARKER).read_text("utf-8").split() == list(blender.pins())
    except FileNotFoundError:
        return False


def _make(blender: Blender) -> None:
    folder = HOME / blender.version
    python = find_python(blender.python)
    print(f"Setting up Blender {blender.version} (1 GB) in {folder.relative_to(ROOT)} ...", flush=True)
    if folder.exists():
        shutil.rmtree(folder)
    _run([str(python), "-m", "venv", str(folder)], f"Python {blender.python} could not make an environment")
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]
    _run([str(_interpreter(blender.version)), *install, *blender.pins()], f"pip could not install {blender.pins()[0]}")
    (folder / _MARKER).write_text("\n".join(blender.pins()) + "\n", "utf-8")


def _import_bpy(blender: Blender) -> None:
    """Blender's wheel brings no system libraries: where they are missing, its import names the first."""
    why = _import_failure(blender)
    if why and shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        _install(blender.libraries)
        why = _import_failure(blender)
    if why:
        libraries = " ".join(blender.libraries)
        raise NoBlender(
            f"Blender {blender.version} is installed but does not start: {why}. "
            f"If it lacks system libraries, install what Debian calls {libraries}."
        )


def _import_failure(blender: Blender) -> str:
    command = [str(_interpreter(blender.version)), "-c", "import bpy, os; os._exit(0)"]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=_RUNS_WITHIN_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return _last_line(ended.stderr) or f"exit status {ended.returncode}" if ended.returncode else ""


def _install(libraries: tuple[str, ...]) -> None:
    print(f"Installing system libraries: {' '.join(libraries)}", flush=True)
    quietly = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    _run(["apt-get", "update", "-qq"], "apt-get could not fetch its lists", quietly)
    install = ["apt-get", "install", "-qq", "--yes", "--no-install-recommends"]
    _run([*install, *libraries], "apt-get could not install Blender's libraries", quietly)


def _run(command: list[str], failed: str, environment: dict[str, str] | None = None) -> None:
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=_INSTALL_WITHIN_S, env=environment, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoBlender(f"{failed}: {error}.") from error
    if ended.returncode:
        raise NoBlender(f"{failed}: {_last_line(ended.stderr) or f'exit status {ended.returncode}'}.")


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1].strip().rstrip(".")


def _pythons(version: str) -> Iterator[Path]:
    """Where a Python X.Y may be, best first. pyenv's shims are on PATH for versions that it will not run, too."""
    yield Path(sys.executable)
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        if found := shutil.which(f"python{version}", path=folder or os.curdir):
            yield Path(found)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(pyenv.glob(f"versions/{version}.*/bin/python"), reverse=True)
    if sys.platform == "win32":
        asked = _output(["py", f"-{version}", "-c", "import sys; print(sys.executable)"])
        if asked:
            yield Path(asked)


def _answers(python: Path) -> str:
    """X.Y, or "" where it does not run or brings no ensurepip (as Debian's does without python3-venv)."""
    return _output([str(python), "-c", "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])"])


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=_RUNS_WITHIN_S, check=True
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


@contextlib.contextmanager
def _alone(version: str) -> Iterator[None]:
    """Two `make test` in one clone must not make the same environment at the same time."""
    HOME.mkdir(exist_ok=True)
    with (HOME / f"{version}.lock").open("w") as file:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed
        yield


def main() -> int:
    """The command. 1 where one that is required cannot be had."""
    parser = argparse.ArgumentParser(description="Set up real Blenders for the tests and the packaging.")
    parser.add_argument("versions", nargs="+", metavar="VERSION", help=f"of {', '.join(BLENDERS)}")
    parser.add_argument("--required", action="store_true", help="fail where one cannot be had")
    asked = parser.parse_args()
    missing = 0
    for version in asked.versions:
        try:
            set_up(version)
        except NoBlender as why:
            missing += 1
            print(f"No Blender {version}: {why}", file=sys.stderr, flush=True)
    return 1 if missing and asked.required else 0


if __name__ == "__main__":
    sys.exit(main())
