"""Facts about models of several maps behind a real server: one tile for all maps, and each map in its own depth."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from blender_addon.client.sinks import MemorySink
from blender_addon.protocol import wire
from server.client.client import Client as ScriptClient
from server.client.local_painter import LocalPainter
from server.errors import BadRequest
from server.model.library import Library
from server.model.maps import MATERIAL
from server.model.torus import Size, Window
from server.network.model_file import read_model
from server.network.texture import texture_bytes
from tests.models import save_tiny
from tests.server.front.house import House
from tests.server.session import ROOT, Client, Session, beside, data_of, painted

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="reads /proc")

NAMES = tuple(each.name for each in MATERIAL)
OWN = {"basecolor": "uint8", "normal": "uint8", "roughness": "uint8", "metallic": "uint8", "ao": "uint8",
       "height": "uint16"}  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    home = tmp_path_factory.mktemp("home")
    save_tiny(home / "models", "brick")
    save_tiny(home / "models", "stone", 3, maps=MATERIAL)
    with Session(home / "models", home) as session:
        yield session


@pytest.fixture
def client(server: Session) -> Iterator[Client]:
    with server.client() as client:
        yield client


@pytest.fixture
def folder(server: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder; the server of the runtime folder is the one that texget finds."""
    return beside(server, tmp_path, monkeypatch)


def truth(server: Session, seed: int, size: tuple[int, int], depth: Any = None) -> dict[str, np.ndarray]:
    generator = read_model(server.models / "stone.safetensors").generator
    maps = texture_bytes(generator, seed, Size(*size), Window(0, 0, *size), depth)  # type: ignore[arg-type]
    return {name: each.numpy() for name, each in zip(NAMES, maps, strict=True)}


def tiles(client: Client) -> int:
    return sum(each["tiles"] for each in client.status()["devices"])


# --------------------------------------------------------------------------------------------------------- the wire


@pytest.mark.parametrize("window", [None, (550, 680, 90, 70), (-20, -30, 600, 700)], ids=str)
@pytest.mark.parametrize("depth", [None, 8, 16])
def test_each_map_comes_in_its_own_depth_or_all_in_the_one_asked_for(
    server: Session, client: Client, window: Any, depth: int | None
) -> None:
    result = client.generate("stone", 7, (600, 700), window=window, depth=depth)
    want = OWN if depth is None else dict.fromkeys(NAMES, f"uint{depth}")
    assert {each.name: each.dtype for each in result.buffers} == want
    wrapped = window and (window[0] % 600, window[1] % 700, *window[2:])
    assert data_of(result) == painted(server.models / "stone.safetensors", 7, (600, 700), wrapped, depth)


def test_one_tile_is_computed_for_all_maps_and_whichever_of_them_are_asked_for(client: Client) -> None:
    before = tiles(client)
    whole = client.generate("stone", 70, (64, 64))
    assert tiles(client) == before + 1
    for maps in (("height",), ("normal", "basecolor"), ("ao",)):
        part = client.generate("stone", 70, (64, 64), maps=maps)
        assert [each.name for each in part.buffers] == list(maps)
        for each in part.buffers:
            assert each.dtype == OWN[each.name]
            assert [bytes(other.data) for other in whole.buffers if other.name == each.name] == [bytes(each.data)]
    assert tiles(client) == before + 1


def test_for_colour_alone_no_depth_is_8_bits(server: Session, client: Client) -> None:
    before = tiles(client)
    by_default = client.generate("brick", 71, (64, 64))
    assert data_of(by_default) == data_of(client.generate("brick", 71, (64, 64), depth=8))
    assert by_default.buffers[0].dtype == "uint8"
    assert tiles(client) == before + 1  # the same tile


def test_null_is_no_depth(client: Client) -> None:
    asked = {"op": "generate", "id": 9, "model": "stone", "seed": 7, "size": [64, 64], "maps": ["height"]}
    reply = client.header(asked | {"depth": None})
    assert isinstance(reply, wire.Result)
    assert reply.buffers[0].dtype == "uint16"


@pytest.mark.parametrize(("depth", "pixel_bytes"), [(8, 10), (16, 20), (None, 11)])
def test_a_result_is_as_large_as_its_maps_are_deep(server: Session, depth: int | None, pixel_bytes: int) -> None:
    size = 64 * 64 * pixel_bytes
    house = House(server.models, limits=wire.Limits(max_result_bytes=size))
    house.generate(model="stone", depth=depth)
    assert house.said() == []  # it waits for a worker
    house = House(server.models, limits=wire.Limits(max_result_bytes=size - 1))
    house.generate(model="stone", depth=depth)
    (refused,) = house.said()
    assert isinstance(refused, wire.Error)
    assert refused.text.startswith(f"window: its samples would be {size} bytes")


# -------------------------------------------------------------------------------------------------------- clients


@pytest.mark.parametrize("depth", [None, 8, 16])
def test_a_script_gets_arrays_of_these_depths(server: Session, depth: Any) -> None:
    with ScriptClient(server.pairing.line) as client:
        found = client.texture("stone", seed=5, size=(90, 110), depth=depth)
    want = truth(server, 5, (90, 110), depth)
    assert list(found) == list(want)
    for name, pixels in found.items():
        assert pixels.dtype == want[name].dtype
        np.testing.assert_array_equal(pixels, want[name])
    assert found["height"].dtype == (np.uint8 if depth == 8 else np.uint16)


