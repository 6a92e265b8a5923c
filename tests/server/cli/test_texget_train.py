"""texget --train and Client.train: picture files and arrays become models of the server, and what is wrong is told."""

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from blender_addon.client.training import ServerTraining
from blender_addon.protocol import wire
from server.client.client import Client
from server.client.trained import TrainingFailed, request_for
from server.errors import BadRequest, Refused
from server.network.model_file import read_model
from tests.drawn import gravel
from tests.server.session import ROOT, Session, environment, eventually
from trainer.judge.pictures import as_picture

pytestmark = pytest.mark.timeout(280)

PIXELS = np.ascontiguousarray(as_picture(gravel(128, 144, stone=7)))
GREY = np.ascontiguousarray(PIXELS.mean(2).astype(np.uint8))
HEIGHTS = (np.mgrid[0:128, 0:144][0] * 300 + GREY).astype(np.uint16)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    home = tmp_path_factory.mktemp("server")
    (home / "models").mkdir()
    with Session(home / "models", home, ready=False) as session:
        yield session


@pytest.fixture
def set_of_maps(tmp_path: Path) -> Path:
    """A folder."""
    folder = tmp_path / "Rock 07"
    folder.mkdir()
    Image.fromarray(PIXELS).save(folder / "rock07_diff_1k.png")
    Image.fromarray(HEIGHTS).save(folder / "rock07_disp_1k.png")
    Image.fromarray(GREY).save(folder / "rock07_rough_1k.png")
    return folder


def texget(server: Session, *arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "server.cli.texget", *map(str, arguments)],
        env=environment(server.home),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
    )


def maps_of(server: Session, name: str) -> dict[str, np.ndarray]:
    state = read_model(server.models / f"{name}.safetensors").texture_generator().state_dict()
    found = {key.partition("map.")[2]: value.permute(1, 2, 0).numpy() for key, value in state.items() if "map." in key}
    return {name: value for name, value in found.items() if name}


# ---------------------------------------------------------------------------------------------------------------- files


def test_a_photograph_becomes_a_model_of_its_name(server: Session, tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "Wet Gravel.png")
    done = texget(server, "--train", tmp_path / "Wet Gravel.png", "--metres", 2, "--category", "Ground")
    assert (done.returncode, done.stdout) == (0, "wet_gravel\n"), done
    assert "wet_gravel: 100%" in done.stderr
    assert np.array_equal(maps_of(server, "wet_gravel")["basecolor"], PIXELS)
    listed = texget(server, "--jobs")
    assert "wet_gravel  done: The model wet_gravel is ready.\n" in listed.stdout
    again = texget(server, "--train", tmp_path / "Wet Gravel.png")
    assert again.returncode == 1
    assert "there is a model 'wet_gravel' already" in again.stderr


