"""The style generators: from a picture and noise to the picture in a style. `strength` is how much of the style.

Two architectures by name.
`residual`, the default, is an encoder and decoder in the manner of Johnson et al. 2016 (arXiv 1603.08155): convolutions
halve the picture and add channels, residual blocks work where it is smallest, and convolutions over the doubled result
lead back. Differs: half as many channels and 3x3 kernels at both ends, since most of the cost is at full resolution;
noise joins the content.
`pyramid` is the paper's (Ulyanov et al. 2016, arXiv 1603.03417, section 3.3): on every level noise and the content at
that size go through a block (3x3, 3x3, 1x1), join the doubled coarser result, and both go through another.

Every convolution but the last is followed by **conditional instance normalisation** (Ulyanov et al. 2017, arXiv
1701.02096; Dumoulin et al. 2017, arXiv 1610.07629): `(x - mean) / std * (g0 + s g1) + (b0 + s b1)`. Differs: the
condition is one number, the strength s in [0, 1], and gain and bias follow it along a parabola, which adds
`s (1 - s) g2` to the gain and the same to the bias. A straight line gave worse results at both ends.

Its means and deviations are those of the picture itself (in training, and for a thumbnail), or they are given. With
given ones nothing looks at the whole picture. The normalisation is then a line for every channel and is folded into
the convolutions: see `StyleGenerator.frozen`.

The picture is `0.5 + k (1 - s) (content - 0.5) + painted`. k is learned for each colour and begins as 1. So at the
start of the training strength 0 gives the content to the pixel, which no network that halves its picture twice could
do. At strength 1 everything is painted, and no grain of a photograph shows through the strokes. There is no sigmoid, so
black and white can be reached and gradients do not vanish there; callers clamp the picture to [0, 1].

All convolutions are valid (no padding): the caller passes the content with a halo, so there is no border here. Shapes:
content (B, 3, H + 2 halo, W + 2 halo), H and W multiples of the stride; the result (B, 3, H, W). A convolution over a
picture that is doubled by linear interpolation is computed as a convolution of the picture itself to four times the
channels, which are then laid out side by side. The sums are the same, and nothing is interpolated. Differs: the usual
doubling repeats each cell four times, and it left stairs of four pixels on slanted strokes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from server.errors import BadRequest
from server.model.style_architecture import (
    EPSILON,
    LARGEST,
    LayerPlan,
    StyleArchitecture,
    check_statistics,
    layer_plans,
    paint_shape,
)


@dataclass(frozen=True, eq=False)
class Statistics:
    """A picture's means and deviations for one generator and strength: all that it needs of the whole picture.

    `values`: float32 on the CPU, all means, then all deviations, in the order of the layers.
    """

    values: Tensor

    def to_bytes(self) -> bytes:
        """Little-endian float32, as `from_bytes` and `server.model.style_architecture.check_statistics` take them."""
        return self.values.numpy().astype("<f4").tobytes()

    @classmethod
    def from_bytes(cls, data: bytes, architecture: StyleArchitecture) -> Self:
        """Raises BadRequest for bytes that cannot be statistics for this architecture."""
        check_statistics(architecture, data)
        return cls(torch.from_numpy(np.frombuffer(data, "<f4").astype(np.float32)))


class Norm(nn.Module):
    """The learned half of a conditional instance normalisation.

    `gain` and `bias` (3, C): the value at strength 0, what strength 1 adds, and the bend of the parabola between them.
    """

    def __init__(self, channels: int, gain: tuple[float, float] = (1.0, 0.0)) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor((*gain, 0.0))[:, None].repeat(1, channels))
        self.bias = nn.Parameter(torch.zeros(3, channels))

    def line(self, strength: Tensor, mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
        """The normalisation as a factor and a summand, (B, C) each. `strength` (B,), mean and std (B, C) or (1, C)."""
        s = strength[:, None]
        bend = s * (1 - s)
        factor = (self.gain[0] + s * self.gain[1] + bend * self.gain[2]) / std
        return factor, self.bias[0] + s * self.bias[1] + bend * self.bias[2] - mean * factor


class Layer(nn.Module):
    """Valid convolution without a bias, conditional instance normalisation, leaky ReLU: see LayerPlan."""

    def __init__(self, plan: LayerPlan, gain: tuple[float, float] = (1.0, 0.0)) -> None:
        super().__init__()
        self.plan = plan
        self.conv = nn.Conv2d(plan.inputs, plan.outputs, plan.kernel, plan.stride, bias=False)
        self.norm = Norm(plan.outputs, gain)

    def kernel(self) -> Tensor:
        """The weights of a convolution over the input before it is doubled."""
        return _four_kernels(self.conv.weight) if self.plan.doubles else self.conv.weight

    def convolved(self, x: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
        return F.conv2d(x, kernel.to(x.dtype), None if bias is None else bias.to(x.dtype), self.plan.stride)

    def activated(self, x: Tensor) -> Tensor:
        """In place."""
        if self.plan.slope == 1:
            return x
        return F.relu_(x) if self.plan.slope == 0 else F.leaky_relu_(x, self.plan.slope)


Run = Callable[[str, Tensor], Tensor]  # a layer by its name, what goes in, what comes out


class StyleGenerator(nn.Module):
    """From content and noise to the picture in the style.

    `fast`: the layers compute in bfloat16, the colours in float32. Weights stay float32. server/network/devices.py
    sets it.
    """

    def __init__(self, architecture: StyleArchitecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.fast = False
        plans = layer_plans(architecture)
        # At strength 0 the last layer gives zero, so that the training begins with the content there.
        self.layers = nn.ModuleDict(
            {
                name: Layer(plan, (0.0, 1.0) if index == len(plans) - 1 else (1.0, 0.0))
                for index, (name, plan) in enumerate(plans.items())
            }
        )
        outputs, inputs, kernel, _ = paint_shape(architecture)
        self.paint = nn.Conv2d(inputs, outputs, kernel)
        assert self.paint.bias is not None
        nn.init.zeros_(self.paint.bias)
        self.skip = nn.Parameter(torch.ones(3))

    @property
    def halo(self) -> int:
        """The pixels of content that it needs around the picture on every side, a multiple of the stride."""
        return self.architecture.halo

    @property
    def stride(self) -> int:
        """The side of the coarsest cell in pixels. Windows begin and end at multiples of it."""
        return self.architecture.stride

    def layer(self, name: str) -> Layer:
        found = self.layers[name]
        assert isinstance(found, Layer)
        return found

    def forward(
        self,
        content: Tensor,
        noise: Sequence[Tensor],
        strength: Tensor,
        statistics: Statistics | None = None,
        area: tuple[int, int] | None = None,
    ) -> Tensor:
        """The picture, (B, 3, H, W) float32, nominally in [0, 1] but not clamped.

        `content` (B, 3, H + 2 halo, W + 2 halo), sRGB in [0, 1]. `noise`: for each of the architecture's, zero mean and
        unit variance, (B, C, H / cell + 2 margin, W / cell + 2 margin): `server.network.stylize.noise_for` makes it.
        `strength` (B,) in [0, 1]. Without `statistics` every sample has its own, of `area`, its first rows and columns
        without the halo; by default all of them.
        """
        return self._picture(content, noise, strength, self._live(content, strength, statistics, area))

    @torch.no_grad()
    def measured(
        self, content: Tensor, noise: Sequence[Tensor], strength: float, area: tuple[int, int] | None = None
    ) -> Statistics:
        """The statistics of one picture, (1, 3, H + 2 halo, W + 2 halo); the rest as in `forward`."""
        strengths = torch.tensor([strength], dtype=torch.float32, device=content.device)
        live = self._live(content, strengths, None, area)
        self._features(content, noise, live)
        means, deviations = (torch.cat([each[part][0] for each in live.seen]) for part in (0, 1))
        # What no picture has comes from weights that no training gives; bounded, it gives pixels all the same.
        values = torch.cat(
            (
                means.nan_to_num(0.0).clamp(-LARGEST, LARGEST),
                deviations.nan_to_num(1.0).clamp(EPSILON**0.5, LARGEST),
            )
        )
        return Statistics(values.cpu())

    @torch.no_grad()
    def frozen(self, statistics: Statistics, strength: float) -> "FrozenStyle":
        """The generator for pictures of these statistics at this strength, without normalisations.

        Raises BadRequest for statistics of another architecture.
        """
        strengths = torch.tensor([strength], dtype=torch.float32, device=self.skip.device)
        split = self._split(statistics)
        folded = {}
        for name, (mean, std) in split.items():
            layer = self.layer(name)
            factor, summand = (each[0] for each in layer.norm.line(strengths, mean, std))
            times = 4 if layer.plan.doubles else 1
            kernel = layer.kernel() * factor.repeat(times)[:, None, None, None]
            kernel, bias = kernel.to(self._dtype), summand.repeat(times).to(self._dtype)
            folded[name] = kernel.contiguous(memory_format=torch.channels_last), bias
        return FrozenStyle(self, strengths, folded)

    # ------------------------------------------------------------------------------------------------- the network

    @property
    def _dtype(self) -> torch.dtype:
        return torch.bfloat16 if self.fast else torch.float32

    def _picture(self, content: Tensor, noise: Sequence[Tensor], strength: Tensor, run: Run) -> Tensor:
        features = self._features(content, noise, run)
        with torch.autocast(content.device.type, enabled=False):  # colours keep float32 where the layers do without
            painted = F.conv2d(features.float(), self.paint.weight, self.paint.bias)
            kept = ((1 - strength[:, None]) * self.skip)[:, :, None, None]
            return torch.addcmul(painted.add_(0.5), kept, _cropped(content, self.halo) - 0.5)

    def _features(self, content: Tensor, noise: Sequence[Tensor], run: Run) -> Tensor:
        """The features from which the colours are made."""
        content = (content - 0.5) * 4  # about zero mean and unit variance, as the noise
        return (self._residual if self.architecture.name == "residual" else self._pyramid)(content, noise, run)

    def _residual(self, content: Tensor, noise: Sequence[Tensor], run: Run) -> Tensor:
        levels = range(1, len(self.architecture.widths))
        x = run("enter", torch.cat((content, noise[0]), 1).to(self._dtype))
        for level in levels:
            x = run(f"down{level}", x)
        for block in range(self.architecture.blocks):
            inner = run(f"block{block}a", x)
            x = run(f"block{block}b", inner) + _cropped(x, 2)
        for level in reversed(levels):
            x = run(f"up{level}", x)
        return _cropped(x, self.architecture.spare)

    def _pyramid(self, content: Tensor, noise: Sequence[Tensor], run: Run) -> Tensor:
        architecture = self.architecture
        result: Tensor | None = None
        reach = 0  # cells of the coarser result beyond the picture
        for level, (cell, margin) in enumerate(zip(architecture.cells, architecture.margins, strict=True)):
            own = _cropped(F.avg_pool2d(content, cell), architecture.halo // cell - margin)
            own = self._block(f"own{level}", torch.cat((own, noise[level]), 1).to(self._dtype), run)
            if result is not None:
                coarser = _cropped(_doubled(result), 2 * reach - architecture.result_margins[level] - 2)
                own = self._block(f"joined{level}", torch.cat((coarser, own), 1), run)
            result, reach = own, architecture.result_margins[level]
        assert result is not None
        return result

    def _block(self, name: str, x: Tensor, run: Run) -> Tensor:
        for index in range(3):
            x = run(f"{name}_{index}", x)
        return x

    # -------------------------------------------------------------------------------------------------- statistics

    def _live(
        self, content: Tensor, strength: Tensor, statistics: Statistics | None, area: tuple[int, int] | None
    ) -> "_Live":
        height, width = (side - 2 * self.halo for side in content.shape[2:])
        if min(height, width) < 1 or height % self.stride or width % self.stride:
            raise ValueError(
                f"content of {content.shape[3]}x{content.shape[2]}: without the halo of {self.halo} a side must be "
                f"a multiple of {self.stride}"
            )
        given = None if statistics is None else self._split(statistics)
        return _Live(self, strength, (height, width), area or (height, width), given)

    def _split(self, statistics: Statistics) -> Mapping[str, tuple[Tensor, Tensor]]:
        """Mean and deviation of each layer, (1, C), on the generator's device."""
        if statistics.values.shape != (2 * self.architecture.normalised,):
            raise BadRequest("statistics: they are another model's; measure them anew with this one.")
        means, deviations = statistics.values.to(self.skip.device)[None].chunk(2, 1)
        plans = layer_plans(self.architecture)
        counts = [plan.outputs for plan in plans.values()]
        pairs = zip(torch.split(means, counts, 1), torch.split(deviations, counts, 1), strict=True)
        return dict(zip(plans, pairs, strict=True))


