"""What front and workers say to each other arrives as it was sent, and nothing else passes for a message."""

import math
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from blender_addon.protocol import wire
from blender_addon.protocol.edges import Edges
from server.model.torus import Size, Window
from server.model.work import (
    MAX_HEADER_BYTES,
    BlendTile,
    Done,
    DropModel,
    Failed,
    FromFront,
    FromWorker,
    GoOn,
    Here,
    LeaveItem,
    LoadLarge,
    LoadModel,
    MalformedMessage,
    ModelPiece,
    PaintTile,
    Progress,
    Stop,
    StylizePicture,
    WantPiece,
    encode,
    parse_from_front,
    parse_from_worker,
)

SHA = "ab" * 32
TILE = PaintTile(
    number=2**53, sha256=SHA, seed=2**64 - 1, size=Size(300, 400), tile=Window(0, 0, 300, 400), depths=(8, 16)
)
PICTURE = StylizePicture(
    number=7, sha256=SHA, shape=(2, 3, 4), dtype="uint16", strength=0.5, seed=1, keep_colours=True, noise=2.0,
    stroke=1.5, statistics=b"\x00\xff", content=bytes(48),
)  # fmt: skip
BLEND = BlendTile(
    number=7, hashes=(SHA, "cd" * 32), seed=1, size=Size(300, 400), tile=Window(0, 0, 8, 9), maps=("height",),
    depths=(16,), softness=0.5, heights=0.25, reach=1.0, shape=(2, 3, 1), content=bytes(6),
)  # fmt: skip
FROM_FRONT = (
    LoadModel(sha256=SHA, name="brick", content=b"file"), LoadLarge(sha256=SHA, name="rock", bytes=2**30),
    LoadLarge(sha256=SHA, name="rock", bytes=1, path=b"/ro\xffck"), ModelPiece(sha256=SHA, begin=7, content=b"x"),
    DropModel(sha256=SHA), TILE, replace(TILE, edges=Edges(9, 2)), BLEND, replace(BLEND, receipt_only=True),
    PICTURE, LeaveItem(number=1), GoOn(), Stop(), Stop(why="it is too old"),
)  # fmt: skip
HERE = Here(version="1", name="cpu/0", device="cuda:0", precision="fast", memory_mb=5, others=("cuda:1", "cuda:2"))
FROM_WORKER = (
    HERE, Here(version="1", name="far", device="cpu"), WantPiece(sha256=SHA, begin=2**21), Progress(number=1, done=0),
    Done(number=1, planes=()), Done(number=1, planes=(memoryview(b"a"),)), Done(number=1, planes=(), in_pieces=True),
    replace(HERE, arithmetic="a processor, torch 2"),
    Failed(number=1, code="oom", text="No."), Failed(number=1, code="unknown_model", text="No.", lacks_model=True),
)  # fmt: skip


def plain(message: FromFront | FromWorker) -> list[Any]:
    """To be compared: also messages that are only equal to themselves."""
    return [type(message), *((each.name, getattr(message, each.name)) for each in fields(message))]


def malformed(header: object, *buffers: bytes) -> str:
    with pytest.raises(MalformedMessage) as error:
        parse_from_worker([msgpack.packb(header), *buffers], "1")
    return str(error.value)


def header_of(message: FromFront | FromWorker) -> dict[str, Any]:
    header: dict[str, Any] = msgpack.unpackb(encode(message)[0])
    return header


@pytest.mark.parametrize("message", FROM_FRONT, ids=lambda each: each.kind)
def test_what_the_front_says_arrives(message: FromFront) -> None:
    assert plain(parse_from_front(encode(message))) == plain(message)


@pytest.mark.parametrize("message", FROM_WORKER, ids=lambda each: each.kind)
def test_what_a_worker_says_arrives(message: FromWorker) -> None:
    assert plain(parse_from_worker(encode(message), "1")) == plain(message)


def test_large_buffers_are_not_copied() -> None:
    content = bytearray(48)
    frames = encode(LoadModel(sha256=SHA, name="brick", content=content))
    assert frames[1] is content
    planes = (memoryview(content),)
    (again,) = parse_from_worker(encode(Done(number=1, planes=planes)), "1").planes  # type: ignore[union-attr]
    assert again.obj is content


def test_of_another_version_nothing_but_the_version_is_read() -> None:
    strange = {"say": "here", "version": "0.9", "name": ["a", "list"], "memory_mb": "much"}
    assert parse_from_worker([msgpack.packb(strange)], "1") == Here(version="0.9")


