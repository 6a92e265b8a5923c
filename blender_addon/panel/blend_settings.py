"""The settings of the panel "Blend", kept with the scene: layers with a model and a mask each, and how they meet."""

from math import pi
from typing import Any, Final

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from ..material import mesh_mask
from ..protocol.blending import HEIGHTS, MAX_BLENDED, REACH, SOFTNESS
from . import gallery

MOST_LAYERS: Final = MAX_BLENDED - 1
MASKS: Final = (
    ("SPOTS", "Spots", "Soft spots that are drawn here, of a scale and a seed"),
    ("IMAGE", "Image", "A painted image: white shows the layer, black what lies below"),
    ("ATTRIBUTE", "Vertex Colours", "What was painted on the mesh: white shows the layer. Along the UV map"),
    ("SLOPE", "Slope", "The layer lies where the object is level, as snow and moss do, or where it is steep"),
    ("HEIGHT", "Height", "The layer lies on the upper part of the object, or on the lower"),
)
OF_MESH: Final = frozenset({"ATTRIBUTE", "SLOPE", "HEIGHT"})


def _attributes(self: Any, context: Any, text: str) -> list[str]:
    return [each for each in mesh_mask.attributes_of(context.object) if text.lower() in each.lower()]


class Layer:
    """A model on those below it, and the mask that says where."""

    second: StringProperty(
        name="Second Model",
        description="The model that shows where the mask is white. The first is that of the gallery. Only quilts can "
        "be blended",
        search=gallery.search_blended,
    )
    mask: EnumProperty(name="Mask", description="What says which model shows where", items=MASKS)
    image: PointerProperty(
        name="Image",
        description="Its red channel is the mask, over the whole texture: paint white where the layer shows",
        type=bpy.types.Image,
    )
    scale: IntProperty(name="Spots Across", description="About how many lie side by side", default=4, min=1, max=32)
    share: FloatProperty(
        name="Share",
        description="How much of the texture the layer covers",
        default=0.4,
        min=0,
        max=1,
        subtype="FACTOR",
    )
    spots_seed: IntProperty(name="Seed", description="Another seed gives other spots", min=0)
    attribute: StringProperty(
        name="Attribute",
        description="Vertex colours, of which red counts, or an attribute of one number. Empty: the active colours",
        search=_attributes,
    )
    slope: FloatProperty(
        name="Angle",
        description="Up to which angle from level the layer lies",
        default=pi / 6,
        min=0,
        max=pi / 2,
        subtype="ANGLE",
    )
    level: FloatProperty(
        name="Level",
        description="From which height on the layer lies: 0 is the object's lowest point, 1 its highest",
        default=0.5,
        min=0,
        max=1,
        subtype="FACTOR",
    )
    transition: FloatProperty(
        name="Transition",
        description="How wide the mask is grey around its border. Borders move only there, to run through joints",
        default=0.15,
        min=0,
        max=1,
        subtype="FACTOR",
    )
    invert: BoolProperty(name="Invert", description="The layer lies where it would not")


class TEXSERVER_PG_blend_layer(Layer, bpy.types.PropertyGroup):
    """One more layer."""


class TEXSERVER_PG_blend(Layer, bpy.types.PropertyGroup):
    """How several models lie in one texture. It is its own first layer, and has `more`."""

    more: CollectionProperty(type=TEXSERVER_PG_blend_layer)
    cover: BoolProperty(
        name="Cover UV Map",
        description="Scale the texture so that it is as wide as the UV square, and the mask lies where it was painted. "
        "For square textures",
        default=True,
    )
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
        description="How much the higher of two materials is preferred near a border, where both have heights",
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


def layers_of(blend: Any) -> list[Any]:
    """All layers, from the lowest to the highest."""
    return [blend, *blend.more]


CLASSES = (TEXSERVER_PG_blend_layer, TEXSERVER_PG_blend)
