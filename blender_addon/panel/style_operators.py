"""What the buttons of "Stylize" do, and scripts: as in operators.py, a button only begins and a script waits."""

from typing import Any

from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, StringProperty

from . import orders, style_orders
from .operators import FINISHED, Operator, Outcome, PaintingOperator
from .settings import CONTENTS, FRAMES

_SKIP = {"SKIP_SAVE"}


class _Stylizing(PaintingOperator):
    """One that has pictures painted; needs no object."""

    doing = "Stylizing"

    @classmethod
    def poll(cls, context: Any) -> bool:
        return True

    def _given(self) -> dict[str, Any]:
        """The properties that were given."""
        names = type(self).__annotations__
        return {each: getattr(self, each) for each in names if self.properties.is_property_set(each)}


class TEXSERVER_OT_stylize_image(_Stylizing):
    """Paint the picture in the style, as a new image beside it. What is not given is taken from the scene's settings"""

    bl_idname = "texserver.stylize_image"
    bl_label = "Stylize"

    model: StringProperty(name="Style", options=_SKIP)
    content: EnumProperty(name="Content", items=CONTENTS, options=_SKIP)
    image: StringProperty(
        name="Image", description="Its name, which makes it the content; empty: that of the Image Editor", options=_SKIP
    )
    strength: FloatProperty(name="Strength", min=0, max=1, default=1, options=_SKIP)
    seed: IntProperty(name="Seed", min=0, options=_SKIP)
    keep_colours: BoolProperty(name="Keep Colours", options=_SKIP)

    def made(self, context: Any) -> style_orders.MadePicture:
        return style_orders.picture(context, **self._given())


class TEXSERVER_OT_stylize_animation(_Stylizing):
    """Paint all frames in the style, each into a file; frames that are there are not painted again"""

    bl_idname = "texserver.stylize_animation"
    bl_label = "Stylize Animation"

    model: StringProperty(name="Style", options=_SKIP)
    frames: EnumProperty(name="Frames", items=FRAMES, options=_SKIP)
    input_folder: StringProperty(name="Sequence", subtype="FILE_PATH", options=_SKIP)
    output_folder: StringProperty(name="Output", subtype="DIR_PATH", options=_SKIP)
    frame_start: IntProperty(name="First Frame", min=0, options=_SKIP)
    frame_end: IntProperty(name="Last Frame", min=0, options=_SKIP)
    overwrite: BoolProperty(name="Overwrite", description="Paint those that are there, too", options=_SKIP)
    strength: FloatProperty(name="Strength", min=0, max=1, default=1, options=_SKIP)
    seed: IntProperty(name="Seed", min=0, options=_SKIP)
    keep_colours: BoolProperty(name="Keep Colours", options=_SKIP)

    def made(self, context: Any) -> style_orders.MadeSequence:
        return style_orders.sequence(context, **self._given())


class TEXSERVER_OT_stylize_compare(Operator):
    """Show the original in place of the result, and the other way round"""

    bl_idname = "texserver.stylize_compare"
    bl_label = "Compare"

    @classmethod
    def poll(cls, context: Any) -> bool:
        if context.area is None or context.area.type != "IMAGE_EDITOR":
            cls.poll_message_set("This is for the Image Editor")
            return False
        return True

    def execute(self, context: Any) -> Outcome:
        space = context.area.spaces.active
        other = style_orders.other_of(space.image)
        if other is None:
            return self.fail("There is no original or result of this image. Stylize it first.")
        space.image = other
        return FINISHED


class TEXSERVER_OT_stylize_dice(Operator):
    """Another seed"""

    bl_idname = "texserver.stylize_dice"
    bl_label = "Roll the Dice"
    bl_options = {"UNDO", "INTERNAL"}

    def execute(self, context: Any) -> Outcome:
        context.scene.texserver.style.seed = orders.dice()
        return FINISHED


CLASSES = (
    TEXSERVER_OT_stylize_image,
    TEXSERVER_OT_stylize_animation,
    TEXSERVER_OT_stylize_compare,
    TEXSERVER_OT_stylize_dice,
)
