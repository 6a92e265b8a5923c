"""Facts about styles of several paintings: pieces come from all of them, none from two, and nothing from between."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from server.model.header import SwatchFacts
from server.model.style_quilt import GAP, PATCHES, StyleQuiltArchitecture
from server.network.model_file import Model, read_model, write_model
from server.network.quilted import QuiltedPicture, Wish, quilted
from server.strokes.painter import StyleQuilt
from trainer.strokes.learning import learn_components, learn_prices
from trainer.strokes.paintings import Ground, Painting

WISH = Wish(seed=3, strength=1.0, stroke=2.0)


def drawn(height: int, width: int, seed: int) -> Tensor:
    draws = torch.Generator().manual_seed(seed)
    noise = torch.rand(1, 3, 30, 30, generator=draws)
    total = torch.nn.functional.interpolate(noise, size=(height, width), mode="bicubic")[0]
    return (total.clamp(0, 1) * 255).to(torch.uint8)


def painting(height: int, width: int, seed: int) -> Painting:
    pixels = drawn(height, width, seed)
    return Painting(Path(f"{seed}.png"), pixels, torch.ones(height, width, dtype=torch.uint8), (height, width))


@pytest.fixture(scope="module")
def ground() -> Ground:
    return Ground.of([painting(150, 190, 1), painting(380, 300, 2), painting(140, 190, 3)])


@pytest.fixture(scope="module")
def style(ground: Ground) -> StyleQuilt:
    state = {"painting": ground.painting, "usable": ground.usable}
    state |= learn_components(ground.plan, ground.usable, ground.architecture)
    return StyleQuilt(ground.architecture, state | learn_prices(ground.plan, ground.architecture))


def test_all_have_the_longer_side_of_the_smallest_and_lie_beneath_each_other(ground: Ground) -> None:
    assert ground.architecture.paintings == (
        (0, 0, 150, 190), (150 + GAP, 0, 190, 150), (340 + 2 * GAP, 0, 140, 190),
    )  # fmt: skip
    assert torch.equal(ground.painting[:, :150], drawn(150, 190, 1))
    assert int(ground.usable.sum()) == 150 * 190 + 190 * 150 + 140 * 190
    assert not ground.usable[150 : 150 + GAP].any()
    assert torch.equal(ground.painting[:, 150], ground.painting[:, 149])  # the gap continues what lies above


def test_pieces_come_from_all_paintings_and_none_lies_on_two(style: StyleQuilt) -> None:
    picture = QuiltedPicture(style, drawn(120, 160, 9).permute(1, 2, 0).contiguous(), WISH)
    for _ in picture.planning():
        pass
    assert picture._canvas
    pieces = picture._canvas.pieces
    seen = set()
    for number, (row, column) in zip(pieces.numbers.tolist(), pieces.places.tolist(), strict=True):
        side = PATCHES[number]
        within = [
            index
            for index, (top, left, height, width) in enumerate(style.architecture.paintings)
            if top <= row and row + side <= top + height and left <= column and column + side <= left + width
        ]
        assert len(within) == 1
        seen.add(within[0])
    assert seen == {0, 1, 2}


def test_its_model_file_says_where_each_lies_and_paints_the_same(style: StyleQuilt, tmp_path: Path) -> None:
    facts = SwatchFacts(name="a.png + b.png", sha256="0" * 64, height=10, width=10)
    made = Model(
        name="hand",
        generator=style,
        training={},
        descriptor="none",
        swatch=facts,
        thumbnail=torch.zeros(8, 8, 3, dtype=torch.uint8),
    )
    write_model(tmp_path / "hand.safetensors", made)
    found = read_model(tmp_path / "hand.safetensors").style_generator()
    assert isinstance(found, StyleQuilt)
    assert found.architecture == style.architecture
    content = drawn(60, 80, 9).permute(1, 2, 0).contiguous()
    assert torch.equal(quilted(found, content, WISH), quilted(style, content, WISH))


@pytest.mark.parametrize(
    "paintings",
    [
        ((0, 0, 150, 190),),
        ((0, 0, 150, 190), (150, 0, 150, 190)),
        ((0, 0, 150, 190), (160, 1, 150, 190)),
        ((0, 0, 150, 190), (160, 0, 151, 190)),
        ((0, 0, 150, 190), (200, 0, 100, 190)),
    ],
)
def test_places_that_no_paintings_have_are_refused(paintings: tuple[tuple[int, int, int, int], ...]) -> None:
    with pytest.raises(ValueError, match="paintings"):
        StyleQuiltArchitecture(height=310, width=190, factor=1, paintings=paintings)
