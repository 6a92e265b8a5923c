"""Favourites: kept across sessions, shared by several Blenders, and never lost to a file that cannot be read."""

from pathlib import Path

import pytest

from blender_addon.tasks.favourites import Favourites


def test_favourites_are_kept_and_can_be_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "favourites.json"
    one, other = Favourites(path), Favourites(path)
    one.toggle("brick")
    other.toggle("moss")
    assert Favourites(path).names == {"brick", "moss"}
    one.toggle("brick")
    assert Favourites(path).names == {"moss"}
    one.toggle("moss")
    assert Favourites(path).names == frozenset()
    assert (one.message, other.message) == ("", "")
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("content", ["{", '{"format": 7}', '{"format": 1, "names": [1]}'])
def test_a_file_that_cannot_be_read_is_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "favourites.json"
    path.write_text(content)
    favourites = Favourites(path)
    favourites.toggle("brick")
    assert "cannot be read" in favourites.message
    assert path.read_text() == content


def test_a_disk_that_refuses_is_reported(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("in the way")
    favourites = Favourites(tmp_path / "folder" / "favourites.json")
    favourites.toggle("brick")
    assert "were not saved" in favourites.message or "cannot be read" in favourites.message
