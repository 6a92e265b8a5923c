"""Facts about the figures for Prometheus: there, right, and taken in the front's own thread."""

import socket
import threading
import urllib.error
import urllib.request
from contextlib import ExitStack, suppress
from pathlib import Path

import msgpack
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from blender_addon.protocol import wire
from server import __version__
from server.front.front import Front
from server.front.shelf import Shelf
from server.model.work import Done, PaintTile, encode
from server.service import metrics
from server.service.metrics import FrontCollector, NoMetrics, serve_metrics
from tests.models import save_tiny
from tests.server.session import eventually


@pytest.fixture
def front(tmp_path: Path) -> Front:
    save_tiny(tmp_path, "brick")
    shelf = Shelf(tmp_path)
    while shelf.step() or not shelf.settled:
        pass
    front = Front(shelf, limits=wire.Limits(), cache_bytes=2**20, watchdog_s=30)
    here = {"name": "cpu/0", "device": "cpu", "precision": "exact", "version": __version__, "memory_mb": 5}
    front.dispatcher.from_worker(("local", b"w"), [msgpack.packb({"say": "here"} | here)])
    return front


def paint(front: Front) -> None:
    front.from_client(b"c", wire.encode(wire.Generate(id=1, model="brick", seed=7, size=(64, 64))))  # type: ignore
    front.work()
    *_, (_, item) = front.dispatcher.to_workers
    assert isinstance(item, PaintTile)
    done = encode(Done(number=item.number, planes=(memoryview(bytes(64 * 64 * 3)),)))
    front.dispatcher.from_worker(("local", b"w"), done)  # type: ignore[arg-type]


def text(collector: FrontCollector) -> str:
    registry = CollectorRegistry()
    registry.register(collector)
    return generate_latest(registry).decode()


def test_every_figure_has_its_name(front: Front) -> None:
    paint(front)
    front.dispatcher.lose(front.dispatcher.crew.workers["local", b"w"])
    said = text(FrontCollector(front))
    for line in (
        "texserver_requests_waiting 0.0",
        "texserver_requests_running 0.0",
        'texserver_models{state="ready"} 1.0',
        'texserver_models{state="broken"} 0.0',
        'texserver_requests_total{outcome="ok"} 1.0',
        "texserver_cache_bytes ",
        "texserver_cache_hits_total 0.0",
        "texserver_memory_bytes ",
        "texserver_latency_p99_seconds ",
        "texserver_trainings_waiting 0.0",
        "texserver_trainings_running 0.0",
    ):
        assert line in said


def test_tiles_are_counted_by_worker(front: Front) -> None:
    paint(front)
    said = text(FrontCollector(front))
    assert 'texserver_tiles_total{device="cpu",worker="cpu/0"} 1.0' in said
    assert 'texserver_worker_restarts_total{device="cpu",worker="cpu/0"} 0.0' in said


def test_figures_are_those_of_the_last_look(front: Front) -> None:
    """They are asked for in another thread, where the front must not be touched."""
    collector = FrontCollector(front)
    before = text(collector)
    paint(front)
    assert text(collector) == before
    collector.look()
    assert 'outcome="ok"' in text(collector)


def test_a_port_that_cannot_be_had_is_a_sentence(front: Front) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(NoMetrics, match=f"--metrics-port {port} cannot be listened on.*Give another"),
            serve_metrics(front, port),
        ):
            pass
    for port in (-1, 65536):
        with pytest.raises(NoMetrics, match=f"--metrics-port {port}"), serve_metrics(front, port):
            pass


def asked(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_whether_it_lives_and_is_ready_is_told(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    with serve_metrics(front, port) as collector:
        assert asked(port, "/metrics")[0] == 200
        assert "texserver_cut_total 0.0" in asked(port, "/metrics?x=1")[1]
        assert (asked(port, "/healthz"), asked(port, "/readyz")) == ((200, "ok\n"), (200, "ready\n"))
        front.drain()
        collector.look()
        assert asked(port, "/readyz") == (503, "draining\n")
        assert asked(port, "/elsewhere")[0] == 404
        monkeypatch.setattr(metrics, "HEALTHY_S", -1.0)
        assert asked(port, "/healthz")[0] == 503


@pytest.mark.serial
def test_requests_that_are_only_half_sent_hold_little_and_not_for_long(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "LONGEST_S", 1.0)
    port = free_port()
    before = threading.active_count()
    with serve_metrics(front, port), ExitStack() as stack:
        for _ in range(100):
            peer = stack.enter_context(socket.create_connection(("127.0.0.1", port), 20))
            peer.sendall(b"GET /metrics HTTP/1.1\r\nHost")
        assert threading.active_count() <= before + 1 + metrics.MOST_CONNECTIONS

        def answered() -> bool:
            with suppress(OSError):
                return asked(port, "/healthz")[0] == 200
            return False

        eventually(answered, "an answer")
        eventually(lambda: threading.active_count() <= before + 2, "that their threads end")
