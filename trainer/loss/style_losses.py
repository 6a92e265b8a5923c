"""The objective of a style: keep the subject of the content, and take the strokes and colours of the style.

Source: Johnson et al. 2016 (arXiv 1603.08155), a network trained by the losses of Gatys et al. 2015 (1508.06576).
Differs:
 - Every term is relative to its target's size, so that none dominates the sum.
 - The style is compared at several image scales, which replace the deeper layers of VGG-19, and the subject at half the
   size, which leaves room for strokes.
 - The weights depend on the strength of each sample, so one network learns the whole range from content to style.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from trainer.loss.losses import Features, gram, scaled

STYLE_WEIGHT = 10.0  # at strength 1; it grows with the square of the strength
PIXEL_WEIGHT = 1.0  # at strength 0, where the picture must stay as it is
SMOOTHNESS_WEIGHT = 0.05
STEADINESS_WEIGHT = 20.0  # at strength 1
CONTENT_SCALE = 1  # half the size


class StyleObjective(nn.Module):
    """The weighted sum of style, content, smoothness and steadiness, averaged over a batch.

    `style` (1, 3, H, W) in [0, 1]. `features`: a function for each image scale, full size first. `content`: the layer
    that shows the subject, at CONTENT_SCALE. `smallest`: the smallest side of an image that gives features.
    """

    def __init__(self, features: Sequence[Features], style: Tensor, *, content: str, smallest: int) -> None:
        super().__init__()
        self.features, self.content, self.smallest = tuple(features), content, smallest
        with torch.no_grad():
            self.targets = [
                {name: gram(found) for name, found in features[scale](image).items()}
                for scale, image in scaled(style, len(features), None)
                if min(image.shape[2:]) >= smallest
            ]

    def forward(
        self, images: Tensor, contents: Tensor, strengths: Tensor, move: tuple[int, int] | None = None
    ) -> Tensor:
        """`images` and `contents` (B, 3, H, W), `strengths` (B,) in [0, 1] -> one number.

        `move`, for two samples of one scene: by how many pixels the second is further down and right.
        """
        style, content = self.distances(images, contents)
        pixel = (images - contents).square().mean((1, 2, 3))
        for_style = STYLE_WEIGHT * strengths.square()
        for_pixels = PIXEL_WEIGHT * (1 - strengths).square()
        weighted = (
            for_style * style
            + content
            + for_pixels * pixel / contents.var((1, 2, 3)).clamp_min(1e-3)
            + SMOOTHNESS_WEIGHT * roughness(images)
        )
        if move is not None:
            weighted = weighted + STEADINESS_WEIGHT * strengths.square() * unsteadiness(images, move)
        loss: Tensor = (
            weighted / (1 + for_style + for_pixels)
        ).mean()  # else samples of high strength would outweigh the others
        return loss

    def distances(self, images: Tensor, contents: Tensor) -> tuple[Tensor, Tensor]:
        """Distance of each sample to the style, and to its content: (B,) each. Sides are at least 2 * `smallest`."""
        style = torch.zeros(len(images), device=images.device)
        count = 0
        found: list[Mapping[str, Tensor]] = []
        for scale, image in scaled(images, len(self.features), None):
            if min(image.shape[2:]) < self.smallest:
                break
            found.append(self.features[scale](image))
            for name, target in self.targets[scale].items() if scale < len(self.targets) else ():
                difference = (gram(found[scale][name]) - target).square().sum((1, 2))
                style = style + difference / target.square().sum().clamp_min(1e-9)
                count += 1
        with torch.no_grad():
            *_, (_, smaller) = scaled(contents, CONTENT_SCALE + 1, None)
            wanted = self.features[CONTENT_SCALE](smaller)[self.content].float()
        difference = (found[CONTENT_SCALE][self.content].float() - wanted).square().mean((1, 2, 3))
        return style / max(count, 1), difference / wanted.square().mean((1, 2, 3)).clamp_min(1e-6)


def unsteadiness(images: Tensor, move: tuple[int, int]) -> Tensor:
    """Mean squared difference of two views (2, C, H, W) where they overlap, the second `move` pixels down and right."""
    first, second = images[:1], images[1:]
    for axis, step in zip((2, 3), move, strict=True):
        length = images.shape[axis] - abs(step)
        first = first.narrow(axis, max(step, 0), length)
        second = second.narrow(axis, max(-step, 0), length)
    return (first - second).square().mean()


def roughness(images: Tensor) -> Tensor:
    """Total variation per pixel: mean absolute steps down and across, (B,)."""
    down, across = images.diff(dim=2).abs().mean((1, 2, 3)), images.diff(dim=3).abs().mean((1, 2, 3))
    return down + across
