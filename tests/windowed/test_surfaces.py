"""Blends, planes that never repeat and baked planes in a Blender with a window. See test_windowed.py for the needs."""

import pytest

from tests.server.session import Session
from tests.windowed.stage import Stage

pytestmark = [pytest.mark.slow, pytest.mark.blender, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def played(stage: Stage, server: Session) -> Stage:
    stage.run("blend", "surface", runtime=server.home / "runtime")
    return stage


def test_a_click_on_blend_paints_two_models_in_one_texture(played: Stage) -> None:
    told = played.fact("blend")
    assert (told["state"], told["operators"]) == ("done", []), told["message"]
    assert {tuple(each[1:]) for each in told["images"].values()} == {(1024, 1024)}
    assert told["blend"]


def test_a_click_lays_tiles_that_never_repeat_and_keeps_the_texture_that_does(played: Stage) -> None:
    told = played.fact("surface")
    assert (told["state"], told["operators"]) == ("done", []), told["message"]
    assert not told["repeats"]
    assert told["kept"] == len(told["images"])
    assert {tuple(each[1:]) for each in told["images"].values()} == {(4 * 512, 4 * 512)}


def test_a_surface_is_baked_into_the_folder_that_was_chosen(played: Stage) -> None:
    told = played.fact("surface")
    assert told["bake"] == {"state": "done", "message": told["bake"]["message"], "operators": []}
    assert len(told["files"]) >= len(told["images"])
    assert min(told["files"].values()) > 0