def test_without_a_server_the_files_are_the_same(server: Session, folder: Path) -> None:
    alone = ("--models", str(server.models), "--device", "cpu", "--precision", "exact")
    for name, options in (("served", ()), ("alone", alone)):
        arguments = ("stone", "--seed", "5", "--size", "700x90", "--map", "all", "-o", f"{name}-{{map}}.tif")
        assert texget(*arguments, *options) == ""
    want = truth(server, 5, (90, 700))
    for name in NAMES:
        served, there = tifffile.imread(f"served-{name}.tif"), tifffile.imread(f"alone-{name}.tif")
        assert served.dtype == there.dtype == np.dtype(OWN[name])
        np.testing.assert_array_equal(served, there)
        np.testing.assert_array_equal(served, want[name].squeeze())


def test_a_local_painter_refuses_a_map_that_is_not_there(server: Session) -> None:
    painter = LocalPainter(Library(server.models), "cpu", "exact")
    with pytest.raises(BadRequest, match="there is no 'gloss'"):
        painter.paint("stone", seed=1, size=(64, 64), sink=MemorySink(), maps=["gloss"])


# --------------------------------------------------------------------------------------------------------- texget


def texget(*arguments: str, code: int = 0) -> str:
    """What it says on stderr."""
    command = [sys.executable, "-m", "server.cli.texget", *arguments, "--quiet"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    return done.stderr


def files(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


@pytest.mark.parametrize("local", [False, True], ids=["served", "alone"])
def test_orm_and_directx_are_written_in_place_of_the_maps(server: Session, folder: Path, local: bool) -> None:
    options = ("--models", str(server.models), "--device", "cpu", "--precision", "exact") if local else ()
    arguments = ("stone", "--seed", "5", "--size", "530x90", "--orm", "--normals", "directx", *options)
    assert texget(*arguments, "-o", "s.png") == ""
    assert files(folder) == ["s-basecolor.png", "s-height.png", "s-normal.png", "s-orm.png"]
    want = truth(server, 5, (90, 530))
    with Image.open("s-orm.png") as orm:
        assert "srgb" not in orm.info
        for channel, name in enumerate(("ao", "roughness", "metallic")):
            np.testing.assert_array_equal(np.asarray(orm)[..., channel], want[name][..., 0])
    with Image.open("s-normal.png") as normal:
        assert normal.info["Normals"] == "directx"
        np.testing.assert_array_equal(np.asarray(normal)[..., 1], 255 - want["normal"][..., 1])
        np.testing.assert_array_equal(np.asarray(normal)[..., 2], want["normal"][..., 2])
    with Image.open("s-height.png") as height:
        np.testing.assert_array_equal(np.asarray(height), want["height"][..., 0])


def test_orm_goes_with_a_choice_of_maps(server: Session, folder: Path) -> None:
    assert texget("stone", "--size", "64x48", "--map", "height,metallic", "--orm", "-o", "a.tif") == ""
    assert texget("stone", "--size", "64x48", "--map", "orm", "--orm", "-o", "b.tif") == ""
    assert files(folder) == ["a-height.tif", "a-orm.tif", "b.tif"]
    assert tifffile.imread("a-height.tif").dtype == np.uint16
    np.testing.assert_array_equal(tifffile.imread("a-orm.tif"), tifffile.imread("b.tif"))


def test_a_jpeg_has_8_bits_of_every_map(server: Session, folder: Path) -> None:
    assert texget("stone", "--size", "64x48", "-o", "{map}.jpg") == ""
    assert files(folder) == sorted(f"{name}.jpg" for name in NAMES)
    with Image.open("height.jpg") as height:
        difference = np.asarray(height).astype(int) - truth(server, 0, (48, 64), 8)["height"][..., 0]
    assert np.abs(difference).mean() < 4


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("brick", "--orm"), "orm: 'brick' paints basecolor, and orm needs the map 'roughness'; leave it out"),
        (("brik", "--orm"), "There is no model 'brik'. Did you mean 'brick'?"),
        (("brick", "--normals", "directx"), "normals: no map 'normal' of 'brick' is painted here"),
        (("stone", "--map", "height", "--normals", "directx"), "normals: no map 'normal' of 'stone' is painted here"),
        (("stone", "--map", "gloss", "--orm"), "maps: 'stone' has no 'gloss'"),
        (("stone", "--normals", "vulkan"), "argument --normals: invalid choice"),
        (("stone", "--depth", "16", "-o", "x.jpg"), "output: a JPEG has 8 bits a sample"),
    ],
    ids=lambda value: "" if isinstance(value, str) else " ".join(value),
)
def test_a_mistake_is_one_sentence_and_leaves_nothing(folder: Path, arguments: tuple[str, ...], sentence: str) -> None:
    said = texget(*arguments, "--size", "64x48", code=2)
    assert said.startswith(f"texget: {sentence}")
    assert said.count("\n") == 1
    assert files(folder) == []
