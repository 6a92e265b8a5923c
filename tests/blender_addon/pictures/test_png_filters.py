"""The filters of PNG are undone as the standard says, whatever rows have which."""

import time
import tracemalloc

import numpy as np
import pytest

from blender_addon.pictures.png_filters import MOST_ROWS, undone

RNG = np.random.default_rng(11)


def by_the_standard(rows: list[bytes], above: bytes, step: int) -> list[bytes]:
    """Sample by sample."""
    result = []
    for line in rows:
        filter, row = line[0], bytearray(line[1:])
        for index, value in enumerate(row):
            a = row[index - step] if index >= step else 0
            b = above[index]
            c = above[index - step] if index >= step else 0
            near = min((a, b, c), key=lambda each: abs(a + b - c - each))  # the first of equals, in this order
            row[index] = (value + (0, a, b, (a + b) // 2, near)[filter]) & 255
        above = bytes(row)
        result.append(above)
    return result


def noise(height: int, width: int, filters: list[int]) -> list[bytes]:
    values = RNG.choice(np.array([0, 1, 127, 128, 254, 255, *range(0, 256, 17)], np.uint8), (height, width))
    return [bytes([filters[index % len(filters)]]) + row.tobytes() for index, row in enumerate(values)]


@pytest.mark.parametrize("filters", [[0], [1], [2], [3], [4], [0, 1, 2, 3, 4], [3, 0], [4, 4, 2]], ids=str)
@pytest.mark.parametrize(("height", "pixels", "step"), [(1, 1, 1), (1, 40, 3), (7, 5, 4), (30, 12, 8), (60, 9, 2)])
def test_every_filter_is_undone(filters: list[int], height: int, pixels: int, step: int) -> None:
    above = RNG.integers(0, 256, pixels * step, np.uint8).tobytes()
    rows = noise(height, pixels * step, filters)
    assert undone(rows, above, step) == by_the_standard(rows, above, step)


def test_another_number_is_no_filter() -> None:
    with pytest.raises(ValueError, match="damaged"):
        undone([b"\0ab", b"\5ab"], b"ab", 1)


@pytest.mark.serial
@pytest.mark.parametrize("filter", [3, 4])
def test_a_million_bytes_take_little_time_and_memory(filter: int) -> None:
    """At one sample after the other it took .3 s and 1.2 s, quiet. Bounds are for a busy machine."""
    rows = noise(MOST_ROWS, 4096, [filter])
    tracemalloc.start()
    undone(rows[:16], bytes(4096), 1)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2**20
    began = time.process_time()
    undone(rows, bytes(4096), 1)
    assert time.process_time() - began < 0.25
