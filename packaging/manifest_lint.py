"""Finds what Blender's own `validate` and `build` let pass in an extension, and artists or reviewers would meet.

    python packaging/manifest_lint.py blender_addon dist/extension/texserver-0.2.0-blender-5.1.zip

Tried on Blender 5.0.1 and 5.2.3: neither minds an unknown platform, tag (unless told the valid ones), licence or key, a
version range that no Blender is in, a stray file in wheels/, or wheels that Blender then refuses to install. The rules
about code are those of the reviewers of extensions.blender.org (no threads, relative imports), of distributions (in
Debian's, Blender has no numpy), and of pyzmq, whose send(copy=False) starts a Python thread.

Sources: the manual's page on extension manifests; python_versions_from_wheels() in Blender's bl_pkg/cli/blender_ext.py;
PEP 427 for the names of wheels.
"""

import argparse
import ast
import sys
import tomllib
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

MANIFEST = "blender_manifest.toml"
PLATFORMS = ("linux-x64", "macos-arm64", "macos-x64", "windows-arm64", "windows-x64")
# The Blender from which each Python is the one inside.
PYTHONS = (((4, 2, 0), (3, 11)), ((5, 1, 0), (3, 13)))
OLDEST = PYTHONS[0][0]  # the first with extensions
# Those in use among add-ons that may be combined with Blender's GPL.
LICENCES = (
    *("GPL-3.0-or-later", "GPL-3.0-only", "GPL-2.0-or-later", "LGPL-3.0-or-later", "LGPL-2.1-or-later", "MPL-2.0"),
    *("Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "MIT", "ISC", "Zlib", "0BSD", "CC0-1.0", "Unlicense"),
)
# What bl_pkg offers as filters for add-ons; a test compares it with a real Blender's.
TAGS = (
    *("3D View", "Add Curve", "Add Mesh", "Animation", "Bake", "Camera", "Compositing", "Development", "Game Engine"),
    *("Geometry Nodes", "Grease Pencil", "Import-Export", "Lighting", "Material", "Mesh", "Modeling", "Node", "Object"),
    *("Paint", "Physics", "Pipeline", "Render", "Rigging", "Scene", "Sculpt", "Sequencer", "System", "Text Editor"),
    *("Tracking", "User Interface", "UV"),
)
KEYS: dict[str, type] = {
    **dict.fromkeys(("schema_version", "id", "version", "name", "tagline", "maintainer", "type"), str),
    **dict.fromkeys(("blender_version_min", "blender_version_max", "website"), str),
    **dict.fromkeys(("license", "copyright", "tags", "platforms", "wheels"), list),
    **dict.fromkeys(("permissions", "build"), dict),
}
THREADS = {"threading", "_thread", "concurrent", "multiprocessing"}

Version = tuple[int, ...]


def problems(path: Path) -> list[str]:
    """What is wrong with the extension in this folder or zip, a sentence each; nothing if it is clean."""
    try:
        files = _files(path)
        manifest = tomllib.loads(files[MANIFEST].decode("utf-8"))
    except KeyError:
        return [f"There is no {MANIFEST} at the top."]
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        return [f"{path.name} cannot be read: {error}."]
    found = list(_types(manifest))
    if not found:
        found += [*_fields(manifest), *_versions(manifest), *_wheels(manifest, files, built=path.is_file())]
    own = {"blender_addon", "bl_ext", str(manifest.get("id"))}
    for name, data in files.items():
        if name.endswith(".py"):
            found += [f"{name}{problem}" for problem in _code(data, own)]
    if path.is_file():
        found += [f"{name} is a cache; leave it out." for name in files if "__pycache__" in name.split("/")]
    return found


def _files(path: Path) -> dict[str, bytes]:
    """By name from the top, with forward slashes."""
    if path.is_dir():
        found = sorted(each for each in path.rglob("*") if each.is_file() and "__pycache__" not in each.parts)
        return {each.relative_to(path).as_posix(): each.read_bytes() for each in found}
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist() if not info.is_dir()}


def _types(manifest: Mapping[str, Any]) -> Iterator[str]:
    for key, value in manifest.items():
        if key not in KEYS:
            yield f"The key {key!r} is unknown, so Blender ignores it; it knows {', '.join(KEYS)}."
        elif not isinstance(value, KEYS[key]):
            yield f"{key} must be a {KEYS[key].__name__}, not {value!r}."
        elif isinstance(value, list) and not all(isinstance(each, str) for each in value):
            yield f"{key} must be a list of strings."


