"""Where a texture goes: onto which objects and into which material, and how that is taken back.

Between the click and the pixels anything may happen: undo, renaming, deleting. So this module keeps no data of Blender,
only names and session identifiers, and looks everything up again at each step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import bpy

from ..client.sinks import PaintedMap
from ..protocol.errors import TexserverError
from ..tasks import state
from ..tasks.library import LISTED
from ..tasks.painted import Painted
from ..tasks.placement import Lattice
from ..tasks.relief import Projection
from . import legacy, live, measure
from .images import load_image, name_image, note_replaced, remove_unused
from .marks import MARK, is_ours
from .materials import (
    UNIT,
    Linked,
    TextureMapping,
    groups_of,
    images_of,
    kept_images_of,
    new_material,
    projection_of,
    set_projection,
    show,
)
from .references import Reference
from .shown_before import ShownBefore, restore
from .slots import (
    WITH_MATERIALS,
    Faces,
    SlotBefore,
    have_changed,
    is_shared,
    others_with,
    own_slot,
    put,
    selected_faces,
)

SlotChoice = Literal["UPDATE", "NEW", "ADD"]


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
    faces: Mapping[int, Faces] = field(default_factory=dict)  # selected in Edit Mode, by the object's identifier


def target_for(objects: Sequence[Any], **others: Any) -> Target:
    """A target with these objects. Raises NotAssigned if one of them cannot have a material."""
    if not objects:
        raise NotAssigned("There is no active object. Select the object for the texture.")
    for each in objects:
        check(each)
    faces = {each.session_uid: chosen for each in objects if (chosen := selected_faces(each))}
    return Target(objects=tuple(Reference.to("objects", each) for each in objects), faces=faces, **others)


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
        faces = target.faces.get(each.session_uid)
        if faces and have_changed(each, faces):
            raise NotAssigned(f"The mesh of {each.name} has other faces now. Select them again and press Generate.")
    return found


class Assignment:
    """Puts a preview and then the texture onto a target, or restores what was there before."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.preview_shown = False
        self.notes: list[str] = []  # sentences for people: what was done that they may not expect
        self._material: Reference | None = None
        self._is_new = False  # whether the material was made for this
        self._before: list[SlotBefore] = []
        self._shown_before: ShownBefore | None = None  # what a material showed that is updated
        self._replaced: list[Reference] = []  # images and groups that were shown before, to remove when unused
        self._previews: frozenset[int] = frozenset()  # session identifiers of the images of all previews
        self._loaded: dict[str, Reference] = {}  # images by map that are not shown yet

    @property
    def previews(self) -> bool:
        """Whether a preview could be taken back without a trace. Not from nodes that are not in our group."""
        thing = self.target.objects[0].get()
        material = thing.active_material if thing else None
        return self.target.slot == "NEW" or (self.target.slot == "UPDATE" and not legacy.is_legacy(material))

    def load(self, painted: Painted) -> bool:
        """Load one more map, which may take a while. True when there was none left, so that show() is fast.

        Raises NotAssigned and then has changed nothing.
        """
        missing = next((map for map in painted.painting.maps if not self._is_loaded(map)), None)
        if missing:
            self._image(painted, missing, preview=False)
        return missing is None

    def _is_loaded(self, map: PaintedMap) -> bool:
        """Whether the image of a map is loaded, and undo has not removed it."""
        reference = self._loaded.get(map.name)
        return reference is not None and reference.get() is not None

    def show(self, painted: Painted, *, preview: bool = False) -> None:
        """Put the images onto the objects. Raises NotAssigned and then has changed nothing."""
        objects = objects_of(self.target)
        material = self._material.get() if self._material else None
        if material is None:
            material = self._choose(objects, painted)
        earlier = _shown_by(material)
        note_replaced(earlier)
        if not self.preview_shown:
            self._replaced += earlier
        images = {map.name: self._image(painted, map, preview) for map in painted.painting.maps}
        self._show(material, objects, painted, images)
        for each in objects:
            faces = self.target.faces.get(each.session_uid)
            if before := put(each, material, alone=is_shared(each, objects), faces=faces):
                self._before.append(before)
        self._loaded = {}
        if preview:
            if self.preview_shown:
                remove_unused(earlier)
            self.preview_shown = True
            self._previews |= {each.session_uid for each in images.values()}
        else:
            remove_unused((*self._replaced, *earlier))
            self._replaced = []
            for map in painted.painting.maps:  # the earlier image may have had the name until now
                name_image(images[map.name], painted.painting, map)

    def _show(self, material: Any, objects: Sequence[Any], painted: Painted, images: Mapping[str, Any]) -> None:
        densities = [measure.measure(each) for each in objects]
        for each, density in zip(objects, densities, strict=True):
            if density:
                measure.note(each, density)
        if legacy.is_legacy(material):
            if self.target.slot == "UPDATE" and not self.target.mapping.asked and legacy.can_swap(material, images):
                legacy.swap(material, images, painted.painting.size)
                material[MARK] = {**material[MARK].to_dict(), "seed": str(painted.painting.seed)}
                return
            upgrade(material, objects[0])
            self._replaced += [Reference.to("node_groups", each) for each in groups_of(material)]
        ours = self._is_new or is_ours(material)
        first = densities[0]
        linked = show(
            material,
            painted.painting,
            images,
            self.target.mapping,
            unit=first.per_unit if first and all(densities) else None,
            lattice=_lattice_of(painted),
            squares=painted.squares,
            replace_links=self.target.replace_links,
            ours=ours,
        )
        if not ours:
            self._tell(_what_was_added(material.name, linked))
        names = [each.name for each, density in zip(objects, densities, strict=True) if density is None]
        if linked.without_uv:
            have = "have" if len(names) > 1 else "has"
            self._tell(f"{', '.join(names)} {have} no usable UV map, so box mapping is used. Unwrap makes one.")
        elif projection_of(material) == "UV" and not painted.squares:
            for each, density in zip(objects, densities, strict=True):
                if density and density.spread > measure.EVEN:
                    self._tell(uneven(each.name, density.spread))

    def _tell(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)

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
        shown = _shown_by(material) if material is not None else []
        if material is not None and (not self.preview_shown or self._is_seen(material)):
            for each in reversed(self._before):
                each.bring_back(material)
            if self._is_new and material.users == 0:
                bpy.data.materials.remove(material)
            elif self._shown_before:
                restore(material, self._shown_before)
        remove_unused((*self._replaced, *shown, *self._loaded.values()))
        self._replaced, self._loaded = [], {}

    def withdraw(self) -> None:
        """Take back the preview and all loaded images. Both can come again."""
        self.revert()
        self.preview_shown, self._material, self._previews = False, None, frozenset()

    @property
    def material(self) -> Any:
        """The material that shows a preview of this one now; None if there is none, or it shows something else."""
        material = self._material.get() if self._material and self.preview_shown else None
        return material if material is not None and material.users and self._is_seen(material) else None

    def _is_seen(self, material: Any) -> bool:
        """Whether the material still shows the preview. Another task may have put its texture there since."""
        return any(each and each.session_uid in self._previews for each in images_of(material).values())

    # -------------------------------------------------------------------------------------------------------- choosing

    def _choose(self, objects: Sequence[Any], painted: Painted) -> Any:
        thing, slot = objects[0], self.target.slot
        current = self._current(thing)
        usable = current is not None and current.library is None
        material = current if usable and (slot == "ADD" or (slot == "UPDATE" and is_ours(current))) else None
        self._is_new = material is None
        if current is not None and current.library and slot == "UPDATE" and is_ours(current):
            self._tell(
                f"{current.name} is linked from another file, so it stays as it is. {thing.name} got a new material. "
                "Make it local to change it."
            )
        if material is not None and slot == "UPDATE":
            if material.asset_data and material[MARK].get("published") and not _is_library(bpy.data.filepath):
                material.asset_clear()  # a copy from a library; that one stays as it is
            if material.asset_data:
                self._tell(f"{material.name} is an asset, so it stays as it is. {thing.name} got a new material.")
                material = None
            elif others := others_with(material, objects):
                self._tell(
                    f"{others[0].name} also uses {material.name}, so {thing.name} got a copy of its own. To change "
                    "both, select both and set All Selected."
                )
                material = material.copy()
                self._is_new = True
        if material is None:
            material, self._is_new = new_material(painted.painting.model), True
        self._shown_before = None if self._is_new or material.node_tree is None else ShownBefore.by(material)
        self._material = Reference.to("materials", material)
        self._before = []
        return material

    def _current(self, thing: Any) -> Any:
        """The material in the slot that the texture goes into."""
        faces = self.target.faces.get(thing.session_uid)
        if not faces:
            return thing.active_material
        index = own_slot(thing, faces)
        return None if index is None else thing.material_slots[index].material


