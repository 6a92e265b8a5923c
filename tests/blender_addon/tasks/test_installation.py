"""A server is set up in an environment of its own, says how far it is and why it failed, and half a setup does no harm.

The quick tests have a program in place of Python, pip and uv; the slow one installs a real wheel, with PyTorch.
"""

import fcntl
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from blender_addon.tasks import installer
from blender_addon.tasks.environments import MARKER, Environment, environments, python_in
from blender_addon.tasks.installation import GRACE_S, Installation, is_current
from blender_addon.tasks.installer import Order

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(sys.platform == "win32", reason="the program that stands in for pip is a script"),
]

# Python, pip and uv at once. It writes down what it was asked, and behaves as the file `does` beside it says.
STAND_IN = """#!{python} -IS
import json, os, pathlib, shutil, sys, time
here, asked = pathlib.Path({here!r}), sys.argv[1:]
with (here / "asked").open("a") as file: file.write(json.dumps([os.path.basename(sys.argv[0]), *asked]) + "\\n")
def does(name): return (here / name).exists() and ((here / name).read_text() or "yes")
if "-c" in asked and "ensurepip" in asked[-1]:
    print("3.13 True")
elif "-c" in asked:
    if does("broken"): sys.exit("ImportError: libtorch is gone")
    print('checked: ' + json.dumps({{"version": does("installs") or "1.2", "torch": "9", "gpu": False}}))
elif "venv" in asked:
    place = pathlib.Path(asked[-1]) / "bin"
    place.mkdir(parents=True, exist_ok=True)
    shutil.copy(sys.argv[0], place / "python")
elif "install" in asked:
    by = "uv" if "pip" == asked[0] else "pip"
    print("Collecting everything", flush=True)
    if does("waits"): time.sleep(60)
    if asked[-1] == "uv":
        if does("no uv"): sys.exit("ERROR: no uv")
        shutil.copy(sys.argv[0], os.path.join(os.path.dirname(sys.argv[0]), "uv"))
    elif does(by + " says"):
        sys.exit(does(by + " says"))
"""


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Computer:
    """A PATH with what stands in for Python, and a wheel."""

    def __init__(self, home: Path) -> None:
        self.home, self.bin, self.folder = home, home / "bin", home / "data" / "server"
        self.bin.mkdir()
        self.wheel = home / "texserver-1.2-py3-none-any.whl"
        self.wheel.write_bytes(b"a wheel")
        self.provide("python3.12")

    def provide(self, name: str) -> None:
        path = self.bin / name
        path.write_text(STAND_IN.format(python=sys.executable, here=str(self.home)))
        path.chmod(0o755)

    def does(self, name: str, what: str = "") -> None:
        (self.home / name).write_text(what)

    def asked(self) -> list[list[str]]:
        return [json.loads(line) for line in (self.home / "asked").read_text().splitlines()]

    def order(self, **changed: object) -> Order:
        return Order(**{"folder": self.folder, "wheel": self.wheel, "device": "cpu", **changed})  # type: ignore[arg-type]


@pytest.fixture
def computer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Computer:
    made = Computer(tmp_path)
    monkeypatch.setenv("PATH", str(made.bin))
    return made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def happened() -> list[str]:
    return []


@pytest.fixture
def setup(tmp_path: Path, clock: Clock, happened: list[str]) -> Iterator[Installation]:
    log = tmp_path / "logs" / "setup.log"
    with closing(Installation(log, installed=lambda: happened.append("installed") or "", clock=clock)) as setup:
        yield setup


def within(holds: Callable[[], object], limit_s: float = 30.0) -> None:
    end = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def to_the_end(setup: Installation, limit_s: float = 30.0) -> str:
    """Its message."""
    end = time.monotonic() + limit_s
    while setup.busy:
        setup.tick()
        assert time.monotonic() < end, setup.tail(20)
        time.sleep(0.01)
    return setup.message


def left(folder: Path) -> set[str]:
    """What is in the folder beside the lock."""
    return {path.name for path in folder.iterdir()} - {installer.LOCK} if folder.exists() else set()


# ---------------------------------------------------------------------------------------------------------- installing


