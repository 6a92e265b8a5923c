"""Facts about TX1: messages come back as they were sent, and whatever else comes is refused by code and in words."""

import gc
import json
import math
import random
import struct
import tracemalloc
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blender_addon.protocol import training, wire
from blender_addon.protocol.wire import (
    Buffer,
    Generate,
    Limits,
    Refused,
    Request,
    Stylize,
    encode,
    parse_reply,
    parse_request,
)
from server.msgpack_codec import CODECS

LIMITS = Limits()
LETTERS = (wire.JSON, wire.MSGPACK)
both_letters = pytest.mark.parametrize("letter", LETTERS, ids=["json", "msgpack"])


def header_of(header: Any, letter: bytes = wire.JSON) -> bytes:
    """Any value as a header, also one that no `encode` would write."""
    packed: bytes = json.dumps(header).encode() if letter == wire.JSON else msgpack.packb(header)
    return packed


def frames_of(header: Any, *buffers: bytes, letter: bytes = wire.JSON) -> list[bytes]:
    return [b"TX1" + letter, header_of(header, letter), *buffers]


def refused(frames: Sequence[wire.Data], limits: Limits = LIMITS, parse: Callable[..., Any] = parse_request) -> Refused:
    with pytest.raises(Refused) as error:
        parse(frames, limits, CODECS) if parse is parse_request else parse(frames, CODECS)
    text = str(error.value)
    assert error.value.code in wire.ERROR_CODES
    assert text.isprintable()
    assert len(wire.error(error.value).text) <= wire.MAX_TEXT
    return error.value


def generate(**changes: Any) -> dict[str, Any]:
    return {"op": "generate", "id": 7, "model": "brick", "seed": 1, "size": [64, 64]} | changes


# ---------------------------------------------------------------------------------------------------------- round trip

ids = st.integers(1, wire.MAX_ID)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=wire.MAX_MODEL_NAME)
hashes = st.text("0123456789abcdef", max_size=64)
counts = st.integers(0, wire.MAX_ID)
numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
plain = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def buffers(draw: st.DrawFn, name: str | None = None) -> Buffer:
    dtype = draw(st.sampled_from(sorted(wire.ITEM_BYTES)))
    height, width = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    channels = draw(st.sampled_from([1, 3, 4]))
    return Buffer(
        name=draw(texts) if name is None else name,
        dtype=dtype,
        shape=(height, width, channels),
        data=draw(st.randoms(use_true_random=False)).randbytes(height * width * channels * wire.ITEM_BYTES[dtype]),
        colour_space=draw(st.sampled_from(["", "srgb", "linear"])),
    )


@st.composite
def stylizes(draw: st.DrawFn) -> Stylize:
    return Stylize(
        id=draw(ids),
        model=draw(names),
        content=draw(buffers("content")),
        strength=draw(st.floats(0, 1)),
        seed=draw(st.integers(0, wire.MAX_SEED)),
        keep_colours=draw(st.booleans()),
        noise=draw(st.floats(0, wire.MAX_NOISE)),
        stroke=draw(st.floats(*wire.STROKES)),
        statistics=draw(texts),
        sha256=draw(hashes),
        deadline_ms=draw(st.none() | st.integers(1, wire.MAX_DEADLINE_MS)),
        progress=draw(st.booleans()),
    )


@st.composite
def generates(draw: st.DrawFn) -> Generate:
    height, width = draw(st.integers(wire.MIN_SIDE, 2048)), draw(st.integers(wire.MIN_SIDE, 2048))
    window = st.tuples(
        st.integers(-height, height - 1), st.integers(-width, width - 1), st.integers(1, height), st.integers(1, width)
    )
    return Generate(
        id=draw(ids),
        model=draw(names),
        seed=draw(st.integers(0, wire.MAX_SEED)),
        size=(height, width),
        window=draw(st.none() | window),
        maps=draw(st.none() | st.lists(texts, min_size=1, max_size=wire.MAX_BUFFERS, unique=True).map(tuple)),
        depth=draw(st.sampled_from([None, 8, 16])),
        sha256=draw(hashes),
        deadline_ms=draw(st.none() | st.integers(1, 24 * 3600 * 1000)),
        progress=draw(st.booleans()),
    )


tokens = st.from_regex(training.TOKEN, fullmatch=True)


@st.composite
def trains(draw: st.DrawFn) -> wire.Train:
    others = draw(st.lists(st.sampled_from(training.PARTS[1:]), max_size=3, unique=True))
    corners = st.lists(st.floats(0, 1), min_size=8, max_size=8).map(tuple)
    return wire.Train(
        id=draw(ids),
        token=draw(tokens),
        name=draw(st.from_regex(r"w[a-z0-9_-]{0,63}", fullmatch=True)),
        buffers=tuple(draw(buffers(name)) for name in (*others, training.BASE)),
        metres=draw(st.none() | st.floats(wire.MIN_METRES, wire.MAX_METRES)),
        category=draw(st.text(st.characters(categories=("L", "N")), max_size=wire.MAX_CATEGORY)),
        corners=draw(st.none() | corners),
        aspect=draw(st.none() | st.floats(0.1, 10)),
        swatch_size=draw(st.none() | st.integers(wire.MIN_SWATCH_SIZE, wire.MAX_SWATCH_SIZE)),
        keep_light=draw(st.booleans()),
        derive=draw(st.none() | st.permutations(training.GUESSED).map(lambda each: tuple(each[:2]))),
        replace=draw(st.booleans()),
    )


