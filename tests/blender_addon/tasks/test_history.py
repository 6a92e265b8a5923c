"""What was made is remembered across sessions, the newest first, whatever has become of the file."""

import errno
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blender_addon.tasks import kept_file
from blender_addon.tasks.history import FORMAT, History, HistoryEntry

BRICK = HistoryEntry(
    model="brick",
    sha256="ab" * 32,
    seed=2**64 - 1,
    size=(1024, 2048),
    maps=("basecolor", "height"),
    depth=16,
    when=1_795_000_000.25,
    place="127.0.0.1:7441",
)
GRASS = replace(BRICK, model="Gräser, hoch", seed=7)

entries = st.builds(
    HistoryEntry,
    model=st.text(st.characters(codec="utf-8"), max_size=200),
    sha256=st.text("0123456789abcdef", max_size=64),
    seed=st.integers(0, 2**64 - 1),
    size=st.tuples(st.integers(1, 65536), st.integers(1, 65536)),
    maps=st.lists(st.sampled_from(["basecolor", "height", "normal"]), unique=True, min_size=1).map(tuple),
    depth=st.sampled_from([None, 8, 16]),
    when=st.integers(0, 2**40) | st.floats(0, 2**40),
    place=st.text(max_size=100),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "texserver" / "history.json"


def names(history: History) -> list[str]:
    return [each.model for each in history.entries]


def content(**changed: Any) -> bytes:
    return json.dumps({"format": FORMAT, "entries": [asdict(BRICK) | changed]}).encode()


def test_the_newest_comes_first_and_is_there_in_the_next_session(path: Path) -> None:
    history = History(path)
    history.add(BRICK)
    history.add(GRASS)
    assert history.entries == (GRASS, BRICK)
    assert (History(path).entries, history.message) == ((GRASS, BRICK), "")


@given(made=st.lists(entries, max_size=8))
def test_whatever_was_made_is_read_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, made: list[HistoryEntry]
) -> None:
    path = tmp_path_factory.mktemp("history") / "history.json"
    history = History(path)
    for each in made:
        history.add(each)
    assert History(path).entries == history.entries
    assert set(history.entries) <= set(made)


def test_the_same_texture_made_again_moves_up_and_is_there_once(path: Path) -> None:
    history = History(path)
    for each in (BRICK, GRASS, again := replace(BRICK, when=BRICK.when + 60, place="gpu-box:7733")):
        history.add(each)
    assert history.entries == (again, GRASS)


@pytest.mark.parametrize(
    "change",
    [
        {"model": "b"},
        {"sha256": "cd" * 32},
        {"seed": 1},
        {"size": (2048, 1024)},
        {"maps": ("height",)},
        {"depth": 8},
        {"depth": None},
    ],
    ids=str,
)
def test_another_texture_is_another_entry(path: Path, change: dict[str, Any]) -> None:
    history = History(path)
    history.add(BRICK)
    history.add(replace(BRICK, **change))
    assert len(history.entries) == 2


@pytest.mark.parametrize("depth", [8, 16, None])
def test_a_file_tells_one_depth_or_that_each_map_has_its_own(path: Path, depth: int | None) -> None:
    path.parent.mkdir()
    path.write_bytes(content(depth=depth))
    (entry,) = History(path).entries
    assert entry == replace(BRICK, depth=depth)


def test_the_oldest_are_forgotten(path: Path) -> None:
    history = History(path, most=3)
    for seed in range(5):
        history.add(replace(BRICK, seed=seed))
    assert [each.seed for each in history.entries] == [4, 3, 2]
    assert [each.seed for each in History(path, most=2).entries] == [4, 3]


def test_cleared_is_cleared_for_good(path: Path) -> None:
    history = History(path)
    history.add(BRICK)
    history.clear()
    assert history.entries == History(path).entries == ()


def test_two_sessions_at_once_lose_nothing(path: Path) -> None:
    one, other = History(path), History(path)
    one.add(BRICK)
    other.add(GRASS)
    assert names(other) == names(History(path)) == [GRASS.model, "brick"]


def test_a_missing_file_is_an_empty_history_and_no_complaint(path: Path) -> None:
    assert (History(path).entries, History(path).message) == ((), "")


DAMAGED = {
    "nothing": b"",
    "half": content()[:100],
    "a list": b"[]",
    "no format": b"{}",
    "a later format": b'{"format":2,"entries":[]}',
    "not UTF-8": b"\xff\xfe",
    "deep": b"[" * 100_000,
    "endless number": b'{"format":1,"entries":[{"seed":' + b"9" * 5000 + b"}]}",
    "NaN": b'{"format":NaN}',
    "twice": b'{"format":1,"format":1}',
    "huge": content() + b" " * kept_file.MAX_BYTES,
    "entries of text": b'{"format":1,"entries":["brick"]}',
    "negative seed": content(seed=-1),
    "seed as text": content(seed="7"),
    "three sides": content(size=[1, 2, 3]),
    "no size": content(size=[0, 64]),
    "true": content(when=True),
    "nine bits": content(depth=9),
    "time as text": content(when="noon"),
    "null": content(model=None),
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_set_aside_and_said_so(path: Path, data: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(data)
    history = History(path)
    assert history.entries == ()
    (aside,) = path.parent.iterdir()
    assert aside.read_bytes() == data
    assert aside.name in history.message
    history.add(BRICK)
    assert (names(History(path)), history.message) == (["brick"], "")
    assert aside.read_bytes() == data


def test_a_folder_in_the_files_place_is_set_aside_too(path: Path) -> None:
    path.mkdir(parents=True)
    history = History(path)
    assert "set-aside" in history.message
    history.add(BRICK)
    assert names(History(path)) == ["brick"]


def test_a_full_disk_is_told_and_what_was_saved_stays(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history = History(path)
    history.add(BRICK)

    def full(path: Path, data: bytes) -> int:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        history.add(GRASS)
        history.add(replace(GRASS, seed=8))
        assert "No space left on device" in history.message
        assert "Free some space" in history.message
        assert names(History(path)) == ["brick"]
        assert [each.name for each in path.parent.iterdir()] == ["history.json"]
    assert names(history) == [GRASS.model, GRASS.model, "brick"]
    history.add(replace(GRASS, seed=9))
    assert (len(History(path).entries), history.message) == (4, "")


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    history = History(tmp_path / "file" / "history.json")
    history.add(BRICK)
    assert "was not saved" in history.message
    assert names(history) == ["brick"]
