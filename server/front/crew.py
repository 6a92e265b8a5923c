"""The workers as the front knows them, and the items that each has been given.

A worker does its items in the order in which it got them, so only the first can be what kills or hangs it. A second one
waits at the worker, so that it need not idle for a round trip. If the two together would take long, the second stays
with the front, which may give it to another worker. No sockets and no processes here: messages come and go as values
(server/model/work.py).
"""

import itertools
import os
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

from server.front.shelf import FilePlace
from server.front.tile_cache import Planes
from server.front.work_item import WorkItem
from server.model.work import DropModel, FromFront, Here, LoadLarge, LoadModel

GIVEN_AT_ONCE = 2  # items: one being computed, one waiting
GIVEN_PIXELS = 4 * 2**20  # of both together; two frames of 1920 x 1080 are less
MODELS_KEPT = 16  # by a worker, the least recently used dropped first
MODEL_BYTES_KEPT = 2**30  # likewise, of their files; one may be of any size
SILENT_S = 15.0  # after which an idle worker counts as lost; it reports every two seconds
LOST_AT_MOST = 1  # times an item is tried again after its worker was lost

LOCAL, REMOTE = "local", "remote"  # names of sockets

Waiting = TypeVar("Waiting")
Address = tuple[str, bytes]  # the name of the socket that reaches the worker, and its routing id there


class Identity(NamedTuple):
    """Who a worker is, across its connections and starts: a device of a machine."""

    socket: str
    machine: str
    name: str
    device: str

    @classmethod
    def of(cls, address: Address, machine: str, here: Here) -> "Identity":
        """Of a worker that reports. Those of other machines are named HOST/PROCESS, another process at each start."""
        name = here.name if address[0] == LOCAL else here.name.rpartition("/")[0] or here.name
        return cls(address[0], machine, name, here.device)


@dataclass(eq=False)
class Worker(Generic[Waiting]):
    """One worker process, here or on another machine."""

    address: Address
    name: str
    device: str
    precision: str
    heard: float
    identity: Identity
    arithmetic: str = ""  # two that have the same compute the same samples; "" where that is not known
    memory_mb: int = 0
    items: deque[WorkItem[Waiting]] = field(default_factory=deque)
    began: float = 0.0  # when the first of the items was begun, or last made progress; of the worker's own time
    models: OrderedDict[str, int] = field(default_factory=OrderedDict)  # bytes by hash, least recently used first
    finished: int = 0  # items

    @property
    def is_local(self) -> bool:
        """Whether its process is one of ours."""
        return self.address[0] == LOCAL


