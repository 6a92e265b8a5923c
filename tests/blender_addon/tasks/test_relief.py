"""One relief is shaded once, and as deep as it has texels."""

import itertools
import math

import pytest

from blender_addon.tasks.relief import depth, relief_of

MAPS = [set(each) for count in range(4) for each in itertools.combinations(("basecolor", "normal", "height"), count)]


def test_what_tells_of_the_relief_shades_it_once() -> None:
    for maps, displace in itertools.product(MAPS, (False, True)):
        relief = relief_of(maps, displace=displace)
        by_height = relief.height and relief.method in ("BUMP", "BOTH")
        wanted = 1 if maps & {"normal", "height"} else 0
        assert relief.normal + by_height == wanted, (maps, displace)


def test_the_surface_moves_where_it_can_and_is_asked_to() -> None:
    for maps in MAPS:
        assert relief_of(maps, displace=False).method == "BUMP", maps
        assert (relief_of(maps, displace=True).method != "BUMP") == ("height" in maps), maps


def test_a_normal_map_shades_where_there_is_one() -> None:
    assert relief_of({"normal", "height"}, displace=False).normal
    assert not relief_of({"height"}, displace=False).normal


def test_a_relief_is_as_deep_against_its_texels_at_every_scale() -> None:
    for texels in (1.0, 256.0, 1024.0, 10_000.0):
        assert depth(0.05, texels) * texels == pytest.approx(0.05 * 1024)


@pytest.mark.parametrize(("share", "texels"), [(-0.1, 1024.0), (math.nan, 1024.0), (0.1, 0.0), (math.inf, 1.0)])
def test_a_depth_without_end_is_refused(share: float, texels: float) -> None:
    with pytest.raises(ValueError, match="has no depth"):
        depth(share, texels)
