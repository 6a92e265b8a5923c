"""The training of a tiny generator: what it reaches, that it repeats, and what it does when things go wrong."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from server.model.architecture import PRESETS
from server.model.lattice import Lattice
from server.model.maps import BASE_COLOUR, ROUGHNESS, Map
from server.model.torus import Size, Window
from server.network.generator import Generator
from server.network.texture import paint, paint_with_gradients
from tests.drawn import gravel, square_tiles
from tests.models import TINY
from trainer.descriptor.descriptors import BuiltinDescriptor, Descriptor
from trainer.loss.losses import FoldedCellLoss, Place, Sum
from trainer.loss.patches import SlicedPatchLoss
from trainer.training import texture
from trainer.training import training as module
from trainer.training.freezing import freeze, normalisations
from trainer.training.recipe import Recipe
from trainer.training.texture import JUDGE_STEP, TextureTraining
from trainer.training.training import MAX_RECOVERIES, Progress, State, TrainingFailed

CPU = torch.device("cpu")
TINY_RECIPE = {"arch": "taper", "iterations": 12, "size": 64}
LATTICE = Lattice(basis=((1 / 24, 0.0), (0.0, 1 / 24)), harmonics=((1, 0), (0, 1)), strength=0.5)

Objective = Callable[[Tensor, Place], Tensor]


@pytest.fixture(scope="module")
def swatch() -> Tensor:
    return gravel(96, 96, stone=7)


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three narrow levels, small windows, a judgement every fourth step."""
    monkeypatch.setattr(Recipe, "MIN_SIZE", 48)
    monkeypatch.setattr(module, "JUDGE_EVERY", 4)
    for name, architecture in TINY.items():
        monkeypatch.setitem(PRESETS, name, architecture)


class Patches:
    """Quick to make and to ask; what a training does when it goes well or wrong is the same whatever it looks with."""

    name = "patches"

    def objective(
        self, swatch: Tensor, lattice: Lattice | None, side: int | None, seed: int, maps: Sequence[Map] = (BASE_COLOUR,)
    ) -> Sum:
        patches = SlicedPatchLoss(swatch, scales=3, side=side, patch=5, directions=16, seed=seed)
        cell = [("cell", 1.0, FoldedCellLoss(swatch, lattice))] if lattice else []
        return Sum(("patch", 1.0, patches), *cell)


def start(
    swatch: Tensor,
    lattice: Lattice | None = None,
    descriptor: Descriptor = Patches(),  # noqa: B008, it has no state
    *,
    say: Callable[[str], None] = print,
    **recipe: Any,
) -> TextureTraining:
    return TextureTraining(swatch, lattice, descriptor, Recipe(**{**TINY_RECIPE, **recipe}), device=CPU, say=say)


def trained(swatch: Tensor, lattice: Lattice | None = None, **recipe: Any) -> State:
    training = start(swatch, lattice, **recipe)
    run(training)
    return training.finished().state_dict()


def run(training: TextureTraining, until: int | None = None) -> list[Progress]:
    told = []
    for progress in training.run():
        told.append(progress)
        if progress.step == until:
            break
    return told


def equal(one: State, other: State) -> bool:
    assert one.keys() == other.keys()
    return all(torch.equal(value, other[name]) for name, value in one.items())


def finite(state: State) -> bool:
    return all(bool(value.isfinite().all()) for value in state.values())


class Fault:
    """Spoils the objective of a training when `when(step, how often before)` says so. Judgements are left alone."""

    def __init__(
        self, training: TextureTraining, spoil: Callable[[Tensor, Tensor], Tensor], when: Callable[[int, int], bool]
    ) -> None:
        self.spoil, self.when, self.happened = spoil, when, 0
        make = training.make_objective
        training.make_objective = lambda: self.around(make())  # type: ignore[assignment,return-value]
        training.objective = training.make_objective()

    def around(self, objective: Objective) -> Objective:
        def spoilt(images: Tensor, place: Place) -> Tensor:
            loss = objective(images, place)
            if place.step < JUDGE_STEP and self.when(place.step, self.happened):
                self.happened += 1
                return self.spoil(loss, images)
            return loss

        return spoilt


