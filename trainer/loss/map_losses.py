"""The losses of a material's other maps, and of how they fit together.

A descriptor takes pictures of three channels, so the maps are turned into pictures: each map by itself, and mixtures of
all of them. The covariances of a mixture's features depend on how the maps fit together; those of single maps do not.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from server.model.maps import Map, channels_of
from trainer.loss.losses import Place, scaled
from trainer.swatch.relief import slopes

MIXTURES = 6
CONTRAST = 0.22  # standard deviation of a mixture's channels, about that of a photograph
LEAST = 4 / 255  # smallest standard deviation of a channel that is stretched to it
SIZES = 3  # at which slopes are compared; at full size alone they would drown in a file's noise

Around = Callable[[Tensor], nn.Module]  # makes the loss around one picture of three channels


class SingleMap(nn.Module):
    """A loss of one map of three channels, shown as it is."""

    def __init__(self, channels: slice, swatch: Tensor, around: Around) -> None:
        super().__init__()
        self.channels = channels
        self.loss = around(swatch[:, channels])

    def forward(self, images: Tensor, place: Place) -> Tensor:
        return self.loss(images[:, self.channels], place)  # type: ignore[no-any-return]


class Mixture(nn.Module):
    """A loss of a mixture of standardised channels: `matrix` (3, channels)."""

    def __init__(self, matrix: Tensor, swatch: Tensor, around: Around) -> None:
        super().__init__()
        self.matrix = matrix.to(swatch)
        self.mean = swatch.mean((0, 2, 3))
        self.deviation = swatch.std((0, 2, 3)).clamp_min(LEAST)
        self.loss = around(self.picture(swatch))

    def picture(self, images: Tensor) -> Tensor:
        """The mixture as a picture, (B, C, H, W) -> (B, 3, H, W), around one half."""
        standard = (images - self.mean[:, None, None]) / self.deviation[:, None, None]
        return 0.5 + CONTRAST * torch.einsum("ic,bcyx->biyx", self.matrix, standard)

    def forward(self, images: Tensor, place: Place) -> Tensor:
        return self.loss(self.picture(images), place)  # type: ignore[no-any-return]


class Views(nn.Module):
    """The sum of the losses of the normals, one map of one channel, and one mixture of all maps.

    Normals are shown as they are: stretched, their third channel would count as much as the slopes. A map of one
    channel is stretched, since it may have little contrast. These maps take turns from step to step, and so do the
    mixtures, which follow from the seed. `around` makes the loss for a picture (1, 3, H, W) of the swatch.
    """

    def __init__(self, swatch: Tensor, maps: Sequence[Map], around: Around, seed: int) -> None:
        super().__init__()
        beside = [(each.channels, channels_of(maps, each.name)) for each in maps[1:]]
        unit = torch.eye(swatch.shape[1])
        grey = [unit[channels].expand(3, -1) for count, channels in beside if count == 1]
        random = torch.Generator().manual_seed(seed * 1_000_003 + 17)
        mixed = [torch.linalg.qr(torch.randn(swatch.shape[1], 3, generator=random)).Q.T for _ in range(MIXTURES)]
        self.always = nn.ModuleList(SingleMap(channels, swatch, around) for count, channels in beside if count == 3)
        self.turns = nn.ModuleList(Mixture(matrix, swatch, around) for matrix in grey)
        self.mixtures = nn.ModuleList(Mixture(matrix, swatch, around) for matrix in mixed)

    def forward(self, images: Tensor, place: Place) -> Tensor:
        by_turns = [each[place.step % len(each)] for each in (self.turns, self.mixtures) if len(each)]
        return torch.stack([loss(images, place) for loss in (*self.always, *by_turns)]).sum()


class ReliefLoss(nn.Module):
    """How far the normals are from the slope of the height, beyond what they are in the swatch itself.

    A height of 1 is k pixels high (trainer/swatch/relief.py), and k is fitted to the swatch. At each size of picture
    (full, half, quarter) the loss is the squared difference of slopes, relative to the squared slopes, minus the
    swatch's own, and at least 0.
    """

    def __init__(self, swatch: Tensor, maps: Sequence[Map]) -> None:
        super().__init__()
        self.maps = tuple(maps)
        self.steepness: list[Tensor] = []
        self.own: list[Tensor] = []
        self.size: list[Tensor] = []
        with torch.no_grad():
            for told, found in self._slopes(swatch, wraps=False):
                steepness = (told * found).sum() / found.square().sum().clamp_min(1e-12)
                size = told.square().mean().clamp_min(1e-8)
                self.steepness.append(steepness)
                self.own.append((told - steepness * found).square().mean() / size)
                self.size.append(size)

    def _slopes(self, images: Tensor, *, wraps: bool) -> list[tuple[Tensor, Tensor]]:
        return [slopes(image, self.maps, wraps=wraps) for _, image in scaled(images.float(), SIZES, None)]

    def forward(self, images: Tensor, place: Place) -> Tensor:
        total = torch.zeros((), device=images.device)
        for index, (told, found) in enumerate(self._slopes(images, wraps=place.whole)):
            off = (told - self.steepness[index] * found).square().mean() / self.size[index]
            total = total + F.relu(off - self.own[index])
        return total / SIZES
