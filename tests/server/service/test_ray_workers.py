"""What the server knows of workers that Ray places, told by a program that stands in for the one that uses Ray."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from server.service import on_ray
from server.service.on_ray import Placement, Placer
from server.service.ray_workers import SILENT_S, RayWorkers
from server.worker.worker_config import MISCONFIGURED
from tests.server.session import ROOT, eventually

ONE, TWO = "11" * 32, "22" * 32
WANTED = Placement(
    address="auto", workers=0, device="auto", precision="auto", endpoint="tcp://10.0.0.1:7734", server_key="ab" * 32
)
# Says each line of the file, then what it hears; "die" among what is said ends it.
PROGRAM = """
import json, pathlib, sys
said = pathlib.Path(sys.argv[1])
for line in said.read_text().splitlines():
    if line == "die":
        sys.exit(3)
    print(line, flush=True)
heard = open(sys.argv[2], "a", buffering=1)
for line in sys.stdin:
    heard.write(line)
"""


class House:
    """A server's side, with a clock of its own."""

    def __init__(self, folder: Path, *said: Any) -> None:
        self.now, self.doors = 100.0, frozenset[str]()
        self.said, self.heard_file = folder / "said", folder / "heard"
        self.says(*said)
        self.heard_file.touch()
        self.ended: list[str] = []
        self.ray = RayWorkers(
            WANTED,
            self.let_in,
            command=(sys.executable, "-c", PROGRAM, str(self.said), str(self.heard_file)),
            clock=lambda: self.now,
        )

    def says(self, *said: Any) -> None:
        self.said.write_text("\n".join(each if isinstance(each, str) else json.dumps(each) for each in said))

    def let_in(self, keys: frozenset[str]) -> None:
        self.doors = keys

    def until(self, holds: Callable[[], Any], what: str, *reporting: str) -> None:
        def ticked() -> bool:
            self.ended += self.ray.tick(set(reporting))
            return bool(holds())

        eventually(ticked, what)

    def heard(self) -> list[Any]:
        return [json.loads(line) for line in self.heard_file.read_text().splitlines()]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Callable[..., House]]:
    houses: list[House] = []

    def build(*said: Any) -> House:
        houses.append(House(tmp_path, *said))
        return houses[-1]

    yield build
    for each in houses:
        each.ray.stop()


def test_a_placed_worker_begins_when_its_key_opens_the_socket(house: Callable[..., House]) -> None:
    here = house({"wanted": 2}, {"placed": ONE, "host": "node"}, {"placed": TWO, "host": "node"})
    here.until(lambda: len(here.heard()) == 3, "two orders after the placement")
    assert here.heard() == [json.loads(WANTED.to_json()), {"work": ONE}, {"work": TWO}]
    assert here.doors == {ONE, TWO}
    here.until(lambda: True, "", ONE)
    report = {"state": "connected", "wanted": 2, "placed": 2, "workers": 1, "restarts": 0}
    assert here.ray.report() == report
    here.ray.end(ONE)
    here.until(lambda: here.heard()[-1] == {"end": ONE}, "the order to end one")


def test_the_key_of_a_worker_that_ended_opens_nothing(
    house: Callable[..., House], caplog: pytest.LogCaptureFixture
) -> None:
    here = house({"wanted": 1}, {"placed": ONE, "host": "node7"}, {"ended": ONE, "why": "its machine\x1b is lost"})
    here.until(lambda: here.ended == [ONE], "its end")
    assert here.doors == frozenset()
    assert not here.ray.has(ONE)
    assert here.ray.report()["restarts"] == 1
    assert "node7 has ended: its machine" in caplog.text
    assert "\x1b" not in caplog.text


def test_when_the_program_dies_its_workers_are_gone_and_it_is_started_again(house: Callable[..., House]) -> None:
    here = house({"wanted": 1}, {"placed": ONE, "host": "node"}, "die")
    here.until(lambda: here.ended == [ONE], "the end of its worker")
    assert here.doors == frozenset()
    assert here.ray.report()["state"] == "connecting"
    here.says({"wanted": 1}, {"placed": TWO, "host": "node"})
    assert here.ray.tick(set()) == []
    assert here.ray.report()["state"] == "connecting"
    here.now += 60
    here.until(lambda: here.doors == {TWO}, "another worker")


@pytest.mark.parametrize("was_of_use", [False, True])
def test_a_cluster_that_never_was_there_ends_the_server_and_one_that_is_lost_does_not(
    house: Callable[..., House], was_of_use: bool
) -> None:
    said = [{"wanted": 1}] if was_of_use else []
    here = house(*said, {"useless": True, "why": "There is no Ray cluster."}, "die")
    here.until(lambda: here.ray._popen is None, "its end")
    assert here.ray.useless == ("" if was_of_use else "There is no Ray cluster.")


def test_a_worker_that_cannot_reach_the_server_is_told_of_in_the_log(
    house: Callable[..., House], caplog: pytest.LogCaptureFixture
) -> None:
    here = house({"wanted": 1}, {"placed": ONE, "host": "node"}, {"placed": TWO, "host": "other"})
    here.until(lambda: here.doors == {ONE, TWO}, "the workers", TWO)
    here.now += SILENT_S + 1
    here.until(lambda: "has not reported" in caplog.text, "a line of the log", TWO)
    assert "worker on node was placed" in caplog.text
    assert "can that machine reach tcp://10.0.0.1:7734?" in caplog.text
    assert "worker on other" not in caplog.text


def test_without_ray_the_program_says_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "ray.py").write_text("raise ImportError")
    done = subprocess.run(
        [sys.executable, "-m", "server.service.on_ray"],
        input=WANTED.to_json() + b"\n", env={"PYTHONPATH": f"{tmp_path}:{ROOT}"}, capture_output=True, timeout=60,
    )  # fmt: skip
    said = json.loads(done.stdout)
    assert said["useless"] is True
    assert "pip install 'texserver[ray]'" in said["why"]
    assert done.returncode == MISCONFIGURED


