"""A task gives a preview, then the texture, or a sentence; and a session runs many of them, in turn."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from PIL import Image

from blender_addon.pictures.draft import ImageFileError
from blender_addon.pictures.udim import UdimSet, file_of
from blender_addon.protocol import wire
from blender_addon.protocol.pairing import NoServer, Pairing
from blender_addon.tasks import session as session_module
from blender_addon.tasks.placement import size_text
from blender_addon.tasks.session import AddonSession
from blender_addon.tasks.task import Task
from blender_addon.tasks.texture_task import TextureOrder
from tests.blender_addon.fake_server import FakeServer, painted, refusal, result

pytestmark = pytest.mark.timeout(60)

SMALL = wire.Limits(tile=64, max_window_pixels=64 * 64 * 3)
BRICK = TextureOrder(model="brick", seed=7, size=(300, 200), maps=("basecolor", "height"), preview=(64, 48))


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(limits=SMALL) as running:
        yield running


@pytest.fixture
def session(server: FakeServer, tmp_path: Path) -> Iterator[AddonSession]:
    with closing(AddonSession(tmp_path, lambda: server.pairing)) as session:
        yield session


def run(session: AddonSession, until: Callable[[], object], within_s: float = 20.0) -> None:
    """Tick as Blender would, until it is so."""
    start = time.monotonic()
    while not until():
        session.tick()
        assert time.monotonic() - start < within_s, [(task.state, task.message) for task in session.tasks]
        time.sleep(0.001)


AnyKind = TypeVar("AnyKind", bound=Task)


def finish(session: AddonSession, task: AnyKind) -> AnyKind:
    run(session, lambda: task.ended)
    return task


def parts_left(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.endswith(".part")]


def never(request: wire.Request) -> Iterable[wire.Reply] | None:
    """A server that takes requests for textures and says nothing."""
    return [] if isinstance(request, wire.Generate) else None


# --------------------------------------------------------------------------------------------------------- one task


def test_the_preview_comes_first_and_then_the_texture(session: AddonSession) -> None:
    task = session.order(BRICK)
    run(session, lambda: task.preview)
    assert not task.ended
    assert task.result is None
    assert task.preview
    assert task.preview.painting.size == (64, 48)
    finish(session, task)
    assert (task.state, task.fraction) == ("done", 1.0)
    assert task.result
    assert sorted(task.result.files) == ["basecolor", "height"]
    pixels = np.asarray(Image.open(task.result.files["basecolor"]))
    assert np.array_equal(pixels, painted(7, (300, 200)))


SQUARES = UdimSet(numbers=(1001, 1002, 1011), side=(64, 80))
UDIM = TextureOrder(model="brick", seed=7, size=SQUARES.size, maps=("basecolor", "height"), squares=SQUARES)


def test_udim_squares_are_windows_of_one_texture(session: AddonSession, tmp_path: Path) -> None:
    task = finish(session, session.order(UDIM, tmp_path))
    assert (task.state, task.fraction) == ("done", 1.0)
    assert task.result
    assert task.result.squares == SQUARES
    assert task.result.painting.window == (0, 0, 128, 160)
    whole = painted(7, (128, 160))
    pattern = task.result.files["basecolor"]
    assert pattern.name.endswith("-basecolor-80x64-1001.<UDIM>.png")
    for number in SQUARES.numbers:
        top, left, height, width = SQUARES.window(number)
        pixels = np.asarray(Image.open(file_of(pattern, number)))
        assert np.array_equal(pixels, whole[top : top + height, left : left + width]), number
    assert len(list(tmp_path.glob("*.png"))) == 6, "three squares of two maps"


def test_squares_of_two_models_are_not_mixed(server: FakeServer, session: AddonSession, tmp_path: Path) -> None:
    """The model is replaced after the first square; the server then refuses the first one's hash."""
    asked: list[str] = []

    def script(request: wire.Request) -> Iterable[wire.Reply] | None:
        if not isinstance(request, wire.Generate):
            return None
        asked.append(request.sha256)
        return [refusal(request, "unknown_model")] if request.window and request.window[:2] == (64, 80) else None

    server.script = script
    task = finish(session, session.order(UDIM, tmp_path))
    assert task.state == "failed"
    assert asked[0] == ""
    assert len(asked[-1]) == 64, "the second square is asked for by the hash of the first one's model"
    assert not parts_left(tmp_path)


