"""Memory that was freed goes back to the system, so that a burst of large pictures leaves no mark on a program.

The C library of Linux keeps freed blocks for itself: it raises, after each large block that is freed, the size from
which a block is its own mapping (mallopt(3), M_MMAP_THRESHOLD), and it gives back only what lies at the end of a heap
(malloc_trim(3)). Elsewhere nothing is done.
"""

import ctypes
import sys
from functools import cache

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_OWN_MAPPING_BYTES = 256 * 2**10  # a block of this size is a mapping of its own, and goes back when it is freed
_KEPT_BYTES = 4 * 2**20  # at the end of a heap


def map_large_blocks() -> None:
    """From now on large blocks go back as soon as they are freed. For programs that compute little: it is slower."""
    if library := _library():
        library.mallopt(_M_MMAP_THRESHOLD, _OWN_MAPPING_BYTES)
        library.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def give_back() -> None:
    """Give back what is free now: a few milliseconds, worth it after a burst."""
    if library := _library():
        library.malloc_trim(ctypes.c_size_t(0))


@cache
def _library() -> ctypes.CDLL | None:
    """The C library, if it is one that can do so."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
