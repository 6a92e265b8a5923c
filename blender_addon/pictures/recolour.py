"""Turns the hue of sRGB pixels and changes their brightness, as Blender's node Hue/Saturation/Value does. No bpy here.

The node works on linear light, in HSV (Smith, SIGGRAPH 1978), and its result may be brighter than white, which becomes
white here. Each colour is computed once: a texture of 4096 x 4096 pixels has far fewer colours than pixels.

Source of the curve: sRGB, IEC 61966-2-1.
"""

import sys
from array import array
from bisect import bisect
from collections.abc import Callable
from colorsys import hsv_to_rgb, rgb_to_hsv
from typing import Final

MOST_COLOURS: Final = 2**20  # that are kept; more take more memory


def _light(encoded: float) -> float:
    return encoded / 12.92 if encoded <= 0.04045 else ((encoded + 0.055) / 1.055) ** 2.4


_LIGHT: Final = [_light(each / 255) for each in range(256)]
_BOUNDS: Final = [_light((each + 0.5) / 255) for each in range(255)]  # between two neighbouring samples


def recolouring(hue: float, value: float) -> Callable[[bytes | bytearray, int], bytes]:
    """A function of samples of 8 bits, interleaved, and of their channels: 1 (grey), 3 or 4, of which alpha stays.

    `hue`: added, in turns; `value`: a factor of linear light.
    """
    factor = bytes(_sample(value * each) for each in _LIGHT)
    known: dict[int, int] = {}

    def turned(colour: int) -> int:
        red, green, blue, alpha = colour.to_bytes(4, sys.byteorder)
        h, s, v = rgb_to_hsv(_LIGHT[red], _LIGHT[green], _LIGHT[blue])
        found = (_sample(each) for each in hsv_to_rgb((h + hue) % 1, s, v * value))
        return int.from_bytes(bytes((*found, alpha)), sys.byteorder)

    def recoloured(data: bytes | bytearray, channels: int) -> bytes:
        if channels == 1 or hue % 1 == 0:
            changed = bytearray(data.translate(factor))
            if channels == 4:
                changed[3::4] = data[3::4]
            return bytes(changed)
        four = bytearray(len(data) // channels * 4)
        for channel in range(channels):
            four[channel::4] = data[channel::channels]
        pixels = memoryview(four).cast("I")
        if len(known) > MOST_COLOURS:
            known.clear()
        for colour in set(pixels) - known.keys():
            known[colour] = turned(colour)
        changed = bytearray(array("I", map(known.__getitem__, pixels)).tobytes())
        if channels == 3:
            del changed[3::4]
        return bytes(changed)

    return recoloured


def _sample(light: float) -> int:
    """Linear light as the nearest sample of 8 bits."""
    return bisect(_BOUNDS, light)
