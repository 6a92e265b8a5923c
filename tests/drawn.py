"""Drawn materials whose lattice is known exactly, and two that have none: swatches for tests that bring no photographs.

Every function returns (1, 3, height, width) float32 RGB in [0, 1]. The same seed draws the same picture; another seed
other colours, other noise and another place of the lattice. Lengths are pixels and need not be whole. Edges are smooth
because everything is drawn at `FINE` times the resolution. `*_periods` gives two vectors (y, x) that span the lattice.
"""

import functools
import math
from collections.abc import Callable
from typing import ParamSpec

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

FINE = 3  # samples per pixel and axis

Vec = tuple[float, float]
Arguments = ParamSpec("Arguments")


def once(draw: Callable[Arguments, Tensor]) -> Callable[Arguments, Tensor]:
    """The same picture is not drawn twice in a run: pebbles fall one by one. Every caller gets a copy of its own."""
    drawn = functools.lru_cache(maxsize=128)(draw)

    @functools.wraps(draw)
    def copied(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Tensor:
        return drawn(*args, **kwargs).clone()

    return copied


@once
def running_bond(height: int = 384, width: int = 384, seed: int = 0, brick: Vec = (27, 76)) -> Tensor:
    """Brick wall: rows `brick[0]` high, bricks `brick[1]` wide (mortar included), every second row shifted by half."""
    draw = _Draw(height, width, seed)
    row, y = _cell(draw.y, brick[0])
    column, x = _cell(draw.x + (row % 2) * brick[1] / 2, brick[1])
    mortar = 0.09 * brick[0]
    edge = _edge((y, brick[0]), (x, brick[1]))
    clay = torch.tensor([0.56, 0.27, 0.20]) * draw.per_cell(row, column, 0.25)
    return draw.finish(draw.joint(edge, clay, torch.tensor([0.74, 0.71, 0.66]), mortar / 2))


def running_bond_periods(brick: Vec = (27, 76)) -> tuple[Vec, Vec]:
    return (brick[0], brick[1] / 2), (0.0, brick[1])


@once
def square_tiles(height: int = 384, width: int = 384, seed: int = 0, tile: Vec = (32, 32)) -> Tensor:
    """Tiles of `tile` (grout included) in straight rows and columns."""
    draw = _Draw(height, width, seed)
    row, y = _cell(draw.y, tile[0])
    column, x = _cell(draw.x, tile[1])
    glaze = torch.tensor([0.36, 0.56, 0.62]) * draw.per_cell(row, column, 0.12)
    return draw.finish(draw.joint(_edge((y, tile[0]), (x, tile[1])), glaze, torch.tensor([0.86, 0.85, 0.82]), 1.3))


def square_tiles_periods(tile: Vec = (32, 32)) -> tuple[Vec, Vec]:
    return (tile[0], 0.0), (0.0, tile[1])


@once
def hexagons(height: int = 384, width: int = 384, seed: int = 0, across: float = 36) -> Tensor:
    """Hexagonal tiles, `across` from side to opposite side; rows of them run along x."""
    draw = _Draw(height, width, seed)
    rise = across * math.sqrt(3) / 2
    row = torch.round(draw.y / rise)
    nearest = torch.full_like(draw.x, torch.inf)
    home = (row, row)
    for candidate in (row - 1, row, row + 1):
        shift = (candidate % 2) / 2
        column = torch.round(draw.x / across - shift)
        distance = torch.hypot(draw.y - candidate * rise, draw.x - (column + shift) * across)
        closer = distance < nearest
        nearest = torch.minimum(nearest, distance)
        home = (torch.where(closer, candidate, home[0]), torch.where(closer, column, home[1]))
    y, x = draw.y - home[0] * rise, draw.x - (home[1] + (home[0] % 2) / 2) * across
    reach = torch.stack([(x * math.cos(a) + y * math.sin(a)).abs() for a in (0.0, math.pi / 3, -math.pi / 3)]).amax(0)
    stone = torch.tensor([0.62, 0.55, 0.47]) * draw.per_cell(home[0], home[1], 0.2)
    return draw.finish(draw.joint(across / 2 - reach, stone, torch.tensor([0.24, 0.23, 0.22]), 1.2))


def hexagons_periods(across: float = 36) -> tuple[Vec, Vec]:
    return (across * math.sqrt(3) / 2, across / 2), (0.0, across)


@once
def rotated_weave(
    height: int = 384, width: int = 384, seed: int = 0, pitch: float = 16, angle_degrees: float = 20
) -> Tensor:
    """Plain weave of rounded strands, one every `pitch`, turned by `angle_degrees`. Both directions are of one yarn."""
    draw = _Draw(height, width, seed)
    cos, sin = math.cos(math.radians(angle_degrees)), math.sin(math.radians(angle_degrees))
    row, y = _cell(cos * draw.y - sin * draw.x, pitch)
    column, x = _cell(sin * draw.y + cos * draw.x, pitch)
    lengthwise = (row + column) % 2 == 0  # this crossing shows the strand that runs along y
    across = torch.where(lengthwise, x, y) / pitch - 0.5
    along = torch.where(lengthwise, y, x) / pitch - 0.5
    strand = torch.where(lengthwise, column, row + 1000)
    roundness = (1 - (across / 0.47) ** 2).clamp(min=0).sqrt()
    light = 0.18 + 0.82 * roundness * (0.72 + 0.28 * torch.cos(math.pi * along))
    light = light * (1 + 0.06 * torch.sin(2 * math.pi * (4 * across + 1.5 * along)))  # the yarn's twist
    yarn = torch.tensor([0.78, 0.66, 0.45]) * draw.per_cell(strand, torch.zeros_like(strand), 0.18)
    return draw.finish(yarn * light[..., None])


def rotated_weave_periods(pitch: float = 16, angle_degrees: float = 20) -> tuple[Vec, Vec]:
    cos, sin = math.cos(math.radians(angle_degrees)), math.sin(math.radians(angle_degrees))
    rows, columns = (pitch * cos, -pitch * sin), (pitch * sin, pitch * cos)
    return (rows[0] + columns[0], rows[1] + columns[1]), (rows[0] - columns[0], rows[1] - columns[1])


@once
def planks(height: int = 384, width: int = 384, seed: int = 0, wide: float = 32, tilt: float = 0.0) -> Tensor:
    """Planks of one width and of any lengths, with dark joints. `tilt`: pixels up for each pixel across."""
    random = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(height).double(), torch.arange(width).double(), indexing="ij")
    across = y + tilt * x
    course = across.div(wide).floor().long() + 100
    lengths, offsets = (torch.rand(400, generator=random, dtype=torch.float64) for _ in range(2))
    length, along = 150 + 100 * lengths[course], x + 300 * offsets[course]
    plank = along.div(length).floor().long()
    tints = 0.4 + 0.2 * torch.rand(400, 40, generator=random)
    joint = (across % wide < 2) | (along % length < 2)
    grain = 0.03 * torch.randn(height, width, generator=random)
    grey = torch.where(joint, 0.1, tints[course, plank].double() + grain)
    return (grey.float() * torch.tensor([1.0, 0.8, 0.6])[:, None, None])[None].clamp(0, 1)


