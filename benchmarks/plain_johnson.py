"""The reference for styles: a network in the manner of Johnson et al. 2016 (arXiv 1603.08155) as one would write it."""

import torch.nn.functional as F
from torch import Tensor, nn


class PlainJohnson(nn.Module):
    """32-64-128 channels, five residual blocks, 9x9 at both ends, instance normalisation, reflection."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(self.layer(3, 32, 9), self.layer(32, 64, 3, 2), self.layer(64, 128, 3, 2))
        self.blocks = nn.ModuleList(
            nn.Sequential(self.layer(128, 128, 3), *list(self.layer(128, 128, 3))[:2]) for _ in range(5)
        )
        self.up = nn.ModuleList((self.layer(128, 64, 3), self.layer(64, 32, 3)))
        self.paint = nn.Conv2d(32, 3, 9, padding=4, padding_mode="reflect")

    @staticmethod
    def layer(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
        conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, padding_mode="reflect")
        return nn.Sequential(conv, nn.InstanceNorm2d(outputs, affine=True), nn.ReLU())

    def forward(self, content: Tensor) -> Tensor:
        """(B, 3, H, W) to the same, H and W multiples of 4."""
        x = self.down(content)
        for block in self.blocks:
            x = x + block(x)
        for up in self.up:
            x = up(F.interpolate(x, scale_factor=2))
        return self.paint(x)  # type: ignore[no-any-return]
