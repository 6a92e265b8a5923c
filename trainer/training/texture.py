"""The training of a texture generator on one swatch.

Source: Ulyanov et al. 2016 (arXiv 1603.03417), a generator trained by the texture loss of Gatys et al. 2015. Differs:
 - In place of Gram matrices their two parts are compared, means and covariances (trainer/loss/losses.py).
 - Samples are whole small tori as in the paper, of several sizes. Their features wrap, so no pixel is lost at a border.
   If the swatch has a lattice, samples are random windows of large tori of random size instead: small tori would bend
   the lattice, and every size and place meets other phases of it.
 - The last part of training normalises with frozen population statistics, as the served generator does, so training
   repairs what freezing changes.
"""

import copy
import random
from collections.abc import Sequence

import torch
from torch import Tensor

from server.model.architecture import PRESETS
from server.model.lattice import Lattice
from server.model.maps import BASE_COLOUR, Map
from server.model.torus import Size, Window
from server.network.generator import Generator
from server.network.normals import finished
from server.network.texture import paint, paint_with_gradients
from trainer.descriptor.descriptors import Descriptor, fast_arithmetic
from trainer.loss.losses import Place, Sum
from trainer.swatch.relief import steepness_of
from trainer.training.freezing import calibrate, folded, freeze, normalisation, somewhere
from trainer.training.recipe import Recipe
from trainer.training.training import Say, Training

SIDE_STEP = 16  # sides of tori are multiples of it, which every scale of every descriptor divides
# In units of the recipe's size: the window that is painted with a lattice, the torus of a map set, and the part of
# either that the descriptor compares at full size, so that they cost as much as a torus of that size. A map set gains
# from the larger torus: a surface's shapes are large, and on a small torus they come out round. Otherwise more steps
# help more than more pixels.
WINDOW = 1.6
TORUS_OF_A_SET = 1.4
LOOKED_AT = 0.7
FROZEN_FROM = 0.8  # of the iterations; from then on the statistics are frozen
JUDGE_SEEDS = tuple((1 << 61) + each for each in range(4))  # never trained on
JUDGE_STEP = 1 << 40  # gives judging the same patch directions every time


class TextureTraining(Training[Generator]):
    """A texture generator in training. `swatch`: (1, channels of all maps, H, W) in [0, 1]."""

    def __init__(
        self,
        swatch: Tensor,
        lattice: Lattice | None,
        descriptor: Descriptor,
        recipe: Recipe,
        *,
        maps: Sequence[Map] = (BASE_COLOUR,),
        device: torch.device,
        say: Say = print,
    ) -> None:
        self.swatch, self.lattice, self.descriptor = swatch.to(device), lattice, descriptor
        self.maps = tuple(maps)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            generator = Generator(PRESETS[recipe.arch], maps, lattice, normalisation)
        with torch.no_grad():  # start with the swatch's mean colour, faintly textured
            generator.paint.bias.copy_(swatch.mean((0, 2, 3)))  # type: ignore[union-attr]
            generator.paint.weight.mul_(0.3)
            if generator.has_relief:
                generator.get_buffer("steepness").fill_(steepness_of(swatch, maps))
        super().__init__(generator, recipe, device=device, say=say)

    def make_objective(self) -> Sum:
        """As Training."""
        side = round(self.size * LOOKED_AT) if self.lattice or len(self.maps) > 1 else None
        return self.descriptor.objective(self.swatch, self.lattice, side, self.recipe.seed, self.maps)

    def before_step(self) -> None:
        """Freeze the statistics for the last part of the training."""
        if not self.frozen and self.step >= FROZEN_FROM * self.recipe.iterations:
            self._freeze()

    def loss_of(self, draws: random.Random) -> Tensor:
        """As Training."""
        size, window = self._somewhere(draws)
        seeds = [draws.getrandbits(60) for _ in range(self.batch)]
        with fast_arithmetic(self.device):
            images = finished(paint_with_gradients(self.generator, seeds, size, window), self.maps)
        loss: Tensor = self.objective(images, Place(size, window, self.step))
        return loss

    def _somewhere(self, draws: random.Random) -> tuple[Size, Window]:
        if self.generator.lattice:
            return somewhere(draws, self.window)
        side = round(self.size * (TORUS_OF_A_SET if len(self.maps) > 1 else 1)) // SIDE_STEP * SIDE_STEP
        sides = [side + step for step in (-SIDE_STEP, 0, SIDE_STEP)]
        size = Size(draws.choice(sides), draws.choice(sides))
        return size, size.whole

    @property
    def window(self) -> int:
        """Side in pixels of a window of a large torus, and of what is judged."""
        return round(self.size * WINDOW)

    def _freeze(self) -> None:
        calibrate(self.generator, self.window, self.recipe.seed)
        freeze(self.generator)
        self.frozen = True
        self.best_loss = float("inf")  # judged anew, as it is served
        self.judge()

    def set_frozen(self, frozen: bool) -> None:
        """As Training."""
        freeze(self.generator, frozen)

    @torch.no_grad()
    def judged_loss(self, generator: Generator | None = None) -> float:
        """As Training: over the judging seeds, each on a torus of another size."""
        total = 0.0
        for index, seed in enumerate(JUDGE_SEEDS):
            size, window = self._judged_place(index)
            with fast_arithmetic(self.device):
                image = finished(paint(generator or self.generator, [seed], size, window), self.maps)
            total += float(self.objective(image, Place(size, window, JUDGE_STEP + index)))
        return total / len(JUDGE_SEEDS)

    def _judged_place(self, index: int) -> tuple[Size, Window]:
        if self.generator.lattice:
            size = Size(2 * self.window + 37 * index, 2 * self.window + 101 * index)
            return size, Window(91 * index, 53 * index, self.window, self.window)
        side = self.window // SIDE_STEP * SIDE_STEP
        size = Size(side + SIDE_STEP * index, side + 2 * SIDE_STEP * index)
        return size, size.whole

    def finished(self) -> Generator:
        """The best generator so far, frozen and folded: float32 on the CPU. The training is not changed."""
        generator = copy.deepcopy(self.generator)
        if self.best:
            generator.load_state_dict(self.best)
        if not self.best_frozen:  # stopped early
            calibrate(generator, self.window, self.recipe.seed)
        freeze(generator)
        return folded(generator).cpu()
