"""The panel "Blend": a second model beside the one of the gallery, and the mask that says which shows where."""

from typing import Any, Final

from ..tasks import state
from . import blend_orders, gallery
from .drawing import draw_text
from .panel import Panel

SEEN: Final = 1.25  # a factor between two models' scales that is seen


class BlendPanel(Panel):
    """Two models in one texture."""

    bl_label = "Blend"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        layout, settings = self.layout, context.scene.texserver  # type: ignore[attr-defined]
        blend, catalogue = settings.blending, state.session().catalogue
        ready = catalogue.ready("texture")
        first = settings.model or (ready[0].name if ready else "")
        layout.use_property_split = True
        layout.use_property_decorate = False
        column = layout.column(align=True)
        column.use_property_split = False
        picture = gallery.model_icon(first)
        shown = _row(column, "Black")
        shown.label(text=first, **({"icon_value": picture} if picture else {"icon": "TEXTURE"}))
        _row(column, "White").prop(blend, "second", text="", icon="TEXTURE")
        factor = blend_orders.scale_differs(catalogue.get(first), catalogue.get(blend.second))
        if factor > SEEN:
            draw_text(layout, f"Their scales differ: one is {factor:.1f} times as large here.", icon="INFO")
        row = layout.row()
        row.use_property_split = False
        row.prop(blend, "mask", expand=True)
        column = layout.column()
        if blend.mask == "IMAGE":
            row = column.row(align=True)
            row.prop(blend, "image", text="Mask")
            row.operator("texserver.new_mask", text="", icon="ADD")
            if settings.mapping == "UV":
                column.prop(blend, "cover")
        else:
            column.prop(blend, "scale")
            column.prop(blend, "share")
            row = column.row(align=True)
            row.prop(blend, "spots_seed", text="Seed")
            row.operator("texserver.spots_dice", text="", icon="FILE_REFRESH")
        column = layout.column()
        column.prop(blend, "softness")
        column.prop(blend, "heights")
        column.prop(blend, "reach")
        row = layout.row()
        row.scale_y = 1.3
        row.operator_context = "INVOKE_DEFAULT"
        row.operator("texserver.blend", icon="MOD_MASK")


def _row(layout: Any, label: str) -> Any:
    """A row with a short label, and the place beside it for the name of a model, which may be long."""
    split = layout.split(factor=0.22)
    left = split.row()
    left.alignment = "RIGHT"
    left.label(text=label)
    return split.row(align=True)