entries = st.builds(
    lambda name, state, more: more | {"name": name, "state": state},
    names,
    texts,
    st.dictionaries(texts, plain, max_size=3),
)
whole_limits = st.builds(Limits, **{each.name: ids for each in fields(Limits)})

requests: st.SearchStrategy[Request] = st.one_of(
    st.builds(wire.Hello, id=ids, client=texts),
    st.builds(wire.ListModels, id=ids, after=names, limit=st.integers(1, 200)),
    st.builds(wire.GetThumbnail, id=ids, model=names),
    generates(),
    stylizes(),
    st.builds(wire.GetStatus, id=ids),
    st.builds(wire.Cancel, id=ids, target=ids),
    trains(),
    st.builds(wire.GetJob, id=ids, token=tokens, seen=counts),
    st.builds(wire.CancelJob, id=ids, token=tokens),
    st.builds(wire.ListJobs, id=ids),
)
told_jobs = {
    "token": tokens,
    "name": names,
    "state": st.sampled_from(wire.JOB_STATES),
    "fraction": st.floats(0, 1),
    "text": texts,
    "sha256": hashes,
}
replies: st.SearchStrategy[wire.Reply] = st.one_of(
    st.builds(
        wire.Welcome,
        id=ids,
        protocol=ids,
        server=texts,
        state=texts,
        limits=whole_limits,
        features=st.lists(texts, unique=True, max_size=5).map(tuple),
    ),
    st.builds(wire.Models, id=ids, models=st.lists(entries, max_size=4).map(tuple), total=counts, after=names),
    st.builds(
        wire.Result,
        id=ids,
        sha256=hashes,
        precision=st.sampled_from(["", "exact", "fast"]),
        statistics=texts,
        buffers=st.lists(buffers(), max_size=4).map(tuple),
    ),
    st.builds(wire.Progress, id=ids, done=counts, of=counts),
    st.builds(wire.Job, id=ids, picture=counts, buffers=st.lists(buffers(), max_size=1).map(tuple), **told_jobs),
    st.builds(wire.Jobs, id=ids, jobs=st.lists(st.fixed_dictionaries(told_jobs), max_size=3).map(tuple)),
    st.builds(wire.Status, id=ids, report=st.dictionaries(texts, plain, max_size=5)),
    st.builds(
        wire.Error, id=st.none() | ids, code=st.sampled_from(wire.ERROR_CODES), text=texts, retry_ms=st.none() | counts
    ),
)


@both_letters
@given(request=requests)
def test_every_request_comes_back_as_it_was_sent(letter: bytes, request: Request) -> None:
    frames = encode(request, letter, CODECS)
    if isinstance(request, Generate) and request.window is None:
        request = replace(request, window=(0, 0, *request.size))  # all of it, which the server then need not ask
    assert parse_request(frames, LIMITS, CODECS) == request
    assert wire.letter_of(frames, CODECS) == letter


@both_letters
@given(reply=replies)
def test_every_reply_comes_back_as_it_was_sent(letter: bytes, reply: wire.Reply) -> None:
    assert parse_reply(encode(reply, letter, CODECS), CODECS) == reply


@both_letters
def test_buffers_cross_without_a_copy(letter: bytes) -> None:
    content = Buffer(name="content", dtype="uint8", shape=(16, 16, 3), data=memoryview(bytearray(768)))
    request = Stylize(id=1, model="ink", content=content)
    frames = encode(request, letter, CODECS)
    assert frames[2] is content.data
    parsed = parse_request(frames, LIMITS, CODECS)
    assert isinstance(parsed, Stylize)
    assert parsed.content.data is content.data


def test_what_is_left_at_its_default_is_not_sent() -> None:
    _, header = encode(Generate(id=1, model="brick", seed=0, size=(64, 64)))
    assert set(json.loads(header)) == {"op", "id", "model", "seed", "size"}


@both_letters
def test_a_picture_may_be_sent_with_its_defaults_alone(letter: bytes) -> None:
    frames = stylize(letter=letter)
    content = Buffer(name="content", dtype="uint8", shape=(16, 16, 3), data=frames[2])
    assert parse_request(frames, LIMITS, CODECS) == Stylize(id=7, model="ink", content=content)
    for whole in (0, 1):  # a number of no whole-number field may be written as one
        request = parse_request(stylize(letter=letter, more={"strength": whole, "noise": whole}), LIMITS, CODECS)
        assert isinstance(request, Stylize)
        assert (request.strength, request.noise) == (float(whole), float(whole))
        assert isinstance(request.strength, float)


@both_letters
def test_unknown_header_keys_are_ignored(letter: bytes) -> None:
    known = parse_request(frames_of(generate(), letter=letter), LIMITS, CODECS)
    more = generate(colour="red", extra={"list": [1, 2.5, None]}, **{"": True})
    assert parse_request(frames_of(more, letter=letter), LIMITS, CODECS) == known


def test_a_message_too_large_for_a_header_is_not_sent() -> None:
    report = {str(number): "x" * 100 for number in range(700)}
    with pytest.raises(ValueError, match="header of"):
        encode(wire.Status(id=1, report=report))
    with pytest.raises(ValueError, match="JSON"):
        encode(wire.Status(id=1, report={"latency": math.nan}))


def test_limits_that_a_welcome_does_not_tell_keep_their_defaults() -> None:
    assert Limits.read({"max_side": 4096, "max_dreams": 3}) == replace(LIMITS, max_side=4096)
    with pytest.raises(Refused, match=r"^max_side: "):
        Limits.read({"max_side": 0})


