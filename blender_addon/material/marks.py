"""The mark on everything that was made here: an ID property `texserver` with provenance, a version or a part's name.

No bpy here.
"""

from typing import Any, Final

MARK: Final = "texserver"


def is_ours(thing: Any) -> bool:
    """Whether an image, a material, a node group or a node was made here."""
    return thing is not None and MARK in thing