@once
def slates(height: int = 384, width: int = 384, seed: int = 0, high: float = 16) -> Tensor:
    """Slates of any widths and tones in uneven courses, each about `high` pixels high, up to a fifth more or less."""
    random = torch.Generator().manual_seed(seed)
    count = math.ceil(height / high)
    heights = 1 + 0.4 * (torch.rand(count, generator=random) - 0.5)
    edges = heights.cumsum(0) * (height / float(heights.sum()))
    y = torch.arange(height) + 0.5
    course = torch.searchsorted(edges, y, right=True).clamp(max=count - 1)
    away = y - torch.cat([torch.zeros(1), edges])[course]
    picture = torch.empty(3, height, width)
    for number in range(count):
        joints = torch.cat([torch.zeros(1), (6 + 14 * torch.rand(width, generator=random)).cumsum(0)])
        x = torch.arange(width) + 0.5
        slate = torch.searchsorted(joints, x, right=True) - 1
        tones = 0.3 + 0.4 * torch.rand(len(joints), generator=random)
        shade = tones[slate] * torch.where(x - joints[slate] < 1.5, 0.4, 1.0)
        own = course == number
        picture[:, own] = (shade[None] * torch.where(away[own] < 2, 0.6, 1.0)[:, None])[None]
    picture += 0.05 * torch.randn(3, height, width, generator=random)
    return picture.clamp(0, 1)[None]


