"""Blender with a window and a server of its own: set up from nothing by an artist's actions, and killed at its work.

See test_windowed.py for what is needed. Setting up fetches PyTorch into a folder of wheels first.
"""

import json
import os
import re
import sys
import zipfile
from pathlib import Path

import pytest

from tests.packaging import wheel_folder
from tests.server.session import environment, eventually, runs
from tests.windowed.stage import Stage

pytestmark = [pytest.mark.slow, pytest.mark.blender, pytest.mark.timeout(1800)]

ACTIONS = 6  # from the zip to the first textured object
SYSTEM_PATH = [f"/{each}" for each in ("usr/sbin", "usr/bin", "sbin", "bin")]


def test_from_the_zip_to_a_textured_object_by_six_actions(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a computer with nothing but Python. The starter library's first material; PyTorch from a folder of wheels."""
    if len(stage.zips) < 2:
        pytest.skip("the extension could not be packed")
    alone = Stage(stage.blender, stage.display, stage.zips[:1], stage.models, tmp_path)
    with zipfile.ZipFile(stage.zips[0]) as archive:
        (name,) = (each for each in archive.namelist() if re.fullmatch(r"(.*/)?server/texserver-.*\.whl", each))
        wheel = tmp_path / Path(name).name
        wheel.write_bytes(archive.read(name))
    wheel_folder.fill(tmp_path / "wheels", wheel)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3.13").symlink_to(Path(sys.executable).resolve())  # the first that is looked for
    alone.run(
        "from_zip",
        runtime=Path(environment(tmp_path)["XDG_RUNTIME_DIR"]),
        variables={
            "PATH": ":".join((str(tmp_path / "bin"), *SYSTEM_PATH)),
            "XDG_DATA_HOME": str(tmp_path / "data"),
            "OMP_NUM_THREADS": str(os.cpu_count()),
        },
        installed=False,
        wheels=str(tmp_path / "wheels"),
        server_folder=str(tmp_path / "server"),
    )
    told = alone.fact("from_zip")
    with capsys.disabled():
        print("\n" + json.dumps(told))
    assert told["setup"] == ["idle", ""]
    assert (told["state"], told["operators"]) == ("done", []), told["message"]
    assert told["image"]
    assert set(told["maps"]) >= {"basecolor", "normal", "height", "roughness"}
    assert len(told["actions"]) <= ACTIONS, told["actions"]


def test_no_walk_leaves_anything_behind_where_the_server_is_killed_and_started_again(
    stage: Stage, tmp_path: Path
) -> None:
    """Blender's own server, in the midst of each walk. What fails says why, and in the end everything works."""
    alone = Stage(stage.blender, stage.display, stage.zips, stage.models, tmp_path)
    alone.run("wander_killed", runtime=Path(environment(tmp_path)["XDG_RUNTIME_DIR"]))
    told = alone.fact("wander_killed")
    for walk in told["walks"]:
        assert walk["unused"] == [], walk["done"]
        assert walk["leftovers"] == []
        for text in walk["said"]:
            assert text.endswith("."), text
    assert (told["last"]["state"], told["last"]["operators"]) == ("done", [])
    assert told["last"]["shown"]
    assert len(told["killed"]) >= 2 * len(told["walks"]), "a killed server had no worker"
    eventually(lambda: not any(map(runs, [*told["killed"], told["stopped"]])), "the end of all servers", 30)
