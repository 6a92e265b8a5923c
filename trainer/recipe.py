"""What shapes a training."""

from dataclasses import dataclass, field
from typing import ClassVar

from server.architecture import PRESETS

KINDS = ("texture", "style")
STYLE = {"iterations": 900, "batch": 2, "size": 192, "arch": "residual"}  # where a style's defaults are others


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What shapes a training; the same recipe on the same machine gives the same model.

    The defaults are a texture's. `help` in the metadata is what the command line says of a field.
    """

    MIN_SIZE: ClassVar = 96  # pixels a side, below which the coarse scales show nothing

    iterations: int = field(default=1000, metadata={"help": "steps of training"})
    batch: int = field(default=1, metadata={"help": "samples per step"})
    size: int = field(default=160, metadata={"help": "side of a sample in pixels"})
    seed: int = field(default=0, metadata={"help": "of everything random in the training"})
    arch: str = field(default="taper", metadata={"help": "architecture of the generator", "choices": tuple(PRESETS)})
    rate: float = field(default=0.01, metadata={"help": "the highest learning rate"})

    def __post_init__(self) -> None:
        for name, low, high in (("iterations", 1, 1_000_000), ("batch", 1, 64), ("size", self.MIN_SIZE, 2048)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} is {value}; it must be from {low} to {high}.")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed is {self.seed}; it must be from 0 to 4294967295.")
        if self.arch not in PRESETS:
            raise ValueError(f"arch is {self.arch!r}; it must be one of {', '.join(PRESETS)}.")
        if not 0 < self.rate <= 1:
            raise ValueError(f"rate is {self.rate}; it must be above 0 and at most 1.")
