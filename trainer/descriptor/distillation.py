"""Makes the weights of the built-in descriptor: teaches a narrow network what VGG-19 sees.

    python -m trainer.descriptor.distillation --vgg-weights FILE

Teacher: VGG-19 (Simonyan & Zisserman 2015, arXiv 1409.1556) up to relu3_4. The pupil has the same shape at a fraction
of the width. For each layer it has a 1 x 1 map from its own channels to the teacher's, as in Collaborative Distillation
(Wang et al. 2020, arXiv 2003.08436). The mapped features are compared with the teacher's in three ways:

    features    each channel in its own standard deviation, so that strong channels do not outweigh weak ones
    Gram        the Gram matrices, by which styles are compared, relative to the teacher's
    change      how a Gram matrix differs between two pictures, relative to the teacher's difference

Pictures are drawn (trainer/swatch/scenes.py) or scikit-image's photographs. Half of every batch are dreams: pixels that
are changed step by step until the pupil's own Gram matrices match another picture's. A training does the same with a
descriptor, so a dream goes where the pupil is wrong, and there the teacher corrects it.

Everything follows from the seed: the same machine and number of threads give the same weights.
"""

import argparse
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import skimage.data
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from server.errors import TexserverError
from server.network.devices import choose_device
from trainer.descriptor.descriptors import fast_arithmetic
from trainer.descriptor.distilled import FILE, LAYERS, WIDTHS, Convolutions, save
from trainer.descriptor.vgg19 import POOLED_BEFORE, VGG19
from trainer.descriptor.weights import find_weights
from trainer.loss.losses import gram
from trainer.swatch.scenes import draw

PHOTOGRAPHS = (
    "astronaut",
    "brick",
    "camera",
    "cat",
    "coffee",
    "coins",
    "grass",
    "gravel",
    "rocket",
)  # in scikit-image's wheel
SIDE = 128  # pixels of a crop
DRAWN = 192  # pixels a side of a drawing
POOL = 600  # drawings kept; every second step draws one of them anew
PHOTOGRAPH_SHARE = 0.3  # of the crops
MEASURED = 40  # batches of eight, from which the pupil's first weights are computed
DREAMS = 32  # kept at the same time; each step continues a few of them
DREAM_STEPS = 60  # after which a dream begins anew
RATE = 1e-3
TEACHER = "VGG-19 to conv3_4, K. Simonyan and A. Zisserman, CC BY 4.0"


@dataclass
class Dream:
    """Pixels that are being changed until they look like the target to the pupil."""

    pixels: Tensor  # (3, SIDE, SIDE)
    momentum: Tensor
    target: Tensor
    age: int


