"""Facts about variants and Wang sets behind a real server, and of the files that texget writes of them."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blender_addon.protocol import wire
from blender_addon.protocol.edges import PLACES, Edges
from server.cli.texget import main
from server.client.client import Client as ScriptClient
from server.errors import Refused
from server.model.torus import Size, Window
from server.network.model_file import read_model
from server.network.texture import texture_bytes
from tests.models import QUILT_MAPS, save_tiny, save_tiny_quilt
from tests.server.session import Session, beside, code_of

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="reads /proc")

TILE = Size(80, 72)
ATLAS = Size(320, 288)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    home = tmp_path_factory.mktemp("home")
    save_tiny(home / "models", "brick")
    save_tiny_quilt(home / "models", "pebbles", maps=QUILT_MAPS[:1])
    with Session(home / "models", home) as session:
        yield session


@pytest.fixture
def folder(server: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return beside(server, tmp_path, monkeypatch)


def truth(server: Session, seed: int, size: Size, edges: Edges | None, window: Window | None = None) -> np.ndarray:
    generator = read_model(server.models / "pebbles.safetensors").texture_generator()
    return texture_bytes(generator, seed, size, window or size.whole, edges=edges)[0].numpy()


def test_a_server_paints_each_variant_and_never_one_for_another(server: Session) -> None:
    window = (70, 60, 30, 40)
    with ScriptClient(server.pairing.line) as client:
        for variant in (None, 0, 1, 0):
            found = client.texture("pebbles", seed=4, size=TILE, window=window, variant=variant)["basecolor"]
            edges = None if variant is None else Edges(variant)
            assert np.array_equal(found, truth(server, 4, TILE, edges, Window(*window)))
        found = client.texture("pebbles", seed=4, size=ATLAS, window=window, variant=1, wang=2)["basecolor"]
        assert np.array_equal(found, truth(server, 4, ATLAS, Edges(1, 2), Window(*window)))


def test_what_cannot_be_is_refused_before_it_is_painted(server: Session) -> None:
    with server.client() as client:
        assert "variants" in client.hello().features
        for fields, said in (
            ({"model": "brick", "size": (64, 64), "variant": 0}, "Only quilts"),
            ({"model": "pebbles", "size": (320, 290), "wang": 2}, "multiple of 4"),
            ({"model": "pebbles", "size": (24, 320), "variant": 3}, "too small for common edges"),
            ({"model": "pebbles", "size": (320, 320), "wang": 1}, "0 or 2"),
        ):
            reply = client.ask(wire.Generate(id=client.new_id(), seed=0, **fields))  # type: ignore[arg-type]
            assert code_of(reply) == "bad_request"
            assert isinstance(reply, wire.Error)
            assert said in reply.text
    with ScriptClient(server.pairing.line) as script, pytest.raises(Refused, match="variant: it is 10000"):
        script.texture("pebbles", seed=0, size=64, variant=10000)


def test_texget_writes_variants_under_names_of_their_own(
    server: Session, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pebbles", "--size", "72x80", "--seed", "5", "--variants", "2"]) == 0
    assert main(["pebbles", "--size", "72x80", "--seed", "5", "--variant", "1", "-o", "one-{variant}.png"]) == 0
    names = capsys.readouterr().out.split()
    assert names == ["pebbles-5-72x80-v0.png", "pebbles-5-72x80-v1.png", "one-1.png"]
    for name, variant in zip(names, (0, 1, 1), strict=True):
        with Image.open(folder / name) as picture:
            assert np.array_equal(picture, truth(server, 5, TILE, Edges(variant)))
            assert picture.info["Variant"] == str(variant)


@pytest.mark.parametrize("where", ["server", "folder"])
def test_texget_writes_a_wang_set_as_one_atlas_or_a_file_for_each_tile(
    server: Session, folder: Path, where: str
) -> None:
    command = ["pebbles", "--size", "72x80", "--wang", "2", "--quiet"]
    command += [] if where == "server" else ["--models", str(server.models), "--device", "cpu"]
    assert main(command) == 0
    with Image.open(folder / "pebbles-0-wang-72x80.png") as picture:
        atlas = np.array(picture)
        assert (picture.info["Wang"], picture.info["Size"]) == ("2", "288x320")
    assert np.array_equal(atlas, truth(server, 0, ATLAS, Edges(0, 2)))
    assert main([*command, "-o", "tiles/t{tile}.png"]) == 0
    for number, (row, column) in enumerate(PLACES):
        with Image.open(folder / "tiles" / f"t{number:02}.png") as picture:
            assert np.array_equal(picture, atlas[row * 80 :, column * 72 :][:80, :72])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--wang", "2", "--window", "0,0,9x9", "-o", "t{tile}.png"), "--window has no meaning"),
        (("-o", "t{tile}.png"), "add --wang 2"),
        (("--variants", "0"), "variants: '0' is not a whole number from 1"),
        (("--variant", "x"), "variant: 'x' is not"),
        (("--variants", "2", "--for", "unreal"), "--variants has no meaning with --for"),
    ],
)
def test_texget_says_what_makes_no_sense(
    folder: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], said: str
) -> None:
    assert main(["pebbles", *options]) == 2
    assert said in capsys.readouterr().err
