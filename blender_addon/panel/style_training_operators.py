"""Make Style from Picture: a dialog for a file or an image of this Blender, and then a style in the panels "Stylize".

All lead to the operator `texserver.learn_style`. From a button it shows the dialog, and OK begins the job. From a
script it runs to the end.
"""

from pathlib import Path
from typing import Any, Final

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, StringProperty

from ..protocol.training import STYLE
from ..tasks import state
from . import style_training_orders, training_operators, training_orders
from .drawing import draw_text
from .operator import CANCELLED, FINISHED, Operator, Outcome, PaintingOperator
from .orders import NotOrdered
from .style_training_orders import PreparedStyle
from .training_orders import Found, cannot_learn, refusal, unused

_operators: Any = bpy.ops
_SKIP: Final = {"SKIP_SAVE"}
_HIDDEN: Final = {"SKIP_SAVE", "HIDDEN"}
_MARGINS: Final = ("left", "right", "top", "bottom")


def _margin(side: str) -> Any:
    return FloatProperty(
        name=side,
        description="How much of the picture there is not painting, such as a frame or a caption. It is never shown",
        min=0,
        max=0.9,
        soft_max=0.5,
        subtype="FACTOR",
        options={"SKIP_SAVE"},
    )


class TEXSERVER_OT_learn_style(PaintingOperator):
    """Make a style from a picture, such as a painting, and select it"""

    bl_idname = "texserver.learn_style"
    bl_label = "Make Style from Picture"
    bl_options = {"REGISTER"}
    doing = ""

    filepath: StringProperty(name="File", subtype="FILE_PATH", options=_HIDDEN)
    image: StringProperty(name="Image", description="Name of an image of this Blender", options=_HIDDEN)
    name: StringProperty(name="Name", description="Name of the new style on the server", options=_SKIP)
    left: _margin("Left")
    right: _margin("Right")
    top: _margin("Top")
    bottom: _margin("Bottom")
    replace: BoolProperty(name="Replace", description="The model of that name that the server has", options=_SKIP)

    refused: StringProperty(options=_HIDDEN)  # why the dialog, which was accepted, could not begin

    found: Found

    @classmethod
    def refusal(cls, context: Any) -> str:
        return cannot_learn(STYLE).rstrip(".")

    def invoke(self, context: Any, event: Any) -> Outcome:
        if bpy.app.background:
            return self.execute(context)
        state.session().wanted = True
        try:
            self.found = self._find()
        except NotOrdered as error:
            return self.fail(error)
        self.name = self.name or unused(self.found.name)
        manager: Any = context.window_manager
        width, label = training_operators.DIALOG, self.bl_label
        shown: Outcome = manager.invoke_props_dialog(self, width=width, title=label, confirm_text="Make")
        return shown

    def draw(self, context: Any) -> None:
        layout: Any = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.template_icon(training_operators.icon_of(self.found), scale=8)
        layout.prop(self, "name")
        if state.session().catalogue.get(self.name):
            layout.prop(self, "replace")
        column = layout.column(align=True)
        column.prop(self, "left", text="Leave Out Left", slider=True)
        for side in _MARGINS[1:]:
            column.prop(self, side, slider=True)
        if why := refusal(self.name, replace=self.replace, kind=STYLE) or self.refused:
            draw_text(layout, why, icon="ERROR", width=training_operators.CHARACTERS)

    def execute(self, context: Any) -> Outcome:
        if not self.options.is_invoke or bpy.app.background:
            return super().execute(context)
        try:
            training_operators.begin(self.prepare(context))
        except NotOrdered as error:  # Blender closes the dialog whatever OK does: show it again with all that was typed
            typed = {each: getattr(self, each) for each in ("filepath", "image", "name", "replace", *_MARGINS)}
            refused = "" if refusal(self.name, replace=self.replace, kind=STYLE) else str(error)
            _operators.texserver.learn_style("INVOKE_DEFAULT", refused=refused, **typed)
            return CANCELLED
        return FINISHED

    def prepare(self, context: Any) -> PreparedStyle:
        found = self.found if hasattr(self, "found") else self._find()
        margins = [getattr(self, side) for side in _MARGINS]
        name = self.name or unused(found.name)
        return style_training_orders.prepare(context, found, name, margins, replace=self.replace)

    def _find(self) -> Found:
        """Raises NotOrdered."""
        if self.image:
            image = bpy.data.images.get(self.image)
            if image is None:
                raise NotOrdered(f"There is no image {self.image!r}. Choose another one.")
            return training_orders.in_image(image)
        if not self.filepath:
            raise NotOrdered("There is no picture. Choose a file, or an image of this Blender.")
        path = Path(bpy.path.abspath(self.filepath))
        if path.is_dir():
            raise NotOrdered(f"{path} is a folder, and a style is made from one picture. Choose a file.")
        return training_orders.in_files([path])[0]


