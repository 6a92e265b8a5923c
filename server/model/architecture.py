"""The dimensions of a generator: levels, widths, noise channels, and the shapes of all its parameters.

No torch here: the front of the server checks a stranger's model file against these shapes and never runs a network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from server.model.lattice import Cycles, Lattice
from server.model.maps import Map, have_relief

ARCHITECTURES = ("taper", "pyramid")
MAX_LEVELS = 8
MAX_WIDTH = 512


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A generator's dimensions, coarse to fine.

    `noise`: noise channels of each level. `widths`: for `taper`, channels that enter each level, noise included and
    lattice waves not; for `pyramid`, channels of the level's own noise block (the joined width is the sum so far).
    `smooth`: how many levels, from the coarsest on, hand on what they made interpolated; from the others the nearest
    cell is read. Models made before there was a choice have 0.
    """

    name: str
    widths: tuple[int, ...]
    noise: tuple[int, ...]
    smooth: int = 0

    def __post_init__(self) -> None:
        if self.name not in ARCHITECTURES:
            raise ValueError(f"an architecture is one of {', '.join(ARCHITECTURES)}, not {self.name[:40]!r}")
        if not 1 <= len(self.widths) <= MAX_LEVELS or len(self.noise) != len(self.widths):
            raise ValueError(f"an architecture has 1 to {MAX_LEVELS} levels, each with a width and noise channels")
        if not all(1 <= width <= MAX_WIDTH for width in self.widths):
            raise ValueError(f"a level is 1 to {MAX_WIDTH} channels wide")
        if not all(1 <= noise <= 64 for noise in self.noise):
            raise ValueError("a level has 1 to 64 noise channels")
        if self.name == "taper" and any(n >= width for n, width in zip(self.noise, self.widths, strict=True)):
            raise ValueError("a level of a taper is wider than its noise")
        if not 0 <= self.smooth < self.levels:
            raise ValueError("the levels that are interpolated are fewer than all")

    @property
    def levels(self) -> int:
        return len(self.widths)


PRESETS = {
    "taper": Architecture(name="taper", widths=(128, 128, 96, 64, 32, 16), noise=(16, 8, 8, 4, 4, 2), smooth=2),
    "pyramid": Architecture(name="pyramid", widths=(8,) * 5, noise=(3,) * 5),
}


@dataclass(frozen=True)
class LevelPlan:
    """Channels of one level: of its noise and waves, of the coarser result, inside, and of what it hands on."""

    own: int
    coarser: int
    width: int
    outputs: int


def carried(architecture: Architecture, lattice: Lattice | None, level: int) -> list[Cycles]:
    """Waves join wherever the grid can carry them; the pixels themselves have them from the level above."""
    cell = 2 ** (architecture.levels - 1 - level)
    return lattice.carried(cell) if lattice and cell > 1 else []


def level_plans(architecture: Architecture, lattice: Lattice | None) -> list[LevelPlan]:
    """The channels of every level, coarse to fine."""
    plans: list[LevelPlan] = []
    coarser = 0
    for level, width in enumerate(architecture.widths):
        own = architecture.noise[level] + 2 * len(carried(architecture, lattice, level))
        if architecture.name == "pyramid":
            outputs = width + coarser
        elif level + 1 == architecture.levels:
            outputs = max(1, width // 2)
        else:
            outputs = architecture.widths[level + 1] - architecture.noise[level + 1]
        plans.append(LevelPlan(own, coarser, width, outputs))
        coarser = outputs
    return plans


def parameter_shapes(
    architecture: Architecture, maps: Sequence[Map], lattice: Lattice | None
) -> Mapping[str, tuple[int, ...]]:
    """Name and shape of every parameter of a frozen `server.network.generator.Generator`, as its state holds them."""
    shapes: dict[str, tuple[int, ...]] = {}

    def convolution(name: str, inputs: int, outputs: int, kernel: int) -> None:
        shapes[f"{name}.weight"] = (outputs, inputs, kernel, kernel)
        shapes[f"{name}.bias"] = (outputs,)

    plans = level_plans(architecture, lattice)
    for level, plan in enumerate(plans):
        if architecture.name == "taper":
            convolution(f"levels.{level}.blocks.0.conv", plan.own + plan.coarser, plan.width, 3)
            convolution(f"levels.{level}.blocks.1.conv", plan.width, plan.outputs, 3)
            continue
        for index, (inputs, kernel) in enumerate(((plan.own, 3), (plan.width, 3), (plan.width, 1))):
            convolution(f"levels.{level}.own.{index}.conv", inputs, plan.width, kernel)
        for index, kernel in enumerate((3, 3, 1) if plan.coarser else ()):
            convolution(f"levels.{level}.joined.{index}.conv", plan.outputs, plan.outputs, kernel)
    convolution("paint", plans[-1].outputs, sum(each.channels for each in maps), 1)
    if have_relief(maps):
        shapes["steepness"] = (1,)
    return shapes
