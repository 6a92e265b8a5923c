"""Checkpoints: what is written comes back, only for the training it belongs to, and a bad one is a sentence."""

import errno
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from server.model.architecture import PRESETS
from server.model.library import CHECKPOINT_SUFFIX
from server.replace_file import UnusableOutput
from tests.drawn import gravel
from tests.models import TINY
from trainer.descriptor.descriptors import BuiltinDescriptor
from trainer.training import checkpoint as module
from trainer.training.checkpoint import UnusableCheckpoint, checkpoint_path, read_checkpoint, write_checkpoint
from trainer.training.recipe import Recipe
from trainer.training.texture import TextureTraining
from trainer.training.training import State

BELONGS_TO: dict[str, object] = {
    "swatch": "ab" * 32,
    "size of swatch": [96, 128],
    "recipe": {"iterations": 100, "rate": 0.01, "arch": "taper"},
    "lattice": {"basis": ((0.1, 0.0), (1 / 3, 0.2)), "harmonics": ((1, 0), (0, 1)), "strength": 0.7},
    "descriptor": "builtin",
}


def state() -> State:
    random = torch.Generator().manual_seed(4)
    return {
        "generator.weight": torch.randn(4, 3, 3, 3, generator=random).to(memory_format=torch.channels_last),
        "adam.0.step": torch.tensor(7.0),
        "numbers": torch.tensor([1.0, 2.0], dtype=torch.float64),
        "losses": torch.tensor([torch.inf, 0.1], dtype=torch.float64),
        "generator.count": torch.tensor(3),
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return checkpoint_path(tmp_path / "brick.safetensors")


def test_a_checkpoint_lies_beside_its_model_and_is_not_taken_for_one(path: Path) -> None:
    assert path.name == "brick.checkpoint.safetensors"
    assert checkpoint_path(Path("models/grass.v2.safetensors")) == Path("models/grass.v2.checkpoint.safetensors")


def test_what_is_written_comes_back_to_the_bit(path: Path) -> None:
    written = state()
    write_checkpoint(path, written, BELONGS_TO)
    read = read_checkpoint(path, BELONGS_TO)
    assert read.keys() == written.keys()
    for name, value in written.items():
        assert read[name].dtype == value.dtype
        assert torch.equal(read[name], value)


def test_it_is_data_only(path: Path) -> None:
    write_checkpoint(path, state(), BELONGS_TO)
    assert safetensors.torch.load_file(path).keys() == state().keys()


@pytest.mark.parametrize(
    ("part", "other", "words"),
    [
        ("swatch", "cd" * 32, "the picture was another one"),
        ("size of swatch", [96, 96], "the swatch was 128 x 96 pixels and is 96 x 96 (--swatch-size)"),
        ("recipe", {"iterations": 200, "rate": 0.01, "arch": "taper"}, "--iterations was 100 and is 200"),
        (
            "recipe",
            {"rate": 0.01, "arch": "pyramid"},
            "--arch was taper and is pyramid, --iterations was 100 and is None",
        ),
        ("lattice", None, "--lattice was another"),
        ("descriptor", "vgg19", "--descriptor was builtin and is vgg19"),
        ("content", "drawn scenes", "--content was None and is drawn scenes"),
        ("maps", ["basecolor", "height"], "the maps were basecolor and are basecolor, height"),
        ("pixels of maps", "ab" * 32, "the pictures of the maps were others"),
    ],
)
def test_another_training_is_refused_and_what_differs_is_said(path: Path, part: str, other: Any, words: str) -> None:
    write_checkpoint(path, state(), BELONGS_TO)
    with pytest.raises(UnusableCheckpoint) as refused:
        read_checkpoint(path, {**BELONGS_TO, part: other})
    assert str(refused.value) == (
        f"The checkpoint {path} is of another training: {words}. "
        "Ask for the same again, or start anew without --resume."
    )


def test_everything_that_differs_is_named(path: Path) -> None:
    write_checkpoint(path, state(), BELONGS_TO)
    with pytest.raises(UnusableCheckpoint, match="--descriptor was builtin and is vgg19, the picture was another one"):
        read_checkpoint(path, {**BELONGS_TO, "swatch": "cd", "descriptor": "vgg19"})


def test_a_fact_that_one_side_lacks_is_a_difference(path: Path) -> None:
    write_checkpoint(path, state(), {**BELONGS_TO, "augmented": True})
    with pytest.raises(UnusableCheckpoint, match="by another version of texserver"):
        read_checkpoint(path, BELONGS_TO)


def whole() -> bytes:
    return safetensors.torch.save({"numbers": torch.zeros(20)}, {"texserver-checkpoint": "{}"})


def with_metadata(**metadata: str) -> bytes:
    return safetensors.torch.save({"numbers": torch.zeros(1)}, metadata or None)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0",
        pickle.dumps({"generator.weight": [1.0]}),
        b"PK\3\4" + bytes(100),
        struct.pack("<Q", 2**63) + b"{}",
        b"not a checkpoint at all, but a text somebody saved under its name",
        whole()[:-1],
        whole()[: len(whole()) // 2],
        whole() + b"\0",
        with_metadata(),
        with_metadata(texserver="{}"),
        with_metadata(**{"texserver-checkpoint": "{"}),
        with_metadata(**{"texserver-checkpoint": "[1]"}),
        with_metadata(**{"texserver-checkpoint": "null"}),
        with_metadata(**{"texserver-checkpoint": "[" * 100_000}),
    ],
    ids=[
        "empty", "one byte", "pickle", "zip", "endless header", "text", "a byte short", "half", "a byte too many",
        "no metadata", "a model", "bad JSON", "a list", "null", "a deep list",
    ],
)  # fmt: skip
def test_a_damaged_checkpoint_is_a_sentence_with_the_way_out(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(UnusableCheckpoint, match=r"cannot be read.*Leave out --resume to start anew\.$") as refused:
        read_checkpoint(path, BELONGS_TO)
    assert str(path) in str(refused.value)


def test_a_missing_checkpoint_and_a_folder_are_sentences(path: Path) -> None:
    with pytest.raises(UnusableCheckpoint, match="cannot be read"):
        read_checkpoint(path, BELONGS_TO)
    path.mkdir()
    with pytest.raises(UnusableCheckpoint, match="cannot be read"):
        read_checkpoint(path, BELONGS_TO)


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_the_old_checkpoint_survives_a_write_that_fails(path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    old = state()
    write_checkpoint(path, old, BELONGS_TO)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(f"server.replace_file.os.{step}", full)
    with pytest.raises(UnusableOutput, match="No space left"):
        write_checkpoint(path, {"numbers": torch.zeros(3)}, BELONGS_TO)
    assert torch.equal(read_checkpoint(path, BELONGS_TO)["generator.weight"].cpu(), old["generator.weight"])
    assert list(path.parent.iterdir()) == [path]


def test_a_training_resumed_from_the_file_is_the_same_training_to_the_bit(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file knows no order of memory: moments come back as plain tensors, and must still give the same steps."""
    monkeypatch.setattr(Recipe, "MIN_SIZE", 48)
    monkeypatch.setitem(PRESETS, "taper", TINY["taper"])
    swatch = gravel(96, 96, stone=7)

    def start() -> TextureTraining:
        recipe = Recipe(arch="taper", iterations=12, size=64)
        return TextureTraining(swatch, None, BuiltinDescriptor(), recipe, device=torch.device("cpu"))

    whole = start()
    for progress in whole.run():
        if progress.step == 6:
            write_checkpoint(path, whole.state(), BELONGS_TO)
    resumed = start()
    resumed.load_state(read_checkpoint(path, BELONGS_TO))
    assert [progress.step for progress in resumed.run()] == [7, 8, 9, 10, 11, 12]
    one, other = whole.finished().state_dict(), resumed.finished().state_dict()
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_the_library_and_the_trainer_agree_on_the_name() -> None:
    """Checkpoints lie in the models folder, where the library must pass them over."""
    assert module.SUFFIX == CHECKPOINT_SUFFIX
