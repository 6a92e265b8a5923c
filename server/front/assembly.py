"""A window of a texture: cut into canonical tiles, and put together from what the workers send.

Neither torch nor numpy: rows are copied in memory, which takes about a quarter of a millisecond for a tile.
"""

from collections.abc import Sequence

from server.front.tile_cache import Planes
from server.model.maps import Depth, Map
from server.model.torus import Piece, Size, Window, pieces


class Assembly:
    """The samples of some maps of one window. `wanted`: indices of the model's maps; `depths`: of all its maps."""

    def __init__(
        self, size: Size, window: Window, maps: Sequence[Map], wanted: Sequence[int], depths: Sequence[Depth]
    ) -> None:
        self.window = window
        self._wanted = tuple(wanted)
        self._strides = [maps[index].channels * depths[index] // 8 for index in wanted]  # bytes of a pixel
        self._planes: list[bytearray | memoryview] | None = None
        self.missing: dict[Window, list[Piece]] = {}  # what each missing tile gives
        for piece in pieces(size, window):
            self.missing.setdefault(piece.tile, []).append(piece)

    @property
    def complete(self) -> bool:
        return not self.missing

    def add(self, tile: Window, planes: Planes) -> int:
        """Copy what the window needs of a tile. Returns the number of pixels, 0 for a tile that it has already."""
        found = self.missing.pop(tile, None)
        if found is None:
            return 0
        if self._planes is None:
            everything = (slice(0, self.window.height), slice(0, self.window.width))
            if found[0].source == everything and (tile.height, tile.width) == (self.window.height, self.window.width):
                self._planes = [planes[index] for index in self._wanted]  # the whole tile, without a copy
                return tile.height * tile.width
            area = self.window.height * self.window.width
            self._planes = [bytearray(area * stride) for stride in self._strides]
        for piece in found:
            for plane, index, stride in zip(self._planes, self._wanted, self._strides, strict=True):
                self._copy(plane, planes[index], piece, stride)
        return sum(_pixels(piece) for piece in found)

    def _copy(self, plane: bytearray | memoryview, tile: memoryview, piece: Piece, stride: int) -> None:
        (rows, columns), (to_rows, to_columns) = piece.source, piece.target
        target = memoryview(plane)
        length = (columns.stop - columns.start) * stride
        row_bytes, tile_bytes = self.window.width * stride, piece.tile.width * stride
        if length == row_bytes == tile_bytes:  # full rows lie side by side
            begin, start = to_rows.start * row_bytes, rows.start * tile_bytes
            size = (rows.stop - rows.start) * row_bytes
            target[begin : begin + size] = tile[start : start + size]
            return
        begin = to_rows.start * row_bytes + to_columns.start * stride
        start = rows.start * tile_bytes + columns.start * stride
        for _ in range(rows.stop - rows.start):
            target[begin : begin + length] = tile[start : start + length]
            begin += row_bytes
            start += tile_bytes

    def planes(self) -> Sequence[bytearray | memoryview]:
        """The samples of each wanted map, (height, width, channels), once complete."""
        assert self.complete
        assert self._planes is not None
        return self._planes


def _pixels(piece: Piece) -> int:
    rows, columns = piece.source
    return int((rows.stop - rows.start) * (columns.stop - columns.start))
