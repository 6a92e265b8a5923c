"""The settings of the panel "Blend", kept with the scene."""

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, PointerProperty, StringProperty

from ..protocol.blending import HEIGHTS, REACH, SOFTNESS
from . import gallery

MASKS = (
    ("SPOTS", "Spots", "Soft spots that are drawn here, of a scale and a seed"),
    ("IMAGE", "Image", "A painted image: black shows the model of the gallery, white the second one"),
)


class TEXSERVER_PG_blend(bpy.types.PropertyGroup):
    """How two models lie side by side in one texture."""

    second: StringProperty(
        name="Second Model",
        description="The model that shows where the mask is white. The first is that of the gallery",
        search=gallery.search_models,
    )
    mask: EnumProperty(name="Mask", description="What says which model shows where", items=MASKS)
    image: PointerProperty(
        name="Image",
        description="Its red channel is the mask, over the whole texture: paint white where the second model shows",
        type=bpy.types.Image,
    )
    cover: BoolProperty(
        name="Cover UV Map",
        description="Scale the texture so that it is as wide as the UV square, and the mask lies where it was painted. "
        "For square textures",
        default=True,
    )
    scale: IntProperty(name="Spots Across", description="About how many lie side by side", default=4, min=1, max=32)
    share: FloatProperty(
        name="Share",
        description="How much of the texture the second model covers",
        default=0.4,
        min=0,
        max=1,
        subtype="FACTOR",
    )
    spots_seed: IntProperty(name="Seed", description="Another seed gives other spots", min=0)
    softness: FloatProperty(
        name="Softness",
        description="Of the borders: 0 is a hard edge, 1 a wide transition",
        default=SOFTNESS,
        min=0,
        max=1,
        subtype="FACTOR",
    )
    heights: FloatProperty(
        name="Heights",
        description="How much the higher of the two materials is preferred near a border, where both have heights",
        default=HEIGHTS,
        min=0,
        max=1,
        subtype="FACTOR",
    )
    reach: FloatProperty(
        name="Reach",
        description="How far borders may leave those of the mask, to run through joints and between stones",
        default=REACH,
        min=0,
        max=1,
        subtype="FACTOR",
    )
