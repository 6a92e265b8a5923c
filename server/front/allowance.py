"""How often something may happen: so many times at once, and from then on so many times a second."""

from dataclasses import dataclass


@dataclass(eq=False)
class Allowance:
    """A token bucket: up to `most` tokens, of which `per_s` come back each second. `seen`: the last look."""

    most: float
    per_s: float
    seen: float

    def __post_init__(self) -> None:
        self._left = self.most

    def take(self, now: float) -> bool:
        """Whether it may happen once more, at this time in seconds."""
        self._left = min(self.most, self._left + (now - self.seen) * self.per_s)
        self.seen = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
