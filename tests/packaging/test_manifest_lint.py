"""Each fault that Blender's own validator lets pass is found, and nothing else is."""

import runpy
import zipfile
from collections.abc import Callable
from pathlib import Path

import blenders
import manifest_lint
import pytest

from tests.packaging.bare_blender import python_of

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = """
schema_version = "1.0.0"
id = "texserver"
version = "0.2.0"
name = "Texserver"
tagline = "Textures"
maintainer = "somebody"
type = "add-on"
tags = ["Material"]
blender_version_min = "4.2.0"
blender_version_max = "5.1.0"
license = ["SPDX:GPL-3.0-or-later"]
website = "https://example.org/texserver"
platforms = ["linux-x64", "macos-arm64", "windows-x64"]
wheels = [
  "./wheels/pyzmq-27.3.0-cp311-cp311-manylinux_2_26_x86_64.manylinux_2_28_x86_64.whl",
  "./wheels/pyzmq-27.3.0-cp311-cp311-macosx_10_15_universal2.whl",
  "./wheels/pyzmq-27.3.0-cp311-cp311-win_amd64.whl",
]

[permissions]
network = "Asks a server"
"""
LINUX, MACOS, WINDOWS = (line.strip().strip('",') for line in MANIFEST.splitlines() if ".whl" in line)
ABI3 = "cp312-abi3"
CODE = """
import struct

import bpy
import zmq

from . import other


def send(socket, data, flags):
    socket.send(data, flags)
    socket.send(data, flags, True)
    socket.send_multipart([data], copy=True)
    socket.recv_multipart(copy=False)
    return socket.evaluate(data)
"""

Edit = Callable[[str], str]


def replaced(old: str, new: str) -> Edit:
    """What must be there to be replaced."""

    def edit(text: str) -> str:
        assert old in text
        return text.replace(old, new)

    return edit


def extension(path: Path, manifest: str = MANIFEST, code: str = CODE, stray: tuple[str, ...] = ()) -> Path:
    """A zip with every wheel that its manifest lists."""
    lines = manifest.splitlines()
    wheels = [line.strip().strip('",').removeprefix("./") for line in lines if line.strip().startswith('"./wheels/')]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("blender_manifest.toml", manifest)
        archive.writestr("__init__.py", code)
        for name in (*wheels, *stray):
            archive.writestr(name, b"")
    return path


def test_a_clean_extension_has_no_problems(tmp_path: Path) -> None:
    assert manifest_lint.problems(extension(tmp_path / "a.zip")) == []


def test_so_has_its_folder(tmp_path: Path) -> None:
    with zipfile.ZipFile(extension(tmp_path / "a.zip")) as archive:
        archive.extractall(tmp_path / "a")
    (tmp_path / "a" / "__pycache__").mkdir()
    (tmp_path / "a" / "__pycache__" / "a.py").write_text("import numpy")
    assert manifest_lint.problems(tmp_path / "a") == []


def test_our_add_on_has_no_problems() -> None:
    assert manifest_lint.problems(ROOT / "blender_addon") == []


