"""Workers as actors of a Ray cluster: the program that has Ray place them. `python -m server.service.on_ray`

The server starts it (server/service/ray_workers.py), so that nothing of Ray is loaded where clients are answered. It is
told what is wanted in one line on standard input, and ends when that closes; Ray ends the actors of a program that has
ended. Ray chooses their machines and GPUs, and notices when one is lost. One that ended is placed anew, somewhere, but
later and later if it does so again and again.

No secret leaves a machine: each actor makes its own key and tells the public half. By that half the server knows it.

    this program says         {"wanted": 4}  {"placed": KEY, "host": "node7"}  {"ended": KEY, "why": "..."}
    and before it gives up    {"useless": true or false, "why": "..."}
    the server answers        {"work": KEY}, when the key opens its socket, and {"end": KEY}

Source: https://docs.ray.io/en/latest/ray-core/actors.html.
"""

import json
import math
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from queue import Empty, SimpleQueue
from typing import Any

from blender_addon.protocol.pairing import new_key, public_key
from server.precision import Precision
from server.ray_cluster import NoCluster, joined
from server.worker.worker_config import MISCONFIGURED, WorkerConfig

LOOK_EVERY_S = 5.0  # at how large the cluster is
STEP_S = 0.1
SLOWEST_RESTART_S = 60.0
USELESS_RESTART_S = 300.0  # of one that the server sent away, or that lacks its device
WELL_S = 10.0  # of work, after which an end counts as no failure of its own
MOST_WHY = 300  # characters


@dataclass(frozen=True, kw_only=True)
class Placement:
    """What is wanted. `workers`: how many in all; 0 for one on each GPU, or else each processor, of the cluster."""

    address: str  # of the cluster
    workers: int
    device: str  # auto, cpu or cuda
    precision: Precision
    endpoint: str  # where the server listens for workers
    server_key: str  # public, in hexadecimal

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()


class RayWorker:
    """The actor: one worker. Ray shows it the GPU that it was given, and no other."""

    def __init__(self) -> None:
        self._key = new_key()
        self._name = ""

    def arrive(self, number: int) -> tuple[str, str]:
        """Its public key in hexadecimal, and the name of its machine."""
        import ray

        gpus = ray.get_runtime_context().get_accelerator_ids().get("GPU", [])
        host = socket.gethostname()[:40]
        self._name = f"{host}-gpu{','.join(gpus)}/{number}" if gpus else f"{host}/{number}"
        return public_key(self._key).hex(), host

    def work(self, endpoint: str, server_key: str, device: str, precision: Precision) -> int:
        """Work until told to stop. Returns what server.worker.worker.run does."""
        from server.worker.worker import run  # torch

        return run(
            WorkerConfig(
                endpoint=endpoint,
                name=self._name,
                device=device,
                precision=precision,
                threads=1 if device == "cpu" else 0,
                server_key=server_key,
                own_key=self._key.hex(),
            )
        )


@dataclass(eq=False)
class Slot:
    """A place for one worker, filled again whenever that has ended."""

    number: int
    actor: Any = None
    answer: Any = None  # what the actor is doing, as Ray's reference
    key: str = ""  # once it has arrived
    began: float = math.inf  # to work
    failures: int = 0  # ends in a row before WELL_S
    again: float = 0.0  # not filled before this time


