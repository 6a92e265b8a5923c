"""Whether workers compute what they should: a share of tiles is computed twice, by different workers, and compared.

A worker of another machine could send anything: its memory may be faulty, or its owner dishonest. The samples of
quilts and of their blends are the same on every device, so two workers that differ cannot both be right. Those of a
network are the same where the arithmetic is (server/network/devices.py), so they are compared among such workers. That
finds a device that fails. A worker that lies about its arithmetic, or about memory that was short, is compared with
nobody in networks.

Which tiles are compared is chosen when the first answer has come, so the first worker cannot know. The second sends a
receipt alone (server/model/receipt.py), and the tile is not delivered before it has come.

A worker that is wrong once in a hundred tiles takes a hundred comparisons to be found. So a worker's first tiles are
all compared, then fewer and fewer, and the share holds in the long run, as in BOINC's adaptive replication (Anderson
2020, arXiv 1903.01699).

Where two differ, a third decides. Where there is no third, a worker of this machine is believed. What cannot be decided
is not delivered. Two workers that lie in the same way, or that know each other, are not found. No sockets here.
"""

import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic, TypeVar

from server.front.crew import Crew, Identity, Worker
from server.front.tile_cache import Planes
from server.front.work_item import NOT_GIVEN, WorkItem
from server.model.work import BlendTile, PaintTile, StylizePicture

Waiting = TypeVar("Waiting")

KNOWN_TILES: Final = 5000  # of a worker, after which no more than the share is compared
VOTES: Final = 3  # after which nobody else is asked
MOST_LISTED: Final = 100  # expelled workers, for the status


@dataclass(eq=False)
class Check(Generic[Waiting]):
    """A tile that is compared. The first vote is that of the worker whose samples `planes` are."""

    item: WorkItem[Waiting]
    planes: Planes
    votes: list[tuple[Worker[Waiting], str]]  # with the receipt of each
    asked: WorkItem[Waiting] | None = None  # what another worker computes for it now
    unable: list[Worker[Waiting]] = field(default_factory=list)  # they failed to compute it

    @property
    def first(self) -> Worker[Waiting]:
        """Whose samples are kept."""
        return self.votes[0][0]

    @property
    def agrees(self) -> bool:
        """Whether all votes so far are the same."""
        return len({receipt for _, receipt in self.votes}) == 1

    def may_vote(self, worker: Worker[Waiting]) -> bool:
        """Whether it has not been asked yet, and its answer must be the same."""
        asked = worker in self.unable or any(worker is each for each, _ in self.votes)
        return not asked and _can_compare(self.item, self.first, worker)


@dataclass(frozen=True, kw_only=True)
class Verdict(Generic[Waiting]):
    """What came of a check. `believed`: whether the samples that are kept are to be delivered; None: nobody knows."""

    check: Check[Waiting]
    believed: bool | None
    liars: tuple[Worker[Waiting], ...] = ()


