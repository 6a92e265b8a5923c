"""Facts about writing on paintings: it is found on plain ground near a border, and nothing else is taken for it."""

from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from trainer.strokes.captions import captions
from trainer.strokes.hygiene import Rectangle, within_frame

SWATCHES = Path(__file__).resolve().parents[4] / "shared/data/swatches"
with_swatches = pytest.mark.skipif(not SWATCHES.is_dir(), reason="needs ../shared")
PAPER, INK = (200, 190, 170), (40, 45, 80)


def tensor(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)


def paper(dark: bool = False) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """A picture of plain paper with a little noise, 400 x 300."""
    noise = np.random.default_rng(1).integers(-4, 5, (300, 400, 3))
    picture = Image.fromarray((np.array(INK if dark else PAPER) + noise).astype(np.uint8))
    return picture, ImageDraw.Draw(picture)


def covered(found: list[Rectangle], top: int, left: int, bottom: int, right: int) -> bool:
    """All that was found together, and not much more."""
    shown = torch.zeros(2 * bottom, 2 * right, dtype=torch.bool)
    for each in found:
        each.within(shown)[...] = True
    part = shown[top:bottom, left:right]
    return bool(part.any(1).all()) and float(part.float().mean()) > 0.9 and int(shown.sum()) < 3 * part.numel()


@pytest.mark.parametrize("dark", [False, True])
def test_a_signature_is_found_dark_on_light_and_light_on_dark(dark: bool) -> None:
    picture, draw = paper(dark)
    font = ImageFont.load_default(16)
    draw.text((270, 262), "A. Moreau 87", font=font, fill=PAPER if dark else INK)
    left, top, right, bottom = (round(edge) for edge in draw.textbbox((270, 262), "A. Moreau 87", font=font))
    assert covered(captions(tensor(picture)), top, left, bottom, right)
    large = picture.resize((1600, 1200), Image.Resampling.BICUBIC)
    assert covered(captions(tensor(large)), 4 * top, 4 * left, 4 * bottom, 4 * right)


def test_a_box_with_a_line_around_it_is_found() -> None:
    picture, draw = paper()
    draw.rectangle((20, 20, 50, 110), outline=INK, width=2)
    for row in range(30, 100, 14):
        draw.line((28, row, 42, row + 8), fill=INK, width=3)
    assert covered(captions(tensor(picture)), 20, 20, 110, 50)


def test_strokes_in_the_middle_or_among_others_are_no_writing() -> None:
    picture, draw = paper()
    draw.text((150, 140), "A. Moreau 87", font=ImageFont.load_default(16), fill=INK)
    assert captions(tensor(picture)) == []
    draws = np.random.default_rng(2)
    for row, column in draws.integers(0, (300, 400), (900, 2)):
        draw.line((column, row, column + 8, row + 3), fill=INK, width=2)
    draw.text((270, 262), "A. Moreau 87", font=ImageFont.load_default(16), fill=INK)
    assert captions(tensor(picture)) == []


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket", "camera", "coins", "moon", "brick"])
def test_photographs_hold_none(name: str) -> None:
    pixels = getattr(skimage.data, name)()
    assert captions(tensor(Image.fromarray(pixels).reduce(2))) == []


@with_swatches
def test_the_great_waves_caption_and_signature_are_found_and_nothing_in_other_paintings() -> None:
    for name in ("starry_night", "cezanne"):
        assert captions(tensor(Image.open(SWATCHES / f"style_{name}.jpg"))) == []
    pixels = tensor(Image.open(SWATCHES / "style_great_wave.jpg"))
    frame = within_frame(pixels)
    (one,) = captions(frame.within(pixels))
    assert covered([one], 30 - frame.top, 28 - frame.left, 152 - frame.top, 94 - frame.left)
