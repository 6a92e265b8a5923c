"""The panel "Library": publishing all models as assets, which are dragged onto objects from the Asset Browser."""

from typing import Any

from . import library_orders, preferences
from .drawing import draw_text
from .panel import Panel


class LibraryPanel(Panel):
    """What is published, and what has changed."""

    bl_label = "Library"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        layout, chosen = self.layout, preferences.get()  # type: ignore[attr-defined]
        layout.prop(chosen, "library_folder", text="", placeholder="Library folder")
        layout.row(align=True).prop(chosen, "library_side", expand=True)
        found = library_orders.overview()
        if found.message:
            draw_text(layout, found.message, icon="ERROR")
            return
        layout.label(text=f"{found.published} published, {len(found.changed)} new or changed")
        row = layout.row()
        row.operator_context = "INVOKE_DEFAULT"
        label = "Update Library" if found.published else "Publish Library"
        row.operator("texserver.publish_library", text=label, icon="ASSET_MANAGER")
        if found.gone:
            names = ", ".join(each.model for each in found.gone)
            draw_text(layout, f"The server no longer has {names}.", icon="INFO")
            layout.operator("texserver.drop_gone", icon="TRASH")
        if library_orders.registered() is None:
            layout.operator("texserver.register_library", icon="PREFERENCES")
        else:
            draw_text(layout, "Drag materials from the Asset Browser onto objects.", icon="CHECKMARK")
