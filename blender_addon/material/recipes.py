"""The recipes of a scene: which textures its images are, which of them have no pixels, and how those get them.

An image is a recipe where its mark says all that it takes (tasks/recipes.py). Its file may be missing: then Blender
shows it pink until somebody paints it. Images that are packed into the .blend file, and no others, can give their
pixels up.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import bpy

from ..tasks import kept_file
from ..tasks.file_stamp import stamp_of, stamp_of_bytes
from ..tasks.placement import Lattice
from ..tasks.recipes import Recipe, RecipeMap, read_recipe
from ..tasks.texture_files import TextureFiles
from . import live, materials
from .marks import MARK, is_ours

LOOK_EVERY_S: Final = 2.0  # at the disk, for the panel
FOLDER: Final = "textures"  # beside the .blend file


@dataclass(frozen=True, kw_only=True)
class SceneRecipes:
    """What a look at all images of the file found. Recipes of the same texture and folder are one."""

    recipes: tuple[Recipe, ...]  # of images whose pixels are not in the .blend file
    missing: tuple[Recipe, ...]  # those that have maps without a file, with these maps alone
    packed: tuple[Any, ...]  # images whose pixels are in it, by name

    @property
    def count(self) -> int:
        """How many images there are."""
        return sum(len(each.maps) for each in self.recipes) + len(self.packed)


def find() -> SceneRecipes:
    """Look at all images of the open file."""
    recipes: list[Recipe] = []
    packed = []
    for image, recipe, map in _ours():
        if image.packed_file:
            packed.append(image.name)
        else:
            _add(recipes, recipe, map)
    without = [each.only(lambda map: map.is_missing) for each in recipes]
    missing = tuple(each for each in without if each.maps)
    return SceneRecipes(recipes=tuple(recipes), missing=missing, packed=tuple(packed))


def all_of() -> list[Recipe]:
    """The recipes of all images of the open file, of those that are packed too."""
    recipes: list[Recipe] = []
    for _, recipe, map in _ours():
        _add(recipes, recipe, map)
    return recipes


def _ours() -> Iterator[tuple[Any, Recipe, str]]:
    """Every image that is a recipe, with it and its map. One of UDIM squares is none: it has several files."""
    for image in bpy.data.images:
        if image.source != "TILED" and is_ours(image) and (read := read_recipe(image[MARK].to_dict(), path_of(image))):
            yield image, *read


def _add(recipes: list[Recipe], recipe: Recipe, map: str) -> None:
    """Join the map to a recipe of the same texture in the same folder, or add the recipe."""
    mine = recipe.maps[map]
    for index, other in enumerate(recipes):
        same = replace(other, maps={}) == replace(recipe, maps={})
        beside = next(iter(other.maps.values())).path.parent == mine.path.parent
        if same and beside and other.maps.get(map, mine) == mine:
            recipes[index] = replace(other, maps={**other.maps, map: mine})
            return
    recipes.append(recipe)


def path_of(image: Any) -> Path:
    """Where the file of an image is, or would be unpacked to. Linked images lie beside their own .blend file."""
    return Path(bpy.path.abspath(image.filepath, library=image.library))


_looked: tuple[float, str, SceneRecipes] | None = None


def glance() -> SceneRecipes:
    """The same as find(), at most LOOK_EVERY_S old: for panels, which are drawn often."""
    global _looked
    now = time.monotonic()
    if _looked is None or now - _looked[0] > LOOK_EVERY_S or _looked[1] != bpy.data.filepath:
        _looked = now, bpy.data.filepath, find()
    return _looked[2]


def forget_look() -> None:
    """What was painted or unpacked just now is to be seen at once."""
    global _looked
    _looked = None


def show_painted(recipe: Recipe) -> None:
    """Let Blender read the files of a recipe that were painted just now."""
    painted = {each.path for each in recipe.maps.values()}
    for image in bpy.data.images:
        if is_ours(image) and not image.packed_file and path_of(image) in painted:
            image.reload()
    forget_look()


# ------------------------------------------------------------------------------------------------------ without pixels


@dataclass(frozen=True, kw_only=True)
class Unpacked:
    """What became of the packed images."""

    count: int  # gave their pixels up
    bytes: int
    kept: tuple[str, ...]  # by name: changed since they were painted, so they could not be painted again


def unpack_all(*, keep_files: bool) -> Unpacked:
    """Take the pixels of all our images out of the .blend file; `keep_files`: write them beside it, so they still show.

    Call it only where the .blend file is saved. Raises OSError.
    """
    count = freed = 0
    kept = []
    for image, recipe, map in list(_ours()):
        if image.library or not (image.packed_file or image[MARK].get("pack")):
            continue
        painted = recipe.maps[map]
        if image.is_dirty or not _take_out(image, painted, keep_files=keep_files):
            kept.append(image.name)
            continue
        count += 1
        if image.packed_file:
            freed += image.packed_file.size
            image.unpack(method="REMOVE")
        image.reload()
    forget_look()
    return Unpacked(count=count, bytes=freed, kept=tuple(kept))


def _take_out(image: Any, painted: RecipeMap, *, keep_files: bool) -> bool:
    """Give an image a path beside the .blend file, and the file if wanted. False if it must stay as it is."""
    target = Path(bpy.path.abspath(f"//{FOLDER}/{painted.path.name}"))
    if image.packed_file:
        data = bytes(image.packed_file.data)
        was_painted = stamp_of_bytes(data) == painted.stamp
    elif painted.is_missing:  # it was to be packed later, and somebody has removed it
        data, was_painted = b"", bool(painted.stamp)
    else:
        data, was_painted = painted.path.read_bytes(), not painted.is_changed
    if not was_painted or (target.exists() and stamp_of(target) != painted.stamp):
        return False
    if keep_files and data and not target.exists():
        kept_file.replace(target, data)
    image.filepath_raw = f"//{FOLDER}/{painted.path.name}"
    if "pack" in image[MARK]:
        del image[MARK]["pack"]
    return True


# ------------------------------------------------------------------------------------------------- other files, sizes


def elsewhere(recipe: Recipe, *, size: tuple[int, int], folder: Path | None) -> Recipe:
    """The same texture in another size or folder; its files are named as all of ours are."""
    files = TextureFiles(folder or Path(bpy.path.abspath(f"//{FOLDER}")), cap_bytes=0)
    maps = {}
    for name, each in recipe.maps.items():
        (path,) = files.paths(
            model=recipe.model,
            sha256=recipe.sha256,
            seed=recipe.seed,
            size=size,
            maps={name: each.depth},
            suffix=each.path.suffix,
            wang=recipe.wang,
        )
        same = size == recipe.size
        maps[name] = RecipeMap(path=path, depth=each.depth, stamp=each.stamp if same else "")
    return replace(recipe, size=size, maps=maps)


def lattice_of(recipe: Recipe) -> Lattice | None:
    """Of the pattern of a texture, as the materials that show it know it."""
    same = {image.name for image, other, _ in _ours() if replace(other, maps={}) == replace(recipe, maps={})}
    for material in bpy.data.materials:
        shown = live.showing(live.node_of(material.node_tree))
        if shown and shown.lattice and any(each.name in same for each in shown.images.values()):
            return shown.lattice
    return None


def point(before: Recipe, after: Recipe) -> int:
    """Let the materials show the files of `after` in place of those of `before`. Returns how many images changed.

    Images that are linked from another file stay. Raises OSError where a file of `after` cannot be read.
    """
    changed: list[Any] = []
    for image, recipe, map in list(_ours()):
        same = replace(recipe, maps={}) == replace(before, maps={})
        if image.library or not same or before.maps.get(map) != recipe.maps[map]:
            continue
        path = after.maps[map].path
        height, width = after.size
        mark = {**image[MARK].to_dict(), "width": width, "height": height, "stamp": stamp_of(path)}
        mark.pop("pack", None)
        if image.packed_file:
            image.unpack(method="REMOVE")
        image.filepath_raw = _relative(path)
        image[MARK] = mark
        if before.size != after.size:
            image.name = materials.image_name(after.model, map, after.size, after.seed, after.wang)
        image.reload()
        changed.append(image)
    if before.size != after.size:
        for material in bpy.data.materials:
            if material.library is None and material.node_tree:
                shown = materials.images_of(material)
                if any(each in changed for each in shown.values()):
                    materials.resize(material, shown, after.size)
    forget_look()
    return len(changed)


def _relative(path: Path) -> str:
    try:
        return str(bpy.path.relpath(str(path)))
    except ValueError:  # on another drive than the .blend file
        return str(path)
