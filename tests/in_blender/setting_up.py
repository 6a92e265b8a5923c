"""A server of one's own without a terminal: set up, started, updated and removed by buttons.

A program stands in for Python: it makes environments whose Python is the one of the tests, with the server in it.
"""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import addon_utils
import bpy
import pytest
from bl_ext.user_default.texserver.loop import pump
from bl_ext.user_default.texserver.panel import panels, preferences, server_setup
from bl_ext.user_default.texserver.tasks import child_process, environments, installation, installer, state
from inside import EXTENSION, MODELS, PYTHON, generate, until
from strict_layout import Drawn, draw, names, texts

STAND_IN = """#!/bin/sh
case "$*" in
*ensurepip*) echo 3.13 True ;;
*venv*)
    for place in "$@"; do :; done
    mkdir -p "$place/bin"
    cp {here}/inside "$place/bin/python" ;;
esac
"""
INSIDE = """#!/bin/sh
case "$*" in
*pip*) cat {here}/says; test ! -e {here}/fails ;;
*) exec {python} "$@" ;;
esac
"""


@pytest.fixture
def computer(tmp_path: Path, no_server: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for the server on a computer that has nothing but Python."""
    path = tmp_path / "bin" / "python3.13"
    path.parent.mkdir()
    for each, text in ((path, STAND_IN), (tmp_path / "inside", INSIDE)):
        each.write_text(text.format(here=tmp_path, python=PYTHON))
        each.chmod(0o755)
    (tmp_path / "says").write_text("Collecting torch\n")
    tools = "/".join(["", "usr", "bin"])
    monkeypatch.setenv("PATH", f"{path.parent}:{tools}")
    monkeypatch.setattr(installer, "PYTHONS", ("python3.13",))
    monkeypatch.setattr(shutil, "which", _which(shutil.which))
    chosen = preferences.get()
    chosen.setup_folder, chosen.setup_wheels = str(tmp_path / "server"), str(tmp_path)
    chosen.models_folder = str(tmp_path / "models")  # or the server would draw and learn the starter library
    (tmp_path / "models").mkdir()
    yield tmp_path / "server"
    state.local_server().close()


def _which(real: Any) -> Any:
    return lambda name: None if name == "texserver" else real(name)


def sidebar() -> list[Drawn]:
    state.session().wanted = True
    (main,) = (each for each in panels.CLASSES if each.__name__ == "TEXSERVER_PT_view_main")
    return draw(main, bpy.context)


def shown() -> list[Drawn]:
    return draw(preferences.get(), bpy.context)


def set_up() -> None:
    assert bpy.ops.texserver.setup_server() == {"FINISHED"}
    setup = state.installation()
    until(lambda: setup.tick() or not setup.busy, "the end of the setup")


def until_running() -> None:
    server = state.local_server()
    until(lambda: server.tick() or server.state != "starting", "its start")
    assert server.state == "running", server.message


# ---------------------------------------------------------------------------------------------------------- the buttons


def test_the_extension_has_brought_the_server_of_its_version() -> None:
    wheel = installation.bundled()
    assert wheel is not None
    assert environments.version_of(wheel) == "0.2.0"


def test_from_nothing_to_a_texture_by_three_buttons(computer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the sidebar: set up, which also starts the server, and generate. The pump drives both."""
    panel = sidebar()
    assert "texserver.setup_server" in names(panel)
    assert not {"texserver.start_server", "texserver.generate"} & names(panel)
    assert bpy.ops.texserver.setup_server() == {"FINISHED"}
    setup = state.installation()
    assert "texserver.cancel_setup" in names(sidebar())
    assert "A setup is under way" in refused("setup_server")
    until(lambda: pump._turn() and not setup.busy, "the end of the setup")
    assert (setup.state, setup.message) == ("idle", "")
    until(lambda: pump._turn() and state.local_server().state == "running", "the server's start")

    session = state.session()
    until(lambda: pump._turn() and session.connection.state == "ready" and session.catalogue.settled, "no models")
    assert "Put .safetensors models into its folder" in texts(sidebar())
    monkeypatch.setattr(state.local_server(), "makes_library", True)  # as where no folder is chosen
    assert "It is making its first materials" in texts(sidebar())

    shutil.copy(MODELS / "tiny.safetensors", preferences.get().models_folder)
    until(lambda: bpy.ops.texserver.refresh() and state.session().catalogue.models, "the model")
    assert "texserver.setup_server" not in names(sidebar())
    generate(seed=7, width=64, height=64)


def test_the_preferences_say_what_is_set_up_and_take_it_away(computer: Path) -> None:
    assert {"setup_device", "setup_folder", "setup_wheels", "texserver.setup_server"} <= names(shown())
    assert "No server is set up in this folder" in refused("remove_server")
    set_up()
    until_running()
    said = texts(shown())
    assert f"texserver 0.2.0 for the processor is set up in {computer}." in said
    assert {"texserver.remove_server", "texserver.stop_server"} <= names(shown())
    assert "texserver.setup_server" not in names(shown())
    preferences.get().setup_device = "CUDA"
    assert "Update Server" in texts(shown())
    mine = computer / "models" / "mine.safetensors"
    mine.parent.mkdir()
    mine.touch()
    assert bpy.ops.texserver.remove_server() == {"FINISHED"}
    setup, server = state.installation(), state.local_server()
    until(lambda: setup.tick() or not setup.busy, "its removal")
    until(lambda: server.tick() or not server.message, "the server's end")
    assert [path.name for path in computer.iterdir()] == ["models"]
    assert mine.exists()
    assert server_setup.environment_of(preferences.get()) is None


def test_the_server_runs_on_the_device_that_was_chosen_and_makes_the_starter_library(
    computer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preferences.get().models_folder = ""
    given: list[Any] = []
    monkeypatch.setattr(type(state.local_server()), "start", lambda self, *all, **options: given.append((all, options)))
    set_up()
    (((command, models), options),) = given
    environment = server_setup.environment_of(preferences.get())
    assert environment is not None
    assert (command, models, options) == (
        str(environment.python),
        None,
        {"extra": ["--device", "cpu"]},
    )


def test_an_earlier_server_is_offered_an_update(computer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(state.local_server()), "start", lambda *all, **options: None)
    set_up()
    wheel = installation.bundled()
    assert wheel is not None
    newer = computer.parent / wheel.name
    newer.write_bytes(wheel.read_bytes() + b"newer")
    monkeypatch.setattr(server_setup, "bundled", lambda: newer)
    assert "The add-on has brought another version of it." in texts(shown())
    assert "Update Server" in texts(shown())
    before = server_setup.environment_of(preferences.get())
    set_up()
    after = server_setup.environment_of(preferences.get())
    assert before is not None
    assert after is not None
    assert before.folder != after.folder
    assert not before.folder.exists()


# ------------------------------------------------------------------------------------------------------ what goes wrong


def refused(operator: str) -> str:
    with pytest.raises(RuntimeError) as told:
        getattr(bpy.ops.texserver, operator)()
    return str(told.value)


def test_nothing_is_fetched_while_online_access_is_off(computer: Path) -> None:
    preferences.get().setup_wheels = ""
    assert "Blender's online access is off. Allow it, or choose a folder of wheels" in refused("setup_server")
    assert state.installation().state == "idle"
    assert not bpy.app.online_access
    for drawn in (sidebar(), shown()):
        assert "needs Blender's online access" in texts(drawn)
        assert "Allow Access and Set Up" in texts(drawn)


def test_one_button_allows_online_access_and_sets_up(computer: Path) -> None:
    preferences.get().setup_wheels = ""
    assert bpy.ops.texserver.setup_server(allow_access=True) == {"FINISHED"}
    assert bpy.app.online_access
    state.installation().cancel()
    until(lambda: state.installation().tick() or not state.installation().busy, "its end")
    assert "Allow Access and Set Up" not in texts(sidebar()) + texts(shown())


def test_a_copy_without_a_server_says_where_to_get_one(computer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_setup, "bundled", lambda: None)
    assert "Install the add-on from the zip of a release" in refused("setup_server")


def test_a_failed_setup_says_why_shows_its_log_and_can_be_tried_again(
    computer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    monkeypatch.setattr(
        type(state.local_server()), "start", lambda self, command, *all, **options: begun.append(command)
    )
    (computer.parent / "fails").touch()
    (computer.parent / "says").write_text("ERROR: No matching distribution found for torch>=2.6\n")
    set_up()
    assert state.installation().state == "failed"
    said = texts(shown())
    assert "has no wheel of torch that fits" in said
    assert "No matching distribution found for torch" in said
    assert "has no wheel of torch that fits" in texts(sidebar())
    assert begun == []
    (computer.parent / "fails").unlink()
    set_up()
    assert state.installation().state == "idle"
    environment = server_setup.environment_of(preferences.get())
    assert environment is not None
    assert begun == [str(environment.python)]


def test_a_setup_ends_with_the_extension(computer: Path) -> None:
    (computer.parent / "bin" / "python3.13").write_text("#!/bin/sh\nexec sleep 60\n")
    assert bpy.ops.texserver.setup_server() == {"FINISHED"}
    process = state.installation()._process
    assert process is not None
    until(lambda: "Looking for a Python" in " ".join(state.installation().tail(3)), "its beginning")
    started = time.monotonic()
    addon_utils.disable(EXTENSION)
    try:
        assert time.monotonic() - started < 2 * child_process.LAST_WAIT_S + 0.5
        assert process.poll() is not None
    finally:
        addon_utils.enable(EXTENSION)


def test_a_setup_is_cancelled_by_its_button(computer: Path) -> None:
    assert "No setup is under way" in refused("cancel_setup")
    (computer.parent / "bin" / "python3.13").write_text("#!/bin/sh\nexec sleep 60\n")
    assert bpy.ops.texserver.setup_server() == {"FINISHED"}
    assert bpy.ops.texserver.cancel_setup() == {"FINISHED"}
    setup = state.installation()
    until(lambda: setup.tick() or not setup.busy, "its end")
    assert "The setup was cancelled." in texts(shown())
