"""Files that appear under their name complete, or not at all."""

import errno
import os
import re
import stat
import time
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from server.errors import TexserverError

ABANDONED_S = 86400.0  # without a byte more, after which nobody writes a draft any more, wherever its clock stands
_DRAFT = re.compile(r"\..{1,40}\.[0-9a-f]{8}\.part", re.DOTALL)


class UnusableOutput(TexserverError):
    """A file could not be written. The old file of that name, if any, is unchanged."""


def replace_file(path: Path, data: bytes, mode: int = 0o666, *, durable: bool = True) -> None:
    """Replace the file at `path` in one step. Raises UnusableOutput.

    `mode`: permissions of the file, before the user's umask. `durable`: wait until it is on the disk.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    part = path.parent / f".{path.name[:40]}.{token_hex(4)}.part"
    try:
        try:
            with open(os.open(part, flags, mode), "wb") as file:  # noqa: PTH123, of a descriptor
                file.write(data)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            os.replace(part, path)  # noqa: PTH105, Path.replace would hide the pair fsync, replace
        except BaseException:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise unwritten(path, error) from error
    if not durable:
        return
    with suppress(OSError):  # the new file stands complete; not every file system can sync a folder
        _sync_folder(path.parent)


def remove_abandoned_drafts(folder: Path) -> int:
    """Remove what `replace_file` left in a folder when its process was killed in the middle. Returns how many.

    Other processes, on other machines too, may be writing there: only drafts that are ABANDONED_S old are removed. What
    cannot be removed stays.
    """
    oldest, removed = time.time() - ABANDONED_S, 0
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if not _DRAFT.fullmatch(entry.name):
                continue
            with suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(status.st_mode) and status.st_mtime < oldest:
                    Path(entry.path).unlink()
                    removed += 1
    return removed


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unwritten(path: Path, error: OSError) -> UnusableOutput:
    """The error for people: the reason, and what to do."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            todo = "Free some space or choose another folder"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            todo = "Choose a folder you may write to"
        case errno.EISDIR:
            todo = "Choose a name that is not a folder's"
        case errno.ENOENT | errno.ENOTDIR | errno.EEXIST:
            todo = "Create the folder or choose another"
        case _:
            todo = "Choose another folder, or try again"
    return UnusableOutput(f"{path} was not written: {error.strerror or error}. {todo}.")
