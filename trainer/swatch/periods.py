"""The periods of a regular swatch: the two vectors that carry its pattern onto itself, if there are any.

How it works. The autocorrelation of the swatch (Wiener-Khinchin, zero padded, divided by the overlap) is high at every
lag of its lattice. Its mean over all lags of a lattice except zero is the share of each cell's variance that the other
cells predict: leave-one-out cross-validation of the mean cell, so chance agreement counts as nothing. That share,
`_explained`, rates every candidate. Candidates are pairs of peaks. A few Newton steps over lags farther and farther
away make them so precise that phases stay right across the whole swatch. Among those that explain about as much as the
best, the smallest cell wins: the colours of single bricks must not turn one period into two.

Shapes: pixels (1, 3, H, W) float32 RGB in [0, 1]. Vectors are (y, x), y down, in pixels or in cycles per pixel.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from server.errors import TexserverError
from server.model.lattice import Lattice, Vector

Floats = NDArray[np.float64]

WEAKEST = 0.12  # a lattice explains at least this share of the swatch's detail
FLATTEST = 0.08  # and at least this share of what it explains is not just stripes
SURE = 0.2  # a lattice that explains less must be even: cells far apart must be alike nearly as much as neighbours
EVEN = 0.75  # by this share of it; a wall of uneven bricks is less even than that
FEWEST_REPEATS = 3.0  # of each period across the swatch
SHORTEST_PX = 5.0  # shorter periods come from paper or sensor and need no wave: the Gram loss sees them
LIGHT_PX = 32.0  # softer variation is light, not pattern
STRAIGHT_CYCLES = 0.15  # a smaller drift over the whole swatch counts as none
FARTHEST_MOVE_PX = 2.5  # between a peak and the period refined from it
FINEST_CYCLES_PX = 0.25
MOST_HARMONICS = 8
MOST_ON_A_LINE = 3  # thin joints between rows have many strong harmonics; upright joints must get waves too
BLOCKS = 4  # per axis: only products of different blocks count as a wave's energy


class UnusableLattice(TexserverError):
    """Periods that cannot be used; the text says what is wrong and what to give instead."""


def find_lattice(pixels: Tensor) -> Lattice | None:
    """The lattice of a swatch, or None if it does not repeat in two directions all over."""
    detail = detail_of(pixels)
    correlation = Autocorrelation(detail)
    periods = _best_periods(correlation)
    if periods is None:
        return None
    lattice, off_line = _measured(detail, correlation, periods)
    if lattice.strength < WEAKEST or off_line < FLATTEST:
        return None
    return lattice if lattice.strength >= SURE or _is_even(correlation, periods) else None


def lattice_from_periods(pixels: Tensor, first: Vector, second: Vector) -> Lattice:
    """The lattice of two periods given by hand, in pixels of this swatch. They are used as given.

    Raises UnusableLattice if they are parallel, too short for a wave, or longer than the swatch.
    """
    periods = np.array([first, second], dtype=np.float64)
    if not np.isfinite(periods).all() or abs(np.linalg.det(periods)) < 1:
        raise UnusableLattice(f"The periods {_words(first)} and {_words(second)} are parallel. Give two directions.")
    periods = _reduced(periods)
    lengths = np.linalg.norm(periods, axis=1)
    if lengths[0] < SHORTEST_PX:
        raise UnusableLattice(
            f"A period of {lengths[0]:.1f} px is too short. Give periods of at least {SHORTEST_PX:g} px."
        )
    if lengths[1] > min(pixels.shape[2:]):
        raise UnusableLattice(
            f"A period of {lengths[1]:.0f} px is longer than the swatch, so it never repeats. Give a shorter one."
        )
    detail = detail_of(pixels)
    return _measured(detail, Autocorrelation(detail), periods)[0]


def parse_lattice(text: str) -> tuple[Vector, Vector] | Literal["auto"] | None:
    """`auto`, `none`, or two periods in pixels as `y1,x1;y2,x2`, for example `27,38;0,76`. Raises UnusableLattice."""
    word = text.strip().lower()
    if word == "auto":
        return "auto"
    if word == "none":
        return None
    try:
        (y1, x1), (y2, x2) = ([float(number) for number in vector.split(",")] for vector in word.split(";"))
        if not all(map(math.isfinite, (y1, x1, y2, x2))):
            raise ValueError
    except ValueError:
        raise UnusableLattice(
            f"{text!r} is not a lattice. Write auto, none, or two periods in pixels as y1,x1;y2,x2, such as 27,38;0,76."
        ) from None
    return (y1, x1), (y2, x2)


def mean_cell(pixels: Tensor, lattice: Lattice, bins: int = 24) -> Tensor:
    """The average of all cells, (1, 3, bins, bins): row and column are the phases of the first and the second wave.

    An empty bin (in cells of fewer pixels than bins) gets the mean of its neighbours.
    """
    first, second = _phases(lattice, pixels.shape[2], pixels.shape[3])
    bin_of = (first * bins).long().clamp(max=bins - 1) * bins + (second * bins).long().clamp(max=bins - 1)
    colours = torch.cat([pixels[0].float(), torch.ones_like(pixels[0, :1]).float()]).flatten(1)
    sums = torch.zeros(4, bins * bins).index_add_(1, bin_of.flatten(), colours).view(1, 4, bins, bins)
    cell = sums[:, :3] / sums[:, 3:].clamp(min=1)
    known = sums[:, 3:] > 0
    while not known.all():
        spread = F.avg_pool2d(F.pad(torch.cat([cell * known, known.float()], 1), (1, 1, 1, 1), mode="circular"), 3, 1)
        cell = torch.where(known, cell, spread[:, :3] / spread[:, 3:].clamp(min=1e-6))
        known = known | (spread[:, 3:] > 0)
    return cell


def lattice_picture(pixels: Tensor, lattice: Lattice) -> NDArray[np.uint8]:
    """A picture for people, (H, 2 * W + 8, 3) uint8 RGB: the swatch with its cells drawn over it, and the mean cell.

    The right half repeats the mean cell on the same lattice, enlarged so that about three of the longer periods fit.
    """
    height, width = pixels.shape[2:]
    drawn = with_lines(pixels, lattice, lattice.basis)
    longest = max(math.hypot(*period) for period in lattice.periods())
    zoom = max(1.0, min(height, width) / (3 * longest))
    cell = F.pad(mean_cell(pixels, lattice), (1, 1, 1, 1), mode="circular")
    bins = cell.shape[2] - 2
    first, second = (2 * (phase * bins + 1) / (bins + 2) - 1 for phase in _phases(lattice, height, width, zoom))
    ideal = F.grid_sample(cell, torch.stack([second, first], -1)[None], mode="bilinear", align_corners=False)[0]
    return as_bytes(torch.cat([drawn, torch.ones(3, height, 8), ideal], 2))


def with_lines(pixels: Tensor, lattice: Lattice, waves: Sequence[Vector]) -> Tensor:
    """The swatch with lines at phase 0 of these waves, which are the first ones of its lattice: (3, H, W)."""
    height, width = pixels.shape[2:]
    lines = torch.zeros(height, width)
    for phase, wave in zip(_phases(lattice, height, width), waves, strict=False):
        away_px = ((phase + 0.5) % 1 - 0.5).abs() / math.hypot(*wave)
        lines = torch.maximum(lines, (1.4 - away_px).clamp(0, 1))
    return pixels[0].float() + 0.8 * lines * (torch.tensor([0.0, 0.9, 1.0])[:, None, None] - pixels[0].float())


def as_bytes(picture: Tensor) -> NDArray[np.uint8]:
    """(3, H, W) float32 in [0, 1] to (H, W, 3) uint8."""
    return np.asarray((picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy())


def _words(vector: Vector) -> str:
    return f"({vector[0]:g}, {vector[1]:g})"


def _phases(lattice: Lattice, height: int, width: int, zoom: float = 1.0) -> tuple[Tensor, Tensor]:
    """Phases of the two basis waves at the middle of each pixel, in cycles in [0, 1), each (height, width) float32."""
    y = (torch.arange(height, dtype=torch.float64)[:, None] + 0.5) / zoom
    x = (torch.arange(width, dtype=torch.float64)[None] + 0.5) / zoom
    first, second = (((fy * y + fx * x) % 1.0).float() for fy, fx in lattice.basis)
    return first, second


def detail_of(pixels: Tensor) -> Tensor:
    """What can follow a lattice, (1, 5, H, W): colours without light and grain, and the steepness of edges in y and x.

    Each of the two groups has variance 1. Edges show joints even between bricks of many colours.
    """
    colour = softened(pixels.float(), 0.8)
    grey = softened(pixels.float().mean(1, keepdim=True), 1.0)[0, 0]
    edges = torch.stack([part.abs() for part in torch.gradient(grey)])
    groups = []
    for group in (colour, edges[None]):
        flat = group - softened(group, LIGHT_PX)
        groups.append(flat / flat.square().mean((0, 2, 3)).sum().sqrt().clamp(min=1e-4))
    return torch.cat(groups, 1)


def softened(image: Tensor, sigma: float) -> Tensor:
    """Gaussian blur, by Fourier transforms. Pixels beyond the edge do not count."""
    reach = math.ceil(3 * sigma)
    bell = torch.exp(-torch.arange(-reach, reach + 1).float().square() / (2 * sigma**2))
    height, width = image.shape[2:]
    padded = height + 2 * reach, width + 2 * reach
    kernel = torch.fft.rfft2(bell[:, None] * bell, s=padded)

    def blurred(planes: Tensor) -> Tensor:
        sums: Tensor = torch.fft.irfft2(torch.fft.rfft2(planes, s=padded) * kernel, s=padded)
        return sums[..., reach : reach + height, reach : reach + width]

    return blurred(image) / blurred(torch.ones_like(image[:, :1]))


class Autocorrelation:
    """Autocorrelation of the detail at every lag, and its smoothed derivatives for Newton steps."""

    def __init__(self, detail: Tensor) -> None:
        self.height, self.width = detail.shape[2:]
        tall, wide = 2 * self.height, 2 * self.width
        power = torch.fft.rfft2(detail[0], s=(tall, wide)).abs().square().sum(0)
        products = torch.fft.fftshift(torch.fft.irfft2(power, s=(tall, wide)))
        lag_y, lag_x = torch.arange(tall) - self.height, torch.arange(wide) - self.width
        overlap = (self.height - lag_y.abs()).clamp(min=1)[:, None] * (self.width - lag_x.abs()).clamp(min=1)[None]
        mean = products / overlap
        self.map = mean / mean[self.height, self.width].clamp(min=1e-3)  # a swatch of one colour has no detail
        self.values = self.map.double().numpy()

    def at(self, lags: Floats) -> Floats:
        """Autocorrelation between the whole lags, (n, 2) to (n,).

        Catmull-Rom cubics: linear interpolation would flatten peaks between pixels and so favour whole periods.
        """
        corner, part = self._whole(lags)
        flat, wide = self.values.ravel(), self.values.shape[1]
        start = (corner[:, 0] - 1) * wide + corner[:, 1] - 1
        down, across = _catmull_rom(part[:, 0]), _catmull_rom(part[:, 1])
        total = np.zeros(len(lags))
        for i, j in np.ndindex(4, 4):
            total += down[i] * across[j] * flat[start + (i * wide + j)]
        return total

    def at_linear(self, maps: Floats, lags: Floats) -> Floats:
        """Another map of the same lags, or several, between the whole lags: (2H, 2W, ...) and (n, 2) to (n, ...)."""
        corner, part = self._whole(lags)
        top, left = corner.T
        y, x = part.T.reshape(2, -1, *[1] * (maps.ndim - 2))
        upper = maps[top, left] * (1 - x) + maps[top, left + 1] * x
        lower = maps[top + 1, left] * (1 - x) + maps[top + 1, left + 1] * x
        return np.asarray(upper * (1 - y) + lower * y)

    def _whole(self, lags: Floats) -> tuple[NDArray[np.int64], Floats]:
        """Index of the whole lag up and left of each lag, and the part of a pixel from there to it."""
        size = np.array([self.height, self.width])
        place = np.clip(lags + size, 1, 2 * size - 3)
        corner = np.floor(place).astype(np.int64)
        return corner, place - corner

    def overlap(self, lags: Floats) -> Floats:
        """Pixels that two copies of the swatch share when shifted by each lag."""
        shared = np.maximum(np.array([self.height, self.width]) - np.abs(lags), 0)
        return np.asarray(shared.prod(1))

    def slopes(self) -> Floats:
        """Per lag: d/dy, d/dx, d2/dydy, d2/dxdx, d2/dydx."""
        dy, dx = np.gradient(self.values)
        dyy, dyx = np.gradient(dy)
        dxx = np.gradient(dx, axis=1)
        return np.stack([dy, dx, dyy, dxx, dyx], -1)


def _catmull_rom(t: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Weights of the whole positions -1, 0, 1, 2 for a position t in [0, 1)."""
    return (
        t * (t * (1 - 0.5 * t) - 0.5),
        1 + t * t * (1.5 * t - 2.5),
        t * (0.5 + t * (2 - 1.5 * t)),
        t * t * (0.5 * t - 0.5),
    )


