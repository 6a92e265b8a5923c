"""Facts about the sliced patch loss: it compares distributions of patches, wherever the patches lie."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from server.model.torus import Size, Window
from tests import drawn
from trainer.loss.losses import Place
from trainer.loss.patches import SlicedPatchLoss, principal_directions


def at(step: int) -> Place:
    return Place(Size(256, 256), Window(0, 0, 128, 128), step)


def mean_loss(loss: SlicedPatchLoss, image: Tensor, steps: int = 8) -> float:
    """Over several draws of directions."""
    return sum(float(loss(image, at(step))) for step in range(steps)) / steps


@pytest.fixture(scope="module")
def gravel() -> Tensor:
    return drawn.gravel(192, 192, seed=1, stone=6)


def test_it_is_nearly_zero_at_the_swatch_small_for_its_kin_and_large_for_others(gravel: Tensor) -> None:
    """At the swatch itself other patches of it are compared: every ninth, from another start."""
    loss = SlicedPatchLoss(gravel, scales=3, side=192)
    own = mean_loss(loss, gravel)
    kin = mean_loss(loss, drawn.gravel(192, 192, seed=2, stone=6))
    others = [drawn.clouds(192, 192), drawn.square_tiles(192, 192), gravel.flip(1), 1 - gravel, 0.7 * gravel]
    strange = [mean_loss(loss, image) for image in others]
    assert own < kin < 0.03
    assert min(strange) > 5 * kin


def test_shuffled_tiled_and_shifted_copies_hold_the_same_patches(gravel: Tensor) -> None:
    """All but the patches on the cuts are those of the swatch."""
    loss = SlicedPatchLoss(gravel, scales=1, side=10_000)
    own = mean_loss(loss, gravel)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(0))
    blocks = gravel.unfold(2, 48, 48).unfold(3, 48, 48).flatten(2, 3)[:, :, order]
    shuffled = blocks.unflatten(2, (4, 4)).permute(0, 1, 2, 4, 3, 5).reshape(gravel.shape)
    other = mean_loss(loss, drawn.gravel(192, 192, seed=3, stone=12))
    for image in (shuffled, gravel.tile(1, 1, 2, 2), gravel.roll((31, 77), (2, 3))):
        assert mean_loss(loss, image) < own + 0.1 * (other - own)


def test_the_order_of_a_batch_does_not_matter_and_images_are_pooled(gravel: Tensor) -> None:
    loss = SlicedPatchLoss(gravel, scales=2, side=96)
    batch = torch.cat([drawn.clouds(96, 96, seed=seed) for seed in range(3)])
    torch.testing.assert_close(loss(batch, at(0)), loss(batch.flip(0), at(0)))
    halves = torch.cat((gravel[..., :96, :], gravel[..., 96:, :]))
    loss = SlicedPatchLoss(gravel, scales=1, side=192)
    assert mean_loss(loss, halves) < 0.2 * max(mean_loss(loss, half) for half in halves.split(1)) + 0.01


@pytest.mark.parametrize("seed", [1, 2])
def test_whitening_shows_a_faint_pixel_grid(seed: int) -> None:
    """In plain directions a checkerboard of 1/50 drowns in the clouds' large shapes."""
    swatch, image = drawn.clouds(128, 128, seed=0), drawn.clouds(128, 128, seed=0)[..., 2:, 2:]
    y, x = torch.arange(126)[:, None], torch.arange(126)[None]
    grid = image + 0.02 * ((y + x) % 2 * 2.0 - 1)
    rise = []
    for whitening in (0.0, 0.5, 1.0):
        loss = SlicedPatchLoss(swatch, scales=1, side=128, whitening=whitening, seed=seed)
        rise.append(mean_loss(loss, grid) - mean_loss(loss, image))
    assert rise[0] < 0.02
    assert all(fainter * 5 < stronger for fainter, stronger in pairwise(rise))


def test_a_step_is_repeatable_and_every_step_looks_along_new_directions(gravel: Tensor) -> None:
    image = drawn.clouds(96, 96)
    first, second = (SlicedPatchLoss(gravel, scales=2, side=96, seed=5) for _ in range(2))
    torch.manual_seed(1)
    found = [float(first(image, at(step))) for step in range(4)]
    torch.manual_seed(2)
    assert [float(second(image, at(step))) for step in reversed(range(4))] == found[::-1]
    assert len(set(found)) == 4
    assert float(SlicedPatchLoss(gravel, scales=2, side=96, seed=6)(image, at(0))) != found[0]


