"""What an artist sets in the panels, kept with the scene."""

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, StringProperty

from . import gallery

CUSTOM = "CUSTOM"
SIZES = (("512", "512", ""), ("1024", "1K", ""), ("2048", "2K", ""), ("4096", "4K", ""), (CUSTOM, "Custom", ""))
MAPS = (
    ("basecolor", "Colour", "Base colour"),
    ("normal", "Normal", "Fine relief, as a normal map"),
    ("roughness", "Rough", "Roughness"),
    ("metallic", "Metal", "Metallic"),
    ("height", "Height", "Displacement"),
    ("ao", "AO", "Ambient occlusion"),
)
TARGETS = (
    ("UPDATE", "Update or New", "The material in the active slot if it was made here, or else a new one"),
    ("NEW", "New Material", "A new material in the active slot"),
    ("ADD", "Into the Active Material", "Add the texture to the material in the active slot, whoever made it"),
)
MAPPINGS = (
    ("UV", "UV", "By the object's UV map"),
    ("BOX", "Box", "From six sides, in the object's own space; needs no UV map"),
    ("OBJECT", "Object", "From above, in the object's own space; needs no UV map"),
)
_ENUM_FLAG = {"ENUM_FLAG"}


class TEXSERVER_PG_settings(bpy.types.PropertyGroup):
    """Settings of the panels."""

    model: StringProperty(
        name="Model", description="Which of the server's materials to paint", search=gallery.search_models
    )
    gallery: EnumProperty(
        name="Gallery",
        description="The server's materials",
        items=gallery.items,
        get=gallery.get_model,
        set=gallery.set_model,
    )
    size: EnumProperty(
        name="Size", description="Pixels a side: a larger texture shows more area", items=SIZES, default="1024"
    )
    width: IntProperty(name="Width", default=1024, min=16, max=65536, subtype="PIXEL")
    height: IntProperty(name="Height", default=1024, min=16, max=65536, subtype="PIXEL")
    whole_periods: BoolProperty(
        name="Whole Periods",
        description="Change the size a little, so that a regular material (bricks, tiles) is not stretched to fit",
        default=True,
    )
    seed: IntProperty(name="Seed", description="Another seed, another piece of the same material", min=0)
    maps: EnumProperty(
        name="Maps",
        description="Which maps to ask for, of those that the model has",
        items=MAPS,
        options=_ENUM_FLAG,
        default={each[0] for each in MAPS},
    )
    target: EnumProperty(name="Target", description="Where the texture goes", items=TARGETS)
    all_selected: BoolProperty(
        name="All Selected", description="Put the material on all selected objects, not on the active one alone"
    )
    replace_links: BoolProperty(
        name="Replace Links",
        description="Also connect the texture where the material has another input already",
    )
    mapping: EnumProperty(name="Mapping", items=MAPPINGS)
    blend: FloatProperty(
        name="Blend", description="How softly the six sides go over into each other", default=0.2, min=0, max=1
    )
    texels: FloatProperty(
        name="Texels per Metre",
        description="Pixels on one metre of the object, or on one unit of its UV map; the texture repeats to suit",
        default=1024,
        min=1,
        max=1e6,
        precision=0,
        step=6400,
    )
    variations: IntProperty(name="Variations", description="How many seeds to look at", default=4, min=2, max=16)


CLASSES = (TEXSERVER_PG_settings,)
