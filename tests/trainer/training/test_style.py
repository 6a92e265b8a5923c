"""A style in training: the loss goes by the strength, training lowers it, and a resumed training is the same one."""

import random

import pytest
import torch
from torch import Tensor

from server.model.style_architecture import PRESETS, StyleArchitecture
from tests.drawn import gravel
from trainer.descriptor.descriptors import BuiltinDescriptor
from trainer.loss.style_losses import StyleObjective, unsteadiness
from trainer.swatch.contents import Drawn
from trainer.training.recipe import Recipe
from trainer.training.style import StyleTraining
from trainer.training.training import State

CPU = torch.device("cpu")
TINY = StyleArchitecture(name="residual", widths=(4, 6), blocks=1, noise=(1,))


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.descriptor.descriptors.STYLE_SCALES", 2)
    monkeypatch.setattr("trainer.training.style.JUDGED", 2)
    monkeypatch.setitem(PRESETS, "residual", TINY)


@pytest.fixture(scope="module")
def style() -> Tensor:
    return gravel(96, 96, stone=7)


def start(style: Tensor, **recipe: object) -> StyleTraining:
    chosen = Recipe.of("style", **{"arch": "residual", "size": 96, "iterations": 8, **recipe})
    return StyleTraining(style, Drawn(), BuiltinDescriptor(), chosen, device=CPU, say=lambda text: None)


def finish(training: StyleTraining) -> State:
    for _ in training.run():
        pass
    return training.finished().state_dict()


def equal(one: State, other: State) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_style_has_defaults_of_its_own() -> None:
    assert (Recipe.of("style").arch, Recipe.of("texture").arch) == ("quilt", "quilt")
    assert Recipe.of("style", batch=1).batch == 1
    with pytest.raises(ValueError, match="for a style it must be one of quilt, residual, pyramid"):
        Recipe.of("style", arch="taper")


def test_training_lowers_what_is_judged(style: Tensor) -> None:
    training = start(style, iterations=40)
    before = training.judged_loss()
    finish(training)
    assert training.judged_loss() < 0.9 * before


def test_every_strength_is_learned_and_the_full_one_most_in_the_end(style: Tensor) -> None:
    training = start(style, iterations=1000)
    seen: list[Tensor] = []

    def watched(images: Tensor, contents: Tensor, strengths: Tensor, move: tuple[int, int] | None = None) -> Tensor:
        seen.append(strengths if move is None else strengths[:1])
        assert (move is None) == (training.step % 2 == 0)
        return images.sum()

    training.objective = watched  # type: ignore[assignment]
    share = []
    for first in (0, 900):
        seen.clear()
        for training.step in range(first, first + 60):
            training.loss_of(random.Random(training.step))
        drawn = torch.cat(seen)
        assert (drawn == 0).any()
        assert len(set(drawn.tolist())) > 10
        share.append(float((drawn == 1).float().mean()))
    assert share[0] < 0.35
    assert share[1] > 0.45


def test_the_same_recipe_gives_the_same_model_and_another_seed_another(style: Tensor) -> None:
    assert equal(finish(start(style)), finish(start(style)))
    assert not equal(finish(start(style)), finish(start(style, seed=1)))


def test_a_resumed_training_is_the_same_training(style: Tensor) -> None:
    whole, first, second = start(style), start(style), start(style)
    for progress in first.run():
        if progress.step == 4:
            break
    second.load_state(first.state())
    assert equal(finish(second), finish(whole))


def test_judging_repeats(style: Tensor) -> None:
    training = start(style)
    assert training.judged_loss() == training.judged_loss()


def test_the_finished_generator_asks_for_no_gradient(style: Tensor) -> None:
    training = start(style, iterations=2)
    finish(training)
    assert not any(parameter.requires_grad for parameter in training.finished().parameters())


def test_the_content_itself_is_without_loss_at_strength_0_but_for_its_roughness(style: Tensor) -> None:
    objective = BuiltinDescriptor().style_objective(style, 0)
    contents = torch.stack([Drawn().crop(random.Random(each), 96) for each in (1, 2)])
    nothing, everything = torch.zeros(2), torch.ones(2)
    own = objective(contents, contents, nothing)
    assert own < 0.1
    assert objective(contents, contents, everything) > 10 * own
    assert objective(contents.flip(3), contents, nothing) > 10 * own


def test_the_style_itself_is_nearest_to_the_style(style: Tensor) -> None:
    objective: StyleObjective = BuiltinDescriptor().style_objective(style, 0)
    contents = Drawn().crop(random.Random(1), 96)[None]
    near, far = objective.distances(style, contents), objective.distances(contents, contents)
    assert near[0] < 0.2 * far[0]
    assert near[1] > 0.1
    assert far[1] == 0


def test_a_style_too_small_for_the_smaller_scales_is_looked_at_in_full_size_alone() -> None:
    objective = BuiltinDescriptor().style_objective(gravel(64, 64, stone=7), 0)
    contents = Drawn().crop(random.Random(1), 96)[None]
    style, content = objective.distances(contents, contents)
    assert style > 0
    assert content == 0


def test_a_view_that_moves_along_is_steady(style: Tensor) -> None:
    for down, right in ((0, 0), (3, 5), (-4, 2), (7, -6)):
        first, second = style[..., 8:72, 8:72], style[..., 8 + down : 72 + down, 8 + right : 72 + right]
        assert unsteadiness(torch.cat([first, second]), (down, right)) == 0
        assert unsteadiness(torch.cat([first, second]), (down + 1, right)) > 1e-3
