"""What panels show of materials made from pictures: the button, the growing texture, the server's trainings."""

from typing import Any, Final

import bpy

from ..protocol.training import STYLE
from ..tasks import state
from ..tasks.training_task import TrainingTask
from . import gallery

MOST_LISTED: Final = 5


class TEXSERVER_MT_picture(bpy.types.Menu):
    """Where a picture may come from."""

    bl_idname = "TEXSERVER_MT_picture"
    bl_label = "Material from Picture"

    def draw(self, context: Any) -> None:
        layout: Any = self.layout
        layout.operator_context = "INVOKE_DEFAULT"
        layout.operator("texserver.material_from_picture", icon="FILE_IMAGE")
        layout.operator("texserver.train", text="From Object's Textures", icon="MATERIAL").source = "OBJECT"
        layout.operator("texserver.train", text="From Clipboard", icon="PASTEDOWN").source = "CLIPBOARD"
        layout.operator_menu_enum("texserver.material_from_image", "image", text="From Image", icon="IMAGE_DATA")


def draw_buttons(layout: Any) -> None:
    """The button, and beside it the other places where a picture may come from."""
    row = layout.row(align=True)
    row.operator_context = "INVOKE_DEFAULT"
    row.operator("texserver.material_from_picture", icon="FILE_IMAGE")
    row.menu(TEXSERVER_MT_picture.bl_idname, text="", icon="DOWNARROW_HLT")


def draw_growing(layout: Any) -> None:
    """The texture that the server is learning, as it is by now."""
    task = next((each for each in reversed(state.session().tasks) if isinstance(each, TrainingTask)), None)
    if task and not task.ended and task.picture:
        layout.template_icon(gallery.icon(task.picture), scale=8)


def draw_server_jobs(layout: Any) -> None:
    """Trainings of the server that no job here follows, or has brought to its end."""
    session = state.session()
    tasks = [each for each in session.tasks if isinstance(each, TrainingTask)]
    known = {each.token for each in tasks if not each.ended} | session.fetched
    jobs = [each for each in session.server_jobs.jobs if each.token not in known and each.state != "cancelled"]
    if not jobs:
        return
    layout.label(text="Learned on the server:")
    column = layout.column(align=True)
    for each in jobs[:MOST_LISTED]:
        row = column.row(align=True)
        if each.ended:
            row.label(text=each.name, icon="CHECKMARK" if each.state == "done" else "ERROR")
        else:
            row.progress(text=f"{each.name}  {100 * each.fraction:.0f} %", factor=each.fraction)
        if not each.ended or each.state == "done":
            row.operator_context = "INVOKE_DEFAULT"
            fetch = "texserver.fetch_style" if each.kind == STYLE else "texserver.fetch"
            button = row.operator(fetch, text="", icon="IMPORT")
            button.token, button.name = each.token, each.name


def in_image_menu(self: Any, context: Any) -> None:
    """In the Image Editor's menu "Image"."""
    image = getattr(getattr(context, "space_data", None), "image", None)
    layout = self.layout
    layout.separator()
    layout.operator_context = "INVOKE_DEFAULT"
    button = layout.operator("texserver.train", text="Material from This Image", icon="MATERIAL")
    button.source, button.image = "IMAGE", image.name if image else ""
    button = layout.operator("texserver.learn_style", text="Style from This Image", icon="BRUSH_DATA")
    button.image = image.name if image else ""


CLASSES = (TEXSERVER_MT_picture,)
