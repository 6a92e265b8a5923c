"""The panels "Stylize" in the sidebar of the Image Editor and in the render properties. This module only draws."""

from typing import Any

import bpy

from ..tasks import state
from . import orders, preferences, style_orders, style_training_operators
from .drawing import draw_latest, draw_messages, draw_text
from .orders import NotOrdered
from .panel import Panel
from .panels import JobsPanel
from .server_drawing import draw_server
from .style_regions import RegionsPanel


class _StylizePanel:
    """Stylize one picture."""

    bl_label = "Stylize"

    def draw(self, context: Any) -> None:
        _draw(self.layout, context, can_compare=False)  # type: ignore[attr-defined]


class _StylizeHerePanel(_StylizePanel):
    """The same in the Image Editor, which also shows the result."""

    def draw(self, context: Any) -> None:
        _draw(self.layout, context, can_compare=True)  # type: ignore[attr-defined]


def _draw(layout: Any, context: Any, *, can_compare: bool) -> None:
    settings, session = context.scene.texserver.style, state.session()
    session.wanted = True
    draw_server(layout, preferences.get())
    if session.connection.state != "ready":
        return
    if session.catalogue.models:
        try:
            orders.chosen_model(settings.model, "style")
        except NotOrdered as error:
            draw_text(layout, str(error), icon="ERROR")
    first = next((model.name for model in session.catalogue.ready("style")), "")
    if not first:
        style_training_operators.draw_buttons(layout)
        draw_latest(layout)
        draw_messages(layout)
        return
    layout.template_icon_view(settings, "gallery", show_labels=True, scale=6, scale_popup=5)
    layout.prop(settings, "model", text="", icon="BRUSH_DATA", placeholder=first)
    style_training_operators.draw_buttons(layout)
    layout.row(align=True).prop(settings, "content", expand=True)
    if settings.content == "IMAGE":
        layout.prop(settings, "image", text="")
    layout.prop(settings, "strength", slider=True)
    layout.prop(settings, "stroke")
    row = layout.row(align=True)
    row.prop(settings, "seed")
    row.operator("texserver.stylize_dice", text="", icon="FILE_REFRESH")
    layout.prop(settings, "keep_colours")
    layout.prop(settings, "after_render")
    if style_orders.trouble and settings.after_render:
        draw_text(layout, style_orders.trouble, icon="ERROR")
    row = layout.row(align=True)
    row.scale_y = 1.6
    row.operator_context = "INVOKE_DEFAULT"
    row.operator("texserver.stylize_image", icon="BRUSH_DATA")
    if can_compare:
        row.operator("texserver.stylize_compare", text="", icon="ARROW_LEFTRIGHT")
    draw_latest(layout)
    draw_messages(layout)


class _AnimationPanel:
    """Stylize a sequence."""

    bl_label = "Animation"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        layout, settings = self.layout, context.scene.texserver.style  # type: ignore[attr-defined]
        layout.row(align=True).prop(settings, "frames", expand=True)
        if settings.frames == "FILES":
            layout.prop(settings, "input_folder")
        layout.prop(settings, "output_folder")
        row = layout.row()
        row.operator_context = "INVOKE_DEFAULT"
        row.operator("texserver.stylize_animation", icon="RENDER_ANIMATION")


def _for_editor(where: dict[str, str], short: str, first: type) -> list[type]:
    """All panels for one editor. The first is the parent of the others."""
    main = f"TEXSERVER_PT_{short}_stylize"
    classes = [type(main, (first, bpy.types.Panel), {**where, "bl_idname": main})]
    for panel in (RegionsPanel, _AnimationPanel, JobsPanel):
        name = f"{main}_{panel.bl_label.lower()}"
        classes.append(type(name, (panel, bpy.types.Panel), {**where, "bl_idname": name, "bl_parent_id": main}))
    return classes


CLASSES = (
    *_for_editor(
        {"bl_space_type": "IMAGE_EDITOR", "bl_region_type": "UI", "bl_category": Panel.bl_category},
        "image",
        _StylizeHerePanel,
    ),
    *_for_editor(
        {"bl_space_type": "PROPERTIES", "bl_region_type": "WINDOW", "bl_context": "render"}, "render", _StylizePanel
    ),
)