def raising(error: BaseException) -> Callable[[Tensor, Tensor], Tensor]:
    def spoil(loss: Tensor, images: Tensor) -> Tensor:
        raise error

    return spoil


def to_nan(loss: Tensor, images: Tensor) -> Tensor:
    return loss * math.nan


def to_infinity(loss: Tensor, images: Tensor) -> Tensor:
    return loss * math.inf


def to_endless_slope(loss: Tensor, images: Tensor) -> Tensor:
    """A finite loss whose gradient is NaN: the slope of a root at zero."""
    return loss + (images.sum() * 0).sqrt()


def judgements(monkeypatch: pytest.MonkeyPatch, *losses: float) -> None:
    each = iter(losses)
    monkeypatch.setattr(TextureTraining, "judged_loss", lambda self: next(each))


def snapshots(training: TextureTraining) -> dict[int, State]:
    """The generator after every step, to the end."""
    return {
        progress.step: {name: value.clone() for name, value in training.generator.state_dict().items()}
        for progress in training.run()
    }


# ---------------------------------------------------------------------------------------------------------- recipes


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("iterations", 0),
        ("iterations", -5),
        ("iterations", 1_000_001),
        ("batch", 0),
        ("batch", 65),
        ("size", 47),
        ("size", 2049),
        ("seed", -1),
        ("seed", 2**32),
        ("arch", "resnet"),
        ("rate", 0.0),
        ("rate", -0.1),
        ("rate", 1.5),
        ("rate", math.nan),
        ("rate", math.inf),
    ],
)
def test_a_recipe_refuses_nonsense_and_names_the_field(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{field} is .*must be") as refused:
        Recipe(**{field: value})
    assert str(value) in str(refused.value)


def test_the_extremes_of_a_recipe_are_allowed() -> None:
    Recipe(iterations=1, batch=1, size=48, seed=0, rate=1e-9)
    Recipe(iterations=1_000_000, batch=64, size=2048, seed=2**32 - 1, rate=1.0)


# --------------------------------------------------------------------------------------------------------- learning


@pytest.mark.parametrize("descriptor", [Patches(), BuiltinDescriptor()], ids=["patches", "builtin"])
@pytest.mark.parametrize("arch", ["taper", "pyramid"])
def test_the_loss_falls(swatch: Tensor, arch: str, descriptor: Descriptor) -> None:
    losses = [progress.loss for progress in run(start(swatch, descriptor=descriptor, iterations=40, arch=arch))]
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


def test_a_lattice_is_trained_with(swatch: Tensor) -> None:
    """The generator gets its waves, the objective its folded cell, and the wave channels learn."""
    tiles = square_tiles(96, 96, tile=(24, 24))
    training = start(tiles, LATTICE)
    before = {name: value.clone() for name, value in training.generator.named_parameters()}
    assert training.objective.names[-1] == "cell"
    run(training)
    assert training.finished().lattice == LATTICE
    waves = 2 * len(training.generator.harmonics[0])
    moved = training.generator.get_parameter("levels.0.blocks.0.conv.weight") - before["levels.0.blocks.0.conv.weight"]
    assert waves
    assert moved[:, -waves:].abs().min() > 0


def test_the_finished_generator_is_frozen_and_holds_no_normalisation(swatch: Tensor) -> None:
    training = start(swatch)
    run(training)
    finished = training.finished()
    assert not normalisations(finished)
    assert not any(parameter.requires_grad for parameter in finished.parameters())
    assert all(value.dtype == torch.float32 and value.device == CPU for value in finished.state_dict().values())


def test_the_rate_rises_and_then_falls(swatch: Tensor) -> None:
    rates = [progress.rate for progress in run(start(swatch, iterations=30, rate=0.02))]
    peak = rates.index(max(rates))
    assert 1 <= peak <= 4  # a tenth of the steps, of which the first is already done
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert 0.015 < rates[peak] <= 0.0201
    assert rates[-1] < 1e-4


# -------------------------------------------------------------------------------------------------------- repeating


def test_the_same_seed_gives_the_same_model_to_the_bit(swatch: Tensor) -> None:
    assert equal(trained(swatch, seed=5), trained(swatch, seed=5))


def test_another_seed_gives_another_model(swatch: Tensor) -> None:
    assert not equal(trained(swatch, seed=5), trained(swatch, seed=6))


def test_random_numbers_of_others_neither_matter_nor_are_touched(swatch: Tensor) -> None:
    torch.manual_seed(1)
    one = start(swatch, iterations=3)
    run(one)
    after = torch.rand(3)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(3), after)
    other = start(swatch, iterations=3)
    run(other)
    assert equal(one.state(), other.state())


