"""Regions of a stylized picture: a painted mask and a style each. The orders, the buttons, the panel."""

from contextlib import suppress
from typing import Any, Final

import bpy
from bpy.props import IntProperty

from ..client.region_download import Region
from ..material import content
from ..pictures.picture_reader import PictureError, read_picture
from ..pictures.region_mix import grey_of
from ..tasks.style_task import NoContent
from . import orders
from .operator import FINISHED, Operator, Outcome
from .orders import NotOrdered
from .style_region_settings import MOST_REGIONS

MASK_NAME: Final = "Region Mask"
ITSELF: Final = "The picture itself"


def regions_of(context: Any) -> tuple[Region, ...]:
    """The regions that the scene's settings describe, the last one uppermost. Raises NotOrdered."""
    return tuple(_region(context, number, each) for number, each in enumerate(context.scene.texserver.style.regions, 1))


def _region(context: Any, number: int, settings: Any) -> Region:
    if settings.mask is None:
        raise NotOrdered(f"Region {number} has no mask. Choose an image, or press New Mask and paint on it.")
    style = orders.chosen_model(settings.style, "style").name if settings.style else ""
    try:
        path = content.of_image(settings.mask, context.scene)
    except NoContent as error:
        raise NotOrdered(str(error)) from error
    try:
        picture = read_picture(path)
    except PictureError as error:
        raise NotOrdered(str(error)) from error
    finally:
        with suppress(OSError):
            path.unlink()
    height, width, channels = picture.shape
    return Region(
        name=settings.mask.name, style=style, height=height, width=width, mask=grey_of(picture.data, channels)
    )


class TEXSERVER_OT_add_region(Operator):
    """Put a part of the picture into another style, or leave it as it is, by a mask"""

    bl_idname = "texserver.add_region"
    bl_label = "Add Region"
    bl_options = {"UNDO", "INTERNAL"}

    @classmethod
    def refusal(cls, context: Any) -> str:
        full = len(context.scene.texserver.style.regions) >= MOST_REGIONS
        return f"There can be {MOST_REGIONS} regions at most" if full else ""

    def execute(self, context: Any) -> Outcome:
        context.scene.texserver.style.regions.add()
        return FINISHED


class _RegionOperator(Operator):
    """Does something with one region."""

    bl_options = {"UNDO", "INTERNAL"}

    region: IntProperty(name="Region", min=0, max=MOST_REGIONS - 1, options={"SKIP_SAVE", "HIDDEN"})

    def missing(self, context: Any) -> str:
        """Why there is no such region, as a sentence; "" if there is."""
        there = self.region < len(context.scene.texserver.style.regions)
        return "" if there else f"There is no region {self.region}. Add one first."


class TEXSERVER_OT_remove_region(_RegionOperator):
    """Remove this region. Its mask stays among the images"""

    bl_idname = "texserver.remove_region"
    bl_label = "Remove Region"

    def execute(self, context: Any) -> Outcome:
        if why := self.missing(context):
            return self.fail(why)
        context.scene.texserver.style.regions.remove(self.region)
        return FINISHED


class TEXSERVER_OT_region_mask(_RegionOperator):
    """Make a black image of the picture's size for the mask, and open it to paint on. Paint white what belongs to it"""

    bl_idname = "texserver.region_mask"
    bl_label = "New Mask"

    def execute(self, context: Any) -> Outcome:
        if why := self.missing(context):
            return self.fail(why)
        images: Any = bpy.data.images
        image = images.new(MASK_NAME, *_picture_size(context), is_data=True)
        context.scene.texserver.style.regions[self.region].mask = image
        paint = context.tool_settings.image_paint
        paint.mode, paint.canvas = "IMAGE", image
        space = context.space_data
        if space and space.type == "IMAGE_EDITOR":
            space.image = image
            space.ui_mode = "PAINT"
        return FINISHED


def _picture_size(context: Any) -> tuple[int, int]:
    """Width and height of the picture that the settings stylize."""
    settings, space = context.scene.texserver.style, context.space_data
    image = settings.image or (space.image if space and space.type == "IMAGE_EDITOR" else None)
    if settings.content == "IMAGE" and image and min(image.size):
        return int(image.size[0]), int(image.size[1])
    rendered = context.scene.render
    factor = rendered.resolution_percentage
    return max(1, rendered.resolution_x * factor // 100), max(1, rendered.resolution_y * factor // 100)


class RegionsPanel:
    """Parts of the picture in other styles."""

    bl_label = "Regions"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        layout: Any = self.layout  # type: ignore[attr-defined]
        regions = context.scene.texserver.style.regions
        for number, region in enumerate(regions):
            column = layout.box().column()
            row = column.row(align=True)
            row.prop(region, "style", text="", icon="BRUSH_DATA", placeholder=ITSELF)
            row.operator("texserver.remove_region", text="", icon="X").region = number
            row = column.row(align=True)
            row.prop(region, "mask", text="")
            row.operator("texserver.region_mask", text="", icon="ADD").region = number
        layout.operator("texserver.add_region", icon="ADD")


CLASSES = (TEXSERVER_OT_add_region, TEXSERVER_OT_remove_region, TEXSERVER_OT_region_mask)
