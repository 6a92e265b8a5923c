"""The inputs and outputs of the node group "Texserver Material": what an artist changes, and what a shader gets.

No bpy here.
"""

from dataclasses import dataclass
from typing import Final

VERSION: Final = 3  # of the group: 1 had no VARY, 2 no drift

SIZE, OFFSET_X, OFFSET_Y, ROTATION, BLEND = "Size", "Offset X", "Offset Y", "Rotation", "Blend"
HUE, VALUE, AO, ROUGH_MIN, ROUGH_MAX = "Hue", "Value", "AO", "Roughness Min", "Roughness Max"
STRENGTH, DISPLACEMENT = "Normal Strength", "Displacement"
VARY: Final = "Vary per Object"
HUE_DRIFT, VALUE_DRIFT, DRIFT_SIZE = "Hue Drift", "Value Drift", "Drift Size"
OUTPUTS: Final = {  # with the maps that each is for
    "Base Color": ("basecolor", "NodeSocketColor"),
    "Metallic": ("metallic", "NodeSocketFloat"),
    "Roughness": ("roughness", "NodeSocketFloat"),
    "Normal": ("normal", "NodeSocketVector"),
    "Displacement": ("height", "NodeSocketVector"),
}


@dataclass(frozen=True, kw_only=True)
class Input:
    """A value that an artist changes."""

    name: str
    default: float
    low: float
    high: float
    subtype: str = "NONE"
    maps: tuple[str, ...] = ()  # it has a meaning where one of these is shown; always, if there are none
    about: str = ""
    since: int = 1  # the first version of the group that has it


_FAR: Final = 1e4
INPUTS: Final = (
    Input(name=SIZE, default=1, low=1e-4, high=1e6, subtype="DISTANCE", about="Width of one repeat of the texture"),
    Input(name=OFFSET_X, default=0, low=-_FAR, high=_FAR, subtype="DISTANCE", about="Move the texture to the right"),
    Input(name=OFFSET_Y, default=0, low=-_FAR, high=_FAR, subtype="DISTANCE", about="Move the texture up"),
    Input(name=ROTATION, default=0, low=-_FAR, high=_FAR, subtype="ANGLE", about="Turn the texture to the left"),
    Input(name=BLEND, default=0.2, low=0, high=1, subtype="FACTOR", about="How softly the sides of the box blend"),
    Input(name=HUE, default=0, low=-0.5, high=0.5, maps=("basecolor",), about="Turn the colours; 0.5 is the opposite"),
    Input(name=VALUE, default=1, low=0, high=10, maps=("basecolor",), about="Brightness of the colours"),
    Input(name=AO, default=0.5, low=0, high=1, subtype="FACTOR", maps=("ao",), about="How much AO darkens the colour"),
    Input(
        name=ROUGH_MIN, default=0, low=0, high=1, subtype="FACTOR", maps=("roughness",), about="Where it is smoothest"
    ),
    Input(
        name=ROUGH_MAX, default=1, low=0, high=1, subtype="FACTOR", maps=("roughness",), about="Where it is roughest"
    ),
    Input(name=STRENGTH, default=1, low=0, high=10, maps=("normal",), about="Strength of the normal map"),
    Input(
        name=DISPLACEMENT,
        default=0.05,
        low=0,
        high=100,
        subtype="DISTANCE",
        maps=("height",),
        about="Depth of the relief, from its lowest to its highest point",
    ),
    Input(
        name=VARY, default=0, low=0, high=1, subtype="FACTOR", since=2, about="1: each object shows another piece of it"
    ),
    Input(
        name=HUE_DRIFT,
        default=0,
        low=0,
        high=0.5,
        maps=("basecolor",),
        since=3,
        about="How far the hue wanders over metres of the world",
    ),
    Input(
        name=VALUE_DRIFT,
        default=0,
        low=0,
        high=1,
        subtype="FACTOR",
        maps=("basecolor",),
        since=3,
        about="How far the brightness wanders over metres of the world",
    ),
    Input(
        name=DRIFT_SIZE,
        default=3,
        low=1e-3,
        high=1e6,
        subtype="DISTANCE",
        maps=("basecolor",),
        since=3,
        about="How wide the patches are in which the colours wander",
    ),
)