@once
def gravel(height: int = 384, width: int = 384, seed: int = 0, stone: float = 11) -> Tensor:
    """Pebbles of about `stone` radius fallen at random, each partly over the earlier ones. No lattice."""
    draw = _Draw(height, width, seed)
    random = np.random.default_rng(seed)
    picture = torch.full((*draw.y.shape, 3), 0.12)
    for _ in range(round(6 * height * width / stone**2)):
        middle_y, middle_x = random.uniform(-stone, height + stone), random.uniform(-stone, width + stone)
        radius = stone * random.lognormal(-0.15, 0.25)
        flatness, turn = random.uniform(0.65, 1.0), random.uniform(0, math.pi)
        grey = random.uniform(0.35, 0.85)
        colour = torch.tensor([grey, grey * random.uniform(0.88, 1.0), grey * random.uniform(0.78, 0.98)]).float()
        top, bottom = (round(FINE * min(max(middle_y + side * radius, 0), height)) for side in (-1, 1))
        left, right = (round(FINE * min(max(middle_x + side * radius, 0), width)) for side in (-1, 1))
        part = (slice(top, bottom), slice(left, right))
        y, x = draw.rows[part] - middle_y, draw.columns[part] - middle_x
        along = (y * math.cos(turn) + x * math.sin(turn)) / radius
        across = (x * math.cos(turn) - y * math.sin(turn)) / (radius * flatness)
        inside = along**2 + across**2
        dome = (1 - inside).clamp(min=0).sqrt()
        light = (0.35 + 0.65 * dome) * (1 - 0.25 * (y + x) / radius)
        picture[part] = torch.where((inside < 1)[..., None], colour * light[..., None], picture[part])
    return draw.finish(picture)


@once
def blobs(height: int = 256, width: int = 320, seed: int = 0, grain: float = 0.08) -> Tensor:
    """Coloured blobs of about ten pixels with a grain, on a torus: it tiles, and no part is brighter than another."""
    random = torch.Generator().manual_seed(seed)
    values = torch.rand(1, 3, height, width, generator=random)
    for reach in (3, 5):
        values = F.avg_pool2d(F.pad(values, (reach,) * 4, mode="circular"), 2 * reach + 1, 1)
    values = torch.sigmoid((values - values.mean()) / values.std() * 1.5)
    return (values + grain * torch.randn(values.shape, generator=random)).clamp(0, 1)


