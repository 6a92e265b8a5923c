"""Lays one picture over another by a mask: white shows what lies above, black what lies below, and grey mixes. No bpy.

Of each sample it takes (above * share + below * (white - share) + white // 2) // white, in whole numbers. A mask of 8
bits gives the same as the one of 16 bits with 257 times its shares. A painted mask is mostly black or white, and there
samples are copied.
"""

import re
from array import array
from typing import Final, Literal

Letter = Literal["B", "H"]  # the type of samples: 8 bits or 16
WHITE: Final[dict[Letter, int]] = {"B": 255, "H": 65535}
_GREY_OR_WHITE = re.compile(rb"[^\x00\xff]+|\xff+")


def mixed_row(
    below: memoryview, above: memoryview, mask: memoryview, letter: Letter, mask_letter: Letter = "B"
) -> memoryview:
    """A row of `letter`s, of two rows with as many channels; all of them as bytes.

    `mask`: a share for each pixel. Returns `below` or `above` itself where the row is that alone.
    """
    shares, white = mask.cast(mask_letter), WHITE[mask_letter]
    kinds = bytes(mask) if white == 255 else bytes(0 if s == 0 else 255 if s == white else 1 for s in shares)
    if kinds.count(0) == len(kinds):
        return below
    if kinds.count(255) == len(kinds):
        return above
    row = bytearray(below)
    pixel = len(below) // len(kinds)
    for run in _GREY_OR_WHITE.finditer(kinds):
        start, end = run.start() * pixel, run.end() * pixel
        if kinds[run.start()] == 255:
            row[start:end] = above[start:end]
        else:
            part = shares[run.start() : run.end()]
            row[start:end] = _mixed(below[start:end].cast(letter), above[start:end].cast(letter), part, white, letter)
    return memoryview(row)


def _mixed(below: memoryview, above: memoryview, shares: memoryview, white: int, letter: Letter) -> bytes:
    channels, half = len(below) // len(shares), white // 2
    of_samples = [share for share in shares for _ in range(channels)]
    samples = [
        (over * share + under * (white - share) + half) // white
        for over, under, share in zip(above, below, of_samples, strict=True)
    ]
    return array(letter, samples).tobytes()


def grey_of(data: bytes | bytearray, channels: int) -> bytes:
    """The mean of red, green and blue of each pixel of 8 bits, rounded down: the share of a mask."""
    if channels < 3:
        return bytes(data[::channels])
    red, green, blue = (data[channel::channels] for channel in range(3))
    if red == green == blue:
        return bytes(red)
    return bytes(sum(three) // 3 for three in zip(red, green, blue, strict=True))


def in_colours(grey: memoryview, letter: Letter) -> memoryview:
    """Grey samples as red, green and blue ones; both as bytes."""
    samples = grey.cast(letter)
    three = array(letter, bytes(3 * len(grey)))
    for channel in range(3):
        three[channel::3] = array(letter, samples)
    return memoryview(three).cast("B")
