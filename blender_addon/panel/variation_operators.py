"""The operators of the panel "Variations"."""

import time
from typing import Any

import bpy
from bpy.props import IntProperty, StringProperty

from ..loop import pump
from ..tasks import state
from . import gallery, orders
from .operator import FINISHED, Operator, Outcome, PaintingOperator, connect
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


class TEXSERVER_OT_variations(Operator):
    """Show small pictures of several seeds to choose from"""

    bl_idname = "texserver.variations"
    bl_label = "Show Variations"

    def execute(self, context: Any) -> Outcome:
        session = state.session()
        if bpy.app.background and (why := connect()):
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


CLASSES = (TEXSERVER_OT_use_variation, TEXSERVER_OT_variations)
