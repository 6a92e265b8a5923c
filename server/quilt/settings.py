"""What a quilt's model says beside its pixels: the sizes of patches and overlaps. No torch here.

Lengths are in plan pixels: the swatch divided by `factor`. A swatch of up to PLAN_SIDE pixels is planned as it is, a
larger one at a half, a quarter or an eighth of its size; only the pixels themselves are then copied at full size.
"""

from dataclasses import dataclass

PLAN_SIDE = 1024  # the longer side of a swatch, in plan pixels, is at most this times 1.5
FACTORS = (1, 2, 4, 8, 16)
MAX_SIDE = 16384  # of a swatch, in pixels
MIN_SIDE = 64
CELLS = (2, 4, 8, 16, 32)
FEATURES = 7  # at most
APPEARANCE = 8  # numbers per cell
REACH = 2  # cells around a cell that its appearance looks at
OVERLAP_CELLS = 4  # half the width of an overlap


@dataclass(frozen=True, kw_only=True)
class QuiltSettings:
    """The sizes of one quilt.

    `height`, `width`: of the swatch in pixels, multiples of `factor`. `cell`: side of a search cell. `pitch`: about how
    far patches lie apart. `wraps`: whether the swatch itself tiles, (down, across).
    """

    height: int
    width: int
    factor: int
    cell: int
    pitch: int
    wraps: tuple[bool, bool] = (False, False)

    def __post_init__(self) -> None:
        if self.factor not in FACTORS:
            raise ValueError(f"a quilt is planned at one of 1/{', 1/'.join(map(str, FACTORS))} of its size")
        if self.cell not in CELLS:
            raise ValueError(f"the cell of a quilt is one of {', '.join(map(str, CELLS))} pixels, not {self.cell}")
        for name, side in (("height", self.height), ("width", self.width)):
            if not MIN_SIDE <= side <= MAX_SIDE or side % self.factor:
                raise ValueError(
                    f"the {name} of a quilt's swatch is {MIN_SIDE} to {MAX_SIDE} pixels, a multiple of {self.factor}, "
                    f"not {side}"
                )
        if not 4 * self.overlap <= self.pitch <= 4096:
            raise ValueError(f"the pitch of a quilt is {4 * self.overlap} to 4096 pixels here, not {self.pitch}")
        if min(self.plan) < self.largest_patch:
            raise ValueError("the patches of a quilt are smaller than its swatch")

    @property
    def overlap(self) -> int:
        """Half the width of the zone that two neighbouring patches share, in plan pixels."""
        return OVERLAP_CELLS * self.cell

    @property
    def plan(self) -> tuple[int, int]:
        """Height and width of the swatch in plan pixels."""
        return self.height // self.factor, self.width // self.factor

    @property
    def largest_patch(self) -> int:
        """The longest side a patch can have, overlaps included, in plan pixels."""
        return self.pitch * 3 // 2 + 2 * self.overlap
