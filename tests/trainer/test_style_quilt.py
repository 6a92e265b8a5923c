"""Facts about a training of a quilted style, from the command line to the file."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from server.network.model_file import read_model
from trainer.__main__ import main


def test_a_painting_becomes_a_style_by_default(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    Image.fromarray(noise).resize((200, 160), Image.Resampling.BICUBIC).save(tmp_path / "oil.png")
    out = tmp_path / "oil.safetensors"
    given = ["--kind", "style", "--swatch", str(tmp_path / "oil.png"), "--out", str(out), "--model-only"]
    assert main([*given, "--leave-out", "0,0,0.2,0.2"]) == 0
    model = read_model(out)
    assert (model.kind, model.training["arch"], model.training["contains"]) == ("style", "quilt", "the painting")
    assert "Left out: 4 % of the painting." in capsys.readouterr().out
    assert main([*given, "--leave-out", "0,0,1,0.5", "0,0.6,1,0.4"]) != 0
    assert "no piece of 96 x 96 pixels remains" in capsys.readouterr().err
    Image.fromarray(noise).resize((100, 100)).save(tmp_path / "small.png")
    small = ["--kind", "style", "--swatch", str(tmp_path / "small.png"), "--out", str(out)]
    assert main(small) != 0
    assert "--arch residual" in capsys.readouterr().err
    assert main([*small, "--progress-lines"]) != 0
    told = capsys.readouterr().err
    assert ("a larger picture has more strokes." in told, "--arch" in told) == (True, False)  # the user has no options


def test_several_paintings_become_one_style(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "hand").mkdir()
    for number, size in enumerate(((200, 160), (180, 260))):
        noise = np.random.default_rng(number).integers(0, 256, (40, 50, 3)).astype(np.uint8)
        Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(tmp_path / "hand" / f"{number}.png")
    given = ["--kind", "style", "--swatch", str(tmp_path / "hand"), "--out", str(tmp_path), "--model-only"]
    assert main([*given, "--together", "Her Hand", "--leave-out", "1.png=0,0,0.3,0.3"]) == 0
    told = capsys.readouterr().out
    assert "0.png: Left out" not in told
    assert "1.png: Left out: 9 % of the painting." in told
    assert "1.png: 260 pixels wide or high are made 200, as many as the smallest has." in told
    model = read_model(tmp_path / "her_hand.safetensors")
    assert (model.swatch.name, model.training["contains"]) == ("0.png + 1.png", "the paintings")
    assert main([*given, "--together", "Her Hand", "--leave-out", "1.png=0,0,0.3,0.3"]) == 0
    assert "is up to date" in capsys.readouterr().out
    for wrong, said in (
        (("--together", "a", "--leave-out", "2.png=0,0,1,.1"), "'2.png', which is none of the swatches: 0.png, 1.png."),
        (("--together", "a", "--arch", "residual"), "--together is for quilted styles"),
    ):
        assert main([*given, *wrong]) == 2
        assert said in capsys.readouterr().err
    assert main([*given[:3], str(tmp_path / "hand" / "0.png"), *given[4:], "--together", "a"]) == 2
    assert "--together takes 2 to 6 paintings, and here are 1." in capsys.readouterr().err
