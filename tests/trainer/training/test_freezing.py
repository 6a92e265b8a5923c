"""Facts about freezing: statistics of the population, the same at every calibration, folded without a trace."""

import random

import pytest
import torch
from torch import Tensor, nn

from server.model.maps import BASE_COLOUR
from server.model.torus import Size, Window
from server.network.generator import Generator
from server.network.texture import paint
from tests.models import TINY, TINY_LATTICE
from trainer.training.freezing import calibrate, folded, freeze, normalisation, normalisations, somewhere

SIDE = 48
KINDS = [(name, lattice) for name in ("taper", "pyramid") for lattice in (False, True)]
every_kind = pytest.mark.parametrize(("name", "lattice"), KINDS, ids=lambda value: str(value))


def in_training(name: str = "taper", lattice: bool = False) -> Generator:
    """A generator with normalisations whose scales and shifts are no longer 1 and 0."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(4)
        generator = Generator(TINY[name], (BASE_COLOUR,), TINY_LATTICE if lattice else None, normalisation)
        for norm in normalisations(generator):
            norm.weight.uniform_(0.5, 1.5)
            norm.bias.uniform_(-0.5, 0.5)
    return generator


def statistics(generator: Generator) -> list[tuple[Tensor, Tensor]]:
    found = []
    for norm in normalisations(generator):
        assert norm.running_mean is not None
        assert norm.running_var is not None
        found.append((norm.running_mean.clone(), norm.running_var.clone()))
    return found


def same(first: list[tuple[Tensor, Tensor]], second: list[tuple[Tensor, Tensor]]) -> bool:
    return all(
        torch.equal(mine, theirs)
        for one, other in zip(first, second, strict=True)
        for mine, theirs in zip(one, other, strict=True)
    )


@every_kind
def test_the_folded_generator_paints_what_the_frozen_one_does(name: str, lattice: bool) -> None:
    generator = in_training(name, lattice)
    calibrate(generator, SIDE, seed=1, samples=6)
    freeze(generator)
    served = folded(generator)
    size, window = Size(150, 133), Window(-10, 100, 90, 70)
    torch.testing.assert_close(
        paint(served, [1, 2], size, window), paint(generator, [1, 2], size, window), rtol=0, atol=1e-5
    )


def test_folding_leaves_no_normalisation_and_the_trained_generator_as_it_was() -> None:
    generator = in_training("pyramid", lattice=True)
    calibrate(generator, SIDE, seed=1, samples=2)
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    served = folded(generator)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in served.modules())
    assert not any(parameter.requires_grad for parameter in served.parameters())
    assert not served.training
    assert not list(served.buffers())
    assert {value.dtype for value in served.state_dict().values()} == {torch.float32}
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())
    assert served.architecture == generator.architecture
    assert (served.maps, served.lattice) == (generator.maps, generator.lattice)


@every_kind
def test_calibrated_statistics_are_those_of_fresh_seeds(name: str, lattice: bool) -> None:
    """24 fresh samples against 24 of the calibration: means within a tenth of a deviation, variances within 15 %.

    Both are averages over thousands of cells of the coarsest level, about a hundred independent ones per sample.
    """
    generator = in_training(name, lattice)
    calibrate(generator, SIDE, seed=1)
    seen: dict[nn.Module, list[Tensor]] = {norm: [] for norm in normalisations(generator)}
    for norm in seen:
        norm.register_forward_pre_hook(lambda module, inputs: seen[module].append(inputs[0].transpose(0, 1).flatten(1)))
    places = random.Random("fresh")
    for seed in range(24):
        paint(generator, [seed], *somewhere(places, SIDE))
    for norm, (mean, variance) in zip(seen, statistics(generator), strict=True):
        fresh = torch.cat(seen[norm], 1)
        assert ((fresh.mean(1) - mean).abs() < 0.1 * variance.sqrt()).all()
        assert ((fresh.var(1) / variance).log().abs() < 0.15).all()


def test_statistics_count_the_variance_between_samples_too() -> None:
    """One pixel per sample has no variance of its own at all."""
    generator = in_training()
    norm = normalisations(generator)[0]
    seen: list[Tensor] = []
    norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].transpose(0, 1).flatten(1)))
    calibrate(generator, SIDE, seed=1, samples=3)
    mean, variance = statistics(generator)[0]
    samples = torch.stack([torch.stack((one.mean(1), one.square().mean(1))) for one in seen]).mean(0)
    torch.testing.assert_close(mean, samples[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(variance, samples[1] - samples[0].square(), rtol=1e-4, atol=1e-5)
    assert (variance >= torch.stack([one.var(1, correction=0) for one in seen]).mean(0) - 1e-6).all()


def test_calibration_is_repeatable_and_follows_its_seed() -> None:
    generator = in_training("taper", lattice=True)
    calibrate(generator, SIDE, seed=1, samples=4)
    first = statistics(generator)
    calibrate(generator, SIDE, seed=1, samples=4)
    assert same(statistics(generator), first)
    freeze(generator)  # what was calibrated before must not lead the next calibration
    torch.manual_seed(99)
    random.seed(99)
    calibrate(generator, SIDE, seed=1, samples=4)
    assert same(statistics(generator), first)
    calibrate(generator, SIDE, seed=2, samples=4)
    assert not same(statistics(generator), first)


def test_calibration_changes_no_weight_and_leaves_no_hook() -> None:
    generator = in_training()
    before = [parameter.detach().clone() for parameter in generator.parameters()]
    calibrate(generator, SIDE, seed=1, samples=2)
    assert all(torch.equal(*pair) for pair in zip(generator.parameters(), before, strict=True))
    calibrated = statistics(generator)
    paint(generator, [5], Size(64, 64), Window(0, 0, 64, 64))  # training goes on with the batch's own statistics
    assert same(statistics(generator), calibrated)
    assert not any(norm._forward_pre_hooks for norm in normalisations(generator))


def test_only_a_frozen_generator_forgets_its_batch_mates() -> None:
    generator, size, window = in_training(), Size(64, 64), Window(0, 0, 64, 64)
    calibrate(generator, SIDE, seed=1, samples=2)

    def shift_by_a_mate() -> float:
        return float((paint(generator, [1, 2], size, window)[0] - paint(generator, [1], size, window)[0]).abs().max())

    assert shift_by_a_mate() > 1e-3
    freeze(generator)
    assert shift_by_a_mate() < 1e-5
    freeze(generator, False)
    assert shift_by_a_mate() > 1e-3


def test_frozen_weights_can_still_be_trained() -> None:
    generator = in_training()
    calibrate(generator, SIDE, seed=1, samples=2)
    freeze(generator)
    assert all(parameter.requires_grad for parameter in generator.parameters())
    assert not any(norm.training for norm in normalisations(generator))


def test_places_are_tori_of_one_to_four_sides_and_windows_anywhere_on_them() -> None:
    places = [somewhere(random.Random(seed), 48) for seed in range(300)]
    assert all(48 <= side < 192 for size, _ in places for side in (size.height, size.width))
    assert all((window.height, window.width) == (48, 48) for _, window in places)
    assert all(0 <= window.top < size.height and 0 <= window.left < size.width for size, window in places)
    assert len({size for size, _ in places}) > 250
