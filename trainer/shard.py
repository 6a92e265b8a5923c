"""Which swatches one task of a batch makes: those of a list, and of all that there are a share."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from server.files.picture_file import quoted
from trainer.swatch.swatch import UnusableSwatch

Item = TypeVar("Item")


@dataclass(frozen=True)
class Shard:
    """Share `number`, from 1, of `count`."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read "3/16". Raises ValueError."""
        number, _, count = text.partition("/")
        if not (number.isascii() and number.isdigit() and count.isascii() and count.isdigit()):
            raise ValueError(f"--shard {text!r} is not a share such as 3/16.")
        shard = cls(int(number), int(count))
        if not 1 <= shard.number <= shard.count:
            raise ValueError(f"--shard {text} is not one of 1/{count} to {count}/{count}.")
        return shard

    def of(self, everything: Sequence[Item]) -> list[Item]:
        """Every `count`-th item. All shards together have each item once, and none has two more than another."""
        return list(everything[self.number - 1 :: self.count])

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def read_list(path: Path) -> tuple[Path, ...]:
    """The paths in a text file, one a line. Relative ones are meant from the file's folder. Raises UnusableSwatch."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise UnusableSwatch(
            f"The list {quoted(path)} cannot be read: {why}. Name a text file with a swatch on each line."
        ) from error
    return tuple(path.parent / line.strip() for line in lines if line.strip())
