"""The eight ways to lay a piece of the painting: turned by quarters, and mirrored.

Turn k shows `rot90(block, k % 4)`, then mirrored left to right if k >= 4. In coordinates (down, right; the middle of
the first pixel is at 0.5), the painting's place of a picture's point p is T_k p + t, where t is the same for all of a
patch. Whole numbers.
"""

import torch
from torch import Tensor

TURNS = 8
MATRICES = torch.tensor(
    [
        [[1, 0], [0, 1]],
        [[0, 1], [-1, 0]],
        [[-1, 0], [0, -1]],
        [[0, -1], [1, 0]],
        [[1, 0], [0, -1]],
        [[0, -1], [-1, 0]],
        [[-1, 0], [0, 1]],
        [[0, 1], [1, 0]],
    ]
)


def to_painting(blocks: Tensor, turn: int) -> Tensor:
    """Square blocks of a picture (..., side, side) as the painting shows them under this turn."""
    if turn >= 4:
        blocks = blocks.flip(-1)
    return torch.rot90(blocks, -(turn % 4), (-2, -1))


def to_picture(blocks: Tensor, turn: int) -> Tensor:
    """Square blocks of the painting (..., side, side) as the picture shows them under this turn."""
    blocks = torch.rot90(blocks, turn % 4, (-2, -1))
    return blocks.flip(-1) if turn >= 4 else blocks


def directions_to_painting(directions: Tensor, turn: int) -> Tensor:
    """The same of directions (..., 2, side, side): cosine and sine of twice the angle change their signs."""
    cosine = -1 if turn % 2 else 1
    sine = -cosine if turn >= 4 else cosine
    signs = torch.tensor([cosine, sine], dtype=directions.dtype, device=directions.device)
    return to_painting(directions, turn) * signs[:, None, None]
