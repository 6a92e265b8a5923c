"""Which models are to be made from the files and folders that were named, and which files are left out and why.

A folder may hold photographs, whole sets of maps, or both. Files belong to one set if they have the same name but for
the map (blender_addon/pictures/map_names.py). Names are not enough: `rusty_metal.jpg` may be a photograph of rusty
metal or a metallic map. A map of one channel is grey, so a colourful picture is a photograph.
"""

import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from blender_addon.pictures.map_files import NORMALS, best_of
from blender_addon.pictures.map_names import PARTS, PREVIEW, Named, named
from server.files.exr_file import EXR_SUFFIX
from server.files.picture_file import SUFFIXES, UnusablePicture, foreign_in, mode_of, pictures_in, quoted
from server.model.maps import BASE_COLOUR, HEIGHT, NORMAL
from trainer.swatch.samples import glance
from trainer.swatch.swatch import UnusableSwatch, model_name

LOOKED_AT = 64  # pixels along each side
COLOURFUL = 0.05  # the least difference between the channels of a pixel that has a colour


@dataclass(frozen=True, kw_only=True)
class Material:
    """What one model is made from. `name` is the model's; `path` the photograph, or the base colour of a set.

    `parts`: the other files of a set, by part (blender_addon/pictures/map_names.py). `beside`: other paintings of the
    same hand, for one style.
    """

    name: str
    path: Path
    parts: Mapping[str, Path] = field(default_factory=dict)
    beside: tuple[Path, ...] = ()


@dataclass(kw_only=True)
class Found:
    """What was found. `left_out`: files that look like pictures, each with the reason, in words that follow "it"."""

    materials: list[Material] = field(default_factory=list)
    left_out: dict[Path, str] = field(default_factory=dict)


def find_materials(paths: Sequence[Path], *, as_colours: bool = False, advice: str = "") -> Found:
    """What the files and folders hold, in the order given. Folders are sorted by name and not searched deeper.

    A file named twice counts once. `as_colours`: all pictures are photographs, whatever they are named and show.
    `advice`: what to do with a map that has no base colour.

    Raises UnusableSwatch for a missing path, a folder without a picture, two models of one name, or nothing to learn.
    """
    found = Found()
    seen: set[Path] = set()
    try:
        for is_folder, folder, files in _gathered(paths):
            new = [each for each in files if each.resolve() not in seen]
            seen |= {each.resolve() for each in new}
            if is_folder:
                found.left_out |= foreign_in(folder)
            if as_colours:
                found.materials += [Material(name=model_name(each), path=each) for each in new]
            else:
                _sort_out(new, folder if is_folder else None, found, advice)
    except UnusablePicture as error:
        raise UnusableSwatch(str(error)) from error
    if not found.materials:
        reasons = [f"{quoted(path)} cannot be learned from: {why}." for path, why in found.left_out.items()]
        raise UnusableSwatch(" ".join(reasons[:3]) or "No swatch was given: name a picture or a folder of pictures.")
    _check_names(found.materials)
    return found


def as_one(materials: Sequence[Material], name: str) -> Material:
    """All paintings for one style of this name."""
    first, *others = materials
    return Material(name=model_name(Path(f"{name}.png")), path=first.path, beside=tuple(each.path for each in others))


def _gathered(paths: Sequence[Path]) -> list[tuple[bool, Path, list[Path]]]:
    """Folders with their pictures; files that were named one by one, by their folder."""
    gathered: dict[tuple[bool, Path], list[Path]] = {}
    for path in paths:
        if stat.S_ISDIR(mode_of(path)):
            gathered[True, path] = pictures_in(path, (*SUFFIXES, EXR_SUFFIX))
        else:
            gathered.setdefault((False, path.parent), []).append(path)
    return [(is_folder, folder, files) for (is_folder, folder), files in gathered.items()]


def _check_names(materials: Iterable[Material]) -> None:
    taken: dict[str, Path] = {}
    for each in materials:
        if each.name in taken:
            raise UnusableSwatch(
                f"{quoted(taken[each.name])} and {quoted(each.path)} would both make the model {each.name!r}: "
                "rename one of them."
            )
        taken[each.name] = each.path


# ------------------------------------------------------------------------------------------------ sets and photographs


def _sort_out(files: Sequence[Path], folder: Path | None, found: Found, advice: str) -> None:
    """Sort files of one folder into sets, photographs, and what is left out. `folder`: if it was named as a whole."""
    names = {path: named(path.stem) for path in files}
    groups: dict[str, list[Path]] = {}
    by_whole: dict[str, list[Path]] = {}
    for path, name in names.items():
        by_whole.setdefault(name.whole.replace("_", ""), []).append(path)
        if name.part not in (None, PREVIEW):
            groups.setdefault(name.key, []).append(path)
    sets: list[Material] = []
    used: set[Path] = set()
    for key, members in groups.items():
        bare = [path for path in by_whole.get(key, ()) if path not in members]
        if made := _set_of(members, bare, names, found):
            sets.append(made)
            used |= {path for path in (*members, *bare) if path in found.left_out} | {made.path, *made.parts.values()}
    previews = {path for path, name in names.items() if name.part == PREVIEW} if sets else set()
    found.left_out |= dict.fromkeys(previews, "it is named as a preview")
    photographs = []
    for path in files:
        if path in used or path in found.left_out:
            continue
        if why := _not_colours(path, names[path]):
            found.left_out[path] = f"{why}: {advice}" if advice else why
        else:
            photographs.append(Material(name=model_name(path), path=path))
    if folder and len(sets) == 1 and not photographs:
        sets = [Material(name=model_name(_in(folder)), path=sets[0].path, parts=sets[0].parts)]
    order = {path: at for at, path in enumerate(files)}
    found.materials += sorted([*sets, *photographs], key=lambda each: order[each.path])


