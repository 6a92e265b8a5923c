"""A folder of finished textures with a size limit; the oldest files are removed first.

The name of a file says everything about it, since a texture is a pure function: model, the beginning of the model
file's hash, seed, width x height, the bits per sample where they are not 8, and the map.

    brick-1a2b3c4d-7-2048x1024-basecolor.tif
    brick-1a2b3c4d-7-4096x4096-wang-basecolor.tif           the atlas of a set of tiles
    brick-1a2b3c4d-7-2048x1024-16bit-height.tif

Standard library only, no bpy.
"""

import os
import re
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final
from zlib import crc32

MOST_REMOVED: Final = 32  # in one call, because Blender's window waits
LEFTOVER_S: Final = 24 * 3600.0  # no picture takes this long to write
MODEL_CHARACTERS: Final = 40  # so that the path stays short enough for every system
MAP_CHARACTERS: Final = 32

_OURS = re.compile(r"[\w-]+-[\w-]{1,8}-\d+-\d+x\d+-(wang-)?(16bit-)?\w+\.(tiff?|png)", re.ASCII | re.IGNORECASE)
_DRAFT = re.compile(r"\..{1,40}\.[0-9a-f]{8}\.part", re.DOTALL)  # of pictures/draft.py


class TextureFiles:
    """A folder of textures. It is made when it is missing."""

    def __init__(self, folder: Path, cap_bytes: int) -> None:
        self.folder = folder
        self.cap_bytes = cap_bytes
        self._make()

    def _make(self) -> None:
        with suppress(OSError):  # writing a file reports it
            self.folder.mkdir(parents=True, exist_ok=True)

    def paths(
        self,
        *,
        model: str,
        sha256: str,
        seed: int,
        size: tuple[int, int],
        maps: Mapping[str, int],
        suffix: str = ".tif",
        wang: int = 0,
    ) -> list[Path]:
        """The path of each map's file, in that order, whether the file exists or not.

        `size` is (height, width); `maps` gives the bits per sample of each map. `wang`: an atlas, which is
        another texture than that of this size and seed.
        """
        self._make()  # somebody may have removed the folder
        height, width = size
        stem = (
            f"{_plain(model, MODEL_CHARACTERS)}-{_plain(sha256, 8)}-{seed}-{width}x{height}-{'wang-' if wang else ''}"
        )
        bits = {8: "", 16: "16bit-"}
        return [self.folder / f"{stem}{bits[depth]}{_distinct(name)}{suffix}" for name, depth in maps.items()]

    def prune(self, keep: Collection[Path]) -> None:
        """Remove leftovers, then the oldest textures until the rest is within the limit. Files of `keep` stay.

        Removes at most 32 files per call, and only files named by this module. A file that cannot be removed stays.
        """
        kept = {path.name for path in keep}
        textures, leftovers, total = [], [], 0
        for entry in self._entries():
            with suppress(OSError):  # another Blender has removed it
                status = entry.stat(follow_symlinks=False)
                if _OURS.fullmatch(entry.name):
                    total += status.st_size
                    textures.append((status.st_mtime, status.st_size, entry))
                elif _DRAFT.fullmatch(entry.name) and time.time() - status.st_mtime > LEFTOVER_S:
                    leftovers.append(entry.path)
        removed = 0
        for path in leftovers[:MOST_REMOVED]:
            removed += _remove(path)
        for _, size, entry in sorted(textures, key=lambda texture: texture[0]):
            if total <= self.cap_bytes or removed >= MOST_REMOVED:
                return
            if entry.name not in kept and _remove(entry.path):
                removed += 1
                total -= size

    def _entries(self) -> Iterator["os.DirEntry[str]"]:
        with suppress(OSError), os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    yield entry


def _plain(text: str, most: int) -> str:
    """Only characters without a meaning to a system, a shell or a path. A dot has one: con.x is con on Windows."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", text)[:most] or "_"


def _distinct(map: str) -> str:
    """Plain, and different for every map even where case does not count. For models the hash makes the difference."""
    plain = re.sub(r"\W", "_", map.lower(), flags=re.ASCII)[:MAP_CHARACTERS]
    return plain if plain and plain == map else f"{plain}_{crc32(map.encode(errors='surrogatepass')):08x}"


def _remove(path: str) -> bool:
    try:
        os.unlink(path)  # noqa: PTH108, of an entry
    except OSError:  # open on Windows
        return False
    return True
