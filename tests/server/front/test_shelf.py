"""Facts about the shelf: what is checked is served, the version before serves until then, and no step takes long."""

import gc
import hashlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from blender_addon.protocol import wire
from server.front import shelf as shelf_module
from server.front.shelf import FilePlace, Shelf, StillChecking, StillComing, UnusableModel
from server.model import checking
from server.model.library import Library, UnknownModel
from server.msgpack_codec import CODECS
from server.network.model_file import write_model
from tests.memory import peak_mb, reset_peak
from tests.models import LARGE_THUMBNAIL, TINY_LATTICE, save_large, save_tiny, save_tiny_style, tiny_model


class Clock:
    """Stands still, or goes on by `tick_s` at every look."""

    def __init__(self, tick_s: float = 0.0) -> None:
        self.now, self.tick_s = 100.0, tick_s

    def __call__(self) -> float:
        self.now += self.tick_s
        return self.now


class Watched(Shelf):
    """A shelf with a clock that stands still, so that one step does all that is due."""

    def __init__(self, folder: Path) -> None:
        self.time = Clock()
        super().__init__(folder, clock=self.time)

    def look(self) -> "Watched":
        """The next scan, and all it leads to."""
        self.time.now += shelf_module.SCAN_EVERY_S
        assert not self.step()
        return self

    def listed(self) -> dict[str, Any]:
        entries, total, after = self.page(limit=200)
        assert (len(entries), after) == (total, "")
        return {entry["name"]: entry for entry in entries}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The bytes of four models, the first with a lattice."""
    folder = tmp_path_factory.mktemp("models")
    return [save_tiny(folder, f"m{seed}", seed, lattice=seed == 0).read_bytes() for seed in range(4)]


@pytest.fixture
def folder(tmp_path: Path, models: list[bytes]) -> Path:
    """A models folder with brick, which has a lattice, and grass."""
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "brick.safetensors").write_bytes(models[0])
    (folder / "grass.safetensors").write_bytes(models[1])
    return folder


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def overwrite(path: Path, data: bytes) -> None:
    """In place, as `cp` does it; the clock of the file system is coarse, so the time is set."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_bytes(data)
    os.utime(path, ns=(0, before + 1_000_000_000))


def with_nan(model: bytes) -> bytes:
    at = len(model) - 32 * 48 * 3 - 4  # the last weight, before the thumbnail
    return model[:at] + b"\0\0\xc0\x7f" + model[at + 4 :]


# ------------------------------------------------------------------------------------------------------------- listing


def test_a_model_that_was_checked_can_be_had(folder: Path, models: list[bytes]) -> None:
    shelf = Watched(folder)
    assert shelf.listed() == {}
    assert not shelf.settled
    shelf.look()
    assert shelf.settled
    brick = shelf.get("brick")
    assert (brick.name, brick.sha256, brick.bytes) == ("brick", sha256(models[0]), len(models[0]))
    assert brick.facts.lattice == TINY_LATTICE
    assert shelf.content("brick", brick.sha256) == models[0]
    assert shelf.counts() == {"ready": 2, "broken": 0, "checking": 0}


def test_models_that_are_being_made_are_listed_until_they_are_there(folder: Path, models: list[bytes]) -> None:
    shelf = Watched(folder).look()
    shelf.expect({"grass": "it is there", "sand": "it is being drawn"})
    assert list(shelf.listed()) == ["brick", "grass", "sand"]
    assert shelf.listed()["grass"]["state"] == "ready"
    assert shelf.listed()["sand"] == {"name": "sand", "state": "checking", "reason": "it is being drawn"}
    with pytest.raises(StillComing, match="The model 'sand' is not there yet: it is being drawn") as refusal:
        shelf.get("sand")
    assert refusal.value.code == "busy"
    assert refusal.value.retry_ms
    (folder / "sand.safetensors").write_bytes(models[2])
    shelf.hurry()
    assert not shelf.step()
    assert shelf.has("sand")
    assert shelf.listed()["sand"]["state"] == "ready"
    (folder / "sand.safetensors").unlink()
    shelf.expect({})
    assert list(shelf.look().listed()) == ["brick", "grass"]


