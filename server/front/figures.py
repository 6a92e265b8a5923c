"""What the front counts for a status reply and for the log."""

import logging
import time
from collections import Counter, deque
from collections.abc import Callable
from statistics import quantiles
from typing import Any

from server.front.log_budget import LogBudget
from server.front.origin import Origin
from server.front.pending_request import AnyRequest

LATENCIES = 1000  # results whose time is remembered
MODELS_REPORTED = 100

log = logging.getLogger("texserver")


class Figures:
    """How requests have ended so far, and how long that took."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.budget = LogBudget(clock)
        self.outcomes: Counter[str] = Counter()  # "ok", an error's code, "ignored" or "client_gone"
        self._clock = clock
        self._started = clock()
        self._results: Counter[str] = Counter()  # by model
        self._latencies_ms: deque[float] = deque(maxlen=LATENCIES)

    def ended(self, pending: AnyRequest, outcome: str) -> None:
        """Count a request that was accepted and has ended now."""
        elapsed_ms = (self._clock() - pending.arrived) * 1000
        request = pending.request
        self.outcomes[outcome] += 1
        if outcome == "ok":
            self._latencies_ms.append(elapsed_ms)
            self._results[request.model] += 1
        self.tell(
            pending.client, pending.origin, "id=%d op=%s model=%s %s ms=%.0f outcome=%s",
            request.id, request.op, ascii(request.model)[1:-1][:100], pending.described(), elapsed_ms, outcome,
        )  # fmt: skip

    def tell(self, client: bytes, origin: Origin, line: str, *values: object) -> None:
        """Log a line about a client, unless its origin has caused too many."""
        more = self.budget.spend(origin)
        if more is not None:
            log.info(f"client=%s %s {line}%s", short(client), origin, *values, more)

    @property
    def uptime_s(self) -> int:
        return round(self._clock() - self._started)

    def results(self) -> dict[str, int]:
        """Results by model, of the models asked for most."""
        return dict(self._results.most_common(MODELS_REPORTED))

    def latency_ms(self) -> dict[str, Any]:
        """Of the last results; empty before the first."""
        latencies = sorted(self._latencies_ms)
        cuts = quantiles(latencies, n=100) if len(latencies) > 1 else latencies * 99
        return {"p50": round(cuts[49], 1), "p99": round(cuts[98], 1)} if cuts else {}


def memory_mb() -> int:
    """Resident memory of this process; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123, no path of ours
            return int(file.read().split()[1]) * 4096 // 2**20
    except OSError:
        return 0


def short(client: bytes) -> str:
    """A routing id for the log."""
    return client.hex()[:10]