class Placer:
    """Keeps as many actors as are wanted. `ray`: the module, connected; `tell` says something to the server."""

    def __init__(
        self,
        ray: Any,
        wanted: Placement,
        tell: Callable[[Mapping[str, Any]], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ray, self._wanted, self._tell, self._clock = ray, wanted, tell, clock
        self.slots: list[Slot] = []
        self._looked = -math.inf
        self._told: int | None = None  # how many are wanted
        has_gpus = bool(ray.cluster_resources().get("GPU"))
        self._device = ("cuda" if has_gpus else "cpu") if wanted.device == "auto" else wanted.device
        self._actor = ray.remote(RayWorker).options(
            num_cpus=1, num_gpus=int(self._device == "cuda"), scheduling_strategy="SPREAD", max_restarts=0
        )

    def step(self) -> None:
        """Place what is missing, and act on what has happened since. Waits for STEP_S at most."""
        now = self._clock()
        if now - self._looked >= LOOK_EVERY_S:
            self._looked = now
            self._resize()
        for slot in self.slots:
            if slot.actor is None and now >= slot.again:
                slot.actor = self._actor.remote()
                slot.answer = slot.actor.arrive.remote(slot.number)
        by_answer = {slot.answer: slot for slot in self.slots if slot.answer is not None}
        if not by_answer:
            time.sleep(STEP_S)
            return
        answers, _ = self._ray.wait(list(by_answer), num_returns=1, timeout=STEP_S)
        for answer in answers:
            self._answered(by_answer[answer])

    def _resize(self) -> None:
        """As the cluster grows and shrinks. A worker that has its place keeps it."""
        there = self._ray.cluster_resources().get("GPU" if self._device == "cuda" else "CPU", 0)
        wanted = self._wanted.workers or int(there)
        numbers = {slot.number for slot in self.slots}
        free = (number for number in range(wanted + len(numbers)) if number not in numbers)
        self.slots += [Slot(next(free)) for _ in range(wanted - len(self.slots))]
        for slot in [slot for slot in self.slots if not slot.key][: max(0, len(self.slots) - wanted)]:
            self._empty(slot)
            self.slots.remove(slot)
        if wanted != self._told:
            self._told = wanted
            self._tell({"wanted": wanted})

    def _answered(self, slot: Slot) -> None:
        """It has arrived, or ended."""
        try:
            value = self._ray.get(slot.answer)
        except self._ray.exceptions.RayError as error:
            said = [line.strip() for line in str(error).splitlines() if line.strip()]
            self._ended(slot, said[0] if said else type(error).__name__)
            return
        if slot.key:
            why = "it was sent away, or lacks the device" if value == MISCONFIGURED else "it ended"
            self._ended(slot, why, is_useless=value == MISCONFIGURED)
            return
        slot.key, host = value
        slot.answer = None
        self._tell({"placed": slot.key, "host": host})

    def do(self, command: Mapping[str, Any]) -> None:
        """What the server says. Of an actor that is no longer there it is ignored."""
        for slot in self.slots:
            if slot.key and command.get("work") == slot.key and slot.answer is None:
                wanted = self._wanted
                slot.began = self._clock()
                slot.answer = slot.actor.work.remote(wanted.endpoint, wanted.server_key, self._device, wanted.precision)
            elif slot.key and command.get("end") == slot.key:
                self._ended(slot, "the server lost or ended it")

    def _ended(self, slot: Slot, why: str, *, is_useless: bool = False) -> None:
        now = self._clock()
        slot.failures = 0 if now - slot.began >= WELL_S else slot.failures + 1
        pause_s = 0.0 if slot.failures < 2 else min(SLOWEST_RESTART_S, 2.0 ** (slot.failures - 2))
        self._tell({"ended": slot.key, "why": why[:MOST_WHY]})
        self._empty(slot)
        slot.again = now + (USELESS_RESTART_S if is_useless else pause_s)

    def _empty(self, slot: Slot) -> None:
        if slot.actor is not None:
            with suppress(self._ray.exceptions.RayError):  # it may live on, out of reach
                self._ray.kill(slot.actor)
        slot.actor = slot.answer = None
        slot.key, slot.began = "", math.inf


def main() -> int:
    """Place workers until standard input closes. Returns 2 after it has said why it is of no use."""
    line = sys.stdin.buffer.readline()
    if not line:  # the server ended before it wrote anything
        return 0
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # where Ray tells of machines that are lost

    def tell(said: Mapping[str, Any]) -> None:
        with suppress(BrokenPipeError):  # the server has ended, and so does this in a moment
            print(json.dumps(said), file=out, flush=True)

    wanted = Placement(**json.loads(line))
    try:
        ray = joined(wanted.address)
    except NoCluster as error:
        tell({"useless": True, "why": str(error)})
        return MISCONFIGURED
    commands: SimpleQueue[Mapping[str, Any] | None] = SimpleQueue()
    threading.Thread(target=_listen, args=(commands,), daemon=True).start()
    try:
        placer = Placer(ray, wanted, tell)
        while True:
            placer.step()
            with suppress(Empty):
                while True:
                    if (command := commands.get_nowait()) is None:
                        return 0
                    placer.do(command)
    except Exception as error:  # the cluster is gone
        tell({"useless": False, "why": f"{type(error).__name__}: {error}"[:MOST_WHY]})
        return 1
    finally:
        ray.shutdown()


def _listen(commands: "SimpleQueue[Mapping[str, Any] | None]") -> None:
    """None at the end of standard input."""
    for line in sys.stdin.buffer:
        commands.put(json.loads(line))
    commands.put(None)


if __name__ == "__main__":
    sys.exit(main())