def test_a_server_is_set_up_and_told_of_once(computer: Computer, setup: Installation, happened: list[str]) -> None:
    setup.install(computer.order())
    assert (setup.state, setup.busy) == ("installing", True)
    assert to_the_end(setup) == ""
    assert (setup.state, happened) == ("idle", ["installed"])
    (made,) = environments(computer.folder)
    assert (made.version, made.device, made.note) == ("1.2", "cpu", "")
    assert made.python == python_in(made.folder)
    assert is_current(made, computer.wheel)
    computer.wheel.write_bytes(b"another wheel of this version")
    os.utime(computer.wheel, (1, 1))
    assert not is_current(made, computer.wheel)
    assert setup.tail(1) == ["texserver 1.2 is set up."]


def test_what_fails_after_it_is_told(computer: Computer, tmp_path: Path) -> None:
    setup = Installation(tmp_path / "setup.log", installed=lambda: "It did not start.")
    setup.install(computer.order())
    assert (to_the_end(setup), setup.state) == ("It did not start.", "failed")


def test_pip_runs_in_the_new_environment_alone(computer: Computer, setup: Installation) -> None:
    setup.install(computer.order(wheels=computer.home))
    to_the_end(setup)
    (made,) = environments(computer.folder)
    installs = [asked for asked in computer.asked() if "install" in asked]
    assert [asked[0] for asked in installs] == ["python"]
    assert installs[0][-3:] == ["--no-index", f"--find-links={computer.home}", str(computer.wheel)]
    assert made.folder / "bin" / "python" == made.python


@pytest.mark.skipif(sys.platform != "linux", reason="plain pip brings CUDA there")
def test_pytorch_is_chosen_by_uv_that_pip_brings(computer: Computer, setup: Installation) -> None:
    setup.install(computer.order())
    to_the_end(setup)
    pip, uv = (asked for asked in computer.asked() if "install" in asked)
    assert (pip[0], pip[-1], uv[0]) == ("python", "uv", "uv")
    assert uv[uv.index("--torch-backend") + 1] == "cpu"


def test_uv_is_used_where_there_is_one(computer: Computer, setup: Installation) -> None:
    computer.provide("uv")
    setup.install(computer.order(device="cuda"))
    assert to_the_end(setup) == ""
    assert {asked[0] for asked in computer.asked() if "-c" not in asked} == {"uv"}
    (install,) = (asked for asked in computer.asked() if "install" in asked)
    assert install[install.index("--torch-backend") + 1] == "auto"
    (made,) = environments(computer.folder)
    assert made.note == "PyTorch finds no CUDA device here, so it paints on the processor."


def test_where_uv_fails_pip_is_tried(computer: Computer, setup: Installation) -> None:
    computer.provide("uv")
    computer.does("uv says", "error: no index")
    setup.install(computer.order())
    assert to_the_end(setup) == ""
    assert environments(computer.folder)


def test_a_second_setup_of_the_same_wheel_installs_nothing(computer: Computer, setup: Installation) -> None:
    setup.install(computer.order())
    to_the_end(setup)
    before = computer.asked()
    setup.install(computer.order())
    assert to_the_end(setup) == ""
    assert computer.asked() == before


def test_an_update_takes_the_earlier_one_away_when_it_works(computer: Computer, setup: Installation) -> None:
    setup.install(computer.order())
    to_the_end(setup)
    computer.wheel.write_bytes(b"a newer wheel")
    computer.does("pip says", "ERROR: it is raining")
    computer.does("uv says", "error: it is raining")
    setup.install(computer.order())
    assert "it is raining" in to_the_end(setup)
    (earlier,) = environments(computer.folder)
    for name in ("pip says", "uv says"):
        (computer.home / name).unlink()
    setup.install(computer.order())
    to_the_end(setup)
    (newer,) = environments(computer.folder)
    assert newer.folder != earlier.folder
    assert left(computer.folder) == {newer.folder.name}


def test_half_an_installation_is_mended(computer: Computer, setup: Installation) -> None:
    setup.install(computer.order())
    to_the_end(setup)
    (made,) = environments(computer.folder)
    (made.folder / MARKER).unlink()
    (made.folder / "lib").mkdir()
    (made.folder / "lib" / "half").touch()
    assert environments(computer.folder) == []
    setup.install(computer.order())
    assert to_the_end(setup) == ""
    assert environments(computer.folder)
    assert not (made.folder / "lib").exists()


