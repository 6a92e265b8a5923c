"""Facts about pictures in a quilted style: windows, strengths, what of the painting is shown, and the model file."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from server.errors import BadRequest
from server.model.header import SwatchFacts
from server.model.statistics_token import parse_statistics, statistics_text
from server.model.style_quilt import CELLS, PATCHES, StyleQuiltArchitecture
from server.model.torus import Window
from server.network.model_file import Model, read_model, write_model
from server.network.quilted import QuiltedPicture, Wish, lights_of, measured, quilted
from server.strokes import strays
from server.strokes.canvas import EMPTY, MARGIN, Canvas
from server.strokes.guide import Guide
from server.strokes.painter import StyleQuilt
from server.strokes.pieces import Pieces
from server.strokes.search import BUSY
from server.strokes.tables import packed_cells
from server.strokes.turns import TURNS, to_picture
from tests.models import blots as drawn
from trainer.strokes.learning import learn_components, learn_prices

HEIGHT, WIDTH = 150, 190
LEFT_OUT = Window(20, 30, 25, 40)


@pytest.fixture(scope="module")
def style() -> StyleQuilt:
    painting = drawn(HEIGHT, WIDTH, 1)
    usable = torch.ones(HEIGHT, WIDTH, dtype=torch.uint8)
    usable[LEFT_OUT.top : LEFT_OUT.top + LEFT_OUT.height, LEFT_OUT.left : LEFT_OUT.left + LEFT_OUT.width] = 0
    sizes = StyleQuiltArchitecture(height=HEIGHT, width=WIDTH, factor=1)
    learned = learn_components(painting, usable, sizes) | learn_prices(painting, sizes)
    return StyleQuilt(sizes, {"painting": painting, "usable": usable, **learned})


@pytest.fixture(scope="module")
def content() -> Tensor:
    """(90, 121, 3) uint8."""
    return drawn(90, 121, 2).permute(1, 2, 0).contiguous()


WISH = Wish(seed=7, strength=1.0, stroke=2.0)  # of twice the size: half as long to plan


@pytest.fixture(scope="module")
def whole(style: StyleQuilt, content: Tensor) -> Tensor:
    return quilted(style, content, WISH)


def test_a_window_is_that_part_of_the_whole_to_the_byte(style: StyleQuilt, content: Tensor, whole: Tensor) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1 if before > 1 else 2)
    try:
        part = quilted(style, content, WISH, window=Window(11, 37, 60, 71))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(part, whole[11:71, 37:108])


def test_it_goes_from_the_picture_itself_to_the_strokes(style: StyleQuilt, content: Tensor, whole: Tensor) -> None:
    between = [quilted(style, content, replace(WISH, strength=strength)) for strength in (0.0, 0.2, 0.4)]
    assert torch.equal(between[0], content)
    far = [float((each.float() - content.float()).abs().mean()) for each in (*between, whole)]
    assert far == sorted(far)
    assert far[1] > 1
    assert not torch.equal(whole, quilted(style, content, replace(WISH, seed=8)))


def test_strokes_come_from_the_painting_and_from_no_part_that_is_left_out(style: StyleQuilt, content: Tensor) -> None:
    picture = QuiltedPicture(style, content, WISH)
    for _ in picture.planning():
        pass
    canvas = picture._canvas
    assert canvas
    height, width = canvas.size
    shown = canvas.source[MARGIN : MARGIN + height, MARGIN : MARGIN + width]
    assert int(shown.min()) > EMPTY
    assert len(shown.unique()) > 4000  # of 28500 pixels: not one piece again and again
    assert bool(style.usable.flatten()[shown.flatten().long()].all())


def test_plain_parts_of_a_picture_keep_off_dark_and_busy_things_of_the_same_mean(style: StyleQuilt) -> None:
    plain = torch.full((1, 6, 6), 30.0)
    halves = torch.cat([plain[..., :3] - 20, plain[..., 3:] + 20], 2)
    calm = torch.zeros(1, 3, 3)
    paid = [
        float((strays.asked(plain, calm + 1) * strays.prices(lights, 4, busy, 0)).sum())
        for lights, busy in ((plain, calm), (plain + 3, calm), (halves, calm), (plain, calm + 8))
    ]
    assert paid[:2] == [0, 0]
    assert min(paid[2:]) > 500
    blots = drawn(96, 192, 2)
    blots[:, :, :96] = 120
    guide = Guide(blots, lights_of(measured(blots)), style.tables.lights, 2)
    left, right = guide.stray_weights(2, torch.tensor([[24, 8], [24, 128]]))
    assert float(left.min()) >= strays.WEIGHT / 2 > 0
    assert float(right.mean()) < float(left.mean())


def test_lines_are_asked_for_where_the_picture_is_busy_and_nowhere_else(style: StyleQuilt) -> None:
    blots = drawn(96, 192, 2)
    blots[:, :, :96] = 120
    blots[:, 20:80:6, 110:180] = 255
    guide = Guide(blots, lights_of(measured(blots)), style.tables.lights, 2)
    cells, known = torch.zeros(2, 3, CELLS[2], CELLS[2], dtype=torch.int8), torch.zeros(2, dtype=torch.bool)
    left, right = guide.wanted(2, torch.tensor([[24, 8], [24, 128]]), cells, known).busy_weights
    assert not left.any()
    assert float(right.mean()) > BUSY / 2


def test_a_patch_shows_its_place_under_every_turn(style: StyleQuilt) -> None:
    """In the canvas' sources, and in the shifts from which pixels are painted."""
    side, place = PATCHES[2], torch.tensor([[60, 100]])
    block = packed_cells(style.painting, 1)[60 : 60 + side, 100 : 100 + side]
    for turn in range(TURNS):
        canvas = Canvas((side, side), style.tables.colours)
        canvas.lay(Pieces.of(2, torch.tensor([[0, 0]]), torch.tensor([turn]), place))
        shown, stands = canvas.shown(torch.tensor([[0, 0]]), side)
        assert bool(stands.all())
        assert torch.equal(shown[0], to_picture(block, turn))


