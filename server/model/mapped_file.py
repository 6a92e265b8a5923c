"""A large model file painted from where it lies: mapped into memory, so that only what is touched takes any.

A file that is replaced by a rename stays what it was for whoever has mapped it. One that is overwritten in place does
not, and what was checked would no longer be what is used: so `check` is called around every use, and looks at the
file's times. (One that is cut short meanwhile ends the process that touches what is gone, as the system has it.)
"""

import hashlib
import os
import sys
import weakref
from mmap import ACCESS_READ, mmap
from typing import BinaryIO

MAPS = sys.platform != "win32"  # where a file that is mapped cannot be replaced: there it is read instead
HASHED_AT_ONCE = 2**20  # bytes

Stamp = tuple[int, int, int]


class Overwritten(ValueError):
    """A mapped file is no longer what it was; the text follows "it"."""


class MappedFile:
    """All of an open file, read-only. `content` outlives the file's name and the descriptor it was opened by."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        """Raises OSError, and ValueError with the reason when it is no longer of that size."""
        self.content = mmap(file.fileno(), size, access=ACCESS_READ)
        self.sha256 = ""  # once it is known
        self._descriptor = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._descriptor)
        self._stamp = self._look()

    def check(self) -> None:
        """Raises Overwritten when the content is no longer what it was when `sha256` was found.

        Microseconds, but for a file that was touched: that is hashed again.
        """
        stamp = self._look()
        if stamp == self._stamp:
            return
        if stamp[-1] != self._stamp[-1] or self._hashed() != self.sha256 or self._look() != stamp:
            raise Overwritten("it was overwritten while it was in use; begin anew with the present one")
        self._stamp = stamp

    def _look(self) -> Stamp:
        """Changes whenever the file does, and when it is renamed or linked, too."""
        status = os.fstat(self._descriptor)
        return status.st_mtime_ns, status.st_ctime_ns, status.st_size

    def _hashed(self) -> str:
        digest, done = hashlib.sha256(), 0
        while piece := os.pread(self._descriptor, HASHED_AT_ONCE, done):
            digest.update(piece)
            done += len(piece)
        return digest.hexdigest()
