"""Make Style from Picture and regions in a Blender with a window. See test_windowed.py for the needs.

TEXSERVER_PHOTOGRAPH=painting.jpg takes that one, and TEXSERVER_PICTURES=out keeps the pictures of the screen in out/.
"""

import os
import shutil
from pathlib import Path

import pytest

from tests.server.session import Session
from tests.windowed.stage import Stage

pytestmark = [pytest.mark.slow, pytest.mark.blender, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def played(stage: Stage, server: Session) -> Stage:
    if painting := os.environ.get("TEXSERVER_PHOTOGRAPH"):
        stage.home.mkdir(parents=True, exist_ok=True)
        stage.photograph = str(shutil.copy(painting, stage.home))
    stage.run("make_style", runtime=server.home / "runtime")
    if wanted := os.environ.get("TEXSERVER_PICTURES"):
        Path(wanted).mkdir(parents=True, exist_ok=True)
        for each in stage.pictures.glob("style-*.png"):
            shutil.copy(each, wanted)
    return stage


def test_a_style_is_made_from_a_picture_and_selected_and_a_render_is_put_into_it(played: Stage) -> None:
    told = played.fact("make_style")
    assert (told["made"], told["selected"]) == ("done", told["name"]), told["message"]
    assert told["stylized"]["state"] == "done", told["stylized"]["message"]
    assert told["stylized"]["shown"] == f"Render Result in {told['name']}"
    assert told["stylized"]["size"] == [640, 400]
    assert told["operators"] == []
    assert "Traceback" not in played.said(), played.said()


def test_a_mask_has_the_size_of_the_render_and_is_painted_on(played: Stage) -> None:
    told = played.fact("make_style")["region"]
    assert (told["mask"], told["painting"]) == ([640, 400], "PAINT")
    assert told["state"] == "done", told["message"]
