"""The front of the server: validates, queues, hands out tiles and pictures, answers. It never computes.

Frames in, frames out, no sockets and no torch, so that a test is a function call and every question about the server is
answered in about a millisecond while the workers are busy. Every request ends in exactly one result or one error.
docs/PROTOCOL.md says what clients may ask, server/front/jobs.py what each of them takes, server/front/crew.py who does
it.
"""

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from secrets import token_hex
from statistics import quantiles
from typing import Any

from blender_addon.protocol import wire
from server import __version__
from server.errors import Refused
from server.front.crew import LOST_AT_MOST, Address, Crew, Message, Task, Worker, planes_of
from server.front.fair_queue import FairQueue
from server.front.jobs import Job, StyledPicture, TextureWindow
from server.front.order import Order
from server.front.shelf import Shelf
from server.front.tile_cache import Planes, TileCache, TileKey
from server.msgpack_codec import CODECS

MAX_WAITING = 4096  # requests of all clients together
BEGUN_BYTES = 128 * 2**20  # of results that are being put together; when there are more, they come first
ALWAYS_BYTES = 2**20  # of one that never waits for that
CONTENT_BYTES = 256 * 2**20  # of pictures that wait or are at a worker
CLIENT_CONTENT_BYTES = 128 * 2**20  # likewise, of one client: two of the largest
BUSY_RETRY_MS = 500
STARTING_RETRY_MS = 1000
AT_ONCE_S = 0.003  # of handing out tiles, before the sockets are looked at again
BAD_MESSAGES = 20  # answered at once to one client; more only at BAD_PER_S
BAD_PER_S = 5.0
LATENCIES = 1000  # results whose time is remembered
DEAD_KEPT = 100  # workers whose end is remembered
MODELS_REPORTED = 100
FORGET_S = 600.0  # after which a client that has nothing waiting is forgotten

log = logging.getLogger("texserver")

Client = bytes  # a routing id
Frames = list[bytes | bytearray | memoryview]
AnyJob = Job[Any]


@dataclass(eq=False)
class Session:
    """What is known of a client: its requests by id, and how much nonsense it may still send."""

    jobs: dict[int, AnyJob] = field(default_factory=dict)
    name: str = ""
    patience: float = BAD_MESSAGES
    heard: float = 0.0


