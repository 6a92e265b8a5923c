"""JSON that two readers could read differently is refused, and the reason is named."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blender_addon.protocol import strict_json

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**18), 10**19) | st.floats(-1e9, 1e9) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)  # fmt: skip


@given(plain)
def test_plain_values_are_read_as_they_were_written(value: Any) -> None:
    assert strict_json.loads(json.dumps(value).encode()) == value


REFUSED = {
    b'{"a": 1, "b": {"c": 1, "c": 1}}': "the key 'c' twice",
    b"[NaN]": "the number NaN, which is not finite",
    b"[-Infinity]": "the number -Infinity, which is not finite",
    b"[1e999]": "the number 1e999, which is not finite",
    b"[123456789012345678901]": "a number of 21 digits",
    b'["\xff"]': "bytes that are not UTF-8 text",
    b"{'a': 1}": "text that is not JSON (Expecting property name enclosed in double quotes at character 1)",
    b"[1] 2": "text that is not JSON (Extra data at character 4)",
    b"[" * 500_000: "lists or maps nested too deeply",
}


@pytest.mark.parametrize("data", REFUSED, ids=lambda data: data[:20].decode("ascii", "replace"))
def test_what_is_not_strict_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011, the whole text is compared
        strict_json.loads(data)
    assert str(error.value) == REFUSED[data]
