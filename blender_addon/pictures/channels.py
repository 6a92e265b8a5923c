"""Takes the samples of one map out of rows of RGBA, without numpy. No bpy here.

Rows are (n, width, 4) samples, interleaved, uint8 or little-endian uint16. What is returned is (n, width, 3) or
(n, width, 1) of the same type. A megapixel takes about 10 ms.
"""

import sys
from array import array
from dataclasses import dataclass
from functools import cache
from typing import Final, cast

from .map_names import BASE_COLOUR, NORMAL

IN_COLOUR: Final = frozenset({BASE_COLOUR, NORMAL})  # maps of three channels; others have one
_LETTERS: Final = {"uint8": "B", "uint16": "H"}
_GREEN: Final = 1  # nearest to how light a colour is


@dataclass(frozen=True, kw_only=True)
class Taking:
    """What to take for a map. `channel`: of RGBA, None: all of them.

    `inverted`: black and white are exchanged. `down`: y of the normals points down (DirectX), and is turned up.
    `linear`: the samples carry the sRGB curve, and the map means what they are without it.
    """

    map: str
    channel: int | None = None
    inverted: bool = False
    down: bool = False
    linear: bool = False

    @property
    def channels(self) -> int:
        """Of what is taken."""
        return 3 if self.map in IN_COLOUR else 1


def take(rows: bytes | bytearray, dtype: str, taking: Taking) -> bytes:
    """The samples of a map in these rows."""
    samples = array(_LETTERS[dtype], bytes(rows))
    _native(samples)
    if taking.map in IN_COLOUR:
        taken = array(samples.typecode, bytes(len(samples) // 4 * 3 * samples.itemsize))
        for each in range(3):
            one = samples[each::4]
            taken[each::3] = _inverted(one) if taking.down and each == _GREEN else one
    else:
        taken = samples[_GREEN if taking.channel is None else taking.channel :: 4]
        if taking.linear:
            table = _without_curve(dtype)
            taken = array(taken.typecode, [table[each] for each in taken])
        if taking.inverted:
            taken = _inverted(taken)
    _native(taken)
    return taken.tobytes()


def _native(samples: "array[int]") -> None:
    if sys.byteorder == "big" and samples.itemsize == 2:
        samples.byteswap()


def _inverted(samples: "array[int]") -> "array[int]":
    """Each from the other end of its range: all bits are turned, as one long number."""
    data = samples.tobytes()
    turned = int.from_bytes(data, "little") ^ ((1 << (8 * len(data))) - 1)
    return array(samples.typecode, turned.to_bytes(len(data), "little"))


@cache
def _without_curve(dtype: str) -> tuple[int, ...]:
    """For each sample of sRGB, that of the same light on a linear scale (IEC 61966-2-1)."""
    most = (1 << 16) - 1 if dtype == "uint16" else 255

    def light(value: float) -> float:
        return value / 12.92 if value <= 0.04045 else cast(float, ((value + 0.055) / 1.055) ** 2.4)

    return tuple(round(most * light(each / most)) for each in range(most + 1))
