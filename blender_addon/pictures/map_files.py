"""Which of several picture files make one material, told by their names (map_names.py). No bpy here.

The trainer also looks at the pixels (trainer/swatch/materials.py). Here nothing is opened: a person has chosen the
files and sees what was made of them. A file named alone is a photograph, whatever its name says.
"""

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from .map_names import BASE_COLOUR, NORMAL, PARTS, PREVIEW, Named, named

NORMALS: Final = ("normal_gl", NORMAL, "normal_dx")  # the first of them that a set has is taken
MOST_CHARACTERS: Final = 64  # of a material's name
_DEEPER: Final = (".exr", ".tif", ".tiff", ".png")  # of formats that hold the same map, the one with more depth


@dataclass(frozen=True, kw_only=True)
class FileMaterial:
    """The files of one material. `path`: the photograph, or the base colour; `parts`: others, by part of PARTS."""

    name: str
    path: Path
    parts: Mapping[str, Path] = field(default_factory=dict)


def materials_of(paths: Sequence[Path]) -> list[FileMaterial]:
    """The materials that these files make, in the order of the files. A map without a base colour is left out."""
    if len(paths) == 1:
        return [FileMaterial(name=plain_name(paths[0].stem), path=paths[0])]
    names = {path: named(path.stem) for path in paths}
    groups: dict[str, list[Path]] = {}
    for path, name in names.items():
        if name.part not in (None, PREVIEW):
            groups.setdefault(name.key, []).append(path)
    found: list[FileMaterial] = []
    used: set[Path] = set()
    for key, members in groups.items():
        bare = [path for path, name in names.items() if path not in members and name.whole.replace("_", "") == key]
        if made := _set_of(members, bare, names):
            found.append(made)
            used |= {*members, *bare}
    photographs = [path for path, name in names.items() if path not in used and name.part in (None, BASE_COLOUR)]
    if not found and not photographs:
        photographs = list(paths)  # all are named as maps, perhaps by chance
    found += [FileMaterial(name=plain_name(path.stem), path=path) for path in photographs]
    order = {path: at for at, path in enumerate(paths)}
    return sorted(found, key=lambda each: order[each.path])


def _set_of(members: Sequence[Path], bare: Sequence[Path], names: Mapping[Path, Named]) -> FileMaterial | None:
    by_part: dict[str, list[Path]] = {}
    for path in members:
        by_part.setdefault(str(names[path].part), []).append(path)
    colours = by_part.pop(BASE_COLOUR, None) or list(bare)
    parts = {part: best_of(by_part[part], names) for part in PARTS if part in by_part}
    for extra in [part for part in NORMALS if part in parts][1:]:
        del parts[extra]
    if not colours or not parts:
        return None
    colour = best_of(colours, names)
    return FileMaterial(name=plain_name(names[colour].material or colour.parent.name), path=colour, parts=parts)


def best_of(paths: Sequence[Path], names: Mapping[Path, Named]) -> Path:
    """Of several files of one map: the first variant, the largest, in the deepest format."""

    def rank(path: Path) -> tuple[object, ...]:
        name, suffix = names[path], path.suffix.lower()
        depth = _DEEPER.index(suffix) if suffix in _DEEPER else len(_DEEPER)
        return name.variant, not name.plain, -name.size, depth, path.name

    return min(paths, key=rank)


def plain_name(text: str) -> str:
    """A name in a-z, 0-9, - and _ for a model: "Grès rosé (2)" is "gres_rose_2".

    What this loses of other scripts is told apart by four digits of a hash, always the same.
    """
    apart = unicodedata.normalize("NFKD", text)
    plain = "".join(each for each in apart if not unicodedata.combining(each))
    name = re.sub(r"[^a-z0-9_-]+", "_", plain.lower()).strip("_-")
    if plain.isascii() and name and len(name) <= MOST_CHARACTERS:
        return name
    digits = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:4]
    return f"{name[: MOST_CHARACTERS - 5].strip('_-') or 'picture'}_{digits}"


def free_name(name: str, taken: Mapping[str, object] | set[str]) -> str:
    """This name, or the first of NAME_2, NAME_3 and so on that is not taken."""
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name[: MOST_CHARACTERS - 4]}_{number}"
    return found
