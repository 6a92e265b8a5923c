"""What the buttons do, and scripts: every operator works from Python, without a window too.

A button only begins: the pump does the rest, and Blender stays usable. Called from a script (or without a window) an
operator runs to its end and raises RuntimeError with a sentence when it fails.
"""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, StringProperty

from ..loop import pump
from ..material.assignment import NotAssigned, objects_of
from ..material.materials import MARK, is_ours
from ..tasks import state
from ..tasks.session import AnyTask
from ..tasks.tasks import Task
from . import gallery, orders, preferences
from .orders import Made, NotOrdered
from .settings import MAPPINGS, TARGETS

Outcome = set[Literal["RUNNING_MODAL", "CANCELLED", "FINISHED", "PASS_THROUGH", "INTERFACE"]]

FINISHED: Final[Outcome] = {"FINISHED"}
CANCELLED: Final[Outcome] = {"CANCELLED"}
SERVER_WAIT_S: Final = 10.0  # for a script
FAILED_WAIT_S: Final = 2.0  # where there is a reason not to expect one
WATCH_S: Final = 0.25


class Operator(bpy.types.Operator):
    """What ours have in common."""

    bl_options = {"INTERNAL"}

    def fail(self, why: object) -> Outcome:
        """Tell the artist; a script gets it as RuntimeError."""
        self.report({"ERROR"}, str(why))
        return CANCELLED


def _needs_object(cls: Any, context: Any) -> bool:
    if context.object is None:
        cls.poll_message_set("Select the object that the texture is for")
    return context.object is not None


class PaintingOperator(Operator):
    """One that has a texture painted: begins from a button, runs to the end from a script."""

    bl_options = {"REGISTER"}

    task: AnyTask | None = None
    timer: Any = None
    doing = "Painting"

    @classmethod
    def poll(cls, context: Any) -> bool:
        return _needs_object(cls, context)

    def made(self, context: Any) -> Any:
        """What to begin with, a Made of one kind or the other. Raises NotOrdered or NotAssigned."""
        raise NotImplementedError

    def invoke(self, context: Any, event: Any) -> Outcome:
        if bpy.app.background:
            return self.execute(context)
        try:
            self.task = self.made(context).begin()
        except (NotOrdered, NotAssigned) as error:
            return self.fail(error)
        manager = context.window_manager
        self.timer = manager.event_timer_add(WATCH_S, window=context.window)
        manager.modal_handler_add(self)
        context.workspace.status_text_set(f"{self.doing} {self.task.order.title}. Esc cancels it.")
        pump.redraw()
        return {"RUNNING_MODAL"}

    def modal(self, context: Any, event: Any) -> Outcome:
        assert self.task
        if event.type == "ESC" and event.value == "PRESS" and not self.task.ended:
            self.task.cancel()
            self._leave(context)
            return CANCELLED
        if not self.task.ended:
            return {"PASS_THROUGH"}
        self._leave(context)
        return {"FINISHED", "PASS_THROUGH"} if self.task.state == "done" else {"CANCELLED", "PASS_THROUGH"}

    def cancel(self, context: Any) -> None:
        """Blender takes the operator away: another file is opened, or it quits."""
        self._leave(context)

    def _leave(self, context: Any) -> None:
        if self.timer:
            context.window_manager.event_timer_remove(self.timer)
            self.timer = None
        if context.workspace:
            context.workspace.status_text_set(None)

    def execute(self, context: Any) -> Outcome:
        if why := _connect():
            return self.fail(why)
        try:
            task = self.made(context).begin()
        except (NotOrdered, NotAssigned) as error:
            return self.fail(error)
        try:
            pump.run(task)
        finally:
            task.cancel()
        if task.state != "done":
            return self.fail(task.message)
        return FINISHED


def _connect() -> str:
    """Wait for the server and its list of models; returns "" or why there are none."""
    session = state.session()
    session.refresh()
    started = time.monotonic()
    while not session.catalogue.settled or session.connection.state != "ready":
        pump.step()
        waited_s = time.monotonic() - started
        if waited_s > SERVER_WAIT_S or (session.connection.state == "failed-for-now" and waited_s > FAILED_WAIT_S):
            return session.connection.reason or "The server does not list its models. Try again."
        time.sleep(pump.NAP_S)
    return ""


class TEXSERVER_OT_generate(PaintingOperator):
    """Paint the texture and put it on the object. What is not given is taken from the scene's settings"""

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

    def made(self, context: Any) -> Made:
        names = type(self).__annotations__
        given = [each for each in names if self.properties.is_property_set(each)]
        return orders.make(context, **{each: getattr(self, each) for each in given})


