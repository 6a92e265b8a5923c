"""Facts about prices of repeats: they add up by area, so one texture shows all of its swatch about alike."""

import pytest
import torch

from server.model.maps import BASE_COLOUR
from server.model.torus import Size
from server.quilt import repeats
from tests.server.quilt.swatches import bytes_of, pebbles
from trainer.quilt.learning import shown_cores, unpriced

PITCH = 32


def prices(shown: list[tuple[int, int]], places: range = range(96)) -> torch.Tensor:
    """Of all places in `places` x `places` for one patch, where patches nearby show these."""
    line, at = torch.tensor(places), torch.tensor(shown)
    apart = [(line - at[:, axis, None]).abs()[None] for axis in (0, 1)]
    nobody = torch.zeros(1, 1, len(line), dtype=torch.bool)
    return repeats.prices(apart, torch.ones(1, len(shown), dtype=torch.bool), PITCH, [nobody, nobody])[0]


def test_a_price_is_the_area_in_common() -> None:
    found = prices([(40, 40)])
    assert int(found[40, 40]) == repeats.REPEATS
    assert int(found[40 + PITCH // 2, 40]) == repeats.REPEATS // 2
    assert int(found[40 + PITCH // 2, 40 - PITCH // 2]) == repeats.REPEATS // 4
    assert int(found[40 + PITCH, 40]) == 0


def test_prices_add_up() -> None:
    both = prices([(40, 40), (44, 36)])
    apart = both - prices([(40, 40)]) - prices([(44, 36)])
    assert set(apart.unique().tolist()) <= {0, 1}  # both are rounded down once
    assert int(prices([(40, 40)] * 24)[40, 40]) == 24 * repeats.REPEATS


def test_patches_that_do_not_stand_cost_nothing() -> None:
    zero = torch.zeros(1, 3, 5, dtype=torch.int64)
    nobody = torch.zeros(1, 1, 5, dtype=torch.bool)
    standing = torch.tensor([[True, False, False]])
    found = repeats.prices([zero, zero], standing, PITCH, [nobody, nobody])
    assert bool((found == repeats.REPEATS).all())


def test_all_parts_of_a_swatch_are_shown_about_alike_in_one_texture(monkeypatch: pytest.MonkeyPatch) -> None:
    """A texture of 4 x 4 patches, four seeds: how unevenly it shows its swatch, with prices of repeats and without."""
    quilt = unpriced([bytes_of(pebbles(128, 144)[0])], (BASE_COLOUR,), (False, False), None)
    size = Size(4 * quilt.settings.pitch, 4 * quilt.settings.pitch)

    def spread() -> float:
        quilt.forget()
        found = []
        for seed in range(4):
            places = quilt.plan(seed, size).places(range(4), range(4)).flatten(0, 1) + quilt.settings.overlap
            shown = shown_cores(places, quilt.settings)
            found.append(float(shown.std() / shown.mean()))
        return sum(found) / len(found)

    priced = spread()
    monkeypatch.setattr(repeats, "REPEATS", 0)
    assert priced < 0.85 * spread()  # 0.70 and 0.93
