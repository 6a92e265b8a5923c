"""The workers as the front knows them, and the tasks they have been given: tiles of textures, and whole pictures.

A worker does its tasks in the order in which it got them, so only the first of them can be what kills or hangs it. Each
has a second one waiting, so that it never idles for a round trip, unless the two would take long: what comes next then
stays with the front, which can still give it to another. No sockets and no processes here: messages come and go as
values (server/worker/worker.py reads and writes the same ones).
"""

import itertools
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from server.front.order import Order
from server.front.tile_cache import Planes

GIVEN_AT_ONCE = 2  # tasks: one being computed, one waiting
GIVEN_PIXELS = 4 * 2**20  # of both together; two frames of 1920 x 1080 are less
MODELS_KEPT = 16  # by a worker, the least recently used dropped first
SILENT_S = 15.0  # after which an idle worker is taken for lost; it says every two seconds that it is there
LOST_AT_MOST = 1  # times a task may take its worker with it and be tried again

Job = TypeVar("Job")
Address = tuple[str, bytes]  # the socket it is spoken to through, and its routing id there
Message = tuple[Mapping[str, Any], Sequence[bytes | bytearray | memoryview]]  # header and buffers


@dataclass(eq=False)
class Task(Generic[Job]):
    """Something to be computed, and the jobs that wait for it."""

    number: int
    order: Order
    jobs: list[Job]
    lost: int = 0  # workers that ended while computing it


@dataclass(eq=False)
class Worker(Generic[Job]):
    """One worker process, here or on another machine."""

    address: Address
    name: str
    device: str
    precision: str
    heard: float
    memory_mb: int = 0
    tasks: deque[Task[Job]] = field(default_factory=deque)
    began: float = 0.0  # when the first of the tasks was begun, or told of progress
    models: OrderedDict[str, None] = field(default_factory=OrderedDict)  # by hash, least recently used first
    tiles: int = 0  # and pictures, computed so far


class Crew(Generic[Job]):
    """All workers that are there, and which task each is at."""

    def __init__(self, watchdog_s: float, first_task: int = 1) -> None:
        self.watchdog_s = watchdog_s
        self.workers: dict[Address, Worker[Job]] = {}
        self._numbers = itertools.count(first_task)

    def task(self, order: Order, job: Job) -> Task[Job]:
        return Task(next(self._numbers), order, [job])

    def here(self, address: Address, said: Mapping[str, Any], now: float) -> Worker[Job]:
        """A worker says that it is there: a new one, or one that goes on."""
        worker = self.workers.get(address)
        if worker is None:
            worker = Worker(address, said["name"], said["device"], said["precision"], now)
            self.workers[address] = worker
        worker.heard = now
        worker.memory_mb = said["memory_mb"]
        return worker

    def free(self, sha256: str, pixels: int) -> Worker[Job] | None:
        """A worker that can take another task: the one with the fewest, if possible one that has the model."""
        able = [worker for worker in self.workers.values() if _has_room(worker, pixels)]
        return min(able, key=lambda worker: (len(worker.tasks), sha256 not in worker.models), default=None)

    def has(self, worker: Worker[Job], sha256: str) -> bool:
        return sha256 in worker.models

    def give(self, worker: Worker[Job], task: Task[Job], content: bytes | None, now: float) -> Iterator[Message]:
        """Give it the task; yields the messages for it. `content`: of the model file, where it lacks the model."""
        order = task.order
        if content is not None:
            yield {"do": "load", "sha256": order.sha256, "name": order.model}, [content]
            if len(worker.models) == MODELS_KEPT:
                dropped, _ = worker.models.popitem(last=False)
                yield {"do": "drop", "sha256": dropped}, []
        worker.models[order.sha256] = None
        worker.models.move_to_end(order.sha256)
        if not worker.tasks:
            worker.began = now
        worker.tasks.append(task)
        yield {**order.says, "task": task.number, "sha256": order.sha256}, order.buffers

    def at(self, task: Task[Job]) -> Worker[Job] | None:
        """The worker that has the task."""
        return next((worker for worker in self.workers.values() if task in worker.tasks), None)

    def goes_on(self, address: Address, number: int, now: float) -> Task[Job] | None:
        """The task a worker tells progress of; None for one that is no longer its."""
        worker = self.workers.get(address)
        if worker is None:
            return None
        worker.heard = worker.began = now
        return next((task for task in worker.tasks if task.number == number), None)

    def finished(self, address: Address, number: int, now: float) -> Task[Job] | None:
        """The task a worker has ended, for better or worse; None for one that is no longer its."""
        worker = self.workers.get(address)
        if worker is None:
            return None
        worker.heard = worker.began = now
        for task in worker.tasks:
            if task.number == number:
                worker.tasks.remove(task)
                worker.tiles += 1
                return task
        return None

    def lost(self, worker: Worker[Job]) -> list[Task[Job]]:
        """The worker is gone: its tasks, to be given to others. The first may be why it went."""
        self.workers.pop(worker.address, None)
        tasks = list(worker.tasks)
        worker.tasks.clear()
        if tasks:
            tasks[0].lost += 1
        return tasks

    def overdue(self, now: float) -> list[Worker[Job]]:
        """Workers that hang at a task, or that were not heard of for too long."""
        return [
            worker
            for worker in self.workers.values()
            if (worker.tasks and now - worker.began > self.watchdog_s)
            or (not worker.tasks and now - worker.heard > SILENT_S)
        ]

    def named(self, name: str) -> Worker[Job] | None:
        return next((worker for worker in self.workers.values() if worker.name == name), None)


def planes_of(buffers: Sequence[memoryview], task: Task[Any]) -> Planes:
    """The samples as a worker sent them. Raises ValueError when they are not as many as the task has."""
    if [buffer.nbytes for buffer in buffers] != list(task.order.answer_bytes):
        raise ValueError(f"samples of {[buffer.nbytes for buffer in buffers]} bytes")
    return tuple(buffers)


def _has_room(worker: Worker[Any], pixels: int) -> bool:
    given = sum(task.order.pixels for task in worker.tasks)
    return not worker.tasks or (len(worker.tasks) < GIVEN_AT_ONCE and given + pixels <= GIVEN_PIXELS)
