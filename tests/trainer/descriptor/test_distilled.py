"""Facts about the built-in network: its cost, its places, and that it sees what VGG-19 sees."""

import os
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests import drawn
from trainer.descriptor.distilled import FILE, LAYERS, WIDTHS, Distilled
from trainer.descriptor.vgg19 import VGG19, receptive_field, stride
from trainer.descriptor.weights import CONVOLUTIONS, find_weights
from trainer.loss.losses import gram

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
WEIGHTS = SHARED / "vgg" / "vgg19_conv1_1-conv3_4.safetensors"


@pytest.fixture(scope="module")
def network() -> Distilled:
    return Distilled()


def test_it_is_small_and_cheap(network: Distilled) -> None:
    """At most 2 MB, and an eighth of the products of VGG-19 up to the same layer."""
    assert FILE.stat().st_size <= 2e6
    ours = sum(_products(conv, layer) for layer, conv in network.convolutions.items())
    ours += sum(_products(conv, layer) for layer, conv in network.roots.items())
    theirs = sum(
        9 * conv.channels_in * conv.channels_out / stride(layer) ** 2
        for layer, conv in zip(WIDTHS, CONVOLUTIONS, strict=False)
    )
    assert ours <= theirs / 8


def _products(layer_of_weights: nn.Module, layer: str) -> float:
    """For each pixel of the image."""
    assert isinstance(layer_of_weights, nn.Conv2d | nn.Linear)
    return layer_of_weights.weight.numel() / stride(layer) ** 2


def test_features_lie_where_those_of_vgg19_lie(network: Distilled) -> None:
    image = drawn.gravel(96, 80, seed=1)
    for layer, found in network(image).items():
        cells = [(side - receptive_field(layer)) // stride(layer) + 1 for side in (96, 80)]
        assert list(found.shape[2:]) == cells
        smallest = receptive_field(layer)
        assert network(image[..., :smallest, :smallest])[LAYERS[0]].numel() > 0 if layer == LAYERS[-1] else True


def test_up_to_a_layer_the_features_are_the_same(network: Distilled) -> None:
    image = drawn.gravel(96, 80, seed=1)
    everything, some = network(image), network(image, last="relu2_1")
    assert list(some) == ["relu1_1", "relu2_1"]
    assert all(torch.equal(found, everything[layer]) for layer, found in some.items())


def test_features_of_a_torus_wrap(network: Distilled) -> None:
    torus = drawn.gravel(64, 48, seed=2)
    found, moved = network(torus, wraps=True), network(torus.roll((8, 16), (2, 3)), wraps=True)
    for layer, features in found.items():
        step = stride(layer)
        assert list(features.shape[2:]) == [64 // step, 48 // step]
        torch.testing.assert_close(features.roll((8 // step, 16 // step), (2, 3)), moved[layer], rtol=1e-4, atol=1e-5)


def test_it_asks_for_no_gradient_and_gives_the_image_one(network: Distilled) -> None:
    image = drawn.gravel(64, 64, seed=3).requires_grad_()
    sum(found.square().mean() for found in network(image).values()).backward()
    assert image.grad is not None
    assert image.grad.abs().sum() > 0
    assert not any(each.requires_grad for each in network.parameters())


def test_another_piece_of_a_material_is_nearer_than_another_material(network: Distilled) -> None:
    gravel = drawn.gravel(192, 192, seed=3)
    own = network(gravel[..., :96, :])
    for layer in LAYERS:
        piece, other, blurred = (
            _distance(network(image)[layer], own[layer])
            for image in (
                gravel[..., 96:, :],
                drawn.clouds(96, 192, seed=3),
                torch.nn.functional.avg_pool2d(gravel[..., 96:, :], 5, 1, 2),
            )
        )
        assert piece < 0.3 * min(other, blurred)


def _distance(found: Tensor, wanted: Tensor) -> float:
    target = gram(wanted)
    return float((gram(found) - target).square().sum() / target.square().sum())


@pytest.mark.skipif(not WEIGHTS.exists() and "TEXTURE_VGG19" not in os.environ, reason="VGG-19's weights are not here")
def test_distances_are_those_of_vgg19() -> None:
    """Which of two pictures is nearer to a third is told as VGG-19 tells it, and about by how much."""
    network, teacher = Distilled(), VGG19(find_weights(WEIGHTS if WEIGHTS.exists() else None), LAYERS)
    pictures = [
        drawn.gravel(128, 128, seed=1),
        drawn.gravel(128, 128, seed=2, stone=9),
        drawn.clouds(128, 128, seed=1),
        drawn.gravel(128, 128, seed=1).flip(1),
        torch.nn.functional.avg_pool2d(drawn.gravel(130, 130, seed=1), 3, 1),
    ]
    for layer in LAYERS:
        ours, theirs = (
            [_distance(look(a)[layer], look(b)[layer]) for a in pictures for b in pictures]
            for look in (network, teacher)
        )
        pairs = torch.tensor([ours, theirs]).clamp_min(1e-6).log()
        told = pairs[:, pairs[1] > -10]
        assert torch.corrcoef(told)[0, 1] > 0.9
