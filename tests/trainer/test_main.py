"""`python -m trainer` with a network: what it writes, what it says, and what survives when it fails or is stopped.

Most tests call `main` in this process on a tiny generator. Signals, full disks, `kill -9` and repeatability need a
process of their own; `child` runs the same command line after a few lines that make it small, or break it.
"""

import json
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from server.model.architecture import PRESETS
from server.model.library import Library
from server.network.model_file import Model, read_model
from tests.drawn import gravel, square_tiles
from tests.models import TINY, save_tiny
from tests.trainer.command_line import ROOT, Ended, a_sentence, child, command, ended, files, save_picture, wait_for
from trainer import __main__ as module
from trainer import job
from trainer.__main__ import main
from trainer.descriptor import descriptors
from trainer.judge import pictures
from trainer.training import training
from trainer.training.recipe import Recipe

WEIGHTS = ROOT.parent / "shared/data/vgg/vgg19_conv1_1-conv3_4.safetensors"
BUILTIN = ("--descriptor", "builtin", "--device", "cpu")
TAPER = (*BUILTIN, "--arch", "taper")
REAL = (*TAPER, "--iterations", "6", "--size", "160")
SMALL = (*TAPER, "--iterations", "6", "--size", "64")


@pytest.fixture
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tiny generator, windows and sheets for the tests that call `main` here."""
    monkeypatch.setitem(PRESETS, "taper", TINY["taper"])
    monkeypatch.setattr(Recipe, "MIN_SIZE", 48)
    monkeypatch.setattr(pictures, "SAMPLE", 64)
    monkeypatch.setattr(pictures, "LARGE", (64, 96))
    monkeypatch.setattr(descriptors, "FEATURE_SCALES", (1.0,))


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photograph of gravel of 128 x 144 pixels; its name wants making safe."""
    return save_picture(tmp_path_factory.mktemp("photos") / "Wet Gravel.png", gravel(128, 144, stone=7))


def weights_of(model: Model) -> dict[str, torch.Tensor]:
    return dict(model.generator.state_dict())


def same_weights(one: Path, other: Path) -> bool:
    a, b = weights_of(read_model(one)), weights_of(read_model(other))
    return a.keys() == b.keys() and all(torch.equal(value, b[name]) for name, value in a.items())


# ------------------------------------------------------------------------------------------- the command as it is typed


