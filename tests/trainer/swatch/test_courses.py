"""Courses: found where there are some, in any direction near the axes, and kept by a quilt."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from server.model.maps import BASE_COLOUR
from server.model.torus import Size
from server.network.texture import texture
from tests import drawn
from trainer.quilt.learning import unpriced
from trainer.swatch.courses import courses_picture, find_courses
from trainer.swatch.periods import find_lattice


def period_and_tilt(pixels: Tensor) -> tuple[float, float]:
    lattice = find_courses(pixels)
    assert lattice
    down, across = lattice.basis[0]
    return 1 / math.hypot(down, across), across / down if abs(down) > abs(across) else down / across


@pytest.mark.parametrize(("wide", "tilt"), [(32, 0.0), (27.3, 0.0), (32, 0.02), (21.5, -0.015)])
def test_planks_have_courses_and_no_lattice(wide: float, tilt: float) -> None:
    planks = drawn.planks(wide=wide, tilt=tilt)
    assert find_lattice(planks) is None
    period, lean = period_and_tilt(planks)
    assert period == pytest.approx(wide / math.hypot(1, tilt), rel=0.003)
    assert lean == pytest.approx(tilt, abs=0.002)


def test_upright_planks_too() -> None:
    period, lean = period_and_tilt(drawn.planks(wide=27.3).transpose(2, 3))
    assert period == pytest.approx(27.3, rel=0.003)
    assert lean == 0


@pytest.mark.parametrize("material", [drawn.gravel, drawn.blobs, drawn.clouds])
def test_what_has_none_has_none(material: Callable[[], Tensor]) -> None:
    assert find_courses(material()) is None


def test_a_quilt_keeps_every_course() -> None:
    """Rows at the same phase of a course look alike all over a torus whose sides hold no whole planks of the swatch."""
    planks = drawn.planks(wide=31.7)
    courses = find_courses(planks)
    quilt = unpriced([(planks[0] * 255).to(torch.uint8)], (BASE_COLOUR,), (False, False), courses)
    size = Size(500, 700)
    rows = texture(quilt, 3, size).mean((0, 1))
    joint = (rows < 0.2).float().mean(1) > 0.5  # of most of a row
    first = (joint & ~joint.roll(1)).nonzero()[:, 0]
    count = round(size.height / 31.7)
    assert len(first) == count
    gaps = (first.roll(-1) - first) % size.height
    assert float((gaps - size.height / count).abs().max()) <= 1.5


def test_the_picture_shows_a_line_for_each_course() -> None:
    planks = drawn.planks()
    courses = find_courses(planks)
    assert courses
    picture = torch.from_numpy(courses_picture(planks, courses).copy()).float()
    blue = (picture[..., 2] - picture[..., 0]).mean(1) > 60
    assert int((blue & ~blue.roll(1)).sum()) == 12
