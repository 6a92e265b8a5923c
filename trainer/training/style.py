"""The training of a style generator on one picture.

Source: Ulyanov et al. 2017 (arXiv 1701.02096): a network with instance normalisation, trained by the losses of Gatys et
al. on content images. Differs: every sample has a random strength, which is an input of the network and sets the
weights of the loss (trainer/loss/style_losses.py). So one network gives everything between content and style. Late
steps have the most effect, so strength 1, the hardest, is drawn most often in them.

Every second step paints one scene twice, a few pixels apart, and compares the results along that motion. This keeps an
animation from flickering (after Ruder et al. 2016, arXiv 1604.08610, whose loss compares frames along known motion).
The noise is fixed to the screen. In the other steps the margin of a sample is its own mirror image, as at the edges of
pictures that are served.
"""

import copy
import random

import torch
from torch import Tensor

from server.model.style_architecture import PRESETS
from server.model.torus import Window
from server.network.style_generator import StyleGenerator
from server.network.stylize import mirrored, noise_for
from trainer.descriptor.descriptors import StyleDescriptor, fast_arithmetic
from trainer.loss.style_losses import StyleObjective
from trainer.swatch.contents import Contents
from trainer.training.recipe import Recipe
from trainer.training.training import Say, Training

LATE = 0.6  # of the iterations; later steps draw strength 1 more often
FULL, FULL_LATE = 0.2, 0.6  # shares of the samples at strength 1
NOTHING = 0.1  # share at strength 0; all others are between 0 and 1
MOVED = 12  # most pixels by which a scene is moved
JUDGED = 4  # contents for judging, never trained on
JUDGED_AT = (1.0, 0.5)  # strengths


class StyleTraining(Training[StyleGenerator]):
    """A style generator in training. `style` (1, 3, H, W) in [0, 1]."""

    def __init__(
        self,
        style: Tensor,
        contents: Contents,
        descriptor: StyleDescriptor,
        recipe: Recipe,
        *,
        device: torch.device,
        say: Say = print,
    ) -> None:
        self.style, self.contents, self.descriptor = style.to(device), contents, descriptor
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            generator = StyleGenerator(PRESETS[recipe.arch])
        super().__init__(generator, recipe, device=device, say=say)

    def make_objective(self) -> StyleObjective:
        """As Training."""
        return self.descriptor.style_objective(self.style, self.recipe.seed)

    @property
    def side(self) -> int:
        """Side of a sample in pixels: whole cells of the coarsest level and of the descriptor's scales."""
        return self.size // 16 * 16

    def loss_of(self, draws: random.Random) -> Tensor:
        """As Training."""
        if self.step % 2 and self.batch > 1:
            return self._loss_of_a_pair(draws)
        strengths = [self._strength(draws) for _ in range(self.batch)]
        contents = torch.stack([self.contents.crop(draws, self.side) for _ in range(self.batch)])
        seeds = [draws.getrandbits(60) for _ in range(self.batch)]
        return self._loss(contents, strengths, seeds)

    def _loss_of_a_pair(self, draws: random.Random) -> Tensor:
        """The loss of one scene seen twice, moved by whole pixels under the same noise."""
        strength = torch.full((2,), self._strength(draws), device=self.device)
        halo, side = self.generator.halo, self.side
        scene = self.contents.crop(draws, side + MOVED + 2 * halo)
        first, second = ((draws.randrange(MOVED + 1), draws.randrange(MOVED + 1)) for _ in range(2))
        seen = torch.stack(
            [scene[:, top : top + side + 2 * halo, left : left + side + 2 * halo] for top, left in (first, second)]
        ).to(self.device)
        move = (second[0] - first[0], second[1] - first[1])
        with fast_arithmetic(self.device):
            noise = noise_for(self.generator, [draws.getrandbits(60)] * 2, Window(0, 0, side, side))
            images = self.generator(seen, noise, strength)
            loss: Tensor = self.objective(images, seen[:, :, halo:-halo, halo:-halo], strength, move)
        return loss

    def _strength(self, draws: random.Random) -> float:
        full = FULL_LATE if self.step >= LATE * self.recipe.iterations else FULL
        place = draws.random()
        if place < full:
            return 1.0
        return 0.0 if place < full + NOTHING else draws.random()

    def _loss(self, contents: Tensor, strengths: list[float], seeds: list[int]) -> Tensor:
        contents = contents.to(self.device)
        strength = torch.tensor(strengths, device=self.device)
        with fast_arithmetic(self.device):
            images = self.painted(contents, strength, seeds)
            loss: Tensor = self.objective(images, contents, strength)
        return loss

    def painted(self, contents: Tensor, strengths: Tensor, seeds: list[int]) -> Tensor:
        """Contents (B, 3, H, W) in the style, with gradients."""
        noise = noise_for(self.generator, seeds, Window(0, 0, *contents.shape[2:]))
        result: Tensor = self.generator(mirrored(contents, self.generator.halo), noise, strengths)
        return result

    @torch.no_grad()
    def judged_loss(self) -> float:
        """As Training: on contents kept for judging, at two strengths."""
        draws = random.Random("judged contents")
        total = 0.0
        for index in range(JUDGED):
            content = self.contents.crop(draws, self.side)[None]
            for strength in JUDGED_AT:
                total += float(self._loss(content, [strength], [(1 << 61) + index]))
        return total / JUDGED / len(JUDGED_AT)

    def finished(self) -> StyleGenerator:
        """As Training."""
        generator = copy.deepcopy(self.generator)
        if self.best:
            generator.load_state_dict(self.best)
        return generator.float().cpu().eval().requires_grad_(False)
