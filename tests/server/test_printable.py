"""Facts about text of others that is shown."""

import pytest

from server.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, \u00e9 \u7816 included", "plain text, \u00e9 \u7816 included"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("one\ntwo\r", r"one\ntwo\r"),
        ("turned \u202e round", r"turned \u202e round"),
        ("\x00\x9b", r"\x00\x9b"),
    ],
)
def test_nothing_in_it_acts_on_a_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown
