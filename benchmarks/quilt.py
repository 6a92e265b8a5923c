"""How fast a quilt is painted, against sequential image quilting and the network `taper`, in one run.

usage: python benchmarks/quilt.py [--size 1024] [--swatch PHOTO] [--rounds 5] [--direct 1] [--device cpu]

The reference is Efros & Freeman's image quilting (SIGGRAPH 2001): patches in the order of a scan line, of the quilt's
own pitch and overlap, a good place of all by sums of squared differences, minimum-error cuts through both overlaps. Its
canvas does not tile. It is run in two ways, which find the same places:

    direct sums           as in the paper: at every place the products of all pixels of the overlap are summed. They are
                          summed by matrix products, which is about as fast as a processor can
    Fourier transforms    as one would write it today

Direct sums take a minute, so they are run in the first `--direct` rounds alone. `cold` has plan and cuts to make,
`warm` has them. All are run in turn, and ratios are taken round by round, so that a machine whose speed drifts spoils
neither.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from server.model.architecture import PRESETS
from server.model.maps import BASE_COLOUR, MATERIAL
from server.model.starter import chosen
from server.model.torus import Size
from server.network.devices import choose_device, prepare
from server.network.generator import Generator
from server.network.texture import texture_bytes
from server.quilt.quilt import Quilt
from trainer.quilt.learning import learn_prices, unpriced
from trainer.quilt_job import reduced
from trainer.starter.library import draw
from trainer.starter.photograph import photograph
from trainer.swatch.swatch import read_swatch

Floats = NDArray[np.float32]
DIRECT = "sequential, direct sums"


class SequentialQuilting:
    """The reference. `swatch`: (H, W, 3) float32 in [0, 1]; `piece` pixels from patch to patch, `overlap` of them."""

    def __init__(self, swatch: Floats, piece: int, overlap: int) -> None:
        self.swatch, self.piece, self.overlap = swatch, piece, overlap
        self.shape = swatch.shape[:2]
        self.spectrum = np.fft.rfft2(swatch, axes=(0, 1))
        self.squares = np.fft.rfft2(np.square(swatch).sum(2))

    def paint(self, side: int, seed: int) -> Floats:
        random = np.random.default_rng(seed)
        whole = self.piece + self.overlap
        count = -(-side // self.piece)
        canvas = np.zeros((count * self.piece + self.overlap,) * 2 + (3,), np.float32)
        for row in range(count):
            for column in range(count):
                y, x = row * self.piece, column * self.piece
                there = canvas[y : y + whole, x : x + whole]
                known = np.zeros((whole, whole), np.float32)
                if row:
                    known[: self.overlap] = 1
                if column:
                    known[:, : self.overlap] = 1
                top, left = self._place(there, known, random)
                here = self.swatch[top : top + whole, left : left + whole]
                difference = np.square(there - here).sum(2)
                own = np.ones((whole, whole), bool)
                if row:
                    own &= self._behind(difference[: self.overlap].T, whole).T
                if column:
                    own &= self._behind(difference[:, : self.overlap], whole)
                there[own] = here[own]
        return canvas[:side, :side]

    def _place(self, there: Floats, known: Floats, random: np.random.Generator) -> tuple[int, int]:
        """One of the places whose distance is within a tenth of the least."""
        height, width = (side - len(there) for side in self.shape)
        if not known.any():
            return int(random.integers(height)), int(random.integers(width))
        distances = self._distances(there, known)[:height, :width] + np.square(there * known[..., None]).sum()
        near = np.argwhere(distances <= 1.1 * max(float(distances.min()), 1e-3))
        top, left = near[random.integers(len(near))]
        return int(top), int(left)

    def _distances(self, there: Floats, known: Floats) -> Floats:
        """For every place the sum of squared differences where the canvas is known, less the canvas's own squares."""
        mask = np.fft.rfft2(known, s=self.shape).conj()
        target = np.fft.rfft2(there * known[..., None], s=self.shape, axes=(0, 1)).conj()
        products = np.fft.irfft2((self.spectrum * target).sum(2), s=self.shape)
        lengths = np.fft.irfft2(self.squares * mask, s=self.shape)
        return lengths - 2 * products

    @staticmethod
    def _behind(energy: Floats, whole: int) -> NDArray[np.bool_]:
        """Which pixels of a patch lie behind the least path down its left overlap: (whole, whole)."""
        total = energy.copy()
        for line in range(1, len(total)):
            padded = np.pad(total[line - 1], 1, constant_values=np.inf)
            total[line] += np.minimum(np.minimum(padded[:-2], padded[1:-1]), padded[2:])
        at = int(total[-1].argmin())
        own = np.ones((whole, whole), bool)
        for line in range(len(total) - 1, -1, -1):
            low, high = max(0, at - 1), min(energy.shape[1], at + 2)
            at = at if line == len(total) - 1 else low + int(total[line, low:high].argmin())
            own[line, :at] = False
        return own