def _fields(manifest: Mapping[str, Any]) -> Iterator[str]:
    if manifest.get("schema_version") != "1.0.0":
        yield f"schema_version must be '1.0.0', not {manifest.get('schema_version')!r}."
    for platform in manifest.get("platforms", []):
        if platform not in PLATFORMS:
            yield f"The platform {platform!r} is unknown; Blender knows {', '.join(PLATFORMS)}."
    for tag in manifest.get("tags", []):
        if tag not in TAGS:
            yield f"The tag {tag!r} is unknown; Blender offers {', '.join(TAGS)}."
    for licence in manifest.get("license", []):
        if licence.removeprefix("SPDX:") not in LICENCES or not licence.startswith("SPDX:"):
            yield f"The licence {licence!r} must be SPDX: and one of {', '.join(LICENCES)}."
    website = urlsplit(manifest.get("website", "https://example.org"))
    if website.scheme not in ("http", "https") or "." not in website.netloc:
        yield f"website must be a whole address like https://example.org, not {manifest['website']!r}."


def _versions(manifest: Mapping[str, Any]) -> Iterator[str]:
    lowest = _version(manifest.get("blender_version_min"))
    highest = _version(manifest.get("blender_version_max"))
    if lowest and lowest < OLDEST:
        yield f"blender_version_min must be {_dotted(OLDEST)} or newer: older Blenders know no extensions."
    if lowest and highest and lowest >= highest:
        yield (
            f"No Blender is from {_dotted(lowest)} (blender_version_min) and before {_dotted(highest)} "
            "(blender_version_max)."
        )


def _version(text: str | None) -> Version | None:
    """None for what is missing or malformed, which Blender's validator tells."""
    parts = (text or "").split(".")
    return tuple(int(part) for part in parts) if all(part.isdigit() for part in parts) else None


def _dotted(version: Version) -> str:
    return ".".join(str(number) for number in version)


@dataclass(frozen=True)
class _Wheel:
    """What a wheel's name says. Tags may be several, with dots between."""

    name: str
    distribution: str
    pythons: tuple[str, ...]
    abis: tuple[str, ...]
    platforms: tuple[str, ...]

    @classmethod
    def named(cls, path: str) -> "_Wheel | None":
        parts = PurePosixPath(path).name.removesuffix(".whl").split("-")
        if not path.endswith(".whl") or len(parts) not in (5, 6):
            return None
        pythons, abis, platforms = (tuple(part.split(".")) for part in parts[-3:])
        return cls(PurePosixPath(path).name, parts[0].lower(), pythons, abis, platforms)

    @property
    def is_abi3(self) -> bool:
        return "abi3" in self.abis

    def runs_on(self, platform: str) -> bool:
        return "any" in self.platforms or platform in {each for tag in self.platforms for each in _platforms(tag)}

    def loads_in(self, python: Version) -> bool:
        for tag in self.pythons:
            version = _python(tag)
            if version == python or version == python[:1] or (self.is_abi3 and version <= python):
                return True
        return False


def _platforms(tag: str) -> tuple[str, ...]:
    """The platforms, as Blender calls them, that a wheel's platform tag stands for."""
    if tag.startswith("macosx_"):
        both = ("macos-arm64", "macos-x64")
        return both if tag.endswith("universal2") else both[:1] if tag.endswith("arm64") else both[1:]
    if tag.startswith("win"):
        return ("windows-x64",) if tag == "win_amd64" else ("windows-arm64",) if tag == "win_arm64" else ()
    # Differs: Blender takes musllinux for Linux, too, but no Blender runs on musl.
    return ("linux-x64",) if tag.startswith(("manylinux", "linux_")) and tag.endswith("_x86_64") else ()


def _python(tag: str) -> Version:
    """ "cp311" is (3, 11) and "py3" is (3,)."""
    digits = tag[2:]
    return (int(digits[0]), *([int(digits[1:])] if digits[1:] else [])) if digits.isdigit() else ()


