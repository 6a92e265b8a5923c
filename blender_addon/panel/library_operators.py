"""The operators of the asset library: publish, remove what is gone, list it, and use its materials."""

from typing import Any

import bpy
from bpy.props import BoolProperty, StringProperty

from ..material import library_use
from ..material.assignment import NotAssigned
from ..material.marks import MARK, is_ours
from ..tasks import state
from ..tasks.library import LibraryError
from . import library_orders, orders
from .operator import FINISHED, Operator, Outcome, PaintingOperator
from .orders import NotOrdered


class TEXSERVER_OT_publish_library(PaintingOperator):
    """Paint each model that is new or has changed, and make a material of it in the asset library"""

    bl_idname = "texserver.publish_library"
    bl_label = "Publish Library"

    everything: BoolProperty(name="Everything", description="Also models that have not changed", options={"SKIP_SAVE"})

    @classmethod
    def refusal(cls, context: Any) -> str:
        return ""  # it needs no object

    def invoke(self, context: Any, event: Any) -> Outcome:
        """Only begin: Blender saves nothing by itself while an operator waits, and this takes minutes."""
        if bpy.app.background:
            return self.execute(context)
        try:
            self.prepare(context).begin()
        except NotOrdered as error:
            return self.fail(error)
        return FINISHED

    def prepare(self, context: Any) -> library_orders.PreparedLibrary:
        return library_orders.prepare(everything=self.everything)


class TEXSERVER_OT_drop_gone(Operator):
    """Remove materials from the library whose models the server no longer has, with their textures"""

    bl_idname = "texserver.drop_gone"
    bl_label = "Remove Those Without a Model"

    @classmethod
    def refusal(cls, context: Any) -> str:
        if not library_orders.overview().gone:
            return "The server has all models of the library"
        return ""

    def invoke(self, context: Any, event: Any) -> Any:
        return context.window_manager.invoke_confirm(self, event)

    def execute(self, context: Any) -> Outcome:
        try:
            count = library_orders.drop_gone()
        except LibraryError as error:
            return self.fail(error)
        self.report({"INFO"}, f"{count} {'material was' if count == 1 else 'materials were'} removed.")
        return FINISHED


class TEXSERVER_OT_register_library(Operator):
    """List the library in Preferences, File Paths, Asset Libraries, so that the Asset Browser shows it"""

    bl_idname = "texserver.register_library"
    bl_label = "Show in Asset Browser"

    @classmethod
    def refusal(cls, context: Any) -> str:
        if library_orders.registered() is not None:
            return "The Asset Browser shows it already"
        return ""

    def execute(self, context: Any) -> Outcome:
        try:
            library_orders.register()
        except OSError as error:
            return self.fail(f"The folder {library_orders.folder()} cannot be made: {error.strerror or error}.")
        return FINISHED


class TEXSERVER_OT_match_material(Operator):
    """Choose the model and the seed that the active material shows, to paint it at another size or to vary it"""

    bl_idname = "texserver.match_material"
    bl_label = "Use Its Model and Seed"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def refusal(cls, context: Any) -> str:
        material: Any = context.object.active_material if context.object else None
        if not is_ours(material):
            return "The active material was not made by Texserver"
        return ""

    def execute(self, context: Any) -> Outcome:
        mark = context.object.active_material[MARK]
        try:
            orders.chosen_model(mark["model"])
        except NotOrdered as error:
            return self.fail(error)
        context.scene.texserver.model = mark["model"]
        context.scene.texserver.seed = min(int(mark["seed"]), orders.MOST_SEED)
        return FINISHED


class TEXSERVER_OT_assign_to_faces(Operator):
    """Put a material, or the asset that is selected in the Asset Browser, onto the selected faces"""

    bl_idname = "texserver.assign_to_faces"
    bl_label = "Assign to Faces"
    bl_options = {"REGISTER", "UNDO"}

    material: StringProperty(name="Material", options={"SKIP_SAVE"})

    @classmethod
    def refusal(cls, context: Any) -> str:
        if context.edit_object is None or context.edit_object.type != "MESH":
            return "Go into Edit Mode of a mesh and select faces"
        return ""

    def invoke(self, context: Any, event: Any) -> Any:
        if getattr(context, "asset", None) is not None:
            return self.execute(context)
        return context.window_manager.invoke_props_dialog(self)

    def draw(self, context: Any) -> None:
        layout: Any = self.layout
        layout.prop_search(self, "material", bpy.data, "materials")

    def execute(self, context: Any) -> Outcome:
        try:
            if self.material:
                material = library_use.local(self.material)
            else:
                material = library_use.of_asset(getattr(context, "asset", None))
            library_use.assign(context.edit_object, material)
        except NotAssigned as error:
            return self.fail(error)
        return FINISHED


class TEXSERVER_OT_favourite(Operator):
    """Mark this model as a favourite, or no longer"""

    bl_idname = "texserver.favourite"
    bl_label = "Favourite"

    model: StringProperty()

    def execute(self, context: Any) -> Outcome:
        favourites = state.session().favourites
        favourites.toggle(self.model)
        if favourites.message:
            return self.fail(favourites.message)
        return FINISHED


CLASSES = (
    TEXSERVER_OT_publish_library,
    TEXSERVER_OT_drop_gone,
    TEXSERVER_OT_register_library,
    TEXSERVER_OT_match_material,
    TEXSERVER_OT_assign_to_faces,
    TEXSERVER_OT_favourite,
)
