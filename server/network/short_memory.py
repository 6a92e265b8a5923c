"""Out of memory: how torch and the system report it, and the error for when smaller pieces do not help."""

import torch

# Words in the RuntimeErrors of torch, its backends and the C++ library that mean the same as OutOfMemoryError.
_SAID = ("out of memory", "not enough memory", "can't allocate memory", "bad_alloc", "ALLOC_FAILED")


class NoMemory(Exception):
    """Even the smallest piece needs more memory than there is."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this error means that memory is too short, on a device or on the CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _SAID)
