"""The leaves of the demo: the same again for the same seed, in colour, and no warning is due."""

from pathlib import Path

import numpy as np
from PIL import Image

from trainer.swatch.leaves import leaves
from trainer.swatch.swatch import read_swatch


def test_the_same_seed_draws_the_same_leaves_and_another_others() -> None:
    assert np.array_equal(leaves(3, 96), leaves(3, 96))
    assert not np.array_equal(leaves(3, 96), leaves(4, 96))


def test_they_are_colourful_and_a_good_swatch(tmp_path: Path) -> None:
    picture = leaves(0, 256)
    assert picture.shape == (256, 256, 3)
    assert (picture.max(2).astype(int) - picture.min(2)).mean() > 60  # grey has 0
    Image.fromarray(picture).save(tmp_path / "leaves.png")
    assert not read_swatch(tmp_path / "leaves.png", None).warnings
