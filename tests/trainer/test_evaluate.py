"""Facts about the evaluation command: what it prints, writes and refuses, and that it ranks as an outsider does."""

import dataclasses
import json
import re
import subprocess
import sys
from itertools import permutations
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from server.model.header import SwatchFacts
from server.model.maps import BASE_COLOUR, HEIGHT
from server.model.torus import Size
from server.network.model_file import Model, read_model, write_model
from server.network.texture import texture
from tests.drawn import gravel
from tests.models import save_tiny, save_tiny_style
from trainer import evaluate
from trainer.evaluate import FIGURES, Evaluation, Figures, Judge, main, painting_costs, table
from trainer.judge.pictures import as_picture, write_picture
from trainer.quilt.learning import unpriced

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
YARDSTICK = SHARED / "tools/quality.py"
WEIGHTS = SHARED / "data/vgg/vgg19_conv1_1-conv3_4.safetensors"


def save(path: Path, pixels: Tensor) -> Path:
    write_picture(path, as_picture(pixels))
    return path


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with a tiny model and its swatch, no VGG-19 to be had, and no second process to measure costs."""
    monkeypatch.delenv("TEXTURE_VGG19", raising=False)
    monkeypatch.setattr("trainer.descriptor.weights.user_cache_path", lambda name: tmp_path / "cache")
    monkeypatch.setattr(evaluate, "painting_costs", lambda *_: {"seconds": 0.25, "memory_mb": 12.0})
    model = save_tiny(tmp_path)
    save(tmp_path / "tiny.swatch.png", texture(read_model(model).generator, 9, (160, 176)))
    return tmp_path


def run(*words: object) -> int:
    return main([str(word) for word in (*words, "--size", "160x128", "--seeds", "2")])


def refusal(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """The one sentence on stderr with which the command refuses."""
    assert main([str(word) for word in words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    line = err.splitlines()[-1]
    assert line.startswith("evaluate: ")
    return line


# ---- what it prints and writes


def test_a_model_is_measured_against_the_swatch_beside_it(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(alone / "tiny.safetensors", "--json", alone / "out.json", "--sheet", alone / "out.png") == 0
    printed = capsys.readouterr()
    head, row = printed.out.splitlines()
    assert head.split() == list(FIGURES)
    assert row.startswith("tiny.safetensors ")
    assert len(head) == len(row)
    assert "VGG-19" in printed.err

    written = json.loads((alone / "out.json").read_text())
    (result,) = written["results"]
    assert (result["kind"], result["size"], result["swatch_size"]) == ("model", [128, 160], [160, 176])
    figures = result["figures"]
    assert list(figures) == list(FIGURES)
    assert {name for name, value in figures.items() if value is None} >= {"gram", "deep"}
    assert figures["seam"] <= 1.2
    assert figures["copying"] < 0.2
    assert figures["diversity"] > 0.5
    assert (figures["seconds"], figures["memory_mb"]) == (0.25, 12.0)

    with Image.open(alone / "out.png") as sheet:
        assert sheet.width > 160 + 176 + 2 * 3 * 128
        assert sheet.height > 3 * 128


def test_a_quilt_is_not_blamed_for_copying_but_counted(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photograph = gravel(160, 176)
    quilt = unpriced([(photograph[0] * 255).round().to(torch.uint8)], (BASE_COLOUR,), (False, False), None)
    model = Model(
        name="sewn",
        generator=quilt,
        training={"contains": "the photograph"},
        descriptor="none",
        swatch=SwatchFacts(name="sewn.jpg", sha256="ab" * 32, height=160, width=176),
        thumbnail=torch.zeros(16, 16, 3, dtype=torch.uint8),
    )
    path = alone / "sewn.safetensors"
    write_model(path, model)
    save(alone / "sewn.swatch.png", photograph)
    assert run(path, alone / "tiny.safetensors", "--json", alone / "out.json") == 0
    assert "sewn.safetensors contains the photograph it was made of" in capsys.readouterr().out
    sewn, network = json.loads((alone / "out.json").read_text())["results"]
    assert (sewn["contains_swatch"], network["contains_swatch"]) == (True, False)
    assert sewn["figures"]["copying"] is None
    assert sewn["figures"]["seen"] >= 1
    assert 0 <= sewn["figures"]["never"] < 0.3
    assert sewn["figures"]["nearest"] > 0
    assert 0.5 < sewn["figures"]["joints"] < 1.5
    assert {network["figures"][name] for name in ("seen", "never", "nearest", "joints")} == {None}


def test_the_height_of_a_quilt_is_measured_with_its_hills(alone: Path) -> None:
    """A quilt keeps the hills of its height, so they are not levelled in what it is measured against."""
    photograph = gravel(160, 176)
    y, x = torch.meshgrid(torch.linspace(0, 1, 160), torch.linspace(0, 1, 176), indexing="ij")
    height = (0.7 * (torch.sin(5 * y) * torch.sin(4 * x)) + 0.3 * photograph.mean(1)[0])[None].clamp(0, 1)
    folder = alone / "rock"
    folder.mkdir()
    save(folder / "rock_basecolor.png", photograph)
    save(folder / "rock_height.png", height[None].expand(1, 3, -1, -1))
    maps = [(photograph[0] * 255).round().to(torch.uint8), (height * 255).round().to(torch.uint8)]
    quilt = unpriced(maps, (BASE_COLOUR, HEIGHT), (False, False), None)
    model = Model(
        name="rock",
        generator=quilt,
        training={},
        descriptor="none",
        swatch=SwatchFacts(name="rock.jpg", sha256="ab" * 32, height=160, width=176),
        thumbnail=torch.zeros(16, 16, 3, dtype=torch.uint8),
    )
    write_model(alone / "rock.safetensors", model)
    assert run(alone / "rock.safetensors", "--swatch", folder, "--json", alone / "out.json") == 0
    [result] = json.loads((alone / "out.json").read_text())["results"]
    assert result["maps"]["height"]["patch"] < 1


def test_a_picture_is_measured_like_a_model(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    same = save(alone / "same.png", texture(read_model(alone / "tiny.safetensors").generator, 0, (128, 160)))
    model, swatch = alone / "tiny.safetensors", alone / "tiny.swatch.png"
    words = (model, same, "--swatch", swatch, "--json", alone / "out.json", "--precision", "exact")
    assert main([str(word) for word in (*words, "--size", "160x128", "--seeds", "1")]) == 0
    first, second = (each["figures"] for each in json.loads((alone / "out.json").read_text())["results"])
    for name in ("patch", "colour", "seam", "grid", "copying"):
        assert second[name] == pytest.approx(first[name], rel=0.05, abs=0.05), name
    assert second["diversity"] is second["seconds"] is second["memory_mb"] is None
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("median")
    assert lines[2].split()[-2:] == ["n/a", "n/a"]


def test_the_swatch_is_scaled_to_the_size_the_model_was_trained_on(
    alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Judge, "figures", lambda *_, **__: Figures())
    monkeypatch.setattr(evaluate, "find_lattice", lambda _: None)
    photograph = save(alone / "photograph.png", gravel(300, 360))  # the tiny model was trained on 256 x 320
    assert run(alone / "tiny.safetensors", "--swatch", photograph, "--json", alone / "out.json") == 0
    assert json.loads((alone / "out.json").read_text())["results"][0]["swatch_size"] == [256, 307]


def test_help_explains_every_figure(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    explained = capsys.readouterr().out
    assert all(f"\n  {name} " in explained for name in FIGURES)


def test_the_median_passes_over_what_could_not_be_measured() -> None:
    pixels = torch.zeros(1, 3, 8, 8)
    rows = [Figures(patch=1.0), Figures(patch=3.0, seam=1.5), Figures(patch=8.0)]
    path = Path("a.png")
    shown = table(
        [Evaluation(path=path, swatch_path=path, swatch=pixels, sample=pixels, figures=each) for each in rows]
    )
    median = dict(zip(FIGURES, shown.splitlines()[-1].split()[1:], strict=True))
    assert (median["patch"], median["seam"], median["gram"]) == ("3.00", "1.50", "n/a")


def test_numbers_that_are_not_finite_are_written_as_null() -> None:
    assert [evaluate._finite(value) for value in (float("nan"), float("inf"), None, 1.5)] == [None, None, None, 1.5]


# ---- costs


def test_costs_are_measured_in_a_fresh_process(tmp_path: Path) -> None:
    costs = painting_costs(save_tiny(tmp_path), Size(512, 512), "cpu", "exact")
    assert costs["seconds"]
    assert costs["seconds"] > 0
    if sys.platform == "linux":
        assert costs["memory_mb"]
        assert costs["memory_mb"] > 512 * 512 * 3 * 4 / 1e6  # the pixels themselves
        assert costs["memory_mb"] < 200  # and not the program


# ---- what it refuses


def test_a_missing_swatch_is_asked_for(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (alone / "tiny.swatch.png").unlink()
    assert "--swatch" in refusal(capsys, alone / "tiny.safetensors")


def test_a_model_of_a_style_is_refused(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ink = save_tiny_style(alone)
    said = refusal(capsys, alone / "tiny.safetensors", ink)
    assert f"The model {ink} stylizes pictures, and only textures can be measured." in said


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--size", "96x512"), "128 px"),
        (("--seeds", "0"), "--seeds 0"),
        (("--device", "abacus"), "abacus"),
        (("--vgg-weights", "nowhere.safetensors"), "nowhere.safetensors"),
        (("--swatch", "nowhere.png"), "nowhere.png"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_done_is_one_sentence(
    alone: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], says: str
) -> None:
    assert says in refusal(capsys, alone / "tiny.safetensors", *options)


def test_a_broken_model_is_one_sentence(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (alone / "tiny.safetensors").write_bytes(b"PK\x03\x04")
    assert "tiny.safetensors" in refusal(capsys, alone / "tiny.safetensors")


def test_a_small_picture_is_refused(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = save(alone / "small.png", torch.rand(1, 3, 100, 200))
    assert "small.png" in refusal(capsys, small, "--swatch", alone / "tiny.swatch.png")


def test_a_folder_that_is_not_there_is_no_place_for_figures(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (alone / "tiny.safetensors", "--size", "128x128", "--seeds", "1", "--json", alone / "no" / "out.json")
    assert "out.json" in refusal(capsys, *words)


@pytest.mark.parametrize("size", ["512", "12x", "8x8", "axb"])
def test_a_size_is_width_x_height(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["model.safetensors", "--size", size])
    assert "--size" in capsys.readouterr().err


# ---- against the yardstick made elsewhere


@pytest.mark.slow
@pytest.mark.skipif(not YARDSTICK.exists(), reason="the yardstick is not beside the project")
def test_it_ranks_pictures_as_the_yardstick_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    swatch = gravel(192, 192)
    shuffled = swatch.flatten(2)[:, :, torch.randperm(192**2, generator=torch.Generator().manual_seed(0))]
    blurred = F.avg_pool2d(F.pad(swatch, (2,) * 4, mode="reflect"), 5, 1)
    pictures = {
        "swatch": swatch,
        "more": gravel(192, 192, seed=1),
        "soft": (swatch + blurred) / 2,
        "blurred": blurred,
        "shuffled": shuffled.view_as(swatch),
        "noise": torch.rand(swatch.shape, generator=torch.Generator().manual_seed(0)),
    }
    paths = {name: save(tmp_path / f"{name}.png", pixels) for name, pixels in pictures.items()}
    words = [sys.executable, YARDSTICK, paths["swatch"], *paths.values()]
    printed = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()[1:]
    theirs = [dict(word.split("=") for word in line.split()[1:]) for line in printed]

    written = tmp_path / "out.json"
    words = [*paths.values(), "--swatch", paths["swatch"], "--vgg-weights", WEIGHTS, "--json", written]
    assert main([str(word) for word in words]) == 0
    ours = [each["figures"] for each in json.loads(written.read_text())["results"]]

    for figure in ("gram", "patch", "seam"):
        mine, other = ([float(row[figure]) for row in rows] for rows in (ours, theirs))
        apart = [(a, b) for a, b in permutations(range(len(paths)), 2) if other[a] > 1.25 * other[b]]
        assert len(apart) >= 8  # of 15 pairs; nearer than that, the two may well differ
        assert all(mine[a] > mine[b] for a, b in apart), (figure, mine, other)


def test_gram_is_measured_where_weights_can_be_had() -> None:
    if not WEIGHTS.exists():
        pytest.skip("no VGG-19 weights beside the project")
    network = evaluate._network(WEIGHTS, torch.device("cpu"))
    swatch = gravel(128, 128)
    figures = Judge.of(swatch, None, network).figures(torch.cat([swatch, torch.rand(1, 3, 128, 128)])[:1])
    assert figures.gram == pytest.approx(0, abs=1e-5)
    assert figures.deep is None  # these weights end at relu3_4
    assert dataclasses.replace(figures, gram=None).patch == 0


def test_what_it_advises_is_among_its_own_options(
    alone: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trainer, which has others, uses the same weights and pictures."""
    model, options = alone / "tiny.safetensors", set(evaluate._parser()._option_string_actions)
    (alone / "maps").mkdir()
    grey = gravel(160, 160).mean(1, keepdim=True).expand(-1, 3, -1, -1)
    save(alone / "maps/stone_rough.png", grey)
    (alone / "two").mkdir()
    for name in ("a.png", "b.png"):
        save(alone / "two" / name, gravel(160, 160))
    (alone / "bad.safetensors").write_bytes(b"no weights")
    assert run(model) == 0
    said = {"no weights": capsys.readouterr().err}
    assert "gram and deep cannot be measured" in said["no weights"]
    for case, words in {
        "bad weights": ("--vgg-weights", alone / "bad.safetensors"),
        "a folder of maps alone": ("--swatch", alone / "maps"),
        "a folder of two": ("--swatch", alone / "two"),
        "no device": ("--device", "tpu"),
        "no seeds": ("--seeds", "0"),
    }.items():
        said[case] = refusal(capsys, model, *words)
    monkeypatch.setenv("TEXTURE_VGG19", str(alone / "bad.safetensors"))
    said["bad weights by the environment"] = refusal(capsys, model)
    for case, text in said.items():
        assert set(re.findall(r"--[a-z][a-z0-9-]*", text)) <= options, case
    assert "looks like a roughness map" in said["a folder of maps alone"]
    assert "holds 2 materials" in said["a folder of two"]
