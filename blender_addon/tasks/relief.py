"""Which maps show a relief, and how deep it is.

A normal map and a height tell of the same relief, so one of them shades it, never both. The normal map does it better,
but only along a UV map: under another mapping its directions are not those of the surface. The height fits any mapping.
Where the surface itself is to move, the height moves it, and the normal map shades what the mesh is too coarse for.

The depth of a relief is a number of texels, as every length in a texture is: a larger texture shows more of the same.
No bpy here, and the standard library alone.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

Mapping = Literal["UV", "BOX", "OBJECT"]
Method = Literal["BUMP", "DISPLACEMENT", "BOTH"]  # Blender's names: of the shading, of the surface, of both

REFERENCE_TEXELS: Final = 1024  # what a depth is a share of: at as many per metre it is in metres


@dataclass(frozen=True, kw_only=True)
class Relief:
    """Whether the normal map and the height are linked, and what the material does with a height that is."""

    normal: bool
    height: bool
    method: Method


def relief_of(maps: Collection[str], mapping: Mapping, *, displace: bool) -> Relief:
    """With these maps."""
    has_height = "height" in maps
    normal = "normal" in maps and (mapping == "UV" or not has_height)
    if not (has_height and displace):
        return Relief(normal=normal, height=has_height and not normal, method="BUMP")
    return Relief(normal=normal, height=True, method="DISPLACEMENT" if normal else "BOTH")


def depth(share: float, texels_per_unit: float) -> float:
    """From the lowest to the highest point, in units, of a relief of that share of 1024 texels.

    ValueError unless the share is zero or more and the texels are above zero.
    """
    if not (0 <= share < math.inf and 0 < texels_per_unit < math.inf):
        raise ValueError(f"a relief of {share} at {texels_per_unit} texels per unit has no depth")
    return share * REFERENCE_TEXELS / texels_per_unit