class _Live:
    """Runs layers with the statistics of their own input, or with given ones. `seen` collects them in order."""

    def __init__(
        self,
        generator: StyleGenerator,
        strength: Tensor,
        size: tuple[int, int],
        area: tuple[int, int],
        given: Mapping[str, tuple[Tensor, Tensor]] | None,
    ) -> None:
        self.generator, self.strength, self.size, self.area, self.given = generator, strength, size, area, given
        self.seen: list[tuple[Tensor, Tensor]] = []

    def __call__(self, name: str, x: Tensor) -> Tensor:
        layer = self.generator.layer(name)
        x = layer.convolved(x, layer.kernel())
        if layer.plan.doubles:
            x = _side_by_side(x)
        if self.given is None:
            mean, std = self._statistics(x, layer.plan.cell)
            self.seen.append((mean, std))
        else:
            mean, std = self.given[name]
        factor, summand = (each[:, :, None, None].to(x.dtype) for each in layer.norm.line(self.strength, mean, std))
        return layer.activated(torch.addcmul(summand, x, factor))

    def _statistics(self, x: Tensor, cell: int) -> tuple[Tensor, Tensor]:
        """Mean and deviation of the picture's own cells, without the halo, which mirrors some of them.

        Columns first, then rows: in channels-last order five times as fast as torch.var_mean over both.
        """
        rows, columns = (
            slice(start := (count - side // cell) // 2, start - (-real // cell))
            for count, side, real in zip(x.shape[2:], self.size, self.area, strict=True)
        )
        cells = x[:, :, rows, columns].permute(0, 2, 3, 1).float()
        mean = cells.mean(2).mean(1)
        variance = (cells - mean[:, None, None]).square().mean(2).mean(1)
        return mean, (variance + EPSILON).sqrt()


class FrozenStyle:
    """A generator with fixed statistics and strength: plain convolutions, the same for every part of a picture.

    Made by `StyleGenerator.frozen`; it belongs to that generator's device and precision.
    """

    def __init__(
        self, generator: StyleGenerator, strength: Tensor, folded: Mapping[str, tuple[Tensor, Tensor]]
    ) -> None:
        self.generator = generator
        self._strength = strength
        self._folded = folded

    @torch.no_grad()
    def __call__(self, content: Tensor, noise: Sequence[Tensor]) -> Tensor:
        """As the generator's `forward`, within rounding."""
        return self.generator._picture(content, noise, self._strength, self._run)

    def _run(self, name: str, x: Tensor) -> Tensor:
        layer = self.generator.layer(name)
        x = layer.activated(layer.convolved(x, *self._folded[name]))
        return _side_by_side(x) if layer.plan.doubles else x


# ------------------------------------------------------------------------------------------------------------- pixels

# How the three taps of a kernel over doubled cells (columns) fall on a cell's neighbour before it, the cell and the one
# after it (rows), for the cell's first half and for its second: halves lie a quarter and three quarters from centres.
_TAPS = (
    ((0.75, 0.25, 0.0), (0.25, 0.75, 0.75), (0.0, 0.0, 0.25)),
    ((0.25, 0.0, 0.0), (0.75, 0.75, 0.25), (0.0, 0.25, 0.75)),
)


def _four_kernels(weight: Tensor) -> Tensor:
    """3x3 over a picture doubled linearly as 3x3 over the picture: (O, I, 3, 3) -> (4 O, I, 3, 3), four quarters."""
    taps = weight.new_tensor(_TAPS)
    four = torch.einsum("apk,bql,oikl->aboipq", taps, taps, weight)
    return four.flatten(0, 2).contiguous(memory_format=torch.channels_last)


def _side_by_side(x: Tensor) -> Tensor:
    """Lay the four quarters of the channels out as neighbours: (B, 4 C, H, W) -> (B, C, 2 H, 2 W), channels last.

    As pixel_shuffle, but with an order of channels in which many values are copied at once.
    """
    batch, channels, height, width = x.shape
    cells = x.permute(0, 2, 3, 1).reshape(batch, height, width, 2, 2, channels // 4).transpose(2, 3)
    return cells.reshape(batch, 2 * height, 2 * width, channels // 4).permute(0, 3, 1, 2)


def _doubled(x: Tensor) -> Tensor:
    """Each cell four times: (B, C, H, W) -> (B, C, 2 H, 2 W), channels last."""
    batch, channels, height, width = x.shape
    cells = x.permute(0, 2, 3, 1)[:, :, None, :, None].expand(-1, -1, 2, -1, 2, -1)
    return cells.reshape(batch, 2 * height, 2 * width, channels).permute(0, 3, 1, 2)


def _cropped(x: Tensor, margin: int) -> Tensor:
    return x[:, :, margin:-margin, margin:-margin] if margin else x
