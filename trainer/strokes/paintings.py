"""What pieces of a quilted style come from: one painting, or several of one hand beneath each other.

Several are brought to the same longer side, that of the smallest, so that the strokes of each have the size that they
have against their painting. A gap lies between two of them, of which nothing may be shown, so no piece shows parts of
both. It continues the paintings that it parts, since painting mixes pixels near a border.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from server.model.style_quilt import FACTORS, GAP, MIN_SIDE, PLAN_SIDE, StyleQuiltArchitecture
from server.quilt.quilt import reduced
from trainer.strokes.captions import captions
from trainer.strokes.hygiene import Rectangle, Share, within_frame
from trainer.swatch.swatch import Swatch, UnusableSwatch


@dataclass(frozen=True, eq=False)
class Painting:
    """One picture of a painting, without its frame. `pixels`: (3, H, W) uint8. `shown`: (H, W) uint8, 0 where nothing
    may be shown. `whole`: height and width with the frame. `writing`: what was found, in fractions of the whole.
    """

    path: Path
    pixels: Tensor
    shown: Tensor
    whole: tuple[int, int]
    writing: tuple[Share, ...] = ()

    @classmethod
    def of(cls, swatch: Swatch, left_out: Sequence[Share], *, keep_writing: bool = False) -> "Painting":
        """`left_out`: parts of the whole picture."""
        pixels = (swatch.pixels[0] * 255 + 0.5).to(torch.uint8)
        height, width = pixels.shape[1:]
        frame = within_frame(pixels)
        inner = frame.within(pixels)
        shown = torch.ones(inner.shape[1:], dtype=torch.uint8)
        for share in left_out:
            share.moved(height, width, frame).within(shown)[...] = 0
        writing = []
        for each in () if keep_writing else captions(inner):
            if each.within(shown).any():  # a person has not named it
                each.within(shown)[...] = 0
                top, left = each.top + frame.top, each.left + frame.left
                writing.append(Share(left / width, top / height, each.width / width, each.height / height))
        return cls(swatch.path, inner, shown, (height, width), tuple(writing))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width without the frame."""
        return self.pixels.shape[1], self.pixels.shape[2]

    def sized(self, longer: int) -> "Painting":
        """With this longer side."""
        if max(self.size) == longer:
            return self
        size = [max(1, round(side * longer / max(self.size))) for side in self.size]
        resized = F.interpolate(self.pixels[None].double(), size=size, mode="bicubic", antialias=True)
        shown = 1 - F.adaptive_max_pool2d(1 - self.shown[None].float(), size)[0]
        return Painting(self.path, resized[0].round().clamp(0, 255).to(torch.uint8), shown.to(torch.uint8), self.whole)

    def cut(self, factor: int) -> "Painting":
        """With sides that are multiples of the factor."""
        height, width = (side // factor * factor for side in self.size)
        return Painting(self.path, self.pixels[:, :height, :width], self.shown[:height, :width], self.whole)


@dataclass(frozen=True, eq=False)
class Ground:
    """What a style is learned from. `painting`: (3, H, W) uint8, all of them; `plan`: the same in plan pixels.
    `usable`: in plan pixels, 0 where nothing may be shown.
    """

    architecture: StyleQuiltArchitecture
    painting: Tensor
    plan: Tensor
    usable: Tensor

    @classmethod
    def of(cls, paintings: Sequence[Painting]) -> "Ground":
        """Raises UnusableSwatch if one is too small."""
        longer = min(max(each.size) for each in paintings)
        factor = next((each for each in FACTORS if longer <= PLAN_SIDE * each), FACTORS[-1])
        sized = [each.sized(longer).cut(factor) for each in paintings]
        for each in sized:
            if min(each.size) < MIN_SIDE * factor:
                height, width = each.size
                beside = " and as large as the smallest beside it" if len(sized) > 1 else ""
                raise UnusableSwatch(
                    f"{each.path} is {width} x {height} pixels without its frame{beside}. A painting needs "
                    f"{MIN_SIDE * factor} pixels a side, and a larger picture has more strokes."
                )
        widest = max(each.size[1] for each in sized)
        places, top = [], 0
        for each in sized:
            height, width = (side // factor for side in each.size)
            places.append((top, 0, height, width))
            top += height + GAP
        architecture = StyleQuiltArchitecture(
            height=(top - GAP) * factor,
            width=widest,
            factor=factor,
            paintings=tuple(places) if len(places) > 1 else (),
        )
        painting = torch.cat([_filled(each.pixels, widest, factor) for each in sized], 1)[:, : architecture.height]
        usable = torch.zeros(architecture.plan, dtype=torch.uint8)
        for each, place in zip(sized, places, strict=True):
            clear = F.max_pool2d(1 - each.shown[None].float(), factor)[0]
            Rectangle(*place).within(usable)[...] = 1 - clear.to(torch.uint8)
        painting = painting.contiguous()
        plan = reduced([painting], factor)[0] if factor > 1 else painting
        return cls(architecture, painting, plan, usable)


def _filled(pixels: Tensor, width: int, factor: int) -> Tensor:
    """A painting continued to this width and by the gap below it."""
    more = (0, width - pixels.shape[2], 0, GAP * factor)
    return F.pad(pixels[None].float(), more, mode="replicate")[0].to(torch.uint8)
