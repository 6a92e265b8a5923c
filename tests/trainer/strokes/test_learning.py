"""Facts about what is learned of a painting."""

import torch

from server.model.style_quilt import PATCHES, STEPS, StyleQuiltArchitecture
from trainer.strokes.learning import learn_prices


def test_a_rare_colour_has_its_price_and_two_frequent_ones_of_the_same_light_hardly_any() -> None:
    painting = torch.zeros(3, 192, 384, dtype=torch.uint8)
    blue, brown, orange = ([40, 97, 160], [120, 81, 60], [174, 60, 30])  # of one luminance
    for part, colour in ((slice(0, 192), blue), (slice(192, 384), brown), (slice(336, 384), orange)):
        painting[:, 144 if colour is orange else 0 :, part] = torch.tensor(colour, dtype=torch.uint8)[:, None, None]
    level = 2
    prices = learn_prices(painting, StyleQuiltArchitecture(height=192, width=384, factor=1))[f"prices.{level}"]
    away = 1 + PATCHES[level] // STEPS[level]
    assert int(prices[-1, -1]) > 3000
    assert int(prices[:, : 336 // STEPS[level] - away].max()) < 200
