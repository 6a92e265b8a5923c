"""The operators of the main panel, for buttons and for scripts. Each works from Python, also without a window."""

from abc import abstractmethod
from dataclasses import replace
from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, StringProperty

from ..loop import pump
from ..loop.delivery import ExportDelivery, Prepared, StyleDelivery, TextureDelivery
from ..loop.training_delivery import TrainingDelivery
from ..material.assignment import objects_of
from ..tasks import state
from . import orders, preferences
from .operator import FINISHED, Operator, Outcome, PaintingOperator, connect
from .orders import NotOrdered, PreparedTexture
from .settings import MAPPINGS, TARGETS
from .surface_orders import beside_file


class TEXSERVER_OT_generate(PaintingOperator):
    """Paint the texture and put it on the object. The scene's settings are used for everything that is not given"""

    bl_idname = "texserver.generate"
    bl_label = "Generate"

    model: StringProperty(name="Model", options={"SKIP_SAVE"})
    seed: IntProperty(name="Seed", min=0, options={"SKIP_SAVE"})
    width: IntProperty(name="Width", min=16, max=65536, default=1024, options={"SKIP_SAVE"})
    height: IntProperty(name="Height", min=16, max=65536, default=1024, options={"SKIP_SAVE"})
    whole_periods: BoolProperty(name="Whole Periods", default=True, options={"SKIP_SAVE"})
    target: EnumProperty(name="Target", items=TARGETS, options={"SKIP_SAVE"})
    all_selected: BoolProperty(name="All Selected", options={"SKIP_SAVE"})
    replace_links: BoolProperty(name="Replace Links", options={"SKIP_SAVE"})
    mapping: EnumProperty(name="Mapping", items=MAPPINGS, options={"SKIP_SAVE"})
    blend: FloatProperty(name="Blend", min=0, max=1, default=0.2, options={"SKIP_SAVE"})
    texels: FloatProperty(name="Texels per Metre", min=1, max=1e6, default=1024, options={"SKIP_SAVE"})
    displace: BoolProperty(name="Displace Surface", options={"SKIP_SAVE"})
    displacement: FloatProperty(name="Displacement", min=0, max=100, default=0.05, options={"SKIP_SAVE"})

    def prepare(self, context: Any) -> PreparedTexture:
        return orders.prepare(context, **self.given())


class TEXSERVER_OT_again(PaintingOperator):
    """Paint this texture again, for the active object"""

    bl_idname = "texserver.again"
    bl_label = "Again"

    index: IntProperty(min=0)
    side: IntProperty(
        name="Side", description="New length of the longer side in pixels; 0 keeps the size", min=0, max=65536
    )

    def prepare(self, context: Any) -> PreparedTexture:
        entries = state.session().history.entries
        if self.index >= len(entries):
            raise NotOrdered("The history no longer has this entry. Choose another one.")
        return orders.again(context, entries[self.index], side=self.side or None)


class TEXSERVER_OT_retry(PaintingOperator):
    """Try this again, for the same objects"""

    bl_idname = "texserver.retry"
    bl_label = "Retry"

    task_id: IntProperty()

    @classmethod
    def refusal(cls, context: Any) -> str:
        return ""  # stylizing needs no object

    def prepare(self, context: Any) -> Prepared:
        session = state.session()
        task = session.task(self.task_id)
        delivery = pump.delivery_of(task) if task else None
        prepared: Prepared | None = None
        if isinstance(delivery, TextureDelivery):
            chosen = preferences.get()
            order = delivery.texture_task.order
            folder = beside_file() if order.squares else orders.folder(chosen)
            objects_of(delivery.target)  # NotAssigned now, not after the texture is painted
            target = replace(delivery.target, pack=folder is None)
            prepared = PreparedTexture(order=order, target=target, folder=folder, suffix=chosen.file_format)
        elif isinstance(delivery, StyleDelivery | ExportDelivery | TrainingDelivery):
            prepared = delivery.prepared
            if prepared is None:
                raise NotOrdered("That job was for another file. Start it again from the panel.")
        if task is None or prepared is None:
            raise NotOrdered("That job is gone. Press Generate instead.")
        session.drop(task)
        return prepared


class DiceOperator(Operator):
    """Chooses another seed."""

    bl_label = "Roll the Dice"
    bl_options = {"UNDO", "INTERNAL"}

    @abstractmethod
    def settings(self, context: Any) -> Any:
        """The settings that have the seed."""

    def execute(self, context: Any) -> Outcome:
        self.settings(context).seed = orders.dice()
        return FINISHED


