"""A frame of a sequence as bytes, for the next frame: its pieces, which of them is seen where, and its luminance.

    magic, height and width in plan pixels, number of pieces        little-endian, 8 + 3 * 4 bytes
    the rest, deflated                                              levels, turns, corners, places, owners, luminance

Clients bring them, so they are checked in full.
"""

import struct
import zlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from server.errors import BadRequest
from server.model.style_quilt import PATCHES, StyleQuiltArchitecture
from server.strokes.canvas import EMPTY, MARGIN
from server.strokes.film import Frame
from server.strokes.light import luminance
from server.strokes.motion import enlarged, estimated, halved
from server.strokes.pieces import UNIT, Pieces
from server.strokes.turns import TURNS

MAGIC = b"TXFRAME1"
MOST_PIECES = 2**16 - 2
NONE = 2**16 - 1  # the owner of a pixel that has none
_HEAD = struct.Struct("<8s3I")


@dataclass(frozen=True, eq=False)
class Carry:
    """`frame`, and the luminance of the picture at half its size in plan pixels, uint8."""

    frame: Frame
    light: Tensor

    def to_bytes(self) -> bytes:
        pieces, owners = self.frame.pieces, self.frame.owners
        parts = (
            pieces.numbers.numpy().astype("u1"),
            pieces.turns.numpy().astype("u1"),
            pieces.corners.numpy().astype("<i4"),
            pieces.places.numpy().astype("<u2"),
            owners.masked_fill(owners < 0, NONE).numpy().astype("<u2"),
            self.light.numpy(),
        )
        packed = zlib.compress(b"".join(each.tobytes() for each in parts), 6)
        return _HEAD.pack(MAGIC, *owners.shape, len(pieces)) + packed

    @classmethod
    def from_bytes(cls, data: bytes, size: tuple[int, int], architecture: StyleQuiltArchitecture) -> "Carry | None":
        """None if the frame had another size in plan pixels. Raises BadRequest for bytes that are no frame's."""
        magic, height, width, count = _HEAD.unpack(data[: _HEAD.size]) if len(data) > _HEAD.size else (b"", 0, 0, 0)
        if magic != MAGIC or count > MOST_PIECES:
            raise _wrong()
        if (height, width) != size:
            return None
        half = -(-height // 2), -(-width // 2)
        shapes = (
            ("u1", (count,)),
            ("u1", (count,)),
            ("<i4", (count, 2)),
            ("<u2", (count, 2)),
            ("<u2", (height, width)),
            ("u1", half),
        )
        sizes = [int(np.dtype(kind).itemsize * np.prod(shape)) for kind, shape in shapes]
        try:
            plain = zlib.decompressobj().decompress(data[_HEAD.size :], sum(sizes) + 1)
        except zlib.error:
            raise _wrong() from None
        if len(plain) != sum(sizes):
            raise _wrong()
        begins = np.cumsum([0, *sizes[:-1]])
        numbers, turns, corners, places, owners, light = (
            torch.from_numpy(np.frombuffer(plain, kind, int(np.prod(shape)), begin).reshape(shape).astype(to))
            for (kind, shape), begin, to in zip(shapes, begins.tolist(), ("i8",) * 4 + ("i4", "u1"), strict=True)
        )
        owners = owners.masked_fill(owners == NONE, EMPTY)
        pieces = Pieces(numbers, corners, turns, places, torch.full_like(numbers, -1))
        _check(pieces, owners, size, architecture)
        return cls(Frame(pieces, owners, count), light)

    def moved(self, pixels: Tensor) -> Frame | None:
        """The frame where it lies in this picture (3, H, W) uint8 in plan pixels; None if it begins a new shot."""
        motion = estimated(self.light, half_light(pixels))
        size = pixels.shape[1], pixels.shape[2]
        return None if motion is None else self.frame.moved(2 * enlarged(motion, size))


def half_light(pixels: Tensor) -> Tensor:
    """The luminance of a picture (3, H, W) uint8 at half its size, uint8."""
    return halved((luminance(pixels) / 16).floor()).to(torch.uint8)


def _check(pieces: Pieces, owners: Tensor, size: tuple[int, int], architecture: StyleQuiltArchitecture) -> None:
    """Raises BadRequest."""
    levels = architecture.levels
    if len(pieces) and not (
        levels[0] <= int(pieces.numbers.min()) and int(pieces.numbers.max()) <= levels[-1] and len(owners)
    ):
        raise _wrong()
    sides = torch.tensor(PATCHES)[pieces.numbers, None]
    inside = pieces.places + sides <= torch.tensor(architecture.plan)
    near = (pieces.corners >= -MARGIN * UNIT) & (pieces.corners < (torch.tensor(size) + MARGIN) * UNIT)
    if not (inside & near & (pieces.turns < TURNS)[:, None]).all() or int(owners.max()) >= len(pieces):
        raise _wrong()


def _wrong() -> BadRequest:
    return BadRequest("carry: these are not the bytes of a result; leave them out, and a new shot begins.")
