"""`python -m trainer` without --arch: a quilt, what it writes, what it says, and what survives when it is stopped.

Most tests call `main` in this process on a small picture. Signals and full disks need a process of their own.
"""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from server.model.header import read_facts
from server.model.library import Library
from server.model.quilt import QuiltArchitecture
from server.model.torus import Size, Window
from server.network.model_file import read_model
from server.network.texture import texture
from tests.drawn import blobs, gravel, slates, square_tiles
from tests.models import save_tiny
from tests.trainer.command_line import Ended, a_sentence, child, command, ended, files, save_picture, wait_for
from trainer import quilt_job
from trainer.__main__ import main
from trainer.judge import pictures
from trainer.judge.pictures import as_picture
from trainer.quilt import learning

CPU = ("--device", "cpu")


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small sheets, and few patches to learn prices from."""
    monkeypatch.setattr(pictures, "SAMPLE", 96)
    monkeypatch.setattr(pictures, "LARGE", (96, 144))
    monkeypatch.setattr(learning, "PATCHES", 4)
    monkeypatch.setattr(quilt_job, "ROUNDS", 2)
    monkeypatch.setattr(quilt_job, "SHOWN", 96)
    monkeypatch.setattr(quilt_job, "GROWTH_SIDE", 96)
    monkeypatch.setattr(quilt_job, "GROWN", 96)


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photograph of gravel of 128 x 144 pixels; its name wants making safe."""
    return save_picture(tmp_path_factory.mktemp("photos") / "Wet Gravel.png", gravel(128, 144, stone=7))


@pytest.fixture(scope="module")
def typed(photo: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    """A folder in which the real command was run, and how that ended."""
    folder = tmp_path_factory.mktemp("typed")
    return folder, command("--swatch", photo, *CPU, cwd=folder)


def test_the_command_ends_well_and_says_where_everything_is(typed: tuple[Path, Ended]) -> None:
    _, run = typed
    assert (run.code, run.err) == (0, "")
    assert "144 x 128 pixels" in run.out
    assert "models/wet_gravel.safetensors" in run.out
    assert "models/wet_gravel.sheet.png" in run.out
    assert "\r" not in run.out


def test_the_command_leaves_the_model_and_its_pictures(typed: tuple[Path, Ended], photo: Path) -> None:
    models = typed[0] / "models"
    assert files(models) == [
        "wet_gravel.growth.png",
        "wet_gravel.safetensors",
        "wet_gravel.sheet.png",
        "wet_gravel.swatch.png",
    ]
    with Image.open(models / "wet_gravel.swatch.png") as shown, Image.open(photo) as given:
        assert np.array_equal(np.asarray(shown), np.asarray(given))


def test_it_takes_seconds(typed: tuple[Path, Ended]) -> None:
    """About one on an idle machine; a network's thousand steps take minutes."""
    assert read_model(typed[0] / "models/wet_gravel.safetensors").training["seconds"] < 60


def test_the_model_says_that_it_is_whole_and_holds_the_photograph(typed: tuple[Path, Ended]) -> None:
    model = read_model(typed[0] / "models/wet_gravel.safetensors")
    assert isinstance(model.generator.architecture, QuiltArchitecture)
    assert model.training["arch"] == "quilt"
    assert model.training["contains"] == "the photograph"
    assert model.training["finished"] is True
    assert model.training["rounds"] == learning.ROUNDS
    assert model.descriptor == "none"
    assert (model.swatch.name, model.swatch.height, model.swatch.width) == ("Wet Gravel.png", 128, 144)
    assert model.thumbnail.shape == (160, 160, 3)
    assert [entry.state for entry in Library(typed[0] / "models").entries()] == ["ready"]


def test_the_pixels_in_the_file_are_the_photographs(typed: tuple[Path, Ended], photo: Path) -> None:
    state = read_model(typed[0] / "models/wet_gravel.safetensors").generator.state_dict()
    with Image.open(photo) as given:
        assert np.array_equal(state["map.basecolor"].permute(1, 2, 0).numpy(), np.asarray(given))


def test_another_run_gives_the_same_file_of_tensors_and_the_same_textures(
    typed: tuple[Path, Ended], photo: Path, tmp_path: Path
) -> None:
    out = tmp_path / "again.safetensors"
    again = command("--swatch", photo, *CPU, "--out", out, "--model-only", cwd=tmp_path)
    assert again.code == 0, again.err
    one, other = (read_model(path).texture_generator() for path in (typed[0] / "models/wet_gravel.safetensors", out))
    assert one.state_dict().keys() == other.state_dict().keys()
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())
    assert torch.equal(texture(one, 5, (200, 300)), texture(other, 5, (200, 300)))