@pytest.mark.parametrize("cut", [3, 4, 9, 10, 11])
def test_a_resumed_training_is_the_same_training_to_the_bit(swatch: Tensor, cut: int) -> None:
    """Cut before, at and after the first judgement (4) and the freezing of the statistics (before step 10 of 12)."""
    whole = start(swatch, LATTICE)
    losses = [progress.loss for progress in run(whole)]
    first = start(swatch, LATTICE)
    run(first, until=cut)
    second = start(swatch, LATTICE)
    second.load_state(first.state())
    assert [progress.loss for progress in run(second)] == losses[cut:]
    assert equal(second.finished().state_dict(), whole.finished().state_dict())


@pytest.mark.parametrize("cut", [2, 6, 11])
def test_taking_the_model_out_leaves_the_training_as_it_was(swatch: Tensor, cut: int) -> None:
    """A stopped training writes its best model and then its checkpoint: that must hold the training, not the model."""
    training = start(swatch)
    run(training, until=cut)
    before = training.state()
    training.finished()
    assert equal(training.state(), before)
    run(training)
    assert equal(training.finished().state_dict(), trained(swatch))


def test_a_state_is_a_copy(swatch: Tensor) -> None:
    training = start(swatch)
    run(training, until=5)
    state = training.state()
    kept = {name: value.clone() for name, value in state.items()}
    run(training)
    assert equal(state, kept)


def test_the_state_of_another_generator_is_refused(swatch: Tensor) -> None:
    with pytest.raises((KeyError, RuntimeError)):
        start(swatch).load_state(start(swatch, arch="pyramid").state())


# ---------------------------------------------------------------------------------------------------------- judging


def test_the_best_judged_state_wins(swatch: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texture, "FROZEN_FROM", 2.0)
    judgements(monkeypatch, 3.0, 1.0, 2.0)  # after steps 4, 8 and 12
    training = start(swatch)
    after = snapshots(training)
    assert training.best_loss == 1.0
    assert equal(training.best, after[8])
    assert torch.equal(training.finished().paint.weight, after[8]["paint.weight"])


