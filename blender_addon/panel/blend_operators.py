"""The operators of the panel "Blend". As in operators.py, a button only begins a task, and a script waits for it."""

from typing import Any, Final

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, StringProperty

from ..client.blend_download import FEATURE
from ..tasks import state
from . import blend_orders, orders
from .blend_settings import MASKS
from .operator import FINISHED, Operator, Outcome, PaintingOperator, no_object
from .operators import DiceOperator
from .orders import NotOrdered, PreparedTexture

MASK_NAME: Final = "Texserver Mask"
_SKIP = {"SKIP_SAVE"}


class TEXSERVER_OT_blend(PaintingOperator):
    """Paint a texture of two models side by side and put it on the object. Borders follow joints and stones"""

    bl_idname = "texserver.blend"
    bl_label = "Blend"

    model: StringProperty(name="Model", options=_SKIP)
    second: StringProperty(name="Second Model", options=_SKIP)
    seed: IntProperty(name="Seed", min=0, options=_SKIP)
    width: IntProperty(name="Width", min=16, max=65536, default=1024, options=_SKIP)
    height: IntProperty(name="Height", min=16, max=65536, default=1024, options=_SKIP)
    mask: EnumProperty(name="Mask", items=MASKS, options=_SKIP)
    image: StringProperty(name="Image", description="Name of the image that is the mask", options=_SKIP)
    cover: BoolProperty(name="Cover UV Map", default=True, options=_SKIP)
    scale: IntProperty(name="Spots Across", min=1, max=32, default=4, options=_SKIP)
    share: FloatProperty(name="Share", min=0, max=1, default=0.4, options=_SKIP)
    spots_seed: IntProperty(name="Spots Seed", min=0, options=_SKIP)
    softness: FloatProperty(name="Softness", min=0, max=1, default=0.2, options=_SKIP)
    heights: FloatProperty(name="Heights", min=0, max=1, default=0.25, options=_SKIP)
    reach: FloatProperty(name="Reach", min=0, max=1, default=0.25, options=_SKIP)

    @classmethod
    def refusal(cls, context: Any) -> str:
        if why := no_object(context):
            return why
        welcome = state.session().connection.welcome
        if welcome and FEATURE not in welcome.features:
            return "This server cannot blend models. Update it"
        return ""

    def prepare(self, context: Any) -> PreparedTexture:
        given = self.given()
        if "image" in given:
            given["image"] = bpy.data.images.get(self.image)
            given.setdefault("mask", "IMAGE")
            if given["image"] is None:
                raise NotOrdered(f"There is no image {self.image!r}. Give the name of one in this file.")
        return blend_orders.blended(context, **given)


class TEXSERVER_OT_new_mask(Operator):
    """Make a black image for the mask. Paint white where the second model shows, with a soft brush"""

    bl_idname = "texserver.new_mask"
    bl_label = "New Mask"
    bl_options = {"UNDO"}

    def execute(self, context: Any) -> Outcome:
        settings = context.scene.texserver
        height, width = orders.Settings(settings, {}).asked_size
        factor = blend_orders.MASK_SIDE / max(height, width)
        images: Any = bpy.data.images
        image = images.new(MASK_NAME, max(1, round(width * factor)), max(1, round(height * factor)), is_data=True)
        settings.blending.image, settings.blending.mask = image, "IMAGE"
        paint = context.tool_settings.image_paint
        paint.mode, paint.canvas = "IMAGE", image  # what Texture Paint paints on
        return FINISHED


class TEXSERVER_OT_spots_dice(DiceOperator):
    """Other spots"""

    bl_idname = "texserver.spots_dice"

    def settings(self, context: Any) -> Any:
        return context.scene.texserver.blending

    def execute(self, context: Any) -> Outcome:
        self.settings(context).spots_seed = orders.dice()
        return FINISHED


CLASSES = (TEXSERVER_OT_blend, TEXSERVER_OT_new_mask, TEXSERVER_OT_spots_dice)
