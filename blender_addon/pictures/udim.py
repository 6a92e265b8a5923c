"""UDIM: a UV map that reaches over several squares, each with a picture of its own: NAME.1001.png, NAME.1002.png.

Square 1001 + u + 10 v has its lower left corner at (u, v) of the UV map; u runs from 0 to 9. All squares that are
painted together are windows of one large texture, which covers the rectangle around them: so nothing repeats in it, and
squares that are neighbours join. No bpy here.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, floor
from pathlib import Path
from typing import Final

from ..protocol.errors import BadRequest

FIRST: Final = 1001
LAST: Final = 2000  # 100 rows; Blender knows no more
ACROSS: Final = 10
MOST: Final = 100  # squares at once
EDGE: Final = 1e-4  # in the UV map: by so much a face may reach over the edge of its square
TOKEN: Final = "<UDIM>"  # for Blender, and for -o: the number


@dataclass(frozen=True, kw_only=True)
class UdimSet:
    """The squares that are painted together, and the size (height, width) of each in pixels.

    Raises BadRequest for a number outside of 1001 to 2000, and for too many squares.
    """

    numbers: tuple[int, ...]
    side: tuple[int, int]

    def __post_init__(self) -> None:
        if not 1 <= len(set(self.numbers)) <= MOST or len(set(self.numbers)) < len(self.numbers):
            raise BadRequest(f"udim: name from 1 to {MOST} squares, each once, such as 1001-1004.")
        if wrong := [each for each in self.numbers if not FIRST <= each <= LAST]:
            raise BadRequest(f"udim: there is no square {wrong[0]}; they run from {FIRST} to {LAST}.")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the texture that all squares are cut from."""
        (_, _), (rows, columns) = self._around()
        return rows * self.side[0], columns * self.side[1]

    @property
    def name(self) -> str:
        """For file names: what of a texture of that size lies where, such as 1024x1024-1001."""
        (row, column), _ = self._around()
        return f"{self.side[1]}x{self.side[0]}-{FIRST + column + ACROSS * row}"

    def window(self, number: int) -> tuple[int, int, int, int]:
        """Top, left, height and width of a square in that texture. Its rows run down, those of UDIM up."""
        (row, column), (rows, _) = self._around()
        up, right = divmod(number - FIRST, ACROSS)
        height, width = self.side
        return (rows - 1 - (up - row)) * height, (right - column) * width, height, width

    def _around(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """The first row and column, and how many there are."""
        places = [divmod(each - FIRST, ACROSS) for each in self.numbers]
        rows, columns = [each[0] for each in places], [each[1] for each in places]
        return (min(rows), min(columns)), (max(rows) - min(rows) + 1, max(columns) - min(columns) + 1)


def parse_udim(text: str) -> tuple[int, ...]:
    """ "1001-1004" or "1001,1002,1011", each once, in the order given. Raises BadRequest."""
    numbers: dict[int, None] = {}
    for part in text.split(","):
        found = re.fullmatch(r"([0-9]{4})(?:-([0-9]{4}))?", part.strip(), re.ASCII)
        if not found:
            raise BadRequest(f"udim: {part[:60]!r} is not a square such as 1001, or several: 1001-1004.")
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first:
            raise BadRequest(f"udim: {part[:60]!r} runs backwards; write {last}-{first}.")
        numbers.update(dict.fromkeys(range(first, last + 1)))
    return tuple(numbers)


def covered(boxes: Iterable[tuple[float, float, float, float]]) -> tuple[int, ...]:
    """The squares that faces reach into, by the boxes (least u and v, most u and v) around them in the UV map.

    Faces outside of all squares are left out. A face that touches the next square with its edge does not reach into it.
    """
    found: set[int] = set()
    for left, bottom, right, top in boxes:
        columns = range(max(floor(left + EDGE), 0), min(ceil(right - EDGE), ACROSS))
        rows = range(max(floor(bottom + EDGE), 0), min(ceil(top - EDGE), (LAST + 1 - FIRST) // ACROSS))
        found |= {FIRST + column + ACROSS * row for row in rows for column in columns}
    return tuple(sorted(found))


def file_of(pattern: Path, number: int) -> Path:
    """The file of a square: the number in place of <UDIM>."""
    return pattern.with_name(pattern.name.replace(TOKEN, str(number)))
