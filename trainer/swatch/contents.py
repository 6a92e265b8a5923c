"""Content images for training a style: a folder of pictures, or drawn scenes and scikit-image's photographs.

Scenes are drawn anew for every step: leaves of random shapes over each other, as in the "dead leaves" model of Lee,
Mumford & Huang (2001), gradients and soft light. The photographs are used if scikit-image is installed. What the
pictures show matters little. A style has to deal with edges, flat areas, gradients and fine detail.
"""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from server.errors import TexserverError
from server.files.exr_file import EXR_SUFFIX
from server.files.picture_file import SUFFIXES, UnusablePicture, foreign_in, pictures_in
from trainer.swatch.swatch import UnusableSwatch, read_swatch

PHOTOGRAPHS = ("astronaut", "cat", "coffee", "rocket", "camera", "coins")  # that scikit-image's wheel contains
LARGEST = 512  # shorter side that pictures are scaled down to
SMALLEST = 64
LEAVES = 90
SHOWN = 3  # on a contact sheet
DRAWN_SHARE = 0.5  # of the samples, if there are photographs too


class UnusableContent(TexserverError):
    """There are no content images; the text says what to do."""


class Contents(Protocol):
    """A source of content images; `name` is shown to people and goes into the model file."""

    name: str

    def crop(self, draws: random.Random, side: int) -> Tensor:
        """A random piece of a picture: (3, side, side) float32, sRGB in [0, 1]."""

    def shown(self, side: int) -> list[Tensor]:
        """Three whole pictures for the contact sheet. Their shorter side has about `side` pixels."""


def find_contents(folder: Path | None, say: Callable[[str], None] = lambda text: None) -> Contents:
    """The pictures of the folder, or without a folder the default ones. Says which files of the folder are left out.

    Raises UnusableContent.
    """
    if folder is None:
        photographs = _photographs()
        return Mixed(photographs) if photographs else Drawn()
    return Pictures(_read(folder, say), f"the pictures in {folder.name}")


