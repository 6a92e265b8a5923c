"""The add-on in real Blenders with a real server: each file of tests/in_blender runs inside each of them.

What is tested is the extension as it is packed, installed from its zip, with the pyzmq that comes in there.
"""

import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import coverage
import numpy as np
import pytest

from server.model.maps import BASE_COLOUR, MATERIAL
from server.model.torus import Size, Window
from server.network.generator import Generator
from server.network.model_file import write_model
from server.network.texture import texture_bytes
from tests.models import save_tiny, save_tiny_quilt, tiny_model, tiny_quilted_style, tiny_style
from tests.packaging.bare_blender import python_of
from tests.server.session import ROOT, SERVER, Session, environment

pytestmark = pytest.mark.blender

INSIDE = Path(__file__).resolve().parents[1] / "in_blender"
FILES = (
    "generating",
    "sets",
    "reading_maps",
    "learning",
    "metres",
    "targets",
    "manners",
    "keeping",
    "failing",
    "drawing",
    "scripting",
    "varying",
    "blending",
    "publishing",
    "wandering",
    "stylizing",
    "filming",
    "setting_up",
    "exporting",
    "recipes",
    "many_recipes",
    "surfacing",
)
WITHIN_S = 240.0  # for what takes some ten seconds
ZIPS = {"4.5.15": "4.2", "5.2.3": "5.1", "4.2.23": "4.2", "5.0.1": "4.2"}
NEWEST, OLDER, SLOW = "5.2.3", "4.5.15", ("4.2.23", "5.0.1")
# The quick tests run in both what draws everywhere, and the rest in one of them; the slow ones run all in all four.
IN_BOTH = ("generating", "drawing", "manners")
IN_OLDER = ("sets", "reading_maps", "targets", "keeping", "failing", "varying")
LARGE = ("many_recipes",)  # no quick test runs them


def is_quick(version: str, file: str) -> bool:
    return file not in LARGE and version in (
        (NEWEST, OLDER) if file in IN_BOTH else (OLDER,) if file in IN_OLDER else (NEWEST,)
    )


CASES = [
    pytest.param(version, file, marks=[] if is_quick(version, file) else [pytest.mark.slow])
    for version in (OLDER, NEWEST, *SLOW)
    for file in FILES
]
INSTALL = """
import bpy, os, sys
bpy.ops.extensions.package_install_files(filepath=sys.argv[1], repo="user_default", enable_on_install=True)
there = "bl_ext.user_default.texserver" in bpy.context.preferences.addons
if there:
    bpy.ops.preferences.addon_disable(module="bl_ext.user_default.texserver")
sys.stdout.flush()
os._exit(0 if there else 1)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """One for all Blenders: models with a colour alone, with a pattern, with many maps; styles, one of them quilted."""
    home = tmp_path_factory.mktemp("server")
    models = {
        "tiny": tiny_model(1, name="tiny"),
        "tiles": replace(tiny_model(2, name="tiles", lattice=True), training={"metres": 0.625}),  # 512 texels a metre
        "stone": tiny_model(3, name="stone", maps=MATERIAL),
        "ink": tiny_style(4, name="ink"),
        "wash": tiny_style(5, name="wash"),
        "oil": tiny_quilted_style(name="oil"),
    }
    for name, model in models.items():
        write_model(home / "models" / f"{name}.safetensors", model)
    (home / "truth").mkdir()
    for name, seed, size in (("tiny", 7, Size(64, 64)), ("tiny", 7, Size(32, 64)), ("stone", 7, Size(64, 64))):
        pixels = truth(models[name].generator, seed, size)
        np.save(home / "truth" / f"{name}-{seed}-{size.width}x{size.height}.npy", pixels)
    with Session(home / "models", home) as session:
        yield session


@pytest.fixture(scope="module")
def training_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """Another, which gets more and more models."""
    home = tmp_path_factory.mktemp("training")
    write_model(home / "models" / "tiny.safetensors", tiny_model(1, name="tiny"))
    write_model(home / "models" / "stone.safetensors", tiny_model(3, name="stone", maps=MATERIAL))
    with Session(home / "models", home, command=quick_trainer(home)) as session:
        yield session


@pytest.fixture(scope="module")
def blending_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """Another, with quilts."""
    home = tmp_path_factory.mktemp("blending")
    (home / "models").mkdir()
    for seed, name in enumerate(("stones", "moss", "sand")):
        save_tiny_quilt(home / "models", name, seed)
    save_tiny(home / "models", "network")
    with Session(home / "models", home, "--no-training") as session:
        yield session


SERVERS = {
    "learning": "training_server",
    "blending": "blending_server",
    "surfacing": "blending_server",
}  # by file; "server" for the others


def quick_trainer(home: Path) -> list[str]:
    """A server whose trainer is quick_trainer.py, with models for it to give."""
    folder = home / "quick"
    (folder / "trainer").mkdir(parents=True)
    code = f"import runpy\nrunpy.run_path({str(Path(__file__).with_name('quick_trainer.py'))!r}, run_name='__main__')\n"
    (folder / "trainer" / "__init__.py").touch()  # or the real one would be found before it
    (folder / "trainer" / "__main__.py").write_text(code)
    guessed = [each for each in MATERIAL if each.name in ("basecolor", "normal", "height", "roughness")]
    for name, maps in (("one", [BASE_COLOUR]), ("guessed", guessed), ("set", MATERIAL)):
        write_model(folder / f"{name}.safetensors", tiny_model(5, name=name, maps=maps))
    return ["env", f"PYTHONPATH={folder}{os.pathsep}{ROOT}", f"QUICK_TRAINER={folder}", *SERVER]


def truth(generator: Generator, seed: int, size: Size) -> np.ndarray:
    """(height, width, channels of all maps) uint8, computed here; those of 16 bits are rounded as a reader would."""
    maps = [each.numpy() for each in texture_bytes(generator, seed, size, Window(0, 0, size.height, size.width))]
    return np.concatenate([np.rint(each / np.iinfo(each.dtype).max * 255).astype(np.uint8) for each in maps], 2)


@pytest.fixture(scope="module")
def homes(addon_zips: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The user's folder of each Blender with the extension installed, filled when first asked for."""
    return {}


