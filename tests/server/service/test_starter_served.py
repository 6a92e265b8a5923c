"""Facts about a server that was given no models: it makes the starter library beside it, and serves what is there."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from blender_addon.protocol import wire
from server.model.header import read_facts
from tests.server.session import PATIENCE_S, Client, Session, data_of, eventually, painted, run_server, runs

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is watched here is told by /proc")

NAMES = ("bricks", "tiles")
SMALL = {"TEXSERVER_STARTER_SIDE": "192"}
MADE_S = 4 * PATIENCE_S


def serve(home: Path, *arguments: str) -> Session:
    models = home / "data" / "texserver" / "models"
    (home / "runtime" / "texserver" / "connection.json").unlink(missing_ok=True)  # of one that was killed
    server = Session(models, home, *arguments, ready=False, named=False, variables=SMALL)
    eventually(lambda: "pairing line" in server.out, "its first lines")
    return server


def listed(client: Client) -> dict[str, Any]:
    reply = client.ask(wire.ListModels(id=client.new_id()))
    assert isinstance(reply, wire.Models)
    return {each["name"]: each for each in reply.models}


def test_it_makes_what_is_missing_and_serves_it(tmp_path: Path) -> None:
    with serve(tmp_path, "--starter", ",".join(NAMES)) as server, server.client() as client:
        assert f"serves {server.models} (0 files) at" in server.out
        assert "Making the starter library beside it: bricks, tiles. They appear one by one" in server.out
        first = listed(client)
        assert first["bricks"]["state"] == "checking"
        assert first["bricks"]["reason"] == "it is being drawn and learned, for the starter library"
        assert first["tiles"]["reason"] == "it will be made for the starter library, after bricks"
        eventually(lambda: listed(client)["bricks"]["state"] == "ready", "the first of them", MADE_S)
        bricks = listed(client)["bricks"]
        assert bricks["category"] == "Masonry"
        assert [each["name"] for each in bricks["maps"]] == ["basecolor", "normal", "roughness", "ao", "height"]
        (maker,) = [pid for pid in server.workers() if b"trainer.starter" in _command(pid)]
        os.kill(server.pid, signal.SIGKILL)
        eventually(lambda: not runs(maker), "the end of what the killed server had started")

    with serve(tmp_path, "--starter", ",".join(NAMES)) as server, server.client() as client:
        assert "(1 files)" in server.out
        assert "beside it: tiles. " in server.out
        eventually(lambda: listed(client)["tiles"]["state"] == "ready", "the second", MADE_S)
        assert "starter library: Wrote" in server.log
        for name in NAMES:
            assert data_of(client.generate(name, 3, (96, 80))) == painted(
                server.models / f"{name}.safetensors", 3, (96, 80)
            )

    with serve(tmp_path, "--starter", ",".join(NAMES)) as server:
        assert "starter library" not in server.out
        assert not [pid for pid in server.workers() if b"trainer.starter" in _command(pid)]


def _command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")


def test_models_of_ones_own_are_left_alone(tmp_path: Path, models: Path) -> None:
    folder = tmp_path / "data" / "texserver" / "models"
    folder.mkdir(parents=True)
    own = folder / "bricks.safetensors"
    own.write_bytes((models / "brick.safetensors").read_bytes())
    with serve(tmp_path, "--starter", "bricks") as server, server.client() as client:
        assert "starter library" not in server.out
        eventually(lambda: listed(client)["bricks"]["state"] == "ready", "the model")
        assert "starter" not in read_facts(own).training


def test_a_folder_that_is_named_is_left_alone(tmp_path: Path, models: Path) -> None:
    with Session(models, tmp_path, ready=False) as server:
        assert "starter library" not in server.out
    done = run_server(tmp_path, "--starter", "brick")
    assert done.returncode == 2
    assert done.stderr.startswith("texserver: The starter library has no 'brick'. It has: bricks, stone_wall, ")
