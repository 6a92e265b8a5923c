"""When a device's memory is too short: how that is told, by torch and by the system, and the end of all remedies."""

import torch


class NoMemory(Exception):
    """Even the smallest piece needs more memory than there is."""


def is_out_of_memory(error: Exception) -> bool:
    """torch has a class of its own for devices; on the CPU it is a RuntimeError that says so."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
