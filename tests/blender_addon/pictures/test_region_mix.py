"""One picture over another by a mask: the formula of whole numbers, for masks and samples of 8 and 16 bits."""

import numpy as np
import pytest

from blender_addon.pictures.region_mix import grey_of, in_colours, mixed_row

RNG = np.random.default_rng(3)


def mixed(below: np.ndarray, above: np.ndarray, mask: np.ndarray) -> np.ndarray:
    views = [each.data.cast("B") for each in (below, above, mask)]
    letters = ["B" if each.itemsize == 1 else "H" for each in (below, mask)]
    return np.frombuffer(mixed_row(*views, *letters), below.dtype).reshape(below.shape)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("channels", [3, 4])
def test_each_sample_is_the_nearest_whole_number(dtype: str, channels: int) -> None:
    most = np.iinfo(dtype).max
    below, above = (RNG.integers(0, most, (500, channels), dtype, endpoint=True) for _ in range(2))
    mask = RNG.choice([0, 0, 1, 77, 128, 254, 255, 255], 500).astype(np.uint8)
    exact = below + (above.astype(float) - below) * mask[:, None] / 255
    np.testing.assert_array_equal(mixed(below, above, mask), np.rint(exact))
    np.testing.assert_array_equal(mixed(below, above, mask.astype("<u2") * 257), np.rint(exact))


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_black_is_below_and_white_above_to_the_bit(dtype: str) -> None:
    most = np.iinfo(dtype).max
    below, above = (RNG.integers(0, most, (40, 3), dtype) for _ in range(2))
    for share, wanted in ((0, below), (255, above)):
        mask = np.full(40, share, np.uint8)
        np.testing.assert_array_equal(mixed(below, above, mask), wanted)
        mask[:7] = 255 - share
        np.testing.assert_array_equal(mixed(below, above, mask)[7:], wanted[7:])


def test_a_mask_is_the_mean_of_its_colours_rounded_down() -> None:
    colours = RNG.integers(0, 256, (30, 4), np.uint8)
    wanted = colours[:, :3].astype(int).sum(1) // 3
    assert grey_of(colours.tobytes(), 4) == bytes(wanted.astype(np.uint8))
    grey = RNG.integers(0, 256, 30, np.uint8)
    assert grey_of(grey[:, None].repeat(3, 1).tobytes(), 3) == grey_of(grey.tobytes(), 1) == grey.tobytes()


@pytest.mark.parametrize("letter", ["B", "H"])
def test_a_grey_row_has_three_equal_channels(letter: str) -> None:
    grey = memoryview(bytes(range(4)))
    assert in_colours(grey, letter).cast(letter).tolist() == [each for each in grey.cast(letter) for _ in range(3)]
