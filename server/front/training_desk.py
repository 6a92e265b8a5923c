"""What the front asks of whoever has models trained. server/service/training.py does it; without one, nobody trains."""

from collections.abc import Mapping
from typing import Protocol

from blender_addon.protocol import wire
from server.errors import Refused
from server.front.origin import Origin


class TrainingDesk(Protocol):
    """Takes trainings and tells how they are. Each key has its own; methods raise Refused."""

    def why_not(self, origin: Origin) -> str:
        """Why this client may not train, as a sentence; "" if it may."""

    def take(self, origin: Origin, request: wire.Train) -> wire.Job:
        """Keep the maps and queue the training, unless it is known by its token."""

    def job(self, key: str, request: wire.GetJob) -> wire.Job:
        """How a training is, with its picture if that is newer than what the client has."""

    def cancel(self, key: str, request: wire.CancelJob) -> wire.Job:
        """End a training, if it has not ended."""

    def jobs(self, key: str, request: wire.ListJobs) -> wire.Jobs:
        """The trainings of the key, the latest first."""

    def figures(self) -> Mapping[str, int]:
        """Of all keys: how many are `waiting` and `running`, and how many have ended since the server began, by state;
        empty where nobody trains.
        """


class NoTraining:
    """The desk of a server that trains nothing; `why` is a sentence."""

    def __init__(self, why: str) -> None:
        self._why = why

    def why_not(self, origin: Origin) -> str:
        return self._why

    def take(self, origin: Origin, request: wire.Train) -> wire.Job:
        raise Refused("unknown_op", f"op: {self._why}")

    def job(self, key: str, request: wire.GetJob) -> wire.Job:
        raise unknown_job(request.token)

    def cancel(self, key: str, request: wire.CancelJob) -> wire.Job:
        raise unknown_job(request.token)

    def jobs(self, key: str, request: wire.ListJobs) -> wire.Jobs:
        return wire.Jobs(id=request.id, jobs=())

    def figures(self) -> Mapping[str, int]:
        return {}


def unknown_job(token: str) -> Refused:
    """The refusal for a token that nobody knows."""
    return Refused("not_found", f"token: there is no training {token} of this key; it may have ended over a day ago.")
