"""Noise as a field over the torus: the value depends on seed and place alone, not on what was asked before.

Source: a counter-based generator in the sense of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC
2011); the mixing function is C. Wellons' `lowbias32` (hash-prospector, 2018), exact to the bit in any 32-bit integer
arithmetic. Differs: 32-bit hash, since texture noise needs speed and no cryptographic strength.
Shapes: C channels, H x W cells of one level. One hash serves two channels of 16 bits.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

_MASK = 0xFFFFFFFF
_GOLDEN = 0x9E3779B9  # 2^32 / golden ratio, odd: consecutive columns land far apart
_MULTIPLY = (0x7FEB352D, 0x846CA68B)
_SHIFT = (16, 15, 16)


@dataclass(frozen=True, kw_only=True)
class Field:
    """One level of the noise of one texture: uniform in (0, 1), independent between seeds, levels, channels and cells.

    `seed` is a whole number in [0, 2^64), `level` 0 the coarsest, `height` and `width` the cells in one period.
    """

    seed: int
    level: int
    height: int
    width: int

    def window(
        self, top: int, left: int, height: int, width: int, channels: int, device: torch.device | str = "cpu"
    ) -> Tensor:
        """Cells [top, top+height) x [left, left+width), wrapped, as (1, channels, height, width) float32 in (0, 1),
        channels last.

        Values are whole multiples of 2^-16 plus 2^-17: exact in float32, so equal to the bit on every device.
        """
        keys = [_key(self.seed, self.level, pair) for pair in range((channels + 1) // 2)]
        row_hash = _mix(_int32(_wrapped(top, height, self.height), keys)).to(device)
        column_hash = _mix(_int32(_wrapped(left, width, self.width), [_rotate(key) for key in keys])).to(device)
        bits = _mix(row_hash[:, None] + column_hash[None, :])  # (height, width, pairs)
        halves = torch.stack((bits & 0xFFFF, (bits >> 16) & 0xFFFF), -1).flatten(2)[..., :channels]
        return halves.permute(2, 0, 1)[None].float().add_(0.5).mul_(2.0**-16)


def _wrapped(start: int, count: int, period: int) -> list[int]:
    return [(start + step) % period for step in range(count)]


def _key(seed: int, level: int, pair: int) -> int:
    """One 32-bit key per seed, level and channel pair. Every bit of it depends on every bit of the three."""
    key = 0
    for word in (seed & _MASK, seed >> 32, level, pair):
        key = _mix_number((key ^ word) + _GOLDEN & _MASK)
    return key


def _rotate(value: int) -> int:
    return (value << 16 | value >> 16) & _MASK


def _mix_number(x: int) -> int:
    """lowbias32 on one Python int in [0, 2^32)."""
    x ^= x >> _SHIFT[0]
    x = x * _MULTIPLY[0] & _MASK
    x ^= x >> _SHIFT[1]
    x = x * _MULTIPLY[1] & _MASK
    return x ^ x >> _SHIFT[2]


def _mix(x: Tensor) -> Tensor:
    """lowbias32 on int32 tensors: the product wraps, the mask turns the arithmetic shift into a logical one."""
    for shift, factor in zip(_SHIFT, (*_MULTIPLY, None), strict=True):
        x = x ^ (x >> shift & (1 << 32 - shift) - 1)
        if factor is not None:
            x = x * _signed(factor)
    return x


def _int32(places: list[int], keys: list[int]) -> Tensor:
    """(len(places), len(keys)) int32. Under one key no two places have the same value."""
    spread = torch.tensor([_signed(place * _GOLDEN & _MASK) for place in places], dtype=torch.int32)
    return spread[:, None] ^ torch.tensor([_signed(key) for key in keys], dtype=torch.int32)


def _signed(value: int) -> int:
    """The int32 with the same bits as this uint32."""
    return value - (1 << 32) if value >= 1 << 31 else value
