"""On how many pixels a swatch is planned: a large one at a half, a quarter or less of its size. No bpy."""

from typing import Final

PLAN_SIDE: Final = 1024  # about


def plan_factor(height: float, width: float) -> int:
    """How many pixels of a swatch of these sides are one plan pixel a side: 1, 2, 4, ..."""
    shorter, longer = sorted((height, width))
    factor = 1
    while longer / factor > PLAN_SIDE * 1.5 or shorter / factor > PLAN_SIDE * 1.2:
        factor *= 2
    return factor
