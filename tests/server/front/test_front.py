"""Facts about the front: what is answered and refused, ids, cancelling, deadlines, models that change, and the end."""

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blender_addon.protocol import wire
from server.front.crew import Address
from server.front.front import BAD_MESSAGES
from server.front.log_budget import LINES
from server.front.origin import Origin
from server.msgpack_codec import CODECS
from tests.models import save_tiny
from tests.server.front.house import ALICE, BOB, ONE, TWO, House, errors, window_of

# ----------------------------------------------------------------------------------------------------------- answering


def test_questions_are_answered_before_any_worker_is_there(models: Path) -> None:
    house = House(models)
    house.asks(ALICE, wire.Hello(id=1, client="test 1"))
    house.asks(ALICE, wire.ListModels(id=2))
    house.asks(ALICE, wire.GetStatus(id=3))
    house.asks(ALICE, wire.GetThumbnail(id=4, model="grass"))
    welcome, listed, status, thumbnail = house.said()
    assert isinstance(welcome, wire.Welcome)
    assert (welcome.protocol, welcome.state, welcome.limits) == (1, "starting", wire.Limits())
    assert isinstance(listed, wire.Models)
    assert [(each["name"], each["state"]) for each in listed.models] == [("brick", "ready"), ("grass", "ready")]
    assert isinstance(status, wire.Status)
    assert status.report["models"] == {"ready": 2, "broken": 0, "checking": 0}
    assert isinstance(thumbnail, wire.Result)
    assert thumbnail.buffers[0].shape == (32, 48, 3)


@pytest.mark.parametrize("letter", [wire.JSON, wire.MSGPACK])
@pytest.mark.parametrize(
    ("size", "window"),
    [((64, 64), None), ((1200, 700), (1100, 650, 300, 200)), ((1024, 1024), (0, 0, 1024, 1024))],
    ids=str,
)
def test_a_window_is_answered_with_its_samples(
    house: House, letter: bytes, size: tuple[int, int], window: tuple[int, int, int, int] | None
) -> None:
    house.asks(ALICE, wire.Generate(id=1, model="brick", seed=5, size=size, window=window), letter)
    house.paint_all()
    (result,) = house.said()
    assert isinstance(result, wire.Result)
    assert (result.id, result.precision) == (1, "exact")
    assert result.sha256 == house.front.shelf.get("brick").sha256
    (buffer,) = result.buffers
    window = window or (0, 0, *size)
    assert (buffer.name, buffer.dtype, buffer.shape) == ("basecolor", "uint8", (*window[2:], 3))
    assert bytes(buffer.data) == window_of(size, window, 5)


def test_progress_is_told_to_those_who_asked(house: House) -> None:
    house.generate(size=(1024, 1024), progress=True)
    house.generate(BOB, size=(1024, 1024), seed=8)
    house.paint_all()
    *progress, result = house.said()
    assert [(each.done, each.of) for each in progress if isinstance(each, wire.Progress)] == [
        (n * 2**18, 2**20) for n in (1, 2, 3)
    ]
    assert isinstance(result, wire.Result)
    assert len(house.said(BOB)) == 1


def test_two_who_want_the_same_tile_cost_one(house: House) -> None:
    house.generate(ALICE)
    house.generate(BOB)
    assert house.paint_all() == 1
    assert isinstance(house.said(ALICE)[0], wire.Result)
    assert isinstance(house.said(BOB)[0], wire.Result)


def test_a_tile_that_is_kept_costs_no_worker(models: Path) -> None:
    house = House(models, cache_bytes=2**20)
    house.joins()
    house.generate()
    assert house.paint_all() == 1
    house.generate(BOB)
    assert house.paint_all() == 0
    assert isinstance(house.said(BOB)[0], wire.Result)
    assert house.front.report()["cache"]["hits"] == 1
    assert house.front.report()["results"] == {"brick": 2}


# ------------------------------------------------------------------------------------------------------------ refusing


def test_wrong_maps_hashes_and_names_are_refused_by_name(house: House) -> None:
    house.generate(maps=("basecolor", "roughness"))
    house.generate(sha256="0" * 64)
    house.generate(model="brik")
    maps, replaced, unknown = house.said()
    assert isinstance(maps, wire.Error)
    assert (maps.code, maps.text[:5]) == ("bad_request", "maps:")
    assert errors([replaced, unknown]) == ["unknown_model", "unknown_model"]
    assert "'brick'" in unknown.text  # type: ignore[union-attr]


NO_NAMES = ("", ".", "..", "../../etc/passwd", "a/b", "a\0b", "brick.safetensors", "x" * 200, "\u202e")


