"""Pictures and sequences in a style: files when it goes well, a sentence when not, and nothing painted twice."""

import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from blender_addon.pictures.carry_file import carry_path
from blender_addon.pictures.image_file import open_image
from blender_addon.protocol import wire
from blender_addon.tasks.catalogue import ListedModel
from blender_addon.tasks.picture_task import PictureOrder
from blender_addon.tasks.sequence_task import RECORD, SequenceOrder, SequenceTask, remove_frames
from blender_addon.tasks.session import AddonSession
from blender_addon.tasks.style_task import NoContent, StyleParameters
from tests.blender_addon.fake_server import SHA256, FakeServer, refusal
from tests.blender_addon.tasks.test_texture_task import finish, run

pytestmark = pytest.mark.timeout(60)
Pixels = NDArray[np.uint8]
OLD = b"of another build"
INK = StyleParameters(model="ink", strength=0.5, seed=3, keep_colours=True)


def stylize(request: wire.Request) -> Iterable[wire.Reply] | None:
    """The negative, less what the statistics say; those are of the content's first sample. A frame of a sequence gives
    that sample to the next one, behind what it was given.
    """
    if not isinstance(request, wire.Stylize):
        return None
    if request.carry and bytes(request.carry.data) == OLD:
        return [refusal(request, "bad_request")]
    content = np.frombuffer(request.content.data, np.uint8)
    statistics = request.statistics or f"from {content[0]}"
    image = (255 - content - int(statistics.split()[1])).astype(np.uint8)
    buffer = wire.Buffer(name="image", dtype="uint8", shape=request.content.shape, data=image.tobytes())
    buffers = [buffer]
    if request.sequence:
        data = bytes(request.carry.data if request.carry else b"") + content[:1].tobytes()
        buffers.append(wire.Buffer(name="carry", dtype="uint8", shape=(1, len(data), 1), data=data))
    return [wire.Result(id=request.id, sha256=SHA256, precision="exact", statistics=statistics, buffers=tuple(buffers))]


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(script=stylize) as running:
        yield running


@pytest.fixture
def session(server: FakeServer, tmp_path: Path) -> Iterator[AddonSession]:
    with closing(AddonSession(tmp_path / "session", lambda: server.pairing)) as session:
        yield session


def content(path: Path, value: int = 10) -> Path:
    with open_image(path, width=6, height=4, channels=3) as file:
        file.write_rows(bytes([value]) * (6 * 4 * 3))
    return path


def value(path: Path) -> int:
    (only,) = set(np.asarray(Image.open(path)).flat)
    return int(only)


class Frames:
    """Frame n is of the value n; each has to be asked for a few times."""

    def __init__(self, folder: Path, fail_at: int | None = None) -> None:
        self.folder, self.fail_at = folder, fail_at
        self.asked: list[int] = []
        self.closed = 0
        self._times = 0

    def content(self, frame: int) -> Path | None:
        self._times += 1
        if self._times % 3:
            return None
        if frame == self.fail_at:
            raise NoContent("The render was cancelled.")
        self.asked.append(frame)
        return content(self.folder / f"content{frame}.tif", frame)

    def close(self) -> None:
        self.closed += 1


def sequence(
    folder: Path, numbers: Iterable[int] = (5, 6, 7), style: StyleParameters = INK, sha256: str = ""
) -> SequenceOrder:
    frames = tuple((number, folder / f"shot_{number:04d}.tif") for number in numbers)
    return SequenceOrder(style=style, name="shot", folder=folder, frames=frames, sha256=sha256)


# ------------------------------------------------------------------------------------------------------------- picture


