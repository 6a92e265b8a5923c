"""The task that writes a texture set for an engine, or a plane of an atlas. No bpy here.

Packing takes seconds, so a process of its own does it: the Python at hand runs pictures/export_set.py or bake_plane.py,
which need the standard library alone.
"""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..client.connection import Connection
from ..pictures.program import ERROR, FILE, SHARE
from .child_process import ChildProcess, last_lines, module_command
from .task import PATIENCE_S, Task

TAIL_BYTES: Final = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class ExportOrder:
    """What to write."""

    title: str  # for one line of a panel
    job: str  # as JSON
    workshop: Path  # a folder with the pictures of the job that had no file; it is removed at the end
    program: str = "pictures.export_set"  # or pictures.bake_plane, with a job of its own


class ExportTask(Task):
    """Writes the set. `written` are its files at the end."""

    def __init__(
        self,
        id: int,
        order: ExportOrder,
        connection: Connection,
        *,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(id, connection, patience_s=patience_s, clock=clock)
        self.order = order
        self.written: list[Path] = []
        self._log = order.workshop / "log"
        self._process: ChildProcess | None = None
        self._share = 0.0

    @property
    def title(self) -> str:
        return self.order.title

    @property
    def fraction(self) -> float:
        return 1.0 if self.state == "done" else self._share

    def _advance(self) -> None:
        if self._process is None:
            self._begin()
            return
        code = self._process.poll()
        lines = last_lines(self._log, TAIL_BYTES)
        shares = [line.removeprefix(SHARE) for line in lines if line.startswith(SHARE)]
        self._share = float(shares[-1]) if shares else 0.0
        if code is None:
            return
        if code == 0:
            self.written = [Path(line.removeprefix(FILE)) for line in lines if line.startswith(FILE)]
            self.note = f"{len(self.written)} files are written to {self.written[0].parent}."
            self._end("done", "")
            return
        said = next((line.removeprefix(ERROR) for line in lines if line.startswith(ERROR)), "")
        last = lines[-1].strip() if lines else f"it ended with code {code}"
        self._end("failed", said or f"The export failed: {last}. Try again.")

    def _begin(self) -> None:
        try:
            job = self.order.workshop / "job.json"
            job.write_text(self.order.job, "utf-8")
            command = module_command(self.order.program, [str(job)])
            self._process = ChildProcess(command, self._log, self.order.workshop)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            self._end(
                "failed", f"The export cannot begin: {why}. Make room in {self.order.workshop.parent}, or try again."
            )
            return
        self.state, self.message = "running", ""

    def _stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.close()
        shutil.rmtree(self.order.workshop, ignore_errors=True)
