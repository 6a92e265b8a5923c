"""Which descriptor is taken, what is said of it, and which terms its objective has."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from server.model.lattice import Lattice
from server.model.maps import BASE_COLOUR, HEIGHT, Map
from server.model.torus import Size, Window
from tests.drawn import gravel
from trainer.descriptor import descriptors as module
from trainer.descriptor.descriptors import (
    CHOICES,
    LAYERS,
    BuiltinDescriptor,
    Descriptor,
    VGG19Descriptor,
    choose_descriptor,
)
from trainer.descriptor.vgg19 import VGG19
from trainer.descriptor.weights import CONVOLUTIONS, UnusableWeights, Weights, WeightsUnavailable
from trainer.loss.losses import Place

CPU = torch.device("cpu")
LATTICE = Lattice(basis=((1 / 24, 0.0), (0.0, 1 / 24)), harmonics=((1, 0), (0, 1)), strength=0.5)
PLACE = Place(Size(200, 220), Window(10, 30, 96, 96), 0)
WHOLE = Window(0, 0, 192, 192)


@pytest.fixture(scope="module")
def weights() -> Weights:
    """VGG-19's shapes down to relu3_4, filled by a seed."""
    random = torch.Generator().manual_seed(1)
    tensors = {}
    for conv in CONVOLUTIONS[:8]:
        shape = (conv.channels_out, conv.channels_in, 3, 3)
        tensors[f"{conv.key}.weight"] = torch.randn(shape, generator=random) * (2 / (9 * conv.channels_in)) ** 0.5
        tensors[f"{conv.key}.bias"] = torch.zeros(conv.channels_out)
    return Weights(tensors, "caffe", "a test", "ab" * 32)


@pytest.fixture(scope="module")
def swatch() -> Tensor:
    return gravel(96, 96, stone=7)


def forbidden(file: Path | None, *, download: bool) -> Weights:
    raise AssertionError("weights were looked for")


def unavailable(file: Path | None, *, download: bool) -> Weights:
    raise WeightsUnavailable("the network is down")


def test_the_built_in_descriptor_never_looks_for_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_weights", forbidden)
    said: list[str] = []
    assert choose_descriptor("builtin", None, CPU, said.append).name == "builtin"
    assert said == []


def test_the_built_in_network_makes_twice_as_many_steps_in_the_same_time(weights: Weights) -> None:
    assert descriptor("vgg19", weights).iterations == 1000
    assert descriptor("builtin", weights).iterations == 2000


@pytest.mark.parametrize("choice", ["auto", "vgg19"])
def test_vgg19_is_taken_where_it_can_be_had_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch, weights: Weights, choice: str
) -> None:
    monkeypatch.setattr(module, "find_weights", lambda file, download: weights)
    said: list[str] = []
    assert choose_descriptor(choice, None, CPU, said.append).name == "vgg19"
    assert said == ["Using VGG-19 as the descriptor, weights from a test (caffe preprocessing)."]


def test_the_named_file_is_the_one_that_is_read(monkeypatch: pytest.MonkeyPatch, weights: Weights) -> None:
    asked: list[tuple[Path | None, bool]] = []

    def find(file: Path | None, *, download: bool) -> Weights:
        asked.append((file, download))
        return weights

    monkeypatch.setattr(module, "find_weights", find)
    for choice in ("auto", "vgg19"):
        choose_descriptor(choice, Path("mine.pth"), CPU, lambda text: None)
    assert asked == [(Path("mine.pth"), False), (Path("mine.pth"), True)], "auto downloads nothing"


def test_auto_takes_the_built_in_descriptor_and_says_what_else_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_weights", unavailable)
    said: list[str] = []
    assert choose_descriptor("auto", None, CPU, said.append).name == "builtin"
    assert len(said) == 1
    assert "built-in descriptor" in said[0]
    assert "--descriptor vgg19" in said[0]


def test_vgg19_asked_for_and_not_to_be_had_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_weights", unavailable)
    with pytest.raises(WeightsUnavailable, match=r"network is down.*--descriptor builtin"):
        choose_descriptor("vgg19", None, CPU, lambda text: None)