def test_a_picture_becomes_a_file_and_its_content_goes(
    session: AddonSession, server: FakeServer, tmp_path: Path
) -> None:
    order = PictureOrder(style=INK, content=content(tmp_path / "a.tif"), name="Render Result")
    task = session.order_picture(order)
    assert order.title == "Render Result in ink"
    finish(session, task)
    assert (task.state, task.fraction) == ("done", 1)
    assert task.result is not None
    ((_, path),) = task.result.files.items()
    assert value(path) == 255 - 10 - 10
    assert not order.content.exists()
    (asked,) = server.asked(wire.Stylize)
    assert (asked.model, asked.strength, asked.seed, asked.keep_colours) == ("ink", 0.5, 3, True)


def test_two_pictures_of_one_size_are_two_files(session: AddonSession, tmp_path: Path) -> None:
    orders = [PictureOrder(style=INK, content=content(tmp_path / f"{v}.tif", v), name="x") for v in (10, 20)]
    tasks = [session.order_picture(order) for order in orders]
    run(session, lambda: all(task.ended for task in tasks))
    files = [path for task in tasks if task.result for path in task.result.files.values()]
    assert [value(path) for path in files] == [255 - 20, 255 - 40]
    session.tidy([])
    assert all(path.exists() for path in files)


def test_a_picture_that_is_not_there_is_a_sentence(session: AddonSession, tmp_path: Path) -> None:
    task = session.order_picture(PictureOrder(style=INK, content=tmp_path / "gone.tif", name="x"))
    finish(session, task)
    assert task.state == "failed"
    assert "cannot be read" in task.message


def test_what_the_server_says_is_told_and_the_content_stays(
    session: AddonSession, server: FakeServer, tmp_path: Path
) -> None:
    server.script = lambda request: (
        [refusal(request, "unknown_model", "No such style.")] if isinstance(request, wire.Stylize) else None
    )
    order = PictureOrder(style=INK, content=content(tmp_path / "a.tif"), name="x")
    task = session.order_picture(order)
    finish(session, task)
    assert (task.state, task.message) == ("failed", "No such style.")
    assert order.content.exists()


def test_a_cancelled_picture_leaves_no_file(session: AddonSession, server: FakeServer, tmp_path: Path) -> None:
    server.script = lambda request: [] if isinstance(request, wire.Stylize) else None
    task = session.order_picture(PictureOrder(style=INK, content=content(tmp_path / "a.tif"), name="x"))
    run(session, lambda: server.asked(wire.Stylize))
    task.cancel()
    assert (task.state, task.message, task.result) == ("cancelled", "Cancelled.", None)
    assert list((tmp_path / "session").rglob("*.tif")) == []


def test_patience_ends(session: AddonSession, server: FakeServer, tmp_path: Path) -> None:
    server.script = lambda request: [] if isinstance(request, wire.Stylize) else None
    session.patience_s = 0.3
    picture = session.order_picture(PictureOrder(style=INK, content=content(tmp_path / "a.tif"), name="x"))
    frames = session.order_sequence(sequence(tmp_path / "out"), Frames(tmp_path))
    run(session, lambda: picture.ended and frames.ended)
    for task in (picture, frames):
        assert task.state == "failed"
        assert "No pixels arrived for 0 seconds" in task.message
        assert "Retry" in task.message


# ------------------------------------------------------------------------------------------------------------ sequence


def test_a_sequence_has_the_statistics_of_its_first_frame(
    session: AddonSession, server: FakeServer, tmp_path: Path
) -> None:
    source = Frames(tmp_path)
    task = session.order_sequence(sequence(tmp_path / "out"), source)
    seen: list[float] = []
    while not task.ended:
        session.tick()
        seen.append(task.fraction)
    assert task.state == "done", task.message
    assert [value(path) for _, path in task.order.frames] == [255 - 5 - 5, 255 - 6 - 5, 255 - 7 - 5]
    assert [each.statistics for each in server.asked(wire.Stylize)] == ["", "from 5", "from 5"]
    assert seen == sorted(seen)
    assert seen[-1] == 1
    assert source.closed == 1
    assert list(tmp_path.glob("content*")) == []


