"""Small JSON files of the add-on: read with a limit, written under a temporary name and renamed. No bpy here."""

from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

from ..protocol import wire

MAX_BYTES: Final = 2**20


def read(path: Path, *, format: int, most_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """The object in a file. Raises OSError; ValueError, RecursionError or wire.Refused for anything else than that."""
    with path.open("rb") as file:
        data = file.read(most_bytes + 1)
    content = wire.Json().loads(data)
    if len(data) > most_bytes or not isinstance(content, dict) or content.get("format") != format:
        raise ValueError("not such a file, or of another version")
    return content


def write(path: Path, content: dict[str, Any]) -> None:
    """Write an object, with its format. Not synced to the disk: Blender's window would wait. Raises OSError."""
    replace(path, wire.Json().dumps(content))


def replace(path: Path, data: bytes) -> None:
    """Write a file under a temporary name and rename it. Raises OSError."""
    part = path.with_name(f".{path.name[:40]}.{token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        part.replace(path)
    except OSError:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
