"""Facts about blends end to end: a server, its worker, the client, texget and the painter in this process agree."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blender_addon.client.blending import Blending
from blender_addon.client.sinks import MemorySink
from blender_addon.protocol.blending import hash_of_all
from server.cli.texget import main
from server.client.blended import blending
from server.client.client import Client
from server.client.local_painter import LocalPainter
from server.errors import BadRequest, Refused
from server.model.library import Library
from server.model.maps import BASE_COLOUR, HEIGHT
from tests.models import save_tiny, save_tiny_quilt
from tests.server.session import Session, line_file

SIZE = (530, 300)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    models, home = tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("home")
    save_tiny_quilt(models, "stones")
    save_tiny_quilt(models, "moss", 1, maps=(HEIGHT, BASE_COLOUR))
    save_tiny_quilt(models, "sand", 2)
    save_tiny(models, "network")
    with Session(models, home, "--no-training") as session:
        yield session


@pytest.fixture
def client(studio: Session) -> Iterator[Client]:
    with Client(studio.pairing.line) as client:
        yield client


def ramp() -> np.ndarray:
    return np.tile(np.abs(np.arange(-32, 32) * 8).clip(0, 255).astype(np.uint8), (16, 1))


def locally(studio: Session, blend: Blending, **of: object) -> MemorySink:
    sink = MemorySink()
    LocalPainter(Library(studio.models), "cpu", "exact").paint(blend, seed=7, size=SIZE, sink=sink, **of)  # type: ignore[arg-type]
    return sink


def test_a_blend_is_the_same_with_and_without_a_server(studio: Session, client: Client) -> None:
    blend = blending(["stones", "moss"], ramp(), softness=0.4)
    sink = MemorySink()
    client.paint(blend, seed=7, size=SIZE, sink=sink)
    own = locally(studio, blend)
    assert sink.painting
    assert own.painting
    assert [(each.name, each.depth) for each in sink.painting.maps] == [("basecolor", 8), ("height", 16)]
    assert sink.pixels == own.pixels
    hashes = [str(each.facts["sha256"]) for name in blend.models for each in client.list() if each.name == name]
    assert sink.painting.sha256 == own.painting.sha256 == hash_of_all(hashes)
    window = (500, -20, 60, 50)  # across both wraps
    part = client.texture(blend, seed=7, size=SIZE, window=window, maps=["height"])["height"]
    whole = np.frombuffer(sink.pixels["height"], "<u2").reshape(*SIZE, 1)
    np.testing.assert_array_equal(part, np.roll(whole, (-500, 20), (0, 1))[:60, :50])
    alone = client.texture("moss", seed=7, size=SIZE, maps=["height"])["height"]
    np.testing.assert_array_equal(whole[:, :40], alone[:, :40])  # where the mask is white


def test_texget_blends_three_by_a_coloured_mask(studio: Session, tmp_path: Path) -> None:
    mask = np.zeros((8, 12, 3), np.uint8)
    for number in range(3):
        mask[:, 4 * number : 4 * number + 4, number] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    line = str(line_file(tmp_path, studio.pairing.line))
    given = ["--blend", "stones,sand,moss", "--mask", str(tmp_path / "mask.png"), "--seed", "7", "--map", "basecolor"]
    assert main([*given, "--size", "300x530", "--connect", line, "-o", str(tmp_path / "wall.png"), "--quiet"]) == 0
    own = locally(studio, blending(["stones", "sand", "moss"], mask), maps=["basecolor"])
    with Image.open(tmp_path / "wall.png") as image:
        assert image.tobytes() == bytes(own.pixels["basecolor"])
        assert image.info["Model"] == "stones + sand + moss"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--blend", "stones"], "is not 2 to 4 names"),
        (["--blend", "stones,moss"], "add --mask"),
        (["stones", "--blend", "stones,moss", "--mask", "x.png"], "leave the model before it out"),
        (["stones", "--softness", "1"], "--softness has no meaning without --blend"),
        (["--blend", "stones,moss,sand,x", "--mask", "MASK"], "no alpha channel"),
    ],
)
def test_texget_says_what_a_blend_lacks(
    given: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "mask.png")
    arguments = [str(tmp_path / "mask.png") if each == "MASK" else each for each in given]
    assert main([*arguments, "--models", str(tmp_path)]) == 2
    assert said in capsys.readouterr().err


def test_what_cannot_be_blended_is_refused_with_a_reason(client: Client) -> None:
    with pytest.raises(Refused, match="'network' is a network, and only quilts"):
        client.texture(blending(["stones", "network"], ramp()), seed=7, size=64)
    with pytest.raises(Refused, match="no 'roughness' in common; they have basecolor, height"):
        client.texture(blending(["stones", "moss"], ramp()), seed=7, size=64, maps=["roughness"])
    with pytest.raises(Refused, match=r"no model .mosss."):
        client.texture(blending(["stones", "mosss"], ramp()), seed=7, size=64)
    with pytest.raises(BadRequest, match="for 3 models it must be height x width x 3"):
        blending(["stones", "moss", "sand"], ramp())
    wrong = Blending(models=("stones", "moss"), mask=bytes(12), shape=(2, 2, 3))
    with pytest.raises(Refused, match="1 channels for 2 models"):
        client.texture(wrong, seed=7, size=64)
