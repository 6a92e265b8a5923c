"""From a swatch to a quilt: the weights of features and appearances, sizes, prices."""

import dataclasses
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from blender_addon.pictures.plan_size import plan_factor
from server.model.lattice import Lattice
from server.model.maps import HEIGHT_NAME, NORMAL_NAME, Map
from server.model.quilt import APPEARANCE, CELLS, MAX_FEATURES, REACH, QuiltArchitecture
from server.model.torus import Size
from server.quilt.plan import Prices
from server.quilt.quilt import Quilt, eight_bits, reduced
from server.quilt.tables import Weights, cell_means, extended, make_features
from trainer.quilt.phases import with_phases

SPREAD = 40  # of the strongest feature, in steps of int8
SAMPLES = 40_000
ROUNDS = 8  # of learning prices
PATCHES = 16  # a side of the textures that are planned for it
SIGMA = 1.5  # cells, of the Gaussian that weighs an appearance's neighbours


def choose_sizes(height: int, width: int, wraps: tuple[bool, bool] = (False, False)) -> QuiltArchitecture:
    """Sizes for a swatch of these sides; it is cropped to multiples of the factor."""
    factor = plan_factor(height, width)
    side = min(height, width) // factor
    cell = max(each for each in CELLS if each == CELLS[0] or 44 * each <= side)
    overlap = max(1, min(4, round(side / 12 / cell))) * cell
    pitch = max(4 * overlap, round(side / 3.2 / cell) * cell if side < 512 else 0)
    while pitch * 3 // 2 + 2 * overlap + 8 * cell > side and pitch > 2 * overlap + cell:
        pitch -= cell
    return QuiltArchitecture(
        height=height // factor * factor,
        width=width // factor * factor,
        factor=factor,
        cell=cell,
        pitch=pitch,
        overlap=overlap,
        wraps=wraps,
        features=1,
        most=127,
        variance=1,
    )