def test_an_error_is_told_within_its_length() -> None:
    long = wire.error(Refused("busy", "x" * 10_000, retry_ms=250))
    assert (len(long.text), long.retry_ms, long.id) == (wire.MAX_TEXT, 250, None)
    assert parse_reply(encode(long)) == long


# --------------------------------------------------------------------------------------------------------------- frames

HELLO = b'{"op":"hello","id":1}'


@pytest.mark.parametrize(
    "frames",
    [
        [], [b""], [b"TX1j"], [HELLO], [b"", b""], [b"", HELLO], [b"TX1", HELLO], [b"TX1jj", HELLO], [b"TXxj", HELLO],
        [b"TX1x", HELLO], [b"TX1\xff", HELLO], [b"tx1j", HELLO], [b"TX1j" * 1000, HELLO],
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_no_message_is_a_bad_frame(frames: list[bytes]) -> None:
    assert refused(frames).code == "bad_frame"
    assert refused(frames, parse=parse_reply).code == "bad_frame"


def test_a_req_sockets_empty_frame_is_told_of() -> None:
    error = refused([b"", b"TX1j", HELLO])
    assert error.code == "bad_frame"
    assert "use a DEALER socket" in str(error)


@pytest.mark.parametrize("first", [b"TX9j", b"TX2m", b"TX0j", b"TX2\xff"], ids=repr)
def test_another_version_is_unsupported(first: bytes) -> None:
    error = refused([first, HELLO])
    assert error.code == "unsupported_version"
    assert "this side speaks TX1" in str(error)


def test_the_wrong_letter_for_the_header_is_a_bad_frame() -> None:
    for letter, other in ((wire.JSON, wire.MSGPACK), (wire.MSGPACK, wire.JSON)):
        assert refused([b"TX1" + letter, header_of(generate(), other)]).code == "bad_frame"
    assert refused([b"TX1j", b""]).code == "bad_header"
    assert refused([b"TX1m", b""]).code == "bad_header"


def test_who_speaks_json_alone_refuses_msgpack_and_answers_in_json() -> None:
    frames = encode(wire.Hello(id=1), wire.MSGPACK, CODECS)
    with pytest.raises(Refused, match="Frame 0 must be TX1j") as error:
        parse_request(frames, LIMITS)
    assert error.value.code == "bad_frame"
    assert wire.letter_of(frames) == wire.JSON


def test_a_bad_frame_is_answered_in_its_letter_or_in_json() -> None:
    assert wire.letter_of([b"TX9m", b"?"], CODECS) == wire.MSGPACK
    for frames in ([], [b""], [b"TX1"], [b"TX1x"], [b"TX1mm"], [b"m"], [b"GET / HTTP/1.1"]):
        assert wire.letter_of(frames, CODECS) == wire.JSON


# ---------------------------------------------------------------------------------------------------------------- sizes


@both_letters
def test_a_header_over_64_kib_is_too_large_and_one_of_64_kib_is_read(letter: bytes) -> None:
    empty = len(header_of(generate(padding="x" * 60_000), letter)) - 60_000
    exact = generate(padding="x" * (wire.MAX_HEADER_BYTES - empty))
    assert len(header_of(exact, letter)) == wire.MAX_HEADER_BYTES
    assert parse_request(frames_of(exact, letter=letter), LIMITS, CODECS).id == 7
    assert refused(frames_of(exact | {"one": 1}, letter=letter)).code == "too_large"
    assert refused([b"TX1" + letter, bytes(100 * 2**20)]).code == "too_large"


def test_a_hundred_frames_are_too_large() -> None:
    error = refused([*frames_of(generate()), *[b""] * 98])
    assert (error.code, error.id) == ("too_large", 7)
    assert refused([*frames_of(generate()), *[b""] * wire.MAX_BUFFERS]).code == "bad_request"


@pytest.mark.parametrize("letter", [wire.JSON, wire.MSGPACK])
def test_an_id_is_read_from_whatever_has_one(letter: bytes) -> None:
    assert wire.id_of(frames_of(generate(), letter=letter), CODECS) == 7
    assert wire.id_of(frames_of({"op": 1, "id": 2**53}, letter=letter), CODECS) == 2**53
    for header in ({"id": 0}, {"id": True}, {"id": 1.5}, {"id": "7"}, {}, [7]):
        assert wire.id_of(frames_of(header, letter=letter), CODECS) is None
    assert wire.id_of([], CODECS) is wire.id_of([b"TX9j", b"{}"], CODECS) is None


def test_a_content_over_the_limit_is_too_large() -> None:
    limits = replace(LIMITS, max_content_pixels=32 * 32)
    for height, code in ((32, None), (33, "too_large")):
        content = Buffer(name="content", dtype="uint8", shape=(height, 32, 1), data=bytes(height * 32))
        frames = encode(Stylize(id=1, model="ink", content=content))
        if code:
            error = refused(frames, limits)
            assert (error.code, error.id) == (code, 1)
            assert str(error).startswith("content: ")
        else:
            assert parse_request(frames, limits).id == 1


def test_a_content_whose_result_would_be_over_the_limit_is_too_large() -> None:
    limits = replace(LIMITS, max_result_bytes=32 * 32 * 3)
    for shape, dtype, good in (
        ((32, 32, 3), "uint8", True), ((32, 32, 1), "uint8", True), ((32, 32, 4), "uint8", False),
        ((32, 32, 1), "uint16", False), ((16, 32, 1), "uint16", True),
    ):  # fmt: skip
        data = bytes(shape[0] * shape[1] * shape[2] * wire.ITEM_BYTES[dtype])
        frames = encode(Stylize(id=1, model="ink", content=Buffer(name="content", dtype=dtype, shape=shape, data=data)))
        if good:
            assert parse_request(frames, limits).id == 1
        else:
            assert refused(frames, limits).code == "too_large"


# -------------------------------------------------------------------------------------------------------------- headers

BAD_JSON = {
    "a depth bomb of lists": b'{"a":' + b"[" * 60_000,
    "a depth bomb of maps": b'{"a":' * 13_000,
    "nested to the end": b'{"a":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    "nine lists": b'{"op":"hello","id":1,"a":' + b"[" * 9 + b"]" * 9 + b"}",
    "a list of many": b'{"op":"hello","id":1,"a":[' + b"0," * wire.MAX_ITEMS + b"0]}",
    "a number of 5000 digits": b'{"op":"hello","id":' + b"1" * 5000 + b"}",
    "a number of 21 digits": b'{"op":"hello","id":1,"a":' + b"1" * 21 + b"}",
    "NaN": b'{"op":"hello","id":1,"a":NaN}',
    "Infinity": b'{"op":"hello","id":1,"a":-Infinity}',
    "1e999": b'{"op":"hello","id":1,"a":1e999}',
    "a key twice": b'{"op":"hello","id":1,"id":2}',
    "a key twice, deep": b'{"op":"hello","id":1,"a":[{"b":1,"\\u0062":2}]}',
    "UTF-16": '{"op":"hello","id":1}'.encode("utf-16"),
    "UTF-16 without a mark": '{"op":"hello","id":1}'.encode("utf-16-le"),
    "a byte order mark": b"\xef\xbb\xbf" + HELLO,
    "Latin-1": b'{"op":"hello","id":1,"client":"\xe9"}',
    "a lone surrogate": b'{"op":"hello","id":1,"client":"\\ud800"}',
    "a lone surrogate as a key": b'{"op":"hello","id":1,"\\udfff":1}',
    "a surrogate in UTF-8": b'{"op":"hello","id":1,"client":"\xed\xa0\x80"}',
    "a list": b"[" + HELLO + b"]",
    "a text": b'"hello"',
    "a number": b"7",
    "null": b"null",
    "trailing bytes": HELLO + b"x",
    "two maps": HELLO + HELLO,
    "cut short": HELLO[:-1],
    "a comment": b"{/**/}",
    "nothing": b"",
    "blanks": b"  ",
    "zero bytes": bytes(100),
}
M_HELLO = msgpack.packb({"op": "hello", "id": 1})
M_BEGIN = b"\x83" + M_HELLO[1:] + b"\xa1a"  # a third value follows
BAD_MSGPACK = {
    "a depth bomb of lists": b"\x81\xa1a" + b"\x91" * 60_000,
    "a depth bomb of maps": b"\x81\xa1a" * 20_000,
    "a depth bomb of large claims": b"\x81\xa1a" + b"\xdc\x04\x00" * 20_000,
    "a depth bomb of larger claims": b"\x81\xa1a" + b"\xdc\xc0\x00" * 20_000,
    "nine lists": M_BEGIN + b"\x91" * 8 + b"\x90",
    "a list of many": M_BEGIN + b"\xdc\x04\x01" + b"\0" * 1025,
    "NaN": M_BEGIN + b"\xcb" + struct.pack(">d", math.nan),
    "infinity": M_BEGIN + b"\xca" + struct.pack(">f", math.inf),
    "a key twice": b"\x82\xa2id\1\xa2id\2",
    "a key twice, deep": M_BEGIN + b"\x82\xa1b\1\xd9\1b\2",
    "a key that is a number": b"\x81\1\1",
    "a key that is a list": b"\x81\x90\1",
    "a key that is binary": M_BEGIN[:-2] + b"\xc4\1a\1",
    "a key that is empty and binary": M_BEGIN[:-2] + b"\xc4\0\1",
    "UTF-16": M_BEGIN + b"\xa4\xff\xfea\0",
    "a lone surrogate": M_BEGIN + b"\xa3\xed\xa0\x80",
    "a list": b"\x91" + M_HELLO,
    "a text": b"\xa5hello",
    "a number": b"\7",
    "nil": b"\xc0",
    "an ext type": M_BEGIN + b"\xd4\1a",
    "an empty ext type": M_BEGIN + b"\xc7\0\1",
    "a time": M_BEGIN + b"\xd6\xff\0\0\0\0",
    "a time in nanoseconds": M_BEGIN + b"\xc7\x0c\xff" + bytes(12),
    "binary": M_BEGIN + b"\xc4\1a",
    "empty binary": M_BEGIN + b"\xc4\0",
    "the type that is never used": M_BEGIN + b"\xc1",
    "a claim of 4 billion values": b"\x81\xa1a\xdd\xff\xff\xff\xff",
    "a claim of 4 billion pairs": b"\xdf\xff\xff\xff\xff",
    "a text of 4 billion bytes": b"\x81\xa1a\xdb\xff\xff\xff\xff",
    "4 billion bytes": b"\x81\xa1a\xc6\xff\xff\xff\xff",
    "an ext type of 4 billion bytes": b"\x81\xa1a\xc9\xff\xff\xff\xff\1",
    "trailing bytes": M_HELLO + b"\0",
    "two maps": M_HELLO + M_HELLO,
    "cut short": M_HELLO[:-1],
    "nothing": b"",
    "zero bytes": bytes(100),
}


@pytest.mark.parametrize(("letter", "headers"), [(wire.JSON, BAD_JSON), (wire.MSGPACK, BAD_MSGPACK)])
def test_a_header_that_is_not_one_plain_map_is_a_bad_header(letter: bytes, headers: dict[str, bytes]) -> None:
    for what, header in headers.items():
        frames = [b"TX1" + letter, header]
        tracemalloc.start()
        assert refused(frames).code == "bad_header", what
        assert refused(frames, parse=parse_reply).code == "bad_header", what
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 16 * 2**20, what


@both_letters
def test_lists_may_nest_eight_deep(letter: bytes) -> None:
    for depth, good in ((wire.MAX_DEPTH, True), (wire.MAX_DEPTH + 1, False)):
        nested: Any = {}
        for _ in range(depth - 1):
            nested = [nested]
        frames = frames_of({"op": "hello", "id": 1, "more": nested}, letter=letter)
        assert (parse_request(frames, LIMITS, CODECS).id == 1) if good else (refused(frames).code == "bad_header")


# ------------------------------------------------------------------------------------------------------------ op and id


@both_letters
def test_an_id_out_of_range_is_a_bad_header(letter: bytes) -> None:
    for id in (None, 0, -1, 2**53 + 1, 2**64 - 1, True, False, "7", 1.0, 1.5, [1], {}):
        error = refused(frames_of(generate(id=id), letter=letter))
        assert (error.code, error.id) == ("bad_header", None), id
        assert str(error).startswith("id: "), id
    missing = generate()
    del missing["id"]
    assert refused(frames_of(missing, letter=letter)).code == "bad_header"


@both_letters
def test_an_op_that_is_missing_or_unknown_is_refused_under_its_id(letter: bytes) -> None:
    for op, code in (
        (None, "bad_header"), (1, "bad_header"), ([], "bad_header"), (True, "bad_header"), ({}, "bad_header"),
        ("", "unknown_op"), ("paint", "unknown_op"), ("GENERATE", "unknown_op"), ("result", "unknown_op"),
        ("é" * 10_000, "unknown_op"), ("__class__", "unknown_op"),
    ):  # fmt: skip
        error = refused(frames_of(generate(op=op), letter=letter))
        assert (error.code, error.id) == (code, 7)
        assert str(error).startswith("op: ")
    missing = generate()
    del missing["op"]
    assert refused(frames_of(missing, letter=letter)).code == "bad_header"


# --------------------------------------------------------------------------------------------------------------- fields

WRONG = {
    "size": [0, -1, 16385, 1.5, True, "2048", None, [], [64], [64, 64, 64], [0, 64], [-1, 64], [64, 15], [16385, 64],
             [64, 2**64 - 1], [64.0, 64], [True, 64], ["64", 64], [None, 64], [[64], 64], {"height": 64, "width": 64}],
    "window": [0, "all", [0, 0, 64], [0, 0, 64, 64, 0], [0, 0, 0, 64], [0, 0, 64, -1], [0, 0, 65, 64], [0, 0, 64, 65],
               [64, 0, 1, 1], [-65, 0, 1, 1], [0, 2**63, 1, 1], [0, 0, 1.5, 1], [0, 0, True, 1], {}, False],
    "seed": [-1, 2**64, 1.5, 1.0, True, "7", None, [7], {}],
    "model": [None, 7, True, ["brick"], {}],
    "maps": ["basecolor", [], [7], [None], ["a", "a"], [str(each) for each in range(17)], {"a": 1}, 7, False],
    "depth": [0, -8, 7, 10, 32, 8.0, True, "8", [8]],
    "sha256": [7, True, "x" * 65, ["a"]],
    "deadline_ms": [0, -1, 24 * 3600 * 1000 + 1, 1.5, True, "10"],
    "progress": [1, 0, "yes", None, []],
    "buffers": [7, "none", {}, [7], [{}], [{"name": "content"}]],
}  # fmt: skip


@both_letters
@pytest.mark.parametrize("name", WRONG)
def test_a_field_out_of_range_is_a_bad_request_that_names_it(letter: bytes, name: str) -> None:
    for value in WRONG[name]:
        if (letter, value) != (wire.MSGPACK, 2**64):  # which msgpack cannot say
            error = refused(frames_of(generate(**{name: value}), letter=letter))
            assert (error.code, error.id) == ("bad_request", 7), value
            assert str(error).startswith(f"{name}: "), value


@pytest.mark.parametrize("name", ["model", "seed", "size"])
def test_a_field_that_must_be_there_is_named_when_it_is_missing(name: str) -> None:
    header = generate()
    del header[name]
    error = refused(frames_of(header))
    assert error.code == "bad_request"
    assert str(error).startswith(f"{name}: it is missing")


@pytest.mark.parametrize(
    ("op", "name", "value"),
    [
        ("hello", "client", "x" * 101), ("hello", "client", 7), ("models", "after", 7), ("models", "after", "x" * 201),
        ("models", "limit", 0), ("models", "limit", 201), ("models", "limit", "50"), ("thumbnail", "model", None),
        ("cancel", "target", None), ("cancel", "target", 0), ("cancel", "target", 2**53 + 1), ("cancel", "target", "7"),
    ],
)  # fmt: skip
def test_the_fields_of_the_small_requests_are_named_likewise(op: str, name: str, value: object) -> None:
    error = refused(frames_of({"op": op, "id": 7, name: value}))
    assert (error.code, error.id) == ("bad_request", 7)
    assert str(error).startswith(f"{name}: ")


WRONG_OF_A_PICTURE = {
    "strength": [-0.01, 1.01, 2, "1", True, None, [1], 10**19],
    "noise": [-1, 10.5, "1", False, None, {}],
    "stroke": [0, 0.2, 4.5, "1", True, None],
    "keep_colours": [1, "yes", None],
    "seed": [-1, 2**64, 1.0, None, "7"],
    "statistics": [7, None, "x" * (wire.MAX_STATISTICS + 1), ["a"]],
    "model": [None, 7],
    "sha256": [7, "x" * 65],
    "deadline_ms": [0, -1, wire.MAX_DEADLINE_MS + 1, 1.5],
    "progress": [1, None],
}


@pytest.mark.parametrize("name", WRONG_OF_A_PICTURE)
def test_the_fields_of_a_picture_are_named_likewise(name: str) -> None:
    for value in WRONG_OF_A_PICTURE[name]:
        error = refused(stylize(more={name: value}))
        assert (error.code, error.id) == ("bad_request", 7), value
        assert str(error).startswith(f"{name}: "), value


def test_a_texture_over_the_limit_is_asked_for_in_windows() -> None:
    for whole in (generate(size=[4096, 4096]), generate(size=[4096, 4096], window=[-5, 9, 4096, 1025])):
        error = refused(frames_of(whole))
        assert error.code == "bad_request"
        assert str(error).startswith("window: ")
        assert "ask for smaller windows" in str(error)
    part = generate(size=[4096, 4096], window=[-4096, 4095, 1024, 4096], seed=2**64 - 1)
    assert parse_request(frames_of(part), LIMITS).id == 7


def test_the_servers_own_limits_hold() -> None:
    small = replace(LIMITS, max_side=128, max_window_pixels=64 * 64)
    assert str(refused(frames_of(generate(size=[64, 129])), small)).startswith("size: ")
    assert str(refused(frames_of(generate(size=[64, 65])), small)).startswith("window: ")


def test_a_stranger_finds_a_shortened_value_in_the_text() -> None:
    text = str(refused(frames_of(generate(size="9" * 60_000))))
    assert len(text) < 200


# ---------------------------------------------------------------------------------------------------------- model names


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "a/b", "a\0b"], ids=ascii)
def test_a_name_is_only_text_to_the_wire(name: str) -> None:
    """Which names there are the library knows."""
    request = parse_request(frames_of(generate(model=name)), LIMITS)
    assert isinstance(request, Generate)
    assert request.model == name


@pytest.mark.parametrize("op", ["generate", "thumbnail", "stylize"])
def test_a_name_of_ten_thousand_characters_is_an_unknown_model(op: str) -> None:
    content = {"name": "content", "dtype": "uint8", "shape": [16, 16, 1]}
    header = generate(op=op, model="x" * 10_000) | ({"buffers": [content]} if op == "stylize" else {})
    error = refused(frames_of(header, *([bytes(256)] if op == "stylize" else [])))
    assert (error.code, error.id) == ("unknown_model", 7)
    assert len(str(error)) < 200


# -------------------------------------------------------------------------------------------------------------- buffers


def stylize(
    data: bytes = bytes(16 * 16 * 3), *, letter: bytes = wire.JSON, more: dict[str, Any] | None = None, **changes: Any
) -> list[bytes]:
    content = {"name": "content", "dtype": "uint8", "shape": [16, 16, 3]} | changes
    header = {"op": "stylize", "id": 7, "model": "ink", "buffers": [content]} | (more or {})
    return frames_of(header, data, letter=letter)


BAD_CONTENT = {
    "one byte too few": (stylize(bytes(767)), "buffers"),
    "one byte too many": (stylize(bytes(769)), "buffers"),
    "no byte": (stylize(b""), "buffers"),
    "two channels": (stylize(bytes(512), shape=[16, 16, 2]), "shape"),
    "five channels": (stylize(bytes(1280), shape=[16, 16, 5]), "shape"),
    "no channel": (stylize(b"", shape=[16, 16, 0]), "shape"),
    "no channels told": (stylize(bytes(256), shape=[16, 16]), "shape"),
    "a side of 0": (stylize(b"", shape=[0, 16, 3]), "shape"),
    "two sides below 0": (stylize(shape=[-16, -16, 3]), "shape"),
    "sides of 1.5": (stylize(shape=[1.5, 16, 3]), "shape"),
    "a true side": (stylize(bytes(48), shape=[True, 16, 3]), "shape"),
    "float64": (stylize(bytes(8 * 768), dtype="float64"), "dtype"),
    "uint16, half of it": (stylize(bytes(768), dtype="uint16"), "buffers"),
    "16385 across": (stylize(bytes(16385), shape=[1, 16385, 1]), "content"),
    "object": (stylize(dtype="O"), "dtype"),
    "16.7 million across, 1 down": (stylize(bytes(2**24), shape=[1, 2**24, 1]), "content"),
    "16.7 million claimed": (stylize(shape=[2**24, 2**24, 4]), "buffers"),
    "sides of 20 digits": (stylize(shape=[10**19, 10**19, 4]), "buffers"),
    "another name": (stylize(name="picture"), "buffers"),
    "a name of a thousand": (stylize(name="x" * 1000), "name"),
    "another colour space, no text": (stylize(colour_space=7), "colour_space"),
    "missing": (stylize()[:2], "buffers"),
    "one too many": ([*stylize(), b""], "buffers"),
    "not described": (frames_of({"op": "stylize", "id": 7, "model": "ink"}, bytes(768)), "buffers"),
    "described twice": (
        frames_of(
            {"op": "stylize", "id": 7, "model": "ink", "buffers": [json.loads(stylize()[1])["buffers"][0]] * 2},
            bytes(768), bytes(768),
        ),
        "buffers",
    ),
}  # fmt: skip


def test_content_that_does_not_fit_is_refused_before_its_size_is_allocated() -> None:
    for what, (frames, name) in BAD_CONTENT.items():
        tracemalloc.start()
        error = refused(frames)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert (error.code, error.id) == ("bad_request", 7), what
        assert str(error).startswith(f"{name}: "), what
        assert peak < 2**20, what


class Samples(bytearray):
    """Of which it can be seen whether they are still held."""


def test_a_refused_message_is_let_go_at_once() -> None:
    """A content is large, and whoever sends many that are refused must not fill the memory until someone tidies up."""
    samples = Samples(768)
    held = weakref.ref(samples)
    frames: list[wire.Data] = [*stylize(shape=[16, 16, 4])[:2], samples]
    gc.disable()
    try:
        with suppress(Refused):
            parse_request(frames, LIMITS)
        del frames, samples
        assert held() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("dtype", sorted(wire.ITEM_BYTES))
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 16384, 3), (16384, 1, 4), (15, 2, 4)], ids=str)
def test_a_picture_of_any_shape_is_read(shape: tuple[int, int, int], dtype: str) -> None:
    data = bytes(shape[0] * shape[1] * shape[2] * wire.ITEM_BYTES[dtype])
    request = parse_request(stylize(data, shape=list(shape), dtype=dtype), LIMITS)
    assert isinstance(request, Stylize)
    assert (request.content.shape, request.content.data) == (shape, data)
    assert request.image_shape == (*shape[:2], max(3, shape[2]))


