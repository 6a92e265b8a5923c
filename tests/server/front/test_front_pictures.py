"""Facts about pictures on their way through the front: frames in and frames out, as in test_front.py.

Workers are played by the test: `styled` is the picture that a real one would have sent.
"""

import random
from pathlib import Path
from typing import Any

import pytest

from blender_addon.protocol import wire
from server.front.crew import GIVEN_PIXELS, Address
from server.front.front import CLIENT_CONTENT_BYTES, CONTENT_BYTES
from server.front.origin import Origin
from server.model.statistics_token import statistics_text
from server.model.style_architecture import MAX_NORMALISED
from server.model.work import StylizePicture
from tests.models import TINY_STYLES, save_tiny, save_tiny_style
from tests.server.front.house import ALICE, BOB, ONE, TWO, House, errors

CARRY = b"pieces"  # of a frame
STATISTICS = b"\0\0\x80\x3f" * (2 * TINY_STYLES["residual"].normalised)  # ones, which a picture may have


def content(shape: tuple[int, int, int] = (16, 20, 3), value: int = 0, dtype: str = "uint8") -> wire.Buffer:
    data = bytes([value % 256]) * (shape[0] * shape[1] * shape[2] * wire.ITEM_BYTES[dtype])
    return wire.Buffer(name="content", dtype=dtype, shape=shape, data=data)


def styled(order: dict[str, Any], samples: wire.Data) -> bytes:
    """The picture's samples plus one; an alpha of its own where it needs none."""
    height, width, channels = order["shape"]
    size = height * width * max(3, channels) * wire.ITEM_BYTES[order["dtype"]]
    return bytes([(bytes(samples)[0] + 1) % 256]) * size


class Studio(House):
    """A house with models that stylize: ink and oil."""

    def __init__(self, folder: Path, **options: Any) -> None:
        super().__init__(folder, **options)
        self.samples: dict[int, wire.Data] = {}  # that came with each item
        self.carried: dict[int, wire.Data] = {}  # likewise

    def stylize(self, client: bytes = ALICE, *, picture: wire.Buffer | None = None, **fields: Any) -> int:
        id = fields.pop("id", None) or next(self.ids)
        model = fields.pop("model", "ink")
        self.asks(client, wire.Stylize(id=id, model=model, content=picture or content(), **fields))
        return int(id)

    def orders(self) -> list[tuple[Address, dict[str, Any]]]:
        while self.front.work():
            pass
        for _, message in self.front.dispatcher.to_workers:
            if isinstance(message, StylizePicture):
                self.samples[message.number], self.carried[message.number] = message.content, message.carry
        return super().orders()

    def pictures(self) -> list[dict[str, Any]]:
        return [order for _, order in self.orders() if order["do"] == "stylize"]

    def left(self) -> list[int]:
        """Tasks that workers were told to leave."""
        return [order["task"] for _, order in self.orders() if order["do"] == "leave"]

    def tells(self, order: dict[str, Any], done: object, address: Address = ONE) -> None:
        self.from_worker(address, {"say": "progress", "task": order["task"], "done": done})

    def paint(self, address: Address, order: dict[str, Any]) -> None:
        if order["do"] == "paint":
            super().paint(address, order)
            return
        planes = [styled(order, self.samples[order["task"]]), STATISTICS, *([CARRY] if order["sequence"] else [])]
        self.from_worker(address, {"say": "done", "task": order["task"]}, planes)

    def gives_up(self, address: Address, task: int) -> None:
        said = {"say": "failed", "task": task, "code": "cancelled", "text": "Nobody waits."}
        self.from_worker(address, said)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_tiny(folder, "brick")
    save_tiny_style(folder, "ink")
    save_tiny_style(folder, "oil", 1)
    return folder


@pytest.fixture
def studio(models: Path) -> Studio:
    studio = Studio(models)
    studio.joins()
    return studio


def result_of(studio: Studio, client: bytes = ALICE) -> wire.Result:
    (result,) = studio.said(client)
    assert isinstance(result, wire.Result), result
    return result


# ------------------------------------------------------------------------------------------------------------ answering


