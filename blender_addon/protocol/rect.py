"""Sizes and rectangles in pixels. Heights come before widths and rows before columns, everywhere.

All are tuples: a Rect is (top, left, height, width), as it stands in a header of the wire. Functions take one whole.
The standard library alone, no bpy.
"""

from typing import Final, NamedTuple, Self, TypeGuard

from .errors import BadRequest

MIN_SIDE: Final = 16  # of a texture
MAX_SIDE: Final = 65536  # of any texture or picture; a server may allow less


class Rect(NamedTuple):
    """Rows [top, top + height) and columns [left, left + width) of something larger."""

    top: int
    left: int
    height: int
    width: int

    @property
    def pixels(self) -> int:
        return self.height * self.width

    @property
    def bottom(self) -> int:
        """The row below the last."""
        return self.top + self.height

    @property
    def right(self) -> int:
        """The column right of the last."""
        return self.left + self.width

    def moved(self, rows: int, columns: int) -> Self:
        """The same rectangle, so many rows further down and columns further right."""
        return self._replace(top=self.top + rows, left=self.left + columns)


class Window(Rect):
    """The part of a texture that is wanted. It may start anywhere, negative too, and wraps around both edges.

    Raises BadRequest unless each side is in [1, 65536] and the start within 2^31 pixels.
    """

    __slots__ = ()

    def __new__(cls, top: int, left: int, height: int, width: int) -> Self:
        for name, start in (("top", top), ("left", left)):
            if not is_whole(start) or abs(start) > 2**31:
                raise BadRequest(f"window: {name} is {start!r}; it must be a whole number of pixels.")
        for name, side in (("height", height), ("width", width)):
            if not is_whole(side) or not 1 <= side <= MAX_SIDE:
                raise BadRequest(f"window: the {name} is {side!r}; it must be a whole number from 1 to 65536 pixels.")
        return super().__new__(cls, top, left, height, width)


class _Sides(NamedTuple):
    height: int
    width: int


class Size(_Sides):
    """The period of a texture. Raises BadRequest unless each side is in [16, 65536]."""

    __slots__ = ()

    def __new__(cls, height: int, width: int) -> Self:
        for name, side in (("height", height), ("width", width)):
            if not is_whole(side) or not MIN_SIDE <= side <= MAX_SIDE:
                raise BadRequest(f"size: the {name} is {side!r}; it must be a whole number from 16 to 65536 pixels.")
        return super().__new__(cls, height, width)

    @property
    def pixels(self) -> int:
        return self.height * self.width

    @property
    def whole(self) -> Window:
        """All of the texture, once."""
        return Window(0, 0, *self)


def is_whole(value: object) -> TypeGuard[int]:
    """Whether this is a whole number, and neither True nor False."""
    return isinstance(value, int) and not isinstance(value, bool)
