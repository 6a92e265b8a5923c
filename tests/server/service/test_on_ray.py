"""A server whose workers Ray places, on real clusters of several node processes that are lost under load."""

import random
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from blender_addon.protocol import wire
from server.model.maps import BASE_COLOUR
from tests.models import save_tiny_quilt
from tests.server.ray_cluster import Cluster, ray_cluster
from tests.server.session import (
    PATIENCE_S,
    Client,
    Session,
    client_status,
    code_of,
    data_of,
    environment,
    eventually,
    free_port,
    kill,
    painted,
    run_server,
    runs,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(sys.platform != "linux", reason="processes are found by /proc"),
]

KILLS = 20
IN_FLIGHT = 12
SEEDS = 60
SIZE = (96, 160)
PLACED_S = 180.0  # until workers are placed: each process of Ray takes seconds to start


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Two nodes of two processors each."""
    with ray_cluster(environment(tmp_path), 2, 2) as found:
        yield found


@pytest.fixture
def models(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    save_tiny_quilt(tmp_path / "models", "pebbles", maps=(BASE_COLOUR,))
    return tmp_path / "models"


def workers_are(server: Session, count: int) -> None:
    def so_many() -> bool:
        report = client_status(server)
        return len(report["devices"]) == report["ray"]["workers"] == count

    eventually(so_many, f"{count} workers", PLACED_S)


def actors() -> list[int]:
    """The process ids of workers that Ray placed."""
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                told = (path / "cmdline").read_bytes()
            except OSError:
                continue
            if told.startswith(b"ray::RayWorker.work"):
                found.append(int(path.name))
    return found


class Load:
    """A client that always wants so many textures, and compares each with what it must be."""

    def __init__(self, client: Client, path: Path) -> None:
        self._client, self._path = client, path
        self._wanted: dict[int, int] = {}  # seeds by id
        self._next = 0
        self.right = self.again = 0
        for _ in range(IN_FLIGHT):
            self._want(self._seed())

    def _seed(self) -> int:
        self._next += 1
        return self._next % SEEDS

    def _want(self, seed: int) -> None:
        self._wanted[self._client.want("pebbles", seed, SIZE)] = seed

    def until(self, holds: Callable[[], bool], *, more: bool = True) -> None:
        """Take what comes, and ask for more, until it holds."""
        while not holds():
            reply = self._client.reply(PLACED_S)
            if isinstance(reply, wire.Progress):
                continue
            assert reply is not None, f"silence, with {len(self._wanted)} textures wanted"
            assert reply.id is not None
            seed = self._wanted.pop(reply.id)
            if isinstance(reply, wire.Error):
                assert code_of(reply) == "worker_lost"  # two nodes were lost for it: it says so, and is asked for again
                self.again += 1
                self._want(seed)
                continue
            assert data_of(reply) == painted(self._path, seed, SIZE), seed
            self.right += 1
            if more:
                self._want(self._seed())

    def more(self, count: int) -> None:
        wanted = self.right + count
        self.until(lambda: self.right >= wanted)

    def finish(self) -> None:
        self.until(lambda: not self._wanted, more=False)


def test_twenty_nodes_killed_under_load_lose_no_texture_and_change_no_byte(
    cluster: Cluster, models: Path, tmp_path: Path
) -> None:
    path, dice = models / "pebbles.safetensors", random.Random(23)
    with Session(models, tmp_path, "--ray", cluster.address, "--cache", "0", ready=False) as server:
        workers_are(server, 4)
        with server.client() as client:
            load = Load(client, path)
            for _ in range(KILLS):
                load.more(dice.randrange(5, 25))
                cluster.lose(dice.randrange(2))
                cluster.add(2)
                looked = time.monotonic() + 1

                def there() -> bool:
                    nonlocal looked
                    if time.monotonic() < looked:
                        return False
                    looked = time.monotonic() + 1
                    return client_status(server)["ray"]["workers"] >= dice.choice([1, 2, 3])

                load.until(there)
            load.finish()
            workers_are(server, 4)
            report = client_status(server)
        print(f"{load.right} textures, all right; {load.again} asked for again; {report['ray']}")
        assert report["ray"]["restarts"] >= 2 * KILLS
        assert set(report["requests"]) <= {"ok", "worker_lost"}
        assert "Traceback" not in server.log
    assert server.popen.returncode == 0


def test_it_is_ready_when_ray_has_placed_a_worker_and_one_that_hangs_is_replaced(
    cluster: Cluster, models: Path, tmp_path: Path
) -> None:
    port = free_port()
    options = ("--ray", cluster.address, "--ray-workers", "1", "--watchdog", "3", "--metrics-port", str(port))
    with Session(models, tmp_path, *options, ready=False) as server:
        eventually(lambda: asked(port, "healthz")[0] == 200, "its figures")
        assert asked(port, "readyz") == (503, "starting\n")
        eventually(lambda: asked(port, "readyz") == (200, "ready\n"), "a worker", PLACED_S)
        eventually(lambda: "texserver_ray_workers 1.0" in asked(port, "metrics")[1], "its figure")
        server.check("pebbles")
        (pid,) = actors()
        with server.client() as client:
            kill(pid, signal.SIGSTOP)
            assert data_of(client.generate("pebbles", 1, SIZE, PLACED_S)) == painted(
                models / "pebbles.safetensors", 1, SIZE
            )
        assert not runs(pid)
        assert client_status(server)["ray"]["restarts"] == 1


def test_workers_end_with_a_server_that_is_killed(cluster: Cluster, models: Path, tmp_path: Path) -> None:
    with Session(models, tmp_path, "--ray", cluster.address, ready=False) as server:
        workers_are(server, 4)
        assert len(actors()) == 4
        server.signal(signal.SIGKILL)
        server.ended()
    eventually(lambda: not actors(), "the end of its workers", PLACED_S)


def test_a_worker_that_no_machine_has_a_device_for_waits(cluster: Cluster, models: Path, tmp_path: Path) -> None:
    options = ("--ray", cluster.address, "--device", "cuda", "--ray-workers", "1")
    with Session(models, tmp_path, *options, ready=False) as server:
        eventually(lambda: client_status(server)["ray"]["wanted"] == 1, "the cluster", PLACED_S)
        assert client_status(server)["ray"]["placed"] == 0
        assert client_status(server)["state"] == "starting"
        assert server.end() == 0


def test_a_server_outlives_its_cluster(models: Path, tmp_path: Path) -> None:
    with ray_cluster(environment(tmp_path), 1) as cluster:
        server = Session(models, tmp_path, "--ray", cluster.address, ready=False)
        with ExitStack() as stack:
            stack.callback(server.end)
            workers_are(server, 1)
            server.check("pebbles")
            stack.pop_all()
    with server:
        eventually(lambda: client_status(server)["ray"]["state"] == "connecting", "the loss of the cluster", PLACED_S)
        report = client_status(server)
        assert report["ray"]["wanted"] == report["ray"]["placed"] == report["ray"]["workers"] == 0
        assert report["devices"] == []
        eventually(lambda: server.log.count("ray: workers cannot be placed, again in") > 1, "another try", PLACED_S)
        assert server.popen.poll() is None


def test_a_cluster_that_is_not_there_is_said(models: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install '.[ray]'")
    started = time.monotonic()
    done = run_server(tmp_path, "--models", str(models), "--ray", f"127.0.0.1:{free_port()}")
    assert "There is no Ray cluster at 127.0.0.1:" in done.stderr
    assert done.returncode == 2
    assert time.monotonic() - started < PATIENCE_S


def asked(port: int, page: str) -> tuple[int, str]:
    """Status and body of a page of the server's figures."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""