@pytest.mark.parametrize("marker", ["", "{", "[]", '{"version": "1.2"}'])
def test_a_damaged_marker_is_none(computer: Computer, setup: Installation, marker: str) -> None:
    setup.install(computer.order())
    to_the_end(setup)
    (made,) = environments(computer.folder)
    (made.folder / MARKER).write_text(marker)
    assert Environment.read(made.folder) is None


# ------------------------------------------------------------------------------------------------------------- failing


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("OSError: [Errno 28] No space left on device", "is full. Make room, or choose a folder on another disk."),
        ("error: failed to write: No space left on device (os error 28)", "is full."),
        ("NewConnectionError: no\nERROR: No matching distribution found for torch", "there is no way to the network"),
        ("error: error sending request for url\n  dns error", "there is no way to the network"),
        ("ERROR: No matching distribution found for torch>=2.6", "no package torch that fits this Python and system"),
        ("[Errno 13] Permission denied: 'x'", "cannot be written to. Choose another one."),
        ("ERROR: it is raining.", "The installation failed: it is raining. Read the log, then try again."),
    ],
)
def test_what_pip_says_becomes_a_sentence(computer: Computer, setup: Installation, said: str, sentence: str) -> None:
    computer.does("uv says", said)
    computer.does("pip says", said)
    setup.install(computer.order())
    assert sentence in to_the_end(setup)
    assert setup.state == "failed"
    assert left(computer.folder) == set()


def test_a_folder_of_wheels_that_lacks_one_is_told_by_name(computer: Computer, setup: Installation) -> None:
    computer.does("pip says", "ERROR: No matching distribution found for pyzmq>=26")
    setup.install(computer.order(wheels=computer.home))
    assert f"The folder {computer.home} has no wheel of pyzmq that fits" in to_the_end(setup)


def test_a_computer_without_python_is_told_what_to_install(
    computer: Computer, setup: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    (computer.bin / "python3.12").unlink()
    bare = computer.home / "blenders-python"
    bare.write_text(f'#!/bin/sh\ncase "$*" in *ensurepip*) exit 1;; esac\nexec {sys.executable} "$@"\n')
    bare.chmod(0o755)
    monkeypatch.setattr(installer, "PYTHONS", ())
    monkeypatch.setattr(sys, "executable", str(bare))
    with pytest.raises(installer.SetupError, match=r"no Python 3\.11 or newer .* Install Python"):
        installer.install(computer.order(), installer.Runner())


def test_what_does_not_run_is_not_marked(computer: Computer, setup: Installation, happened: list[str]) -> None:
    computer.does("broken")
    setup.install(computer.order())
    assert "does not run: ImportError: libtorch is gone" in to_the_end(setup)
    assert (left(computer.folder), happened) == (set(), [])


def test_another_version_than_was_asked_for_is_not_marked(computer: Computer, setup: Installation) -> None:
    computer.does("installs", "1.1")
    setup.install(computer.order())
    assert to_the_end(setup) == "texserver 1.1 was installed in place of 1.2. Try again."


def test_a_disk_without_room_is_told_before_anything_is_done(
    computer: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**12, 10**12, 10**9))  # type: ignore[attr-defined]
    with pytest.raises(installer.SetupError, match=r"has 1\.0 GB of free space, and the server needs about"):
        installer.install(computer.order(), installer.Runner())
    assert not (computer.home / "asked").exists()


def test_a_folder_that_cannot_be_made_is_told(computer: Computer, setup: Installation) -> None:
    (computer.home / "data").touch()
    setup.install(computer.order())
    assert "cannot be changed" in to_the_end(setup)
    assert setup.state == "failed"


def test_a_file_that_is_no_wheel_of_ours_is_refused(computer: Computer, setup: Installation) -> None:
    setup.install(computer.order(wheel=computer.home / "other-1.2-py3-none-any.whl"))
    assert "is not a wheel of texserver" in to_the_end(setup)