def test_a_program_is_told_line_by_line_and_gets_the_model_alone(photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "wet.safetensors"
    arguments = ("--swatch", photo, *CPU, "--out", out, "--progress-lines", "--model-only")
    run = ended(child(FEW_PATCHES + "\n    quilt_job.ROUNDS = 4", *arguments, cwd=tmp_path))
    assert (run.code, run.err) == (0, "")
    lines = [json.loads(line) for line in run.out.splitlines()]
    fractions = [line["fraction"] for line in lines if "fraction" in line]
    assert fractions == sorted(fractions)
    assert fractions[-1] > 0.9
    kinds = ["picture" if "picture" in line else line["text"] for line in lines]
    assert kinds.index("picture") < kinds.index("Learning.")
    last = next(line for line in reversed(lines) if "picture" in line)
    assert Path(last["picture"]).stat().st_size == last["height"] * last["width"] * 3
    assert files(out.parent) == ["wet.growth.rgb", "wet.safetensors"]
    assert read_facts(out).swatch.width == 144


def test_the_trainer_leaves_with_the_program_that_started_it(photo: Path, tmp_path: Path) -> None:
    endless = "from trainer import quilt_job; quilt_job.ROUNDS = 10**6"
    process = child(
        endless, "--swatch", photo, *CPU, "--out", tmp_path, "--leave-with-parent", cwd=tmp_path, stdin=subprocess.PIPE
    )
    wait_for(tmp_path / "wet_gravel.growth.png", process)
    assert process.poll() is None
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(60) == 1
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    process.stderr.close()
    assert not (tmp_path / "wet_gravel.safetensors").exists()


@pytest.mark.usefixtures("_small")
def test_the_model_keeps_the_scale_and_the_category_that_it_was_told(photo: Path, tmp_path: Path) -> None:
    told = ("--metres", "0.5", "--category", "Ground")
    assert main(["--swatch", str(photo), "--out", str(tmp_path), "--quiet", *CPU, *told]) == 0
    facts = read_facts(tmp_path / "wet_gravel.safetensors")
    assert (facts.texels_per_metre, facts.category) == (288, "Ground")  # of 144 pixels


@pytest.mark.usefixtures("_small")
def test_the_model_read_back_paints_what_the_trained_quilt_painted(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = []
    show = quilt_job.QuiltJob._show

    def keep(self: quilt_job.QuiltJob, quilt: quilt_job.Quilt, small: quilt_job.Quilt) -> None:
        kept.append(quilt)
        show(self, quilt, small)

    monkeypatch.setattr(quilt_job.QuiltJob, "_show", keep)
    assert main(["--swatch", str(photo), "--out", str(tmp_path), "--quiet", *CPU]) == 0
    read = read_model(tmp_path / "wet_gravel.safetensors").texture_generator()
    for seed, size in ((0, (150, 150)), (9, (96, 333))):
        assert torch.equal(texture(kept[0], seed, size), texture(read, seed, size))


@pytest.mark.usefixtures("_small")
def test_quiet_says_nothing(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--swatch", str(photo), "--out", str(tmp_path), "--quiet", *CPU]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("_small")
def test_on_a_terminal_a_bar_counts_the_rounds(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert main(["--swatch", str(photo), "--out", str(tmp_path), *CPU]) == 0
    assert re.search(r"100%.* 2/2 ", capsys.readouterr().err.rstrip().split("\r")[-1])


@pytest.mark.usefixtures("_small")
def test_what_only_a_network_takes_is_left_out_and_said(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--swatch", str(photo), "--out", str(tmp_path), *CPU, "--iterations", "60", "--descriptor", "builtin"]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "takes no --iterations and no --descriptor" in said
    assert "--arch taper trains a network" in said


@pytest.mark.usefixtures("_small")
def test_a_lattice_is_found_told_and_shown_and_can_be_given_or_turned_off(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiles = save_picture(tmp_path / "tiles.png", square_tiles(192, 192, tile=(24, 32)))
    for name, asked in (("auto", "auto"), ("none", "none"), ("given", "24,0;0,64")):
        out = tmp_path / name / "tiles.safetensors"
        assert main(["--swatch", str(tiles), "--out", str(out), "--lattice", asked, *CPU]) == 0
        lattice, said = read_model(out).texture_generator().lattice, capsys.readouterr().out
        assert ("It repeats by" in said) == (lattice is not None) == (name != "none")
        assert (out.parent / "tiles.lattice.png").exists() == (name != "none")


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize("asked", ["auto", "none"])
def test_uneven_courses_are_told_and_kept_in_step_unless_it_is_turned_off(
    asked: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture, out = (
        save_picture(tmp_path / "roof.png", slates(256, 256, high=11.3, seed=2)),
        tmp_path / "roof.safetensors",
    )
    assert main(["--swatch", str(picture), "--out", str(out), "--lattice", asked, *CPU]) == 0
    assert ("uneven courses, about every 11 pixels down" in capsys.readouterr().out) == (asked == "auto")
    settings = read_facts(out).architecture
    assert isinstance(settings, QuiltArchitecture)
    assert len(settings.waves) == (asked == "auto")


@pytest.mark.usefixtures("_small")
def test_slow_light_is_levelled_and_told_unless_it_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lit = blobs(192, 192) * torch.linspace(0.3, 1, 192)
    path = save_picture(tmp_path / "wall.png", lit)
    sides = {}
    for name, more in (("level", []), ("kept", ["--keep-light"])):
        assert main(["--swatch", str(path), "--out", str(tmp_path / name), *CPU, *more]) == 0
        said = capsys.readouterr().out
        assert ("Slow light was levelled: brightness" in said) == (name == "level")
        pixels = read_model(tmp_path / name / "wall.safetensors").generator.state_dict()["map.basecolor"].float()
        sides[name] = float(pixels[..., 96:].mean() / pixels[..., :96].mean())
    assert sides["level"] == pytest.approx(1, abs=0.05)
    assert sides["kept"] > 1.5


@pytest.mark.usefixtures("_small")
def test_a_swatch_that_tiles_is_told_and_shown_over_its_border(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, pixels, wraps in (
        ("torus", blobs(192, 192), (True, True)),
        ("band", blobs(192, 256)[..., :200], (True, False)),
        ("cut", blobs(256, 256)[..., :192, :192], (False, False)),
    ):
        path = save_picture(tmp_path / f"{name}.png", pixels)
        assert main(["--swatch", str(path), "--out", str(tmp_path), *CPU]) == 0
        assert ("It tiles" in capsys.readouterr().out) == any(wraps)
        settings = read_model(tmp_path / f"{name}.safetensors").generator.architecture
        assert isinstance(settings, QuiltArchitecture)
        assert settings.wraps == wraps


def test_all_of_a_swatch_that_tiles_is_shown_alike(tmp_path: Path) -> None:
    path = save_picture(tmp_path / "torus.png", blobs(192, 192))
    assert main(["--swatch", str(path), "--out", str(tmp_path), "--quiet", "--model-only", *CPU]) == 0
    quilt = read_model(tmp_path / "torus.safetensors").generator
    assert isinstance(quilt, quilt_job.Quilt)
    side = 4 * 192
    shown = quilt.sources(0, Size(side, side), Window(0, 0, side, side)).view(-1, 2)
    counts = torch.zeros(192 * 192).index_add_(0, shown[:, 0] * 192 + shown[:, 1], torch.ones(side * side)) / 16
    assert float((counts == 0).float().mean()) < 0.002
    assert float(counts.square().mean()) < 1.1  # how often, over how often it is due, a random shown pixel is seen


# -------------------------------------------------------------------------------------- swatches that are hard to take


def saved(path: Path, image: Image.Image, **how: object) -> Path:
    image.save(path, **how)  # type: ignore[arg-type]
    return path


def stones() -> Image.Image:
    return Image.fromarray(as_picture(gravel(96, 128, stone=7)))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("grey", "The picture is grey"),
        ("palette", "The palette was replaced"),
        ("alpha", "Transparent parts were filled"),
        ("sixteen", "The 16 bits of each channel were scaled to 8"),
        ("cmyk", "The CMYK inks were converted"),
    ],
)
@pytest.mark.usefixtures("_small")
def test_pictures_of_other_kinds_are_converted_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, said: str
) -> None:
    image = stones()
    path = tmp_path / ("stones.jpg" if kind == "cmyk" else "stones.png")
    match kind:
        case "grey":
            image = image.convert("L")
        case "palette":
            image = image.quantize(64)
        case "alpha":
            image.putalpha(Image.fromarray(np.tile(np.arange(128, dtype=np.uint8) * 2, (96, 1))))
        case "sixteen":
            image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
        case "cmyk":
            image = image.convert("CMYK")
    saved(path, image)
    assert main(["--swatch", str(path), "--out", str(tmp_path / "models"), *CPU]) == 0
    assert said in capsys.readouterr().out
    generator = read_model(tmp_path / "models/stones.safetensors").texture_generator()
    painted = texture(generator, 0, (96, 96))
    assert abs(float(painted.mean()) - float(np.asarray(stones()).mean()) / 255) < 0.1


@pytest.mark.usefixtures("_small")
def test_a_picture_that_lies_on_its_side_is_put_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(tmp_path / "side.jpg", stones(), exif=exif)
    assert main(["--swatch", str(path), "--out", str(tmp_path / "models"), "--quiet", *CPU]) == 0
    swatch = read_model(tmp_path / "models/side.safetensors").swatch
    assert (swatch.height, swatch.width) == (128, 96)


def bomb(path: Path) -> None:
    Image.new("1", (12000, 12000)).save(path)


def cut_short(path: Path) -> None:
    stones().save(path)
    path.write_bytes(path.read_bytes()[:-2000])


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda path: None, "check the path"),
        (lambda path: path.mkdir(), "holds no picture"),
        (lambda path: path.write_bytes(b""), "wall.png"),
        (lambda path: path.write_text("words"), "wall.png"),
        (cut_short, "wall.png"),
        (lambda path: Image.new("RGB", (1, 1)).save(path), "64 px"),
        (lambda path: Image.new("RGB", (63, 900)).save(path), "64 px"),
        (bomb, "wall.png"),
        (lambda path: Image.new("RGBA", (80, 80)).save(path), "transparent"),
    ],
    ids=["missing", "a folder", "empty", "words", "truncated", "1 x 1", "too small", "12000 x 12000", "transparent"],
)
def test_what_is_no_swatch_is_one_sentence_and_the_old_model_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: object, named: str
) -> None:
    old = save_tiny(tmp_path, "wall", swatch="wall.png")
    before = old.read_bytes()
    assert callable(make)
    make(tmp_path / "wall.png")
    there = files(tmp_path)
    assert main(["--swatch", str(tmp_path / "wall.png"), "--out", str(tmp_path), *CPU]) == 2
    said = capsys.readouterr().err
    assert a_sentence(said), said
    assert named in said
    assert old.read_bytes() == before
    assert files(tmp_path) == there


@pytest.mark.parametrize("side", [64, 65, 107])
@pytest.mark.usefixtures("_small")
def test_the_smallest_swatches_are_sewn(tmp_path: Path, side: int) -> None:
    path = save_picture(tmp_path / "small.png", gravel(side, side + 7, stone=5))
    assert main(["--swatch", str(path), "--out", str(tmp_path), "--quiet", *CPU]) == 0
    assert texture(read_model(tmp_path / "small.safetensors").texture_generator(), 0, (200, 210)).std() > 0.02


@pytest.mark.usefixtures("_small")
def test_one_flat_colour_stays_that_colour_and_is_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(tmp_path / "flat.png", Image.new("RGB", (200, 200), (90, 120, 30)))
    assert main(["--swatch", str(path), "--out", str(tmp_path), *CPU]) == 0
    assert "almost one flat colour" in capsys.readouterr().out
    painted = texture(read_model(tmp_path / "flat.safetensors").texture_generator(), 0, (256, 256))
    assert torch.equal((painted * 255).round(), torch.tensor([90.0, 120, 30]).view(1, 3, 1, 1).expand_as(painted))


# ------------------------------------------------------------------------------------------------- where it is written


@pytest.mark.usefixtures("_small")
def test_a_folder_that_is_missing_is_made(photo: Path, tmp_path: Path) -> None:
    assert main(["--swatch", str(photo), "--out", str(tmp_path / "far/away"), "--quiet", *CPU]) == 0
    assert read_model(tmp_path / "far/away/wet_gravel.safetensors").name == "wet_gravel"


@pytest.mark.parametrize("out", ["file", "file/deeper/x.safetensors", "taken.safetensors"])
def test_a_place_that_cannot_be_written_to_is_a_sentence(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], out: str
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "taken.safetensors").mkdir()
    assert main(["--swatch", str(photo), "--out", str(tmp_path / out), *CPU]) == 2
    said = capsys.readouterr().err
    assert a_sentence(said)
    assert "Choose another --out" in said


