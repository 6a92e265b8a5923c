"""An asset library: a folder with one .blend file per model, its maps beside it, and what says how it was made.

    blender_assets.cats.txt      Blender's catalogues, one for each category of models
    texserver_library.json       what each model's files were made from; see LibraryEntry
    brick_wall.blend             one material, marked as an asset
    textures/brick_wall-1a2b3c4d-0-1024x1024-basecolor.png

Each file is written under a temporary name and renamed. Files in the folder that are not listed are never touched, and
catalogues of others stay. Standard library only, no bpy.

Source of the catalogues' format: Blender's manual, Asset Catalogs (VERSION 1; lines of UUID:path:simple name).
"""

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

from ..protocol import wire
from ..protocol.errors import TexserverError
from . import kept_file

if TYPE_CHECKING:  # a second Blender without zmq reads this module, too
    from .catalogue import ListedModel

FORMAT: Final = 1
MAKES: Final = 1  # of the materials; a new number has all of them made again
LISTED: Final = "texserver_library.json"
CATALOGUES: Final = "blender_assets.cats.txt"
TEXTURES: Final = "textures"
ROOT: Final = "Texserver"  # the catalogue above ours
OTHER: Final = "Other"  # models without a category
BUILT, FAILED = "texserver-built ", "texserver-failed "  # what the second Blender says of each model, in lines
MOST_BYTES: Final = 2**24
_NAMESPACE: Final = uuid.UUID("b4c2a3f6-5a0e-4d1b-9a53-6f1f0f9a7d10")
_SEPARATORS: Final = re.compile(r"[:/\\\s]+")
_RESERVED: Final = re.compile(r"con|prn|aux|nul|(com|lpt)\d")  # names of devices on Windows, whatever follows a dot
_LINE: Final = re.compile(r"([0-9a-fA-F-]{36}):([^:]*):")


class LibraryError(TexserverError):
    """The library cannot be read or written. The text says what to do."""


@dataclass(frozen=True, kw_only=True)
class LibraryEntry:
    """What the files of one model were made from."""

    model: str
    sha256: str  # of the model file
    side: int  # pixels asked for; whole periods may be a little more or less
    texels_per_metre: float
    category: str
    makes: int  # MAKES
    file: str  # of the material, in the library's folder
    textures: tuple[str, ...]  # in its folder of textures

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> "LibraryEntry":
        """An entry of the file. Raises wire.Refused, ValueError."""
        told = wire.Fields(values)
        names = (told.text("file", 300), *(told.texts("textures", wire.MAX_BUFFERS) or ()))
        if any(Path(each).name != each for each in names):
            raise ValueError("a file outside of the library")
        return cls(
            model=told.text("model", wire.MAX_MODEL_NAME),
            sha256=told.text("sha256", 64),
            side=told.whole("side", 1, 65536),
            texels_per_metre=told.number("texels_per_metre", 0, 1e9, 0),
            category=told.text("category", 200),
            makes=told.whole("makes", 0, 10**6),
            file=names[0],
            textures=names[1:],
        )

    def is_of(self, model: "ListedModel", side: int, texels_per_metre: float) -> bool:
        """Whether these files are what this model gives now."""
        mine = self.sha256, self.side, self.texels_per_metre, self.category, self.makes
        return mine == (model.sha256, side, texels_per_metre, model.category or OTHER, MAKES)


