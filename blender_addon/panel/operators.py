"""The operators, for buttons and for scripts. Each works from Python, also without a window.

A button only begins a task: the pump does the rest, and Blender stays usable. When a script calls an operator, or there
is no window, it runs to the end, and raises RuntimeError with a sentence if it fails.
"""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, StringProperty

from ..loop import pump, status_bar
from ..loop.delivery import Prepared, StyleDelivery, TextureDelivery
from ..material import assignment, legacy, live, measure, unwrap
from ..material.assignment import NotAssigned, objects_of
from ..material.marks import MARK, is_ours
from ..material.slots import WITH_MATERIALS
from ..tasks import state
from ..tasks.task import Task
from . import gallery, orders, preferences
from .orders import NotOrdered, PreparedTexture
from .settings import CATEGORY, MAPPINGS, TARGETS

Outcome = set[Literal["RUNNING_MODAL", "CANCELLED", "FINISHED", "PASS_THROUGH", "INTERFACE"]]

FINISHED: Final[Outcome] = {"FINISHED"}
CANCELLED: Final[Outcome] = {"CANCELLED"}
SERVER_WAIT_S: Final = 10.0  # for the server, in a script
FAILED_WAIT_S: Final = 2.0  # the same, once the connection has failed
WATCH_S: Final = 0.25  # between two looks at a task


class Operator(bpy.types.Operator):
    """What all our operators share."""

    bl_options = {"INTERNAL"}

    def fail(self, why: object) -> Outcome:
        """Report an error. A script gets it as RuntimeError."""
        self.report({"ERROR"}, str(why))
        return CANCELLED


class PaintingOperator(Operator):
    """An operator that begins a task. From a button it returns at once; from a script it runs to the end."""

    bl_options = {"REGISTER"}

    task: Task | None = None
    timer: Any = None
    doing = "Painting"

    @classmethod
    def poll(cls, context: Any) -> bool:
        if context.object is None:
            cls.poll_message_set("Select the object for the texture")
            return False
        if context.object.type not in WITH_MATERIALS:
            cls.poll_message_set("The active object cannot have a material. Select a mesh, a curve or a text")
            return False
        return True

    def prepare(self, context: Any) -> Prepared:
        """What to begin. Raises NotOrdered or NotAssigned."""
        raise NotImplementedError

    def given(self) -> dict[str, Any]:
        """The operator's properties that the caller has set."""
        names = type(self).__annotations__
        return {each: getattr(self, each) for each in names if self.properties.is_property_set(each)}

    def invoke(self, context: Any, event: Any) -> Outcome:
        if bpy.app.background:
            return self.execute(context)
        try:
            self.task = self.prepare(context).begin()
        except (NotOrdered, NotAssigned) as error:
            return self.fail(error)
        manager = context.window_manager
        self.timer = manager.event_timer_add(WATCH_S, window=context.window)
        manager.modal_handler_add(self)
        status_bar.say(context.workspace, f"{self.doing} {self.task.title}. Esc over the panel cancels it.")
        pump.redraw()
        return {"RUNNING_MODAL"}

    def modal(self, context: Any, event: Any) -> Outcome:
        assert self.task
        escaped = event.type == "ESC" and event.value == "PRESS" and over_our_panel(context, event)
        if escaped and not self.task.ended:
            self.task.cancel()
            self._leave(context)
            return CANCELLED
        if not self.task.ended:
            return {"PASS_THROUGH"}
        self._leave(context)
        return {"FINISHED", "PASS_THROUGH"} if self.task.state == "done" else {"CANCELLED", "PASS_THROUGH"}

    def cancel(self, context: Any) -> None:
        """Blender ends the operator, because another file is opened or Blender quits."""
        self._leave(context)

    def _leave(self, context: Any) -> None:
        if self.timer:
            context.window_manager.event_timer_remove(self.timer)
            self.timer = None
        status_bar.clear()

    def execute(self, context: Any) -> Outcome:
        if why := _connect():
            return self.fail(why)
        try:
            task = self.prepare(context).begin()
        except (NotOrdered, NotAssigned) as error:
            return self.fail(error)
        try:
            pump.run(task)
        finally:
            task.cancel()
        if task.state != "done":
            return self.fail(task.message)
        if task.note:
            self.report({"WARNING"}, task.note)
        return FINISHED


