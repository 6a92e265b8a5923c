"""Facts about blocks: they cover a picture once, lie on one grid, and look at no more than they must."""

import random
from itertools import product

import numpy as np
import pytest

from server.errors import BadRequest
from server.model.style_blocks import block_rows, check_window, looked_at, mirrored_places
from server.model.torus import Window

SIZES = [(1, 1), (1, 300), (300, 1), (17, 300), (333, 250), (97, 1025), (1, 16384), (64, 64)]
every_size = pytest.mark.parametrize("size", SIZES, ids=str)


@pytest.mark.parametrize("side", [1, 2, 3, 7, 40, 41])
def test_a_picture_goes_on_as_its_mirror_image_again_and_again(side: int) -> None:
    assert mirrored_places(-50, side + 60, side) == np.pad(np.arange(side), (50, 60), "symmetric").tolist()


@every_size
def test_blocks_cover_a_window_once_and_are_whole_cells(size: tuple[int, int]) -> None:
    chance = random.Random(0)
    top, left = chance.randrange(size[0]), chance.randrange(size[1])
    part = Window(top, left, chance.randint(1, size[0] - top), chance.randint(1, size[1] - left))
    for stride, most, window in product((1, 4, 32), (7, 100, 10**6), (Window(0, 0, *size), part)):
        covered = np.zeros((window.height, window.width), int)
        for row in block_rows(size, window, stride, most):
            assert len({block.target[0].start for block in row}) == 1
            for block in row:
                place = block.place
                assert not any(each % stride for each in (place.top, place.left, place.height, place.width))
                assert 0 < max(place.height, place.width) < most + stride
                assert place.top < size[0]
                assert place.left < size[1]
                covered[block.target] += 1
                offset = (
                    place.top + block.source[0].start - window.top,
                    place.left + block.source[1].start - window.left,
                )
                assert offset == (block.target[0].start, block.target[1].start)
        assert (covered == 1).all(), f"blocks of {stride} and {most} in {window}"


@every_size
def test_a_window_is_cut_from_the_blocks_of_the_whole(size: tuple[int, int]) -> None:
    whole = {block.place for row in block_rows(size, Window(0, 0, *size), 4, 64) for block in row}
    window = Window(size[0] // 2, size[1] // 3, 1, max(1, size[1] // 2))
    assert {block.place for row in block_rows(size, window, 4, 64) for block in row} <= whole


@every_size
def test_a_block_looks_at_the_part_that_its_halo_reaches(size: tuple[int, int]) -> None:
    blocks = [block for row in block_rows(size, Window(0, 0, *size), 4, 100) for block in row]
    for block, halo in product(blocks, (0, 4, 40)):
        place, part = block.place, looked_at(size, block.place, halo)
        check_window(size, part)
        for side, start, count, first, length in (
            (size[0], place.top, place.height, part.top, part.height),
            (size[1], place.left, place.width, part.left, part.width),
        ):
            needed = set(mirrored_places(start - halo, start + count + halo, side))
            assert (min(needed), max(needed)) == (first, first + length - 1)
            assert length <= count + 2 * halo


@pytest.mark.parametrize("window", [Window(-1, 0, 5, 5), Window(0, -1, 5, 5), Window(6, 0, 5, 5), Window(0, 16, 5, 5)])
def test_a_window_that_leaves_the_picture_is_refused(window: Window) -> None:
    with pytest.raises(BadRequest, match=r"^window: it leaves the picture, which is 20x10 pixels"):
        check_window((10, 20), window)
    assert check_window((10, 20), Window(5, 15, 5, 5)) == Window(5, 15, 5, 5)


@pytest.mark.parametrize("size", [*product((0, 65537), (5, 0)), (5, 0)])
def test_a_picture_without_pixels_or_with_too_many_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(BadRequest, match=r"^content: it is"):
        check_window(size, None)
