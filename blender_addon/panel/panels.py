"""The panels "Texserver" in the sidebars of the 3D View and the Shader Editor: drawing, and nothing else.

All state is in the scene's settings and in the session; drawing asks the session and never waits.
"""

from typing import Any

import bpy

from ..tasks import state
from ..tasks.tasks import size_text
from . import gallery, orders
from .orders import NotOrdered
from .preferences import draw_text
from .settings import CUSTOM

MOST_JOBS = 8
MOST_HISTORY = 8
MOST_BROKEN = 3
FEW = 4  # variations


class _Panel:
    """Where all of them are."""

    bl_region_type = "UI"
    bl_category = "Texserver"
    bl_space_type = "VIEW_3D"

    @classmethod
    def poll(cls, context: Any) -> bool:
        return cls.bl_space_type != "NODE_EDITOR" or context.space_data.tree_type == "ShaderNodeTree"


class _Main(_Panel):
    bl_label = "Texserver"

    def draw(self, context: Any) -> None:
        layout, settings, session = self.layout, context.scene.texserver, state.session()  # type: ignore[attr-defined]
        session.wanted = True
        _server(layout, session)
        first = next((model.name for model in session.catalogue.ready("texture")), "")
        if not first:
            return
        layout.template_icon_view(settings, "gallery", show_labels=True, scale=6, scale_popup=5)
        layout.prop(settings, "model", text="", icon="TEXTURE", placeholder=first)

        row = layout.row(align=True)
        row.prop(settings, "size", expand=True)
        if settings.size == CUSTOM:
            row = layout.row(align=True)
            row.prop(settings, "width")
            row.prop(settings, "height")
        row = layout.row(align=True)
        row.prop(settings, "seed")
        row.operator("texserver.dice", text="", icon="FILE_REFRESH")
        try:
            model = orders.chosen_model(settings.model)
        except NotOrdered as error:
            draw_text(layout, str(error), icon="ERROR")
            return
        if model.lattice:
            height, width = orders.planned_size(settings, model)
            layout.prop(settings, "whole_periods", text=f"Whole Periods: {width} x {height}")
        if len(model.maps) > 1:
            layout.row(align=True).prop(settings, "maps")
        row = layout.row()
        row.scale_y = 1.6
        row.operator_context = "INVOKE_DEFAULT"
        row.operator("texserver.generate", icon="MATERIAL")
        if task := next((task for task in session.tasks if not task.ended), None):
            _under_way(layout, task)  # the panel of jobs may be out of sight
        failed = next((task for task in reversed(session.tasks) if task.state == "failed"), None)
        if failed and failed is session.tasks[-1]:
            box = layout.box()
            draw_text(box, failed.message, icon="ERROR")
            row = box.row()
            row.operator_context = "INVOKE_DEFAULT"
            row.operator("texserver.retry", icon="LOOP_BACK").task_id = failed.id
            row.operator("texserver.copy_error", icon="COPYDOWN").text = failed.message


def _server(layout: Any, session: Any) -> None:
    """One line, longer where something is wrong."""
    row = layout.row(align=True)
    ready = session.connection.state == "ready"
    if ready:  # never two lines: the buttons below must not move while a job runs
        row.label(text=session.state_line, icon="LINKED")
    else:
        draw_text(row.column(), session.state_line, icon="UNLINKED", width=34)
    row.operator("texserver.refresh", text="", icon="FILE_REFRESH")
    row.operator("texserver.preferences", text="", icon="PREFERENCES")
    server = state.local_server()
    if not ready and server.state in ("stopped", "failed"):
        if server.state == "failed":
            draw_text(layout, server.message, icon="ERROR")
        layout.operator("texserver.start_server", icon="PLAY")
    if ready and not session.catalogue.models:
        draw_text(layout, "It has no models yet. Put .safetensors models into its folder.", icon="INFO")
    for model in [each for each in session.catalogue.models if each.state == "broken"][:MOST_BROKEN]:
        draw_text(layout, f"{model.name} cannot be used: {model.reason}", icon="ERROR")
    if session.catalogue.message:
        draw_text(layout, session.catalogue.message, icon="ERROR")


class _Material(_Panel):
    bl_label = "Material"

    def draw(self, context: Any) -> None:
        layout, settings = self.layout, context.scene.texserver  # type: ignore[attr-defined]
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(settings, "target")
        if settings.target == "ADD":
            layout.prop(settings, "replace_links")
        layout.prop(settings, "all_selected")
        layout.prop(settings, "mapping")
        if settings.mapping == "BOX":
            layout.prop(settings, "blend")
        layout.prop(settings, "texels", text="Texels / m")
        if orders.has_height(settings):
            layout.prop(settings, "displace")
            layout.prop(settings, "displacement")
        layout.operator("texserver.mark_asset", icon="ASSET_MANAGER")