def _multiples(periods: Floats, reach: tuple[float, float], most: int = 1000) -> NDArray[np.int64]:
    """Whole-number pairs (i, j), one of each +- pair, not (0, 0), whose lag i*v1 + j*v2 is within reach (y, x)."""
    bound = np.abs(np.linalg.inv(periods)).T @ np.array(reach)
    i_most, j_most = (min(int(b), most) for b in bound)
    i, j = np.meshgrid(np.arange(0, i_most + 1), np.arange(-j_most, j_most + 1), indexing="ij")
    pairs = np.stack([i.ravel(), j.ravel()], 1)
    pairs = pairs[(pairs[:, 0] > 0) | (pairs[:, 1] > 0)]
    return pairs[(np.abs(pairs @ periods) <= reach).all(1)]


def _explained(correlation: Autocorrelation, periods: Floats) -> float:
    """Share of the variance that the mean of the other cells predicts. Its expectation is 0 without a lattice."""
    lags = _multiples(periods, (0.9 * correlation.height, 0.9 * correlation.width)) @ periods
    weights = correlation.overlap(lags)
    return float((correlation.at(lags) * weights).sum() / max(weights.sum(), 1.0)) if len(lags) else 0.0


def _is_even(correlation: Autocorrelation, periods: Floats) -> bool:
    """Whether cells up to half the swatch apart are nearly as alike as neighbours, as they are if periods are exact."""
    reach = (correlation.height / 2, correlation.width / 2)
    near, far = (
        float(correlation.at(_multiples(periods, reach, most) @ periods).mean()) for most in (1, correlation.height)
    )
    return far >= EVEN * near