def test_an_entry_tells_what_a_client_must_know(folder: Path, models: list[bytes]) -> None:
    listed = Watched(folder).look().listed()
    maps = [{"name": "basecolor", "channels": 3, "colour_space": "srgb"}]
    grass = {
        "name": "grass",
        "state": "ready",
        "sha256": sha256(models[1]),
        "bytes": len(models[1]),
        "kind": "texture",
        "maps": maps,
        "swatch": [256, 320],
    }
    assert listed["grass"] == grass
    brick = listed["brick"]
    assert brick.keys() - grass.keys() == {"lattice", "fits"}
    assert sorted(tuple(map(abs, period)) for period in brick["lattice"]) == [(0.0, 16.0), (24.0, 0.0)]
    assert brick["fits"] == [512, 1024, 2048, 4096]  # 256 holds ten periods of 24 pixels and two thirds


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"metres": 2.0, "category": "Masonry"}, {"texels_per_metre": 160.0, "category": "Masonry"}),
        ({"metres": 3}, {"texels_per_metre": 106.667}),
        ({"metres": 0, "category": "x" * 65}, {}),
        ({"metres": True, "category": 7}, {}),
        ({"metres": "wide", "category": None}, {}),
    ],
)
def test_an_entry_tells_scale_and_category_where_the_file_has_some_that_make_sense(
    folder: Path, facts: dict[str, Any], told: dict[str, Any]
) -> None:
    write_model(folder / "wall.safetensors", replace(tiny_model(), training=facts))
    entry = Watched(folder).look().listed()["wall"]
    assert {name: entry[name] for name in ("texels_per_metre", "category") if name in entry} == told


def test_an_entry_tells_a_style_from_a_texture(folder: Path) -> None:
    data = save_tiny_style(folder).read_bytes()
    shelf = Watched(folder).look()
    assert shelf.listed()["ink"] == {
        "name": "ink",
        "state": "ready",
        "sha256": sha256(data),
        "bytes": len(data),
        "kind": "style",
        "maps": [],
        "swatch": [256, 320],
    }
    assert shelf.get("ink").facts.kind == "style"
    assert shelf.thumbnail("ink")[1].pixels == bytes([99]) * 32 * 48 * 3


def test_before_a_file_is_checked_it_is_listed_so_and_asking_says_try_again(folder: Path) -> None:
    shelf = Shelf(folder, clock=Clock(tick_s=0.001))
    shelf.step(0)
    assert shelf.step(0)
    assert shelf.page()[0][0] == {"name": "brick", "state": "checking"}
    assert shelf.counts()["checking"] == 2
    assert not shelf.settled
    with pytest.raises(StillChecking, match="'brick' is still being checked; try again in a moment") as error:
        shelf.get("brick")
    assert (error.value.code, error.value.retry_ms) == ("busy", shelf_module.RETRY_MS)


def test_what_is_asked_for_is_checked_first(tmp_path: Path, models: list[bytes]) -> None:
    for number in range(40):
        (tmp_path / f"m{number:02}.safetensors").write_bytes(models[0])
    for asked in ("m07", "m31"):
        shelf = Shelf(tmp_path, clock=Clock(tick_s=0.001))
        while "checking" not in {entry["state"] for entry in shelf.page()[0]} or len(shelf.page()[0]) < 40:
            shelf.step(0)
        with pytest.raises(StillChecking):
            shelf.get(asked)
        while shelf.counts()["ready"] < 3:
            shelf.step(0)
        assert shelf.get(asked).name == asked


