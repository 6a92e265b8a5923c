"""The statistics of a picture as a client sends them back: bytes of numbers, little-endian. No torch here."""

import sys
from array import array
from typing import Literal

from server.errors import BadRequest


def little_endian(kind: Literal["f", "H"], data: bytes, wanted: int) -> "array[float]":
    """The numbers, float32 or uint16, of exactly `wanted` bytes. Raises BadRequest."""
    if len(data) != wanted:
        raise BadRequest(
            f"statistics: they have {len(data)} bytes, and this model's have {wanted}; measure them anew with this "
            "model."
        )
    values: array[float] = array(kind, data)
    if sys.byteorder == "big":
        values.byteswap()
    return values
