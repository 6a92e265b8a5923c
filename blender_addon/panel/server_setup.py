"""The server on this computer: where it is set up, whether it can be, and its start, as the preferences say."""

from pathlib import Path
from typing import Any, Final

import bpy

from ..tasks import state
from ..tasks.environments import Environment, environments
from ..tasks.installation import bundled, default_folder, is_current
from ..tasks.installer import Order

NO_ACCESS: Final = "Blender's online access is off. Allow it, or choose a folder of wheels"


def folder_of(chosen: Any) -> Path:
    """Where the server is set up."""
    own = chosen.setup_folder.strip()
    return Path(bpy.path.abspath(own)) if own else default_folder()


def environment_of(chosen: Any) -> Environment | None:
    """What is set up there; None where nothing is."""
    return next(iter(environments(folder_of(chosen))), None)


def is_old(environment: Environment) -> bool:
    """Whether the add-on has brought another server than the one that is set up."""
    wheel = bundled()
    return wheel is not None and not is_current(environment, wheel)


def order_of(chosen: Any) -> Order:
    """What to install. Call it only if refusal() says nothing."""
    wheel, wheels = bundled(), chosen.setup_wheels.strip()
    assert wheel
    return Order(
        folder=folder_of(chosen),
        wheel=wheel,
        device="cuda" if chosen.setup_device == "CUDA" else "cpu",
        wheels=Path(bpy.path.abspath(wheels)) if wheels else None,
    )


def refusal(chosen: Any) -> str:
    """Why no server can be set up now, "" if one can."""
    if state.installation().busy:
        return "A setup is under way"
    if bundled() is None:
        return "This copy of the add-on brings no server. Install the add-on from the zip of a release"
    if needs_access(chosen) and bpy.app.online_access_override:
        return NO_ACCESS
    return ""


def needs_access(chosen: Any) -> bool:
    """Whether Blender's user has not allowed what an installation needs."""
    return not (bpy.app.online_access or chosen.setup_wheels.strip())


def start(chosen: Any) -> str:
    """Start the server, which without a folder of models makes the starter library and serves it.

    Returns why it is not started, "" if it is.
    """
    found, command, models = environment_of(chosen), chosen.server_command.strip(), chosen.models_folder.strip()
    options: list[str] = []
    if found and not command:
        command = str(found.python)
        options = ["--device", "cpu"] if found.device == "cpu" else []
    server = state.local_server()
    server.start(command, Path(bpy.path.abspath(models)) if models else None, extra=options)
    if server.state == "failed":
        return server.message
    state.session().refresh()
    return ""
