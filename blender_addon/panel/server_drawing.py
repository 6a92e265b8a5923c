"""What panels and preferences show of the server: whether there is one, and how one is set up and started."""

import shutil
from typing import Any, Final

from ..tasks import state
from . import server_setup
from .drawing import draw_text, fitting

MOST_BROKEN: Final = 3  # models that are reported
MOST_LOG_LINES: Final = 10
WIDE: Final = 90  # characters per line: the preferences window is wider than a sidebar


def draw_server(layout: Any, chosen: Any) -> None:
    """One line about the server in a panel; more if something is wrong. `chosen` are the preferences."""
    session = state.session()
    row = layout.row(align=True)
    ready = session.connection.state == "ready"
    if ready:  # always one line: the buttons below must not move while a task runs
        row.label(text=fitting(session.state_line, 3), icon="LINKED")
    else:
        draw_text(row.column(), _without_paths(session.state_line), icon="UNLINKED", beside=2)
    row.operator("texserver.refresh", text="", icon="FILE_REFRESH")
    row.operator("texserver.preferences", text="", icon="PREFERENCES")
    if not ready:
        _draw_ways_to_one(layout, chosen)
    if ready and not session.catalogue.models:
        own = state.local_server()
        if own.state == "running" and own.makes_library:
            draw_text(
                layout, "It is making its first materials. The first one is here in a minute or two.", icon="TIME"
            )
        else:
            draw_text(layout, "It has no models yet. Put .safetensors models into its folder.", icon="INFO")
    for model in [each for each in session.catalogue.models if each.state == "broken"][:MOST_BROKEN]:
        draw_text(layout, f"{model.name} cannot be used: {model.reason}", icon="ERROR")
    if session.catalogue.message:
        draw_text(layout, session.catalogue.message, icon="ERROR")


def _without_paths(text: str) -> str:
    """For people without a terminal, who have the buttons below: that no server runs, not which file is missing."""
    return "No texserver runs here." if text.startswith("No texserver runs here") else text


def _draw_ways_to_one(layout: Any, chosen: Any) -> None:
    server, setup = state.local_server(), state.installation()
    if setup.busy:
        row = layout.row(align=True)
        draw_text(row.column(), setup.message, icon="IMPORT", beside=1)
        row.operator("texserver.cancel_setup", text="", icon="X")
        return
    for each in (setup, server):
        if each.state == "failed":
            draw_text(layout, each.message, icon="ERROR")
    if server.state not in ("stopped", "failed"):
        return
    there = server_setup.environment_of(chosen)
    if there or chosen.server_command.strip() or shutil.which("texserver"):
        layout.operator("texserver.start_server", icon="PLAY")
    elif not chosen.pairing.strip():
        if server_setup.needs_access(chosen):
            draw_text(layout, "A server can be set up here. This needs Blender's online access.", icon="INFO")
        row = layout.row()
        row.scale_y = 1.6
        _draw_set_up(row, chosen, "Set Up Server")


def _draw_set_up(layout: Any, chosen: Any, text: str) -> None:
    """The button. Where online access is off, it also allows that."""
    allow = server_setup.needs_access(chosen)
    text = "Allow Access and Set Up" if allow else text
    layout.operator("texserver.setup_server", text=text, icon="IMPORT").allow_access = allow


def draw_setup(layout: Any, chosen: Any) -> None:
    """In the preferences: the server on this computer. Whoever uses another machine's need not see it."""
    setup, found = state.installation(), server_setup.environment_of(chosen)
    if chosen.pairing.strip() and not (found or setup.busy):
        return
    layout.label(text="Server on This Computer")
    box = layout.box()
    if setup.busy:
        draw_text(box, setup.message, icon="IMPORT", width=WIDE)
        _draw_log(box, setup.tail(MOST_LOG_LINES))
        box.operator("texserver.cancel_setup", icon="X")
        return
    if found:
        device = "graphics card" if found.device == "cuda" else "processor"
        text = f"texserver {found.version} for the {device} is set up in {found.folder.parent}."
        draw_text(box, f"{text} {found.note}", icon="CHECKMARK", width=WIDE)
        if server_setup.is_old(found):
            draw_text(box, "The add-on has brought another version of it.", icon="INFO", width=WIDE)
    else:
        draw_text(box, "It is installed into a folder of its own, and nothing else changes.", icon="INFO", width=WIDE)
    box.row().prop(chosen, "setup_device", expand=True)
    box.prop(chosen, "setup_folder", placeholder=str(server_setup.folder_of(chosen)))
    box.prop(chosen, "setup_wheels")
    other = found is not None and (server_setup.is_old(found) or found.device != chosen.setup_device.lower())
    if (found is None or other) and server_setup.needs_access(chosen):
        draw_text(box, "This needs Blender's online access.", icon="INFO", width=WIDE)
    row = box.row()
    if found is None or other:
        _draw_set_up(row, chosen, "Update Server" if other else "Set Up Server")
    if found:
        row.operator("texserver.remove_server", icon="TRASH")
    if setup.state == "failed" or setup.message:
        draw_text(box, setup.message, icon="ERROR" if setup.state == "failed" else "INFO", width=WIDE)
    if setup.state == "failed":
        _draw_log(box, setup.tail(MOST_LOG_LINES))


def draw_start(layout: Any, chosen: Any) -> None:
    """In the preferences: how the server is started, and how it is."""
    server = state.local_server()
    layout.prop(chosen, "server_command")
    layout.prop(chosen, "models_folder")
    row = layout.row()
    if server.state in ("stopped", "failed"):
        row.operator("texserver.start_server", icon="PLAY")
    else:
        row.operator("texserver.stop_server", icon="CANCEL")
    if server.message:
        draw_text(layout, server.message, icon="ERROR" if server.state == "failed" else "INFO", width=WIDE)
    if server.state != "stopped":
        _draw_log(layout, server.tail(MOST_LOG_LINES))


def _draw_log(layout: Any, lines: list[str]) -> None:
    column = layout.box().column(align=True)
    for line in lines:
        column.label(text=line[:160])
