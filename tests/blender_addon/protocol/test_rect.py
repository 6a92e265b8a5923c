"""Sizes and rectangles are plain tuples to a header and to msgpack, and a window that makes no sense is refused."""

import json

import msgpack
import pytest

from blender_addon.protocol.errors import BadRequest, Refused, TexserverError
from blender_addon.protocol.pairing import NoServer
from blender_addon.protocol.rect import MAX_SIDE, MIN_SIDE, Rect, Size, Window


def test_a_rectangle_is_top_left_height_width() -> None:
    rect = Rect(top=1, left=2, height=3, width=5)
    assert rect == (1, 2, 3, 5)
    assert (rect.bottom, rect.right, rect.pixels) == (4, 7, 15)
    assert rect.moved(10, 20) == (11, 22, 3, 5)
    assert json.loads(json.dumps(rect)) == msgpack.unpackb(msgpack.packb(rect)) == [1, 2, 3, 5]


def test_all_of_a_texture_is_a_window_of_it() -> None:
    size = Size(height=16, width=48)
    assert size.whole == Window(0, 0, 16, 48)
    assert size.pixels == size.whole.pixels == 16 * 48


@pytest.mark.parametrize("side", [MIN_SIDE - 1, MAX_SIDE + 1, 0, -16, 16.0, True, "16", None], ids=repr)
def test_a_size_out_of_range_is_refused_and_named(side: object) -> None:
    with pytest.raises(BadRequest, match=r"^size: the height is .* from 16 to 65536 pixels\.$"):
        Size(side, 16)  # type: ignore[arg-type]
    with pytest.raises(BadRequest, match=r"^size: the width is "):
        Size(16, side)  # type: ignore[arg-type]


def test_a_window_may_start_anywhere_but_has_pixels() -> None:
    assert Window(-5, 10**9, 1, 1).top == -5
    with pytest.raises(BadRequest, match=r"^window: top is "):
        Window(2**31 + 1, 0, 1, 1)
    with pytest.raises(BadRequest, match=r"^window: left is "):
        Window(0, 0.5, 1, 1)  # type: ignore[arg-type]
    with pytest.raises(BadRequest, match=r"^window: the height is 0; "):
        Window(0, 0, 0, 1)
    with pytest.raises(BadRequest, match=r"^window: the width is 65537; "):
        Window(0, 0, 1, MAX_SIDE + 1)


def test_errors_have_one_root_and_a_bad_request_says_its_code() -> None:
    assert issubclass(NoServer, TexserverError)
    assert issubclass(BadRequest, Refused)
    assert issubclass(Refused, TexserverError)
    error = BadRequest("seed: it is -1.")
    assert (error.code, str(error), error.retry_ms) == ("bad_request", "seed: it is -1.", None)
