"""Facts about the front: how clients and keys share it, and how little one that does not read costs."""

import itertools
from collections import Counter
from pathlib import Path

import pytest

from blender_addon.protocol import wire
from server.front.crew import GIVEN_AT_ONCE
from server.front.dispatcher import BEGUN_BYTES
from server.front.front import ALWAYS_WAITING, KEY_WAITING, MAX_WAITING
from server.front.origin import Origin
from server.model.maps import MATERIAL
from tests.models import save_tiny
from tests.server.front.house import ALICE, BOB, ONE, House, errors


def test_a_client_beyond_its_cap_is_told_to_wait(house: House) -> None:
    """The first client gets `busy` beyond its cap; the second's requests wait for less than two jobs."""
    for seed in range(200):
        house.generate(ALICE, seed=seed)
    busy = house.said()
    assert errors(busy) == ["busy"] * (200 - wire.Limits().max_requests)
    assert all(isinstance(reply, wire.Error) and reply.retry_ms for reply in busy)
    for seed in range(10):
        house.generate(BOB, seed=1000 + seed)
    order = []
    while orders := [each for each in house.orders() if each[1]["do"] == "paint"]:
        for address, job in orders:
            order.append("b" if job["seed"] >= 1000 else "a")
            house.paint(address, job)
    assert len(house.said(BOB)) == 10
    assert "aaa" not in "".join(order)[: "".join(order).rindex("b")]


def crowd(house: House, clients: int, requests: int, size: tuple[int, int], key: str = "crowd") -> None:
    """So many clients of one key on one machine, each with so many requests of its own textures."""
    seeds = itertools.count(10_000)
    for number in range(clients):
        client = b"crowd %d" % number
        house.origins[client] = Origin(key=key, peer="10.0.0.1")
        for _ in range(requests):
            house.generate(client, seed=next(seeds), size=size)


def jobs_before(house: House, client: bytes, tiles: int) -> int:
    """How many tiles are painted for others before that client has its own."""
    before = 0
    while tiles:
        orders = [order for _, order in house.orders() if order["do"] == "paint"]
        assert orders, "nothing is painted"
        for order in orders:
            house.paint(ONE, order)
            mine = order["seed"] < 10_000
            tiles -= mine
            before += not mine and tiles > 0
    assert isinstance(house.said(client)[-1], wire.Result)
    return before


@pytest.mark.parametrize("clients", [1, 8, 64])
@pytest.mark.parametrize("size", [(64, 64), (2048, 2048)], ids=["small", "large"])
@pytest.mark.parametrize("key", ["crowd", "another"])
def test_a_small_request_waits_for_two_jobs_at_most_however_many_clients_there_are(
    models: Path, clients: int, size: tuple[int, int], key: str
) -> None:
    """Whoever's key it has, and also the next times. Counted in tiles, of which a large job has sixteen."""
    house = House(models, limits=wire.Limits(max_window_pixels=2**22))
    house.joins()
    crowd(house, clients, 64 // clients, size)
    house.origins[ALICE] = Origin(key=key, peer="10.0.0.2")
    for turn in range(5):
        for _ in range(3):
            for order in [order for _, order in house.orders() if order["do"] == "paint"]:
                house.paint(ONE, order)
        house.generate(ALICE, seed=turn)
        assert jobs_before(house, ALICE, 1) <= 3, turn


def test_many_clients_of_one_key_leave_room_for_others_and_for_who_has_just_come(house: House) -> None:
    crowd(house, 64, 64, (64, 64))
    told = [house.said(b"crowd %d" % number) for number in range(64)]
    assert sum(map(len, told)) > 64 * 64 - KEY_WAITING - 64 * ALWAYS_WAITING - 1
    assert set(itertools.chain(*map(errors, told))) == {"busy"}
    house.origins[ALICE] = Origin(key="another")
    house.origins[BOB] = Origin(key="crowd", peer="10.0.0.1")
    for seed in range(20):
        house.generate(ALICE, seed=seed)
    house.generate(BOB, seed=50)
    assert house.said(ALICE) == house.said(BOB) == []


def test_the_queue_is_bounded_whatever_keys_there_are(models: Path) -> None:
    house = House(models)
    for number in range(8):
        for client in range(1200):
            name = b"%d %d" % (number, client)
            house.origins[name] = Origin(key=f"key {number}")
            house.generate(name, seed=client)
    assert len(house.front.dispatcher.queue) <= 2 * MAX_WAITING


def test_a_client_that_does_not_read_gets_no_new_work(house: House) -> None:
    house.blocked.add(ALICE)
    house.generate(ALICE, seed=1)
    house.generate(BOB, seed=2)
    assert house.paint_all() == 1
    house.blocked.clear()
    assert house.paint_all() == 1


def test_a_client_that_is_gone_costs_nothing_more(house: House) -> None:
    house.generate(ALICE, size=(4096, 1024))
    orders = house.orders()
    house.front.forget(ALICE)
    for address, order in orders:
        if order["do"] == "paint":
            house.paint(address, order)
    assert house.paint_all() == 0
    assert house.front.idle


def test_many_large_results_are_put_together_a_few_at_a_time(house: House) -> None:
    """However many clients ask for them at once, also those that have left; small ones do not wait for that."""

    def turn() -> bool:
        orders = [order for _, order in house.orders() if order["do"] == "paint"]
        for order in orders:
            blank = memoryview(bytes(order["tile"][2] * order["tile"][3] * 3))
            house.from_worker(ONE, {"say": "done", "task": order["task"]}, [blank])
        return bool(orders)

    for number in range(30):
        house.generate(b"client %d" % number, size=(2048, 2048), seed=number)  # 12 MB each
    most = 0
    for _ in range(40):
        turn()
        most = max(most, house.front.report()["queue"]["running"])
    assert most == BEGUN_BYTES // (12 * 2**20)
    house.generate(BOB, seed=1000)
    turns = 0
    while not house.said(BOB):
        turn()
        turns += 1
    assert turns < 2 * most
    while turn():
        pass
    assert house.front.figures.outcomes == {"ok": 31}


def test_a_client_that_does_not_read_is_sent_nothing_large(house: House) -> None:
    house.blocked.add(ALICE)
    house.asks(ALICE, wire.GetThumbnail(id=1, model="brick"))
    house.asks(ALICE, wire.ListModels(id=2))
    house.asks(BOB, wire.ListModels(id=2))
    assert errors(house.said()) == ["busy", "busy"]
    assert isinstance(house.said(BOB)[0], wire.Models)


def test_sixty_four_workers_each_have_a_tile_of_a_whole_set_and_another_that_waits(tmp_path: Path) -> None:
    """Large results in progress are bounded, but not below what many workers need."""
    save_tiny(tmp_path, "set", maps=MATERIAL)
    house = House(tmp_path)
    for number in range(64):
        house.joins(("remote", b"%d" % number))
    for number in range(200):
        house.generate(b"client %d" % (number % 8), model="set", size=(512, 512), seed=number)
    given = Counter(address for address, order in house.orders() if order["do"] == "paint")
    assert len(given) == 64
    assert set(given.values()) == {GIVEN_AT_ONCE}
