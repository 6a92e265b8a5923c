"""The virtual environments in which a server was set up: where they are, and what their markers say. No bpy here.

An environment cannot be moved, so it is made where it stays, and a marker is written into it last. One without a marker
was not finished. Several can lie in one folder, for an update must not harm what works.
"""

import json
import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal

Device = Literal["cpu", "cuda"]

MARKER: Final = "texserver-is-ready.json"
OURS: Final = "made-by-texserver.txt"  # a folder without it is somebody else's, and stays

_NAME = re.compile(r"texserver-[\w.]+-(cpu|cuda)-[0-9a-f]{8}")
_WHEEL = re.compile(r"texserver-([\w.]+)-py3-none-any\.whl")


@dataclass(frozen=True, kw_only=True)
class Environment:
    """A finished environment, as its marker tells of it."""

    folder: Path
    version: str  # of texserver
    wheel: str  # SHA-256
    device: Device
    python: Path
    note: str  # for people; "" where all is as they asked

    @classmethod
    def read(cls, folder: Path) -> "Environment | None":
        """The finished environment in this folder, None where there is none."""
        try:
            told = json.loads((folder / MARKER).read_text("utf-8"))
            found = cls(
                folder=folder,
                version=str(told["version"]),
                wheel=str(told["wheel"]),
                device="cuda" if told["device"] == "cuda" else "cpu",
                python=python_in(folder),
                note=str(told["note"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return found if found.python.exists() else None


def environments(folder: Path) -> list[Environment]:
    """All finished ones, the newest first."""
    found = [each for path in ours(folder) if (each := Environment.read(path))]
    return sorted(found, key=lambda each: (each.folder / MARKER).stat().st_mtime, reverse=True)


def python_in(environment: Path) -> Path:
    """The interpreter of a virtual environment."""
    return environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def version_of(wheel: Path) -> str:
    """The version in the name of texserver's wheel. Raises ValueError for any other file."""
    named = _WHEEL.fullmatch(wheel.name)
    if not named or not wheel.is_file():
        raise ValueError(f"{wheel} is not a wheel of texserver")
    return named[1]


def digest_of(wheel: Path) -> str:
    """SHA-256 of a file."""
    return sha256(wheel.read_bytes()).hexdigest()


def ours(folder: Path) -> list[Path]:
    """The environments in the folder, finished or not."""
    with suppress(OSError):
        return [each for each in sorted(folder.iterdir()) if _NAME.fullmatch(each.name) and (each / OURS).is_file()]
    return []
