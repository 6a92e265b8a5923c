"""A folder with the wheels of all that texserver needs, as pip fetches them: what a computer without network takes."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def fill(folder: Path, wheel: Path) -> None:
    """Download what the wheel of texserver needs, without the wheel itself. pip must end well."""
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:"),
        *("--constraint", str(ROOT / "constraints.txt"), "--dest", str(folder), str(wheel)),
    ]
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert ended.returncode == 0, ended.stdout
    (folder / wheel.name).unlink()