class Verifier(Generic[Waiting]):
    """The checks under way. `share`: of the tiles that can be compared, in [0, 1]. `chance`: a number in [0, 1)."""

    def __init__(self, share: float, crew: Crew[Waiting], chance: Callable[[], float] | None = None) -> None:
        self.share = share
        self.expelled: dict[Identity, str] = {}  # why, for people
        self._crew = crew
        self._chance = chance or random.SystemRandom().random
        self._checks: dict[WorkItem[Waiting], Check[Waiting]] = {}  # by what was asked
        self._waiting: deque[Check[Waiting]] = deque()  # for a worker
        self._tiles: Counter[Identity] = Counter()  # that could be compared, by worker
        self._checked = self._differed = self._undecided = 0

    def picks(self, item: WorkItem[Waiting], worker: Worker[Waiting]) -> bool:
        """Whether this tile, just computed by this worker, is to be compared."""
        if not self.share or isinstance(item.message, StylizePicture):
            return False
        if not any(_can_compare(item, worker, each) for each in self._crew.workers.values()):
            return False
        self._tiles[worker.identity] += 1
        at_first = self.share * KNOWN_TILES / self._tiles[worker.identity]
        return self._chance() < max(self.share, at_first)

    def begin(self, item: WorkItem[Waiting], planes: Planes, worker: Worker[Waiting], receipt: str) -> None:
        """Compare it."""
        self._waiting.append(Check(item, planes, [(worker, receipt)]))

    # ---------------------------------------------------------------------------------------------------------- asking

    def next(self) -> tuple[Worker[Waiting], WorkItem[Waiting]] | None:
        """Another worker with room, and what it is to compute for a check; None while there is none."""
        for check in self._waiting:
            machines = {voter.identity.machine for voter, _ in check.votes}
            worker = self._crew.free(
                frozenset(check.item.hashes),
                check.item.pixels,
                able=check.may_vote,
                before=lambda each, machines=machines: each.identity.machine in machines,  # type: ignore[misc]
            )
            if worker is not None:
                self._waiting.remove(check)
                check.asked = _question(check.item)
                self._checks[check.asked] = check
                return worker, check.asked
        return None

    def of(self, asked: WorkItem[Waiting]) -> Check[Waiting] | None:
        """The check that a work item was given for."""
        return self._checks.get(asked)

    def answered(self, check: Check[Waiting], worker: Worker[Waiting], receipt: str) -> None:
        """A worker's vote."""
        self._unasked(check)
        check.votes.append((worker, receipt))
        self._waiting.append(check)

    def failed(self, check: Check[Waiting], worker: Worker[Waiting] | None) -> None:
        """The worker that was asked is gone, or (`worker`) could not compute it."""
        self._unasked(check)
        if worker is not None:
            check.unable.append(worker)
        self._waiting.append(check)

    def _unasked(self, check: Check[Waiting]) -> None:
        if check.asked is not None:
            self._checks.pop(check.asked, None)
            check.asked = None

    # ------------------------------------------------------------------------------------------------------- verdicts

    def verdicts(self) -> list[Verdict[Waiting]]:
        """Those of the checks that need no other worker, or find none. They are over then."""
        found = []
        for check in tuple(self._waiting):
            if (verdict := self._verdict(check)) is not None:
                self._waiting.remove(check)
                found.append(verdict)
        return found

    def _verdict(self, check: Check[Waiting]) -> Verdict[Waiting] | None:
        others = any(check.may_vote(each) for each in self._crew.workers.values())
        if len(check.votes) == 1:
            return None if others else Verdict(check=check, believed=True)  # nobody is left to compare with
        if check.agrees:
            self._checked += 1
            return Verdict(check=check, believed=True)
        if others and len(check.votes) < VOTES:
            return None
        self._checked += 1
        self._differed += 1
        right = _believed(check)
        if right is None:
            self._undecided += 1
            return Verdict(check=check, believed=None)
        liars = tuple(voter for voter, receipt in check.votes if receipt != right)
        return Verdict(check=check, believed=check.votes[0][1] == right, liars=liars)

    def expel(self, liar: Worker[Waiting], why: str) -> list[WorkItem[Waiting]]:
        """Never ask this one again. Returns its tiles that were being compared, which are to be computed anew.

        Those of others are compared with somebody else.
        """
        self.expelled[liar.identity] = why
        own = [check for check in (*self._waiting, *self._checks.values()) if check.first.identity == liar.identity]
        for check in own:
            self._unasked(check)
            if check in self._waiting:
                self._waiting.remove(check)
        for check in (*self._waiting, *self._checks.values()):
            check.votes = [vote for vote in check.votes if vote[0].identity != liar.identity]
        return [check.item for check in own]

    def report(self) -> dict[str, Any]:
        """For a status reply."""
        listed = list(self.expelled.items())[-MOST_LISTED:]
        return {
            "share": self.share,
            "checked": self._checked,
            "differed": self._differed,
            "undecided": self._undecided,
            "expelled": [
                {"name": who.name, "device": who.device, "machine": who.machine, "why": why} for who, why in listed
            ],
        }


def _question(item: WorkItem[Waiting]) -> WorkItem[Waiting]:
    """The same tile, of which only the receipt is wanted."""
    assert isinstance(item.message, PaintTile | BlendTile)
    return WorkItem(
        key=object(),
        is_kept=False,
        models=item.models,
        pixels=item.pixels,
        message=replace(item.message, number=NOT_GIVEN, receipt_only=True),
        answer_bytes=[],
    )


def _can_compare(item: WorkItem[Any], one: Worker[Any], other: Worker[Any]) -> bool:
    """Whether two workers must give the same samples for this tile."""
    return one is not other and (item.is_exact or (one.arithmetic == other.arithmetic != ""))


def _believed(check: Check[Any]) -> str | None:
    """The receipt of two, or else of the only worker of this machine."""
    receipts = [receipt for _, receipt in check.votes]
    for receipt in receipts:
        if receipts.count(receipt) > 1:
            return receipt
    local = [receipt for voter, receipt in check.votes if voter.is_local]
    return local[0] if len(local) == 1 else None
