"""One relief is shaded once, and as deep as it has texels."""

import itertools
import math
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blender_addon.tasks.placement import mapping_scale
from blender_addon.tasks.relief import Projection, depth, relief_of

MAPS = [set(each) for count in range(4) for each in itertools.combinations(("basecolor", "normal", "height"), count)]
PROJECTIONS: tuple[Projection, ...] = get_args(Projection)


def test_what_tells_of_the_relief_shades_it_once() -> None:
    for maps, projection, displace in itertools.product(MAPS, PROJECTIONS, (False, True)):
        relief = relief_of(maps, projection, displace=displace)
        by_height = relief.height and relief.method in ("BUMP", "BOTH")
        wanted = 1 if maps & {"normal", "height"} else 0
        assert relief.normal + by_height == wanted, (maps, projection, displace)


def test_the_surface_moves_where_it_can_and_is_asked_to() -> None:
    for maps, projection in itertools.product(MAPS, PROJECTIONS):
        assert relief_of(maps, projection, displace=False).method == "BUMP", (maps, projection)
        moves = relief_of(maps, projection, displace=True).method != "BUMP"
        assert moves == ("height" in maps), (maps, projection)


def test_a_normal_map_wins_along_a_uv_map_alone() -> None:
    both = ("normal", "height")
    assert {each: relief_of(both, each, displace=False).normal for each in PROJECTIONS} == {
        "UV": True,
        "BOX": False,
        "OBJECT": False,
    }


@given(st.floats(0, 1), st.floats(1, 10_000), st.integers(16, 16384))
def test_a_relief_is_as_deep_against_its_texels_at_every_scale_and_size(share: float, texels: float, side: int) -> None:
    across, _ = mapping_scale((side, side), texels)
    texel = 1 / (across * side)
    assert depth(share, texels) / texel == pytest.approx(share * 1024)


@pytest.mark.parametrize(("share", "texels"), [(-0.1, 1024.0), (math.nan, 1024.0), (0.1, 0.0), (math.inf, 1.0)])
def test_a_depth_without_end_is_refused(share: float, texels: float) -> None:
    with pytest.raises(ValueError, match="has no depth"):
        depth(share, texels)
