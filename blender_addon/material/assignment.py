"""Where a texture goes: onto which objects and into which material, and how that is taken back.

Between the click and the pixels anything may happen: undo, renaming, deleting. So this module keeps no data of Blender,
only names and session identifiers, and looks everything up again at each step.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import bpy

from ..client.sinks import PaintedMap
from ..protocol.errors import TexserverError
from ..tasks.task import Painted
from .materials import (
    ShownBefore,
    TextureMapping,
    images_of,
    is_ours,
    load_image,
    name_image,
    new_material,
    remove_unused,
    restore,
    show,
)
from .references import Reference

SlotChoice = Literal["UPDATE", "NEW", "ADD"]
WITH_MATERIALS: Final = frozenset({"MESH", "CURVE", "CURVES", "SURFACE", "META", "FONT", "POINTCLOUD", "VOLUME"})


class NotAssigned(TexserverError):
    """The texture cannot be put there. The text says what to do."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where a person wants the texture: on which objects, in which slot, and how it is mapped. The first is active."""

    objects: tuple[Reference, ...]
    slot: SlotChoice = "UPDATE"
    mapping: TextureMapping = field(default_factory=TextureMapping)
    replace_links: bool = False
    pack: bool = True

    @property
    def previews(self) -> bool:
        """Whether a preview could be taken back without a trace. Not from the nodes of somebody else's material."""
        return self.slot != "ADD"


def target_for(objects: Sequence[Any], **others: Any) -> Target:
    """A target with these objects. Raises NotAssigned if one of them cannot have a material."""
    if not objects:
        raise NotAssigned("There is no active object. Select the object for the texture.")
    for each in objects:
        check(each)
    return Target(objects=tuple(Reference.to("objects", each) for each in objects), **others)


def check(thing: Any) -> None:
    """Raises NotAssigned for an object that cannot have a material."""
    if thing.type not in WITH_MATERIALS:
        raise NotAssigned(f"{thing.name} is of a type without materials. Select a mesh, a curve or a text.")
    if thing.library or (thing.override_library and thing.override_library.is_system_override):
        raise NotAssigned(f"{thing.name} is linked from another file. Make it local, or a library override, first.")
    if thing.data.library and not thing.material_slots:
        raise NotAssigned(f"The data of {thing.name} is linked from another file. Make it local first.")


def objects_of(target: Target) -> list[Any]:
    """The target's objects that still exist. Raises NotAssigned if none does, or one can no longer have a material."""
    found = [each for each in (reference.get() for reference in target.objects) if each is not None]
    if not found:
        names = ", ".join(reference.name for reference in target.objects)
        raise NotAssigned(
            f"{names} no longer exists. Select another object and press Generate, or Again in the history."
        )
    for each in found:
        check(each)
    return found


