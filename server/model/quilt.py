"""What a quilt's model says of itself: sizes of patches and overlaps, and the tensors that follow. No torch here.

A quilt (server/quilt) remembers its swatch and sews pieces of it together, so its file holds the swatch's pixels.
Lengths are in plan pixels: the swatch divided by `factor`. A swatch of about PLAN_SIDE pixels is planned as it is, a
larger one at a half, a quarter or less of its size; only the pixels themselves are then copied at full size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from blender_addon.pictures.plan_size import PLAN_SIDE
from server.model.maps import Map

FACTORS = (1, 2, 4, 8, 16)
MAX_SIDE = 16384  # of a swatch, in pixels
MIN_SIDE = 64
CELLS = (2, 4, 8, 16, 32)
MAX_FEATURES = 7
APPEARANCE = 8  # numbers per cell
REACH = 2  # cells around a cell that its appearance looks at
LONGEST = 3, 2  # a patch's own part is at most 3/2 of the pitch long
MOST_CHANCE = 2**14
MOST_SHIFT = 30
CYCLE = 256  # steps of a phase in a cycle

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class QuiltArchitecture:
    """The sizes of one quilt.

    `height`, `width`: of the swatch in pixels, multiples of `factor`. `cell`: side of a search cell. `pitch`: about how
    far patches lie apart. `overlap`: half the width of the zone that two neighbouring patches share. `wraps`: whether
    the swatch itself tiles, (down, across). `features`: numbers per pixel that are compared. `most`: the largest value
    of a coarse appearance. `variance`: mean squared distance of the appearances of two cells drawn by chance. `deep`:
    the maps that are kept with 16 bits a sample. `waves`: of courses too weak or uneven for a lattice, in cycles per
    plan pixel down and across; at most one that runs mostly down, and one mostly across (server/quilt/phases.py).
    """

    height: int
    width: int
    factor: int
    cell: int
    pitch: int
    overlap: int
    wraps: tuple[bool, bool] = (False, False)
    features: int
    most: int
    variance: int
    deep: tuple[str, ...] = ()
    waves: tuple[tuple[float, float], ...] = ()
    name: str = "quilt"

    def __post_init__(self) -> None:
        if self.name != "quilt":
            raise ValueError(f"an architecture with patches is a quilt, not {self.name[:40]!r}")
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
        if not self.cell <= self.overlap <= 16 * self.cell or self.overlap % self.cell:
            raise ValueError(f"the overlap of a quilt is 1 to 16 whole cells, not {self.overlap} pixels")
        if not 2 * self.overlap <= self.pitch <= 4096:
            raise ValueError(f"the pitch of a quilt is {2 * self.overlap} to 4096 pixels here, not {self.pitch}")
        if min(self.plan) + self.cell < self.longest:
            raise ValueError("the patches of a quilt are smaller than its swatch")
        if max(self.plan) > 4 * PLAN_SIDE:
            raise ValueError(f"a quilt is planned on at most {4 * PLAN_SIDE} pixels a side")
        if not 1 <= self.features <= MAX_FEATURES:
            raise ValueError(f"a quilt compares 1 to {MAX_FEATURES} numbers per pixel, not {self.features}")
        if not 1 <= self.most <= 127 or not 1 <= self.variance <= 2**20:
            raise ValueError("the appearances of a quilt are whole numbers up to 127")
        if not all(1 / max(self.plan) <= wave[self.across(wave)] <= 0.5 for wave in self.waves):
            raise ValueError("a wave of a quilt's courses is at least two pixels long, and at most the swatch")
        if len({self.across(wave) for wave in self.waves}) < len(self.waves):
            raise ValueError("the courses of a quilt run down once and across once, at most")

    @property
    def plan(self) -> tuple[int, int]:
        """Height and width of the swatch in plan pixels."""
        return self.height // self.factor, self.width // self.factor

    @property
    def longest(self) -> int:
        """The longest side a patch can have, overlaps included, in plan pixels."""
        return self.pitch * LONGEST[0] // LONGEST[1] + 2 * self.overlap

    @property
    def node(self) -> int:
        """Plan pixels between the places where slow light is computed."""
        return max(1, min(4, self.cell // 2))

    @property
    def step(self) -> int:
        """Plan pixels between two places that the search tries."""
        return max(1, self.cell // 2)

    def searched(self, axis: int, longest: int, overlap: int) -> range:
        """The places tried along an axis for a patch of `longest` plan pixels; they may overhang the swatch."""
        overhang = 0 if self.wraps[axis] else min(self.overlap, overlap) // self.step * self.step
        last = self.plan[axis] - 1 if self.wraps[axis] else self.plan[axis] + overhang - longest
        return range(-overhang, max(last, -overhang) + 1, self.step)

    def usually_searched(self, axis: int) -> range:
        """The places tried along an axis for a patch of the usual size."""
        return self.searched(axis, self.pitch + 2 * self.overlap, self.overlap)

    @staticmethod
    def across(wave: tuple[float, float]) -> int:
        """The axis along which a wave mostly runs."""
        return 0 if abs(wave[0]) >= abs(wave[1]) else 1

    @property
    def places(self) -> tuple[int, int]:
        """How many places there are for a patch of the usual size, down and across: the shape of the prices."""
        first, second = (len(self.usually_searched(axis)) for axis in (0, 1))
        return first, second

    @property
    def bounds(self) -> Mapping[str, tuple[int, int]]:
        """The least and the largest number of those tensors that cannot hold just any: of int16."""
        return {"chances": (1, MOST_CHANCE), "shifts": (0, MOST_SHIFT), "phases": (0, CYCLE - 1)}

    def tensors(self, maps: Sequence[Map]) -> Mapping[str, tuple[str, Shape]]:
        """Kind (a safetensors dtype) and shape of every tensor of such a model."""
        channels = sum(each.channels for each in maps)
        side = 2 * REACH + 1
        kernel = "I8", (APPEARANCE, self.features, side, side)
        result: dict[str, tuple[str, Shape]] = {}
        for each in maps:
            kind = "U16" if each.name in self.deep else "U8"
            result[f"map.{each.name}"] = kind, (each.channels, self.height, self.width)
            if self.factor > 1:
                result[f"plan.{each.name}"] = kind, (each.channels, *self.plan)
        if self.waves:
            result["phases"] = "I16", (len(self.waves), *self.places)
        return result | {
            "features": ("I16", (self.features, channels)),
            "feature_means": ("I16", (self.features,)),
            "coarse": kernel,
            "fine": kernel,
            "means": ("I16", (2, APPEARANCE)),
            "shifts": ("I16", (2,)),
            "prices": ("I16", self.places),
            "chances": ("I16", self.places),
        }
