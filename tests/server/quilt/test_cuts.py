"""Cuts follow what is there: on tiles they run in the joints, so a tile keeps one colour."""

import pytest
import torch
from torch import Tensor

from server.model.lattice import Lattice
from server.model.maps import BASE_COLOUR
from server.model.torus import Size
from server.quilt import cuts
from server.quilt.quilt import Quilt
from trainer.quilt.learning import unpriced

TILE, JOINT = 24, 4
SIZE = Size(288, 312)  # whole tiles


def mosaic(grain: float) -> Tensor:
    """(3, 240, 240) uint8: square tiles of five colours, each a little lighter or darker, with grey joints."""
    generator = torch.Generator().manual_seed(1)
    colours = torch.tensor([[0.8, 0.2, 0.15], [0.15, 0.3, 0.7], [0.9, 0.8, 0.3], [0.2, 0.6, 0.35], [0.85, 0.85, 0.8]])
    y, x = torch.meshgrid(torch.arange(240), torch.arange(240), indexing="ij")
    kinds = torch.randint(5, (10, 10), generator=generator)
    tones = 0.85 + 0.25 * torch.rand(10, 10, generator=generator)
    picture = colours[kinds[y // TILE, x // TILE]] * tones[y // TILE, x // TILE, None]
    joint = (y % TILE < JOINT) | (x % TILE < JOINT)
    picture = torch.where(joint[..., None], torch.full((3,), 0.5), picture)
    picture = picture + grain * torch.randn(240, 240, 1, generator=generator)
    return (picture.clamp(0, 1) * 255).round().to(torch.uint8).permute(2, 0, 1)


def quilt(grain: float, strength: float) -> Quilt:
    lattice = Lattice(basis=((1 / TILE, 0.0), (0.0, 1 / TILE)), harmonics=((1, 0), (0, 1)), strength=strength)
    return unpriced([mosaic(grain)], (BASE_COLOUR,), (False, False), lattice)


def steps_in_tiles(of: Quilt, seed: int) -> Tensor:
    """Of each tile of a texture: the farthest that a corner's mean colour lies from the whole tile's, in samples."""
    picture = of.samples(seed, SIZE, SIZE.whole, (8,))[0].float()
    # The joints' phase: rows and columns that are grey all along.
    grey = (picture - 127.5).abs().amax(2) < 40
    first = [int(grey.float().mean(1 - axis)[:TILE].unfold(0, JOINT, 1).mean(1).argmax()) for axis in (0, 1)]
    picture = picture.roll((-first[0], -first[1]), (0, 1))
    tiles = picture.unfold(0, TILE, TILE).unfold(1, TILE, TILE)[..., JOINT + 1 : -1, JOINT + 1 : -1]
    whole = tiles.mean((3, 4))
    half = tiles.shape[3] // 2
    parts = [
        tiles[..., a, b].mean((3, 4))
        for a in (slice(half), slice(half, None))
        for b in (slice(half), slice(half, None))
    ]
    return torch.stack([(part - whole).abs().amax(2) for part in parts]).amax(0)


def test_tiles_keep_one_colour_from_joint_to_joint() -> None:
    tiles = quilt(0.02, 0.5)
    steps = torch.stack([steps_in_tiles(tiles, seed) for seed in range(3)])
    assert float((steps > 8).float().mean()) < 0.025


def laid_by_hand() -> Quilt:
    """White tiles of 32 x 24 pixels with dark joints of 3, each up to 3 pixels above or below its row."""
    generator = torch.Generator().manual_seed(3)
    y, x = torch.meshgrid(torch.arange(256), torch.arange(240), indexing="ij")
    off = torch.randint(-3, 4, (8, 10), generator=generator)
    joint = ((y % 32 - 14 - off[y // 32, x // 24]).abs() < 2) | (x % 24 < 3)
    grey = (torch.where(joint, 0.3, 0.85) + 0.02 * torch.randn(256, 240, generator=generator)).clamp(0, 1)
    pixels = (grey * 255).round().to(torch.uint8).expand(3, -1, -1)
    lattice = Lattice(basis=((1 / 32, 0.0), (0.0, 1 / 24)), harmonics=((1, 0), (0, 1)), strength=0.9)
    return unpriced([pixels], (BASE_COLOUR,), (False, False), lattice)


def joints_left_out(of: Quilt) -> int:
    """Pixel columns times rows of tiles, of some textures, in which no joint lies between two tiles."""
    of.forget()
    size, missing = Size(416, 432), 0
    for seed in range(3):
        dark = of.samples(seed, size, size.whole, (8,))[0].float().mean(2) < 160
        for column in dark.T:
            rows = column.nonzero()[:, 0]
            if len(rows) < 0.4 * size.height:  # else it is an upright joint
                missing += int((rows.diff(append=rows[:1] + size.height) > 48).sum())
    return missing


def test_no_joint_is_left_out_where_two_patches_have_it_at_either_side_of_a_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tiles = laid_by_hand()
    assert joints_left_out(tiles) == 0
    monkeypatch.setattr(cuts, "APART", 2**40)  # what is around pixels does not count
    assert joints_left_out(tiles) > 50
