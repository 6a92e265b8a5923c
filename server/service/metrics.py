"""The server's figures for Prometheus, through its own client library, on loopback unless --metrics-host says more.

A studio's monitoring reads them; nothing else of the server can be reached there, but whether it lives (/healthz) and
is ready (/readyz). Loaded only with --metrics-port.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from server.errors import TexserverError
from server.front.front import Front

MOST_CONNECTIONS = 16  # at a time; others are closed at once
LONGEST_S = 5.0  # from a connection to the end of the answer
HEALTHY_S = 10.0  # without a look at the figures, after which the front hangs


class NoMetrics(TexserverError):
    """The figures cannot be served on that port; the text says what to change."""


class FrontCollector(Collector):
    """A front's report, as metrics. Prometheus asks in a thread of its own, so the last report is kept for it."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self.look()

    def look(self) -> None:
        """Keep the figures as they are now. Call it in the front's own thread."""
        self._report = self._front.report()
        self._looked = time.monotonic()

    @property
    def age_s(self) -> float:
        """Of the figures: while the front's thread runs, they are never old."""
        return time.monotonic() - self._looked

    @property
    def state(self) -> str:
        """Of the server, as it was then."""
        return str(self._report["state"])

    def collect(self) -> Iterator[Metric]:
        report = self._report
        for state, count in report["queue"].items():
            yield GaugeMetricFamily(f"texserver_requests_{state}", f"Requests {state}", value=count)
        models = GaugeMetricFamily("texserver_models", "Models of the folder", labels=["state"])
        for state, count in report["models"].items():
            models.add_metric([state], count)
        yield models
        outcomes = CounterMetricFamily("texserver_requests", "Requests ended, by outcome", labels=["outcome"])
        for outcome, count in report["requests"].items():
            outcomes.add_metric([outcome], count)
        yield outcomes
        tiles = CounterMetricFamily("texserver_tiles", "Tiles computed", labels=["worker", "device"])
        restarts = CounterMetricFamily("texserver_worker_restarts", "Workers lost", labels=["worker", "device"])
        for device in report["devices"]:
            tiles.add_metric([device["name"], device["device"]], device["tiles"])
            restarts.add_metric([device["name"], device["device"]], device["restarts"])
        yield tiles
        yield restarts
        for share, value in report["latency_ms"].items():
            yield GaugeMetricFamily(f"texserver_latency_{share}_seconds", "Of the last results", value=value / 1000)
        yield GaugeMetricFamily("texserver_memory_bytes", "Of the front", value=report["memory_mb"] * 2**20)
        yield GaugeMetricFamily("texserver_cache_bytes", "Tiles kept", value=report["cache"]["mb"] * 2**20)
        yield CounterMetricFamily("texserver_cache_hits", "Tiles that were kept", value=report["cache"]["hits"])
        training = dict(report["training"])
        for state in ("waiting", "running"):
            count = training.pop(state, 0)
            yield GaugeMetricFamily(f"texserver_trainings_{state}", f"Trainings {state}", value=count)
        trainings = CounterMetricFamily("texserver_trainings", "Trainings ended, by state", labels=["state"])
        for state, count in training.items():
            trainings.add_metric([state], count)
        yield trainings
        checks = report["verification"]
        yield CounterMetricFamily("texserver_tiles_checked", "Tiles that two workers computed", value=checks["checked"])
        yield CounterMetricFamily("texserver_tiles_differed", "Those that were not equal", value=checks["differed"])
        yield GaugeMetricFamily("texserver_workers_expelled", "Since the start", value=len(checks["expelled"]))
        for figure, value in report["ray"].items():
            if figure == "restarts":
                yield CounterMetricFamily("texserver_ray_restarts", "Workers that Ray placed anew", value=value)
            elif figure != "state":
                yield GaugeMetricFamily(f"texserver_ray_{figure}", f"Workers of Ray: {figure}", value=value)
        transport = report["transport"]
        yield GaugeMetricFamily("texserver_unsent_bytes", "On their way", value=transport.get("unsent_mb", 0) * 2**20)
        for name, about in (
            ("refused", "Handshakes without a known key"),
            ("cut", "Connections with messages that were too large"),
            ("replies_dropped", "Replies whose clients were gone"),
            ("log_lines_dropped", "Lines of the log that could not be written in time"),
        ):
            yield CounterMetricFamily(f"texserver_{name}", about, value=transport.get(name, 0))


class _Server(ThreadingHTTPServer):
    """A thread for each connection, of which there are few and none lasts: half-sent requests hold nothing for long."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, host: str, port: int, collector: FrontCollector) -> None:
        super().__init__((host, port), _Pages)
        self.collector = collector
        self.registry = CollectorRegistry()
        self.registry.register(collector)
        self._open: dict[socket.socket, float] = {}  # connections, and since when
        self._lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            is_full = len(self._open) >= MOST_CONNECTIONS
            if not is_full:
                self._open[request] = time.monotonic()
        if is_full:
            super().shutdown_request(request)
        else:
            super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Called again and again by the thread that accepts connections."""
        with self._lock:
            for connection, began in self._open.items():
                if time.monotonic() - began > LONGEST_S:
                    with suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who asked has gone, or was cut."""


class _Pages(BaseHTTPRequestHandler):
    """/metrics for Prometheus; /healthz and /readyz for whoever starts and watches the server."""

    server: _Server
    timeout = LONGEST_S

    def do_GET(self) -> None:
        state = self.server.collector.state
        match self.path.partition("?")[0]:
            case "/metrics":
                encoder, content_type = choose_encoder(self.headers.get("Accept", ""))
                self._answer(200, encoder(self.server.registry), content_type)
            case "/healthz":
                lives = self.server.collector.age_s < HEALTHY_S
                self._answer(200 if lives else 503, b"ok\n" if lives else b"the server hangs\n")
            case "/readyz":
                self._answer(200 if state == "ready" else 503, f"{state}\n".encode())
            case _:
                self._answer(404, b"there are /metrics, /healthz and /readyz\n")

    def _answer(self, code: int, body: bytes, content_type: str = "text/plain; charset=utf-8") -> None:
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: these requests come every few seconds."""


@contextmanager
def serve_metrics(front: Front, port: int, host: str = "127.0.0.1") -> Iterator[FrontCollector]:
    """Serve the front's figures at http://HOST:PORT/metrics meanwhile. Raises NoMetrics."""
    collector = FrontCollector(front)
    try:
        server = _Server(host, port, collector)
    except (OSError, OverflowError) as error:
        raise NoMetrics(
            f"--metrics-port {port} cannot be listened on at {host}: {error}. Give another, or another --metrics-host."
        ) from None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
