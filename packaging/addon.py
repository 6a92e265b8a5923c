"""Packs blender_addon/ into Blender extensions, and into the folder of a static repository that serves them.

    python packaging/addon.py

makes dist/extension/ with two zips, index.json and index.html, to be put on any web server. Both zips have one version
and the same code; Blender's repository gives each Blender the one that fits. Two, since pyzmq has one wheel for Python
3.11, inside Blender up to 5.0, and another for all that follow, and Blender refuses an extension that holds both kinds
(see manifest_lint.py). The wheels are unmodified, and held to their hashes.

Beside them lies texserver's own wheel in server/, as data: Blender does not install it. The add-on installs it into an
environment of its own when somebody asks it to set up a server.

The building and the checks are Blender's own, of the bpy wheel that packaging/blenders.py sets up.
"""

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import blenders
import distribution
import manifest_lint

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "blender_addon"
WHEELS = ROOT / "dist" / "wheels"
OUT = ROOT / "dist" / "extension"
TEMPLATE = ROOT / "packaging" / "extension.html"
BUILT_BY = "4.5.15"
PYZMQ = "27.3.0"


class NotBuilt(Exception):
    """No extension was made; the text says why, and what to do."""


class NoWheels(NotBuilt):
    """pip did not bring pyzmq's wheels; without a network it cannot."""


@dataclass(frozen=True)
class Wheel:
    """One file of pyzmq's release, and the system to ask pip for it with."""

    name: str
    sha256: str
    platform: str


@dataclass(frozen=True)
class Variant:
    """One of the zips: which Blenders it is for, [blender_min, blender_before), and its wheels."""

    blender_min: str
    blender_before: str | None
    python: str
    wheels: tuple[Wheel, ...]

    @property
    def name(self) -> str:
        """4.2 for 4.2.0."""
        return self.blender_min.rpartition(".")[0]


def _variant(blender_min: str, blender_before: str | None, python: str, tag: str, sha256: dict[str, str]) -> Variant:
    """`sha256` by the wheel's own name for its system; pip is asked for the names of what Blender runs on."""
    asked = {"macosx_10_15_universal2": "macosx_11_0_universal2", "win_amd64": "win_amd64"}
    wheels = [
        Wheel(f"pyzmq-{PYZMQ}-{tag}-{system}.whl", digest, asked.get(system, "manylinux_2_28_x86_64"))
        for system, digest in sha256.items()
    ]
    return Variant(blender_min, blender_before, python, tuple(wheels))


VARIANTS = (
    _variant(
        "4.2.0",
        "5.1.0",
        "3.11",
        "cp311-cp311",
        {
            "manylinux_2_26_x86_64.manylinux_2_28_x86_64": (
                "477b8ad30d66fc905c5388351e83b9ac25824b00e82c0d052b72ea6392636dfd"
            ),
            "macosx_10_15_universal2": "86fb4408797aabb54a31e147176ae0f2474d99f1715a36a4564089eca9ef9ce8",
            "win_amd64": "df98c790f86b6aa2378b4bb94dec7b85b0adb195b880b41e429a4990aed2a8c9",
        },
    ),
    _variant(
        "5.1.0",
        None,
        "3.13",
        "cp312-abi3",
        {
            "manylinux_2_26_x86_64.manylinux_2_28_x86_64": (
                "858fe25231e0fd8612da142efde019faa5ef63fa150a821a27870e791b38c798"
            ),
            "macosx_10_15_universal2": "15155fd8f308d3bd47f67a8f6cc809f9db90abbf63c514c384a17622e2cf080f",
            "win_amd64": "3ea8e8fa5c097e68fef91d70b150fda96f307758103868018fc4deeb9c214122",
        },
    ),
)


