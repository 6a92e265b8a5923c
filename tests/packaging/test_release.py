"""A release holds what it says, the same bytes each time it is made, and nothing that does not belong to it."""

import hashlib
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import addon
import distribution
import pytest
import release

from server import __version__

ROOT = Path(__file__).resolve().parents[2]


def test_the_notes_are_this_version_s_section_alone() -> None:
    log = "# Changelog\n\n## [1.1.0] - 2027-01-01\n\n- New.\n\n## [1.0.0] - 2026-01-01\n\n- Old.\n"
    assert release.notes(log, "1.1.0").endswith("\n- New.\n")
    assert "New" not in release.notes(log, "1.0.0")
    with pytest.raises(addon.NotBuilt, match=r"no section for version 1\.0\."):
        release.notes(log, "1.0")


def test_the_changelog_has_a_section_for_this_version() -> None:
    assert len(release.notes((ROOT / "CHANGELOG.md").read_text("utf-8"), __version__)) > 1000


@pytest.mark.slow
def test_the_wheel_and_the_sdist_are_the_same_under_another_umask_and_time(tmp_path: Path) -> None:
    made = []
    for mask, epoch in ((0o022, "1000000000"), (0o077, "1700000000")):
        command = [sys.executable, str(ROOT / "packaging" / "distribution.py"), "--out", str(tmp_path / epoch)]
        environment = {**os.environ, "SOURCE_DATE_EPOCH": epoch}
        subprocess.run(command, check=True, umask=mask, env=environment, stdout=subprocess.DEVNULL)
        made.append({path.name: path.read_bytes() for path in (tmp_path / epoch).iterdir()})
    assert made[0] == made[1]
    assert sorted(made[0]) == [f"texserver-{__version__}-py3-none-any.whl", f"texserver-{__version__}.tar.gz"]


def test_the_sdist_packs_its_own_like(tmp_path: Path) -> None:
    """Whoever has the sdist alone can make the wheel of the release."""
    (sdist,) = distribution.build(tmp_path, "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (source,) = (tmp_path / "unpacked").iterdir()
    for folder in ("deploy", "docs", "farm", "tests"):
        ours, packed = (
            {
                path.relative_to(top)
                for path in (top / folder).rglob("[!.]*")
                if path.is_file() and path.suffix != ".pyc"
            }
            for top in (ROOT, source)
        )
        assert packed == ours
    command = [sys.executable, str(source / "packaging" / "distribution.py"), "--out", str(tmp_path / "again")]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (wheel,) = (tmp_path / "again").glob("*.whl")
    assert wheel.read_bytes() == distribution.wheel(tmp_path / "ours").read_bytes()


@pytest.mark.slow
@pytest.mark.blender
def test_a_release_is_whole_and_made_again_it_is_the_same(addon_zips: dict[str, Path], tmp_path: Path) -> None:
    """`addon_zips` for its wheels, and to compare with."""
    made = {path.name: path.read_bytes() for path in release.build(tmp_path / "release")}
    version = f"texserver-{__version__}"
    zips = [path.name for path in addon_zips.values()]
    repository = f"{version}-extension-repository.zip"
    others = [f"{version}-py3-none-any.whl", f"{version}.tar.gz", "NOTES.md"]
    assert sorted(made) == sorted([*zips, repository, *others, "SHA256SUMS"])
    for path in addon_zips.values():
        assert made[path.name] == path.read_bytes()
    with zipfile.ZipFile(tmp_path / "release" / repository) as archive:
        assert sorted(archive.namelist()) == sorted([*zips, "index.html", "index.json"])
    with zipfile.ZipFile(tmp_path / "release" / zips[0]) as archive:
        assert archive.read(f"server/{version}-py3-none-any.whl") == made[f"{version}-py3-none-any.whl"]
    told = dict(reversed(line.split("  ")) for line in made["SHA256SUMS"].decode().splitlines())
    assert told == {n: hashlib.sha256(data).hexdigest() for n, data in made.items() if n != "SHA256SUMS"}
    again = {path.name: path.read_bytes() for path in release.build(tmp_path / "release")}
    assert again == made
    assert [path.name for path in tmp_path.iterdir()] == ["release"]