@pytest.mark.parametrize("request_", [wire.Hello(id=7), wire.GetStatus(id=7), wire.Cancel(id=7, target=1)])
def test_what_takes_no_buffer_is_refused_with_one(request_: Request) -> None:
    frames = [*encode(request_), b"x"]
    assert refused(frames).code == "bad_request"
    described = json.loads(bytes(frames[1])) | {"buffers": [{"name": "x", "dtype": "uint8", "shape": [1, 1, 1]}]}
    assert str(refused(frames_of(described, b"x"))).startswith("buffers: ")


# --------------------------------------------------------------------------------------------------------- bad replies


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        ({"op": "hello", "id": 1}, "unknown_op"),
        ({"op": ["result"], "id": 1}, "unknown_op"),
        ({"op": "result"}, "bad_header"),
        ({"op": "result", "id": 0}, "bad_header"),
        ({"op": "error", "id": "1", "code": "busy", "text": ""}, "bad_header"),
        ({"op": "error", "id": None, "text": ""}, "bad_request"),
        ({"op": "welcome", "id": 1, "protocol": 1, "server": "s", "state": "ready"}, "bad_request"),
        ({"op": "models", "id": 1, "total": 0, "models": [7]}, "bad_request"),
        ({"op": "models", "id": 1, "total": 0, "models": [{"name": "brick"}]}, "bad_request"),
        ({"op": "models", "id": 1, "total": 0, "models": [{}] * 201}, "bad_request"),
        ({"op": "progress", "id": 1, "done": -1, "of": 1}, "bad_request"),
        ({"op": "status", "id": 1, "report": []}, "bad_request"),
        ({"op": "result", "id": 1, "buffers": [{"name": "x", "dtype": "uint8", "shape": [1, 1, 1]}]}, "bad_request"),
    ],
    ids=lambda each: str(each)[:60],
)
def test_a_reply_that_no_server_sends_is_refused(reply: dict[str, Any], code: str) -> None:
    assert refused(frames_of(reply), parse=parse_reply).code == code


