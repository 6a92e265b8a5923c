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
from trainer.losses import FoldedCellLoss, GramLoss, Sum
from trainer.patches import SlicedPatchLoss
from trainer.vgg19 import VGG19
from trainer.weights import WeightsUnavailable, find_weights

CHOICES = ("auto", "vgg19", "builtin")
LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu3_4")
GRAM_SCALES = (1.0, 0.6, 0.15)  # weights of the image at full size, a half, a quarter
PATCH_SCALES = 5
# Beside the Gram loss, which is blind to a faint grid of pixels; alone, the built-in descriptor needs more directions.
PATCH_WEIGHT = 0.2
PATCH_DIRECTIONS = {"vgg19": 32, "builtin": 64}
CELL_WEIGHT = 0.3

Say = Callable[[str], None]


class Descriptor(Protocol):
    """Makes the objective for one swatch; `name` goes into the model file."""

    name: str

    def objective(self, swatch: Tensor, lattice: Lattice | None, side: int, seed: int) -> Sum:
        """`swatch` (1, 3, H, W) in [0, 1]; `side`: pixels across of what is looked at on every scale."""


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
    """Sliced patch distributions: no weights, nothing to download; colours and grain right, larger shapes weaker."""

    name = "builtin"

    def objective(self, swatch: Tensor, lattice: Lattice | None, side: int, seed: int) -> Sum:
        patches = SlicedPatchLoss(
            swatch, scales=PATCH_SCALES, side=side, directions=PATCH_DIRECTIONS[self.name], seed=seed
        )
        return Sum(("patch", 1.0, patches), *_cell(swatch, lattice))


class VGG19Descriptor:
    """Gram matrices of VGG-19 features at three image scales (Gatys et al. 2015), and patches beside them."""

    name = "vgg19"

    def __init__(self, network: VGG19) -> None:
        self.network = network

    def features(self, images: Tensor) -> dict[str, Tensor]:
        with fast_arithmetic(images.device):
            return self.network(images)  # type: ignore[no-any-return]

    def objective(self, swatch: Tensor, lattice: Lattice | None, side: int, seed: int) -> Sum:
        smallest = self.network.smallest(LAYERS[-1])
        grams = GramLoss(self.features, swatch, scales=GRAM_SCALES, side=side, smallest=smallest, layers=LAYERS)
        patches = SlicedPatchLoss(
            swatch, scales=len(GRAM_SCALES) + 1, side=side, directions=PATCH_DIRECTIONS[self.name], seed=seed
        )
        return Sum(("gram", 1.0, grams), ("patch", PATCH_WEIGHT, patches), *_cell(swatch, lattice))


def _cell(swatch: Tensor, lattice: Lattice | None) -> list[tuple[str, float, nn.Module]]:
    """A weak lattice gets a weak pull: old bricks must not be straightened."""
    return [("cell", CELL_WEIGHT * lattice.strength**0.5, FoldedCellLoss(swatch, lattice))] if lattice else []


def fast_arithmetic(device: torch.device) -> AbstractContextManager[object]:
    """bfloat16 autocast where the hardware multiplies it natively, plain float32 elsewhere."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.autocast("cuda", torch.bfloat16)
    if device.type == "cpu" and choose_precision(device) == "fast":
        return torch.autocast("cpu", torch.bfloat16)
    return nullcontext()