class Crew(Generic[Waiting]):
    """All workers that are there, and what each is doing. `first_number`: of the first item.

    `held_back_s`: how long a worker has waited for a processor in all. That time does not count against it.
    """

    def __init__(
        self, watchdog_s: float, first_number: int = 1, held_back_s: Callable[[Address], float] = lambda address: 0.0
    ) -> None:
        self.watchdog_s, self._held_back_s = watchdog_s, held_back_s
        self.workers: dict[Address, Worker[Waiting]] = {}
        self._numbers = itertools.count(first_number)

    def here(self, address: Address, here: Here, now: float, machine: str = "") -> Worker[Waiting]:
        """A worker reports: a new one, or one that is known. `machine`: the address of another machine."""
        worker = self.workers.get(address)
        if worker is None:
            identity = Identity.of(address, machine, here)
            worker = Worker(address, here.name, here.device, here.precision, now, identity, here.arithmetic)
            self.workers[address] = worker
        worker.heard = now
        worker.memory_mb = here.memory_mb
        return worker

    def free(
        self,
        hashes: Set[str],
        pixels: int,
        *,
        proven: bool = False,
        able: Callable[[Worker[Waiting]], bool] = lambda worker: True,
        before: Callable[[Worker[Waiting]], bool] = lambda worker: False,
    ) -> Worker[Waiting] | None:
        """A worker that can take another item: the one with the fewest, if possible one that has the models.

        `proven`: only one that has finished something, where there are such. `able`: only such. `before`: one for which
        this is false is taken rather than one for which it is true.
        """
        found = [worker for worker in self.workers.values() if _has_room(worker, pixels) and able(worker)]
        if proven and any(worker.finished for worker in self.workers.values()):
            found = [worker for worker in found if worker.finished]
        return min(
            found,
            key=lambda worker: (before(worker), len(worker.items), len(hashes - worker.models.keys())),
            default=None,
        )

    def has(self, worker: Worker[Waiting], sha256: str) -> bool:
        return sha256 in worker.models

    def give(
        self, worker: Worker[Waiting], item: WorkItem[Waiting], files: Mapping[str, bytes | FilePlace], now: float
    ) -> Iterator[FromFront]:
        """Give it the item; yields the messages for it. `files`: by hash, of the models that the worker lacks: their
        bytes, or the places of large ones.
        """
        if not item.number:
            item.numbered(next(self._numbers))
        for name, sha256 in zip(item.models, item.hashes, strict=True):
            if (file := files.get(sha256)) is not None:
                yield _load(worker, name, sha256, file)
                worker.models[sha256] = file.bytes if isinstance(file, FilePlace) else len(file)
            worker.models.move_to_end(sha256)
        while len(worker.models) > len(item.hashes) and (
            len(worker.models) > MODELS_KEPT or sum(worker.models.values()) > MODEL_BYTES_KEPT
        ):
            dropped, _ = worker.models.popitem(last=False)
            yield DropModel(sha256=dropped)
        if not worker.items:
            worker.began = self._own(worker, now)
        worker.items.append(item)
        yield item.message

    def loads(self, address: Address, sha256: str, now: float) -> WorkItem[Waiting] | None:
        """The item for which a worker is getting a model's file; None for one that has no such item."""
        worker = self.workers.get(address)
        if worker is None:
            return None
        worker.heard, worker.began = now, self._own(worker, now)
        return next((item for item in worker.items if sha256 in item.hashes), None)

    def at(self, item: WorkItem[Waiting]) -> Worker[Waiting] | None:
        """The worker that has the item."""
        return next((worker for worker in self.workers.values() if item in worker.items), None)

    def goes_on(self, address: Address, number: int, now: float) -> WorkItem[Waiting] | None:
        """The item on which a worker reports progress; None for one that is no longer its."""
        worker = self.workers.get(address)
        if worker is None:
            return None
        worker.heard, worker.began = now, self._own(worker, now)
        return next((item for item in worker.items if item.number == number), None)

    def finished(self, address: Address, number: int, now: float) -> WorkItem[Waiting] | None:
        """The item that a worker has ended, successfully or not; None for one that is no longer its."""
        worker = self.workers.get(address)
        if worker is None:
            return None
        worker.heard, worker.began = now, self._own(worker, now)
        for item in worker.items:
            if item.number == number:
                worker.items.remove(item)
                worker.finished += 1
                return item
        return None

    def lost(self, worker: Worker[Waiting]) -> list[WorkItem[Waiting]]:
        """The worker is gone. Returns its items, to be given to others; the first may be why it went."""
        self.workers.pop(worker.address, None)
        items = list(worker.items)
        worker.items.clear()
        if items:
            items[0].lost += 1
        return items

    def overdue(self, now: float) -> list[Worker[Waiting]]:
        """Workers that hang at an item, or that have been silent for too long."""
        return [
            worker
            for worker in self.workers.values()
            if (worker.items and self._own(worker, now) - worker.began > self.watchdog_s)
            or (not worker.items and now - worker.heard > SILENT_S)
        ]

    def _own(self, worker: Worker[Waiting], now: float) -> float:
        return now - self._held_back_s(worker.address)


def has_all(planes: Planes, item: WorkItem[Any]) -> bool:
    """Whether these are as many samples as the item has."""
    sizes, count = [plane.nbytes for plane in planes], len(item.answer_bytes)
    more = sizes[count:]
    carried = len(more) == 1 and more[0] <= item.most_carry if item.most_carry is not None else not more
    return sizes[:count] == list(item.answer_bytes) and carried


def _has_room(worker: Worker[Any], pixels: int) -> bool:
    given = sum(item.pixels for item in worker.items)
    return not worker.items or (len(worker.items) < GIVEN_AT_ONCE and given + pixels <= GIVEN_PIXELS)


def _load(worker: Worker[Any], name: str, sha256: str, file: bytes | FilePlace) -> FromFront:
    """Only local workers get a path: they run on this machine, as the same user as the server."""
    if isinstance(file, bytes):
        return LoadModel(sha256=sha256, name=name, content=file)
    path = os.fsencode(file.path) if worker.is_local else b""
    return LoadLarge(sha256=sha256, name=name, bytes=file.bytes, path=path)