def test_a_log_that_cannot_be_written_is_told(computer: Computer, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    setup = Installation(tmp_path / "file" / "setup.log", installed=lambda: "")
    setup.install(computer.order())
    assert (setup.state, setup.busy) == ("failed", False)
    assert setup.message.startswith("The setup cannot begin: ")


def test_two_at_once_do_not_meet(computer: Computer, setup: Installation) -> None:
    computer.folder.mkdir(parents=True)
    with (computer.folder / installer.LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        setup.install(computer.order())
        assert "Another setup works in" in to_the_end(setup)
    setup.install(computer.order())
    assert to_the_end(setup) == ""


# -------------------------------------------------------------------------------------------------------------- ending


def waiting(computer: Computer, setup: Installation) -> None:
    """While pip waits for the network."""
    computer.does("waits")
    setup.install(computer.order())
    within(lambda: setup.tick() or "Collecting everything" in setup.tail(1))  # type: ignore[func-returns-value]
    assert "…" in setup.message


def test_cancelled_nothing_of_it_stays(computer: Computer, setup: Installation, happened: list[str]) -> None:
    waiting(computer, setup)
    setup.cancel()
    setup.cancel()
    assert to_the_end(setup) == "The setup was cancelled."
    assert (setup.state, left(computer.folder), happened) == ("idle", set(), [])


def test_the_removing_of_what_was_begun_is_not_interrupted(computer: Computer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who cancels closes the program's input and asks it to end: the second comes when it is removing."""
    remove = shutil.rmtree

    def interrupted(path: Path, ignore_errors: bool = False) -> None:
        if (path / installer.OURS).exists():
            os.kill(os.getpid(), signal.SIGTERM)
        remove(path, ignore_errors=ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", interrupted)
    computer.does("broken")
    before = signal.signal(signal.SIGTERM, installer._told_to_end)
    try:
        with pytest.raises(installer.SetupError, match="does not run"):
            installer.install(computer.order(), installer.Runner())
    finally:
        signal.signal(signal.SIGTERM, before)
    assert left(computer.folder) == set()


def test_one_that_does_not_hear_is_killed_and_then_mended(
    computer: Computer, setup: Installation, clock: Clock
) -> None:
    waiting(computer, setup)
    process = setup._process
    assert process
    os.kill(process.pid, signal.SIGSTOP)
    setup.cancel()
    setup.tick()
    assert setup.busy
    clock.now += GRACE_S + 1
    assert to_the_end(setup) == "The setup was cancelled."
    assert len(left(computer.folder)) == 1
    (computer.home / "waits").unlink()
    setup.install(computer.order())
    assert to_the_end(setup) == ""
    assert environments(computer.folder)


@pytest.mark.serial
def test_closing_ends_it_at_once(computer: Computer, setup: Installation) -> None:
    waiting(computer, setup)
    start = time.monotonic()
    setup.close()
    assert time.monotonic() - start < 5
    assert not setup.busy


def test_it_does_not_outlive_a_killed_blender(computer: Computer, tmp_path: Path) -> None:
    computer.does("waits")
    blender = (
        "import sys, time; from pathlib import Path; from blender_addon.tasks.installation import *\n"
        f"order = Order(folder=Path({str(computer.folder)!r}), wheel=Path({str(computer.wheel)!r}), device='cpu')\n"
        "setup = Installation(Path(sys.argv[1]), installed=lambda: ''); setup.install(order)\n"
        "while True: setup.tick(); print(*setup.tail(1), flush=True); time.sleep(0.01)\n"
    )
    command = [sys.executable, "-c", blender, str(tmp_path / "log")]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as killed:
        assert killed.stdout
        assert any(line == "Collecting everything\n" for line in killed.stdout)
        killed.kill()
    within(lambda: left(computer.folder) == set())


# ------------------------------------------------------------------------------------------------------------ removing


def test_removing_takes_what_is_ours_and_leaves_the_rest(computer: Computer, setup: Installation) -> None:
    setup.install(computer.order())
    to_the_end(setup)
    (computer.folder / "models").mkdir()
    lookalike = computer.folder / "texserver-1.0-cpu-00000000"
    lookalike.mkdir()
    setup.remove(computer.folder)
    assert setup.state == "removing"
    assert to_the_end(setup) == ""
    assert left(computer.folder) == {"models", lookalike.name}
    setup.remove(computer.home / "nowhere")
    assert (to_the_end(setup), setup.state) == ("", "idle")


def test_an_empty_folder_goes_with_it(computer: Computer, setup: Installation) -> None:
    setup.install(computer.order())
    to_the_end(setup)
    setup.remove(computer.folder)
    to_the_end(setup)
    assert not computer.folder.exists()


def test_the_log_is_the_owners_alone(computer: Computer, setup: Installation) -> None:
    setup.install(computer.order())
    to_the_end(setup)
    assert stat.S_IMODE(setup.log.stat().st_mode) == 0o600
