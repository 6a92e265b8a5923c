"""The latest textures, newest first, with everything needed to paint them again, in a JSON file.

The file is an object with `format`, which is 1, and `entries`, objects with the fields of a HistoryEntry. It is written
under a temporary name and renamed. A file that cannot be read is set aside, never overwritten: another version may have
written it. Standard library only, no bpy.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from ..protocol import wire
from . import kept_file

FORMAT: Final = 1
MOST: Final = 50


@dataclass(frozen=True, kw_only=True)
class HistoryEntry:
    """One texture that was made."""

    model: str
    sha256: str  # of the model file
    seed: int
    size: tuple[int, int]  # height, width
    maps: tuple[str, ...]
    depth: int | None  # bits per sample; None: each map has its own
    when: float  # seconds since 1970
    place: str  # HOST:PORT of the server
    blend: Mapping[str, Any] | None = None  # as of Blending.parameters, of several models

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> "HistoryEntry":
        """An entry of the file. Raises wire.Refused, ValueError."""
        told = wire.Fields(values)
        height, width = told.wholes("size", 2, "height and width")
        depth, when = told.maybe_whole("depth", 8, 16), values.get("when", "")
        if min(height, width) < 1 or depth not in (None, 8, 16) or type(when) not in (int, float):
            raise ValueError("no texture is like this")
        return cls(
            model=told.text("model", wire.MAX_MODEL_NAME),
            sha256=told.text("sha256", 64),
            seed=told.whole("seed", 0, wire.MAX_SEED),
            size=(height, width),
            maps=told.texts("maps", wire.MAX_BUFFERS) or (),
            depth=depth,
            when=float(when),
            place=told.text("place", 300),
            blend=_checked(told.object("blend")) if values.get("blend") is not None else None,
        )

    def makes_the_same_as(self, other: "HistoryEntry") -> bool:
        """Whether both make the same texture, whenever and wherever."""
        return self == replace(other, when=self.when, place=self.place)


def _checked(blend: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the file says of a blend. Raises wire.Refused."""
    told = wire.Fields(blend)
    return {
        "models": list(told.texts("models", wire.MAX_BLENDED) or ()),
        "mask": told.text("mask", 64),
        "shape": list(told.wholes("shape", 3, "height, width and channels")),
        **{name: told.number(name, 0, 1, 0) for name in ("softness", "heights", "reach")},
    }


class History:
    """The latest `most` textures. Nothing here raises: `message` reports trouble with the disk."""

    def __init__(self, path: Path, most: int = MOST) -> None:
        self.entries: tuple[HistoryEntry, ...] = ()  # the newest first
        self.message = ""  # for people: what is wrong with the file, and what to do
        self._path = path
        self._most = most
        self._saved = True  # whether the file has what is in memory
        self._look()

    def add(self, entry: HistoryEntry) -> None:
        """Put an entry first. A texture that is made again moves up."""
        if self._saved:
            self._look()  # another Blender may have added entries
        others = (each for each in self.entries if not each.makes_the_same_as(entry))
        self.entries = (entry, *others)[: self._most]
        self._save()

    def clear(self) -> None:
        """Remove all entries."""
        self.entries = ()
        self._save()

    def _look(self) -> None:
        """Read the file, or set it aside if it is unusable."""
        try:
            self.entries = _entries(self._path)[: self._most]
        except FileNotFoundError:
            self.entries = ()
        except OSError as error:
            self._unusable(f"cannot be read: {error.strerror or error}")
        except (ValueError, RecursionError, wire.Refused):
            self._unusable("is damaged, or belongs to another version of this add-on")

    def _unusable(self, what: str) -> None:
        aside = self._path.with_name(f"{self._path.stem}-set-aside{self._path.suffix}")
        try:
            self._path.replace(aside)
        except OSError:
            self._saved = False
            self.message = f"The history {self._path} {what}. Remove it, or make its folder writable."
        else:
            self.message = f"The history {what}. A new one was started; the old one is kept as {aside}."

    def _save(self) -> None:
        try:
            kept_file.write(self._path, {"format": FORMAT, "entries": [asdict(each) for each in self.entries]})
        except OSError as error:
            self._saved = False
            self.message = (
                f"The history was not saved as {self._path}: {error.strerror or error}. Free some space, or make the "
                "folder writable."
            )
        else:
            self._saved, self.message = True, ""


def _entries(path: Path) -> tuple[HistoryEntry, ...]:
    """The entries of the file. Raises OSError, ValueError, RecursionError, wire.Refused."""
    content = kept_file.read(path, format=FORMAT)
    return tuple(HistoryEntry.read(each) for each in wire.Fields(content).objects("entries", wire.MAX_ITEMS))
