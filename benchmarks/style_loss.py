"""How well a style is learned in the same time, against a network in the manner of Johnson et al. 2016.

usage: python benchmarks/style_loss.py STYLE --pictures FILE ... [--vgg-weights FILE] [--iterations 900] [--rate 0.001]

Ours is trained by its default recipe: all strengths, and to move along with its content. The reference learns strength
1 alone, by the same objective, on the same contents, with the same optimiser and course of its rate; --rate are the
highest rates tried. It gets as many steps as take the same time, by steps taken in turn beforehand. Both then stylize
the named pictures, which neither was trained on, ours as it is served: from uint8 to uint8. The loss is the
objective at strength 1, where less is better. Pictures to look at are written to --out.
"""

import argparse
import random
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from plain_johnson import PlainJohnson
from torch import Tensor

from server.network.devices import choose_device, prepare
from server.network.stylize import stylize
from trainer.descriptor.descriptors import NetworkDescriptor, choose_descriptor, fast_arithmetic
from trainer.judge.pictures import as_picture, write_picture
from trainer.loss.style_losses import StyleObjective
from trainer.swatch.contents import Contents, find_contents
from trainer.swatch.swatch import read_swatch
from trainer.training.recipe import SWATCH_SIZES, Recipe
from trainer.training.style import JUDGED, StyleTraining
from trainer.training.training import Network, Training

TIMED = 6  # steps of each, after two that warm up
SHOWN_PX = 512  # the shorter side of the pictures that are judged
FOUR = 4  # the reference halves twice


class ReferenceTraining(Training[PlainJohnson]):
    """The reference at strength 1; what is not about its network is as in StyleTraining."""

    def __init__(self, style: Tensor, contents: Contents, descriptor: NetworkDescriptor, recipe: Recipe) -> None:
        self.style, self.contents, self.descriptor = style, contents, descriptor
        torch.manual_seed(recipe.seed)
        super().__init__(PlainJohnson(), recipe, device=torch.device("cpu"))

    def make_objective(self) -> StyleObjective:
        """As Training."""
        return self.descriptor.style_objective(self.style, self.recipe.seed)

    def loss_of(self, draws: random.Random) -> Tensor:
        """As Training."""
        return self._loss(torch.stack([self.contents.crop(draws, self.size) for _ in range(self.batch)]))

    def _loss(self, contents: Tensor) -> Tensor:
        with fast_arithmetic(self.device):
            images = self.generator(contents)
            loss: Tensor = self.objective(images, contents, torch.ones(len(contents)))
        return loss

    @torch.no_grad()
    def judged_loss(self) -> float:
        """As Training: on the contents that StyleTraining judges by."""
        draws = random.Random("judged contents")
        return sum(float(self._loss(self.contents.crop(draws, self.size)[None])) for _ in range(JUDGED)) / JUDGED

    def finished(self) -> PlainJohnson:
        """As Training."""
        self.generator.load_state_dict(self.best)
        return self.generator.eval()


def step_seconds(*trainings: Training[object]) -> Iterator[float]:
    """Median time of a step of each, taken in turn."""
    times: list[list[float]] = [[] for _ in trainings]
    for turn in range(TIMED + 2):
        for taken, training in zip(times, trainings, strict=True):
            start = time.process_time()
            training._one_step()
            training.step += 1
            if turn > 1:
                taken.append(time.process_time() - start)
    return (statistics.median(taken) for taken in times)


def trained(name: str, training: Training[Network]) -> Network:
    start = time.process_time()
    for _ in training.run():
        pass
    print(f"{name}: {training.step} steps, {time.process_time() - start:.0f} s of processor time", flush=True)
    return training.finished()


@torch.no_grad()
def judged(name: str, objective: StyleObjective, results: list[Tensor], contents: list[Tensor], out: Path) -> None:
    """Prints the terms at strength 1 over whole pictures, (1, 3, H, W) in [0, 1] each; writes the pictures."""
    one = torch.ones(1)
    rows = []
    for index, (result, content) in enumerate(zip(results, contents, strict=True)):
        style, subject = objective.distances(result, content)
        rows.append((float(style), float(subject), float(objective(result, content, one))))
        write_picture(out / f"{index}.{name.replace(' ', '_')}.png", as_picture(result))
    style, subject, loss = (statistics.mean(row[term] for row in rows) for term in range(3))
    print(f"{name:40} style {style:.4f}  content {subject:.3f}  loss {loss:.4f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("style", type=Path)
    parser.add_argument("--pictures", type=Path, nargs="+", required=True, help="pictures to judge by")
    parser.add_argument("--vgg-weights", type=Path)
    parser.add_argument("--iterations", type=int)
    parser.add_argument("--rate", type=float, nargs="+", default=[0.001])
    parser.add_argument("--out", type=Path, default=Path("style_loss"))
    options = parser.parse_args()
    device = choose_device("cpu")
    recipe = Recipe.of("style", arch="residual", iterations=options.iterations)
    style = read_swatch(options.style, SWATCH_SIZES["style"]).pixels
    contents = find_contents(None)
    descriptor = choose_descriptor("vgg19" if options.vgg_weights else "auto", options.vgg_weights, device, print)

    def ours() -> StyleTraining:
        return StyleTraining(style, contents, descriptor, recipe, device=device)

    mine, its = step_seconds(ours(), ReferenceTraining(style, contents, descriptor, recipe))
    print(f"a step takes {mine:.2f} s, the reference's {its:.2f} s, {torch.get_num_threads()} threads", flush=True)
    steps = round(recipe.iterations * mine / its)

    pictures = [read_swatch(path, SHOWN_PX).pixels for path in options.pictures]
    pictures = [each[..., : each.shape[2] // FOUR * FOUR, : each.shape[3] // FOUR * FOUR] for each in pictures]
    objective = descriptor.style_objective(style, recipe.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    served = prepare(trained("ours", ours()), device)
    bytes_of = [(each[0].permute(1, 2, 0) * 255).round().byte() for each in pictures]
    results = [stylize(served, content, 0, 1.0).permute(2, 0, 1)[None].float() / 255 for content in bytes_of]
    judged("ours, as served", objective, results, pictures, options.out)
    for rate in options.rate:
        limited = Recipe.of("style", arch="residual", iterations=steps, rate=rate)
        network = trained(f"reference at rate {rate:g}", ReferenceTraining(style, contents, descriptor, limited))
        with torch.no_grad():
            results = [network(each).clamp(0, 1) for each in pictures]
        judged(f"reference, rate {rate:g}", objective, results, pictures, options.out)


if __name__ == "__main__":
    main()
