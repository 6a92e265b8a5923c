"""Masks that are drawn here: soft spots that tile. Standard library only, no bpy.

A sum of cosine waves whose frequencies are whole numbers near the scale, so the mask tiles; where it is above a
quantile the second material shows.
"""

import math
import random
from typing import Final

SIDE: Final = 128  # pixels of the longer side
WAVES: Final = 12
SLOPE: Final = 1.2  # grey levels, as a share of all, over one standard deviation


def spots(size: tuple[int, int], *, scale: int, share: float, seed: int) -> tuple[bytes, tuple[int, int, int]]:
    """A mask for a texture of `size` (height, width), and its shape.

    `scale`: about how many spots lie along the longer side. `share`: of the texture where the second material shows.
    """
    longer = max(size)
    height, width = (max(16, round(SIDE * side / longer)) for side in size)
    source = random.Random(seed)
    table = [math.cos(2 * math.pi * index / 1024) for index in range(1024)]
    total = [0.0] * (height * width)
    for _ in range(WAVES):
        turn, length = source.uniform(0, math.pi), scale * source.uniform(0.6, 1.4)
        down = round(length * math.sin(turn) * size[0] / longer)
        across = round(length * math.cos(turn) * size[1] / longer)
        if not down and not across:
            across = 1
        phase = source.randrange(1024)
        index = 0
        for row in range(height):
            start = phase + 1024 * down * row // height
            for column in range(width):
                total[index] += table[(start + 1024 * across * column // width) & 1023]
                index += 1
    ordered = sorted(total)
    level = ordered[min(len(ordered) - 1, int((1 - share) * len(ordered)))]
    gain = 255 * SLOPE / math.sqrt(WAVES / 2)
    return bytes(min(255, max(0, int(127.5 + gain * (each - level)))) for each in total), (height, width, 1)
