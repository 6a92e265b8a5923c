"""The operators for surfaces that are larger than a texture: planes that never repeat, UDIM squares, baked planes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
from bpy.props import IntProperty

from ..loop import pump
from ..loop.delivery import ExportDelivery
from ..material import materials
from ..material.references import Reference
from ..tasks import state
from ..tasks.task import Task
from . import surface_orders
from .folder_operator import FolderOperator
from .operator import FINISHED, Operator, Outcome, PaintingOperator, no_object
from .orders import PreparedTexture

MOST_CELLS = 256  # along a side


class TEXSERVER_OT_never_repeat(PaintingOperator):
    """Lay sixteen tiles that join, so that no texture is seen again and again. The one that repeats is kept"""

    bl_idname = "texserver.never_repeat"
    bl_label = "Never Repeat"

    @classmethod
    def refusal(cls, context: Any) -> str:
        material, shown = surface_orders.of_object(context)
        if shown is None:
            return "The active material shows no texture of Texserver"
        if material.library:
            return "The active material is linked from another file"
        if shown.has_squares:
            return "UDIM squares are one large texture, which does not repeat"
        if shown.across > 1:
            return "The active material never repeats already"
        return ""

    def prepare(self, context: Any) -> PreparedTexture:
        return surface_orders.never_repeats(context)


class TEXSERVER_OT_repeat(Operator):
    """Show the one texture that repeats again, as it was before the tiles"""

    bl_idname = "texserver.repeat"
    bl_label = "Repeat"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def refusal(cls, context: Any) -> str:
        material, shown = surface_orders.of_object(context)
        if shown is None or shown.across == 1:
            return "The active material repeats already"
        if material.library:
            return "The active material is linked from another file"
        if not shown.plain:
            return "The texture that repeats was not kept. Press Generate to paint it"
        return ""

    def execute(self, context: Any) -> Outcome:
        materials.repeat(context.object.active_material)
        pump.redraw()
        return FINISHED


class TEXSERVER_OT_paint_udim(PaintingOperator):
    """Paint one texture over all UDIM squares of the UV map, each of the chosen size, beside the .blend file"""

    bl_idname = "texserver.paint_udim"
    bl_label = "Paint UDIM"

    @classmethod
    def refusal(cls, context: Any) -> str:
        if why := no_object(context):
            return why
        if context.object.type != "MESH" or not context.object.data.uv_layers:
            return "Select a mesh with a UV map"
        if not bpy.data.is_saved:
            return "Save the .blend file first: the pictures lie beside it"
        return ""

    def prepare(self, context: Any) -> PreparedTexture:
        return surface_orders.udim(context)


@dataclass(frozen=True, kw_only=True)
class PreparedBake:
    """A plane that is ready to be written. `cells`: columns, rows, and cells along a UDIM square."""

    material: Reference
    cells: tuple[int, int, int]
    name: str
    folder: Path

    def begin(self) -> Task:
        """Begin. Raises NotOrdered."""
        order = surface_orders.baked(self.material.get(), self.cells, self.name, self.folder)
        task = state.session().order_export(order)
        pump.deliver(ExportDelivery(task, self))
        return task


class TEXSERVER_OT_bake_surface(FolderOperator):
    """Write a piece of the surface that never repeats as large pictures for engines, without hue, value and drift"""

    bl_idname = "texserver.bake_surface"
    bl_label = "Bake Surface"

    columns: IntProperty(name="Columns", description="Tiles side by side", default=8, min=1, max=MOST_CELLS)
    rows: IntProperty(name="Rows", description="Tiles one above the other", default=8, min=1, max=MOST_CELLS)
    per_square: IntProperty(
        name="UDIM Tiles",
        description="Tiles along a side of each UDIM square. 0: one picture of all",
        default=0,
        min=0,
        max=MOST_CELLS,
    )

    @classmethod
    def refusal(cls, context: Any) -> str:
        _, shown = surface_orders.of_object(context)
        if shown is None or shown.across == 1:
            return "The active material repeats, so its texture is all there is"
        return ""

    def prepared(self, material: Any, name: str, folder: Path) -> PreparedBake:
        cells = self.columns, self.rows, self.per_square
        return PreparedBake(material=Reference.to("materials", material), cells=cells, name=name, folder=folder)


CLASSES = (
    TEXSERVER_OT_never_repeat,
    TEXSERVER_OT_repeat,
    TEXSERVER_OT_paint_udim,
    TEXSERVER_OT_bake_surface,
)
