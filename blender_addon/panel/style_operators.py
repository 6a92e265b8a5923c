"""The operators of the panels "Stylize". As in operators.py, a button only begins a task, and a script waits for it."""

from typing import Any

from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, StringProperty

from . import style_orders
from .operator import FINISHED, Operator, Outcome, PaintingOperator
from .operators import DiceOperator
from .settings import CONTENTS, FRAMES

_SKIP = {"SKIP_SAVE"}


class _Stylizing(PaintingOperator):
    """An operator that begins to stylize. It needs no object."""

    doing = "Stylizing"

    @classmethod
    def refusal(cls, context: Any) -> str:
        return ""


class TEXSERVER_OT_stylize_image(_Stylizing):
    """Stylize the picture as a new image. The scene's settings are used for everything that is not given"""

    bl_idname = "texserver.stylize_image"
    bl_label = "Stylize"

    model: StringProperty(name="Style", options=_SKIP)
    content: EnumProperty(name="Content", items=CONTENTS, options=_SKIP)
    image: StringProperty(
        name="Image", description="Name of the image to stylize. Empty: the image in the Image Editor", options=_SKIP
    )
    strength: FloatProperty(name="Strength", min=0, max=1, default=1, options=_SKIP)
    seed: IntProperty(name="Seed", min=0, options=_SKIP)
    keep_colours: BoolProperty(name="Keep Colours", options=_SKIP)
    stroke: FloatProperty(name="Stroke Size", min=0.25, max=4, default=1, options=_SKIP)

    def prepare(self, context: Any) -> style_orders.PreparedPicture:
        return style_orders.picture(context, **self.given())


class TEXSERVER_OT_stylize_animation(_Stylizing):
    """Stylize all frames, each into a file. Frames whose files exist are not painted again"""

    bl_idname = "texserver.stylize_animation"
    bl_label = "Stylize Animation"

    model: StringProperty(name="Style", options=_SKIP)
    frames: EnumProperty(name="Frames", items=FRAMES, options=_SKIP)
    input_folder: StringProperty(name="Input", subtype="FILE_PATH", options=_SKIP)
    output_folder: StringProperty(name="Output", subtype="DIR_PATH", options=_SKIP)
    frame_start: IntProperty(name="First Frame", min=0, options=_SKIP)
    frame_end: IntProperty(name="Last Frame", min=0, options=_SKIP)
    overwrite: BoolProperty(name="Overwrite", description="Also paint frames whose files exist", options=_SKIP)
    strength: FloatProperty(name="Strength", min=0, max=1, default=1, options=_SKIP)
    seed: IntProperty(name="Seed", min=0, options=_SKIP)
    keep_colours: BoolProperty(name="Keep Colours", options=_SKIP)
    stroke: FloatProperty(name="Stroke Size", min=0.25, max=4, default=1, options=_SKIP)

    def prepare(self, context: Any) -> style_orders.PreparedSequence:
        return style_orders.sequence(context, **self.given())


class TEXSERVER_OT_stylize_compare(Operator):
    """Switch between the original and the result"""

    bl_idname = "texserver.stylize_compare"
    bl_label = "Compare"

    @classmethod
    def refusal(cls, context: Any) -> str:
        if context.area is None or context.area.type != "IMAGE_EDITOR":
            return "This works in the Image Editor"
        return ""

    def execute(self, context: Any) -> Outcome:
        space = context.area.spaces.active
        other = style_orders.other_of(space.image)
        if other is None:
            return self.fail("This image has no original and no result. Stylize it first.")
        space.image = other
        return FINISHED


class TEXSERVER_OT_stylize_dice(DiceOperator):
    """Another seed"""

    bl_idname = "texserver.stylize_dice"

    def settings(self, context: Any) -> Any:
        return context.scene.texserver.style


CLASSES = (
    TEXSERVER_OT_stylize_image,
    TEXSERVER_OT_stylize_animation,
    TEXSERVER_OT_stylize_compare,
    TEXSERVER_OT_stylize_dice,
)
