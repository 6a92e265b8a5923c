"""The extension as it is packed, and its life in Blenders that have no pyzmq but that of the zip."""

import functools
import http.server
import shutil
import subprocess
import threading
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess

import addon
import blenders
import distribution
import manifest_lint
import pytest

from server import __version__
from tests.packaging.bare_blender import Told, packed, python_of, run

ROOT = Path(__file__).resolve().parents[2]
INSIDE = Path(__file__).with_name("inside_blender.py")

# Each Blender, and the zip that is for it.
FITTING = [
    pytest.param("4.5.15", "4.2"),
    pytest.param("5.2.3", "5.1"),
    pytest.param("4.2.23", "4.2", marks=pytest.mark.slow),
    pytest.param("5.0.1", "4.2", marks=pytest.mark.slow),
]
GONE = {"enabled": False, "classes": 0, "installed": False, "pyzmq": []}


# Without a Blender


def test_the_manifest_has_the_project_s_version() -> None:
    manifest = tomllib.loads((ROOT / "blender_addon" / "blender_manifest.toml").read_text("utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert manifest["version"] == project["project"]["version"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """An add-on amid what working on one leaves behind."""
    folder = tmp_path / "source"
    for name in ("__init__.py", "sub/deep.py", "__pycache__/a.pyc", "notes.txt", ".hidden", "wheels/stray.whl"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text('"""Nothing."""\n')
    shutil.copy(ROOT / "blender_addon" / "blender_manifest.toml", folder)
    return folder


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """All the wheels, with nothing in them."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for variant in addon.VARIANTS:
        for wheel in variant.wheels:
            (folder / wheel.name).write_bytes(b"")
    return folder


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """What is packed as texserver's wheel."""
    path = tmp_path / f"texserver-{__version__}-py3-none-any.whl"
    path.write_bytes(b"")
    return path


@pytest.mark.parametrize("variant", addon.VARIANTS, ids=lambda variant: variant.name)
def test_the_zip_holds_code_manifest_licence_the_server_and_its_own_wheels_alone(
    variant: addon.Variant, source: Path, wheels: Path, server: Path, tmp_path: Path
) -> None:
    staged = tmp_path / "staged"
    assert addon.stage(variant, staged, source, wheels, server)
    names = {path.relative_to(staged).as_posix() for path in staged.rglob("*") if path.is_file()}
    own = {f"wheels/{wheel.name}" for wheel in variant.wheels}
    assert names == {"__init__.py", "sub/deep.py", "LICENSE", "blender_manifest.toml", f"server/{server.name}"} | own
    assert manifest_lint.problems(staged) == []


def test_the_zips_share_out_all_blenders(source: Path, wheels: Path, server: Path, tmp_path: Path) -> None:
    manifests = []
    for variant in addon.VARIANTS:
        addon.stage(variant, tmp_path / variant.name, source, wheels, server)
        manifests.append(tomllib.loads((tmp_path / variant.name / "blender_manifest.toml").read_text("utf-8")))
    first, second = manifests
    assert first["blender_version_min"] == "4.2.0"
    assert first["blender_version_max"] == second["blender_version_min"] == "5.1.0"
    assert "blender_version_max" not in second


def test_the_same_files_give_the_same_zip_whatever_their_order_and_age(tmp_path: Path) -> None:
    names = ["b.py", "a.py", "wheels/c.whl"]
    for path, year, order in (("one", 1990, names), ("two", 2020, names[::-1])):
        with zipfile.ZipFile(tmp_path / path, "w") as archive:
            for name in order:
                archive.writestr(zipfile.ZipInfo(name, (year, 1, 1, 0, 0, 0)), name * 100)
        distribution.repack_zip(tmp_path / path, tmp_path / f"{path}.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        assert {name: archive.read(name).decode() for name in archive.namelist()} == {
            name: name * 100 for name in names
        }


def test_a_wheel_that_was_changed_is_not_packed(wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The empty ones are fetched again; a pip that brings the like is not believed."""
    asked: list[list[str]] = []

    def pip(command: list[str]) -> CompletedProcess[str]:
        asked.append(command)
        (folder,) = (part.removeprefix("--dest=") for part in command if part.startswith("--dest="))
        shutil.copytree(wheels, folder, dirs_exist_ok=True)
        return CompletedProcess(command, 0, stdout="")

    monkeypatch.setattr(addon, "_run", pip)
    with pytest.raises(addon.NotBuilt, match="another file than pyzmq"):
        addon.fetch(addon.VARIANTS[0], wheels)
    assert len(asked) == 1
    assert sorted(path.name for path in wheels.iterdir()) == sorted(
        wheel.name for variant in addon.VARIANTS for wheel in variant.wheels
    )


def test_without_a_network_the_wheels_are_asked_for_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addon, "_run", lambda command: CompletedProcess(command, 1, stdout="ERROR: no route"))
    with pytest.raises(addon.NoWheels, match=r"is there a network\?\nERROR: no route"):
        addon.fetch(addon.VARIANTS[0], tmp_path)


# With Blenders


@pytest.mark.blender
@pytest.mark.parametrize("which", ["4.2", "5.1"])
def test_our_lint_finds_nothing_in_the_zips(which: str, addon_zips: dict[str, Path]) -> None:
    assert manifest_lint.problems(addon_zips[which]) == []


@pytest.mark.blender
@pytest.mark.parametrize("which", ["4.2", "5.1"])
@pytest.mark.parametrize("version", ["4.5.15", "5.2.3"])
def test_blender_s_validator_finds_nothing_in_the_zips(version: str, which: str, addon_zips: dict[str, Path]) -> None:
    python_of(version)
    tool, tags = blenders.command_line_tool(version)
    command = [*tool, "validate", f"--valid-tags={tags}", str(addon_zips[which])]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.blender
def test_building_again_gives_the_same_bytes(addon_zips: dict[str, Path], tmp_path: Path) -> None:
    again = packed(tmp_path / "extension")
    assert {name: path.read_bytes() for name, path in again.items()} == {
        name: path.read_bytes() for name, path in addon_zips.items()
    }
    for name in ("index.json", "index.html"):
        assert (again["4.2"].parent / name).read_bytes() == (addon_zips["4.2"].parent / name).read_bytes()


@pytest.mark.blender
@pytest.mark.parametrize("which", ["4.2", "5.1"])
def test_the_zip_brings_the_server_of_its_version_and_blender_does_not_install_it(
    which: str, addon_zips: dict[str, Path]
) -> None:
    with zipfile.ZipFile(addon_zips[which]) as archive:
        manifest = tomllib.loads(archive.read("blender_manifest.toml").decode())
        name = f"server/texserver-{manifest['version']}-py3-none-any.whl"
        assert not any("texserver" in wheel for wheel in manifest["wheels"])
        with archive.open(name) as file, zipfile.ZipFile(file) as wheel:
            assert {"server/service/serve.py", "trainer/__main__.py"} <= set(wheel.namelist())


@pytest.mark.blender
def test_a_failed_build_leaves_the_last_one(addon_zips: dict[str, Path], source: Path, tmp_path: Path) -> None:
    """`addon_zips` for its wheels."""
    out = tmp_path / "extension"
    made = {path: path.read_bytes() for path in addon.build(out, source=source).values()}
    (source / "sub" / "deep.py").write_text("import numpy\n")
    with pytest.raises(addon.NotBuilt, match="imports numpy"):
        addon.build(out, source=source)
    (source / "__init__.py").unlink()
    with pytest.raises(addon.NotBuilt, match="missing"):
        addon.build(out, source=source)
    assert {path: path.read_bytes() for path in out.glob("*.zip")} == made
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


@pytest.mark.blender
@pytest.mark.parametrize("version", ["4.5.15", "5.2.3"])
def test_the_blenders_have_no_pyzmq_of_their_own(version: str) -> None:
    """Or the tests below would show nothing."""
    command = [str(python_of(version)), "-I", "-c", "import zmq"]
    assert b"No module named 'zmq'" in subprocess.run(command, capture_output=True, check=False).stderr


@pytest.mark.blender
@pytest.mark.parametrize(("version", "which"), FITTING)
def test_each_zip_lives_in_its_blender(version: str, which: str, addon_zips: dict[str, Path], tmp_path: Path) -> None:
    lived(run(version, INSIDE, str(addon_zips[which]), home=tmp_path), version)


def lived(told: Told, version: str) -> None:
    """Installed, enabled, with pyzmq from the zip, disabled without a trace, enabled again, and gone."""
    assert set(told.facts) == {"first", "zmq", "tags", "disabled", "enabled", "uninstalled"}, told.output
    there = told.facts["first"]
    assert there["enabled"]
    assert there["installed"]
    assert there["pyzmq"] == [f"pyzmq-{addon.PYZMQ}.dist-info"]
    python = blenders.BLENDERS[version].python
    assert told.facts["zmq"] == f".local/lib/python{python}/site-packages/zmq/__init__.py"
    abi = "cp311-cp311-" if python == "3.11" else "cp312-abi3-"
    assert all(tag.startswith(abi) for tag in told.facts["tags"])
    assert told.facts["disabled"] == {**GONE, "installed": True}
    assert told.facts["enabled"] == there
    assert told.facts["uninstalled"] == GONE


@pytest.mark.blender
@pytest.mark.parametrize(
    ("version", "which", "why"),
    [
        ("4.5.15", "5.1", "doesn't meet the minimum supported version"),
        ("5.2.3", "4.2", "must be less than the maximum version"),
    ],
)
def test_a_blender_refuses_the_other_s_zip(
    version: str, which: str, why: str, addon_zips: dict[str, Path], tmp_path: Path
) -> None:
    told = run(version, INSIDE, str(addon_zips[which]), home=tmp_path)
    assert why in told.output
    assert told.facts == {"first": GONE}


@pytest.mark.blender
@pytest.mark.parametrize(("version", "which"), FITTING)
def test_the_repository_gives_each_blender_its_zip(
    version: str, which: str, addon_zips: dict[str, Path], tmp_path: Path
) -> None:
    with served(addon_zips[which].parent) as (address, fetched):
        lived(run(version, INSIDE, f"{address}/index.json", home=tmp_path), version)
    assert [name for name in fetched if name.endswith(".zip")] == [addon_zips[which].name]


@pytest.mark.blender
def test_people_find_both_zips_on_the_repository_s_page(addon_zips: dict[str, Path]) -> None:
    page = (addon_zips["4.2"].parent / "index.html").read_text("utf-8")
    assert all(f'<a href="./{path.name}?repository=' in page for path in addon_zips.values())


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """The folder's address on loopback, and the names of the files that were fetched."""
    fetched: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_request(self, code: object = "-", size: object = "-") -> None:
            fetched.append(self.path.partition("?")[0].rpartition("/")[2])

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", fetched
        finally:
            server.shutdown()
            thread.join()
