"""Jobs of our types for Flamenco run commands that our programs understand. Node plays the Manager."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from blender_addon.tasks import paint_options
from server.cli.options import parser_of_texget
from trainer import __main__ as trainer

ROOT = Path(__file__).resolve().parents[2]
MANAGER = Path(__file__).with_name("flamenco_manager.js")
SCRIPTS = ROOT / "farm" / "flamenco"

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(
    NODE is None, reason="Node, which runs the scripts of job types here, is not installed."
)


def compiled(script: str, folder: Path, **settings: object) -> dict[str, Any]:
    """The job type and the tasks of a job with these settings. Raises CalledProcessError where it is refused."""
    given = folder / "settings.json"
    given.write_text(json.dumps(settings), "utf-8")
    done = subprocess.run(
        [str(NODE), str(MANAGER), str(SCRIPTS / script), str(given)],
        capture_output=True, text=True, encoding="utf-8", timeout=60, check=True,
    )  # fmt: skip
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def exec_arguments(task: dict[str, Any], exe: str) -> list[str]:
    (command,) = task["commands"]
    assert (command["name"], command["parameters"]["exe"]) == ("exec", exe)
    arguments: list[str] = command["parameters"]["args"]
    return arguments


def test_a_job_of_trainings_has_a_task_for_each_shard(tmp_path: Path) -> None:
    job = compiled("texserver_train.js", tmp_path, swatches="R:/photos", models="R:/models", shards=3, arch="taper")
    assert [task["name"] for task in job["tasks"]] == ["train-1", "train-2", "train-3"]
    understood = [trainer._parser().parse_args(exec_arguments(task, "textrain")) for task in job["tasks"]]
    assert [each.shard for each in understood] == ["1/3", "2/3", "3/3"]
    assert {(str(each.swatch[0]), str(each.out), each.arch, each.derive) for each in understood} == {
        ("R:/photos", "R:/models", "taper", "")
    }
    assert all(each.result_lines for each in understood)


def test_a_job_of_textures_has_a_task_for_each_chunk_of_seeds(tmp_path: Path) -> None:
    job = compiled(
        "texserver_paint.js", tmp_path, models="models", model="bricks", seeds="0-4,9", chunk_size=4, textures="out/",
        painter="{texget}",
    )  # fmt: skip
    understood = [parser_of_texget().parse_args(exec_arguments(task, "{texget}")) for task in job["tasks"]]
    assert [each.seeds for each in understood] == ["0-3", "4,9"]
    assert {(each.model, each.models, each.size, each.output) for each in understood} == {
        ("bricks", "models", "2048x2048", "out/bricks-{map}.png")
    }


def test_a_job_of_a_scene_paints_before_the_first_frame(tmp_path: Path) -> None:
    where = {"blendfile": "R:/scene.blend", "render_output": "R:/frames/######", "connection": "R:/pairing.txt"}
    paint, *frames = compiled("texserver_scene.js", tmp_path, frames="1..4,9", chunk_size=3, **where)["tasks"]
    (command,) = paint["commands"]
    assert command["name"] == "blender-render"
    assert command["parameters"]["blendfile"] == "R:/scene.blend"
    online, name, ours, *arguments = command["parameters"]["args"]
    assert [online, name, ours] == ["--online-mode", "--command", paint_options.NAME]
    options = paint_options.parse(arguments)
    assert (options.missing_only, options.connect) == (True, "R:/pairing.txt")
    assert [each["after"] for each in frames] == [["paint-textures"]] * 2
    rendered = [each["commands"][0]["parameters"]["args"] for each in frames]
    assert rendered == [["--render-output", "R:/frames/######", "--render-frame", each] for each in ("1..3", "4,9")]


@pytest.mark.parametrize(
    ("script", "settings", "why"),
    [
        ("texserver_train.js", {"swatches": "photos"}, "models is missing"),
        ("texserver_train.js", {"swatches": "photos", "models": "models", "shards": 0}, "1 or more"),
        ("texserver_paint.js", {"models": "m", "model": "b", "textures": "out", "seeds": "a"}, "invalid range"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    tmp_path: Path, script: str, settings: dict[str, object], why: str
) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refusal:
        compiled(script, tmp_path, **settings)
    assert why in refusal.value.stderr
