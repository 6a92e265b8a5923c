"""Blends, planes that never repeat and baked planes in a Blender with a window. See test_windowed.py for the needs."""

from collections.abc import Iterator

import pytest

from tests.models import save_tiny_quilt
from tests.server.session import Session
from tests.windowed.stage import Stage

pytestmark = [pytest.mark.slow, pytest.mark.blender, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def quilts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """A server of two quilts: networks are not blended, and their tiles have no common edges."""
    home = tmp_path_factory.mktemp("quilts")
    (home / "models").mkdir()
    for seed, name in enumerate(("moss", "stones")):
        save_tiny_quilt(home / "models", name, seed)
    with Session(home / "models", home, "--no-training") as session:
        yield session


@pytest.fixture(scope="module")
def played(stage: Stage, quilts: Session) -> Stage:
    stage.run("blend", "surface", runtime=quilts.home / "runtime")
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
