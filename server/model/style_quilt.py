"""What the model of a quilted style says of itself, and the tensors that follow. No torch here.

Such a model (server/strokes) holds a painting and puts pictures together from its pieces. Lengths are in plan pixels:
those of the painting divided by `factor`, so that its longer side has at most PLAN_SIDE of them. Several paintings of
one hand lie beneath each other in one picture, with gaps between them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from server.errors import BadRequest
from server.model.picture_statistics import little_endian
from server.model.quilt import Shape

PLAN_SIDE = 1024
FACTORS = (1, 2, 4)
GAP = 16  # plan pixels between two paintings
MOST_PAINTINGS = 6
MIN_SIDE = 128  # of the painting in plan pixels: room for the largest patches
PATCHES = (192, 96, 48, 24, 12)  # sides of patches, coarse to fine
ROOM = 5, 2  # the largest patches are left out where the painting is less than 5/2 of them wide
CELLS = (24, 24, 24, 24, 12)  # along the side of a patch, in which its colours are compared
STEPS = (16, 8, 12, 16, 20)  # between places that are searched; then they are moved by single pixels
COMPONENTS = 32  # numbers by which the border of a patch is compared
LIGHTS = 65  # quantiles of luminance
LARGEST_LIGHT = 255 * 16  # luminance of white in statistics
MOST_PRICE = 2**14

_STATISTICS = LIGHTS + 1


@dataclass(frozen=True, kw_only=True)
class StyleQuiltArchitecture:
    """The sizes of one quilted style: `height` and `width` of its painting in pixels, multiples of `factor`.

    `paintings`: if there are several, where each lies in that picture: (top, left, height, width) in plan pixels.
    """

    height: int
    width: int
    factor: int
    name: str = "quilt"
    paintings: tuple[tuple[int, int, int, int], ...] = ()

    def __post_init__(self) -> None:
        if self.name != "quilt":
            raise ValueError(f"the architecture of a quilted style is named quilt, not {self.name[:40]!r}")
        if self.factor not in FACTORS:
            raise ValueError(f"a painting is planned at one of 1/{', 1/'.join(map(str, FACTORS))} of its size")
        for name, side in (("height", self.height), ("width", self.width)):
            most = MOST_PAINTINGS * (PLAN_SIDE + GAP) if self.paintings else PLAN_SIDE
            if not MIN_SIDE <= side // self.factor <= most or side % self.factor:
                raise ValueError(
                    f"the {name} of a painting is {MIN_SIDE} to {most} times {self.factor} pixels, not {side}"
                )
        self._check_paintings()

    def _check_paintings(self) -> None:
        if self.paintings and not 1 < len(self.paintings) <= MOST_PAINTINGS:
            raise ValueError(f"a style holds at most {MOST_PAINTINGS} paintings, not {len(self.paintings)}")
        below = 0
        for top, left, height, width in self.paintings:
            inside = below <= top and top + height <= self.plan[0] and left >= 0 and left + width <= self.plan[1]
            if not (inside and min(height, width) >= MIN_SIDE and max(height, width) <= PLAN_SIDE):
                raise ValueError("the places of its paintings are none that paintings have")
            below = top + height + 1  # a row between two, of which nothing is shown, keeps pieces apart

    @property
    def plan(self) -> tuple[int, int]:
        """Height and width of the painting in plan pixels."""
        return self.height // self.factor, self.width // self.factor

    @property
    def places_of_paintings(self) -> tuple[tuple[int, int, int, int], ...]:
        """Where every painting lies, also a single one."""
        return self.paintings or ((0, 0, *self.plan),)

    @property
    def first(self) -> int:
        """The level of the largest patches that a painting has room for: 0 or 1."""
        room = max(min(height, width) for _, _, height, width in self.places_of_paintings)
        return int(room * ROOM[1] < PATCHES[0] * ROOM[0])

    @property
    def levels(self) -> range:
        """Of patches, coarse to fine."""
        return range(self.first, len(PATCHES))

    def places(self, level: int) -> tuple[int, int]:
        """How many places there are for a patch, down and across."""
        first, second = ((side - PATCHES[level]) // STEPS[level] + 1 for side in self.plan)
        return first, second

    @property
    def bounds(self) -> Mapping[str, tuple[int, int]]:
        """The least and the largest number of those tensors that cannot hold just any: of int16."""
        return {"shifts": (0, 30)} | {f"prices.{level}": (0, MOST_PRICE) for level in self.levels}

    @property
    def tensors(self) -> Mapping[str, tuple[str, Shape]]:
        """Kind (a safetensors dtype) and shape of every tensor of such a model."""
        result: dict[str, tuple[str, Shape]] = {"painting": ("U8", (3, self.height, self.width))}
        if self.factor > 1:
            result["plan"] = "U8", (3, *self.plan)
        result["usable"] = "U8", self.plan
        for level in self.levels:
            cells = CELLS[level]
            result[f"basis.{level}"] = "I8", (COMPONENTS, 3 * cells * cells)
            result[f"means.{level}"] = "I16", (COMPONENTS,)
            result[f"prices.{level}"] = "I16", self.places(level)
        return result | {"shifts": ("I16", (len(self.levels),))}

    @property
    def statistics_bytes(self) -> int:
        """Of a picture's statistics: little-endian uint16, the quantiles of its luminance, then its mean edge."""
        return 2 * _STATISTICS


def check_lights(architecture: StyleQuiltArchitecture, data: bytes) -> None:
    """Raise BadRequest unless these bytes can be a picture's statistics for a quilted style."""
    values = little_endian("H", data, architecture.statistics_bytes)
    lights = values[:LIGHTS]
    if list(lights) != sorted(lights) or lights[-1] > LARGEST_LIGHT or not values[LIGHTS]:
        raise BadRequest("statistics: they hold values that no picture has; measure them anew.")
