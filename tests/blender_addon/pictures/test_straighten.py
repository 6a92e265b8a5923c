"""Corners in a picture: what they span, and a small view of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blender_addon.pictures.straighten import WHOLE, BadCorners, Corners, check, onto, proportion, small_view
from blender_addon.protocol.wire import Buffer

small = st.floats(0, 0.3)


@st.composite
def quadrilaterals(draw: st.DrawFn) -> Corners:
    """Each corner is in its own part of the picture."""
    a, b, c, d, e, f, g, h = (draw(small) for _ in range(8))
    return (a, b), (1 - c, d), (1 - e, 1 - f), (g, 1 - h)


@given(quadrilaterals())
def test_the_corners_of_the_rectangle_lie_at_the_corners_and_lines_stay_straight(corners: Corners) -> None:
    check(corners)
    place = onto(corners)
    for (u, v), corner in zip(WHOLE, corners, strict=True):
        assert place(u, v) == pytest.approx(corner, abs=1e-9)
    for along in (0.25, 0.5, 0.75):  # three points of a line
        (ax, ay), (bx, by), (cx, cy) = place(0, along), place(0.5, along), place(1, along)
        assert (bx - ax) * (cy - ay) - (by - ay) * (cx - ax) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    "corners",
    [
        ((0, 0), (1, 1), (1, 0), (0, 1)),  # crossed
        ((0, 0), (0, 1), (1, 1), (1, 0)),  # the other way around
        ((0, 0), (1, 0), (0.3, 0.3), (0, 1)),  # a dent
        ((0.5, 0.5), (0.5, 0.5), (0.5, 0.5), (0.5, 0.5)),
        ((-0.1, 0), (1, 0), (1, 1), (0, 1)),
    ],
)
def test_what_spans_no_area_is_refused(corners: Corners) -> None:
    with pytest.raises(BadCorners):
        check(corners)


def test_the_small_view_shows_what_is_between_the_corners() -> None:
    rows, columns = np.mgrid[0:200, 0:400]
    pixels = np.stack([columns * 255 // 399, rows * 255 // 199, 0 * rows], 2).astype(np.uint8)
    picture = Buffer(name="basecolor", dtype="uint8", shape=(200, 400, 3), data=pixels.tobytes())
    corners: Corners = ((0.25, 0.5), (0.75, 0.5), (0.75, 1.0), (0.25, 1.0))
    *_, view = small_view(picture, corners, 100)
    assert view is not None
    assert view.shape == (50, 100, 3)
    seen = np.frombuffer(bytes(view.data), np.uint8).reshape(view.shape)
    assert seen[0, 0].tolist() == pytest.approx([64, 128, 0], abs=3)
    assert seen[-1, -1].tolist() == pytest.approx([191, 255, 0], abs=3)


def test_the_proportion_is_that_of_the_sides() -> None:
    assert proportion(WHOLE, 300, 600) == pytest.approx(0.5)
    assert proportion(((0, 0), (0.5, 0), (0.5, 1), (0, 1)), 300, 600) == pytest.approx(1.0)
