"""Makes the sdist and the wheel, the same bytes from the same files whenever and wherever they are made.

    python packaging/distribution.py [--out dist]

setuptools makes them from a copy of the files that belong into them, so that what else lies about, such as an earlier
build/, does not come in. Then both are packed again without times, owners and the umask. `make dist` runs this.
"""

import argparse
import gzip
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("server", "trainer", "blender_addon", "benchmarks", "deploy", "docs", "farm", "packaging", "tests")
FILES = (
    *("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile"),
    "constraints.txt",
)
_EPOCH = 315532800  # 1980, the first year that zips know


class NotBuilt(Exception):
    """Nothing was made; the text says why."""


def build(out: Path, *kinds: str) -> list[Path]:
    """Make "sdist", "wheel" or both in the folder `out`, in place of earlier ones. Raises NotBuilt."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".dist-", dir=out) as folder:
        copy, raw = Path(folder, "copy"), Path(folder, "raw")
        _copy(copy)
        ended = subprocess.run(
            [
                *(sys.executable, "-m", "build", "--no-isolation", f"--outdir={raw}"),
                *(f"--{kind}" for kind in kinds),
                str(copy),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if ended.returncode:
            raise NotBuilt(f"setuptools could not pack the project:\n{ended.stdout.strip()}")
        made = []
        for path in sorted(raw.iterdir()):
            again = Path(folder, path.name)
            (repack_zip if path.suffix == ".whl" else _repack_tar)(path, again)
            made.append(again.replace(out / path.name))
    return made


def wheel(folder: Path) -> Path:
    """Make the wheel alone. Raises NotBuilt."""
    (made,) = build(folder, "wheel")
    return made


def repack_zip(built: Path, path: Path) -> None:
    """The same files in the order of their names and without times, so that the same code gives the same bytes."""
    with zipfile.ZipFile(built) as old, zipfile.ZipFile(path, "x", zipfile.ZIP_DEFLATED, compresslevel=9) as new:
        for entry in sorted(old.infolist(), key=lambda entry: entry.filename):
            info = zipfile.ZipInfo(entry.filename)  # of 1980
            info.compress_type = entry.compress_type
            info.external_attr = 0o644 << 16
            info.create_system = 3  # Unix, on Windows, too
            new.writestr(info, old.read(entry))


def _repack_tar(built: Path, path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(built) as old, tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as new:
        for entry in sorted(old.getmembers(), key=lambda entry: entry.name):
            again = tarfile.TarInfo(entry.name)
            again.type, again.size, again.mtime = entry.type, entry.size, _EPOCH
            again.mode = 0o755 if entry.isdir() else 0o644
            new.addfile(again, old.extractfile(entry))
    with path.open("xb") as file, gzip.GzipFile("", "wb", 9, file, mtime=_EPOCH) as zipped:
        zipped.write(packed.getvalue())


def _copy(copy: Path) -> None:
    leave = shutil.ignore_patterns("__pycache__", "*.py[co]", ".*")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, copy / name, ignore=leave)
    for name in FILES:
        shutil.copyfile(ROOT / name, copy / name)


def command(description: str, folder: Path, make: Callable[[Path], Sequence[Path]], *refusals: type[Exception]) -> int:
    """A command that makes files in `--out`, by default `folder`, and names them. 1 where nothing was made."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, default=folder, help=f"the folder (default: {folder.relative_to(ROOT)})")
    try:
        made = make(parser.parse_args().out)
    except refusals as why:
        print(why, file=sys.stderr)
        return 1
    for path in made:
        print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
    return 0


def main() -> int:
    """The command."""
    return command(
        "Make the sdist and the wheel.", ROOT / "dist", lambda folder: build(folder, "sdist", "wheel"), NotBuilt
    )


if __name__ == "__main__":
    sys.exit(main())
