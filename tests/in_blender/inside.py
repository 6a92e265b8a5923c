"""What every test inside a Blender gets: the extension fresh from being enabled, Blender's own scene, and a server.

The outer tests say by the environment where the server is and what it serves (tests/blender_addon/test_in_blender.py).
"""

import itertools
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import addon_utils
import bpy
import pytest
from bl_ext.user_default.texserver.loop import pump
from bl_ext.user_default.texserver.material import assignment
from bl_ext.user_default.texserver.panel import orders, preferences
from bl_ext.user_default.texserver.protocol.pairing import ENVIRONMENT
from bl_ext.user_default.texserver.tasks import state
from bl_ext.user_default.texserver.tasks.task import Task
from bl_ext.user_default.texserver.tasks.texture_task import TextureOrder, TextureTask

EXTENSION = "bl_ext.user_default.texserver"
PYTHON = os.environ["TEXSERVER_TEST_PYTHON"]  # with torch and the server
MODELS = Path(os.environ["TEXSERVER_TEST_MODELS"])  # of the server, and beside it what it must paint
WORKERS = [int(pid) for pid in os.environ["TEXSERVER_TEST_WORKERS"].split()]
PATIENCE_S = 60.0  # for what takes a moment on a machine that has nothing else to do

_seeds = itertools.count(random.randrange(10**6, 10**9), 16)


def fresh_seed() -> int:
    """One that the server did not paint before, and so has not in its cache; nor the next few."""
    return next(_seeds)


LARGE = {"width": 528, "height": 48}  # over 512: a preview comes first
LARGE_PREVIEW = (512, 48)


@pytest.fixture(autouse=True)
def extension(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Enabled, with default preferences and without a past, in Blender's own scene; it must leave without a trace."""
    folder = preferences.folder()
    for name in ("textures", "previews"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "history.json").unlink(missing_ok=True)
    _reset_preferences()
    addon_utils.enable(EXTENSION)
    bpy.ops.wm.read_homefile(use_factory_startup=True)
    yield
    session = state.session()
    addon_utils.disable(EXTENSION)
    said = "".join(capfd.readouterr())
    print(said)
    assert "Traceback" not in said
    assert not session.busy
    assert drafts() == []
    assert [name for name in dir(bpy.types) if name.startswith("TEXSERVER_")] == []
    assert not hasattr(bpy.types.Scene, "texserver")


def _reset_preferences() -> None:
    if addon_utils.check(EXTENSION)[1]:
        addon_utils.disable(EXTENSION)
    addon = bpy.context.preferences.addons[EXTENSION]
    addon_utils.enable(EXTENSION)  # its properties are known while it is
    for name in [each.identifier for each in addon.preferences.bl_rna.properties]:
        if name != "bl_idname" and addon.preferences.is_property_set(name):
            addon.preferences.property_unset(name)
    addon_utils.disable(EXTENSION)
    bpy.context.preferences.system.use_online_access = False


@pytest.fixture
def no_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """None runs on this machine; a connection file at the path that this gives would be found."""
    monkeypatch.delenv(ENVIRONMENT)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    state.session().reconnect()
    return tmp_path / "texserver" / "connection.json"


class Paused:
    """The server's workers, while they do nothing."""

    def __enter__(self) -> "Paused":
        for pid in WORKERS:
            os.kill(pid, signal.SIGSTOP)
        return self

    def __exit__(self, *_: object) -> None:
        for pid in WORKERS:
            os.kill(pid, signal.SIGCONT)


def connect() -> None:
    """Until the models are listed."""
    assert bpy.ops.texserver.refresh() == {"FINISHED"}


def generate(model: str = "tiny", **given: Any) -> Any:
    """By the operator, as a script does; the material of the active object afterwards."""
    assert bpy.ops.texserver.generate(model=model, **given) == {"FINISHED"}
    return bpy.context.object.active_material


def begin(model: str = "tiny", **given: Any) -> TextureTask:
    """As the button does: only begun."""
    if not state.session().catalogue.models:
        connect()
    return orders.prepare(bpy.context, model=model, **given).begin()


def begin_order(order: TextureOrder, **given: Any) -> TextureTask:
    """An order that the settings would not make, for the active object."""
    target = assignment.target_for([bpy.context.object], **given)
    return orders.PreparedTexture(order=order, target=target).begin()


def until(holds: Callable[[], Any], what: str, within_s: float = PATIENCE_S) -> Any:
    """Turn Blender's main loop, as far as ours goes, until it holds."""
    end = time.monotonic() + within_s
    while not (found := holds()):
        assert time.monotonic() < end, f"not within {within_s:.0f} s: {what}; {_tasks()}"
        pump.step()
        time.sleep(pump.NAP_S)
    return found


def until_ended(*tasks: Task) -> None:
    """To the end, and what was to be done with their textures is done."""
    until(lambda: all(task.ended and not pending(task) for task in tasks), "the end of the tasks")
    pump.step()


def pending(task: Task) -> bool:
    """Whether its texture is still to be put somewhere."""
    return any(each.task is task for each in pump.pending())


def until_previewed(task: Task) -> None:
    """The preview is there and shown, and the texture itself was not asked for."""
    until(lambda: task.preview, "a preview")
    pump.advance_deliveries()
    assert not task.ended
    assert task.result is None


def turn(count: int = 20) -> None:
    """Some turns more."""
    for _ in range(count):
        pump.step()
        time.sleep(pump.NAP_S)


def refusal(call: Callable[[], object]) -> str:
    """What a script is told by an operator that does not do it: whole sentences."""
    with pytest.raises(RuntimeError) as told:
        call()
    text = str(told.value).strip()
    assert text.startswith("Error: ")
    text = text.removeprefix("Error: ")
    assert len(text) > 20
    assert text.endswith(".")
    return text


def drafts() -> list[str]:
    """Files of the extension's that are not complete."""
    return [path.name for path in preferences.folder().rglob("*") if path.name.endswith(".part")]


def _tasks() -> list[tuple[str, str]]:
    return [(task.state, task.message) for task in state.session().tasks]