def test_a_code_of_a_later_server_is_handed_on() -> None:
    reply = parse_reply(frames_of({"op": "error", "id": 1, "code": "out_of_ink", "text": "Refill."}))
    assert isinstance(reply, wire.Error)
    assert reply.code == "out_of_ink"


# -------------------------------------------------------------------------------------------------------------- fuzzer

EXAMPLES: list[Request | wire.Reply] = [
    wire.Hello(id=1, client="fuzz"),
    wire.ListModels(id=2, after="brick", limit=7),
    wire.GetThumbnail(id=3, model="brick"),
    Generate(id=4, model="brick", seed=2**64 - 1, size=(64, 64), window=(-1, 3, 20, 9), maps=("a", "b"), depth=16,
             sha256="ab" * 32, deadline_ms=100, progress=True),
    Stylize(id=5, model="ink", content=Buffer(name="content", dtype="uint8", shape=(16, 16, 3), data=bytes(768)),
            strength=0.5, noise=2.0, keep_colours=True, statistics="c3RhdA==", sha256="ab" * 32, deadline_ms=9),
    wire.GetStatus(id=6),
    wire.Cancel(id=7, target=4),
    wire.Train(id=8, token="ab" * 16, name="wall", metres=2.0, category="Masonry", corners=(0, 0, 0, 1, 1, 1, 1, 0.5),
               aspect=1.5, swatch_size=512, derive=("normal",), replace=True,
               buffers=(Buffer(name="basecolor", dtype="uint8", shape=(8, 8, 3), data=bytes(192)),)),
    wire.GetJob(id=9, token="ab" * 16, seen=2),
    wire.CancelJob(id=10, token="ab" * 16),
    wire.ListJobs(id=11),
    wire.Job(id=9, token="ab" * 16, name="wall", state="running", fraction=0.5, text="Learning.", picture=3,
             buffers=(Buffer(name="picture", dtype="uint8", shape=(8, 8, 3), data=bytes(192), colour_space="srgb"),)),
    wire.Jobs(id=11, jobs=({"token": "ab" * 16, "name": "wall", "state": "failed", "text": "No."},)),
    wire.Welcome(id=1, protocol=1, server="s", state="ready", limits=LIMITS, features=("stylize",)),
    wire.Models(id=2, models=({"name": "brick", "state": "ready", "bytes": 9},), total=9, after="brick"),
    wire.Result(id=4, sha256="ab" * 32, precision="exact",
                buffers=(Buffer(name="a", dtype="uint16", shape=(4, 4, 3), data=bytes(96), colour_space="srgb"),)),
    wire.Progress(id=4, done=1, of=2),
    wire.Status(id=6, report={"state": "ready", "latency_ms": {"p50": 1.5}}),
    wire.Error(id=7, code="not_found", text="no", retry_ms=3),
]  # fmt: skip
HOSTILE: list[Any] = [None, True, False, 0, -1, 1, 2**53, 2**53 + 1, 2**63, 2**64 - 1, 0.5, 1e308, math.nan, math.inf,
                      "", "generate", "x" * 300, "\ud800", "a\0b", "../x", [], {}, [[]], [0], [0] * 2000, [{}] * 300,
                      {"a": {}}, [64, 64], [-1, -1, 2, 2], [16, 16, 3], [2**60, 2**60, 4], {"": ""}]  # fmt: skip


