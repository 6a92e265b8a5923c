"""The pictures that a training writes beside its model, so that people can judge it by eye.

NAME.swatch.png   the swatch as it was trained on; a large one reduced
NAME.growth.png   the texture growing: the same seed after more and more training
NAME.sheet.png    the contact sheet: swatch, three seeds, one texture tiled 2 x 2, a large one;
                  for a quilt: swatch and a texture reduced, pieces of both pixel by pixel, and seams;
                  for a style: three contents at three strengths
NAME.maps.png     for a map set: each map beside the swatch's, and both lit (trainer/judge/map_sheet.py)
NAME.lattice.png  the lattice that was found, and the mean cell (trainer/swatch/periods.py)
"""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from server.model.maps import BASE_COLOUR, channels_of
from server.network.texture import TextureGenerator, texture, to_bytes
from server.replace_file import replace_file

Picture = NDArray[np.uint8]  # (height, width, 3), sRGB

_PAPER = (245, 245, 242)
_INK = (40, 40, 40)
_GAP = 16
_ROWS = 256  # of a picture, that are worked on at once
_CAPTION = 22
SAMPLE = 512  # side of the textures on the sheet
LARGE = (1024, 1568)


def as_picture(pixels: Tensor) -> Picture:
    """(1, 3, H, W) in [0, 1], clamped here, to (H, W, 3) uint8."""
    _, channels, height, width = pixels.shape
    picture = np.empty((height, width, channels), np.uint8)
    for top in range(0, height, _ROWS):  # of a large one there is never a second copy in float
        picture[top : top + _ROWS] = to_bytes(pixels[:, :, top : top + _ROWS].clamp(0, 1).cpu())[0].numpy()
    return picture


def base_colour(generator: TextureGenerator, seed: int, size: tuple[int, int]) -> Tensor:
    """The base colour of a texture: (1, 3, H, W) in [0, 1]."""
    return texture(generator, seed, size)[:, channels_of(generator.maps, BASE_COLOUR.name)]


def write_picture(path: Path, picture: Picture) -> None:
    """Replace a PNG in one step. Raises UnusableOutput."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", optimize=False)
    replace_file(path, buffer.getvalue())


def thumbnail(picture: Picture, side: int = 160) -> Picture:
    """Reduced to fit a square of this side, never enlarged."""
    image = Image.fromarray(picture)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.asarray(image)


def contact_sheet(generator: TextureGenerator, swatch: Picture, title: str) -> Picture:
    """All that is needed to judge a model by eye, about 1600 x 2300 pixels. The generator must be frozen."""
    seeds = [as_picture(base_colour(generator, seed, (SAMPLE, SAMPLE))) for seed in range(3)]
    small = as_picture(base_colour(generator, 3, (SAMPLE // 2, SAMPLE // 2 + 21)))
    tiled = np.tile(small, (2, 2, 1))
    large = as_picture(base_colour(generator, 4, LARGE))
    rows = [
        [(f"the swatch, {swatch.shape[1]} x {swatch.shape[0]}", swatch), *_named(seeds[:2], "seed {}")],
        [
            ("seed 2", seeds[2]),
            (f"one texture of {small.shape[1]} x {small.shape[0]}, tiled 2 x 2: the seams cross in the middle", tiled),
        ],
        [(f"seed 4, {LARGE[1]} x {LARGE[0]}", large)],
    ]
    return laid_out(rows, title)


def quilt_sheet(
    generator: TextureGenerator, reduced: TextureGenerator, factor: int, swatch: Picture, title: str
) -> Picture:
    """What one has to see to judge a quilt, about 1.6 k x 1.1 k pixels: all of it reduced, and pieces as they are.

    `reduced` paints the same at 1/`factor` of the size, for the picture of all.
    """
    height, width = swatch.shape[:2]
    wide = as_picture(base_colour(reduced, 0, (height // factor, 2 * width // factor)))
    side = min(SAMPLE, 4 * min(height, width))
    torus = max(side // 2, min(height, width) // 2), max(side // 2, min(height, width) // 2 + 21)
    seams = f"seed 2, {torus[1]} x {torus[0]}, tiled: the seams cross in the middle"
    rows = [
        [
            (f"the swatch, {width} x {height}", thumbnail(swatch, SAMPLE)),
            (f"seed 0, {2 * width} x {height}", thumbnail(wide, 2 * SAMPLE)),
        ],
        [
            ("the swatch, pixel by pixel", _middle(swatch, side)),
            ("seed 1, pixel by pixel", as_picture(base_colour(generator, 1, (side, side)))),
            (seams, _seams(generator, 2, torus, side)),
        ],
    ]
    return laid_out(rows, title)


def _middle(picture: Picture, side: int) -> Picture:
    top, left = (max(0, (extent - side) // 2) for extent in picture.shape[:2])
    return picture[top : top + side, left : left + side]


def _seams(generator: TextureGenerator, seed: int, torus: tuple[int, int], side: int) -> Picture:
    """A texture over both of its seams, (side, side)."""
    once = as_picture(base_colour(generator, seed, torus))
    down, across = (np.arange(-side // 2, side - side // 2) % extent for extent in torus)
    return once[down][:, across]


STRENGTHS = (0.25, 0.6, 1.0)  # on a style's sheet

Stylize = Callable[[Tensor, float], Picture]  # a content (3, H, W) in [0, 1] and a strength


def style_sheet(stylize: Stylize, style: Picture, contents: Sequence[Tensor], title: str) -> Picture:
    """The style, and each content beside itself at three strengths."""
    rows = [[(f"the style, {style.shape[1]} x {style.shape[0]}", style)]]
    for content in contents:
        shown = [(f"strength {strength:g}", stylize(content, strength)) for strength in STRENGTHS]
        rows.append([("content", as_picture(content[None])), *shown])
    return laid_out(rows, title)


def filmstrip(frames: Sequence[tuple[int, Picture]], title: str = "the texture after this many iterations") -> Picture:
    """The texture growing, each frame with its number of iterations or rounds, at most eight frames a row."""
    chosen = list(frames)
    rows = [chosen[start : start + 8] for start in range(0, len(chosen), 8)]
    return laid_out([[(f"{step}", frame) for step, frame in row] for row in rows], title)


def _named(pictures: Sequence[Picture], caption: str) -> list[tuple[str, Picture]]:
    return [(caption.format(index), picture) for index, picture in enumerate(pictures)]


def laid_out(rows: Sequence[Sequence[tuple[str, Picture]]], title: str) -> Picture:
    """Pictures in rows, each under its caption, on one sheet with a title."""
    heights = [max(picture.shape[0] for _, picture in row) + _CAPTION + _GAP for row in rows]
    width = max(sum(picture.shape[1] + _GAP for _, picture in row) for row in rows) + _GAP
    sheet = Image.new("RGB", (width, sum(heights) + _CAPTION + 2 * _GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, _GAP // 2), title, fill=_INK, font_size=16)
    top = _CAPTION + _GAP
    for row, height in zip(rows, heights, strict=True):
        left = _GAP
        for caption, picture in row:
            draw.text((left, top), caption, fill=_INK, font_size=13)
            sheet.paste(Image.fromarray(picture), (left, top + _CAPTION))
            left += picture.shape[1] + _GAP
        top += height
    return np.asarray(sheet)
