"""What a program is told that has started a training: one JSON object a line, or what a render farm reads, on standard
output.

    {"fraction": 0.4, "text": "Learning, round 1 of 8."}                     how much of the work is done, for people
    {"picture": "models/wall.growth.rgb", "height": 384, "width": 384}       the growing texture, latest version
    {"result": {"name": "wall", "state": "made", …}}                         what became of a model, as in --json
    {"estimate": {"models": 8, "seconds": 160.5, …}}                         likewise, what all of them will take

A line may have any of these keys, and others that are to be ignored. The picture is a file of raw RGB samples in sRGB,
row by row, which stands under its name complete and is replaced by the next.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from server import openjd
from server.replace_file import replace_file
from trainer.judge.pictures import Picture


class Report:
    """Writes the lines. `wanted`: whether anybody reads of the progress; `results`: of what became of each model."""

    def __init__(self, *, wanted: bool, results: bool = False) -> None:
        self.wanted, self.results = wanted, results
        self._out = sys.stdout

    def begin(self, number: int, count: int, name: str) -> None:
        """Model `number`, from 1, of `count` comes next. People are told anyway."""

    def say(self, text: str) -> None:
        """What is said to people anyway."""
        self._line(text=text.strip())

    def at(self, fraction: float, text: str) -> None:
        """So much of the work is done, and this comes next."""
        self._line(fraction=round(fraction, 4), text=text)

    def picture(self, path: Path, picture: Picture) -> None:
        """The texture as it is now: (height, width, 3) uint8."""
        if self.wanted:
            replace_file(path, picture.tobytes())
            self._line(picture=str(path.resolve()), height=picture.shape[0], width=picture.shape[1])

    def result(self, outcome: Mapping[str, object]) -> None:
        """What became of a model (trainer/batch.py)."""
        if self.results:
            self._write(json.dumps({"result": outcome}))

    def estimate(self, estimate: Mapping[str, object]) -> None:
        """What all models will take (trainer/estimate.py)."""
        if self.results:
            self._write(json.dumps({"estimate": estimate}))

    def ended(self, failure: str) -> None:
        """The program ends, and `failure` says why it ends with an error; "": all is made. People are told anyway."""

    def _line(self, **told: object) -> None:
        if self.wanted:
            self._write(json.dumps(told))

    def _write(self, line: str) -> None:
        self._out.write(line + "\n")
        self._out.flush()


class OpenJDReport(Report):
    """Writes what render farms read (server/openjd.py). The fraction is that of all models of the task."""

    def __init__(self, *, results: bool = False) -> None:
        super().__init__(wanted=False, results=results)
        self._number, self._count, self._name = 1, 1, ""

    def begin(self, number: int, count: int, name: str) -> None:
        self._number, self._count, self._name = number, count, name
        self.at(0.0, "Starting.")

    def at(self, fraction: float, text: str) -> None:
        openjd.progress((self._number - 1 + fraction) / self._count)
        openjd.status(f"{self._name}, {self._number} of {self._count}: {text}")

    def ended(self, failure: str) -> None:
        if failure:
            openjd.failed(failure)
        else:
            openjd.progress(1.0)
