"""How many lines of the log each origin may cause, so that nobody can fill the disk with them."""

from collections.abc import Callable
from dataclasses import dataclass

from server.front.allowance import Allowance
from server.front.origin import Origin

LINES = 200  # at once, for one key and machine
LINES_PER_S = 10.0
ORIGINS = 1000  # remembered


@dataclass(eq=False)
class _Purse:
    lines: Allowance
    left_out: int = 0


class LogBudget:
    """Says which lines may be written."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._purses: dict[Origin, _Purse] = {}

    def spend(self, origin: Origin) -> str | None:
        """None where the line must be left out; otherwise what to write behind it: "", or how many were left out."""
        now = self._clock()
        purse = self._purses.pop(origin, None) or _Purse(Allowance(LINES, LINES_PER_S, now))
        self._purses[origin] = purse  # in the order of use
        if len(self._purses) > ORIGINS:
            del self._purses[next(iter(self._purses))]
        if not purse.lines.take(now):
            purse.left_out += 1
            return None
        left_out, purse.left_out = purse.left_out, 0
        return f" ({left_out} lines before this one were left out)" if left_out else ""
