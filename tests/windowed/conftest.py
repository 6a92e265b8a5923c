"""What the windowed tests take: a Blender, a screen, the extension, models, a server, and the scenes played."""

import os
import shlex
import shutil
import subprocess
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from server.model.maps import MATERIAL
from tests.models import save_tiny, save_tiny_style
from tests.server.session import SERVER, Session
from tests.windowed.stage import OLDEST, ROOT, SCREEN, Stage, WindowedBlender, inside

SCENES = (
    "panel",
    "click",
    "escape",
    "escape_foreign",
    "cross",
    "live",
    "try_on",
    "wander",
    "library",
    "drop",
    "refused",
    "corners",
    "disabled",
    "workspace",
    "undo",
    "undo_set",
    "undo_under_way",
    "edit_mode",
    "save",
    "new_file",
    "render",
    "share",
    "alive",
    "stylize",
)


@pytest.fixture(scope="module")
def blender(tmp_path_factory: pytest.TempPathFactory) -> WindowedBlender:
    if chroot := os.environ.get("TEXSERVER_BLENDER_CHROOT"):
        command = inside(Path(chroot), tmp_path_factory.getbasetemp())
    elif named := os.environ.get("TEXSERVER_BLENDER"):
        command = shlex.split(named)
    else:
        command = ["blender"]
    if not shutil.which(command[0]):
        pytest.skip("there is no Blender with windows: name one by TEXSERVER_BLENDER or TEXSERVER_BLENDER_CHROOT")
    found = WindowedBlender(command)
    if found.version < OLDEST:
        pytest.skip(f"{command[-1]} is no Blender of 4.2 or newer: name one by TEXSERVER_BLENDER")
    return found


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    """A screen that nobody sees."""
    if not shutil.which("Xvfb"):
        pytest.skip("there is no Xvfb for a window to open on")
    width, height = SCREEN
    reads, writes = os.pipe()
    with subprocess.Popen(
        ["Xvfb", "-displayfd", str(writes), "-screen", "0", f"{width}x{height}x24", "-nolisten", "tcp"],
        pass_fds=[writes],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        os.close(writes)
        try:
            with os.fdopen(reads) as file:
                number = file.readline().strip()
            assert number, "Xvfb did not start"
            yield f":{number}"
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def zips(
    blender: WindowedBlender, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[str]:
    """The extension for this Blender, and the same without wheels, for one whose Python has its own pyzmq."""
    found = []
    with suppress(pytest.skip.Exception):
        found.append(str(request.getfixturevalue("addon_zips")[blender.zip]))
    plain = tmp_path_factory.mktemp("plain") / "plain.zip"
    with zipfile.ZipFile(plain, "w") as archive:
        for path in sorted((ROOT / "blender_addon").rglob("*")):
            if path.suffix in (".py", ".toml"):
                archive.write(path, path.relative_to(ROOT / "blender_addon"))
    return [*found, str(plain)]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if given := os.environ.get("TEXSERVER_MODELS"):
        return Path(given).absolute()
    folder = tmp_path_factory.mktemp("models")
    save_tiny(folder, "grass", 1)
    save_tiny_style(folder, "ink", 1)
    save_tiny(folder, "stone", 2, maps=MATERIAL)
    return folder


@pytest.fixture(scope="module")
def server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    command: Sequence[str] = SERVER
    if os.environ.get("TEXSERVER_MODELS"):
        command = ["env", f"OMP_NUM_THREADS={os.cpu_count()}", *SERVER]
    with Session(models, tmp_path_factory.mktemp("server"), "--precision", "auto", command=command) as session:
        yield session


@pytest.fixture(scope="module")
def stage(
    blender: WindowedBlender, display: str, zips: list[str], models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Stage:
    return Stage(blender, display, zips, models, tmp_path_factory.mktemp("stage"))


@pytest.fixture(scope="module")
def played(stage: Stage, server: Session) -> Stage:
    """All scenes that leave Blender running, or those that TEXSERVER_SCENES names."""
    stage.run(*chosen_scenes(), runtime=server.home / "runtime")
    return stage


def chosen_scenes() -> list[str]:
    """In their order. Fails on a name that no scene has."""
    named = os.environ.get("TEXSERVER_SCENES", "").replace(",", " ").split()
    if unknown := sorted({*named} - {*SCENES}):
        pytest.fail(f"TEXSERVER_SCENES names {', '.join(unknown)}. There are: {', '.join(SCENES)}", pytrace=False)
    return [scene for scene in SCENES if scene in named or not named]
