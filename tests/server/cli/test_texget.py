"""Facts about texget: what it writes is the texture, to the byte, and what goes wrong is one sentence."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from server.cli import bar
from server.cli.texget import (
    FAILED,
    MISTAKEN,
    NOBODY_READS,
    main,
    parse_seed,
    parse_seeds,
    parse_size,
    parse_window,
)
from server.client import local_painter
from server.errors import BadRequest, Refused, TexserverError
from server.model.maps import BASE_COLOUR, Map
from server.model.starter import STARTER
from server.model.torus import Size, Window
from server.network.devices import paintable
from server.network.model_file import read_model, write_model
from server.network.texture import texture, to_bytes
from server.replace_file import UnusableOutput
from tests.models import save_tiny, tiny_model

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with models brick and grass in it."""
    save_tiny(tmp_path / "models", "brick", lattice=True)
    save_tiny(tmp_path / "models", "grass")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> None:
    assert main([*arguments, "--models", "models", "--quiet"]) == 0


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The sentence; nothing else is said, and nothing is left in the folder."""
    before = sorted(Path().rglob("*"))
    assert main(arguments if "--models" in arguments else [*arguments, "--models", "models"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert sorted(Path().rglob("*")) == before
    assert err.startswith("texget: ")
    assert err.count("\n") == 1
    return err.removeprefix("texget: ").strip()


def pixels(path: str | Path) -> NDArray[Any]:
    with Image.open(path) as image:
        return np.asarray(image)


def wanted(folder: Path, name: str, seed: int, size: Size, depth: Any = 8) -> NDArray[Any]:
    generator = paintable(read_model(folder / "models" / f"{name}.safetensors"))
    return to_bytes(texture(generator, seed, size), depth)[0].numpy()


# ------------------------------------------------------------------------------------------------------------ pictures


def test_udim_squares_are_cut_from_one_texture_and_join(folder: Path) -> None:
    run("grass", "--udim", "1001,1002,1011", "--size", "48x32", "--seed", "3", "-o", "wall.png")
    whole = wanted(folder, "grass", 3, Size(height=64, width=96))
    assert np.array_equal(pixels("wall.1011.png"), whole[:32, :48]), "the square above"
    assert np.array_equal(pixels("wall.1001.png"), whole[32:, :48])
    assert np.array_equal(pixels("wall.1002.png"), whole[32:, 48:])
    run("grass", "--udim", "1003", "--size", "16", "-o", "{seed}-<UDIM>-{map}.png")
    assert Path("0-1003-basecolor.png").exists()


def test_udim_squares_that_do_not_exist_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "1001 to 2000" in refused(capsys, "grass", "--udim", "0999")
    assert "--window has no meaning with --udim" in refused(capsys, "grass", "--udim", "1001", "--window", "0,0,16x16")


@pytest.mark.parametrize("suffix", ["png", "PNG", "tif", "tiff"])
def test_the_file_holds_the_texture_to_the_byte(folder: Path, suffix: str) -> None:
    run("brick", "--seed", "7", "--size", "150x90", "-o", f"brick.{suffix}")
    assert np.array_equal(pixels(f"brick.{suffix}"), wanted(folder, "brick", 7, Size(height=90, width=150)))


@pytest.mark.parametrize("suffix", ["jpg", "jpeg"])
def test_a_jpeg_holds_the_texture_nearly(folder: Path, suffix: str) -> None:
    run("brick", "--seed", "7", "--size", "150x90", "-o", f"brick.{suffix}")
    with Image.open(f"brick.{suffix}") as image:
        assert image.format == "JPEG"
    difference = pixels(f"brick.{suffix}").astype(int) - wanted(folder, "brick", 7, Size(height=90, width=150))
    assert np.abs(difference).mean() < 4


def test_a_texture_of_several_bands_is_whole(folder: Path) -> None:
    run("grass", "--size", "40x1100", "-o", "tall.png")
    assert np.array_equal(pixels("tall.png"), wanted(folder, "grass", 0, Size(height=1100, width=40)))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_window_is_cut_from_the_whole_to_the_byte(folder: Path, suffix: str) -> None:
    size = ("--seed", "3", "--size", "700x520")
    run("brick", *size, "-o", f"whole.{suffix}")
    whole = pixels(f"whole.{suffix}")
    for window, top, left in (("650,480,90x70", 480, 650), ("-5,-7,90x70", -7, -5), ("100,20,90x70", 20, 100)):
        run("brick", *size, "--window", window, "-o", f"part.{suffix}")
        assert np.array_equal(pixels(f"part.{suffix}"), np.roll(whole, (-top, -left), (0, 1))[:70, :90])


def test_two_processes_write_the_same_bytes(folder: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "server.cli.texget", "brick", "--models", "models"]
    command += ["--size", "40x600", "--seeds", "1,2", "-o"]
    processes = [subprocess.Popen([*command, f"{name}.jpg"], env=env, stderr=subprocess.PIPE) for name in ("a", "b")]
    for process in processes:
        assert b"brick: 100%" in process.communicate()[1]
        assert process.returncode == 0
    for seed in ("0001", "0002"):
        assert Path(f"a-{seed}.jpg").read_bytes() == Path(f"b-{seed}.jpg").read_bytes()
    run("brick", "--size", "40x600", "--seed", "2", "-o", "c.jpg")
    assert Path("c.jpg").read_bytes() == Path("a-0002.jpg").read_bytes()
    assert Path("a-0001.jpg").read_bytes() != Path("a-0002.jpg").read_bytes()


def provenance(path: Path) -> dict[str, Any]:
    with Image.open(path) as image:
        match path.suffix:
            case ".png":
                return dict(image.info)
            case ".tif":
                return dict(json.loads(image.tag_v2[270]))  # type: ignore[attr-defined]
            case _:
                return dict(json.loads(image.info["comment"]))


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg"])
def test_the_file_says_how_to_make_it_again(folder: Path, suffix: str) -> None:
    run(
        "brick", "--seed", "9", "--size", "64x48", "--window", "-3,4,20x30", "-o", f"x.{suffix}", "--precision", "exact"
    )
    facts = provenance(folder / f"x.{suffix}")
    facts.pop("srgb", None)
    assert facts.pop("Software").startswith("texserver 0")
    assert facts == {
        "Model": "brick",
        "Model SHA-256": read_model(folder / "models" / "brick.safetensors").sha256,
        "Map": "basecolor",
        "Seed": "9",
        "Size": "64x48",
        "Window": "-3,4,20x30",
        "Precision": "exact",
    }


def test_each_map_has_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maps = (Map(name="height", channels=1, colour_space="linear"), BASE_COLOUR)
    write_model(tmp_path / "models" / "wall.safetensors", tiny_model(maps=maps))
    monkeypatch.chdir(tmp_path)
    for output in ("wall.png", "{map}-of-wall.tif", "wall-{map}.jpg"):
        run("wall", "--size", "50x40", "--seed", "2", "-o", output)
    both, deep = (wanted(tmp_path, "wall", 2, Size(height=40, width=50), depth) for depth in (8, 16))
    assert np.array_equal(pixels("wall-height.png"), deep[..., 0])
    assert np.array_equal(pixels("wall-basecolor.png"), both[..., 1:])
    assert np.array_equal(pixels("height-of-wall.tif"), deep[..., 0])
    run("wall", "--size", "50x40", "--seed", "2", "--depth", "8", "-o", "flat.png")
    assert np.array_equal(pixels("flat-height.png"), both[..., 0])
    with Image.open("wall-height.png") as height, Image.open("wall-basecolor.png") as colour:
        assert ("srgb" in height.info, "srgb" in colour.info) == (False, True)
    jpeg = pixels("wall-height.jpg")
    assert (jpeg.shape, jpeg.dtype) == ((40, 50), np.uint8)
    assert np.abs(jpeg.astype(int) - both[..., 0]).mean() < 4


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ((), ["brick-0-40x30.png"]),
        (("--seed", "12"), ["brick-12-40x30.png"]),
        (("--window", "1,-2,9x8"), ["brick-0-40x30-at-1,-2-9x8.png"]),
        (("--seeds", "8-10"), ["brick-08-40x30.png", "brick-09-40x30.png", "brick-10-40x30.png"]),
        (("--seeds", "3,70000", "-o", "b.tif"), ["b-0003.tif", "b-70000.tif"]),
        (("--seeds", "3", "-o", "b.png"), ["b-0003.png"]),
        (("--seeds", "3,4,3", "-o", "s{seed}.png"), ["s3.png", "s4.png"]),
        (("--seeds", "3,400", "-o", "s{seed}.png"), ["s003.png", "s400.png"]),
        (("-o", "new/folder/b.png"), ["new"]),
        (("--seed", "3", "-o", "{seed.real}-{0}.png"), ["{seed.real}-{0}.png"]),
    ],
    ids=str,
)
def test_files_are_named_for_what_they_show(folder: Path, arguments: tuple[str, ...], names: list[str]) -> None:
    run("brick", "--size", "40x30", *arguments)
    assert sorted(path.name for path in folder.iterdir() if path.name != "models") == sorted(names)


def test_what_is_written_is_told_unless_quiet(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And, where there is no terminal, how far it has come in lines that end."""
    arguments = ["brick", "--models", "models", "--size", "100x100", "--seeds", "0-1", "-o", "out/x.png"]
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [str(Path("out/x-0000.png")), str(Path("out/x-0001.png"))]
    assert err == "brick: 100%\n"
    run("brick", "--size", "100x100")
    assert capsys.readouterr() == ("", "")


