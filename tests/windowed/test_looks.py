"""All panels and menus of the add-on in a Blender with a window: they are drawn, and pictures are taken to judge them.

TEXSERVER_PICTURES=out keeps the pictures; the other variables are those of test_windowed.py.
"""

import os
import shutil
from pathlib import Path

import pytest

from tests.server.session import Session
from tests.windowed.stage import Stage

pytestmark = [pytest.mark.slow, pytest.mark.blender, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("scene", ["looks", "looks_light"])
def test_all_panels_and_menus_are_drawn(stage: Stage, server: Session, tmp_path: Path, scene: str) -> None:
    it = Stage(stage.blender, stage.display, stage.zips, stage.models, tmp_path)
    it.run(scene, runtime=server.home / "runtime")
    pictures = {path.stem for path in it.pictures.glob("*.png")}
    if out := os.environ.get("TEXSERVER_PICTURES"):
        shutil.copytree(it.pictures, Path(out, scene), dirs_exist_ok=True)
    assert len(pictures) >= len(it.fact(scene)["pictures"])
    assert "Traceback" not in it.said(), it.said()
