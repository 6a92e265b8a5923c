"""The folder of a running server among the temporary files: the socket of its own workers, and other short-lived files.

A server that ends removes its folder. One that is killed cannot, so the next one does: a folder is abandoned when
nobody listens at the socket in it, which the system tells for certain, also of programs in other containers.
"""

import os
import re
import shutil
import socket
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SOCKET = "workers"
_PREFIX = "texserver-"
_NAME = re.compile(rf"{_PREFIX}[a-z0-9_]{{8}}")  # as tempfile makes it
_YOUNG_S = 60.0  # since its last change: its server may be about to listen


@contextmanager
def own_folder() -> Iterator[Path]:
    """A folder that only this user can enter (0700). Removes those of servers that were killed."""
    remove_abandoned(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder:
        yield Path(folder)


def remove_abandoned(temporary: Path) -> int:
    """Remove the folders of this user's servers that run no more. Returns how many. What cannot be removed stays."""
    if sys.platform == "win32":  # servers have no such socket there
        return 0
    removed = 0
    with suppress(OSError), os.scandir(temporary) as entries:
        for entry in entries:
            if _NAME.fullmatch(entry.name):
                with suppress(OSError):
                    removed += _remove_if_abandoned(entry)
    return removed


def _remove_if_abandoned(entry: "os.DirEntry[str]") -> bool:
    status = entry.stat(follow_symlinks=False)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or time.time() - status.st_mtime < _YOUNG_S:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(Path(entry.path) / SOCKET))
        except ConnectionRefusedError:  # any other error says nothing
            shutil.rmtree(entry.path)
            return True
    return False
