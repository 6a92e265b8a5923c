"""The features against a plain computation of the same network, written here on its own."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.descriptor.vgg19 import LAYERS, VGG19, receptive_field, stride
from trainer.descriptor.weights import CONVOLUTIONS, UnusableWeights, Weights, read_weights

REAL = Path(__file__).resolve().parents[3].parent / "shared/data/vgg/vgg19_conv1_1-conv3_4.safetensors"
SHALLOW = ("relu1_1", "relu1_2", "relu2_1")
CAFFE_MEAN = torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)  # B, G, R
IMAGENET_MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)  # R, G, B
IMAGENET_STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


def random_weights(preprocessing: Any = "caffe", depth: int = 3) -> Weights:
    """VGG-19's shapes up to conv2_1, filled by a seed."""
    generator = torch.Generator().manual_seed(5)
    tensors = {}
    for conv in CONVOLUTIONS[:depth]:
        scale = (2 / (9 * conv.channels_in)) ** 0.5
        weight = torch.randn(conv.channels_out, conv.channels_in, 3, 3, generator=generator) * scale
        tensors[f"{conv.key}.weight"] = weight
        tensors[f"{conv.key}.bias"] = torch.randn(conv.channels_out, generator=generator)
    return Weights(tensors, preprocessing, "random numbers", "0" * 64)


def as_imagenet(weights: Weights) -> Weights:
    """Caffe's weights rewritten for images prepared torchvision's way; their features are the same by algebra."""
    weight, bias = (weights.tensors[f"features.0.{part}"].double() for part in ("weight", "bias"))
    weight = weight[:, [2, 1, 0]]
    mean, std, caffe_mean = IMAGENET_MEAN.double(), IMAGENET_STD.double(), CAFFE_MEAN.double()[:, [2, 1, 0]]
    tensors = dict(weights.tensors)
    tensors["features.0.weight"] = (weight * 255 * std).float()
    tensors["features.0.bias"] = (bias + (weight * (255 * mean - caffe_mean)).sum((1, 2, 3))).float()
    return Weights(tensors, "imagenet", weights.source, weights.sha256)


def plainly(weights: Weights, images: Tensor, wrap: bool = False, pool: Any = F.avg_pool2d) -> dict[str, Tensor]:
    """Every layer the weights reach, with the preparation done to the images."""
    if weights.preprocessing == "caffe":
        x = images[:, [2, 1, 0]] * 255 - CAFFE_MEAN
    else:
        x = (images - IMAGENET_MEAN) / IMAGENET_STD
    features = {}
    for name in ("1_1", "1_2", "2_1", "2_2", "3_1", "3_2", "3_3", "3_4")[: len(weights.layers)]:
        if name in ("2_1", "3_1"):
            x = pool(x, 2)
        key = {"1": 0, "2": 5, "3": 10}[name[0]] + 2 * (int(name[2]) - 1)
        if wrap:
            x = torch.cat([x[..., -1:], x, x[..., :1]], dim=3)
            x = torch.cat([x[..., -1:, :], x, x[..., :1, :]], dim=2)
        x = F.conv2d(x, weights.tensors[f"features.{key}.weight"], weights.tensors[f"features.{key}.bias"])
        x = x.clamp(min=0)
        features[f"relu{name}"] = x
    return features


def photo(height: int = 40, width: int = 48, batch: int = 2) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(1))


def assert_same(features: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float = 1e-5) -> None:
    for layer, feature in features.items():
        torch.testing.assert_close(feature, expected[layer], rtol=0, atol=tolerance * float(expected[layer].max()))


@pytest.fixture(scope="module")
def real() -> Weights:
    if not REAL.is_file():
        pytest.skip("the real weights are not on this machine")
    return read_weights(REAL)


@pytest.mark.parametrize("preprocessing", ["caffe", "imagenet"])
def test_features_are_those_of_the_plain_computation(preprocessing: str) -> None:
    weights = random_weights(preprocessing)
    features = VGG19(weights, SHALLOW)(photo())
    assert list(features) == list(SHALLOW)
    assert_same(features, plainly(weights, photo()))


def test_real_features_are_those_of_the_plain_computation(real: Weights) -> None:
    images = photo(64, 72, batch=1)
    features = VGG19(real, real.layers)(images)
    assert list(features) == list(LAYERS[:8])
    assert_same(features, plainly(real, images))


def test_weights_rewritten_for_the_other_preprocessing_give_the_same_features(real: Weights) -> None:
    images = photo(batch=1)
    assert_same(VGG19(as_imagenet(real), SHALLOW)(images), VGG19(real, SHALLOW)(images), tolerance=1e-4)


def test_the_preprocessings_are_not_interchangeable() -> None:
    caffe, imagenet = (VGG19(random_weights(kind), SHALLOW)(photo())["relu1_1"] for kind in ("caffe", "imagenet"))
    assert float((caffe - imagenet).norm() / caffe.norm()) > 0.5


def test_red_and_blue_are_told_apart() -> None:
    network = VGG19(random_weights(), ["relu1_1"])
    assert not torch.allclose(network(photo())["relu1_1"], network(photo().flip(1))["relu1_1"], rtol=0.1)


def test_max_pooling_is_there_for_the_asking() -> None:
    weights = random_weights()
    features = VGG19(weights, ["relu2_1"], pooling="max")(photo())
    assert_same(features, plainly(weights, photo(), pool=F.max_pool2d))


