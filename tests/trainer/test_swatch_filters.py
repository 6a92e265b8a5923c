"""Facts about the filters made from the swatch: centred, repeatable, and not ruled by directions it leaves empty."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests import drawn
from trainer.losses import gram
from trainer.swatch_filters import FILTERS, SwatchFilters, principal_directions


@pytest.fixture(scope="module")
def gravel() -> Tensor:
    return drawn.gravel(128, 128, seed=3)


def test_features_have_zero_mean_on_the_swatch_and_follow_from_the_seed(gravel: Tensor) -> None:
    features = SwatchFilters(gravel, seed=4)(gravel)
    assert [found.shape[1] for found in features.values()] == list(FILTERS)
    for found in features.values():
        assert found.mean((0, 2, 3)).abs().max() < 1e-3
        assert (found.std((0, 2, 3)) > 0.05).float().mean() > 0.9  # hardly a filter is dead
    again, other = SwatchFilters(gravel, seed=4)(gravel), SwatchFilters(gravel, seed=5)(gravel)
    assert all(torch.equal(features[name], again[name]) for name in features)
    assert not torch.equal(features["filters1"], other["filters1"])


def test_another_piece_of_the_material_is_nearer_than_another_material(gravel: Tensor) -> None:
    filters = SwatchFilters(gravel[..., :96], seed=0)

    def distance(image: Tensor, name: str) -> float:
        wanted = gram(filters(gravel[..., :96])[name])
        return float((gram(filters(image)[name]) - wanted).square().sum() / wanted.square().sum())

    blurred = F.avg_pool2d(gravel, 5, 1, 2)
    for name in ("filters1", "filters2"):
        piece = distance(gravel[..., 48:], name)
        assert piece < 0.5 * distance(drawn.clouds(128, 96, seed=3), name)
        assert piece < 0.5 * distance(blurred, name)


def test_the_least_side_gives_the_second_layer_features(gravel: Tensor) -> None:
    side = SwatchFilters.smallest()
    assert SwatchFilters(gravel, seed=0)(gravel[..., :side, :side])["filters2"].numel() > 0


def test_a_grey_swatch_lets_no_colour_pass_and_is_not_drowned_by_it(gravel: Tensor) -> None:
    grey = gravel.mean(1, keepdim=True).expand(-1, 3, -1, -1).contiguous()
    filters = SwatchFilters(grey, seed=0)
    plain = filters(grey)["filters1"]
    tinted = filters(grey + 0.1 * torch.tensor([1.0, -1.0, 0.0]).view(1, 3, 1, 1))["filters1"]
    brighter = filters(grey + 0.1)["filters1"]
    change, reference = ((each - plain).square().mean() for each in (tinted, brighter))
    assert 0.01 * reference < change < 10 * reference


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
