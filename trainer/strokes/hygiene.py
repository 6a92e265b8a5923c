"""What of a picture of a painting is no painting: frames, and places that a person names. Writing: captions.py.

A frame is a border nearly of one colour that ends well within the picture: paper, a mount, a scanner's lid. A plain sky
at the border does not end so soon.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from server.picture_part import part_of

PLAIN = 20  # a line of a frame deviates so much from its colour at most, in steps of 8 bits
MOSTLY = 0.85  # so much of a line at least; another frame may cross it
MOST_SHARE = 0.15  # of a side that may be frame
MARGIN = 3  # pixels behind a frame that are left out as well, where it is not sharp


@dataclass(frozen=True)
class Rectangle:
    """A part of a picture in pixels."""

    top: int
    left: int
    height: int
    width: int

    def within(self, pixels: Tensor) -> Tensor:
        """A view of that part of (..., H, W)."""
        return pixels[..., self.top : self.top + self.height, self.left : self.left + self.width]


@dataclass(frozen=True)
class Share:
    """A part of a picture in fractions of its sides: x and y from the left upper corner, width and height."""

    x: float
    y: float
    width: float
    height: float
    picture: str = ""  # the name of the file that is meant; "" for all

    def __str__(self) -> str:
        """As left_out() reads it."""
        return ",".join(f"{value:.3g}" for value in (self.x, self.y, self.width, self.height))

    def moved(self, height: int, width: int, frame: Rectangle) -> Rectangle:
        """The same in pixels of what lies within the frame; `height`, `width`: of the whole picture."""
        top, left = max(0, int(self.y * height) - frame.top), max(0, int(self.x * width) - frame.left)
        bottom = int((self.y + self.height) * height + 0.999) - frame.top
        right = int((self.x + self.width) * width + 0.999) - frame.left
        return Rectangle(top, left, max(0, bottom - top), max(0, right - left))


def left_out(text: str) -> Share:
    """`x,y,w,h` in fractions of the picture or in percent (`70%,0,30%,10%`), after `FILE=` of this file alone. Raises
    ValueError.
    """
    picture, _, place = text.rpartition("=")
    try:
        return Share(*part_of(place), Path(picture).name)
    except ValueError as error:
        raise ValueError(f"--leave-out {error}") from None


def within_frame(pixels: Tensor) -> Rectangle:
    """What lies within a plain frame of a picture (3, H, W) uint8; all of it where there is none."""
    height, width = pixels.shape[1:]
    values = pixels.float()
    top, bottom = _lines(values), _lines(values.flip(1))
    left, right = _lines(values.transpose(1, 2)), _lines(values.transpose(1, 2).flip(1))
    return Rectangle(top, left, height - top - bottom, width - left - right)


def _lines(values: Tensor) -> int:
    """How many rows at the top are frame: (3, H, W) float32."""
    most = int(values.shape[1] * MOST_SHARE)
    lines = values[:, :most]
    colours = lines.median(2, keepdim=True).values
    spread = (lines - colours).abs().amax(0)
    plain = spread.quantile(MOSTLY, 1) <= PLAIN
    alike = (colours - colours[:, :1]).abs().amax((0, 2)) <= PLAIN
    count = int(torch.cat([plain & alike, torch.zeros(1, dtype=torch.bool)]).long().argmin())
    return count + MARGIN if count and count < most else 0
