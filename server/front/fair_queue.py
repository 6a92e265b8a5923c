"""A queue that is fair to clients: whoever was given the least so far is next, whatever the others have waiting.

Source: start-time fair queueing (Goyal, Vin & Cheng, SIGCOMM 1996) with equal shares: every client has a virtual time
that grows with what it is given, and one that comes back from a pause starts at the present, not at its old credit.
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

Client = TypeVar("Client", bound=Hashable)
Job = TypeVar("Job")


class FairQueue(Generic[Client, Job]):
    """Jobs in the order they came for each client, clients in turn by what they were charged."""

    def __init__(self) -> None:
        self._jobs: dict[Client, deque[Job]] = {}
        self._charged: dict[Client, int] = {}
        self._now = 0  # the virtual time: what the client served last had been charged before

    def __len__(self) -> int:
        return sum(len(jobs) for jobs in self._jobs.values())

    def __iter__(self) -> Iterator[Job]:
        for jobs in self._jobs.values():
            yield from jobs

    def push(self, client: Client, job: Job) -> None:
        if client not in self._jobs:
            self._jobs[client] = deque()
            self._charged[client] = max(self._charged.get(client, 0), self._now)
        self._jobs[client].append(job)

    def first(self, ready: Callable[[Client, Job], bool] = lambda client, job: True) -> tuple[Client, Job] | None:
        """The job to go on with, which stays in the queue; of the clients that are ready with the job they are at."""
        waiting = [client for client, jobs in self._jobs.items() if ready(client, jobs[0])]
        if not waiting:
            return None
        client = min(waiting, key=self._charged.__getitem__)
        self._now = max(self._now, self._charged[client])
        return client, self._jobs[client][0]

    def charge(self, client: Client, amount: int) -> None:
        """Count what the client was given."""
        self._charged[client] = self._charged.get(client, self._now) + amount

    def remove(self, client: Client, job: Job) -> None:
        """Take a job out, wherever it stands; nothing happens when it is not there."""
        jobs = self._jobs.get(client)
        if jobs is None or job not in jobs:
            return
        jobs.remove(job)
        if not jobs:
            del self._jobs[client]

    def forget(self, client: Client) -> None:
        """The client is gone, with all its jobs and what it was charged."""
        self._jobs.pop(client, None)
        self._charged.pop(client, None)
