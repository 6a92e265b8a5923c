"""What a program is told that has started a training: one JSON object a line, on standard output.

    {"fraction": 0.4, "text": "Learning, round 1 of 8."}                     how much of the work is done, for people
    {"picture": "models/wall.growth.rgb", "height": 384, "width": 384}       the growing texture, latest version

A line may have any of these keys, and others that are to be ignored. The picture is a file of raw RGB samples in sRGB,
row by row, which stands under its name complete and is replaced by the next.
"""

import json
import sys
from pathlib import Path

from server.replace_file import replace_file
from trainer.judge.pictures import Picture


class Report:
    """Writes the lines; `wanted` says whether anybody reads them. Without, every method does nothing."""

    def __init__(self, *, wanted: bool) -> None:
        self.wanted = wanted

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

    def _line(self, **told: object) -> None:
        if self.wanted:
            sys.stdout.write(json.dumps(told) + "\n")
            sys.stdout.flush()
