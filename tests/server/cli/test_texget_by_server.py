"""Facts about texget with a server: found without a word, the same pixels as without one, failures in a sentence."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.models import save_tiny
from tests.server.session import ROOT, Session, beside, line_file

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="reads /proc")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    home = tmp_path_factory.mktemp("home")
    save_tiny(home / "models", "brick", lattice=True)
    save_tiny(home / "models", "grass", 1)
    (home / "models" / "bad.safetensors").write_bytes(b"")
    with Session(home / "models", home) as session:
        yield session


@pytest.fixture
def folder(server: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder; the server of the runtime folder is the one that texget finds."""
    return beside(server, tmp_path, monkeypatch)


def texget(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "server.cli.texget", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )


def pixels(path: str | Path) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    if Path(path).suffix == ".tif":
        return np.asarray(tifffile.imread(path))
    with Image.open(path) as image:
        return np.asarray(image)


def test_alone_it_lists_the_models_with_their_state(folder: Path) -> None:
    done = texget()
    assert (done.returncode, done.stderr) == (0, "")
    bad, brick, grass = done.stdout.splitlines()
    assert bad == "bad    broken: it is empty"
    assert (
        brick
        == "brick  ready, basecolor, swatch 320x256, lattice: whole periods at 512x512, 1024x1024, 2048x2048, 4096x4096"
    )
    assert grass == "grass  ready, basecolor, swatch 320x256, no lattice: any size"


@pytest.mark.parametrize(
    "arguments",
    [
        ("brick", "--seed", "7", "--size", "700x1030", "-o", "NAME.png"),
        ("grass", "--seed", "7", "--size", "700x1030", "--window", "-9,-1000,650x1030", "-o", "NAME.png"),
        ("brick", "--seed", "18446744073709551615", "--size", "1100x90", "--depth", "16", "-o", "NAME.tif"),
        ("grass", "--size", "300x200", "-o", "NAME.jpg"),
    ],
    ids=lambda arguments: " ".join(arguments[3:]),
)
def test_the_pixels_are_those_without_a_server(folder: Path, server: Session, arguments: tuple[str, ...]) -> None:
    *rest, template = arguments
    by_server, alone = template.replace("NAME", "server"), template.replace("NAME", "alone")
    done = texget(*rest, by_server)
    assert (done.returncode, "100%" in done.stderr) == (0, True)
    done = texget(*rest, alone, "--models", str(server.models), "--device", "cpu", "--precision", "exact")
    assert done.returncode == 0
    assert np.array_equal(pixels(by_server), pixels(alone))
    assert pixels(by_server).std() > 1


def test_several_seeds_are_several_files(folder: Path) -> None:
    assert texget("brick", "--seeds", "0-2,9", "--size", "64x48", "-o", "b.png", "--quiet").returncode == 0
    found = [pixels(f"b-{seed:04}.png") for seed in (0, 1, 2, 9)]
    assert len({each.tobytes() for each in found}) == 4


def test_the_file_says_which_server_made_it(folder: Path, server: Session) -> None:
    assert texget("brick", "--size", "64x48", "-o", "b.png").returncode == 0
    with Image.open("b.png") as image:
        assert image.info["Server"] == f"127.0.0.1:{server.pairing.port}"
        assert (image.info["Model"], image.info["Seed"], image.info["Size"]) == ("brick", "0", "64x48")


def test_a_pairing_line_finds_it_too(folder: Path, server: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    assert texget().returncode == 1
    file = line_file(folder, server.pairing.line)
    assert texget("--connect", str(file)).stdout.count("ready") == 2
    refused = texget("--connect", server.pairing.line)
    assert refused.returncode == 2
    assert "can see a line on a command line" in refused.stderr
    assert server.pairing.line not in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("brik",), "There is no model 'brik'. Did you mean 'brick'?"),
        (("bad",), "The model 'bad' cannot be used: it is empty."),
        (("brick", "--size", "16385x64"), "size: "),
        (("brick", "--map", "height"), "maps: 'brick' has no 'height'; it has basecolor."),
        (("brick", "--connect", "texserver://x"), "This is not a pairing line."),
        (("brick", "--connect", "nothing.json"), "No texserver runs here: there is no nothing.json."),
        (("brick", "--connect", "texserver://127.0.0.1:9"), "No texserver runs at 127.0.0.1:9."),
        (("brick", "-o", "x.bmp"), "output: 'x.bmp' names no format"),
        (("brick", "--depth", "16", "-o", "x.jpg"), "output: a JPEG has 8 bits a sample"),
    ],
    ids=lambda value: "" if isinstance(value, str) else " ".join(value)[:50],
)
def test_a_mistake_is_one_sentence_and_leaves_nothing(folder: Path, arguments: tuple[str, ...], sentence: str) -> None:
    done = texget(*arguments)
    reached = "No texserver runs" not in sentence
    assert (done.returncode, done.stdout) == (2 if reached else 1, "")
    assert done.stderr.startswith(f"texget: {sentence}")
    assert done.stderr.count("\n") == 1
    assert list(folder.iterdir()) == []


def test_a_worker_killed_on_the_way_changes_no_byte(folder: Path, server: Session) -> None:
    """As an artist would meet it: the picture takes a little longer."""
    arguments = ("grass", "--seed", "4", "--size", "4096x4096", "--quiet")
    (worker,) = server.workers()
    killer = threading.Timer(1.0, lambda: os.kill(worker, signal.SIGKILL))
    killer.start()
    assert texget(*arguments, "-o", "disturbed.tif").returncode == 0
    killer.join()
    assert server.workers() != [worker]
    assert texget(*arguments, "-o", "calm.tif").returncode == 0
    assert np.array_equal(pixels("disturbed.tif"), pixels("calm.tif"))


def test_ctrl_c_leaves_no_unfinished_picture(folder: Path) -> None:
    command = [sys.executable, "-m", "server.cli.texget", "grass", "--size", "8192x8192", "-o", "large.png"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    end = time.monotonic() + 60
    while not list(folder.iterdir()):
        assert time.monotonic() < end, "it never began"
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.rstrip().endswith("texget: stopped; no unfinished picture remains.")
    assert list(folder.iterdir()) == []
