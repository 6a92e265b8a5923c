"""The settings of the panels, kept with the scene."""

from typing import Any

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

from ..loop import trial
from ..material import assignment, live, materials
from ..tasks import state
from ..tasks.relief import Projection
from . import blend_settings, gallery, style_region_settings

CATEGORY = "Texserver"  # of the tab in the sidebars
CUSTOM = "CUSTOM"
TEXELS, MOST_TEXELS = 1024.0, 1e6  # per metre
SIZES = (
    ("512", "512", ""),
    ("1024", "1K", ""),
    ("2048", "2K", ""),
    ("4096", "4K", ""),
    (CUSTOM, "Other", "Any width and height"),
)
MAPS = (
    ("basecolor", "Colour", "Base colour"),
    ("normal", "Normal", "Fine relief, as a normal map"),
    ("roughness", "Rough", "Roughness"),
    ("metallic", "Metal", "Metallic"),
    ("height", "Height", "Height of the relief, for displacement"),
    ("ao", "AO", "Ambient occlusion: darkens the base colour where little light comes"),
)
TARGETS = (
    ("UPDATE", "Update or New", "The material in the active slot if Texserver made it, or else a new one"),
    ("NEW", "New Material", "A new material in the active slot"),
    (
        "ADD",
        "Into the Active Material",
        "Add the texture to the material in the active slot, even if Texserver did not make it",
    ),
)
MAPPINGS = (
    ("UV", "UV", "With the object's UV map"),
    ("BOX", "Box", "From six sides, along the object's axes; needs no UV map"),
    ("OBJECT", "Object", "From above, along the object's axes; needs no UV map"),
)
CONTENTS = (
    ("RENDER", "Render", "The last render"),
    ("IMAGE", "Image", "The chosen image, or the one in the Image Editor"),
    ("VIEWPORT", "Viewport", "What the 3D View shows; it replaces the last render"),
)
FRAMES = (
    ("RENDER", "Render", "Render the frames of the scene one by one"),
    ("FILES", "Existing Sequence", "Numbered pictures in a folder"),
)
_ENUM_FLAG = {"ENUM_FLAG"}
_DISPLACE = (
    "Off: the relief is only shading, from the normal map, or from the height map if there is no normal map. On: the "
    "height map also moves the surface. It needs a finely subdivided mesh. Lower the normal strength if the mesh "
    "already shows the whole relief"
)
_KINDS: tuple[Projection, ...] = ("UV", "BOX", "OBJECT")  # in the order of MAPPINGS


class TEXSERVER_PG_style(bpy.types.PropertyGroup):
    """Settings of the panels "Stylize"."""

    model: StringProperty(name="Style", description="Which of the server's styles to use", search=gallery.search_styles)
    gallery: EnumProperty(
        name="Gallery",
        description="The server's styles",
        items=gallery.styles,
        get=gallery.get_style,
        set=gallery.set_style,
    )
    content: EnumProperty(name="Content", description="Which picture to stylize", items=CONTENTS)
    image: PointerProperty(name="Image", description="Empty: the image in the Image Editor", type=bpy.types.Image)
    strength: FloatProperty(
        name="Strength", description="0 is the picture, 1 the style", default=1, min=0, max=1, subtype="FACTOR"
    )
    stroke: FloatProperty(
        name="Stroke Size",
        description="How large strokes are against the picture. Styles of neural networks have one size",
        default=1,
        min=0.25,
        max=4,
        step=10,
    )
    seed: IntProperty(name="Seed", description="Another seed gives other strokes in the same style", min=0)
    keep_colours: BoolProperty(
        name="Keep Colours", description="Take only light and dark from the style, and the colours from the picture"
    )
    regions: CollectionProperty(type=style_region_settings.TEXSERVER_PG_region)
    after_render: BoolProperty(
        name="After Every Render",
        description="Stylize each render when it is complete; of an animation only the last frame",
    )
    frames: EnumProperty(name="Frames", description="Where the frames of an animation come from", items=FRAMES)
    input_folder: StringProperty(
        name="Input",
        description="Folder of the frames. If it has several sequences: a frame of one of them",
        subtype="FILE_PATH",
    )
    output_folder: StringProperty(
        name="Output",
        description="Folder for the stylized frames. Empty: 'stylized' beside the .blend file",
        subtype="DIR_PATH",
    )


def _model_changed(self: "TEXSERVER_PG_settings", context: Any) -> None:
    """Variations of another model are not offered for this one."""
    if state.is_open():
        ready = state.session().catalogue.ready("texture")
        name = self.model or (ready[0].name if ready else "")
        if any(task.order.model != name for task in state.session().variations):
            trial.take_off()
            gallery.forget_variations()
            state.session().vary([])


def model_texels(name: str) -> float | None:
    """Texels per metre at which this model, or the first if the name is "", has its true scale; None: not known."""
    if not state.is_open():
        return None
    catalogue = state.session().catalogue
    model = catalogue.get(name) if name else next(iter(catalogue.ready("texture")), None)
    return None if model is None or model.texels_per_metre is None else min(max(model.texels_per_metre, 1), MOST_TEXELS)


def first_texels(settings: "TEXSERVER_PG_settings", model: str) -> float:
    """Texels per metre of a new material with this model: those set by hand, or the model's own."""
    return settings.texels_by_hand or model_texels(model) or TEXELS


