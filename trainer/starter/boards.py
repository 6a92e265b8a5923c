"""How boards are laid on joists: rows of equal width, so that a quilt can move boards by whole rows and joists."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainer.starter.fields import Canvas, Field, Ids, Mask

METRES = 1.2
ROWS = 9
WIDTH = METRES / ROWS
JOISTS = 4  # on which boards end, and into which they are nailed
JOIST = METRES / JOISTS  # from one to the next
LOOSE = 0.004  # metres that a board is off its place

Numbers = NDArray[np.float64]


class Around(NamedTuple):
    """Pixels around a place: their indices, how many metres down and across they are from it, and if on its board."""

    at: tuple[NDArray[np.intp], NDArray[np.intp]]
    down: Field
    across: Field
    here: Mask


class Boards:
    """Where the boards lie, and numbers that differ from board to board."""

    def __init__(self, canvas: Canvas) -> None:
        self.canvas = canvas
        self.random = canvas.random("boards")
        first = np.float32(0.4 * WIDTH)  # the picture's border crosses boards
        starts, lengths, rows = self._laid()
        self.count = len(starts)
        self.start, self.length = np.array(starts), np.array(lengths)
        self.middle = (np.array(rows) + 0.5) * WIDTH - float(first)
        waver = np.float32(0.0007) * canvas.noise("waver", 0.5, 0.08, 1.6)
        row = np.floor((canvas.y + waver + first) / np.float32(WIDTH)).astype(np.int32) % ROWS
        self.ids: Ids = np.zeros(row.shape, np.int32)
        for number, of_row in enumerate(rows):
            along = (canvas.x - np.float32(starts[number])) % np.float32(METRES)
            self.ids[(row == of_row) & (along < lengths[number])] = number
        self.x: Field = (canvas.x - self.of(self.start)) % np.float32(METRES)  # metres from the board's left end
        y = canvas.y + waver - self.of(self.middle)
        self.y: Field = y - np.float32(METRES) * np.round(y / np.float32(METRES))  # down from its middle

    def _laid(self) -> tuple[list[float], list[float], list[int]]:
        """Left ends, lengths and rows of the boards. Neighbouring rows do not begin on the same joist."""
        starts, lengths, rows = [], [], []
        joists: list[int] = []
        for row in range(ROWS):
            taken = {*joists[-1:], *(joists[:1] if row == ROWS - 1 else ())}
            joists.append(int(self.random.choice([each for each in range(JOISTS) if each not in taken])))
            start = (joists[-1] + 0.5) * JOIST + self.random.uniform(-LOOSE, LOOSE)
            length = int(self.random.integers(1, JOISTS)) * JOIST + self.random.uniform(-LOOSE, LOOSE)
            starts += [start, start + length]
            lengths += [length, METRES - length]
            rows += [row, row]
        return starts, lengths, rows

    def of(self, values: Numbers) -> Field:
        """These numbers of the boards, at each pixel of a board."""
        return np.asarray(values, np.float32)[self.ids]

    def uniform(self, low: float, high: float) -> Field:
        return self.of(self.random.uniform(low, high, self.count))

    def normal(self, spread: float) -> Field:
        return self.of(self.random.normal(0, spread, self.count).clip(-2.2 * spread, 2.2 * spread))

    def around(self, board: int, x: float, y: float, reach: float) -> Around:
        """The pixels around a place of a board: metres from its left end, and down from its middle."""
        patch = self.canvas.patch(float(self.middle[board]) + y, float(self.start[board]) + x, reach)
        down, across = np.broadcast_arrays(patch.y, patch.x)
        return Around(patch.at, down, across, self.ids[patch.at] == board)
