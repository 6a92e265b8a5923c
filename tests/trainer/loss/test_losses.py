"""Facts about the losses: zero where texture and swatch agree, large where they do not, and a slope to follow."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from server.model.lattice import Lattice
from server.model.torus import Size, Span, Window
from server.network.waves import phases
from tests import drawn
from trainer.loss.losses import FoldedCellLoss, Moments, MomentsLoss, Place, ScaleFeatures, Sum, gram, scaled

ANYWHERE = Place(Size(256, 256), Window(0, 0, 128, 128), step=0)


def descriptor(images: Tensor, *, wraps: bool = False) -> dict[str, Tensor]:
    """Two layers of fixed random features."""
    if wraps:
        images = F.pad(images, (0, 6, 0, 6), mode="circular")  # 4 for the first layer, 2 for the second
    random = torch.Generator().manual_seed(1)
    fine = torch.randn(10, 3, 5, 5, generator=random) / 8
    coarse = torch.randn(12, 10, 3, 3, generator=random) / 8
    first = F.conv2d(images - 0.5, fine, torch.full((10,), 0.1)).relu()
    second = F.conv2d(first, coarse, stride=2).relu()
    return {"first": first[..., :-2, :-2] if wraps else first, "second": second}


def moments_loss(swatch: Tensor, scales: tuple[float, ...] = (1.0, 1.0, 1.0), side: int = 192) -> MomentsLoss:
    features = [ScaleFeatures(features=descriptor, weight=weight, smallest=16) for weight in scales]
    return MomentsLoss(features, swatch, side=side)


# -------------------------------------------------------------------------------------------------------------- gram


def test_gram_matrices_are_mean_products_of_channels() -> None:
    features = torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(0))
    naive = torch.zeros(2, 4, 4)
    for image in range(2):
        for i in range(4):
            for j in range(4):
                for y in range(3):
                    for x in range(5):
                        naive[image, i, j] += features[image, i, y, x] * features[image, j, y, x] / 15
    torch.testing.assert_close(gram(features), naive)


def test_gram_matrices_are_taken_in_float32() -> None:
    features = torch.rand(1, 4, 200, 200, generator=torch.Generator().manual_seed(0)).bfloat16()
    torch.testing.assert_close(gram(features), gram(features.float()))


# ----------------------------------------------------------------------------------------------------------- moments


def test_moments_are_those_of_numpy() -> None:
    features = torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(0)) + 2
    found = Moments.of(features)
    for image in range(2):
        flat = features[image].flatten(1)
        torch.testing.assert_close(found.mean[image], flat.mean(1))
        torch.testing.assert_close(found.covariance[image], flat.cov(correction=0), rtol=1e-4, atol=1e-5)


def test_the_loss_is_that_of_means_and_covariances_relative_to_the_swatch_averaged_by_weight() -> None:
    swatch, image = drawn.gravel(64, 64, seed=1), drawn.clouds(64, 64, seed=2)
    expected, weights = 0.0, 0.0
    for scale, weight in enumerate((1.0, 0.25)):
        one, other = (F.avg_pool2d(picture, 2**scale) for picture in (image, swatch))
        for layer in ("first", "second"):
            got, wanted = (descriptor(picture)[layer][0].flatten(1) for picture in (one, other))
            for moment in (lambda flat: flat.mean(1), lambda flat: flat.cov(correction=0)):
                change = moment(got) - moment(wanted)
                expected += weight * float(change.square().sum() / moment(wanted).square().sum())
            weights += weight
    loss = moments_loss(swatch, scales=(1.0, 0.25))
    assert float(loss(image, ANYWHERE)) == pytest.approx(expected / weights, rel=1e-3)


def test_what_varies_counts_the_same_at_any_contrast() -> None:
    """A Gram matrix of faint patterns is all mean: a flat picture would do."""
    gravel = drawn.gravel(96, 96, seed=1)
    for contrast in (1.0, 0.1):
        swatch = 0.5 + contrast * (gravel - gravel.mean((2, 3), keepdim=True))
        flat = swatch.mean((2, 3), keepdim=True).expand_as(swatch)
        assert 0.8 < float(moments_loss(swatch)(flat, ANYWHERE)) < 2


def test_a_plain_swatch_asks_for_its_colour_first() -> None:
    swatch = torch.full((1, 3, 96, 96), 0.4)
    loss = moments_loss(swatch)
    noise = torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(0)) / 255
    assert float(loss(swatch + noise, ANYWHERE)) < 0.1 * float(loss(swatch + 0.2, ANYWHERE))


def test_the_loss_of_moments_is_zero_at_the_swatch_small_for_its_crops_and_large_for_others() -> None:
    swatch = drawn.gravel(192, 192, seed=1, stone=6)
    loss = moments_loss(swatch)
    assert float(loss(swatch, ANYWHERE)) < 1e-10
    crops = [float(loss(swatch[..., y : y + 128, x : x + 128], ANYWHERE)) for y in (0, 64) for x in (0, 64)]
    akin = float(loss(drawn.gravel(192, 192, seed=2, stone=6), ANYWHERE))
    strange = [
        float(loss(image, ANYWHERE)) for image in (drawn.clouds(128, 128), drawn.square_tiles(128, 128), 1 - swatch)
    ]
    assert max(*crops, akin) < 0.02
    assert min(strange) > 5 * max(*crops, akin)


def test_the_loss_of_moments_of_a_batch_is_the_mean_over_its_images() -> None:
    loss = moments_loss(drawn.gravel(96, 96, seed=1))
    images = [drawn.clouds(96, 96, seed=seed) for seed in range(3)]
    alone = [float(loss(image, ANYWHERE)) for image in images]
    assert float(loss(torch.cat(images), ANYWHERE)) == pytest.approx(sum(alone) / 3, rel=1e-4)


def test_scales_too_small_for_the_descriptor_are_left_out() -> None:
    swatch = drawn.gravel(40, 40, seed=1)
    image = drawn.clouds(40, 40, seed=1)
    two, five = moments_loss(swatch, scales=(1.0, 1.0)), moments_loss(swatch, scales=(1.0,) * 5)
    assert float(five(image, ANYWHERE)) == float(two(image, ANYWHERE))
    assert float(moments_loss(swatch)(image[..., :12, :12], ANYWHERE)) == 0


def test_every_scale_is_cut_to_the_middle() -> None:
    picture = torch.arange(40.0 * 60).view(1, 1, 40, 60)
    found = dict(scaled(picture, 3, 16))
    assert torch.equal(found[0], picture[..., 12:28, 22:38])
    assert torch.equal(found[1], F.avg_pool2d(picture, 2)[..., 2:18, 7:23])
    assert torch.equal(found[2], F.avg_pool2d(picture, 4)[..., :10, :][..., :15])
    assert dict(scaled(picture, 1, 100))[0].shape == picture.shape


# ------------------------------------------------------------------------------------------------------- folded cell

BINS = 24


def lattice_of(periods: tuple[tuple[float, float], tuple[float, float]]) -> Lattice:
    (a, b), (c, d) = periods
    area = a * d - b * c
    return Lattice(basis=((d / area, -c / area), (-b / area, a / area)), harmonics=((1, 0), (0, 1)), strength=0.9)


BRICKS = lattice_of(drawn.running_bond_periods())
SQUARE = lattice_of(drawn.square_tiles_periods((24, 16)))


def by_phase(where: Tensor, cell: Callable[[Tensor], Tensor]) -> Tensor:
    """(2, H, W) phases to the picture (1, 3, H, W) of a pattern given over the unit cell."""
    return cell(where)[None]


def stepped(where: Tensor) -> Tensor:
    """A pattern that is constant in every bin, and another in each."""
    index = (where * BINS).long().clamp_(max=BINS - 1)
    colours = torch.rand(3, BINS, BINS, generator=torch.Generator().manual_seed(3))
    return colours[:, index[0], index[1]]


def smooth(where: Tensor) -> Tensor:
    first, second = where * 2 * math.pi
    return 0.5 + 0.1 * torch.stack((first.cos(), first.sin() + second.cos(), (first + second).sin()))


def swatch_of(lattice: Lattice, cell: Callable[[Tensor], Tensor], side: int = 240) -> Tensor:
    y, x = torch.arange(side)[:, None] + 0.5, torch.arange(side)[None] + 0.5
    return by_phase(torch.stack([(fy * y + fx * x) % 1.0 for fy, fx in lattice.basis]), cell)


def texture_of(lattice: Lattice, cell: Callable[[Tensor], Tensor], place: Place) -> Tensor:
    window = place.window
    rows, columns = Span(window.top, window.top + window.height), Span(window.left, window.left + window.width)
    return by_phase(phases(lattice, place.size, rows, columns), cell)


PLACES = [
    Place(Size(240, 240), Window(0, 0, 96, 96), 0),
    Place(Size(240, 240), Window(101, 37, 96, 96), 0),
    Place(Size(301, 473), Window(-50, 460, 128, 96), 0),
    Place(Size(512, 257), Window(5000, -7001, 64, 100), 0),
]


@pytest.mark.parametrize("lattice", [BRICKS, SQUARE], ids=["bricks", "square"])
@pytest.mark.parametrize("place", PLACES, ids=str)
def test_the_folded_cell_loss_is_zero_for_the_same_pattern_at_any_place_of_any_size(
    lattice: Lattice, place: Place
) -> None:
    exact = FoldedCellLoss(swatch_of(lattice, stepped), lattice)
    assert float(exact(texture_of(lattice, stepped, place), place)) < 1e-3
    loss = FoldedCellLoss(swatch_of(lattice, smooth), lattice)
    assert float(loss(texture_of(lattice, smooth, place), place)) < 0.02


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_the_folded_cell_loss_sees_a_pattern_out_of_phase(place: Place) -> None:
    loss = FoldedCellLoss(swatch_of(BRICKS, smooth), BRICKS)
    for index in (0, 1):
        half = torch.zeros(2, 1, 1)
        half[index] = 0.5
        shifted = texture_of(BRICKS, lambda where, half=half: smooth((where + half) % 1.0), place)
        assert float(loss(shifted, place)) > 1


def test_the_folded_cell_loss_of_drawn_bricks_tells_them_from_shuffled_ones() -> None:
    """The swatch holds ten whole rows and four whole bricks, so on a torus of its own size it is its own texture."""
    swatch = drawn.running_bond(270, 304, seed=1)
    loss = FoldedCellLoss(swatch, BRICKS)
    place = Place(Size(270, 304), Window(0, 0, 270, 304), 0)
    assert BRICKS.fits(place.size)
    blocks = swatch.unfold(2, 30, 30).unfold(3, 38, 38).flatten(2, 3)  # 9 x 8 blocks of 30 x 38
    order = torch.randperm(72, generator=torch.Generator().manual_seed(0))
    shuffled = blocks[:, :, order].unflatten(2, (9, 8)).permute(0, 1, 2, 4, 3, 5).reshape(swatch.shape)
    at_home, lost = (float(loss(image, place)) for image in (swatch, shuffled))
    assert at_home < 2e-3  # a pixel on the edge of a bin may fall into either
    assert lost > 0.5
    wrong = Place(place.size, Window(13, 0, 270, 304), 0)
    assert float(loss(swatch, wrong)) > 0.5


def test_the_folded_cell_loss_looks_at_the_mean_of_a_batch() -> None:
    """So single samples may vary around the cell, as bricks do."""
    loss = FoldedCellLoss(swatch_of(SQUARE, smooth), SQUARE)
    place = PLACES[0]
    image = texture_of(SQUARE, smooth, place)
    grain = 0.2 * torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    pair = torch.cat((image + grain, image - grain))
    assert float(loss(pair, place)) == pytest.approx(float(loss(image, place)), abs=1e-5)


# ------------------------------------------------------------------------------------------------------------ slopes


@pytest.mark.parametrize("kind", ["gram", "cell"])
def test_following_the_slope_lowers_the_loss(kind: str) -> None:
    torch.manual_seed(0)
    place = Place(Size(240, 240), Window(50, 60, 64, 64), 0)
    swatch = swatch_of(SQUARE, smooth)
    loss: nn.Module = moments_loss(swatch) if kind == "gram" else FoldedCellLoss(swatch, SQUARE)
    image = (0.5 + 0.1 * torch.randn(2, 3, 64, 64)).requires_grad_()
    before = float(loss(image.detach(), place))
    optimizer = torch.optim.Adam([image], lr=0.01)
    for _ in range(25):
        optimizer.zero_grad()
        loss(image, place).backward()
        assert image.grad is not None
        assert torch.isfinite(image.grad).all()
        optimizer.step()
    assert float(loss(image.detach(), place)) < 0.5 * before


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_flat_images_and_flat_swatches_have_finite_losses_and_slopes(value: float) -> None:
    flat = torch.full((1, 3, 96, 96), value)
    place = Place(Size(96, 96), Window(0, 0, 96, 96), 0)
    gravel = drawn.gravel(96, 96)
    for swatch, image in ((flat, gravel), (gravel, flat), (flat, flat)):
        for loss in (moments_loss(swatch), FoldedCellLoss(swatch, SQUARE)):
            pixels = image.clone().requires_grad_()
            found = loss(pixels, place)
            found.backward()
            assert torch.isfinite(found)
            assert pixels.grad is not None
            assert torch.isfinite(pixels.grad).all()


def test_a_sum_weighs_its_terms() -> None:
    class Mean(nn.Module):
        def __init__(self, power: int) -> None:
            super().__init__()
            self.power = power

        def forward(self, images: Tensor, place: Place) -> Tensor:
            return images.pow(self.power).mean() + place.step

    objective = Sum(("first", 2.0, Mean(1)), ("second", 0.5, Mean(2)))
    found = objective(torch.full((1, 3, 4, 4), 3.0), Place(Size(16, 16), Window(0, 0, 4, 4), step=1))
    assert float(found) == 2 * (3 + 1) + 0.5 * (9 + 1)
    assert objective.names == ["first", "second"]
    assert float(Sum()(torch.zeros(1, 3, 4, 4), ANYWHERE)) == 0


# -------------------------------------------------------------------------------------------------------- whole tori


def test_of_a_whole_torus_every_place_counts_alike() -> None:
    """Rolled, the same torus loses the same; cut as a window, it does not."""
    swatch, torus = drawn.gravel(96, 96, seed=1), drawn.gravel(64, 64, seed=2)
    loss = moments_loss(swatch)
    whole = Place(Size(64, 64), Window(0, 0, 64, 64), step=0)
    rolled = torus.roll((24, 40), dims=(2, 3))  # by multiples of the scales' pooling and the second layer's stride
    torch.testing.assert_close(loss(torus, whole), loss(rolled, whole))
    assert abs(float(loss(torus, ANYWHERE)) - float(loss(rolled, ANYWHERE))) > 1e-4


def test_of_a_large_torus_the_middle_is_looked_at_in_full_size_and_all_of_it_at_smaller_scales() -> None:
    swatch, torus = drawn.gravel(96, 96, seed=1), drawn.gravel(64, 64, seed=2)
    whole = Place(Size(64, 64), Window(0, 0, 64, 64), step=0)
    full, both = (moments_loss(swatch, scales=(1.0,) * count, side=40) for count in (1, 2))
    rolled = torus.roll((24, 40), dims=(2, 3))
    assert float(full(torus, whole)) == float(full(torus[..., 12:52, 12:52], ANYWHERE))
    assert abs(float(full(torus, whole)) - float(full(rolled, whole))) > 1e-4
    halves = [2 * both(image, whole) - full(image, whole) for image in (torus, rolled)]
    torch.testing.assert_close(*halves)
