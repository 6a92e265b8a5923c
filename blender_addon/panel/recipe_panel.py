"""The panel for what a file knows of its textures: how many there are, which are missing, and where the pixels are."""

from typing import Any

from ..material import recipes
from .panel import Panel


class RecipesPanel(Panel):
    """All textures of the open file."""

    bl_label = "Recipes"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        layout, found = self.layout, recipes.glance()  # type: ignore[attr-defined]
        missing = sum(len(each.maps) for each in found.missing)
        images = "image" if found.count == 1 else "images"
        layout.label(text=f"{found.count} {images}: {len(found.packed)} packed, {missing} missing")
        column = layout.column()
        column.operator_context = "INVOKE_DEFAULT"
        column.operator("texserver.paint_missing", icon="BRUSH_DATA")
        column.operator("texserver.recipes_only", icon="PACKAGE")


def draw_missing(layout: Any) -> None:
    """In the main panel, where textures of this file are pink: the button that paints them."""
    if missing := sum(len(each.maps) for each in recipes.glance().missing):
        row = layout.row()
        row.operator_context = "INVOKE_DEFAULT"
        row.operator("texserver.paint_missing", text=f"Paint {missing} Missing", icon="ERROR", translate=False)
