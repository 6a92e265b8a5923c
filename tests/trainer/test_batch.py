"""Many pictures in one run: all are checked first, what is wrong with one stops no other, and a table sums up."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from server.network.model_file import read_model
from tests.drawn import gravel
from tests.models import save_tiny
from tests.trainer.command_line import a_sentence, child, ended, environment, files, save_picture
from tests.trainer.test_main_quilt import FEW_PATCHES
from trainer import quilt_job
from trainer.__main__ import main
from trainer.judge import pictures
from trainer.quilt import learning
from trainer.training.training import TrainingFailed

CPU = ("--device", "cpu")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small sheets, and few patches to learn prices from."""
    monkeypatch.setattr(pictures, "SAMPLE", 96)
    monkeypatch.setattr(pictures, "LARGE", (96, 144))
    monkeypatch.setattr(learning, "PATCHES", 4)
    for name, value in (("ROUNDS", 2), ("SHOWN", 96), ("GROWTH_SIDE", 96), ("GROWN", 96)):
        monkeypatch.setattr(quilt_job, name, value)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two photographs, a set, and three files that are of no use."""
    folder = tmp_path / "photos"
    folder.mkdir()
    save_picture(folder / "brick.png", gravel(96, 96, seed=1, stone=6))
    save_picture(folder / "slate.png", gravel(96, 96, seed=2, stone=6))
    save_picture(folder / "moss_diff.png", gravel(96, 96, seed=3, stone=6))
    save_picture(folder / "moss_rough.png", gravel(96, 96, seed=4).mean(1, keepdim=True).expand(-1, 3, -1, -1))
    (folder / "cut.png").write_bytes((folder / "brick.png").read_bytes()[:1000])
    (folder / "IMG_0001.dng").write_bytes(b"x")
    return folder


def run(photos: Path, out: Path, *more: object) -> int:
    return main(["--swatch", str(photos), "--out", str(out), *CPU, *map(str, more)])


def test_one_bad_picture_stops_no_other_and_a_table_sums_up(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(photos, tmp_path / "models", "--json", tmp_path / "made.json") == 2
    said = capsys.readouterr()
    assert a_sentence(said.err)
    assert "cut.png" in said.err
    assert "IMG_0001.dng was left out: it is a camera's raw file" in said.out
    lines = said.out.rstrip().splitlines()[-5:]
    assert re.split(r"  +", lines[0]) == ["model", "result", "time", "file, or why not"]
    results = {line.split()[0]: line.split()[1] for line in lines[1:]}
    assert results == {"brick": "made", "cut": "refused", "moss": "made", "slate": "made"}
    for name in ("brick", "moss", "slate"):
        assert read_model(tmp_path / "models" / f"{name}.safetensors").training["finished"] is True
    assert not (tmp_path / "models/cut.safetensors").exists()
    told = json.loads((tmp_path / "made.json").read_text("utf-8"))
    assert {each["name"]: each["state"] for each in told["results"]} == results
    assert "truncated or damaged" in next(each["why"] for each in told["results"] if each["name"] == "cut")
    assert told["results"][2]["maps"] == {"roughness": str(photos / "moss_rough.png")}
    assert list(told["left_out"]) == [str(photos / "IMG_0001.dng")]


def test_all_pictures_are_checked_before_the_first_training(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    learn = quilt_job.QuiltJob.run
    heard: list[str] = []

    def listening(self: quilt_job.QuiltJob, stop: object) -> bool:
        heard.append(capsys.readouterr().err)
        return learn(self, stop)  # type: ignore[arg-type]

    monkeypatch.setattr(quilt_job.QuiltJob, "run", listening)
    assert run(photos, tmp_path / "models") == 2
    assert "cut.png" in heard[0]
    assert heard[1:] == ["", ""]


def test_finished_models_are_left_as_they_are_until_something_changes(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "cut.png").unlink()
    out = tmp_path / "models"
    model = {name: out / f"{name}.safetensors" for name in ("brick", "slate", "moss")}

    def made() -> set[str]:
        """Which models this run has made."""
        said = capsys.readouterr().out
        return {name for name in model if re.search(rf"^{name} +made", said, re.MULTILINE)}

    assert run(photos, out) == 0
    assert made() == set(model)
    before = {name: path.stat().st_mtime_ns for name, path in model.items()}
    assert run(photos, out) == 0
    assert made() == set()
    assert {name: path.stat().st_mtime_ns for name, path in model.items()} == before
    save_picture(photos / "slate.png", gravel(96, 96, seed=9, stone=6))
    assert run(photos, out) == 0
    said = capsys.readouterr().out
    assert "slate.safetensors was made from another picture, 'slate.png'; it is replaced" in said
    assert "brick.safetensors is up to date" in said
    assert re.findall(r"^(\w+) +made", said, re.MULTILINE) == ["slate"]
    save_picture(photos / "moss_rough.png", gravel(96, 96, seed=8).mean(1, keepdim=True).expand(-1, 3, -1, -1))
    assert run(photos, out, "--device", "auto") == 0
    assert made() == {"moss"}
    for path in photos.glob("moss*"):
        path.unlink()
    assert run(photos, out, "--swatch-size", 80) == 0
    assert made() == {"brick", "slate"}
    assert run(photos, out, "--swatch-size", 80, "--again") == 0
    assert made() == {"brick", "slate"}


def test_a_training_that_fails_stops_no_other(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "cut.png").unlink()
    learn = quilt_job.QuiltJob.run

    def failing(self: quilt_job.QuiltJob, stop: object) -> bool:
        if self.output.stem == "brick":
            raise TrainingFailed("The losses are no numbers.")
        if self.output.stem == "moss":
            raise RuntimeError("a fault of ours")
        return learn(self, stop)  # type: ignore[arg-type]

    monkeypatch.setattr(quilt_job.QuiltJob, "run", failing)
    assert run(photos, tmp_path / "models") == 1
    said = capsys.readouterr()
    assert "trainer: The losses are no numbers." in said.err
    assert "RuntimeError: a fault of ours" in said.err
    assert [line.split()[1] for line in said.out.rstrip().splitlines()[-3:]] == ["failed", "failed", "made"]


def test_another_picture_s_model_is_replaced_only_when_that_is_asked_for(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = save_tiny(tmp_path / "models", "slate", swatch="Slate.JPG")
    before = old.read_bytes()
    assert run(photos / "slate.png", tmp_path / "models") == 2
    said = capsys.readouterr().err
    assert a_sentence(said)
    assert "was made from 'Slate.JPG'" in said
    assert "--again" in said
    assert old.read_bytes() == before
    assert run(photos / "slate.png", old) == 0  # the file itself was named
    assert read_model(old).swatch.name == "slate.png"
    save_tiny(tmp_path / "models", "slate", swatch="Slate.JPG")
    assert run(photos / "slate.png", tmp_path / "models", "--again") == 0
    assert read_model(old).swatch.name == "slate.png"


def test_names_in_any_script_make_models_and_can_be_said_on_any_console(tmp_path: Path) -> None:
    folder = tmp_path / "写真"
    folder.mkdir()
    for name in ("木目", "石", "Дерево"):
        save_picture(folder / f"{name}.png", gravel(96, 96, stone=6))
    shutil.copy(folder / "石.png", folder / "岩.png")
    script = "\n".join(line[4:] for line in FEW_PATCHES.splitlines())
    script += "\nimport sys, trainer.__main__ as command; sys.exit(command.main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, "--swatch", str(folder), *CPU],
        cwd=tmp_path,
        env={**environment(), "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "\\u6728" in done.stdout
    made = [name for name in files(tmp_path / "models") if name.endswith(".safetensors")]
    assert len(made) == 4
    assert [re.sub(r"_\w{4}\.", ".", name) for name in made] == [
        "derevo.safetensors",
        "mumu.safetensors",
        "shi.safetensors",
        "yan.safetensors",
    ]


STOP_AT_SECOND = (
    FEW_PATCHES
    + """
    import os, signal
    grow = quilt_job.QuiltJob._grow

    def stop(self, frames, done, small):
        grow(self, frames, done, small)
        if self.output.stem == "moss":
            os.kill(os.getpid(), signal.SIGINT)

    quilt_job.QuiltJob._grow = stop
    """
)


def test_ctrl_c_says_that_it_saves_and_the_table_says_what_was_not_begun(photos: Path, tmp_path: Path) -> None:
    stopped = ended(child(STOP_AT_SECOND, "--swatch", photos, *CPU, cwd=tmp_path))
    assert stopped.code == 130, stopped.err
    assert "Stopping after this step, then saving" in stopped.err
    results = [line.split()[:2] for line in stopped.out.rstrip().splitlines()[-4:]]
    assert results == [["brick", "made"], ["cut", "refused"], ["moss", "stopped"], ["slate", "not"]]
    assert read_model(tmp_path / "models/moss.safetensors").training["finished"] is False
    assert not (tmp_path / "models/slate.safetensors").exists()
    quiet = ended(child(STOP_AT_SECOND, "--swatch", photos, "--quiet", *CPU, cwd=tmp_path))
    assert quiet.code == 130
    assert quiet.out == ""
    assert a_sentence(quiet.err)  # of the bad picture alone