def mutated(generator: random.Random) -> list[bytes]:
    """A message with some harm done to its values, most often, or to its frames or bytes."""
    message, letter = generator.choice(EXAMPLES), generator.choice(LETTERS)
    frames = [bytes(each) for each in encode(message, letter, CODECS)]
    for _ in range(generator.randint(1, 3)):
        where = min(generator.choice([0, 1, 1, 1, 2]), len(frames) - 1)
        harm = generator.randrange(12)
        if harm < 8:
            frames[1] = with_hostile_value(generator, frames[1], letter)
        elif harm == 8:
            frames.insert(where, generator.choice([b"", b"x", b"TX1j", bytes(generator.randrange(300))]))
        elif harm == 9 and len(frames) > 2:
            del frames[where]
        elif frames[where]:
            frames[where] = with_harmed_bytes(generator, bytearray(frames[where]))
    return frames


def with_harmed_bytes(generator: random.Random, data: bytearray) -> bytes:
    at, count = generator.randrange(len(data)), generator.randint(1, 5)
    harm = generator.randrange(4)
    if harm == 0:
        data[at] = generator.randrange(256)
    elif harm == 1:
        del data[at : at + count]
    elif harm == 2:
        data[at:at] = generator.choice([data[at : at + 40] * count, generator.randbytes(count), b"[" * 500])
    else:
        data[at : at + 5] = bytes([generator.randrange(0x80, 0x100)]) + b"\xff\xff\xff\x7f"  # a type and a huge length
    return bytes(data)