def test_once_frozen_only_frozen_states_count(swatch: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    judgements(monkeypatch, 0.1, 0.2, 5.0, 4.0)  # after steps 4 and 8, on freezing after step 10, after step 12
    training = start(swatch)
    after = snapshots(training)
    assert training.best_loss == 4.0
    assert equal(training.best, after[12])
    assert torch.equal(training.finished().paint.weight, after[12]["paint.weight"])


def test_a_judgement_that_is_not_finite_never_wins(swatch: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texture, "FROZEN_FROM", 2.0)
    judgements(monkeypatch, 3.0, math.nan, -math.inf)
    training = start(swatch)
    after = snapshots(training)
    assert equal(training.best, after[4])


def test_a_set_is_painted_on_larger_tori_than_a_colour(swatch: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    sides: list[int] = []

    def painted(generator: Generator, seeds: list[int], size: Size, window: Window) -> Tensor:
        assert (window.height, window.width) == (size.height, size.width)
        sides.append(size.height)
        return paint_with_gradients(generator, seeds, size, window)

    monkeypatch.setattr(texture, "paint_with_gradients", painted)
    rough = torch.cat([swatch, swatch[:, :1]], 1)
    reached = []
    for pixels, maps in ((swatch, (BASE_COLOUR,)), (rough, (BASE_COLOUR, ROUGHNESS))):
        recipe = Recipe(arch="taper", iterations=12, size=96)
        run(TextureTraining(pixels, None, Patches(), recipe, maps=maps, device=CPU))
        reached.append((min(sides), max(sides)))
        sides.clear()
    assert reached == [(80, 112), (112, 144)]


def test_judging_repeats_and_looks_at_other_seeds_than_training(
    swatch: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = start(swatch)
    judged: list[int] = []
    stepped: list[int] = []

    def noting(seen: list[int], original: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def painted(generator: Generator, seeds: list[int], size: Size, window: Window) -> Tensor:
            seen.extend(seeds)
            return original(generator, seeds, size, window)

        return painted

    monkeypatch.setattr(texture, "paint", noting(judged, paint))
    monkeypatch.setattr(texture, "paint_with_gradients", noting(stepped, paint_with_gradients))
    run(training, until=8)
    assert training.judged_loss() == training.judged_loss()
    assert set(judged) == set(texture.JUDGE_SEEDS)
    assert len(stepped) == len(set(stepped)) == 8
    assert not set(stepped) & set(judged)


def test_the_last_step_is_always_judged(swatch: Tensor) -> None:
    assert [progress.step for progress in run(start(swatch, iterations=7)) if progress.judged] == [4, 7]


# --------------------------------------------------------------------------------------------------------- freezing


def test_statistics_are_frozen_for_the_last_part_of_the_training(swatch: Tensor) -> None:
    training = start(swatch, iterations=10)
    held: list[Tensor] = []
    for progress in training.run():
        norms = normalisations(training.generator)
        frozen = progress.step > texture.FROZEN_FROM * 10
        assert [norm.training for norm in norms] == [not frozen] * len(norms)
        if frozen:
            held.append(torch.cat([statistic for norm in norms for statistic in (norm.running_mean, norm.running_var)]))  # type: ignore[misc]
    assert len(held) == 2
    assert torch.equal(held[0], held[1])
    assert held[0].isfinite().all()
    assert (held[0] != 0).any()


def test_weights_still_learn_after_the_freezing(swatch: Tensor) -> None:
    after = snapshots(start(swatch, iterations=10))
    assert not torch.equal(after[9]["levels.0.blocks.0.conv.weight"], after[10]["levels.0.blocks.0.conv.weight"])


@pytest.mark.parametrize("lattice", [None, LATTICE], ids=["noise", "lattice"])
def test_freezing_keeps_the_loss_of_the_normalised_generator(
    swatch: Tensor, monkeypatch: pytest.MonkeyPatch, lattice: Lattice | None
) -> None:
    """Stopped early, never frozen in training: the served generator is as good as the one that was judged."""
    monkeypatch.setattr(texture, "FROZEN_FROM", 2.0)
    training = start(swatch, lattice, iterations=30, size=128)
    run(training)
    assert training.judged_loss(training.finished()) == pytest.approx(training.best_loss, rel=0.05)


def test_folding_changes_nothing_that_was_judged_frozen(swatch: Tensor) -> None:
    training = start(swatch, iterations=30)
    run(training)
    assert training.judged_loss(training.finished()) == pytest.approx(training.best_loss, rel=0.02)  # bfloat16's grain
    training.generator.load_state_dict(training.best)
    freeze(training.generator, False)
    # of tiny windows, each with statistics of its own
    assert training.judged_loss() == pytest.approx(training.best_loss, rel=0.2)


# ------------------------------------------------------------------------------------------------------- going back


@pytest.mark.parametrize("spoil", [to_nan, to_infinity, to_endless_slope], ids=["nan", "infinity", "gradient"])
def test_a_loss_that_is_no_number_leads_back_to_the_last_good_state(
    swatch: Tensor, spoil: Callable[[Tensor, Tensor], Tensor]
) -> None:
    said: list[str] = []
    training = start(swatch, say=said.append)
    Fault(training, spoil, lambda step, before: step == 6 and before == 0)
    told = run(training)
    assert [progress.step for progress in told] == [1, 2, 3, 4, 5, 6, 5, 6, 7, 8, 9, 10, 11, 12]
    assert told[6].rate == pytest.approx(told[4].rate / 2, rel=1e-3)
    assert len(said) == 1
    assert "back to iteration 4" in said[0]
    assert "half the learning rate" in said[0]
    assert all(math.isfinite(progress.loss) for progress in told)
    assert finite(training.finished().state_dict())


def test_going_back_restores_the_state_to_the_bit(swatch: Tensor) -> None:
    training = start(swatch, say=lambda text: None)
    run(training, until=4)
    good = training.state()
    Fault(training, to_nan, lambda step, before: step == 6 and before == 0)
    at_five: list[State] = []
    for progress in training.run():
        if progress.step == 5:
            at_five.append(training.state())
        if len(at_five) == 2:
            break
    again = start(swatch)
    again.load_state(good)
    again.recoveries, again.damping = 1, 0.5
    run(again, until=5)
    assert equal({**again.state()}, at_five[1])
    assert not equal(at_five[0], at_five[1])


def test_every_return_halves_the_rate_again(swatch: Tensor) -> None:
    """Also when there was no judgement in between, so that it is the same state twice."""
    said: list[str] = []
    training = start(swatch, say=said.append)
    Fault(training, to_nan, lambda step, before: step == 6 and before < 3)
    told = run(training)
    assert [progress.rate for progress in told if progress.step == 5] == pytest.approx(
        [told[4].rate / 2**times for times in range(4)], rel=1e-3
    )
    assert len(said) == 3


def test_the_lower_rate_outlives_a_checkpoint(swatch: Tensor) -> None:
    training = start(swatch, say=lambda text: None)
    Fault(training, to_nan, lambda step, before: step == 6 and before < 2)
    whole = run(training)
    first = start(swatch, say=lambda text: None)
    Fault(first, to_nan, lambda step, before: step == 6 and before < 2)
    told: list[Progress] = []
    for progress in first.run():
        told.append(progress)
        if progress.step == 7:
            break
    second = start(swatch)
    second.load_state(first.state())
    assert run(second) == whole[len(told) :]


def test_a_loss_that_explodes_leads_back_too(swatch: Tensor) -> None:
    said: list[str] = []
    training = start(swatch, iterations=40, say=said.append)
    Fault(training, lambda loss, images: loss * 1000, lambda step, before: step == 30 and before == 0)
    steps = [progress.step for progress in run(training)]
    assert steps == [*range(1, 31), *range(29, 41)]
    assert len(said) == 1
    assert "back to iteration 28" in said[0]
    assert finite(training.finished().state_dict())


def test_before_the_first_judgement_the_beginning_is_the_good_state(swatch: Tensor) -> None:
    training = start(swatch, say=lambda text: None)
    Fault(training, to_nan, lambda step, before: step == 2 and before == 0)
    assert [progress.step for progress in run(training, until=3)] == [1, 2, 1, 2, 3]


def test_going_back_past_the_freezing_thaws_and_freezes_again(swatch: Tensor) -> None:
    training = start(swatch, iterations=12, say=lambda text: None)
    Fault(training, to_nan, lambda step, before: step == 11 and before == 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TextureTraining, "judged_loss", lambda self: math.nan if self.frozen else 1.0)
        modes = [
            (progress.step, normalisations(training.generator)[0].training, training.frozen)
            for progress in training.run()
        ]
    assert modes[8:14] == [
        (9, True, False),
        (10, True, False),
        (11, False, True),
        (9, True, False),
        (10, True, False),
        (11, False, True),
    ]


def test_a_loss_that_never_recovers_ends_in_a_sentence_and_a_sound_generator(swatch: Tensor) -> None:
    said: list[str] = []
    training = start(swatch, say=said.append)
    Fault(training, to_nan, lambda step, before: step >= 6)
    with pytest.raises(TrainingFailed, match=r"Try a lower --rate, or another --seed\.$") as failed:
        run(training)
    assert f"{MAX_RECOVERIES + 1} times" in str(failed.value)
    assert len(said) == MAX_RECOVERIES
    assert training.best
    assert finite(training.finished().state_dict())


# --------------------------------------------------------------------------------------------------- out of memory

OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: …"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:80] data. DefaultCPUAllocator: not enough memory: you tried …"),
    RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB)"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("std::bad_alloc"),
    MemoryError(),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: str(error)[:30] or type(error).__name__)
def test_out_of_memory_halves_the_batch_and_goes_on(swatch: Tensor, error: BaseException) -> None:
    said: list[str] = []
    training = start(swatch, iterations=4, batch=2, say=said.append)
    Fault(training, raising(error), lambda step, before: step == 1 and before == 0)
    assert [progress.step for progress in run(training)] == [1, 2, 3, 4]
    assert (training.batch, training.size) == (1, 64)
    assert said == ["Out of memory: continuing with 1 sample(s) of 64 pixels per step."]


def test_out_of_memory_at_a_single_window_shrinks_it_down_to_the_smallest(swatch: Tensor) -> None:
    said: list[str] = []
    sizes: list[tuple[int, ...]] = []
    training = start(swatch, iterations=4, batch=4, size=80, say=said.append)
    Fault(training, raising(MemoryError()), lambda step, before: step == 1 and before < 4)
    for _ in training.run():
        sizes.append((training.batch, training.size))
    assert sizes == [(4, 80), (1, 48), (1, 48), (1, 48)]
    assert ["of 80" in text for text in said] == [True, True, False, False]
    assert ["2 sample(s)" in text for text in said] == [True, False, False, False]
    assert finite(training.finished().state_dict())


def test_too_little_memory_for_the_smallest_window_ends_in_a_sentence(swatch: Tensor) -> None:
    training = start(swatch, batch=2, say=lambda text: None)
    Fault(training, raising(MemoryError()), lambda step, before: True)
    with pytest.raises(TrainingFailed, match=r"not even on one sample of 48 pixels\..*--device cpu\.$"):
        run(training)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"),
        RuntimeError("Unsupported memory format option Preserve"),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        ZeroDivisionError("division by zero"),
    ],
    ids=str,
)
def test_other_errors_are_not_taken_for_a_lack_of_memory(swatch: Tensor, error: Exception) -> None:
    said: list[str] = []
    training = start(swatch, batch=2, say=said.append)
    Fault(training, raising(error), lambda step, before: step == 1)
    with pytest.raises(type(error)) as raised:
        run(training)
    assert raised.value is error
    assert said == []


