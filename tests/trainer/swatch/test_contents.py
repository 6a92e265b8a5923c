"""Content images for a style: pieces of the right size from any source, the same for the same draws."""

import random
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from trainer.swatch.contents import Contents, Drawn, Mixed, Pictures, UnusableContent, dead_leaves, find_contents


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, size in (("wide.png", (200, 90)), ("small.jpg", (70, 80)), ("note.txt", None)):
        if size:
            pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name)
        else:
            (tmp_path / name).write_text("no picture")
    return tmp_path


def sources(folder: Path) -> list[Contents]:
    return [find_contents(folder), Drawn(), Mixed([torch.rand(3, 100, 120)])]


@pytest.mark.parametrize("side", [96, 192])
def test_pieces_have_the_side_and_the_range_asked_for(folder: Path, side: int) -> None:
    for source in sources(folder):
        piece = source.crop(random.Random(1), side)
        assert piece.shape == (3, side, side)
        assert piece.dtype == torch.float32
        assert 0 <= piece.min() <= piece.max() <= 1


def test_the_same_draws_give_the_same_pieces(folder: Path) -> None:
    for source in sources(folder):
        assert torch.equal(source.crop(random.Random(5), 96), source.crop(random.Random(5), 96))
        assert not torch.equal(source.crop(random.Random(5), 96), source.crop(random.Random(6), 96))


def test_scenes_have_flat_areas_and_edges(folder: Path) -> None:
    steps = np.concatenate([np.abs(np.diff(dead_leaves(seed, 128), axis=1)).ravel() for seed in range(4)])
    assert np.median(steps) < 0.02
    assert np.quantile(steps, 0.99) > 0.1


def test_three_are_shown_whole(folder: Path) -> None:
    shown = Pictures([torch.rand(3, 90, 120)] * 7, "pictures").shown(60)
    assert [tuple(each.shape) for each in shown] == [(3, 60, 80)] * 3


def test_what_is_used_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_contents(folder).name == f"2 of the pictures in {folder.name}"
    assert "scikit-image" in find_contents(None).name
    monkeypatch.setitem(sys.modules, "skimage.data", None)
    monkeypatch.setitem(sys.modules, "skimage", None)
    assert find_contents(None).name == "drawn scenes"


@pytest.mark.parametrize("content", ["missing", "empty"])
def test_a_folder_without_pictures_is_a_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnusableContent, match=r"--content"):
        find_contents(tmp_path / content)


def test_pictures_that_cannot_be_used_are_left_out_and_told(folder: Path) -> None:
    (folder / "cut.png").write_bytes((folder / "wide.png").read_bytes()[:300])
    (folder / "._wide.png").write_bytes(b"a shadow")
    (folder / "raw.dng").write_bytes(b"x")
    said: list[str] = []
    assert find_contents(folder, said.append).name == f"2 of the pictures in {folder.name}"
    assert len(said) == 2
    assert "cut.png" in said[0]
    assert "raw.dng, it is a camera's raw file" in said[1]
