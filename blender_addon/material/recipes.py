"""The recipes of a scene: which textures its images are, which of them have no pixels, and how those get them.

An image is a recipe where its mark says all that it takes (tasks/recipes.py). Its file may be missing: then Blender
shows it pink until somebody paints it. Images that are packed into the .blend file, and no others, can give their
pixels up.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import bpy

from ..tasks import kept_file
from ..tasks.file_stamp import stamp_of, stamp_of_bytes
from ..tasks.placement import Lattice
from ..tasks.recipes import Recipe, RecipeMap, pattern_of, read_recipes
from ..tasks.texture_files import TextureFiles
from . import live, materials
from .images import image_name
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
    packed: dict[str, None] = {}
    for image, recipe, map in _ours():
        if is_packed(image):
            packed[image.name] = None
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
    """Every image that is a recipe, with it and its map. One of UDIM squares comes once for each of them."""
    for image in bpy.data.images:
        if is_ours(image):
            for recipe, map in read_recipes(image[MARK].to_dict(), path_of(image)):
                yield image, recipe, map


def is_packed(image: Any) -> bool:
    """Whether pixels of an image are in the .blend file."""
    return len(image.packed_files) > 0


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
    """Where the file of an image is, or would be unpacked to. Linked images lie beside their own .blend file.

    Of UDIM squares: with <UDIM> in place of the number.
    """
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
    painted = {pattern_of(each.path, recipe.square) if recipe.square else each.path for each in recipe.maps.values()}
    for image in bpy.data.images:
        if is_ours(image) and not is_packed(image) and path_of(image) in painted:
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
    for image, painted in _files_of_images():
        if image.library or not (is_packed(image) or image[MARK].get("pack")):
            continue
        if image.is_dirty or not _take_out(image, painted, keep_files=keep_files):
            kept.append(image.name)
            continue
        count += 1
        if is_packed(image):
            freed += sum(each.packed_file.size for each in image.packed_files)
            image.unpack(method="REMOVE")
        pattern = pattern_of(painted[0].path, painted[0].square) if painted[0].square else painted[0].path
        image.filepath_raw = f"//{FOLDER}/{pattern.name}"
        if "pack" in image[MARK]:
            del image[MARK]["pack"]
        image.reload()
    forget_look()
    return Unpacked(count=count, bytes=freed, kept=tuple(kept))


@dataclass(frozen=True, kw_only=True)
class _File:
    """One file of an image."""

    path: Path
    stamp: str
    square: int  # of UDIM; 0: it is no such image

    def data_of(self, image: Any) -> tuple[bytes, bool]:
        """What is packed of it, or else is on the disk, and whether it is as it was painted. Raises OSError."""
        for each in image.packed_files:
            if not self.square or each.tile_number == self.square:
                data = bytes(each.packed_file.data)
                return data, stamp_of_bytes(data) == self.stamp
        if not self.path.exists():  # it was to be packed later, and somebody has removed it
            return b"", bool(self.stamp)
        return self.path.read_bytes(), stamp_of(self.path) == self.stamp


def _files_of_images() -> list[tuple[Any, list[_File]]]:
    """Our images with all their files."""
    found: dict[str, tuple[Any, list[_File]]] = {}
    for image, recipe, map in _ours():
        own = recipe.maps[map]
        file = _File(path=own.path, stamp=own.stamp, square=recipe.square)
        found.setdefault(image.name_full, (image, []))[1].append(file)
    return list(found.values())


def _take_out(image: Any, files: Sequence[_File], *, keep_files: bool) -> bool:
    """Write the files of an image beside the .blend file, if wanted. False if it must stay as it is."""
    wanted = []
    for each in files:
        target = Path(bpy.path.abspath(f"//{FOLDER}/{each.path.name}"))
        data, was_painted = each.data_of(image)
        if not was_painted or (target.exists() and stamp_of(target) != each.stamp):
            return False
        wanted.append((target, data))
    for target, data in wanted:
        if keep_files and data and not target.exists():
            kept_file.replace(target, data)
    return True


# ------------------------------------------------------------------------------------------------- other files, sizes


def elsewhere(recipe: Recipe, *, size: tuple[int, int], folder: Path | None) -> Recipe:
    """The same texture in another folder, with pictures of another size; its files are named as all of ours are.

    Raises BadRequest for UDIM squares that would be too large.
    """
    files = TextureFiles(folder or Path(bpy.path.abspath(f"//{FOLDER}")), cap_bytes=0)
    same, squares = size == recipe.side, recipe.squares
    if squares:
        squares = replace(squares, side=size)
        size = squares.size
    maps = {}
    for name, each in recipe.maps.items():
        (path,) = files.paths(
            model=recipe.model,
            sha256=recipe.identity,
            seed=recipe.seed,
            size=size,
            maps={name: each.depth},
            suffix=f"-{squares.name}.{recipe.square}{each.path.suffix}" if squares else each.path.suffix,
            wang=recipe.wang,
        )
        maps[name] = RecipeMap(path=path, depth=each.depth, stamp=each.stamp if same else "")
    return replace(recipe, size=size, squares=squares, maps=maps)


def lattice_of(recipe: Recipe) -> Lattice | None:
    """Of the pattern of a texture, as the materials that show it know it."""
    same = {image.name for image, other, _ in _ours() if replace(other, maps={}) == replace(recipe, maps={})}
    for material in bpy.data.materials:
        shown = live.showing(live.node_of(material.node_tree))
        if shown and shown.lattice and any(each.name in same for each in shown.images.values()):
            return shown.lattice
    return None


def point(moves: Sequence[tuple[Recipe, Recipe]]) -> int:
    """Let the materials show other files: of each pair those of the second recipe in place of those of the first.

    Returns how many images changed. Images that are linked from another file stay. Raises OSError where a file cannot
    be read.
    """
    changed: dict[str, Any] = {}
    resized: dict[str, Recipe] = {}
    for image, recipe, map in list(_ours()):
        before, after = next((each for each in moves if _is_part(recipe, map, each[0])), (None, None))
        if image.library or before is None or after is None:
            continue
        _point_image(image, after, map)
        changed[image.name_full] = image
        if before.size != after.size:
            resized[image.name_full] = after
    for name, after in resized.items():
        image = changed[name]
        image.name = image_name(after.model, image[MARK]["map"], after.size, after.seed, after.wang)
    for image in changed.values():
        image.reload()
    for material in bpy.data.materials:
        if material.library is None and material.node_tree:
            shown = materials.images_of(material)
            sizes = {after.size for name, after in resized.items() if changed[name] in shown.values()}
            for size in sizes:
                materials.resize(material, shown, size)
    forget_look()
    return len(changed)


def _is_part(recipe: Recipe, map: str, of: Recipe) -> bool:
    """Whether an image's recipe is one map of another recipe."""
    return replace(recipe, maps={}) == replace(of, maps={}) and of.maps.get(map) == recipe.maps[map]


def _point_image(image: Any, after: Recipe, map: str) -> None:
    """Give an image the file of a recipe."""
    path = after.maps[map].path
    height, width = after.size
    mark = {**image[MARK].to_dict(), "width": width, "height": height}
    mark.pop("pack", None)
    if after.squares:
        mark["udim"] = {**mark["udim"], "side": list(after.squares.side)}
        mark["stamps"] = {**mark["stamps"], str(after.square): stamp_of(path)}
        path = pattern_of(path, after.square)
    else:
        mark["stamp"] = stamp_of(path)
    if is_packed(image):
        image.unpack(method="REMOVE")
    image.filepath_raw = _relative(path)
    image[MARK] = mark


def _relative(path: Path) -> str:
    try:
        return str(bpy.path.relpath(str(path)))
    except ValueError:  # on another drive than the .blend file
        return str(path)