FULL = """
    import resource
    from trainer import quilt_job
    from trainer.quilt import learning

    learning.PATCHES = 4

    def full(*_):
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    """
FULL_AT_THE_MODEL = (
    FULL
    + """
    write = quilt_job.write_model
    quilt_job.write_model = lambda *arguments: (full(), write(*arguments))
    """
)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
@pytest.mark.parametrize("before", [FULL + "\n    full()", FULL_AT_THE_MODEL], ids=["from the start", "at the model"])
def test_a_full_disk_is_a_sentence_and_the_old_model_stays(photo: Path, tmp_path: Path, before: str) -> None:
    old = save_tiny(tmp_path / "models", "wet_gravel", swatch="Wet Gravel.png")
    content = old.read_bytes()
    run = ended(child(before, "--swatch", photo, "--quiet", *CPU, cwd=tmp_path, full_disk=True))
    assert run.code == 1
    assert a_sentence(run.err), run.err
    assert "was not written" in run.err
    assert old.read_bytes() == content
    assert not [name for name in files(old.parent) if name.startswith(".")]


# ------------------------------------------------------------------------------------------------------------ stopped

FEW_PATCHES = """
    from trainer import quilt_job
    from trainer.judge import pictures
    from trainer.quilt import learning

    learning.PATCHES, quilt_job.ROUNDS, pictures.SAMPLE, pictures.LARGE = 4, 2, 96, (96, 144)
    quilt_job.SHOWN = quilt_job.GROWTH_SIDE = quilt_job.GROWN = 96
    """
