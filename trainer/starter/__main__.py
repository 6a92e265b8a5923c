"""`python -m trainer.starter --out DIR [NAME …]`: draws the materials of the starter library and learns them.

Writes DIR/NAME.safetensors, one after the other, each complete or not at all; those that are there and were made by the
same recipe stay as they are. So a run that was stopped goes on where it was when it is started again. Exit codes: 0 all
are there; 2 an option makes no sense, or the folder cannot be written to; 130 stopped.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from server import __version__
from server.console import print_anything
from server.errors import TexserverError
from server.model.header import SUFFIX, BrokenModel, read_facts
from server.model.starter import STARTER, StarterMaterial
from server.network.model_file import Model, write_model
from server.replace_file import unwritten
from trainer.starter.learning import learned
from trainer.starter.library import SIDE, chosen, draw, recipe_of

SMALLEST = 128  # pixels; a smaller drawing shows no material
LARGEST = 4096


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    print_anything()
    options = _parser().parse_args(arguments)
    say = (lambda text: None) if options.quiet else (lambda text: print(text, flush=True))
    try:
        if not SMALLEST <= options.side <= LARGEST:
            raise ValueError(f"--side is {options.side}; it must be from {SMALLEST} to {LARGEST}.")
        materials = chosen(options.names)
        try:
            options.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritten(options.out, error) from error
        for material in materials:
            _make(material, options.out, options.side, options.again, say)
    except (TexserverError, ValueError) as error:
        print(f"trainer.starter: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("trainer.starter: stopped; the same command goes on from here.", file=sys.stderr)
        return 130
    return 0


def _make(material: StarterMaterial, folder: Path, side: int, again: bool, say: Callable[[str], None]) -> None:
    path, recipe = folder / f"{material.name}{SUFFIX}", recipe_of(material, side)
    if not again and made_from(path) == recipe:
        say(f"{path} is up to date.")
        return
    began = time.monotonic()
    drawing = draw(material, side)
    drawn_in = time.monotonic() - began
    for step in learned(drawing, recipe):
        if isinstance(step, Model):
            write_model(path, step)
    took = time.monotonic() - began
    say(
        f"Wrote {path}: {material.about}, {material.metres:g} m across ({drawn_in:.0f} s to draw, {took:.0f} s in all)."
    )


def made_from(path: Path) -> str:
    """The recipe of a finished model; "" where there is none."""
    try:
        return str(read_facts(path).training.get("made_from", ""))
    except (BrokenModel, OSError):
        return ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m trainer.starter",
        description="Draws the materials of the starter library and learns them: one model each, with all maps.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(each.name for each in STARTER)}; all")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the models")
    parser.add_argument("--side", type=int, default=SIDE, metavar="PX", help="of a drawing (default: %(default)s)")
    parser.add_argument("--again", action="store_true", help="make those again that are up to date")
    parser.add_argument("--quiet", action="store_true", help="say nothing but errors")
    parser.add_argument("--version", action="version", version=f"texserver {__version__}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
