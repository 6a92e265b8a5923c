"""Ends this process when the program that started it has ended, however that happened."""

import os
import sys
import threading
from contextlib import suppress


def leave_with_parent() -> None:
    """From now on, exit when standard input closes. What was being written keeps its temporary name."""
    threading.Thread(target=_wait, daemon=True).start()


def _wait() -> None:
    """Not through sys.stdin, whose lock must be free at exit."""
    with suppress(OSError, AttributeError):  # there was no standard input from the start
        while os.read(sys.stdin.fileno(), 4096):
            pass
    os._exit(1)
