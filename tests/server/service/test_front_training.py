"""Trainings through the front: frames in, frames out, whatever comes. No trainer runs: nobody steps the service."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blender_addon.protocol import wire
from blender_addon.protocol.training import PARTS
from server.front.front import BAD_MESSAGES, Front
from server.front.origin import Origin
from server.front.shelf import Shelf
from server.msgpack_codec import CODECS
from server.service.training import FOLDER, Training

ANNA, BERT, EVE = (Origin(name, "127.0.0.1") for name in ("anna", "bert", "eve"))
TOKENS = ("a" * 32, "b" * 32)
PIXELS = bytes(8 * 8 * 3)


@contextmanager
def desk(**limits: int) -> Iterator[tuple[Front, Path]]:
    """A front that trains for all but Eve, and its models folder."""
    with tempfile.TemporaryDirectory() as folder:
        models, known = Path(folder), wire.Limits(**limits)
        shelf = Shelf(models)
        may = lambda origin: "Not for you. Ask." if origin == EVE else ""  # noqa: E731
        training = Training(models, shelf, known, may, module="tests.server.service.fake_trainer")
        try:
            yield Front(shelf, limits=known, cache_bytes=0, watchdog_s=30, training=training), models
        finally:
            training._jobs.clear()
            training.close()


def replies(front: Front, who: Origin, frames: list[bytes]) -> list[wire.Reply]:
    front.from_client(who.key.encode(), frames, who)
    said = [wire.parse_reply(frames, CODECS) for _, frames in front.to_clients]
    front.to_clients.clear()
    return said


def asks(front: Front, who: Origin, request: wire.Request) -> wire.Reply:
    (reply,) = replies(front, who, [bytes(frame) for frame in wire.encode(request)])
    assert reply.id == request.id
    return reply


def train(token: str = TOKENS[0], name: str = "wall", **fields: Any) -> wire.Train:
    base = wire.Buffer(name="basecolor", dtype="uint8", shape=(8, 8, 3), data=PIXELS)
    return wire.Train(id=7, token=token, name=name, buffers=(base,), **fields)


def code(reply: wire.Reply) -> str:
    return reply.code if isinstance(reply, wire.Error) else reply.op


def test_who_may_is_told_so_and_who_may_not_is_refused_in_a_sentence() -> None:
    with desk() as (front, _):
        for who, may in ((ANNA, True), (EVE, False)):
            welcome = asks(front, who, wire.Hello(id=1))
            assert isinstance(welcome, wire.Welcome)
            assert ("train" in welcome.features) == ("train_style" in welcome.features) == may
            assert code(asks(front, who, train())) == ("job" if may else "unknown_op")
        refused = asks(front, EVE, train())
        assert isinstance(refused, wire.Error)
        assert refused.text == "op: Not for you. Ask."


def test_a_server_that_ends_takes_no_training_and_still_tells_of_those_it_has() -> None:
    with desk() as (front, _):
        asks(front, ANNA, train())
        front.drain()
        assert code(asks(front, ANNA, train(TOKENS[1], "other"))) == "shutting_down"
        assert code(asks(front, ANNA, wire.GetJob(id=2, token=TOKENS[0]))) == "job"
        assert code(asks(front, ANNA, wire.ListJobs(id=3))) == "jobs"


def test_a_server_without_trainings_says_so(tmp_path: Path) -> None:
    front = Front(Shelf(tmp_path), limits=wire.Limits(), cache_bytes=0, watchdog_s=30)
    assert code(asks(front, ANNA, train())) == "unknown_op"
    assert code(asks(front, ANNA, wire.GetJob(id=2, token=TOKENS[0]))) == "not_found"
    assert code(asks(front, ANNA, wire.CancelJob(id=3, token=TOKENS[0]))) == "not_found"
    assert asks(front, ANNA, wire.ListJobs(id=4)) == wire.Jobs(id=4, jobs=())


def test_a_fault_of_ours_is_told_by_its_number_and_harms_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    with desk() as (front, _):
        monkeypatch.setattr(front.training, "take", lambda *_: 1 / 0)
        refused = asks(front, ANNA, train())
        assert code(refused) == "internal"
        assert code(asks(front, ANNA, wire.ListJobs(id=4))) == "jobs"


anything = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(categories=("L", "N", "P")), max_size=70), st.lists(st.floats(-1, 2), max_size=9),
    st.lists(st.sampled_from(["normal", "height", "ao", ""]), max_size=4), st.just({}),
)  # fmt: skip
fields = st.dictionaries(
    st.sampled_from(
        ["token", "name", "kind", "leave_out", "metres", "category", "corners", "aspect", "swatch_size",
         "keep_light", "derive", "replace", "seen", "buffers", "limit", "other"]
    ),
    anything, max_size=2,
)  # fmt: skip
buffers = st.lists(
    st.tuples(st.sampled_from([*PARTS[:4], "../x", "", "shine"]), st.sampled_from([(8, 8, 3), (8, 8, 1), (0, 8, 3)])),
    max_size=3,
)


@st.composite
def messages(draw: st.DrawFn) -> tuple[Origin, list[bytes]]:
    who = draw(st.sampled_from([ANNA, BERT, EVE]))
    op = draw(st.sampled_from(["train", "train", "job", "cancel_job", "jobs"]))
    header: dict[str, Any] = {"op": op, "id": draw(st.integers(1, 9)), "token": draw(st.sampled_from(TOKENS))}
    frames: list[bytes] = []
    if op == "train":
        header["name"] = draw(st.sampled_from(["wall", "brick", "con", "../x"]))
        maps = draw(st.just([("basecolor", (8, 8, 3))]) | buffers)
        header["buffers"] = [{"name": name, "dtype": "uint8", "shape": list(shape)} for name, shape in maps]
        frames = [bytes(shape[0] * shape[1] * shape[2]) for _, shape in maps]
    return who, [b"TX1j", json.dumps(header | draw(fields)).encode(), *frames]


@settings(max_examples=60, deadline=None)
@given(said=st.lists(messages(), min_size=1, max_size=BAD_MESSAGES))
def test_whatever_is_asked_each_request_has_one_answer_and_nobody_sees_anothers_jobs(
    said: list[tuple[Origin, list[bytes]]],
) -> None:
    with desk(max_train_jobs=3) as (front, models):
        own: dict[Origin, set[str]] = {ANNA: set(), BERT: set(), EVE: set()}
        for who, frames in said:
            (reply,) = replies(front, who, frames)
            assert code(reply) not in ("internal", "bad_frame", "bad_header")
            if isinstance(reply, wire.Job):
                own[who].add(reply.token)
            if isinstance(reply, wire.Jobs):
                assert {each["token"] for each in reply.jobs} == own[who]
        assert own[EVE] == set()
        assert {each.name for each in models.iterdir()} <= {FOLDER}
        for folder in (models / FOLDER).glob("*/"):
            assert {each.name for each in folder.iterdir()} == {"job.json"}