class TEXSERVER_OT_style_from_picture(Operator):
    """Make a style from a picture file, such as a photograph of a painting"""

    bl_idname = "texserver.style_from_picture"
    bl_label = "Make Style from Picture..."

    filepath: StringProperty(subtype="FILE_PATH", options=_HIDDEN)
    filter_image: BoolProperty(default=True, options={"HIDDEN"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN"})

    @classmethod
    def refusal(cls, context: Any) -> str:
        return TEXSERVER_OT_learn_style.refusal(context)

    def invoke(self, context: Any, event: Any) -> Outcome:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: Any) -> Outcome:
        _operators.texserver.learn_style("INVOKE_DEFAULT", filepath=self.filepath)
        return FINISHED


class TEXSERVER_OT_style_from_image(Operator):
    """Make a style from an image of this file: loaded, painted or packed"""

    bl_idname = "texserver.style_from_image"
    bl_label = "Style from Image"
    bl_property = "image"

    image: EnumProperty(name="Image", items=training_operators.images)

    @classmethod
    def refusal(cls, context: Any) -> str:
        return TEXSERVER_OT_learn_style.refusal(context)

    def execute(self, context: Any) -> Outcome:
        _operators.texserver.learn_style("INVOKE_DEFAULT", image=self.image)
        return FINISHED


class TEXSERVER_OT_fetch_style(PaintingOperator):
    """Select this style, which the server has made or is making, in the panels Stylize"""

    bl_idname = "texserver.fetch_style"
    bl_label = "Fetch Style"
    bl_options = {"REGISTER"}
    doing = ""

    token: StringProperty(options=_HIDDEN)
    name: StringProperty(options=_HIDDEN)

    @classmethod
    def refusal(cls, context: Any) -> str:
        return ""

    def prepare(self, context: Any) -> PreparedStyle:
        return style_training_orders.follow(context, self.token, self.name)


class TEXSERVER_MT_style_picture(bpy.types.Menu):
    """Where the picture of a new style may come from."""

    bl_idname = "TEXSERVER_MT_style_picture"
    bl_label = "Make Style from Picture"

    def draw(self, context: Any) -> None:
        layout: Any = self.layout
        layout.operator_context = "INVOKE_DEFAULT"
        layout.operator("texserver.style_from_picture", icon="FILE_IMAGE")
        layout.operator_menu_enum("texserver.style_from_image", "image", text="From Image", icon="IMAGE_DATA")


def draw_buttons(layout: Any) -> None:
    """The button, and beside it the other place where a picture may come from."""
    row = layout.row(align=True)
    row.operator_context = "INVOKE_DEFAULT"
    row.operator("texserver.style_from_picture", icon="FILE_IMAGE")
    row.menu(TEXSERVER_MT_style_picture.bl_idname, text="", icon="DOWNARROW_HLT")


CLASSES = (
    TEXSERVER_OT_learn_style,
    TEXSERVER_OT_style_from_picture,
    TEXSERVER_OT_style_from_image,
    TEXSERVER_OT_fetch_style,
    TEXSERVER_MT_style_picture,
)
