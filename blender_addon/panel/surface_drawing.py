"""What the panels draw of surfaces that are larger than a texture."""

from typing import Any

from ..material import live, materials
from ..protocol.edges import ACROSS
from ..tasks.placement import size_text
from .surface_orders import megabytes


def draw_udim(row: Any, context: Any) -> None:
    """The small button for UDIM squares, for objects with a UV map."""
    thing = context.object
    if thing is not None and thing.type == "MESH" and thing.data.uv_layers:
        row.operator("texserver.paint_udim", text="", icon="UV")


def draw_surface(layout: Any, material: Any) -> None:
    """The switch for planes that never repeat, what it costs, and the bake."""
    node = live.node_of(material.node_tree)
    shown = live.showing(node)
    if shown is None or shown.has_squares:
        return
    if not live.is_current(node):
        layout.operator("texserver.upgrade")
    column = layout.column(align=True)
    row = column.row(align=True)
    row.operator_context = "INVOKE_DEFAULT"
    switch = "texserver.never_repeat" if materials.repeats(material) else "texserver.repeat"
    row.operator(switch, text="Never Repeat", icon="MESH_GRID", depress=not materials.repeats(material))
    once, tiles = megabytes(shown)
    column.label(text=f"{ACROSS**2} x {size_text(shown.size)}: {tiles} MB; one: {once} MB")
    if not materials.repeats(material):
        row = layout.row()
        row.operator_context = "INVOKE_DEFAULT"
        row.operator("texserver.bake_surface", icon="RENDER_RESULT")
