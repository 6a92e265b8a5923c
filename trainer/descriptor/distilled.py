"""The built-in descriptor's network: a narrow one that was taught what VGG-19 sees. Its weights lie beside this file.

It has the shape of VGG-19 up to relu3_4 at a fraction of the width, so its features lie at the same places and see the
same squares of pixels. trainer/descriptor/distillation.py made it; the teacher's weights are CC BY 4.0, K. Simonyan &
A. Zisserman. Each layer's features are given in a basis in which their distances, and those of their Gram matrices,
equal those of the teacher's features as the network predicts them.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from server.replace_file import replace_file
from trainer.descriptor.vgg19 import POOLED_BEFORE, wrapped

FILE = Path(__file__).with_name("distilled.safetensors")
LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu3_4")
WIDTHS = {
    "relu1_1": 16,
    "relu1_2": 16,
    "relu2_1": 48,
    "relu2_2": 48,
    "relu3_1": 80,
    "relu3_2": 80,
    "relu3_3": 80,
    "relu3_4": 96,
}


class Convolutions(nn.ModuleDict):
    """Images (B, 3, H, W), sRGB in [0, 1] -> the features of each of LAYERS, before they are mapped."""

    def __init__(self) -> None:
        super().__init__()
        channels = 3
        for layer, width in WIDTHS.items():
            self[layer] = nn.Conv2d(channels, width, 3)
            channels = width

    def convolution(self, layer: str) -> nn.Conv2d:
        found = self[layer]
        assert isinstance(found, nn.Conv2d)
        return found

    def forward(self, images: Tensor, *, wraps: bool = False, last: str | None = None) -> dict[str, Tensor]:
        x = images.contiguous(memory_format=torch.channels_last)
        features: dict[str, Tensor] = {}
        for layer, convolution in self.items():
            if layer in POOLED_BEFORE:
                x = F.avg_pool2d(x, 2)
            if wraps:
                x = wrapped(x)
            x = F.relu(convolution(x))
            if layer in LAYERS:
                features[layer] = x
            if layer == last:
                break
        return features


class Distilled(nn.Module):
    """Features, named after VGG-19's layers. Frozen."""

    def __init__(self, path: Path = FILE) -> None:
        super().__init__()
        self.convolutions = Convolutions()
        self.roots = nn.ModuleDict()
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 - no mapping
        for layer in LAYERS:
            root = tensors.pop(f"root.{layer}")
            channels = WIDTHS[layer]
            self.roots[layer] = nn.Linear(channels, channels + 1)
            self.roots[layer].load_state_dict({"weight": root[:, :channels], "bias": root[:, channels]})
        self.convolutions.load_state_dict(tensors)
        self.requires_grad_(False)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: Tensor, *, wraps: bool = False, last: str | None = None) -> dict[str, Tensor]:
        found = self.convolutions(images, wraps=wraps, last=last)
        return {
            layer: self.roots[layer](features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            for layer, features in found.items()
        }


def save(tensors: Mapping[str, Tensor], told: Mapping[str, str], path: Path) -> None:
    """Replace the file of weights, in half precision. Raises UnusableOutput."""
    halves = {name: value.half().contiguous() for name, value in tensors.items()}
    replace_file(path, to_bytes(halves, dict(told)))
