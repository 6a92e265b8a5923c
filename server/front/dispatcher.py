"""Gives work items to workers and their results to the requests that wait for them. No sockets and no torch here.

Which request goes on is up to the fair queue. A result that is in the cache costs no worker, and two requests that need
the same item share it. An item whose worker was lost is tried once more.
"""

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Protocol

from blender_addon.protocol import wire
from server import __version__
from server.errors import Refused
from server.front.comparison import Comparison
from server.front.crew import LOST_AT_MOST, Address, Crew, Identity, Worker, has_all
from server.front.fair_queue import FairQueue
from server.front.incident import incident
from server.front.origin import Origin
from server.front.pending_request import AnyItem, AnyRequest
from server.front.shelf import FilePlace, Shelf
from server.front.tile_cache import Planes, TileCache
from server.front.verification import Verifier
from server.model.work import (
    PIECE_BYTES,
    Done,
    Failed,
    FromFront,
    FromWorker,
    Here,
    LeaveItem,
    MalformedMessage,
    ModelPiece,
    Progress,
    Stop,
    WantPiece,
    parse_from_worker,
)

BEGUN_BYTES = 128 * 2**20  # of results in progress; beyond that no further large one is begun
BEGUN_BYTES_EACH = 6 * 2**20  # likewise, for each worker if there are many: two tiles of 512 x 512 with all maps
ALWAYS_BYTES = 2**20  # a result of at most this size may always begin
AT_ONCE_S = 0.003  # of giving items, before the sockets are looked at again
DEAD_KEPT = 100  # workers whose end is remembered
RETRY_MS = 1000  # for a request whose workers were lost

log = logging.getLogger("texserver")

Client = bytes  # a routing id


class Outcome(Protocol):
    """Who is told what became of a request."""

    def finished(self, request: AnyRequest, result: wire.Result) -> None:
        """It is complete."""

    def failed(self, request: AnyRequest, refused: Refused) -> None:
        """It cannot be answered."""

    def progressed(self, request: AnyRequest) -> None:
        """More of it is done."""


