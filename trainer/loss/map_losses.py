"""What holds the maps of a material together, beside the losses of the base colour alone.

A descriptor takes pictures of three channels. So the maps are shown to it as pictures: each by itself, and mixtures of
all of them, in which what lies at one place in several maps meets. The covariances of a mixture's features then hold
how the maps go together, which those of the maps one by one do not.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from server.model.maps import Map, channels_of
from trainer.loss.losses import Place, scaled
from trainer.swatch.relief import slopes

MIXTURES = 6
CONTRAST = 0.22  # of a mixture's channel: about that of a photograph
LEAST = 4 / 255  # of a channel's deviation that is stretched to it
SIZES = 3  # of the pictures whose slopes are compared: fine ones drown in a file's noise

Around = Callable[[Tensor], nn.Module]  # makes the loss around one picture of three channels


class Part(nn.Module):
    """A loss that looks at one map of three channels as it is."""

    def __init__(self, channels: slice, swatch: Tensor, around: Around) -> None:
        super().__init__()
        self.channels = channels
        self.loss = around(swatch[:, channels])

    def forward(self, images: Tensor, place: Place) -> Tensor:
        return self.loss(images[:, self.channels], place)  # type: ignore[no-any-return]


class Mixture(nn.Module):
    """A loss that looks at a mixture of channels, each standardised first: `matrix` (3, channels)."""

    def __init__(self, matrix: Tensor, swatch: Tensor, around: Around) -> None:
        super().__init__()
        self.matrix = matrix.to(swatch)
        self.mean = swatch.mean((0, 2, 3))
        self.deviation = swatch.std((0, 2, 3)).clamp_min(LEAST)
        self.loss = around(self.picture(swatch))

    def picture(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 3, H, W), around one half."""
        standard = (images - self.mean[:, None, None]) / self.deviation[:, None, None]
        return 0.5 + CONTRAST * torch.einsum("ic,bcyx->biyx", self.matrix, standard)

    def forward(self, images: Tensor, place: Place) -> Tensor:
        return self.loss(self.picture(images), place)  # type: ignore[no-any-return]


class Views(nn.Module):
    """What is looked at in every step beside the base colour: the normals, one map of one channel, one mixture of all.

    Normals are shown as they are: stretched, what their third channel hardly shows would count as much as the slopes. A
    map of one channel is stretched, for it may have little contrast. These maps take turns, and so do the mixtures,
    which follow from the seed. `around` makes the loss around a picture (1, 3, H, W) of the swatch. The sum of the
    losses.
    """

    def __init__(self, swatch: Tensor, maps: Sequence[Map], around: Around, seed: int) -> None:
        super().__init__()
        beside = [(each.channels, channels_of(maps, each.name)) for each in maps[1:]]
        unit = torch.eye(swatch.shape[1])
        grey = [unit[channels].expand(3, -1) for count, channels in beside if count == 1]
        random = torch.Generator().manual_seed(seed * 1_000_003 + 17)
        mixed = [torch.linalg.qr(torch.randn(swatch.shape[1], 3, generator=random)).Q.T for _ in range(MIXTURES)]
        self.always = nn.ModuleList(Part(channels, swatch, around) for count, channels in beside if count == 3)
        self.turns = nn.ModuleList(Mixture(matrix, swatch, around) for matrix in grey)
        self.mixtures = nn.ModuleList(Mixture(matrix, swatch, around) for matrix in mixed)

    def forward(self, images: Tensor, place: Place) -> Tensor:
        by_turns = [each[place.step % len(each)] for each in (self.turns, self.mixtures) if len(each)]
        return torch.stack([loss(images, place) for loss in (*self.always, *by_turns)]).sum()


class ReliefLoss(nn.Module):
    """How far the normals are from the slope of the height, beyond what they are in the swatch itself.

    A height of 1 is k pixels high (trainer/swatch/relief.py), and k is fitted to the swatch.
    For each size of picture (full, half, quarter): the squared difference of slopes relative to that of the slopes
    themselves, and no more is asked than the swatch gives.
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
