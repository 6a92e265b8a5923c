"""Descriptors: the networks by which the trainer compares textures, built in or VGG-19.

A descriptor makes the objective for one swatch. `auto` chooses VGG-19 if a file of its weights is named or was
downloaded before, else the built-in network, and says which. It downloads nothing. `vgg19` downloads the weights if
necessary.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, Self

import torch
from torch import Tensor, nn

from server.model.lattice import Lattice
from server.model.maps import BASE_COLOUR, HEIGHT, NORMAL, Map, channels_of, has_map
from server.network.devices import choose_precision
from trainer.descriptor.distilled import LAYERS, Distilled
from trainer.descriptor.vgg19 import VGG19, receptive_field
from trainer.descriptor.weights import WeightsUnavailable, find_weights
from trainer.loss.grid import SCALES, SCALES_ON_A_LATTICE, GridLoss
from trainer.loss.losses import FoldedCellLoss, MomentsLoss, ScaleFeatures, Sum
from trainer.loss.map_losses import ReliefLoss, SingleMap, Views
from trainer.loss.patches import SlicedPatchLoss
from trainer.loss.style_losses import StyleObjective

CHOICES = ("auto", "vgg19", "builtin")
# Weights of the image at full size, half size and quarter size. At the coarse scales the moments of a small window are
# mostly chance, so they get less weight there.
FEATURE_SCALES = (1.0, 1.0, 1.0)
FEATURE_SCALES_OF_A_WINDOW = (1.0, 0.6, 0.15)
STYLE_SCALES = 3  # image scales of a style: large strokes show at the small ones
# The last layer used for a style at full size: deeper ones cost most and would fill every flat area with fine hatching;
# at half size they see strokes. Also the last layer used for large shapes, at an eighth of the size, which has few
# pixels.
FINE_LAYER = "relu2_1"
CONTENT_LAYER = "relu3_4"  # the deepest one available: it shows the subject without its surface
# For a texture. A step with the built-in network takes half the time of one with VGG-19.
ITERATIONS: Mapping[str, int] = MappingProxyType({"vgg19": 1000, "builtin": 2000})
SET_ITERATIONS = 0.8  # times as many for a map set, whose steps compare more pictures
PATCH_WEIGHT = 0.2
PATCH_WEIGHT_OF_A_SET = 1.0  # at 0.2 craters appear in all maps at once
GRID_WEIGHT = 1.0
PATCH_SCALES = 4
PATCH_DIRECTIONS = 32
CELL_WEIGHT = 2.0  # at half of it the rows of white tiles wander
MAPS_WEIGHT = 1.0  # at half of it a wall's normals do not follow the joints of its colours
RELIEF_WEIGHT = 0.2

Say = Callable[[str], None]


class Descriptor(Protocol):
    """Makes the objective for one swatch; `name` goes into the model file.

    `iterations`: the default number of steps for a texture.
    """

    name: str
    iterations: int

    def objective(
        self, swatch: Tensor, lattice: Lattice | None, side: int | None, seed: int, maps: Sequence[Map] = (BASE_COLOUR,)
    ) -> Sum:
        """`swatch` (1, channels of all maps, H, W) in [0, 1]; `side`: pixels in the middle to compare, None: all."""


class StyleDescriptor(Protocol):
    """Makes the objective for one style; `name` goes into the model file."""

    name: str

    def style_objective(self, style: Tensor, seed: int) -> StyleObjective:
        """`style` (1, 3, H, W) in [0, 1]."""


def choose_descriptor(choice: str, weights: Path | None, device: torch.device, say: Say) -> "NetworkDescriptor":
    """The descriptor of this name, or by `auto`. Raises UnusableWeights for a bad file, or if `vgg19` finds none."""
    if choice == "builtin":
        return BuiltinDescriptor().to(device)
    try:
        found = find_weights(weights, download=choice == "vgg19")
    except WeightsUnavailable:
        if choice == "vgg19":
            raise
        say("Using the built-in descriptor. --descriptor vgg19 downloads VGG-19 once and uses that.")
        return BuiltinDescriptor().to(device)
    say(f"Using VGG-19 as the descriptor, weights from {found.source} ({found.preprocessing} preprocessing).")
    return VGG19Descriptor(VGG19(found, LAYERS).to(device))


class NetworkDescriptor:
    """Compares means and covariances of a network's features at three scales (after Gatys et al. 2015), and patches.

    NetworkDescriptor
    ├── BuiltinDescriptor
    └── VGG19Descriptor
    """

    def __init__(self, name: str, network: VGG19 | Distilled) -> None:
        self.name, self.network = name, network
        self.iterations = ITERATIONS[name]

    def to(self, device: torch.device) -> Self:
        self.network.to(device)
        return self

    def features(self, images: Tensor, *, wraps: bool = False) -> dict[str, Tensor]:
        with fast_arithmetic(images.device):
            return self.network(images, wraps=wraps)  # type: ignore[no-any-return]

    def fine_features(self, images: Tensor, *, wraps: bool = False) -> dict[str, Tensor]:
        """The features up to FINE_LAYER."""
        with fast_arithmetic(images.device):
            return self.network(images, wraps=wraps, last=FINE_LAYER)  # type: ignore[no-any-return]

    def objective(
        self, swatch: Tensor, lattice: Lattice | None, side: int | None, seed: int, maps: Sequence[Map] = (BASE_COLOUR,)
    ) -> Sum:
        """As Descriptor."""

        weights = FEATURE_SCALES_OF_A_WINDOW if lattice else FEATURE_SCALES
        scales = [
            ScaleFeatures(features=self.features, weight=each, smallest=receptive_field(LAYERS[-1])) for each in weights
        ]
        if len(maps) > 1 and not lattice:  # large shapes, such as a rock's plates
            scales.append(ScaleFeatures(features=self.fine_features, weight=1.0, smallest=receptive_field(FINE_LAYER)))

        def around(picture: Tensor) -> MomentsLoss:
            return MomentsLoss(scales, picture, side=side)

        colour = channels_of(maps, BASE_COLOUR.name)
        patches = SlicedPatchLoss(swatch, scales=PATCH_SCALES, side=side, directions=PATCH_DIRECTIONS, seed=seed)
        terms: list[tuple[str, float, nn.Module]] = [
            ("features", 1.0, SingleMap(colour, swatch, around)),
            ("patch", PATCH_WEIGHT if len(maps) == 1 else PATCH_WEIGHT_OF_A_SET, patches),
            ("grid", GRID_WEIGHT, GridLoss(swatch, SCALES_ON_A_LATTICE if lattice else SCALES)),
        ]
        if len(maps) > 1:
            terms.append(("maps", MAPS_WEIGHT, Views(swatch, maps, around, seed)))
        if has_map(maps, NORMAL) and has_map(maps, HEIGHT):
            terms.append(("relief", RELIEF_WEIGHT, ReliefLoss(swatch, maps)))
        if lattice:  # a weak lattice gets a weak pull: old bricks must not be straightened
            terms.append(("cell", CELL_WEIGHT * lattice.strength, FoldedCellLoss(swatch, lattice)))
        return Sum(*terms)

    def style_objective(self, style: Tensor, seed: int) -> StyleObjective:
        """As StyleDescriptor."""
        features = (self.fine_features, *[self.features] * (STYLE_SCALES - 1))
        return StyleObjective(features, style, content=CONTENT_LAYER, smallest=receptive_field(LAYERS[-1]))


class BuiltinDescriptor(NetworkDescriptor):
    """The network that comes with the trainer (trainer/descriptor/distilled.py)."""

    def __init__(self) -> None:
        super().__init__("builtin", Distilled())


class VGG19Descriptor(NetworkDescriptor):
    """VGG-19 itself."""

    def __init__(self, network: VGG19) -> None:
        super().__init__("vgg19", network)


def fast_arithmetic(device: torch.device) -> AbstractContextManager[object]:
    """bfloat16 autocast if the hardware multiplies it natively, else plain float32."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.autocast("cuda", torch.bfloat16)
    if device.type == "cpu" and choose_precision(device) == "fast":
        return torch.autocast("cpu", torch.bfloat16)
    return nullcontext()
