"""Values between those that are known at some rows and columns: linear, rounded to whole numbers along each dimension.

Where the known ones lie evenly, none is looked up: the pixels that lie alike between two of them are computed at once.
That takes a sixth of the time.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def between_cells(cells: Tensor, rows: range, columns: range, step: int) -> Tensor:
    """Values between the middles of cells of `step` pixels, 1 or an even number, at these pixels, counted from the
    corner of the first cell: (C, cells, cells) to (C, rows, columns) float32, whole.
    """
    for dimension, line in ((1, rows), (2, columns)):
        first, last = ((2 * pixel + 1 - step) // (2 * step) for pixel in (line.start, line.stop - 1))
        near = cells.narrow(dimension, first, last - first + 1)
        if step > 1:
            change = cells.narrow(dimension, first + 1, last - first + 1) - near
            near = _evenly(near, change, dimension, range(1, 2 * step, 2), 2 * step)
        cells = near.narrow(dimension, line.start - first * step - step // 2, len(line))
    return cells


def between_nodes(values: Tensor, dimension: int, nodes: Tensor, line: range) -> Tensor:
    """Values between nodes at these pixels: of `dimension` there is one for each node, and then one for each pixel."""
    spans = nodes.diff()
    span = int(spans[0])
    if bool((spans == span).all()):
        near = values.narrow(dimension, 0, len(spans))
        change = values.narrow(dimension, 1, len(spans)) - near
        wide = _evenly(near, change, dimension, range(span), span)
        return wide.narrow(dimension, line.start - int(nodes[0]), len(line))
    wanted = torch.arange(line.start, line.stop)
    first = torch.searchsorted(nodes, wanted, right=True) - 1
    share, whole = (
        (each[:, None] if dimension == 1 else each).float().to(values.device)
        for each in (wanted - nodes[first], spans[first])
    )
    first = first.to(values.device)
    near = values.index_select(dimension, first)
    return near + ((values.index_select(dimension, first + 1) - near) * share / whole).round()


def _evenly(near: Tensor, change: Tensor, dimension: int, shares: Sequence[int], whole: int) -> Tensor:
    """`near`, and after each of its values those that lie `shares` of `whole` changes further, in their places."""
    shape = list(near.shape)
    shape[dimension] *= len(shares)
    result = near.new_empty(shape)
    divisor = torch.full((1,), float(whole), device=near.device)  # by a number, a GPU would multiply by its inverse
    for at, share in enumerate(shares):
        own = result[:, at :: len(shares)] if dimension == 1 else result[:, :, at :: len(shares)]
        torch.add(near, (change * share).div_(divisor).round_(), out=own)
    return result
