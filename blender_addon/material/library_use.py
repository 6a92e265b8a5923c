"""Materials of a library on objects: one that is here already, or an asset that is appended first."""

from typing import Any

import bpy

from . import measure
from .assignment import NotAssigned, check
from .slots import is_shared, put, selected_faces


def local(name: str) -> Any:
    """A material of this file. Raises NotAssigned."""
    material = bpy.data.materials.get(name)
    if material is None:
        raise NotAssigned(f"There is no material {name!r} in this file. Choose another one.")
    return material


def of_asset(asset: Any) -> Any:
    """The material of an asset; from a library it is appended, once. Raises NotAssigned."""
    if asset is None or asset.id_type != "MATERIAL":
        raise NotAssigned("Select a material in the Asset Browser, or give the name of one of this file.")
    if asset.local_id is not None:
        return asset.local_id
    path, name = asset.full_library_path, asset.name
    data: Any = bpy.data
    for each in data.materials:
        if each.get(_FROM) == [path, name] and each.library is None:
            return each
    try:
        with data.libraries.load(path, link=False) as (there, wanted):
            wanted.materials = [each for each in there.materials if each == name]
    except OSError as error:
        raise NotAssigned(f"The library {path} cannot be read: {error}.") from None
    if not wanted.materials:
        raise NotAssigned(f"The library {path} no longer has a material {name!r}. Refresh the Asset Browser.")
    material: Any = wanted.materials[0]
    if material.asset_data:
        material.asset_clear()
    material[_FROM] = [path, name]
    return material


_FROM = "texserver_from"  # the library's file and the material's name there


def assign(thing: Any, material: Any) -> None:
    """Put a material onto the faces of a mesh that are selected in Edit Mode; if all are, onto the whole object.

    Raises NotAssigned.
    """
    check(thing)
    faces = selected_faces(thing)
    if faces is None and thing.data.total_face_sel == 0:
        raise NotAssigned("No face is selected. Select the faces for the material.")
    if density := measure.measure(thing):
        measure.note(thing, density)
    put(thing, material, alone=is_shared(thing, [thing]), faces=faces)