def test_circular_features_are_those_of_the_wrapped_image() -> None:
    weights = random_weights()
    features = VGG19(weights, SHALLOW)(photo(), wraps=True)
    assert features["relu1_2"].shape[2:] == (40, 48)
    assert features["relu2_1"].shape[2:] == (20, 24)
    assert_same(features, plainly(weights, photo(), wrap=True))


def test_rolling_a_torus_rolls_its_features() -> None:
    network = VGG19(random_weights(), SHALLOW)
    rolled = network(photo().roll((6, -10), dims=(2, 3)), wraps=True)
    for layer, feature in network(photo(), wraps=True).items():
        there = feature.roll((6 // stride(layer), -10 // stride(layer)), dims=(2, 3))
        torch.testing.assert_close(rolled[layer], there, rtol=1e-4, atol=1e-4 * float(there.max()))


def test_a_torus_of_odd_size_is_refused_where_pooling_would_tear_it() -> None:
    assert VGG19(random_weights(), ["relu1_2"])(photo(7, 9), wraps=True)["relu1_2"].shape[2:] == (7, 9)
    with pytest.raises(ValueError, match="multiples of 2 px"):
        VGG19(random_weights(), ["relu2_1"])(photo(8, 9), wraps=True)


@pytest.mark.parametrize("layer", LAYERS[:3])
def test_the_smallest_image_gives_one_feature_and_one_pixel_less_is_refused(layer: str) -> None:
    network = VGG19(random_weights(), [layer])
    side = receptive_field(layer)
    assert network(photo(side, side))[layer].shape[2:] == (1, 1)
    with pytest.raises(ValueError, match=f"{side} px"):
        network(photo(side, side - 1))


@pytest.mark.parametrize("layer", LAYERS[:3])
def test_a_feature_sees_its_receptive_field_and_nothing_else(layer: str) -> None:
    network = VGG19(random_weights(), [layer])
    images = photo(40, 40, batch=1).requires_grad_()
    feature = network(images)[layer]
    row, column = 3, 5
    feature[0, :, row, column].sum().backward()
    assert images.grad is not None
    seen = images.grad.abs().sum((0, 1)).nonzero()
    top, left = row * stride(layer), column * stride(layer)
    side = receptive_field(layer)
    assert seen.min(0).values.tolist() == [top, left]
    assert seen.max(0).values.tolist() == [top + side - 1, left + side - 1]


def test_receptive_fields_are_those_of_the_literature() -> None:
    sides = [receptive_field(f"relu{layer}") for layer in ("1_1", "1_2", "2_1", "2_2", "3_1", "3_4", "4_1", "5_1")]
    assert sides == [3, 5, 10, 14, 24, 48, 68, 156]


def test_nothing_deeper_than_the_deepest_layer_is_computed() -> None:
    assert list(VGG19(random_weights(), ["relu1_2"]).convolutions) == ["relu1_1", "relu1_2"]


def test_up_to_a_layer_the_features_are_the_same() -> None:
    network = VGG19(random_weights(), SHALLOW)
    everything, some = network(photo()), network(photo(), last="relu1_2")
    assert list(some) == [layer for layer in everything if layer.startswith("relu1")]
    assert all(torch.equal(found, everything[layer]) for layer, found in some.items())


def test_only_the_layers_asked_for_come_back() -> None:
    assert list(VGG19(random_weights(), ["relu2_1", "relu1_1"])(photo())) == ["relu1_1", "relu2_1"]


def test_layers_deeper_than_the_file_are_refused_with_what_it_has() -> None:
    with pytest.raises(UnusableWeights, match=r"relu3_1 cannot be .* relu1_1, relu1_2, relu2_1"):
        VGG19(random_weights(), ["relu1_1", "relu3_1"])
    assert VGG19(random_weights(), ["relu1_1"]).available == SHALLOW


@pytest.mark.parametrize("layers", [["conv1_1"], ["relu5_4"], []])
def test_layers_that_vgg19_has_not_are_refused(layers: list[str]) -> None:
    with pytest.raises(ValueError, match="relu1_1"):
        VGG19(random_weights(), layers)


@pytest.mark.parametrize("shape", [(3, 40, 40), (1, 4, 40, 40), (1, 1, 40, 40)], ids=str)
def test_what_is_no_batch_of_rgb_images_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"not \(B, 3, H, W\)"):
        VGG19(random_weights(), ["relu1_1"])(torch.zeros(shape))


def test_under_bfloat16_features_and_gradients_stay_close() -> None:
    network = VGG19(random_weights(), SHALLOW)

    def run(enabled: bool) -> tuple[Tensor, Tensor]:
        images = photo().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            feature = network(images)["relu2_1"]
        feature.float().square().mean().backward()
        assert images.grad is not None
        return feature.detach().float(), images.grad

    (feature, gradient), (exact, exact_gradient) = run(True), run(False)
    assert float((feature - exact).norm() / exact.norm()) < 0.02
    assert float((gradient - exact_gradient).norm() / exact_gradient.norm()) < 0.05


def test_the_network_is_frozen_and_leaves_its_weights_and_the_random_numbers_alone() -> None:
    weights = random_weights()
    before = {key: tensor.clone() for key, tensor in weights.tensors.items()}
    state = torch.get_rng_state()
    network = VGG19(weights, SHALLOW)
    network(photo().requires_grad_())["relu2_1"].sum().backward()
    assert torch.equal(torch.get_rng_state(), state)
    assert all(not parameter.requires_grad and parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(weights.tensors[key], tensor) for key, tensor in before.items())
    assert all(
        parameter.is_contiguous(memory_format=torch.channels_last)
        for parameter in network.parameters()
        if parameter.ndim == 4
    )
