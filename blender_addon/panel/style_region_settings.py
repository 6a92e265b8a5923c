"""The settings of the panel "Regions", kept with the scene: a mask and a style each."""

from typing import Final

import bpy
from bpy.props import PointerProperty, StringProperty

from . import gallery

MOST_REGIONS: Final = 4


class TEXSERVER_PG_region(bpy.types.PropertyGroup):
    """A part of the picture, and its style."""

    style: StringProperty(
        name="Style",
        description="The style that shows where the mask is white. Empty: the picture itself",
        search=gallery.search_styles,
    )
    mask: PointerProperty(
        name="Mask",
        description="An image of the picture's size: white shows this region, black what lies below, and grey mixes",
        type=bpy.types.Image,
    )


CLASSES = (TEXSERVER_PG_region,)
