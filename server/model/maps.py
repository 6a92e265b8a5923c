"""The maps a generator paints: base colour, or any list of maps, and the bits of their samples."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

ColourSpace = Literal["srgb", "linear"]
Depth = Literal[8, 16]  # bits of a sample
COLOUR_SPACES: tuple[ColourSpace, ...] = ("srgb", "linear")
MAX_MAPS = 8
NORMAL_NAME = "normal"
HEIGHT_NAME = "height"


@dataclass(frozen=True, kw_only=True)
class Map:
    """One output map. Values are in [0, 1]; `srgb` values carry the sRGB transfer curve, `linear` ones are data."""

    name: str
    channels: int
    colour_space: ColourSpace

    def __post_init__(self) -> None:
        if not (self.name.isidentifier() and self.name.islower() and len(self.name) <= 32):
            raise ValueError(f"a map's name is lower-case letters, digits and _, not {self.name[:40]!r}")
        if self.channels not in (1, 3):
            raise ValueError(f"a map has 1 or 3 channels, not {self.channels!r}")
        if self.colour_space not in COLOUR_SPACES:
            raise ValueError(f"a map's colour space is one of {', '.join(COLOUR_SPACES)}")
        if self.name == NORMAL_NAME and self.channels != 3:
            raise ValueError(f"the map {NORMAL_NAME} has 3 channels, not {self.channels}")

    @property
    def depth(self) -> Depth:
        """Bits a sample by default. Height has 16, because 8 bits make steps in displacement."""
        return 16 if self.name == HEIGHT_NAME else 8


def check_maps(maps: Sequence[Map]) -> None:
    """Raise ValueError unless these can be the maps of one generator."""
    if not 1 <= len(maps) <= MAX_MAPS or len({each.name for each in maps}) != len(maps):
        raise ValueError(f"a generator paints 1 to {MAX_MAPS} maps of different names")


def channels_of(maps: Sequence[Map], name: str) -> slice:
    """The channels of the map of this name, among those of all maps. Raises KeyError."""
    first = 0
    for each in maps:
        if each.name == name:
            return slice(first, first + each.channels)
        first += each.channels
    raise KeyError(name)


def has_map(maps: Sequence[Map], map: Map) -> bool:
    """Whether one of the maps has this one's name."""
    return any(each.name == map.name for each in maps)


def common_maps(models: Sequence[Sequence[Map]]) -> tuple[Map, ...]:
    """The maps that all models have, in the order of the first's."""
    return tuple(each for each in models[0] if all(each in maps for maps in models[1:]))


def have_relief(maps: Sequence[Map]) -> bool:
    """Whether both maps of a surface's shape, height and normals, are among them."""
    return {HEIGHT_NAME, NORMAL_NAME} <= {each.name for each in maps}


def depths_of(maps: Sequence[Map], depth: Depth | None) -> tuple[Depth, ...]:
    """Bits a sample of each map: `depth`, or each map's own if that is None."""
    return tuple(depth or each.depth for each in maps)


BASE_COLOUR = Map(name="basecolor", channels=3, colour_space="srgb")
NORMAL = Map(name=NORMAL_NAME, channels=3, colour_space="linear")  # OpenGL: x right, y up, z out; (n + 1) / 2
ROUGHNESS = Map(name="roughness", channels=1, colour_space="linear")
METALLIC = Map(name="metallic", channels=1, colour_space="linear")
OCCLUSION = Map(name="ao", channels=1, colour_space="linear")
HEIGHT = Map(name=HEIGHT_NAME, channels=1, colour_space="linear")
MATERIAL = (BASE_COLOUR, NORMAL, ROUGHNESS, METALLIC, OCCLUSION, HEIGHT)  # a whole set, in the order of its channels
