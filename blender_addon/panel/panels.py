"""The panels "Texserver" in the sidebars of the 3D View and the Shader Editor. This module only draws.

All state is in the scene's settings and in the session. Drawing asks the session and never waits.
"""

from typing import Any

import bpy

from ..material import export, graph, group_sockets, legacy, live, materials, pieces
from ..material.marks import is_ours
from ..tasks import state
from ..tasks.placement import size_text
from . import gallery, orders, preferences, presets, surface_drawing, training_panels
from .blend_panel import BlendPanel
from .drawing import ICONS, draw_latest, draw_messages, draw_progress, draw_text, fitting
from .library_panel import LibraryPanel
from .orders import NotOrdered
from .panel import Panel, hides_textures
from .recipe_panel import RecipesPanel, draw_missing
from .server_drawing import draw_server
from .settings import CUSTOM, MAPS, model_texels
from .variation_panel import VariationsPanel

MOST_JOBS = 8
MOST_HISTORY = 8
_BEGIN_A_BLOCK = {
    group_sockets.SIZE,
    group_sockets.HUE,
    group_sockets.ROUGH_MIN,
    group_sockets.STRENGTH,
    group_sockets.HUE_DRIFT,
}


class _MainPanel(Panel):
    bl_label = "Texserver"

    def draw_header_preset(self, context: Any) -> None:
        presets.draw_header(self.layout)  # type: ignore[attr-defined]

    def draw(self, context: Any) -> None:
        layout, settings, session = self.layout, context.scene.texserver, state.session()  # type: ignore[attr-defined]
        session.wanted = True
        draw_server(layout, preferences.get())
        draw_missing(layout)
        if session.connection.state == "ready":
            training_panels.draw_buttons(layout)
        first = next((model.name for model in session.catalogue.ready("texture")), "")
        if not first:
            return
        _draw_gallery(layout, settings, settings.model or first)

        row = layout.row(align=True)
        row.prop(settings, "size", expand=True)
        if settings.size == CUSTOM:
            column = layout.column(align=True)  # side by side they have no room for five digits
            column.prop(settings, "width")
            column.prop(settings, "height")
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
            grid = layout.grid_flow(columns=3, even_columns=True, row_major=True, align=True)
            for name in [each[0] for each in MAPS if each[0] in model.maps]:
                grid.prop_enum(settings, "maps", name)
        layout.prop(settings, "target", text="")
        if settings.target == "ADD":
            layout.prop(settings, "replace_links")
        layout.prop(settings, "all_selected")
        row = layout.row(align=True)
        row.scale_y = 1.6
        row.operator_context = "INVOKE_DEFAULT"
        row.operator("texserver.generate", icon="MATERIAL")
        surface_drawing.draw_udim(row, context)
        draw_latest(layout)
        training_panels.draw_growing(layout)
        draw_messages(layout)


def _draw_gallery(layout: Any, settings: Any, chosen: str) -> None:
    """The models by picture, those that are searched for, and the chosen one by name."""
    row = layout.row(align=True)
    row.prop(settings, "search", text="", icon="VIEWZOOM", placeholder="Search")
    if gallery.has_categories():
        row.prop(settings, "category_shown", text="")
    row.prop(settings, "favourites", text="", icon="SOLO_ON")
    scale = preferences.get().thumbnails
    layout.template_icon_view(settings, "gallery", show_labels=True, scale=scale, scale_popup=scale)
    row = layout.row(align=True)
    row.prop(settings, "model", text="", icon="TEXTURE", placeholder=chosen)
    star = "SOLO_ON" if chosen in state.session().favourites.names else "SOLO_OFF"
    row.operator("texserver.favourite", text="", icon=star).model = chosen


class _MaterialPanel(Panel):
    """Changes the active object's material at once; before there is one of ours, what a new one begins with."""

    bl_label = "Material"

    def draw(self, context: Any) -> None:
        layout, thing = self.layout, context.object  # type: ignore[attr-defined]
        material: Any = thing.active_material if thing else None
        tree = material.node_tree if material else None
        layout.use_property_split = True
        layout.use_property_decorate = False
        node = live.node_of(tree)
        if shown := live.showing(node):
            if hides_textures(context):
                layout.operator("texserver.show_material", icon="SHADING_TEXTURE")
            column = layout.column()
            column.enabled = material.library is None
            _draw_live(column, thing, material, node, shown)
        elif tree and legacy.is_legacy(material):
            draw_text(layout, f"{material.name} was made by an earlier version.", icon="INFO")
            layout.operator("texserver.upgrade")
        else:
            _draw_first_values(layout, context.scene.texserver)
        if is_ours(material):
            surface_drawing.draw_surface(layout, material)
            layout.operator("texserver.match_material", icon="EYEDROPPER")
            layout.operator("texserver.mark_asset", icon="ASSET_MANAGER")
        if export.has_textures(material):
            row = layout.row()
            row.operator_context = "INVOKE_DEFAULT"
            row.operator("texserver.export_set", icon="EXPORT")