def over_our_panel(context: Any, event: Any) -> bool:
    """Whether the mouse is over a sidebar that shows our tab, or over the render properties.

    Elsewhere Esc belongs to what else is going on, such as playback.
    """
    for area in context.window.screen.areas if context.window else ():
        for region in area.regions:
            x, y = event.mouse_x - region.x, event.mouse_y - region.y
            if not (0 <= x < region.width and 0 <= y < region.height):
                continue
            if region.type == "UI" and getattr(region, "active_panel_category", "") == CATEGORY:
                return True
            if region.type == "WINDOW" and area.type == "PROPERTIES":
                return bool(area.spaces.active.context == "RENDER")
    return False


def _connect() -> str:
    """Wait for the server's list of models. Returns "", or why there is none."""
    session = state.session()
    session.refresh()
    started = time.monotonic()
    while not session.catalogue.settled or session.connection.state != "ready":
        pump.step()
        waited_s = time.monotonic() - started
        if waited_s > SERVER_WAIT_S or (session.connection.state == "failed-for-now" and waited_s > FAILED_WAIT_S):
            return session.connection.reason or "The server did not send its list of models. Try again."
        time.sleep(pump.NAP_S)
    return ""


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


class TEXSERVER_OT_use_variation(PaintingOperator):
    """Paint this seed at the chosen size"""

    bl_idname = "texserver.use_variation"
    bl_label = "Use This One"

    model: StringProperty()
    seed: IntProperty(min=0)

    def prepare(self, context: Any) -> PreparedTexture:
        context.scene.texserver.model = self.model
        context.scene.texserver.seed = self.seed
        return orders.prepare(context)


class TEXSERVER_OT_retry(PaintingOperator):
    """Try this again, for the same objects"""

    bl_idname = "texserver.retry"
    bl_label = "Retry"

    task_id: IntProperty()

    @classmethod
    def poll(cls, context: Any) -> bool:
        return True  # stylizing needs no object

    def prepare(self, context: Any) -> Prepared:
        session = state.session()
        task = session.task(self.task_id)
        delivery = pump.delivery_of(task) if task else None
        prepared: Prepared | None = None
        if isinstance(delivery, TextureDelivery):
            chosen = preferences.get()
            folder = orders.folder(chosen)
            objects_of(delivery.target)  # NotAssigned now, not after the texture is painted
            target = replace(delivery.target, pack=folder is None)
            order = delivery.texture_task.order
            prepared = PreparedTexture(order=order, target=target, folder=folder, suffix=chosen.file_format)
        elif isinstance(delivery, StyleDelivery):
            prepared = delivery.prepared
            if prepared is None:
                raise NotOrdered("That job was for another file. Start it again from the panel.")
        if task is None or prepared is None:
            raise NotOrdered("That job is gone. Press Generate instead.")
        session.drop(task)
        return prepared


class TEXSERVER_OT_variations(Operator):
    """Show small pictures of several seeds to choose from"""

    bl_idname = "texserver.variations"
    bl_label = "Show Variations"

    def execute(self, context: Any) -> Outcome:
        session = state.session()
        if bpy.app.background and (why := _connect()):
            return self.fail(why)
        try:
            wanted = orders.variations(context)
        except NotOrdered as error:
            return self.fail(error)
        gallery.forget_variations()
        session.vary(wanted)
        pump.wake()
        while bpy.app.background and any(not task.ended for task in session.variations):
            pump.step()
            time.sleep(pump.NAP_S)
        return FINISHED


