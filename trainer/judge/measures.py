"""How good a texture is, in numbers: pure functions of images, each with its meaning and its source.

Distances (`gram_statistics`, `patch_statistics`) compare what must be alike in a texture and its swatch. They are given
as multiples of the swatch's floor (`floor`), the distance between two random pieces of it. The other measures find what
a distance does not see: seams, a lost lattice, seeds that paint the same picture, repeated pieces, pieces copied from
the swatch, and marks of the generator's pixel grid.

Shapes: a swatch is (1, 3, H, W), samples are (seeds, 3, H, W), both float32 sRGB in [0, 1] on the CPU. Samples are
treated as tori. All randomness comes from seeds.
"""

import math
from collections.abc import Callable, Mapping
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor

from server.model.lattice import Lattice
from server.model.torus import Size
from trainer.loss.losses import gram, scaled

Statistics = list[Tensor]

FLOOR_PAIRS = 6
FLOOR_SIDE = 0.7  # of the swatch's shorter side
QUANTILES = 256
GRAM_SCALES = 2
PATCH_SCALES = 4
PATCH_PX = 7
DIRECTIONS = 64
STRETCH = 0.04  # of a period: a stretch for whole cycles that nobody sees
COARSE_PX = 4  # side of the cells in which diversity and repeats are measured: shapes, not grain
COPY_PX = 32  # side of the pieces searched for in the swatch, at half size
LEAST_CONTRAST = 1 / 255  # of noise that counts as chance in a picture of one colour
COPY_NEARER = 0.5
COPY_PIECES = 256
COMPONENTS = 32
GRID_PERIODS_PX = (2, 4, 8, 16)  # the cells of the generator's finer levels
GRID_HARMONICS = 8  # highest multiple of a lattice's basis waves that has been seen to stand out
GRID_VIEW_PX = 64  # marks are measured as they appear in a view of this width
COARSE_GRID_PERIODS_PX = (32, 64)  # those of the coarsest
COARSE_GRID_VIEW_PX = 512
COARSE_GRID_CELLS = 4  # along an axis: with fewer, neighbouring periods are too far away
COARSE_GRID_AROUND = 5  # neighbouring periods on either side that are compared, in cycles


# ---------------------------------------------------------------------------------------------------------- distances


def gram_statistics(
    image: Tensor, features: Callable[[Tensor], Mapping[str, Tensor]], smallest: int, scales: int = GRAM_SCALES
) -> Statistics:
    """Gram matrices of every layer that `features` gives, at scale 1, 1/2 …; scales below `smallest` px are left out.

    Gatys, Ecker & Bethge (2015), https://arxiv.org/abs/1505.07376.
    """
    return [
        gram(found)[0].cpu()
        for _, smaller in scaled(image, scales, max(image.shape[2:]))
        if min(smaller.shape[2:]) >= smallest
        for found in features(smaller).values()
    ]


def gram_distance(got: Statistics, wanted: Statistics) -> float:
    """Mean over layers and scales of the relative Frobenius distance."""
    pairs = list(zip(got, wanted, strict=False))
    return sum(float((a - b).norm() / b.norm().clamp_min(1e-12)) for a, b in pairs) / max(len(pairs), 1)


def patch_statistics(image: Tensor, patch: int = PATCH_PX, scales: int = PATCH_SCALES) -> Statistics:
    """Quantiles of the patches' projections on random directions, (DIRECTIONS, QUANTILES) for each scale 1, 1/2 ….

    Sliced distributions of patches as in Elnekave & Weiss (2022), https://arxiv.org/abs/2203.11862; patches of one
    pixel are the colours. The directions are plain, not whitened as in the training's own loss, and always the same.
    """
    random = torch.Generator().manual_seed(2015)
    directions = F.normalize(torch.randn(DIRECTIONS, 3 * patch**2, generator=random), dim=1)
    result = []
    for scale, smaller in scaled(image, scales, max(image.shape[2:])):
        if min(smaller.shape[2:]) < patch:
            break
        stride = 1 if scale else 3  # enough patches; a step of three does not match the generator's halvings
        values = (directions @ F.unfold(smaller, patch, stride=stride)[0]).sort(1).values
        result.append(F.interpolate(values[None], size=QUANTILES, mode="linear", align_corners=False)[0])
    return result