def test_progress_is_a_line_every_few_seconds_without_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(bar.time, "monotonic", lambda: now)
    with bar.Bar("brick", 1000, quiet=False) as shown:
        for done in range(1, 1001):
            now += 0.02  # twenty seconds in all
            shown.advance(0, done)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "brick: 25%"
    assert lines[-1] == "brick: 100%"
    assert len(lines) == 4


def test_a_terminal_has_a_bar(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(["brick", "--models", "models", "--size", "100x100", "--seeds", "0-1", "-o", "x.png"]) == 0
    assert "20.0k/20.0k" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
def test_a_reader_that_has_enough_is_no_fault(tmp_path: Path) -> None:
    """As head in texget | head."""
    for number in range(4000):  # more than a pipe takes
        (tmp_path / f"model{number}.safetensors").touch()
    command = [sys.executable, "-m", "server.cli.texget", "--models", str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as listing:
        assert listing.stdout
        assert listing.stderr
        assert listing.stdout.readline()
        listing.stdout.close()
        assert listing.stderr.read() == b""
    assert listing.returncode == NOBODY_READS


def test_a_console_that_lacks_characters_shows_them_escaped(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "server.cli.texget", "brick", "--models", str(tmp_path / "\u7816")]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert r"\u7816" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_failure_has_another_code_than_a_mistake(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(error: TexserverError) -> int:
        def raises(*_: Any) -> None:
            raise error

        monkeypatch.setattr(local_painter, "bands", raises)
        return main(["brick", "--models", "models", "--quiet"])

    for code in ("oom", "busy", "internal", "worker_lost", "shutting_down", "expired"):
        assert fails(Refused(code, "No.")) == FAILED, code
    assert fails(UnusableOutput("The disk is full.")) == FAILED
    for code in ("bad_request", "unknown_model", "too_large"):
        assert fails(Refused(code, "No.")) == MISTAKEN, code


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_shells_can_complete_the_options(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("shtab")
    assert main(["--print-completion", shell]) == 0
    said = capsys.readouterr().out
    assert "texget" in said
    assert "keep-colours" in said


# ------------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("brik",), "There is no model 'brik'. Did you mean 'brick'?"),
        (("../models/brick",), "There is no model '../models/brick'."),
        (("brick", "--models", "nowhere"), "There is no models folder nowhere."),
        (("brick", "--size", "15x64"), "size: the width is 15;"),
        (("brick", "--size", "64x65537"), "size: the height is 65537;"),
        (("brick", "--size", "64y"), "size: '64y' is not WIDTHxHEIGHT"),
        (("brick", "--size", "15"), "size: the height is 15;"),
        (("brick", "--size", "100k"), "size: the height is 102400;"),
        (("brick", "--size", "k"), "size: 'k' is not"),
        (("brick", "--size", "64x64x64"), "size: "),
        (("brick", "--size", "1.5x64"), "size: "),
        (("brick", "--size", "-64x64"), "argument --size: expected one argument; see texget --help."),
        (("brick", "--size=-64x64"), "size: "),
        (("brick", "grass"), "unrecognized arguments: grass; see texget --help."),
        (("brick", "--precision", "double"), "argument --precision: invalid choice"),
        (("brick", "--seed", "1", "--seeds", "2"), "argument --seeds: not allowed"),
        (("brick", "--size", "9" * 5000 + "x64"), "size: "),
        (("brick", "--window", "0,0,0x9"), "window: the width is 0;"),
        (("brick", "--window", "0,0,9"), "window: '0,0,9' is not"),
        (("brick", "--window", "9999999999,0,9x9"), "window: left is 9999999999;"),
        (("brick", "--window", "-9999999999,0,9x9"), "window: left is -9999999999;"),
        (("brick", "--seed", "-1"), "seed: '-1' is not"),
        (("brick", "--seed", "1.5"), "seed: '1.5' is not"),
        (("brick", "--seed", str(2**64)), "seed: it is 18446744073709551616;"),
        (("brick", "--seed", "٣"), "seed: '٣' is not"),
        (("brick", "--seeds", "5-3"), "seeds: '5-3' runs backwards; write 3-5."),
        (("brick", "--seeds", "0-18446744073709551615"), "seeds: at most 10000"),
        (("brick", "--seeds", "1,,2"), "seed: '' is not"),
        (("brick", "--device", "cuda:99"), "device: there is no 'cuda:99' here"),
        (("brick", "-o", "x.bmp"), "output: 'x.bmp' names no format"),
        (("brick", "-o", "."), "output: '.' is a folder"),
        (("brick", "-o", "models"), "output: 'models' names no format"),
        (("brick", "-o", "models/brick.safetensors/x.png"), "output: 'models/brick.safetensors' is no folder;"),
        (("brick", "-o", "models/brick.safetensors/x/y.jpg"), "output: 'models/brick.safetensors' is no folder;"),
        (("brick", "--size", "65536x16", "-o", "x.jpg"), "output: a JPEG is at most 65500 pixels a side;"),
        (
            ("brick", "--size", "8001x8000", "-o", "x.jpg"),
            "output: a JPEG is held in memory, so at most 64 megapixels;",
        ),
    ],
    ids=lambda value: "" if isinstance(value, str) else " ".join(value)[:50],
)
def test_a_mistake_is_one_sentence_and_leaves_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], sentence: str
) -> None:
    assert refused(capsys, *arguments).startswith(sentence)