def with_hostile_value(generator: random.Random, header: bytes, letter: bytes) -> bytes:
    try:
        values = json.loads(header) if letter == wire.JSON else msgpack.unpackb(header)
        place = values
        while True:
            key = generator.choice(list(place) if isinstance(place, dict) else range(len(place)))
            if not (isinstance(place[key], dict | list) and place[key] and generator.random() < 0.6):
                break
            place = place[key]
        place[key] = generator.choice(HOSTILE)
        return header_of(values, letter)
    except (ValueError, TypeError, IndexError, msgpack.UnpackException, RecursionError, AttributeError):
        return header + b"\xff"


def refusals(frames: Sequence[bytes]) -> Iterator[Refused]:
    """Of the frames as a request and as a reply."""
    try:
        parse_request(frames, LIMITS, CODECS)
    except Refused as refused:
        yield refused
    try:
        parse_reply(frames, CODECS)
    except Refused as refused:
        yield refused


def fuzz(seed: int, messages: int) -> set[str]:
    """The codes seen. Whatever comes, a request or reply is read or refused, and memory stays where it was."""
    generator, codes = random.Random(seed), set()
    tracemalloc.start()
    start, _ = tracemalloc.get_traced_memory()
    for _ in range(messages):
        frames = mutated(generator)
        for refused in refusals(frames):
            codes.add(refused.code)
            told = wire.error(refused)
            assert parse_reply(encode(told, wire.letter_of(frames, CODECS), CODECS), CODECS) == told
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak - start < 50 * 2**20
    assert codes <= set(wire.ERROR_CODES)
    return codes


OFTEN = {"bad_frame", "bad_header", "unknown_op", "bad_request"}


def test_of_two_thousand_mutated_messages_each_is_read_or_refused() -> None:
    assert fuzz(1, 2_000) >= OFTEN


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
def test_of_twenty_thousand_mutated_messages_each_is_read_or_refused(seed: int) -> None:
    assert fuzz(seed, 20_000) >= OFTEN


@settings(max_examples=200)
@given(frames=st.lists(st.binary(max_size=200), max_size=4), letter=st.sampled_from([b"TX1j", b"TX1m", b""]))
def test_any_bytes_are_read_or_refused(frames: list[bytes], letter: bytes) -> None:
    assert {each.code for each in refusals([letter, *frames])} <= set(wire.ERROR_CODES)