@once
def clouds(height: int = 384, width: int = 384, seed: int = 0, slope: float = 1.5) -> Tensor:
    """Fractal noise: amplitude falls as frequency^-slope. No lattice, and no wrap: it is cut from a larger torus."""
    random = torch.Generator().manual_seed(seed)
    tall, wide = 2 * height, 2 * width
    spectrum = torch.fft.rfft2(torch.randn(2, tall, wide, generator=random))
    frequency = torch.hypot(torch.fft.fftfreq(tall)[:, None], torch.fft.rfftfreq(wide)[None])
    frequency[0, 0] = torch.inf
    noise = torch.fft.irfft2(spectrum * frequency**-slope, s=(tall, wide))[:, :height, :width]
    noise = (noise - noise.mean((1, 2), keepdim=True)) / noise.std((1, 2), keepdim=True)
    shade, warmth = torch.sigmoid(1.2 * noise)[..., None]
    cold, warm, dark = (torch.tensor(c) for c in ([0.80, 0.84, 0.88], [0.86, 0.72, 0.55], [0.20, 0.18, 0.17]))
    picture: Tensor = dark + shade * (cold + warmth * (warm - cold) - dark)
    return picture.permute(2, 0, 1)[None].clamp(0, 1).contiguous()


class _Draw:
    """Coordinates of the samples, the seeded colours, and the way back to pixels."""

    def __init__(self, height: int, width: int, seed: int) -> None:
        self.random = torch.Generator().manual_seed(seed)
        self.rows = ((torch.arange(FINE * height) + 0.5) / FINE)[:, None].expand(-1, FINE * width)
        self.columns = ((torch.arange(FINE * width) + 0.5) / FINE)[None].expand(FINE * height, -1)
        shift = 200 * torch.rand(2, generator=self.random)
        self.y, self.x = self.rows + shift[0], self.columns + shift[1]  # the lattice lies elsewhere for every seed

    def per_cell(self, row: Tensor, column: Tensor, spread: float) -> Tensor:
        """A factor near 1 per cell and colour channel, (..., 3): mostly lightness, a little hue."""
        shades = torch.rand(512, generator=self.random), torch.rand(512, 3, generator=self.random)
        index = ((row.long() * 7919 + column.long() * 104729 + row.long() * column.long() * 31) ^ 0x2545) % 512
        return 1 + spread * (2 * shades[0][index][..., None] - 1) + 0.25 * spread * (2 * shades[1][index] - 1)

    def joint(self, edge: Tensor, face: Tensor, filler: Tensor, half_joint: float) -> Tensor:
        """`filler` within `half_joint` px of a cell's edge, `face` inside; the face darkens towards its rim."""
        inside = ((edge - half_joint) / 0.8 + 0.5).clamp(0, 1)[..., None]
        rim = 1 - 0.18 * torch.exp(-(edge - half_joint).clamp(min=0) / 2)[..., None]
        return filler + inside * (face * rim - filler)

    def finish(self, picture: Tensor) -> Tensor:
        """(FINE * H, FINE * W, 3) samples to (1, 3, H, W) pixels, with soft stains, uneven light and fine grain."""
        pixels = F.avg_pool2d(picture.permute(2, 0, 1)[None], FINE)
        size = pixels.shape[2:]
        stains = _smooth_noise(size, (10, 24), self.random)
        light = _smooth_noise(size, (2,), self.random)
        grain = torch.randn(1, 1, *size, generator=self.random)
        colour_grain = torch.randn(1, 3, *size, generator=self.random)
        pixels = pixels * (1 + 0.10 * stains + 0.06 * light) + 0.025 * grain + 0.008 * colour_grain
        return pixels.clamp(0, 1).contiguous()


def _cell(place: Tensor, period: float) -> tuple[Tensor, Tensor]:
    """Number of the cell along one axis, and the place inside it in pixels."""
    number = torch.floor(place / period)
    return number, place - number * period


def _edge(*axes: tuple[Tensor, float]) -> Tensor:
    """Pixels to the nearest edge of a rectangular cell."""
    return torch.stack([torch.minimum(place, period - place) for place, period in axes]).amin(0)


def _smooth_noise(size: torch.Size, bumps: tuple[int, ...], random: torch.Generator) -> Tensor:
    fields = [torch.randn(1, 1, n + 3, n + 3, generator=random) for n in bumps]
    large = [F.interpolate(field, size=tuple(size), mode="bicubic", align_corners=False) for field in fields]
    return torch.stack(large).mean(0)
