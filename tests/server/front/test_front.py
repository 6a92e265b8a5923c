"""Facts about the front, frames in and frames out: no sockets, no processes, a clock that is set by hand.

Workers are played by the test: `painted` gives the tile that a real one would have sent, by a formula.
"""

import itertools
import math
import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest

from blender_addon.protocol import wire
from server import __version__
from server.front import crew, dispatcher
from server.front.crew import SILENT_S, Address
from server.front.dispatcher import BEGUN_BYTES
from server.front.front import ALWAYS_WAITING, BAD_MESSAGES, KEY_WAITING, MAX_WAITING, Front
from server.front.log_budget import LINES
from server.front.origin import NOBODY, Origin
from server.front.shelf import Shelf
from server.model import checking
from server.model.work import encode
from server.msgpack_codec import CODECS
from tests.models import save_tiny

ALICE, BOB = b"alice", b"bob"
ONE, TWO = ("local", b"one"), ("local", b"two")
FAR = ("remote", b"one")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        self.now += 1e-6
        return self.now


def painted(tile: Sequence[int], seed: int, size: Sequence[int]) -> bytes:
    """RGB samples of a tile: each tells its place and its seed."""
    top, left, height, width = tile
    samples = np.empty((height, width, 3), np.uint8)
    samples[:, :, 0] = ((top + np.arange(height)) % size[0] % 251)[:, None]
    samples[:, :, 1] = (left + np.arange(width)) % size[1] % 241
    samples[:, :, 2] = seed % 256
    return samples.tobytes()


class House:
    """A front over a folder of tiny models, and what it has said."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.clock = Clock()
        self.blocked: set[bytes] = set()
        self.origins: dict[bytes, Origin] = {}
        shelf = Shelf(folder, clock=self.clock)
        limits = options.pop("limits", wire.Limits())
        self.front = Front(
            shelf,
            limits=limits,
            cache_bytes=options.pop("cache_bytes", 0),
            watchdog_s=options.pop("watchdog_s", 30.0),
            blocked=lambda client, size: client in self.blocked,
            clock=self.clock,
        )
        self.look()
        self.given: dict[Address, list[dict[str, Any]]] = {ONE: [], TWO: []}
        self.ids = itertools.count(1)

    def look(self) -> None:
        """Let the shelf see the folder as it is now."""
        self.clock.now += 2
        while self.front.shelf.step(0.001) or not self.front.shelf.settled:
            self.clock.now += 0.01

    def joins(self, address: Address = ONE, **said: Any) -> None:
        here = {
            "say": "here",
            "name": address[1].decode(),
            "device": "cpu",
            "precision": "exact",
            "version": __version__,
            "memory_mb": 1,
        }
        self.from_worker(address, here | said)

    def from_worker(self, address: Address, header: object, planes: Sequence[bytes | memoryview] = ()) -> None:
        """The worker sends a message."""
        self.front.dispatcher.from_worker(address, [msgpack.packb(header), *planes])

    def asks(self, client: bytes, message: wire.Request, letter: bytes = wire.JSON) -> None:
        frames = [bytes(frame) for frame in wire.encode(message, letter, CODECS)]
        self.front.from_client(client, frames, self.origins.get(client, NOBODY))

    def generate(self, client: bytes = ALICE, *, size: tuple[int, int] = (64, 64), **fields: Any) -> int:
        id = fields.pop("id", None) or next(self.ids)
        self.asks(
            client,
            wire.Generate(id=id, model=fields.pop("model", "brick"), seed=fields.pop("seed", 7), size=size, **fields),
        )
        return int(id)

    def said(self, client: bytes = ALICE) -> list[wire.Reply]:
        """What was said to the client since the last time."""
        mine = [frames for to, frames in self.front.to_clients if to == client]
        rest = [each for each in self.front.to_clients if each[0] != client]
        self.front.to_clients.clear()
        self.front.to_clients.extend(rest)
        return [wire.parse_reply(frames, CODECS) for frames in mine]

    def orders(self) -> list[tuple[Address, dict[str, Any]]]:
        """What was told to workers since the last time."""
        while self.front.work():
            pass
        to_workers = self.front.dispatcher.to_workers
        found = [(address, msgpack.unpackb(encode(message)[0])) for address, message in to_workers]
        to_workers.clear()
        return found

    def paint(self, address: Address, order: dict[str, Any]) -> None:
        """The worker does one tile."""
        tile = painted(order["tile"], order["seed"], order["size"])
        self.from_worker(address, {"say": "done", "task": order["task"]}, [tile])

    def paint_all(self) -> int:
        """Workers do everything there is; how many tiles that was."""
        count = 0
        while orders := [(address, order) for address, order in self.orders() if order["do"] == "paint"]:
            for address, order in orders:
                self.paint(address, order)
                count += 1
        return count


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_tiny(folder, "brick")
    save_tiny(folder, "grass", 1)
    return folder


@pytest.fixture
def house(models: Path) -> House:
    house = House(models)
    house.joins()
    return house


def errors(replies: list[wire.Reply]) -> list[str]:
    assert all(isinstance(reply, wire.Error) for reply in replies), replies
    return [reply.code for reply in replies if isinstance(reply, wire.Error)]


def window_of(size: tuple[int, int], window: tuple[int, int, int, int], seed: int) -> bytes:
    return painted(window, seed, size)


# --------------------------------------------------------------------------------------------------------- answering


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


# -------------------------------------------------------------------------------------------------------- refusing


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


# ---------------------------------------------------------------------------------------------------------- fairness


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


# ----------------------------------------------------------------------------------------------------------- workers


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


# ------------------------------------------------------------------------------------------------------ models change


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


# ------------------------------------------------------------------------------------------------------------ the end


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


# -------------------------------------------------------------------------------------------------------- large models


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
