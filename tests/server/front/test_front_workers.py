"""Facts about the front: workers that join, die, hang, and send nonsense."""

import math
from pathlib import Path
from typing import Any

import pytest

from blender_addon.protocol import wire
from server.front.crew import SILENT_S
from tests.server.front.house import ALICE, BOB, FAR, ONE, TWO, House, errors, window_of


def test_a_model_is_sent_to_a_worker_once(house: House) -> None:
    for seed in range(3):
        house.generate(seed=seed)
        house.front.work()
    loads = [order for _, order in house.orders() if order["do"] == "load"]
    assert [load["name"] for load in loads] == ["brick"]


def test_each_worker_has_two_tiles_at_most(house: House) -> None:
    house.joins(TWO)
    house.generate(size=(4096, 1024))
    paints = [address for address, order in house.orders() if order["do"] == "paint"]
    assert sorted(paints) == [ONE, ONE, TWO, TWO]


def test_what_a_lost_worker_had_is_done_by_another(house: House) -> None:
    house.generate(size=(1024, 1024), seed=5)
    house.orders()
    house.front.dispatcher.lose(house.front.dispatcher.crew.workers[ONE])
    house.joins(TWO)
    assert house.paint_all() == 4
    (result,) = house.said()
    assert isinstance(result, wire.Result)
    assert bytes(result.buffers[0].data) == window_of((1024, 1024), (0, 0, 1024, 1024), 5)


def test_what_was_lost_goes_to_a_worker_that_has_done_something(house: House) -> None:
    """Not to one more of those that come, take work and do nothing."""
    house.generate(seed=1)
    assert house.paint_all() == 1
    house.generate(seed=2, size=(512, 512))
    house.orders()  # ONE is busy with it
    house.joins(FAR)
    house.generate(BOB, seed=3, size=(512, 512))
    house.orders()
    house.joins(("remote", b"two"))
    house.front.dispatcher.lose(house.front.dispatcher.crew.workers[FAR])
    house.joins(FAR)
    assert house.orders() == []  # it waits for the one that is known to work
    house.paint(ONE, {"task": 2, "tile": (0, 0, 512, 512), "seed": 2, "size": (512, 512)})
    assert [(address, order["seed"]) for address, order in house.orders()] == [(ONE, 3)]


def test_a_request_that_kills_workers_is_alone_in_it(house: House) -> None:
    """After one retry `worker_lost`; what waited behind it is done."""
    house.generate(ALICE, seed=666)
    house.generate(BOB, seed=1)
    for death in range(2):
        orders = [order for _, order in house.orders() if order["do"] == "paint"]
        assert orders[0]["seed"] == 666, death
        house.front.dispatcher.lose(house.front.dispatcher.crew.workers[ONE])
        house.joins(ONE)
    assert errors(house.said(ALICE)) == ["worker_lost"]
    assert house.paint_all() == 1
    assert isinstance(house.said(BOB)[0], wire.Result)


def test_a_hung_worker_is_ended_by_the_watchdog(models: Path) -> None:
    house = House(models, watchdog_s=5.0)
    house.joins()
    house.generate()
    house.orders()
    house.clock.now += 4.0
    house.front.work()
    assert not house.front.dispatcher.given_up
    house.clock.now += 2.0
    house.front.work()
    assert [worker.name for worker in house.front.dispatcher.given_up] == ["one"]
    house.joins(TWO)
    assert house.paint_all() == 1


def test_a_worker_that_waits_for_a_processor_does_not_hang(models: Path) -> None:
    """Of a minute it had four seconds."""
    house = House(models, watchdog_s=5.0)
    house.joins()
    house.held_back_s = 100.0  # before it got the tile
    house.generate()
    house.orders()
    house.clock.now += 60.0
    house.held_back_s += 56.0
    house.front.work()
    assert not house.front.dispatcher.given_up
    house.clock.now += 2.0
    house.front.work()
    assert [worker.name for worker in house.front.dispatcher.given_up] == ["one"]


def test_a_late_sign_of_life_does_not_bring_a_dead_worker_back(house: House) -> None:
    house.front.dispatcher.died(ONE)
    house.joins(ONE)
    assert not house.front.dispatcher.crew.workers
    house.joins(TWO)
    house.front.dispatcher.died(("local", b"nobody"))
    assert list(house.front.dispatcher.crew.workers) == [TWO]


def test_a_tile_that_two_workers_get_wrong_is_given_up(house: House) -> None:
    house.generate()
    for _ in range(2):
        orders = [order for _, order in house.orders() if order["do"] == "paint"]
        house.from_worker(ONE, {"say": "done", "task": orders[0]["task"]}, [b"short"])
        house.joins(ONE)
    assert errors(house.said()) == ["worker_lost"]
    assert house.front.idle


