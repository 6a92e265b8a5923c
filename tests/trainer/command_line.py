"""The trainer's command line in tests: as a user types it, or in a process of its own after a few lines."""

import os
import re
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest
import torch
from PIL import Image

from trainer.judge.pictures import as_picture

ROOT = Path(__file__).resolve().parents[2]

TINY_SIZES = """
    from server.model.architecture import PRESETS
    from tests.models import TINY
    from trainer import job
    from trainer.descriptor import descriptors
    from trainer.judge import pictures
    from trainer.training import recipe, training
    import trainer.__main__ as command

    PRESETS["taper"] = TINY["taper"]
    recipe.Recipe.MIN_SIZE, pictures.SAMPLE, pictures.LARGE = 48, 64, (64, 96)
    training.JUDGE_EVERY, descriptors.FEATURE_SCALES = 3, (1.0,)
    """


def save_picture(path: Path, pixels: torch.Tensor) -> Path:
    Image.fromarray(as_picture(pixels)).save(path)
    return path


def environment(without: str = "TEXTURE_") -> dict[str, str]:
    """Ours, but without weights of this machine, or other variables that begin so."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TEXTURE_", without))}
    return {**kept, "PYTHONPATH": str(ROOT)}


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


def command(*arguments: object, cwd: Path) -> Ended:
    """The real command, as a user types it."""
    line = [sys.executable, "-W", "error", "-m", "trainer", *map(str, arguments)]
    done = subprocess.run(line, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=240, check=False)
    return Ended(done.returncode, done.stdout, done.stderr)


def child(
    before: str,
    *arguments: object,
    cwd: Path,
    stdout: IO[str] | int = subprocess.PIPE,
    stdin: int | None = None,
    full_disk: bool = False,
) -> subprocess.Popen[str]:
    """The same command line in its own process, after the lines `before`.

    `full_disk`: files cannot grow there, so that coverage, which could not write its own, is left out.
    """
    script = "\n".join(map(textwrap.dedent, (TINY_SIZES, before, "import sys; sys.exit(command.main(sys.argv[1:]))")))
    line = [sys.executable, "-W", "error", "-c", script, *map(str, arguments)]
    env = environment(without="COVERAGE_") if full_disk else environment()
    return subprocess.Popen(line, cwd=cwd, env=env, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> Ended:
    try:
        out, err = process.communicate(timeout=240)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Ended(process.returncode, out, err)


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 240
    while not path.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            pytest.fail(f"{path.name} never came: {process.communicate()}")
        time.sleep(0.01)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def a_sentence(text: str) -> bool:
    """One line that begins with the command's name and ends as a sentence does."""
    return re.fullmatch(r"trainer: [^\n]+[.!?)]\n", text) is not None
