"""The objective: small modules that each compare one thing, summed with weights.

A loss is made for a swatch and called with a batch of windows of textures, (B, C, H, W) in [0, 1], channels of all
maps. It returns one number. `Place` says where the windows lie.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from server.model.lattice import Lattice
from server.model.torus import Size, Span, Window
from server.network.waves import phases

SMALLEST_TORUS = 8  # pixels a side; features of a smaller one are not compared
LEAST_SPREAD = 0.005  # of the squared mean: a smaller covariance is noise and must not dominate a flat swatch


@dataclass(frozen=True)
class Place:
    """The size of a batch's tori, the window that is seen of all of them, and the step of training."""

    size: Size
    window: Window
    step: int

    @property
    def whole(self) -> bool:
        """Whether the window is the whole torus, so that its edges meet."""
        return (self.window.height, self.window.width) == (self.size.height, self.size.width)


class Sum(nn.Module):
    """The weighted sum of losses, by name."""

    def __init__(self, *terms: tuple[str, float, nn.Module]) -> None:
        super().__init__()
        self.names = [name for name, _, _ in terms]
        self.weights = [weight for _, weight, _ in terms]
        self.terms = nn.ModuleList(term for _, _, term in terms)

    def forward(self, images: Tensor, place: Place) -> Tensor:
        total = torch.zeros((), device=images.device)
        for weight, term in zip(self.weights, self.terms, strict=True):
            total = total + weight * term(images, place)
        return total


class Features(Protocol):
    """A function that MomentsLoss uses: images (B, 3, H, W) -> features (B, C, h, w) by name."""

    def __call__(self, images: Tensor, *, wraps: bool = False) -> dict[str, Tensor]:
        """Features of whole tori if the images wrap, else only those that see nothing outside the image."""