def test_an_idle_worker_that_falls_silent_is_given_nothing(models: Path) -> None:
    house = House(models)
    for address in (FAR, ONE):
        house.joins(address)
    house.clock.now += SILENT_S + 1
    house.front.work()
    house.generate()
    assert house.orders() == []
    house.joins(ONE)  # whose process is killed, so what comes from it is of no use
    assert house.orders() == []
    house.joins(FAR)  # it is back
    assert house.paint_all() == 1


def test_a_late_answer_of_a_lost_worker_changes_nothing(house: House) -> None:
    house.generate()
    ((_, _), (address, order)) = house.orders()
    house.front.dispatcher.lose(house.front.dispatcher.crew.workers[ONE])
    house.joins(TWO)
    house.paint(address, order)
    assert house.said() == []
    assert house.paint_all() == 1
    assert len(house.said()) == 1


@pytest.mark.parametrize(
    "said",
    [{"version": "0.0.1"}, {"precision": "fast"}],
    ids=["another version", "another precision"],
)
def test_a_worker_whose_pixels_would_differ_is_sent_away(house: House, said: dict[str, str]) -> None:
    house.joins(TWO, **said)
    ((address, order),) = house.orders()
    assert (address, order["do"]) == (TWO, "stop")
    assert list(house.front.dispatcher.crew.workers) == [ONE]


@pytest.mark.parametrize(
    "message",
    [
        ({"say": "done"}, []),
        ({"say": "done", "task": 1}, [memoryview(b"short")]),
        ({"say": "done", "task": 1}, []),
        ({"say": "failed", "task": 1}, []),
        ({"say": "here"}, []),
    ],
    ids=["no task", "too few samples", "no samples", "no reason", "no figures"],
)
def test_a_worker_that_sends_nonsense_is_dropped_and_its_tile_done_by_another(
    house: House, message: tuple[dict[str, Any], list[memoryview]]
) -> None:
    house.generate(seed=3)
    house.orders()
    house.from_worker(ONE, *message)
    assert ONE not in house.front.dispatcher.crew.workers
    house.joins(TWO)
    house.paint_all()
    (result,) = house.said()
    assert isinstance(result, wire.Result)
    assert bytes(result.buffers[0].data) == window_of((64, 64), (0, 0, 64, 64), 3)


NONSENSE: dict[str, tuple[object, dict[str, Any]]] = {  # what a header holds instead of a progress or a report
    "infinitely much is done": ({"say": "progress", "task": 1, "done": math.inf}, {}),
    "much that is no number is done": ({"say": "progress", "task": 1, "done": math.nan}, {}),
    "a list for a name": ({}, {"name": ["one"]}),
    "a number for a name": ({}, {"name": 1}),
    "bytes for figures": ({}, {"memory_mb": b"1"}),
    "a figure that is not finite": ({}, {"memory_mb": math.inf}),
    "a huge figure": ({}, {"memory_mb": 2**64 - 1}),
    "devices that are no list": ({}, {"others": 3}),
    "a list for a kind": ({"say": ["here"]}, {}),
    "no map": (7, {}),
}


@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense_from_a_worker_disconnects_it_and_harms_nothing_else(house: House, what: str) -> None:
    """The front goes on, its figures can be told in JSON, and what the worker had is done by another."""
    house.generate(seed=3)
    house.orders()
    header, changes = NONSENSE[what]
    house.joins(ONE, **changes) if changes else house.from_worker(ONE, header)
    assert ONE not in house.front.dispatcher.crew.workers
    house.joins(("local", b"stranger"), **changes) if changes else house.from_worker(("local", b"stranger"), header)
    house.joins(TWO)
    assert list(house.front.dispatcher.crew.workers) == [TWO]
    house.asks(BOB, wire.GetStatus(id=1))
    (status,) = house.said(BOB)
    assert isinstance(status, wire.Status)
    assert [device["name"] for device in status.report["devices"]] == ["two"]
    assert house.paint_all() == 1
    assert isinstance(house.said()[0], wire.Result)
    house.front.dispatcher.died(TWO)
    assert house.front.state == "starting"


def test_a_worker_elsewhere_that_takes_the_name_of_one_here_does_not_die_with_it(house: House) -> None:
    house.joins(FAR, name="one")
    house.front.dispatcher.died(ONE)
    assert list(house.front.dispatcher.crew.workers) == [FAR]


def test_one_that_died_before_its_first_word_was_read_never_joins(models: Path) -> None:
    """Its successor has the same name, and must not be given up in its place."""
    house = House(models)
    house.front.dispatcher.died(ONE)
    house.joins(ONE, name="cpu/0")
    house.joins(TWO, name="cpu/0")
    assert list(house.front.dispatcher.crew.workers) == [TWO]


@pytest.mark.parametrize(("code", "told"), [("oom", "oom"), ("made up", "internal")])
def test_a_tile_that_fails_ends_its_requests_with_the_code(house: House, code: str, told: str) -> None:
    house.generate()
    order = house.orders()[-1][1]
    house.from_worker(ONE, {"say": "failed", "task": order["task"], "code": code, "text": "Too small."})
    assert errors(house.said()) == [told]
    assert house.front.idle
