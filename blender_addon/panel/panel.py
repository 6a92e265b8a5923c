"""What all panels share: where they are, and what the view beside them shows. No bpy here."""

from typing import Any


class Panel:
    """What all panels share: where they are."""

    bl_region_type = "UI"
    bl_category = "Texserver"
    bl_space_type = "VIEW_3D"

    @classmethod
    def poll(cls, context: Any) -> bool:
        return cls.bl_space_type != "NODE_EDITOR" or context.space_data.tree_type == "ShaderNodeTree"


def hides_textures(context: Any) -> bool:
    """Whether the 3D View is shaded in a way that shows no material."""
    space = context.space_data
    return bool(space and space.type == "VIEW_3D" and space.shading.type in ("SOLID", "WIREFRAME"))
