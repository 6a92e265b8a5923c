"""`python -m trainer.starter --out DIR [NAME …]`: draws the materials of the starter library and learns them.

Writes DIR/NAME.safetensors, one after the other, each complete or not at all; those that are there and were made by the
same recipe stay as they are. So a run that was stopped goes on where it was when it is started again. A model of that
name that is not the library's is left alone. Exit codes: 0 all are there; 2 an option makes no sense, or a model cannot
be written; 130 stopped.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from server import __version__
from server.console import print_anything
from server.errors import TexserverError
from server.model.header import read_facts
from server.model.models_folder import models_folder
from server.model.starter import STARTER, StarterMaterial, chosen, state_of
from server.network.model_file import Model, write_model
from server.replace_file import unwritten
from trainer.judge.pictures import write_picture
from trainer.quilt.learning import ROUNDS
from trainer.report import Report
from trainer.starter.learning import learned
from trainer.starter.library import SIDE, draw, recipe_of
from trainer.starter.sheet import starter_sheet
from trainer.with_parent import leave_with_parent

SIDES = (128, 4096)  # pixels; a smaller drawing shows no material
SIDE_VARIABLE = "TEXSERVER_STARTER_SIDE"  # the environment variable for the default of --side


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    print_anything()
    options = _parser().parse_args(arguments)
    if options.leave_with_parent:
        leave_with_parent()
    report = Report(wanted=options.progress_lines)
    try:
        if not SIDES[0] <= options.side <= SIDES[1]:
            raise ValueError(f"--side is {options.side}; it must be from {SIDES[0]} to {SIDES[1]}.")
        materials = chosen(options.names)
        try:
            options.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritten(options.out, error) from error
        for number, material in enumerate(materials):
            run = _Run(material, options.out, options.side, report, (number, len(materials)))
            run.make(again=options.again)
        if options.sheet:
            write_picture(options.sheet, starter_sheet(options.out, materials))
            _say(report)(f"Wrote {options.sheet}.")
    except (TexserverError, ValueError) as error:
        print(f"trainer.starter: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("trainer.starter: stopped; the same command goes on from here.", file=sys.stderr)
        return 130
    return 0


class _Run:
    """Makes one model, and tells how far all of them are. `place`: its number among them, from 0, and theirs."""

    def __init__(
        self, material: StarterMaterial, folder: Path, side: int, report: Report, place: tuple[int, int]
    ) -> None:
        self.material, self.folder, self.side, self.report, self.place = material, folder, side, report, place
        self.path = material.path(folder)
        self.say = _say(report)

    def make(self, *, again: bool) -> None:
        recipe = recipe_of(self.material, self.side)
        state = state_of(self.material, self.folder)
        if state == "another":
            self.say(f"{self.path} is not the library's, and stays as it is.")
            return
        if state != "missing" and not again and read_facts(self.path).training.get("made_from") == recipe:
            self.say(f"{self.path} is up to date.")
            return
        began = time.monotonic()
        self._tell(0.0, "drawing")
        drawing = draw(self.material, self.side)
        for step in learned(drawing, recipe):
            if isinstance(step, Model):
                write_model(self.path, step)
            else:
                self._tell((1 + step) / (2 + ROUNDS), "learning")
        took = time.monotonic() - began
        self.say(f"Wrote {self.path}: {self.material.about}, {self.material.metres:g} m across ({took:.0f} s).")

    def _tell(self, share: float, what: str) -> None:
        number, count = self.place
        self.report.at((number + share) / count, f"{self.material.name}: {what}, {number + 1} of {count}.")


def _say(report: Report) -> Callable[[str], None]:
    return report.say if report.wanted else lambda text: print(text, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m trainer.starter",
        description="Draws the materials of the starter library and learns them: one model each, with all maps.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(each.name for each in STARTER)}; all")
    parser.add_argument(
        "--out",
        type=Path,
        default=models_folder(),
        metavar="DIR",
        help="folder of the models (default: %(default)s, which texserver serves)",
    )
    parser.add_argument(
        "--side",
        type=int,
        default=os.environ.get(SIDE_VARIABLE, SIDE),
        metavar="PX",
        help="of a drawing (default: %(default)s)",
    )
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="write a PNG that shows a piece of each, lit")
    parser.add_argument("--again", action="store_true", help="make those again that are up to date")
    parser.add_argument(
        "--progress-lines", action="store_true", help="for programs: tell the progress, one JSON object a line"
    )
    parser.add_argument("--leave-with-parent", action="store_true", help="exit when standard input closes")
    parser.add_argument("--version", action="version", version=f"texserver {__version__}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
