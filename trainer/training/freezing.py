"""From a generator in training to one that is served: freeze population statistics, fold them into the convolutions.

In training, batch normalisation follows every convolution and uses the statistics of the batch. A served texture must
not depend on its batch, so the statistics are measured once over many seeds, places and sizes, and frozen. In the end
they are folded: gamma * (W x - mean) / std + beta is a convolution again.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from server.model.torus import Size, Window
from server.network.generator import Block, Generator
from server.network.texture import paint

SAMPLES = 24
_CALIBRATION_SEEDS = 1 << 62  # far from the seeds of training and of judging


def normalisation(channels: int) -> nn.Module:
    """Batch normalisation that never updates its running statistics; `calibrate` sets them."""
    return nn.BatchNorm2d(channels, momentum=0.0)


def normalisations(generator: Generator) -> list[nn.BatchNorm2d]:
    """All normalisation layers, in the order in which pixels pass them."""
    return [module for module in generator.modules() if isinstance(module, nn.BatchNorm2d)]


def freeze(generator: Generator, frozen: bool = True) -> None:
    """Normalise with the calibrated statistics from now on, or again with the batch's. Weights can still be trained."""
    for norm in normalisations(generator):
        norm.train(not frozen)


def calibrate(generator: Generator, side: int, seed: int, samples: int = SAMPLES) -> None:
    """Set every normalisation's statistics to the population's, measured over many seeds, places and sizes of torus.

    Moments are pooled, so the variance between samples counts too. `side`: of the measured windows, in pixels.
    """
    norms = normalisations(generator)
    moments: dict[nn.BatchNorm2d, list[Tensor]] = {norm: [] for norm in norms}

    def watch(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, nn.BatchNorm2d)
        x = inputs[0].double()
        moments[norm].append(torch.stack((x.mean((0, 2, 3)), x.square().mean((0, 2, 3)))))

    places = random.Random(f"calibrate {seed}")
    with _watched(norms, watch):
        freeze(generator, False)
        for sample in range(samples):
            size, window = somewhere(places, side)
            paint(generator, [_CALIBRATION_SEEDS + sample], size, window)
    for norm in norms:
        mean, square = torch.stack(moments[norm]).mean(0)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.copy_(mean)
        norm.running_var.copy_((square - mean.square()).clamp_min(0))


def somewhere(places: random.Random, side: int) -> tuple[Size, Window]:
    """A random torus of one to four times `side`, and a random window of `side` on it.

    Every size of torus stretches cells and lattice differently, and every place meets other phases of the lattice. So
    the generator learns no special size or place.
    """
    size = Size(places.randrange(side, 4 * side), places.randrange(side, 4 * side))
    return size, Window(places.randrange(size.height), places.randrange(size.width), side, side)


@contextmanager
def _watched(norms: list[nn.BatchNorm2d], watch) -> Iterator[None]:  # type: ignore[no-untyped-def]
    handles = [norm.register_forward_pre_hook(watch) for norm in norms]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def folded(generator: Generator) -> Generator:
    """The same generator without normalisation layers: float32 on the CPU, ready for a model file."""
    result = Generator(generator.architecture, generator.maps, generator.lattice)
    result.paint.load_state_dict(generator.paint.state_dict())
    for (_, kept), (_, own) in zip(
        generator.named_buffers(recurse=False), result.named_buffers(recurse=False), strict=True
    ):
        own.copy_(kept)
    pairs = zip(_blocks(generator), _blocks(result), strict=True)
    for trained, served in pairs:
        norm = trained.norm
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        served.conv.weight.copy_(trained.conv.weight.double() * scale[:, None, None, None])
        assert served.conv.bias is not None
        served.conv.bias.copy_(norm.bias.double() - norm.running_mean.double() * scale)
    return result.eval().requires_grad_(False)


def _blocks(generator: Generator) -> list[Block]:
    return [module for module in generator.modules() if isinstance(module, Block)]
