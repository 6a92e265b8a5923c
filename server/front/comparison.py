"""Has tiles computed twice, and acts on it: a tile is delivered, computed anew or refused, a liar is expelled.

Which tiles are compared, by whom and who is believed is decided in server/front/verification.py; what becomes of tiles
and workers is done by the dispatcher. No sockets here.
"""

import logging
from collections.abc import Sequence
from typing import Protocol

from server.errors import Refused
from server.front.crew import Crew, Identity, Worker, has_all
from server.front.pending_request import AnyItem, AnyRequest
from server.front.tile_cache import Planes
from server.front.verification import Check, Verdict, Verifier
from server.model.receipt import RECEIPT_CHARACTERS, receipt_of
from server.model.work import Done, MalformedMessage, Stop

RETRY_MS = 1000  # for a request of which nobody knows the right samples

log = logging.getLogger("texserver")


class Tiles(Protocol):
    """What the dispatcher does with tiles and workers."""

    def give(self, worker: Worker[AnyRequest], item: AnyItem) -> None:
        """Have the worker compute it, unless its models are gone."""

    def accept(self, item: AnyItem, planes: Planes, worker: Worker[AnyRequest]) -> None:
        """These are its samples."""

    def compute_again(self, items: Sequence[AnyItem]) -> None:
        """Their samples are not to be used."""

    def fail(self, item: AnyItem, refused: Refused) -> None:
        """It cannot be had."""

    def disown(self, identity: Identity) -> tuple[int, int]:
        """Use nothing that this worker computed. Returns how many tiles left the cache, and requests begin anew."""

    def send_away(self, worker: Worker[AnyRequest], stop: Stop) -> None:
        """End a worker, if it is there."""


class Comparison:
    """The tiles that are compared. The dispatcher hands in what becomes of work items."""

    def __init__(self, verifier: Verifier[AnyRequest], crew: Crew[AnyRequest], tiles: Tiles) -> None:
        self._verifier, self._crew, self._tiles = verifier, crew, tiles

    def give(self) -> bool:
        """Have a tile computed once more. False when nothing is to be compared, or nobody is free for it."""
        self._conclude()
        if (found := self._verifier.next()) is None:
            return False
        worker, asked = found
        self._tiles.give(worker, asked)
        if self._crew.at(asked) is None and (check := self._verifier.of(asked)) is not None:  # its model is gone
            self._verifier.failed(check, worker)
        return True

    def answered(self, item: AnyItem, done: Done, worker: Worker[AnyRequest]) -> bool:
        """Whether this item was given for a comparison. Raises MalformedMessage for what is no receipt alone."""
        check = self._verifier.of(item)
        if check is None:
            return False
        if not has_all(done.planes, item) or len(done.receipt) != RECEIPT_CHARACTERS:
            self._verifier.failed(check, worker)
            raise MalformedMessage("samples or no receipt, where a receipt alone was wanted")
        if _may_differ(check.item, done):
            self._verifier.failed(check, worker)
        else:
            self._verifier.answered(check, worker, done.receipt)
        self._conclude()
        return True

    def takes(self, item: AnyItem, done: Done, worker: Worker[AnyRequest]) -> bool:
        """Whether this tile, just computed, is compared before it is delivered."""
        if _may_differ(item, done) or not self._verifier.picks(item, worker):
            return False
        self._verifier.begin(item, done.planes, worker, receipt_of(done.planes))
        return True

    def failed(self, item: AnyItem, worker: Worker[AnyRequest] | None) -> bool:
        """Whether this item was given for a comparison. It cannot be computed by this worker; None: that is gone."""
        check = self._verifier.of(item)
        if check is not None:
            self._verifier.failed(check, worker)
            if worker is not None:
                self._conclude()
        return check is not None

    def _conclude(self) -> None:
        """Act on the checks that are over."""
        for verdict in self._verifier.verdicts():
            self._judge(verdict.check, verdict)

    def _judge(self, check: Check[AnyRequest], verdict: Verdict[AnyRequest]) -> None:
        for liar in verdict.liars:
            self._expel(liar, check)
        if verdict.believed:
            self._tiles.accept(check.item, check.planes, check.first)
        elif verdict.believed is False:
            self._tiles.compute_again([check.item])
        else:
            names = " and ".join(voter.name for voter, _ in check.votes)
            log.error("workers %s gave different samples for one tile, and nobody can say who is right", names)
            text = "Two workers gave different samples for this, and there is no third one to decide."
            self._tiles.fail(check.item, Refused("worker_lost", text, retry_ms=RETRY_MS))

    def _expel(self, liar: Worker[AnyRequest], check: Check[AnyRequest]) -> None:
        """Nothing that it computed is used any more, and it is not let back while this server runs."""
        others = ", ".join(voter.name for voter, _ in check.votes if voter is not liar)
        why = f"its samples differed from those of {others}"
        said = f"This server expelled it: {why}. Look at its memory and device."
        self._tiles.compute_again(self._verifier.expel(liar, said))
        dropped, anew = self._tiles.disown(liar.identity)
        log.error(
            "worker=%s machine=%s is expelled: %s; %d tiles leave the cache, %d requests begin anew",
            liar.name, liar.identity.machine or "this one", why, dropped, anew,
        )  # fmt: skip
        self._tiles.send_away(liar, Stop(why=said))


def _may_differ(item: AnyItem, done: Done) -> bool:
    """Whether an honest worker may have given other samples than another one."""
    return done.in_pieces and not item.is_exact
