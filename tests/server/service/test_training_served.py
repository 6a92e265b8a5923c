"""Training over the wire, with the real trainer: from maps to pixels, who may, and what a dying server leaves."""

import signal
from pathlib import Path
from secrets import token_hex
from typing import Any

import numpy as np
import pytest

from blender_addon.protocol import wire
from blender_addon.protocol.training import in_bands
from server.network.model_file import read_model
from tests.drawn import gravel
from tests.models import save_tiny
from tests.server.session import Client, Session, eventually, run_server, runs
from trainer.judge.pictures import as_picture

pytestmark = pytest.mark.timeout(280)

PIXELS = np.ascontiguousarray(as_picture(gravel(128, 144, stone=7)))
HEIGHTS = (np.mgrid[0:128, 0:144][0] * 300 + PIXELS[..., 0]).astype("<u2")[..., None]


def maps(*, deep: bool = False) -> tuple[wire.Buffer, ...]:
    base = PIXELS.astype("<u2") * 257 if deep else PIXELS
    return (
        wire.Buffer(name="basecolor", dtype=str(base.dtype), shape=PIXELS.shape, data=base.tobytes()),
        wire.Buffer(name="height", dtype="uint16", shape=HEIGHTS.shape, data=HEIGHTS.tobytes()),
    )


def train(client: Client, name: str = "gravel", **fields: Any) -> wire.Reply:
    fields = {"token": token_hex(16), "buffers": maps()} | fields
    return client.ask(wire.Train(id=client.new_id(), name=name, **fields))


def job(client: Client, token: str, seen: int = 0) -> wire.Job:
    reply = client.ask(wire.GetJob(id=client.new_id(), token=token, seen=seen))
    assert isinstance(reply, wire.Job), reply
    return reply


def until(client: Client, token: str, state: str) -> wire.Job:
    eventually(lambda: job(client, token).state == state or job(client, token).ended, state, within_s=200)
    found = job(client, token)
    assert found.state == state, found
    return found


@pytest.fixture
def server(tmp_path: Path) -> Any:
    (tmp_path / "models").mkdir()
    save_tiny(tmp_path / "models", "brick")
    with Session(tmp_path / "models", tmp_path) as session:
        yield session


@pytest.mark.parametrize("deep", [False, True])
def test_maps_that_are_sent_become_textures_while_others_are_painted(server: Session, deep: bool) -> None:
    with server.client() as client:
        assert "train" in client.hello().features
        token = token_hex(16)
        sent = in_bands(maps(deep=deep), 50_000)  # the base colour in two bands or three
        begun = train(client, token=token, buffers=tuple(sent), metres=2.0, category="Ground")
        assert isinstance(begun, wire.Job), begun
        server.check()  # a texture of another model, meanwhile
    with server.client() as client:  # the one who asked is gone
        done = until(client, token, "done")
        assert (done.fraction, done.picture > 1) == (1, True)
        (picture,) = job(client, token).buffers
        assert (picture.dtype, picture.shape[2], picture.colour_space) == ("uint8", 3, "srgb")
        result = client.generate("gravel", 7, (64, 64))
        assert result.sha256 == done.sha256
        assert [each.name for each in result.buffers] == ["basecolor", "height"]
        listed = client.ask(wire.ListModels(id=client.new_id()))
        assert isinstance(listed, wire.Models)
        (entry,) = (each for each in listed.models if each["name"] == "gravel")
        assert (entry["texels_per_metre"], entry["category"]) == (72, "Ground")
    state = read_model(server.models / "gravel.safetensors").texture_generator().state_dict()
    assert np.array_equal(state["map.basecolor"].permute(1, 2, 0).numpy(), PIXELS)  # neither scaled nor converted
    assert np.array_equal(state["map.height"][0].numpy(), HEIGHTS[..., 0])


def test_the_part_between_the_corners_is_learned(server: Session) -> None:
    with server.client() as client:
        token = token_hex(16)
        train(client, token=token, corners=(0.25, 0.25, 0.25, 0.75, 0.75, 0.75, 0.75, 0.25))
        until(client, token, "done")
    state = read_model(server.models / "gravel.safetensors").texture_generator().state_dict()
    cut = PIXELS[32:96, 36:108]
    assert np.abs(state["map.basecolor"].permute(1, 2, 0).numpy().astype(int) - cut).max() <= 1


def test_a_picture_that_cannot_be_learned_fails_in_the_trainers_words(server: Session) -> None:
    with server.client() as client:
        token, small = token_hex(16), PIXELS[:32, :32].tobytes()
        train(
            client, token=token, buffers=(wire.Buffer(name="basecolor", dtype="uint8", shape=(32, 32, 3), data=small),)
        )
        text = until(client, token, "failed").text
    assert "too small to learn from" in text
    assert str(server.models) not in text


def test_a_killed_server_leaves_no_trainer_and_the_next_one_begins_again(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    token = token_hex(16)
    with Session(tmp_path / "models", tmp_path, ready=False) as server:
        workers = eventually(server.workers, "a worker")
        with server.client() as client:
            train(client, token=token)
            trainers = eventually(lambda: set(server.workers()) - set(workers), "a trainer")
        server.signal(signal.SIGKILL)
        server.ended()
        server.file.unlink()  # of the dead one, which the next one's clients must not take for its own
    eventually(lambda: not any(map(runs, trainers)), "the trainer has ended")
    with Session(tmp_path / "models", tmp_path) as server, server.client() as client:
        assert until(client, token, "done").name == "gravel"


def test_a_named_key_may_train_only_if_it_was_allowed_to(server: Session) -> None:
    for name, allowed in (("anna", ["--may-train"]), ("bert", [])):
        assert run_server(server.home, "keys", "add", name, *allowed).returncode == 0
    listed = run_server(server.home, "keys", "list").stdout
    assert [line.split()[0] for line in listed.splitlines() if line.endswith("may train")] == ["anna"]
    lines = {name: server.line(name) for name in ("anna", "bert")}
    eventually(lambda: "keys=default,anna,bert" in server.log, "the server knows the keys")
    with Client(lines["bert"]) as client:
        assert "train" not in client.hello().features
        reply = train(client)
        assert isinstance(reply, wire.Error), reply
        assert (reply.code, "keys add NAME --may-train" in reply.text) == ("unknown_op", True)
    with Client(lines["anna"]) as client:
        assert "train" in client.hello().features
        assert isinstance(train(client, name="annas"), wire.Job)
        assert isinstance(client.ask(wire.ListJobs(id=client.new_id())), wire.Jobs)
    assert server.out.count("Traceback") == server.log.count("Traceback") == 0


def test_a_server_can_be_told_not_to_train(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    with Session(tmp_path / "models", tmp_path, "--no-training", ready=False) as server, server.client() as client:
        assert "train" not in client.hello().features
        reply = train(client)
        assert isinstance(reply, wire.Error), reply
        assert "--no-training" in reply.text
    assert not (tmp_path / "models" / ".training").exists()