class Front:
    """All requests and all workers, from frames to frames.

    Whoever owns the sockets hands what came to `from_client` and `from_worker`, calls `work` again and again, and sends
    what lies in `to_clients` and `to_workers`. `blocked` says of which clients too much is still unsent; `first_task`
    is the number of the first tile.
    """

    def __init__(
        self,
        shelf: Shelf,
        *,
        limits: wire.Limits,
        cache_bytes: int,
        watchdog_s: float,
        blocked: Callable[[Client], bool] = lambda client: False,
        clock: Callable[[], float] = time.monotonic,
        first_task: int = 1,
    ) -> None:
        self.shelf, self.limits, self.blocked, self.clock = shelf, limits, blocked, clock
        self.cache = TileCache(cache_bytes)
        self.crew: Crew[AnyJob] = Crew(watchdog_s, first_task)
        self.queue: FairQueue[Client, AnyJob] = FairQueue()
        self.to_clients: deque[tuple[Client, Frames]] = deque()
        self.to_workers: deque[tuple[Address, Message]] = deque()
        self.hung: deque[Worker[AnyJob]] = deque()  # to be killed by whoever owns the processes
        self.draining = False
        self.counts: Counter[str] = Counter()  # requests by outcome: "ok" or an error code
        self.restarts: Counter[str] = Counter()  # by worker
        self.computed = 0  # tiles
        self.precision = ""  # of all workers: with two of them the same request would have two answers
        self._sessions: dict[Client, Session] = {}
        self._begun: set[AnyJob] = set()  # whose results are being put together
        self._tasks: dict[Hashable, Task[AnyJob]] = {}  # being computed, by their orders' keys
        self._again: deque[Task[AnyJob]] = deque()  # whose worker was lost
        self._dead: deque[Address] = deque(maxlen=DEAD_KEPT)
        self._asked_for: Counter[str] = Counter()  # results by model
        self._latencies_ms: deque[float] = deque(maxlen=LATENCIES)
        self._started = self._swept = clock()

    # ------------------------------------------------------------------------------------------------ from clients

    def from_client(self, client: Client, frames: Sequence[bytes | memoryview]) -> None:
        """A message of a client's. Whatever it is, it is answered, unless it is one mistake too many."""
        session = self._sessions.setdefault(client, Session())
        now = self.clock()
        session.patience = min(BAD_MESSAGES, session.patience + (now - session.heard) * BAD_PER_S)
        session.heard = now
        delimiter: Frames = [b""] if frames and not len(frames[0]) else []  # a REQ socket wants its own back
        letter = wire.letter_of(frames, CODECS)
        try:
            request = wire.parse_request(frames, self.limits, CODECS)
            handler = getattr(self, f"_{request.op}")
            try:
                handler(client, session, letter, request)
            except Refused as refused:
                refused.id = request.id
                raise
        except Refused as refused:
            if refused.code in ("bad_frame", "bad_header", "unsupported_version", "too_large"):
                if session.patience < 1:
                    self.counts["ignored"] += 1
                    return
                session.patience -= 1
            self._refuse(client, letter, refused, delimiter)
        except Exception:
            incident = token_hex(4)
            log.exception("incident=%s", incident)
            text = f"The server failed on this request (incident {incident}); its log says why."
            self._refuse(client, letter, Refused("internal", text), delimiter)

    def _refuse(self, client: Client, letter: bytes, refused: Refused, delimiter: Frames) -> None:
        self.counts[refused.code] += 1
        if refused.code not in ("busy", "cancelled"):
            log.info("client=%s id=%s outcome=%s", _short(client), refused.id, refused.code)
        self.to_clients.append((client, delimiter + wire.encode(wire.error(refused), letter, CODECS)))

    def _reply(self, client: Client, letter: bytes, reply: wire.Reply) -> None:
        self.to_clients.append((client, wire.encode(reply, letter, CODECS)))

    def _hello(self, client: Client, session: Session, letter: bytes, request: wire.Hello) -> None:
        session.name = request.client
        log.info("client=%s op=hello name=%s", _short(client), ascii(request.client))
        welcome = wire.Welcome(
            id=request.id,
            protocol=wire.PROTOCOL,
            server=f"texserver {__version__}",
            state=self.state,
            limits=self.limits,
            features=("generate", "depth16", "stylize"),
        )
        self._reply(client, letter, welcome)

    def _models(self, client: Client, session: Session, letter: bytes, request: wire.ListModels) -> None:
        self._check_reads(client)
        entries, total, after = self.shelf.page(request.after, request.limit)
        self._reply(client, letter, wire.Models(id=request.id, models=tuple(entries), total=total, after=after))

    def _thumbnail(self, client: Client, session: Session, letter: bytes, request: wire.GetThumbnail) -> None:
        self._check_reads(client)
        version, picture = self.shelf.thumbnail(request.model)
        shape = (picture.height, picture.width, 3)
        buffer = wire.Buffer(name="thumbnail", dtype="uint8", shape=shape, data=picture.pixels, colour_space="srgb")
        self._reply(client, letter, wire.Result(id=request.id, sha256=version.sha256, buffers=(buffer,)))

    def _status(self, client: Client, session: Session, letter: bytes, request: wire.GetStatus) -> None:
        self._reply(client, letter, wire.Status(id=request.id, report=self.report()))

    def _generate(self, client: Client, session: Session, letter: bytes, request: wire.Generate) -> None:
        self._take_on(session, TextureWindow(client, letter, request, self.clock()))

    def _stylize(self, client: Client, session: Session, letter: bytes, request: wire.Stylize) -> None:
        self._take_on(session, StyledPicture(client, letter, request, self.clock()))

    def _take_on(self, session: Session, job: AnyJob) -> None:
        """Into the queue, unless it is there. Raises Refused when it cannot be."""
        id = job.request.id
        running = session.jobs.get(id)
        if running is not None:
            if not running.is_for(job.request):
                raise Refused("duplicate_id", f"id: {id} is in use for another request; count on.")
            return  # asked again: answered once, when it is done
        if self.draining:
            raise Refused("shutting_down", "The server is shutting down.", retry_ms=STARTING_RETRY_MS)
        if len(session.jobs) >= self.limits.max_requests:
            raise Refused(
                "busy",
                f"This client has {len(session.jobs)} requests waiting or running, and may not have more.",
                retry_ms=BUSY_RETRY_MS,
            )
        if len(self.queue) >= MAX_WAITING:
            raise Refused("busy", "The server has too many requests waiting.", retry_ms=4 * BUSY_RETRY_MS)
        job.check(self.shelf.get(job.request.model), self.limits)
        self._check_contents(session, job.held_bytes)
        session.jobs[id] = job
        self.queue.push(job.client, job)

    def _check_contents(self, session: Session, more: int) -> None:
        """What clients send along is held until it is done, so it is bounded."""
        for jobs, most, whose in (
            (session.jobs.values(), CLIENT_CONTENT_BYTES, "this client's"),
            (self._jobs(), CONTENT_BYTES, "all clients'"),
        ):
            if more and (held := sum(job.held_bytes for job in jobs)) + more > most:
                raise Refused(
                    "busy",
                    f"The server holds {held // 2**20} MB of {whose} pictures, and at most {most // 2**20}.",
                    retry_ms=2 * BUSY_RETRY_MS,
                )

    def _cancel(self, client: Client, session: Session, letter: bytes, request: wire.Cancel) -> None:
        job = session.jobs.get(request.target)
        if job is None:
            raise Refused("not_found", f"target: this client has no request {request.target} waiting or running.")
        self._fail(job, Refused("cancelled", "Cancelled, as asked."))
        self._reply(client, letter, wire.Result(id=request.id))

    def _check_reads(self, client: Client) -> None:
        """Nothing large is answered at once to a client that leaves unread what it has."""
        if self.blocked(client):
            raise Refused("busy", "This client has much on its way that it has not read.", retry_ms=BUSY_RETRY_MS)

    # ---------------------------------------------------------------------------------------------------- the jobs

    def work(self) -> bool:
        """Hand out tiles while there are workers for them; True when it stopped early, to look at the sockets."""
        self._sweep()
        end = self.clock() + AT_ONCE_S
        while self.clock() < end:
            # What a lost worker left comes first, and waits for a worker of its own: nothing new is given until then.
            if not (self._give_again() if self._again else self._give_next()):
                return False
        return True

    def _give_again(self) -> bool:
        task = self._again[0]
        if not task.jobs:  # all of them cancelled meanwhile
            self._again.popleft()
            self._tasks.pop(task.order.key, None)
            return True
        worker = self.crew.free(task.order.sha256, task.order.pixels)
        # A task that took its worker with it goes to one that has no other, whom it could take along.
        if worker is None or (task.lost and worker.tasks):
            return False
        self._again.popleft()
        self._give(worker, task)
        return True

    def _give_next(self) -> bool:
        found = self.queue.first(self._who_may_go_on())
        if found is None:
            return False
        client, job = found
        if job.version is None:
            if not self.crew.workers:
                return False
            try:
                job.begin(self.shelf.get(job.request.model), self.limits)
            except Refused as refused:
                self._fail(job, refused)
                return True
            job.precision = self.precision
            self._begun.add(job)
        order = job.next_order()
        if (planes := self.cache.get(order.key)) is not None:
            self._handed_out(client, job, 0)
            self._deliver(job, order, planes)
            return True
        if (task := self._tasks.get(order.key)) is not None:
            task.jobs.append(job)
            self._handed_out(client, job, 0)
            return True
        worker = self.crew.free(order.sha256, order.pixels)
        if worker is None:
            return False
        task = self.crew.task(order, job)
        self.computed += order.keeps
        self._tasks[order.key] = task
        self._handed_out(client, job, order.pixels)
        self._give(worker, task)
        return True

    def _who_may_go_on(self) -> Callable[[Client, AnyJob], bool]:
        """Those who read what they are sent; and nothing large is begun while much is being put together."""
        begun = sum(job.bytes for job in self._begun if not self.blocked(job.client))

        def may(client: Client, job: AnyJob) -> bool:
            fits = job in self._begun or not begun or job.bytes <= max(BEGUN_BYTES - begun, ALWAYS_BYTES)
            return fits and not self.blocked(client)

        return may

    def _handed_out(self, client: Client, job: AnyJob, pixels: int) -> None:
        self.queue.charge(client, pixels)
        if job.handed_out():
            self.queue.remove(client, job)

    def _give(self, worker: Worker[AnyJob], task: Task[AnyJob]) -> None:
        content = None
        if not self.crew.has(worker, task.order.sha256):
            try:
                content = self.shelf.content(task.order.model, task.order.sha256)
            except Refused as refused:
                self._fail_task(task, refused)
                return
        for message in self.crew.give(worker, task, content, self.clock()):
            self.to_workers.append((worker.address, message))

    def _deliver(self, job: AnyJob, order: Order, planes: Planes) -> None:
        if job.take(order, planes):
            result = job.result()
            self._end(job, "ok")
            self._reply(job.client, job.letter, result)
        else:
            self._tell_progress(job)

    def _tell_progress(self, job: AnyJob) -> None:
        if job.request.progress:
            self._reply(job.client, job.letter, wire.Progress(id=job.request.id, done=job.done, of=job.pixels))

    def _fail(self, job: AnyJob, refused: Refused) -> None:
        refused = _about(job.request.id, refused)
        self._end(job, refused.code)
        self.to_clients.append((job.client, wire.encode(wire.error(refused), job.letter, CODECS)))

    def _fail_task(self, task: Task[AnyJob], refused: Refused) -> None:
        self._tasks.pop(task.order.key, None)
        for job in tuple(task.jobs):
            self._fail(job, refused)

    def _end(self, job: AnyJob, outcome: str) -> None:
        self.queue.remove(job.client, job)
        self._begun.discard(job)
        session = self._sessions.get(job.client)
        if session is not None:
            session.jobs.pop(job.request.id, None)
        for task in self._tasks.values():
            if job in task.jobs:
                task.jobs.remove(job)
                if not task.jobs and not task.order.keeps:
                    self._leave(task)
        elapsed_ms = (self.clock() - job.arrived) * 1000
        self.counts[outcome] += 1
        if outcome == "ok":
            self._latencies_ms.append(elapsed_ms)
            self._asked_for[job.request.model] += 1
        request = job.request
        log.info(
            "client=%s id=%d op=%s model=%s %s ms=%.0f outcome=%s",
            _short(job.client), request.id, request.op, ascii(request.model)[1:-1][:100], job.described(), elapsed_ms,
            outcome,
        )  # fmt: skip

    def _leave(self, task: Task[AnyJob]) -> None:
        """Nobody waits for it any more, and nobody else will: its worker need not go on."""
        task.order = replace(task.order, buffers=())
        if (worker := self.crew.at(task)) is not None:
            self.to_workers.append((worker.address, ({"do": "leave", "task": task.number}, [])))

    # ------------------------------------------------------------------------------------------------ from workers

    def from_worker(self, address: Address, header: Mapping[str, Any], buffers: Sequence[memoryview]) -> None:
        """A message of a worker's. One that makes no sense costs the worker its place."""
        if address in self._dead:
            return
        try:
            match header.get("say"):
                case "here":
                    self._here(address, header)
                case "progress":
                    self._progress(address, header["task"], int(header["done"]))
                case "done":
                    self._done(address, header["task"], buffers)
                case "failed":
                    self._failed(address, header)
        except (KeyError, TypeError, ValueError) as error:
            log.warning("worker=%s sent nonsense and is dropped: %s", _short(address[1]), error)
            if (worker := self.crew.workers.get(address)) is not None:
                self.lose(worker)

    def _here(self, address: Address, header: Mapping[str, Any]) -> None:
        if header["version"] != __version__:
            self._turn_away(address, f"it is of texserver {header['version']}, and this is {__version__}")
            return
        if self.precision and header["precision"] != self.precision:
            self._turn_away(address, f"it computes {header['precision']}, and the others {self.precision}")
            return
        known = address in self.crew.workers
        worker = self.crew.here(address, header, self.clock())
        if not known:
            self.precision = worker.precision
            log.info("worker=%s device=%s precision=%s ready", worker.name, worker.device, worker.precision)

    def _turn_away(self, address: Address, why: str) -> None:
        log.warning("worker=%s is sent away: %s, so its pixels would differ", _short(address[1]), why)
        self.to_workers.append((address, ({"do": "stop", "why": why}, [])))

    def _progress(self, address: Address, number: int, pixels: int) -> None:
        task = self.crew.goes_on(address, number, self.clock())
        for job in task.jobs if task is not None else ():
            job.done = max(0, min(pixels, job.pixels))
            self._tell_progress(job)

    def _done(self, address: Address, number: int, buffers: Sequence[memoryview]) -> None:
        task = self.crew.finished(address, number, self.clock())
        if task is None:
            return
        try:
            planes = planes_of(buffers, task)
        except ValueError:
            task.lost += 1
            self._try_again(task)
            raise
        self._tasks.pop(task.order.key, None)
        if isinstance(task.order.key, TileKey):
            self.cache.put(task.order.key, planes)
        for job in tuple(task.jobs):
            self._deliver(job, task.order, planes)

    def _failed(self, address: Address, header: Mapping[str, Any]) -> None:
        code, text = header["code"], str(header["text"])
        task = self.crew.finished(address, header["task"], self.clock())
        if task is not None:
            self._fail_task(task, Refused(code if code in wire.ERROR_CODES else "internal", text))

    def lose(self, worker: Worker[AnyJob]) -> None:
        """The worker has died, hangs or is silent: what it had goes to others, once."""
        for task in self.crew.lost(worker):
            self._try_again(task)
        self.restarts[worker.name] += 1

    def died(self, name: str) -> None:
        """The process of this worker has ended; what is still on its way from it must not bring it back."""
        if (worker := self.crew.named(name)) is not None:
            self._dead.append(worker.address)
            self.lose(worker)

    def _try_again(self, task: Task[AnyJob]) -> None:
        if task.lost <= LOST_AT_MOST:
            self._again.append(task)
            return
        text = "The process that computed this ended, and so did a second one."
        self._fail_task(task, Refused("worker_lost", text, retry_ms=STARTING_RETRY_MS))

    # -------------------------------------------------------------------------------------------------- in between

    def _sweep(self) -> None:
        """Deadlines, hung workers, forgotten clients; a few times a second."""
        now = self.clock()
        if now - self._swept < 0.1:
            return
        self._swept = now
        for worker in self.crew.overdue(now):
            log.warning("worker=%s hangs and is ended", worker.name)
            self.lose(worker)
            self.hung.append(worker)
        for client, session in tuple(self._sessions.items()):
            for job in tuple(session.jobs.values()):
                deadline_ms = job.request.deadline_ms
                if deadline_ms is not None and (now - job.arrived) * 1000 > deadline_ms:
                    self._fail(job, Refused("expired", f"It was not done within its deadline of {deadline_ms} ms."))
            if not session.jobs and now - session.heard > FORGET_S:
                self.forget(client)

    def forget(self, client: Client) -> None:
        """The client is gone: nobody waits for what it asked for."""
        session = self._sessions.pop(client, None)
        for job in tuple(session.jobs.values()) if session else ():
            self._end(job, "client_gone")
        self.queue.forget(client)

    def drain(self) -> None:
        """No new work from now on; what is accepted is done."""
        self.draining = True

    def abandon(self) -> None:
        """What is not done is answered so."""
        for job in tuple(self._jobs()):
            self._fail(job, Refused("shutting_down", "The server is shutting down.", retry_ms=STARTING_RETRY_MS))

    @property
    def idle(self) -> bool:
        return not any(True for _ in self._jobs())

    def _jobs(self) -> Iterable[AnyJob]:
        for session in self._sessions.values():
            yield from session.jobs.values()

    # ----------------------------------------------------------------------------------------------------- figures

    @property
    def state(self) -> str:
        return "draining" if self.draining else "ready" if self.crew.workers else "starting"

    def report(self) -> dict[str, Any]:
        """The figures of a status reply; docs/PROTOCOL.md explains each."""
        jobs = list(self._jobs())
        running = sum(job.version is not None for job in jobs)
        latencies = sorted(self._latencies_ms)
        cuts = quantiles(latencies, n=100) if len(latencies) > 1 else latencies * 99
        return {
            "state": self.state,
            "uptime_s": round(self.clock() - self._started),
            "queue": {"waiting": len(jobs) - running, "running": running},
            "clients": len(self._sessions),
            "models": dict(self.shelf.counts()),
            "results": dict(self._asked_for.most_common(MODELS_REPORTED)),
            "devices": [
                {
                    "name": worker.name,
                    "device": worker.device,
                    "state": "busy" if worker.tasks else "idle",
                    "tiles": worker.tiles,
                    "restarts": self.restarts[worker.name],
                    "memory_mb": worker.memory_mb,
                }
                for worker in sorted(self.crew.workers.values(), key=lambda each: each.name)
            ],
            "latency_ms": {"p50": round(cuts[49], 1), "p99": round(cuts[98], 1)} if cuts else {},
            "memory_mb": memory_mb(),
            "cache": {
                "tiles": len(self.cache),
                "mb": round(self.cache.bytes / 2**20, 1),
                "hits": self.cache.hits,
                "misses": self.computed,
            },
            "requests": dict(self.counts),
        }


def memory_mb() -> int:
    """Resident memory of this process; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123, no path of ours
            return int(file.read().split()[1]) * 4096 // 2**20
    except OSError:
        return 0


def _about(id: int, refused: Refused) -> Refused:
    """The same refusal, of this request: one may end several."""
    same = Refused(refused.code, str(refused), retry_ms=refused.retry_ms)
    same.id = id
    return same


def _short(client: bytes) -> str:
    return client.hex()[:10]
