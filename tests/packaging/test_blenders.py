"""Finding Pythons and telling made environments from broken-off ones; the real Blenders are made by `make test`."""

import os
import re
import sys
from pathlib import Path

import blenders
import pytest

OURS = f"{sys.version_info.major}.{sys.version_info.minor}"
ELSEWHERE = "3.13" if OURS != "3.13" else "3.12"  # no Python that runs this test

posix = pytest.mark.skipif(sys.platform == "win32", reason="shell scripts stand in for Pythons")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty .blender."""
    monkeypatch.setattr(blenders, "HOME", tmp_path / ".blender")
    return tmp_path / ".blender"


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_the_python_that_runs_this_is_taken_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert blenders.find_python(OURS) == Path(sys.executable)


@posix
def test_pythons_on_path_that_do_not_run_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As pyenv's shims do not, for versions that are installed but not chosen."""
    program(tmp_path / "shims" / f"python{ELSEWHERE}", "echo command not found >&2; exit 127")
    program(tmp_path / "bare" / f"python{ELSEWHERE}", "echo No module named ensurepip >&2; exit 1")
    good = program(tmp_path / "good" / f"python{ELSEWHERE}", f"echo {ELSEWHERE}")
    monkeypatch.setenv("PATH", os.pathsep.join(str(tmp_path / name) for name in ("shims", "bare", "good")))
    assert blenders.find_python(ELSEWHERE) == good


@posix
def test_pythons_of_pyenv_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "versions" / "3.1.0" / "bin" / "python", "echo 3.1")
    good = program(tmp_path / "versions" / f"{ELSEWHERE}.5" / "bin" / "python", f"echo {ELSEWHERE}")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert blenders.find_python(ELSEWHERE) == good


def test_without_a_python_the_reason_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    with pytest.raises(blenders.NoBlender, match=re.escape("`pyenv install 3.99`")):
        blenders.find_python("3.99")


def test_a_blender_that_is_not_set_up_says_how_to(home: Path) -> None:
    with pytest.raises(blenders.NoBlender, match=r"`python packaging/blenders\.py 4\.5\.15` does it"):
        blenders.python_of("4.5.15")


def test_a_blender_that_is_not_known_says_which_are() -> None:
    with pytest.raises(blenders.NoBlender, match=r"2\.79 is not one of those set up here: 4\.2\.23, 4\.5\.15"):
        blenders.python_of("2.79")


def test_an_environment_is_ready_by_the_pins_written_last(home: Path) -> None:
    blender = blenders.BLENDERS["4.5.15"]
    marker = home / "4.5.15" / "ready.txt"
    marker.parent.mkdir(parents=True)
    with pytest.raises(blenders.NoBlender):  # its making broke off
        blenders.python_of("4.5.15")
    marker.write_text("\n".join(blender.pins()))
    assert blenders.python_of("4.5.15").is_relative_to(home / "4.5.15")
    marker.write_text("\n".join(blender.pins()).replace(f"numpy=={blender.numpy}", "numpy==1.0"))
    with pytest.raises(blenders.NoBlender):  # another numpy was asked for since
        blenders.python_of("4.5.15")


@posix
def test_what_broke_off_is_made_anew_and_not_ready_where_it_breaks_off_again(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By a Python whose environments have a pip that fails."""
    left = home / "4.5.15" / "left-over"
    left.parent.mkdir(parents=True)
    left.touch()
    broken = 'mkdir -p "$3/bin"; printf "#!/bin/sh\\necho no such release >&2; exit 1" > "$3/bin/python"'
    python = program(tmp_path / "python", f'{broken}; chmod +x "$3/bin/python"')
    monkeypatch.setattr(blenders, "find_python", lambda version: python)
    monkeypatch.setattr(blenders, "ROOT", tmp_path)
    (tmp_path / "constraints.txt").write_text("pytest==1.2.3\n")
    with pytest.raises(blenders.NoBlender, match=r"pip could not install bpy==4\.5\.15: no such release"):
        blenders.set_up("4.5.15")
    assert not left.exists()
    with pytest.raises(blenders.NoBlender):
        blenders.python_of("4.5.15")


@pytest.mark.parametrize(("options", "code"), [([], 0), (["--required"], 1)])
def test_what_cannot_be_had_fails_where_it_is_required(
    options: list[str], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["blenders.py", "1.0", *options])
    assert blenders.main() == code
    assert capsys.readouterr().err.startswith("No Blender 1.0: Blender 1.0 is not one of those set up here")


@posix
@pytest.mark.parametrize("root", [True, False])
def test_missing_system_libraries_are_installed_by_root_and_told_to_others(
    root: bool, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By stand-ins for apt-get, and for a Blender that starts once apt-get has run."""
    blender = blenders.BLENDERS["4.2.23"]
    asked = tmp_path / "asked"
    lacks = f'[ -e "{asked}" ] || {{ echo "ImportError: libX11.so.6: cannot open" >&2; exit 1; }}'
    program(home / "4.2.23" / "bin" / "python", lacks)
    (home / "4.2.23" / "ready.txt").write_text("\n".join(blender.pins()))
    program(tmp_path / "bin" / "apt-get", f'echo "$@" >> "{asked}"')
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1000)
    if root:
        assert blenders.set_up("4.2.23") == home / "4.2.23" / "bin" / "python"
        update, install = asked.read_text().splitlines()
        assert update.startswith("update ")
        assert install.endswith(" ".join(blender.libraries))
    else:
        with pytest.raises(blenders.NoBlender, match=r"does not start: ImportError: libX11.*libx11-6 .* libgomp1\."):
            blenders.set_up("4.2.23")
        assert not asked.exists()