def test_a_folder_of_maps_becomes_one_model_with_heights_as_they_were(server: Session, set_of_maps: Path) -> None:
    done = texget(server, "rock", "--train", set_of_maps, "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done
    maps = maps_of(server, "rock")
    assert set(maps) == {"basecolor", "roughness", "height"}
    assert np.array_equal(maps["height"][..., 0], HEIGHTS)
    assert np.array_equal(maps["roughness"][..., 0], GREY)


def test_maps_are_named_one_by_one_and_a_part_is_cut_out(server: Session, set_of_maps: Path) -> None:
    rough, height = (set_of_maps / f"rock07_{each}_1k.png" for each in ("rough", "disp"))
    maps = ("--map", f"gloss={rough}", "--map", f"height={height}")
    corners = ("--corners", "0.25,0;0.25,1;1,1;1,0")
    done = texget(server, "part", "--train", set_of_maps / "rock07_diff_1k.png", "--quiet", *corners, *maps)
    assert done.returncode == 0, done
    found = maps_of(server, "part")
    assert found["basecolor"].shape == (96, 144, 3)
    assert np.abs(found["roughness"][..., 0].astype(int) - (255 - GREY[32:].astype(int))).max() <= 1


def test_a_painting_becomes_a_style_that_stylizes(server: Session, tmp_path: Path) -> None:
    painting = as_picture(gravel(160, 192, stone=9))
    Image.fromarray(painting).save(tmp_path / "Oil.jpg", quality=95)
    done = texget(server, "--train", tmp_path / "Oil.jpg", "--kind", "style", "--leave-out", "0,0,1,0.25")
    assert (done.returncode, done.stdout) == (0, "oil\n"), done
    model = read_model(server.models / "oil.safetensors")
    assert model.kind == "style"
    assert not model.generator.state_dict()["usable"][:40].any()
    with Client(str(server.file)) as client:
        assert client.stylize("oil", PIXELS).image.shape == PIXELS.shape


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--train", "PHOTO", "--kind", "style", "--metres", "2"], "metres: a style is learned without it"),
        (["--train", "PHOTO", "--kind", "style", "--map", "normal=PHOTO"], "normal: a style is learned without it"),
        (["--train", "PHOTO", "--kind", "style", "--leave-out", "0,0,1"], "leave-out: "),
        (["--train", "PHOTO", "--leave-out", "0,0,1,1"], "leave_out: a texture is learned without it"),
        (["--train", ".", "--kind", "style"], "is learned from one picture"),
        (["brick", "--kind", "style"], "--kind has no meaning without --train"),
        (["--train", "nothing.png"], "nothing.png"),
        (["--train", "PHOTO", "--corners", "0,0;1,1"], "corners: "),
        (["--train", "PHOTO", "--corners", "0,0;1,0;1,1;0,1"], "clockwise"),
        (["--train", "PHOTO", "--derive", "ao"], "derive: "),
        (["--train", "PHOTO", "--metres", "0"], "metres: "),
        (["../x", "--train", "PHOTO"], "name: "),
        (["--train", "PHOTO", "--map", "shine=PHOTO"], "map: "),
        (["--train", "PHOTO", "--map", "height"], "map: "),
        (["--train", "PHOTO", "--size", "64"], "--size has no meaning with --train"),
        (["--jobs", "--models", "."], "--models has no meaning with --jobs"),
        (["brick", "--metres", "2"], "--metres has no meaning without --train"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(server: Session, tmp_path: Path, arguments: list[str], why: str) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "photo.png")
    done = texget(server, *(each.replace("PHOTO", str(tmp_path / "photo.png")) for each in arguments))
    assert done.returncode in (1, 2)
    assert why in done.stderr
    assert done.stderr.startswith("texget: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("terminal", [False, True])
def test_ctrl_c_leaves_the_training_unless_a_person_says_otherwise(
    server: Session, tmp_path: Path, terminal: bool
) -> None:
    name = f"slow{terminal:d}"
    Image.fromarray(as_picture(gravel(512, 640, stone=7))).save(tmp_path / f"{name}.png")
    theirs, ours = pty.openpty() if terminal else (subprocess.DEVNULL, 0)
    process = subprocess.Popen(
        [sys.executable, "-m", "server.cli.texget", "--train", str(tmp_path / f"{name}.png")],
        env=environment(server.home), cwd=ROOT, stdin=ours if terminal else theirs,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with Client(str(server.file)) as client:
        eventually(lambda: name in [each["name"] for each in client.trainings()], "the training is there")
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        if terminal:
            os.write(theirs, b"y\n")
        out, said = process.communicate(timeout=60)
        assert (process.returncode, "Traceback" in said) == (130, False), (out, said)
        state = next(each["state"] for each in client.trainings() if each["name"] == name)
        if terminal:
            assert state == "cancelled"
        else:
            assert state in ("waiting", "running", "done")
            assert "texget --jobs" in said


# --------------------------------------------------------------------------------------------------------------- arrays


def test_a_script_has_arrays_learned_and_sees_the_texture_grow(server: Session) -> None:
    seen: list[tuple[float, bool]] = []

    def progress(training: ServerTraining) -> None:
        seen.append((training.fraction, training.picture is not None))

    with Client(str(server.file)) as client:
        sha256 = client.train("heap", {"basecolor": PIXELS, "height": HEIGHTS}, metres=1.0, progress=progress)
        assert {each.name: each.facts.get("sha256") for each in client.list()}["heap"] == sha256
        assert client.texture("heap", seed=1, size=64)["height"].dtype == np.uint16
    assert seen[-1] == (1.0, True)
    assert [fraction for fraction, _ in seen] == sorted(fraction for fraction, _ in seen)


def test_an_older_server_is_not_asked_for_a_style_of_which_it_would_make_a_texture() -> None:
    older = wire.Welcome(
        id=1, protocol=1, server="texserver 0.1.0", state="ready", limits=wire.Limits(), features=("train",)
    )
    with pytest.raises(Refused, match="is older and makes no styles"):
        request_for(older, "oil", {"basecolor": PIXELS}, {"kind": "style"})
    request_for(older, "wall", {"basecolor": PIXELS}, {"kind": "texture"})


def test_a_script_is_told_what_is_wrong(server: Session) -> None:
    wrong: list[tuple[type[Exception], dict[str, Any], dict[str, Any]]] = [
        (Refused, {"height": HEIGHTS}, {}),
        (BadRequest, {"basecolor": PIXELS.astype(float)}, {}),
        (BadRequest, {"basecolor": PIXELS[None]}, {}),
        (Refused, {"basecolor": PIXELS}, {"metres": -1.0}),
        (BadRequest, {"basecolor": PIXELS}, {"metres": float("nan")}),
        (TrainingFailed, {"basecolor": PIXELS[:20]}, {}),
    ]
    with Client(str(server.file)) as client:
        for error, maps, options in wrong:
            with pytest.raises(error):
                client.train("wrong", maps, **options)
        assert "wrong" not in [each.name for each in client.list()]
