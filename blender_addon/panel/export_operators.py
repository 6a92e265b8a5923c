"""The operator that writes the active material's textures for an engine."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bpy.props import EnumProperty

from ..loop import pump
from ..loop.delivery import ExportDelivery
from ..material import export
from ..material.export import NotExported
from ..material.references import Reference
from ..pictures.texture_sets import Engine
from ..tasks import state
from ..tasks.task import Task
from .drawing import draw_text
from .folder_operator import FolderOperator
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


class TEXSERVER_OT_export_set(FolderOperator):
    """Write the textures of the active material for a game engine, with a MaterialX document beside them"""

    bl_idname = "texserver.export_set"
    bl_label = "Export Set"

    engine: EnumProperty(name="For", items=ENGINES)

    @classmethod
    def refusal(cls, context: Any) -> str:
        if not export.has_textures(context.object.active_material if context.object else None):
            return "The active material shows no textures of Texserver"
        return ""

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

    def prepared(self, material: Any, name: str, folder: Path) -> PreparedExport:
        return PreparedExport(
            material=Reference.to("materials", material), engine=self.engine, name=name, folder=folder
        )


CLASSES = (TEXSERVER_OT_export_set,)