class TEXSERVER_OT_again(PaintingOperator):
    """Make this texture of the history again, for the active object"""

    bl_idname = "texserver.again"
    bl_label = "Again"

    index: IntProperty(min=0)
    side: IntProperty(name="Side", description="Of the longer side, 0 for the same as before", min=0, max=65536)

    def made(self, context: Any) -> Made:
        entries = state.session().history.entries
        if self.index >= len(entries):
            raise NotOrdered("The history has no such entry any more.")
        return orders.again(context, entries[self.index], side=self.side or None)


class TEXSERVER_OT_use_variation(PaintingOperator):
    """Paint this one at the chosen size"""

    bl_idname = "texserver.use_variation"
    bl_label = "Use This One"

    model: StringProperty()
    seed: IntProperty(min=0)

    def made(self, context: Any) -> Made:
        context.scene.texserver.model = self.model
        context.scene.texserver.seed = self.seed
        return orders.make(context)


class TEXSERVER_OT_retry(PaintingOperator):
    """Try this one again, for the same objects"""

    bl_idname = "texserver.retry"
    bl_label = "Retry"

    task_id: IntProperty()

    @classmethod
    def poll(cls, context: Any) -> bool:
        return True  # a picture needs no object

    def made(self, context: Any) -> Any:
        session = state.session()
        task = session.task(self.task_id)
        if task is None:
            raise NotOrdered("That job is gone. Press Generate instead.")
        if not isinstance(task, Task):
            made = pump.made_of(task)
            if made is None:
                raise NotOrdered("That job was for another file. Begin it anew.")
            session.drop(task)
            return made
        chosen = preferences.get()
        folder, wish = orders.folder(chosen), pump.wish_of(task)
        if wish:
            objects_of(wish)  # or it would be painted for nothing
            wish = replace(wish, pack=folder is None)
        session.drop(task)
        return Made(order=task.order, wish=wish, folder=folder, suffix=chosen.file_format)


class TEXSERVER_OT_variations(Operator):
    """Show small pictures of several seeds to pick from"""

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
        for task in session.variations:
            for path in task.result.files.values() if task.result else ():
                gallery.forget(path)
        session.vary(wanted)
        pump.wake()
        while bpy.app.background and any(not task.ended for task in session.variations):
            pump.step()
            time.sleep(pump.NAP_S)
        return FINISHED


class TEXSERVER_OT_dice(Operator):
    """Another seed"""

    bl_idname = "texserver.dice"
    bl_label = "Roll the Dice"
    bl_options = {"UNDO", "INTERNAL"}

    def execute(self, context: Any) -> Outcome:
        context.scene.texserver.seed = orders.dice()
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
    """Cancel this job; what it replaced comes back"""

    bl_idname = "texserver.cancel"
    bl_label = "Cancel"

    task_id: IntProperty(description="0: all of them")

    def execute(self, context: Any) -> Outcome:
        for task in state.session().tasks:
            if self.task_id in (0, task.id):
                task.cancel()
        pump.step()
        return FINISHED


class TEXSERVER_OT_clear_jobs(Operator):
    """Take the jobs that have ended off the list"""

    bl_idname = "texserver.clear_jobs"
    bl_label = "Clear"

    def execute(self, context: Any) -> Outcome:
        session = state.session()
        for task in [task for task in session.tasks if task.ended]:
            session.drop(task)
        return FINISHED


class TEXSERVER_OT_clear_history(Operator):
    """Forget what was made; images and materials stay"""

    bl_idname = "texserver.clear_history"
    bl_label = "Clear History"

    def invoke(self, context: Any, event: Any) -> Any:
        return context.window_manager.invoke_confirm(self, event)

    def execute(self, context: Any) -> Outcome:
        state.session().history.clear()
        return FINISHED


class TEXSERVER_OT_mark_asset(Operator):
    """Mark the active material as an asset, with its picture and tags"""

    bl_idname = "texserver.mark_asset"
    bl_label = "Mark as Asset"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        material: Any = context.object.active_material if context.object else None
        if not is_ours(material) or material.library:
            cls.poll_message_set("The active material was not made here")
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


class TEXSERVER_OT_start_server(Operator):
    """Start texserver on this machine; it stops when Blender quits"""

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
    TEXSERVER_OT_refresh,
    TEXSERVER_OT_cancel,
    TEXSERVER_OT_clear_jobs,
    TEXSERVER_OT_clear_history,
    TEXSERVER_OT_mark_asset,
    TEXSERVER_OT_start_server,
    TEXSERVER_OT_stop_server,
    TEXSERVER_OT_copy_error,
    TEXSERVER_OT_preferences,
)
