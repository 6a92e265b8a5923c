"""Facts about tiles that are computed twice: who is believed, who is expelled, and that no false tile is used."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blender_addon.protocol import wire
from server.front.crew import Address
from server.front.dispatcher import Dispatcher
from server.model.maps import BASE_COLOUR
from server.model.receipt import receipt_of
from tests.models import save_tiny, save_tiny_quilt
from tests.server.front.house import ALICE, FAR, ONE, TWO, House, errors, painted, window_of

OTHER: Address = ("remote", b"two")
THIRD: Address = ("remote", b"three")
AGAIN: Address = ("remote", b"another connection")


@pytest.fixture(scope="module")
def quilts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("quilts")
    save_tiny_quilt(folder, "brick", maps=(BASE_COLOUR,))
    save_tiny_quilt(folder, "moss", seed=1, maps=(BASE_COLOUR,))
    save_tiny(folder, "net")
    return folder


class Court(House):
    """A house whose workers may lie: `liars` change one byte of what they compute."""

    def __init__(self, folder: Path, *workers: Address, **options: Any) -> None:
        super().__init__(folder, cache_bytes=2**24, verify=1.0, **options)
        self.liars: set[Address] = set()
        self.short_of_memory: set[Address] = set()
        self.asked: list[tuple[Address, bool]] = []  # who computed, and whether a receipt alone
        self.dispatcher.verifier._chance = lambda: 0.0
        self.machines = dict.fromkeys((FAR, OTHER, THIRD, AGAIN), "10.0.0.9")
        for each in workers:
            self.joins(each)

    @property
    def dispatcher(self) -> Dispatcher:
        return self.front.dispatcher

    def paint(self, address: Address, order: dict[str, Any]) -> None:
        tile = bytearray(painted(order["tile"], order["seed"], order["size"]))
        if address in self.liars:
            tile[len(tile) // 2] ^= 1
        only = order.get("receipt_only", False)
        self.asked.append((address, only))
        said = {"say": "done", "task": order["task"], "receipt": receipt_of([tile])}
        said["in_pieces"] = address in self.short_of_memory
        self.from_worker(address, said, [] if only else [bytes(tile)])

    @property
    def there(self) -> set[Address]:
        return set(self.dispatcher.crew.workers)


def truth_of(house: House, seed: int = 7) -> None:
    (result,) = house.said()
    assert isinstance(result, wire.Result)
    assert bytes(result.buffers[0].data) == window_of((64, 64), (0, 0, 64, 64), seed)


def test_a_tile_that_two_agree_on_is_delivered(quilts: Path) -> None:
    house = Court(quilts, ONE, FAR)
    house.generate()
    house.paint_all()
    truth_of(house)
    (first, only), (second, receipt_only) = house.asked
    assert {first, second} == {ONE, FAR}
    assert (only, receipt_only) == (False, True)
    assert house.front.report()["verification"]["checked"] == 1
    assert house.there == {ONE, FAR}


def test_it_is_not_delivered_before(quilts: Path) -> None:
    house = Court(quilts, ONE, FAR)
    house.generate()
    ((address, order),) = [each for each in house.orders() if each[1]["do"] == "paint"]
    house.paint(address, order)
    assert house.said() == []
    house.paint_all()
    truth_of(house)


@pytest.mark.parametrize("liar", [ONE, TWO, FAR], ids=str)
def test_of_three_the_one_that_differs_is_expelled(quilts: Path, liar: Address) -> None:
    house = Court(quilts, ONE, TWO, FAR)
    house.liars.add(liar)
    seeds = {house.generate(seed=seed): seed for seed in range(12)}
    house.paint_all()
    results = house.said()
    assert len(results) == 12
    for result in results:
        assert isinstance(result, wire.Result)
        assert bytes(result.buffers[0].data) == window_of((64, 64), (0, 0, 64, 64), seeds[result.id])
    assert house.there == {ONE, TWO, FAR} - {liar}
    (told,) = house.front.report()["verification"]["expelled"]
    assert told["name"] == liar[1].decode()


@pytest.mark.parametrize("first", [ONE, FAR], ids=str)
def test_of_two_the_one_of_this_machine_is_believed(quilts: Path, first: Address) -> None:
    house = Court(quilts, first)
    house.liars.add(FAR)
    house.generate()
    orders = house.orders()
    house.joins(FAR if first == ONE else ONE)
    for address, order in orders:
        if order["do"] == "paint":
            house.paint(address, order)
    house.paint_all()
    truth_of(house)
    assert house.there == {ONE}


def test_who_is_expelled_is_not_let_back_and_is_told_why(quilts: Path, caplog: pytest.LogCaptureFixture) -> None:
    house = Court(quilts, ONE)
    house.joins(FAR, name="node/11")
    house.liars.add(FAR)
    house.generate()
    house.paint_all()
    assert "is expelled: its samples differed from those of one" in caplog.text
    assert [worker.address for worker in house.dispatcher.given_up] == [FAR]
    house.orders()
    for address in (FAR, AGAIN):
        house.joins(address, name="node/12")
        ((_, order),) = house.orders()
        assert order["do"] == "stop"
        assert "expelled" in order["why"]
    assert house.there == {ONE}


def test_what_a_liar_had_painted_leaves_the_cache_and_unfinished_requests_begin_anew(quilts: Path) -> None:
    house = Court(quilts, FAR)  # alone, so that nobody compares
    house.liars.add(FAR)
    house.generate(seed=1)
    house.paint_all()
    (result,) = house.said()
    assert isinstance(result, wire.Result)
    assert bytes(result.buffers[0].data) != window_of((64, 64), (0, 0, 64, 64), 1)
    large = (64, 1100)
    house.generate(seed=2, size=large)
    order = next(order for _, order in house.orders() if order["do"] == "paint")
    house.paint(FAR, order)  # one tile of the large one is false
    house.joins(ONE)
    house.paint_all()
    assert house.there == {ONE}
    (result,) = house.said()
    assert isinstance(result, wire.Result)
    assert bytes(result.buffers[0].data) == window_of(large, (0, 0, *large), 2)
    house.generate(seed=1)
    assert house.paint_all() == 1  # not from the cache
    truth_of(house, 1)


def test_what_nobody_can_decide_is_not_delivered(quilts: Path) -> None:
    house = Court(quilts, FAR, OTHER)
    house.liars.add(FAR)
    house.generate()
    house.paint_all()
    assert errors(house.said(ALICE)) == ["worker_lost"]
    assert house.front.report()["verification"]["undecided"] == 1
    assert house.there == {FAR, OTHER}
    house.joins(THIRD)
    house.generate()
    house.paint_all()
    truth_of(house)
    assert house.there == {OTHER, THIRD}


@pytest.mark.parametrize("ending", ["dies", "fails", "sends samples", "is alone"])
def test_a_check_outlives_who_was_asked(quilts: Path, ending: str) -> None:
    house = Court(quilts, ONE, FAR)
    house.generate()
    house.paint(*next(each for each in house.orders() if each[1]["do"] == "paint"))
    ((address, order),) = [each for each in house.orders() if each[1]["do"] == "paint"]
    assert order["receipt_only"]
    match ending:
        case "dies":
            house.joins(TWO)
            house.dispatcher.lose(house.dispatcher.crew.workers[address])
        case "fails":
            house.from_worker(
                address,
                {"say": "failed", "task": order["task"], "code": "internal", "text": "No."},
            )
        case "sends samples":
            house.from_worker(address, {"say": "done", "task": order["task"]}, [b"samples"])
            assert address not in house.there
        case _:
            house.dispatcher.lose(house.dispatcher.crew.workers[address])
    house.paint_all()
    truth_of(house)
    assert house.front.idle
    assert not house.dispatcher.items


@pytest.mark.parametrize(("one", "other", "compared"), [("x", "x", True), ("x", "y", False), ("", "", False)], ids=str)
def test_networks_are_compared_where_the_arithmetic_is_the_same(
    quilts: Path, one: str, other: str, compared: bool
) -> None:
    """Elsewhere their samples differ a little."""
    house = Court(quilts)
    house.joins(ONE, arithmetic=one)
    house.joins(FAR, arithmetic=other)
    house.generate(model="net")
    house.paint_all()
    assert [only for _, only in house.asked] == ([False, True] if compared else [False])
    truth_of(house)
    assert house.front.report()["verification"]["checked"] == int(compared)


def test_a_network_that_differs_is_judged_by_a_third_of_the_same_arithmetic(quilts: Path) -> None:
    house = Court(quilts)
    for address, arithmetic in ((FAR, "x"), (OTHER, "x"), (ONE, "y"), (THIRD, "x")):
        house.joins(address, arithmetic=arithmetic)
    house.liars |= {FAR, ONE}  # ONE computes otherwise, and is right to do so
    for seed in range(12):
        house.generate(model="net", seed=seed)
    house.paint_all()
    assert len([each for each in house.said() if isinstance(each, wire.Result)]) == 12
    assert house.there == {OTHER, ONE, THIRD}
    voters = {address for address, only in house.asked if only}
    assert ONE not in voters


@pytest.mark.parametrize("short", [{ONE}, {FAR}, {ONE, FAR}], ids=["the own", "the far", "both"])
def test_what_was_painted_in_pieces_is_compared_for_quilts_alone(quilts: Path, short: set[Address]) -> None:
    """Short of memory, an honest worker's network differs in the last bit. A quilt does not."""
    house = Court(quilts)
    for address in (ONE, FAR):
        house.joins(address, arithmetic="x")
    house.liars.add(FAR)
    house.short_of_memory = short
    house.generate(model="net")
    house.paint_all()
    assert isinstance(house.said()[0], wire.Result)
    assert house.there == {ONE, FAR}
    for seed in range(4):
        house.generate(seed=seed)
    house.paint_all()
    assert house.there == {ONE}


