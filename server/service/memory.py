"""Memory that was freed goes back to the system, so that a burst of large pictures leaves no mark on the server.

The C library of Linux keeps freed blocks for itself: it raises, after each large block that is freed, the size from
which a block is its own mapping (mallopt(3), M_MMAP_THRESHOLD), and it gives back only what lies at the end of a heap
(malloc_trim(3)). Elsewhere nothing is done.
"""

import ctypes
import sys
from collections.abc import Callable

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_OWN_MAPPING_BYTES = 256 * 2**10  # a block of this size is a mapping of its own, and goes back when it is freed
_KEPT_BYTES = 4 * 2**20  # at the end of a heap


def give_back_freed() -> Callable[[], None]:
    """Set this process up so. Returns what gives back the rest: a few milliseconds, worth it after a burst."""
    if not sys.platform.startswith("linux"):
        return _nothing
    library = ctypes.CDLL(None)
    try:
        set_option, trim = library.mallopt, library.malloc_trim
    except AttributeError:  # another C library
        return _nothing
    set_option(_M_MMAP_THRESHOLD, _OWN_MAPPING_BYTES)
    set_option(_M_TRIM_THRESHOLD, _KEPT_BYTES)
    trim.argtypes = [ctypes.c_size_t]

    def give_back() -> None:
        trim(0)

    return give_back


def _nothing() -> None:
    pass
