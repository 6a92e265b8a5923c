"""Which maps show a relief, and how deep it is.

A normal map and a height map describe the same relief, so only one of them shades it: the normal map, which does it
better, where there is one. To displace the surface, the height map moves it, and the normal map shades what the mesh is
too coarse for.

The depth of a relief is a number of texels, like every length in a texture: a larger texture shows more of the same.
Standard library only, no bpy.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

Projection = Literal["UV", "BOX", "OBJECT"]
Method = Literal["BUMP", "DISPLACEMENT", "BOTH"]  # Blender's names: shading, surface, both

REFERENCE_TEXELS: Final = 1024  # a depth is a share of these: at 1024 texels per metre it is in metres


@dataclass(frozen=True, kw_only=True)
class Relief:
    """Whether the normal map and the height map are linked, and what the material does with a linked height map."""

    normal: bool
    height: bool
    method: Method


def relief_of(maps: Collection[str], *, displace: bool) -> Relief:
    """How to show the relief of these maps. `displace`: move the surface itself."""
    has_height, normal = "height" in maps, "normal" in maps
    if not (has_height and displace):
        return Relief(normal=normal, height=has_height and not normal, method="BUMP")
    return Relief(normal=normal, height=True, method="DISPLACEMENT" if normal else "BOTH")


def depth(share: float, texels_per_unit: float) -> float:
    """The depth in units, from the lowest to the highest point, of a relief of `share` times 1024 texels.

    ValueError unless the share is zero or more and the texels per unit are above zero.
    """
    if not (0 <= share < math.inf and 0 < texels_per_unit < math.inf):
        raise ValueError(f"a relief of {share} at {texels_per_unit} texels per unit has no depth")
    return share * REFERENCE_TEXELS / texels_per_unit