@pytest.mark.parametrize("choice", ["auto", "vgg19"])
@pytest.mark.parametrize("named_by", ["option", "environment"])
def test_a_bad_file_that_was_named_is_an_error_whatever_the_choice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, choice: str, named_by: str
) -> None:
    """Whoever names a file wants it; quietly training with something else would waste the time."""
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"no weights")
    monkeypatch.setenv("TEXTURE_VGG19", str(bad if named_by == "environment" else tmp_path / "unused"))
    with pytest.raises(UnusableWeights, match=r"bad\.safetensors") as refused:
        choose_descriptor(choice, bad if named_by == "option" else None, CPU, lambda text: None)
    assert not isinstance(refused.value, WeightsUnavailable)


def test_weights_that_end_too_early_are_an_error(monkeypatch: pytest.MonkeyPatch, weights: Weights) -> None:
    shallow = {f"{conv.key}.{part}" for conv in CONVOLUTIONS[:4] for part in ("weight", "bias")}
    cut = Weights({key: weights.tensors[key] for key in shallow}, "caffe", "a test", "ab" * 32)
    monkeypatch.setattr(module, "find_weights", lambda file, download: cut)
    with pytest.raises(UnusableWeights, match="relu3_4 cannot be computed"):
        choose_descriptor("auto", None, CPU, lambda text: None)


@pytest.mark.parametrize("name", [choice for choice in CHOICES if choice != "auto"])
def test_an_objective_has_a_cell_term_only_with_a_lattice(swatch: Tensor, weights: Weights, name: str) -> None:
    made = descriptor(name, weights)
    without, having = (made.objective(swatch, lattice, 48, 0) for lattice in (None, LATTICE))
    assert "cell" not in without.names
    assert having.names == [*without.names, "cell"]


def test_a_weak_lattice_pulls_weakly(swatch: Tensor) -> None:
    weak = Lattice(basis=LATTICE.basis, harmonics=LATTICE.harmonics, strength=0.1)
    weights = [BuiltinDescriptor().objective(swatch, lattice, 48, 0).weights[-1] for lattice in (weak, LATTICE)]
    assert 0 < weights[0] < weights[1]


@pytest.mark.parametrize("lattice", [None, LATTICE], ids=["noise", "lattice"])
@pytest.mark.parametrize("name", [choice for choice in CHOICES if choice != "auto"])
def test_an_objective_is_one_number_that_prefers_the_swatch_and_has_a_slope(
    swatch: Tensor, weights: Weights, name: str, lattice: Lattice | None
) -> None:
    objective = descriptor(name, weights).objective(swatch, lattice, 48, 0)
    grey = torch.full_like(swatch, 0.5).requires_grad_()
    loss = objective(grey, PLACE)
    assert loss.shape == ()
    assert 0 <= objective(swatch, PLACE).item() < loss.item()
    loss.backward()
    assert grey.grad is not None
    assert grey.grad.isfinite().all()
    assert grey.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("maps", "lattice", "sides"),
    [((BASE_COLOUR,), None, {48}), ((BASE_COLOUR, HEIGHT), None, {48, 24}), ((BASE_COLOUR, HEIGHT), LATTICE, {48})],
    ids=["colour", "set", "set on a lattice"],
)
def test_the_large_shapes_of_a_set_are_looked_at_an_eighth_in_size(
    maps: tuple[Map, ...], lattice: Lattice | None, sides: set[int]
) -> None:
    made = BuiltinDescriptor()
    objective = made.objective(torch.rand(1, sum(each.channels for each in maps), 192, 192), lattice, 48, 0, maps)
    seen = set()
    made.network.register_forward_hook(lambda network, arguments, found: seen.add(arguments[0].shape[2]))
    objective(torch.rand(1, sum(each.channels for each in maps), 192, 192), Place(Size(192, 192), WHOLE, 0))
    assert seen == sides


def test_a_batch_is_looked_at_as_a_whole(swatch: Tensor, weights: Weights) -> None:
    for name in ("builtin", "vgg19"):
        objective = descriptor(name, weights).objective(swatch, LATTICE, 48, 0)
        twice = objective(swatch.expand(2, -1, -1, -1), PLACE)
        torch.testing.assert_close(twice, objective(swatch, PLACE), rtol=0.02, atol=0.02)


def descriptor(name: str, weights: Weights) -> Descriptor:
    return BuiltinDescriptor() if name == "builtin" else VGG19Descriptor(VGG19(weights, LAYERS))
