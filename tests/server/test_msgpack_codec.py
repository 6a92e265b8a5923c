"""Facts about headers in msgpack: they say what JSON says, and all that is not exactly one value is a ValueError."""

import tracemalloc
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blender_addon.protocol import wire
from server.msgpack_codec import CODECS, MsgPack

codec = MsgPack()
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    scalars | texts,
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(texts, inner, max_size=20),
    max_leaves=40,
)


@given(header=st.dictionaries(texts, values, max_size=20))
def test_a_header_comes_back_as_it_was_written_by_us_and_by_any_other_msgpack(header: dict[str, Any]) -> None:
    data = codec.dumps(header)
    assert codec.loads(data) == header
    assert msgpack.unpackb(data, max_map_len=2**20) == header


def test_both_letters_have_their_codec() -> None:
    assert set(CODECS) == {wire.JSON, wire.MSGPACK}
    assert isinstance(CODECS[wire.MSGPACK], MsgPack)
    assert CODECS[wire.JSON] is wire.JSON_ONLY[wire.JSON]


@given(data=st.binary(max_size=300))
def test_any_bytes_are_one_value_or_a_value_error(data: bytes) -> None:
    try:
        value = codec.loads(data)
    except ValueError:
        return
    assert not isinstance(value, tuple | msgpack.ExtType | msgpack.Timestamp)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xc1", b"\x80\x80", b"\x81", b"\x81\xa1a", b"\x92\1", b"\xa5hell", b"\xa2\xff\xfe",
        b"\x82\xa1a\1\xa1a\2", b"\x81\1\1",
        b"\x81\xc0\1", b"\x81\x90\1", b"\xc4\1a", b"\xd4\1a", b"\xc7\0\1", b"\xd6\xff\0\0\0\0",
        b"\xd7\xff" + bytes(8), b"\xc7\x0c\xff" + bytes(12), b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xc9\xff\xff\xff\xff\1", b"\x91" * 60_000,
    ],
    ids=lambda data: data[:6].hex(),
)  # fmt: skip
def test_what_is_not_exactly_one_plain_value_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011, the text is the library's
        codec.loads(data)


@pytest.mark.parametrize(
    "claim", [b"\xdd\xff\xff\xff\xff", b"\xdc\xff\xff", b"\xdc\xc0\x00", b"\xde\xc0\x00", b"\xdc\x04\x00"]
)
def test_no_claim_is_allocated(claim: bytes) -> None:
    """Nested claims neither, though each fits the header."""
    tracemalloc.start()
    with pytest.raises(ValueError):  # noqa: PT011
        codec.loads(claim * (60_000 // len(claim)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 * 2**20


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, "\ud800"], ids=ascii)
def test_what_msgpack_cannot_say_is_a_value_error(value: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        codec.dumps({"value": value})
