"""A file under a temporary name, which gets its own when it is complete, and what disks and folders say. No bpy here.

TexserverError
└── ImageFileError         trouble with the disk, the folder or the name
    └── IncompleteImage    closed before all pixels were written
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from stat import S_ISDIR

from ..protocol.errors import TexserverError

Data = bytes | bytearray | memoryview  # of an array: its `.data`; anything C-contiguous works
_SYNC_BYTES = 16 * 1024 * 1024
_begun: set[Path] = set()  # drafts of this process that neither were published nor are gone


class ImageFileError(TexserverError):
    """The picture cannot be written. The text says why, where and what to do."""


class IncompleteImage(ImageFileError):
    """The picture was closed before all its pixels were written. Nothing is left on the disk."""


class Draft:
    """A file under a temporary name beside `path`. It becomes `path` in one step, or leaves no trace.

    A durable one is synced to the disk every 16 MiB, so that the last fsync is short.
    """

    def __init__(self, path: Path, *, durable: bool) -> None:
        self.path = path
        self._durable = durable
        self.published = False
        self._unsynced = 0
        # opened like any new file, so that the umask decides its mode; tempfile ignores the umask
        self._part = path.parent / f".{path.name[:40]}.{token_hex(4)}.part"
        try:
            with suppress(FileNotFoundError):
                if S_ISDIR(path.stat().st_mode):
                    raise ImageFileError(f"{path} is a folder. Add a file name.")
            _begun.add(self._part)
            self._file = self._part.open("xb", buffering=0)
        except OSError as error:
            _begun.discard(self._part)
            raise ImageFileError(advice(error, path)) from error

    @property
    def is_open(self) -> bool:
        return not self._file.closed

    def require_open(self) -> None:
        if not self.is_open:
            raise ValueError(f"{self.path} is already {'closed' if self.published else 'aborted'}")

    def write(self, data: Data, *, at: int | None = None) -> None:
        rest = memoryview(data)
        with self._disk():
            if at is not None:
                self._file.seek(at)
            while rest:
                rest = rest[self._file.write(rest) :]  # a full disk takes a part, then refuses the next
            self._unsynced += len(data)
            if self._durable and self._unsynced >= _SYNC_BYTES:
                os.fsync(self._file.fileno())
                self._unsynced = 0

    def resize(self, size: int) -> None:
        with self._disk():
            self._file.truncate(size)

    def publish(self) -> None:
        with self._disk():
            if self._durable:
                os.fsync(self._file.fileno())
            self._file.close()
            self._part.replace(self.path)
        self.published = True
        _begun.discard(self._part)

    def discard(self) -> None:
        if not self.published:
            with suppress(OSError):  # the error that led here is the one to report
                self._file.close()
            with suppress(OSError):
                self._part.unlink(missing_ok=True)
                _begun.discard(self._part)

    @contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.discard()
            raise ImageFileError(advice(error, self.path)) from error
        except BaseException:  # Ctrl-C: the last row on the disk may be incomplete
            self.discard()
            raise


def discard_all() -> None:
    """Remove all drafts of this process, before it ends: Ctrl-C may come where nobody has a draft in hand yet."""
    for part in list(_begun):
        with suppress(OSError):
            part.unlink(missing_ok=True)
            _begun.discard(part)


def advice(error: OSError, path: Path) -> str:
    """Why a picture was not written, and what to do, in a sentence."""
    reason = error.strerror or str(error)
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return f"The disk is full: {path} was not written. Free some space or choose another folder."
        case errno.EFBIG:
            return (
                f"{path} was not written: this disk or account does not allow so large a file. "
                "Choose another disk or a smaller size."
            )
        case errno.ENOENT | errno.ENOTDIR:
            return f"There is no folder {path.parent}, so {path} was not written. Create the folder or choose another."
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return (
                f"{path} was not written: {reason}. Choose a folder you may write to, "
                "or close the program that holds the file open."
            )
        case errno.ENAMETOOLONG:
            return f"{path} was not written: its name is too long. Choose a shorter one."
        case _:
            return f"{path} was not written: {reason}. Choose another folder, or try again."
