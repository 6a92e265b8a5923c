"""`python -m trainer.starter`: it makes what is missing, leaves what is there, and goes on after it was killed."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from server.model.header import read_facts
from trainer.starter.__main__ import main

SIDE = "192"  # the planning of smaller ones takes longer


def test_a_model_is_made_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--out", str(tmp_path), "--side", SIDE, "bricks"]
    assert main(arguments) == 0
    assert "Wrote" in capsys.readouterr().out
    path = tmp_path / "bricks.safetensors"
    facts = read_facts(path)
    assert [each.name for each in facts.maps] == ["basecolor", "normal", "roughness", "ao", "height"]
    assert facts.lattice is not None
    assert facts.category == "Masonry"
    assert facts.texels_per_metre == pytest.approx(int(SIDE) / 1.35)
    written = path.stat().st_mtime_ns
    assert main(arguments) == 0
    assert "up to date" in capsys.readouterr().out
    assert path.stat().st_mtime_ns == written
    assert main([*arguments, "--side", "200"]) == 0  # another recipe
    assert path.stat().st_mtime_ns > written
    assert [each.name for each in tmp_path.iterdir()] == ["bricks.safetensors"]


def test_what_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "trainer.starter", "--out", str(tmp_path), "--side", SIDE, "tiles", "bricks"]
    with subprocess.Popen(command) as process:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("*.safetensors")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.kill()
    first = min(tmp_path.glob("*.safetensors"))
    assert read_facts(first).training["finished"]
    written = first.stat().st_mtime_ns
    assert subprocess.run(command, check=False, timeout=240).returncode == 0
    assert first.stat().st_mtime_ns == written
    assert {each.stem for each in tmp_path.glob("*.safetensors")} == {"bricks", "tiles"}


def test_mistakes_are_told_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    for arguments, said in (
        (["--out", str(tmp_path), "brick"], "no 'brick'. It has: bricks"),
        (["--out", str(tmp_path), "--side", "64"], "--side is 64; it must be from 128 to 4096."),
        (["--out", str(tmp_path / "file")], "was not written"),
    ):
        assert main(arguments) == 2
        assert said in capsys.readouterr().err