def test_a_cancelled_sequence_goes_on_where_it_was(session: AddonSession, server: FakeServer, tmp_path: Path) -> None:
    first = session.order_sequence(sequence(tmp_path / "out"), Frames(tmp_path))
    one, two, three = (path for _, path in first.order.frames)
    run(session, one.exists)
    first.cancel()
    assert not two.exists()
    told = one.stat().st_mtime_ns
    source = Frames(tmp_path)
    again = session.order_sequence(sequence(tmp_path / "out"), source)
    finish(session, again)
    assert again.state == "done"
    assert source.asked == [6, 7]
    assert one.stat().st_mtime_ns == told
    assert [value(path) for path in (one, two, three)] == [245, 244, 243]


def test_each_frame_takes_something_from_the_one_before_also_when_it_was_made_earlier(
    session: AddonSession, server: FakeServer, tmp_path: Path
) -> None:
    first = session.order_sequence(sequence(tmp_path / "out", (5, 6)), Frames(tmp_path))
    finish(session, first)
    order = sequence(tmp_path / "out", (5, 6, 7, 8))
    finish(session, session.order_sequence(order, Frames(tmp_path)))
    asked = server.asked(wire.Stylize)
    assert all(each.sequence for each in asked)
    assert [bytes(each.carry.data) if each.carry else b"" for each in asked] == [b"", b"\5", b"\5\6", b"\5\6\7"]
    remove_frames(order)
    assert not list((tmp_path / "out").rglob("*.tif.carry"))


def test_what_the_frame_before_gave_is_left_out_where_it_is_refused(
    session: AddonSession, server: FakeServer, tmp_path: Path
) -> None:
    first = session.order_sequence(sequence(tmp_path / "out", (5, 6)), Frames(tmp_path))
    finish(session, first)
    carry_path(first.order.frames[1][1]).write_bytes(OLD)
    again = session.order_sequence(sequence(tmp_path / "out", (5, 6, 7, 8)), Frames(tmp_path))
    finish(session, again)
    assert again.state == "done", again.message
    assert again.note.startswith("At frame 7 a new shot begins")
    asked = server.asked(wire.Stylize)[2:]
    assert [bytes(each.carry.data) if each.carry else b"" for each in asked] == [OLD, b"", b"\7"]
    assert [value(path) for _, path in again.order.frames] == [245, 244, 243, 242]


def test_a_server_that_carries_nothing_is_asked_for_nothing(
    session: AddonSession, server: FakeServer, tmp_path: Path
) -> None:
    server.features = ("generate", "stylize")
    task = session.order_sequence(sequence(tmp_path / "out", (5, 6)), Frames(tmp_path))
    finish(session, task)
    assert task.state == "done", task.message
    assert not any(each.sequence or each.carry for each in server.asked(wire.Stylize))


def test_a_frame_that_someone_else_makes_meanwhile_is_not_made_again(session: AddonSession, tmp_path: Path) -> None:
    source = Frames(tmp_path)
    task = session.order_sequence(sequence(tmp_path / "out"), source)
    run(session, task.order.frames[0][1].exists)
    content(task.order.frames[2][1], 99)
    finish(session, task)
    assert (task.state, source.asked) == ("done", [5, 6])
    assert value(task.order.frames[2][1]) == 99


def test_lost_statistics_are_taken_from_the_first_frame_again(session: AddonSession, tmp_path: Path) -> None:
    order = sequence(tmp_path / "out")
    finish(session, session.order_sequence(order, Frames(tmp_path)))
    one, two, _ = (path for _, path in order.frames)
    two.unlink()
    (tmp_path / "out" / RECORD).write_text("{" * 10_000)
    told = one.stat().st_mtime_ns
    source = Frames(tmp_path)
    task = session.order_sequence(order, source)
    finish(session, task)
    assert (task.state, source.asked) == ("done", [5, 6])
    assert value(two) == 255 - 6 - 5
    assert one.stat().st_mtime_ns == told