MANY_ROUNDS = FEW_PATCHES + "\n    quilt_job.ROUNDS = 1_000_000"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_stopped_learning_leaves_its_best_model(photo: Path, tmp_path: Path, number: signal.Signals) -> None:
    process = child(MANY_ROUNDS, "--swatch", photo, *CPU, cwd=tmp_path)
    wait_for(tmp_path / "models/wet_gravel.growth.png", process)
    process.send_signal(number)
    run = ended(process)
    assert run.code == 130, run.err
    assert "Traceback" not in run.err
    assert re.search(
        r"Stopped after \d+ of 1000000 rounds\. The best model so far is in models/wet_gravel\.safetensors\.", run.out
    )
    model = read_model(tmp_path / "models/wet_gravel.safetensors")
    assert model.training["finished"] is False
    assert texture(model.texture_generator(), 0, (100, 100)).std() > 0.02
    assert [entry.name for entry in Library(tmp_path / "models").entries()] == ["wet_gravel"]


def test_a_stopped_learning_leaves_a_finished_model_as_it_is_and_the_next_run_clears_up(
    photo: Path, tmp_path: Path
) -> None:
    arguments = ["--swatch", photo, *CPU]
    assert ended(child(FEW_PATCHES, *arguments, cwd=tmp_path)).code == 0
    model = tmp_path / "models/wet_gravel.safetensors"
    before, growth = model.read_bytes(), tmp_path / "models/wet_gravel.growth.png"
    growth.unlink()
    process = child(MANY_ROUNDS, *arguments, "--again", cwd=tmp_path)
    wait_for(growth, process)
    process.send_signal(signal.SIGINT)
    run = ended(process)
    assert run.code == 130, run.err
    assert "The best model so far is in models/wet_gravel.unfinished.safetensors." in run.out
    assert model.read_bytes() == before
    assert read_model(model.with_name("wet_gravel.unfinished.safetensors")).training["finished"] is False
    assert ended(child(FEW_PATCHES, *arguments, "--again", cwd=tmp_path)).code == 0
    assert not [name for name in files(model.parent) if "unfinished" in name]