def test_a_broken_model_is_one_sentence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "models" / "bad.safetensors").write_bytes(b"")
    assert refused(capsys, "bad").endswith("bad.safetensors cannot be used: it is empty.")


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), BadRequest("gone.")], ids=["Ctrl-C", "error"])
def test_an_unfinished_picture_leaves_the_old_one(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    suffix: str,
    error: BaseException,
) -> None:
    path = folder / f"x.{suffix}"
    path.write_bytes(b"old")
    real = local_painter.bands

    def stopped(*arguments: Any) -> Iterator[Tensor]:
        yield next(real(*arguments))
        raise error

    monkeypatch.setattr(local_painter, "bands", stopped)
    code = main(["brick", "--models", "models", "--size", "40x1100", "-o", path.name, "--quiet"])
    assert code == (130 if isinstance(error, KeyboardInterrupt) else 2)
    assert capsys.readouterr().err.count("\n") == 1
    assert path.read_bytes() == b"old"
    assert sorted(each.name for each in folder.iterdir()) == ["models", path.name]
    monkeypatch.undo()
    os.chdir(folder)
    run("brick", "--size", "40x110", "-o", path.name)
    assert pixels(path).shape == (110, 40, 3)


def test_numbers_are_read_as_they_are_written() -> None:
    assert parse_size("2048x1024") == Size(height=1024, width=2048)
    assert parse_size("2k") == parse_size("2K") == parse_size("2048") == Size(height=2048, width=2048)
    assert parse_size("4kx512") == Size(height=512, width=4096)
    assert parse_window("-9,8,7x6") == Window(top=8, left=-9, height=6, width=7)
    assert parse_seed(str(2**64 - 1)) == 2**64 - 1
    assert parse_seeds("3,5,9-12") == [3, 5, 9, 10, 11, 12]
    assert parse_seeds("0-9999") == list(range(10_000))
    with pytest.raises(BadRequest):
        parse_seeds("0-9999,10000")


