"""UDIM squares are windows of one texture: neighbours lie side by side in it, and v runs up where rows run down."""

from pathlib import Path

import pytest

from blender_addon.pictures.udim import UdimSet, covered, file_of, parse_udim
from blender_addon.protocol.errors import BadRequest


def test_a_square_lies_in_the_texture_where_its_number_says() -> None:
    squares = UdimSet(numbers=(1002, 1003, 1012), side=(32, 64))
    assert squares.size == (64, 128)  # around (1, 0), (2, 0) and (1, 1)
    assert squares.window(1012) == (0, 0, 32, 64)
    assert squares.window(1002) == (32, 0, 32, 64)
    assert squares.window(1003) == (32, 64, 32, 64)


def test_numbers_are_read_as_a_range_or_one_by_one() -> None:
    assert parse_udim("1001-1004") == (1001, 1002, 1003, 1004)
    assert parse_udim("1011, 1001,1011") == (1011, 1001)


@pytest.mark.parametrize("text", ["", "1001-", "1004-1001", "1000", "2001", "1001-1200", "seven"])
def test_numbers_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(BadRequest, match=r"^udim: .+\.$"):
        UdimSet(numbers=parse_udim(text), side=(16, 16))


def test_faces_cover_the_squares_that_they_reach_into() -> None:
    assert covered([(0, 0, 1, 1)]) == (1001,)
    assert covered([(0, 0, 4, 1.5), (3.2, 2.1, 3.4, 2.2)]) == (1001, 1002, 1003, 1004, 1011, 1012, 1013, 1014, 1024)
    assert covered([(-2, -2, -1, 3), (9.5, 0.2, 12, 0.4)]) == (1010,)


def test_the_number_stands_in_place_of_the_token() -> None:
    assert file_of(Path("a/wall.<UDIM>.png"), 1013) == Path("a/wall.1013.png")