@pytest.mark.usefixtures("_small")
def test_resume_says_that_a_quilt_needs_none(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--swatch", str(photo), "--out", str(tmp_path), "--resume", *CPU]) == 0
    assert "keeps no checkpoint: starting from the beginning." in capsys.readouterr().out


# ------------------------------------------------------------------------------------------------------------ map sets


@pytest.mark.usefixtures("_small")
def test_a_folder_of_maps_gives_one_quilt_that_shows_them_aligned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "stone"
    folder.mkdir()
    pixels = gravel(128, 128, stone=7)
    save_picture(folder / "stone_diff_1k.png", pixels)
    save_picture(folder / "stone_rough_1k.png", pixels.mean(1, keepdim=True).expand(-1, 3, -1, -1))
    assert main(["--swatch", str(folder), "--out", str(tmp_path / "models"), *CPU]) == 0
    assert "Maps: basecolor, roughness." in capsys.readouterr().out
    generator = read_model(tmp_path / "models/stone.safetensors").texture_generator()
    painted = texture(generator, 0, (200, 200))
    assert painted.shape == (1, 4, 200, 200)
    apart = (painted[:, :3].mean(1) - painted[:, 3]).abs()
    assert float(apart.mean()) < 2 / 255  # 1/255 and less where no joint is blended
    assert (tmp_path / "models/stone.maps.png").exists()


@pytest.mark.usefixtures("_small")
def test_a_height_of_sixteen_bits_is_in_the_model_as_it_was_stored(tmp_path: Path) -> None:
    folder = tmp_path / "stone"
    folder.mkdir()
    save_picture(folder / "stone_diff.png", gravel(128, 128, stone=7))
    values = (gravel(128, 128, seed=2)[0, 0].numpy() * 65535 + 0.5).astype(np.uint16)
    saved(folder / "stone_height.png", Image.fromarray(values))
    assert main(["--swatch", str(folder), "--out", str(tmp_path), "--quiet", *CPU]) == 0
    height = read_model(tmp_path / "stone.safetensors").generator.state_dict()["map.height"]
    assert height.dtype == torch.uint16
    assert np.array_equal(height[0].numpy(), values)


@pytest.mark.usefixtures("_small")
def test_maps_of_other_sizes_come_to_the_finest_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "stone"
    folder.mkdir()
    save_picture(folder / "stone_diff.png", gravel(96, 128, stone=7))
    save_picture(folder / "stone_rough.png", gravel(192, 256, stone=7).mean(1, keepdim=True).expand(-1, 3, -1, -1))
    for size, side in (("1024", 192), ("150", 150)):
        assert main(["--swatch", str(folder), "--swatch-size", size, "--out", str(tmp_path), *CPU]) == 0
        assert f"scaled up from 96 px to the finest map's {side} px" in capsys.readouterr().out
        model = read_model(tmp_path / "stone.safetensors")
        assert (model.swatch.height, model.swatch.width) == (side, round(side * 4 / 3))
        assert model.generator.state_dict()["map.roughness"].shape[1:] == (side, round(side * 4 / 3))
