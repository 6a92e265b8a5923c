"""How long the models of a run will take and what memory, told before any is made.

The figures are of two cores of a server's processor (docs/BENCHMARKS.md). Where the folder holds finished models of the
same kind, the time is corrected by what those took.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from server.model.header import Facts
from trainer.progress import spoken

SHEETS_S = 4.0  # for the pictures beside a model
STEP_S = {"taper": 0.12, "pyramid": 0.25, "residual": 0.2}  # with the built-in descriptor; VGG-19 takes longer
VGG19 = 2.1  # times as long
LOADED_MB = 400  # the program itself, before any pixel


@dataclass(frozen=True, kw_only=True)
class Size:
    """What decides how long one model takes. `steps`: of a network; a quilt has none."""

    arch: str
    descriptor: str
    pixels: int
    maps: int
    steps: int

    @classmethod
    def of(cls, facts: Facts) -> "Size":
        """That of a finished model."""
        steps = facts.training.get("iterations")
        return cls(
            arch=str(facts.training.get("arch")),
            descriptor=facts.descriptor,
            pixels=facts.swatch.height * facts.swatch.width,
            maps=max(1, len(facts.maps)),
            steps=steps if isinstance(steps, int) else 0,
        )

    @property
    def seconds(self) -> float:
        """From the picture to the model. A quilt's pieces are planned on at most about a megapixel."""
        if self.arch == "quilt":
            return (5 + 7 * min(1.0, self.pixels / 2**20)) * (1 + 0.35 * (self.maps - 1))
        step_s = STEP_S[self.arch] * (VGG19 if self.descriptor.startswith("vgg") else 1.0)
        return self.steps * step_s * (1 + 0.6 * (self.maps - 1))

    @property
    def memory_mb(self) -> float:
        """Of the processor's memory, at most."""
        megapixels = self.pixels / 2**20
        learning = 450 * min(1.0, megapixels) if self.arch == "quilt" else 250 + 100 * self.maps
        return LOADED_MB + learning + 36 * self.maps * megapixels


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """For all models that are to be made. `compared`: the finished ones that have corrected the time."""

    models: int
    seconds: float
    memory_mb: int
    compared: int

    @classmethod
    def of(cls, sizes: Iterable[Size], finished: Iterable[Facts], *, sheets: bool) -> "Estimate":
        """`sizes` of the models that are to be made. `sheets`: whether pictures are written beside them."""
        sizes = list(sizes)
        kinds = {(each.arch, each.descriptor) for each in sizes}
        ratios = [
            ratio
            for facts in finished
            if (size := Size.of(facts)) and (size.arch, size.descriptor) in kinds
            if (ratio := _ratio(facts, size))
        ]
        seconds = sum(each.seconds + (SHEETS_S if sheets else 0) for each in sizes)
        return cls(
            models=len(sizes),
            seconds=round(seconds * (median(ratios) if ratios else 1), 1),
            memory_mb=round(max((each.memory_mb for each in sizes), default=0)),
            compared=len(ratios),
        )

    def spoken(self, total: int) -> str:
        """For people. `total`: of the models that are made already, too."""
        if not self.models:
            return f"0 of {total} models are to be made."
        by = (
            f"as the {self.compared} that are finished did"
            if self.compared
            else "on two cores of a server's processor; once some are finished, the estimate follows those"
        )
        return (
            f"{self.models} of {total} models are to be made. One after the other they take about "
            f"{spoken(self.seconds)}, {by}. Up to {self.memory_mb / 1000:.1f} GB of memory are in use, beside a GPU's."
        )


def _ratio(facts: Facts, size: Size) -> float | None:
    """By how much longer than estimated a finished model took; None if it does not tell."""
    took = facts.training.get("seconds")
    if isinstance(took, bool) or not isinstance(took, int | float) or took <= 0 or not size.seconds:
        return None
    return took / size.seconds