class Pictures:
    """Random pieces of pictures. All pictures are equally likely; half of the pieces are mirrored."""

    def __init__(self, pictures: Sequence[Tensor], name: str) -> None:
        self.pictures = list(pictures)
        self.name = f"{len(pictures)} of {name}" if len(pictures) != 1 else f"one of {name}"

    def crop(self, draws: random.Random, side: int) -> Tensor:
        """As Contents."""
        picture = draws.choice(self.pictures)
        _, height, width = picture.shape
        scale = side / min(height, width)
        if scale > 1:  # too small
            picture = _fitted(picture, side)
            _, height, width = picture.shape
        top, left = draws.randrange(height - side + 1), draws.randrange(width - side + 1)
        piece = picture[:, top : top + side, left : left + side]
        return piece.flip(2) if draws.random() < 0.5 else piece

    def shown(self, side: int) -> list[Tensor]:
        """As Contents."""
        step = max(1, len(self.pictures) // SHOWN)
        return [_fitted(picture, side) for picture in self.pictures[::step][:SHOWN]]


class Drawn:
    """Scenes drawn anew for every piece."""

    name = "drawn scenes"

    def crop(self, draws: random.Random, side: int) -> Tensor:
        """As Contents."""
        return torch.from_numpy(dead_leaves(draws.getrandbits(32), side)).permute(2, 0, 1)

    def shown(self, side: int) -> list[Tensor]:
        """As Contents."""
        return [self.crop(random.Random(each), side) for each in range(SHOWN)]


class Mixed:
    """Photographs and drawn scenes."""

    def __init__(self, photographs: Sequence[Tensor]) -> None:
        self.photographs, self.drawn = Pictures(photographs, "scikit-image's photographs"), Drawn()
        self.name = f"{self.photographs.name} and {self.drawn.name}"

    def crop(self, draws: random.Random, side: int) -> Tensor:
        """As Contents."""
        source: Contents = self.drawn if draws.random() < DRAWN_SHARE else self.photographs
        return source.crop(draws, side)

    def shown(self, side: int) -> list[Tensor]:
        """As Contents: photographs, which are easier to judge than drawn scenes."""
        return self.photographs.shown(side)


def dead_leaves(seed: int, side: int) -> NDArray[np.float32]:
    """A scene of leaves over each other: (side, side, 3) in [0, 1]."""
    random = np.random.default_rng(seed)
    palette = random.uniform(0, 1, (6, 1)) + random.normal(0, 0.15, (6, 3))  # muted, as in nature
    return np.clip(leaves_over_each_other(random, palette, side), 0, 1).astype(np.float32)


def leaves_over_each_other(random: np.random.Generator, palette: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Draw leaves over each other: ellipses and bars whose sizes follow a power law, each shaded, some grainy.

    Source: the "dead leaves" model, Lee, Mumford & Huang (2001).
    """
    y, x = np.mgrid[:side, :side].astype(np.float32) / side
    image = _shaded(random, palette, x, y)
    for _ in range(LEAVES):
        centre_y, centre_x, angle = random.uniform(-0.1, 1.1), random.uniform(-0.1, 1.1), random.uniform(0, np.pi)
        radius = 0.05 / np.sqrt(random.uniform(0.01, 1.0))
        slender = random.uniform(0.15, 1.0)
        # Only the leaf's own square is drawn on.
        top, bottom = (int(np.clip((centre_y + step * radius * 1.5) * side, 0, side)) for step in (-1, 1))
        left, right = (int(np.clip((centre_x + step * radius * 1.5) * side, 0, side)) for step in (-1, 1))
        if top >= bottom or left >= right:
            continue
        part = np.s_[top:bottom, left:right]
        dx, dy = x[part] - centre_x, y[part] - centre_y
        u, v = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
        if random.uniform() < 0.5:
            inside = (u / radius) ** 2 + (v / (radius * slender)) ** 2 < 1
        else:
            inside = (np.abs(u) < radius) & (np.abs(v) < radius * slender)
        image[part] = np.where(inside[..., None], _shaded(random, palette, x[part], y[part]), image[part])
    return image


def _shaded(
    random: np.random.Generator, palette: NDArray[np.float64], x: NDArray[np.float32], y: NDArray[np.float32]
) -> NDArray[np.float64]:
    """One colour, brighter on one side, with or without grain."""
    colour = np.clip(palette[random.integers(len(palette))] + random.normal(0, 0.08, 3), 0, 1)
    light = 1 + random.uniform(-0.6, 0.6) * (x - 0.5) + random.uniform(-0.6, 0.6) * (y - 0.5)
    shaded: NDArray[np.float64] = colour * light[..., None]
    if random.uniform() < 0.3:
        shaded = shaded + random.normal(0, random.uniform(0.01, 0.06), shaded.shape)
    return shaded


def _photographs() -> list[Tensor]:
    try:
        import skimage.data
    except ImportError:
        return []
    pictures = []
    for name in PHOTOGRAPHS:
        try:
            pixels = np.asarray(getattr(skimage.data, name)())
        except (OSError, AttributeError, ImportError):  # this version's wheel lacks it and would download it
            continue
        image = Image.fromarray(pixels).convert("RGB")
        image.thumbnail((2 * LARGEST, 2 * LARGEST))
        pictures.append(_tensor(image))
    return pictures


def _read(folder: Path, say: Callable[[str], None]) -> list[Tensor]:
    if not folder.is_dir():
        raise UnusableContent(
            f"--content {folder} is not a folder. Name a folder of pictures, or leave the option out."
        )
    try:
        paths = pictures_in(folder, (*SUFFIXES, EXR_SUFFIX))
    except UnusablePicture as error:
        raise UnusableContent(f"--content: {error}") from error
    pictures = []
    for path in paths:
        try:
            pictures.append(read_swatch(path, LARGEST).pixels[0])
        except UnusableSwatch as error:
            say(f"  Left out: {error}")
    for path, why in foreign_in(folder).items():
        say(f"  Left out: {path}, {why}.")
    if not pictures:
        raise UnusableContent(f"No picture in {folder} can be read. Put photographs there (JPEG, PNG).")
    return pictures


def _fitted(picture: Tensor, side: int) -> Tensor:
    """The picture scaled so that its shorter side has `side` pixels."""
    _, height, width = picture.shape
    scale = side / min(height, width)
    size = (max(side, round(height * scale)), max(side, round(width * scale)))
    return F.interpolate(picture[None], size=size, mode="bilinear", antialias=True)[0]


def _tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.asarray(image, np.float32) / 255).permute(2, 0, 1)
