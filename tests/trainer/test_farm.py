"""The trainer as a task of a render farm: its share, what it tells programs, what other tasks have made meanwhile."""

import json
from pathlib import Path

import pytest

from server.model.header import read_facts
from tests.drawn import gravel
from tests.trainer.command_line import save_picture
from trainer import quilt_job
from trainer.__main__ import main
from trainer.batch import fingerprint
from trainer.estimate import Estimate, Size
from trainer.quilt import learning
from trainer.swatch.materials import Material
from trainer.training_config import TrainingConfig


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few patches to learn prices from."""
    monkeypatch.setattr(learning, "PATCHES", 4)
    monkeypatch.setattr(quilt_job, "ROUNDS", 2)
    monkeypatch.setattr(quilt_job, "SHOWN", 64)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three photographs, and a list that names two of them."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, name in enumerate(("bark", "moss", "slate")):
        save_picture(folder / f"{name}.png", gravel(64, 64, seed=number, stone=5))
    (folder / "list.txt").write_text("bark.png\nslate.png\n")
    return folder


def run(swatch: Path, out: Path, *more: str) -> int:
    return main(["--swatch", str(swatch), "--out", str(out), "--device", "cpu", "--model-only", *more])


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """What became of which model, by the lines for programs. There is nothing else on standard output."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return {each["result"]["name"]: each["result"]["state"] for each in lines}


def test_a_task_makes_its_share_and_leaves_what_is_up_to_date(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "models"
    assert run(photos, out, "--shard", "2/2", "--result-lines") == 0
    assert told(capsys) == {"moss": "made"}
    assert main(["--swatch-list", str(photos / "list.txt"), "--out", str(out), "--shard", "5/5", "--openjd"]) == 0
    assert capsys.readouterr().out == "Shard 5/5 makes 0 of 2 models.\nopenjd_progress: 100.0\n"
    assert run(photos, out, "--shard", "2/2", "--result-lines", "--arch", "quilt", "--derive", "") == 0
    assert told(capsys) == {"moss": "up to date"}


def test_what_another_task_has_made_meanwhile_is_not_made_again(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As when a farm takes a task for lost that is still at work, and starts it once more."""
    learn, out = quilt_job.QuiltJob.run, tmp_path / "models"

    def slow(self: quilt_job.QuiltJob, stop: object) -> bool:
        monkeypatch.setattr(quilt_job.QuiltJob, "run", learn)
        assert run(photos / "slate.png", out, "--quiet") == 0
        return learn(self, stop)  # type: ignore[arg-type]

    monkeypatch.setattr(quilt_job.QuiltJob, "run", slow)
    listed = ["--swatch-list", str(photos / "list.txt"), "--out", str(out)]
    assert main([*listed, "--shard", "1/1", "--model-only", "--result-lines"]) == 0
    said = capsys.readouterr()
    lines = [json.loads(line)["result"] for line in said.out.splitlines()]
    assert [(each["name"], each["state"]) for each in lines] == [("bark", "made"), ("slate", "up to date")]
    assert lines[0]["made_from"] == read_facts(out / "bark.safetensors").training["made_from"]
    assert "slate.safetensors was made by another task meanwhile." in said.err


def test_a_farm_is_told_why_a_task_fails(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "moss.png").write_bytes(b"no picture")
    assert run(photos, tmp_path / "models", "--shard", "2/2", "--openjd") == 2
    fails = [line for line in capsys.readouterr().out.splitlines() if line.startswith("openjd_fail: ")]
    assert len(fails) == 1
    assert fails[0].startswith("openjd_fail: 1 of 1 models were not made. moss: ")
    assert run(photos / "none.png", tmp_path / "models", "--openjd") == 2
    assert "openjd_fail: There is no file" in capsys.readouterr().out


def test_an_estimate_makes_nothing_and_follows_what_is_finished(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "moss.png").write_bytes(b"no picture")
    out = tmp_path / "models"
    assert run(photos / "bark.png", out, "--quiet") == 0
    assert run(photos, out, "--estimate", "--result-lines") == 2  # one cannot be used
    said = capsys.readouterr()
    lines = [json.loads(line) for line in said.out.splitlines()]
    estimate = lines.pop()["estimate"]
    assert [each["result"]["state"] for each in lines] == ["up to date", "refused"]
    assert (estimate["models"], estimate["compared"]) == (1, 1)
    took = read_facts(out / "bark.safetensors").training["seconds"]
    assert estimate["seconds"] == pytest.approx(took, abs=0.2)
    assert 100 < estimate["memory_mb"] < 2000
    assert "1 of 3 models are to be made." in said.err
    assert [path.name for path in out.glob("*.safetensors")] == ["bark.safetensors"]


def test_an_estimate_grows_with_size_maps_and_steps() -> None:
    quilt = Size(arch="quilt", descriptor="none", pixels=512 * 512, maps=1, steps=0)
    large = Size(arch="quilt", descriptor="none", pixels=1024 * 1024, maps=4, steps=0)
    network = Size(arch="taper", descriptor="builtin", pixels=384 * 384, maps=1, steps=2000)
    assert 5 < quilt.seconds < large.seconds < network.seconds < 600
    assert quilt.memory_mb < large.memory_mb < 2000
    both = Estimate.of([quilt, large], [], sheets=False)
    assert both.seconds == pytest.approx(quilt.seconds + large.seconds, abs=0.1)
    assert both.memory_mb == round(large.memory_mb)
    assert "about 31 s" in both.spoken(3)


def test_the_hash_does_not_depend_on_where_a_machine_sees_the_files(tmp_path: Path) -> None:
    hashes = set()
    for mount in ("one", "two"):
        folder = tmp_path / mount
        folder.mkdir()
        picture = save_picture(folder / "bark.png", gravel(64, 64))
        rough = save_picture(folder / "rough.png", gravel(64, 64, seed=2))
        config = TrainingConfig(
            swatch=(picture,), map=(f"roughness={rough}",), vgg_weights=folder / "vgg", out=folder, shard="1/1"
        )
        hashes.add(fingerprint(Material(name="bark", path=picture, parts=config.map_files), config))
    assert len(hashes) == 1
