"""Makes everything that belongs to a release, in dist/release/: to be put where people can download it.

    python packaging/release.py [--out dist/release]

| file | for |
|---|---|
| texserver-VERSION-blender-4.2.zip, -5.1.zip | artists: dragged into Blender 4.2 to 5.0, and 5.1 or newer |
| texserver-VERSION-extension-repository.zip | studios: unpacked on a web server, Blender installs and updates from it |
| texserver-VERSION-py3-none-any.whl, .tar.gz | everybody who uses pip |
| NOTES.md | what has changed, from CHANGELOG.md |
| SHA256SUMS | checking the rest: sha256sum --check SHA256SUMS |

The same files give the same bytes, so whoever doubts a release can make it again and compare. Blender's own tool makes
the extensions (packaging/addon.py), which therefore need the Blender of packaging/blenders.py.
"""

import hashlib
import re
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path

import addon
import blenders
import distribution

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "dist" / "release"
SUMS = "SHA256SUMS"


def build(out: Path = OUT, changelog: Path = ROOT / "CHANGELOG.md") -> list[Path]:
    """Make the release in the folder `out`, in place of what was there. Its files.

    Raises addon.NotBuilt, distribution.NotBuilt or blenders.NoBlender, and then leaves `out` as it was.
    """
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as folder:
        release = Path(folder, "new")
        release.mkdir()
        repository = Path(folder, "repository")
        for path in addon.build(repository).values():
            (release / path.name).write_bytes(path.read_bytes())
        _zip(repository, release / f"texserver-{version}-extension-repository.zip")
        distribution.build(release, "sdist", "wheel")
        (release / "NOTES.md").write_text(notes(changelog.read_text("utf-8"), version), "utf-8", newline="\n")
        sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(release.iterdir())]
        (release / SUMS).write_text("".join(sums), "utf-8", newline="\n")
        if out.exists():
            out.rename(Path(folder, "old"))
        release.rename(out)
    return sorted(out.iterdir())


def notes(changelog: str, version: str) -> str:
    """The section of a version, as a page of its own. Raises addon.NotBuilt if there is none."""
    found = re.search(rf"^## \[{re.escape(version)}\][^\n]*\n(.*?)(?=^## |\Z)", changelog, re.M | re.S)
    if not found:
        raise addon.NotBuilt(f"CHANGELOG.md has no section for version {version}. Write one.")
    return (
        f"# texserver {version}\n\n"
        "In Blender, drag the zip for your version into the window: `blender-4.2` for 4.2 LTS to 5.0, `blender-5.1` "
        "for 5.1 and newer. Then press *Set Up Server* in the sidebar's tab *Texserver*.\n\n"
        f"{found[1].strip()}\n"
    )


def _zip(folder: Path, path: Path) -> None:
    """All files of a folder, without times and in the order of their names."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".zip-") as temporary:
        plain = Path(temporary, "plain.zip")
        with zipfile.ZipFile(plain, "w", zipfile.ZIP_DEFLATED) as archive:
            for each in sorted(folder.iterdir()):
                archive.write(each, each.name)
        distribution.repack_zip(plain, path)


def main() -> int:
    """The command. 1 where there is no release."""
    refusals = addon.NotBuilt, distribution.NotBuilt, blenders.NoBlender
    return distribution.command("Make everything that belongs to a release.", OUT, build, *refusals)


if __name__ == "__main__":
    sys.exit(main())