@pytest.mark.parametrize("letter", [wire.JSON, wire.MSGPACK])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_picture_is_one_order_and_one_answer(studio: Studio, letter: bytes, dtype: str, channels: int) -> None:
    picture = content((16, 20, channels), 7, dtype)
    request = wire.Stylize(
        id=1, model="ink", content=picture, strength=0.25, seed=2**64 - 1, keep_colours=True, noise=2, stroke=0.5
    )
    studio.asks(ALICE, request, letter)
    (order,) = studio.pictures()
    sha256 = studio.front.shelf.get("ink").sha256
    assert order == {
        "do": "stylize", "task": order["task"], "sha256": sha256, "shape": [16, 20, channels], "dtype": dtype,
        "strength": 0.25, "seed": 2**64 - 1, "keep_colours": True, "noise": 2.0, "stroke": 0.5, "statistics": b"",
        "sequence": False,
    }  # fmt: skip
    assert bytes(studio.samples[order["task"]]) == picture.data
    studio.paint(ONE, order)
    result = result_of(studio)
    assert (result.id, result.sha256, result.precision) == (1, sha256, "exact")
    (image,) = result.buffers
    shape = (16, 20, max(3, channels))
    assert (image.name, image.dtype, image.shape, image.colour_space) == ("image", dtype, shape, "srgb")
    assert bytes(image.data) == styled(order, picture.data)
    assert studio.front.idle
    assert studio.front.report()["results"] == {"ink": 1}


def test_the_content_goes_to_the_worker_as_it_came(studio: Studio) -> None:
    frames = wire.encode(wire.Stylize(id=1, model="ink", content=content()))
    frames[2] = memoryview(bytearray(frames[2]))
    studio.front.from_client(ALICE, frames)  # type: ignore[arg-type]
    (order,) = studio.pictures()
    assert studio.samples[order["task"]] is frames[2]


def test_what_it_is_painted_by_comes_back_and_goes_along_with_the_next(studio: Studio) -> None:
    studio.stylize()
    studio.paint(ONE, *studio.pictures())
    told = result_of(studio).statistics
    assert told == statistics_text(studio.front.shelf.get("ink").sha256, STATISTICS)
    studio.stylize(statistics=told)
    (order,) = studio.pictures()
    assert order["statistics"] == STATISTICS


def test_what_the_next_frame_takes_comes_back_and_goes_along_with_it(studio: Studio) -> None:
    studio.stylize(sequence=True)
    studio.paint(ONE, *studio.pictures())
    image, carry = result_of(studio).buffers
    assert (image.name, carry.name, carry.shape) == ("image", "carry", (1, 32 + len(CARRY), 1))
    for model, sent in (("ink", CARRY), ("oil", b"")):  # another style begins anew
        studio.stylize(model=model, sequence=True, carry=carry)
        (order,) = studio.pictures()
        assert bytes(studio.carried[order["task"]]) == sent
        studio.paint(ONE, order)
        assert len(result_of(studio).buffers) == 2


def test_progress_is_told_to_those_who_asked(studio: Studio) -> None:
    studio.stylize(ALICE, progress=True)
    studio.stylize(BOB)
    first, second = studio.pictures()
    for done in (160, 320):
        studio.tells(first, done)
        studio.tells(second, done)
    assert [(each.done, each.of) for each in studio.said() if isinstance(each, wire.Progress)] == [
        (160, 320),
        (320, 320),
    ]
    assert studio.said(BOB) == []


def test_a_worker_that_tells_progress_is_not_taken_for_hung(models: Path) -> None:
    studio = Studio(models, watchdog_s=5.0)
    studio.joins()
    studio.stylize()
    (order,) = studio.pictures()
    for block in range(5):
        studio.clock.now += 4.0
        studio.tells(order, block)
        studio.front.work()
    assert not studio.front.dispatcher.given_up
    studio.clock.now += 6.0
    studio.front.work()
    assert [worker.name for worker in studio.front.dispatcher.given_up] == ["one"]


# ------------------------------------------------------------------------------------------------------------ refusing


def test_a_model_of_the_other_kind_is_refused_and_the_text_says_which_it_is(studio: Studio) -> None:
    studio.stylize(model="brick")
    studio.generate(model="ink")
    style, texture = studio.said()
    assert errors([style, texture]) == ["unknown_model"] * 2
    assert "'brick' paints textures and stylizes no pictures" in style.text  # type: ignore[union-attr]
    assert "'ink' stylizes pictures and paints no textures" in texture.text  # type: ignore[union-attr]


