"""Material slots: which one a texture goes into, who else uses its material, and how a slot becomes as it was before.

Faces that are selected in Edit Mode get a slot of their own. A mesh may be used by several objects; then the slot of
one of them is linked to that object, so that the others keep theirs.
"""

from array import array
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import bmesh
import bpy

from .references import Reference

WITH_MATERIALS: Final = frozenset({"MESH", "CURVE", "CURVES", "SURFACE", "META", "FONT", "POINTCLOUD", "VOLUME"})


@dataclass(frozen=True, kw_only=True)
class Faces:
    """Some faces of a mesh, by their indices, and how many it had then."""

    indices: frozenset[int]
    count: int


def selected_faces(thing: Any) -> Faces | None:
    """The faces that are selected in Edit Mode. None outside of it, or if none or all are selected."""
    if thing.type != "MESH" or not thing.data.is_editmode:
        return None
    faces = bmesh.from_edit_mesh(thing.data).faces
    chosen = frozenset(each.index for each in faces if each.select)
    return Faces(indices=chosen, count=len(faces)) if 0 < len(chosen) < len(faces) else None


def own_slot(thing: Any, faces: Faces) -> int | None:
    """The slot that has these faces and no others."""
    indices = _slots_of_faces(thing)
    found = {indices[each] for each in faces.indices} if len(indices) == faces.count else set()
    if len(found) == 1 and indices.count(slot := found.pop()) == len(faces.indices):
        return slot if slot < len(thing.material_slots) else None
    return None


def have_changed(thing: Any, faces: Faces) -> bool:
    """Whether the mesh no longer has the faces that were selected."""
    return len(_slots_of_faces(thing)) != faces.count


def others_with(material: Any, things: Collection[Any]) -> list[Any]:
    """Objects that use a material and are not among these."""
    others = (each for each in bpy.data.objects if each.type in WITH_MATERIALS and each not in things)
    return [each for each in others if any(slot.material == material for slot in each.material_slots)]


def is_shared(thing: Any, things: Collection[Any]) -> bool:
    """Whether another object than these has the same mesh."""
    data = thing.data
    return data.users > 1 and any(each.data == data for each in bpy.data.objects if each not in things)


@dataclass(frozen=True, kw_only=True)
class SlotBefore:
    """A material slot as it was before. Made by put(), restored by bring_back()."""

    thing: Reference
    index: int
    active: int = 0
    material: Reference | None = None
    link: str = ""
    is_new: bool = False
    faces: Faces | None = None
    slots: tuple[int, ...] = ()  # of the faces

    def bring_back(self, material: Any) -> None:
        """Restore the slot, if it still holds this material."""
        thing = self.thing.get()
        slots = thing.material_slots if thing is not None else ()
        if self.index >= len(slots) or slots[self.index].material != material:
            return
        if self.faces and not have_changed(thing, self.faces):
            _put_faces(thing, dict(zip(sorted(self.faces.indices), self.slots, strict=True)))
        slot = slots[self.index]
        if self.is_new and len(slots) == 1:
            thing.data.materials.clear()  # pop() would keep the object's slot
        elif self.is_new and self.index == len(slots) - 1:
            slot.material = None
            slot.link = "DATA"
            thing.data.materials.pop(index=self.index)
        elif self.link and slot.link != self.link:
            slot.material = None
            slot.link = self.link
        else:
            slot.material = self.material.get() if self.material else None
        if self.faces or not self.is_new:
            thing.active_material_index = self.active


def put(thing: Any, material: Any, *, alone: bool, faces: Faces | None = None) -> SlotBefore | None:
    """Put a material into the active slot of an object, or into one for these faces. None if it is there already.

    `alone`: other objects with the same mesh keep their materials.
    """
    reference, active = Reference.to("objects", thing), thing.active_material_index
    alone = alone or thing.data.library is not None
    slots = thing.material_slots
    index = own_slot(thing, faces) if faces else (active if slots else None)
    if index is not None:
        slot = slots[index]
        if slot.material == material:
            return None
        earlier = Reference.to("materials", slot.material) if slot.material else None
        before = SlotBefore(thing=reference, index=index, active=active, material=earlier, link=slot.link)
    else:
        if faces and not slots:
            thing.data.materials.append(None)  # or the other faces would show the new one
        thing.data.materials.append(None)
        index = len(thing.material_slots) - 1
        before = SlotBefore(thing=reference, index=index, active=active, is_new=True)
        if faces:
            chosen = sorted(faces.indices)
            slots_before = _slots_of_faces(thing)
            _put_faces(thing, dict.fromkeys(chosen, index))
            before = SlotBefore(
                thing=reference,
                index=index,
                active=active,
                is_new=True,
                faces=faces,
                slots=tuple(slots_before[each] for each in chosen),
            )
    slot = thing.material_slots[index]
    if alone:
        slot.link = "OBJECT"
    slot.material = material
    thing.active_material_index = index
    return before


def selected(active: Any, others: Iterable[Any]) -> list[Any]:
    """The active object, then the others that can have a material."""
    return [active, *(each for each in others if each != active and each.type in WITH_MATERIALS)]


def _slots_of_faces(thing: Any) -> Sequence[int]:
    if thing.data.is_editmode:
        return [each.material_index for each in bmesh.from_edit_mesh(thing.data).faces]
    indices = array("i", [0]) * len(thing.data.polygons)
    thing.data.polygons.foreach_get("material_index", indices)
    return indices


def _put_faces(thing: Any, slots: dict[int, int]) -> None:
    """Give faces, by index, these slots."""
    if thing.data.is_editmode:
        edited = bmesh.from_edit_mesh(thing.data)
        edited.faces.ensure_lookup_table()
        for face, slot in slots.items():
            edited.faces[face].material_index = slot
        bmesh.update_edit_mesh(thing.data, loop_triangles=False, destructive=False)
        return
    indices = array("i", _slots_of_faces(thing))
    for face, slot in slots.items():
        indices[face] = slot
    thing.data.polygons.foreach_set("material_index", indices)
    thing.data.update()
