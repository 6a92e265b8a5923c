"""The settings that shape a training, and their defaults for each kind of model."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from server.model.architecture import PRESETS
from server.model.style_architecture import PRESETS as STYLE_PRESETS

ARCHITECTURES: Mapping[str, Mapping[str, object]] = MappingProxyType(
    {"texture": {"quilt": None, **PRESETS}, "style": {"quilt": None, **STYLE_PRESETS}}
)
KINDS = tuple(ARCHITECTURES)
# Swatches are scaled down so that their shorter side has so many pixels: for a quilt, for a network that paints
# textures, for a quilted style, and for a network that stylizes. Larger brush strokes come out of a larger picture.
SWATCH_SIZES: Mapping[str, int] = MappingProxyType({"quilt": 1024, "texture": 384, "style quilt": 1280, "style": 512})
STYLE: Mapping[str, Any] = MappingProxyType(
    {"iterations": 900, "batch": 2, "size": 192, "arch": "quilt", "rate": 0.002}
)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings that shape a training. On one machine the same recipe gives the same model.

    The defaults are a texture's; `Recipe.of` knows a style's. trainer/training_config.py makes flags from them.
    """

    MIN_SIZE: ClassVar = 96  # pixels a side; on smaller samples the coarse scales show nothing

    kind: str = "texture"
    iterations: int = 1000  # steps
    batch: int = 1  # samples per step
    size: int = 160  # side of a sample in pixels; a map set has wider ones
    seed: int = 0  # of everything random
    arch: str = "quilt"
    rate: float = 0.01  # the highest learning rate

    def __post_init__(self) -> None:
        for name, low, high in (("iterations", 1, 1_000_000), ("batch", 1, 64), ("size", self.MIN_SIZE, 2048)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} is {value}; it must be from {low} to {high}.")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed is {self.seed}; it must be from 0 to 4294967295.")
        if self.kind not in KINDS:
            raise ValueError(f"kind is {self.kind!r}; it must be one of {', '.join(KINDS)}.")
        if self.arch not in ARCHITECTURES[self.kind]:
            known = ", ".join(ARCHITECTURES[self.kind])
            raise ValueError(f"arch is {self.arch!r}; for a {self.kind} it must be one of {known}.")
        if not 0 < self.rate <= 1:
            raise ValueError(f"rate is {self.rate}; it must be above 0 and at most 1.")

    @property
    def swatch_size(self) -> int:
        """The shorter side that a swatch is scaled down to by default."""
        if self.arch == "quilt":
            return SWATCH_SIZES["quilt" if self.kind == "texture" else "style quilt"]
        return SWATCH_SIZES[self.kind]

    @classmethod
    def of(cls, kind: str, **given: Any) -> "Recipe":
        """A recipe of this kind. Settings that are missing or None get the kind's default. Raises ValueError."""
        defaults = STYLE if kind == "style" else {}
        return cls(kind=kind, **{**defaults, **{name: value for name, value in given.items() if value is not None}})
