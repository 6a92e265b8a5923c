"""Facts about pictures and the whole server: real processes, real sockets, real pixels.

Two servers as in test_serve.py: `server` as anybody starts it, and `odd`, whose workers sleep, die or run out of memory
by the seed (tests/server/odd_worker.py), at every block of a picture.
"""

import functools
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from blender_addon.protocol import wire
from server.client.client import Client as Scripted
from server.client.client import RequestRefused
from server.errors import BadRequest
from server.network.devices import prepare
from server.network.model_file import read_model
from server.network.style_generator import StyleGenerator
from server.network.stylize import BLOCK, measure, stylize
from tests.models import save_tiny, save_tiny_style
from tests.server.odd_worker import DIES, HOPELESS, RAISES, STARVES, sleeping
from tests.server.session import (
    ODD_SERVER,
    PATIENCE_S,
    Client,
    Session,
    code_of,
    data_of,
    eventually,
    kill,
    painted,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is watched here is told by /proc")

Pixels = NDArray[Any]
WATCHDOG_S = 8


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_tiny(folder, "brick")
    save_tiny_style(folder, "ink")
    save_tiny_style(folder, "oil", 1, architecture="pyramid")
    return folder


@pytest.fixture(scope="module")
def server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with Session(models, tmp_path_factory.mktemp("server"), "--workers", "2") as session:
        yield session


@pytest.fixture(scope="module")
def odd(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    home = tmp_path_factory.mktemp("odd")
    with Session(models, home, "--watchdog", str(WATCHDOG_S), "--cache", "0", command=ODD_SERVER) as session:
        yield session


@pytest.fixture
def client(server: Session) -> Iterator[Client]:
    with server.client() as client:
        yield client


def photograph(shape: tuple[int, int, int] = (90, 120, 3), dtype: str = "uint8", seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


LONG = (4 * BLOCK, 3, 3)  # of four blocks, and little work


def content(pixels: Pixels) -> wire.Buffer:
    return wire.Buffer(name="content", dtype=pixels.dtype.name, shape=pixels.shape, data=pixels.tobytes())


def wanted(client: Client, pixels: Pixels, **fields: Any) -> wire.Stylize:
    fields = {"id": client.new_id(), "model": "ink"} | fields
    return wire.Stylize(content=content(pixels), **fields)


def image_of(reply: wire.Reply | None) -> Pixels:
    assert isinstance(reply, wire.Result), reply
    (image,) = reply.buffers
    assert (image.name, image.colour_space) == ("image", "srgb")
    return np.frombuffer(image.data, image.dtype).reshape(image.shape)


@functools.cache
def _generator(path: Path) -> StyleGenerator:
    torch.set_num_threads(1)
    return prepare(read_model(path).style_generator(), torch.device("cpu"), "exact")


def truth(server: Session, pixels: Pixels, *, model: str = "ink", by: Pixels | None = None, **manner: Any) -> Pixels:
    """The picture that a server must answer, computed here; `by`: of whose statistics."""
    generator = _generator(server.models / f"{model}.safetensors")
    seed, strength = manner.pop("seed", 0), manner.pop("strength", 1.0)
    noise = {"noise": manner["noise"]} if "noise" in manner else {}
    given = None if by is None else measure(generator, torch.from_numpy(by), seed, strength, **noise)
    return stylize(generator, torch.from_numpy(pixels), seed, strength, statistics=given, **manner).numpy()


def check(session: Session, pixels: Pixels | None = None, **fields: Any) -> None:
    """A fresh client asks for a picture, and gets the right pixels."""
    pixels = photograph(seed=77) if pixels is None else pixels
    with session.client() as client:
        reply = client.ask(wanted(client, pixels, **fields), PATIENCE_S)
        np.testing.assert_array_equal(image_of(reply), truth(session, pixels, **fields))


def wait_for_workers(session: Session) -> None:
    with session.client() as client:
        eventually(lambda: len(client.status()["devices"]) == len(session.workers()) > 0, "all workers")


def running(session: Session) -> int:
    with session.client() as client:
        return int(client.status()["queue"]["running"])


# ------------------------------------------------------------------------------------------------------------- pixels


@pytest.mark.parametrize(
    ("shape", "dtype", "manner"),
    [
        ((90, 120, 3), "uint8", {}),
        ((90, 120, 4), "uint8", {"strength": 0.4, "seed": 2**64 - 1, "keep_colours": True, "noise": 0.0}),
        ((91, 33, 1), "uint16", {"strength": 0.0, "noise": 10}),
        ((31, 33, 4), "uint16", {"seed": 5, "model": "oil"}),
        ((1, 1, 3), "uint8", {}),
        ((1, 1, 1), "uint16", {"model": "oil", "keep_colours": True}),
        ((1, 16384, 3), "uint8", {}),
        ((16384, 1, 4), "uint8", {"model": "oil"}),
        ((BLOCK + 50, BLOCK + 60, 3), "uint8", {"strength": 0.7}),
    ],
    ids=str,
)
def test_pictures_are_byte_for_byte_those_of_stylize(
    server: Session, client: Client, shape: tuple[int, int, int], dtype: str, manner: dict[str, Any]
) -> None:
    pixels = photograph(shape, dtype)
    expected = truth(server, pixels, **manner)
    for letter in (wire.JSON, wire.MSGPACK):
        image = image_of(client.ask(wanted(client, pixels, **manner), PATIENCE_S, letter))
        assert (image.shape, image.dtype) == ((*shape[:2], max(3, shape[2])), pixels.dtype)
        np.testing.assert_array_equal(image, expected)
    if shape[2] == 4:
        np.testing.assert_array_equal(image[..., 3], pixels[..., 3])


def test_the_frames_of_a_sequence_are_painted_by_the_first_ones_statistics(server: Session, client: Client) -> None:
    first, second = photograph(seed=1), photograph(seed=2) // 2
    reply = client.ask(wanted(client, first))
    assert isinstance(reply, wire.Result)
    assert reply.statistics
    by_first = client.ask(wanted(client, second, statistics=reply.statistics))
    assert isinstance(by_first, wire.Result)
    assert by_first.statistics == reply.statistics
    np.testing.assert_array_equal(image_of(by_first), truth(server, second, by=first))
    assert not np.array_equal(image_of(by_first), truth(server, second))
    refused = client.ask(wanted(client, second, statistics=reply.statistics, model="oil"))
    assert code_of(refused) == "bad_request"
    assert "another model" in refused.text  # type: ignore[union-attr]


def test_a_server_says_that_it_stylizes_and_which_models_do(client: Client) -> None:
    assert "stylize" in client.hello().features
    listed = client.ask(wire.ListModels(id=client.new_id()))
    assert isinstance(listed, wire.Models)
    assert {each["name"]: each["kind"] for each in listed.models} == {
        "brick": "texture",
        "ink": "style",
        "oil": "style",
    }


def test_a_model_of_the_other_kind_is_told_as_such(client: Client) -> None:
    reply = client.ask(wanted(client, photograph(), model="brick"))
    assert code_of(reply) == "unknown_model"
    assert "paints textures" in reply.text  # type: ignore[union-attr]
    reply = client.ask(wire.Generate(id=client.new_id(), model="ink", seed=1, size=(64, 64)))
    assert code_of(reply) == "unknown_model"
    assert "stylizes pictures" in reply.text  # type: ignore[union-attr]


def test_progress_is_told_block_by_block(client: Client) -> None:
    id = client.tell(wanted(client, photograph(LONG), progress=True))
    replies = [client.reply() for _ in range(5)]
    block = BLOCK * 3
    assert replies[:4] == [wire.Progress(id=id, done=n * block, of=4 * block) for n in (1, 2, 3, 4)]
    assert isinstance(replies[4], wire.Result)


def test_content_that_is_not_what_it_says_is_refused(server: Session, client: Client) -> None:

    def stylize(*buffers: bytes, fields: dict[str, Any] | None = None, **changed: Any) -> str:
        described = {"name": "content", "dtype": "uint8", "shape": [16, 16, 3]} | changed
        header = {"op": "stylize", "id": 1, "model": "ink", "buffers": [described]} | (fields or {})
        return code_of(client.header(header, *buffers))

    good = bytes(768)
    with server.unharmed():
        for changed in (
            {"shape": [16, 16, 4]}, {"shape": [16, 24, 2]}, {"shape": [16, 16]}, {"shape": [2**40, 2**40, 3]},
            {"shape": [-16, -16, 3]}, {"shape": [0, 16, 3]}, {"dtype": "float64"}, {"dtype": "uint16"}, {"name": "x"},
            {"fields": {"strength": 1.5}}, {"fields": {"noise": -1}}, {"fields": {"statistics": "x"}},
            {"fields": {"keep_colours": 1}}, {"fields": {"seed": -1}},
        ):  # fmt: skip
            assert (stylize(good, **changed), changed) == ("bad_request", changed)
        assert stylize() == stylize(good, good) == stylize(bytes(767)) == "bad_request"
        assert stylize(bytes(16_700_000), shape=[1, 16_700_000, 1]) == "bad_request"
        assert stylize(bytes(4097 * 4097), shape=[4097, 4097, 1]) == "too_large"
        assert stylize(bytes(3400 * 3400 * 2), shape=[3400, 3400, 1], dtype="uint16") == "too_large"
        assert stylize(good) == "result"


# ------------------------------------------------------------------------------------------------ ids, cancel, deadline


def test_the_same_id_twice_is_one_picture(odd: Session) -> None:
    with odd.unharmed(), odd.client() as client:
        tiles = client.status()["devices"][0]["tiles"]
        pixels, seed = photograph(), sleeping(0.5)
        for _ in range(3):
            client.tell(wanted(client, pixels, seed=seed, id=500))
        client.tell(wanted(client, pixels + 1, seed=seed, id=500))
        refusal, result = client.reply(), client.reply()
        assert (code_of(refusal), refusal and refusal.id) == ("duplicate_id", 500)
        np.testing.assert_array_equal(image_of(result), truth(odd, pixels, seed=seed))
        assert client.status()["devices"][0]["tiles"] == tiles + 1
        assert client.frames(0.2) is None


@pytest.mark.serial
def test_a_running_picture_is_cancelled_at_once_and_its_worker_free_at_the_next_block(odd: Session) -> None:
    """Four blocks of three seconds each."""
    with odd.unharmed(), odd.client() as client:
        request = wanted(client, photograph(LONG), seed=sleeping(3.0), progress=True)
        client.tell(request)
        assert isinstance(client.reply(), wire.Progress)
        began = time.monotonic()
        cancel = client.new_id()
        client.tell(wire.Cancel(id=cancel, target=request.id))
        replies = client.replies(2)
        answered_s = time.monotonic() - began
        assert code_of(replies[request.id]) == "cancelled"
        assert replies[cancel] == wire.Result(id=cancel)
        odd.check()
        free_s = time.monotonic() - began
        assert answered_s < 2, f"{answered_s:.1f} s to cancel"
        assert free_s < 8, f"{free_s:.1f} s until the worker was free, of nine"
        assert client.frames(0.2) is None


def test_a_waiting_picture_is_cancelled_and_the_others_go_on(odd: Session) -> None:
    with odd.unharmed(), odd.client() as client:
        pixels = photograph()
        ids = [client.tell(wanted(client, pixels, seed=sleeping(0.3, which))) for which in range(4)]
        cancel = client.new_id()
        client.tell(wire.Cancel(id=cancel, target=ids[3]))
        replies = client.replies(5)
        assert code_of(replies[ids[3]]) == "cancelled"
        for which in range(3):
            expected = truth(odd, pixels, seed=sleeping(0.3, which))
            np.testing.assert_array_equal(image_of(replies[ids[which]]), expected)


@pytest.mark.serial
def test_a_picture_past_its_deadline_expires_and_leaves_its_worker(odd: Session) -> None:
    with odd.unharmed(), odd.client() as client:
        began = time.monotonic()
        reply = client.ask(wanted(client, photograph(LONG), seed=sleeping(3.0), deadline_ms=300))
        assert code_of(reply) == "expired"
        odd.check()
        assert time.monotonic() - began < 10, "of twelve seconds"


def test_clients_that_vanish_leave_nothing_behind(odd: Session) -> None:
    """Also those that leave in the middle of sending."""
    with odd.unharmed():
        for turn in range(8):
            with odd.client() as client:
                client.tell(wanted(client, photograph((1100, 1100, 4)), seed=sleeping(0.05)))
                time.sleep(0.02 * turn)
        eventually(lambda: not running(odd), "nothing left to do")
    check(odd)


# ------------------------------------------------------------------------------------------------------------- workers


def test_a_worker_killed_mid_picture_costs_time_and_not_a_pixel(odd: Session) -> None:
    pixels = photograph(LONG)
    with odd.unharmed(workers=False), odd.client() as client:
        (pid,) = eventually(odd.workers, "a worker")
        request = wanted(client, pixels, seed=sleeping(0.5), progress=True)
        client.tell(request)
        assert isinstance(client.reply(), wire.Progress)
        kill(pid)
        reply = client.reply(PATIENCE_S)
        while isinstance(reply, wire.Progress):
            reply = client.reply(PATIENCE_S)
        np.testing.assert_array_equal(image_of(reply), truth(odd, pixels, seed=sleeping(0.5)))
    wait_for_workers(odd)


def test_a_picture_that_takes_longer_than_the_watchdog_is_not_taken_for_hung(odd: Session) -> None:
    pid = odd.workers()
    check(odd, photograph(LONG), seed=sleeping(0.3 * WATCHDOG_S))
    assert odd.workers() == pid


def test_a_picture_that_kills_workers_is_alone_in_it(odd: Session) -> None:
    with odd.unharmed(workers=False), odd.client() as client, odd.client() as other:
        killer = client.tell(wanted(client, photograph(), seed=DIES))
        mine = client.tell(wanted(client, photograph(), seed=21))
        theirs = other.want("brick", 22)
        replies = client.replies(2)
        assert code_of(replies[killer]) == "worker_lost"
        assert replies[killer].retry_ms  # type: ignore[union-attr]
        np.testing.assert_array_equal(image_of(replies[mine]), truth(odd, photograph(), seed=21))
        assert data_of(other.replies(1)[theirs]) == painted(odd.models / "brick.safetensors", 22)
    wait_for_workers(odd)


def test_too_little_memory_means_smaller_blocks_and_the_same_picture(odd: Session) -> None:
    pixels = photograph((300, 500, 3))
    with odd.unharmed(), odd.client() as client:
        image = image_of(client.ask(wanted(client, pixels, seed=STARVES), PATIENCE_S))
        apart = np.abs(image.astype(int) - truth(odd, pixels, seed=STARVES))
        assert apart.max() <= 1
        assert apart.mean() < 0.01


@pytest.mark.parametrize(("seed", "code"), [(HOPELESS, "oom"), (RAISES, "internal")])
def test_what_cannot_be_made_is_told(odd: Session, seed: int, code: str) -> None:
    with odd.unharmed(), odd.client() as client:
        reply = client.ask(wanted(client, photograph(), seed=seed))
        assert code_of(reply) == code
        assert "on purpose" not in reply.text  # type: ignore[union-attr]


# ---------------------------------------------------------------------------------------------------------------- load


@pytest.mark.serial
def test_status_is_answered_at_once_while_large_pictures_come_and_go(server: Session) -> None:
    """Contents of 26 MB each: they pass through the front untouched."""
    pixels = photograph((2160, 4096, 3))
    took_ms: list[float] = []
    stop = threading.Event()

    def ask() -> None:
        with server.client() as client:
            while not stop.is_set():
                began = time.perf_counter()
                client.status()
                took_ms.append((time.perf_counter() - began) * 1000)
                time.sleep(0.005)

    with server.unharmed(), server.client() as client:
        asking = threading.Thread(target=ask)
        asking.start()
        try:
            ids = [client.tell(wanted(client, pixels, model="oil", seed=seed)) for seed in range(2)]
            replies = client.replies(2, 4 * PATIENCE_S)
        finally:
            stop.set()
            asking.join()
        assert {code_of(replies[id]) for id in ids} == {"result"}
        took_ms.sort()
        print(f"status: median {statistics.median(took_ms):.1f} ms, p95 {took_ms[-len(took_ms) // 20]:.1f} ms")
        assert len(took_ms) > 20
        assert statistics.median(took_ms) < 50


# ------------------------------------------------------------------------------------------------------------ scripts


def test_a_script_gets_its_picture_and_its_sequence_by_one_call_each(server: Session) -> None:
    with Scripted(server.pairing.line) as client:
        first = client.stylize("ink", photograph(seed=1), strength=0.5, seed=9, keep_colours=True)
        np.testing.assert_array_equal(
            first.image, truth(server, photograph(seed=1), strength=0.5, seed=9, keep_colours=True)
        )
        second = client.stylize("ink", photograph(seed=2), statistics=first.statistics, strength=0.5, seed=9)
        expected = truth(server, photograph(seed=2), by=photograph(seed=1), strength=0.5, seed=9)
        np.testing.assert_array_equal(second.image, expected)
        assert second.statistics == first.statistics
        second.image[:] = 0  # it is the caller's own


@pytest.mark.parametrize(
    "pixels",
    [
        photograph((40, 50, 1))[..., 0],
        photograph((40, 50, 3))[::-1, ::2],
        photograph((40, 50, 4), "uint16").astype(">u2"),
        photograph((50, 40, 3)).transpose(1, 0, 2),
    ],
    ids=["grey without an axis", "every second column", "big-endian", "columns first"],
)
def test_a_script_may_hand_in_any_array_of_a_picture(server: Session, pixels: Pixels) -> None:
    plain = np.ascontiguousarray(pixels if pixels.ndim == 3 else pixels[..., None]).astype(
        pixels.dtype.newbyteorder("=")
    )
    with Scripted(server.pairing.line) as client:
        np.testing.assert_array_equal(client.stylize("ink", pixels).image, truth(server, plain))


def test_what_is_no_picture_or_no_style_is_one_error_each(server: Session) -> None:
    with Scripted(server.pairing.line) as client:
        for wrong in (
            np.zeros((4, 4, 2), "u1"),
            np.zeros((4, 4, 3), "f4"),
            np.zeros((0, 4, 3), "u1"),
            np.zeros(9, "u1"),
        ):
            with pytest.raises(BadRequest, match=r"^content: "):
                client.stylize("ink", wrong)
        for manner, said in (
            ({"strength": 2}, "strength: it is 2"),
            ({"seed": -1}, "seed: it is -1"),
            ({"noise": float("nan")}, "Out of range"),
            ({"statistics": "x" * 50_000}, "statistics: it is"),
            ({"statistics": "x" * 100_000}, "header of"),
            ({"statistics": "aGVsbG8="}, "statistics: they were measured with another model"),
        ):
            with pytest.raises(RequestRefused, match=said) as refused:
                client.stylize("ink", photograph(), **manner)  # type: ignore[arg-type]
            assert refused.value.code == "bad_request"
        with pytest.raises(RequestRefused, match="paints textures"):
            client.stylize("brick", photograph())
        assert client.stylize("ink", photograph()).statistics
