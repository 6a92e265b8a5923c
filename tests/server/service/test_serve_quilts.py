"""Facts about quilts behind a real server: the bytes of texture() and no others, also of large files, and memory."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
import zmq

from blender_addon.protocol import wire
from blender_addon.protocol.pairing import parse_pairing
from server import __version__
from server.model.checking import SMALL_BYTES
from server.model.work import Here, LoadLarge, WantPiece, encode, parse_from_front
from server.network.model_file import read_model
from server.network.texture import map_bytes, texture
from server.worker.worker import connected
from server.worker.worker_config import WorkerConfig
from tests.memory import peak_mb, reset_peak
from tests.models import QUILT_MAPS, save_large, save_tiny, save_tiny_quilt
from tests.server.session import (
    SERVER,
    Client,
    Session,
    code_of,
    data_of,
    environment,
    eventually,
    line_file,
    painted,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what /proc tells")
SIDE = 1040  # of a swatch whose four maps make more than SMALL_BYTES


@pytest.fixture(scope="module")
def large_quilts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two versions of a quilt that is painted from where its file lies."""
    folder = tmp_path_factory.mktemp("large")
    paths = [save_tiny_quilt(folder, f"v{seed}", seed, side=(SIDE // 8, SIDE // 8), factor=8) for seed in (0, 1)]
    assert all(path.stat().st_size > SMALL_BYTES for path in paths)
    return paths


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, large_quilts: list[Path]) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_tiny(folder, "brick")
    save_tiny_quilt(folder, "set")
    save_tiny_quilt(folder, "colour", 3, maps=QUILT_MAPS[:1])
    shutil.copy(large_quilts[0], folder / "large.safetensors")
    return folder


# ---------------------------------------------------------------------------------------------------------- the bytes

ASKED = [
    ("set", 1, (150, 170), (140, 160, 64, 48), None),  # across both wraps
    ("set", 1, (150, 170), (140, 160, 64, 48), 8),
    ("set", 1, (150, 170), (140, 160, 64, 48), 16),
    ("set", 2**64 - 1, (150, 170), (0, 0, 150, 170), None),
    ("set", 2, (600, 520), (580, 505, 100, 80), None),  # of several tiles
    ("colour", 3, (513, 97), (500, 90, 97, 97), 16),
    ("large", 4, (600, 700), (590, 690, 40, 30), None),
]


@pytest.mark.parametrize(
    ("precision", "threads"),
    [
        ("exact", 1),
        ("fast", 2),
        pytest.param("fast", 1, marks=pytest.mark.slow),
        pytest.param("exact", 2, marks=pytest.mark.slow),
    ],
)
def test_a_served_quilt_is_the_texture_to_the_byte(models: Path, tmp_path: Path, precision: str, threads: int) -> None:
    with Session(models, tmp_path, "--precision", precision, threads=threads) as server, server.client() as client:
        for model, seed, size, window, depth in ASKED:
            result = client.generate(model, seed, size, window=window, depth=depth)
            expected = painted(models / f"{model}.safetensors", seed, size, window, depth)
            assert data_of(result) == expected, (model, size, window, depth)
            assert result.precision == precision
        depths = {buffer.name: buffer.dtype for buffer in client.generate("set", 1, (64, 64)).buffers}
        assert depths == {"basecolor": "uint8", "normal": "uint8", "roughness": "uint8", "height": "uint16"}


@pytest.mark.parametrize("batch", [1, 4])
def test_a_served_quilt_is_any_image_of_a_batch(models: Path, tmp_path: Path, batch: int) -> None:
    seeds, size = list(range(10, 10 + batch)), (150, 170)
    generator = read_model(models / "set.safetensors").texture_generator()
    images = texture(generator, seeds, size)
    with Session(models, tmp_path) as server, server.client() as client:
        for seed, image in zip(seeds, images, strict=True):
            planes = map_bytes(image[None], generator.maps, (8, 8, 8, 16))
            expected = b"".join(plane.numpy().tobytes() for plane in planes)
            assert data_of(client.generate("set", seed, size)) == expected
    alone = texture(generator, seeds[-1], size)
    assert torch.equal(alone[0], images[-1])


# --------------------------------------------------------------------------------------------------------- replaced, M2


@pytest.fixture
def folder(tmp_path: Path, large_quilts: list[Path]) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    shutil.copy(large_quilts[0], folder / "rock.safetensors")
    save_tiny(folder, "brick")
    return folder


def renamed(path: Path, data: bytes) -> None:
    part = path.with_name(".part")
    part.write_bytes(data)
    part.replace(path)


def in_place(path: Path, data: bytes) -> None:
    path.write_bytes(data)


@pytest.fixture
def server(folder: Path, tmp_path: Path) -> Iterator[Session]:
    with Session(folder, tmp_path, "--workers", "2") as session:
        yield session


@pytest.mark.parametrize("replace", [renamed, pytest.param(in_place, marks=pytest.mark.slow)])
def test_a_large_quilt_replaced_while_requests_run_never_gives_wrong_bytes(
    server: Session, large_quilts: list[Path], replace: Callable[[Path, bytes], None]
) -> None:
    """First by half of a file, then by a good one: each answer is of the version that it names, or says try again."""
    by_hash = {sha256(path.read_bytes()).hexdigest(): path for path in large_quilts}
    size, window = (300, 300), (280, 280, 48, 48)
    truth = {(key, seed): painted(path, seed, size, window) for key, path in by_hash.items() for seed in range(40, 44)}
    old, new = by_hash
    path, data = server.models / "rock.safetensors", large_quilts[1].read_bytes()
    seen, refused = [], set()
    with server.client() as client:

        def ask() -> None:
            seeds = {client.want("rock", seed, size, window=window): seed for seed in range(40, 44)}
            for id, reply in client.replies(len(seeds)).items():
                assert id is not None
                if isinstance(reply, wire.Result):
                    assert data_of(reply) == truth[reply.sha256, seeds[id]]
                    seen.append(reply.sha256)
                else:
                    refused.add(code_of(reply))

        ask()
        assert (set(seen), refused) == ({old}, set())
        for content in (data[: len(data) // 2], data):
            waiting = {client.want("rock", seed, size, window=window): seed for seed in range(40, 44)}
            replace(path, content)
            for id, reply in client.replies(len(waiting)).items():
                assert id is not None
                if isinstance(reply, wire.Result):
                    assert data_of(reply) == truth[reply.sha256, waiting[id]]
                else:
                    refused.add(code_of(reply))
            end = time.monotonic() + 2.5
            while time.monotonic() < end:
                ask()

        def is_new() -> bool:
            seen.clear()
            ask()
            return set(seen) == {new} and len(seen) == 4

        eventually(is_new, "the new version")
        assert refused <= {"unknown_model", "busy", "worker_lost"}
    server.check()


def test_a_large_quilt_deleted_while_requests_run_is_unknown_and_running_ones_end(
    server: Session, large_quilts: list[Path]
) -> None:
    path = server.models / "rock.safetensors"
    with server.client() as client:
        ids = {client.want("rock", seed, (300, 300)): seed for seed in range(60, 66)}
        first = client.replies(1)
        path.unlink()
        for id, reply in (first | client.replies(5)).items():
            assert id is not None
            if isinstance(reply, wire.Result):
                assert data_of(reply) == painted(large_quilts[0], ids[id], (300, 300))
            else:
                assert code_of(reply) == "unknown_model"
        ask = wire.Generate(id=client.new_id(), model="rock", seed=1, size=(64, 64))
        eventually(lambda: code_of(client.ask(ask)) == "unknown_model", "the end of it")
    server.check()


# -------------------------------------------------------------------------------------------------------------- memory


@pytest.mark.serial
def test_a_model_of_200_mb_costs_the_front_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    save_tiny(folder, "brick")
    with Session(folder, tmp_path, "--bind-workers", "tcp://127.0.0.1:*") as server, server.client() as client:
        server.check()
        front, (worker,) = server.pid, server.workers()
        reset_peak(front)
        front_mb, worker_mb, slowest = peak_mb(front), anonymous_mb(worker), 0.0
        path = save_large(folder)
        assert path.stat().st_size > 200 * 2**20

        def ready() -> bool:
            nonlocal slowest
            begin = time.monotonic()
            report = client.status()
            slowest = max(slowest, time.monotonic() - begin)
            return bool(report["models"]["ready"] == 2)

        eventually(ready, "the large model")
        assert slowest < 0.5
        thumbnail = client.ask(wire.GetThumbnail(id=client.new_id(), model="large"))
        assert data_of(thumbnail) == bytes([7]) * (16 * 16 * 3)
        window = client.generate("large", 1, (2048, 2048), window=(1000, 1000, 1024, 1024), maps=("basecolor",))
        assert data_of(window) == bytes(3 * 2**20)
        assert peak_mb(front) < front_mb + 50
        assert str(path) in Path(f"/proc/{worker}/maps").read_text()
        assert anonymous_mb(worker) < worker_mb + 400  # tables of what is planned, and nothing for what is not


def anonymous_mb(pid: int) -> float:
    """Memory that no file backs."""
    return int(Path(f"/proc/{pid}/status").read_text().split("RssAnon:")[1].split()[0]) / 1024


@pytest.mark.serial
def test_a_worker_of_another_machine_gets_a_large_model_and_the_front_holds_none_of_it(
    folder: Path, tmp_path: Path, large_quilts: list[Path]
) -> None:
    with Session(folder, tmp_path, "--bind-workers", "tcp://127.0.0.1:*") as server, server.client() as client:
        server.check()
        (own,) = server.workers()
        home = tmp_path / "far"
        home.mkdir()
        line = line_file(tmp_path, server.worker_line)
        far = subprocess.Popen(
            [*SERVER, "--worker-of", str(line), "--device", "cpu", "--precision", "exact"],
            env=environment(home),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            eventually(lambda: len(client.status()["devices"]) == 2, "the other worker")
            reset_peak(server.pid)
            before = peak_mb(server.pid)
            ids = {client.want("rock", seed, (300, 300)): seed for seed in range(80, 84)}
            for id, reply in client.replies(len(ids)).items():
                assert id is not None
                assert data_of(reply) == painted(large_quilts[0], ids[id], (300, 300))
            tiles = {each["name"]: each["tiles"] for each in client.status()["devices"]}
            assert min(tiles.values()) > 0, tiles
            assert peak_mb(server.pid) < before + 40
            maps = {pid: Path(f"/proc/{pid}/maps").read_text() for pid in (own, far.pid)}
            assert ["rock.safetensors" in maps[pid] for pid in (own, far.pid)] == [True, False]
        finally:
            far.kill()
            far.wait()


@pytest.fixture
def client(server: Session) -> Iterator[Client]:
    with server.client() as client:
        yield client


def test_a_touched_large_model_serves_on(server: Session, client: Client, large_quilts: list[Path]) -> None:
    expected = painted(large_quilts[0], 5, (64, 64))
    assert data_of(client.generate("rock", 5)) == expected
    os.utime(server.models / "rock.safetensors")

    def served() -> bool:
        reply = client.ask(wire.Generate(id=client.new_id(), model="rock", seed=5, size=(64, 64)))
        assert isinstance(reply, wire.Result) or code_of(reply) in ("busy", "unknown_model"), reply
        return isinstance(reply, wire.Result) and data_of(reply) == expected

    eventually(served, "it again")


def test_a_worker_that_asks_for_a_large_model_and_takes_none_of_it_is_disconnected(
    folder: Path, tmp_path: Path, large_quilts: list[Path]
) -> None:
    """What is on its way to it stays bounded, and what it was given is painted by another."""
    with Session(folder, tmp_path, "--bind-workers", "tcp://127.0.0.1:*") as server, server.client() as client:
        pairing = parse_pairing(server.worker_line)
        assert pairing.keys
        server_key, own_key = pairing.keys.server.hex(), pairing.keys.client.hex()
        context: zmq.Context[Any] = zmq.Context()
        context.rcvhwm = 1
        config = WorkerConfig(endpoint=pairing.endpoint, name="far", server_key=server_key, own_key=own_key)
        try:
            with connected(context, config) as socket:
                socket.send_multipart(encode(Here(version=__version__, name="far", device="cpu")))
                eventually(lambda: len(client.status()["devices"]) == 2, "the other worker")
                before = server.memory_mb()
                wanted = client.want("rock", 5, (1024, 1536))
                load = None
                while not isinstance(load, LoadLarge):
                    assert socket.poll(20_000), server.log
                    load = parse_from_front(socket.recv_multipart())
                for _ in range(800):
                    socket.send_multipart(encode(WantPiece(sha256=load.sha256, begin=0)))
                eventually(lambda: "asks for more of a model than it takes" in server.log, "that it is disconnected")
                assert server.memory_mb() < before + 100
                samples = data_of(client.replies(1)[wanted])
                assert samples == painted(folder / "rock.safetensors", 5, (1024, 1536))
        finally:
            context.destroy(linger=0)
