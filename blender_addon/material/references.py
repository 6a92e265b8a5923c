"""References to Blender's data: undo or another file may remove any of it between two turns of the main loop."""

from dataclasses import dataclass
from typing import Any

import bpy


@dataclass(frozen=True)
class Reference:
    """A datablock, to look up again. The identifier lasts while the file is open, also across undo."""

    collection: str  # of bpy.data
    uid: int
    name: str

    @classmethod
    def to(cls, collection: str, thing: Any) -> "Reference":
        """A reference to a datablock of a collection of bpy.data."""
        return cls(collection, thing.session_uid, thing.name)

    def get(self) -> Any:
        """The datablock, or None when it is gone."""
        things = getattr(bpy.data, self.collection)
        named = things.get(self.name)
        if named is not None and named.session_uid == self.uid:
            return named
        return next((thing for thing in things if thing.session_uid == self.uid), None)