class DiceOperator(Operator):
    """Chooses another seed."""

    bl_label = "Roll the Dice"
    bl_options = {"UNDO", "INTERNAL"}

    def settings(self, context: Any) -> Any:
        """The settings that have the seed."""
        raise NotImplementedError

    def execute(self, context: Any) -> Outcome:
        self.settings(context).seed = orders.dice()
        return FINISHED


class TEXSERVER_OT_dice(DiceOperator):
    """Another seed"""

    bl_idname = "texserver.dice"

    def settings(self, context: Any) -> Any:
        return context.scene.texserver


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
    def poll(cls, context: Any) -> bool:
        if context.space_data is None or context.space_data.type != "VIEW_3D":
            cls.poll_message_set("This works in the 3D View")
            return False
        return True

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
        if bpy.app.background and (why := _connect()):
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


class TEXSERVER_OT_mark_asset(Operator):
    """Mark the active material as an asset, with a thumbnail and tags"""

    bl_idname = "texserver.mark_asset"
    bl_label = "Mark as Asset"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        material: Any = context.object.active_material if context.object else None
        if not is_ours(material) or material.library:
            cls.poll_message_set("The active material was not made by Texserver")
            return False
        return True

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
    def poll(cls, context: Any) -> bool:
        thing = context.object
        if thing is None or thing.type != "MESH" or thing.data.library:
            cls.poll_message_set("Select a mesh that is not linked from another file")
            return False
        if thing.data.is_editmode:
            cls.poll_message_set("Leave Edit Mode first")
            return False
        return True


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
    """Turn the nodes of this material, made by an earlier version, into one node with sizes and strengths to change"""

    bl_idname = "texserver.upgrade"
    bl_label = "Upgrade Material"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        material: Any = context.object.active_material if context.object else None
        if material is None or material.library or not legacy.is_legacy(material):
            cls.poll_message_set("The active material was not made by an earlier version of Texserver")
            return False
        return True

    def execute(self, context: Any) -> Outcome:
        thing = context.object
        if density := measure.measure(thing):
            measure.note(thing, density)
        assignment.upgrade(thing.active_material, thing)
        return FINISHED


class TEXSERVER_OT_start_server(Operator):
    """Start texserver on this machine. It stops when Blender quits"""

    bl_idname = "texserver.start_server"
    bl_label = "Start Local Server"

    def execute(self, context: Any) -> Outcome:
        chosen = preferences.get()
        if not chosen.models_folder.strip():
            return self.fail("Choose the folder of models in the add-on's preferences first.")
        server = state.local_server()
        server.start(chosen.server_command.strip(), Path(bpy.path.abspath(chosen.models_folder)))
        if server.state == "failed":
            return self.fail(server.message)
        state.session().refresh()
        return FINISHED


class TEXSERVER_OT_stop_server(Operator):
    """Stop the server that this Blender started"""

    bl_idname = "texserver.stop_server"
    bl_label = "Stop Local Server"

    def execute(self, context: Any) -> Outcome:
        state.local_server().stop()
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
    TEXSERVER_OT_use_variation,
    TEXSERVER_OT_retry,
    TEXSERVER_OT_variations,
    TEXSERVER_OT_dice,
    TEXSERVER_OT_generate_new_seed,
    TEXSERVER_OT_show_material,
    TEXSERVER_OT_refresh,
    TEXSERVER_OT_cancel,
    TEXSERVER_OT_clear_jobs,
    TEXSERVER_OT_clear_history,
    TEXSERVER_OT_mark_asset,
    TEXSERVER_OT_unwrap,
    TEXSERVER_OT_measure,
    TEXSERVER_OT_upgrade,
    TEXSERVER_OT_dismiss,
    TEXSERVER_OT_start_server,
    TEXSERVER_OT_stop_server,
    TEXSERVER_OT_copy_error,
    TEXSERVER_OT_preferences,
)
