"""Presets of the panel's settings, kept by Blender in the user's folder of scripts; in the panel's header."""

from typing import Any, Final

import bpy
from bl_operators.presets import AddPresetBase
from bl_ui.utils import PresetPanel

FOLDER: Final = "texserver"
_KEPT: Final = (
    *("model", "size", "width", "height", "whole_periods", "maps", "target", "replace_links", "all_selected"),
    *("mapping", "blend", "texels", "displace", "displacement"),
)


class TEXSERVER_PT_presets(PresetPanel, bpy.types.Panel):
    """The list of presets."""

    bl_label = "Texserver Presets"
    preset_subdir = FOLDER
    preset_operator = "script.execute_preset"
    preset_add_operator = "texserver.preset_add"

    def draw(self, context: Any) -> None:
        """As Blender draws it, but for what it says before there are any: "* Missing Paths *"."""
        if bpy.utils.preset_paths(FOLDER):
            super().draw(context)
            return
        layout: Any = self.layout
        layout.label(text="None yet.")
        row = layout.row()
        row.prop(context.window_manager, "preset_name", text="")
        row.operator("texserver.preset_add", text="", icon="ADD").name = context.window_manager.preset_name


class TEXSERVER_OT_preset_add(AddPresetBase, bpy.types.Operator):  # type: ignore[misc]
    """Keep the settings as a preset, or remove one. The seed is not kept"""

    bl_idname = "texserver.preset_add"
    bl_label = "Add Texserver Preset"
    preset_menu = "TEXSERVER_PT_presets"
    preset_subdir = FOLDER
    preset_defines = ("settings = bpy.context.scene.texserver",)
    preset_values = tuple(f"settings.{name}" for name in _KEPT)


def draw_header(layout: Any) -> None:
    """The button that opens the list, for a panel's header."""
    TEXSERVER_PT_presets.draw_panel_header(layout)


CLASSES = (TEXSERVER_PT_presets, TEXSERVER_OT_preset_add)
