"""The templates of farm/openjd, run by the command line of Open Job Description, each task in a process of its own."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import pytest

from blender_addon.tasks import paint_options
from server.model.header import read_facts
from server.network.model_file import read_model
from tests.drawn import gravel
from tests.models import save_tiny
from tests.trainer.command_line import environment, save_picture
from tests.trainer.test_main_quilt import FEW_PATCHES

pytest.importorskip("openjd.cli", reason="Open Job Description's command line is not installed: pip install openjd-cli")

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted((ROOT / "farm" / "openjd").glob("*.yaml"))
OPENJD = (sys.executable, "-c", "import sys; from openjd.cli import main; sys.exit(main())")


def program(path: Path, module: str, before: str = "") -> Path:
    """A command as the workers of a farm have it: `main` of the module, after the lines `before`."""
    lines = textwrap.dedent(before) + f"\nimport sys\nfrom {module} import main\nsys.exit(main())\n"
    path.write_text(f"#!{sys.executable}\n{lines}", "utf-8")
    path.chmod(0o755)
    return path


def start(template: str, folder: Path, out: IO[str], **parameters: object) -> "subprocess.Popen[str]":
    """Run all tasks of a template here, one after the other. Its log goes to `out`."""
    given = [each for name, value in parameters.items() for each in ("-p", f"{name}={value}")]
    return subprocess.Popen(
        [*OPENJD, "run", str(ROOT / "farm" / "openjd" / template), *given],
        cwd=folder,
        env={**environment(), "OMP_NUM_THREADS": "1", "TMPDIR": str(folder)},
        stdout=out,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(template: str, folder: Path, **parameters: object) -> tuple[int, str]:
    """Its exit code and its log."""
    log = folder / "log.txt"
    with log.open("w") as out:
        code = start(template, folder, out, **parameters).wait(1200)
    return code, log.read_text("utf-8")


def results(log: str) -> list[tuple[str, str]]:
    """What became of which model, in the order told."""
    told = [json.loads(line)["result"] for line in re.findall(r'\{"result": .*\}$', log, re.M)]
    return [(each["name"], each["state"]) for each in told]


def made(log: str) -> set[str]:
    return {name for name, state in results(log) if state == "made"}


def percents(log: str) -> list[float]:
    return [float(each) for each in re.findall(r"openjd_progress: ([\d.]+)$", log, re.M)]


def swatches(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        save_picture(folder / f"s{number:03}.png", gravel(64, 64, seed=number, stone=5))
    return folder


def test_there_are_templates() -> None:
    assert {"train.yaml", "paint.yaml"} <= {path.name for path in TEMPLATES}


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_a_template_is_valid_without_extensions(template: Path) -> None:
    checked = subprocess.run(
        [*OPENJD, "check", str(template), "--extensions", ""], capture_output=True, text=True, timeout=60, check=False
    )
    assert checked.returncode == 0, checked.stdout


def test_a_task_trains_its_shard_and_tells_how_far_it_is(tmp_path: Path) -> None:
    photos = swatches(tmp_path / "photos", 2)
    trainer = program(tmp_path / "textrain", "trainer.__main__", FEW_PATCHES)
    code, log = run("train.yaml", tmp_path, Swatches=photos, Models=tmp_path / "models", Shards=1, Trainer=trainer)
    assert code == 0, log
    assert results(log) == [("s000", "made"), ("s001", "made")]
    assert percents(log)[-1] == 100
    assert percents(log) == sorted(percents(log))
    assert "openjd_status: s001, 2 of 2: Learning, round 1 of 2." in log
    assert "openjd_fail" not in log
    for name in ("s000", "s001"):
        assert read_facts(tmp_path / "models" / f"{name}.safetensors").training["finished"] is True


@pytest.mark.slow
def test_tasks_paint_a_texture_for_each_seed(tmp_path: Path) -> None:
    save_tiny(tmp_path / "models", "tiny")
    painter = program(tmp_path / "texget", "server.cli.texget")
    job = {"Models": tmp_path / "models", "Size": "96x64", "Textures": tmp_path / "out", "Painter": painter}
    code, log = run("paint.yaml", tmp_path, Model="tiny", Seeds="3,5-6", **job)
    assert code == 0, log
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        f"tiny-basecolor-{seed:04}.png" for seed in (3, 5, 6)
    ]
    assert percents(log)[-1] == 100
    code, log = run("paint.yaml", tmp_path, Model="tinny", Seeds="3", **job)
    assert code != 0
    assert "openjd_fail: There is no model 'tinny'. Did you mean 'tiny'?" in log


def test_a_scene_is_painted_before_its_first_frame_and_not_rendered_without(tmp_path: Path) -> None:
    """By a program in Blender's place, which keeps what it is told to do."""
    blender = tmp_path / "blender"
    blender.write_text(f"""#!{sys.executable}
import json, pathlib, sys
with pathlib.Path("{tmp_path}", "told").open("a") as file:
    print(json.dumps(sys.argv[1:]), file=file)
sys.exit(pathlib.Path("{tmp_path}", "fails").exists() and "--command" in sys.argv)
""")
    blender.chmod(0o755)
    job = {"Scene": tmp_path / "scene.blend", "Frames": "2-3", "Output": tmp_path / "out", "Blender": blender}
    code, log = run("scene.yaml", tmp_path, **job)
    assert code == 0, log
    paint, *frames = [json.loads(line) for line in (tmp_path / "told").read_text().splitlines()]
    assert paint[:5] == ["--background", str(tmp_path / "scene.blend"), "--online-mode", "--command", "texserver"]
    assert paint_options.parse(paint[5:]).missing_only is True
    assert [each[-2:] for each in frames] == [["--render-frame", "2"], ["--render-frame", "3"]]
    (tmp_path / "fails").touch()
    (tmp_path / "told").unlink()
    assert run("scene.yaml", tmp_path, **job)[0] != 0
    assert len((tmp_path / "told").read_text().splitlines()) == 1


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_two_hundred_swatches_killed_at_half_are_all_there_after_a_second_start(tmp_path: Path) -> None:
    count = 200
    photos, models = swatches(tmp_path / "photos", count), tmp_path / "models"
    trainer = program(tmp_path / "textrain", "trainer.__main__", FEW_PATCHES)
    job = {"Swatches": photos, "Models": models, "Shards": 8, "Trainer": trainer}
    began = time.monotonic()
    log = tmp_path / "first.txt"
    with log.open("w") as out:
        first = start("train.yaml", tmp_path, out, **job)
        while len(list(models.glob("*.safetensors"))) < count // 2:
            assert first.poll() is None, log.read_text("utf-8")
            time.sleep(0.05)
        kill([first.pid, *descendants(first.pid)])
        first.wait(60)
    killed_s = time.monotonic() - began
    before = {path.name: path.stat().st_mtime_ns for path in models.glob("*.safetensors")}
    assert count // 2 <= len(before) < count
    code, second = run("train.yaml", tmp_path, **job)
    print(
        f"{count} swatches in 8 tasks: killed after {killed_s:.0f} s, all there after {time.monotonic() - began:.0f} s"
    )
    assert code == 0, second[-2000:]
    names = {f"s{number:03}" for number in range(count)}
    assert {name for name, _ in results(second)} == names
    assert not made(log.read_text("utf-8")) & made(second)
    assert made(second) == names - {name.removesuffix(".safetensors") for name in before}
    assert {
        path.name: path.stat().st_mtime_ns for path in models.glob("*.safetensors") if path.name in before
    } == before
    for name in names:
        assert read_model(models / f"{name}.safetensors").training["finished"] is True


def descendants(pid: int) -> list[int]:
    """All processes that a process has started, and those have, and so on."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text("utf-8", "replace").rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = list(parents.get(pid, ()))
    for each in found:
        found += parents.get(each, ())
    return found


def kill(processes: Sequence[int]) -> None:
    """As a machine that loses its power: nobody gets to tidy up."""
    for each in processes:
        os.kill(each, signal.SIGKILL)