@pytest.fixture(scope="module")
def typed(photo: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    """A folder in which the real command was run, with the real generator, and how that ended."""
    folder = tmp_path_factory.mktemp("typed")
    return folder, command("--swatch", photo, *REAL, "--seed", 3, cwd=folder)


def test_the_command_ends_well_and_says_where_everything_is(typed: tuple[Path, Ended]) -> None:
    _, run = typed
    assert run.code == 0, run.err
    assert run.err == ""  # no bar where nobody looks
    assert "\r" not in run.out
    assert "training on 144 x 128 pixels" in run.out
    assert "models/wet_gravel.safetensors" in run.out
    assert "models/wet_gravel.sheet.png" in run.out


def test_the_command_leaves_the_model_its_pictures_and_no_checkpoint(typed: tuple[Path, Ended]) -> None:
    folder, _ = typed
    assert files(folder) == ["models"]
    assert files(folder / "models") == [
        "wet_gravel.growth.png",
        "wet_gravel.safetensors",
        "wet_gravel.sheet.png",
        "wet_gravel.swatch.png",
    ]
    with Image.open(folder / "models/wet_gravel.sheet.png") as sheet:
        assert min(sheet.size) > 1500


def test_the_model_can_be_read_and_knows_where_it_comes_from(typed: tuple[Path, Ended], photo: Path) -> None:
    model = read_model(typed[0] / "models/wet_gravel.safetensors")
    assert model.generator.architecture == PRESETS["taper"]
    assert [each.name for each in model.generator.maps] == ["basecolor"]
    assert model.descriptor == "builtin"
    assert (model.swatch.name, model.swatch.height, model.swatch.width) == ("Wet Gravel.png", 128, 144)
    assert {key: model.training[key] for key in ("iterations", "size", "seed", "arch")} == {
        "iterations": 6,
        "size": 160,
        "seed": 3,
        "arch": "taper",
    }
    assert model.thumbnail.shape == (160, 160, 3)
    assert model.thumbnail.float().std() > 0
    assert [entry.state for entry in Library(typed[0] / "models").entries()] == ["ready"]


def test_the_swatch_is_shown_as_it_was_trained_on(typed: tuple[Path, Ended], photo: Path) -> None:
    with Image.open(typed[0] / "models/wet_gravel.swatch.png") as shown, Image.open(photo) as given:
        assert np.array_equal(np.asarray(shown), np.asarray(given))


def test_the_same_seed_in_another_process_gives_the_same_model(typed: tuple[Path, Ended], photo: Path) -> None:
    folder, _ = typed
    again = command("--swatch", photo, *REAL, "--seed", 3, "--out", "again/wet_gravel.safetensors", cwd=folder)
    assert again.code == 0, again.err
    one, other = (read_model(folder / where / "wet_gravel.safetensors") for where in ("models", "again"))
    assert same_weights(folder / "models/wet_gravel.safetensors", folder / "again/wet_gravel.safetensors")
    assert torch.equal(one.thumbnail, other.thumbnail)
    facts = [{key: value for key, value in model.training.items() if key != "seconds"} for model in (one, other)]
    assert facts[0] == facts[1]
    assert one.swatch == other.swatch


class Untrained:
    """In place of a job: keeps the recipe it would train by."""

    recipes: list[Recipe]

    def __init__(self, task: job.Task, recipe: Recipe, *arguments: object, **more: object) -> None:
        self.recipes.append(recipe)

    def run(self, stop: job.Stop) -> bool:
        return True


@pytest.mark.parametrize(
    ("arguments", "iterations"),
    [
        (["--arch", "taper"], 2000),
        (["--arch", "taper", "--iterations", "7"], 7),
        (["--arch", "pyramid", "--iterations", "1000"], 1000),
        (["--kind", "style", "--arch", "residual"], 900),
        (["--arch", "taper", "--derive", "height,normal"], 1600),
        (["--arch", "taper", "--derive", "height", "--iterations", "2000"], 2000),
    ],
)
def test_the_descriptor_gives_a_textures_steps_unless_they_are_told(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], iterations: int
) -> None:
    monkeypatch.setattr(Untrained, "recipes", [], raising=False)
    monkeypatch.setattr(module, "TextureJob", Untrained)
    monkeypatch.setattr(module, "StyleJob", Untrained)
    assert main(["--swatch", str(photo), "--out", str(tmp_path), *BUILTIN, *arguments]) == 0
    assert [recipe.iterations for recipe in Untrained.recipes] == [iterations]