class DirectQuilting(SequentialQuilting):
    """The same without transforms: products are summed one by one, over the overlaps alone."""

    def _distances(self, there: Floats, known: Floats) -> Floats:
        whole = len(known)
        places = tuple(side - whole + 1 for side in self.shape)
        top = self.overlap if known[0, -1] else 0
        strips = [(slice(0, top), slice(0, whole)), (slice(top, whole), slice(0, self.overlap if known[-1, 0] else 0))]
        total = np.zeros(places, np.float32)
        for rows, columns in strips:
            kernel = there[rows, columns]
            if kernel.size:
                total -= 2 * self._products(kernel, rows.start, places)
                total += self._lengths(rows, columns, places)
        return total

    def _products(self, kernel: Floats, first: int, places: tuple[int, ...]) -> Floats:
        """Sums of products of (h, w, 3) with the swatch, from row `first` of each place on: (down, across)."""
        height, width = kernel.shape[:2]
        lines = kernel.reshape(height, -1)
        total = np.zeros(places, np.float32)
        for row in range(places[0] + height - 1):  # of the swatch: with each of the kernel's rows, at every column
            windows = np.lib.stride_tricks.sliding_window_view(self.swatch[first + row], width, axis=0)[: places[1]]
            sums = lines @ windows.transpose(2, 1, 0).reshape(-1, places[1])
            low, high = max(0, row - height + 1), min(row + 1, places[0])
            total[low:high] += sums[row - high + 1 : row - low + 1][::-1]
        return total

    def _lengths(self, rows: slice, columns: slice, places: tuple[int, ...]) -> Floats:
        """Sums of the swatch's own squares over a strip at every place: (down, across)."""
        sums = np.pad(np.square(self.swatch, dtype=np.float64).sum(2), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
        y, x = np.arange(places[0]), np.arange(places[1])
        bottom, top = (sums[y + row] for row in (rows.stop, rows.start))
        right, left = x + columns.stop, x + columns.start
        return (bottom[:, right] - top[:, right] - bottom[:, left] + top[:, left]).astype(np.float32)


def learned(pixels: Tensor, maps: int) -> Quilt:
    """A quilt of a colour map, or of more maps made of the same picture."""
    colour = (pixels[0] * 255).to(torch.uint8)
    planes = [colour if each.channels == 3 else colour[:1] for each in MATERIAL[:maps]]
    quilt = unpriced(planes, MATERIAL[:maps] if maps > 1 else (BASE_COLOUR,), (False, False), None)
    small = reduced(quilt)
    for _ in learn_prices(small, 2):
        pass
    quilt.prices = small.prices
    quilt.forget()
    return quilt


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--swatch", type=Path, help="a photograph (default: drawn leaves)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--direct", type=int, default=1, help="rounds in which direct sums are run, a minute each")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    device = choose_device(options.device)
    drawn = torch.from_numpy(photograph(draw(*chosen(["leaves"]), 768))).permute(2, 0, 1)[None].float() / 255
    pixels = read_swatch(options.swatch, 1024).pixels if options.swatch else drawn
    size = Size(options.size, options.size)
    quilts = {maps: prepare(learned(pixels, maps), device) for maps in (1, 5)}
    settings = quilts[1].settings
    factor = settings.factor
    picture = pixels[0].permute(1, 2, 0).contiguous().numpy()
    sizes = settings.pitch * factor, 2 * settings.overlap * factor
    direct, sequential = DirectQuilting(picture, *sizes), SequentialQuilting(picture, *sizes)
    taper = prepare(Generator(PRESETS["taper"], [BASE_COLOUR]), device)
    print(f"swatch {settings.width} x {settings.height}, {options.size} x {options.size}, {device}", flush=True)
    contenders: dict[str, Callable[[int], object]] = {
        DIRECT: lambda seed: direct.paint(options.size, seed),
        "sequential, Fourier transforms": lambda seed: sequential.paint(options.size, seed),
        "taper": lambda seed: texture_bytes(taper, seed, size, size.whole),
        "quilt, cold": lambda seed: texture_bytes(quilts[1], seed, size, size.whole),
        "quilt, warm": lambda seed: texture_bytes(quilts[1], seed, size, size.whole),
        "quilt of five maps, cold": lambda seed: texture_bytes(quilts[5], seed, size, size.whole),
        "quilt of five maps, warm": lambda seed: texture_bytes(quilts[5], seed, size, size.whole),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(options.rounds + 1):
        for name, paint in contenders.items():
            if name == DIRECT and not 0 < turn <= options.direct:
                continue
            start = time.perf_counter()
            paint(turn)
            if turn:  # the first one makes tables and warms up
                seconds[name].append(time.perf_counter() - start)
    own = seconds["quilt, cold"]
    for name, each in seconds.items():
        if not each:
            continue
        ratios = [theirs / ours for theirs, ours in zip(each, own, strict=False)]
        print(f"{name:30} {statistics.median(each):7.3f} s  {statistics.median(ratios):6.2f} x quilt, cold")


if __name__ == "__main__":
    main()