def test_a_preview_that_fails_is_passed_over(server: FakeServer, session: AddonSession) -> None:
    def script(request: wire.Request) -> Iterable[wire.Reply] | None:
        small = isinstance(request, wire.Generate) and request.size == (64, 48)
        return [refusal(request, "bad_request")] if small else None

    server.script = script
    task = finish(session, session.order(BRICK))
    assert (task.state, task.preview) == ("done", None)


def test_a_texture_that_fails_says_why_in_the_servers_words(server: FakeServer, session: AddonSession) -> None:
    server.script = lambda request: (
        [refusal(request, "unknown_model", "No such model.")] if isinstance(request, wire.Generate) else None
    )
    task = finish(session, session.order(BRICK))
    assert (task.state, task.message, task.result) == ("failed", "No such model.", None)


def test_a_cancelled_task_leaves_no_file(server: FakeServer, session: AddonSession, tmp_path: Path) -> None:
    task = session.order(BRICK)
    run(session, lambda: task.state == "running")
    task.cancel()
    assert (task.state, task.message) == ("cancelled", "Cancelled.")
    session.tick()
    assert not list((tmp_path / "textures").iterdir())
    assert not parts_left(tmp_path)
    run(session, lambda: server.asked(wire.Cancel))  # the server is told


def test_a_server_that_says_nothing_is_given_up(server: FakeServer, session: AddonSession) -> None:
    server.script = never
    session.patience_s = 0.3
    task = finish(session, session.order(BRICK))
    assert task.state == "failed"
    assert "No pixels arrived for" in task.message
    assert "Retry" in task.message


def test_a_server_that_reports_before_the_first_pixel_is_not_given_up(
    server: FakeServer, session: AddonSession
) -> None:
    """As it does while it plans a blend."""
    session.patience_s = 2.0
    slow = []

    def script(request: wire.Request) -> Iterable[wire.Reply] | None:
        if not isinstance(request, wire.Generate) or slow:
            return None
        slow.append(request)
        return reports(request)

    def reports(request: wire.Generate) -> Iterator[wire.Reply]:
        for _ in range(6):
            time.sleep(0.5)
            yield wire.Progress(id=request.id, done=0, of=1)
        yield result(request)

    server.script = script
    assert finish(session, session.order(BRICK)).state == "done"


def test_a_server_that_is_away_is_given_up_with_the_reason(tmp_path: Path) -> None:
    def find() -> Pairing:
        raise NoServer("There is none. Start one.")

    with closing(AddonSession(tmp_path, find)) as session:
        session.patience_s = 0.3
        task = finish(session, session.order(BRICK))
    assert task.state == "failed"
    assert "There is none. Start one." in task.message


def test_a_task_outlives_the_server_it_began_with(server: FakeServer, session: AddonSession) -> None:
    server.script = never
    task = session.order(BRICK)
    run(session, lambda: server.asked(wire.Generate))
    server.die()
    server.script = lambda request: None
    server.start()
    assert finish(session, task).state == "done"