@pytest.mark.skipif(sys.platform == "win32", reason="links and FIFOs of POSIX")
@pytest.mark.timeout(60)
def test_broken_files_are_listed_as_the_library_lists_them_and_harm_no_other(folder: Path, models: list[bytes]) -> None:
    good = models[0]
    (folder.parent / "outside.safetensors").write_bytes(good)
    for name, data in {
        "empty": b"", "cut": good[:-1], "cut-in-header": good[:100], "longer": good + b"\0", "zip": b"PK\3\4" * 9,
        "pickle": b"\x80\x04" + bytes(90), "huge-header": b"\xff" * 7 + b"\x7f" + good[8:], "nan": with_nan(good),
        "deep": (10_000).to_bytes(8, "little") + b"[" * 10_000, "bad name": good, "brïck\n": good, "zeros": bytes(3000),
        "twice": good[:8] + good[8:].replace(b'"shape"', b'"dtype"', 1),
    }.items():  # fmt: skip
        (folder / f"{name}.safetensors").write_bytes(data)
    (folder / "folder.safetensors").mkdir()
    os.mkfifo(folder / "fifo.safetensors")
    (folder / "out.safetensors").symlink_to("../outside.safetensors")
    (folder / "gone.safetensors").symlink_to("nothing.safetensors")
    (folder / "loop.safetensors").symlink_to("loop.safetensors")
    (folder / "within.safetensors").symlink_to("brick.safetensors")
    with (folder / "giant.safetensors").open("wb") as file:
        file.truncate(2**40)
    (folder / "brick.checkpoint.safetensors").write_bytes(good)
    (folder / ".brick.safetensors.part").write_bytes(good)
    shelf = Watched(folder).look()
    assert shelf.settled
    listed, library = shelf.listed(), Library(folder).entries()
    assert list(listed) == [entry.name for entry in library]
    for entry in library:
        told = listed[entry.name]
        assert (told["state"], told.get("reason", "")) == (entry.state, entry.reason)
        if entry.state == "broken":
            with pytest.raises(UnusableModel) as error:
                shelf.get(entry.name)
            assert error.value.code == "unknown_model"
            assert str(error.value) == f"The model {entry.name!r} cannot be used: {entry.reason}."
    ready = [name for name, told in listed.items() if told["state"] == "ready"]
    assert ready == ["brick", "grass", "within"]
    assert shelf.content("within", shelf.get("within").sha256) == good


