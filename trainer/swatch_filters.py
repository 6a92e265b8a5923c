"""Features that need no weights from anywhere: random filters drawn in the swatch's own patch space, two layers deep.

Source: Ustyuzhaninov, Brendel, Gatys & Bethge 2016 (arXiv 1606.00021): Gram matrices of rectified random filters, one
layer over several scales, make textures that come near those of VGG-19. Differs: filters are random mixtures of the
principal directions of the swatch's patches, partly whitened, so none looks where the swatch holds nothing; features
are centred on the swatch, so that Gram matrices are covariances and no mean rules them; a second layer sees how the
first one's features lie beside each other.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FILTERS = (96, 128)  # of the two layers
KERNELS = (7, 3)
WHITENING = 0.7


class SwatchFilters(nn.Module):
    """Two layers of features of one image scale: (B, 3, H, W) -> {"filters1": (B, 96, …), "filters2": (B, 128, …)}.

    Valid convolutions, average pooling by two between the layers; zero mean on the swatch. Follows from `seed` alone.
    """

    def __init__(self, swatch: Tensor, seed: int) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(seed)
        self.layers = nn.ModuleList()
        x = swatch.float()
        for filters, kernel in zip(FILTERS, KERNELS, strict=True):
            layer = _Layer(x, filters, kernel, random)
            self.layers.append(layer)
            x = F.avg_pool2d(layer(x), 2)
        self.requires_grad_(False)

    def forward(self, images: Tensor, *, wraps: bool = False) -> dict[str, Tensor]:
        """See the class. Images that wrap are whole tori of even sides, and so are their features."""
        first = self.layers[0](images, wraps)
        return {"filters1": first, "filters2": self.layers[1](F.avg_pool2d(first, 2), wraps)}

    @staticmethod
    def smallest() -> int:
        """The least side of an image, in pixels, that gives the second layer a few features."""
        return KERNELS[0] + 2 * KERNELS[1] + 8


class _Layer(nn.Module):
    """Convolution, rectification at a random threshold, centring."""

    weight: Tensor
    threshold: Tensor
    mean: Tensor

    def __init__(self, x: Tensor, filters: int, kernel: int, random: torch.Generator) -> None:
        super().__init__()
        basis, centre = principal_directions(x, kernel, WHITENING)
        weight = torch.randn(filters, basis.shape[0], generator=random).to(basis) @ basis
        weight = weight.view(filters, -1, kernel, kernel)
        response = (
            F.conv2d(x, weight) - (weight * centre.view(1, -1, kernel, kernel)).sum((1, 2, 3))[None, :, None, None]
        )
        scale = 1 / response.std((0, 2, 3)).clamp_min(1e-6)
        shift = torch.randn(filters, generator=random).to(x) * 0.7
        self.register_buffer("weight", weight * scale[:, None, None, None])
        self.register_buffer("threshold", shift - (weight * centre.view(1, -1, kernel, kernel)).sum((1, 2, 3)) * scale)
        self.register_buffer("mean", torch.zeros(1, filters, 1, 1))
        self.mean.copy_(self(x).mean((0, 2, 3), keepdim=True))

    def forward(self, x: Tensor, wraps: bool = False) -> Tensor:
        if wraps:
            before, after = (self.weight.shape[2] - 1) // 2, self.weight.shape[2] // 2
            x = F.pad(x, (before, after, before, after), mode="circular")
        return F.relu(F.conv2d(x, self.weight, self.threshold)) - self.mean


def principal_directions(image: Tensor, patch: int, whitening: float) -> tuple[Tensor, Tensor]:
    """Principal directions of the image's patches as rows (D, D), D = C * patch^2, and the mean patch (D,).

    Each direction is scaled by (variance / largest)^(-whitening / 2), but not below a ten-thousandth, where variance is
    noise of the file. Where the swatch holds nothing at all (the colours of a grey picture, say) it is not scaled up:
    it must stay empty, and that must not drown the rest.
    """
    patches = F.unfold(image.float(), patch)[0]
    centre = patches.mean(1)
    patches = patches - centre[:, None]
    covariance = patches @ patches.T / patches.shape[1]
    variance, vectors = torch.linalg.eigh(covariance.double())
    variance = variance.clamp_min(0) / variance[-1].clamp_min(1e-12)
    scale = (variance + 1e-4).pow(-whitening / 2)
    directions: Tensor = (vectors * torch.where(variance > 1e-5, scale, 1.0)).T
    return directions.float(), centre