@pytest.mark.skipif(not WEIGHTS.exists(), reason="needs VGG-19's weights beside the repository")
@pytest.mark.usefixtures("_tiny")
def test_real_weights_of_vgg19_are_trained_with(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "stones.safetensors"
    arguments = ["--swatch", photo, "--out", out, "--arch", "taper", "--vgg-weights", WEIGHTS]
    assert main([*map(str, arguments), "--device", "cpu", "--iterations", "2", "--size", "160"]) == 0
    said = capsys.readouterr().out
    assert "Using VGG-19" in said
    assert "caffe preprocessing" in said
    assert read_model(out).descriptor == "vgg19"


# -------------------------------------------------------------------------------------------------- swatches and --out


@pytest.mark.usefixtures("_tiny")
def test_every_swatch_of_files_and_folders_gives_a_model(photo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    save_picture(folder / "b.png", gravel(64, 64, seed=1, stone=5))
    save_picture(folder / "a.png", gravel(64, 64, seed=2, stone=5))
    (folder / "notes.txt").write_text("no picture")
    out = tmp_path / "out"
    assert main(["--swatch", str(photo), "--swatch", str(folder), "--out", str(out), "--quiet", *SMALL]) == 0
    assert [entry.name for entry in Library(out).entries()] == ["a", "b", "wet_gravel"]
    assert not same_weights(out / "a.safetensors", out / "b.safetensors")
    assert read_model(out / "a.safetensors").swatch.name == "a.png"


@pytest.mark.usefixtures("_tiny")
def test_without_out_the_model_goes_to_models(photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["--swatch", str(photo), "--quiet", *SMALL]) == 0
    assert read_model(Path("models/wet_gravel.safetensors")).name == "wet_gravel"


@pytest.mark.usefixtures("_tiny")
def test_out_that_ends_in_safetensors_is_the_file_and_its_folder_is_made(photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "far/away/stones.safetensors"
    assert main(["--swatch", str(photo), "--out", str(out), "--quiet", *SMALL]) == 0
    assert read_model(out).name == "stones"
    assert files(out.parent) == ["stones.growth.png", "stones.safetensors", "stones.sheet.png", "stones.swatch.png"]


@pytest.mark.usefixtures("_tiny")
def test_one_file_cannot_hold_several_models(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = save_picture(tmp_path / "other.png", gravel(64, 64, stone=5))
    out = tmp_path / "one.safetensors"
    assert main(["--swatch", str(photo), str(other), "--out", str(out), *SMALL]) == 2
    said = capsys.readouterr().err
    assert a_sentence(said)
    assert "Name a folder" in said
    assert not out.exists()


# ------------------------------------------------------------------------------------------------------ what is said


@pytest.mark.usefixtures("_tiny")
def test_quiet_says_nothing(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--swatch", str(photo), "--out", str(tmp_path), "--quiet", *SMALL]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("_tiny")
@pytest.mark.parametrize("faults", [0, 1], ids=["straight on", "after going back"])
def test_on_a_terminal_a_bar_counts_the_steps(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, faults: int
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    step, left = training.Training._one_step, [faults]

    def at_times_spoilt(self: training.Training[Any]) -> float:
        if self.step == 4 and left[0]:
            left[0] -= 1
            return float("nan")
        return step(self)

    monkeypatch.setattr(training.Training, "_one_step", at_times_spoilt)
    assert main(["--swatch", str(photo), "--out", str(tmp_path), *SMALL]) == 0
    said = capsys.readouterr()
    last = said.err.rstrip().split("\r")[-1]
    assert re.search(r"100%.* 6/6 .*loss \d+\.\d+, rate \d", last), said.err
    assert ("back to iteration 0" in said.out) == bool(faults)


@pytest.mark.usefixtures("_tiny")
def test_an_unsuited_swatch_is_warned_of_and_trained_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    light = torch.linspace(0.3, 1, 96).view(1, 1, 1, 96)
    swatch = save_picture(tmp_path / "wall.png", gravel(96, 96, stone=5) * light)
    assert main(["--swatch", str(swatch), "--out", str(tmp_path / "out"), *SMALL]) == 0
    lines = capsys.readouterr().out.splitlines()
    warnings = [line for line in lines if line.startswith("  Warning: ")]
    assert any("only 96 px" in line for line in warnings)
    assert any("light is uneven" in line for line in warnings)
    assert any("not scaled up" in line for line in lines)


@pytest.mark.usefixtures("_tiny")
def test_a_lattice_is_found_told_and_shown_and_can_be_given_or_turned_off(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiles = save_picture(tmp_path / "tiles.png", square_tiles(192, 192, tile=(24, 32)))
    for name, asked in (("auto", "auto"), ("none", "none"), ("given", "24,0;0,64")):
        out = tmp_path / name / "tiles.safetensors"
        assert main(["--swatch", str(tiles), "--out", str(out), "--lattice", asked, *SMALL]) == 0
        lattice, said = read_model(out).generator.lattice, capsys.readouterr().out
        assert ("It repeats by" in said) == (name != "none")
        assert (out.parent / "tiles.lattice.png").exists() == (name != "none")
        if lattice is None:
            assert name == "none"
            continue
        sides = sorted(round(sum(abs(part) for part in period)) for period in lattice.periods())
        assert sides == ([24, 32] if name == "auto" else [24, 64])


# ------------------------------------------------------------------------------------------------------------ refused

Prepare = Callable[[Path, Path], list[object]]


def no_swatch(folder: Path, photo: Path) -> list[object]:
    return ["--swatch", folder / "missing.jpg", "--out", folder]


def empty_folder(folder: Path, photo: Path) -> list[object]:
    (folder / "empty").mkdir()
    return ["--swatch", folder / "empty", "--out", folder]


def no_picture(folder: Path, photo: Path) -> list[object]:
    (folder / "brick.png").write_text("words")
    return ["--swatch", folder / "brick.png", "--out", folder]


def file_in_the_way(folder: Path, photo: Path) -> list[object]:
    (folder / "file").write_text("")
    return ["--swatch", photo, "--out", folder / "file"]


def below_a_file(folder: Path, photo: Path) -> list[object]:
    (folder / "file").write_text("")
    return ["--swatch", photo, "--out", folder / "file/deeper/x.safetensors"]


def folder_in_the_way(folder: Path, photo: Path) -> list[object]:
    (folder / "taken.safetensors").mkdir()
    return ["--swatch", photo, "--out", folder / "taken.safetensors"]


def asked(*arguments: object) -> Prepare:
    return lambda folder, photo: ["--swatch", photo, "--out", folder, *arguments]


@pytest.mark.parametrize(
    ("prepare", "named"),
    [
        (no_swatch, "missing.jpg"),
        (empty_folder, "holds no picture"),
        (no_picture, "brick.png"),
        (file_in_the_way, "Choose another --out"),
        (below_a_file, "Choose another --out"),
        (folder_in_the_way, "taken.safetensors"),
        (asked("--lattice", "bricks"), "'bricks' is not a lattice"),
        (asked("--lattice", "1,2;3"), "is not a lattice"),
        (asked("--lattice", "0,20;0,40"), "parallel"),
        (asked("--lattice", "1,0;0,1"), "too short"),
        (asked("--lattice", "900,0;0,900"), "longer than the swatch"),
        (asked("--lattice", "nan,0;0,20"), "lattice|parallel"),
        (asked("--iterations", "0"), "iterations is 0"),
        (asked("--iterations", "-3"), "iterations is -3"),
        (asked("--batch", "0"), "batch is 0"),
        (asked("--size", "20"), "size is 20"),
        (asked("--seed", "-1"), "seed is -1"),
        (asked("--rate", "nan"), "rate is nan"),
        (asked("--swatch-size", "20"), "20 px"),
        (asked("--device", "tpu"), "no 'tpu' here"),
        (asked("--device", "cuda:99"), "no 'cuda:99' here"),
        (asked("--descriptor", "vgg19", "--vgg-weights", "nowhere.pth"), "nowhere.pth"),
        (asked("--descriptor", "auto", "--vgg-weights", "nowhere.pth"), "nowhere.pth"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_what_cannot_be_done_is_one_sentence_and_the_old_model_stays(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], prepare: Prepare, named: str
) -> None:
    old = save_tiny(tmp_path, "wet_gravel", swatch="Wet Gravel.png")
    before = old.read_bytes()
    arguments = prepare(tmp_path, photo)
    there = files(tmp_path)
    assert main([*TAPER, "--iterations", "3", *map(str, arguments)]) == 2
    said = capsys.readouterr()
    assert a_sentence(said.err), said.err
    assert re.search(named, said.err)
    assert old.read_bytes() == before
    assert files(tmp_path) == there


@pytest.mark.parametrize(
    "arguments", [["--iterations", "many"], ["--descriptor", "eyes"], ["--swatch"], ["--swatches", "a.png"]], ids=str
)
def test_a_command_line_that_cannot_be_read_leaves_with_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert "usage: python -m trainer" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [([], "No swatch was given"), (["--arch", "resnet", "--swatch", "a.png"], "resnet")],
    ids=str,
)
def test_a_command_line_that_makes_no_sense_is_one_sentence(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert a_sentence(said.err), said.err
    assert named in said.err


def test_the_real_command_refuses_without_a_traceback(tmp_path: Path) -> None:
    run = command("--swatch", "missing.jpg", *REAL, cwd=tmp_path)
    assert (run.code, run.out) == (2, "")
    assert run.err == "trainer: There is no file 'missing.jpg': check the path.\n"
    assert files(tmp_path) == []


@pytest.mark.usefixtures("_tiny")
def test_a_training_that_fails_leaves_its_best_model_and_says_so(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "JUDGE_EVERY", 2)
    step = training.Training._one_step
    monkeypatch.setattr(training.Training, "_one_step", lambda self: step(self) if self.step < 3 else float("nan"))
    assert main(["--swatch", str(photo), "--out", str(tmp_path), "--quiet", *SMALL]) == 1
    said = capsys.readouterr().err
    assert a_sentence(said)
    assert "going back did not help" in said
    assert f"The best model so far is in {tmp_path / 'wet_gravel.safetensors'}" in said
    model = read_model(tmp_path / "wet_gravel.safetensors")
    assert all(value.isfinite().all() for value in weights_of(model).values())


# ------------------------------------------------------------------------------------------------------------ stopped


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_stopped_training_leaves_its_best_model_and_goes_on_later(
    photo: Path, tmp_path: Path, number: signal.Signals
) -> None:
    arguments = ["--swatch", photo, *SMALL[:-4], "--iterations", 200_000, "--size", 64]
    process = child("", *arguments, cwd=tmp_path)
    wait_for(tmp_path / "models/wet_gravel.growth.png", process)
    process.send_signal(number)
    run = ended(process)
    assert run.code == 130, run.err
    assert "Traceback" not in run.err
    stopped = re.search(r"Stopped at iteration (\d+)\. The best model so far is in (\S+); --resume", run.out)
    assert stopped
    assert stopped[2] == "models/wet_gravel.safetensors"
    model = read_model(tmp_path / "models/wet_gravel.safetensors")
    assert model.training["iterations"] == int(stopped[1])
    assert model.training["finished"] is False
    assert files(tmp_path / "models") == [
        "wet_gravel.checkpoint.safetensors",
        "wet_gravel.growth.png",
        "wet_gravel.safetensors",
        "wet_gravel.swatch.png",
    ]
    assert [entry.name for entry in Library(tmp_path / "models").entries()] == ["wet_gravel"]


STOP_AFTER_4 = """
    import os, signal
    frame = job.TextureJob._frame

    def stop(self, training):
        if training.step == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return frame(self, training)

    job.TextureJob._frame = stop
    """


def test_a_stopped_and_resumed_training_gives_the_model_of_an_uninterrupted_one(photo: Path, tmp_path: Path) -> None:
    arguments = ["--swatch", photo, *SMALL[:-4], "--iterations", 10, "--size", 64]
    whole = child("", *arguments, "--out", "whole", cwd=tmp_path)
    parts = child(STOP_AFTER_4, *arguments, "--out", "parts", cwd=tmp_path)
    assert (ended(whole).code, ended(parts).code) == (0, 130)
    resumed = ended(child("", *arguments, "--out", "parts", "--resume", cwd=tmp_path))
    assert resumed.code == 0, resumed.err
    assert "Going on from iteration 4." in resumed.out
    assert same_weights(tmp_path / "whole/wet_gravel.safetensors", tmp_path / "parts/wet_gravel.safetensors")
    assert "wet_gravel.checkpoint.safetensors" not in files(tmp_path / "parts")


def test_a_stopped_training_leaves_a_finished_model_as_it_is_and_lies_beside_it(photo: Path, tmp_path: Path) -> None:
    old = save_tiny(tmp_path / "models", "wet_gravel", swatch="Wet Gravel.png")
    before = old.read_bytes()
    arguments = ["--swatch", photo, *SMALL[:-4], "--iterations", 10, "--size", 64]
    stopped = ended(child(STOP_AFTER_4, *arguments, cwd=tmp_path))
    assert stopped.code == 130, stopped.err
    assert "The best model so far is in models/wet_gravel.unfinished.safetensors" in stopped.out
    assert old.read_bytes() == before
    model = read_model(old.with_name("wet_gravel.unfinished.safetensors"))
    assert (model.name, model.training["iterations"]) == ("wet_gravel.unfinished", 4)
    resumed = ended(child("", *arguments, "--resume", cwd=tmp_path))
    assert resumed.code == 0, resumed.err
    assert read_model(old).training["iterations"] == 10
    assert not [name for name in files(old.parent) if "unfinished" in name or "checkpoint" in name]


def test_an_unfinished_model_is_replaced_by_another(photo: Path, tmp_path: Path) -> None:
    arguments = ["--swatch", photo, *SMALL[:-4], "--iterations", 10, "--size", 64]
    for _ in range(2):
        assert ended(child(STOP_AFTER_4, *arguments, cwd=tmp_path)).code == 130
        assert not [name for name in files(tmp_path / "models") if "unfinished" in name]


KILLED_AT_4 = """
    import os, signal
    write = job.write_checkpoint

    def write_and_die(*arguments):
        write(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    job.write_checkpoint, job.CHECKPOINT_EVERY = write_and_die, 4
    """


def test_after_a_kill_the_old_model_stands_and_resume_goes_on(photo: Path, tmp_path: Path) -> None:
    old = save_tiny(tmp_path / "models", "wet_gravel", swatch="Wet Gravel.png")
    before = old.read_bytes()
    arguments = ["--swatch", photo, *SMALL[:-4], "--iterations", 10, "--size", 64]
    killed = ended(child(KILLED_AT_4, *arguments, cwd=tmp_path))
    assert killed.code == -signal.SIGKILL
    assert old.read_bytes() == before
    resumed = ended(child("", *arguments, "--resume", cwd=tmp_path))
    assert resumed.code == 0, resumed.err
    assert "Going on from iteration 4." in resumed.out
    assert read_model(old).training["iterations"] == 10
    assert "wet_gravel.checkpoint.safetensors" not in files(old.parent)


@pytest.mark.usefixtures("_tiny")
class TestResume:
    """In this process; a checkpoint is left by a training whose model cannot be written."""

    @pytest.fixture
    def cut_off(self, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """The path of a model that is not there, beside the checkpoint of its training at iteration 4 of 6."""
        out = tmp_path / "wet_gravel.safetensors"
        with monkeypatch.context() as patch:
            patch.setattr(job, "CHECKPOINT_EVERY", 4)
            patch.setattr(job, "write_model", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            assert main(["--swatch", str(photo), "--out", str(out), "--quiet", *SMALL]) == 130
        assert (tmp_path / "wet_gravel.checkpoint.safetensors").exists()
        return out

    def resume(self, photo: Path, out: Path, *arguments: str) -> int:
        return main(["--swatch", str(photo), "--out", str(out), "--resume", *SMALL, *arguments])

    def test_goes_on_and_removes_the_checkpoint(
        self, photo: Path, cut_off: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.resume(photo, cut_off) == 0
        assert "Going on from iteration 4." in capsys.readouterr().out
        assert read_model(cut_off).training["iterations"] == 6
        assert not list(cut_off.parent.glob("*.checkpoint.*"))

    @pytest.mark.parametrize(
        ("arguments", "named"),
        [
            (("--seed", "9"), "--seed was 0 and is 9. Ask for the same"),
            (("--iterations", "7"), "--iterations was 6 and is 7. Ask for the same"),
            (("--swatch-size", "100"), "the swatch was 144 x 128 pixels and is 112 x 100 (--swatch-size)"),
            (("--lattice", "40,0;0,40"), "--lattice was another"),
        ],
        ids=lambda value: value[0] if isinstance(value, tuple) else None,
    )
    def test_refuses_the_checkpoint_of_another_training(
        self, photo: Path, cut_off: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, str], named: str
    ) -> None:
        before = (cut_off.parent / "wet_gravel.checkpoint.safetensors").read_bytes()
        assert self.resume(photo, cut_off, "--quiet", *arguments) == 2
        said = capsys.readouterr().err
        assert a_sentence(said)
        assert named in said
        assert (cut_off.parent / "wet_gravel.checkpoint.safetensors").read_bytes() == before

    def test_refuses_a_damaged_checkpoint(self, photo: Path, cut_off: Path, capsys: pytest.CaptureFixture[str]) -> None:
        checkpoint = cut_off.parent / "wet_gravel.checkpoint.safetensors"
        checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
        assert self.resume(photo, cut_off, "--quiet") == 2
        assert a_sentence(capsys.readouterr().err)

    def test_refuses_the_checkpoint_of_another_version_s_generator(
        self, photo: Path, cut_off: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Recipes name their architecture; what the name means may have changed since."""
        monkeypatch.setitem(PRESETS, "taper", TINY["pyramid"])
        assert self.resume(photo, cut_off, "--quiet") == 2
        said = capsys.readouterr().err
        assert a_sentence(said)
        assert "Leave out --resume" in said

    def test_a_task_of_a_farm_begins_anew_where_the_checkpoint_is_of_another_training(
        self, photo: Path, cut_off: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        shard = ["--swatch", str(photo), "--out", str(cut_off), "--shard", "1/1", *SMALL]
        assert main([*shard, "--seed", "9"]) == 0
        assert "is of another training: starting from the beginning." in capsys.readouterr().out
        assert read_model(cut_off).training["seed"] == 9
        assert not list(cut_off.parent.glob("*.checkpoint.*"))

    def test_a_task_of_a_farm_goes_on(self, photo: Path, cut_off: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["--swatch", str(photo), "--out", str(cut_off), "--shard", "1/1", *SMALL]) == 0
        assert "Going on from iteration 4." in capsys.readouterr().out

    def test_without_a_checkpoint_starts_from_the_beginning_and_says_so(
        self, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.resume(photo, tmp_path / "new.safetensors") == 0
        assert "starting from the beginning" in capsys.readouterr().out


@pytest.mark.usefixtures("_tiny")
def test_ctrl_c_before_the_training_or_a_second_one_ends_without_a_traceback(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old = save_tiny(tmp_path, "wet_gravel", swatch="Wet Gravel.png")
    before = old.read_bytes()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "choose_descriptor", interrupted)
    assert main(["--swatch", str(photo), "--out", str(tmp_path), *SMALL]) == 130
    assert a_sentence(capsys.readouterr().err)
    assert old.read_bytes() == before


@pytest.mark.usefixtures("_tiny")
def test_signals_are_given_back(photo: Path, tmp_path: Path) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert main(["--swatch", str(photo), "--out", str(tmp_path), "--quiet", *SMALL]) == 0
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers


# ---------------------------------------------------------------------------------------------------------- disk full

FULL = """
    import resource

    def full(*_):
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    """
FULL_FROM_THE_START = FULL + "\n    full()"
FULL_AT_THE_MODEL = (
    FULL
    + """
    write = job.write_model
    job.write_model = lambda *arguments: (full(), write(*arguments))
    """
)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
@pytest.mark.parametrize("before", [FULL_FROM_THE_START, FULL_AT_THE_MODEL], ids=["from the start", "at the model"])
def test_a_full_disk_is_a_sentence_and_the_old_model_stays(photo: Path, tmp_path: Path, before: str) -> None:
    """A file that may not grow fails where a full disk does: in the middle of a write."""
    old = save_tiny(tmp_path / "models", "wet_gravel", swatch="Wet Gravel.png")
    content = old.read_bytes()
    run = ended(child(before, "--swatch", photo, "--quiet", *SMALL, cwd=tmp_path, full_disk=True))
    assert run.code == 1
    assert a_sentence(run.err), run.err
    assert "was not written" in run.err
    assert old.read_bytes() == content
    assert not [name for name in files(old.parent) if name.startswith(".")]


def test_facts_of_a_model_are_plain_json(typed: tuple[Path, Ended]) -> None:
    model = read_model(typed[0] / "models/wet_gravel.safetensors")
    assert json.loads(json.dumps(dict(model.training))) == dict(model.training)


# ------------------------------------------------------------------------------------------------------------ map sets


@pytest.fixture
def stone(tmp_path: Path) -> Path:
    """A folder of a material's maps, named as the libraries do."""
    folder = tmp_path / "stone"
    folder.mkdir()
    save_picture(folder / "stone_diff_1k.png", gravel(128, 128, stone=7))
    for name, seed in (("stone_rough_1k.png", 2), ("stone_disp_1k.png", 3)):
        save_picture(folder / name, gravel(128, 128, seed=seed, stone=9).mean(1, keepdim=True).expand(-1, 3, -1, -1))
    return folder


@pytest.mark.usefixtures("_tiny")
def test_a_folder_of_maps_gives_one_model_that_paints_them_all(
    stone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*SMALL, "--swatch", str(stone), "--derive", "normal", "--out", str(tmp_path / "models")]) == 0
    said = capsys.readouterr().out
    assert "is a map set: basecolor stone_diff_1k.png" in said
    assert "Maps: basecolor, normal, roughness, height." in said
    assert "Guessed from light and dark: normal." in said
    model = read_model(tmp_path / "models" / "stone.safetensors")
    assert [each.name for each in model.texture_generator().maps] == ["basecolor", "normal", "roughness", "height"]
    assert (tmp_path / "models" / "stone.maps.png").exists()


@pytest.mark.usefixtures("_tiny")
def test_the_lattice_of_a_set_is_found_in_whichever_map_shows_it(stone: Path, tmp_path: Path) -> None:
    tiles = square_tiles(128, 128, tile=(16, 16)).mean(1, keepdim=True).expand(-1, 3, -1, -1)
    save_picture(stone / "stone_ao_1k.png", tiles)
    assert main([*SMALL, "--swatch", str(stone), "--out", str(tmp_path / "models")]) == 0
    lattice = read_model(tmp_path / "models" / "stone.safetensors").texture_generator().lattice
    assert lattice
    assert [round(max(map(abs, period))) for period in lattice.periods()] == [16, 16]


@pytest.mark.usefixtures("_tiny")
def test_maps_are_named_one_by_one(stone: Path, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "wall.safetensors"
    rough = f"roughness={stone / 'stone_rough_1k.png'}"
    swatch = ["--swatch", str(stone / "stone_diff_1k.png")]
    assert main([*SMALL, *swatch, "--map", rough, "--out", str(out)]) == 0
    assert [each.name for each in read_model(out).texture_generator().maps] == ["basecolor", "roughness"]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (["--map", "roughness=nowhere.png"], "nowhere.png"),
        (["--map", "shine=x.png"], "NAME=FILE"),
        (["--map", "ao=x.png", "--map", "ao=y.png"], "given twice"),
        (["--derive", "ao"], "--derive"),
        (["--derive", "normal", "--kind", "style"], "for textures"),
        (["--map", "ao=x.png", "--swatch", "{stone}"], "belongs to one swatch"),
    ],
)
def test_maps_that_cannot_be_are_refused_in_a_sentence(
    stone: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], why: str
) -> None:
    more = [each.format(stone=stone) for each in more]
    assert main([*BUILTIN, "--swatch", str(photo), *more, "--out", str(tmp_path / "models")]) == 2
    said = capsys.readouterr().err
    assert why in said
    assert a_sentence(said)
