"""The script that makes the built-in network's weights: where it begins, that it learns, and that it repeats."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from trainer.descriptor import distillation as module
from trainer.descriptor.distillation import Distillation, Moments, Pupil, main, with_ones
from trainer.descriptor.distilled import LAYERS, Distilled
from trainer.descriptor.vgg19 import VGG19
from trainer.descriptor.weights import CONVOLUTIONS, Weights
from trainer.loss.losses import gram
from trainer.swatch.scenes import KINDS, draw

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"POOL": 6, "DRAWN": 96, "SIDE": 64, "MEASURED": 3, "DREAMS": 4, "DREAM_STEPS": 3}.items():
        monkeypatch.setattr(module, name, value)


@pytest.fixture(scope="module")
def weights() -> Weights:
    """VGG-19's shapes to relu3_4, with channels that depend on few others, as a network's do."""
    random = torch.Generator().manual_seed(1)
    tensors = {}
    for conv in CONVOLUTIONS[:8]:
        few = torch.randn(12, conv.channels_in, 3, 3, generator=random) * (2 / (9 * conv.channels_in)) ** 0.5
        mixing = torch.randn(conv.channels_out, 12, generator=random) / 12**0.5
        tensors[f"{conv.key}.weight"] = torch.einsum("of,fiyx->oiyx", mixing, few)
        tensors[f"{conv.key}.bias"] = 0.1 * torch.randn(conv.channels_out, generator=random)
    return Weights(tensors, "imagenet", "a test", "ab" * 32)


@pytest.fixture
def lesson(weights: Weights) -> Distillation:
    return Distillation(VGG19(weights, LAYERS), 40, 4, 0, CPU)


@pytest.mark.parametrize("kind", range(len(KINDS)))
def test_drawings_are_pictures_and_follow_from_the_seed(kind: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.swatch.scenes.KINDS", (KINDS[kind],))
    pictures = [draw(seed, 48) for seed in range(4)]
    for picture in pictures:
        assert picture.shape == (48, 48, 3)
        assert picture.dtype == np.float32
        assert picture.min() >= 0
        assert picture.max() <= 1
    assert np.array_equal(pictures[1], draw(1, 48))
    assert not np.array_equal(pictures[0], pictures[1])


def test_it_begins_nearer_to_the_teacher_than_the_mean(lesson: Distillation) -> None:
    images = torch.stack([lesson.pictures.crop() for _ in range(6)])
    taught, mapped = lesson.teacher(images), lesson.pupil.mapped(lesson.pupil(images))
    for layer in LAYERS[:2]:  # deeper ones of a random teacher are noise to three batches
        wanted = taught[layer] / lesson.scales[layer].view(1, -1, 1, 1)
        left = (mapped[layer] - wanted).square().mean() / wanted.var((0, 2, 3)).mean()
        assert left < 0.7, layer


def test_kept_channels_are_the_ones_that_tell_the_others(weights: Weights) -> None:
    moments = Moments(VGG19(weights, LAYERS), [torch.rand(4, 3, 64, 64)])
    chosen = moments.chosen("relu2_1", 48)
    assert len(set(chosen.tolist())) == 48
    matrix, _ = moments.regression("relu2_1", chosen)
    torch.testing.assert_close(matrix[chosen], torch.eye(48, dtype=torch.float64), atol=0.2, rtol=0)


def test_a_lesson_teaches(lesson: Distillation) -> None:
    told = [lesson.step(done) for done in range(1, 41)]
    first, last = (sum(each["feature"] for each in part) for part in (told[:8], told[-8:]))
    assert last < 0.9 * first
    assert all(0 <= dream.age <= 3 and dream.pixels.isfinite().all() for dream in lesson.dreams)


def test_distances_survive_the_change_of_basis(lesson: Distillation) -> None:
    """What is shipped gives the Gram distances of the mapped features, up to one factor for each layer."""
    pupil: Pupil = lesson.pupil
    one, two = (pupil(lesson.pictures.crop()[None]) for _ in range(2))
    grams = [pupil.grams(each) for each in (one, two)]
    for layer in LAYERS:
        units = lesson.scales[layer][:, None] * lesson.scales[layer][None, :]
        mapped = [each[layer][0] * units for each in grams]
        root = pupil.rooted(layer)
        based = [root @ gram(with_ones(each[layer]))[0] @ root.T for each in (one, two)]
        assert _relative(*based) == pytest.approx(_relative(*mapped), rel=1e-3)


def _relative(one: Tensor, two: Tensor) -> float:
    return float((one - two).detach().norm() / one.detach().norm())


def test_the_command_writes_weights_that_load_and_repeats(
    tmp_path: Path, weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "find_weights", lambda file: weights)
    files = [tmp_path / name for name in ("one", "two", "other")]
    for path, seed in zip(files, ("0", "0", "1"), strict=True):
        assert main(["--steps", "2", "--batch", "4", "--seed", seed, "--out", str(path), "--device", "cpu"]) == 0
    one, two, other = (load_file(path) for path in files)
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    assert not all(torch.equal(value, other[name]) for name, value in one.items())
    found = Distilled(files[0])(torch.rand(1, 3, 64, 64))
    assert list(found) == list(LAYERS)


def test_without_weights_it_says_what_to_do(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--vgg-weights", str(tmp_path / "none.safetensors")]) == 2
    assert "none.safetensors" in capsys.readouterr().err
