"""texget --for writes the pixels of the texture where an engine looks for them, by a server and without one."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from server.cli.texget import main
from server.model.maps import MATERIAL
from server.model.torus import Size, Window
from server.network.model_file import read_model, write_model
from server.network.texture import texture_bytes
from tests.models import save_tiny, tiny_model
from tests.server.session import Session, beside

NAMES = tuple(each.name for each in MATERIAL)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    home = tmp_path_factory.mktemp("home")
    save_tiny(home / "models", "grass")
    stone = tiny_model(3, name="stone", maps=MATERIAL)
    write_model(home / "models" / "stone.safetensors", replace(stone, training={**stone.training, "metres": 2.0}))
    with Session(home / "models", home) as session:
        yield session


@pytest.fixture
def folder(server: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return beside(server, tmp_path, monkeypatch)


def truth(server: Session) -> dict[str, NDArray[Any]]:
    generator = read_model(server.models / "stone.safetensors").generator
    maps = texture_bytes(generator, 7, Size(80, 96), Window(0, 0, 80, 96), None)  # type: ignore[arg-type]
    return {name: each.numpy() for name, each in zip(NAMES, maps, strict=True)}


def seen(name: str) -> NDArray[Any]:
    with Image.open(name) as picture:
        pixels = np.asarray(picture)
    return pixels if pixels.ndim == 3 else pixels[..., None]


@pytest.mark.parametrize("by_server", [True, False])
def test_every_pixel_is_the_texture_s(by_server: bool, server: Session, folder: Path) -> None:
    how = [] if by_server else ["--models", str(server.models), "--precision", "exact"]
    assert main(["stone", "--for", "unreal", "--seed", "7", "--size", "96x80", "-o", "out", "--quiet", *how]) == 0
    wanted = truth(server)
    flipped = wanted["normal"].copy()
    flipped[..., 1] = 255 - flipped[..., 1]
    orm = np.concatenate([wanted["ao"], wanted["roughness"], wanted["metallic"]], 2)
    for name, pixels in {"BC": wanted["basecolor"], "ORM": orm, "N": flipped, "H": wanted["height"]}.items():
        np.testing.assert_array_equal(seen(f"out/T_stone_{name}.png"), pixels, name)
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "T_stone_BC.png", "T_stone_H.png", "T_stone_N.png", "T_stone_ORM.png", "stone.mtlx",
    ]  # fmt: skip


def test_the_files_say_how_to_make_them_again(folder: Path) -> None:
    assert main(["stone", "--for", "unity", "--seed", "7", "--size", "64", "--quiet"]) == 0
    with Image.open("stone_MaskMap.png") as picture:
        assert (picture.info["Model"], picture.info["Seed"], picture.info["Size"]) == ("stone", "7", "64x64")
        assert "Map" not in picture.info


def test_several_seeds_have_files_of_their_own(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grass", "--for", "godot", "--seeds", "1-2", "--size", "64", "-o", "out"]) == 0
    names = ["grass_0001_albedo.png", "grass_0001.mtlx", "grass_0002_albedo.png", "grass_0002.mtlx"]
    assert capsys.readouterr().out.split() == [str(Path("out", name)) for name in names]


@pytest.mark.parametrize("by_server", [True, False])
def test_the_document_tells_the_scale_where_the_model_does(by_server: bool, server: Session, folder: Path) -> None:
    how = [] if by_server else ["--models", str(server.models)]
    for model in ("grass", "stone"):
        assert main([model, "--for", "gltf", "--size", "64x32", "--quiet", *how]) == 0
    assert told("grass.mtlx", "realworldimagesize") is None
    texels = read_model(server.models / "stone.safetensors").swatch.width / 2.0
    assert told("stone.mtlx", "realworldimagesize") == f"{64 / texels:g}, {32 / texels:g}"


def told(document: str, name: str) -> str | None:
    inputs = {each.get("name"): each.get("value") for each in ElementTree.parse(document).iter("input")}
    assert "file" in inputs
    return inputs.get(name)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("stone", "--for", "unreal", "--orm"), "--orm has no meaning with --for"),
        (("stone", "--for", "unreal", "--window", "0,0,8x8"), "--window has no meaning with --for"),
        (("stone", "--for", "unreal", "--mask", "m.png"), "--mask has no meaning without --blend"),
        (("stone", "--for", "unreal", "--metres", "2"), "--metres has no meaning without --train"),
        (("stone", "--stylize", "a.png", "--for", "unreal"), "--for has no meaning with --stylize"),
        (("nothing", "--for", "unreal", "-o", "out"), "no model"),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_nothing(
    arguments: tuple[str, ...], said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(folder.rglob("*"))
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert said in err
    assert sorted(folder.rglob("*")) == before
