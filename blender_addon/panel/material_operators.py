"""The operators for a material that is there: its UV map, an upgrade of its nodes, the asset browser."""

import random
from abc import abstractmethod
from typing import Any

import bpy

from ..material import assignment, legacy, live, materials, measure, pieces, unwrap
from ..material.marks import MARK, is_ours
from ..tasks import state
from .operator import FINISHED, Operator, Outcome


class TEXSERVER_OT_mark_asset(Operator):
    """Mark the active material as an asset, with a thumbnail and tags"""

    bl_idname = "texserver.mark_asset"
    bl_label = "Mark as Asset"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def refusal(cls, context: Any) -> str:
        material: Any = context.object.active_material if context.object else None
        if not is_ours(material) or material.library:
            return "The active material was not made by Texserver"
        return ""

    def execute(self, context: Any) -> Outcome:
        material = context.object.active_material
        material.asset_mark()
        model = material[MARK]["model"]
        for tag in ("texserver", model):
            material.asset_data.tags.new(tag, skip_if_exists=True)
        material.asset_data.description = f"{model}, seed {material[MARK]['seed']}"
        thumbnail = state.session().catalogue.thumbnail(model)
        if thumbnail:
            with context.temp_override(id=material):
                bpy.ops.ed.lib_id_load_custom_preview(filepath=str(thumbnail))
        else:
            material.asset_generate_preview()
        return FINISHED


class _OnMaterial(Operator):
    """An operator for the active object's material."""

    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def refusal(cls, context: Any) -> str:
        thing = context.object
        if thing is None or thing.type != "MESH" or thing.data.library:
            return "Select a mesh that is not linked from another file"
        if thing.data.is_editmode:
            return "Leave Edit Mode first"
        return ""


class TEXSERVER_OT_unwrap(_OnMaterial):
    """Make a UV map in which one unit is one metre on the object, and use it. UV maps that are there stay"""

    bl_idname = "texserver.unwrap"
    bl_label = "Unwrap"

    def execute(self, context: Any) -> Outcome:
        things = [context.object, *(each for each in context.selected_objects if each != context.object)]
        meshes = [each for each in things if each.type == "MESH" and not (each.data.library or each.data.is_editmode)]
        for index, each in enumerate(meshes):
            shared = each.data in [other.data for other in meshes[:index]]
            if not shared and not unwrap.unwrap(each):
                return self.fail(f"{each.name} has as many UV maps as it can have. Remove one first.")
        for each in meshes:
            material = each.active_material
            if material and not material.library and live.showing(live.node_of(material.node_tree)):
                assignment.lay_along(material, "UV")
        return FINISHED


class TEXSERVER_OT_measure(_OnMaterial):
    """Measure the UV map of the active object again, after it was changed"""

    bl_idname = "texserver.measure"
    bl_label = "Measure UV Map"

    def execute(self, context: Any) -> Outcome:
        density = measure.measure(context.object)
        if density is None:
            return self.fail(f"{context.object.name} has no usable UV map. Unwrap makes one.")
        measure.note(context.object, density)
        if density.spread > measure.EVEN:
            self.report({"WARNING"}, assignment.uneven(context.object.name, density.spread))
        return FINISHED


class TEXSERVER_OT_upgrade(Operator):
    """Give this material, made by an earlier version, one node with all that this version can change"""

    bl_idname = "texserver.upgrade"
    bl_label = "Upgrade Material"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def refusal(cls, context: Any) -> str:
        material: Any = context.object.active_material if context.object else None
        node = live.node_of(material.node_tree) if material else None
        old = bool(live.showing(node) and not live.is_current(node))
        if material is None or material.library or not (old or legacy.is_legacy(material)):
            return "The active material was not made by an earlier version of Texserver"
        return ""

    def execute(self, context: Any) -> Outcome:
        thing = context.object
        if density := measure.measure(thing):
            measure.note(thing, density)
        if legacy.is_legacy(thing.active_material):
            assignment.upgrade(thing.active_material, thing)
        else:
            materials.renew(thing.active_material)
        return FINISHED


class _Piece(Operator):
    """An operator for which piece of a texture the selected objects show."""

    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def refusal(cls, context: Any) -> str:
        if context.object is None or context.object.library:
            return "Select an object that is not linked from another file"
        return ""

    @abstractmethod
    def set(self, thing: Any) -> None:
        """For one object."""

    def execute(self, context: Any) -> Outcome:
        for each in {context.object, *context.selected_objects}:
            if not each.library:
                self.set(each)
                each.update_tag()
        return FINISHED


class TEXSERVER_OT_dice_piece(_Piece):
    """Show another piece of the texture on the selected objects. The material must vary per object"""

    bl_idname = "texserver.dice_piece"
    bl_label = "Another Piece"

    def set(self, thing: Any) -> None:
        thing[pieces.PROPERTY] = random.randrange(1, pieces.MOST)


class TEXSERVER_OT_clear_piece(_Piece):
    """Let the selected objects show the piece that follows from their names again"""

    bl_idname = "texserver.clear_piece"
    bl_label = "Usual Piece"

    def set(self, thing: Any) -> None:
        if pieces.PROPERTY in thing:
            del thing[pieces.PROPERTY]


CLASSES = (
    TEXSERVER_OT_dice_piece,
    TEXSERVER_OT_clear_piece,
    TEXSERVER_OT_mark_asset,
    TEXSERVER_OT_unwrap,
    TEXSERVER_OT_measure,
    TEXSERVER_OT_upgrade,
)
