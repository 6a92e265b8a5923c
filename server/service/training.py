"""Has models trained: keeps what clients send, runs the trainer on one job after the other, and places the models.

The server never trains. A job lives in a folder below the models folder (server/service/training_job.py), and its
training is a process of its own (server/service/module_run.py). So jobs survive their clients, and the server: what
waited goes on when it is started again, what ran is begun once more.

Nothing here waits: the server calls `step` again and again, as it does with the shelf.
"""

import importlib.util
import logging
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from secrets import token_hex

from blender_addon.pictures.draft import ImageFileError
from blender_addon.protocol import wire
from blender_addon.protocol.training import ENDED
from server.errors import Refused, TexserverError
from server.front.origin import Origin
from server.front.shelf import Shelf
from server.front.training_desk import unknown_job
from server.model.header import SUFFIX
from server.service.file_lock import Taken, file_lock
from server.service.module_run import ModuleRun
from server.service.training_job import TrainingJob

FOLDER = ".training"  # below the models folder
MODULE = "trainer"
MAX_WAITING = 16  # jobs of all keys, waiting or running
HELD_BYTES = 1024 * 2**20  # of maps that are not on the disk yet
KEPT_S = 24 * 3600.0  # for which it is told what became of a job
KEPT_JOBS = wire.MAX_JOBS  # that have ended, of one key
ATTEMPTS = 2
LOOK_EVERY_S = 0.1
TIDY_EVERY_S = 60.0
OPEN_EVERY_S = 2.0
SERVED_S = 60.0  # after which a model that was placed counts as served
LIST_BYTES = 40 * 1024  # of a reply `jobs`
RETRY_MS = 5000
NOT_KEPT = "The server cannot keep the maps: its disk is full or cannot be written to."

log = logging.getLogger("texserver")


