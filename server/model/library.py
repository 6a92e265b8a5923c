"""The models folder: which models it has, which of them can be used, and why the others cannot.

A name is looked up among the files of the folder and never made into a path, so no request can reach another file.
"""

import os
import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from server.errors import Refused, TexserverError
from server.model.checking import check_file
from server.model.header import SUFFIX, BrokenModel, Facts

CHECKPOINT_SUFFIX = f".checkpoint{SUFFIX}"  # the trainer's, beside its model

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")
_MOST_NAMED = 20
_COMPARED = 100  # names on either side of an unknown one; comparing more would take too long for an answer


class NoLibrary(TexserverError):
    """The models folder does not exist, or cannot be read."""


class UnknownModel(Refused):
    """No model has that name. The text names a similar one, or lists the models there are, sorted."""

    def __init__(self, name: str, available: Sequence[str]) -> None:
        at = bisect_left(available, name)
        near = get_close_matches(name[:100], available[max(0, at - _COMPARED) : at + _COMPARED], n=1)
        named = ", ".join(available[:_MOST_NAMED]) + (", …" if len(available) > _MOST_NAMED else "")
        hint = f"Did you mean {near[0]!r}?" if near else f"There are: {named or 'none'}."
        super().__init__("unknown_model", f"There is no model {name[:100]!a}. {hint}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Entry:
    """A file of the folder: `facts` when it is ready, the `reason` when it is broken, in words that follow "it"."""

    name: str
    state: Literal["ready", "broken"]
    reason: str = ""
    facts: Facts | None = None


class Library:
    """The models in a folder, read anew at each call."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        """The names of all model files, broken ones included, sorted. Raises NoLibrary."""
        return sorted(self._files())

    def entries(self) -> list[Entry]:
        """Every model file, sorted by name, each read and checked in full. Raises NoLibrary."""
        return [self._entry(name, path) for name, path in sorted(self._files().items())]

    def path(self, name: str) -> Path:
        """The file of the model of this name, not yet read. Raises UnknownModel, BrokenModel, NoLibrary."""
        files = self._files()
        if name not in files:
            raise UnknownModel(name, sorted(files))
        check_place(self.folder, files[name])
        return files[name]

    def _entry(self, name: str, path: Path) -> Entry:
        try:
            check_place(self.folder, path)
            return Entry(name=name, state="ready", facts=check_file(path))
        except BrokenModel as error:
            return Entry(name=name, state="broken", reason=error.reason)

    def _files(self) -> Mapping[str, Path]:
        """Model files by name."""
        try:
            found = sorted(Path(entry.path) for entry in os.scandir(self.folder))
        except (OSError, ValueError) as error:
            raise no_library(self.folder, error) from error
        return {name: path for path in found if (name := name_of(path.name)) is not None}


def no_library(folder: Path, error: OSError | ValueError) -> NoLibrary:
    """The error for a folder that cannot be listed, with what to do."""
    if isinstance(error, FileNotFoundError):
        return NoLibrary(
            f"There is no models folder {folder}. Train a model (python -m trainer --swatch PHOTO) "
            "or name another folder."
        )
    return NoLibrary(f"The models folder {folder} cannot be read: {error}. Name another folder.")


def name_of(filename: str) -> str | None:
    """The printable name by which a file of the folder is listed; None for a file that is no model.

    It is the file's stem if the rule for names allows that. Hidden files are temporary, or copies that some systems
    make.
    """
    if not filename.endswith(SUFFIX) or filename.startswith(".") or filename.endswith(CHECKPOINT_SUFFIX):
        return None
    stem = filename.removesuffix(SUFFIX)
    return stem if _NAME.fullmatch(stem) else ascii(stem)[1:-1][:100]


def check_place(folder: Path, path: Path) -> None:
    """Raises BrokenModel for a file of the folder whose name breaks the rule, or that leads out of the folder."""
    if not _NAME.fullmatch(path.name.removesuffix(SUFFIX)):
        raise BrokenModel(path, "its name may hold only the letters a to z, digits, '.', '_' and '-'; rename it")
    home, target = (Path(os.path.realpath(each)) for each in (folder, path))
    if not target.is_relative_to(home):
        raise BrokenModel(path, "it is a link that leads out of the models folder; copy the file here instead")