def test_a_full_disk_is_told(session: AddonSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise ImageFileError("The disk is full. Make room.")

    monkeypatch.setattr("blender_addon.client.sinks.open_image", full)
    task = finish(session, session.order(BRICK))
    assert (task.state, task.message) == ("failed", "The disk is full. Make room.")


def test_what_cannot_be_used_is_a_failure(session: AddonSession) -> None:
    task = finish(session, session.order(BRICK))
    task.fail("The object is gone.")
    assert (task.state, task.message, task.result) == ("failed", "The object is gone.", None)


@pytest.mark.parametrize(
    ("size", "text"),
    [((1024, 1024), "1K"), ((512, 512), "512"), ((1024, 2048), "2048 x 1024"), ((300, 300), "300 x 300")],
)
def test_sizes_are_told_as_artists_do(size: tuple[int, int], text: str) -> None:
    assert size_text(size) == text


# ---------------------------------------------------------------------------------------------------------- a session


def test_nothing_is_opened_before_someone_looks(server: FakeServer, session: AddonSession) -> None:
    for _ in range(20):
        session.tick()
        time.sleep(0.005)
    assert not server.requests
    assert session.state_line == "Not connected yet."
    session.refresh()
    run(session, lambda: session.connection.state == "ready")


def test_a_small_task_need_not_wait_for_a_large_one(session: AddonSession) -> None:
    large = session.order(TextureOrder(model="brick", seed=1, size=(2000, 2000)))
    small = session.order(TextureOrder(model="brick", seed=2, size=(64, 64)))
    finish(session, small)
    assert not large.ended


def test_files_go_where_they_are_wanted(session: AddonSession, tmp_path: Path) -> None:
    folder = tmp_path / "scene" / "textures"
    task = finish(session, session.order(BRICK, folder, ".png"))
    assert task.result
    assert {path.parent for path in task.result.files.values()} == {folder}
    assert {path.suffix for path in task.result.files.values()} == {".png"}


def test_what_was_made_is_remembered(session: AddonSession, tmp_path: Path) -> None:
    task = finish(session, session.order(BRICK))
    assert task.result
    session.remember(task.result)
    (entry,) = AddonSession(tmp_path, session._find).history.entries
    assert (entry.model, entry.seed, entry.size, entry.maps) == ("brick", 7, (300, 200), ("basecolor", "height"))


def test_variations_replace_those_before(session: AddonSession) -> None:
    session.vary([TextureOrder(model="brick", seed=seed, size=(64, 64), maps=("basecolor",)) for seed in range(4)])
    first = session.variations
    session.vary([TextureOrder(model="brick", seed=seed, size=(64, 64), maps=("basecolor",)) for seed in (8, 9)])
    assert [task.state for task in first] == ["cancelled"] * 4
    run(session, lambda: all(task.ended for task in session.variations))
    assert [task.order.seed for task in session.variations if task.result] == [8, 9]
    assert not session.tasks


def test_another_server_ends_what_is_under_way(server: FakeServer, session: AddonSession) -> None:
    server.script = never
    task = session.order(BRICK)
    run(session, lambda: server.asked(wire.Generate))
    session.reconnect()
    assert task.state == "cancelled"
    assert "another server" in task.message
    server.script = lambda request: None
    assert finish(session, session.order(BRICK)).state == "done"


def test_only_so_many_ended_tasks_are_kept(session: AddonSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "MOST_ENDED", 3)
    tasks = [session.order(TextureOrder(model="brick", seed=seed, size=(16, 16))) for seed in range(6)]
    for task in tasks:
        finish(session, task)
    session.tick()
    assert session.tasks == tasks[-3:]


def test_the_cache_keeps_what_is_shown(session: AddonSession) -> None:
    session.keep_files(None, 1)
    shown, other = (
        finish(session, session.order(TextureOrder(model="brick", seed=seed, size=(64, 64)))) for seed in (1, 2)
    )
    assert shown.result
    assert other.result
    session.drop(shown)
    session.drop(other)
    session.tidy(list(shown.result.files.values()))
    assert all(path.exists() for path in shown.result.files.values())
    assert not any(path.exists() for path in other.result.files.values())


def test_panels_are_drawn_anew_only_when_something_changed(session: AddonSession) -> None:
    session.refresh()
    run(session, lambda: session.catalogue.settled or session.connection.state == "ready")
    before = session.version
    session.order(BRICK)
    assert session.version != before
