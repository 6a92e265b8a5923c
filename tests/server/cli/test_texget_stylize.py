"""Facts about texget --stylize: the file holds what `stylize` gives, sequences go on, mistakes are one sentence.

Most run without a server; those about both say so.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from numpy.typing import NDArray
from PIL import Image

from blender_addon.client.style_download import CALM
from server.cli import stylize_files
from server.cli.texget import main
from server.files.content_file import read_content
from server.network.devices import prepare
from server.network.model_file import read_model, write_model
from server.network.stylize import measure, stylize
from server.strokes.carry import MAGIC
from tests.models import save_tiny, save_tiny_style, tiny_quilted_style
from tests.server.session import ROOT, Session

Pixels = NDArray[Any]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a texture's model, two styles' and frames of a sequence in it."""
    save_tiny(tmp_path / "models", "brick")
    save_tiny_style(tmp_path / "models", "ink")
    save_tiny_style(tmp_path / "models", "oil", 1, architecture="pyramid")
    (tmp_path / "frames").mkdir()
    for number in range(1, 5):
        Image.fromarray(frame(number)).save(tmp_path / "frames" / f"f_{number:04}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    home = tmp_path_factory.mktemp("home")
    save_tiny_style(home / "models", "ink")
    with Session(home / "models", home) as session:
        yield session


def frame(number: int, shape: tuple[int, int, int] = (50, 60, 3)) -> Pixels:
    """Each frame of another brightness, so that its own statistics are others than the first one's."""
    return np.random.default_rng(number).integers(0, 60 * number, shape, np.uint8)


def wanted(
    pixels: Pixels, model: str = "ink", seed: int = 0, strength: float = 1.0, by: Pixels | None = None, **manner: Any
) -> Pixels:
    """What must come out; `by`: of whose statistics, in a sequence, which has less noise unless it is told."""
    if by is not None:
        manner = {"noise": CALM, **manner}
    style = read_model(Path("models") / f"{model}.safetensors")
    generator = prepare(style.style_generator(), torch.device("cpu"), "exact")
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    given = None if by is None else measure(generator, torch.from_numpy(by), seed, strength, noise=manner["noise"])
    picture = stylize(generator, torch.from_numpy(pixels.copy()), seed, strength, statistics=given, **manner)
    return picture.numpy()


def run(*arguments: str) -> None:
    assert main([*arguments, "--models", "models", "--device", "cpu", "--precision", "exact", "--quiet"]) == 0


def pixels(path: str | Path) -> Pixels:
    if Path(path).suffix == ".tif":
        return np.asarray(tifffile.imread(path))
    with Image.open(path) as image:
        return np.asarray(image)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The sentence; nothing else is said, and nothing is left in the folder."""
    before = sorted(Path().rglob("*"))
    assert main([*arguments, "--models", "models"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert sorted(Path().rglob("*")) == before
    assert err.startswith("texget: ")
    assert err.count("\n") == 1
    return err.removeprefix("texget: ").strip()


# -------------------------------------------------------------------------------------------------------- one picture


def test_regions_show_their_own_style_or_the_picture_itself(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, columns in (("left", slice(0, 20)), ("right", slice(45, 60))):
        mask = np.zeros((50, 60), np.uint8)
        mask[:, columns] = 255
        Image.fromarray(mask).save(f"{name}.png")
    regions = ("--region", "left.png=oil", "--region", "right.png=none")
    run("ink", "--stylize", "frames/f_%04d.png", "-o", "out", *regions)
    first, third = (pixels(f"out/f_{number:04}.png") for number in (1, 3))
    np.testing.assert_array_equal(first[:, :20], wanted(frame(1), "oil", by=frame(1))[:, :20])
    np.testing.assert_array_equal(third[:, :20], wanted(frame(3), "oil", by=frame(1))[:, :20])
    np.testing.assert_array_equal(third[:, 20:45], wanted(frame(3), by=frame(1))[:, 20:45])
    np.testing.assert_array_equal(third[:, 45:], frame(3)[:, 45:])
    Image.new("L", (30, 20)).save("small.png")
    assert "the picture's size" in refused(
        capsys, "ink", "--stylize", "frames/f_0001.png", "-o", "no.png", "--quiet", "--region", "small.png=oil"
    )


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_the_file_holds_the_picture_in_the_style_to_the_byte(folder: Path, suffix: str) -> None:
    run("ink", "--stylize", "frames/f_0002.png", "-o", f"out.{suffix}")
    np.testing.assert_array_equal(pixels(f"out.{suffix}"), wanted(frame(2)))


def test_the_manner_is_that_of_the_options(folder: Path) -> None:
    options = ("--strength", ".4", "--seed", "18446744073709551615", "--keep-colours", "--noise", "2.5")
    run("oil", "--stylize", "frames/f_0002.png", "-o", "out.png", *options)
    expected = wanted(frame(2), "oil", 2**64 - 1, 0.4, keep_colours=True, noise=2.5)
    np.testing.assert_array_equal(pixels("out.png"), expected)


def test_a_jpeg_holds_it_nearly(folder: Path) -> None:
    smooth = np.add.outer(np.arange(64), np.arange(64))[..., None].repeat(3, 2).astype(np.uint8)
    Image.fromarray(smooth).save("smooth.png")
    run("ink", "--stylize", "smooth.png", "-o", "out.jpg", "--strength", "0.2")
    difference = pixels("out.jpg").astype(int) - wanted(smooth, strength=0.2)
    assert np.abs(difference).mean() < 6


def test_without_a_name_it_is_named_for_both(folder: Path) -> None:
    run("ink", "--stylize", "frames/f_0002.png")
    np.testing.assert_array_equal(pixels("f_0002-ink.png"), wanted(frame(2)))


def test_into_a_folder_it_keeps_its_name_and_a_picture_there_is_replaced(folder: Path) -> None:
    Path("out").mkdir()
    for seed in ("1", "2"):
        run("ink", "--stylize", "frames/f_0002.png", "-o", "out", "--seed", seed)
        np.testing.assert_array_equal(pixels("out/f_0002.png"), wanted(frame(2), seed=int(seed)))
    assert len(list(Path("out").iterdir())) == 1


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg"])
def test_the_file_says_how_it_was_made(folder: Path, suffix: str) -> None:
    run(
        "ink", "--stylize", "frames/f_0002.png", "-o", f"x.{suffix}", "--seed", "9", "--strength", "0.7", "--noise", "2"
    )
    with Image.open(f"x.{suffix}") as image:
        match suffix:
            case "png":
                facts = dict(image.info)
            case "tif":
                facts = json.loads(image.tag_v2[270])  # type: ignore[attr-defined]
            case _:
                facts = json.loads(image.info["comment"])
    facts.pop("srgb", None)
    assert facts.pop("Software").startswith("texserver 0")
    assert facts == {
        "Model": "ink",
        "Model SHA-256": read_model(folder / "models" / "ink.safetensors").sha256,
        "Seed": "9",
        "Size": "60x50",
        "Precision": "exact",
        "Strength": "0.7",
        "Keep colours": "no",
        "Noise": "2",
    }


def test_the_list_says_which_models_stylize(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--models", "models"]) == 0
    brick, ink, _ = capsys.readouterr().out.splitlines()
    assert brick.startswith("brick  ready, basecolor, swatch")
    assert ink == "ink    ready, a style, learned from 320x256"


# ------------------------------------------------------------------------------------------------------- with a server


def test_by_a_server_the_pixels_are_the_same(folder: Path, server: Session) -> None:
    """One picture with alpha, one of 16 bits, and a sequence."""
    Image.fromarray(frame(2, (40, 30, 4))).save("alpha.png")
    Image.fromarray((frame(3)[..., 0].astype(np.uint16) << 8) + 7).save("deep.png")
    by_server = ("--connect", str(server.file), "--quiet")
    alone = ("--models", str(server.models), "--device", "cpu", "--precision", "exact", "--quiet")
    for options, name in ((by_server, "server"), (alone, "alone")):
        manner = ("--strength", "0.8", "--seed", "3", "--keep-colours")
        assert main(["ink", "--stylize", "alpha.png", "-o", f"alpha-{name}.png", *manner, *options]) == 0
        assert main(["ink", "--stylize", "deep.png", "-o", f"deep-{name}.tif", *manner, *options]) == 0
        assert main(["ink", "--stylize", "frames", "-o", f"frames-{name}", *manner, *options]) == 0
    np.testing.assert_array_equal(pixels("alpha-server.png"), pixels("alpha-alone.png"))
    np.testing.assert_array_equal(pixels("deep-server.tif"), pixels("deep-alone.tif"))
    assert pixels("deep-server.tif").dtype == np.uint16
    for number in range(1, 5):
        np.testing.assert_array_equal(
            pixels(f"frames-server/f_{number:04}.png"), pixels(f"frames-alone/f_{number:04}.png")
        )
    with Image.open("alpha-server.png") as image:
        assert image.info["Server"] == f"127.0.0.1:{server.pairing.port}"


def test_what_the_server_refuses_is_one_sentence(
    folder: Path, server: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, said in (
        (("inc", "--stylize", "frames/f_0001.png"), "There is no model 'inc'. Did you mean 'ink'?"),
        (("ink", "--stylize", "wide.png"), "content: it is [1, 16385, 3]"),
    ):
        Image.fromarray(np.zeros((1, 16385, 3), np.uint8)).save("wide.png")
        assert main([*arguments, "--connect", str(server.file), "-o", "out.png"]) == 2
        err = capsys.readouterr().err
        assert err.startswith(f"texget: {said}")
        assert err.count("\n") == 1
        assert not Path("out.png").exists()


# ----------------------------------------------------------------------------------------------------------- sequences

BY_FOLDER = ("frames", "styled")
BY_PATTERN = ("frames/f_%04d.png", "styled/f_%04d.png")
INTO_FOLDER = ("frames/f_%04d.png", "styled")


def check_sequence(numbers: Sequence[int] = (1, 2, 3, 4), **manner: Any) -> None:
    assert sorted(path.name for path in Path("styled").iterdir()) == [f"f_{number:04}.png" for number in numbers]
    for number in numbers:
        np.testing.assert_array_equal(pixels(f"styled/f_{number:04}.png"), wanted(frame(number), **manner))


@pytest.mark.parametrize("given", [BY_FOLDER, BY_PATTERN, INTO_FOLDER], ids=str)
def test_the_frames_of_a_sequence_are_painted_by_the_statistics_of_the_first(
    folder: Path, given: tuple[str, str]
) -> None:
    if given == BY_PATTERN:
        Path("styled").mkdir()
    run("ink", "--stylize", given[0], "-o", given[1])
    check_sequence(by=frame(1))
    assert not np.array_equal(pixels("styled/f_0003.png"), wanted(frame(3)))


def test_pictures_that_are_none_of_a_sequence_may_have_their_own(folder: Path) -> None:
    run("ink", "--stylize", "frames", "-o", "styled", "--statistics", "own")
    check_sequence()


@pytest.mark.parametrize("given", [BY_FOLDER, BY_PATTERN], ids=str)
@pytest.mark.parametrize("lost", [(3, 4), (1,), (2, 4)], ids=str)
def test_a_sequence_goes_on_where_it_was_as_if_it_had_never_stopped(
    folder: Path, given: tuple[str, str], lost: Sequence[int], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("styled").mkdir()
    run("ink", "--stylize", given[0], "-o", given[1])
    assert capsys.readouterr().err == ""
    kept = [number for number in range(1, 5) if number not in lost]
    for number in lost:
        Path(f"styled/f_{number:04}.png").unlink()
    times = {number: Path(f"styled/f_{number:04}.png").stat().st_mtime_ns for number in kept}
    run("ink", "--stylize", given[0], "-o", given[1])
    told = capsys.readouterr().err
    assert f"{len(kept)} of 4 pictures exist already and are kept; --overwrite makes them again." in told
    assert {number: Path(f"styled/f_{number:04}.png").stat().st_mtime_ns for number in kept} == times
    check_sequence(by=frame(1))


def test_all_of_it_there_is_nothing_to_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("ink", "--stylize", *BY_FOLDER[:1], "-o", BY_FOLDER[1])
    monkeypatch.setattr(stylize_files, "read_content", None)  # not even a look
    run("ink", "--stylize", *BY_FOLDER[:1], "-o", BY_FOLDER[1])


def test_overwrite_makes_all_of_it_anew(folder: Path) -> None:
    run("ink", "--stylize", "frames", "-o", "styled")
    run("ink", "--stylize", "frames", "-o", "styled", "--seed", "5", "--overwrite")
    check_sequence(by=frame(1), seed=5)


def test_a_frame_begins_a_new_shot_where_what_is_kept_for_it_is_of_another_build(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_model(folder / "models" / "sewn.safetensors", tiny_quilted_style(name="sewn"))
    for number in (3, 4):
        Path(f"frames/f_{number:04}.png").unlink()
    run("sewn", "--stylize", "frames", "-o", "styled")
    Path("styled/f_0002.png").unlink()
    kept = Path("styled/.carry/f_0001.png.carry")
    kept.write_bytes(kept.read_bytes().replace(MAGIC, b"TXFRAME1"))
    assert "new shot" not in capsys.readouterr().err
    run("sewn", "--stylize", "frames", "-o", "styled")
    assert "At 'styled/f_0002.png' a new shot begins" in capsys.readouterr().err
    assert pixels("styled/f_0002.png").shape == frame(2).shape


def test_frames_are_taken_by_their_numbers_and_others_left_alone(folder: Path) -> None:
    for number, name in ((9, "g_9.png"), (10, "g_10.png"), (11, "g_0011.png"), (12, "g_12.jpg"), (13, "xg_13.png")):
        Image.fromarray(frame(number % 4 + 1)).save(f"frames/{name}")
    run("ink", "--stylize", "frames/g_%d.png", "-o", "h_%03d.tif")
    made = sorted(path.name for path in folder.glob("h_*"))
    assert made == ["h_009.tif", "h_010.tif"]
    np.testing.assert_array_equal(pixels("h_010.tif"), wanted(frame(10 % 4 + 1), by=frame(9 % 4 + 1)))


def test_formats_that_cannot_be_written_become_png_and_hidden_files_are_left_alone(folder: Path) -> None:
    Path("mixed").mkdir()
    for name in ("a.webp", "b.bmp", "c.jpg", "d.tiff", "._d.tiff", "e.txt"):
        Image.fromarray(frame(2)).save(f"mixed/{name}", format="PNG")
    run("ink", "--stylize", "mixed", "-o", "out/", "--statistics", "own")
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.png", "b.png", "c.jpg", "d.tiff"]
    np.testing.assert_array_equal(pixels("out/a.png"), wanted(frame(2)))


def test_a_frame_that_cannot_be_read_ends_it_and_what_was_made_stays(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = Path("frames/f_0003.png").read_bytes()
    Path("frames/f_0003.png").write_bytes(whole[:-400])
    arguments = ["ink", "--stylize", "frames", "-o", "styled", "--models", "models", "--quiet"]
    assert main([*arguments, "--precision", "exact", "--device", "cpu"]) == 2
    assert "'frames/f_0003.png' is truncated or damaged" in capsys.readouterr().err
    check_sequence((1, 2), by=frame(1))
    Path("frames/f_0003.png").write_bytes(whole)
    run("ink", "--stylize", "frames", "-o", "styled")
    check_sequence(by=frame(1))


@pytest.mark.skipif(sys.platform == "win32", reason="there Ctrl-C reaches the test, too")
def test_ctrl_c_leaves_no_unfinished_picture_and_the_next_run_finishes_it(folder: Path) -> None:
    Path("many").mkdir()
    for number in range(60):
        Image.fromarray(frame(number % 4 + 1, (300, 400, 3))).save(f"many/{number:03}.png")
    command = [sys.executable, "-m", "server.cli.texget", "ink", "--stylize", "many", "-o", "out", "--models", "models"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    end = time.monotonic() + 100
    while not (Path("out").is_dir() and len(list(Path("out").glob("0*.png"))) >= 3):
        assert time.monotonic() < end, "it never began"
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=100)
    assert process.returncode == 130
    assert said.rstrip().endswith("texget: stopped; no unfinished picture remains.")
    made = sorted(path.name for path in Path("out").iterdir())
    assert made == [f"{number:03}.png" for number in range(len(made))]
    assert len(made) < 60
    for name in made:
        assert pixels(f"out/{name}").shape == (300, 400, 3)
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}, timeout=200
    )
    assert done.returncode == 0
    assert f"{len(made)} of 60 pictures exist already" in done.stderr
    assert len(list(Path("out").iterdir())) == 60


# ---------------------------------------------------------------------------------------------------- kinds of pictures


def saved(name: str, image: Image.Image, **options: Any) -> str:
    image.save(name, **options)
    return name


def check_read(name: str, expected: Pixels) -> None:
    run("ink", "--stylize", name, "-o", "out.tif")
    np.testing.assert_array_equal(pixels("out.tif"), wanted(expected))


def test_grey_and_black_and_white_become_colours(folder: Path) -> None:
    grey = frame(2)[..., 0]
    check_read(saved("grey.png", Image.fromarray(grey)), grey)
    check_read(saved("bits.png", Image.fromarray(grey > 60)), np.where(grey > 60, 255, 0).astype(np.uint8))


def test_sixteen_bits_of_grey_are_kept(folder: Path) -> None:
    deep = frame(4)[..., 0].astype(np.uint16) * 271
    for name in ("deep.png", "deep.tif"):
        check_read(saved(name, Image.fromarray(deep)), deep)
        assert pixels("out.tif").dtype == np.uint16
    run("ink", "--stylize", "deep.png", "-o", "out.jpg")  # which has 8
    assert pixels("out.jpg").dtype == np.uint8


def test_sixteen_bits_of_colour_are_kept(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deep = np.random.default_rng(4).integers(0, 65536, (50, 60, 3)).astype(np.uint16)
    tifffile.imwrite("deep.tif", deep, photometric="rgb", byteorder=">")
    check_read("deep.tif", deep)
    alpha = np.concatenate([deep, deep[..., :1] // 2 + 30000], 2)
    associated = alpha.copy()
    associated[..., :3] = alpha[..., :3].astype(float) * alpha[..., 3:] / 65535 + 0.5
    tifffile.imwrite("alpha.tif", associated, photometric="rgb", extrasamples=["assocalpha"])
    run("ink", "--stylize", "alpha.tif", "-o", "out.tif", "--strength", "0")
    np.testing.assert_array_equal(pixels("out.tif")[..., 3], alpha[..., 3])
    assert capsys.readouterr().err == ""


def test_results_have_the_depth_that_is_wanted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("ink", "--stylize", "frames/f_0002.png", "-o", "out.tif", "--depth", "16")
    deep = pixels("out.tif")
    np.testing.assert_array_equal(deep, wanted(frame(2).astype(np.uint16) * 257))
    assert (deep % 257 != 0).mean() > 0.3  # and no 8 bits made wider
    tifffile.imwrite("deep.tif", deep, photometric="rgb")
    run("ink", "--stylize", "deep.tif", "-o", "out.png", "--depth", "8")
    np.testing.assert_array_equal(pixels("out.png"), wanted(((deep.astype(int) + 128) // 257).astype(np.uint8)))
    said = refused(capsys, "ink", "--stylize", "frames/f_0002.png", "-o", "out.jpg", "--depth", "16", "--quiet")
    assert said.startswith("output: a JPEG has 8 bits a sample")


def test_renders_are_stylized_as_a_screen_shows_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("shot").mkdir()
    for number, version in ((1, "4.5.15"), (2, "5.2.3")):
        shutil.copy(ROOT / f"tests/fixtures/renders/blender-{version}.exr", f"shot/f_{number:04}.exr")
    run("ink", "--stylize", "shot/f_%04d.exr", "-o", "f_%04d.tif", "--exposure", "-1.5")
    assert capsys.readouterr().err.count("linear light") == 1
    first, second = (read_content(Path(f"shot/f_{number:04}.exr"), -1.5).pixels for number in (1, 2))
    np.testing.assert_array_equal(pixels("f_0002.tif"), wanted(second, by=first))
    run("ink", "--stylize", "shot/f_0002.exr", "-o", "out.tif")
    np.testing.assert_array_equal(pixels("out.tif"), wanted(read_content(Path("shot/f_0002.exr")).pixels))
    run("ink", "--stylize", "shot", "-o", "all", "--depth", "8", "--statistics", "own")
    assert sorted(each.name for each in Path("all").iterdir()) == ["f_0001.png", "f_0002.png"]
    assert pixels("all/f_0002.png").shape == (32, 48, 4)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB"])
def test_alpha_is_kept(folder: Path, mode: str) -> None:
    match mode:
        case "P":
            image = Image.fromarray(frame(4)).quantize(16)
            image.info["transparency"] = 3
        case "RGB":
            image = Image.fromarray(frame(4) // 128 * 128)
            image.info["transparency"] = (128, 0, 128)
        case "LA":
            image = Image.merge("LA", [Image.fromarray(frame(number)[..., 0]) for number in (2, 4)])
        case _:
            image = Image.fromarray(frame(4, (50, 60, 4)))
    name = saved("alpha.png", image)
    seen = pixels_as("RGBA", name)
    assert len(np.unique(seen[..., 3])) > 1
    check_read(name, seen)
    np.testing.assert_array_equal(pixels("out.tif")[..., 3], seen[..., 3])


def pixels_as(mode: str, name: str) -> Pixels:
    with Image.open(name) as image:
        return np.asarray(image.convert(mode))


def test_palettes_and_inks_become_colours(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = saved("palette.gif", Image.fromarray(frame(4)).quantize(16))
    check_read(name, pixels_as("RGB", name))
    name = saved("inks.jpg", Image.fromarray(frame(4)).convert("CMYK"))
    check_read(name, pixels_as("RGB", name))
    assert "CMYK" in capsys.readouterr().err


@pytest.mark.parametrize("orientation", range(2, 9))
def test_the_camera_says_which_way_is_up(folder: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = frame(4)
    saved("turned.png", Image.fromarray(stored), exif=exif)
    turns = {2: stored[:, ::-1], 3: stored[::-1, ::-1], 4: stored[::-1], 5: stored.swapaxes(0, 1)}
    turns |= {6: np.rot90(stored, -1), 7: np.rot90(stored, 2).swapaxes(0, 1), 8: np.rot90(stored)}
    check_read("turned.png", np.ascontiguousarray(turns[orientation]))


def test_a_note_is_told_once_for_a_sequence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(1, 5):
        Image.fromarray(frame(number)).convert("CMYK").save(f"frames/t_{number}.tif")
    run("ink", "--stylize", "frames/t_%d.tif", "-o", "styled")
    assert capsys.readouterr().err.count("CMYK") == 1


# ----------------------------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("render.exr", b"\x76\x2f\x31\x01" + bytes(300), "'render.exr' is truncated or damaged"),
        ("sky.hdr", b"#?RADIANCE\n" + bytes(300), "'sky.hdr' holds linear light (Radiance HDR)"),
        ("text.png", b"no picture", "'text.png' is not a picture that can be read here"),
        ("empty.png", b"", "'empty.png' is empty"),
    ],
)
def test_what_is_no_picture_as_it_is_seen_is_refused_with_the_way_out(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes, said: str
) -> None:
    Path(name).write_bytes(content)
    sentence = refused(capsys, "ink", "--stylize", name, "-o", "out.png")
    assert sentence.startswith(said)
    if "linear" in said:
        assert "view transform" in sentence


def test_a_floating_point_picture_is_linear_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(frame(2)[..., 0].astype(np.float32)).save("linear.tif")
    said = refused(capsys, "ink", "--stylize", "linear.tif", "-o", "out.png")
    assert said.startswith("'linear.tif' holds floating-point values, which are linear or need a view transform")


def test_a_cut_picture_and_a_bomb_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = Path("frames/f_0001.png").read_bytes()
    Path("cut.png").write_bytes(whole[:-300])
    assert "truncated or damaged" in refused(capsys, "ink", "--stylize", "cut.png", "-o", "out.png")
    Image.new("1", (30_000, 30_000)).save("bomb.png")
    assert "megapixels" in refused(capsys, "ink", "--stylize", "bomb.png", "-o", "out.png")


ONE = ("ink", "--stylize", "frames/f_0001.png")
ALL = ("ink", "--stylize", "frames")
FRAMES = ("ink", "--stylize", "frames/f_%04d.png")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((*ONE, "--strength", "1.5"), "strength: '1.5' is not a number from 0 to 1."),
        ((*ONE, "--strength", "nan"), "strength: 'nan' is not a number"),
        ((*ONE, "--noise", "-1"), "noise: '-1' is not a number from 0 to 10."),
        ((*ONE, "--seed", "-1"), "seed: '-1'"),
        ((*ONE, "--size", "64x64"), "--size has no meaning with --stylize; leave it out."),
        ((*ONE, "--seeds", "0-3"), "--seeds has no meaning with --stylize"),
        ((*ONE, "--window", "0,0,8x8"), "--window has no meaning with --stylize"),
        ((*ONE, "--exposure", "1"), "exposure: 'frames/f_0001.png' holds no linear light"),
        ((*ONE, "--exposure", "much"), "exposure: 'much' is not a number from -10 to 10."),
        (("brick", "--exposure", "-1"), "--exposure has no meaning without --stylize"),
        ((*ONE, "--mask", "m.png"), "--mask has no meaning without --blend"),
        ((*ONE, "--map", "all"), "--map has no meaning with --stylize"),
        (("brick", "--strength", "1"), "--strength has no meaning without --stylize"),
        (("brick", "--keep-colours"), "--keep-colours has no meaning without --stylize"),
        (("brick", "--overwrite"), "--overwrite has no meaning without --stylize"),
        (("--stylize", "frames/f_0001.png"), "stylize: name the style, too"),
        (("brick", "--stylize", "frames/f_0001.png"), "The model 'brick' paints textures and stylizes no pictures"),
        (("ink", "--size", "64x64"), "The model 'ink' stylizes pictures and paints no textures"),
        (("inc", "--stylize", "frames/f_0001.png"), "There is no model 'inc'. Did you mean 'ink'?"),
        (("ink", "--stylize", "nothing.png"), "There is no file 'nothing.png': check the path."),
        ((*ONE, "-o", "out.webp"), "output: 'out.webp' names no format"),
        ((*ONE, "-o", "out"), "output: 'out' names no format"),
        ((*ONE, "-o", "out_%04d.png"), "output: 'out_%04d.png' numbers its files"),
        ((*ONE, "-o", "frames/f_0001.png"), "output: 'frames/f_0001.png' is the picture itself"),
        ((*ONE, "-o", "frames/../frames/f_0001.png"), "output: 'frames/../frames/f_0001.png' is the picture itself"),
        ((*ONE, "-o", "frames"), "output: 'frames/f_0001.png' is the picture itself"),
        (ALL, "output: say where to put the pictures of 'frames': -o FOLDER."),
        ((*ALL, "-o", "frames"), "output: 'frames' is where the pictures come from"),
        ((*ALL, "-o", "frames/"), "output: 'frames' is where the pictures come from"),
        ((*ALL, "-o", "out.png"), "output: 'frames' is a folder, and so must the output be, not 'out.png'."),
        (("ink", "--stylize", "models", "-o", "out"), "The folder 'models' holds no picture"),
        (FRAMES, "output: say where to put the pictures of 'frames/f_%04d.png'"),
        ((*FRAMES, "-o", "out.png"), "output: 'out.png' is one file; number it"),
        ((*FRAMES, "-o", "frames/f_%04d.png"), "output: 'frames/f_0001.png' is the picture itself"),
        (("ink", "--stylize", "frames/x_%04d.png", "-o", "out"), "stylize: there is no frame 'frames/x_%04d.png'"),
        (("ink", "--stylize", "nowhere/x_%04d.png", "-o", "out"), "stylize: there is no frame 'nowhere/x_%04d.png'"),
        (("ink", "--stylize", "f_%d_%d.png", "-o", "out"), "stylize: 'f_%d_%d.png' must have one number"),
        (("ink", "--stylize", "50%_%d.png", "-o", "out"), "stylize: '50%_%d.png' must have one number"),
    ],
    ids=lambda value: "" if isinstance(value, str) else " ".join(value)[:60],
)
def test_a_mistake_is_one_sentence_and_leaves_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    assert refused(capsys, *arguments).startswith(said)


def test_pictures_that_would_become_one_are_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.webp", "a.bmp"):
        Image.fromarray(frame(1)).save(f"frames/{name}")
    said = refused(capsys, "ink", "--stylize", "frames", "-o", "out")
    assert said == "output: 'frames/a.bmp' and 'frames/a.webp' would both become 'out/a.png'; rename one."


def test_a_jpeg_for_a_picture_with_alpha_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(frame(1, (50, 60, 4))).save("alpha.png")
    said = refused(capsys, "ink", "--stylize", "alpha.png", "-o", "out.jpg")
    assert said == "output: a JPEG has no alpha, and this picture does; end the name in .png or .tif."


def test_a_folder_that_may_not_be_made_is_a_sentence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_text("")
    said = refused(capsys, "ink", "--stylize", "frames", "-o", "file")
    assert said == "output: 'file' is no folder; choose another."
