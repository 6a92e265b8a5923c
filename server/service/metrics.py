"""The server's figures for Prometheus, through its own client library, on loopback only.

A studio's monitoring reads them; nothing else of the server can be reached there. Loaded only with --metrics-port.
"""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from server.errors import TexserverError
from server.front.front import Front


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


def serve_metrics(front: Front, port: int) -> FrontCollector:
    """Serve the front's figures at http://127.0.0.1:PORT/metrics. Raises NoMetrics."""
    registry, collector = CollectorRegistry(), FrontCollector(front)
    registry.register(collector)
    try:
        start_http_server(port, "127.0.0.1", registry)
    except (OSError, OverflowError) as error:
        raise NoMetrics(f"--metrics-port {port} cannot be listened on: {error}. Give another.") from None
    return collector
