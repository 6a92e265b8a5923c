"""A frame of a sequence as bytes, for the next frame: its pieces, which of them is seen where, and its luminance.

    magic, height and width in plan pixels, number of pieces        little-endian, 8 + 3 * 4 bytes
    levels, one byte a piece; and the rest, both deflated           maps, corners, places, owners, luminance, claims

Clients bring them, so they are checked in full.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from server.errors import BadRequest
from server.model.style_quilt import PATCHES, StyleQuiltArchitecture
from server.strokes.canvas import EMPTY, MARGIN
from server.strokes.film import Frame, usable
from server.strokes.light import luminance
from server.strokes.motion import estimated
from server.strokes.pieces import UNIT, Pieces

MAGIC = b"TXFRAME2"
MOST_PIECES = 2**16 - 2
NONE = 2**16 - 1  # the owner of a pixel that has none
MOST_CLAIMED = 32  # pixels of pieces for each pixel of the canvas
_HEAD = struct.Struct("<8s3I")


@dataclass(frozen=True, eq=False)
class Carry:
    """`frame`, and the luminance of the picture in plan pixels, (H, W) uint8."""

    frame: Frame
    light: Tensor

    def to_bytes(self) -> bytes:
        """Empty where there are so many pieces that the next frame had better begin anew."""
        pieces, owners = self.frame.pieces, self.frame.owners
        numbers = pieces.numbers.numpy().astype("u1")
        if len(pieces) > MOST_PIECES or _claimed(numbers) > _most_claimed(owners.shape):
            return b""
        parts = (
            pieces.maps.numpy().astype("<i2"),
            pieces.corners.numpy().astype("<i4"),
            pieces.places.numpy().astype("<u2"),
            owners.masked_fill(owners < 0, NONE).numpy().astype("<u2"),
            self.light.numpy(),
            np.packbits(torch.cat([each.flatten() for each in self.frame.claims]).numpy()),
        )
        packed = zlib.compress(b"".join(each.tobytes() for each in parts), 6)
        return _HEAD.pack(MAGIC, *owners.shape, len(pieces)) + numbers.tobytes() + packed

    @classmethod
    def from_bytes(cls, data: bytes, size: tuple[int, int], architecture: StyleQuiltArchitecture) -> "Carry | None":
        """None if the frame had another size in plan pixels. Raises BadRequest for bytes that are no frame's."""
        magic, height, width, count = _HEAD.unpack(data[: _HEAD.size]) if len(data) > _HEAD.size else (b"", 0, 0, 0)
        if magic != MAGIC or count > min(MOST_PIECES, len(data) - _HEAD.size):
            raise _wrong()
        if (height, width) != size:
            return None
        levels = np.frombuffer(data, "u1", count, _HEAD.size)
        if count and not architecture.levels[0] <= int(levels.min()) <= int(levels.max()) <= architecture.levels[-1]:
            raise _wrong()
        claimed = _claimed(levels)
        if claimed > _most_claimed(size):
            raise _wrong()
        shapes = (
            ("<i2", (count, 2, 2)),
            ("<i4", (count, 2)),
            ("<u2", (count, 2)),
            ("<u2", (height, width)),
            ("u1", (height, width)),
            ("u1", (-(-claimed // 8),)),
        )
        sizes = [int(np.dtype(kind).itemsize * np.prod(shape)) for kind, shape in shapes]
        try:
            plain = zlib.decompressobj().decompress(data[_HEAD.size + count :], sum(sizes) + 1)
        except zlib.error:
            raise _wrong() from None
        if len(plain) != sum(sizes):
            raise _wrong()
        begins = np.cumsum([0, *sizes[:-1]])
        maps, corners, places, owners, light, bits = (
            torch.from_numpy(np.frombuffer(plain, kind, int(np.prod(shape)), begin).reshape(shape).astype(to))
            for (kind, shape), begin, to in zip(shapes, begins.tolist(), ("i8",) * 3 + ("i4", "u1", "u1"), strict=True)
        )
        owners = owners.masked_fill(owners == NONE, EMPTY)
        numbers = torch.from_numpy(levels.astype("i8"))
        pieces = Pieces(numbers, corners, maps, places, torch.full_like(numbers, -1))
        _check(pieces, owners, size, architecture)
        held = torch.from_numpy(np.unpackbits(bits.numpy(), count=claimed).astype(bool))
        counts = np.bincount(levels, minlength=len(PATCHES)).tolist()
        parts = torch.split(held, [number * side**2 for number, side in zip(counts, PATCHES, strict=True)])
        claims = tuple(part.view(-1, side, side) for part, side in zip(parts, PATCHES, strict=True))
        return cls(Frame(pieces, owners, claims), light)

    def moved(self, pixels: Tensor) -> Frame | None:
        """The frame where it lies in this picture (3, H, W) uint8 in plan pixels; None if it begins a new shot."""
        motion = estimated(self.light, light_of(pixels))
        return None if motion is None else self.frame.moved(motion)


def _claimed(levels: NDArray[np.uint8]) -> int:
    """Pixels of the pieces."""
    return int((np.array(PATCHES)[levels] ** 2).sum())


def _most_claimed(size: Sequence[int]) -> int:
    return MOST_CLAIMED * (size[0] + 2 * MARGIN) * (size[1] + 2 * MARGIN)


def light_of(pixels: Tensor) -> Tensor:
    """The luminance of a picture (3, H, W) uint8, uint8."""
    return (luminance(pixels) / 16).floor().to(torch.uint8)


def _check(pieces: Pieces, owners: Tensor, size: tuple[int, int], architecture: StyleQuiltArchitecture) -> None:
    """Raises BadRequest."""
    sides = torch.tensor(PATCHES)[pieces.numbers, None]
    inside = pieces.places + sides <= torch.tensor(architecture.plan)
    near = (pieces.corners >= -MARGIN * UNIT) & (pieces.corners < (torch.tensor(size) + MARGIN) * UNIT)
    if not ((inside & near).all(1) & usable(pieces.maps)).all() or int(owners.max()) >= len(pieces):
        raise _wrong()


def _wrong() -> BadRequest:
    return BadRequest(
        "carry: these are not the bytes of a result of this build; leave them out, and a new shot begins."
    )