INFINITE = {"infinite": math.inf, "negative infinite": -math.inf, "no number": math.nan}
NO_NUMBERS = INFINITE | {
    "fraction": 1.5, "text": "7", "nothing": None, "list": [7], "bytes": b"7", "map": {}, "true": True,
    "negative": -1, "huge": 2**64 - 1,
}  # fmt: skip
NO_TEXTS = {"number": 7, "list": ["a"], "bytes": b"cpu", "nothing": None, "map": {}, "long": "x" * 20_000}
WANT = WantPiece(sha256=SHA, begin=0)
PROGRESS, FAILED = Progress(number=1, done=0), Failed(number=1, code="oom", text="No.")
WRONG = [
    *(pytest.param(HERE, "memory_mb", value, id=f"memory is {name}") for name, value in NO_NUMBERS.items()),
    *(pytest.param(HERE, "name", value, id=f"name is {name}") for name, value in NO_TEXTS.items()),
    *(pytest.param(HERE, "device", value, id=f"device is {name}") for name, value in NO_TEXTS.items()),
    *(pytest.param(HERE, "version", value, id=f"version is {name}") for name, value in NO_TEXTS.items()),
    *(pytest.param(HERE, "precision", value, id=f"precision is {name}") for name, value in NO_TEXTS.items()),
    pytest.param(HERE, "precision", "double", id="precision is unknown"),
    pytest.param(HERE, "name", "cpu\n0", id="name has two lines"),
    pytest.param(HERE, "others", "cuda:1", id="others is text"),
    pytest.param(HERE, "others", 7, id="others is number"),
    pytest.param(HERE, "others", [7], id="others are numbers"),
    pytest.param(HERE, "others", ["cuda:1,2,3"], id="others has commas"),
    pytest.param(HERE, "others", [f"cuda:{each}" for each in range(100)], id="others are many"),
    *(pytest.param(WANT, "begin", value, id=f"begin is {name}") for name, value in NO_NUMBERS.items()),
    *(pytest.param(WANT, "sha256", value, id=f"sha256 is {name}") for name, value in NO_TEXTS.items()),
    *(pytest.param(PROGRESS, "done", value, id=f"done is {name}") for name, value in NO_NUMBERS.items()),
    *(pytest.param(PROGRESS, "task", value, id=f"item is {name}") for name, value in NO_NUMBERS.items()),
    *(pytest.param(FAILED, "code", value, id=f"code is {name}") for name, value in NO_TEXTS.items()),
    *(pytest.param(FAILED, "text", value, id=f"text is {name}") for name, value in NO_TEXTS.items()),
]  # fmt: skip


@pytest.mark.parametrize(("message", "name", "value"), WRONG)
def test_a_wrong_value_is_malformed_and_the_text_names_it(message: FromWorker, name: str, value: object) -> None:
    said = malformed(header_of(message) | {name: value})
    assert said.startswith((f"{name}: ", "its header cannot be read"))
    assert said.isprintable()


@pytest.mark.parametrize("message", FROM_WORKER, ids=lambda each: each.kind)
def test_a_missing_field_is_malformed(message: FromWorker) -> None:
    header = header_of(message)
    for name in header.keys() - {"others", "lacks_model", "receipt", "in_pieces", "arithmetic"}:
        malformed({key: value for key, value in header.items() if key != name})


def test_an_unknown_code_is_the_servers_own_fault() -> None:
    header = header_of(FAILED) | {"code": "made up"}
    assert parse_from_worker([msgpack.packb(header)], "1").code == "internal"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "frames",
    [
        [], [b""], [b"\xc1"], [b"\x81"], [b"\x81\xa3say"], [msgpack.packb(7)], [msgpack.packb([])],
        [msgpack.packb({"say": ["here"]})], [msgpack.packb({"say": "jump"})], [msgpack.packb({})],
        [b"\x82\xa3say\xa4done\xa3say\xa4done"], [b"\x81" * 5000], [bytes(MAX_HEADER_BYTES + 1)],
        [b"\xdf\xff\xff\xff\xff"], [b"\x81\xa3say\xa2\xff\xff"], [msgpack.packb({"say": "done", "task": 1}) + b"\0"],
    ],
    ids=[
        "no frame", "empty", "no msgpack", "cut map", "cut value", "number", "list", "list of kinds", "unknown kind",
        "no kind", "twice", "deep", "long", "endless map", "no UTF-8", "more behind it",
    ],
)  # fmt: skip
def test_what_is_no_message_is_malformed_on_both_sides(frames: Sequence[bytes]) -> None:
    with pytest.raises(MalformedMessage):
        parse_from_worker(frames, "1")
    with pytest.raises(MalformedMessage):
        parse_from_front(frames)


def test_a_clients_error_is_no_message_of_the_front() -> None:
    with pytest.raises(MalformedMessage):
        parse_from_front(wire.encode(wire.Error(id=None, code="bad_frame", text="No.")))


@pytest.mark.parametrize(
    ("changes", "content"),
    [
        ({"shape": [2, 3, 3]}, bytes(48)), ({"dtype": "float32"}, bytes(48)), ({"statistics": "text"}, bytes(48)),
        ({"seed": -1}, bytes(48)), ({}, bytes(47)),
    ],
    ids=["other shape", "other type", "text for bytes", "negative seed", "too short"],
)  # fmt: skip
def test_a_picture_whose_samples_do_not_fit_is_malformed(changes: dict[str, Any], content: bytes) -> None:
    with pytest.raises(MalformedMessage):
        parse_from_front([msgpack.packb(header_of(PICTURE) | changes), content])


@pytest.mark.parametrize(
    "changes",
    [{"size": [8, 300]}, {"tile": [0, 0, 0, 400]}, {"depths": [8, 12]}, {"depths": []}, {"depths": 8}, {"seed": 2.0}],
    ids=str,
)
def test_a_tile_that_no_texture_has_is_malformed(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedMessage):
        parse_from_front([msgpack.packb(header_of(TILE) | changes)])


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=9) | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
headers = st.fixed_dictionaries(
    {"say": st.sampled_from(["here", "progress", "done", "failed"]), "version": st.just("1") | values},
    optional=dict.fromkeys(("task", "done", "name", "device", "precision", "memory_mb", "others", "code"), values),
)


@given(header=headers)
@example(header={"say": "progress", "task": 1, "done": math.inf})
def test_whatever_a_worker_sends_is_parsed_or_malformed(header: dict[str, Any]) -> None:
    try:
        message = parse_from_worker([msgpack.packb(header)], "1")
    except MalformedMessage:
        return
    if isinstance(message, Progress):
        assert 0 <= message.done <= wire.MAX_ID


@given(st.binary(max_size=200))
def test_whatever_bytes_come_are_parsed_or_malformed(data: bytes) -> None:
    for parse in (parse_from_front, lambda frames: parse_from_worker(frames, "1")):
        try:
            parse([data])
        except MalformedMessage:
            continue
