"""Real Blenders for tests: without pyzmq, so that it comes from the add-on, and with the test's own user folder."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import addon
import blenders
import pytest

ASKED_OF_EVERY_MACHINE = ("4.5.15", "5.2.3")
WITHIN_S = 120.0


@dataclass(frozen=True)
class Told:
    """What a script printed as JSON in its last line, and all else that it and Blender said."""

    facts: Any
    output: str


def python_of(version: str) -> Path:
    """The interpreter of this Blender. Skips the test where there is none, and fails it in CI."""
    try:
        return blenders.python_of(version)
    except blenders.NoBlender as why:
        _do_without(str(why), may_be_missing=version not in ASKED_OF_EVERY_MACHINE)


def packed(folder: Path) -> dict[str, Path]:
    """The extension, built into this folder; the wheels come from dist/wheels, or go there."""
    python_of(addon.BUILT_BY)
    try:
        return addon.build(folder)
    except addon.NoWheels as why:
        _do_without(str(why))


def run(version: str, script: Path, *arguments: str, home: Path) -> Told:
    """Run the script in this Blender, whose user's files lie in `home`. It must end well and without a traceback."""
    ended = subprocess.run(
        [str(python_of(version)), "-I", str(script), *arguments],
        env={**os.environ, "BLENDER_USER_RESOURCES": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    assert "Traceback" not in ended.stdout, ended.stdout
    return Told(json.loads(ended.stdout.strip().splitlines()[-1]), ended.stdout)


def _do_without(why: str, *, may_be_missing: bool = False) -> NoReturn:
    if os.environ.get("CI") == "true" and not may_be_missing:
        pytest.fail(why)
    pytest.skip(why)