@pytest.mark.parametrize("name", NO_NAMES, ids=[ascii(name[:20]) for name in NO_NAMES])
def test_a_name_that_is_not_listed_opens_no_file(house: House, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    def never(*args: Any, **_: Any) -> int:
        raise AssertionError(f"opened {args}")

    monkeypatch.setattr(os, "open", never)
    house.generate(model=name)
    house.asks(ALICE, wire.GetThumbnail(id=99, model=name))
    assert errors(house.said()) == ["unknown_model"] * 2


def test_a_texture_model_does_not_stylize(house: House) -> None:
    content = wire.Buffer(name="content", dtype="uint8", shape=(16, 16, 3), data=bytes(768))
    house.asks(ALICE, wire.Stylize(id=1, model="brick", content=content))
    assert errors(house.said()) == ["unknown_model"]


def test_a_req_socket_gets_its_delimiter_back(house: House) -> None:
    """It can read why it was refused."""
    house.front.from_client(ALICE, [b"", b"TX1j", b'{"op":"hello","id":1}'])
    ((_, frames),) = house.front.to_clients
    assert frames[0] == b""
    assert wire.parse_reply(frames[1:], CODECS).code == "bad_frame"  # type: ignore[union-attr]


def test_mistakes_are_answered_until_they_are_too_many(house: House) -> None:
    """A flood of bad headers is answered at a bounded rate; others do not notice."""
    for _ in range(1000):
        house.front.from_client(ALICE, [b"TX1j", b"{"])
    assert len(house.said()) == BAD_MESSAGES
    house.clock.now += 1.0
    for _ in range(1000):
        house.front.from_client(ALICE, [b"TX1j", b"{"])
    assert 1 <= len(house.said()) <= 6
    house.asks(BOB, wire.Hello(id=1))
    assert isinstance(house.said(BOB)[0], wire.Welcome)
    house.clock.now += 10
    house.asks(ALICE, wire.Hello(id=1))
    assert isinstance(house.said()[0], wire.Welcome)


def test_a_fault_of_ours_is_an_incident_and_not_the_end(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr(house.front.shelf, "page", broken)
    house.asks(ALICE, wire.ListModels(id=1))
    (reply,) = house.said()
    assert isinstance(reply, wire.Error)
    assert (reply.id, reply.code, "on purpose" in reply.text) == (1, "internal", False)
    assert "on purpose" in caplog.text
    assert reply.text.split("incident ")[1][:8] in caplog.text


@pytest.mark.parametrize(
    "where",
    ["wire.parse_request", "shelf.Shelf.get", "dispatcher.Dispatcher.add", "pending_request.PendingWindow.begin",
     "pending_request.PendingWindow.next_item", "assembly.Assembly.add", "pending_request.PendingWindow.result"],
)  # fmt: skip
def test_a_fault_anywhere_ends_its_request_alone_under_its_id(
    house: House, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("on purpose")

    module = "blender_addon.protocol" if where.startswith("wire") else "server.front"
    with monkeypatch.context() as patch:
        patch.setattr(f"{module}.{where}", broken)
        house.generate(id=5)
        house.paint_all()
    (reply,) = house.said()
    assert (reply.id, errors([reply])) == (5, ["internal"])
    assert house.front.idle
    house.generate(id=6)
    house.paint_all()
    (reply,) = house.said()
    assert (reply.id, isinstance(reply, wire.Result)) == (6, True)


def test_one_origin_cannot_fill_the_log_and_others_are_still_told_of(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for _ in range(10 * LINES):
        house.asks(ALICE, wire.Hello(id=1))
        house.generate(ALICE, model="none")
    assert LINES <= len(caplog.records) <= LINES + 5
    house.origins[BOB] = Origin(key="bob")
    house.asks(BOB, wire.Hello(id=1, client="\x1b[2J\nforged"))
    assert caplog.messages[-1].endswith(r"op=hello name='\x1b[2J\nforged'")
    house.clock.now += 1
    house.asks(ALICE, wire.Hello(id=1))
    assert re.search(r"name='' \([0-9]+ lines before this one were left out\)$", caplog.messages[-1])


# ---------------------------------------------------------------------------------------------- ids, cancel, deadlines


def test_the_same_request_twice_is_computed_and_answered_once(house: House) -> None:
    house.generate(id=5)
    house.generate(id=5)
    assert house.paint_all() == 1
    assert len(house.said()) == 1
    house.generate(id=5)  # done: the id is free again
    house.paint_all()
    assert isinstance(house.said()[0], wire.Result)


def test_an_id_in_use_for_something_else_is_refused(house: House) -> None:
    house.generate(id=5)
    house.generate(id=5, seed=8)
    house.generate(BOB, id=5, seed=8)  # another client's ids are its own
    assert errors(house.said()) == ["duplicate_id"]
    house.paint_all()
    assert isinstance(house.said()[0], wire.Result)
    assert isinstance(house.said(BOB)[0], wire.Result)


@pytest.mark.parametrize("began", [False, True], ids=["waiting", "running"])
def test_cancelled_is_cancelled_waiting_and_running(house: House, began: bool) -> None:
    house.generate(id=5, size=(1024, 1024))
    orders = house.orders() if began else []
    house.asks(ALICE, wire.Cancel(id=6, target=5))
    ended, done = house.said()
    assert (ended.id, errors([ended])) == (5, ["cancelled"])
    assert (done.id, isinstance(done, wire.Result)) == (6, True)
    for address, order in orders:
        if order["do"] == "paint":
            house.paint(address, order)
    assert house.paint_all() == 0
    assert house.said() == []
    assert house.front.idle


def test_nobody_cancels_what_is_done_unknown_or_anothers(house: House) -> None:
    house.generate(id=5)
    house.asks(BOB, wire.Cancel(id=1, target=5))
    house.asks(ALICE, wire.Cancel(id=6, target=77))
    house.paint_all()
    house.asks(ALICE, wire.Cancel(id=7, target=5))
    assert errors(house.said(BOB)) == ["not_found"]
    unknown, result, late = house.said()
    assert errors([unknown, late]) == ["not_found", "not_found"]
    assert isinstance(result, wire.Result)


def test_a_request_past_its_deadline_expires(house: House) -> None:
    house.generate(size=(2048, 2048), deadline_ms=500)
    house.generate(seed=9)
    house.clock.now += 0.6
    house.front.work()
    assert errors(house.said()) == ["expired"]
    house.paint_all()
    assert isinstance(house.said()[0], wire.Result)


# ------------------------------------------------------------------------------------------------------- models change


def test_a_model_deleted_ends_what_waits_and_lets_run_what_runs(tmp_path: Path) -> None:
    save_tiny(tmp_path, "brick")
    house = House(tmp_path)
    house.joins()
    running = house.generate(size=(1024, 1024))
    orders = house.orders()
    waiting = house.generate(BOB, seed=9)
    (tmp_path / "brick.safetensors").unlink()
    house.look()
    assert errors(house.said(BOB)) == []
    for address, order in orders:
        if order["do"] == "paint":
            house.paint(address, order)
    house.paint_all()
    (done,) = house.said()
    assert (done.id, isinstance(done, wire.Result)) == (running, True)
    (gone,) = house.said(BOB)
    assert (gone.id, errors([gone])) == (waiting, ["unknown_model"])


def test_the_old_version_serves_until_the_new_one_is_verified(tmp_path: Path) -> None:
    path = save_tiny(tmp_path, "brick", 1)
    house = House(tmp_path)
    house.joins()
    old = house.front.shelf.get("brick").sha256
    path.write_bytes(path.read_bytes()[:2000])  # half-written, in place
    house.look()
    house.generate()
    house.paint_all()
    save_tiny(tmp_path, "brick", 2)
    house.look()
    house.generate()
    house.paint_all()
    first, second = house.said()
    assert isinstance(first, wire.Result)
    assert isinstance(second, wire.Result)
    assert first.sha256 == old != second.sha256


# ------------------------------------------------------------------------------------------------------------- the end


def test_draining_refuses_new_work_and_finishes_the_old(house: House) -> None:
    house.generate()
    house.front.drain()
    house.generate(BOB)
    assert errors(house.said(BOB)) == ["shutting_down"]
    assert not house.front.idle
    house.paint_all()
    assert isinstance(house.said()[0], wire.Result)
    assert house.front.idle


def test_what_is_abandoned_is_told_so(house: House) -> None:
    house.generate(size=(1024, 1024))
    house.orders()
    house.front.abandon()
    assert errors(house.said()) == ["shutting_down"]
    assert house.front.idle


def test_every_request_ends_in_exactly_one_result_or_error(models: Path) -> None:
    """Hundreds of requests, cancels, lost workers and vanished clients at random; the same seed, the same story."""
    chance = random.Random(11)
    house = House(models, cache_bytes=2**20, watchdog_s=5.0)
    house.joins(ONE)
    house.joins(TWO)
    clients = [b"a", b"b", b"c"]
    asked: dict[tuple[bytes, int], int] = {}
    pending: list[tuple[Address, dict[str, Any]]] = []

    def heard() -> Iterator[tuple[bytes, wire.Reply]]:
        for client in clients:
            for reply in house.said(client):
                yield client, reply

    for _ in range(1500):
        client = chance.choice(clients)
        match chance.randrange(10):
            case 0 | 1 | 2:
                size = chance.choice([(64, 64), (100, 700), (600, 600)])
                id = house.generate(
                    client, size=size, seed=chance.randrange(6), model=chance.choice(["brick", "grass"])
                )
                asked[client, id] = 0
            case 3:
                mine = [id for to, id in asked if to == client]
                if mine:
                    cancel = next(house.ids)
                    asked[client, cancel] = 0
                    house.asks(client, wire.Cancel(id=cancel, target=chance.choice(mine)))
            case 4:
                if chance.random() < 0.3 and house.front.dispatcher.crew.workers:
                    address = chance.choice(list(house.front.dispatcher.crew.workers))
                    house.front.dispatcher.lose(house.front.dispatcher.crew.workers[address])
                    house.joins(address)
                    pending = [each for each in pending if each[0] != address]
            case _:
                pending += [each for each in house.orders() if each[1]["do"] == "paint"]
                if pending:
                    house.paint(*pending.pop(0))
        for to, reply in heard():
            assert reply.id is not None
            asked[to, reply.id] += 1
    for address, order in pending:
        house.paint(address, order)
    house.paint_all()
    for to, reply in heard():
        assert reply.id is not None
        asked[to, reply.id] += 1
    assert set(asked.values()) == {1}
    assert house.front.idle
    assert not house.front.dispatcher.items