FAULTS = {
    "schema_version": (replaced('"1.0.0"', '"2.0.0"'), "schema_version must be '1.0.0', not '2.0.0'"),
    "no schema_version": (replaced('schema_version = "1.0.0"', ""), "schema_version must be '1.0.0', not None"),
    "unknown platform": (replaced('"linux-x64"', '"linux-x64", "linux-x65"'), "The platform 'linux-x65' is unknown"),
    "unknown tag": (replaced('"Material"', '"Material", "Textures"'), "The tag 'Textures' is unknown"),
    "no SPDX": (replaced("SPDX:GPL", "GPL"), "The licence 'GPL-3.0-or-later' must be SPDX:"),
    "bogus licence": (replaced("GPL-3.0-or-later", "GPL-3"), "The licence 'SPDX:GPL-3' must be SPDX:"),
    "licence no SPDX:": (replaced("SPDX:", "SPDX: "), "The licence 'SPDX: GPL-3.0-or-later' must be SPDX:"),
    "no Blender in the range": (
        replaced('_max = "5.1.0"', '_max = "4.2.0"'),
        "No Blender is from 4.2.0 (blender_version_min) and before 4.2.0",
    ),
    "range backwards, by number": (
        replaced('_min = "4.2.0"', '_min = "5.10.0"'),
        "No Blender is from 5.10.0 (blender_version_min) and before 5.1.0",
    ),
    "too old": (replaced('"4.2.0"', '"4.1.9"'), "blender_version_min must be 4.2.0 or newer"),
    "website without scheme": (replaced("https://example", "example"), "website must be a whole address"),
    "website without domain": (replaced("example.org", "example"), "website must be a whole address"),
    "website of a file": (replaced("https://example.org", "file:///example"), "website must be a whole address"),
    "misspelt key": (replaced("license", "licence"), "The key 'licence' is unknown"),
    "wrong type": (replaced('["Material"]', '"Material"'), "tags must be a list"),
    "list of numbers": (replaced('["Material"]', "[1]"), "tags must be a list of strings"),
    "no TOML": (replaced('"Texserver"', "Texserver"), "cannot be read"),
    "no wheel for Linux": (replaced(f'  "{LINUX}",\n', ""), "No wheel of pyzmq is for linux-x64 with Python 3.11"),
    "platform without a wheel": (
        replaced('"windows-x64"]', '"windows-arm64"]'),
        "No wheel of pyzmq is for windows-arm64 with Python 3.11",
    ),
    "wheel without a platform": (replaced(', "windows-x64"]', "]"), "runs on none of the manifest's platforms"),
    "old wheels in a new Blender": (
        replaced('"5.1.0"', '"5.2.0"'),
        "No wheel of pyzmq is for linux-x64 with Python 3.13, which Blender has from 5.1.0 on",
    ),
    "new wheels in an old Blender": (
        replaced("cp311-cp311", ABI3),
        "No wheel of pyzmq is for linux-x64 with Python 3.11, which Blender has from 4.2.0 on",
    ),
    "cp311 and abi3": (
        replaced(f'  "{WINDOWS}",', f'  "{WINDOWS}",\n' + f'  "{LINUX}",'.replace("cp311-cp311", ABI3)),
        "hides that pyzmq-27.3.0-cp312-abi3-manylinux_2_26_x86_64.manylinux_2_28_x86_64.whl loads in newer Pythons",
    ),
    "no name of a wheel": (replaced("pyzmq-27.3.0-cp311-cp311-win", "pyzmq-win"), "not named as wheels are"),
}


@pytest.mark.parametrize(("edit", "told"), FAULTS.values(), ids=FAULTS)
def test_a_fault_of_the_manifest_is_found(edit: Edit, told: str, tmp_path: Path) -> None:
    found = manifest_lint.problems(extension(tmp_path / "a.zip", edit(MANIFEST)))
    assert [problem for problem in found if told in problem], found


def without_wheels(manifest: str, instead: str = "") -> str:
    head, _, rest = manifest.partition("wheels = [")
    return head + instead + rest.partition("\n]\n")[2]


def test_wheels_that_are_listed_empty_or_not_at_all_are_found(tmp_path: Path) -> None:
    empty = manifest_lint.problems(extension(tmp_path / "a.zip", without_wheels(MANIFEST, "wheels = []\n")))
    assert empty == ["wheels is empty; list some, or leave the key out."]
    none = manifest_lint.problems(extension(tmp_path / "b.zip", without_wheels(MANIFEST)))
    assert none == ["The add-on imports zmq, and the manifest lists no wheels that bring it."]


@pytest.mark.parametrize(
    "stray",
    [
        "wheels/pyzmq-27.3.0-cp311-cp311-win_arm64.whl",
        "wheels/README",
        "other-1.0-py3-none-any.whl",
        "server/texserver-9.9-py3-none-any.whl",
    ],
)
def test_a_wheel_that_is_not_listed_is_found(stray: str, tmp_path: Path) -> None:
    (found,) = manifest_lint.problems(extension(tmp_path / "a.zip", stray=(stray,)))
    assert found.startswith(f"{stray} is not among the manifest's wheels")


