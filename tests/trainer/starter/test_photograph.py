"""A drawing in the light of a low sun: what faces it is bright, what stands in its way throws a shadow."""

from pathlib import Path

import numpy as np
from PIL import Image

from server.model.starter import chosen
from trainer.starter.fields import Canvas
from trainer.starter.library import draw
from trainer.starter.photograph import photograph
from trainer.starter.surface import Surface, drawn
from trainer.swatch.swatch import read_swatch


def test_a_hill_is_bright_towards_the_sun_and_throws_a_shadow_away_from_it() -> None:
    canvas = Canvas(side=128, metres=1.0)
    height = 0.12 * np.exp(-((canvas.y - 0.5) ** 2 + (canvas.x - 0.5) ** 2) / 0.06**2).astype(np.float32)
    grey = np.full((128, 128, 3), 0.3, np.float32)
    hill = Surface(height=height, colour=grey, roughness=np.ones_like(height))
    picture = photograph(drawn("hill", "Ground", canvas, hill)).mean(2)
    plain = picture[8, 8]
    assert picture[58, 72] > plain + 20  # up and right of the top, where the sun is
    assert picture[71, 55] < plain - 40
    assert abs(picture[30, 30] - plain) < 8  # across the light


def test_leaves_are_a_good_swatch(tmp_path: Path) -> None:
    Image.fromarray(photograph(draw(*chosen(["leaves"]), 512))).save(tmp_path / "leaves.png")
    assert not read_swatch(tmp_path / "leaves.png", None).warnings
