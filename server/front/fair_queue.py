"""A queue that is fair on every level: whoever got the least so far is next, however much the others have waiting.

A request stands at a path, such as (key, machine, client). At each level those who have something waiting take turns by
what they were charged: first keys, then machines of a key, then clients of a machine. So nobody gets more by opening
more connections. Who begins to wait goes before those that got as much and were served since they came: then one who
asks for little now and again is served next.

Source: start-time fair queueing (Goyal, Vin & Cheng, SIGCOMM 1996) with equal shares: everyone has a virtual time
that grows with what they get. Who returns after a pause starts at the present time and has saved up nothing.
Differs: a tree of such queues, and ties go to newcomers.
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, Generic, TypeVar

Request = TypeVar("Request")
Path = Sequence[Hashable]


class _Turns(Generic[Request]):
    """One level of the tree: whoever stands here, what they were charged, and what they have waiting."""

    def __init__(self) -> None:
        self.waiting: dict[Hashable, _Turns[Request] | deque[Request]] = {}
        self.charged: dict[Hashable, int] = {}
        self.levels: dict[Hashable, _Turns[Request]] = {}  # below, also of those that have nothing waiting
        self.arrivals: dict[Hashable, tuple[bool, int]] = {}  # whether they got something since, and in which order
        self.now = 0  # the virtual time: what the one served last had been charged before

    def prune(self) -> None:
        """Forget those whose charge says nothing any more: they would start at the present time anyway."""
        for each in [each for each, charge in self.charged.items() if charge <= self.now and each not in self.waiting]:
            for table in (self.charged, self.levels, self.arrivals):
                table.pop(each, None)


class FairQueue(Generic[Request]):
    """Requests: those at one path in the order they came, paths in turn by what they were charged."""

    def __init__(self) -> None:
        self._root: _Turns[Request] = _Turns()
        self._size = 0
        self._arrivals = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Request]:
        return _all(self._root)

    def push(self, path: Path, request: Request) -> None:
        """Let it wait, behind what waits at this path."""
        self._size += 1
        self._arrivals += 1
        level = self._root
        for each in path[:-1]:
            below = level.levels.setdefault(each, _Turns())
            self._enter(level, each, below)
            level = below
        requests = level.waiting.get(path[-1])
        if requests is None:
            requests = deque()
            self._enter(level, path[-1], requests)
        assert isinstance(requests, deque)
        requests.append(request)

    def _enter(self, level: _Turns[Request], each: Hashable, waiting: Any) -> None:
        if each not in level.waiting:
            level.waiting[each] = waiting
            level.charged[each] = max(level.charged.get(each, 0), level.now)
            level.arrivals[each] = False, self._arrivals

    def first(self, ready: Callable[[Request], bool] = lambda request: True) -> Request | None:
        """The request to go on with, which stays in the queue. Skips paths whose first request is not `ready`."""
        return _first(self._root, ready)

    def charge(self, path: Path, amount: int) -> None:
        """Count what was got at this path."""
        level: _Turns[Request] | None = self._root
        for each in path:
            if level is None:
                return
            level.charged[each] = level.charged.get(each, level.now) + amount
            if amount and each in level.arrivals:
                level.arrivals[each] = True, level.arrivals[each][1]
            level = level.levels.get(each)

    def remove(self, path: Path, request: Request) -> None:
        """Take a request out, wherever it stands. Does nothing if it is not there."""
        levels = [self._root]
        for each in path[:-1]:
            below = levels[-1].levels.get(each)
            if below is None:
                return
            levels.append(below)
        requests = levels[-1].waiting.get(path[-1])
        if not isinstance(requests, deque) or request not in requests:
            return
        requests.remove(request)
        self._size -= 1
        for level, each in zip(reversed(levels), reversed(path), strict=True):
            left = level.waiting[each]
            if left if isinstance(left, deque) else left.waiting:
                return
            del level.waiting[each]

    def forget(self, path: Path) -> None:
        """Nobody will ask at this path again. What those above it were charged stays."""
        level = self._root
        for each in path[:-1]:
            level.prune()
            if each not in level.levels:
                return
            level = level.levels[each]
        level.prune()
        if path[-1] not in level.waiting:
            level.charged.pop(path[-1], None)
            level.arrivals.pop(path[-1], None)


def _first(level: _Turns[Request], ready: Callable[[Request], bool]) -> Request | None:
    left = list(level.waiting)
    while left:
        each = min(left, key=lambda each: (level.charged[each], level.arrivals[each]))
        waiting = level.waiting[each]
        request = waiting[0] if isinstance(waiting, deque) else _first(waiting, ready)
        if request is not None and (not isinstance(waiting, deque) or ready(request)):
            level.now = max(level.now, level.charged[each])
            return request
        left.remove(each)
    return None


def _all(level: _Turns[Request]) -> Iterator[Request]:
    for waiting in level.waiting.values():
        if isinstance(waiting, deque):
            yield from waiting
        else:
            yield from _all(waiting)