def test_a_wheel_that_is_listed_but_missing_is_found(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("blender_manifest.toml", MANIFEST)
    found = manifest_lint.problems(tmp_path / "a.zip")
    assert found == [f"The manifest lists {name[2:]}, which is not there." for name in (LINUX, MACOS, WINDOWS)]


def test_abi3_wheels_fit_all_newer_blenders(tmp_path: Path) -> None:
    manifest = MANIFEST.replace("cp311-cp311", ABI3).replace('"4.2.0"', '"5.1.0"')
    manifest = manifest.replace('blender_version_max = "5.1.0"', "")
    assert manifest_lint.problems(extension(tmp_path / "a.zip", manifest)) == []


def test_pure_wheels_fit_all(tmp_path: Path) -> None:
    manifest = without_wheels(MANIFEST, 'wheels = [\n"./wheels/a-1.0-py3-none-any.whl",\n]\n').replace(
        'blender_version_max = "5.1.0"', ""
    )
    assert manifest_lint.problems(extension(tmp_path / "a.zip", manifest)) == []


def test_caches_in_a_zip_are_found(tmp_path: Path) -> None:
    (found,) = manifest_lint.problems(extension(tmp_path / "a.zip", stray=("__pycache__/a.pyc",)))
    assert found == "__pycache__/a.pyc is a cache; leave it out."


CODES = {
    "import threading": "imports threading",
    "from threading import Thread": "imports threading",
    "from concurrent.futures import Future": "imports concurrent",
    "def late():\n    import _thread": "imports _thread",
    "import numpy as np": "imports numpy",
    "import blender_addon.protocol.wire": "imports blender_addon by name",
    "from texserver import wire": "imports texserver by name",
    "from bl_ext.user_default.texserver import wire": "imports bl_ext by name",
    "eval('1')": "calls eval",
    "exec('1')": "calls exec",
    "socket.send(data, copy=False)": "sends with copy=False",
    "socket.send_multipart(frames, zmq.NOBLOCK, False)": "sends with copy=False",
    "type X = int": "is no code that Python 3.11 reads",
    "def": "is no code that Python 3.11 reads",
}


@pytest.mark.parametrize(("code", "told"), CODES.items(), ids=CODES)
def test_a_fault_of_the_code_is_found(code: str, told: str, tmp_path: Path) -> None:
    (found,) = manifest_lint.problems(extension(tmp_path / "a.zip", code=code))
    assert found.startswith("__init__.py")
    assert told in found


def test_the_line_is_told(tmp_path: Path) -> None:
    (found,) = manifest_lint.problems(extension(tmp_path / "a.zip", code="\n\nimport numpy\n"))
    assert found.startswith("__init__.py:3 ")


@pytest.mark.parametrize("name", ["missing.zip", "text.zip", "empty"])
def test_what_is_no_extension_is_told_in_words(name: str, tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("text")
    (tmp_path / "empty").mkdir()
    (found,) = manifest_lint.problems(tmp_path / name)
    assert "cannot be read" in found or found == "There is no blender_manifest.toml at the top."


def test_the_command_names_the_file_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = extension(tmp_path / "good.zip"), extension(tmp_path / "bad.zip", code="import numpy")
    monkeypatch.setattr("sys.argv", ["manifest_lint.py", str(good)])
    assert manifest_lint.main() == 0
    monkeypatch.setattr("sys.argv", ["manifest_lint.py", str(good), str(bad)])
    assert manifest_lint.main() == 1
    assert capsys.readouterr().out.startswith(f"{bad}: __init__.py:1 imports numpy")


@pytest.mark.blender
@pytest.mark.parametrize("version", ["4.5.15", "5.2.3"])
def test_the_tags_are_blender_s(version: str) -> None:
    python_of(version)
    _, tags = blenders.command_line_tool(version)
    assert runpy.run_path(str(tags))["addons"] == {"All", *manifest_lint.TAGS}  # All: of add-ons without one
