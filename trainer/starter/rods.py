"""Bent rods that taper: twigs, and the stalks of leaves."""

import numpy as np

from trainer.starter.fields import Field
from trainer.starter.pile import Points


def rod(
    random: np.random.Generator,
    start: tuple[float, float, float],
    angle: float,
    length: float,
    radii: tuple[float, float],
    bend: float,
    rise: float,
    step: float,
) -> tuple[Points, Field, Field]:
    """Its upper side as points `step` metres apart; how far along they are, 0 to 1, and across, -1 to 1.

    `start`: (y, x, z) in metres. `angle`: radians, 0 to the right, clockwise. `bend`: radians it turns, about.
    `rise`: metres the far end is higher.
    """
    count = max(4, int(length / step))
    along = np.linspace(0, 1, count)
    turns = random.normal(0, bend) * along + random.normal(0, 0.35 * bend) * np.sin(
        along * random.uniform(3, 9) + random.uniform(0, 6)
    )
    way = angle + turns
    y = start[0] + np.cumsum(np.sin(way)) * length / count
    x = start[1] + np.cumsum(np.cos(way)) * length / count
    z = start[2] + rise * along**1.5
    radius = radii[0] + (radii[1] - radii[0]) * along
    radius = radius * (1 + 0.08 * np.sin(along * random.uniform(20, 60)))
    across = np.linspace(-1, 1, max(3, int(2 * max(radii) / step) + 2))
    reach = across[None] * radius[:, None]
    points = Points(
        (y[:, None] + np.cos(way)[:, None] * reach).ravel().astype(np.float32),
        (x[:, None] - np.sin(way)[:, None] * reach).ravel().astype(np.float32),
        (z[:, None] + radius[:, None] * np.sqrt(np.clip(1 - across**2, 0, 1))[None]).ravel().astype(np.float32),
    )
    along_all, across_all = np.broadcast_arrays(along[:, None], across[None])
    return points, along_all.ravel().astype(np.float32), across_all.ravel().astype(np.float32)
