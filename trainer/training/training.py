"""The common part of all trainings: steps, a rate, judging, going back, and a state to resume from.

Adam with a one-cycle rate (Smith & Topin 2018, arXiv 1708.07120), which needs no tuning per swatch. Every step depends
only on (recipe, swatch, step number) and the state, so a resumed training is the same training.

    Training (here)
    ├── TextureTraining    trainer/training/texture.py
    └── StyleTraining      trainer/training/style.py
"""

import math
import random
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from server.errors import TexserverError
from server.network.short_memory import is_out_of_memory
from trainer.training.recipe import Recipe

JUDGE_EVERY = 50  # iterations between two judgements, which find the best state so far
EXPLODED = 20.0  # times the recent median loss: more than noise
MAX_RECOVERIES = 6

Say = Callable[[str], None]
State = dict[str, Tensor]
Network = TypeVar("Network", bound=nn.Module)


class TrainingFailed(TexserverError):
    """The training cannot continue; the text says what to change."""


@dataclass(frozen=True)
class Progress:
    """Report of one step: the loss, the learning rate, and whether a judgement was just made."""

    step: int
    loss: float
    rate: float
    judged: bool


class Training(ABC, Generic[Network]):
    """A generator, its optimiser and the best state so far. Iterate over `run()`, and stop at any time."""

    def __init__(self, generator: Network, recipe: Recipe, *, device: torch.device, say: Say = print) -> None:
        self.recipe, self.device, self.say = recipe, device, say
        self.batch, self.size = recipe.batch, recipe.size
        self.generator: Network = generator.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
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

    @abstractmethod
    def make_objective(self) -> nn.Module:
        """The objective, which depends on `size`."""

    @abstractmethod
    def loss_of(self, draws: random.Random) -> Tensor:
        """The loss of one step, with gradients. All randomness comes from `draws`."""

    @abstractmethod
    def judged_loss(self) -> float:
        """The objective on samples that are not trained on, the same every time."""

    @abstractmethod
    def finished(self) -> Network:
        """The best generator so far, as it is served: float32 on the CPU. The training is not changed."""

    def set_frozen(self, frozen: bool) -> None:
        """Freeze or unfreeze the statistics, as an earlier state had them. Does nothing by default."""

    # ---------------------------------------------------------------------------------------------------- stepping

    def run(self) -> Iterator[Progress]:
        """Train to the end of the recipe, step by step. Raises TrainingFailed when going back no longer helps."""
        while self.step < self.recipe.iterations:
            self.before_step()
            loss = self._careful_step()
            if loss is None:
                continue
            self.step += 1
            last = self.step == self.recipe.iterations
            judged = last or self.step % JUDGE_EVERY == 0
            if judged:
                self.judge()
            yield Progress(self.step, loss, self._rate(), judged)

    def before_step(self) -> None:
        """Called before every step. Does nothing by default."""

    def _careful_step(self) -> float | None:
        """One step; None if it was undone, or must be tried again with less memory."""
        try:
            loss = self._one_step()
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
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
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate()
        loss = self.loss_of(draws)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.generator.parameters(), 1.0)
        if torch.isfinite(norm):
            self.optimizer.step()
            return loss.item()
        return math.nan

    def _rate(self) -> float:
        """One cycle: up for a tenth of the steps, then down along a cosine to nearly 0."""
        done = self.step / self.recipe.iterations
        rising = min(done / 0.1, 1.0)
        falling = 0.5 * (1 + math.cos(math.pi * max(done - 0.1, 0.0) / 0.9))
        return self.recipe.rate * self.damping * (0.04 + 0.96 * 0.5 * (1 - math.cos(math.pi * rising))) * falling + 1e-6

    def judge(self) -> None:
        """Measure on samples that are not trained on; keep the state if it is the best so far."""
        loss = self.judged_loss()
        if math.isfinite(loss):
            if loss < self.best_loss:
                self.best_loss, self.best, self.best_frozen = loss, copied(self.generator.state_dict()), self.frozen
            self._good = self.state()

    # -------------------------------------------------------------------------------------------------- recovering

    def _go_back(self, loss: float) -> None:
        self.recoveries += 1
        if self.recoveries > MAX_RECOVERIES:
            raise TrainingFailed(
                f"Training failed {self.recoveries} times (the loss reached {loss:g}), and going back did not help. "
                "Try a lower --rate, or another --seed."
            )
        damping, batch, size = self.damping / 2, self.batch, self.size
        self.load_state(self._good)
        # The rate gets lower every time, even from the same state. The batch and size that fit into memory are kept.
        self.damping = damping
        self._use(batch, size)
        self._recent.clear()
        self.say(f"The loss reached {loss:g}: going back to iteration {self.step} and on at half the learning rate.")

    def _shrink(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if self.batch > 1:
            self._use(self.batch // 2, self.size)
        elif self.size > Recipe.MIN_SIZE:
            self._use(1, max(Recipe.MIN_SIZE, self.size * 3 // 4))
            self.best_loss = math.inf  # judged anew: losses at another size cannot be compared
        else:
            raise TrainingFailed(
                f"There is not enough memory to train, not even on one sample of {self.size} pixels. "
                "Close other programs that use it, or train with --device cpu."
            )
        self.say(f"Out of memory: continuing with {self.batch} sample(s) of {self.size} pixels per step.")

    def _use(self, batch: int, size: int) -> None:
        """Use `batch` samples of this side from now on. The objective depends on the side."""
        self.batch, before, self.size = batch, self.size, size
        if size != before:
            self.objective = self.make_objective()

    # ------------------------------------------------------------------------------------------------ checkpointing

    def state(self) -> State:
        """All that a resumed training needs, as named tensors."""
        numbers = [self.step, self.recoveries, self.frozen, self.best_frozen, self.batch, self.size]
        state = {f"generator.{name}": value for name, value in self.generator.state_dict().items()}
        state |= {f"best.{name}": value for name, value in self.best.items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            state |= {f"adam.{index}.{name}": torch.as_tensor(value) for name, value in moments.items()}
        state["numbers"] = torch.tensor([float(number) for number in numbers], dtype=torch.float64)
        state["losses"] = torch.tensor([self.best_loss, self.damping], dtype=torch.float64)
        return copied(state)

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Continue from `state()`. Raises KeyError or RuntimeError if it is another generator's."""
        numbers = [int(number) for number in state["numbers"].tolist()]
        self.step, recoveries, frozen, best_frozen, batch, size = numbers
        self._use(batch, size)
        self.recoveries = max(self.recoveries, recoveries)
        self.frozen, self.best_frozen = bool(frozen), bool(best_frozen)
        self.best_loss, self.damping = state["losses"].tolist()
        self.generator.load_state_dict(_part(state, "generator."))
        self.best = _part(state, "best.")
        self.set_frozen(self.frozen)
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in _part(state, "adam.").items():
            index, key = name.split(".")
            moments.setdefault(int(index), {})[key] = value.clone()
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
        self._good = self.state()


def _part(state: Mapping[str, Tensor], prefix: str) -> State:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def copied(state: Mapping[str, Tensor]) -> State:
    """A copy that later steps do not change."""
    return {name: value.detach().clone() for name, value in state.items()}