def colour_statistics(image: Tensor) -> Statistics:
    """Those of patches of one pixel."""
    return patch_statistics(image, 1, 1)


def patch_distance(got: Statistics, wanted: Statistics) -> float:
    """Mean over directions and scales of the Wasserstein-1 distance, in standard deviations of `wanted`."""
    pairs = list(zip(got, wanted, strict=False))
    total = sum(float(((a - b).abs().mean(1) / b.std(1).clamp_min(1e-4)).mean()) for a, b in pairs)
    return total / max(len(pairs), 1)


def floor(
    swatch: Tensor,
    statistics: Callable[[Tensor], Statistics],
    distance: Callable[[Statistics, Statistics], float],
    seed: int = 0,
) -> float:
    """The median distance between two random crops of the swatch: no texture needs to come nearer."""
    random = torch.Generator().manual_seed(seed)
    side = math.ceil(min(swatch.shape[2:]) * FLOOR_SIDE)

    def crop() -> Statistics:
        top, left = (int(torch.randint(length - side + 1, (1,), generator=random)) for length in swatch.shape[2:])
        return statistics(swatch[..., top : top + side, left : left + side])

    return max(median(distance(crop(), crop()) for _ in range(FLOOR_PAIRS)), 1e-6)


def multiple(
    swatch: Tensor,
    statistics: Callable[[Tensor], Statistics],
    distance: Callable[[Statistics, Statistics], float],
) -> Callable[[Tensor], float]:
    """A function that gives the distance to the swatch as a multiple of its floor."""
    target, least = statistics(swatch), floor(swatch, statistics, distance)
    return lambda sample: distance(statistics(sample), target) / least


# --------------------------------------------------------------------------------------------------------------- seams


def seam(sample: Tensor) -> float:
    """The step across the wrap over the 95th percentile of the steps between lines inside; the worse axis. 1: no seam.

    A step is the mean absolute difference between two neighbouring lines of pixels. It is compared with a percentile
    because a joint of the texture may happen to lie on the wrap, and that is not a seam.
    """
    worst = 0.0
    for along, across in ((2, 3), (3, 2)):
        steps = (sample - sample.roll(1, along)).abs().mean((0, 1, across))
        worst = max(worst, float(steps[0] / steps[1:].quantile(0.95).clamp_min(1e-6)))
    return worst


# ------------------------------------------------------------------------------------------------------------- lattice


def lattice_kept(sample: Tensor, swatch: Tensor, lattice: Lattice) -> float | None:
    """How much of the swatch's autocorrelation at its lattice the sample keeps. 1: as regular as the swatch.

    Summed over the two periods, their sum and their difference: rows that stay regular but slip against each other
    count as half lost. On a torus whole cycles fit only if stretched, so each peak may be STRETCH of its length (and a
    pixel) away from its place. None if no period fits into half the picture, or if the swatch has no peaks there.
    """
    (y1, x1), (y2, x2) = lattice.periods()
    reach = [min(a, b) / 2 for a, b in zip(sample.shape[2:], swatch.shape[2:], strict=True)]
    lags = [(y1, x1), (y2, x2), (y1 + y2, x1 + x2), (y1 - y2, x1 - x2)]
    lags = [lag for lag in lags if abs(lag[0]) < reach[0] and abs(lag[1]) < reach[1]]
    got, wanted = _autocorrelation(_detail(sample)), _autocorrelation(_detail(swatch))
    own = sum(_peak_near(wanted, lag) for lag in lags)
    return sum(_peak_near(got, lag) for lag in lags) / own if lags and own > 0.05 * len(lags) else None


def _peak_near(correlation: Tensor, lag: tuple[float, float]) -> float:
    radius = 1 + round(STRETCH * math.hypot(*lag))
    y, x = round(lag[0]), round(lag[1])
    rows = torch.arange(y - radius, y + radius + 1) % correlation.shape[0]
    columns = torch.arange(x - radius, x + radius + 1) % correlation.shape[1]
    return max(float(correlation[rows][:, columns].max()), 0.0)