class TEXSERVER_OT_dice(DiceOperator):
    """Another seed"""

    bl_idname = "texserver.dice"

    def settings(self, context: Any) -> Any:
        return context.scene.texserver


class TEXSERVER_OT_model_texels(Operator):
    """Use the model's own scale again"""

    bl_idname = "texserver.model_texels"
    bl_label = "Model's Own Scale"
    bl_options = {"UNDO", "INTERNAL"}

    def execute(self, context: Any) -> Outcome:
        context.scene.texserver.texels_by_hand = 0
        return FINISHED


class TEXSERVER_OT_generate_new_seed(PaintingOperator):
    """Roll the dice, and paint the texture with that seed"""

    bl_idname = "texserver.generate_new_seed"
    bl_label = "Generate Another Seed"

    def prepare(self, context: Any) -> PreparedTexture:
        context.scene.texserver.seed = orders.dice()
        return orders.prepare(context)


class TEXSERVER_OT_show_material(Operator):
    """This view shows no materials. Switch it to Material Preview"""

    bl_idname = "texserver.show_material"
    bl_label = "Material Preview"

    @classmethod
    def refusal(cls, context: Any) -> str:
        if context.space_data is None or context.space_data.type != "VIEW_3D":
            return "This works in the 3D View"
        return ""

    def execute(self, context: Any) -> Outcome:
        context.space_data.shading.type = "MATERIAL"
        return FINISHED


class TEXSERVER_OT_refresh(Operator):
    """Ask the server again for its state and its models"""

    bl_idname = "texserver.refresh"
    bl_label = "Refresh"

    def execute(self, context: Any) -> Outcome:
        state.session().refresh()
        pump.wake()
        if bpy.app.background and (why := connect()):
            return self.fail(why)
        return FINISHED


class TEXSERVER_OT_cancel(Operator):
    """Cancel this job and restore what it replaced"""

    bl_idname = "texserver.cancel"
    bl_label = "Cancel"

    task_id: IntProperty(description="0: all jobs")

    def execute(self, context: Any) -> Outcome:
        for task in state.session().tasks:
            if self.task_id in (0, task.id):
                task.cancel()
        pump.step()
        return FINISHED


class TEXSERVER_OT_dismiss(Operator):
    """Hide this message"""

    bl_idname = "texserver.dismiss"
    bl_label = "Dismiss"

    task_id: IntProperty()

    def execute(self, context: Any) -> Outcome:
        if task := state.session().task(self.task_id):
            task.seen = True
        return FINISHED


class TEXSERVER_OT_clear_jobs(Operator):
    """Remove the jobs that have ended from the list"""

    bl_idname = "texserver.clear_jobs"
    bl_label = "Clear"

    def execute(self, context: Any) -> Outcome:
        session = state.session()
        for task in [task for task in session.tasks if task.ended]:
            session.drop(task)
        return FINISHED


class TEXSERVER_OT_clear_history(Operator):
    """Clear the list of finished textures. Images and materials stay"""

    bl_idname = "texserver.clear_history"
    bl_label = "Clear History"

    def invoke(self, context: Any, event: Any) -> Any:
        return context.window_manager.invoke_confirm(self, event)

    def execute(self, context: Any) -> Outcome:
        state.session().history.clear()
        return FINISHED


class TEXSERVER_OT_copy_error(Operator):
    """Copy this message"""

    bl_idname = "texserver.copy_error"
    bl_label = "Copy"

    text: StringProperty()

    def execute(self, context: Any) -> Outcome:
        context.window_manager.clipboard = self.text
        return FINISHED


class TEXSERVER_OT_preferences(Operator):
    """Open the add-on's preferences"""

    bl_idname = "texserver.preferences"
    bl_label = "Preferences"

    def execute(self, context: Any) -> Outcome:
        bpy.ops.preferences.addon_show(module=preferences.ADDON)
        return FINISHED


CLASSES = (
    TEXSERVER_OT_generate,
    TEXSERVER_OT_again,
    TEXSERVER_OT_retry,
    TEXSERVER_OT_dice,
    TEXSERVER_OT_model_texels,
    TEXSERVER_OT_generate_new_seed,
    TEXSERVER_OT_show_material,
    TEXSERVER_OT_refresh,
    TEXSERVER_OT_cancel,
    TEXSERVER_OT_clear_jobs,
    TEXSERVER_OT_clear_history,
    TEXSERVER_OT_dismiss,
    TEXSERVER_OT_copy_error,
    TEXSERVER_OT_preferences,
)
