"""The workers as the front knows them, and the tiles they have been given.

A worker computes its tiles in the order in which it got them, so only the first of them can be what kills or hangs it.
Each has a second one waiting, so that it never idles for a round trip. No sockets and no processes here: messages come
and go as values (server/worker.py reads and writes the same ones).
"""

import itertools
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from server.tile_cache import Planes, TileKey

GIVEN_AT_ONCE = 2  # tiles: one being computed, one waiting
MODELS_KEPT = 16  # by a worker, the least recently used dropped first
SILENT_S = 15.0  # after which an idle worker is taken for lost; it says every two seconds that it is there
LOST_AT_MOST = 1  # times a tile may take its worker with it and be tried again

Job = TypeVar("Job")
Address = tuple[str, bytes]  # the socket it is spoken to through, and its routing id there
Message = tuple[Mapping[str, Any], Sequence[bytes | memoryview]]  # header and buffers


@dataclass(eq=False)
class Task(Generic[Job]):
    """A tile to be computed, and the jobs that wait for it."""

    number: int
    key: TileKey
    model: str
    channels: Sequence[int]  # of each of the model's maps
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
    began: float = 0.0  # when the first of the tasks was begun
    models: OrderedDict[str, None] = field(default_factory=OrderedDict)  # by hash, least recently used first
    tiles: int = 0  # computed so far


class Crew(Generic[Job]):
    """All workers that are there, and which tile each is at."""

    def __init__(self, watchdog_s: float, first_task: int = 1) -> None:
        self.watchdog_s = watchdog_s
        self.workers: dict[Address, Worker[Job]] = {}
        self._numbers = itertools.count(first_task)

    def task(self, key: TileKey, model: str, channels: Sequence[int], job: Job) -> Task[Job]:
        return Task(next(self._numbers), key, model, channels, [job])

    def here(self, address: Address, said: Mapping[str, Any], now: float) -> Worker[Job]:
        """A worker says that it is there: a new one, or one that goes on."""
        worker = self.workers.get(address)
        if worker is None:
            worker = Worker(address, said["name"], said["device"], said["precision"], now)
            self.workers[address] = worker
        worker.heard = now
        worker.memory_mb = said["memory_mb"]
        return worker

    def free(self, sha256: str) -> Worker[Job] | None:
        """A worker that can take another tile: the one with the fewest, if possible one that has the model."""
        able = [worker for worker in self.workers.values() if len(worker.tasks) < GIVEN_AT_ONCE]
        return min(able, key=lambda worker: (len(worker.tasks), sha256 not in worker.models), default=None)

    def has(self, worker: Worker[Job], sha256: str) -> bool:
        return sha256 in worker.models

    def give(self, worker: Worker[Job], task: Task[Job], content: bytes | None, now: float) -> Iterator[Message]:
        """Give it the task; yields the messages for it. `content`: of the model file, where it lacks the model."""
        key = task.key
        if content is not None:
            yield {"do": "load", "sha256": key.sha256, "name": task.model}, [content]
            if len(worker.models) == MODELS_KEPT:
                dropped, _ = worker.models.popitem(last=False)
                yield {"do": "drop", "sha256": dropped}, []
        worker.models[key.sha256] = None
        worker.models.move_to_end(key.sha256)
        if not worker.tasks:
            worker.began = now
        worker.tasks.append(task)
        tile = key.tile
        yield (
            {
                "do": "paint",
                "task": task.number,
                "sha256": key.sha256,
                "seed": key.seed,
                "size": [key.size.height, key.size.width],
                "tile": [tile.top, tile.left, tile.height, tile.width],
                "depth": key.depth,
            },
            [],
        )

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
        """Workers that hang at a tile, or that were not heard of for too long."""
        return [
            worker
            for worker in self.workers.values()
            if (worker.tasks and now - worker.began > self.watchdog_s)
            or (not worker.tasks and now - worker.heard > SILENT_S)
        ]

    def named(self, name: str) -> Worker[Job] | None:
        return next((worker for worker in self.workers.values() if worker.name == name), None)


def planes_of(buffers: Sequence[memoryview], task: Task[Any]) -> Planes:
    """The samples of a tile as a worker sent them. Raises ValueError when they are not as many as the tile has."""
    key = task.key
    area = key.tile.height * key.tile.width * key.depth // 8
    if [buffer.nbytes for buffer in buffers] != [area * each for each in task.channels]:
        raise ValueError(f"a tile of {[buffer.nbytes for buffer in buffers]} bytes")
    return tuple(buffers)