def test_a_wrong_hash_and_an_unknown_name_are_refused(studio: Studio) -> None:
    studio.stylize(sha256="0" * 64)
    studio.stylize(model="inc")
    assert errors(studio.said()) == ["unknown_model"] * 2
    studio.stylize(sha256=studio.front.shelf.get("ink").sha256)
    assert studio.said() == []


def test_statistics_that_are_not_this_models_are_refused(studio: Studio) -> None:
    ink, oil = (studio.front.shelf.get(name).sha256 for name in ("ink", "oil"))
    mine = statistics_text(ink, STATISTICS)
    wrong = {
        "another model's": statistics_text(oil, STATISTICS),
        "cut short": statistics_text(ink, STATISTICS[:-4]),
        "too long": statistics_text(ink, STATISTICS + bytes(4)),
        "no deviations": statistics_text(ink, bytes(len(STATISTICS))),
        "not a number": statistics_text(ink, b"\0\0\xc0\x7f" * (len(STATISTICS) // 4)),
        "a hash alone": statistics_text(ink, b""),
        "no base64": "?" * len(mine),
        "broken base64": mine[:-1],
        "not ASCII": "é" + mine[1:],
        "nonsense": "aGVsbG8=",
    }
    for what, text in wrong.items():
        studio.stylize(statistics=text)
        (error,) = studio.said()
        assert (errors([error]), what) == (["bad_request"], what)
        assert error.text.startswith("statistics: ")  # type: ignore[union-attr]
    studio.stylize(statistics=mine)
    assert studio.said() == []


def test_the_largest_statistics_there_are_fit_into_a_header() -> None:
    text = statistics_text("ab" * 32, bytes(8 * MAX_NORMALISED))
    assert len(text) <= wire.MAX_STATISTICS
    longest = wire.Stylize(
        id=wire.MAX_ID, model="\U0001f58c" * wire.MAX_MODEL_NAME, content=content(), strength=1 / 3, noise=1 / 3,
        seed=wire.MAX_SEED, keep_colours=True, progress=True, sha256="0" * 64, deadline_ms=wire.MAX_DEADLINE_MS,
        statistics="x" * wire.MAX_STATISTICS,
    )  # fmt: skip
    assert wire.parse_request(wire.encode(longest), wire.Limits()) == longest


def test_what_clients_send_along_is_bounded(models: Path) -> None:
    """One client's and all clients': beyond that `busy`, until something is done."""
    large = content((2048, 2048, 4))  # 16 MB each
    studio = Studio(models)
    most = CLIENT_CONTENT_BYTES // len(large.data)
    for _ in range(most + 3):
        studio.stylize(ALICE, picture=large)
    busy = studio.said()
    assert errors(busy) == ["busy"] * 3
    assert all(isinstance(each, wire.Error) and each.retry_ms for each in busy)
    assert "this client's" in busy[0].text  # type: ignore[union-attr]
    others = [b"client %d" % number for number in range(CONTENT_BYTES // len(large.data) - most)]
    studio.origins |= {client: Origin(key="others") for client in others}
    for client in others:
        studio.stylize(client, picture=large)
        assert studio.said(client) == []
    studio.stylize(BOB, picture=large)
    (refusal,) = studio.said(BOB)
    assert errors([refusal]) == ["busy"]
    assert "all clients'" in refusal.text  # type: ignore[union-attr]
    studio.generate(BOB)  # a texture brings nothing along
    assert studio.said(BOB) == []
    studio.front.forget(others[0])
    studio.stylize(BOB, picture=large)
    assert studio.said(BOB) == []


# --------------------------------------------------------------------------------------------- ids, cancel, deadlines


def test_the_same_picture_twice_is_computed_and_answered_once(studio: Studio) -> None:
    for _ in range(2):
        studio.stylize(id=5, picture=content(value=3))
    (order,) = studio.pictures()
    studio.stylize(id=5, picture=content(value=3))  # while it runs
    studio.paint(ONE, order)
    assert result_of(studio).id == 5
    assert studio.pictures() == []


@pytest.mark.parametrize(
    "other",
    [
        {"picture": content(value=1)},
        {"picture": content((20, 16, 3))},
        {"picture": content((16, 20, 4))},
        {"picture": content(dtype="uint16")},
        {"strength": 0.5},
        {"seed": 1},
        {"model": "oil"},
        {"keep_colours": True},
    ],
    ids=str,
)
def test_an_id_in_use_for_another_picture_is_refused(studio: Studio, other: dict[str, Any]) -> None:
    studio.stylize(id=5)
    studio.stylize(id=5, **other)
    studio.generate(id=5)
    assert errors(studio.said()) == ["duplicate_id"] * 2
    studio.paint(ONE, *studio.pictures())
    assert result_of(studio).id == 5


def test_a_difference_in_the_last_byte_of_a_large_picture_is_found(studio: Studio) -> None:
    samples = bytearray(1500 * 1500)
    studio.stylize(id=5, picture=wire.Buffer(name="content", dtype="uint8", shape=(1500, 1500, 1), data=bytes(samples)))
    samples[-1] = 1
    studio.stylize(id=5, picture=wire.Buffer(name="content", dtype="uint8", shape=(1500, 1500, 1), data=bytes(samples)))
    assert errors(studio.said()) == ["duplicate_id"]


def ends(studio: Studio, how: str) -> None:
    """Alice's request 5 comes to nothing."""
    if how == "cancel":
        studio.asks(ALICE, wire.Cancel(id=6, target=5))
    elif how == "gone":
        studio.front.forget(ALICE)
    else:
        studio.clock.now += 1.0
        studio.front.work()


@pytest.mark.parametrize(("how", "said"), [("cancel", ["cancelled"]), ("expired", ["expired"]), ("gone", [])])
def test_what_nobody_waits_for_is_left_by_its_worker(studio: Studio, how: str, said: list[str]) -> None:
    """It is answered at once, whatever its worker is at, and its samples are let go."""
    studio.stylize(id=5, deadline_ms=500)
    (order,) = studio.pictures()
    (item,) = studio.front.dispatcher.items.values()
    ends(studio, how)
    assert errors([each for each in studio.said() if isinstance(each, wire.Error)]) == said
    assert studio.left() == [order["task"]]
    assert isinstance(item.message, StylizePicture)
    assert item.message.content == b""
    assert studio.front.idle
    assert len(studio.front.dispatcher.crew.workers[ONE].items) == 1  # until it says so
    studio.tells(order, 320)
    studio.gives_up(ONE, order["task"])
    assert not studio.front.dispatcher.items
    assert not studio.front.dispatcher.crew.workers[ONE].items
    assert studio.said() == []
    studio.stylize(id=7)
    studio.paint(ONE, *studio.pictures())
    assert result_of(studio).id == 7


@pytest.mark.parametrize("how", ["cancel", "expired", "gone"])
def test_what_waits_and_is_not_wanted_any_more_reaches_no_worker(models: Path, how: str) -> None:
    studio = Studio(models)
    studio.stylize(id=5, deadline_ms=500)
    ends(studio, how)
    studio.joins()
    assert studio.pictures() == studio.left() == []
    assert not studio.front.dispatcher.items


def test_a_picture_that_is_done_before_its_worker_hears_to_leave_it_harms_nothing(studio: Studio) -> None:
    studio.stylize(id=5)
    (order,) = studio.pictures()
    ends(studio, "cancel")
    studio.said()
    studio.paint(ONE, order)
    assert studio.said() == []
    assert not studio.front.dispatcher.items


def test_a_tile_that_nobody_waits_for_is_not_left(studio: Studio) -> None:
    """It takes a moment, and may be kept for others."""
    studio.generate(id=5)
    studio.orders()
    ends(studio, "cancel")
    assert studio.left() == []


# ----------------------------------------------------------------------------------------------------------- workers


def test_what_a_lost_worker_had_goes_to_another_with_its_samples(studio: Studio) -> None:
    studio.stylize(picture=content(value=9))
    studio.pictures()
    studio.front.dispatcher.lose(studio.front.dispatcher.crew.workers[ONE])
    studio.joins(TWO)
    (order,) = studio.pictures()
    assert bytes(studio.samples[order["task"]]) == content(value=9).data
    studio.paint(TWO, order)
    assert bytes(result_of(studio).buffers[0].data)[:1] == b"\x0a"


def test_a_picture_that_kills_workers_is_alone_in_it(studio: Studio) -> None:
    studio.stylize(ALICE, picture=content(value=66))
    studio.stylize(BOB)
    for death in range(2):
        orders = studio.pictures()
        assert bytes(studio.samples[orders[0]["task"]])[0] == 66, death
        studio.front.dispatcher.lose(studio.front.dispatcher.crew.workers[ONE])
        studio.joins(ONE)
    assert errors(studio.said(ALICE)) == ["worker_lost"]
    studio.paint(ONE, *studio.pictures())
    assert isinstance(studio.said(BOB)[0], wire.Result)


def test_a_cancelled_picture_of_a_lost_worker_is_not_tried_again(studio: Studio) -> None:
    studio.stylize(id=5)
    studio.pictures()
    studio.front.dispatcher.lose(studio.front.dispatcher.crew.workers[ONE])
    ends(studio, "cancel")
    studio.joins(TWO)
    assert studio.pictures() == studio.left() == []
    assert not studio.front.dispatcher.items


@pytest.mark.parametrize(
    ("said", "planes"),
    [
        ({"say": "done"}, [b"\0" * 960]),
        ({"say": "done"}, [STATISTICS]),
        ({"say": "done"}, [b"\0" * 959, STATISTICS]),
        ({"say": "done"}, [b"\0" * 960, STATISTICS[1:]]),
        ({"say": "progress"}, []),
        ({"say": "progress", "done": "half"}, []),
        ({"say": "progress", "done": None}, []),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_worker_that_sends_nonsense_is_dropped_and_its_picture_made_by_another(
    studio: Studio, said: dict[str, Any], planes: list[bytes]
) -> None:
    studio.stylize(progress=True)
    (order,) = studio.pictures()
    studio.from_worker(ONE, said | {"task": order["task"]}, planes)
    assert ONE not in studio.front.dispatcher.crew.workers
    studio.joins(TWO)
    studio.paint(TWO, *studio.pictures())
    assert result_of(studio)


@pytest.mark.parametrize(("code", "told"), [("oom", "oom"), ("made up", "internal")])
def test_a_picture_that_fails_ends_with_the_code(studio: Studio, code: str, told: str) -> None:
    studio.stylize()
    (order,) = studio.pictures()
    studio.from_worker(ONE, {"say": "failed", "task": order["task"], "code": code, "text": "Too small."})
    assert errors(studio.said()) == [told]
    assert studio.front.idle


def test_a_worker_has_a_second_picture_waiting_unless_the_two_would_take_long(studio: Studio) -> None:
    for _ in range(3):
        studio.stylize(picture=content((1080, 1920, 3)))
    assert GIVEN_PIXELS // 2 >= 1080 * 1920
    orders = studio.pictures()
    assert len(orders) == 2
    for order in orders:
        studio.paint(ONE, order)
    studio.stylize(picture=content((1440, 2560, 3)))
    small, *more = studio.pictures()
    assert (small["shape"], more) == ([1080, 1920, 3], [])
    studio.generate(ALICE, size=(1024, 1024))
    assert studio.orders() == []  # the large one is next, and waits for the worker to be done
    studio.paint(ONE, small)
    assert [order["shape"] for order in studio.pictures()] == [[1440, 2560, 3]]


def test_clients_are_charged_by_pixels(studio: Studio) -> None:
    """Who wants many pictures does not keep one waiting who wants a few small textures."""
    for _ in range(6):
        studio.stylize(ALICE, picture=content((1024, 1024, 3)))
    for seed in range(8):
        studio.generate(BOB, seed=seed, size=(512, 512))
    order = []
    while orders := [each for each in studio.orders() if each[1]["do"] in ("paint", "stylize")]:
        for address, each in orders:
            order.append("b" if each["do"] == "paint" else "a")
            if each["do"] == "paint":
                studio.from_worker(address, {"say": "done", "task": each["task"]}, [bytes(786432)])
            else:
                studio.paint(address, each)
    assert order.count("a") == 6
    assert order.count("b") == 8
    assert "aaa" not in "".join(order)[: "".join(order).rindex("b")]
    assert "".join(order).count("bb") >= 3  # four tiles are as much as one picture


def test_a_client_that_does_not_read_gets_no_picture(studio: Studio) -> None:
    studio.blocked.add(ALICE)
    studio.stylize(ALICE)
    studio.stylize(BOB)
    assert len(studio.pictures()) == 1
    studio.blocked.clear()
    assert len(studio.pictures()) == 1


# ------------------------------------------------------------------------------------------------------ models change


def test_a_model_replaced_by_one_of_another_kind_ends_what_waits(tmp_path: Path) -> None:
    save_tiny_style(tmp_path, "ink")
    studio = Studio(tmp_path)
    studio.stylize()
    save_tiny(tmp_path, "ink")
    studio.look()
    studio.joins()
    assert studio.pictures() == []
    (gone,) = studio.said()
    assert errors([gone]) == ["unknown_model"]
    assert "paints textures" in gone.text  # type: ignore[union-attr]


def test_statistics_of_a_version_that_was_replaced_are_told_of(tmp_path: Path) -> None:
    save_tiny_style(tmp_path, "ink")
    studio = Studio(tmp_path)
    told = statistics_text(studio.front.shelf.get("ink").sha256, STATISTICS)
    studio.stylize(statistics=told)
    save_tiny_style(tmp_path, "ink", 5)
    studio.look()
    studio.joins()
    assert studio.pictures() == []
    assert errors(studio.said()) == ["bad_request"]


# ------------------------------------------------------------------------------------------------------------ the end


def test_draining_refuses_new_pictures_and_finishes_the_old(studio: Studio) -> None:
    studio.stylize()
    studio.front.drain()
    studio.stylize(BOB)
    assert errors(studio.said(BOB)) == ["shutting_down"]
    studio.paint(ONE, *studio.pictures())
    assert result_of(studio)
    assert studio.front.idle


def test_every_picture_ends_in_exactly_one_result_or_error(models: Path) -> None:
    """Pictures and textures, cancels, lost workers and vanished clients at random; the same seed, the same story."""
    chance = random.Random(12)
    studio = Studio(models, cache_bytes=2**20, watchdog_s=5.0)
    studio.joins(ONE)
    studio.joins(TWO)
    clients = [b"a", b"b", b"c"]
    asked: dict[tuple[bytes, int], int] = {}
    pending: list[tuple[Address, dict[str, Any]]] = []

    def hear() -> None:
        for client in clients:
            for reply in studio.said(client):
                assert reply.id is not None
                asked[client, reply.id] += not isinstance(reply, wire.Progress)

    def look() -> None:
        for address, order in studio.orders():
            if order["do"] in ("paint", "stylize"):
                pending.append((address, order))
            elif order["do"] == "leave":
                given = [each for each in pending if each[1]["task"] == order["task"]]
                pending[:] = [each for each in pending if each not in given]
                for address, _ in given:
                    studio.gives_up(address, order["task"])

    for _ in range(1500):
        client = chance.choice(clients)
        match chance.randrange(10):
            case 0 | 1:
                picture = content((chance.choice([16, 700]), 20, 3), chance.randrange(3))
                asked[client, studio.stylize(client, picture=picture, progress=chance.random() < 0.5)] = 0
            case 2:
                asked[client, studio.generate(client, seed=chance.randrange(6), size=(100, 700))] = 0
            case 3:
                mine = [id for to, id in asked if to == client]
                if mine:
                    cancel = next(studio.ids)
                    asked[client, cancel] = 0
                    studio.asks(client, wire.Cancel(id=cancel, target=chance.choice(mine)))
            case 4:
                if chance.random() < 0.3 and studio.front.dispatcher.crew.workers:
                    address = chance.choice(list(studio.front.dispatcher.crew.workers))
                    studio.front.dispatcher.lose(studio.front.dispatcher.crew.workers[address])
                    studio.joins(address)
                    pending = [each for each in pending if each[0] != address]
            case 5:
                if pending and pending[0][1]["do"] == "stylize":
                    studio.tells(pending[0][1], chance.randrange(400), pending[0][0])
            case _:
                look()
                if pending:
                    studio.paint(*pending.pop(0))
        hear()
    look()
    while pending:
        studio.paint(*pending.pop(0))
        look()
    hear()
    assert set(asked.values()) == {1}
    assert studio.front.idle
    assert not studio.front.dispatcher.items
    assert not any(worker.items for worker in studio.front.dispatcher.crew.workers.values())