def test_the_statistics_of_a_first_frame_hold_for_another(style: StyleQuilt, content: Tensor) -> None:
    first = QuiltedPicture(style, content, WISH).statistics
    text = statistics_text("ab" * 32, first)
    assert parse_statistics(text, "ab" * 32, style.architecture) == first
    with pytest.raises(BadRequest, match="statistics"):
        parse_statistics(statistics_text("ab" * 32, first[:-2]), "ab" * 32, style.architecture)
    with pytest.raises(BadRequest, match="no picture has"):
        parse_statistics(statistics_text("ab" * 32, first[::-1]), "ab" * 32, style.architecture)
    darker = content // 2
    assert not torch.equal(quilted(style, darker, WISH), quilted(style, darker, WISH, statistics=first))


def test_pictures_of_any_type_and_size_keep_it(style: StyleQuilt, content: Tensor) -> None:
    alpha = torch.cat((content, content[..., :1]), 2)[:40, :50]
    painted = quilted(style, alpha, WISH)
    assert painted.shape == (40, 50, 4)
    assert torch.equal(painted[..., 3], alpha[..., 3])
    deep = (content[:1, :1, :1].to(torch.int32) * 257).to(torch.uint16)
    assert (quilted(style, deep, WISH).dtype, quilted(style, deep, WISH).shape) == (torch.uint16, (1, 1, 3))


def test_sixteen_bits_are_no_eight_made_wider(style: StyleQuilt, content: Tensor, whole: Tensor) -> None:
    """Nor do they say anything else."""
    deep = quilted(style, (content.to(torch.int32) * 257).to(torch.uint16), WISH).to(torch.int32)
    away = (deep / 257 - whole).abs()
    assert float(away.mean()) < 0.4
    assert float(away.max()) < 3
    assert float((deep % 257 != 0).float().mean()) > 0.5


def test_strokes_grow_with_their_size(style: StyleQuilt) -> None:
    assert style.plan_size((768, 1024), 1.0) == (768, 1024)
    assert style.plan_size((768, 1024), 2.0) == (384, 512)
    assert style.plan_size((2160, 4096), 1.0) == (1080, 2048)


def test_its_model_file_paints_the_same(style: StyleQuilt, content: Tensor, whole: Tensor, tmp_path: Path) -> None:
    facts = SwatchFacts(name="a.png", sha256="0" * 64, height=HEIGHT, width=WIDTH)
    model = Model(
        name="oil",
        generator=style,
        training={},
        descriptor="none",
        swatch=facts,
        thumbnail=torch.zeros(8, 8, 3, dtype=torch.uint8),
    )
    write_model(tmp_path / "oil.safetensors", model)
    found = read_model(tmp_path / "oil.safetensors")
    assert found.kind == "style"
    generator = found.style_generator()
    assert isinstance(generator, StyleQuilt)
    assert torch.equal(quilted(generator, content, WISH), whole)