def _is_library(path: str) -> bool:
    """Whether a .blend file belongs to a library that was published here."""
    return bool(path) and (Path(path).parent / LISTED).exists()


def _lattice_of(painted: Painted) -> Lattice | None:
    """Of the pattern of a texture, as far as the server still has its model."""
    model = state.session().catalogue.get(painted.painting.model) if state.is_open() else None
    return model.lattice if model and model.sha256 == painted.painting.sha256 else None


def _shown_by(material: Any) -> list[Reference]:
    """The images and the group that our nodes of a material show."""
    shown = [*images_of(material).values(), *kept_images_of(material)]
    images = [Reference.to("images", each) for each in shown if each is not None]
    return [*images, *(Reference.to("node_groups", each) for each in groups_of(material))]


def lay_along(material: Any, projection: Projection) -> None:
    """Lay the texture of one of our nodes onto its objects in another way; for UV, their UV maps are measured."""
    if projection == "UV":
        density = None
        for each in others_with(material, ()):
            if found := measure.measure(each):
                measure.note(each, found)
                density = density or found
        if density and (node := live.node_of(material.node_tree)):
            node[UNIT] = density.per_unit
    set_projection(material, projection)


def uneven(name: str, spread: float) -> str:
    """What to say of a UV map that gives a texture other sizes in other places."""
    return (
        f"The UV map of {name} is uneven: sizes on it differ by a factor of {spread:.1f}. Box mapping or Unwrap makes "
        "them even."
    )


def upgrade(material: Any, thing: Any) -> None:
    """Turn the nodes of version 0.1 into our node group. It looks as before on this object."""
    density = measure.measure(thing)
    scale = max(sum(map(abs, thing.matrix_world.to_scale())) / 3, 1e-6)
    legacy.upgrade(material, density.per_unit if density else (scale, scale), scale)


def _what_was_added(name: str, linked: Linked) -> str:
    kept = f"{' and '.join(linked.kept)} kept what was linked there; Replace Links replaces it." if linked.kept else ""
    if not linked.linked:
        return f"Our node was added to {name}, but nothing is seen of it: {kept}"
    return f"Added to {name}: {' and '.join(linked.linked)}. {kept}".strip()