class Assignment:
    """Puts a preview and then the texture onto a target, or restores what was there before."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.preview_shown = False
        self._material: Reference | None = None
        self._is_new = False  # whether the material was made for this
        self._before: list[_SlotBefore] = []
        self._shown_before: ShownBefore | None = None  # what a material showed that is updated
        self._images: list[Reference] = []  # to remove when unused: shown before, or as a preview
        self._previews: frozenset[int] = frozenset()  # session identifiers of the preview's images
        self._loaded: dict[str, Reference] = {}  # images by map that are not shown yet

    def load(self, painted: Painted) -> bool:
        """Load one more map, which may take a while. True when all are loaded, so that show() is fast.

        Raises NotAssigned and then has changed nothing.
        """
        missing = [map for map in painted.painting.maps if not self._is_loaded(map)]
        if missing:
            self._image(painted, missing[0], preview=False)
        return len(missing) < 2

    def _is_loaded(self, map: PaintedMap) -> bool:
        """Whether the image of a map is loaded, and undo has not removed it."""
        reference = self._loaded.get(map.name)
        return reference is not None and reference.get() is not None

    def show(self, painted: Painted, *, preview: bool = False) -> None:
        """Put the images onto the objects. Raises NotAssigned and then has changed nothing."""
        objects = objects_of(self.target)
        material = self._material.get() if self._material else None
        if material is None:
            material = self._choose(objects[0], painted)
        for each in images_of(material).values():
            if each is not None:
                self._images.append(Reference.to("images", each))
        images = {map.name: self._image(painted, map, preview) for map in painted.painting.maps}
        show(
            material,
            painted.painting,
            images,
            self.target.mapping,
            replace_links=self.target.replace_links,
            tidy=not preview,
        )
        for each in objects:
            self._put(each, material)
        self._loaded = {}
        if preview:
            self.preview_shown = True
            self._images.extend(Reference.to("images", each) for each in images.values())
            self._previews = frozenset(each.session_uid for each in images.values())
        else:
            remove_unused(self._images)
            self._images = []
            for map in painted.painting.maps:  # the earlier image may have had the name until now
                name_image(images[map.name], painted.painting, map)

    def _image(self, painted: Painted, map: PaintedMap, preview: bool) -> Any:
        """The image of a map; loaded now if it is not yet."""
        if self._is_loaded(map):
            return self._loaded[map.name].get()
        try:
            image = load_image(painted, map, pack=preview or self.target.pack)
        except RuntimeError as error:  # in Blender's own words
            self.revert()
            raise NotAssigned(f"The texture is painted but Blender cannot load it. {error}") from None
        self._loaded[map.name] = Reference.to("images", image)
        return image

    def meets(self, other: "Assignment") -> bool:
        """Whether this one's preview might cover the other's. Then neither could be taken back."""
        uids = {reference.uid for reference in self.target.objects}
        things = [reference.get() for reference in self.target.objects]
        current = {each.active_material.session_uid for each in things if each is not None and each.active_material}
        theirs = other._material.uid if other._material else None
        return theirs in current or any(reference.uid in uids for reference in other.target.objects)

    def revert(self) -> None:
        """Restore what was there before the preview. What somebody has changed or removed since then stays so."""
        material = self._material.get() if self._material else None
        if material is not None and (not self.preview_shown or self._is_seen(material)):
            for each in reversed(self._before):
                each.bring_back(material)
            if self._is_new and material.users == 0:
                bpy.data.materials.remove(material)
            elif self._shown_before:
                restore(material, self._shown_before)
        remove_unused((*self._images, *self._loaded.values()))
        self._images, self._loaded = [], {}

    def withdraw(self) -> None:
        """Take back the preview and all loaded images. Both can come again."""
        self.revert()
        self.preview_shown, self._material, self._previews = False, None, frozenset()

    def _is_seen(self, material: Any) -> bool:
        """Whether the material still shows the preview. Another task may have put its texture there since."""
        return any(each and each.session_uid in self._previews for each in images_of(material).values())

    # -------------------------------------------------------------------------------------------------------- choosing

    def _choose(self, thing: Any, painted: Painted) -> Any:
        current = thing.active_material
        usable = current is not None and current.library is None
        wanted = usable and (self.target.slot == "ADD" or (self.target.slot == "UPDATE" and is_ours(current)))
        material = current if wanted else new_material(painted.painting.model)
        self._is_new = not wanted
        self._shown_before = None if self._is_new or material.node_tree is None else ShownBefore.by(material)
        self._material = Reference.to("materials", material)
        self._before = []
        return material

    def _put(self, thing: Any, material: Any) -> None:
        """Put the material into the active slot of an object."""
        reference = Reference.to("objects", thing)
        if not thing.material_slots:
            thing.data.materials.append(material)
            self._before.append(_SlotBefore(thing=reference, index=0, is_new=True))
            return
        index = thing.active_material_index
        slot = thing.material_slots[index]
        if slot.material == material:
            return
        earlier = Reference.to("materials", slot.material) if slot.material else None
        self._before.append(_SlotBefore(thing=reference, index=index, material=earlier, link=slot.link))
        if thing.data.library:
            slot.link = "OBJECT"
        slot.material = material


@dataclass(frozen=True, kw_only=True)
class _SlotBefore:
    """A material slot as it was before."""

    thing: Reference
    index: int
    material: Reference | None = None
    link: str = ""
    is_new: bool = False

    def bring_back(self, material: Any) -> None:
        """Restore the slot, if it still holds this material."""
        thing = self.thing.get()
        slots = thing.material_slots if thing is not None else ()
        if self.index >= len(slots) or slots[self.index].material != material:
            return
        if self.is_new and len(slots) == 1:
            thing.data.materials.clear()  # pop() would keep the object's slot
        elif self.link and slots[self.index].link != self.link:
            slots[self.index].material = None
            slots[self.index].link = self.link
        else:
            slots[self.index].material = self.material.get() if self.material else None


def selected(active: Any, others: Iterable[Any]) -> list[Any]:
    """The active object, then the others that can have a material."""
    return [active, *(each for each in others if each != active and each.type in WITH_MATERIALS)]
