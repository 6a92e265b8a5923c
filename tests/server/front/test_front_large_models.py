"""Facts about the front: how workers come to models that are not sent in one message."""

from pathlib import Path
from typing import Any

import msgpack
import pytest

from blender_addon.protocol import wire
from server.front import crew, dispatcher
from server.front.crew import Address
from server.model import checking
from server.model.work import encode
from tests.models import save_tiny
from tests.server.front.house import FAR, ONE, TWO, House, errors


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose models count as large."""
    monkeypatch.setattr(checking, "SMALL_BYTES", 1000)
    save_tiny(tmp_path, "brick")
    save_tiny(tmp_path, "grass", 1)
    return tmp_path


def orders(house: House) -> list[tuple[Address, str, dict[str, Any]]]:
    return [(address, order.pop("do"), order) for address, order in house.orders()]


def test_our_own_worker_is_told_where_a_large_model_lies_and_one_elsewhere_is_not(large: Path) -> None:
    path, bytes = str(large.resolve() / "brick.safetensors").encode(), (large / "brick.safetensors").stat().st_size
    for address, told in ((ONE, path), (FAR, b"")):
        house = House(large)
        house.joins(address)
        house.generate()
        (_, load, message), (_, paint, order) = orders(house)
        key = house.front.shelf.get("brick").sha256
        assert (load, paint) == ("load large", "paint")
        assert message == {"sha256": key, "name": "brick", "bytes": bytes, "path": told}
        house.paint(address, order)
        assert isinstance(house.said()[0], wire.Result)
        house.generate(seed=8)
        assert [do for _, do, _ in orders(house)] == ["paint"]


def test_a_worker_elsewhere_gets_the_file_piece_by_piece(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "PIECE_BYTES", 10_000)
    house = House(large, watchdog_s=30.0)
    house.joins(FAR)
    house.generate()
    key, data = house.front.shelf.get("brick").sha256, (large / "brick.safetensors").read_bytes()
    _, (_, _, order) = orders(house)
    got = b""
    while len(got) < len(data):
        house.clock.now += 20  # slow, but it goes on: nobody takes it for hung
        house.from_worker(FAR, {"say": "want", "sha256": key, "begin": len(got)})
        ((_, message),) = house.front.dispatcher.to_workers
        house.front.work()
        header, content = encode(message)
        assert msgpack.unpackb(header) == {"do": "piece", "sha256": key, "begin": len(got)}
        house.front.dispatcher.to_workers.clear()
        got += content
    assert got == data
    assert not house.front.dispatcher.given_up
    house.paint(FAR, order)
    assert isinstance(house.said()[0], wire.Result)


def test_pieces_are_only_for_a_worker_with_an_item_for_that_model(large: Path) -> None:
    house = House(large)
    house.joins(FAR)
    house.generate()
    house.orders()
    for key in (house.front.shelf.get("grass").sha256, "../../etc/passwd", "ab" * 32):
        house.from_worker(FAR, {"say": "want", "sha256": key, "begin": 0})
    house.from_worker(TWO, {"say": "want", "sha256": house.front.shelf.get("brick").sha256, "begin": 0})
    assert not house.front.dispatcher.to_workers


@pytest.mark.parametrize("address", [ONE, FAR], ids=["here", "elsewhere"])
def test_a_large_model_replaced_before_it_was_loaded_is_unknown_and_then_the_new_one(
    large: Path, address: Address
) -> None:
    """Facts M2: what waits for the old version ends, and what comes later gets the new one."""
    house = House(large)
    house.joins(address)
    house.generate()
    (_, _, message), (_, _, order) = orders(house)
    (large / "grass.safetensors").replace(large / "brick.safetensors")
    if address == FAR:
        house.from_worker(FAR, {"say": "want", "sha256": message["sha256"], "begin": 0})
        ((_, _, piece),) = orders(house)
        assert piece["begin"] == 0
    failed = {"say": "failed", "task": order["task"], "code": "unknown_model", "text": "Gone.", "lacks_model": True}
    house.from_worker(address, failed)
    assert errors(house.said()) == ["unknown_model"]
    house.generate(seed=8)
    assert errors(house.said()) == ["busy"]  # it is being checked
    house.look()
    house.generate(seed=9)
    (_, load, message), (_, _, order) = orders(house)
    assert load == "load large"
    assert message["sha256"] == house.front.shelf.get("brick").sha256
    house.paint(address, order)
    assert isinstance(house.said()[0], wire.Result)


def test_a_worker_that_lacks_a_model_is_told_of_it_again(large: Path) -> None:
    """Its file was touched, or it was overwritten and is back: the same hash, and another load."""
    house = House(large)
    house.joins()
    house.generate()
    _, (_, _, order) = orders(house)
    failed = {"say": "failed", "task": order["task"], "code": "unknown_model", "text": "Gone.", "lacks_model": True}
    house.from_worker(ONE, failed)
    assert errors(house.said()) == ["unknown_model"]
    house.look()
    house.generate()
    assert [do for _, do, _ in orders(house)] == ["load large", "paint"]


def test_what_a_worker_elsewhere_says_of_a_model_costs_nobody_else_that_model(large: Path) -> None:
    house = House(large)
    house.joins(FAR)
    house.generate()
    _, (_, _, order) = orders(house)
    failed = {"say": "failed", "task": order["task"], "code": "unknown_model", "text": "Gone.", "lacks_model": True}
    house.from_worker(FAR, failed)
    assert house.front.shelf.get("brick")


def test_a_worker_keeps_no_more_bytes_of_models_than_the_cap(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        save_tiny(large, f"m{number}", number)
    size = (large / "m0.safetensors").stat().st_size
    monkeypatch.setattr(crew, "MODEL_BYTES_KEPT", round(2.5 * size))
    house = House(large)
    house.joins()
    told = []
    for model in ("m0", "m1", "m0", "m2", "m1"):
        house.generate(model=model, seed=len(told))
        for _, do, order in orders(house):
            told.append(do)
            if do == "paint":
                house.paint(ONE, order)
    one, two = ["load large", "paint"], ["load large", "drop", "paint"]
    assert told == [*one, *one, "paint", *two, *two]
    monkeypatch.setattr(crew, "MODEL_BYTES_KEPT", 1)
    house.generate(model="m3", seed=99)
    assert [do for _, do, _ in orders(house)] == ["load large", "drop", "drop", "paint"]
