"""The waves of a lattice (server/model/lattice.py) as tensors: cosines, sines and phases at the cells of one level.

A wave is a pure function of place. All steps but the last are whole-number arithmetic, so windows agree to the bit.
"""

import math

import torch
from torch import Tensor

from server.model.lattice import Cycles, Lattice
from server.model.torus import Axis, Size, Span


def waves(
    lattice: Lattice,
    harmonics: list[Cycles],
    size: Size,
    axes: tuple[Axis, Axis],
    level: int,
    spans: tuple[Span, Span],
    device: torch.device | str = "cpu",
) -> Tensor:
    """Cosine and sine of each harmonic at the cells of one level, as (1, 2 * len(harmonics), rows, columns) float32.

    The phase of the two basis waves is zero at the top left corner of the texture.
    """
    first, second = lattice.cycles(size)
    channels = []
    for m, n in harmonics:
        down, across = m * first[0] + n * second[0], m * first[1] + n * second[1]
        y = _turns(down, axes[0].cells(level), spans[0])[:, None]
        x = _turns(across, axes[1].cells(level), spans[1])[None, :]
        cos_y, sin_y, cos_x, sin_x = (wave.float().to(device) for wave in (y.cos(), y.sin(), x.cos(), x.sin()))
        channels += [cos_y * cos_x - sin_y * sin_x, sin_y * cos_x + cos_y * sin_x]
    return torch.stack(channels)[None]


def phases(lattice: Lattice, size: Size, rows: Span, columns: Span) -> Tensor:
    """Phase of the two basis waves at the middle of each pixel, in cycles in [0, 1), as (2, rows, columns) float32."""
    result = []
    for down, across in lattice.cycles(size):
        y = _turns(down, size.height, rows)[:, None]
        x = _turns(across, size.width, columns)[None, :]
        result.append(((y + x) / (2 * math.pi)) % 1.0)
    return torch.stack(result).float() % 1.0  # once more: a double just below 1 rounds up to it


def _turns(cycles: int, cells: int, span: Span) -> Tensor:
    """2 pi times the phase at the middle of each cell. Only the last step rounds."""
    numerators = [cycles * (2 * cell + 1) % (2 * cells) for cell in range(span.start, span.stop)]
    return torch.tensor(numerators, dtype=torch.float64) * (math.pi / cells)