class Training:
    """Jobs of all keys, in the order they came. `may` says whether a client may train, as a sentence if not."""

    def __init__(
        self,
        models: Path,
        shelf: Shelf,
        limits: wire.Limits,
        may: Callable[[Origin], str],
        *,
        module: str = MODULE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._models, self._shelf, self._limits, self._may = models, shelf, limits, may
        self._module, self._clock = module, clock
        self._folder = models.resolve() / FOLDER
        self._jobs: dict[tuple[str, str], TrainingJob] = {}  # by key and token, in the order they came
        self._lock: ExitStack | None = None  # held while this server trains
        self._ended = Counter(dict.fromkeys(sorted(ENDED), 0))  # since the server began
        self._problem = ""
        self._opened = self._looked = self._tidied = float("-inf")
        self._storing: tuple[TrainingJob, Iterator[None]] | None = None
        self._run: tuple[TrainingJob, ModuleRun] | None = None
        self._placed: tuple[TrainingJob, float] | None = None  # a model that is not served yet, and since when
        if any(self._folder.glob("*/job.json")):  # of a server before
            self._open()

    # ----------------------------------------------------------------------------------------------------- questions

    def why_not(self, origin: Origin) -> str:
        """Why this client may not train, as a sentence; "" if it may."""
        return self._may(origin) or self._open()

    def take(self, origin: Origin, request: wire.Train) -> wire.Job:
        """Keep the maps and queue the training. Raises Refused."""
        known = self._jobs.get((origin.key, request.token))
        if known is not None:
            return self._told(known, request.id)
        self._check_room(origin.key, request)
        self._check_name(request)
        try:
            folder = self._folder / f"{time.time_ns():020d}-{token_hex(4)}"
            job = TrainingJob.of(folder, origin.key, request)
        except (OSError, TexserverError) as error:
            log.warning("training: a job cannot be kept: %s", error)
            raise Refused("busy", NOT_KEPT, retry_ms=RETRY_MS) from None
        self._jobs[origin.key, request.token] = job
        return self._told(job, request.id)

    def job(self, key: str, request: wire.GetJob) -> wire.Job:
        """How a training is. Raises Refused."""
        return self._told(self._known(key, request.token), request.id, request.seen)

    def cancel(self, key: str, request: wire.CancelJob) -> wire.Job:
        """End a training, if it has not ended. Raises Refused."""
        job = self._known(key, request.token)
        if not job.has_ended and not job.is_placed:
            self._drop(job)
            self._end(job, "cancelled", "Cancelled, as asked.")
        return self._told(job, request.id)

    def jobs(self, key: str, request: wire.ListJobs) -> wire.Jobs:
        """The trainings of the key, the latest first."""
        listed, size = [], 0
        for job in reversed(self._of(key)[-wire.MAX_JOBS :]):
            told = self._told(job, request.id)
            size += 400 + 6 * len(told.text)
            if size > LIST_BYTES:
                break
            listed.append(job.listed() | {"text": told.text})
        return wire.Jobs(id=request.id, jobs=tuple(listed))

    def figures(self) -> dict[str, int]:
        """How many are waiting and running, and how many have ended since the server began, by state."""
        unended = Counter(job.state for job in self._unended())
        return {"waiting": unended["waiting"], "running": unended["running"], **self._ended}

    def _known(self, key: str, token: str) -> TrainingJob:
        job = self._jobs.get((key, token))
        if job is None:
            raise unknown_job(token)
        return job

    def _of(self, key: str) -> list[TrainingJob]:
        return [job for job in self._jobs.values() if job.key == key]

    def _told(self, job: TrainingJob, id: int, seen: int | None = None) -> wire.Job:
        if job.state == "waiting":
            before = self._unended().index(job)
            job.text = "It is next." if before == 0 else f"Waiting: {before} before it."
        return job.told(id, seen)

    def _unended(self) -> list[TrainingJob]:
        return [job for job in self._jobs.values() if not job.has_ended]

    def _check_room(self, key: str, request: wire.Train) -> None:
        unended = self._unended()
        own = sum(job.key == key for job in unended)
        if own >= self._limits.max_train_jobs:
            text = f"{own} trainings of this key are waiting or running, and there may not be more. Wait for one."
        elif len(unended) >= MAX_WAITING:
            text = "The server has too many trainings waiting. Try again later."
        elif sum(job.held_bytes for job in unended) + request.bytes > HELD_BYTES:
            text = "The server is still writing the maps of other trainings."
        else:
            return
        raise Refused("busy", text, retry_ms=RETRY_MS)

    def _check_name(self, request: wire.Train) -> None:
        if request.replace:
            return
        if (self._models / f"{request.name}{SUFFIX}").exists():
            raise Refused(
                "bad_request", f"name: there is a model {request.name!r} already. Choose another name, or replace it."
            )
        if any(job.name == request.name for job in self._unended()):
            raise Refused(
                "bad_request", f"name: a model {request.name!r} is being made already. Choose another name, or wait."
            )

    # ---------------------------------------------------------------------------------------------------------- opening

    def _open(self) -> str:
        """Begin to train below this models folder, if that is possible. Why it is not, or ""."""
        now = self._clock()
        if self._lock is not None or now - self._opened < OPEN_EVERY_S:
            return self._problem
        self._opened = now
        self._problem = self._try_to_open()
        if not self._problem:
            self._take_up()
        return self._problem

    def _try_to_open(self) -> str:
        if importlib.util.find_spec(self._module) is None:
            return "The server's installation lacks the trainer."
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            probe = self._folder / ".probe"
            probe.touch()
            probe.unlink()
        except OSError as error:
            log.info("training: %s cannot be written to: %s", self._folder, error.strerror or error)
            return "The server cannot write to its models folder, so it trains nothing."
        lock = ExitStack()
        try:
            lock.enter_context(file_lock(self._folder / "jobs", wait=False))
        except Taken:
            return "Another server has the same models folder, and trains for it."
        self._lock = lock
        return ""

    def _take_up(self) -> None:
        """The jobs of the server before."""
        for folder in sorted(self._folder.iterdir()):
            if not folder.is_dir():
                continue
            try:
                job = TrainingJob.read(folder)
            except (OSError, ValueError):
                shutil.rmtree(folder, ignore_errors=True)
                continue
            self._jobs[job.key, job.token] = job
            if job.has_ended:
                continue
            if job.is_placed and not job.model.exists():
                self._placed = (job, self._clock())
            elif not job.is_stored:
                self._end(job, "interrupted", "The server ended while the maps came. Send them again.")
            elif job.attempts >= ATTEMPTS:
                self._end(job, "interrupted", "The server ended twice while this was trained. Send it again.")
            else:
                job.state, job.fraction, job.is_placed = "waiting", 0.0, False

    def close(self) -> None:
        """Stop what runs, which begins again when the server is started again, and write the maps that came."""
        if self._run is not None:
            job, run = self._run
            run.stop()
            job.attempts -= 1
            job.state = "waiting"
            with suppress(TexserverError):
                job.keep()
            self._run = None
        while self._store(self._clock() + 1.0):
            pass
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    # ------------------------------------------------------------------------------------------------------------- work

    def step(self, budget_s: float = 0.004) -> bool:
        """Work for a moment. True if there is more to do at once."""
        if not self._jobs:
            return False
        now = self._clock()
        if now - self._looked >= LOOK_EVERY_S:
            self._looked = now
            self._look(now)
        return self._store(now + budget_s)

    def _look(self, now: float) -> None:
        if self._run is not None:
            self._follow(*self._run)
        if self._placed is not None:
            self._watch(*self._placed)
        elif self._run is None:
            ready = next((job for job in self._unended() if job.is_stored), None)
            if ready is not None:
                self._begin(ready)
        if now - self._tidied > TIDY_EVERY_S:
            self._tidied = now
            self._tidy()

    def _store(self, until: float) -> bool:
        """Write maps to the disk. True if there are more."""
        while self._clock() < until:
            if self._storing is None:
                job = next((job for job in self._unended() if job.unstored), None)
                if job is None:
                    return False
                self._storing = (job, job.storing())
            job, pieces = self._storing
            try:
                if next(pieces, self) is self:
                    self._storing = None
            except (ImageFileError, TexserverError, OSError) as error:
                self._storing = None
                log.warning("training=%s its maps cannot be kept: %s", job.name, error)
                self._end(
                    job, "failed", "The server could not keep the maps: its disk is full or cannot be written to."
                )
        return True

    def _begin(self, job: TrainingJob) -> None:
        job.state, job.text, job.fraction = "running", "Starting the trainer.", 0.0
        job.attempts += 1
        try:
            (job.folder / "out").mkdir(mode=0o700, exist_ok=True)
            job.keep()
            self._run = (job, ModuleRun(self._module, job.arguments(), job.folder))
        except (OSError, TexserverError) as error:
            log.warning("training=%s cannot be started: %s", job.name, error)
            self._end(job, "failed", "The server could not start the trainer: its disk is full, or it lacks memory.")
            return
        log.info("training=%s key=%s pid=%d begins", job.name, job.key or "-", self._run[1].pid)

    def _follow(self, job: TrainingJob, run: ModuleRun) -> None:
        for line in run.look():
            job.hear(dict(line))
        if not run.ended:
            return
        self._run = None
        if run.why:
            self._end(job, "failed", job.for_people(run.why))
        elif not job.model.exists():
            self._end(job, "failed", "The trainer ended without a model. Its log on the server says more.")
        else:
            self._place(job)

    def _place(self, job: TrainingJob) -> None:
        """Move the model into the models folder, by renaming."""
        target = self._models / f"{job.name}{SUFFIX}"
        if target.exists() and not job.options.get("replace"):
            text = f"Meanwhile there is another model {job.name!r}, which was not to be replaced. Choose another name."
            self._end(job, "failed", text)
            return
        try:
            job.is_placed = True
            job.keep()
            os.replace(job.model, target)  # noqa: PTH105, in one step
        except (OSError, TexserverError) as error:
            log.warning("training=%s its model cannot be placed: %s", job.name, error)
            self._end(job, "failed", "The server could not put the model into its models folder. Ask its owner.")
            return
        job.fraction, job.text = 1.0, "The server looks at the new model."
        self._placed = (job, self._clock())
        self._shelf.hurry()

    def _watch(self, job: TrainingJob, since: float) -> None:
        """Until the model is served."""
        sha256, reason = self._shelf.verdict(job.name)
        if not (sha256 or reason) and self._clock() - since < SERVED_S:
            return
        self._placed = None
        if reason:
            self._end(job, "failed", f"The model was made, but cannot be used: {reason}.")
        else:
            job.sha256, job.fraction = sha256, 1.0
            self._end(job, "done", f"The model {job.name} is ready.")

    def _drop(self, job: TrainingJob) -> None:
        """Stop whatever is done for it."""
        if self._run is not None and self._run[0] is job:
            self._run[1].stop()
            self._run = None
        if self._storing is not None and self._storing[0] is job:
            self._storing[1].close()  # type: ignore[attr-defined]
            self._storing = None

    def _end(self, job: TrainingJob, state: str, text: str) -> None:
        self._ended[state] += 1
        with suppress(OSError):
            job.end(state, text)
        log.info("training=%s key=%s %s: %s", job.name, job.key or "-", state, text)

    def _tidy(self) -> None:
        """Forget what ended long ago, and more than may be told."""
        ended = Counter(job.key for job in self._jobs.values() if job.has_ended)
        for place, job in tuple(self._jobs.items()):
            if job.has_ended and (time.time() - job.ended > KEPT_S or ended[job.key] > KEPT_JOBS):
                ended[job.key] -= 1
                del self._jobs[place]
                shutil.rmtree(job.folder, ignore_errors=True)