class Pictures:
    """Crops of drawings and photographs, each turned, scaled and coloured at random."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.drawings = [draw(self._seed(), DRAWN) for _ in range(POOL)]
        self.photographs = [self._read(name) for name in PHOTOGRAPHS]

    @staticmethod
    def _read(name: str) -> np.ndarray:
        image = Image.fromarray(getattr(skimage.data, name)()).convert("RGB")
        image.thumbnail((768, 768))
        return np.asarray(image, np.float32) / 255

    def _seed(self) -> int:
        return int(self.random.integers(2**32))

    def redraw(self) -> None:
        """Draw one of the drawings anew."""
        self.drawings[self.random.integers(POOL)] = draw(self._seed(), DRAWN)

    def crop(self) -> Tensor:
        """(3, SIDE, SIDE), sRGB in [0, 1]."""
        random = self.random
        photograph = random.uniform() < PHOTOGRAPH_SHARE
        source = self.photographs if photograph else self.drawings
        image = source[random.integers(len(source))]
        largest = min(image.shape[:2])
        side = int(random.uniform(0.6 * SIDE, largest + 1)) if random.uniform() < 0.6 else SIDE
        side = min(side, largest, 3 * SIDE)
        top, left = (int(random.integers(0, length - side + 1)) for length in image.shape[:2])
        piece = torch.from_numpy(np.ascontiguousarray(image[top : top + side, left : left + side])).permute(2, 0, 1)
        if side != SIDE:
            piece = F.interpolate(piece[None], size=(SIDE, SIDE), mode="bilinear", antialias=True)[0]
        piece = torch.rot90(piece, int(random.integers(4)), (1, 2))
        if random.uniform() < 0.5:
            piece = piece.flip(2)
        if random.uniform() < 0.5:
            mean = piece.mean((1, 2), keepdim=True)
            piece = mean + float(random.uniform(0.15, 1)) * (piece - mean)
        if random.uniform() < (0.7 if photograph else 0.3):
            mixing = torch.from_numpy(np.eye(3) + random.normal(0, 0.15, (3, 3))).float()
            shift = torch.from_numpy(random.normal(0, 0.08, (3, 1, 1))).float()
            piece = torch.einsum("ij,jyx->iyx", mixing, piece) * float(random.uniform(0.7, 1.2)) + shift
        return piece.clamp(0, 1)


class Pupil(nn.Module):
    """The narrow network, and the maps from its channels to the teacher's, in the teacher's standard deviations."""

    def __init__(self, scales: dict[str, Tensor]) -> None:
        super().__init__()
        self.convolutions = Convolutions()
        self.maps = nn.ModuleDict({layer: nn.Conv2d(WIDTHS[layer], len(scales[layer]), 1) for layer in LAYERS})
        self.scales = scales

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return self.convolutions(images)  # type: ignore[no-any-return]

    def mapped(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """The features in the teacher's channels, each in its own standard deviation."""
        return {layer: self.maps[layer](found) for layer, found in features.items()}

    def grams(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Gram matrices of the mapped features, computed from those of the narrow ones, which is cheaper."""
        grams = {}
        for layer, found in features.items():
            matrix = self.matrix(layer)
            grams[layer] = matrix @ gram(with_ones(found)) @ matrix.T
        return grams

    def matrix(self, layer: str) -> Tensor:
        """The map of a layer with its bias as the last column: (teacher's channels, own channels + 1)."""
        head = _convolution(self.maps, layer)
        assert head.bias is not None
        return torch.cat([head.weight.flatten(1), head.bias[:, None]], 1)

    def rooted(self, layer: str) -> Tensor:
        """R of the QR decomposition of the map in the teacher's units: the same distances in far fewer channels."""
        matrix = (self.matrix(layer) * self.scales[layer][:, None]).double()
        root: Tensor = torch.linalg.qr(matrix / matrix.norm()).R.float()
        return root


def _convolution(modules: nn.ModuleDict, layer: str) -> nn.Conv2d:
    found = modules[layer]
    assert isinstance(found, nn.Conv2d)
    return found


def with_ones(features: Tensor) -> Tensor:
    """Append a channel of ones to the features, for the bias."""
    return torch.cat([features.float(), torch.ones_like(features[:, :1], dtype=torch.float32)], 1)


class Moments:
    """Means and covariances of all of the teacher's channels over many pictures, in each channel's standard deviation.

    The pupil's first weights follow from them. It keeps the channels of each layer that predict the others best. They
    are computed from the kept channels of the layer before, which replace all of its channels by linear regression
    (channel pruning as in He, Zhang & Sun 2017, arXiv 1707.06168; the choice is a Cholesky decomposition with pivots).
    """

    @torch.no_grad()
    def __init__(self, teacher: VGG19, pictures: Sequence[Tensor]) -> None:
        self.teacher = teacher
        sums: dict[str, Tensor] = {}
        seen: dict[str, int] = {}
        for images in pictures:
            x = images
            for layer in WIDTHS:
                if layer in POOLED_BEFORE:
                    x = F.avg_pool2d(x, 2)
                x = F.relu(_convolution(teacher.convolutions, layer)(x))
                flat = with_ones(x)[:, :, ::2, ::2].transpose(0, 1).flatten(1).double()
                sums[layer] = sums.get(layer, 0) + flat @ flat.T
                seen[layer] = seen.get(layer, 0) + flat.shape[1]
        self.means, self.covariances, self.scales = {}, {}, {}
        for layer, both in sums.items():
            both = both / seen[layer]
            mean = both[:-1, -1]
            covariance = both[:-1, :-1] - mean[:, None] * mean[None, :]
            deviation = covariance.diagonal().clamp_min(0).sqrt()
            scale = deviation.clamp_min(float(deviation.median()) / 20)  # a dead channel must not be amplified
            self.scales[layer] = scale.float()
            self.means[layer] = mean / scale
            self.covariances[layer] = covariance / scale[:, None] / scale[None, :]

    def chosen(self, layer: str, count: int) -> Tensor:
        """Choose channels one after the other, each time the one that explains most of the rest."""
        rest = self.covariances[layer].clone()
        chosen: list[int] = []
        for _ in range(count):
            left = rest.square().sum(0) / rest.diagonal().clamp_min(1e-6)
            left[chosen] = -1
            pivot = int(left.argmax())
            chosen.append(pivot)
            column = rest[:, pivot] / rest[pivot, pivot].clamp_min(1e-6).sqrt()
            rest = rest - column[:, None] * column[None, :]
        return torch.tensor(sorted(chosen))

    def regression(self, layer: str, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Predict all channels from the chosen ones: a matrix (all, chosen) and an offset (all,)."""
        covariance = self.covariances[layer]
        own = covariance[chosen][:, chosen] + 1e-3 * torch.eye(len(chosen), dtype=torch.float64)
        matrix = torch.linalg.solve(own, covariance[chosen]).T
        return matrix, self.means[layer] - matrix @ self.means[layer][chosen]

    @torch.no_grad()
    def prune(self, pupil: "Pupil") -> None:
        """Set the pupil's convolutions and maps to the pruned teacher."""
        matrix, added = torch.eye(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
        before = torch.ones(3, dtype=torch.float64)
        for layer in WIDTHS:
            convolution = _convolution(self.teacher.convolutions, layer)
            assert convolution.bias is not None
            chosen = self.chosen(layer, WIDTHS[layer])
            scale = self.scales[layer].double()
            weight = convolution.weight.double()[chosen] / scale[chosen][:, None, None, None]
            weight = weight * before[None, :, None, None]
            bias = convolution.bias.double()[chosen] / scale[chosen] + torch.einsum("oiyx,i->o", weight, added)
            own = pupil.convolutions.convolution(layer)
            assert own.bias is not None
            own.weight.copy_(torch.einsum("oiyx,ik->okyx", weight, matrix))
            own.bias.copy_(bias)
            matrix, added = self.regression(layer, chosen)
            before = scale
            if layer in LAYERS:
                head = _convolution(pupil.maps, layer)
                assert head.bias is not None
                head.weight.copy_(matrix[:, :, None, None])
                head.bias.copy_(added)


class Distillation:
    """Teaches the pupil, step by step."""

    def __init__(self, teacher: VGG19, steps: int, batch: int, seed: int, device: torch.device) -> None:
        torch.manual_seed(seed)
        self.teacher, self.steps, self.batch, self.device = teacher, steps, batch, device
        self.pictures = Pictures(seed)
        moments = Moments(teacher, [self._crops(8) for _ in range(MEASURED)])
        self.scales = {layer: moments.scales[layer] for layer in LAYERS}
        self.pupil = Pupil(self.scales).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        moments.prune(self.pupil)
        self.optimizer = torch.optim.AdamW(self.pupil.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=1e-4)
        self.dreams = [self._begin(age=int(self.pictures.random.integers(DREAM_STEPS))) for _ in range(DREAMS)]

    @torch.no_grad()
    def _taught(self, images: Tensor) -> dict[str, Tensor]:
        with fast_arithmetic(self.device):
            return self.teacher(images)  # type: ignore[no-any-return]

    def _crops(self, count: int) -> Tensor:
        return torch.stack([self.pictures.crop() for _ in range(count)]).to(self.device)

    def _begin(self, age: int = 0) -> Dream:
        """Begin a dream from noise of random roughness, or from another picture."""
        target = self._crops(1)[0]
        random = self.pictures.random
        if random.uniform() < 0.5:
            cells = int(random.choice([8, 16, 32, 64, 128]))
            noise = torch.from_numpy(random.normal(0, 0.25, (1, 3, cells, cells))).float()
            noise = F.interpolate(noise, size=(SIDE, SIDE), mode="bilinear")[0].to(self.device)
            pixels = target.mean((1, 2), keepdim=True) + noise
        else:
            pixels = self._crops(1)[0]
        return Dream(pixels.clamp(0, 1), torch.zeros_like(pixels), target, age)

    def step(self, done: int) -> dict[str, float]:
        """One step of teaching, and one step of the dreams in its batch. Returns the losses by name."""
        half = self.batch // 2
        dreams = [self.dreams[i] for i in self.pictures.random.choice(DREAMS, half, replace=False)]
        targets = torch.stack([dream.target for dream in dreams])
        pixels = torch.stack([dream.pixels for dream in dreams]).requires_grad_()
        images = torch.cat([targets, pixels])
        taught = {
            layer: found.float() / self.scales[layer].view(1, -1, 1, 1)
            for layer, found in self._taught(images.detach()).items()
        }
        with fast_arithmetic(self.device):
            features = self.pupil(images)
            mapped = self.pupil.mapped(features)
        grams = self.pupil.grams(features)
        self._dream_on(dreams, pixels, grams)
        feature = matrix = change = torch.zeros((), device=self.device)
        for layer in LAYERS:
            wanted = taught[layer]
            spread = wanted.var((2, 3)).mean(1)  # of each picture, so that soft and harsh ones count alike
            missed = (mapped[layer].float() - wanted).square().mean((1, 2, 3))
            feature = feature + (missed / (spread + 0.02)).mean() / len(LAYERS)
            for unit in (None, self.scales[layer]):
                one, two = gram(wanted), grams[layer]
                if unit is not None:
                    both = unit[:, None] * unit[None, :]
                    one, two = one * both, two * both
                off = (one - two).square().sum((1, 2))
                size = one.square().sum((1, 2))
                matrix = matrix + (off / size).mean() / len(LAYERS) / 2
                wish, have = one[:half] - one[half:], two[:half] - two[half:]
                missed = (wish - have).square().sum((1, 2))
                change = change + (missed / (wish.square().sum((1, 2)) + 0.01 * size[:half])).mean() / len(LAYERS) / 2
        loss = feature + matrix + 0.5 * change
        for group in self.optimizer.param_groups:
            group["lr"] = RATE * min(1.0, done / 100) * (0.5 + 0.5 * math.cos(math.pi * done / self.steps)) + 1e-6
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.pupil.parameters(), 1.0)
        self.optimizer.step()
        if done % 2:
            self.pictures.redraw()
        return {"feature": feature.item(), "gram": matrix.item(), "change": change.item()}

    def _dream_on(self, dreams: Sequence[Dream], pixels: Tensor, grams: dict[str, Tensor]) -> None:
        half = len(dreams)
        loss = torch.zeros((), device=self.device)
        for layer in LAYERS:
            both = self.scales[layer][:, None] * self.scales[layer][None, :]
            one, two = grams[layer][:half].detach() * both, grams[layer][half:] * both
            loss = loss + ((one - two).square().sum((1, 2)) / one.square().sum((1, 2))).sum()
        (slope,) = torch.autograd.grad(loss, pixels, retain_graph=True)
        slope = slope / slope.square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(1e-12)
        for dream, down in zip(dreams, slope, strict=True):
            dream.momentum = 0.8 * dream.momentum + 0.2 * down
            pace = 0.06 * (1 - dream.age / DREAM_STEPS) + 0.004
            dream.pixels = (dream.pixels - pace * dream.momentum).clamp(0, 1).detach()
            dream.age += 1
        for index, dream in enumerate(self.dreams):
            if dream.age >= DREAM_STEPS:
                self.dreams[index] = self._begin()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command: 0 when done, 2 after one sentence on stderr."""
    program = "python -m trainer.descriptor.distillation"
    parser = argparse.ArgumentParser(prog=program, description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--vgg-weights", type=Path, help="file of VGG-19's weights (or set TEXTURE_VGG19)")
    parser.add_argument(
        "--out",
        type=Path,
        default=FILE,
        help="file to write the weights to (default: the one that comes with the trainer)",
    )
    parser.add_argument("--steps", type=int, default=4000, help="steps of teaching (default: %(default)s)")
    parser.add_argument(
        "--batch", type=int, default=8, help="pictures per step, half of them dreams (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: auto)")
    options = parser.parse_args(arguments)
    try:
        device = choose_device(options.device)
        weights = find_weights(options.vgg_weights)
        lesson = Distillation(VGG19(weights, LAYERS).to(device), options.steps, options.batch, options.seed, device)
    except TexserverError as error:
        print(f"distillation: {error}", file=sys.stderr)
        return 2
    began = time.time()
    shown: dict[str, float] = {}
    for done in (bar := tqdm(range(1, options.steps + 1), mininterval=60)):
        losses = lesson.step(done)
        shown = {name: 0.99 * shown.get(name, value) + 0.01 * value for name, value in losses.items()}
        if done % 50 == 0:
            bar.set_postfix({name: f"{value:.4f}" for name, value in shown.items()})
        if done % 1000 == 0 or done == options.steps:
            told = {"steps": str(done), "batch": str(options.batch), "seed": str(options.seed)}
            _write(lesson.pupil, options.out, {**told, "sha256 of the teacher": weights.sha256})
    print(f"{options.out}: {time.time() - began:.0f} s, " + ", ".join(f"{n} {v:.4f}" for n, v in shown.items()))
    return 0


def _write(pupil: Pupil, path: Path, told: dict[str, str]) -> None:
    tensors = {name: value.detach() for name, value in pupil.convolutions.state_dict().items()}
    tensors |= {f"root.{layer}": pupil.rooted(layer).detach() for layer in LAYERS}
    save(tensors, {"teacher": TEACHER, **told}, path)


if __name__ == "__main__":
    sys.exit(main())