def _dual(vectors: Floats) -> Floats:
    """Waves of periods, and periods of waves."""
    return np.asarray(np.linalg.inv(vectors).T, dtype=np.float64)


def _reduced(vectors: Floats) -> Floats:
    """Lagrange-Gauss reduction: the same lattice from its two shortest vectors."""
    a, b = vectors
    while True:
        if a @ a > b @ b:
            a, b = b, a
        times = round(float(a @ b / (a @ a)))
        if times == 0:
            return np.stack([a, b])
        b = b - times * a


def _peaks(correlation: Autocorrelation, most: int = 28) -> Floats:
    """Lags of local maxima, one of each +- pair: half of them the highest, half of them the shortest that stand out."""
    height, width = correlation.height, correlation.width
    shown = correlation.map
    peak = (F.max_pool2d(shown[None, None], 5, 1, 2)[0, 0] == shown).numpy()
    lag_y, lag_x = np.mgrid[-height:height, -width:width]
    length = np.hypot(lag_y, lag_x)
    near = (np.abs(lag_y) <= height / 2) & (np.abs(lag_x) <= width / 2) & (length >= SHORTEST_PX)
    half = (lag_y < 0) | ((lag_y == 0) & (lag_x < 0))
    rows, columns = np.nonzero(peak & near & half & (correlation.values > 0.03))
    if len(rows) == 0:
        return np.zeros((0, 2))
    heights, lengths = correlation.values[rows, columns], length[rows, columns]
    highest = np.argsort(-heights)[: most // 2]
    standing = np.nonzero(heights > 0.35 * heights.max())[0]
    shortest = standing[np.argsort(lengths[standing])][: most // 2]
    chosen = np.union1d(highest, shortest)
    return np.stack([rows[chosen] - height, columns[chosen] - width], 1).astype(np.float64)


@dataclass(frozen=True, eq=False)
class _Candidate:
    periods: Floats
    explained: float

    @property
    def area(self) -> float:
        return abs(float(np.linalg.det(self.periods)))


def _best_periods(correlation: Autocorrelation) -> Floats | None:
    peaks = _peaks(correlation)
    longest = min(correlation.height, correlation.width) / FEWEST_REPEATS
    tolerant = [F.max_pool2d(correlation.map[None, None], 2 * k + 1, 1, k)[0, 0].double().numpy() for k in (1, 2)]
    coarse: dict[tuple[int, ...], _Candidate] = {}
    for number, first in enumerate(peaks):
        for second in peaks[:number]:
            if abs(first[0] * second[1] - first[1] * second[0]) < SHORTEST_PX**2:
                continue
            periods = _reduced(np.stack([first, second]))
            if np.linalg.norm(periods[0]) < SHORTEST_PX or np.linalg.norm(periods[1]) > longest:
                continue
            upward = periods * np.sign(periods.sum(1, keepdims=True) + 1e-9)
            key = tuple(int(value) for value in np.round(upward).ravel())
            if key in coarse:
                continue
            pairs = _multiples(periods, (correlation.height / 2, correlation.width / 2), most=2)
            order = np.abs(pairs).max(1)  # a peak is known to half a pixel, its double to one
            heights = [correlation.at_linear(tolerant[k - 1], pairs[order == k] @ periods) for k in (1, 2)]
            coarse[key] = _Candidate(periods, float(np.concatenate(heights).mean()))
    slopes = correlation.slopes()
    refined = [_refined(correlation, slopes, candidate.periods) for candidate in _promising(list(coarse.values()))]
    if not refined:
        return None
    best = max(refined, key=lambda c: c.explained)
    for finer in sorted(refined, key=lambda c: c.area):
        if finer.area < 0.8 * best.area and finer.explained >= best.explained * (1 - _tolerance(correlation, best)):
            best = finer
            break
    return _reduced(_primitive(correlation, slopes, best).periods)


def _promising(candidates: list[_Candidate]) -> list[_Candidate]:
    """The candidates that explain most within a few cells, and the smallest of those that explain nearly as much."""
    by_share = sorted(candidates, key=lambda c: -c.explained)
    good = [c for c in by_share if c.explained >= max(0.75 * by_share[0].explained, 0.75 * WEAKEST)]
    small = sorted(good, key=lambda c: c.area)[:8]
    return small + [c for c in good[:6] if c not in small]


def _tolerance(correlation: Autocorrelation, coarser: _Candidate) -> float:
    """How much less a finer lattice may explain: colours of few cells agree by chance more often than those of many."""
    cells = correlation.height * correlation.width / coarser.area
    return 0.025 + 1.0 / cells


def _primitive(correlation: Autocorrelation, slopes: Floats, candidate: _Candidate) -> _Candidate:
    """The smallest cell: divide it by 2, 3, 5 or 7 as long as the result explains as much."""
    v1, v2 = candidate.periods
    for divisor in (2, 3, 5, 7):
        fractions = [(v1 / divisor, v2), *((v1, (v2 + k * v1) / divisor) for k in range(divisor))]
        for fraction in fractions:
            finer = _reduced(np.array(fraction))
            if np.linalg.norm(finer[0]) < SHORTEST_PX:
                continue
            explained = _explained(correlation, finer)
            if explained >= candidate.explained * (1 - _tolerance(correlation, candidate)):
                return _primitive(correlation, slopes, _refined(correlation, slopes, finer))
    return candidate


def _refined(correlation: Autocorrelation, slopes: Floats, periods: Floats) -> _Candidate:
    """Newton steps on the mean autocorrelation over lags 1, 2, 4 ... cells away, at last over the whole swatch."""
    reach = (0.9 * correlation.height, 0.9 * correlation.width)
    start = periods
    most, farthest = 1, int(max(reach) / np.linalg.norm(periods[0])) + 1
    while True:
        pairs = _multiples(periods, reach, most)
        weights = correlation.overlap(pairs @ periods)
        weights = weights / max(weights.sum(), 1e-9)
        for _ in range(4):
            periods, moved = _newton_step(correlation, slopes, periods, pairs, weights)
            if moved < 1e-3:
                break
        if np.abs(periods - start).max() > FARTHEST_MOVE_PX:
            return _Candidate(start, 0.0)  # it slid away along a ridge
        if most >= farthest:
            break
        most *= 2
    return _Candidate(periods, _explained(correlation, periods))


def _newton_step(
    correlation: Autocorrelation, slopes: Floats, periods: Floats, pairs: NDArray[np.int64], weights: Floats
) -> tuple[Floats, float]:
    """One damped step uphill, and its farthest move. Ridges (long straight joints) pull only across themselves."""

    def height(candidate: Floats) -> float:
        return float((correlation.at(pairs @ candidate) * weights).sum())

    dy, dx, dyy, dxx, dyx = correlation.at_linear(slopes, pairs @ periods).T
    curvature, directions = np.linalg.eigh(np.stack([np.stack([dyy, dyx], -1), np.stack([dyx, dxx], -1)], -2))
    bowl = np.einsum("nik,nk,njk->nij", directions, np.maximum(-curvature, 0), directions)
    steps = pairs.astype(np.float64)
    gradient = np.einsum("n,ni,nk->ik", weights, steps, np.stack([dy, dx], -1)).ravel()
    hessian = np.einsum("n,ni,nj,nkl->ikjl", weights, steps, steps, bowl).reshape(4, 4)
    now = height(periods)
    scale = float(np.trace(hessian)) + 1e-12
    for damping in (1e-4, 1e-2, 1.0):
        move = np.linalg.solve(hessian + damping * scale * np.eye(4), gradient).reshape(2, 2)
        largest = float(np.abs(steps @ move).max())
        if largest > 2:
            move, largest = move * (2 / largest), 2.0
        if height(periods + move) > now:
            return periods + move, largest
    return periods, 0.0


def _measured(detail: Tensor, correlation: Autocorrelation, periods: Floats) -> tuple[Lattice, float]:
    """The lattice of these periods, and the share of its energy that is not just stripes."""
    basis = _straightened(_reduced(_dual(periods)), np.array(detail.shape[2:], dtype=np.float64))
    energies = _wave_energies(detail, basis)
    lattice = Lattice(
        basis=(_vector(basis[0]), _vector(basis[1])),
        harmonics=_strongest(energies),
        strength=min(max(_explained(correlation, _dual(basis)), 0.0), 1.0),
    )
    return lattice, _off_line(energies)


def _vector(wave: Floats) -> Vector:
    return float(wave[0]) + 0.0, float(wave[1]) + 0.0  # no -0.0


def _strongest(energies: dict[tuple[int, int], float]) -> tuple[tuple[int, int], ...]:
    """(1, 0), (0, 1), and then the harmonics with the most energy, if they have at least half a percent of it."""
    basis = ((1, 0), (0, 1))
    least = 0.005 * sum(max(energy, 0.0) for energy in energies.values())
    others = [pair for pair, energy in energies.items() if energy > least and pair not in basis]
    chosen: list[tuple[int, int]] = list(basis)
    for pair in sorted(others, key=lambda pair: -energies[pair]):
        if sum(_line(pair) == _line(other) for other in chosen) < MOST_ON_A_LINE and len(chosen) < MOST_HARMONICS:
            chosen.append(pair)
    return tuple(chosen)


def _straightened(basis: Floats, size: Floats) -> Floats:
    """Set drift of less than STRAIGHT_CYCLES over the swatch to exactly 0, so that a straight wall stays straight.

    Sum and difference count too: in a running bond they are the waves along the axes.
    """
    result = basis.copy()
    for axis in (0, 1):
        a, b = basis[:, axis]
        drifts = [abs(a), abs(b), abs(a + b), abs(a - b)]
        which = int(np.argmin(drifts))
        if drifts[which] * size[axis] >= STRAIGHT_CYCLES:
            continue
        mean = (a - b) / 2 if which == 2 else (a + b) / 2
        result[:, axis] = [(0.0, b), (a, 0.0), (mean, -mean), (mean, mean)][which]
    return result


def _wave_energies(detail: Tensor, basis: Floats) -> dict[tuple[int, int], float]:
    """Share of the detail's variance in each harmonic, one of each +- pair.

    Only products of different blocks of the swatch count: a wave has the same phase in all of them, noise does not.
    """
    height, width = detail.shape[2:]
    pairs = [(m, n) for m in range(0, 9) for n in range(-8, 9) if m > 0 or n > 0]
    waves = np.array(pairs) @ basis
    keep = np.hypot(*waves.T) <= FINEST_CYCLES_PX
    pairs = [pair for pair, kept in zip(pairs, keep, strict=True) if kept]
    fy, fx = torch.from_numpy(waves[keep]).T
    turn_y = torch.exp(-2j * math.pi * fy[:, None] * (torch.arange(height) + 0.5)).to(torch.complex64)
    turn_x = torch.exp(-2j * math.pi * fx[:, None] * (torch.arange(width) + 0.5)).to(torch.complex64)
    rows = [slice(k * height // BLOCKS, (k + 1) * height // BLOCKS) for k in range(BLOCKS)]
    columns = [slice(k * width // BLOCKS, (k + 1) * width // BLOCKS) for k in range(BLOCKS)]
    field = detail[0].to(torch.complex64)
    blocks = []
    for across in columns:
        partial = torch.einsum("chw,kw->kch", field[:, :, across], turn_x[:, across])
        blocks += [torch.einsum("kch,kh->kc", partial[:, :, down], turn_y[:, down]) for down in rows]
    sums = torch.stack(blocks)  # (blocks, waves, channels)
    different = sums.sum(0).abs().square() - sums.abs().square().sum(0)
    count = len(blocks) * (len(blocks) - 1) * (height * width / len(blocks)) ** 2
    variance = float(detail.square().mean((0, 2, 3)).sum())
    energy = 2 * different.sum(1) / count / variance
    return dict(zip(pairs, energy.tolist(), strict=True))


def _line(pair: tuple[int, int]) -> tuple[int, int]:
    """The lowest harmonic in the same direction."""
    divisor = math.gcd(*pair)
    return pair[0] // divisor, pair[1] // divisor


def _off_line(energies: dict[tuple[int, int], float]) -> float:
    """Share of the energy outside the strongest line of harmonics: near 0 for stripes, which repeat one way."""
    lines: dict[tuple[int, int], float] = {}
    for pair, energy in energies.items():
        lines[_line(pair)] = lines.get(_line(pair), 0.0) + max(energy, 0.0)
    total = sum(lines.values())
    return 1 - max(lines.values()) / total if total > 0 else 0.0