def _wheels(manifest: Mapping[str, Any], files: Mapping[str, bytes], *, built: bool) -> Iterator[str]:
    listed = [str(PurePosixPath(name)) for name in manifest.get("wheels", [])]
    # What an extension carries as data, and Blender does not install: the server of its own version.
    server = f"server/{manifest.get('id')}-{manifest.get('version')}-py3-none-any.whl"
    for name in files:
        if (name.startswith("wheels/") or name.endswith(".whl")) and name not in (*listed, server):
            yield f"{name} is not among the manifest's wheels, and Blender packs it all the same; delete it."
    for name in listed:
        if name not in files:
            yield f"The manifest lists {name}, which is not there."
    if "wheels" not in manifest:
        if built and any(b"import zmq" in data for name, data in files.items() if name.endswith(".py")):
            yield "The add-on imports zmq, and the manifest lists no wheels that bring it."
        return
    if not listed:
        yield "wheels is empty; list some, or leave the key out."
    wheels = []
    for name in listed:
        if wheel := _Wheel.named(name):
            wheels.append(wheel)
        else:
            yield f"{name} is not named as wheels are (PEP 427)."
    yield from _mixed(wheels)
    yield from _gaps(manifest, wheels)


def _mixed(wheels: list[_Wheel]) -> Iterator[str]:
    """Blender takes the union of all wheels' Pythons, in which abi3 counts as any 3, unless another says 3.x."""
    abi3 = [wheel.name for wheel in wheels if wheel.is_abi3]
    exact = [
        wheel.name for wheel in wheels if not wheel.is_abi3 and any(len(_python(tag)) > 1 for tag in wheel.pythons)
    ]
    if abi3 and exact:
        yield (
            f"{exact[0]} hides that {abi3[0]} loads in newer Pythons, so Blender refuses the extension there; "
            "put abi3 wheels and others into two zips."
        )


def _gaps(manifest: Mapping[str, Any], wheels: list[_Wheel]) -> Iterator[str]:
    platforms = manifest.get("platforms") or PLATFORMS
    lowest = _version(manifest.get("blender_version_min")) or OLDEST
    highest = _version(manifest.get("blender_version_max")) or (sys.maxsize,)
    ends = (*(since for since, _ in PYTHONS[1:]), (sys.maxsize,))
    pythons = [
        (since, python)
        for (since, python), until in zip(PYTHONS, ends, strict=True)
        if lowest < until and highest > since
    ]
    for wheel in wheels:
        if not any(wheel.runs_on(platform) for platform in platforms):
            yield f"{wheel.name} runs on none of the manifest's platforms; leave it out."
    for distribution in sorted({wheel.distribution for wheel in wheels}):
        mine = [wheel for wheel in wheels if wheel.distribution == distribution]
        for platform in platforms:
            for since, python in pythons:
                if not any(wheel.runs_on(platform) and wheel.loads_in(python) for wheel in mine):
                    yield (
                        f"No wheel of {distribution} is for {platform} with Python {_dotted(python)}, "
                        f"which Blender has from {_dotted(since)} on."
                    )


def _code(data: bytes, own: set[str]) -> Iterator[str]:
    """What follows the file's name: ":LINE what is wrong"."""
    try:
        tree = ast.parse(data, feature_version=PYTHONS[0][1])
    except (SyntaxError, ValueError) as error:
        yield f" is no code that Python {_dotted(PYTHONS[0][1])} reads: {error}."
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from _imports(node.lineno, [alias.name for alias in node.names], own)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from _imports(node.lineno, [node.module or ""], own)
        elif isinstance(node, ast.Call):
            yield from _call(node)


def _imports(line: int, modules: Iterable[str], own: set[str]) -> Iterator[str]:
    for top in (module.split(".")[0] for module in modules):
        if top in THREADS:
            yield f":{line} imports {top}; Blender supports no threads in add-ons, so use a timer."
        elif top == "numpy":
            yield f":{line} imports numpy, which some Blenders are without."
        elif top in own:
            yield f":{line} imports {top} by name; an extension reaches its own files by `from . import`."


def _call(node: ast.Call) -> Iterator[str]:
    name = ast.unparse(node.func)
    if name in ("eval", "exec", "builtins.eval", "builtins.exec"):
        yield f":{node.lineno} calls {name}, which reviewers refuse."
    if name.rpartition(".")[2].startswith("send"):
        copy = next((keyword.value for keyword in node.keywords if keyword.arg == "copy"), None)
        if copy is None and len(node.args) > 2:
            copy = node.args[2]  # send(data, flags, copy)
        if isinstance(copy, ast.Constant) and copy.value is False:
            yield f":{node.lineno} sends with copy=False, for which pyzmq starts a Python thread; leave it out."


def main() -> int:
    """The command. 1 where there are problems."""
    parser = argparse.ArgumentParser(description="Find in extensions what Blender's own validator lets pass.")
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="an extension's folder or zip")
    found = 0
    for path in parser.parse_args().paths:
        for problem in problems(path):
            found += 1
            print(f"{path}: {problem}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
