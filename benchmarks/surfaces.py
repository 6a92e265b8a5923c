"""How much a plane of a Wang set repeats, whether joins of tiles stand out, and what variants cost.

usage: python benchmarks/surfaces.py MODEL [MODEL ...] [--side PIXELS] [--planes FOLDER]

A plane of 64 x 64 cells is laid of the 16 tiles of a set, corner colours by chance. Its *peak* is the highest value of
its autocorrelation at whole tiles, of means over 8 x 8 pixels; the reference is the plain texture laid 64 x 64 times,
whose peak is 1. *Average* is the mean square of the mean tile over that of all tiles: the peak without chance in the
plane. `chance` is the peak if nothing is wished of patches (server/quilt/wishes.py), and `edges` that of such a set
whose edges carry 2 colours instead of the corners. The *join* is the mean step from one tile to the next over the 95th
percentile of the steps inside, the worst of all pairs that may join. The last two columns are processor time: of 4
variants over one, and of one over the plain texture.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from blender_addon.protocol.edges import ACROSS, PLACES, Edges, corners_of, number_of
from server.model.grid import PatchAxis
from server.model.torus import Size
from server.network.model_file import read_model
from server.quilt import parts
from server.quilt.quilt import Quilt
from server.quilt.wishes import Wishes

SEED = 5
CELLS = 64
MEAN = 8  # pixels a side, of which the means are compared
WEI = (0, 0, 1, 1)  # colours of the edges along an axis of an atlas: all pairs stand in it
Tiles = NDArray[np.uint8]  # (rows, columns of the atlas, height, width, 3)
Plane = NDArray[np.float32]


def painted(quilt: Quilt, side: int, edges: Edges | None) -> NDArray[np.uint8]:
    """The base colour of a tile or an atlas."""
    whole = side * (edges.across if edges else 1)
    size = Size(whole, whole)
    return np.asarray(quilt.samples(SEED, size, size.whole, [8] * len(quilt.maps), edges)[0])


def tiles_of(atlas: NDArray[np.uint8], side: int) -> Tiles:
    return atlas.reshape(ACROSS, side, ACROSS, side, 3).transpose(0, 2, 1, 3, 4)


def plane(tiles: Tiles, place: Callable[[int, int], tuple[int, int]]) -> Plane:
    """Grey means of MEAN x MEAN pixels of a plane whose cell (row, column) shows the tile at this place."""
    side = tiles.shape[2] // MEAN
    grey = tiles.mean(-1, dtype=np.float32).reshape(ACROSS, ACROSS, side, MEAN, side, MEAN).mean((3, 5))
    return np.concatenate(
        [np.concatenate([grey[place(row, column)] for column in range(CELLS)], 1) for row in range(CELLS)], 0
    )


def peak(picture: Plane) -> float:
    """The highest autocorrelation at whole tiles, over that at no distance."""
    spectrum = np.fft.rfft2(picture - picture.mean())
    found = np.fft.irfft2(np.abs(spectrum) ** 2, picture.shape)
    side = len(picture) // CELLS
    at_tiles = found[::side, ::side].flatten()
    return float(at_tiles[1:].max() / at_tiles[0])


def average(tiles: Tiles) -> float:
    """The mean square of what the tiles show on average, over that of what they show, of the same grey means."""
    side = tiles.shape[2] // MEAN
    grey = tiles.mean(-1, dtype=np.float32).reshape(ACROSS**2, side, MEAN, side, MEAN).mean((2, 4))
    grey -= grey.mean()
    return float(np.square(grey.mean(0)).mean() / np.square(grey).mean())


def by_corners() -> Callable[[int, int], tuple[int, int]]:
    corners = np.random.default_rng(7).integers(0, 2, (CELLS, CELLS))

    def place(row: int, column: int) -> tuple[int, int]:
        below, right = (row + 1) % CELLS, (column + 1) % CELLS
        return PLACES[
            number_of((corners[row, column], corners[row, right], corners[below, column], corners[below, right]))
        ]

    return place


def by_edges() -> Callable[[int, int], tuple[int, int]]:
    level, upright = np.random.default_rng(8).integers(0, 2, (2, CELLS, CELLS))

    def place(row: int, column: int) -> tuple[int, int]:
        pairs = (
            (level[row, column], level[(row + 1) % CELLS, column]),
            (
                upright[row, column],
                upright[row, (column + 1) % CELLS],
            ),
        )
        rows, columns = (
            next(k for k in range(ACROSS) if (WEI[k], WEI[(k + 1) % ACROSS]) == (first, second))
            for first, second in pairs
        )
        return rows, columns

    return place


def edge_kind(axes: tuple[PatchAxis, PatchAxis], edges: Edges, row: int, column: int) -> tuple[int, ...]:
    """Instead of the corners the edges have colours: all corners show the same."""
    (tile_row, down), (tile_column, across) = divmod(row, axes[0].every), divmod(column, axes[1].every)
    if down == across == 0:
        return (0,)
    return (1, across, WEI[tile_row]) if down == 0 else (2, down, WEI[tile_column])


def worst_join(tiles: Tiles) -> float:
    """Of all pairs of tiles that may lie side by side or one above the other."""
    worst = 0.0
    for axis in (0, 1):
        ordered = [tiles[place].astype(np.float32).swapaxes(0, 1 - axis) for place in PLACES]  # joined along rows
        corners = [corners_of(*place) for place in PLACES]
        inside = [np.abs(np.diff(each, axis=1)).mean((0, 2)) for each in ordered]
        for first, behind in enumerate(corners):
            for second, before in enumerate(corners):
                end, begin = ((1, 3), (0, 2)) if axis else ((2, 3), (0, 1))
                if [behind[k] for k in end] != [before[k] for k in begin]:
                    continue
                step = np.abs(ordered[second][:, 0] - ordered[first][:, -1]).mean()
                usual = np.quantile(np.concatenate([inside[first], inside[second]]), 0.95)
                worst = max(worst, float(step / usual))
    return worst


def seconds(quilt: Quilt, side: int, *wanted: Edges | None) -> float:
    """Of the processor, so that other work beside it counts little, on a quilt that has planned nothing yet."""
    fresh = quilt.on(torch.device("cpu"))
    begin = time.process_time()
    for edges in wanted:
        painted(fresh, side, edges)
    return time.process_time() - begin


def cost(quilt: Quilt, side: int) -> tuple[float, float, float]:
    """Of the plain texture, of one variant, of four: the least of three, since other work only makes them longer."""
    wanted = (None,), (Edges(0),), tuple(map(Edges, range(4)))
    plain, one, four = (min(seconds(quilt, side, *each) for _ in range(3)) for each in wanted)
    return plain, one, four


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--side", type=int, default=512, help="of a tile (default: %(default)s)")
    parser.add_argument("--planes", type=Path, help="write 6 x 4 cells of each plane here, the plain texture above")
    options = parser.parse_args()
    torch.set_num_threads(1)
    side: int = options.side
    print("model | peak: corners | average | chance | edges | plain | join | 4 variants : 1 | 1 : plain")
    for path in options.models:
        quilt = read_model(path).texture_generator()
        assert isinstance(quilt, Quilt)
        plain = painted(quilt, side, None)
        tiles = tiles_of(painted(quilt, side, Edges(0, 2)), side)
        corners = peak(plane(tiles, by_corners()))
        with patch.object(Wishes, "has_any", lambda *_: False):
            fresh = quilt.on(torch.device("cpu"))
            chance = peak(plane(tiles_of(painted(fresh, side, Edges(0, 2)), side), by_corners()))
            with patch.object(parts, "_kind", edge_kind):
                fresh = quilt.on(torch.device("cpu"))
                edges = peak(plane(tiles_of(painted(fresh, side, Edges(0, 2)), side), by_edges()))
        repeated = np.broadcast_to(plain, (ACROSS, ACROSS, *plain.shape))
        reference = peak(plane(repeated, lambda row, column: (0, 0)))
        of_plain, one, four = cost(quilt, side)
        print(
            f"{path.stem} | {corners:.3f} | {average(tiles):.3f} | {chance:.3f} | {edges:.3f} | "
            f"{reference:.3f} | {worst_join(tiles):.2f} | {four / one:.2f} | {one / of_plain:.2f}",
            flush=True,
        )
        if options.planes:
            place = by_corners()
            laid = np.concatenate(
                [np.concatenate([tiles[place(row, column)] for column in range(6)], 1) for row in range(4)], 0
            )
            both = np.concatenate([np.tile(plain, (4, 6, 1)), laid], 0)
            Image.fromarray(both).save(options.planes / f"{path.stem}.png")


if __name__ == "__main__":
    main()
