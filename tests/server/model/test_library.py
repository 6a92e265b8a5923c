"""Facts about the models folder: names are looked up in its list, and a bad file harms no other."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from server.errors import Refused, TexserverError
from server.model.checking import check_file
from server.model.header import BrokenModel
from server.model.library import Library, NoLibrary, UnknownModel
from tests.models import save_tiny


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A models folder with brick and grass, and beside it a model that no request may reach."""
    folder = tmp_path / "models"
    save_tiny(folder, "brick", lattice=True)
    save_tiny(folder, "grass")
    save_tiny(tmp_path, "outside")
    return folder


def test_models_are_listed_by_name_with_their_facts(folder: Path) -> None:
    library = Library(folder)
    assert library.names() == ["brick", "grass"]
    brick, grass = library.entries()
    assert (brick.name, brick.state, brick.reason) == ("brick", "ready", "")
    assert brick.facts
    assert brick.facts.lattice
    assert grass.facts
    assert not grass.facts.lattice
    assert library.path("brick").stem == "brick"


def test_the_list_follows_the_folder(folder: Path) -> None:
    library = Library(folder)
    assert library.names() == ["brick", "grass"]
    save_tiny(folder, "gravel")
    (folder / "brick.safetensors").unlink()
    assert library.names() == ["grass", "gravel"]


def test_checkpoints_temporaries_and_other_files_are_no_models(folder: Path) -> None:
    for name in (
        "brick.checkpoint.safetensors",
        ".brick.safetensors.0a1b.part",
        "._brick.safetensors",
        "brick.sheet.png",
    ):
        (folder / name).write_bytes(b"x")
    assert Library(folder).names() == ["brick", "grass"]


def test_a_broken_file_is_listed_with_its_reason_and_harms_no_other(folder: Path) -> None:
    (folder / "empty.safetensors").write_bytes(b"")
    (folder / "a folder.safetensors").mkdir()
    (folder / "brïck\n.safetensors").write_bytes((folder / "brick.safetensors").read_bytes())
    weights = bytearray((folder / "brick.safetensors").read_bytes())
    at = len(weights) - 32 * 48 * 3 - 4  # the last weight, before the thumbnail
    weights[at : at + 4] = b"\0\0\xc0\x7f"
    (folder / "nan.safetensors").write_bytes(weights)
    library = Library(folder)
    entries = {entry.name: entry for entry in library.entries()}
    assert [name for name, entry in entries.items() if entry.state == "ready"] == ["brick", "grass"]
    assert entries["empty"].reason == "it is empty"
    assert "not all finite" in entries["nan"].reason
    assert "rename it" in entries["a folder"].reason
    assert "rename it" in entries["br\\xefck\\n"].reason
    for name, entry in entries.items():
        if entry.state == "broken":
            with pytest.raises(BrokenModel) as error:
                check_file(library.path(name))
            assert error.value.reason == entry.reason
            assert entry.reason.isprintable()


@pytest.mark.skipif(sys.platform == "win32", reason="links and FIFOs of POSIX")
@pytest.mark.timeout(20)
def test_a_link_out_of_the_folder_and_a_fifo_are_broken(folder: Path) -> None:
    (folder / "out.safetensors").symlink_to(folder.parent / "outside.safetensors")
    (folder / "above.safetensors").symlink_to("../outside.safetensors")
    (folder / "loop.safetensors").symlink_to("loop.safetensors")
    (folder / "gone.safetensors").symlink_to("nothing.safetensors")
    (folder / "within.safetensors").symlink_to("brick.safetensors")
    os.mkfifo(folder / "fifo.safetensors")
    states = {entry.name: entry for entry in Library(folder).entries()}
    assert [name for name, entry in states.items() if entry.state == "ready"] == ["brick", "grass", "within"]
    for name in ("out", "above"):
        assert "leads out of the models folder" in states[name].reason
    assert Library(folder).path("within").stem == "within"


@pytest.mark.skipif(sys.platform == "win32", reason="links of POSIX")
def test_the_folder_itself_may_be_a_link(folder: Path) -> None:
    link = folder.parent / "link"
    link.symlink_to(folder)
    assert [entry.state for entry in Library(link).entries()] == ["ready", "ready"]


# "brick.safetensors" and "./brick" are paths to a model that is listed, and still no names.
NO_NAMES = ("", ".", "..", "../outside", "../../etc/passwd", "a/b", "./brick", "brick/", "a\0b", "brick\0", "BRICK ",
            "brick.safetensors", "/etc/passwd", "\udcff", "x" * 10_000)  # fmt: skip


@pytest.mark.parametrize("name", NO_NAMES, ids=[ascii(name[:20]) for name in NO_NAMES])
def test_what_is_not_listed_is_unknown_and_no_file_is_opened(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*args: Any, **_: Any) -> int:
        raise AssertionError(f"opened {args}")

    monkeypatch.setattr(os, "open", never)
    with pytest.raises(UnknownModel) as error:
        Library(folder).path(name)
    assert isinstance(error.value, Refused)
    assert error.value.code == "unknown_model"
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 300


def test_a_near_miss_is_answered_with_the_name_meant(folder: Path) -> None:
    with pytest.raises(UnknownModel, match=r"^There is no model 'brik'\. Did you mean 'brick'\?$"):
        Library(folder).path("brik")
    with pytest.raises(UnknownModel, match=r"^There is no model 'water'\. There are: brick, grass\.$"):
        Library(folder).path("water")


def test_of_many_models_a_few_are_named() -> None:
    text = str(UnknownModel("x", [f"model-{number}" for number in range(1000)]))
    assert "model-19, …" in text
    assert "model-20" not in text


def test_a_missing_folder_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "none", tmp_path / "file", Path("a\0b")):
        for ask in (Library(path).names, Library(path).entries, lambda path=path: Library(path).path("brick")):
            with pytest.raises(NoLibrary, match="folder"):
                ask()
    assert issubclass(NoLibrary, TexserverError)
    (tmp_path / "empty").mkdir()
    assert Library(tmp_path / "empty").entries() == []
    with pytest.raises(UnknownModel, match="There are: none"):
        Library(tmp_path / "empty").path("brick")
