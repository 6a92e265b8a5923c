"""The dimensions of a style generator: widths, blocks, noise, how far it looks, and the shapes of all its parameters.

Two architectures by name; server/network/style_generator.py says what they compute. No torch here: the front of the
server checks a stranger's model file, and a stranger's statistics, and never runs a network.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from server.errors import BadRequest
from server.model.picture_statistics import little_endian

STYLE_ARCHITECTURES = ("residual", "pyramid")
MAX_LEVELS = 8
MAX_WIDTH = 512
MAX_BLOCKS = 16
MAX_NOISE = 64
MAX_HALO = 512  # pixels: a block of a picture is never much smaller than what is computed for it
MAX_NORMALISED = 4096  # channels, so that a picture's statistics fit into a message's header

# Added to a variance before the root. Differs: a hundred times that of Ulyanov et al. 2017, so that a plain sky, whose
# variance is next to nothing, has its rounding errors made no more than 32 times as large.
EPSILON = 1e-3
LARGEST = 1e6  # of a mean or a deviation: beyond it float32 has no room for what follows


@dataclass(frozen=True, kw_only=True)
class StyleArchitecture:
    """A style generator's dimensions.

    residual    `widths`: channels at the pixels, at half the size, at a quarter and so on; `blocks`: residual blocks at
                the smallest size; `noise`: one number, the noise channels that join the content at the pixels.
    pyramid     `widths`: channels of each level's own block, coarse to fine (the joined width is the sum so far);
                `blocks`: 0; `noise`: of each level.
    """

    name: str
    widths: tuple[int, ...]
    blocks: int
    noise: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.name not in STYLE_ARCHITECTURES:
            raise ValueError(f"a style architecture is one of {', '.join(STYLE_ARCHITECTURES)}, not {self.name[:40]!r}")
        if not 1 <= len(self.widths) <= MAX_LEVELS:
            raise ValueError(f"a style architecture has 1 to {MAX_LEVELS} levels")
        if not all(1 <= width <= MAX_WIDTH for width in self.widths):
            raise ValueError(f"a level is 1 to {MAX_WIDTH} channels wide")
        if not all(1 <= noise <= MAX_NOISE for noise in self.noise):
            raise ValueError(f"noise has 1 to {MAX_NOISE} channels")
        if self.name == "residual":
            if len(self.noise) != 1:
                raise ValueError("a residual architecture has noise at the pixels and nowhere else")
            if not 0 <= self.blocks <= MAX_BLOCKS:
                raise ValueError(f"a residual architecture has 0 to {MAX_BLOCKS} blocks")
        elif len(self.noise) != len(self.widths) or self.blocks != 0:
            raise ValueError("a pyramid has noise on every level and no residual blocks")
        if self.halo > MAX_HALO:
            raise ValueError(f"a style architecture looks at most {MAX_HALO} pixels far, not {self.halo}")
        if self.normalised > MAX_NORMALISED:
            raise ValueError(f"a style architecture has at most {MAX_NORMALISED} normalised channels")

    @property
    def stride(self) -> int:
        """Pixels of the coarsest cell: windows begin and end at multiples of it."""
        return int(2 ** (len(self.widths) - 1))

    @property
    def halo(self) -> int:
        """Pixels of content needed beyond a window on every side, a multiple of the stride."""
        if self.name == "residual":
            return self.stride * (2 + self.spare + 2 * self.blocks)
        farthest = max(margin * cell for margin, cell in zip(self.margins, self.cells, strict=True))
        return -(-farthest // self.stride) * self.stride

    @property
    def spare(self) -> int:
        """Pixels of a residual's halo that nothing looks at: doubling linearly takes whole cells of the halo."""
        return int(len(self.widths) > 1)

    @property
    def cells(self) -> tuple[int, ...]:
        """The side in pixels of a cell of each noise, in the order of `noise`."""
        return (1,) if self.name == "residual" else tuple(2**k for k in reversed(range(len(self.widths))))

    @property
    def margins(self) -> tuple[int, ...]:
        """Cells of each noise needed beyond a window on every side."""
        if self.name == "residual":
            return (self.halo,)
        return tuple(result + (4 if level else 2) for level, result in enumerate(self.result_margins))

    @property
    def result_margins(self) -> tuple[int, ...]:
        """Of a pyramid: cells of each level's result beyond a window, as far as the next level looks."""
        margins = [0]
        for _ in self.widths[1:]:
            margins.insert(0, -(-(margins[0] + 2) // 2))
        return tuple(margins)

    @property
    def normalised(self) -> int:
        """Channels of all normalisations together: a picture has a mean and a deviation for each."""
        return sum(plan.outputs for plan in layer_plans(self).values())

    @property
    def statistics_bytes(self) -> int:
        """Of a picture's statistics: float32, all means, then all deviations."""
        return 8 * self.normalised


@dataclass(frozen=True, kw_only=True)
class LayerPlan:
    """One convolution with its normalisation. `cell`: pixels of a cell of its result."""

    inputs: int
    outputs: int
    cell: int
    kernel: int = 3
    stride: int = 1
    doubles: bool = False  # it sees its input at twice the size, linear between cells
    slope: float = 0.0  # of its leaky ReLU: 0 cuts, 1 is none


def layer_plans(architecture: StyleArchitecture) -> Mapping[str, LayerPlan]:
    """All layers by name, in the order in which they run and their statistics stand."""
    return (_residual if architecture.name == "residual" else _pyramid)(architecture)


def _residual(architecture: StyleArchitecture) -> Mapping[str, LayerPlan]:
    widths, last = architecture.widths, len(architecture.widths) - 1
    plans = {"enter": LayerPlan(inputs=3 + architecture.noise[0], outputs=widths[0], cell=1)}
    for level in range(1, last + 1):
        plans[f"down{level}"] = LayerPlan(inputs=widths[level - 1], outputs=widths[level], cell=2**level, stride=2)
    for block in range(architecture.blocks):
        for half, slope in (("a", 0.0), ("b", 1.0)):
            plans[f"block{block}{half}"] = LayerPlan(
                inputs=widths[last], outputs=widths[last], cell=2**last, slope=slope
            )
    for level in range(last, 0, -1):
        plans[f"up{level}"] = LayerPlan(
            inputs=widths[level], outputs=widths[level - 1], cell=2 ** (level - 1), doubles=True
        )
    return plans


def _pyramid(architecture: StyleArchitecture) -> Mapping[str, LayerPlan]:
    plans, coarser = {}, 0
    for level, width in enumerate(architecture.widths):
        cell, joined = architecture.cells[level], width + coarser
        inputs = 3 + architecture.noise[level]
        for index, kernel in enumerate((3, 3, 1)):
            plans[f"own{level}_{index}"] = LayerPlan(
                inputs=width if index else inputs, outputs=width, cell=cell, kernel=kernel, slope=0.2
            )
        for index, kernel in enumerate((3, 3, 1) if coarser else ()):
            plans[f"joined{level}_{index}"] = LayerPlan(
                inputs=joined, outputs=joined, cell=cell, kernel=kernel, slope=0.2
            )
        coarser = joined
    return plans


PRESETS = {
    "residual": StyleArchitecture(name="residual", widths=(16, 32, 64), blocks=4, noise=(2,)),
    "pyramid": StyleArchitecture(name="pyramid", widths=(8,) * 6, blocks=0, noise=(3,) * 6),
}


def paint_shape(architecture: StyleArchitecture) -> tuple[int, int, int, int]:
    """Of the convolution that makes the colours: outputs, inputs, and its kernel's sides."""
    kernel = 3 if architecture.name == "residual" else 1
    return 3, [*layer_plans(architecture).values()][-1].outputs, kernel, kernel


def parameter_shapes(architecture: StyleArchitecture) -> Mapping[str, tuple[int, ...]]:
    """Name and shape of every parameter of a `server.network.style_generator.StyleGenerator`, as its state holds
    them.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for name, plan in layer_plans(architecture).items():
        shapes[f"layers.{name}.conv.weight"] = (plan.outputs, plan.inputs, plan.kernel, plan.kernel)
        shapes[f"layers.{name}.norm.gain"] = shapes[f"layers.{name}.norm.bias"] = (3, plan.outputs)
    shapes["paint.weight"], shapes["paint.bias"] = paint_shape(architecture), (3,)
    shapes["skip"] = (3,)
    return shapes


def check_statistics(architecture: StyleArchitecture, data: bytes) -> None:
    """Raise BadRequest unless these bytes can be a picture's statistics for a generator of this architecture.

    Little-endian float32: as many means as normalised channels, then as many deviations.
    """
    values = little_endian("f", data, architecture.statistics_bytes)
    means, deviations = values[: architecture.normalised], values[architecture.normalised :]
    least = math.sqrt(EPSILON) * 0.999
    if not all(abs(mean) <= LARGEST for mean in means) or not all(least <= std <= LARGEST for std in deviations):
        raise BadRequest("statistics: they hold values that no picture has; measure them anew.")
