"""What was made lately, the newest first: all it takes to make a texture again, kept in a JSON file.

The file is an object: `format`, which is 1, and `entries`, objects with the fields of an Entry. It is written under a
temporary name and renamed. One that cannot be read is set aside, never overwritten: it may be another version's.
No bpy here, and the standard library alone.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

from ..protocol import wire

FORMAT: Final = 1
MAX_FILE_BYTES: Final = 2**20
MOST: Final = 50


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A texture that was made."""

    model: str
    sha256: str  # of the model file
    seed: int
    size: tuple[int, int]  # height, width
    maps: tuple[str, ...]
    depth: int | None  # bits a sample, null where each map has its own
    when: float  # seconds since 1970
    place: str  # HOST:PORT of the server

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> "Entry":
        """From the file. Raises wire.Refused, ValueError."""
        told = wire.Fields(values)
        height, width = told.wholes("size", 2, "height and width")
        depth, when = told.maybe_whole("depth", 8, 16), values.get("when", "")
        if min(height, width) < 1 or depth not in (None, 8, 16) or type(when) not in (int, float):
            raise ValueError("no texture is like that")
        return cls(
            model=told.text("model", wire.MAX_MODEL_NAME),
            sha256=told.text("sha256", 64),
            seed=told.whole("seed", 0, wire.MAX_SEED),
            size=(height, width),
            maps=told.texts("maps", wire.MAX_BUFFERS) or (),
            depth=depth,
            when=float(when),
            place=told.text("place", 300),
        )

    def makes_the_same_as(self, other: "Entry") -> bool:
        return self == replace(other, when=self.when, place=self.place)


class History:
    """The latest `most` textures. Nothing here raises: what is wrong with the disk is told by `message`."""

    def __init__(self, path: Path, most: int = MOST) -> None:
        self.entries: tuple[Entry, ...] = ()  # the newest first
        self.message = ""  # for people: what is wrong with the file, and what to do
        self._path = path
        self._most = most
        self._saved = True  # what is in memory
        self._look()

    def add(self, entry: Entry) -> None:
        """Put it first. The same texture made again moves up."""
        if self._saved:
            self._look()  # another Blender may have added to it
        others = (each for each in self.entries if not each.makes_the_same_as(entry))
        self.entries = (entry, *others)[: self._most]
        self._save()

    def clear(self) -> None:
        """Forget them all."""
        self.entries = ()
        self._save()

    def _look(self) -> None:
        """Take what the file holds, or set it aside where it holds nothing that can be used."""
        try:
            self.entries = _entries(self._path)[: self._most]
        except FileNotFoundError:
            self.entries = ()
        except OSError as error:
            self._unusable(f"cannot be read: {error.strerror or error}")
        except (ValueError, RecursionError, wire.Refused):
            self._unusable("is damaged, or of another version of this add-on")

    def _unusable(self, what: str) -> None:
        aside = self._path.with_name(f"{self._path.stem}-set-aside{self._path.suffix}")
        try:
            self._path.replace(aside)
        except OSError:
            self._saved = False
            self.message = f"The history {self._path} {what}. Remove it, or make its folder writable."
        else:
            self.message = f"The history {what}; a new one is begun, and the old one is kept as {aside}."

    def _save(self) -> None:
        """Differs from other files written here: not synced, for the window must not wait for so little."""
        content = {"format": FORMAT, "entries": [asdict(each) for each in self.entries]}
        part = self._path.with_name(f".{self._path.name[:40]}.{token_hex(4)}.part")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(wire.Json().dumps(content))
            part.replace(self._path)
        except OSError as error:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            self._saved = False
            self.message = (
                f"The history was not saved as {self._path}: {error.strerror or error}. Free some space, or make the "
                "folder writable."
            )
        else:
            self._saved, self.message = True, ""


def _entries(path: Path) -> tuple[Entry, ...]:
    """What the file holds. Raises OSError, ValueError, RecursionError, wire.Refused."""
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    content = wire.Json().loads(data)
    if len(data) > MAX_FILE_BYTES or not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError("not a history")
    return tuple(Entry.read(each) for each in wire.Fields(content).objects("entries", wire.MAX_ITEMS))