@pytest.mark.parametrize(
    "name", ["", "..", "../outside", "a/b", "a\0b", "BRICK ", "brick.safetensors", "\udcff", "x" * 9999]
)
def test_what_is_not_listed_is_unknown_and_no_file_is_touched(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Watched(folder).look()
    for function in ("open", "stat", "scandir"):
        monkeypatch.setattr(os, function, lambda *args, **_: pytest.fail(f"touched {args}"))
    for ask in (lambda: shelf.get(name), lambda: shelf.content(name, "ab" * 32)):
        with pytest.raises(UnknownModel) as error:
            ask()
        assert error.value.code == "unknown_model"
        assert str(error.value).isprintable()
        assert len(str(error.value)) < 300


def test_a_near_miss_is_answered_with_the_name_meant(folder: Path) -> None:
    with pytest.raises(UnknownModel, match=r"^There is no model 'brik'\. Did you mean 'brick'\?$"):
        Watched(folder).look().get("brik")


# -------------------------------------------------------------------------------------------------------- replacing, M2


def test_the_old_version_serves_until_the_new_one_is_verified(folder: Path, models: list[bytes]) -> None:
    shelf, brick = Watched(folder).look(), folder / "brick.safetensors"
    overwrite(brick, models[2][:-1000])
    shelf.look()
    assert shelf.get("brick").sha256 == sha256(models[0])
    assert shelf.content("brick", sha256(models[0])) == models[0]
    entry = shelf.listed()["brick"]
    assert (entry["state"], entry["sha256"]) == ("ready", sha256(models[0]))
    assert "its tensor 'thumbnail'" in entry["warning"]
    assert "reason" not in entry
    assert shelf.settled

    overwrite(brick, models[2])
    assert shelf.get("brick").sha256 == sha256(models[0])
    shelf.look()
    assert shelf.get("brick").sha256 == sha256(models[2])
    assert shelf.content("brick", sha256(models[2])) == models[2]
    assert "warning" not in shelf.listed()["brick"]
    assert shelf.content("brick", sha256(models[0])) == models[0]  # for what is running still

    brick.unlink()
    shelf.look()
    with pytest.raises(UnknownModel, match="There is no model 'brick'"):
        shelf.get("brick")
    assert list(shelf.listed()) == ["grass"]

    brick.write_bytes(models[3])
    assert shelf.look().get("brick").sha256 == sha256(models[3])


@pytest.mark.parametrize("in_place", [True, False], ids=["in place", "by a rename"])
def test_while_the_new_version_is_checked_there_is_never_none_and_never_half(
    folder: Path, models: list[bytes], in_place: bool
) -> None:
    clock = Clock()
    shelf = Shelf(folder, clock=clock)
    shelf.step()
    if in_place:
        overwrite(folder / "brick.safetensors", models[2])
    else:
        (folder / "new").write_bytes(models[2])
        (folder / "new").replace(folder / "brick.safetensors")
    clock.now, clock.tick_s = clock.now + shelf_module.SCAN_EVERY_S, 0.001
    served = []
    for _ in range(100):
        shelf.step(0)
        version = shelf.get("brick")
        served.append(version.sha256)
        assert sha256(shelf.content("brick", version.sha256)) == version.sha256
    assert list(dict.fromkeys(served)) == [sha256(models[0]), sha256(models[2])]
    assert served.count(sha256(models[0])) > 10  # slices of the scan and the check


def test_a_file_that_grows_is_checked_again_and_gets_no_verdict_before(tmp_path: Path, models: list[bytes]) -> None:
    path, clock = tmp_path / "brick.safetensors", Clock()
    shelf = Shelf(tmp_path, clock=clock)
    step = len(models[0]) // 5 + 1
    for end in range(step, len(models[0]) + step, step):
        path.write_bytes(models[0][: end - 10])
        clock.now += shelf_module.SCAN_EVERY_S
        while not shelf.page()[0]:
            shelf._go_on()
        shelf._go_on()
        path.write_bytes(models[0][:end])  # during the check
        while shelf._go_on():
            pass
        assert shelf.page()[0] == [{"name": "brick", "state": "checking"}]
        assert not shelf.settled
    clock.now += shelf_module.SCAN_EVERY_S
    shelf.step()
    assert shelf.get("brick").sha256 == sha256(models[0])
    assert shelf.settled


def test_a_broken_file_is_looked_at_again_when_it_changes_and_only_then(
    folder: Path, models: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "new.safetensors").write_bytes(b"")
    shelf = Watched(folder).look()
    read: list[Path] = []
    opened = shelf_module.opened
    monkeypatch.setattr(shelf_module, "opened", lambda path: read.append(path) or opened(path))
    shelf.look().look()
    assert read == []
    overwrite(folder / "new.safetensors", models[3])
    shelf.look().look()
    assert read == [folder / "new.safetensors"]
    assert shelf.get("new").sha256 == sha256(models[3])


@pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")
def test_a_change_of_the_mode_alone_is_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that others could not read becomes readable: neither its size nor its time changes."""
    opened = shelf_module.opened

    def denied(path: Path) -> Any:
        if path.stat().st_mode & 0o044 == 0:
            raise PermissionError(13, "Permission denied")
        return opened(path)

    monkeypatch.setattr(shelf_module, "opened", denied)
    (folder / "brick.safetensors").chmod(0o600)
    shelf = Watched(folder).look()
    assert "Permission denied" in shelf.listed()["brick"]["reason"]
    time.sleep(0.02)  # the clock of the file system is coarse
    (folder / "brick.safetensors").chmod(0o644)
    assert shelf.look().get("brick")


def test_a_file_deleted_while_it_is_checked_is_gone(folder: Path) -> None:
    clock = Clock(tick_s=0.001)
    shelf = Shelf(folder, clock=clock)
    while shelf._check is None:
        shelf.step(0)
    for path in folder.iterdir():
        path.unlink()
    clock.now += 2 * shelf_module.SCAN_EVERY_S
    while shelf.step():
        pass
    clock.now += shelf_module.SCAN_EVERY_S
    while shelf.step():
        pass
    assert shelf.page() == ([], 0, "")
    assert shelf.settled


# --------------------------------------------------------------------------------------------------- bytes kept, or not


def test_no_more_bytes_are_kept_than_the_cap(
    tmp_path: Path, models: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    size = max(map(len, models))
    monkeypatch.setattr(shelf_module, "KEPT_BYTES", 3 * size)
    for number in range(12):
        (tmp_path / f"m{number:02}.safetensors").write_bytes(models[number % 4])
    shelf = Watched(tmp_path).look()
    assert shelf.counts()["ready"] == 12
    generator = random.Random(5)
    for _ in range(40):
        number = generator.randrange(12)
        name = f"m{number:02}"
        assert shelf.content(name, shelf.get(name).sha256) == models[number % 4]
        assert sum(map(len, shelf._kept.values())) == shelf._kept_bytes <= 3 * size
    assert f"m{number:02}" in {name for name, _ in shelf._kept}  # the latest
    overwrite(tmp_path / f"m{number:02}.safetensors", models[number % 4])  # checked again, and the same
    shelf.look()
    assert sum(map(len, shelf._kept.values())) == shelf._kept_bytes


def test_a_version_neither_in_memory_nor_in_its_file_is_gone_and_the_file_is_looked_at_again(
    folder: Path, models: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf_module, "KEPT_BYTES", 0)
    monkeypatch.setattr(shelf_module, "_stamp", lambda path: (os.stat(path).st_size,))  # noqa: PTH116, a coarse clock
    shelf = Watched(folder).look()
    old = shelf.get("brick").sha256
    assert shelf.content("brick", old) == models[0]
    overwrite(folder / "brick.safetensors", with_nan(models[0]))
    with pytest.raises(UnknownModel, match="That version of the model 'brick' is gone"):
        shelf.content("brick", old)
    with pytest.raises(StillChecking):
        shelf.get("brick")
    shelf.look()
    with pytest.raises(UnknownModel, match="not all finite"):
        shelf.get("brick")
    with pytest.raises(UnknownModel, match="is gone"):
        shelf.content("grass", old)
    assert shelf.content("grass", shelf.get("grass").sha256) == models[1]


# ------------------------------------------------------------------------------------------------ the folder itself


@pytest.mark.parametrize("missing", [True, False], ids=["missing", "a file"])
def test_a_vanished_folder_changes_nothing_and_is_told(folder: Path, models: list[bytes], missing: bool) -> None:
    shelf = Watched(folder).look()
    before = shelf.listed()
    assert shelf.problem == ""
    folder.rename(folder.with_name("away"))
    if not missing:
        folder.write_bytes(b"")
    shelf.look().look()
    assert "folder" in shelf.problem
    assert str(folder) in shelf.problem
    assert shelf.listed() == before
    assert shelf.content("grass", shelf.get("grass").sha256) == models[1]
    assert shelf.settled
    folder.unlink(missing_ok=True)
    folder.with_name("away").rename(folder)
    (folder / "brick.safetensors").unlink()
    shelf.look()
    assert shelf.problem == ""
    assert list(shelf.listed()) == ["grass"]


def test_a_folder_may_come_later(tmp_path: Path, models: list[bytes]) -> None:
    shelf = Watched(tmp_path / "later").look()
    assert "There is no models folder" in shelf.problem
    assert (shelf.page(), shelf.settled) == (([], 0, ""), True)
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "brick.safetensors").write_bytes(models[0])
    assert shelf.look().get("brick")
    assert shelf.problem == ""


def test_a_scan_comes_every_second_and_not_more_often(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Watched(folder)
    scans: list[object] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: scans.append(path) or scandir(path))
    for _ in range(100):
        shelf.step()
        shelf.time.now += 0.1
    assert 9 <= len(scans) <= 10


# ---------------------------------------------------------------------------------------------------------------- pages


def test_pages_are_in_order_complete_and_small_enough_for_a_header(tmp_path: Path, models: list[bytes]) -> None:
    names = sorted(f"{'x' * 97}{number:03}" for number in range(450))
    (tmp_path / "first").write_bytes(models[0])
    for number, name in enumerate(names):
        if number % 10:
            os.link(tmp_path / "first", tmp_path / f"{name}.safetensors")
        else:
            (tmp_path / f"{name}.safetensors").write_bytes(b"")
    shelf = Watched(tmp_path).look()
    for limit in (1, 50, 200):
        found, after, pages = [], "", 0
        while pages == 0 or after:
            entries, total, after = shelf.page(after, limit)
            pages += 1
            found += [entry["name"] for entry in entries]
            assert (total, len(entries) <= limit) == (450, True)
            assert after in ("", found[-1])
            reply = wire.Models(id=wire.MAX_ID, models=tuple(entries), total=total, after=after)
            for letter in CODECS:
                frames = wire.encode(reply, letter, CODECS)
                assert len(frames[1]) < 60 * 1024
                assert wire.parse_reply(frames, CODECS) == reply
        assert found == names
    assert shelf.page("y") == ([], 450, "")
    assert [entry["name"] for entry in shelf.page(names[4] + "0", 1)[0]] == [names[5]]


# ------------------------------------------------------------------------------------------------------ never long, M3


@pytest.fixture
def quiet() -> Iterator[None]:
    """No garbage is collected: its pauses grow with all that other tests have left behind."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def seconds_of(work: Callable[[], object]) -> float:
    """Of this thread's own, whatever else the machine does."""
    begin = time.thread_time()
    work()
    return time.thread_time() - begin


@pytest.mark.serial
@pytest.mark.usefixtures("quiet")
def test_of_5000_files_with_800_broken_the_first_page_comes_at_once_and_no_step_is_long(
    tmp_path: Path, models: list[bytes]
) -> None:
    (tmp_path / "first").write_bytes(models[0])
    for number in range(5000):
        path = tmp_path / f"m{number:04}.safetensors"
        if number % 25 < 4:
            path.write_bytes(models[0][: 50 * (number % 25)])
        else:
            os.link(tmp_path / "first", path)
    shelf = Shelf(tmp_path)
    begin = time.thread_time()
    shelf.step()
    entries, _, _ = shelf.page()
    assert len(entries) == 50
    assert time.thread_time() - begin < 0.1
    longest = 0.0
    while not shelf.settled:
        longest = max(longest, *(seconds_of(shelf.step) for _ in range(20)))
    assert longest < 0.02
    assert shelf.counts() == {"ready": 4200, "broken": 800, "checking": 0}
    assert max(seconds_of(shelf.page), seconds_of(shelf.counts)) < 0.02

    def miss() -> None:
        with pytest.raises(UnknownModel, match="Did you mean 'm49"):
            shelf.get("m499")

    assert seconds_of(miss) < 0.01


@pytest.mark.usefixtures("quiet")
@pytest.mark.serial
@pytest.mark.skipif(sys.platform != "linux", reason="memory by /proc")
def test_a_file_of_200_mb_is_checked_in_many_steps_and_never_held(tmp_path: Path) -> None:
    path = save_large(tmp_path)
    assert path.stat().st_size > 200 * 2**20
    shelf = Shelf(tmp_path, clock=Clock(tick_s=0.001))
    reset_peak()
    before, steps = peak_mb(), []
    while not shelf.settled:
        steps.append(seconds_of(lambda: shelf.step(0)))
    version, picture = shelf.thumbnail("large")
    assert shelf.content("large", version.sha256) == FilePlace(path=path.resolve(), bytes=path.stat().st_size)
    assert picture.pixels == LARGE_THUMBNAIL
    assert peak_mb() < before + 10
    assert len(steps) > 200
    assert max(steps) < 0.05
    with path.open("rb") as file:
        assert version.sha256 == hashlib.file_digest(file, "sha256").hexdigest()
    assert shelf._kept_bytes == 0


# ------------------------------------------------------------------------------------- large files stay at their place


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose one model counts as large."""
    monkeypatch.setattr(checking, "SMALL_BYTES", 1000)
    save_tiny(tmp_path, "brick", 0)
    return tmp_path


def test_a_large_file_is_told_by_its_place_and_read_piece_by_piece(large: Path, models: list[bytes]) -> None:
    path = large / "brick.safetensors"
    data = path.read_bytes()
    shelf = Watched(large).look()
    key = "brick", shelf.get("brick").sha256
    assert key[1] == sha256(data)
    assert shelf.content(*key) == FilePlace(path=path.resolve(), bytes=len(data))
    assert b"".join(shelf.piece(*key, at, 1000) for at in range(0, len(data), 1000)) == data
    assert shelf.thumbnail("brick")[1].pixels == data[-3 * 32 * 48 :]


@pytest.mark.parametrize("in_place", [True, False], ids=["in place", "by a rename"])
@pytest.mark.parametrize("ask", ["content", "piece"])
def test_a_large_file_that_was_replaced_is_gone_until_it_was_checked_anew(
    large: Path, models: list[bytes], in_place: bool, ask: str
) -> None:
    path, shelf = large / "brick.safetensors", Watched(large).look()
    old = shelf.get("brick").sha256
    if in_place:
        overwrite(path, models[1])
    else:
        overwrite(large / "new", models[1])
        (large / "new").replace(path)
    with pytest.raises(StillChecking):
        shelf.thumbnail("brick")
    assert shelf.get("brick").sha256 == old  # whoever has it mapped may go on
    with pytest.raises(UnknownModel, match="That version of the model 'brick' is gone"):
        shelf.content("brick", old) if ask == "content" else shelf.piece("brick", old, 0, 10)
    with pytest.raises(StillChecking):
        shelf.get("brick")
    shelf.look()
    assert shelf.get("brick").sha256 == sha256(models[1])
    assert shelf.piece("brick", sha256(models[1]), 8, 50) == models[1][8:58]


def test_a_large_file_that_was_replaced_by_a_broken_one_is_broken_once_it_is_needed(
    large: Path, models: list[bytes]
) -> None:
    shelf = Watched(large).look()
    old = shelf.get("brick").sha256
    overwrite(large / "brick.safetensors", models[1][:-1])
    shelf.look()
    assert shelf.listed()["brick"]["state"] == "ready"  # for those who have it mapped
    with pytest.raises(UnknownModel, match="is gone"):
        shelf.thumbnail("brick")
    assert shelf.listed()["brick"]["state"] == "broken"
    with pytest.raises(UnusableModel, match="its tensor 'thumbnail' is"):
        shelf.get("brick")
    with pytest.raises(UnknownModel, match="is gone"):
        shelf.content("brick", old)


@pytest.mark.skipif(sys.platform == "win32", reason="links of POSIX")
def test_no_place_is_told_that_leads_out_of_the_folder(large: Path, models: list[bytes], tmp_path: Path) -> None:
    """Not even of a file that has the same bytes and times."""
    path, shelf = large / "brick.safetensors", Watched(large).look()
    version = shelf.get("brick")
    outside = large.parent / f"{large.name}-outside.safetensors"
    path.rename(outside)
    path.symlink_to(outside)
    shelf._shelved["brick"].version = replace(version, stamp=shelf_module._stamp(outside))
    with pytest.raises(UnknownModel, match="is gone"):
        shelf.content("brick", version.sha256)
    outside.unlink()


def test_the_shelf_needs_neither_torch_nor_numpy() -> None:
    code = "import sys, server.front.shelf; sys.exit(bool({'torch', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