# ------------------------------------------------------------------------------------------------ what is asked of Ray


class Lost(Exception):
    """As ray.exceptions.RayError."""


class Cluster:
    """As much of Ray's module as the placer uses. Each reference is (actor, what it was asked)."""

    exceptions = SimpleNamespace(RayError=Lost)

    def __init__(self, **resources: float) -> None:
        self.resources, self.options = resources, dict[str, Any]()
        self.actors: list[Any] = []
        self.killed: list[Any] = []
        self.answers: dict[tuple[Any, str], Any] = {}

    def cluster_resources(self) -> dict[str, float]:
        return self.resources

    def remote(self, kind: type) -> Any:
        def options(**told: Any) -> Any:
            self.options = told
            return SimpleNamespace(remote=self._actor)

        return SimpleNamespace(options=options)

    def _actor(self) -> Any:
        number = len(self.actors)
        asked = {name: SimpleNamespace(remote=lambda *_, name=name: (number, name)) for name in ("arrive", "work")}
        self.actors.append(SimpleNamespace(number=number, **asked))
        return self.actors[-1]

    def wait(self, answers: list[Any], *, num_returns: int, timeout: float) -> tuple[list[Any], list[Any]]:
        ready = [each for each in answers if each in self.answers][:num_returns]
        return ready, [each for each in answers if each not in ready]

    def get(self, answer: Any) -> Any:
        value = self.answers.pop(answer)
        if isinstance(value, Exception):
            raise value
        return value

    def kill(self, actor: Any) -> None:
        self.killed.append(actor.number)


class Placing:
    """A placer on such a cluster, with a clock of its own."""

    def __init__(self, cluster: Cluster, **wanted: Any) -> None:
        self.cluster, self.now = cluster, 0.0
        self.told: list[Any] = []
        fields = json.loads(WANTED.to_json()) | wanted
        self.placer = Placer(cluster, Placement(**fields), self.told.append, lambda: self.now)
        self.placer.step()

    def works(self, number: int, key: str = ONE) -> None:
        """This actor arrives and is told to work."""
        self.cluster.answers[number, "arrive"] = (key, "node")
        self.placer.step()
        self.placer.do({"work": key})

    def ends(self, number: int, answer: Any) -> None:
        self.cluster.answers[number, "work"] = answer
        self.placer.step()


@pytest.fixture(autouse=True)
def no_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_ray, "STEP_S", 0.0)


@pytest.mark.parametrize(
    ("resources", "wanted", "gpus", "actors"),
    [
        ({"CPU": 16.0, "GPU": 3.0}, {}, 1, 3),
        ({"CPU": 4.0}, {}, 0, 4),
        ({"CPU": 16.0, "GPU": 3.0}, {"device": "cpu"}, 0, 16),
        ({"CPU": 4.0}, {"device": "cuda", "workers": 2}, 1, 2),
        ({"CPU": 1.0}, {"workers": 6}, 0, 6),
    ],
    ids=str,
)
def test_a_worker_is_asked_for_on_each_device_or_as_many_as_wanted(
    resources: dict[str, float], wanted: dict[str, Any], gpus: int, actors: int
) -> None:
    here = Placing(Cluster(**resources), **wanted)
    assert here.cluster.options["num_gpus"] == gpus
    assert len(here.cluster.actors) == actors
    assert here.told == [{"wanted": actors}]


def test_the_number_follows_the_cluster_and_no_worker_loses_its_place() -> None:
    here = Placing(Cluster(CPU=2.0))
    here.works(1)
    here.cluster.resources = {"CPU": 3.0}
    here.now += 10
    here.placer.step()
    assert [slot.number for slot in here.placer.slots] == [0, 1, 2]
    here.cluster.resources = {}
    here.now += 10
    here.placer.step()
    assert [slot.key for slot in here.placer.slots] == [ONE]
    assert sorted(here.cluster.killed) == [0, 2]  # they had no place yet


def test_what_is_lost_is_placed_anew_at_once_and_what_fails_later_and_later() -> None:
    here = Placing(Cluster(CPU=1.0))
    here.works(0)
    here.now += 60
    here.ends(0, Lost("The node died.\nMore of it."))
    assert here.told[-1] == {"ended": ONE, "why": "The node died."}
    pauses = []
    for number in range(1, 10):
        lost = here.now
        while len(here.cluster.actors) == number:
            here.placer.step()
            here.now += 0.5
        pauses.append(here.now - lost)
        here.works(number)
        here.ends(number, Lost("It crashed."))
    assert pauses[:2] == [0.5, 0.5]
    assert pauses == sorted(pauses)
    assert 60 <= pauses[-1] < 62


def test_one_that_was_sent_away_is_not_tried_again_for_minutes() -> None:
    here = Placing(Cluster(CPU=1.0))
    here.works(0)
    here.ends(0, MISCONFIGURED)
    assert here.cluster.killed == [0]
    here.now += 100
    here.placer.step()
    assert len(here.cluster.actors) == 1
    here.now += 250
    here.placer.step()
    assert len(here.cluster.actors) == 2


def test_an_order_for_one_that_has_ended_is_ignored() -> None:
    here = Placing(Cluster(CPU=1.0))
    here.works(0)
    here.placer.do({"end": TWO})
    assert here.cluster.killed == []
    here.placer.do({"end": ONE})
    assert here.cluster.killed == [0]
    here.placer.do({"end": ONE})
    here.placer.do({"work": ONE})
    assert here.cluster.killed == [0]
