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
        column = layout.column(align=True)
        column.label(text=f"{found.count} images: {len(found.packed)} packed, {missing} missing")
        column = layout.column()
        column.operator_context = "INVOKE_DEFAULT"
        column.operator("texserver.paint_missing", icon="BRUSH_DATA")
        column.operator("texserver.recipes_only", icon="PACKAGE")


def draw_missing(layout: Any) -> None:
    """In the main panel: textures of this file that are pink, with the button that paints them."""
    if missing := sum(len(each.maps) for each in recipes.glance().missing):
        row = layout.row(align=True)
        row.operator_context = "INVOKE_DEFAULT"
        images = "image" if missing == 1 else "images"
        row.label(text=f"{missing} {images} not painted", icon="ERROR")
        row.operator("texserver.paint_missing", text="Paint")