def _detail(image: Tensor, light_px: int = 33) -> Tensor:
    """The image without variation softer than `light_px`: uneven light is not a lattice."""
    return image - F.avg_pool2d(image, light_px, 1, light_px // 2, count_include_pad=False)


def _autocorrelation(image: Tensor) -> Tensor:
    """Linear, per overlapping pixel, 1 at lag 0: (2 H, 2 W), negative lags wrapped. Wiener-Khinchin, zero padded."""
    height, width = image.shape[2:]
    spectrum = torch.fft.rfft2(image - image.mean((2, 3), keepdim=True), s=(2 * height, 2 * width))
    total = torch.fft.irfft2(spectrum.abs().square().sum((0, 1)), s=(2 * height, 2 * width))
    rows, columns = (
        (side - torch.arange(2 * side).sub(side).abs().sub(side).abs()).clamp_min(1) for side in (height, width)
    )
    result: Tensor = total / (rows[:, None] * columns[None, :])
    return result / result[0, 0].clamp_min(1e-12)


# ----------------------------------------------------------------------------------------------- diversity and repeats


def diversity(samples: Tensor, swatch: Tensor, lattice: Lattice | None, seed: int = 0) -> float | None:
    """How different the seeds are, as a share of how different pieces of the swatch are. 1: unrelated, 0: one picture.

    For the samples: the mean squared difference of two seeds at the same place (twice the variance over the seeds),
    over that of unrelated places (twice the variance over seeds and places). For the swatch: the same between itself
    and itself shifted. Seeds share their lattice by design, so a swatch with a lattice is shifted by whole periods,
    others at random by a quarter to half a side. Measured in cells of COARSE_PX, so that other grain on the same shapes
    does not count. None with fewer than two seeds.
    """
    if len(samples) < 2:
        return None
    cells = F.avg_pool2d(samples, COARSE_PX)
    got = cells.var(0).mean() / _variance(cells)
    return float(got / _difference_of_pieces(swatch, lattice, seed))


def _difference_of_pieces(swatch: Tensor, lattice: Lattice | None, seed: int, count: int = 16) -> float:
    height, width = swatch.shape[2:]
    random = torch.Generator().manual_seed(seed)
    total = 0.0
    for y, x in _shifts(height, width, lattice, random, count):
        first = swatch[..., max(y, 0) : height + min(y, 0), x:]
        second = swatch[..., max(-y, 0) : height - max(y, 0), : width - x]
        difference = F.avg_pool2d(first, COARSE_PX) - F.avg_pool2d(second, COARSE_PX)
        total += float(difference.square().mean() / 2)
    return max(total / count / float(_variance(F.avg_pool2d(swatch, COARSE_PX))), 1e-6)


def _shifts(
    height: int, width: int, lattice: Lattice | None, random: torch.Generator, count: int
) -> list[tuple[int, int]]:
    """Shifts (y, x), x >= 0, of at most half a side."""
    if lattice:
        (y1, x1), (y2, x2) = lattice.periods()
        most = 1 + int(max(height, width) / min(math.hypot(y1, x1), math.hypot(y2, x2)))
        steps = [(i, j) for i in range(-most, most + 1) for j in range(-most, most + 1) if (i, j) != (0, 0)]
        lags = [(round(i * y1 + j * y2), round(i * x1 + j * x2)) for i, j in steps]
        lags = [(y, x) for y, x in lags if abs(y) <= height / 2 and 0 <= x <= width / 2]
        if lags:
            return [lags[int(torch.randint(len(lags), (1,), generator=random))] for _ in range(count)]
    turns = torch.rand(count, generator=random) * math.pi
    lengths = 0.25 + 0.25 * torch.rand(count, generator=random)
    pairs = zip(turns.tolist(), lengths.tolist(), strict=True)
    return [(round(height * r * math.cos(t)), round(width * r * math.sin(t))) for t, r in pairs]


def _variance(cells: Tensor) -> Tensor:
    return (cells - cells.mean((0, 2, 3), keepdim=True)).square().mean().clamp_min(1e-8)


def repeats(sample: Tensor, swatch: Tensor) -> float:
    """How much more a large sample repeats itself than the swatch does. 0: no more, 1: the same piece again.

    The highest autocorrelation, in cells of COARSE_PX, of the sample minus that of the swatch, at lags from an eighth
    of the swatch's side to half the picture. A sample more regular than the swatch is also above 0.
    """
    least = min(swatch.shape[2:]) // (8 * COARSE_PX)
    cells = F.avg_pool2d(sample, COARSE_PX)
    spectrum = torch.fft.rfft2(cells - cells.mean((2, 3), keepdim=True)).abs().square().sum((0, 1))
    circular = torch.fft.irfft2(spectrum, s=cells.shape[2:])
    own = _autocorrelation(F.avg_pool2d(swatch, COARSE_PX))
    return max(_highest(circular / circular[0, 0].clamp_min(1e-12), least, 2) - _highest(own, least, 4), 0.0)


def _highest(correlation: Tensor, least: int, parts: int) -> float:
    y, x = (torch.minimum(torch.arange(n), n - torch.arange(n)) for n in correlation.shape)
    far = (y[:, None] >= least) | (x[None, :] >= least)
    near = (y[:, None] <= correlation.shape[0] // parts) & (x[None, :] <= correlation.shape[1] // parts)
    return float(correlation[far & near].max())


# ------------------------------------------------------------------------------------------------------------- copying


def copying(sample: Tensor, swatch: Tensor, seed: int = 0) -> float | None:
    """Share of the sample's pieces that are copies from the swatch: 1 for a tiled swatch, about 0 for another texture.

    A piece has COPY_PX a side. It is compared at half size by its COMPONENTS principal components over the swatch. Take
    the nearest piece of the swatch, and that one's own nearest piece that does not overlap it. The sample's piece is a
    copy if the first distance is less than COPY_NEARER of the second. So the measure adapts from place to place: flat
    and regular parts are alike in the swatch too. COPY_NEARER is below 0.7 because a blurred piece, a mean of many, is
    nearer to each of them by a root of two than they are to each other, and is no copy. None for swatches that are too
    small.
    """
    if min(swatch.shape[2:]) < 3 * COPY_PX:
        return None
    random = torch.Generator().manual_seed(seed)
    halved = F.avg_pool2d(swatch, 2, 1)  # all four phases: a copy lies at any pixel
    corners = [_random_corners(image, COPY_PIECES * many, random) for image, many in ((swatch, 8), (sample, 1))]
    examples = _pieces(halved, corners[0])
    mean = examples.mean(0)
    basis = torch.linalg.eigh((examples - mean).T @ (examples - mean)).eigenvectors[:, -COMPONENTS:]
    kernels = basis.T.unflatten(1, (3, COPY_PX // 2, COPY_PX // 2))
    responses = F.conv2d(halved, kernels, dilation=2)
    width = responses.shape[3]
    bank = responses[0].flatten(1).T - mean @ basis
    wanted = (_pieces(F.avg_pool2d(sample, 2, 1), corners[1]) - mean) @ basis
    copies = 0
    for part in wanted.split(32):
        distance, place = torch.cdist(part, bank).min(1)
        between = torch.cdist(bank[place], bank)
        y, x = (torch.arange(len(bank)) // width)[None], (torch.arange(len(bank)) % width)[None]
        overlap = ((y - place[:, None] // width).abs() < COPY_PX) & ((x - place[:, None] % width).abs() < COPY_PX)
        copies += int((distance < COPY_NEARER * between.masked_fill_(overlap, torch.inf).min(1).values).sum())
    return copies / len(wanted)


def _random_corners(image: Tensor, count: int, random: torch.Generator) -> Tensor:
    """(count, 2) top left corners of pieces that lie inside the image."""
    most = torch.tensor(image.shape[2:]) - COPY_PX + 1
    return (torch.rand(count, 2, generator=random) * most).long()


def _pieces(halved: Tensor, corners: Tensor) -> Tensor:
    """(count, 3 * (COPY_PX / 2)^2), every other cell of an image that was halved at stride 1."""
    tops, lefts = corners.T.tolist()
    cut = [halved[0, :, y : y + COPY_PX : 2, x : x + COPY_PX : 2] for y, x in zip(tops, lefts, strict=True)]
    return torch.stack(cut).flatten(1)


# ---------------------------------------------------------------------------------------------------------------- grid


def grid(samples: Tensor, swatch: Tensor, lattice: Lattice | None = None) -> float:
    """The strongest mark of the pixel grid, relative to the swatch's own power there. 1: none beyond the swatch's.

    A generator of halving levels may leave lines, dots or a change of sharpness every 2, 4, 8 or 16 pixels. Each gives
    a line in a power spectrum along an axis. Lines and dots show in the spectrum of the pixels. A mark whose sign
    changes from place to place shows only in the spectrum of its strength: of the steps from pixel to pixel, which are
    larger between cells than inside, or of the bends at a pixel, which are larger where it is sharp. Strength is
    averaged over strips, since it is the same along a column. A period that the samples' `lattice` has too, as 16 rows
    of tiles in 512 pixels, is left out.
    """
    wanted = grid_marks(swatch[..., : swatch.shape[2] // 16 * 16, : swatch.shape[3] // 16 * 16])
    return max(a / max(b, 1.0) for a, b in zip(grid_marks(samples, lattice), wanted, strict=True))


def grid_marks(images: Tensor, lattice: Lattice | None = None) -> list[float]:
    """Power at the frequency of each of GRID_PERIODS_PX over the median of the frequencies around it, along x, then y.

    Measured over the whole width, which separates a mark from the lines of any lattice. A line stands out more over a
    longer width, so the result is scaled to what GRID_VIEW_PX would show. The levels of a texture of width W have
    round(W / period) cells. 1 where a wave of the `lattice` is as long as a cell.
    """
    marks = []
    for axis, turned in ((1, images), (0, images.transpose(2, 3))):
        width = turned.shape[3]
        waves = _lattice_frequencies(lattice, Size(*images.shape[2:]), axis) if lattice else frozenset()
        padded = F.pad(turned, (1, 1, 0, 0), mode="replicate")
        steps = padded[..., 1:-1] - padded[..., :-2]
        bends = steps - (padded[..., 2:] - padded[..., 1:-1])
        for lines in (turned.flatten(0, 2), _strips(steps), _strips(bends)):
            power = torch.fft.fft((lines - lines.mean(1, keepdim=True)) * torch.hann_window(width))
            power = power.abs().square().mean(0)
            cells = [round(width / period) for period in GRID_PERIODS_PX]
            marks += [1.0 if each in waves else _line(power, each) for each in cells]
    return marks


def coarse_grid(samples: Tensor, lattice: Lattice | None = None) -> float | None:
    """How much shapes keep to the generator's coarsest cells, of 32 and 64 pixels, over chance. 1: not at all.

    A generator may put its joints or dark spots at the same place in many cells. All seeds have such a mark in common,
    so it is measured as the mean product of the Fourier coefficients of two seeds, at the harmonics of the cells: of
    rows, of columns and of both. No frequency is counted for two periods. Chance is the power that one seed has at the
    same frequency beyond what it shares, or at neighbouring periods if that is more. So a rhythm of the material adds
    nothing: it starts at another place in every seed, unless it follows a lattice. Waves of the samples' `lattice` are
    left out, since a mark cannot be told from them.

    Measured for colours and for contrast; the larger figure counts. A mark grows with the area, so larger samples are
    brought to COARSE_GRID_VIEW_PX^2 pixels. A single sample is cut into quarters, which take the place of seeds; then
    any rhythm of just this period counts as a mark. None where the samples hold too few cells.

    Clean samples reach 1.5 (three seeds of 512 pixels a side), and 2.7 where all shapes run one way; more seeds are
    surer. A quilt has no such cells, but its joints lie near a grid of patches, whose harmonics may be among these.
    """
    whole = Size(*samples.shape[2:])
    parts = 2 if len(samples) == 1 else 1  # along each side
    size = Size(whole.height // parts, whole.width // parts)
    view = min(COARSE_GRID_VIEW_PX**2 / (size.height * size.width), 1.0)
    waves = _waves(lattice, whole, parts) if lattice else frozenset()
    marks = []
    for whole_values in (samples, _contrast(samples)):
        values = _quarters(whole_values) if parts == 2 else whole_values
        spectrum = torch.fft.fft2(values - values.mean((2, 3), keepdim=True))
        least = LEAST_CONTRAST**2 * size.height * size.width
        for period in COARSE_GRID_PERIODS_PX:
            cells = round(whole.height / period) // parts, round(whole.width / period) // parts
            for group in _COARSE_HARMONICS:
                if any(count < COARSE_GRID_CELLS for count, many in zip(cells, group[0], strict=True) if many):
                    continue
                places = [(down * cells[0], across * cells[1]) for down, across in group]
                places = [place for place in places if place not in waves]
                if places:
                    found = [_in_common(spectrum, place, cells, least) for place in places]
                    marks.append(1 + view * sum(found) / len(found))
    return max(marks) if marks else None


# Harmonics of a cell, (down, across), that no finer cell has: of rows, of columns, of both.
_COARSE_HARMONICS = (
    ((1, 0), (3, 0)),
    ((0, 1), (0, 3)),
    tuple((y, x) for y in (1, 2, 3) for x in (-3, -2, -1, 1, 2, 3) if y % 2 or x % 2),
)


def _in_common(spectrum: Tensor, place: tuple[int, int], cells: tuple[int, int], least: float) -> float:
    """What the samples have in common at a frequency, over chance; zero mean where that is nothing."""
    count, _, height, width = spectrum.shape
    at = spectrum[:, :, place[0] % height, place[1] % width]
    total, own = float(at.sum(0).abs().square().sum()), float(at.abs().square().sum())
    common = (total - own) / (count * (count - 1))
    around = []
    for step in range(-COARSE_GRID_AROUND, COARSE_GRID_AROUND + 1):
        moved = [where + step * bool(where) for where in place]
        if all(2 * abs(step) < many for many, where in zip(cells, place, strict=True) if where) and step:
            around.append(spectrum[:, :, moved[0] % height, moved[1] % width].abs().square().sum(1).mean())
    return common / max(own / count - common, float(torch.stack(around).median()), least)


def _contrast(images: Tensor) -> Tensor:
    """How much a torus changes at each pixel, down and across: (B, 1, H, W)."""
    steps = [(images.roll(1, axis) - images.roll(-1, axis)).abs().mean(1, keepdim=True) for axis in (2, 3)]
    return steps[0] + steps[1]


def _quarters(sample: Tensor) -> Tensor:
    """(1, C, H, W) to (4, C, H / 2, W / 2), rounded down."""
    height, width = (side // 2 for side in sample.shape[2:])
    return torch.cat(
        [
            sample[..., top : top + height, left : left + width]
            for top in (0, sample.shape[2] - height)
            for left in (0, sample.shape[3] - width)
        ]
    )


def _waves(lattice: Lattice, size: Size, parts: int) -> frozenset[tuple[int, int]]:
    """The waves of a lattice and their sums, in cycles down and across one of `parts` along each side."""
    (y1, x1), (y2, x2) = lattice.cycles(size)
    several = range(-GRID_HARMONICS, GRID_HARMONICS + 1)
    found = {(m * y1 + n * y2, m * x1 + n * x2) for m in several for n in several}
    return frozenset((round(y / parts), round(x / parts)) for y, x in found)


def _lattice_frequencies(lattice: Lattice, size: Size, axis: int) -> frozenset[int]:
    """Frequencies along one axis, in cycles: of the lattice's waves, and of all waves that run along this axis."""
    (y1, x1), (y2, x2) = lattice.cycles(size)
    along, across = ((x1, x2), (y1, y2)) if axis else ((y1, y2), (x1, x2))
    several = range(-GRID_HARMONICS, GRID_HARMONICS + 1)
    straight = {(m, n) for m in several for n in several if m * across[0] + n * across[1] == 0}
    return frozenset(abs(m * along[0] + n * along[1]) for m, n in straight | set(lattice.harmonics))


def _strips(values: Tensor) -> Tensor:
    """Mean absolute values of strips GRID_VIEW_PX high, (strips, width)."""
    height = min(GRID_VIEW_PX, values.shape[2])
    return values.abs().mean(1).unfold(1, height, height).mean(3).flatten(0, 1)


def _line(power: Tensor, at: int) -> float:
    length = len(power)
    around = power[[(at + step) % length for step in range(-10, 11) if abs(step) > 2]].median().clamp_min(1e-12)
    if power[at] < max(power[(at - 1) % length], power[(at + 1) % length]):
        return 1.0  # the flank of another line, as of a lattice
    return 1 + (float(power[at] / around) - 1) * GRID_VIEW_PX / length
