"""What a user sets once: which server, where textures are kept, and how a server of one's own is started."""

import re
from pathlib import Path
from typing import Any

import bpy
from bpy.props import EnumProperty, IntProperty, StringProperty

from ..protocol.pairing import NoServer, Pairing, find_server, parse_pairing
from ..tasks import state

ADDON = __package__.rpartition(".")[0]  # the name Blender knows this extension by

_LOOPBACK = re.compile(r"localhost|\[::1\]|127(\.\d{1,3}){3}")  # and not 127.example.com
MOST_LOG_LINES = 10
WIDE = 90  # characters of a line: the window of the preferences is wider than a sidebar


def get() -> "TEXSERVER_AP_preferences":
    """The preferences of this extension."""
    preferences: Any = bpy.context.preferences
    found: TEXSERVER_AP_preferences = preferences.addons[ADDON].preferences
    return found


def folder() -> Path:
    """Where the extension may write."""
    if ADDON.startswith("bl_ext."):
        return Path(bpy.utils.extension_path_user(ADDON, create=True))
    return Path(bpy.utils.user_resource("DATAFILES", path="texserver", create=True))


def find() -> Pairing:
    """The server to ask: the one paired with, or the one that runs on this machine. Raises NoServer."""
    line = get().pairing.strip()
    pairing = parse_pairing(line) if line else find_server()
    if not _is_loopback(pairing.host) and not bpy.app.online_access:
        raise NoServer(
            f"{pairing.host} is another machine, and Blender's online access is off. Allow it in Preferences, System, "
            "Network, or use a server on this machine."
        )
    return pairing


def _is_loopback(host: str) -> bool:
    return _LOOPBACK.fullmatch(host) is not None


def _reconnect(self: Any, context: Any) -> None:
    state.session().reconnect()


def apply_limits() -> None:
    """What the session has to know of the preferences."""
    chosen, session = get(), state.session()
    session.patience_s = chosen.patience_s
    own = chosen.cache_folder.strip()
    session.keep_files(Path(bpy.path.abspath(own)) if own else None, chosen.cache_gb * 2**30)


def _apply_limits(self: Any, context: Any) -> None:
    apply_limits()


class TEXSERVER_AP_preferences(bpy.types.AddonPreferences):
    """Preferences of the extension."""

    bl_idname = ADDON

    pairing: StringProperty(
        name="Pairing Line",
        description="Copied from what texserver prints when it starts on another machine. Empty: the server that "
        "runs on this machine is found by itself",
        subtype="PASSWORD",
        update=_reconnect,
    )
    server_command: StringProperty(
        name="Command",
        description="The texserver program, or the Python it is installed in. Empty: texserver on the PATH",
        subtype="FILE_PATH",
    )
    models_folder: StringProperty(
        name="Models",
        description="Folder of .safetensors models that the local server is to serve",
        subtype="DIR_PATH",
    )
    storage: EnumProperty(
        name="Textures",
        items=(
            ("PACK", "Pack into the Blend File", "Images travel inside the .blend file"),
            ("FILES", "Beside the Blend File", "Images are files in the folder 'textures' beside the .blend file"),
        ),
    )
    file_format: EnumProperty(
        name="Format",
        items=(
            (".tif", "TIFF", "Not compressed: written and loaded fastest"),
            (".png", "PNG", "Compressed: smaller and slower"),
        ),
    )
    cache_folder: StringProperty(
        name="Cache Folder",
        description="Where textures arrive that are packed into the blend file. Empty: a folder of Blender's own",
        subtype="DIR_PATH",
        update=_apply_limits,
    )
    cache_gb: IntProperty(
        name="Cache",
        description="GB that textures made before may take; the ones made longest ago go first",
        default=4,
        min=1,
        max=1000,
        update=_apply_limits,
    )
    patience_s: IntProperty(
        name="Give Up After",
        description="Seconds without any pixel from the server, after which a job ends and can be tried again",
        default=120,
        min=5,
        max=3600,
        update=_apply_limits,
    )

    def draw(self, context: Any) -> None:
        """In Preferences, Get Extensions or Add-ons."""
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "pairing")
        box = layout.column(align=True)
        if self.pairing.strip():
            try:
                pairing = parse_pairing(self.pairing)
            except NoServer as error:
                draw_text(box, str(error), icon="ERROR", width=WIDE)
            else:
                box.label(text=f"Paired with {pairing.host}:{pairing.port}.", icon="LINKED")
                if not _is_loopback(pairing.host) and not bpy.app.online_access:
                    draw_text(box, "Online access is off, and this is another machine.", icon="ERROR", width=WIDE)
                    box.prop(context.preferences.system, "use_online_access", text="Allow Online Access")
        else:
            draw_text(box, "The server on this machine is found by itself.", icon="INFO")

        layout.separator()
        layout.prop(self, "server_command")
        layout.prop(self, "models_folder")
        server = state.local_server()
        row = layout.row()
        if server.state in ("stopped", "failed"):
            row.operator("texserver.start_server", icon="PLAY")
        else:
            row.operator("texserver.stop_server", icon="CANCEL")
        if server.message:
            draw_text(layout, server.message, icon="ERROR" if server.state == "failed" else "INFO", width=WIDE)
        if server.state != "stopped":
            log = layout.box().column(align=True)
            for line in server.tail(MOST_LOG_LINES):
                log.label(text=line)

        layout.separator()
        layout.prop(self, "storage")
        layout.prop(self, "file_format")
        layout.prop(self, "cache_folder")
        layout.prop(self, "cache_gb", text="Cache (GB)")
        layout.prop(self, "patience_s", text="Give Up After (s)")


def draw_text(layout: Any, text: str, *, icon: str = "NONE", width: int = 46) -> None:
    """A sentence, in as many lines as it takes."""
    column = layout.column(align=True)
    line = ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            column.label(text=line, icon=icon)
            line, icon = "", "BLANK1" if icon != "NONE" else "NONE"
        line = f"{line} {word}".strip()
    if line:
        column.label(text=line, icon=icon)


CLASSES = (TEXSERVER_AP_preferences,)
