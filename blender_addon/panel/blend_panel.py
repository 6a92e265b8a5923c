"""The panel "Blend": models on top of the one of the gallery, and the masks that say which shows where."""

from typing import Any, Final

from ..tasks import state
from . import blend_orders, gallery
from .blend_settings import OF_MESH, layers_of
from .drawing import draw_text
from .panel import Panel

SEEN: Final = 1.25  # a factor between two models' scales that is seen


class BlendPanel(Panel):
    """Several models in one texture."""

    bl_label = "Blend"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        layout, settings = self.layout, context.scene.texserver  # type: ignore[attr-defined]
        blend, catalogue = settings.blending, state.session().catalogue
        ready = catalogue.ready("texture")
        first = settings.model or (ready[0].name if ready else "")
        layers = layers_of(blend)
        layout.use_property_split = True
        layout.use_property_decorate = False
        column = layout.column()
        column.use_property_split = False
        picture = gallery.model_icon(first)
        shown = _row(column, "Below")
        shown.label(text=first, **({"icon_value": picture} if picture else {"icon": "TEXTURE"}))
        for number, layer in enumerate(layers):
            _draw_layer(layout.box().column(), context, layer, number)
        layout.operator("texserver.add_blend_layer", icon="ADD")
        factor = blend_orders.scale_differs([catalogue.get(each) for each in (first, *(own.second for own in layers))])
        if factor > SEEN:
            draw_text(layout, f"Their scales differ: one is {factor:.1f} times as large here.", icon="INFO")
        masks = {each.mask for each in layers}
        column = layout.column()
        if settings.mapping == "UV" and "IMAGE" in masks and not masks & OF_MESH:
            column.prop(blend, "cover")
        column.prop(blend, "softness")
        column.prop(blend, "heights")
        column.prop(blend, "reach")
        why = blend_orders.not_below(first)
        if why:
            draw_text(layout, why, icon="INFO")
        row = layout.row()
        row.enabled = not why
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


def _draw_layer(layout: Any, context: Any, layer: Any, number: int) -> None:
    """A layer: its model, its mask, and what that takes."""
    column = layout.column()
    column.use_property_split = False
    row = _row(column, "On Top")
    row.prop(layer, "second", text="", icon="TEXTURE")
    if number:
        row.operator("texserver.remove_blend_layer", text="", icon="X").layer = number
    row = layout.row(align=True)
    row.prop(layer, "mask")
    if layer.mask != "IMAGE":
        row.operator("texserver.mask_to_image", text="", icon="BRUSH_DATA").layer = number
    column = layout.column()
    if layer.mask == "IMAGE":
        row = column.row(align=True)
        row.prop(layer, "image", text="")
        row.operator("texserver.new_mask", text="", icon="ADD").layer = number
    elif layer.mask == "SPOTS":
        column.prop(layer, "scale")
        column.prop(layer, "share")
        row = column.row(align=True)
        row.prop(layer, "spots_seed", text="Seed")
        row.operator("texserver.spots_dice", text="", icon="FILE_REFRESH").layer = number
    else:
        if layer.mask == "ATTRIBUTE":
            column.prop(layer, "attribute", icon="GROUP_VCOL")
        else:
            column.prop(layer, "slope" if layer.mask == "SLOPE" else "level")
            column.prop(layer, "transition")
        column.prop(layer, "invert")
        if why := blend_orders.hint(context, layer):
            draw_text(column, f"{why}.", icon="INFO")
