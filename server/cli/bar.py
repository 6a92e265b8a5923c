"""How far a command has come: a bar on a terminal, elsewhere (a log, a pipe, a render farm) a plain line every few
seconds.
"""

import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, Self

from tqdm import tqdm

from server import openjd

LINE_EVERY_S = 5.0


class Bar:
    """Appears with the first progress, so that after a mistake only one sentence is printed. On standard error.

    `farm`: tell a render farm, too (server/openjd.py).
    """

    def __init__(self, name: str, total: int, quiet: bool, farm: bool = False, **options: Any) -> None:
        self._name, self._total, self._quiet, self._farm = name[:40], total, quiet, farm
        self._on_terminal = sys.stderr is not None and sys.stderr.isatty()
        disabled = quiet or not self._on_terminal
        self._make = partial(tqdm, total=total, desc=self._name, disable=disabled, file=sys.stderr, **options)
        self._bar: Any = None
        self._said = time.monotonic()

    def advance(self, before: int, done: float) -> None:
        """`done` of the current picture, after `before` of others."""
        if not before + done:
            return
        self._bar = self._bar or self._make()
        self._bar.update(before + done - self._bar.n)
        now = time.monotonic()
        is_due = before + done >= self._total or now - self._said >= LINE_EVERY_S
        if not is_due:
            return
        self._said = now
        if self._farm:
            openjd.progress((before + done) / self._total)
        if not (self._on_terminal or self._quiet):
            print(f"{self._name}: {100 * (before + done) / self._total:.0f}%", file=sys.stderr, flush=True)

    def tell(self, line: str) -> None:
        """Print a line above the bar."""
        tqdm.write(line, file=sys.stderr)

    def written(self, path: Path) -> None:
        """Print the name of a file that is complete, on standard output, unless it is quiet."""
        if not self._quiet:
            tqdm.write(str(path), file=sys.stdout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