class Dispatcher:
    """The queue of pending requests, the items being computed and the workers that compute them.

    Whoever owns the sockets hands in what workers send, and sends what lies in `to_workers`. `blocked` says whether
    so many bytes more must not be sent to a client. `given_up` are workers that must be killed by whoever owns the
    processes, or disconnected if they are of another machine. `verify` is the share of tiles that is computed twice
    (server/front/comparison.py).
    """

    def __init__(
        self,
        shelf: Shelf,
        outcome: Outcome,
        *,
        limits: wire.Limits,
        cache_bytes: int,
        watchdog_s: float,
        blocked: Callable[[Client, int], bool],
        held_back_s: Callable[[Address], float],
        verify: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        first_number: int = 1,
    ) -> None:
        self.crew: Crew[AnyRequest] = Crew(watchdog_s, first_number, held_back_s)
        self.queue: FairQueue[AnyRequest] = FairQueue()
        self.to_workers: deque[tuple[Address, FromFront]] = deque()
        self.given_up: deque[Worker[AnyRequest]] = deque()
        self.precision = ""  # of all workers: with two of them the same request would have two answers
        self.items: dict[Hashable, AnyItem] = {}  # being computed, by key
        self._shelf, self._outcome, self._limits = shelf, outcome, limits
        self._blocked, self._clock = blocked, clock
        self._cache = TileCache(cache_bytes)
        self.verifier: Verifier[AnyRequest] = Verifier(verify, self.crew)
        self._comparison = Comparison(self.verifier, self.crew, self)
        self._begun: set[AnyRequest] = set()  # whose results are in progress
        self._again: deque[AnyItem] = deque()  # whose worker was lost
        self._dead: deque[Address] = deque(maxlen=DEAD_KEPT)
        self._restarts: Counter[str] = Counter()  # by worker
        self._tiles = 0  # computed

    # -------------------------------------------------------------------------------------------------------- requests

    def add(self, request: AnyRequest) -> None:
        """Queue it."""
        self.queue.push(request.path, request)

    def drop(self, request: AnyRequest) -> None:
        """It has ended, for whatever reason: nothing more is computed for it."""
        self.queue.remove(request.path, request)
        self._begun.discard(request)
        for item in self.items.values():
            if request in item.waiting:
                item.waiting.remove(request)
                if not item.waiting and not item.is_kept:
                    self._leave(item)

    def forget(self, client: Client, origin: Origin) -> None:
        """The client is gone, and all its requests have been dropped."""
        for is_large in (False, True):
            self.queue.forget((is_large, origin.key, origin.peer, client))

    def work(self) -> bool:
        """Give items while there are workers for them. True when it stopped early, to look at the sockets."""
        end = self._clock() + AT_ONCE_S
        while self._clock() < end:
            if self._comparison.give():
                continue
            # Items of lost workers come first, and nothing new is given until they have found a worker.
            if not (self._give_again() if self._again else self._give_next()):
                return False
        return True

    def _give_again(self) -> bool:
        item = self._again[0]
        if not item.waiting:  # all of them were cancelled meanwhile
            self._again.popleft()
            self.items.pop(item.key, None)
            return True
        worker = self.crew.free(set(item.hashes), item.pixels, proven=item.lost > 0)
        # An item that took its worker with it goes to one that has nothing else to lose.
        if worker is None or (item.lost and worker.items):
            return False
        self._again.popleft()
        self.give(worker, item)
        return True

    def _give_next(self) -> bool:
        request = self.queue.first(self._who_may_go_on())
        if request is None:
            return False
        try:
            return self._go_on(request)
        except Exception:
            self._outcome.failed(request, incident())
            return True

    def _go_on(self, request: AnyRequest) -> bool:
        """Give the request's next item, or deliver it at once. False when there is no worker for it."""
        if request.version is None:
            if not self.crew.workers:
                return False
            try:
                request.begin([self._shelf.get(name) for name in request.models], self._limits)
            except Refused as refused:
                self._outcome.failed(request, refused)
                return True
            request.precision = self.precision
            self._begun.add(request)
        item = request.next_item()
        if (kept := self._cache.get(item.key)) is not None:
            self._given(request, 0)
            self._deliver(request, item, kept.planes, kept.painter)
            return True
        if (same := self.items.get(item.key)) is not None:
            same.waiting.append(request)
            self._given(request, 0)
            return True
        worker = self.crew.free(set(item.hashes), item.pixels)
        if worker is None:
            return False
        item.waiting.append(request)
        self._tiles += item.is_kept
        self.items[item.key] = item
        self._given(request, item.pixels)
        self.give(worker, item)
        return True

    def _who_may_go_on(self) -> Callable[[AnyRequest], bool]:
        """Clients that read what they are sent; and no large result is begun while many are in progress."""
        begun = sum(request.result_bytes for request in self._begun if not self._waits(request))
        held = sum(request.result_bytes for request in self._begun)  # also for those that read nothing
        most = max(BEGUN_BYTES, BEGUN_BYTES_EACH * len(self.crew.workers))

        def may(request: AnyRequest) -> bool:
            room = max(min(most - begun, 2 * most - held), ALWAYS_BYTES)
            fits = request in self._begun or not held or request.result_bytes <= room
            return fits and not self._waits(request)

        return may

    def _waits(self, request: AnyRequest) -> bool:
        """Whether its result could not be sent now."""
        return self._blocked(request.client, request.result_bytes)

    def _given(self, request: AnyRequest, pixels: int) -> None:
        self.queue.charge(request.path, pixels)
        if request.item_given():
            self.queue.remove(request.path, request)

    def give(self, worker: Worker[AnyRequest], item: AnyItem) -> None:
        """Have the worker compute it, unless its models are gone."""
        files: dict[str, bytes | FilePlace] = {}
        for name, sha256 in zip(item.models, item.hashes, strict=True):
            if not self.crew.has(worker, sha256):
                try:
                    files[sha256] = self._shelf.content(name, sha256)
                except Refused as refused:
                    self.fail(item, refused)
                    return
        for message in self.crew.give(worker, item, files, self._clock()):
            self.to_workers.append((worker.address, message))

    def _deliver(self, request: AnyRequest, item: AnyItem, planes: Planes, painter: Hashable) -> None:
        request.painters.add(painter)
        try:
            if request.take(item, planes):
                self._outcome.finished(request, request.result())
            else:
                self._outcome.progressed(request)
        except Exception:
            self._outcome.failed(request, incident())

    def fail(self, item: AnyItem, refused: Refused) -> None:
        """It cannot be had."""
        self.items.pop(item.key, None)
        for request in tuple(item.waiting):
            self._outcome.failed(request, refused)

    def _leave(self, item: AnyItem) -> None:
        """Nobody waits for it any more, and nobody else can, so its worker need not go on."""
        item.let_go()
        if (worker := self.crew.at(item)) is not None:
            self.to_workers.append((worker.address, LeaveItem(number=item.number)))

    # --------------------------------------------------------------------------------------------------------- workers

    def from_worker(
        self, address: Address, frames: Sequence[bytes | memoryview], machine: str = ""
    ) -> FromWorker | None:
        """A worker's message. Returns it parsed. A malformed message disconnects the worker: None.

        `machine`: the address of the worker's machine, "" for this one.
        """
        if address in self._dead:
            return None
        try:
            message = parse_from_worker(frames, __version__)
            match message:
                case Here():
                    self._here(address, message, machine)
                case WantPiece():
                    self._send_piece(address, message)
                case Progress():
                    self._progress(address, message)
                case Done():
                    self._done(address, message)
                case Failed():
                    self._failed(address, message)
        except MalformedMessage as error:
            log.warning("worker=%s is disconnected: it sent a malformed message: %s", address[1].hex()[:10], error)
            if (worker := self.crew.workers.get(address)) is not None:
                self.lose(worker)
            return None
        return message

    def _here(self, address: Address, here: Here, machine: str) -> None:
        if here.version != __version__:
            self._turn_away(address, f"it is of texserver {here.version}, and this is {__version__}")
            return
        if self.precision and here.precision != self.precision:
            self._turn_away(address, f"it computes {here.precision}, and the others {self.precision}")
            return
        if why := self.verifier.expelled.get(Identity.of(address, machine, here)):
            self.to_workers.append((address, Stop(why=why)))
            return
        known = address in self.crew.workers
        worker = self.crew.here(address, here, self._clock(), machine)
        if not known:
            self.precision = worker.precision
            log.info("worker=%s device=%s precision=%s ready", worker.name, worker.device, worker.precision)

    def _turn_away(self, address: Address, why: str) -> None:
        log.warning("worker=%s is sent away: %s, so its pixels would differ", address[1].hex()[:10], why)
        self.to_workers.append((address, Stop(why=why)))

    def _send_piece(self, address: Address, want: WantPiece) -> None:
        """Of a large model, to a worker that has an item for it."""
        item = self.crew.loads(address, want.sha256, self._clock())
        if item is None:
            return
        try:
            name = item.models[item.hashes.index(want.sha256)]
            content = self._shelf.piece(name, want.sha256, want.begin, PIECE_BYTES)
        except Refused:
            content = b""
        self.to_workers.append((address, ModelPiece(sha256=want.sha256, begin=want.begin, content=content)))

    def _progress(self, address: Address, progress: Progress) -> None:
        item = self.crew.goes_on(address, progress.number, self._clock())
        for request in item.waiting if item is not None else ():
            request.done = max(request.done, min(progress.done, request.pixels))
            self._outcome.progressed(request)

    def _done(self, address: Address, done: Done) -> None:
        item = self.crew.finished(address, done.number, self._clock())
        if item is None:
            return
        worker = self.crew.workers[address]
        if self._comparison.answered(item, done, worker):
            return
        if not has_all(done.planes, item):
            item.lost += 1
            self._try_again(item)
            raise MalformedMessage(f"samples of {[plane.nbytes for plane in done.planes]} bytes")
        if not self._comparison.takes(item, done, worker):
            self.accept(item, done.planes, worker)

    def accept(self, item: AnyItem, planes: Planes, worker: Worker[AnyRequest]) -> None:
        """These are its samples."""
        self.items.pop(item.key, None)
        if item.is_kept:
            self._cache.put(item.key, planes, worker.identity)
        for request in tuple(item.waiting):
            self._deliver(request, item, planes, worker.identity)

    def _failed(self, address: Address, failed: Failed) -> None:
        item = self.crew.finished(address, failed.number, self._clock())
        if item is None:
            return
        if self._comparison.failed(item, self.crew.workers[address]):
            return
        if failed.lacks_model and (worker := self.crew.workers.get(address)) is not None:
            for name, sha256 in zip(item.models, item.hashes, strict=True):
                worker.models.pop(sha256, None)
                if worker.is_local:  # it looked at the same file: the shelf must look again
                    self._shelf.lose(name, sha256)
        self.fail(item, Refused(failed.code, failed.text))

    def lose(self, worker: Worker[AnyRequest]) -> None:
        """The worker has died, hangs or is silent. Its items go to others, once."""
        for item in self.crew.lost(worker):
            if not self._comparison.failed(item, None):
                self._try_again(item)
        self._restarts[worker.name] += 1
        if not worker.is_local:
            self.given_up.append(worker)

    def died(self, address: Address) -> None:
        """This local worker's process has ended. What is still on its way from it must not bring it back, even if
        nothing has come from it so far.
        """
        self._dead.append(address)
        if (worker := self.crew.workers.get(address)) is not None:
            self.lose(worker)

    def check_workers(self) -> None:
        """Give up workers that hang or are silent."""
        for worker in self.crew.overdue(self._clock()):
            log.warning("worker=%s hangs and is ended", worker.name)
            self._end_worker(worker)

    def _end_worker(self, worker: Worker[AnyRequest]) -> None:
        self.lose(worker)
        if worker.is_local:
            self.given_up.append(worker)
            self._dead.append(worker.address)

    # ------------------------------------------------------------------------ what becomes of compared tiles and liars

    def compute_again(self, items: Sequence[AnyItem]) -> None:
        """Their samples are not to be used."""
        self._again.extend(items)

    def disown(self, identity: Identity) -> tuple[int, int]:
        """Use nothing that this worker computed. Returns how many tiles left the cache, and requests begin anew."""
        dropped = self._cache.drop_all_of(identity)
        anew = [each for each in self._begun if identity in each.painters]
        for request in anew:
            for item in self.items.values():
                if request in item.waiting:
                    item.waiting.remove(request)
            request.begin_anew()
            self.queue.remove(request.path, request)
            self.queue.push(request.path, request)
        return dropped, len(anew)

    def send_away(self, worker: Worker[AnyRequest], stop: Stop) -> None:
        """End a worker, if it is there."""
        if worker.address in self.crew.workers:
            self.to_workers.append((worker.address, stop))
            self._end_worker(worker)

    # ------------------------------------------------------------------------------------------- items of lost workers

    def _try_again(self, item: AnyItem) -> None:
        if item.lost <= LOST_AT_MOST:
            self._again.append(item)
            return
        text = "The process that computed this ended, and so did a second one."
        self.fail(item, Refused("worker_lost", text, retry_ms=RETRY_MS))

    # --------------------------------------------------------------------------------------------------------- figures

    def devices(self) -> list[dict[str, Any]]:
        """For a status reply, by the workers' names."""
        return [
            {
                "name": worker.name,
                "device": worker.device,
                "state": "busy" if worker.items else "idle",
                "tiles": worker.finished,
                "restarts": self._restarts[worker.name],
                "memory_mb": worker.memory_mb,
            }
            for worker in sorted(self.crew.workers.values(), key=lambda each: each.name)
        ]

    def cache(self) -> dict[str, Any]:
        """For a status reply."""
        return {
            "tiles": len(self._cache),
            "mb": round(self._cache.bytes / 2**20, 1),
            "hits": self._cache.hits,
            "misses": self._tiles,
        }
