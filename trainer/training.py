"""The training of one generator on one swatch.

Source: Ulyanov et al. 2016 (arXiv 1603.03417), a generator trained by the texture loss of Gatys et al. 2015. Differs:
 - Samples are whole small tori as in the paper, of several sizes, whose features wrap: no pixel is lost to a border.
   Where the swatch has a lattice they are windows of large tori of random size at random places instead, for small
   tori would bend it, and every size and place meets its phases differently.
 - The last part of training normalises with frozen population statistics, as the served generator does, so freezing
   costs nothing that training could not mend.
 - Adam with a one-cycle rate (Smith & Topin 2018, arXiv 1708.07120), which needs no tuning per swatch.

Every step follows from (recipe, swatch, step number) and the state alone, so a resumed training is the same training.
"""

import copy
import math
import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from statistics import median

import torch
from torch import Tensor, nn

from server.architecture import PRESETS
from server.errors import TexserverError
from server.generator import Generator
from server.lattice import Lattice
from server.maps import BASE_COLOUR
from server.texture import paint, paint_with_gradients
from server.torus import Size, Window
from trainer.descriptors import Descriptor, fast_arithmetic
from trainer.freezing import calibrate, folded, freeze, normalisation, somewhere
from trainer.losses import Place, Sum

SIDE_STEP = 16  # sides of tori: every scale of every descriptor divides them
# With a lattice, in sizes: the window that is painted, and what the descriptor sees of it at full size, which costs as
# much as a torus. More steps teach more than more pixels.
WINDOW = 1.6
LOOKED_AT = 0.7
FROZEN_FROM = 0.8  # of the iterations: from here on the statistics are frozen
JUDGE_EVERY = 50  # iterations between two judgements, each a chance to be the best so far
JUDGE_SEEDS = tuple((1 << 61) + each for each in range(4))  # never trained on
JUDGE_STEP = 1 << 40  # the patch directions of judging, the same every time
EXPLODED = 20.0  # times the recent median loss: not noise any more
MAX_RECOVERIES = 6
MIN_SIZE = 96
# How torch, its backends and the C++ library say it where they do not raise OutOfMemoryError.
OUT_OF_MEMORY = ("out of memory", "not enough memory", "can't allocate memory", "bad_alloc", "ALLOC_FAILED")

Say = Callable[[str], None]
State = dict[str, Tensor]


class TrainingFailed(TexserverError):
    """Training could not go on; the text says what to change."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What shapes a training; the same recipe on the same machine gives the same model.

    `help` in the metadata is what the command line says of a field.
    """

    iterations: int = field(default=1000, metadata={"help": "steps of training"})
    batch: int = field(default=1, metadata={"help": "samples per step"})
    size: int = field(default=160, metadata={"help": "side of a sample in pixels"})
    seed: int = field(default=0, metadata={"help": "of everything random in the training"})
    arch: str = field(default="taper", metadata={"help": "architecture of the generator", "choices": tuple(PRESETS)})
    rate: float = field(default=0.01, metadata={"help": "the highest learning rate"})

    def __post_init__(self) -> None:
        for name, low, high in (("iterations", 1, 1_000_000), ("batch", 1, 64), ("size", MIN_SIZE, 2048)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} is {value}; it must be from {low} to {high}.")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed is {self.seed}; it must be from 0 to 4294967295.")
        if self.arch not in PRESETS:
            raise ValueError(f"arch is {self.arch!r}; it must be one of {', '.join(PRESETS)}.")
        if not 0 < self.rate <= 1:
            raise ValueError(f"rate is {self.rate}; it must be above 0 and at most 1.")


@dataclass(frozen=True)
class Progress:
    """One step, told: the loss, the learning rate, and whether a judgement was just made."""

    step: int
    loss: float
    rate: float
    judged: bool