def _set_of(
    members: Sequence[Path], bare: Sequence[Path], names: Mapping[Path, Named], found: Found
) -> Material | None:
    """The set that files of one name make, or None. `bare`: files that have the name alone."""
    by_part: dict[str, list[Path]] = {}
    for path in members:
        by_part.setdefault(str(names[path].part), []).append(path)
    colours = by_part.pop(BASE_COLOUR.name, None) or [path for path in bare if not _is_deep_grey(path)]
    colours = [path for path in colours if not _looks_like_normals(path)]
    maps = {
        part: [path for path in paths if _may_hold(part, path, names[path].plain)] for part, paths in by_part.items()
    }
    parts = {part: best_of(paths, names) for part, paths in maps.items() if part in PARTS and paths}
    if not colours or not parts:
        return None
    colour = best_of(colours, names)
    parts = {part: parts[part] for part in PARTS if part in parts}
    kept = {BASE_COLOUR.name: colour, **parts}
    normals = [part for part in NORMALS if part in parts]
    for part in normals[1:]:
        del parts[part]
        kept[part] = parts[normals[0]]
    for part, paths in {BASE_COLOUR.name: [*colours, *bare], **maps}.items():
        for path in paths:
            if part not in kept:
                found.left_out[path] = f"a model holds no {part} map"
            elif path not in (colour, *parts.values()):
                found.left_out[path] = f"the same map is taken from {_name(kept[part])}"
    for part, paths in by_part.items():
        for path in paths:
            if path not in maps[part] and names[path].plain:
                found.left_out[path] = f"it is named as the {part} map of {_name(colour)}, but does not look like one"
    name = names[colour].material or model_name(_in(colour.parent))
    return Material(name=model_name(Path(name)), path=colour, parts=parts)


def _name(path: Path) -> str:
    return quoted(Path(path.name))


def _in(folder: Path) -> Path:
    """A file of the folder's name, whose dots are no suffix."""
    return Path(f"{folder.resolve().name}.set")


def _is_grey(part: str) -> bool:
    """Whether the file of such a part has one channel, so that a colourful one cannot be it."""
    return part not in NORMALS and (part not in PARTS or len(PARTS[part]) == 1)


def _may_hold(part: str, path: Path, plain: bool) -> bool:
    """Whether the file can be this part of a set. One that cannot be read may: reading it will tell why it cannot."""
    if part in NORMALS:
        return plain or _looks_like_normals(path)
    return not (part in PARTS and _is_grey(part) and _is_colourful(path))


def _not_colours(path: Path, name: Named) -> str:
    """Why a file that belongs to no set must not be learned as colours; "" if it may."""
    part = name.part if name.plain and name.part not in (BASE_COLOUR.name, PREVIEW) else None
    if _looks_like_normals(path):
        part = NORMAL.name
    elif name.part is None and _is_deep_grey(path):
        part = HEIGHT.name
    elif part is None or (_is_grey(part) and _is_colourful(path, unread=True)):
        return ""
    article = "an" if part[0] in "aeio" else "a"
    return f"it looks like {article} {part} map without a base colour of the same name"


def _is_colourful(path: Path, *, unread: bool = False) -> bool:
    """Whether a twentieth of the pixels or more have a colour. `unread`: what to say of a file that cannot be read."""
    pixels = glance(path, LOOKED_AT)
    if pixels is None or pixels.shape[2] < 3:
        return unread and pixels is None
    spread = pixels[..., :3].max(2) - pixels[..., :3].min(2)
    return bool(np.quantile(spread, 0.95) > COLOURFUL)


def _is_deep_grey(path: Path) -> bool:
    """Whether the picture has one channel, of more than 8 bits: photographs hardly ever do."""
    pixels = glance(path, LOOKED_AT)
    if pixels is None or pixels.shape[2] > 1:
        return False
    eight = pixels * 255
    return bool(np.abs(eight - eight.round()).max() > 1e-3)


def _looks_like_normals(path: Path) -> bool:
    """Whether nearly all colours are vectors of length 1 that point out of the surface."""
    pixels = glance(path, LOOKED_AT)
    if pixels is None or pixels.shape[2] < 3:
        return False
    vectors = pixels[..., :3] * 2 - 1
    lengths = np.sqrt((vectors**2).sum(2))
    upright = np.abs(vectors.mean((0, 1))[:2]).max() < 0.25 and vectors[..., 2].mean() > 0.4
    return bool(upright and (np.abs(lengths - 1) < 0.1).mean() > 0.9)
