"""Blender's data by name: between two turns of its main loop, undo or another file may take any of it away."""

from dataclasses import dataclass
from typing import Any

import bpy


@dataclass(frozen=True)
class Reference:
    """A datablock to be looked up again. The identifier lasts as long as the file is open, undo included."""

    collection: str  # of bpy.data
    uid: int
    name: str

    @classmethod
    def to(cls, collection: str, thing: Any) -> "Reference":
        return cls(collection, thing.session_uid, thing.name)

    def get(self) -> Any:
        """The datablock, or None when it is gone."""
        things = getattr(bpy.data, self.collection)
        named = things.get(self.name)
        if named is not None and named.session_uid == self.uid:
            return named
        return next((thing for thing in things if thing.session_uid == self.uid), None)
