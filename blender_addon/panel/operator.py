"""What all operators share: how they fail, and how one that paints begins a task and waits for it.

A button only begins a task: the pump does the rest, and Blender stays usable. When a script calls an operator, or there
is no window, it runs to the end, and raises RuntimeError with a sentence if it fails.
"""

import time
from abc import abstractmethod
from typing import Any, Final, Literal

import bpy

from ..loop import pump, status_bar
from ..loop.delivery import Prepared
from ..material.assignment import NotAssigned
from ..material.slots import WITH_MATERIALS
from ..tasks import state
from ..tasks.task import Task
from .orders import NotOrdered
from .settings import CATEGORY

Outcome = set[Literal["RUNNING_MODAL", "CANCELLED", "FINISHED", "PASS_THROUGH", "INTERFACE"]]

FINISHED: Final[Outcome] = {"FINISHED"}
CANCELLED: Final[Outcome] = {"CANCELLED"}
SERVER_WAIT_S: Final = 10.0  # for the server, in a script
FAILED_WAIT_S: Final = 2.0  # the same, once the connection has failed
WATCH_S: Final = 0.25  # between two looks at a task


class Operator(bpy.types.Operator):
    """What all our operators share."""

    bl_options = {"INTERNAL"}

    @classmethod
    def refusal(cls, context: Any) -> str:
        """Why it cannot be used now, without a full stop: what its grey button says. "" if it can."""
        return ""

    @classmethod
    def poll(cls, context: Any) -> bool:
        if why := cls.refusal(context):
            cls.poll_message_set(why)
        return not why

    def fail(self, why: object) -> Outcome:
        """Report an error. A script gets it as RuntimeError."""
        self.report({"ERROR"}, str(why))
        return CANCELLED


def no_object(context: Any) -> str:
    """Why the active object cannot get a texture; "" if it can."""
    if context.object is None:
        return "Select the object for the texture"
    if context.object.type not in WITH_MATERIALS:
        return "The active object cannot have a material. Select a mesh, a curve or a text"
    return ""


class PaintingOperator(Operator):
    """An operator that begins a task. From a button it returns at once; from a script it runs to the end."""

    bl_options = {"REGISTER"}

    task: Task | None = None
    timer: Any = None
    doing = "Painting"

    @classmethod
    def refusal(cls, context: Any) -> str:
        return no_object(context)

    @abstractmethod
    def prepare(self, context: Any) -> Prepared:
        """What to begin. Raises NotOrdered or NotAssigned."""

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
        status_bar.say(context.workspace, f"{self.doing} {self.task.title}. Esc over the panel cancels it.".lstrip())
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
        if why := connect():
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


def connect(wait_s: float = SERVER_WAIT_S) -> str:
    """Wait for the server's list of models, all of them checked. Returns "", or why there is none."""
    session = state.session()
    session.refresh()
    started = time.monotonic()
    while not session.catalogue.settled or session.connection.state != "ready":
        pump.step()
        waited_s = time.monotonic() - started
        if waited_s > wait_s or (session.connection.state == "failed-for-now" and waited_s > FAILED_WAIT_S):
            return session.connection.reason or "The server did not send its list of models. Try again."
        time.sleep(pump.NAP_S)
    return ""
