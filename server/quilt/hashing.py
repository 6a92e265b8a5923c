"""Chance as a function of place: the same keys give the same number, on every device.

The mixing function is C. Wellons' `lowbias32` (hash-prospector, 2018), as in the noise of the networks, here over any
number of keys, in int64 so that no product is lost.
"""

import torch
from torch import Tensor

_MASK = 0xFFFFFFFF
_GOLDEN = 0x9E3779B9


def mixed(x: Tensor) -> Tensor:
    """lowbias32 of int64 tensors that hold values in [0, 2^32)."""
    x = x ^ (x >> 16)
    x = (x * 0x7FEB352D) & _MASK
    x = x ^ (x >> 15)
    x = (x * 0x846CA68B) & _MASK
    return x ^ (x >> 16)


def words(*keys: Tensor | int) -> Tensor:
    """One number in [0, 2^32) for each place of the broadcast keys, which are int64; seeds may use 64 bits."""
    device = next((key.device for key in keys if isinstance(key, Tensor)), torch.device("cpu"))
    state = torch.full((), 0x243F6A88, dtype=torch.int64, device=device)
    for key in keys:
        for part in _halves(key, device):
            state = mixed(((state ^ part) + _GOLDEN) & _MASK)
    return state


def _halves(key: Tensor | int, device: torch.device) -> list[Tensor]:
    if isinstance(key, Tensor):
        return [key & _MASK]
    return [torch.full((), part, dtype=torch.int64, device=device) for part in (key & _MASK, key >> 32 & _MASK)]