@pytest.mark.parametrize(
    "other",
    [
        StyleParameters(model="ink", strength=0.6, seed=3, keep_colours=True),
        StyleParameters(model="oil", strength=0.5, seed=3),
    ],
)
def test_frames_of_another_look_are_not_mixed(session: AddonSession, tmp_path: Path, other: StyleParameters) -> None:
    finish(session, session.order_sequence(sequence(tmp_path / "out", [5]), Frames(tmp_path)))
    task = session.order_sequence(sequence(tmp_path / "out", style=other), Frames(tmp_path))
    finish(session, task)
    assert task.state == "failed"
    assert "with other settings" in task.message
    assert not (tmp_path / "out" / "shot_0006.tif").exists()


def test_a_model_that_was_trained_again_is_another_look(session: AddonSession, tmp_path: Path) -> None:
    finish(session, session.order_sequence(sequence(tmp_path / "out", [5], sha256="a"), Frames(tmp_path)))
    task = session.order_sequence(sequence(tmp_path / "out", sha256="b"), Frames(tmp_path))
    finish(session, task)
    assert "another model" in task.message


def test_a_frame_that_cannot_be_had_ends_it_and_the_others_stay(session: AddonSession, tmp_path: Path) -> None:
    source = Frames(tmp_path, fail_at=6)
    task = session.order_sequence(sequence(tmp_path / "out"), source)
    finish(session, task)
    assert task.state == "failed"
    assert task.message == "The render was cancelled. Finished frames stay; Retry continues from there."
    assert [path.exists() for _, path in task.order.frames] == [True, False, False]
    assert source.closed == 1


def test_a_server_without_statistics_is_refused(session: AddonSession, server: FakeServer, tmp_path: Path) -> None:
    def without(request: wire.Request) -> Iterable[wire.Reply] | None:
        replies = stylize(request)
        return replies and [replace(reply, statistics="") for reply in replies if isinstance(reply, wire.Result)]

    server.script = without
    task = session.order_sequence(sequence(tmp_path / "out"), Frames(tmp_path))
    finish(session, task)
    assert "The server sent no statistics" in task.message


def test_a_folder_that_cannot_be_made_is_a_sentence(session: AddonSession, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    task = session.order_sequence(sequence(tmp_path / "file" / "out"), Frames(tmp_path))
    finish(session, task)
    assert task.state == "failed"
    assert "There is no folder" in task.message


def test_textures_and_pictures_take_turns(session: AddonSession, tmp_path: Path) -> None:
    pictures = [
        session.order_picture(PictureOrder(style=INK, content=content(tmp_path / f"{v}.tif", v), name="x"))
        for v in (1, 2, 3)
    ]
    frames = session.order_sequence(sequence(tmp_path / "out"), Frames(tmp_path))
    run(session, lambda: all(task.ended for task in session.tasks))
    assert [task.state for task in (*pictures, frames)] == ["done"] * 4
    assert isinstance(session.task(frames.id), SequenceTask)
    session.drop(frames)
    assert session.task(frames.id) is None


def test_the_record_is_small_and_readable(session: AddonSession, tmp_path: Path) -> None:
    finish(session, session.order_sequence(sequence(tmp_path / "out"), Frames(tmp_path)))
    record = json.loads((tmp_path / "out" / RECORD).read_text())
    assert record == {
        "version": 1,
        "model": "ink",
        "sha256": "",
        "strength": 0.5,
        "seed": 3,
        "keep_colours": True,
        "statistics": "from 5",
    }


def test_a_model_says_of_what_kind_it_is() -> None:
    entry = {"name": "ink", "state": "ready", "sha256": SHA256}
    assert ListedModel.read(entry).kind == "texture"
    assert ListedModel.read({**entry, "kind": "style"}).kind == "style"
    with pytest.raises(ValueError, match="an unknown kind"):
        ListedModel.read({**entry, "kind": "music"})