def build(out: Path = OUT, wheels: Path = WHEELS, source: Path = SOURCE) -> dict[str, Path]:
    """Make the repository in the folder `out`, in place of what was there. The zips, by their first Blender: 4.2, 5.1.

    `wheels` keeps what pip downloads. Raises NotBuilt or blenders.NoBlender, and then leaves `out` as it was.
    """
    tool, valid_tags = blenders.command_line_tool(BUILT_BY)
    for variant in VARIANTS:
        fetch(variant, wheels)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as folder:
        repository = Path(folder, "new")
        repository.mkdir()
        server = _server(Path(folder, "server"))
        for variant in VARIANTS:
            staged = Path(folder, "staged", variant.name)
            version = stage(variant, staged, source, wheels, server)
            built = Path(folder, f"{variant.name}.zip")
            tags = [f"--valid-tags={valid_tags}"]
            _blender(tool, ["build", f"--source-dir={staged}", f"--output-filepath={built}", *tags])
            path = repository / f"texserver-{version}-blender-{variant.name}.zip"
            distribution.repack_zip(built, path)
            _blender(tool, ["validate", *tags, str(path)])
            if found := manifest_lint.problems(path):
                raise NotBuilt("\n".join([f"{path.name} has problems that Blender lets pass:", *found]))
        _blender(tool, ["server-generate", f"--repo-dir={repository}", "--html", f"--html-template={TEMPLATE}"])
        if out.exists():
            out.rename(Path(folder, "old"))
        repository.rename(out)
    return {path.stem.rpartition("-")[2]: path for path in sorted(out.glob("*.zip"))}


def fetch(variant: Variant, folder: Path) -> None:
    """Have the variant's wheels in the folder, by pip where they are not yet there. Raises NotBuilt."""
    folder.mkdir(parents=True, exist_ok=True)
    for wheel in variant.wheels:
        path = folder / wheel.name
        if path.exists() and _sha256(path) == wheel.sha256:
            continue
        with tempfile.TemporaryDirectory(prefix=".pip-", dir=folder) as temporary:
            ended = _run(
                [
                    *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"),
                    *("--only-binary=:all:", f"--platform={wheel.platform}", f"--python-version={variant.python}"),
                    *(f"--dest={temporary}", f"pyzmq=={PYZMQ}"),
                ]
            )
            if ended.returncode:
                raise NoWheels(f"pip could not download {wheel.name}; is there a network?\n{ended.stdout.strip()}")
            fetched = Path(temporary, wheel.name)
            if not fetched.exists() or _sha256(fetched) != wheel.sha256:
                raise NotBuilt(
                    f"pip brought another file than {wheel.name} as it was when packaging/addon.py was written. "
                    "Ask where it came from before you take its hash there."
                )
            fetched.replace(path)


def stage(variant: Variant, folder: Path, source: Path, wheels: Path, server: Path) -> str:
    """Put what belongs in the variant's zip into a new folder, and nothing else. Returns the extension's version.

    `server` is the wheel of texserver.
    """
    for path in sorted(source.rglob("*.py")):
        _copy(path, folder / path.relative_to(source))
    _copy(ROOT / "LICENSE", folder / "LICENSE")
    for wheel in variant.wheels:
        _copy(wheels / wheel.name, folder / "wheels" / wheel.name)
    _copy(server, folder / "server" / server.name)
    text = (source / manifest_lint.MANIFEST).read_text("utf-8")
    (folder / manifest_lint.MANIFEST).write_text(_with_wheels(text, variant), "utf-8", newline="\n")
    (version,) = re.findall(r'^version = "(.*)"$', text, re.MULTILINE)
    return str(version)


def _server(folder: Path) -> Path:
    try:
        return distribution.wheel(folder)
    except distribution.NotBuilt as error:
        raise NotBuilt(str(error)) from error


def _with_wheels(manifest: str, variant: Variant) -> str:
    lines = [f'blender_version_min = "{variant.blender_min}"']
    if variant.blender_before:
        lines.append(f'blender_version_max = "{variant.blender_before}"')
    lines += ["wheels = [", *(f'  "./wheels/{wheel.name}",' for wheel in variant.wheels), "]"]
    text, found = re.subn(r"^blender_version_min = .*$", "\n".join(lines), manifest, flags=re.MULTILINE)
    if found != 1:
        raise NotBuilt(f"{manifest_lint.MANIFEST} must have one line that begins with `blender_version_min = `.")
    return text


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _blender(tool: Sequence[str], arguments: Sequence[str]) -> None:
    ended = _run([*tool, *arguments])
    if ended.returncode:
        raise NotBuilt(f"Blender's own tool does not take the add-on:\n{ended.stdout.strip()}")


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


def main() -> int:
    """The command. 1 where there is no extension."""
    parser = argparse.ArgumentParser(description="Pack the add-on as Blender extensions and as a static repository.")
    parser.add_argument("--out", type=Path, default=OUT, help="its folder (default: dist/extension)")
    try:
        made = build(parser.parse_args().out)
    except (NotBuilt, blenders.NoBlender) as why:
        print(why, file=sys.stderr)
        return 1
    for path in made.values():
        print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
    print("Install one in Blender (Edit > Preferences > Get Extensions > Install from Disk), or serve the folder.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