def _draw_live(layout: Any, thing: Any, material: Any, node: Any, shown: live.Showing) -> None:
    if shown.has_squares:
        layout.label(text="UDIM squares, as the UV map says", icon="UV")
    else:
        layout.prop(material.texserver_live, "mapping")
    if thing.type == "MESH":
        if shown.projection == "UV" and not thing.data.uv_layers:
            draw_text(layout, f"{thing.name} has no UV map.", icon="ERROR")
        row = layout.row(align=True)
        row.operator("texserver.unwrap", icon="UV")
        if shown.projection == "UV":
            row.operator("texserver.measure", text="Measure")
    aligned = layout.column(align=True)
    for each in live.inputs_of(node):
        if each.name == group_sockets.VARY or not graph.applies(each, shown):
            continue
        if each.name in _BEGIN_A_BLOCK:
            aligned = layout.column(align=True)
        socket = node.inputs[each.name]
        if socket.is_linked:
            aligned.label(text=f"{each.name}: linked")
        else:
            aligned.prop(socket, "default_value", text=each.name, slider=each.subtype == "FACTOR")
    if "height" in shown.images:
        layout.prop(material.texserver_live, "displace")
    if shown.has_squares:
        return
    row = layout.row(align=True)
    row.use_property_split = False  # the label needs the whole width
    row.prop(material.texserver_live, "vary")
    if materials.varies(material):
        row.operator("texserver.dice_piece", text="", icon="FILE_REFRESH")
        if pieces.PROPERTY in thing:
            row.operator("texserver.clear_piece", text="", icon="X")
        layout.label(text="Each object shows another piece of it.")


def _draw_first_values(layout: Any, settings: Any) -> None:
    layout.label(text="A new material begins with:")
    layout.prop(settings, "mapping")
    if settings.mapping == "BOX":
        layout.prop(settings, "blend")
    row = layout.row(align=True)
    row.prop(settings, "texels", text="Texels / m")
    if settings.texels_by_hand and model_texels(settings.model):
        row.operator("texserver.model_texels", text="", icon="LOOP_BACK")
    if orders.has_height(settings):
        layout.prop(settings, "displace")
        layout.prop(settings, "displacement")


class JobsPanel(Panel):
    """The tasks of the session, the latest last."""

    bl_label = "Jobs"

    def draw(self, context: Any) -> None:
        layout, session = self.layout, state.session()  # type: ignore[attr-defined]
        training_panels.draw_server_jobs(layout)
        if not session.tasks:
            layout.label(text="None yet.")
            return
        for task in session.tasks[-MOST_JOBS:]:
            row = layout.row(align=True)
            if not task.ended:
                draw_progress(row, task)
                if task.state == "waiting" or not task.message.startswith(("Painting", "Stylizing", "Frame")):
                    draw_text(layout, task.message, icon="INFO")
                continue
            row.label(text=fitting(task.title, 2), icon=ICONS[task.state])
            if task.state != "done":
                row.operator_context = "INVOKE_DEFAULT"
                row.operator("texserver.retry", text="", icon="LOOP_BACK").task_id = task.id
        row = layout.row()
        if any(not task.ended for task in session.tasks):
            row.operator("texserver.cancel", text="Cancel All").task_id = 0
        row.operator("texserver.clear_jobs")


class _HistoryPanel(Panel):
    bl_label = "History"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        layout, history = self.layout, state.session().history  # type: ignore[attr-defined]
        if not history.entries:
            layout.label(text="Finished textures are listed here.")
            return
        column = layout.column(align=True)
        column.operator_context = "INVOKE_DEFAULT"
        for index, entry in enumerate(history.entries[:MOST_HISTORY]):
            row = column.row(align=True)
            title = f"{entry.model} {size_text(entry.size)} #{entry.seed}"
            picture = gallery.model_icon(entry.model)
            row.label(text=title, **({"icon_value": picture} if picture else {"icon": "TEXTURE"}))
            buttons = row.row(align=True)
            buttons.ui_units_x = 3  # without it they take half of the row
            button = buttons.operator("texserver.again", text="", icon="FILE_REFRESH")
            button.index, button.side = index, 0
            button = buttons.operator("texserver.again", text="4K")
            button.index, button.side = index, 4096
        if history.message:
            draw_text(layout, history.message, icon="ERROR")
        layout.operator("texserver.clear_history", icon="TRASH")


def _for_editor(space: str, short: str) -> list[type]:
    """All panels for one editor. The first is the parent of the others."""
    main = f"TEXSERVER_PT_{short}_main"
    classes = [type(main, (_MainPanel, bpy.types.Panel), {"bl_space_type": space, "bl_idname": main})]
    for panel in (_MaterialPanel, VariationsPanel, BlendPanel, LibraryPanel, RecipesPanel, JobsPanel, _HistoryPanel):
        name = f"TEXSERVER_PT_{short}_{panel.bl_label.lower()}"
        classes.append(
            type(name, (panel, bpy.types.Panel), {"bl_space_type": space, "bl_idname": name, "bl_parent_id": main})
        )
    return classes


CLASSES = (*_for_editor("VIEW_3D", "view"), *_for_editor("NODE_EDITOR", "shader"))
