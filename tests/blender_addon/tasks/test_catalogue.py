"""What the server has is listed whole, with pictures that are asked for once, whatever server and disk do."""

import errno
import hashlib
import os
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from blender_addon.client.connection import Connection
from blender_addon.protocol import wire
from blender_addon.tasks.catalogue import (
    CHECK_AGAIN_S,
    IN_FLIGHT,
    LARGEST_THUMBNAIL,
    MOST_MODELS,
    MOST_THUMBNAILS,
    MOST_TRIES,
    Catalogue,
    ListedModel,
)
from server.front.shelf import Shelf
from tests.blender_addon.fake_server import FakeServer, refusal
from tests.models import save_tiny

pytestmark = pytest.mark.timeout(60)


def sha_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def ready(name: str, **changed: Any) -> dict[str, Any]:
    """An entry as docs/PROTOCOL.md has it."""
    maps = [{"name": "basecolor", "channels": 3, "colour_space": "srgb"}]
    return {"name": name, "state": "ready", "sha256": sha_of(name), "maps": maps, "swatch": [384, 512]} | changed


def pixels_of(name: str) -> bytes:
    return bytes((ord(name[0]) + index) % 256 for index in range(8 * 12 * 3))


@dataclass
class Stock:
    """What a server has, as a script for the fake one. Tests change it while it runs."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    page: int = 3
    answer: Callable[[wire.Request], Iterable[Any] | None] = lambda request: None  # before the honest answer

    def __call__(self, request: wire.Request) -> Iterable[Any] | None:
        if (answers := self.answer(request)) is not None:
            return answers
        if isinstance(request, wire.ListModels):
            return [self.listed(request)]
        if isinstance(request, wire.GetThumbnail):
            return [thumbnail(request)]
        return None

    def listed(self, request: wire.ListModels) -> wire.Models:
        entries = sorted(self.entries, key=lambda entry: str(entry["name"]))
        begin = bisect_right([str(entry["name"]) for entry in entries], request.after)
        part = entries[begin : begin + min(self.page, request.limit)]
        after = part[-1]["name"] if begin + len(part) < len(entries) else ""
        return wire.Models(id=request.id, models=tuple(part), total=len(entries), after=after)


def thumbnail(request: wire.GetThumbnail, **changed: Any) -> wire.Result:
    fields: dict[str, Any] = {"dtype": "uint8", "shape": (8, 12, 3), "data": pixels_of(request.model)}
    buffer = wire.Buffer(name="thumbnail", **fields | changed)
    return wire.Result(id=request.id, sha256=sha_of(request.model), buffers=(buffer,))


@pytest.fixture
def stock() -> Stock:
    return Stock([ready(name) for name in ("walnut", "brick", "grass", "oak", "slate")])


@pytest.fixture
def server(stock: Stock) -> Iterator[FakeServer]:
    with FakeServer(script=stock) as running:
        yield running


@pytest.fixture
def connection(server: FakeServer) -> Iterator[Connection]:
    with closing(Connection(lambda: server.pairing)) as connection:
        yield connection


@pytest.fixture
def catalogue(connection: Connection, tmp_path: Path) -> Catalogue:
    return Catalogue(connection, tmp_path / "thumbnails")


def until(catalogue: Catalogue, done: Callable[[], object], within_s: float = 10.0) -> None:
    """Tick as the add-on does, until it is so."""
    end = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < end, f"{names(catalogue)} {catalogue.message!r} {catalogue._connection.reason!r}"
        catalogue._connection.tick()
        catalogue.tick()
        time.sleep(0.001)


def names(catalogue: Catalogue) -> list[str]:
    return [model.name for model in catalogue.models]


def settle(catalogue: Catalogue) -> None:
    """Until nothing is under way any more."""
    until(catalogue, lambda: catalogue._welcome)
    until(catalogue, lambda: not (catalogue._listing or catalogue._wanted or catalogue._inbox))
    until(catalogue, lambda: not (catalogue._thumbnails.queue or catalogue._thumbnails.asked or catalogue._inbox))


def lists(server: FakeServer) -> int:
    """How many lists were begun."""
    return sum(request.after == "" for request in server.asked(wire.ListModels))


# -------------------------------------------------------------------------------------------------------------- lists


def test_all_pages_make_one_list_by_name(catalogue: Catalogue, server: FakeServer) -> None:
    settle(catalogue)
    assert names(catalogue) == ["brick", "grass", "oak", "slate", "walnut"]
    assert len(server.asked(wire.ListModels)) == 2
    assert catalogue.message == ""
    assert catalogue.get("oak") == catalogue.models[2]
    assert catalogue.get("elm") is None


def test_all_that_is_told_of_a_model_is_known(catalogue: Catalogue, stock: Stock) -> None:
    maps = [{"name": name, "channels": 1, "colour_space": "linear"} for name in ("height", "roughness")]
    steps = [[27.0, 38], [0, 76.5]]
    stock.entries = [
        ready("brick", maps=maps, lattice=steps, fits=[512, 4096], warning="it is empty", bytes=7, colour="red")
        | {"texels_per_metre": 512.5, "category": "Masonry"},
        {"name": "broken", "state": "broken", "reason": "it is a picture"},
        {"name": "new", "state": "checking"},
    ]
    settle(catalogue)
    assert catalogue.models == (
        ListedModel(
            name="brick",
            state="ready",
            warning="it is empty",
            sha256=sha_of("brick"),
            maps=("height", "roughness"),
            swatch=(384, 512),
            lattice=((27.0, 38.0), (0.0, 76.5)),
            fits=(512, 4096),
            texels_per_metre=512.5,
            category="Masonry",
        ),
        ListedModel(name="broken", state="broken", reason="it is a picture"),
        ListedModel(name="new", state="checking"),
    )


def test_a_real_shelf_is_understood(catalogue: Catalogue, stock: Stock, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    save_tiny(tmp_path / "models", "brick", lattice=True)
    (tmp_path / "models" / "broken.safetensors").write_bytes(b"")
    shelf = Shelf(tmp_path / "models")
    while not shelf.settled:
        shelf.step()

    def answer(request: wire.Request) -> Iterable[Any] | None:
        if isinstance(request, wire.ListModels):
            entries, total, after = shelf.page(request.after, request.limit)
            return [wire.Models(id=request.id, models=tuple(entries), total=total, after=after)]
        if isinstance(request, wire.GetThumbnail):
            version, picture = shelf.thumbnail(request.model)
            shape = (picture.height, picture.width, 3)
            buffer = wire.Buffer(name="thumbnail", dtype="uint8", shape=shape, data=picture.pixels)
            return [wire.Result(id=request.id, sha256=version.sha256, buffers=(buffer,))]
        return None

    stock.answer = answer
    settle(catalogue)
    brick, broken = catalogue.models
    assert (brick.state, brick.maps, brick.swatch, catalogue.message) == ("ready", ("basecolor",), (256, 320), "")
    assert brick.lattice == ((0.0, 16.0), (24.0, 0.0))
    assert (broken.state, bool(broken.reason)) == ("broken", True)
    path = catalogue.thumbnail(brick)
    assert path
    with Image.open(path) as picture:
        assert picture.size == (48, 32)


MALFORMED: dict[str, dict[str, Any]] = {
    "another state": {"state": "resting"},
    "no hash": {"sha256": None},
    "a hash that climbs": {"sha256": "../" * 21 + "x"},
    "a hash in capitals": {"sha256": "A" * 64},
    "a reason of a list": {"reason": ["why"]},
    "a warning of a megabyte": {"warning": "x" * 2000},
    "maps of texts": {"maps": ["basecolor"]},
    "maps without names": {"maps": [{"channels": 3}]},
    "seventeen maps": {"maps": [{"name": f"m{number}"} for number in range(17)]},
    "one side": {"swatch": [384]},
    "no side": {"swatch": [0, 384]},
    "half a step": {"lattice": [[27.0, 38.0]]},
    "steps as text": {"lattice": [["27", "38"], ["0", "76"]]},
    "steps that are true": {"lattice": [[True, 0], [0, True]]},
    "steps that are parallel": {"lattice": [[1, 2], [2, 4]]},
    "steps out of this world": {"lattice": [[1e300, 0], [0, 1e300]]},
    "fits of texts": {"fits": ["512"]},
    "fits a number": {"fits": 512},
    "texels below zero": {"texels_per_metre": -1},
    "texels as text": {"texels_per_metre": "512"},
    "category a number": {"category": 7},
}


@pytest.mark.parametrize("changed", MALFORMED.values(), ids=MALFORMED)
def test_what_is_malformed_is_left_out_and_said_so(
    catalogue: Catalogue, stock: Stock, server: FakeServer, changed: dict[str, Any]
) -> None:
    stock.entries = [ready("brick"), ready("odd", **changed), ready("slate")]
    settle(catalogue)
    assert names(catalogue) == ["brick", "slate"]
    assert catalogue.message.startswith("1 of the server's models cannot be read")
    stock.entries = [ready("brick")]
    catalogue.refresh()
    settle(catalogue)
    assert catalogue.message == ""


def test_five_thousand_models_are_listed_and_the_first_get_pictures(
    catalogue: Catalogue, stock: Stock, server: FakeServer
) -> None:
    stock.entries = [ready(f"model-{number:04}") for number in range(5000)]
    stock.page = 200
    longest = 0.0
    while len(catalogue._thumbnails.there) < MOST_THUMBNAILS:
        catalogue._connection.tick()
        start = time.thread_time()
        catalogue.tick()
        longest = max(longest, time.thread_time() - start)
    settle(catalogue)
    assert len(catalogue.models) == 5000
    assert len(server.asked(wire.GetThumbnail)) == MOST_THUMBNAILS
    assert catalogue.thumbnail("model-0499")
    assert catalogue.thumbnail("model-0500") is None
    assert longest < 0.1


def test_a_refresh_shows_what_has_changed(catalogue: Catalogue, stock: Stock) -> None:
    settle(catalogue)
    version = catalogue.version
    stock.entries = [ready("brick", sha256="ab" * 32), ready("tin")]
    catalogue.refresh()
    settle(catalogue)
    assert names(catalogue) == ["brick", "tin"]
    assert catalogue.version > version


def test_the_version_stays_while_nothing_changes(catalogue: Catalogue) -> None:
    settle(catalogue)
    version, models = catalogue.version, catalogue.models
    catalogue.refresh()
    settle(catalogue)
    assert (catalogue.version, catalogue.models) == (version, models)


def test_a_refresh_while_a_list_is_under_way_is_remembered_once(catalogue: Catalogue, server: FakeServer) -> None:
    until(catalogue, lambda: catalogue._listing)
    for _ in range(5):
        catalogue.refresh()
    settle(catalogue)
    assert lists(server) == 2


def test_the_list_before_stays_until_the_next_is_complete(catalogue: Catalogue, stock: Stock) -> None:
    settle(catalogue)
    before = catalogue.models
    stock.entries = [ready(f"m{number}") for number in range(9)]
    catalogue.refresh()
    seen = set()
    until(catalogue, lambda: seen.add(len(catalogue.models)) or len(catalogue.models) == 9)
    assert seen == {len(before), 9}


def test_models_that_are_being_checked_are_asked_for_again(
    catalogue: Catalogue, stock: Stock, server: FakeServer
) -> None:
    stock.entries = [ready("brick"), {"name": "new", "state": "checking"}]
    settle(catalogue)
    assert lists(server) == 1
    stock.entries = [ready("brick"), ready("new")]
    start = time.monotonic()
    until(catalogue, lambda: [model.state for model in catalogue.models] == ["ready", "ready"])
    assert time.monotonic() - start > 0.5 * CHECK_AGAIN_S
    assert lists(server) == 2
    until(catalogue, lambda: time.monotonic() - start > 2.5 * CHECK_AGAIN_S)
    assert lists(server) == 2


def test_a_server_that_comes_back_is_listed_anew(catalogue: Catalogue, stock: Stock, server: FakeServer) -> None:
    settle(catalogue)
    server.die()
    until(catalogue, lambda: catalogue._connection.state != "ready")
    assert len(catalogue.models) == 5
    stock.entries = [ready("tin")]
    server.start()
    until(catalogue, lambda: names(catalogue) == ["tin"])


def test_a_server_that_goes_in_the_middle_of_a_list_harms_nothing(
    catalogue: Catalogue, stock: Stock, server: FakeServer
) -> None:
    stock.answer = lambda request: [] if isinstance(request, wire.ListModels) and request.after else None
    until(catalogue, lambda: len(server.asked(wire.ListModels)) == 2)
    server.die()
    until(catalogue, lambda: catalogue._connection.state != "ready")
    stock.answer = lambda request: None
    server.start()
    settle(catalogue)
    assert len(catalogue.models) == 5


# ------------------------------------------------------------------------------------------------------- odd answers


@pytest.mark.parametrize(("failures", "listed"), [(MOST_TRIES - 1, True), (MOST_TRIES, False)], ids=str)
def test_a_busy_server_is_asked_again_for_a_while(
    catalogue: Catalogue, stock: Stock, failures: int, listed: bool
) -> None:
    left = [0] * failures

    def answer(request: wire.Request) -> Iterable[Any] | None:
        if isinstance(request, wire.ListModels) and left:
            left.pop()
            return [refusal(request, "busy", "It is busy.", retry_ms=10)]
        return None

    stock.answer = answer
    settle(catalogue)
    assert len(catalogue.models) == (5 if listed else 0)
    assert catalogue.message == ("" if listed else "The server's models could not be listed. It is busy.")
    catalogue.refresh()
    settle(catalogue)
    assert (len(catalogue.models), catalogue.message) == (5, "")


def endless(request: wire.ListModels) -> wire.Models:
    return wire.Models(id=request.id, models=(ready("brick"),), total=1, after="brick")


def empty_pages(request: wire.ListModels) -> wire.Models:
    after = f"{int(request.after or 0) + 1:09}"
    return wire.Models(id=request.id, models=(), total=1, after=after)


def of_another_kind(request: wire.ListModels) -> wire.Status:
    return wire.Status(id=request.id, report={})


@pytest.mark.parametrize("answer", [endless, of_another_kind])
def test_an_odd_list_is_told_and_the_one_before_stays(
    catalogue: Catalogue, stock: Stock, answer: Callable[[wire.ListModels], wire.Reply]
) -> None:
    settle(catalogue)
    stock.answer = lambda request: [answer(request)] if isinstance(request, wire.ListModels) else None
    catalogue.refresh()
    settle(catalogue)
    assert len(catalogue.models) == 5
    assert "Update the server" in catalogue.message


@pytest.mark.parametrize("answer", ["empty pages", "too many"])
def test_a_list_without_end_ends(
    catalogue: Catalogue, stock: Stock, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blender_addon.tasks.catalogue.MOST_MODELS", 30)
    assert MOST_MODELS > 30
    stock.entries = [ready(f"m{number:03}") for number in range(100)]
    if answer == "empty pages":
        stock.answer = lambda request: [empty_pages(request)] if isinstance(request, wire.ListModels) else None
    settle(catalogue)
    assert len(catalogue.models) == (0 if answer == "empty pages" else 30)
    assert catalogue.message.startswith("Only")


def test_progress_that_nobody_asked_for_does_no_harm(catalogue: Catalogue, stock: Stock) -> None:
    def answer(request: wire.Request) -> Iterable[Any] | None:
        if isinstance(request, wire.ListModels):
            return [wire.Progress(id=request.id, done=1, of=2), stock.listed(request)]
        if isinstance(request, wire.GetThumbnail):
            return [wire.Progress(id=request.id, done=1, of=2), thumbnail(request)]
        return None

    stock.answer = answer
    settle(catalogue)
    assert len(catalogue.models) == len(catalogue._thumbnails.there) == 5


# --------------------------------------------------------------------------------------------------------- thumbnails


def test_a_thumbnail_has_the_pixels_of_its_model(catalogue: Catalogue) -> None:
    assert catalogue.thumbnail("brick") is None
    settle(catalogue)
    for model in catalogue.models:
        path = catalogue.thumbnail(model)
        assert path
        assert path == catalogue.thumbnail(model.name)
        assert path.name == f"{model.sha256}.png"
        with Image.open(path) as picture:
            assert (picture.size, picture.mode) == ((12, 8), "RGB")
            assert picture.tobytes() == pixels_of(model.name)


def test_the_version_grows_with_each_thumbnail(catalogue: Catalogue) -> None:
    until(catalogue, lambda: catalogue.models)
    version, there = catalogue.version, len(catalogue._thumbnails.there)
    settle(catalogue)
    assert catalogue.version - version == 5 - there > 0


def test_what_is_there_is_not_asked_for_again(
    catalogue: Catalogue, connection: Connection, server: FakeServer, stock: Stock, tmp_path: Path
) -> None:
    settle(catalogue)
    asked = len(server.asked(wire.GetThumbnail))
    assert asked == 5
    stock.entries.append(ready("copy", sha256=sha_of("brick")))
    other = Catalogue(connection, tmp_path / "thumbnails")
    settle(other)
    assert len(server.asked(wire.GetThumbnail)) == asked
    assert other.thumbnail("copy") == other.thumbnail("brick") is not None


def test_one_that_was_removed_is_asked_for_at_the_next_list(catalogue: Catalogue) -> None:
    settle(catalogue)
    path = catalogue.thumbnail("oak")
    assert path
    path.unlink()
    catalogue.refresh()
    until(catalogue, path.exists)


def test_few_are_under_way_at_once(catalogue: Catalogue, stock: Stock, server: FakeServer) -> None:
    stock.entries = [ready(f"m{number}") for number in range(3 * IN_FLIGHT)]
    stock.answer = lambda request: [] if isinstance(request, wire.GetThumbnail) else None
    until(catalogue, lambda: len(server.asked(wire.GetThumbnail)) >= IN_FLIGHT)
    end = time.monotonic() + 0.2
    until(catalogue, lambda: time.monotonic() > end)
    assert len(server.asked(wire.GetThumbnail)) == IN_FLIGHT


def test_neither_broken_nor_unchecked_models_are_asked_for_a_picture(
    catalogue: Catalogue, stock: Stock, server: FakeServer
) -> None:
    stock.entries = [{"name": "broken", "state": "broken", "reason": "it is"}, {"name": "new", "state": "checking"}]
    settle(catalogue)
    assert server.asked(wire.GetThumbnail) == []
    assert catalogue.thumbnail("broken") is catalogue.thumbnail("new") is catalogue.thumbnail("elm") is None


ODD_PICTURES: dict[str, dict[str, Any]] = {
    "sixteen bits": {"dtype": "uint16", "shape": (4, 12, 3)},
    "grey": {"shape": (8, 36, 1)},
    "huge": {"shape": (1, LARGEST_THUMBNAIL + 1, 3), "data": bytes(3 * LARGEST_THUMBNAIL + 3)},
}


@pytest.mark.parametrize("changed", ODD_PICTURES.values(), ids=ODD_PICTURES)
def test_an_odd_picture_is_told_and_the_others_come(
    catalogue: Catalogue, stock: Stock, changed: dict[str, Any], tmp_path: Path
) -> None:
    def answer(request: wire.Request) -> Iterable[Any] | None:
        odd = isinstance(request, wire.GetThumbnail) and request.model == "grass"
        return [thumbnail(request, **changed)] if odd else None  # type: ignore[arg-type]

    stock.answer = answer
    settle(catalogue)
    assert [model.name for model in catalogue.models if not catalogue.thumbnail(model)] == ["grass"]
    assert catalogue.message == "The server sent no picture of grass. Update the server or this add-on."
    assert len(list((tmp_path / "thumbnails").iterdir())) == 4


def test_the_picture_of_another_version_is_not_taken(catalogue: Catalogue, stock: Stock) -> None:
    stock.entries = [ready("brick", sha256="ab" * 32), ready("oak")]
    settle(catalogue)
    assert catalogue.thumbnail("brick") is None
    assert catalogue.thumbnail("oak")
    assert catalogue.message == ""


@pytest.mark.parametrize(
    ("code", "failures", "there", "said"),
    [("busy", 1, 5, False), ("internal", MOST_TRIES, 4, True), ("oom", 1, 4, True), ("unknown_model", 1, 4, False)],
    ids=str,
)
def test_a_picture_that_is_refused_is_asked_for_again_where_that_helps(
    catalogue: Catalogue, stock: Stock, code: str, failures: int, there: int, said: bool
) -> None:
    left = [0] * failures

    def answer(request: wire.Request) -> Iterable[Any] | None:
        if isinstance(request, wire.GetThumbnail) and request.model == "oak" and left:
            left.pop()
            return [refusal(request, code, retry_ms=10)]
        return None

    stock.answer = answer
    settle(catalogue)
    assert len(catalogue._thumbnails.there) == there
    assert catalogue.message == (f"There is no picture of oak. This is {code}." if said else "")
    assert left == []


def test_a_full_disk_is_told_and_the_list_stays(
    catalogue: Catalogue, server: FakeServer, stock: Stock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    stock.entries = [ready(f"m{number:02}") for number in range(20)]
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        settle(catalogue)
        assert len(catalogue.models) == 20
        assert "The disk is full" in catalogue.message
        assert list((tmp_path / "thumbnails").iterdir()) == []
        assert len(server.asked(wire.GetThumbnail)) < 20
    catalogue.refresh()
    settle(catalogue)
    assert (len(catalogue._thumbnails.there), catalogue.message) == (20, "")


def test_the_folder_keeps_its_bound_and_what_is_not_ours(catalogue: Catalogue, tmp_path: Path) -> None:
    folder = tmp_path / "thumbnails"
    folder.mkdir()
    for number in range(MOST_THUMBNAILS):
        path = folder / f"{number:064x}.png"
        path.touch()
        os.utime(path, (number, number))
    (folder / "holiday.png").touch()
    settle(catalogue)
    left = {path.name for path in folder.iterdir()}
    assert len(left) == MOST_THUMBNAILS + 1
    assert "holiday.png" in left
    assert f"{4:064x}.png" not in left
    assert f"{5:064x}.png" in left


# ------------------------------------------------------------------------------------------------------------ closing


def test_nothing_is_asked_once_it_is_closed(catalogue: Catalogue, server: FakeServer, stock: Stock) -> None:
    stock.answer = lambda request: [] if isinstance(request, wire.GetThumbnail) else None
    until(catalogue, lambda: len(server.asked(wire.GetThumbnail)) == IN_FLIGHT)
    catalogue.close()
    catalogue.refresh()
    asked = len(server.asked(wire.ListModels)) + len(server.asked(wire.GetThumbnail))
    until(catalogue, lambda: len(server.asked(wire.Cancel)) == IN_FLIGHT)
    end = time.monotonic() + 0.1
    until(catalogue, lambda: time.monotonic() > end)
    assert len(server.asked(wire.ListModels)) + len(server.asked(wire.GetThumbnail)) == asked
    assert len(catalogue.models) == 5