class Library:
    """The library in a folder. The folder need not exist yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entries: dict[str, LibraryEntry] = {}  # by model

    def look(self) -> None:
        """Read what is there. Raises LibraryError."""
        try:
            content = kept_file.read(self.folder / LISTED, format=FORMAT, most_bytes=MOST_BYTES)
            listed = [LibraryEntry.read(each) for each in wire.Fields(content).objects("entries", 10**5)]
        except FileNotFoundError:
            listed = []
        except OSError as error:
            raise LibraryError(f"The library in {self.folder} cannot be read: {error.strerror or error}.") from None
        except (ValueError, RecursionError, wire.Refused):
            raise LibraryError(
                f"{self.folder / LISTED} is damaged, or belongs to another version of this add-on. Choose another "
                "folder for the library, or remove that file to have all of it made again."
            ) from None
        self.entries = {each.model: each for each in listed}

    def changed(self, models: "Iterable[ListedModel]", side: int, texels: Mapping[str, float]) -> "list[ListedModel]":
        """The models whose files are missing or made from something else. `texels`: per metre, by model."""
        return [each for each in models if not self._has(each, side, texels[each.name])]

    def _has(self, model: "ListedModel", side: int, texels_per_metre: float) -> bool:
        entry = self.entries.get(model.name)
        return entry is not None and entry.is_of(model, side, texels_per_metre) and (self.folder / entry.file).exists()

    def gone(self, models: "Iterable[ListedModel]") -> list[LibraryEntry]:
        """Entries of models that are not among these."""
        there = {each.name for each in models}
        return [each for name, each in self.entries.items() if name not in there]

    def add(self, entry: LibraryEntry) -> None:
        """A model's files are there. Those that they replace are removed. Raises LibraryError."""
        before = self.entries.get(entry.model)
        self.entries[entry.model] = entry
        self._save()
        if before:
            self._remove_files(before, keep={entry.file, *entry.textures})

    def drop(self, entries: Sequence[LibraryEntry]) -> None:
        """Remove models with their files. Raises LibraryError."""
        for each in entries:
            self.entries.pop(each.model, None)
        self._save()
        for each in entries:
            self._remove_files(each, keep=set())

    def _save(self) -> None:
        listed = [asdict(self.entries[name]) for name in sorted(self.entries)]
        try:
            kept_file.write(self.folder / LISTED, {"format": FORMAT, "entries": listed})
            self._write_catalogues()
        except OSError as error:
            raise LibraryError(
                f"The library in {self.folder} cannot be written: {error.strerror or error}. Free some space, or "
                "choose a folder that you may write to."
            ) from None

    def _remove_files(self, entry: LibraryEntry, keep: set[str]) -> None:
        used = {name for each in self.entries.values() for name in (each.file, *each.textures)} | keep
        for name, path in ((entry.file, self.folder), *((each, self.folder / TEXTURES) for each in entry.textures)):
            if name not in used:
                with suppress(OSError):  # open on Windows
                    (path / name).unlink(missing_ok=True)

    def _write_catalogues(self) -> None:
        """Ours in place of those before; lines of others stay."""
        path = self.folder / CATALOGUES
        try:
            lines = path.read_text("utf-8").splitlines()
        except FileNotFoundError:
            lines = ["# Asset catalogues of Texserver and of others.", "", "VERSION 1", ""]
        others = [line for line in lines if not _is_ours(line)]
        categories = sorted({each.category for each in self.entries.values()})
        ours = [f"{catalogue_id(each)}:{_path(each)}:{_path(each).replace('/', '-')}" for each in categories]
        data = "\n".join((*others, *ours)).rstrip("\n") + "\n"
        kept_file.replace(path, data.encode())


def catalogue_id(category: str) -> str:
    """The identifier of a category's catalogue: the same in every library."""
    return str(uuid.uuid5(_NAMESPACE, _path(category)))


def file_of(model: str) -> str:
    """The name of a model's .blend file. Different models have different ones, even where case does not count."""
    plain = re.sub(r"[^a-z0-9_-]", "_", model.lower())[:60]
    keeps = plain == model and not _RESERVED.fullmatch(plain)
    return f"{plain}.blend" if keeps else f"{plain}_{crc32(model.encode(errors='surrogatepass')):08x}.blend"


def _path(category: str) -> str:
    """A catalogue's path: colons and slashes have a meaning there."""
    return f"{ROOT}/{_SEPARATORS.sub(' ', category).strip() or OTHER}"


def _is_ours(line: str) -> bool:
    found = _LINE.match(line)
    return bool(found and found[2].startswith(f"{ROOT}/") and found[1] == str(uuid.uuid5(_NAMESPACE, found[2])))
