"""Small swatches and quilts for tests: drawn, in colour, made in a second."""

from functools import cache

import torch
from torch import Tensor

from server.model.lattice import Lattice
from server.model.maps import BASE_COLOUR, HEIGHT, NORMAL, ROUGHNESS
from server.quilt.quilt import Quilt
from trainer.quilt.learning import learn_prices, unpriced


def pebbles(height: int, width: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Round stones of many colours: colours (3, height, width) and heights (1, height, width), both in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    count = height * width // 150
    middles = torch.rand(count, 2, generator=generator) * torch.tensor([height, width])
    radii = 4 + 8 * torch.rand(count, generator=generator)
    colours = 0.2 + 0.7 * torch.rand(count, 3, generator=generator)
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    best = torch.full((height, width), -1.0)
    colour = torch.full((3, height, width), 0.15)
    for middle, radius, own in zip(middles, radii, colours, strict=True):
        top = 1 - ((y - middle[0]) ** 2 + (x - middle[1]) ** 2) / radius**2
        over = top > best.clamp(min=0)
        best = torch.where(over, top, best)
        colour = torch.where(over, own[:, None, None] * (0.6 + 0.4 * top), colour)
    return colour.clamp(0, 1), best.clamp(0, 1)[None]


def bytes_of(pixels: Tensor) -> Tensor:
    return (pixels * 255).round().to(torch.uint8)


@cache
def colour_quilt(height: int = 128, width: int = 144, wraps: tuple[bool, bool] = (False, False)) -> Quilt:
    """A quilt of pebbles, in colour alone."""
    quilt = unpriced([bytes_of(pebbles(height, width)[0])], (BASE_COLOUR,), wraps, None)
    for _ in learn_prices(quilt, 2):
        pass
    return quilt


@cache
def set_quilt(height: int = 128, width: int = 144) -> Quilt:
    """A quilt of four maps, its height of 16 bits."""
    colour, top = pebbles(height, width)
    steps = [top.roll(-1, axis) - top.roll(1, axis) for axis in (2, 1)]
    normal = torch.cat([-3 * steps[0], 3 * steps[1], torch.ones_like(top)])
    normal = torch.nn.functional.normalize(normal, dim=0) / 2 + 0.5
    maps = [bytes_of(colour), bytes_of(normal), bytes_of(1 - 0.5 * top), (top * 65535).round().int().to(torch.uint16)]
    return unpriced(maps, (BASE_COLOUR, NORMAL, ROUGHNESS, HEIGHT), (False, False), None)


@cache
def brick_quilt(wraps: tuple[bool, bool] = (False, False)) -> Quilt:
    """A quilt of running bond: courses of 16 pixels, bricks of 36, each of a colour of its own; its lattice is told. It
    tiles, whether it is said or not.
    """
    generator = torch.Generator().manual_seed(5)
    y, x = torch.meshgrid(torch.arange(192), torch.arange(216), indexing="ij")
    course = y // 16
    shifted = (x + 18 * (course % 2)) % 216
    tone = 0.25 + 0.3 * torch.rand(12, 6, 3, generator=generator)
    colour = tone[course, shifted // 36].permute(2, 0, 1)
    mortar = (y % 16 < 3) | (shifted % 36 < 3)
    colour = torch.where(mortar, torch.tensor(0.9), colour)
    colour = (colour + 0.03 * torch.randn(192, 216, generator=generator)).clamp(0, 1)
    basis = ((1 / 32, 1 / 36), (1 / 32, -1 / 36))  # of the periods (16, 18) and (16, -18)
    lattice = Lattice(basis=basis, harmonics=((1, 0), (0, 1)), strength=0.9)
    return unpriced([bytes_of(colour)], (BASE_COLOUR,), wraps, lattice)


def stones_quilt() -> Quilt:
    """A quilt of grey sand with three white stones."""
    generator = torch.Generator().manual_seed(7)
    colour = (0.35 + 0.05 * torch.randn(3, 128, 144, generator=generator)).clamp(0, 0.55)
    y, x = torch.meshgrid(torch.arange(128), torch.arange(144), indexing="ij")
    for middle in ((30, 40), (75, 110), (100, 30)):
        colour[:, (y - middle[0]) ** 2 + (x - middle[1]) ** 2 < 30] = 0.95
    return unpriced([bytes_of(colour)], (BASE_COLOUR,), (False, False), None)


def large_quilt(factor_side: int = 2600) -> Quilt:
    """A quilt that is planned at a smaller size than it is painted at."""
    colour = bytes_of(pebbles(factor_side // 10, factor_side // 10)[0])
    wide = colour.repeat_interleave(10, 1).repeat_interleave(10, 2).contiguous()
    return unpriced([wide], (BASE_COLOUR,), (False, False), None)
