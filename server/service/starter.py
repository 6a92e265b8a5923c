"""The starter library beside a running server: what is missing of it is made in the models folder, in the background.

The server does not draw or learn: `python -m trainer.starter` does (server/service/module_run.py), one material after
the other, and the shelf takes up each when it is there. Until then the list of models says that they are coming. A run
that the end of the server cut short goes on at the next start. Nothing here waits: the server calls `step` again and
again.
"""

import importlib.util
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from server.front.shelf import Shelf
from server.model.starter import StarterMaterial, state_of
from server.service.module_run import ModuleRun

MODULE = "trainer.starter"
LOOK_EVERY_S = 0.25
EACH_S = 15  # to make one on two cores that have little else to do; what people are told to expect

log = logging.getLogger("texserver")


class StarterLibrary:
    """Makes those of the materials that the folder lacks. `said`: a folder for what the process says."""

    def __init__(
        self,
        materials: Sequence[StarterMaterial],
        models: Path,
        shelf: Shelf,
        said: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.wanted = [each for each in materials if state_of(each, models) in ("missing", "outdated")]
        self._models, self._shelf, self._clock = models, shelf, clock
        self._looked = clock()
        self._expected: list[str] = []  # names that the shelf was told of
        self._run: ModuleRun | None = None
        if not self.wanted:
            return
        if importlib.util.find_spec("trainer") is None:
            log.warning("starter library: this installation lacks the trainer, so it is not made")
            self.wanted = []
            return
        names = [each.name for each in self.wanted]
        arguments = ["--out", str(models.resolve()), "--progress-lines", "--leave-with-parent", *names]
        try:
            self._run = ModuleRun(MODULE, arguments, said)
        except OSError as error:
            log.warning("starter library: it cannot be made: %s", error.strerror or error)
            self.wanted = []
            return
        log.info("starter library: making %s", ", ".join(names))
        self._expect()

    @property
    def introduction(self) -> str:
        """What is going on, and how long it will take, for people; "" if nothing is."""
        if not self.wanted:
            return ""
        minutes = max(1, round(len(self.wanted) * EACH_S / 60))
        return (
            f"Making the starter library beside it: {', '.join(each.name for each in self.wanted)}. They appear one by "
            f"one, all within about {minutes} {'minute' if minutes == 1 else 'minutes'} on two free cores; texget "
            "--starter tells how far it is."
        )

    def step(self) -> None:
        """Look at what the process has said, at most every LOOK_EVERY_S."""
        now = self._clock()
        if not self.wanted or now - self._looked < LOOK_EVERY_S:
            return
        self._looked = now
        if self._run is not None:
            self._look(self._run)
        self._expect()

    def _look(self, run: ModuleRun) -> None:
        for told in run.look():
            text = told.get("text")
            if isinstance(text, str) and "fraction" not in told:
                log.info("starter library: %s", text[:300])
                self._shelf.hurry()
        if run.ended:
            self._run = None
            if run.why:
                self.wanted = [each for each in self.wanted if each.path(self._models).exists()]
                log.warning("starter library: not all of it was made: %s The next start goes on.", run.why)
            else:
                log.info("starter library: all of it is there")

    def close(self) -> None:
        """End the process. What it has finished stays."""
        if self._run is not None:
            self._run.stop()
            self._run = None

    def _expect(self) -> None:
        """Tell the shelf which models are coming, until it has them."""
        names = [each.name for each in self.wanted if not self._shelf.has(each.name)]
        if names == self._expected:
            return
        self._expected = names
        reasons = ["it is being drawn and learned, for the starter library"]
        reasons += [f"it will be made for the starter library, after {name}" for name in names]
        self._shelf.expect(dict(zip(names, reasons, strict=False)))
