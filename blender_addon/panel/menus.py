"""Where the operators are found outside of the panels: Object > Texserver, which F3 searches, and the menu of slots."""

from typing import Any

import bpy

from ..material import legacy
from . import training_panels


class TEXSERVER_MT_object(bpy.types.Menu):
    """What Texserver can do with the selected objects."""

    bl_idname = "TEXSERVER_MT_object"
    bl_label = "Texserver"

    def draw(self, context: Any) -> None:
        layout: Any = self.layout
        layout.operator_context = "INVOKE_DEFAULT"
        layout.operator("texserver.generate", icon="MATERIAL")
        layout.operator("texserver.generate_new_seed", icon="FILE_REFRESH")
        layout.operator("texserver.variations")
        layout.operator("texserver.paint_udim")
        layout.menu(training_panels.TEXSERVER_MT_picture.bl_idname, icon="FILE_IMAGE")
        layout.separator()
        layout.operator("texserver.unwrap", icon="UV")
        layout.operator("texserver.measure")
        layout.operator("texserver.dice_piece")
        layout.operator("texserver.clear_piece")
        layout.operator("texserver.upgrade")
        layout.operator("texserver.match_material", icon="EYEDROPPER")
        layout.operator("texserver.mark_asset", icon="ASSET_MANAGER")
        layout.operator("texserver.export_set", icon="EXPORT")
        layout.operator("texserver.publish_library")
        layout.operator("texserver.register_library")
        layout.operator("texserver.drop_gone")
        layout.separator()
        layout.operator("texserver.refresh")
        layout.operator("texserver.preferences", icon="PREFERENCES")


def _in_object_menu(self: Any, context: Any) -> None:
    self.layout.separator()
    self.layout.menu(TEXSERVER_MT_object.bl_idname)


def _in_slot_menu(self: Any, context: Any) -> None:
    layout = self.layout
    layout.separator()
    layout.operator_context = "INVOKE_DEFAULT"
    layout.operator("texserver.generate", text="Texserver: Generate", icon="MATERIAL")
    material: Any = context.object.active_material if context.object else None
    if legacy.is_legacy(material):
        layout.operator("texserver.upgrade")


def _in_button_menu(self: Any, context: Any) -> None:
    """Of the right mouse button over a material slot, or over a material's name."""
    pointer = getattr(context, "button_pointer", None)
    if isinstance(pointer, bpy.types.MaterialSlot | bpy.types.Material):
        _in_slot_menu(self, context)
        self.layout.operator("texserver.match_material")


def _for_faces(self: Any, context: Any) -> None:
    self.layout.separator()
    self.layout.operator_context = "INVOKE_DEFAULT"
    self.layout.operator("texserver.assign_to_faces", text="Texserver: Assign to Faces")


_PLACES = (
    ("VIEW3D_MT_object", _in_object_menu),
    ("MATERIAL_MT_context_menu", _in_slot_menu),
    ("UI_MT_button_context_menu", _in_button_menu),
    ("VIEW3D_MT_edit_mesh_faces", _for_faces),
    ("ASSETBROWSER_MT_context_menu", _for_faces),
    ("IMAGE_MT_image", training_panels.in_image_menu),
)


def extend() -> None:
    """Add our entries to Blender's menus."""
    for name, draw in _PLACES:
        getattr(bpy.types, name).append(draw)


def restore() -> None:
    """Remove them again."""
    for name, draw in _PLACES:
        getattr(bpy.types, name).remove(draw)


CLASSES = (TEXSERVER_MT_object,)