def test_a_training_on_smaller_windows_resumes_as_the_same_training(swatch: Tensor) -> None:
    whole = start(swatch, say=lambda text: None)
    Fault(whole, raising(MemoryError()), lambda step, before: step == 2 and before == 0)
    losses = [progress.loss for progress in run(whole)]
    first = start(swatch, say=lambda text: None)
    Fault(first, raising(MemoryError()), lambda step, before: step == 2 and before == 0)
    run(first, until=6)
    second = start(swatch)
    second.load_state(first.state())
    assert second.size == 48
    assert [progress.loss for progress in run(second)] == losses[6:]
    assert equal(second.finished().state_dict(), whole.finished().state_dict())


def test_going_back_keeps_the_smaller_windows(swatch: Tensor) -> None:
    """What did not fit into memory once would not fit again."""
    training = start(swatch, batch=2, say=lambda text: None)
    Fault(training, raising(MemoryError()), lambda step, before: step == 5 and before < 2)
    Fault(training, to_nan, lambda step, before: step == 6 and before == 0)
    run(training)
    assert (training.batch, training.size) == (1, 48)


def test_losses_of_smaller_windows_are_not_held_against_those_of_larger_ones(
    swatch: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texture, "FROZEN_FROM", 2.0)
    judgements(monkeypatch, 1.0, 3.0, 2.0)
    training = start(swatch, say=lambda text: None)
    Fault(training, raising(MemoryError()), lambda step, before: step == 5 and before == 0)
    after = snapshots(training)
    assert equal(training.best, after[12])
    assert training.best_loss == 2.0


def test_the_recipe_stays_what_was_asked_for(swatch: Tensor) -> None:
    training = start(swatch, batch=2, say=lambda text: None)
    asked = replace(training.recipe)
    Fault(training, raising(MemoryError()), lambda step, before: step == 1 and before < 2)
    run(training, until=3)
    assert training.recipe == asked


def test_modules_are_left_in_training_only_where_they_learn(swatch: Tensor) -> None:
    """The objective has nothing that is trained: its parameters would otherwise drift with the generator's."""
    assert isinstance(start(swatch).objective, nn.Module)
    assert list(start(swatch).objective.parameters()) == []
