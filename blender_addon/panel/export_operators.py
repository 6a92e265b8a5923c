"""The operator that writes the active material's textures for an engine."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import bpy
from bpy.props import EnumProperty, StringProperty

from ..client.export_set import plain_name
from ..client.texture_sets import Engine
from ..loop import pump
from ..loop.delivery import ExportDelivery
from ..material import export
from ..material.export import NotExported
from ..material.references import Reference
from ..tasks import state
from ..tasks.task import Task
from .drawing import draw_text
from .operator import FINISHED, Operator, Outcome
from .orders import NotOrdered

ENGINES = (
    ("unreal", "Unreal", "T_NAME_BC, T_NAME_ORM, T_NAME_N, T_NAME_H; normals as in DirectX"),
    ("unity", "Unity", "NAME_BaseColor, NAME_MaskMap, NAME_Normal, NAME_Height, for HDRP and URP"),
    ("godot", "Godot", "NAME_albedo, NAME_orm, NAME_normal, NAME_height, for an ORM material"),
    ("gltf", "glTF", "NAME_baseColor, NAME_occlusionRoughnessMetallic, NAME_normal"),
    ("materialx", "MaterialX", "A file for each map, and the document that describes them"),
)
WRITTEN: Final = "Hue, value and the range of the roughness are written into the pictures."
CHARACTERS: Final = 34  # of a line beside the files


@dataclass(frozen=True, kw_only=True)
class PreparedExport:
    """An export that is ready to begin."""

    material: Reference
    engine: Engine
    name: str
    folder: Path

    def begin(self) -> Task:
        """Begin. Raises NotOrdered."""
        material = self.material.get()
        if material is None:
            raise NotOrdered("The material is gone. Export another one.")
        try:
            order = export.order_of(material, self.engine, self.name, self.folder)
        except NotExported as error:
            raise NotOrdered(str(error)) from error
        task = state.session().order_export(order)
        pump.deliver(ExportDelivery(task, self))
        return task


class TEXSERVER_OT_export_set(Operator):
    """Write the textures of the active material for a game engine, with a MaterialX document beside them"""

    bl_idname = "texserver.export_set"
    bl_label = "Export Set"
    bl_options = {"REGISTER"}

    engine: EnumProperty(name="For", items=ENGINES)
    name: StringProperty(name="Name", description="Name within those of the files. Empty: that of the material")
    directory: StringProperty(name="Folder", subtype="DIR_PATH", options={"SKIP_SAVE"})
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    asked = False

    @classmethod
    def refusal(cls, context: Any) -> str:
        if not export.has_textures(context.object.active_material if context.object else None):
            return "The active material shows no textures of Texserver"
        return ""

    def invoke(self, context: Any, event: Any) -> Any:
        self.name = plain_name(context.object.active_material.name)
        self.asked = True
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def draw(self, context: Any) -> None:
        """Beside the files."""
        layout: Any = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(self, "engine")
        layout.prop(self, "name")
        draw_text(layout, WRITTEN, icon="INFO", width=CHARACTERS)
        if context.object and (why := export.left_out(context.object.active_material)):
            draw_text(layout, why, icon="INFO", width=CHARACTERS)

    def execute(self, context: Any) -> Outcome:
        material = context.object.active_material
        if not self.directory:
            return self.fail("Name the folder for the files: directory='PATH'.")
        prepared = PreparedExport(
            material=Reference.to("materials", material),
            engine=self.engine,
            name=plain_name(self.name or material.name),
            folder=Path(bpy.path.abspath(self.directory)),
        )
        try:
            task = prepared.begin()
        except NotOrdered as error:
            return self.fail(error)
        if self.asked and not bpy.app.background:
            pump.redraw()
            return FINISHED
        pump.run(task)
        return FINISHED if task.state == "done" else self.fail(task.message)


CLASSES = (TEXSERVER_OT_export_set,)