class Training:
    """A generator, its optimiser and the best state so far. Iterate over `run()`; stop whenever you like."""

    def __init__(
        self,
        swatch: Tensor,
        lattice: Lattice | None,
        descriptor: Descriptor,
        recipe: Recipe,
        *,
        device: torch.device,
        say: Say = print,
    ) -> None:
        self.recipe, self.device, self.say = recipe, device, say
        self.batch, self.size = recipe.batch, recipe.size
        swatch = swatch.to(device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            generator = Generator(PRESETS[recipe.arch], [BASE_COLOUR], lattice, normalisation)
        with torch.no_grad():  # begin as the swatch's mean colour, faintly textured
            generator.paint.bias.copy_(swatch.mean((0, 2, 3)))  # type: ignore[union-attr]
            generator.paint.weight.mul_(0.3)
        self.generator = generator.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.make_objective: Callable[[], Sum] = lambda: descriptor.objective(
            swatch, lattice, round(self.size * LOOKED_AT), recipe.seed
        )
        self.objective = self.make_objective()
        self.optimizer = torch.optim.Adam(generator.parameters(), lr=recipe.rate, betas=(0.9, 0.99))
        self.step = 0
        self.damping = 1.0  # of the rate, halved whenever training had to go back
        self.recoveries = 0
        self.frozen = False
        self.best: State = {}
        self.best_loss = math.inf
        self.best_frozen = False
        self._recent: deque[float] = deque(maxlen=25)
        self._good = self.state()

    # ---------------------------------------------------------------------------------------------------- stepping

    def run(self) -> Iterator[Progress]:
        """Train to the end of the recipe, step by step. Raises TrainingFailed when going back no longer helps."""
        while self.step < self.recipe.iterations:
            if not self.frozen and self.step >= FROZEN_FROM * self.recipe.iterations:
                self._freeze()
            loss = self._careful_step()
            if loss is None:
                continue
            self.step += 1
            last = self.step == self.recipe.iterations
            judged = last or self.step % JUDGE_EVERY == 0
            if judged:
                self._judge()
            yield Progress(self.step, loss, self._rate(), judged)

    def _careful_step(self) -> float | None:
        """One step; None when it had to be undone, or tried again on less memory."""
        try:
            loss = self._one_step()
        except (torch.OutOfMemoryError, MemoryError):
            self._shrink()
            return None
        except RuntimeError as error:
            if not any(words in str(error) for words in OUT_OF_MEMORY):
                raise
            self._shrink()
            return None
        if not math.isfinite(loss) or (len(self._recent) == 25 and loss > EXPLODED * median(self._recent)):
            self._go_back(loss)
            return None
        self._recent.append(loss)
        return loss

    def _one_step(self) -> float:
        draws = random.Random(f"step {self.recipe.seed} {self.step} {self.recoveries}")
        size, window = self._somewhere(draws)
        seeds = [draws.getrandbits(60) for _ in range(self.batch)]
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate()
        with fast_arithmetic(self.device):
            images = paint_with_gradients(self.generator, seeds, size, window)
        loss: Tensor = self.objective(images, Place(size, window, self.step))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.generator.parameters(), 1.0)
        if torch.isfinite(norm):
            self.optimizer.step()
            return loss.item()
        return math.nan

    def _somewhere(self, draws: random.Random) -> tuple[Size, Window]:
        if self.generator.lattice:
            return somewhere(draws, self.window)
        sides = [self.size // SIDE_STEP * SIDE_STEP + step for step in (-SIDE_STEP, 0, SIDE_STEP)]
        size = Size(draws.choice(sides), draws.choice(sides))
        return size, Window(0, 0, size.height, size.width)

    @property
    def window(self) -> int:
        """Side of a window of a large torus, in pixels."""
        return round(self.size * WINDOW)

    def _rate(self) -> float:
        """One cycle: up for a tenth of the steps, down along a cosine to nearly nothing."""
        done = self.step / self.recipe.iterations
        rising = min(done / 0.1, 1.0)
        falling = 0.5 * (1 + math.cos(math.pi * max(done - 0.1, 0.0) / 0.9))
        return self.recipe.rate * self.damping * (0.04 + 0.96 * 0.5 * (1 - math.cos(math.pi * rising))) * falling + 1e-6

    def _freeze(self) -> None:
        calibrate(self.generator, self.window, self.recipe.seed)
        freeze(self.generator)
        self.frozen = True
        self.best_loss = math.inf  # judged anew: only what is served counts
        self._judge()

    # ----------------------------------------------------------------------------------------------------- judging

    def _judge(self) -> None:
        """Measure on seeds that are not trained on; keep the state when it is the best so far."""
        loss = self.judged_loss()
        if math.isfinite(loss):
            if loss < self.best_loss:
                self.best_loss, self.best, self.best_frozen = loss, _copy(self.generator.state_dict()), self.frozen
            self._good = self.state()

    @torch.no_grad()
    def judged_loss(self, generator: Generator | None = None) -> float:
        """The objective over the judging seeds, each on a torus of its own size."""
        total = 0.0
        for index, seed in enumerate(JUDGE_SEEDS):
            size, window = self._judged_place(index)
            with fast_arithmetic(self.device):
                image = paint(generator or self.generator, [seed], size, window)
            total += float(self.objective(image, Place(size, window, JUDGE_STEP + index)))
        return total / len(JUDGE_SEEDS)

    def _judged_place(self, index: int) -> tuple[Size, Window]:
        if self.generator.lattice:
            size = Size(2 * self.window + 37 * index, 2 * self.window + 101 * index)
            return size, Window(91 * index, 53 * index, self.window, self.window)
        side = self.window // SIDE_STEP * SIDE_STEP
        size = Size(side + SIDE_STEP * index, side + 2 * SIDE_STEP * index)
        return size, Window(0, 0, size.height, size.width)

    def finished(self) -> Generator:
        """The best generator so far, frozen and folded: float32 on the CPU. The training itself stays as it is."""
        generator = copy.deepcopy(self.generator)
        if self.best:
            generator.load_state_dict(self.best)
        if not self.best_frozen:  # stopped early
            calibrate(generator, self.window, self.recipe.seed)
        freeze(generator)
        return folded(generator).cpu()

    # -------------------------------------------------------------------------------------------------- recovering

    def _go_back(self, loss: float) -> None:
        self.recoveries += 1
        if self.recoveries > MAX_RECOVERIES:
            raise TrainingFailed(
                f"Training went wrong {self.recoveries} times (the loss came to {loss:g}) and going back did not help. "
                "Try a lower --rate, or another --seed."
            )
        damping, batch, size = self.damping / 2, self.batch, self.size
        self.load_state(self._good)
        # Lower every time, even from the same state; and what did not fit into memory before would not fit again.
        self.damping = damping
        self._look_at(batch, size)
        self._recent.clear()
        self.say(
            f"The loss came to {loss:g}: back to iteration {self.step}, and on from there at half the learning rate."
        )

    def _shrink(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if self.batch > 1:
            self._look_at(self.batch // 2, self.size)
        elif self.size > MIN_SIZE:
            self._look_at(1, max(MIN_SIZE, self.size * 3 // 4))
            self.best_loss = math.inf  # judged anew: losses of samples of another size do not compare
        else:
            raise TrainingFailed(
                f"There is not enough memory to train, not even on one sample of {self.size} pixels. "
                "Close other programs that use it, or train with --device cpu."
            )
        self.say(f"Out of memory: going on with {self.batch} sample(s) of {self.size} pixels per step.")

    def _look_at(self, batch: int, size: int) -> None:
        """From now on `batch` samples of this side; the objective depends on the side."""
        self.batch, before, self.size = batch, self.size, size
        if size != before:
            self.objective = self.make_objective()

    # ------------------------------------------------------------------------------------------------ checkpointing

    def state(self) -> State:
        """Everything a resumed training needs, as named tensors."""
        numbers = [self.step, self.recoveries, self.frozen, self.best_frozen, self.batch, self.size]
        state = {f"generator.{name}": value for name, value in self.generator.state_dict().items()}
        state |= {f"best.{name}": value for name, value in self.best.items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            state |= {f"adam.{index}.{name}": torch.as_tensor(value) for name, value in moments.items()}
        state["numbers"] = torch.tensor([float(number) for number in numbers], dtype=torch.float64)
        state["losses"] = torch.tensor([self.best_loss, self.damping], dtype=torch.float64)
        return _copy(state)

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Continue from `state()`. Raises KeyError or RuntimeError when it is another generator's."""
        numbers = [int(number) for number in state["numbers"].tolist()]
        self.step, recoveries, frozen, best_frozen, batch, size = numbers
        self._look_at(batch, size)
        self.recoveries = max(self.recoveries, recoveries)
        self.frozen, self.best_frozen = bool(frozen), bool(best_frozen)
        self.best_loss, self.damping = state["losses"].tolist()
        self.generator.load_state_dict(_part(state, "generator."))
        self.best = _part(state, "best.")
        freeze(self.generator, self.frozen)
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in _part(state, "adam.").items():
            index, key = name.split(".")
            moments.setdefault(int(index), {})[key] = value.clone()
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
        self._good = self.state()


def _part(state: Mapping[str, Tensor], prefix: str) -> State:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _copy(state: Mapping[str, Tensor]) -> State:
    return {name: value.detach().clone() for name, value in state.items()}