@pytest.fixture
def home(
    version: str, homes: dict[str, Path], addon_zips: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Of this Blender."""
    if version not in homes:
        folder = tmp_path_factory.mktemp(f"blender-{version}")
        command = [str(python_of(version)), "-I", "-c", INSTALL, str(addon_zips[ZIPS[version]])]
        ended = run(command, {**os.environ, "BLENDER_USER_RESOURCES": str(folder)})
        assert ended.returncode == 0, ended.stdout
        homes[version] = folder
    return homes[version]


@pytest.mark.parametrize(("version", "file"), CASES)
def test_in_blender(version: str, file: str, home: Path, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    server: Session = request.getfixturevalue(SERVERS.get(file, "server"))
    report = tmp_path / "report.xml"
    command = [
        *(str(python_of(version)), "-I", str(INSIDE / "run.py"), str(INSIDE / f"{file}.py")),
        *(f"--junitxml={report}", f"--basetemp={tmp_path / 'inside'}", "--durations=3", "-q"),
    ]
    try:
        ended = run(command, inside(home, server, tmp_path))
    finally:
        for pid in server.workers():  # a test that was broken off may have stopped them
            os.kill(pid, signal.SIGCONT)
    print(ended.stdout)
    assert ended.returncode == 0, ended.stdout
    suite = ElementTree.parse(report).find("testsuite")
    assert suite is not None
    told = {key: int(suite.get(key, -1)) for key in ("tests", "failures", "errors", "skipped")}
    assert told.pop("tests") > 0
    assert told == {"failures": 0, "errors": 0, "skipped": 0}


def inside(home: Path, server: Session, folder: Path) -> dict[str, str]:
    """The environment in which Blender uses `home`, and finds the server."""
    return counted(environment(folder / "user")) | {
        "BLENDER_USER_RESOURCES": str(home),
        "TEXSERVER_CONNECTION": str(server.file),
        "TEXSERVER_CONNECTION_OF_TESTS": str(server.file),
        "TEXSERVER_TEST_PYTHON": sys.executable,
        "TEXSERVER_TEST_MODELS": str(server.models),
        "TEXSERVER_TEST_WORKERS": " ".join(map(str, server.workers())),
    }


def counted(environ: dict[str, str]) -> dict[str, str]:
    """The same, in which coverage counts the add-on where it counts what runs here."""
    environ.pop("COVERAGE_PROCESS_CONFIG", None)  # of what is imported from the clone
    counting = coverage.Coverage.current()
    if counting is None:
        return environ
    return environ | {
        "COVERAGE_PROCESS_START": str(INSIDE / "coverage.ini"),
        "TEXSERVER_TEST_COVERAGE": str(Path(counting.config.data_file).absolute()),
    }


def run(command: list[str], environ: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """With all that it says in `stdout`, also when it takes too long."""
    try:
        return subprocess.run(
            command,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=WITHIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired as hung:
        said = hung.stdout.decode(errors="replace") if isinstance(hung.stdout, bytes) else hung.stdout
        pytest.fail(f"It took over {WITHIN_S:.0f} s:\n{said}")


def test_every_file_is_run() -> None:
    helpers = {"run", "inside", "scenery", "pictures", "strict_layout"}
    assert {path.stem for path in INSIDE.glob("*.py")} == {*FILES, *helpers}
