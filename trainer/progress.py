"""How far a training has come: a bar on a terminal, elsewhere (a log, a pipe) a plain line every few seconds."""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from tqdm import tqdm

LINE_EVERY_S = 10.0


class Progress:
    """Counts steps towards `total`; `unit` names one of them, in the plural, for people.

    Lines go to `say`; nothing is shown where it is `quiet`.
    """

    def __init__(self, total: int, unit: str, say: Callable[[str], None], *, quiet: bool, done: int = 0) -> None:
        self.total, self.unit, self.say = total, unit, say
        self.done, self._first = done, done
        on_terminal = sys.stderr.isatty()
        self._lines = not (quiet or on_terminal)
        self._began = self._said = time.monotonic()
        self._bar = tqdm(
            total=total, initial=done, unit=unit, disable=quiet or not on_terminal, dynamic_ncols=True, file=sys.stderr
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def show(self, done: int, detail: str = "") -> None:
        """So many steps are done; fewer than before where a training went back."""
        self.done = done
        self._bar.set_postfix_str(detail, refresh=False)
        self._bar.update(done - self._bar.n)
        now = time.monotonic()
        if self._lines and done < self.total and now - self._said >= LINE_EVERY_S:
            self._said = now
            self.say(f"  {self._line(now, detail)}")

    def _line(self, now: float, detail: str) -> str:
        line = f"{self.done} of {self.total} {self.unit}"
        if self.done > self._first:
            left = (now - self._began) / (self.done - self._first) * (self.total - self.done)
            line += f", about {spoken(left)} left"
        return f"{line} ({detail})" if detail else line


def spoken(seconds: float) -> str:
    """A time for people: "40 s", "12 min", "3.5 h"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
