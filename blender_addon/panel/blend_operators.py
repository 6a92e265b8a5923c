"""The operators of the panel "Blend". As in operators.py, a button only begins a task, and a script waits for it."""

from array import array
from collections.abc import Callable
from math import pi
from typing import Any, Final

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, StringProperty

from ..client.blend_download import FEATURE
from ..tasks import state
from . import blend_orders, orders
from .blend_settings import MASKS, MOST_LAYERS, layers_of
from .operator import FINISHED, Operator, Outcome, PaintingOperator, no_object
from .orders import NotOrdered, PreparedTexture

MASK_NAME: Final = "Texserver Mask"
_SKIP = {"SKIP_SAVE"}


class TEXSERVER_OT_blend(PaintingOperator):
    """Paint a texture of several models and put it on the object. Borders follow joints and stones"""

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
    attribute: StringProperty(name="Attribute", options=_SKIP)
    slope: FloatProperty(name="Angle", min=0, max=pi / 2, default=pi / 6, subtype="ANGLE", options=_SKIP)
    level: FloatProperty(name="Level", min=0, max=1, default=0.5, options=_SKIP)
    transition: FloatProperty(name="Transition", min=0, max=1, default=0.15, options=_SKIP)
    invert: BoolProperty(name="Invert", options=_SKIP)
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


class _LayerOperator(Operator):
    """Does something with one layer."""

    bl_options = {"UNDO", "INTERNAL"}

    layer: IntProperty(name="Layer", min=0, max=MOST_LAYERS - 1, options={"SKIP_SAVE", "HIDDEN"})

    def chosen(self, context: Any) -> Any:
        """The layer, None where there is none."""
        layers = layers_of(context.scene.texserver.blending)
        return layers[self.layer] if self.layer < len(layers) else None

    def with_layer(self, context: Any, change: Callable[[Any, Any], Outcome]) -> Outcome:
        """What `change` does with the context and the layer."""
        layer = self.chosen(context)
        if layer is None:
            return self.fail(f"There is no layer {self.layer}. Add one first.")
        return change(context, layer)


class TEXSERVER_OT_new_mask(_LayerOperator):
    """Make a black image for the mask. Paint white where the layer shows, with a soft brush"""

    bl_idname = "texserver.new_mask"
    bl_label = "New Mask"

    def execute(self, context: Any) -> Outcome:
        return self.with_layer(context, self._change)

    def _change(self, context: Any, layer: Any) -> Outcome:
        height, width = orders.Settings(context.scene.texserver, {}).asked_size
        factor = blend_orders.MASK_SIDE / max(height, width)
        images: Any = bpy.data.images
        image = images.new(MASK_NAME, max(1, round(width * factor)), max(1, round(height * factor)), is_data=True)
        _paint_on(context, layer, image)
        return FINISHED


class TEXSERVER_OT_mask_to_image(_LayerOperator):
    """Make an image of this mask, to look at and to paint on. The layer then takes the image"""

    bl_idname = "texserver.mask_to_image"
    bl_label = "Mask to Image"

    def execute(self, context: Any) -> Outcome:
        return self.with_layer(context, self._change)

    def _change(self, context: Any, layer: Any) -> Outcome:
        settings = orders.Settings(context.scene.texserver, {})
        try:
            mask = blend_orders.mask_of(context, layer, settings.asked_size)
        except NotOrdered as error:
            return self.fail(error)
        images: Any = bpy.data.images
        image = images.new(MASK_NAME, mask.width, mask.height, is_data=True)
        grey = [each / 255 for each in range(256)]
        pixels = array("f", [1.0]) * (4 * mask.width * mask.height)
        upwards = (mask.data[start : start + mask.width] for start in range(0, len(mask.data), mask.width))
        values = array("f", (grey[each] for row in reversed(list(upwards)) for each in row))
        for channel in range(3):
            pixels[channel::4] = values
        image.pixels.foreach_set(pixels)
        image.update()
        image.pack()  # or it would be lost with the file
        _paint_on(context, layer, image)
        return FINISHED


def _paint_on(context: Any, layer: Any, image: Any) -> None:
    """Let a layer take an image, and Texture Paint paint on it."""
    layer.image, layer.mask = image, "IMAGE"
    paint = context.tool_settings.image_paint
    paint.mode, paint.canvas = "IMAGE", image


class TEXSERVER_OT_spots_dice(_LayerOperator):
    """Other spots"""

    bl_idname = "texserver.spots_dice"
    bl_label = "Roll the Dice"

    def execute(self, context: Any) -> Outcome:
        return self.with_layer(context, self._change)

    def _change(self, context: Any, layer: Any) -> Outcome:
        layer.spots_seed = orders.dice()
        return FINISHED


class TEXSERVER_OT_add_blend_layer(Operator):
    """Put one more model on top, with a mask of its own"""

    bl_idname = "texserver.add_blend_layer"
    bl_label = "Add Layer"
    bl_options = {"UNDO", "INTERNAL"}

    @classmethod
    def refusal(cls, context: Any) -> str:
        full = len(context.scene.texserver.blending.more) + 1 >= MOST_LAYERS
        return f"There can be {MOST_LAYERS} layers at most" if full else ""

    def execute(self, context: Any) -> Outcome:
        more = context.scene.texserver.blending.more
        layer = more.add()
        layer.spots_seed = len(more)  # not the spots of the layer below
        return FINISHED


class TEXSERVER_OT_remove_blend_layer(_LayerOperator):
    """Remove this layer"""

    bl_idname = "texserver.remove_blend_layer"
    bl_label = "Remove Layer"

    def execute(self, context: Any) -> Outcome:
        return self.with_layer(context, self._change)

    def _change(self, context: Any, layer: Any) -> Outcome:
        if not self.layer:
            return self.fail("The first layer stays. Choose another model for it.")
        context.scene.texserver.blending.more.remove(self.layer - 1)
        return FINISHED


CLASSES = (
    TEXSERVER_OT_blend,
    TEXSERVER_OT_new_mask,
    TEXSERVER_OT_mask_to_image,
    TEXSERVER_OT_spots_dice,
    TEXSERVER_OT_add_blend_layer,
    TEXSERVER_OT_remove_blend_layer,
)