def learn_weights(
    plan: Tensor, maps: tuple[Map, ...], settings: QuiltArchitecture, seed: int = 0
) -> tuple[Weights, QuiltArchitecture]:
    """Weights for a swatch, (channels of all maps, H, W) uint8, and the variance of its coarse appearance."""
    pixels = plan.flatten(1).double()
    importance = torch.cat(
        [
            _importance(each, part)
            for each, part in zip(maps, torch.split(pixels, [m.channels for m in maps]), strict=True)
        ]
    )
    chosen = importance > 0
    scaled = (pixels - pixels.mean(1, keepdim=True)) * importance[:, None]
    values, vectors = torch.linalg.eigh(torch.cov(scaled[chosen]))
    keep = min(MAX_FEATURES - 1, int(chosen.sum()))
    basis = torch.zeros(keep, len(importance), dtype=torch.float64)
    basis[:, chosen] = signed(vectors.flip(1)[:, :keep].T)
    scale = SPREAD / values.max().sqrt().clamp(min=1e-9)
    mix = (basis * importance[None] * scale * 128).round().clamp(-4095, 4095)
    means = (mix @ pixels.mean(1) / 128).round()
    weights = Weights(
        features=mix.to(torch.int16),
        feature_means=means.to(torch.int16),
        coarse=torch.zeros(0),
        fine=torch.zeros(0),
        means=torch.zeros(0),
        shifts=torch.zeros(0),
    )
    features = make_features(plan, weights)
    cells = -(-settings.pitch * 3 // 2 // settings.cell) + 2 * (settings.overlap // settings.cell)
    inner = max(0, settings.pitch // 2 // settings.cell - 2 * (settings.overlap // settings.cell))
    most = int((2**24 / (APPEARANCE * (cells**2 - inner**2))) ** 0.5)
    coarse, coarse_means, coarse_shift, table = _appearance(features, settings, settings.cell, min(most, 127), seed)
    fine, fine_means, fine_shift, _ = _appearance(features, settings, max(1, settings.cell // 4), 127, seed)
    learned = Weights(
        features=weights.features,
        feature_means=weights.feature_means,
        coarse=coarse,
        fine=fine,
        means=torch.stack([coarse_means, fine_means]),
        shifts=torch.tensor([coarse_shift, fine_shift], dtype=torch.int16),
    )
    variance = max(1, int(2 * table.clamp(-most, most).var(1).sum()))
    return learned, dataclasses.replace(settings, features=len(mix), most=min(most, 127), variance=min(variance, 2**20))


def _importance(each: Map, pixels: Tensor) -> Tensor:
    """What a step of 1/255 of each channel counts: one over the map's spread, times how much the map says."""
    spread = pixels.var(1).mean().sqrt()
    share = {NORMAL_NAME: 0.7, HEIGHT_NAME: 0.8}.get(each.name, 1.0 if each.channels == 3 else 0.4)
    value = torch.full((each.channels,), share / max(float(spread), 1.0), dtype=torch.float64)
    if each.name == NORMAL_NAME:
        value[2] = 0
    return value


def _appearance(
    features: Tensor, settings: QuiltArchitecture, cell: int, most: int, seed: int
) -> tuple[Tensor, Tensor, int, Tensor]:
    """Kernel (8, F, 5, 5) int8, means (8,) int16, shift, and a sample of the values, (8, samples) float64."""
    margin = REACH * cell
    rows = extended(features.shape[1], margin, settings.wraps[0], features.device)
    columns = extended(features.shape[2], margin, settings.wraps[1], features.device)
    cells = cell_means(features[:, rows][:, :, columns], cell).double()
    count, side = len(cells), 2 * REACH + 1
    generator = torch.Generator().manual_seed(seed)
    height, width = (extent - 2 * margin for extent in cells.shape[1:])
    y = torch.randint(height, (SAMPLES,), generator=generator)
    x = torch.randint(width, (SAMPLES,), generator=generator)
    neighbours = torch.stack(
        [cells[:, y + i * cell, x + j * cell] for i in range(side) for j in range(side)], 1
    )  # (F, 25, samples)
    line = torch.arange(side) - REACH
    gauss = torch.exp(-(line[:, None] ** 2 + line[None] ** 2) / (4 * SIGMA**2)).double().flatten()
    flat = (neighbours * gauss[None, :, None]).reshape(count * side**2, -1)
    mean = flat.mean(1, keepdim=True)
    _, vectors = torch.linalg.eigh(torch.cov(flat))
    keep = min(APPEARANCE, len(flat))
    basis = signed(vectors.flip(1)[:, :keep].T)
    values = basis @ (flat - mean)
    largest = max(float(values.abs().flatten().kthvalue(int(0.999 * values.numel())).values), 1.0)  # 0 of one colour
    kernel = (basis.view(keep, count, side**2) * gauss).view(keep, count, side, side)
    # Scaled so that the largest value is `most` after a shift by whole bits, and the kernel fits into int8.
    room = 127 / float(kernel.abs().max())
    shift = 0
    while most / largest * 2 ** (shift + 1) <= room:
        shift += 1
    whole = (kernel * most / largest * 2**shift).round()
    whole = F.pad(whole, (0, 0, 0, 0, 0, 0, 0, APPEARANCE - keep))
    sums = whole.flatten(1) @ neighbours.reshape(count * side**2, -1) / 2**shift
    means = sums.mean(1).round()
    return whole.to(torch.int8), means.to(torch.int16), shift, sums - means[:, None]


def signed(vectors: Tensor) -> Tensor:
    """Rows whose largest number is positive: an eigenvector's sign is arbitrary."""
    largest = vectors.gather(1, vectors.abs().argmax(1, keepdim=True))
    return vectors * largest.sign()


def unpriced(
    pixels: list[Tensor],
    maps: tuple[Map, ...],
    wraps: tuple[bool, bool],
    lattice: Lattice | None,
    *,
    in_step: bool = True,
) -> Quilt:
    """A quilt of these maps in which all places cost the same. Maps are (channels, height, width), uint8 or uint16.

    `in_step`: whether courses are looked for that are too weak for a lattice, and kept in step, if there is no lattice.
    """
    settings = choose_sizes(pixels[0].shape[1], pixels[0].shape[2], wraps)
    if lattice:
        settings = _around_a_brick(settings, lattice)
    pixels = [each[:, : settings.height, : settings.width].contiguous() for each in pixels]
    plan = reduced(pixels, settings.factor) if settings.factor > 1 else None
    planned = eight_bits(plan or pixels)
    weights, settings = learn_weights(planned, maps, settings)
    phases = None
    if lattice is None and in_step:
        settings, phases = with_phases(settings, make_features(planned, weights))
    settings = dataclasses.replace(
        settings, deep=tuple(m.name for m, each in zip(maps, pixels, strict=True) if each.dtype == torch.uint16)
    )
    ones = torch.ones(settings.places, dtype=torch.int16)
    return Quilt(settings, maps, pixels, weights, Prices(table=0 * ones, chances=ones), plan, lattice, phases)


def _around_a_brick(settings: QuiltArchitecture, lattice: Lattice) -> QuiltArchitecture:
    """Make overlaps as wide as two steps of the lattice, if there is room, so that a cut can go around whole bricks."""
    steps = max(abs(each) for period in lattice.periods() for each in period) / settings.factor
    overlap = -(-int(steps + 1) // settings.cell) * settings.cell
    room = (min(settings.plan) - settings.pitch * 3 // 2) // 2 // settings.cell * settings.cell
    overlap = min(overlap, settings.pitch // 2 // settings.cell * settings.cell, 16 * settings.cell, room)
    return dataclasses.replace(settings, overlap=max(settings.overlap, overlap))


def learn_prices(quilt: Quilt, rounds: int = ROUNDS, rate: float = 0.25, seed: int = 1000) -> Iterator[int]:
    """Plan sample textures, count how often each part of the swatch is shown, and raise the prices of the frequent.

    Changes the quilt's prices; yields the rounds done.
    """
    settings = quilt.settings
    side = PATCHES * settings.pitch * settings.factor
    price = torch.zeros(settings.places, dtype=torch.float64)
    counts = torch.zeros(settings.plan, dtype=torch.float64)
    for turn in range(rounds):
        plan = quilt.plan(seed + turn, Size(side, side))
        places = plan.places(range(PATCHES), range(PATCHES)).flatten(0, 1) // settings.factor + settings.overlap
        counts = counts / 2 + shown_cores(places, settings)
        rows, columns = (torch.tensor(part) for part in plan.searched())
        price += rate * (core_means(counts / counts.mean(), settings, rows, columns) - 1)
        price -= price.mean()
        whole = (price * 256).round().clamp(-1024, 4096)
        chances = (1024 * torch.exp(-4 * price.clamp(-0.6, 2.5))).round().clamp(1, 2**14)
        quilt.prices = Prices(table=whole.to(torch.int16), chances=chances.to(torch.int16))
        quilt.forget()
        yield turn + 1


def shown_cores(places: Tensor, settings: QuiltArchitecture) -> Tensor:
    """How often each plan pixel lies in the own part of a patch: (height, width) float64. `places`: of own parts."""
    height, width = settings.plan
    pitch = settings.pitch
    marks = torch.zeros(height + 2 * pitch + 1, width + 2 * pitch + 1, dtype=torch.float64)
    one = torch.ones(len(places), dtype=torch.float64)
    low = [0 if wraps else pitch // 2 for wraps in settings.wraps]
    y, x = places[:, 0] + low[0], places[:, 1] + low[1]
    for down, across, sign in ((0, 0, 1), (pitch, 0, -1), (0, pitch, -1), (pitch, pitch, 1)):
        marks.index_put_((y + down, x + across), sign * one, accumulate=True)
    counts = marks.cumsum(0).cumsum(1)
    for axis, side in enumerate((height, width)):
        line = counts.narrow(axis, low[axis], side)
        if settings.wraps[axis]:
            line = line.clone()
            line.narrow(axis, 0, pitch + 1).add_(counts.narrow(axis, side, pitch + 1))
        counts = line
    return counts


def core_means(shares: Tensor, settings: QuiltArchitecture, rows: Tensor, columns: Tensor) -> Tensor:
    """Mean share of the pixels in the own part of a patch at each place, those outside the swatch left out."""
    pitch, overlap = settings.pitch, settings.overlap
    height, width = settings.plan
    sums = F.pad(shares, (1, 0, 1, 0)).cumsum(0).cumsum(1)
    if any(settings.wraps):
        more = [pitch if wraps else 0 for wraps in settings.wraps]
        wide = shares[torch.arange(height + more[0]) % height][:, torch.arange(width + more[1]) % width]
        sums = F.pad(wide, (1, 0, 1, 0)).cumsum(0).cumsum(1)
    ends = []
    for axis, line in ((0, rows), (1, columns)):
        start = line + overlap
        if settings.wraps[axis]:
            start = start % settings.plan[axis]
            ends.append((start, start + pitch))
        else:
            side = settings.plan[axis]
            ends.append((start.clamp(0, side), (start + pitch).clamp(0, side)))
    (top, bottom), (left, right) = ends
    total = sums[bottom][:, right] - sums[top][:, right] - sums[bottom][:, left] + sums[top][:, left]
    area = (bottom - top)[:, None] * (right - left)[None]
    return total / area.clamp(min=1)
