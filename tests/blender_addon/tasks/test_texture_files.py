"""A texture's files say what they are, whatever its model is called, and the cache stays under its cap."""

import os
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blender_addon.pictures.image_file import open_image
from blender_addon.tasks import texture_files as module
from blender_addon.tasks.texture_files import LEFTOVER_S, MOST_REMOVED, TextureFiles

BRICK: dict[str, Any] = {
    "model": "brick",
    "sha256": "1a2b3c4d" + "e" * 56,
    "seed": 7,
    "size": (1024, 2048),
    "maps": {"basecolor": 8, "height": 16},
}
RESERVED = ("CON", "nul", "aux.x", "COM1", "lpt1.tif", "con.foo.bar")
names = st.text(max_size=200) | st.sampled_from(["", ".", "..", "../../x", "a/b\\c", "-rf", "~", "x ", "x.", *RESERVED])


@pytest.fixture
def files(tmp_path: Path) -> TextureFiles:
    return TextureFiles(tmp_path / "textures", cap_bytes=1000)


@pytest.fixture
def ages() -> Iterator[int]:
    """Seconds ago, each later than the one before."""
    return count(3600, -10)


def texture(files: TextureFiles, seed: int, size: int, age_s: float = 0) -> Path:
    """A file of so many bytes, used so long ago."""
    (path,) = files.paths(**BRICK | {"seed": seed, "maps": {"basecolor": 8}})
    path.write_bytes(bytes(size))
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def left(files: TextureFiles) -> set[str]:
    return {path.name for path in files.folder.iterdir()}


# -------------------------------------------------------------------------------------------------------------- names


def test_a_name_says_what_the_texture_is(files: TextureFiles) -> None:
    assert [path.name for path in files.paths(**BRICK)] == [
        "brick-1a2b3c4d-7-2048x1024-basecolor.tif",
        "brick-1a2b3c4d-7-2048x1024-16bit-height.tif",
    ]
    (shallow,) = files.paths(**BRICK | {"maps": {"height": 8}, "suffix": ".png"})
    assert shallow == files.folder / "brick-1a2b3c4d-7-2048x1024-height.png"
    (atlas,) = files.paths(**BRICK | {"maps": {"height": 16}, "wang": 2})
    assert atlas == files.folder / "brick-1a2b3c4d-7-2048x1024-wang-16bit-height.tif"
    assert module._OURS.fullmatch(atlas.name)


@given(model=names, map=names, seed=st.integers(0, 2**64 - 1), sha256=st.text(max_size=64))
def test_every_name_is_one_that_every_system_takes(model: str, map: str, seed: int, sha256: str) -> None:
    wanted = BRICK | {"model": model, "maps": {map: 16}, "seed": seed, "sha256": sha256, "size": (65536, 65536)}
    (path,) = TextureFiles(Path(), 0).paths(**wanted)
    name = path.name
    assert len(name) <= 160
    assert name.isascii()
    assert not set(name) & set('<>:"/\\|?*\0\n ')
    assert name.count(".") == 1  # so that Windows sees no device in it
    assert path.stem.upper() not in ("CON", "PRN", "AUX", "NUL")
    assert not name.startswith(".")
    assert module._OURS.fullmatch(name)


maps = st.text(min_size=1, max_size=60) | st.sampled_from(["Height", "height", "a" * 33, "a" * 34])


@given(st.sets(maps, min_size=2))
def test_every_map_has_a_file_of_its_own(maps: set[str]) -> None:
    paths = TextureFiles(Path(), 0).paths(**BRICK | {"maps": dict.fromkeys(maps, 8)})
    assert len({path.name.lower() for path in paths}) == len(maps)


@pytest.mark.parametrize(
    "change",
    [
        {"model": "brock"},
        {"sha256": "f" * 64},
        {"seed": 70},
        {"size": (2048, 1024)},
        {"maps": {"basecolor": 16, "height": 8}},
        {"suffix": ".png"},
        {"wang": 2},
    ],
    ids=str,
)
def test_another_texture_has_other_files(files: TextureFiles, change: dict[str, Any]) -> None:
    assert not set(files.paths(**BRICK)) & set(files.paths(**BRICK | change))


def test_the_folder_is_made(files: TextureFiles) -> None:
    assert files.folder.is_dir()


# ------------------------------------------------------------------------------------------------------------ pruning


def test_the_longest_unused_go_until_the_rest_is_under_the_cap(files: TextureFiles, ages: Iterator[int]) -> None:
    oldest, old, recent = (texture(files, seed, 400, next(ages)) for seed in (3, 1, 2))
    files.prune([])
    assert left(files) == {old.name, recent.name}
    assert oldest.name not in left(files)


def test_nothing_goes_while_all_is_under_the_cap(files: TextureFiles) -> None:
    paths = [texture(files, seed, 500, 1e6) for seed in range(2)]
    files.prune([])
    assert left(files) == {path.name for path in paths}


def test_what_is_kept_stays_whatever_the_cap(files: TextureFiles, ages: Iterator[int]) -> None:
    kept = [texture(files, seed, 800, next(ages)) for seed in (0, 1)]
    texture(files, 2, 800, next(ages))
    files.prune(kept)
    assert left(files) == {path.name for path in kept}


def test_many_go_in_several_calls(files: TextureFiles) -> None:
    for seed in range(2 * MOST_REMOVED):
        texture(files, seed, 100, 100)
    files.prune([])
    assert len(left(files)) == MOST_REMOVED
    files.prune([])
    assert len(left(files)) == 10


@pytest.mark.parametrize(("age_s", "stays"), [(LEFTOVER_S + 60, False), (LEFTOVER_S - 60, True)], ids=str)
def test_what_a_killed_blender_left_goes_after_a_day(files: TextureFiles, age_s: float, stays: bool) -> None:
    picture = open_image(files.paths(**BRICK)[0], width=16, height=16, channels=3)
    (draft,) = files.folder.iterdir()
    os.utime(draft, (time.time() - age_s,) * 2)
    files.prune([])
    assert draft.exists() == stays
    picture.abort()


def test_what_is_not_ours_is_not_touched(files: TextureFiles) -> None:
    others = ["holiday.tif", "brick.tif", "brick-7-2048x1024.tif", ".hidden.part", "notes.txt", ".x.1234567.part"]
    for name in others:
        (files.folder / name).write_bytes(bytes(2000))
        os.utime(files.folder / name, (0, 0))
    (folder,) = files.paths(**BRICK | {"maps": {"basecolor": 8}})
    folder.mkdir()
    files.prune([])
    assert left(files) == {*others, folder.name}


def test_one_that_cannot_be_removed_stays_and_the_next_goes(
    files: TextureFiles, ages: Iterator[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    held, other, recent = (texture(files, seed, 400, next(ages)) for seed in range(3))

    def unlink(path: str, remove: Any = os.unlink) -> None:
        if path == str(held):
            raise PermissionError
        remove(path)

    monkeypatch.setattr(os, "unlink", unlink)
    files.prune([])
    assert left(files) == {held.name, recent.name}
    assert other.name not in left(files)


def test_a_folder_that_is_gone_does_no_harm(files: TextureFiles) -> None:
    files.folder.rmdir()
    files.prune([])
    assert not files.folder.exists()
