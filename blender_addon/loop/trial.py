"""A trial: a variation that is shown on objects at preview size until it is kept or taken off.

It is a change like others: each look is one step of undo, and undo goes back to what was shown before. So whether a
trial is on is read from the material, never remembered: undo ends it, redo brings it back. No file is saved with one:
whoever opens that file could not take it off.
"""

from collections.abc import Iterable
from typing import Any

from ..material.assignment import Assignment, NotAssigned, Target
from ..material.marks import MARK
from ..tasks.painted import Painted
from .delivery import Delivery, TextureDelivery, push_undo


class Trial:
    """What is tried on, on which objects, and how it is taken off."""

    def __init__(self, target: Target) -> None:
        self.assignment = Assignment(target)

    @property
    def is_on(self) -> bool:
        """Whether the objects show a variation now."""
        return self.assignment.material is not None

    @property
    def model(self) -> str:
        """Which model is shown."""
        return str(self._mark["model"])

    @property
    def seed(self) -> int:
        """Which seed is shown."""
        return int(self._mark["seed"])

    @property
    def names(self) -> str:
        """The objects."""
        return ", ".join(each.name for each in self.assignment.target.objects)

    @property
    def _mark(self) -> Any:
        return self.assignment.material[MARK]


_trial: Trial | None = None
_unpushed = False  # whether it was taken off without a step of undo


def current() -> Trial | None:
    """The trial that is on."""
    return _trial if _trial and _trial.is_on else None


def try_on(target: Target, painted: Painted, deliveries: Iterable[Delivery]) -> None:
    """Show a variation, in place of another on the same objects. Raises NotAssigned, and then has changed nothing."""
    global _trial
    on = current()
    if on and on.assignment.target.objects != target.objects:
        take_off()
        on = None
    on = on or Trial(target)
    others = (each.assignment for each in deliveries if isinstance(each, TextureDelivery))
    if any(on.assignment.meets(each) for each in others):
        raise NotAssigned("A texture for this object is being painted. Wait for it, or cancel it first.")
    on.assignment.show(painted, preview=True)
    _trial = on
    push_undo(f"Try {painted.painting.model} #{painted.painting.seed}")


def take_off(*, push: bool = True) -> bool:
    """Restore what was there before. False if nothing was tried on. `push`: make a step of undo now."""
    global _trial, _unpushed
    on, _trial = current(), None
    if on is None:
        return False
    on.assignment.revert()
    if push:
        push_undo("Take Variation Off")
    else:
        _unpushed = True
    return True


def hand_over(target: Target) -> Assignment:
    """End the trial that is on; whoever gets its assignment shows the texture with it, or reverts it."""
    global _trial
    on, _trial = current(), None
    assert on
    on.assignment.target = target
    return on.assignment


def forget() -> None:
    """Another file was opened."""
    global _trial, _unpushed
    _trial, _unpushed = None, False


def tick() -> None:
    """Make the step of undo that could not be made while a file was saved."""
    global _unpushed
    if _unpushed:
        _unpushed = False
        push_undo("Take Variation Off")
