"""A script gets its arrays and files by one call each, and for what goes wrong one error each."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from blender_addon.pictures.draft import ImageFileError
from blender_addon.protocol import wire
from blender_addon.protocol.pairing import new_key
from server.client.client import Client, RequestRefused, ServerUnreachable, TimedOut
from server.errors import TexserverError
from tests.blender_addon.fake_server import CHANNELS, FakeServer, painted, times

pytestmark = pytest.mark.timeout(60)
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(limits=wire.Limits(tile=64, max_window_pixels=64 * 64 * 3)) as running:
        yield running


@pytest.fixture
def client(server: FakeServer) -> Iterator[Client]:
    with Client(server.pairing.line, timeout_s=5) as client:
        yield client


def test_textures_are_arrays(client: Client) -> None:
    maps = client.texture("brick", seed=7, size=(301, 173))
    assert list(maps) == list(CHANNELS)
    for name, pixels in maps.items():
        np.testing.assert_array_equal(pixels, painted(7, (301, 173), name=name))
        assert pixels.dtype == (np.uint16 if name == "height" else np.uint8)
        pixels += 1  # they are the caller's own


def test_sizes_may_be_one_number_and_numpys(client: Client) -> None:
    maps = client.texture("brick", seed=np.int64(7), size=100, maps=["height"], depth=16, window=(-5, -5, 20, 30))  # type: ignore[arg-type]
    np.testing.assert_array_equal(maps["height"], painted(7, (100, 100), (-5, -5, 20, 30), "height", 16))
    assert maps["height"].dtype == np.uint16
    assert client.texture("brick", seed=0, size=(np.int64(20), np.int64(30)))["height"].shape == (20, 30, 1)  # type: ignore[arg-type]


def test_files_are_saved_under_the_names_of_their_maps(client: Client, tmp_path: Path) -> None:
    paths = client.save(tmp_path / "wall.png", "brick", seed=7, size=100)
    assert paths == {name: tmp_path / f"wall-{name}.png" for name in CHANNELS}
    for name, path in paths.items():
        with Image.open(path) as image:
            want = painted(7, (100, 100), name=name)
            np.testing.assert_array_equal(np.asarray(image).reshape(want.shape), want)
    assert client.save(str(tmp_path / "wall.tif"), "brick", seed=7, size=100, maps=["height"]) == {
        "height": tmp_path / "wall.tif"
    }
    assert client.save(tmp_path / "{map}-7.png", "brick", seed=7, size=100, maps=["height"]) == {
        "height": tmp_path / "height-7.png"
    }


def test_files_that_cannot_be_are_refused(client: Client, tmp_path: Path) -> None:
    with pytest.raises(ImageFileError, match="There is no folder"):
        client.save(tmp_path / "nowhere" / "wall.png", "brick", seed=7, size=100)
    with pytest.raises(ImageFileError, match="Cannot tell a format"):
        client.save(tmp_path / "wall.webp", "brick", seed=7, size=100)
    with pytest.raises(ImageFileError, match="is a folder"):
        client.save("", "brick", seed=7, size=100)
    assert list(tmp_path.iterdir()) == []


def test_models_are_listed_over_all_pages(client: Client, server: FakeServer) -> None:
    models = client.list()
    assert [model.name for model in models] == [f"model-{number:03}" for number in range(7)]
    assert models[0].state == "ready"
    assert models[0].facts["maps"] == ["basecolor"]
    assert len(server.asked(wire.ListModels)) == 3


def test_a_thumbnail_is_an_array_and_the_status_a_map(client: Client) -> None:
    np.testing.assert_array_equal(client.thumbnail("brick"), painted(0, (16, 24)))
    assert client.status() == {"waiting": 0}


def test_the_server_of_this_machine_is_found_by_its_connection_file(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "connection.json"
    path.write_text(json.dumps({"format": 1, "pairing": server.pairing.line}))
    path.chmod(0o600)
    with Client(str(path)) as client:
        assert client.status()
    monkeypatch.setenv("TEXSERVER_CONNECTION", str(path))
    with Client() as client:
        assert client.status()


@pytest.mark.serial
def test_no_server_is_told_within_two_seconds(server: FakeServer, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        unused = probe.getsockname()[1]
    assert server.pairing.keys
    stranger = replace(server.pairing, keys=replace(server.pairing.keys, client=new_key()))
    for place, said in (
        (f"texserver://127.0.0.1:{unused}", "No texserver runs at"),
        (str(tmp_path / "connection.json"), "there is no"),
        ("texserver://nonsense", "This is not a pairing line"),
        (stranger.line, "does not know this client's key"),
    ):
        start = time.monotonic()
        with pytest.raises(ServerUnreachable, match=said):
            Client(place)
        assert time.monotonic() - start < 2


def test_a_refusal_has_its_code(client: Client) -> None:
    for refused in (
        lambda: client.texture("brisk", seed=7, size=100),
        lambda: client.thumbnail("brisk"),
    ):
        with pytest.raises(RequestRefused, match="Did you mean 'brick'") as caught:
            refused()
        assert caught.value.code == "unknown_model"
        assert isinstance(caught.value, TexserverError)
    with pytest.raises(RequestRefused, match="size:") as caught:
        client.texture("brick", seed=7, size=5)
    assert caught.value.code == "bad_request"


def test_a_server_that_restarts_in_between_is_no_loss(server: FakeServer, tmp_path: Path) -> None:
    path = tmp_path / "connection.json"

    def tell() -> None:
        path.write_text(json.dumps({"format": 1, "pairing": server.pairing.line}))
        path.chmod(0o600)

    tell()
    told: list[str] = []
    with Client(str(path), timeout_s=10, tell=told.append) as client:
        assert client.status()
        assert told == []
        server.die()
        server.start()
        tell()
        np.testing.assert_array_equal(client.texture("brick", seed=7, size=300)["basecolor"], painted(7, (300, 300)))
        assert told == ["The connection is lost; trying again.", "The connection is back."]


def test_a_server_that_leaves_for_good_is_given_up(server: FakeServer) -> None:
    with Client(server.pairing.line, timeout_s=0.5) as client:
        server.die()
        with pytest.raises(ServerUnreachable, match="No texserver runs at"):
            client.texture("brick", seed=7, size=300)
        with pytest.raises(ServerUnreachable, match="No texserver runs at"):
            client.status()


def test_a_server_that_sends_nothing_is_given_up_and_told_so(server: FakeServer) -> None:
    with Client(server.pairing.line, timeout_s=0.3) as client:
        server.script = lambda request: []
        with pytest.raises(TimedOut, match=r"sent nothing for 0\.3 s"):
            client.texture("brick", seed=7, size=300)
        with pytest.raises(TimedOut, match=r"sent nothing for 0\.3 s"):
            client.status()
        server.script = times(1000, "busy", retry_ms=1)
        with pytest.raises(TimedOut, match="This is busy"):
            client.texture("brick", seed=7, size=300)
        deadline = time.monotonic() + 5
        while len(server.asked(wire.Cancel)) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(server.asked(wire.Cancel)) >= 2  # nobody computes for who has left


def test_progress_renews_the_patience(server: FakeServer) -> None:
    def slowly(request: wire.Request) -> Any:
        if isinstance(request, wire.Generate):
            time.sleep(0.1)

    server.script = slowly
    with Client(server.pairing.line, timeout_s=0.5) as client:
        start = time.monotonic()
        client.texture("brick", seed=7, size=300)
        assert time.monotonic() - start > 0.6


def test_a_file_that_is_interrupted_leaves_nothing(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Client(server.pairing.line) as client:
        looks = []

        def interrupted() -> None:
            looks.append(list(tmp_path.iterdir()))
            if looks[-1]:
                raise KeyboardInterrupt

        monkeypatch.setattr(client, "_look", interrupted)
        with pytest.raises(KeyboardInterrupt):
            client.save(tmp_path / "wall.png", "brick", seed=7, size=300)
        assert list(tmp_path.iterdir()) == []


def test_a_client_needs_no_torch() -> None:
    code = "import sys; import server.client.client; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=os.environ, check=False).returncode == 0