def test_it_uses_no_global_randomness(gravel: Tensor) -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    SlicedPatchLoss(gravel, scales=2, side=96)(gravel[..., :96, :96], at(0))
    assert torch.equal(torch.rand(3), expected)


def test_following_the_slope_lowers_the_loss_on_directions_it_never_saw(gravel: Tensor) -> None:
    loss = SlicedPatchLoss(gravel, scales=2, side=48)
    torch.manual_seed(0)
    image = (0.5 + 0.1 * torch.randn(2, 3, 48, 48)).requires_grad_()
    before = mean_loss(loss, image.detach())
    optimizer = torch.optim.Adam([image], lr=0.02)
    for step in range(40):
        optimizer.zero_grad()
        loss(image, at(1000 + step)).backward()
        assert image.grad is not None
        assert torch.isfinite(image.grad).all()
        optimizer.step()
    assert mean_loss(loss, image.detach()) < 0.5 * before


def test_one_projection_is_the_squared_distance_of_sorted_values() -> None:
    """A patch of one grey pixel leaves one direction: the loss is then the distance of the two histograms."""
    random = torch.Generator().manual_seed(0)
    swatch, image = (torch.rand(1, 1, 48, 48, generator=random) for _ in range(2))
    image = 0.3 + 0.5 * image
    loss = SlicedPatchLoss(swatch, scales=1, side=48, patch=1, directions=4, whitening=0.0)
    # of uniform variables: ((0.3 - 0.5 q)^2 averaged over q in [0, 1]) / (1 / 12)
    assert mean_loss(loss, image) == pytest.approx(12 * (0.09 - 0.15 + 0.25 / 3), rel=0.15)


def test_images_too_small_for_a_patch_count_nothing(gravel: Tensor) -> None:
    assert float(SlicedPatchLoss(gravel, scales=2, side=96)(gravel[..., :10, :10], at(0))) == 0
    tiny_swatch = SlicedPatchLoss(gravel[..., :20, :20], scales=4, side=96)
    assert torch.isfinite(tiny_swatch(gravel, at(0)))


def test_flat_swatches_have_finite_losses_and_slopes(gravel: Tensor) -> None:
    flat = torch.full((1, 3, 64, 64), 0.5)
    for swatch, image in ((flat, gravel[..., :64, :64]), (gravel, flat), (flat, flat)):
        pixels = image.clone().requires_grad_()
        found = SlicedPatchLoss(swatch, scales=2, side=64)(pixels, at(0))
        found.backward()
        assert torch.isfinite(found)
        assert pixels.grad is not None
        assert torch.isfinite(pixels.grad).all()


@pytest.mark.parametrize("whitening", [0.0, 0.5, 1.0])
def test_principal_directions_are_orthogonal_and_scaled_by_the_swatch(gravel: Tensor, whitening: float) -> None:
    patches = F.unfold(gravel, 3)[0]
    patches = patches - patches.mean(1, keepdim=True)
    directions, _ = principal_directions(gravel, 3, whitening)
    assert directions.shape == (27, 27)
    products = directions @ directions.T
    lengths = products.diagonal().clone()
    assert (products - lengths.diag()).abs().max() < 1e-3 * lengths.max()
    projected = (directions @ patches).var(1, correction=0)
    variance = torch.linalg.eigvalsh(patches @ patches.T / patches.shape[1])
    torch.testing.assert_close(projected, lengths * variance, rtol=1e-2, atol=1e-6)
    spread = float(projected.max() / projected.min())
    plain = float(variance[-1] / variance[0])
    assert {0.0: spread > 0.9 * plain, 0.5: 2 < spread < plain**0.6, 1.0: spread < 2}[whitening]


def test_of_a_large_picture_some_patches_are_looked_at() -> None:
    """Each of them as it lies in the picture, and so many that the distance hardly differs from that of all."""
    image = drawn.gravel(256, 256, seed=1, stone=6)
    loss = SlicedPatchLoss(image, scales=1, side=256)
    tops, lefts = torch.tensor([0, 9, 249]), torch.tensor([249, 0, 120])
    for place, patch in enumerate(loss._some(image, tops, lefts).unbind(2)):
        top, left = int(tops[place]), int(lefts[place])
        assert torch.equal(patch.view(3, 7, 7), image[0, :, top : top + 7, left : left + 7])
    kin = drawn.gravel(192, 192, seed=2, stone=6)
    few, all_of_them = mean_loss(loss, kin), mean_loss(SlicedPatchLoss(image[..., :192, :192], scales=1, side=256), kin)
    assert few == pytest.approx(all_of_them, abs=0.01)
