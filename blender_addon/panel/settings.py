"""What an artist sets in the panels, kept with the scene."""

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, PointerProperty, StringProperty

from . import gallery

CUSTOM = "CUSTOM"
SIZES = (("512", "512", ""), ("1024", "1K", ""), ("2048", "2K", ""), ("4096", "4K", ""), (CUSTOM, "Custom", ""))
MAPS = (
    ("basecolor", "Colour", "Base colour"),
    ("normal", "Normal", "Fine relief, as a normal map"),
    ("roughness", "Rough", "Roughness"),
    ("metallic", "Metal", "Metallic"),
    ("height", "Height", "The relief's height, for displacement"),
    ("ao", "AO", "Ambient occlusion: darkens the base colour where little light comes"),
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
CONTENTS = (
    ("RENDER", "Render", "What was rendered last"),
    ("IMAGE", "Image", "An image: the chosen one, or that of the Image Editor"),
    ("VIEWPORT", "Viewport", "What the 3D View shows; it takes the place of the last render"),
)
FRAMES = (
    ("RENDER", "Render", "Render the frames of the scene one by one"),
    ("FILES", "Existing Sequence", "Numbered pictures in a folder"),
)
_ENUM_FLAG = {"ENUM_FLAG"}


class TEXSERVER_PG_style(bpy.types.PropertyGroup):
    """Settings of the panels "Stylize"."""

    model: StringProperty(
        name="Style", description="Which of the server's styles to paint in", search=gallery.search_styles
    )
    gallery: EnumProperty(
        name="Gallery",
        description="The server's styles",
        items=gallery.styles,
        get=gallery.get_style,
        set=gallery.set_style,
    )
    content: EnumProperty(name="Content", description="Which picture to stylize", items=CONTENTS)
    image: PointerProperty(name="Image", description="Empty: that of the Image Editor", type=bpy.types.Image)
    strength: FloatProperty(
        name="Strength", description="0 is the picture, 1 the style", default=1, min=0, max=1, subtype="FACTOR"
    )
    seed: IntProperty(name="Seed", description="Another seed, other strokes of the same style", min=0)
    keep_colours: BoolProperty(
        name="Keep Colours", description="Take only light and dark from the style, and the colours from the picture"
    )
    after_render: BoolProperty(
        name="After Every Render", description="Stylize each render when it is complete, of an animation the last frame"
    )
    frames: EnumProperty(name="Frames", description="Where the frames of an animation come from", items=FRAMES)
    input_folder: StringProperty(
        name="Sequence",
        description="Folder of the frames, or one of them where several sequences are in there",
        subtype="FILE_PATH",
    )
    output_folder: StringProperty(
        name="Output",
        description="Where the stylized frames go. Empty: 'stylized' beside the .blend file",
        subtype="DIR_PATH",
    )


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
    displace: BoolProperty(
        name="Displace Surface",
        description="Off: the relief is shading alone, by the normal map; by the height where there is no normal map "
        "or the mapping is not UV; never by both. On: the height moves the surface as well, which needs a finely "
        "subdivided mesh; lower the Strength of the Normal Map node where the mesh shows all of the relief",
    )
    displacement: FloatProperty(
        name="Displacement",
        description="How deep the relief is from its lowest to its highest point: in metres at 1024 texels per metre, "
        "and as many texels at any other. A Scale that was changed in the Displacement node stays",
        default=0.05,
        min=0,
        max=100,
        soft_max=0.5,
        precision=3,
        step=1,
    )
    style: PointerProperty(type=TEXSERVER_PG_style)
    variations: IntProperty(name="Variations", description="How many seeds to look at", default=4, min=2, max=16)


CLASSES = (TEXSERVER_PG_style, TEXSERVER_PG_settings)
