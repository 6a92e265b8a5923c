"""The operators of the panel "Variations": small textures of several seeds, and one of them tried on an object."""

import time
from abc import abstractmethod
from typing import Any

import bpy
from bpy.props import IntProperty, StringProperty

from ..loop import pump, trial
from ..material.assignment import NotAssigned
from ..tasks import state
from ..tasks.texture_task import TextureTask
from . import gallery, orders
from .operator import FINISHED, Operator, Outcome, PaintingOperator, connect, no_object, over_our_panel
from .orders import NotOrdered, PreparedTexture


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


class _Varying(Operator):
    """An operator that paints small textures of several seeds."""

    @abstractmethod
    def first(self) -> int | None:
        """The first seed; None: the scene's."""

    def execute(self, context: Any) -> Outcome:
        session = state.session()
        if bpy.app.background and (why := connect()):
            return self.fail(why)
        try:
            wanted = orders.variations(context, self.first())
        except NotOrdered as error:
            return self.fail(error)
        trial.take_off()
        gallery.forget_variations()
        session.vary(wanted)
        pump.wake()
        while bpy.app.background and any(not task.ended for task in session.variations):
            pump.step()
            time.sleep(pump.NAP_S)
        return FINISHED


class TEXSERVER_OT_variations(_Varying):
    """Show small pictures of several seeds to choose from"""

    bl_idname = "texserver.variations"
    bl_label = "Show Variations"

    def first(self) -> int | None:
        return None


class TEXSERVER_OT_next_variations(_Varying):
    """Show as many other seeds. A variation that is tried on and not kept is taken off"""

    bl_idname = "texserver.next_variations"
    bl_label = "Next Variations"

    @classmethod
    def refusal(cls, context: Any) -> str:
        if not state.session().variations:
            return "Press Show first"
        return ""

    def first(self) -> int | None:
        return (state.session().variations[-1].order.seed + 1) % (orders.MOST_SEED + 1)


class _Trying(Operator):
    """An operator that shows a variation on the active object."""

    @classmethod
    def refusal(cls, context: Any) -> str:
        return no_object(context)

    def try_on(self, context: Any, task: TextureTask | None) -> Outcome:
        """Show a variation, if it is painted."""
        if task is None or task.result is None:
            return self.fail("This variation is not painted yet. Wait for its picture, or press Show.")
        try:
            trial.try_on(orders.tried_on(context, task.order.model), task.result, pump.pending())
        except (NotOrdered, NotAssigned) as error:
            return self.fail(error)
        pump.redraw()
        return FINISHED


class TEXSERVER_OT_try_variation(_Trying):
    """Show this seed on the object at once, at preview size. Keep paints it at the chosen size, Esc takes it off"""

    bl_idname = "texserver.try_variation"
    bl_label = "Try"

    seed: IntProperty(min=0)

    def execute(self, context: Any) -> Outcome:
        tasks = state.session().variations
        return self.try_on(context, next((task for task in tasks if task.order.seed == self.seed), None))


class TEXSERVER_OT_step_variation(_Trying):
    """Show the variation before or after this one on the object"""

    bl_idname = "texserver.step_variation"
    bl_label = "Try the Next"

    step: IntProperty(name="Step", default=1)

    def execute(self, context: Any) -> Outcome:
        painted = [task for task in state.session().variations if task.result]
        if not painted:
            return self.try_on(context, None)
        seeds = [task.order.seed for task in painted]
        on = trial.current()
        if on and on.seed in seeds:
            return self.try_on(context, painted[(seeds.index(on.seed) + self.step) % len(seeds)])
        return self.try_on(context, painted[0 if self.step > 0 else -1])


def _none_tried() -> str:
    return "" if trial.current() else "No variation is tried on. Click the seed of one"


class TEXSERVER_OT_keep_variation(PaintingOperator):
    """Paint the variation that is tried on at the chosen size, for the same objects"""

    bl_idname = "texserver.keep_variation"
    bl_label = "Keep"

    @classmethod
    def refusal(cls, context: Any) -> str:
        return _none_tried()

    def prepare(self, context: Any) -> PreparedTexture:
        on = trial.current()
        if on is None:
            raise NotOrdered("No variation is tried on any more. Click the seed of one.")
        context.scene.texserver.model, context.scene.texserver.seed = on.model, on.seed
        return orders.kept(context, on)


class TEXSERVER_OT_take_off_variation(Operator):
    """Restore what was on the object before a variation was tried on"""

    bl_idname = "texserver.take_off_variation"
    bl_label = "Take Off"

    @classmethod
    def refusal(cls, context: Any) -> str:
        return _none_tried()

    def invoke(self, context: Any, event: Any) -> Outcome:
        """By the cross, or by Esc over the panel."""
        if event.type == "ESC" and not over_our_panel(context, event):
            return {"PASS_THROUGH"}
        return self.execute(context)

    def execute(self, context: Any) -> Outcome:
        trial.take_off()
        pump.redraw()
        return FINISHED


CLASSES = (
    TEXSERVER_OT_use_variation,
    TEXSERVER_OT_variations,
    TEXSERVER_OT_next_variations,
    TEXSERVER_OT_try_variation,
    TEXSERVER_OT_step_variation,
    TEXSERVER_OT_keep_variation,
    TEXSERVER_OT_take_off_variation,
)
