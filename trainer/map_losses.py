"""What holds the maps of a material together, beside the losses of the base colour alone.

A descriptor takes pictures of three channels. So the maps are shown to it as pictures: each by itself, and mixtures of
all of them, in which what lies at one place in several maps meets. The covariances of a mixture's features then hold
how the maps go together, which those of the maps one by one do not.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from server.maps import Map, channels_of
from trainer.losses import Place, scaled
from trainer.relief import slopes

MIXTURES = 6
CONTRAST = 0.22  # of a mixture's channel: about that of a photograph
LEAST = 4 / 255  # of a channel's deviation that is stretched to it
SIZES = 3  # of the pictures whose slopes are compared: fine ones drown in a file's noise

Look = Callable[[Tensor], nn.Module]  # a loss around one picture of three channels


class Part(nn.Module):
    """A loss that looks at some of the channels."""

    def __init__(self, channels: slice, loss: nn.Module) -> None:
        super().__init__()
        self.channels, self.loss = channels, loss

    def forward(self, images: Tensor, place: Place) -> Tensor:
        return self.loss(images[:, self.channels], place)  # type: ignore[no-any-return]


class Mixtures(nn.Module):
    """Pictures made of the maps, looked at in every step: the normals, one map of one channel, one mixture of all.

    The maps of one channel take turns, and so do the mixtures, which follow from the seed. `look` makes the loss around
    a picture (1, 3, H, W) of the swatch. The sum of the losses.
    """

    def __init__(self, swatch: Tensor, maps: Sequence[Map], look: Look, seed: int) -> None:
        super().__init__()
        self.mean = swatch.mean((0, 2, 3))
        self.deviation = swatch.std((0, 2, 3)).clamp_min(LEAST)
        random = torch.Generator().manual_seed(seed * 1_000_003 + 17)
        always, turns = _by_themselves(maps)
        mixed = [torch.linalg.qr(torch.randn(swatch.shape[1], 3, generator=random)).Q.T for _ in range(MIXTURES)]
        self.counts = (len(always), len(turns), len(mixed))
        self.matrices = [matrix.to(swatch) for matrix in (*always, *turns, *mixed)]
        self.losses = nn.ModuleList(look(self.picture(swatch, matrix)) for matrix in self.matrices)

    def picture(self, images: Tensor, matrix: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 3, H, W), around one half."""
        standard = (images - self.mean[:, None, None]) / self.deviation[:, None, None]
        return 0.5 + CONTRAST * torch.einsum("ic,bcyx->biyx", matrix, standard)

    def forward(self, images: Tensor, place: Place) -> Tensor:
        total = torch.zeros((), device=images.device)
        for index in self.looked_at(place.step):
            total = total + self.losses[index](self.picture(images, self.matrices[index]), place)
        return total

    def looked_at(self, step: int) -> list[int]:
        """Which pictures."""
        always, turns, mixed = self.counts
        chosen = [always + step % turns] if turns else []
        return [*range(always), *chosen, always + turns + step % mixed]


def _by_themselves(maps: Sequence[Map]) -> tuple[list[Tensor], list[Tensor]]:
    """Matrices (3, channels of all maps) that pick maps beside the base colour: those of three channels, the others."""
    unit = torch.eye(sum(each.channels for each in maps))
    picked = [unit[channels_of(maps, each.name)] for each in maps[1:]]
    always = [rows for rows in picked if len(rows) == 3]
    turns = [row.expand(3, -1) for rows in picked if len(rows) != 3 for row in rows]
    return always, turns


class ReliefLoss(nn.Module):
    """How far the normals are from the slope of the height, beyond what they are in the swatch itself.

    A height of 1 is k pixels high (trainer/relief.py), and k is fitted to the swatch.
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
