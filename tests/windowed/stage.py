"""A Blender with a window, and the stage on which it plays the scenes of the harness."""

import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

import pytest
from PIL import ImageGrab

ROOT = Path(__file__).resolve().parents[2]
HARNESS = Path(__file__).with_name("harness.py")
SCREEN = (1400, 900)
OLDEST = (4, 2)
OPENGL_FROM = (4, 5)  # these may choose Vulkan, which a machine without a GPU lacks
PLAYED_WITHIN_S = 1500.0
PR_SET_PDEATHSIG = 1  # of linux/prctl.h: the signal that a process gets when its parent ends

# Mounts what is the same inside, then becomes Blender. $1 is the chroot, then folders, "--", and the command.
ENTER = """
root=$1; shift
mkdir -p "$root/proc" "$root/dev" && mount -t proc proc "$root/proc" && mount --bind /dev "$root/dev" || exit 1
while [ "$1" != -- ]; do mkdir -p "$root$1" && mount --bind "$1" "$root$1" || exit 1; shift; done
shift
exec chroot "$root" "$@"
"""


class WindowedBlender:
    """The command of a Blender that can open a window."""

    def __init__(self, command: Sequence[str]) -> None:
        self.command = list(command)
        said = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=60, check=False).stdout
        found = re.search(r"Blender (\d+)\.(\d+)", said)
        self.version = (int(found[1]), int(found[2])) if found else (0, 0)

    @property
    def zip(self) -> str:
        """Which of the extension's zips is for it."""
        return "4.2" if self.version < (5, 1) else "5.1"

    def start(self, task: Path, environ: dict[str, str], log: Path) -> "subprocess.Popen[bytes]":
        options = ["--factory-startup", "--enable-event-simulate", "--window-geometry", "0", "0", *map(str, SCREEN)]
        if self.version >= OPENGL_FROM:
            options += ["--gpu-backend", "opengl"]
        with log.open("wb") as file:
            return subprocess.Popen(
                [*self.command, *options, "--python", str(HARNESS), "--", str(task)],
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_end_with_parent if sys.platform == "linux" else None,
            )


def _end_with_parent() -> None:
    """Else a Blender goes on when a time limit ends its test with the whole program."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def end(popen: "subprocess.Popen[bytes]") -> None:
    """Kill a Blender that runs, and all that it has started: they are a group of processes."""
    if popen.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(popen.pid, signal.SIGKILL)
    popen.wait()


def inside(chroot: Path, temporary: Path) -> list[str]:
    """The command of the Blender in a chroot."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip(f"TEXSERVER_BLENDER_CHROOT={chroot} takes root and the program unshare")
    folders = {ROOT, Path(sys.prefix), temporary}
    if Path(sys.base_prefix) != Path("/usr"):  # which the chroot has itself
        folders.add(Path(sys.base_prefix))
    alone = ["unshare", "--mount", "--propagation", "private"]
    return [*alone, "sh", "-c", ENTER, "sh", str(chroot), *map(str, sorted(folders)), "--", "blender"]


class Stage:
    """Everything that a run of the harness needs."""

    def __init__(self, blender: WindowedBlender, display: str, zips: Sequence[str], models: Path, home: Path) -> None:
        self.blender, self.display, self.zips, self.models = blender, display, zips, models
        self.facts = home / "facts"
        self.log = home / "log"
        self.pictures = home / "pictures"
        self.temporary = home / "temporary"
        self.at_first = sorted(path.stem for path in models.glob("*.safetensors"))  # scenes make more
        self.photograph = ""  # where this Blender sees it
        self.home = home
        self.scenes: tuple[str, ...] = ()

    @contextmanager
    def play(
        self, *scenes: str, runtime: Path, variables: Mapping[str, str] = MappingProxyType({}), **told: Any
    ) -> Iterator["subprocess.Popen[bytes]"]:
        """Blender, playing these; it is ended with the `with` block at the latest.

        `variables`: more of its environment. `told`: more of what the harness is told.
        """
        for folder in (self.pictures, self.temporary, self.home / "user"):
            folder.mkdir(parents=True, exist_ok=True)
        self.scenes = scenes
        task = self.home / "task.json"
        task_of = {
            "zips": self.zips,
            "installed": True,
            "scenes": scenes,
            "facts": str(self.facts),
            "model": sorted(self.models.glob("*.safetensors"))[0].stem,
            "models": str(self.models),
            "pictures": str(self.pictures),
            "photograph": self.photograph,
            "server_command": sys.executable,
            **told,
        }
        task.write_text(json.dumps(task_of), "utf-8")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("TEXSERVER", "XDG_", "PYTHON"))}
        environ = kept | {
            "DISPLAY": self.display,
            "LIBGL_ALWAYS_SOFTWARE": "1",
            "LC_ALL": "C.UTF-8",
            "HOME": str(self.home / "user"),
            "XDG_RUNTIME_DIR": str(runtime),
            "XDG_STATE_HOME": str(self.home / "state"),
            "BLENDER_USER_RESOURCES": str(self.home / "user"),
            "TMPDIR": str(self.temporary),
            **variables,
        }
        popen = self.blender.start(task, environ, self.log)
        try:
            yield popen
        finally:
            end(popen)

    def take_pictures(self) -> None:
        """Those that the harness waits for."""
        for wanted in self.pictures.glob("*.wanted"):
            ImageGrab.grab(xdisplay=self.display).save(wanted.with_suffix(".png"))
            wanted.unlink()

    def told(self) -> dict[str, Any]:
        """What each scene has written, by its name. Fails where one went wrong."""
        lines = self.facts.read_text("utf-8").splitlines() if self.facts.exists() else []
        return {line["scene"]: line for line in map(json.loads, lines)}

    def fact(self, scene: str) -> Any:
        line = self.told().get(scene)
        if scene not in self.scenes:
            pytest.skip(f"TEXSERVER_SCENES leaves out {scene}")
        if line is None:
            self.fail(f"it has not come to {scene}")
        if line["wrong"]:
            self.fail(line["wrong"])
        if line["lacks"]:
            pytest.skip(line["lacks"])
        return line["facts"]

    def fail(self, why: str) -> NoReturn:
        pytest.fail(f"{why}\n\nBlender said:\n{self.said()[-6000:]}", pytrace=False)

    def said(self) -> str:
        """Blender's own output."""
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""

    def run(self, *scenes: str, runtime: Path, **more: Any) -> None:
        """To the end, taking the pictures that are wanted. `more`: see play()."""
        with self.play(*scenes, runtime=runtime, **more) as popen:
            end = time.monotonic() + PLAYED_WITHIN_S
            while popen.poll() is None and time.monotonic() < end:
                self.take_pictures()
                time.sleep(0.05)
            if popen.poll() is None:
                self.fail(f"it plays for more than {PLAYED_WITHIN_S:.0f} s")
            if popen.returncode:
                self.fail(f"it ended with {popen.returncode}")
