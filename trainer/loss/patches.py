"""The distribution of all patches, sliced: which pixels lie beside which.

Patches are projected on random directions. For each direction the sorted values of texture and swatch are compared,
which is the exact Wasserstein distance of the projected distributions (Heitz et al. 2021, arXiv 2006.07229, on VGG
features; Elnekave & Weiss 2022, arXiv 2203.11862, on patches). Directions are new at every step; several image scales
are used.

Differs: some or all directions are drawn in the swatch's whitened patch space, so they also include directions in which
the swatch varies little. There an unwanted pixel grid shows, which drowns in large shapes otherwise.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.loss.losses import Place, scaled

MOST = 4096  # patches of a picture compared in one step; more cost time and say little more
STRIDE = 3  # between patches, since they overlap; a step of three never matches the generator's halvings


class SlicedPatchLoss(nn.Module):
    """Squared sliced Wasserstein distance of patch distributions, over scales, relative to each direction's variance.

    `patch`: side of a patch in pixels. `directions`: number per step and scale; a share `plain` of them is not
    whitened. `whitening` in [0, 1]: at 0 none, at 1 all principal directions of the swatch's patches count alike.
    Directions follow from `seed` and the step of training only.
    """

    def __init__(
        self,
        swatch: Tensor,
        *,
        scales: int,
        side: int | None,
        patch: int = 7,
        directions: int = 32,
        whitening: float = 0.5,
        plain: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.scales, self.side, self.patch, self.directions, self.seed = scales, side, patch, directions, seed
        self.plain = round(plain * directions)
        self.swatches = [image for _, image in scaled(swatch, scales, None) if min(image.shape[2:]) >= 2 * patch]
        self.bases = [principal_directions(image, patch, whitening)[0] for image in self.swatches]

    def forward(self, images: Tensor, place: Place) -> Tensor:
        random = torch.Generator().manual_seed(self.seed * 1_000_003 + place.step)
        total = torch.zeros((), device=images.device)
        count = 0
        for scale, image in scaled(images, self.scales, None if place.whole else self.side):
            if scale < len(self.swatches) and min(image.shape[2:]) >= 2 * self.patch:
                if place.whole:
                    image = F.pad(image, (0, self.patch - 1, 0, self.patch - 1), mode="circular")
                total, count = total + self._distance(image, scale, random), count + 1
        return total / max(count, 1)

    def _distance(self, images: Tensor, scale: int, random: torch.Generator) -> Tensor:
        basis = self.bases[scale]
        plain = torch.randn(self.plain, basis.shape[1], generator=random).to(basis)
        whitened = torch.randn(self.directions - self.plain, basis.shape[0], generator=random).to(basis) @ basis
        directions = torch.cat((plain, whitened))
        got = self._project(images, directions, random)
        with torch.no_grad():
            wanted = self._project(self.swatches[scale], directions, random)
            wanted = F.interpolate(wanted[None], size=got.shape[1], mode="linear", align_corners=True)[0]
            variance = wanted.var(1, keepdim=True).clamp_min(1e-8)
        return ((got - wanted).square() / variance).mean()

    def _project(self, images: Tensor, directions: Tensor, random: torch.Generator) -> Tensor:
        """Sorted projections of every ninth patch from a random start, or of MOST of them: (directions, patches)."""
        top, left = torch.randint(STRIDE, (2,), generator=random).tolist()
        images = images.float()[..., top:, left:]
        rows, columns = ((length - self.patch) // STRIDE + 1 for length in images.shape[2:])
        if rows * columns > MOST:
            chosen = torch.randint(rows * columns, (MOST,), generator=random).to(images.device)
            patches = self._some(images, chosen // columns * STRIDE, chosen % columns * STRIDE)
        else:
            patches = F.unfold(images, self.patch, stride=STRIDE)
        return torch.sort((directions @ patches).transpose(0, 1).flatten(1), dim=1).values

    def _some(self, images: Tensor, tops: Tensor, lefts: Tensor) -> Tensor:
        """The patches at these positions, as F.unfold gives them: (B, C * patch^2, positions)."""
        step = torch.arange(self.patch, device=images.device)
        rows, columns = tops + step[:, None, None], lefts + step[:, None]
        return images[:, :, rows, columns].flatten(1, 3)


def principal_directions(image: Tensor, patch: int, whitening: float) -> tuple[Tensor, Tensor]:
    """Principal directions of the image's patches as rows (D, D), D = C * patch^2, and the mean patch (D,).

    Each direction is scaled by (variance / largest)^(-whitening / 2), with variances of at least a ten-thousandth,
    below which they are noise of the file. A direction in which the swatch has no variance at all (such as colour in a
    grey picture) is not scaled up: it must stay empty, and must not drown the rest.
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
