"""The masks of blends that the history names, each in a file of its own, compressed. Standard library only, no bpy."""

import hashlib
import re
import zlib
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

from ..protocol.fields import Limits
from . import kept_file

MOST_BYTES: Final = Limits().max_content_pixels


class Masks:
    """A folder of masks by the sha256 of their samples."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, mask: bytes) -> None:
        """Write a mask, unless it is there. Raises OSError."""
        path = self._path(hashlib.sha256(mask).hexdigest())
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            kept_file.replace(path, zlib.compress(mask))

    def read(self, sha256: str) -> bytes | None:
        """The samples of a mask; None if it is not there, or not what it was."""
        if not re.fullmatch("[0-9a-f]{64}", sha256):
            return None
        try:
            data = zlib.decompressobj().decompress(self._path(sha256).read_bytes(), MOST_BYTES)
        except (OSError, zlib.error):
            return None
        return data if hashlib.sha256(data).hexdigest() == sha256 else None

    def prune(self, keep: Collection[str]) -> None:
        """Remove all masks but these."""
        with suppress(OSError):
            for path in self._folder.glob("*.mask"):
                if path.stem not in keep:
                    path.unlink()

    def _path(self, sha256: str) -> Path:
        return self._folder / f"{sha256}.mask"
