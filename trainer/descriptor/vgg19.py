"""VGG-19's features, which the texture losses compare.

Source: Simonyan & Zisserman (2015), https://arxiv.org/abs/1409.1556, configuration E, without its classifier. As in
Gatys, Ecker & Bethge (2015), https://arxiv.org/abs/1505.07376, average pooling replaces max pooling, which gives
smoother gradients and cleaner textures.

Differs: convolutions are not padded with zeros. A feature that saw a border of zeros would enter the statistics as if
it were texture. Features of a window see only its own pixels; those of a whole torus wrap around its edges.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.descriptor.weights import CONVOLUTIONS, UnusableWeights, Weights

Pooling = Literal["average", "max"]

LAYERS = tuple(f"relu{conv.name}" for conv in CONVOLUTIONS)
POOLED_BEFORE = frozenset({"relu2_1", "relu3_1", "relu4_1", "relu5_1"})


class VGG19(nn.Module):
    """Features after the ReLU of each of `layers`, in the field's names ("relu1_1" … "relu5_1"). Frozen.

    Raises UnusableWeights if `weights` do not reach one of `layers`, ValueError for layers that VGG-19 lacks.
    """

    def __init__(self, weights: Weights, layers: Sequence[str], *, pooling: Pooling = "average") -> None:
        super().__init__()
        unknown = [layer for layer in layers if layer not in LAYERS]
        if unknown or not layers:
            raise ValueError(f"layers: {list(layers)} must be some of {', '.join(LAYERS)}")
        missing = [layer for layer in layers if layer not in weights.layers]
        if missing:
            why = f"{', '.join(missing)} cannot be computed with it; it has only {', '.join(weights.layers)}"
            raise UnusableWeights(weights.source, why)
        self.layers = tuple(sorted(set(layers), key=LAYERS.index))
        self.available = weights.layers
        self.pool = F.avg_pool2d if pooling == "average" else F.max_pool2d
        self.convolutions = nn.ModuleDict()
        for layer, conv in zip(LAYERS[: LAYERS.index(self.layers[-1]) + 1], CONVOLUTIONS, strict=False):
            weight, bias = (weights.tensors[f"{conv.key}.{part}"] for part in ("weight", "bias"))
            if layer == "relu1_1":
                weight, bias = fold_preprocessing(weight, bias, weights)
            module = nn.Conv2d(conv.channels_in, conv.channels_out, 3, device="meta")  # draws no random numbers
            weight = weight.contiguous(memory_format=torch.channels_last)
            module.load_state_dict({"weight": weight, "bias": bias}, assign=True)
            self.convolutions[layer] = module
        self.requires_grad_(False)

    def forward(self, images: Tensor, *, wraps: bool = False, last: str | None = None) -> dict[str, Tensor]:
        """Images (B, 3, H, W), sRGB in [0, 1] -> features (B, C, h, w) of each layer, shallow to deep, up to `last`.

        Images that wrap are whole tori whose sides the deepest layer's stride divides, and so are their features. From
        other images each convolution takes one pixel off on all sides. Nothing deeper than the deepest layer is
        computed. Gradients reach the images, never the weights.
        """
        self._check(images, wraps)
        x = images.contiguous(memory_format=torch.channels_last)
        features: dict[str, Tensor] = {}
        for layer, convolution in self.convolutions.items():
            if layer in POOLED_BEFORE:
                x = self.pool(x, 2)
            if wraps:
                x = wrapped(x)
            x = F.relu(convolution(x), inplace=True)
            if layer in self.layers:
                features[layer] = x
            if layer == last:
                break
        return features

    def _check(self, images: Tensor, wraps: bool) -> None:
        if images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"images: {tuple(images.shape)} is not (B, 3, H, W)")
        height, width = images.shape[2:]
        deepest = self.layers[-1]
        smallest = stride(deepest) if wraps else receptive_field(deepest)
        if min(height, width) < smallest:
            raise ValueError(f"images: {height} x {width} px, but {deepest} needs {smallest} px each way")
        if wraps and (height % stride(deepest) or width % stride(deepest)):
            raise ValueError(
                f"images: {height} x {width} px, but a torus for {deepest} has multiples of {stride(deepest)} px"
            )


def wrapped(x: Tensor) -> Tensor:
    """Add one wrapped cell on every side of a torus: as F.pad does, in half the time and channels-last."""
    x = torch.cat((x[:, :, -1:], x, x[:, :, :1]), 2)
    return torch.cat((x[..., -1:], x, x[..., :1]), 3)


def stride(layer: str) -> int:
    """The distance, in pixels, between one feature of `layer` and the next."""
    return 1 << sum(before in POOLED_BEFORE for before in LAYERS[: LAYERS.index(layer) + 1])


def receptive_field(layer: str) -> int:
    """The side, in pixels, of the square that one feature of `layer` sees: 3 for relu1_1, 48 for relu3_4."""
    side = 1
    for before in reversed(LAYERS[: LAYERS.index(layer) + 1]):
        side += 2
        if before in POOLED_BEFORE:
            side *= 2
    return side


def fold_preprocessing(weight: Tensor, bias: Tensor, weights: Weights) -> tuple[Tensor, Tensor]:
    """Turn conv1_1 for preprocessed images into conv1_1 for RGB in [0, 1], with the same features.

    Both ways of preprocessing are affine, z = scale * x + shift for each channel, and a convolution is linear: scale
    goes into its weight (64, 3, 3, 3) and shift into its bias (64,). This is exact because nothing is padded with
    zeros, which would come after the preprocessing. Under bfloat16 a layer is off by less than 1 % (measured), as
    without folding.
    """
    weight, bias = weight.double(), bias.double()
    if weights.preprocessing == "caffe":
        weight = weight.flip(1)  # BGR -> RGB
        scale = torch.full((3,), 255.0, dtype=torch.float64)
        shift = -torch.tensor([123.68, 116.779, 103.939], dtype=torch.float64)
    else:
        scale = 1 / torch.tensor([0.229, 0.224, 0.225], dtype=torch.float64)
        shift = -torch.tensor([0.485, 0.456, 0.406], dtype=torch.float64) * scale
    bias = bias + torch.einsum("oihw,i->o", weight, shift)
    return (weight * scale.view(1, 3, 1, 1)).float(), bias.float()
