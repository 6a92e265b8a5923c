"""The front of the server: reads requests, refuses or accepts them, and answers. It never computes.

Frames in, frames out, no sockets and no torch, so that a test is a function call, and a question about the server is
answered in about a millisecond while the workers are busy. Every request ends in exactly one result or one error.
docs/PROTOCOL.md says what clients may ask. server/front/pending_request.py says what each request takes, and
server/front/dispatcher.py has the work done.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from blender_addon.protocol import edges, training, wire
from server import __version__
from server.errors import Refused
from server.front.allowance import Allowance
from server.front.crew import Address
from server.front.dispatcher import Client, Dispatcher
from server.front.figures import Figures, memory_mb
from server.front.incident import incident
from server.front.origin import NOBODY, Origin
from server.front.pending_blend import PendingBlend
from server.front.pending_request import AnyRequest, PendingPicture, PendingWindow
from server.front.shelf import Shelf
from server.front.training_desk import NoTraining, TrainingDesk
from server.msgpack_codec import CODECS

MAX_WAITING = 4096  # requests of all clients together
KEY_WAITING = 1024  # likewise, of all clients with one key
ALWAYS_WAITING = 2  # of one client; beyond the two bounds before, up to twice as many in all
CONTENT_BYTES = 256 * 2**20  # of pictures that wait or are at a worker
KEY_CONTENT_BYTES = 192 * 2**20  # likewise, of all clients with one key
CLIENT_CONTENT_BYTES = 128 * 2**20  # likewise, of one client: two of the largest
BUSY_RETRY_MS = 500
STARTING_RETRY_MS = 1000
BAD_MESSAGES = 20  # malformed messages of one client that are answered at once; more only at BAD_PER_S
BAD_PER_S = 5.0
FORGET_S = 600.0  # after which a client that has nothing waiting is forgotten
SWEEP_EVERY_S = 0.1
FEATURES = ("generate", "depth16", "stylize", "carry", "blend", edges.FEATURE)
TRAINS = (training.FEATURE, training.STYLE_FEATURE)  # the features of those who may
NO_TRAINING = NoTraining("This server trains no models.")
MALFORMED: Final = frozenset({"bad_frame", "bad_header", "unsupported_version", "too_large"})

Frames = list[bytes | bytearray | memoryview]


@dataclass(eq=False)
class ClientRecord:
    """What is known of a client: its pending requests by id, and how many malformed messages are still answered."""

    client: Client
    origin: Origin
    heard: float
    malformed: Allowance
    pending: dict[int, AnyRequest] = field(default_factory=dict)


class Front:
    """All requests of all clients, from frames to frames.

    Whoever owns the sockets hands what clients send to `from_client` and what workers send to `dispatcher`, calls
    `work` again and again, and sends what lies in `to_clients`. `blocked` says whether so many bytes more must not be
    sent to a client, `held_back_s` how long a worker has had to wait for a processor. `transport` gives the figures of
    whoever owns the sockets, for the status report. `first_number` is that of the first work item. `verify` is the
    share of tiles that is computed twice. `training` has models trained. `cluster` gives the figures of workers that
    others place, for the status report.
    """

    def __init__(
        self,
        shelf: Shelf,
        *,
        limits: wire.Limits,
        cache_bytes: int,
        watchdog_s: float,
        blocked: Callable[[Client, int], bool] = lambda client, size: False,
        held_back_s: Callable[[Address], float] = lambda worker: 0.0,
        clock: Callable[[], float] = time.monotonic,
        first_number: int = 1,
        verify: float = 0.0,
        transport: Callable[[], Mapping[str, Any]] = dict,
        cluster: Callable[[], Mapping[str, Any]] = dict,
        training: TrainingDesk = NO_TRAINING,
    ) -> None:
        self.shelf, self.limits, self.training = shelf, limits, training
        self._transport, self._cluster = transport, cluster
        self.to_clients: deque[tuple[Client, Frames]] = deque()
        self.draining = False
        self.figures = Figures(clock)
        self.dispatcher = Dispatcher(
            shelf,
            self,
            limits=limits,
            cache_bytes=cache_bytes,
            watchdog_s=watchdog_s,
            blocked=blocked,
            held_back_s=held_back_s,
            verify=verify,
            clock=clock,
            first_number=first_number,
        )
        self._blocked, self._clock = blocked, clock
        self._records: dict[Client, ClientRecord] = {}
        self._by_key: Counter[str] = Counter()  # pending requests
        self._swept = clock()

    # ------------------------------------------------------------------------------------------------ from clients

    def from_client(self, client: Client, frames: Sequence[bytes | memoryview], origin: Origin = NOBODY) -> None:
        """A client's message. Every message gets a reply unless the client exceeds its limit of malformed messages."""
        record = self._record(client, origin)
        delimiter: Frames = [b""] if frames and not len(frames[0]) else []  # a REQ socket wants its own back
        letter = wire.letter_of(frames, CODECS)
        try:
            request = wire.parse_request(frames, self.limits, CODECS)
            try:
                _HANDLERS[type(request)](self, record, letter, request)
            except Refused as refused:
                refused.id = request.id
                raise
        except Refused as refused:
            if refused.code in MALFORMED and not record.malformed.take(record.heard):
                self.figures.outcomes["ignored"] += 1
                return
            self._refuse(record, letter, refused, delimiter)
        except Exception:
            fault = incident()
            fault.id = wire.id_of(frames, CODECS)
            pending = record.pending.get(fault.id or 0)
            if pending is not None:
                self.failed(pending, fault)
            else:
                self._refuse(record, letter, fault, delimiter)

    def _record(self, client: Client, origin: Origin) -> ClientRecord:
        now = self._clock()
        record = self._records.get(client)
        if record is None:
            record = ClientRecord(client, origin, now, Allowance(BAD_MESSAGES, BAD_PER_S, now))
            self._records[client] = record
        record.heard = now
        return record

    def _refuse(self, record: ClientRecord, letter: bytes, refused: Refused, delimiter: Frames) -> None:
        self.figures.outcomes[refused.code] += 1
        if refused.code not in ("busy", "cancelled"):
            self.figures.tell(record.client, record.origin, "id=%s outcome=%s", refused.id, refused.code)
        self.to_clients.append((record.client, delimiter + wire.encode(wire.error(refused), letter, CODECS)))

    def _reply(self, client: Client, letter: bytes, reply: wire.Reply) -> None:
        self.to_clients.append((client, wire.encode(reply, letter, CODECS)))

    def _hello(self, record: ClientRecord, letter: bytes, request: wire.Hello) -> None:
        self.figures.tell(record.client, record.origin, "op=hello name=%s", ascii(request.client))
        welcome = wire.Welcome(
            id=request.id,
            protocol=wire.PROTOCOL,
            server=f"texserver {__version__}",
            state=self.state,
            limits=self.limits,
            features=FEATURES if self.training.why_not(record.origin) else (*FEATURES, *TRAINS),
        )
        self._reply(record.client, letter, welcome)

    def _models(self, record: ClientRecord, letter: bytes, request: wire.ListModels) -> None:
        self._check_reads(record.client)
        entries, total, after = self.shelf.page(request.after, request.limit)
        self._reply(record.client, letter, wire.Models(id=request.id, models=tuple(entries), total=total, after=after))

    def _thumbnail(self, record: ClientRecord, letter: bytes, request: wire.GetThumbnail) -> None:
        self._check_reads(record.client)
        version, picture = self.shelf.thumbnail(request.model)
        shape = (picture.height, picture.width, 3)
        buffer = wire.Buffer(name="thumbnail", dtype="uint8", shape=shape, data=picture.pixels, colour_space="srgb")
        self._reply(record.client, letter, wire.Result(id=request.id, sha256=version.sha256, buffers=(buffer,)))

    def _status(self, record: ClientRecord, letter: bytes, request: wire.GetStatus) -> None:
        self._reply(record.client, letter, wire.Status(id=request.id, report=self.report()))

    def _generate(self, record: ClientRecord, letter: bytes, request: wire.Generate) -> None:
        self._accept(record, PendingWindow(record.client, letter, request, self._clock(), origin=record.origin))

    def _blend(self, record: ClientRecord, letter: bytes, request: wire.Blend) -> None:
        self._accept(record, PendingBlend(record.client, letter, request, self._clock(), origin=record.origin))

    def _stylize(self, record: ClientRecord, letter: bytes, request: wire.Stylize) -> None:
        self._accept(record, PendingPicture(record.client, letter, request, self._clock(), origin=record.origin))

    def _cancel(self, record: ClientRecord, letter: bytes, request: wire.Cancel) -> None:
        pending = record.pending.get(request.target)
        if pending is None:
            raise Refused("not_found", f"target: this client has no request {request.target} waiting or running.")
        self.failed(pending, Refused("cancelled", "Cancelled, as asked."))
        self._reply(record.client, letter, wire.Result(id=request.id))

    def _train(self, record: ClientRecord, letter: bytes, request: wire.Train) -> None:
        if self.draining:
            raise _shutting_down()
        if why := self.training.why_not(record.origin):
            raise Refused("unknown_op", f"op: {why}")
        job = self.training.take(record.origin, request)
        self.figures.tell(record.client, record.origin, "op=train model=%s state=%s", job.name, job.state)
        self._reply(record.client, letter, job)

    def _job(self, record: ClientRecord, letter: bytes, request: wire.GetJob) -> None:
        self._check_reads(record.client)
        self._reply(record.client, letter, self.training.job(record.origin.key, request))

    def _cancel_job(self, record: ClientRecord, letter: bytes, request: wire.CancelJob) -> None:
        self._reply(record.client, letter, self.training.cancel(record.origin.key, request))

    def _jobs(self, record: ClientRecord, letter: bytes, request: wire.ListJobs) -> None:
        self._check_reads(record.client)
        self._reply(record.client, letter, self.training.jobs(record.origin.key, request))

    def _check_reads(self, client: Client) -> None:
        """Nothing large is answered at once to a client that does not read what it was sent."""
        if self._blocked(client, 0):
            raise Refused("busy", "This client has much on its way that it has not read.", retry_ms=BUSY_RETRY_MS)

    # ------------------------------------------------------------------------------------------- pending requests

    def _accept(self, record: ClientRecord, pending: AnyRequest) -> None:
        """Queue it, unless it is there already. Raises Refused."""
        id = pending.request.id
        same = record.pending.get(id)
        if same is not None:
            if not same.is_for(pending.request):
                raise Refused("duplicate_id", f"id: {id} is in use for another request; count on.")
            return  # asked again: answered once, when it is done
        if self.draining:
            raise _shutting_down()
        if len(record.pending) >= self.limits.max_requests:
            raise Refused(
                "busy",
                f"This client has {len(record.pending)} requests waiting or running, and may not have more.",
                retry_ms=BUSY_RETRY_MS,
            )
        self._check_room(record)
        pending.check([self.shelf.get(name) for name in pending.models], self.limits)
        self._check_contents(record, pending.held_bytes)
        record.pending[id] = pending
        self._by_key[record.origin.key] += 1
        self.dispatcher.add(pending)

    def _check_room(self, record: ClientRecord) -> None:
        """Who has only just come is let in, though others have filled what is meant for all."""
        few = len(record.pending) < ALWAYS_WAITING
        waiting = len(self.dispatcher.queue)
        if waiting >= (2 * MAX_WAITING if few else MAX_WAITING):
            raise Refused("busy", "The server has too many requests waiting.", retry_ms=4 * BUSY_RETRY_MS)
        if not few and self._by_key[record.origin.key] >= KEY_WAITING:
            text = "The clients with this key have too many requests waiting or running."
            raise Refused("busy", text, retry_ms=4 * BUSY_RETRY_MS)

    def _check_contents(self, record: ClientRecord, more: int) -> None:
        """Pictures that clients send are held until they are done, so they are bounded."""
        key = record.origin.key
        for requests, most, whose in (
            (record.pending.values(), CLIENT_CONTENT_BYTES, "this client's"),
            ((each for each in self._pending() if each.origin.key == key), KEY_CONTENT_BYTES, "this key's"),
            (self._pending(), CONTENT_BYTES, "all clients'"),
        ):
            if more and (held := sum(each.held_bytes for each in requests)) + more > most:
                raise Refused(
                    "busy",
                    f"The server holds {held // 2**20} MB of {whose} pictures, and at most {most // 2**20}.",
                    retry_ms=2 * BUSY_RETRY_MS,
                )

    def finished(self, request: AnyRequest, result: wire.Result) -> None:
        """A pending request is complete."""
        self._end(request, "ok")
        self._reply(request.client, request.letter, result)

    def failed(self, request: AnyRequest, refused: Refused) -> None:
        """A pending request cannot be answered."""
        self._end(request, refused.code)
        self._reply(request.client, request.letter, wire.error(refused, request.request.id))

    def progressed(self, request: AnyRequest) -> None:
        """More of a pending request is done."""
        if request.request.progress:
            progress = wire.Progress(id=request.request.id, done=request.done, of=request.pixels)
            self._reply(request.client, request.letter, progress)

    def _end(self, request: AnyRequest, outcome: str) -> None:
        record = self._records.get(request.client)
        if record is not None and record.pending.pop(request.request.id, None) is not None:
            self._by_key[request.origin.key] -= 1
        self.dispatcher.drop(request)
        self.figures.ended(request, outcome)

    def _pending(self) -> Iterator[AnyRequest]:
        for record in self._records.values():
            yield from record.pending.values()

    # -------------------------------------------------------------------------------------------------- in between

    def work(self) -> bool:
        """Give work to workers. True when it stopped early, to look at the sockets."""
        self._sweep()
        return self.dispatcher.work()

    def _sweep(self) -> None:
        """Deadlines, hung workers and clients to forget, a few times a second."""
        now = self._clock()
        if now - self._swept < SWEEP_EVERY_S:
            return
        self._swept = now
        self.dispatcher.check_workers()
        for client, record in tuple(self._records.items()):
            for pending in tuple(record.pending.values()):
                deadline_ms = pending.request.deadline_ms
                if deadline_ms is not None and (now - pending.arrived) * 1000 > deadline_ms:
                    text = f"It was not done within its deadline of {deadline_ms} ms."
                    self.failed(pending, Refused("expired", text))
            if not record.pending and now - record.heard > FORGET_S:
                self.forget(client)

    def forget(self, client: Client) -> None:
        """The client is gone: nobody waits for what it asked for."""
        record = self._records.get(client)
        if record is None:
            return
        for pending in tuple(record.pending.values()):
            self._end(pending, "client_gone")
        del self._records[client]
        self.dispatcher.forget(client, record.origin)

    def drain(self) -> None:
        """Accept nothing new from now on; what is accepted is done."""
        self.draining = True

    def abandon(self) -> None:
        """Answer what is not done with `shutting_down`."""
        for pending in tuple(self._pending()):
            self.failed(pending, _shutting_down())

    @property
    def idle(self) -> bool:
        return next(self._pending(), None) is None

    # ----------------------------------------------------------------------------------------------------- figures

    @property
    def state(self) -> str:
        return "draining" if self.draining else "ready" if self.dispatcher.crew.workers else "starting"

    def report(self) -> dict[str, Any]:
        """The figures of a status reply; docs/PROTOCOL.md explains each."""
        pending = list(self._pending())
        running = sum(each.version is not None for each in pending)
        return {
            "state": self.state,
            "uptime_s": self.figures.uptime_s,
            "queue": {"waiting": len(pending) - running, "running": running},
            "clients": len(self._records),
            "models": dict(self.shelf.counts()),
            "results": self.figures.results(),
            "devices": self.dispatcher.devices(),
            "latency_ms": self.figures.latency_ms(),
            "memory_mb": memory_mb(),
            "cache": self.dispatcher.cache(),
            "verification": self.dispatcher.verifier.report(),
            "requests": dict(self.figures.outcomes),
            "transport": dict(self._transport()),
            "training": dict(self.training.figures()),
            "ray": dict(self._cluster()),
        }


_HANDLERS: Final[Mapping[type, Callable[[Front, ClientRecord, bytes, Any], None]]] = MappingProxyType(
    {
        wire.Hello: Front._hello,
        wire.ListModels: Front._models,
        wire.GetThumbnail: Front._thumbnail,
        wire.GetStatus: Front._status,
        wire.Generate: Front._generate,
        wire.Blend: Front._blend,
        wire.Stylize: Front._stylize,
        wire.Cancel: Front._cancel,
        wire.Train: Front._train,
        wire.GetJob: Front._job,
        wire.CancelJob: Front._cancel_job,
        wire.ListJobs: Front._jobs,
    }
)


def _shutting_down() -> Refused:
    return Refused("shutting_down", "The server is shutting down.", retry_ms=STARTING_RETRY_MS)