def scaled(images: Tensor, scales: int, side: int | None) -> Iterator[tuple[int, Tensor]]:
    """The images at scale 1, 1/2, 1/4 …, each cut to its middle `side` pixels; None: not cut.

    Fine statistics need a small part of the image and coarse ones a large part, so the same number of pixels at every
    scale spends the descriptor's time evenly.
    """
    for scale in range(scales):
        if scale:
            images = F.avg_pool2d(images, 2)
        if side is None:
            yield scale, images
            continue
        top, left = ((length - min(length, side)) // 2 for length in images.shape[2:])
        yield scale, images[..., top : top + side, left : left + side]


def gram(features: Tensor) -> Tensor:
    """Gram matrices (B, C, C) of features (B, C, H, W), per position: Gatys et al. 2015, eq. 3, divided by H * W."""
    flat = features.permute(0, 2, 3, 1).flatten(1, 2).float()  # no copy: networks hand on channels-last features
    return flat.transpose(1, 2) @ flat / flat.shape[1]


@dataclass(frozen=True)
class Moments:
    """Mean (B, C) and covariance (B, C, C) of features over all positions."""

    mean: Tensor
    covariance: Tensor

    @classmethod
    def of(cls, features: Tensor) -> Self:
        """The moments of features (B, C, H, W)."""
        mean = features.float().mean((2, 3))
        return cls(mean, gram(features) - mean[:, :, None] * mean[:, None])

    def distance(self, other: "Moments") -> Tensor:
        """Squared distance of the means plus that of the covariances, each relative to the size of `other`: (B,)."""
        size = other.mean.square().sum(1)
        spread = other.covariance.square().sum((1, 2))
        between_means = (self.mean - other.mean).square().sum(1) / size.clamp_min(1e-9)
        difference = (self.covariance - other.covariance).square().sum((1, 2))
        return between_means + difference / torch.maximum(spread, (LEAST_SPREAD * size).square()).clamp_min(1e-9)


@dataclass(frozen=True, kw_only=True)
class ScaleFeatures:
    """What is compared at one image scale. `smallest`: least side in pixels of an image that has features."""

    features: Features
    weight: float
    smallest: int


class MomentsLoss(nn.Module):
    """Distance of the means and covariances of features, per layer and scale, in place of Gram matrices.

    A Gram matrix says which features occur together: the mean over all positions of their products, pair by pair.
    Source: Gatys et al. 2015 compare Gram matrices, which are covariance + mean * mean^T. Differs: both parts are
    compared on their own, each relative to the swatch's. In a swatch of little contrast the covariance is a small part
    of a Gram matrix (for a dark rock 0.5 to 6 % of its squared norm, by layer; for a veneer 0.01 to 0.8 %), so what
    varies would hardly count. Several image scales replace the deeper layers of VGG-19, which are then not needed.

    `scales`: for scale 1, 1/2, 1/4 …. At each of them the middle `side` pixels are compared, or all if it is None; if
    these are a whole torus, features wrap. The loss is the average by weight.
    """

    def __init__(self, scales: Sequence[ScaleFeatures], swatch: Tensor, *, side: int | None) -> None:
        super().__init__()
        self.scales, self.side = tuple(scales), side
        with torch.no_grad():
            self.targets = [
                {name: Moments.of(found) for name, found in self._features(image, scale, wraps=False).items()}
                for scale, image in scaled(swatch, len(scales), None)
            ]

    def _features(self, image: Tensor, scale: int, wraps: bool) -> dict[str, Tensor]:
        own = self.scales[scale]
        smallest = SMALLEST_TORUS if wraps else own.smallest
        return own.features(image, wraps=wraps) if min(image.shape[2:]) >= smallest else {}

    def forward(self, images: Tensor, place: Place) -> Tensor:
        total = torch.zeros((), device=images.device)
        weights = 0.0
        for scale, image in scaled(images, len(self.scales), self.side):
            weight = self.scales[scale].weight
            wraps = place.whole and (self.side is None or max(images.shape[2:]) >> scale <= self.side)
            for name, found in self._features(image, scale, wraps).items():
                target = self.targets[scale].get(name)
                if target is not None:
                    total = total + weight * Moments.of(found).distance(target).mean()
                    weights += weight
        return total / max(weights, 1e-6)


class FoldedCellLoss(nn.Module):
    """Distance of mean unit cells: pixels are sorted by their two lattice phases into bins, and each bin is averaged.

    A Gram matrix does not see as far as a brick is long. The mean cell does, and shows where the joints are. The
    distance is relative to the variance of the swatch's own mean cell. `bins`: along each basis wave, no finer than the
    pixels.
    """

    def __init__(self, swatch: Tensor, lattice: Lattice, bins: int = 24) -> None:
        super().__init__()
        self.lattice = lattice
        self.bins = bins
        height, width = swatch.shape[2:]
        y = torch.arange(height, device=swatch.device)[:, None] + 0.5
        x = torch.arange(width, device=swatch.device)[None, :] + 0.5
        own = torch.stack([(fy * y + fx * x) % 1.0 for fy, fx in lattice.basis])
        self.cell, self.hits = self._fold(swatch, own)
        self.variance = (self.cell - self.cell.mean(2, keepdim=True)).square().mean().clamp_min(1e-4)

    def _fold(self, images: Tensor, where: Tensor) -> tuple[Tensor, Tensor]:
        """Mean of each bin over a batch with common phases: (1, C, bins * bins), and the number of pixels in each."""
        index = (where * self.bins).long().clamp_(max=self.bins - 1)
        index = (index[0] * self.bins + index[1]).flatten()
        flat = images.float().mean(0).flatten(1)
        total = torch.zeros(flat.shape[0], self.bins**2, device=images.device).index_add(1, index, flat)
        hits = torch.bincount(index, minlength=self.bins**2).to(flat)
        return (total / hits.clamp_min(1))[None], hits

    def forward(self, images: Tensor, place: Place) -> Tensor:
        window = place.window
        rows, columns = Span(window.top, window.top + window.height), Span(window.left, window.left + window.width)
        where = phases(self.lattice, place.size, rows, columns).to(images.device)
        cell, hits = self._fold(images, where)
        both = (hits > 0) & (self.hits > 0)
        return (cell - self.cell)[:, :, both].square().mean() / self.variance
