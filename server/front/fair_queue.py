"""A queue that is fair to clients: the client that got the least so far is next, however much the others have waiting.

Source: start-time fair queueing (Goyal, Vin & Cheng, SIGCOMM 1996) with equal shares: every client has a virtual time
that grows with what it gets. A client that returns after a pause starts at the present time and has saved up nothing.
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

Client = TypeVar("Client", bound=Hashable)
Request = TypeVar("Request")


class FairQueue(Generic[Client, Request]):
    """Requests: those of one client in the order they came, clients in turn by what they were charged."""

    def __init__(self) -> None:
        self._requests: dict[Client, deque[Request]] = {}
        self._charged: dict[Client, int] = {}
        self._now = 0  # the virtual time: what the client served last had been charged before

    def __len__(self) -> int:
        return sum(len(requests) for requests in self._requests.values())

    def __iter__(self) -> Iterator[Request]:
        for requests in self._requests.values():
            yield from requests

    def push(self, client: Client, request: Request) -> None:
        if client not in self._requests:
            self._requests[client] = deque()
            self._charged[client] = max(self._charged.get(client, 0), self._now)
        self._requests[client].append(request)

    def first(
        self, ready: Callable[[Client, Request], bool] = lambda client, request: True
    ) -> tuple[Client, Request] | None:
        """The request to go on with, which stays in the queue. Skips clients whose first request is not `ready`."""
        waiting = [client for client, requests in self._requests.items() if ready(client, requests[0])]
        if not waiting:
            return None
        client = min(waiting, key=self._charged.__getitem__)
        self._now = max(self._now, self._charged[client])
        return client, self._requests[client][0]

    def charge(self, client: Client, amount: int) -> None:
        """Count what the client got."""
        self._charged[client] = self._charged.get(client, self._now) + amount

    def remove(self, client: Client, request: Request) -> None:
        """Take a request out, wherever it stands. Does nothing if it is not there."""
        requests = self._requests.get(client)
        if requests is None or request not in requests:
            return
        requests.remove(request)
        if not requests:
            del self._requests[client]

    def forget(self, client: Client) -> None:
        """The client is gone, with all its requests and what it was charged."""
        self._requests.pop(client, None)
        self._charged.pop(client, None)
