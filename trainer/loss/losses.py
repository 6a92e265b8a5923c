"""The objective: small modules that each look at one thing, summed by weight.

A loss is built around the swatch and called with a batch of windows of textures, (B, C, H, W) in [0, 1], channels of
all maps; it returns one number. Losses that need to know where the windows lie get a `Place`.
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

SMALLEST_TORUS = 8  # pixels a side, of which features are worth a look
LEAST_SPREAD = 0.005  # of the squared mean: a covariance below it says nothing, and must not rule a plain swatch


@dataclass(frozen=True)
class Place:
    """Where a batch of windows lies, all at the same place of tori of the same size, and at which step of training."""

    size: Size
    window: Window
    step: int

    @property
    def whole(self) -> bool:
        """Whether the window is all of the torus, so that its edges meet."""
        return (self.window.height, self.window.width) == (self.size.height, self.size.width)


class Sum(nn.Module):
    """The weighted sum of losses, which it also keeps apart for the progress line."""

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
    """What MomentsLoss looks at: images (B, 3, H, W) -> features (B, C, h, w) by name."""

    def __call__(self, images: Tensor, *, wraps: bool = False) -> dict[str, Tensor]:
        """Of whole tori when the images wrap, else of what lies within them."""


def scaled(images: Tensor, scales: int, side: int | None) -> Iterator[tuple[int, Tensor]]:
    """The images at scale 1, 1/2, 1/4 …, each cut to its middle `side` pixels: equally many samples at every scale.

    With None nothing is cut. Fine statistics need few pixels and coarse ones many, so the descriptor's cost is spent
    evenly.
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
        """Of features (B, C, H, W)."""
        mean = features.float().mean((2, 3))
        return cls(mean, gram(features) - mean[:, :, None] * mean[:, None])

    def distance(self, other: "Moments") -> Tensor:
        """Squared distance, relative to the size of `other`: the sum of that of the means and the covariances, (B,)."""
        size = other.mean.square().sum(1)
        spread = other.covariance.square().sum((1, 2))
        between_means = (self.mean - other.mean).square().sum(1) / size.clamp_min(1e-9)
        difference = (self.covariance - other.covariance).square().sum((1, 2))
        return between_means + difference / torch.maximum(spread, (LEAST_SPREAD * size).square()).clamp_min(1e-9)


@dataclass(frozen=True, kw_only=True)
class Look:
    """How one scale is looked at; `smallest` is the least side in pixels of an image that has such features."""

    features: Features
    weight: float
    smallest: int


class MomentsLoss(nn.Module):
    """Distance of the means and covariances of features, per layer and scale, in place of Gram matrices.

    Source: Gatys et al. 2015 compare Gram matrices, which are covariance + mean * mean^T. Differs: both parts are
    compared on their own, each relative to the swatch's. In a swatch of little contrast the covariance is a small part
    of a Gram matrix (of a dark rock 0.5 to 6 % of its squared norm, by layer; of a veneer 0.01 to 0.8 %), and what
    varies is not seen. Several image scales stand in for the deeper layers of VGG-19, which then need not be had.

    `looks` are those of scale 1, 1/2, 1/4 …, of which only the middle `side` pixels are looked at, or all; where these
    are a whole torus, features wrap. The average by weight.
    """

    def __init__(self, looks: Sequence[Look], swatch: Tensor, *, side: int | None) -> None:
        super().__init__()
        self.looks, self.side = tuple(looks), side
        with torch.no_grad():
            self.targets = [
                {name: Moments.of(found) for name, found in self._features(image, scale, wraps=False).items()}
                for scale, image in scaled(swatch, len(looks), None)
            ]

    def _features(self, image: Tensor, scale: int, wraps: bool) -> dict[str, Tensor]:
        look = self.looks[scale]
        smallest = SMALLEST_TORUS if wraps else look.smallest
        return look.features(image, wraps=wraps) if min(image.shape[2:]) >= smallest else {}

    def forward(self, images: Tensor, place: Place) -> Tensor:
        total = torch.zeros((), device=images.device)
        weights = 0.0
        for scale, image in scaled(images, len(self.looks), self.side):
            weight = self.looks[scale].weight
            wraps = place.whole and (self.side is None or max(images.shape[2:]) >> scale <= self.side)
            for name, found in self._features(image, scale, wraps).items():
                target = self.targets[scale].get(name)
                if target is not None:
                    total = total + weight * Moments.of(found).distance(target).mean()
                    weights += weight
        return total / max(weights, 1e-6)


class FoldedCellLoss(nn.Module):
    """Distance of mean unit cells: pixels sorted by their two lattice phases into bins, each bin averaged.

    A Gram matrix does not see as far as a brick is long; the mean cell does, and says where the joints are. Relative to
    the variance of the swatch's own mean cell. `bins`: along each basis wave, no finer than the pixels.
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
        """Mean of each bin over a batch with common phases: (1, C, bins * bins), and how many pixels each bin got."""
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