# ------------------------------------------------------------------------------------------------------------ the list


def test_without_a_model_they_are_listed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "models" / "bad.safetensors").write_bytes(b"")
    assert main(["--models", "models"]) == 0
    bad, brick, grass = capsys.readouterr().out.splitlines()
    assert bad == "bad    broken: it is empty"
    assert (
        brick
        == "brick  ready, basecolor, swatch 320x256, lattice: whole periods at 512x512, 1024x1024, 2048x2048, 4096x4096"
    )
    assert grass == "grass  ready, basecolor, swatch 320x256, no lattice: any size"


def test_the_starter_library_is_listed_without_a_server(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "models" / "brick.safetensors").rename(folder / "models" / "bricks.safetensors")
    assert main(["--starter", "--models", "models"]) == 0
    *lines, advice = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [each.name for each in STARTER]
    assert re.fullmatch(r"bricks +Masonry +1\.35 m  another model: old red bricks in running bond", lines[0])
    assert re.fullmatch(r"tiles +Tiles +0\.9 m  not made yet: glazed tiles, made by hand", lines[2])
    assert advice == "This makes them: python -m trainer.starter --out models"
    assert main(["brick", "--starter"]) == 2


def test_an_empty_folder_says_how_to_fill_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--models", str(tmp_path)]) == 0
    assert re.search("No models in .*Train one", capsys.readouterr().out)
