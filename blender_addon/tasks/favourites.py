"""The models that somebody has marked as favourites, by name, in a JSON file. No bpy here.

Names, not hashes: a model that is trained again stays a favourite. A file that cannot be read is left alone, and then
nothing is written either.
"""

from pathlib import Path
from typing import Final

from ..protocol import wire
from . import kept_file

FORMAT: Final = 1
MOST: Final = 5000


class Favourites:
    """Nothing here raises: `message` reports trouble with the disk."""

    def __init__(self, path: Path) -> None:
        self.names: frozenset[str] = frozenset()
        self.message = ""  # for people: what is wrong with the file, and what to do
        self._path = path
        self._usable = True
        self._look()

    def toggle(self, name: str) -> None:
        """Mark a model, or no longer."""
        self._look()  # another Blender may have changed them
        self.names = self.names ^ {name}
        if not self._usable:
            return
        try:
            kept_file.write(self._path, {"format": FORMAT, "names": sorted(self.names)[:MOST]})
        except OSError as error:
            self.message = f"Favourites were not saved as {self._path}: {error.strerror or error}. Free some space."
        else:
            self.message = ""

    def _look(self) -> None:
        try:
            content = kept_file.read(self._path, format=FORMAT)
            self.names = frozenset((content.get("names") and wire.Fields(content).texts("names", MOST)) or ())
        except FileNotFoundError:
            pass
        except (OSError, ValueError, RecursionError, wire.Refused):
            self._usable = False
            self.message = f"The favourites in {self._path} cannot be read. Remove the file to start again."
