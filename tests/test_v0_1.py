"""Facts about what version 0.1.0 wrote: its models, its clients and its servers go together with today's.

tests/fixtures/v0_1 holds a recorded session. A result may say more than it did then, and nothing else. Pixels are equal
to the byte on the kind of processor that made them; elsewhere PyTorch may round the last bit of a float another way.
"""

import base64
import dataclasses
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from blender_addon.protocol import wire
from server.model.torus import Size, Window
from server.msgpack_codec import CODECS
from server.network.model_file import read_model
from server.network.stylize import stylize
from server.network.texture import texture_bytes
from tests.server.session import Client, Session

OLD = Path(__file__).parent / "fixtures" / "v0_1"
MODELS = OLD / "models"
MADE_ON, MADE_WITH = "AVX512", "2.13.0"  # the processor's instructions, and PyTorch
SAME_ROUNDING = (torch.backends.cpu.get_cpu_capability(), torch.__version__.partition("+")[0]) == (MADE_ON, MADE_WITH)
GREY_LEVELS = {np.dtype(np.uint8): 1, np.dtype(np.uint16): 256}  # by which another processor may differ


def recorded() -> dict[str, dict[str, list[bytes]]]:
    """The frames of each request and of its reply."""
    messages = json.loads((OLD / "wire.json").read_text("utf-8"))
    return {
        name: {side: [base64.b64decode(frame) for frame in frames] for side, frames in exchange.items()}
        for name, exchange in messages.items()
    }


RECORDED = recorded()


def request_of(name: str) -> wire.Request:
    return wire.parse_request(RECORDED[name]["request"], wire.Limits(), CODECS)


def reply_of(name: str) -> Any:
    return wire.parse_reply(RECORDED[name]["reply"], CODECS)


def header_of(frames: Sequence[bytes]) -> dict[str, Any]:
    return dict(CODECS[wire.letter_of(frames, CODECS)].loads(frames[1]))


def pixels_of(result: Any) -> dict[str, Any]:
    return {each.name: np.frombuffer(each.data, each.dtype).reshape(each.shape) for each in result.buffers}


def check_same(found: dict[str, Any], old: dict[str, Any]) -> None:
    assert list(found) == list(old)
    for name, pixels in found.items():
        assert (pixels.shape, pixels.dtype) == (old[name].shape, old[name].dtype), name
        apart = np.abs(pixels.astype(int) - old[name].astype(int))
        if SAME_ROUNDING:
            assert not apart.any(), f"{name}: {np.count_nonzero(apart)} of {apart.size} samples differ"
        assert apart.max() <= GREY_LEVELS[pixels.dtype], name
        assert np.count_nonzero(apart) <= 0.05 * apart.size, name


def lost(old: Any, new: Any, place: str = "") -> list[str]:
    """What was told then and is not told now, or another way."""
    if isinstance(old, dict) and isinstance(new, dict):
        return [line for key, value in old.items() for line in lost(value, new.get(key, "nothing"), f"{place}/{key}")]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [line for at, pair in enumerate(zip(old, new, strict=True)) for line in lost(*pair, f"{place}/{at}")]
    return [] if old == new else [f"{place}: {old!r}, now {new!r}"]


def kinds(report: Any) -> Any:
    """The same with types for values."""
    if isinstance(report, dict):
        return {key: kinds(value) for key, value in report.items()}
    return [kinds(each) for each in report] if isinstance(report, list) else type(report).__name__


# -------------------------------------------------------------------------------------------------------------- models


def test_an_old_model_paints_the_same_texture() -> None:
    for name in ("generate", "generate a set"):
        request: Any = request_of(name)
        generator = read_model(MODELS / f"{request.model}.safetensors").texture_generator()
        painted = texture_bytes(generator, request.seed, Size(*request.size), Window(*request.window))
        maps = [each.name for each in generator.maps]
        check_same(dict(zip(maps, (each.numpy() for each in painted), strict=True)), pixels_of(reply_of(name)))


def test_an_old_style_makes_the_same_picture() -> None:
    request: Any = request_of("stylize")
    content = torch.frombuffer(bytearray(request.content.data), dtype=torch.uint8).reshape(request.content.shape)
    generator = read_model(MODELS / "ink.safetensors").style_generator()
    image = stylize(generator, content, request.seed, request.strength)
    check_same({"image": image.numpy()}, pixels_of(reply_of("stylize")))


# ---------------------------------------------------------------------------------------------------------------- wire


@pytest.mark.parametrize("name", RECORDED)
def test_today_s_client_sends_the_very_bytes_that_the_old_one_sent(name: str) -> None:
    frames, request = RECORDED[name]["request"], request_of(name)
    if isinstance(request, wire.Generate) and "window" not in header_of(frames):
        request = dataclasses.replace(request, window=None)  # reading fills it in
    assert [bytes(each) for each in wire.encode(request, wire.letter_of(frames, CODECS), CODECS)] == frames


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Of today's server, which has the old models."""
    models = shutil.copytree(MODELS, tmp_path_factory.mktemp("served") / "models")  # a server keeps files beside them
    with Session(models, tmp_path_factory.mktemp("home")) as session, session.client() as client:
        yield client


@pytest.mark.parametrize("name", RECORDED)
def test_an_old_client_is_answered_as_then(client: Client, name: str) -> None:
    client.send(RECORDED[name]["request"])
    frames = client.frames()
    assert frames is not None
    old, new = header_of(RECORDED[name]["reply"]), header_of(frames)
    if name == "hello":
        assert set(new.pop("features")) >= set(old.pop("features"))
        assert new.pop("server").startswith("texserver ")
        old.pop("server")
    elif name == "status":
        for report in (old["report"], new["report"]):  # what else happened there
            report.pop("results")
            report.pop("requests")
        old, new = kinds(old), kinds(new)
    elif new["op"] == "error":
        assert new.pop("text")  # for people, and may be said better
        old.pop("text")
    assert lost(old, new) == []
    if old["op"] == "result":
        check_same(pixels_of(wire.parse_reply(frames, CODECS)), pixels_of(reply_of(name)))


@pytest.mark.parametrize("name", RECORDED)
def test_today_s_client_understands_the_old_server(name: str) -> None:
    reply, told = reply_of(name), header_of(RECORDED[name]["reply"])
    assert (reply.id, reply.op) == (told["id"], told["op"])
    buffers = [(each.name, each.dtype, list(each.shape), each.colour_space) for each in getattr(reply, "buffers", ())]
    assert buffers == [(*each.values(),) for each in told.get("buffers", ())]
