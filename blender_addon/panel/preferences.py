"""What a user sets once: which server to use, where textures are kept, and how a local server is set up and started."""

import re
from pathlib import Path
from typing import Any

import bpy
from bpy.props import EnumProperty, FloatProperty, IntProperty, StringProperty

from ..protocol.pairing import NoServer, Pairing, find_server, parse_pairing
from ..tasks import state
from .drawing import draw_text
from .server_drawing import WIDE, draw_setup, draw_start

ADDON = __package__.rpartition(".")[0]  # Blender's name for this extension

_LOOPBACK = re.compile(r"localhost|\[::1\]|127(\.\d{1,3}){3}")  # but not 127.example.com


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


_named: str | None = None  # a connection file, for this run alone


def connect_to(file: str | None) -> None:
    """Use the server of this connection file until this is called again. None: the one of the preferences."""
    global _named
    if file != _named:
        _named = file
        state.session().reconnect()


def find() -> Pairing:
    """The server to use: the paired one, or the one on this machine. Raises NoServer."""
    line = get().pairing.strip()
    pairing = parse_pairing(line) if line and not _named else find_server(_named)
    if not _is_loopback(pairing.host) and not bpy.app.online_access:
        raise NoServer(
            f"{pairing.host} is another machine, but Blender's online access is off. Allow it in Preferences, System, "
            "Network, or start Blender with --online-mode, or use a server on this machine."
        )
    return pairing


def _is_loopback(host: str) -> bool:
    return _LOOPBACK.fullmatch(host) is not None


def _reconnect(self: Any, context: Any) -> None:
    state.session().reconnect()


def apply_limits() -> None:
    """Pass the preferences on to the session."""
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
        description="The line that texserver --pairing prints on another machine. Empty: use the server on this "
        "machine",
        subtype="PASSWORD",
        update=_reconnect,
    )
    setup_device: EnumProperty(
        name="Device",
        items=(
            ("CPU", "Processor", "Works on every computer"),
            ("CUDA", "Graphics Card (CUDA)", "For graphics cards by NVIDIA. Needs some GB more"),
        ),
    )
    setup_folder: StringProperty(
        name="Folder",
        description="Where the server is installed. Empty: a folder with your own data, the same for all Blenders",
        subtype="DIR_PATH",
    )
    setup_wheels: StringProperty(
        name="Folder of Wheels",
        description="To install without a network: a folder with the wheels of all that texserver needs. Empty: they "
        "are fetched",
        subtype="DIR_PATH",
    )
    server_command: StringProperty(
        name="Command",
        description="The texserver program, or a Python with texserver installed. Empty: the server that was set up "
        "here, or else texserver on the PATH",
        subtype="FILE_PATH",
    )
    models_folder: StringProperty(
        name="Models",
        description="Folder with the .safetensors models for the local server. Empty: a folder of its own, into which "
        "it makes the starter library",
        subtype="DIR_PATH",
    )
    storage: EnumProperty(
        name="Textures",
        items=(
            (
                "FILES",
                "Beside the Blend File",
                "Images are files in the folder 'textures' beside the .blend file. They are packed into a file that is "
                "not saved yet",
            ),
            ("PACK", "Pack into the Blend File", "Images travel inside the .blend file"),
        ),
    )
    file_format: EnumProperty(
        name="Format",
        items=(
            (".png", "PNG", "Compressed, about 0.6 of the size"),
            (".tif", "TIFF", "Not compressed: fastest to write and to load"),
        ),
    )
    cache_folder: StringProperty(
        name="Cache Folder",
        description="Folder for textures that are packed into the blend file. Empty: a folder of Blender",
        subtype="DIR_PATH",
        update=_apply_limits,
    )
    cache_gb: IntProperty(
        name="Cache",
        description="Most GB that textures may take. The oldest are removed first",
        default=4,
        min=1,
        max=1000,
        update=_apply_limits,
    )
    thumbnails: FloatProperty(
        name="Thumbnails",
        description="How large the gallery's pictures are in the panel, in heights of a button",
        default=6,
        min=3,
        max=14,
        step=100,
        precision=0,
    )
    library_folder: StringProperty(
        name="Library Folder",
        description="Folder for the asset library. Empty: a folder of Blender",
        subtype="DIR_PATH",
    )
    library_side: EnumProperty(
        name="Library Size",
        description="Pixels a side of the textures in the asset library",
        items=(("512", "512", ""), ("1024", "1K", ""), ("2048", "2K", ""), ("4096", "4K", "")),
        default="1024",
    )
    patience_s: IntProperty(
        name="Give Up After",
        description="Seconds without new pixels from the server before a job fails. It can then be retried",
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
                    draw_text(box, "This is another machine, but online access is off.", icon="ERROR", width=WIDE)
                    box.prop(context.preferences.system, "use_online_access", text="Allow Online Access")
        else:
            draw_text(box, "The server on this machine is found automatically.", icon="INFO")

        layout.separator()
        draw_setup(layout, self)
        draw_start(layout, self)

        layout.separator()
        layout.prop(self, "storage")
        layout.prop(self, "file_format")
        layout.prop(self, "cache_folder")
        layout.prop(self, "cache_gb", text="Cache (GB)")
        layout.prop(self, "thumbnails")
        layout.prop(self, "library_folder")
        layout.prop(self, "library_side")
        layout.prop(self, "patience_s", text="Give Up After (s)")


CLASSES = (TEXSERVER_AP_preferences,)