def test_blends_are_compared(quilts: Path) -> None:
    house = Court(quilts, ONE, TWO, FAR)
    house.liars.add(FAR)
    mask = wire.Buffer(name="mask", dtype="uint8", shape=(4, 4, 1), data=bytes(16))
    for seed in range(12):
        house.asks(ALICE, wire.Blend(id=seed + 1, models=("brick", "moss"), seed=seed, size=(64, 64), mask=mask))
    house.paint_all()
    results = {each.id: each for each in house.said() if isinstance(each, wire.Result)}
    for seed in range(12):
        assert bytes(results[seed + 1].buffers[0].data) == window_of((64, 64), (0, 0, 64, 64), seed)
    assert house.there == {ONE, TWO}
    assert house.front.report()["verification"]["checked"] >= 12


def test_the_first_tiles_of_a_worker_are_compared_more_often_than_the_share(quilts: Path) -> None:
    house = Court(quilts, ONE, FAR)
    verifier = house.dispatcher.verifier
    verifier.share = 0.02
    house.generate()
    item = None
    house.orders()
    (item,) = house.dispatcher.items.values()
    worker = house.dispatcher.crew.workers[FAR]

    def picked(count: int, chances: Iterator[float]) -> int:
        verifier._chance = lambda: next(chances)
        return sum(verifier.picks(item, worker) for _ in range(count))

    def spread() -> Iterator[float]:
        while True:
            for each in range(1000):
                yield (each * 617 % 1000) / 1000

    chances = spread()
    assert picked(100, chances) == 100
    assert 50 <= picked(100, chances) <= 90
    picked(10_000, chances)
    assert picked(10_000, chances) == 200