class _Variations(_Panel):
    bl_label = "Variations"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        layout, settings, session = self.layout, context.scene.texserver, state.session()  # type: ignore[attr-defined]
        row = layout.row(align=True)
        row.prop(settings, "variations", text="Seeds")
        row.operator("texserver.variations", text="Show")
        columns, scale = (2, 5.3) if len(session.variations) <= FEW else (3, 3.5)  # as large as the sidebar is wide
        grid = layout.grid_flow(columns=columns, even_columns=True, row_major=True)
        for task in session.variations:
            cell = grid.column(align=True)
            if task.result:
                cell.template_icon(gallery.icon(next(iter(task.result.files.values()))), scale=scale)
            else:
                cell.label(text="" if task.state == "waiting" else task.state.capitalize())
            use = cell.row()
            use.operator_context = "INVOKE_DEFAULT"
            button = use.operator("texserver.use_variation", text=str(task.order.seed))
            button.model, button.seed = task.order.model, task.order.seed
        for task in session.variations:
            if task.state == "failed":
                draw_text(layout, task.message, icon="ERROR")
                break


class _Jobs(_Panel):
    bl_label = "Jobs"

    def draw(self, context: Any) -> None:
        layout, session = self.layout, state.session()  # type: ignore[attr-defined]
        if not session.tasks:
            layout.label(text="None yet.")
            return
        for task in session.tasks[-MOST_JOBS:]:
            row = layout.row(align=True)
            if not task.ended:
                _under_way(row, task)
                if task.state == "waiting" or not task.message.startswith(("Painting", "Stylizing", "Frame")):
                    draw_text(layout, task.message, icon="INFO")
                continue
            icons = {"done": "CHECKMARK", "failed": "ERROR", "cancelled": "PANEL_CLOSE"}
            row.label(text=task.order.title, icon=icons[task.state])
            if task.state != "done":
                row.operator_context = "INVOKE_DEFAULT"
                row.operator("texserver.retry", text="", icon="LOOP_BACK").task_id = task.id
        row = layout.row()
        if any(not task.ended for task in session.tasks):
            row.operator("texserver.cancel", text="Cancel All").task_id = 0
        row.operator("texserver.clear_jobs")


def _under_way(layout: Any, task: Any) -> None:
    row = layout.row(align=True)
    row.progress(text=f"{task.order.title}  {100 * task.fraction:.0f} %", factor=task.fraction)
    row.operator("texserver.cancel", text="", icon="X").task_id = task.id


class _History(_Panel):
    bl_label = "History"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        layout, history = self.layout, state.session().history  # type: ignore[attr-defined]
        if not history.entries:
            layout.label(text="What was made is listed here.")
            return
        column = layout.column(align=True)
        column.operator_context = "INVOKE_DEFAULT"
        for index, entry in enumerate(history.entries[:MOST_HISTORY]):
            row = column.row(align=True)
            title = f"{entry.model} {size_text(entry.size)} #{entry.seed}"
            picture = gallery.model_icon(entry.model)
            row.label(text=title, **({"icon_value": picture} if picture else {"icon": "TEXTURE"}))
            buttons = row.row(align=True)
            buttons.ui_units_x = 3  # or they would take half of the row
            button = buttons.operator("texserver.again", text="", icon="FILE_REFRESH")
            button.index, button.side = index, 0
            button = buttons.operator("texserver.again", text="4K")
            button.index, button.side = index, 4096
        if history.message:
            draw_text(layout, history.message, icon="ERROR")
        layout.operator("texserver.clear_history", icon="TRASH")


def _for_editor(space: str, short: str) -> list[type]:
    """All of them once more for another editor; sub-panels hang on the first."""
    main = f"TEXSERVER_PT_{short}_main"
    classes = [type(main, (_Main, bpy.types.Panel), {"bl_space_type": space, "bl_idname": main})]
    for kind in (_Material, _Variations, _Jobs, _History):
        name = f"TEXSERVER_PT_{short}{kind.__name__.lower()}"
        classes.append(
            type(name, (kind, bpy.types.Panel), {"bl_space_type": space, "bl_idname": name, "bl_parent_id": main})
        )
    return classes


CLASSES = (*_for_editor("VIEW_3D", "view"), *_for_editor("NODE_EDITOR", "shader"))