def _get_texels(self: "TEXSERVER_PG_settings") -> float:
    return first_texels(self, self.model)


def _set_texels(self: "TEXSERVER_PG_settings", texels: float) -> None:
    self.texels_by_hand = texels


class TEXSERVER_PG_settings(bpy.types.PropertyGroup):
    """Settings of the panels."""

    model: StringProperty(
        name="Model",
        description="Which of the server's materials to paint",
        search=gallery.search_models,
        update=_model_changed,
    )
    gallery: EnumProperty(
        name="Gallery",
        description="The server's materials",
        items=gallery.items,
        get=gallery.get_model,
        set=gallery.set_model,
    )
    search: StringProperty(
        name="Search", description="Show models in the gallery whose names contain this", options={"TEXTEDIT_UPDATE"}
    )
    category: StringProperty(name="Category", options={"HIDDEN"})
    category_shown: EnumProperty(
        name="Category",
        description="Show models of one kind in the gallery",
        items=gallery.categories,
        get=gallery.get_category,
        set=gallery.set_category,
    )
    favourites: BoolProperty(
        name="Favourites",
        description="Show only favourites in the gallery. The star beside a model's name marks it as one",
    )
    size: EnumProperty(
        name="Size", description="Pixels a side: a larger texture shows more area", items=SIZES, default="1024"
    )
    width: IntProperty(name="Width", default=1024, min=16, max=65536, subtype="PIXEL")
    height: IntProperty(name="Height", default=1024, min=16, max=65536, subtype="PIXEL")
    whole_periods: BoolProperty(
        name="Whole Periods",
        description="Change the size a little, so that a regular material (bricks, tiles) fits without stretching",
        default=True,
    )
    seed: IntProperty(name="Seed", description="Another seed gives another piece of the same material", min=0)
    maps: EnumProperty(
        name="Maps",
        description="Which of the model's maps to paint",
        items=MAPS,
        options=_ENUM_FLAG,
        default={each[0] for each in MAPS},
    )
    target: EnumProperty(name="Target", description="Where the texture goes", items=TARGETS)
    all_selected: BoolProperty(
        name="All Selected", description="Put the material on all selected objects, not only on the active one"
    )
    replace_links: BoolProperty(
        name="Replace Links",
        description="Also link the texture to inputs that already have another link",
    )
    mapping: EnumProperty(name="Mapping", items=MAPPINGS)
    blend: FloatProperty(
        name="Blend", description="How softly the six sides blend into each other", default=0.2, min=0, max=1
    )
    texels: FloatProperty(
        name="Texels per Metre",
        description="Pixels per metre of the object, for a new material. The texture repeats to fit. Until this is "
        "set, it is the model's own scale where that is known",
        default=TEXELS,
        min=1,
        max=MOST_TEXELS,
        precision=0,
        step=6400,
        get=_get_texels,
        set=_set_texels,
    )
    texels_by_hand: FloatProperty(
        name="Texels per Metre", description="0: the model's own", min=0, max=MOST_TEXELS, options={"HIDDEN"}
    )
    displace: BoolProperty(
        name="Displace Surface",
        description=_DISPLACE,
    )
    displacement: FloatProperty(
        name="Displacement",
        description="Depth of the relief from its lowest to its highest point, in metres at 1024 texels per metre, "
        "for a new material. At other densities it is the same number of texels",
        default=0.05,
        min=0,
        max=100,
        soft_max=0.5,
        precision=3,
        step=1,
    )
    style: PointerProperty(type=TEXSERVER_PG_style)
    blending: PointerProperty(type=blend_settings.TEXSERVER_PG_blend)
    variations: IntProperty(name="Variations", description="How many seeds to look at", default=4, min=2, max=16)


class TEXSERVER_PG_live(bpy.types.PropertyGroup):
    """What is not an input of a material's node: these make another node group, or other links, at once."""

    def _get_mapping(self) -> int:
        return _KINDS.index(materials.projection_of(self.id_data) or "UV")

    def _set_mapping(self, number: int) -> None:
        assignment.lay_along(self.id_data, _KINDS[number])

    def _get_displace(self) -> bool:
        return materials.displaces(self.id_data)

    def _set_displace(self, displace: bool) -> None:
        if live.showing(live.node_of(self.id_data.node_tree)):
            materials.set_displace(self.id_data, displace)

    def _get_vary(self) -> bool:
        return materials.varies(self.id_data)

    def _set_vary(self, vary: bool) -> None:
        materials.set_varies(self.id_data, vary)

    vary: BoolProperty(
        name="Vary per Object",
        description="Each object shows another piece of the texture, with no image added. A larger texture has more "
        "pieces. Regular materials move by whole periods",
        get=_get_vary,
        set=_set_vary,
    )
    mapping: EnumProperty(name="Mapping", items=MAPPINGS, get=_get_mapping, set=_set_mapping)
    displace: BoolProperty(name="Displace Surface", description=_DISPLACE, get=_get_displace, set=_set_displace)


CLASSES = (
    *style_region_settings.CLASSES,
    TEXSERVER_PG_style,
    *blend_settings.CLASSES,
    TEXSERVER_PG_settings,
    TEXSERVER_PG_live,
)
