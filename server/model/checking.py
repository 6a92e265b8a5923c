"""Checks and hashes a model file from end to end, in pieces, so that a large one does not fill the memory.

A file of at most SMALL_BYTES is also kept in memory, because it may be overwritten in place. A larger one, such as a
quilt of a large map set, stays where it is: the front of the server keeps only its header, and the painter maps the
file. No torch here.
"""

import hashlib
import math
import sys
from array import array
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from server.model.header import (
    GENERATOR,
    THUMBNAIL,
    Facts,
    Header,
    explained,
    header_length,
    opened,
    parse_header,
)
from server.model.quilt import QuiltArchitecture
from server.model.style_quilt import StyleQuiltArchitecture

SMALL_BYTES = 8 * 2**20
PIECE_BYTES = 2**19  # between two pauses: about a millisecond


class Reads(Protocol):
    """A file, or what can be read like one."""

    def read(self, count: int, /) -> bytes: ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Checked:
    """A checked file. `begin` is where its tensors begin, `content` all of its bytes if it is small."""

    header: Header
    begin: int
    thumbnail: bytes
    sha256: str
    content: bytes | None


def checking(file: Reads, size: int) -> Generator[None, None, Checked]:
    """Check a file of this many bytes. It yields about every millisecond, so that the caller can do other work.

    Raises OSError, and ValueError with the reason in words that follow "it" or "its".
    """
    digest = hashlib.sha256()
    kept: list[bytes] | None = [] if size <= SMALL_BYTES else None

    def read(count: int) -> bytes:
        piece = file.read(count)
        if len(piece) != count:
            raise ValueError("it changed while it was read; try again")
        digest.update(piece)
        if kept is not None:
            kept.append(piece)
        return piece

    yield
    first = read(min(8, size))
    length = header_length(first, size)
    header = parse_header(read(length), size - 8 - length)
    yield
    thumbnail = b""
    for name, place in sorted(header.places.items(), key=lambda item: (item[1].start, item[1].stop)):
        for start in range(place.start, place.stop, PIECE_BYTES):
            piece = read(min(PIECE_BYTES, place.stop - start))
            _check_values(header, name, piece)
            if name == THUMBNAIL:
                thumbnail = piece
            yield
    if file.read(1):
        raise ValueError("it changed while it was read; try again")
    content = None if kept is None else b"".join(kept)
    return Checked(header=header, begin=8 + length, thumbnail=thumbnail, sha256=digest.hexdigest(), content=content)


def checked(file: Reads, size: int) -> Checked:
    """The same without pauses."""
    work = checking(file, size)
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: Checked = end.value
            return result


def check_file(path: Path) -> Facts:
    """Check a file in full and return everything but its weights. Raises BrokenModel."""
    with explained(path), opened(path) as (file, size):
        found = checked(file, size)
        return found.header.facts(path, found.thumbnail)


def _check_values(header: Header, name: str, piece: bytes) -> None:
    """Raises ValueError for numbers that a tensor must not hold. Pixels may have any value.

    The sum of a piece in double precision is finite if and only if all its float32 terms are: it never overflows.
    """
    if header.kinds[name] == "F32":
        if not math.isfinite(sum(_numbers("f", piece))):
            raise ValueError(f"its weights {name[:60]!r} are not all finite numbers")
    elif isinstance(header.architecture, QuiltArchitecture | StyleQuiltArchitecture) and name != THUMBNAIL:
        bounds = header.architecture.bounds.get(name.removeprefix(GENERATOR))
        if bounds:
            numbers = _numbers("h", piece)
            if min(numbers) < bounds[0] or max(numbers) > bounds[1]:
                raise ValueError(f"its numbers {name[:60]!r} are not all from {bounds[0]} to {bounds[1]}")


def _numbers(code: str, piece: bytes) -> "array[float]":
    numbers: array[float] = array(code, piece)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
