"""What two materials in one texture cost, and how well they lie side by side, against each of them alone in one run.

usage: python benchmarks/blend.py MODEL MODEL [--size 1024] [--rounds 5]      (two files of quilts)

The mask is a soft disc and a soft wavy stripe, which show the second model on about a third of the texture. Time is of
the processor, tiles are canonical, tables are warm; the blend and its cuts are made anew in each round. The reference
for time is the slower of the two models alone, round by round; that for borders is a threshold of the mask.

    time       blend over one model alone, both with their plans made
    new seed   likewise, both with their plans yet to be made
    border     mean difference of the two textures along the border, over that along the threshold's border
    patches    distance of the swatch's 7 x 7 patches to those within a region, over that of the same region unblended
    untouched  share of pixels that are those of one model alone, to the byte
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from server.model.maps import Depth, common_maps
from server.model.torus import Size, Window, pieces
from server.network.model_file import read_model
from server.quilt.blend import Blend, BlendSettings
from server.quilt.quilt import Quilt, eight_bits

SEED = 3
MASK = 512
PROJECTIONS = 64


def mask() -> Tensor:
    """(512, 512, 1) uint8; it tiles."""
    y, x = np.meshgrid(np.arange(MASK) / MASK, np.arange(MASK) / MASK, indexing="ij")
    disc = np.hypot((y - 0.35 + 0.5) % 1 - 0.5, (x - 0.4 + 0.5) % 1 - 0.5) - 0.2 - 0.03 * np.sin(9 * np.pi * x)
    stripe = np.abs((y - 0.82 - 0.05 * np.sin(2 * np.pi * x) + 0.5) % 1 - 0.5) - 0.09
    share = 1 / (1 + np.exp(np.minimum(disc, stripe) / 0.022))
    return torch.from_numpy((255 * share).round().astype(np.uint8))[..., None]


def tiles_of(size: Size, paint: Callable[[Window], list[Tensor]]) -> tuple[float, list[Tensor]]:
    """Seconds of the processor for all tiles, and the first map, put together."""
    began, result = time.process_time(), []
    for piece in pieces(size, size.whole):
        result.append((piece, paint(piece.tile)[0]))
    seconds = time.process_time() - began
    whole = torch.empty(size.height, size.width, 3, dtype=torch.uint8)
    for piece, tile in result:
        whole[piece.target] = tile[piece.source]
    return seconds, [whole]


def border(labels: Tensor) -> Tensor:
    return (labels != labels.roll(1, 0)) | (labels != labels.roll(1, 1))


def patches(picture: Tensor, region: Tensor | None) -> Tensor:
    """Sorted projections of the 7 x 7 patches that lie in a region: (PROJECTIONS, 512)."""
    generator = torch.Generator().manual_seed(7)
    kernels = torch.randn(PROJECTIONS, 3, 7, 7, generator=generator)
    kernels = kernels / kernels.flatten(1).norm(dim=1)[:, None, None, None]
    values = F.conv2d(picture.permute(2, 0, 1)[None].float() / 255, kernels)[0]
    flat = values.flatten(1)
    if region is not None:
        inside = F.avg_pool2d(region[None, None].float(), 7, 1)[0, 0] > 0.999
        flat = values[:, inside]
    return F.interpolate(flat.sort(1).values[None], size=512, mode="linear")[0]


def distance(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().mean() / other.std())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs=2, type=Path)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    quilts = [read_model(path).generator for path in arguments.models]
    assert all(isinstance(each, Quilt) for each in quilts)
    report([each for each in quilts if isinstance(each, Quilt)], Size(arguments.size, arguments.size), arguments.rounds)


def report(quilts: Sequence[Quilt], size: Size, rounds: int) -> None:
    """Print all figures."""
    maps = common_maps([each.maps for each in quilts])
    depths: list[Depth] = [each.depth for each in maps]

    def alone(quilt: Quilt) -> Callable[[Window], list[Tensor]]:
        own = [each.depth for each in quilt.maps]
        return lambda tile: quilt.samples(SEED, size, tile, own)

    def fresh(tile: Window) -> list[Tensor]:
        return made[0].samples(tile, depths)

    for each in quilts:
        tiles_of(size, alone(each))  # tables
    own_mask = mask()
    ratios: dict[bool, list[float]] = {False: [], True: []}
    cuts = []
    for _ in range(rounds):
        for new in (True, False):
            times = []
            for each in quilts:
                if new:
                    each.forget()
                times.append(tiles_of(size, alone(each)))
                if new:
                    each.forget()
            one = max(seconds for seconds, _ in times)
            began = time.process_time()
            made = [Blend(quilts, maps, own_mask, BlendSettings(), SEED, size)]
            made[0].labels(range(made[0].rows), range(made[0].columns))
            cut = time.process_time() - began
            seconds, (mixed,) = tiles_of(size, fresh)
            ratios[new].append((cut + seconds) / one)
            if not new:
                cuts.append(cut / one)
    first, second = (picture for _, (picture,) in times)
    blend = made[0]
    cells = blend.labels(range(blend.rows), range(blend.columns))
    rows, columns = (
        torch.arange(side) * count // side for side, count in ((size.height, blend.rows), (size.width, blend.columns))
    )
    labels = cells[rows][:, columns]
    places = torch.arange(size.height) * MASK // size.height
    plain = (own_mask[..., 0][places][:, places] > 127).long()
    apart = (first.double() - second.double()).abs().sum(2)
    same = (mixed == first).all(2) | (mixed == second).all(2)
    print(f"maps       {', '.join(each.name for each in maps)}")
    print(f"time       {statistics.median(ratios[False]):.2f} of one, of which cuts {statistics.median(cuts):.2f}")
    print(f"new seed   {statistics.median(ratios[True]):.2f} of one")
    print(f"border     {apart[border(labels)].mean() / apart[border(plain)].mean():.2f} of a threshold's")
    print(f"untouched  {same.double().mean():.3f}")
    for number, (quilt, picture) in enumerate(zip(quilts, (first, second), strict=True)):
        swatch = patches(eight_bits([quilt.pixels[0]]).permute(1, 2, 0), None)
        region = labels == number
        found, before = (distance(patches(each, region), swatch) for each in (mixed, picture))
        print(f"patches    {found / before:.2f} of unblended ({found:.3f}, {before:.3f}), material {number + 1}")


if __name__ == "__main__":
    main()
