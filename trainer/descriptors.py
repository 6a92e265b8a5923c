"""What the trainer looks with: VGG-19 where its weights can be had, else the built-in patch descriptor.

A descriptor makes the objective of one swatch. `auto` picks VGG-19 and says so; where no weights can be had it falls
back to the built-in one and says how to do better.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from server.devices import choose_precision
from server.lattice import Lattice
from trainer.grid import SCALES, SCALES_ON_A_LATTICE, GridLoss
from trainer.losses import Features, FoldedCellLoss, GramLoss, Sum, scaled
from trainer.patches import SlicedPatchLoss
from trainer.style_losses import StyleObjective
from trainer.swatch_filters import SwatchFilters
from trainer.vgg19 import VGG19, receptive_field
from trainer.weights import WeightsUnavailable, find_weights

CHOICES = ("auto", "vgg19", "builtin")
LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu3_4")
GRAM_SCALES = (1.0, 0.6, 0.15)  # weights of the image at full size, a half, a quarter
FILTER_SCALES = (1.0, 1.0, 0.7, 0.4)
STYLE_SCALES = 3  # of a style: larger strokes show at the smaller ones
CONTENT_LAYER = "relu3_4"  # the deepest at hand: the subject without its surface
PATCH_SCALES = 5
PATCH_WEIGHT = 0.2
GRID_WEIGHT = 0.5
PATCH_DIRECTIONS = {"vgg19": 32, "builtin": 32}
CELL_WEIGHT = 0.3

Say = Callable[[str], None]


class Descriptor(Protocol):
    """Makes the objective for one swatch; `name` goes into the model file."""

    name: str

    def objective(self, swatch: Tensor, lattice: Lattice | None, side: int, seed: int) -> Sum:
        """`swatch` (1, 3, H, W) in [0, 1]; `side`: pixels across of what is looked at on every scale."""


class StyleDescriptor(Protocol):
    """Makes the objective for one style; `name` goes into the model file."""

    name: str

    def style_objective(self, style: Tensor, seed: int) -> StyleObjective:
        """`style` (1, 3, H, W) in [0, 1]."""


def choose_descriptor(choice: str, weights: Path | None, device: torch.device, say: Say) -> Descriptor:
    """The descriptor by name, `auto` included. Raises UnusableWeights where VGG-19 was asked for and can't be had."""
    if choice == "builtin":
        return BuiltinDescriptor()
    try:
        found = find_weights(weights)
    except WeightsUnavailable as error:
        if choice == "vgg19":
            raise
        say(f"Using the built-in descriptor. Shapes come out better with VGG-19: {error}")
        return BuiltinDescriptor()
    say(f"Looking with VGG-19, weights from {found.source} ({found.preprocessing} preprocessing).")
    return VGG19Descriptor(VGG19(found, LAYERS).to(device))


class BuiltinDescriptor:
    """Gram matrices of random filters in the swatch's own patch space, and patches: no weights, nothing to download."""

    name = "builtin"

    def objective(self, swatch: Tensor, lattice: Lattice | None, side: int, seed: int) -> Sum:
        """As Descriptor."""
        images = scaled(swatch, len(FILTER_SCALES), None)
        filters = [
            SwatchFilters(image, seed + scale)
            for scale, image in images
            if min(image.shape[2:]) >= SwatchFilters.smallest()
        ]
        grams = GramLoss(
            filters, swatch, scales=FILTER_SCALES[: len(filters)], side=side, smallest=SwatchFilters.smallest()
        )
        patches = SlicedPatchLoss(
            swatch, scales=PATCH_SCALES, side=side, directions=PATCH_DIRECTIONS[self.name], plain=0.5, seed=seed
        )
        return _objective(grams, patches, swatch, lattice)

    def style_objective(self, style: Tensor, seed: int) -> StyleObjective:
        """As StyleDescriptor. The subject is told by what the style's own filters see in it."""
        filters: list[Features] = [
            SwatchFilters(image, seed + scale)
            for scale, image in scaled(style, STYLE_SCALES, None)
            if min(image.shape[2:]) >= SwatchFilters.smallest()
        ]
        return StyleObjective(filters, style, content="filters2", smallest=SwatchFilters.smallest())


class VGG19Descriptor:
    """Gram matrices of VGG-19 features at three image scales (Gatys et al. 2015), and patches beside them."""

    name = "vgg19"

    def __init__(self, network: VGG19) -> None:
        self.network = network

    def features(self, images: Tensor, *, wraps: bool = False) -> dict[str, Tensor]:
        with fast_arithmetic(images.device):
            return self.network(images, wraps=wraps)  # type: ignore[no-any-return]

    def objective(self, swatch: Tensor, lattice: Lattice | None, side: int, seed: int) -> Sum:
        smallest = receptive_field(LAYERS[-1])
        same = [self.features] * len(GRAM_SCALES)
        grams = GramLoss(same, swatch, scales=GRAM_SCALES, side=side, smallest=smallest)
        patches = SlicedPatchLoss(
            swatch, scales=len(GRAM_SCALES) + 1, side=side, directions=PATCH_DIRECTIONS[self.name], seed=seed
        )
        return _objective(grams, patches, swatch, lattice)

    def style_objective(self, style: Tensor, seed: int) -> StyleObjective:
        """As StyleDescriptor."""
        same: list[Features] = [self.features] * STYLE_SCALES
        return StyleObjective(same, style, content=CONTENT_LAYER, smallest=receptive_field(LAYERS[-1]))


def _objective(grams: GramLoss, patches: SlicedPatchLoss, swatch: Tensor, lattice: Lattice | None) -> Sum:
    """What is common to both. A weak lattice gets a weak pull: old bricks must not be straightened."""
    terms: list[tuple[str, float, nn.Module]] = [
        ("gram", 1.0, grams),
        ("patch", PATCH_WEIGHT, patches),
        ("grid", GRID_WEIGHT, GridLoss(swatch, SCALES_ON_A_LATTICE if lattice else SCALES)),
    ]
    if lattice:
        terms.append(("cell", CELL_WEIGHT * lattice.strength**0.5, FoldedCellLoss(swatch, lattice)))
    return Sum(*terms)


def fast_arithmetic(device: torch.device) -> AbstractContextManager[object]:
    """bfloat16 autocast where the hardware multiplies it natively, plain float32 elsewhere."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.autocast("cuda", torch.bfloat16)
    if device.type == "cpu" and choose_precision(device) == "fast":
        return torch.autocast("cpu", torch.bfloat16)
    return nullcontext()
