"""The sdist and the wheel hold all that runs, and a fresh environment with the wheel trains and paints.

Slow: pip fetches what the wheel needs, PyTorch too, so this needs a network.
"""

import os
import subprocess
import sys
import tarfile
import time
import zipfile
from contextlib import closing
from pathlib import Path

import distribution
import numpy as np
import pytest
from PIL import Image

from blender_addon.tasks.environments import environments
from blender_addon.tasks.installation import Installation
from blender_addon.tasks.installer import Order
from blender_addon.tasks.local_server import LocalServer
from server import __version__
from tests.packaging import wheel_folder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("server", "trainer", "blender_addon")
COMMANDS = ("texget", "texserver", "textrain")
BIN = "Scripts" if sys.platform == "win32" else "bin"


def run(*command: str | Path, cwd: Path) -> str:
    """What it says; it must end well. It knows nothing of the clone that these tests run from."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "COVERAGE"))}
    ended = subprocess.run(
        [str(each) for each in command],
        cwd=cwd,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the sdist and the wheel."""
    folder = tmp_path_factory.mktemp("dist")
    distribution.build(folder, "sdist", "wheel")
    return folder


@pytest.fixture(scope="module")
def programs(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands lie in a fresh environment in which pip installed the wheel."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    run(sys.executable, "-m", "venv", folder, cwd=ROOT)
    python, (wheel,) = folder / BIN / "python", built.glob("*.whl")
    run(python, "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt", wheel, cwd=folder)
    return folder / BIN


def sources() -> set[str]:
    """All files of the packages, except what Python leaves there."""
    found = (path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file())
    return {path.relative_to(ROOT).as_posix() for path in found if "__pycache__" not in path.parts}


def test_the_wheel_holds_every_file_of_the_packages_and_no_other(built: Path) -> None:
    (path,) = built.glob("*.whl")
    assert path.name == f"texserver-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
    about = {name for name in names if name.startswith(f"texserver-{__version__}.dist-info/")}
    assert names - about == sources()
    assert any(name.endswith("licenses/LICENSE") for name in about)


def test_the_sdist_holds_what_the_makefile_needs(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert names >= sources() | {"Makefile", "constraints.txt", "pyproject.toml", "README.md", "LICENSE"}
    for folder, pattern in (("tests", "*.py"), ("packaging", "*"), ("benchmarks", "*.py"), ("docs", "**/*")):
        there = (each for each in (ROOT / folder).rglob(pattern) if each.is_file() and "__pycache__" not in each.parts)
        assert names >= {each.relative_to(ROOT).as_posix() for each in there}


def test_the_installed_commands_train_and_paint(programs: Path, tmp_path: Path) -> None:
    """By the built-in descriptor: the wheel's own data file."""
    for command in COMMANDS:
        assert f"usage: {command}" in run(programs / command, "--help", cwd=tmp_path)
    swatch = np.random.default_rng(1).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    Image.fromarray(swatch).resize((192, 192)).save(tmp_path / "brick.png")
    few = ("--arch", "taper", "--iterations", "2", "--descriptor", "builtin", "--swatch-size", "96", "--quiet")
    run(programs / "textrain", "--swatch", "brick.png", *few, cwd=tmp_path)
    run(programs / "texget", "brick", "--models", "models", "--size", "96x64", "-o", "wall.png", cwd=tmp_path)
    with Image.open(tmp_path / "wall.png") as picture:
        assert picture.size == (96, 64)


@pytest.mark.skipif(sys.platform == "win32", reason="makes a link to a Python")
def test_the_add_on_sets_a_server_up_from_a_folder_of_wheels_and_starts_it(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With nothing but a Python on the PATH, and no network."""
    wheels, (wheel,) = tmp_path / "wheels", built.glob("*.whl")
    wheel_folder.fill(wheels, wheel)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").symlink_to(Path(sys.executable).resolve())
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    order = Order(folder=tmp_path / "server", wheel=wheel, device="cpu", wheels=wheels)

    done: list[str] = []
    setup = Installation(tmp_path / "setup.log", installed=lambda: done.append("installed") or "")
    with closing(setup):
        setup.install(order)
        while setup.busy:
            setup.tick()
            time.sleep(0.1)
    assert (setup.state, setup.message, done) == ("idle", "", ["installed"]), setup.tail(30)
    (made,) = environments(order.folder)
    assert (made.version, made.device) == (__version__, "cpu")
    assert str(order.folder) in run(made.python, "-c", "import server; print(server.__file__)", cwd=tmp_path)

    (tmp_path / "models").mkdir()
    with closing(LocalServer(tmp_path / "server.log")) as server:
        server.start(str(made.python), tmp_path / "models", tmp_path / "connection.json", ["--device", "cpu"])
        while server.state == "starting":
            server.tick()
            time.sleep(0.1)
        assert server.state == "running", server.message
