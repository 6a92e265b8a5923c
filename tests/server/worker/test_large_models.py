"""Facts about workers and large models: from where the file lies, or piece by piece; only what was told is used."""

import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import zmq

from blender_addon.protocol.rect import Size, Window
from server.model import checking
from server.model.work import (
    PIECE_BYTES,
    Done,
    DropModel,
    Failed,
    FromWorker,
    Here,
    LoadLarge,
    ModelPiece,
    PaintTile,
    Stop,
    WantPiece,
    encode,
    parse_from_worker,
)
from server.network import model_file
from server.network.model_file import read_model
from server.network.texture import tile_bytes
from server.worker import worker
from server.worker.worker import Worker
from server.worker.worker_config import WorkerConfig
from tests.models import save_tiny_quilt

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there a large file is read, not mapped")
CONFIG = WorkerConfig(endpoint="", name="test", device="cpu", precision="exact")
SIZE, TILE, DEPTHS = Size(150, 170), Window(0, 0, 150, 170), (8, 8, 8, 16)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a quilt that counts as large, with a name that is no UTF-8."""
    for module in (checking, model_file):
        monkeypatch.setattr(module, "SMALL_BYTES", 1000)
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/mod\xff\xe9ls")) if sys.platform == "linux" else tmp_path
    folder.mkdir(exist_ok=True)
    return save_tiny_quilt(folder)


@pytest.fixture
def local() -> Worker:
    return Worker(replace(CONFIG, reads_files=True))


def key_of(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def large(file: Path, **of: Any) -> LoadLarge:
    told = {"sha256": key_of(file), "bytes": file.stat().st_size, "path": os.fsencode(file)}
    return LoadLarge(name="rock", **(told | of))


def item(key: str) -> PaintTile:
    return PaintTile(number=1, sha256=key, seed=7, size=SIZE, tile=TILE, depths=DEPTHS)  # type: ignore[arg-type]


def painted(one: Worker, key: str) -> FromWorker:
    (answer,) = one.do(item(key))
    return answer


def samples(answer: FromWorker) -> list[bytes]:
    assert isinstance(answer, Done), answer
    return [bytes(plane) for plane in answer.planes]


def lacking(answer: FromWorker, says: str) -> None:
    assert isinstance(answer, Failed), answer
    assert (answer.code, answer.lacks_model) == ("unknown_model", True)
    assert says in answer.text
    assert "/" not in answer.text  # clients are told no path


def expected(path: Path) -> list[bytes]:
    planes = tile_bytes(read_model(path).texture_generator(), 7, SIZE, TILE, DEPTHS)  # type: ignore[arg-type]
    return [plane.numpy().tobytes() for plane in planes]


def overwrite(path: Path, data: bytes) -> None:
    at = path.stat().st_mtime_ns + 1_000_000_000
    path.write_bytes(data)
    os.utime(path, ns=(at, at))


# ----------------------------------------------------------------------------------------------------- on this machine


def test_a_large_model_is_painted_from_where_it_lies(local: Worker, path: Path) -> None:
    assert list(local.do(large(path))) == []
    assert local.places.keys() == {key_of(path)}
    assert samples(painted(local, key_of(path))) == expected(path)
    assert list(local.do(DropModel(sha256=key_of(path)))) == []
    assert not local.places
    assert not local.generators


@pytest.mark.parametrize("change", ["other", "gone", "folder", "cut", "fifo"])
def test_a_file_that_is_not_the_one_told_is_not_used_and_may_be_told_again(
    local: Worker, path: Path, change: str
) -> None:
    told, good = large(path), path.read_bytes()
    path.unlink()
    if change == "other":
        save_tiny_quilt(path.parent, seed=1)
    elif change == "folder":
        path.mkdir()
    elif change == "cut":
        path.write_bytes(good[:-100])
    elif change == "fifo":
        os.mkfifo(path)
    assert list(local.do(told)) == []
    lacking(painted(local, told.sha256), "cannot be used")
    if change == "folder":
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
    path.write_bytes(good)
    assert list(local.do(told)) == []
    assert samples(painted(local, told.sha256)) == expected(path)


def test_a_file_replaced_by_a_rename_serves_on_and_one_overwritten_does_not(local: Worker, path: Path) -> None:
    key, pixels = key_of(path), expected(path)
    assert list(local.do(large(path))) == []
    other = save_tiny_quilt(path.parent, "other", 1)
    os.link(path, path.with_name("second"))
    other.replace(path)
    assert samples(painted(local, key)) == pixels
    second = path.with_name("second")
    overwrite(second, second.read_bytes()[:-1] + b"\xff")
    lacking(painted(local, key), "overwritten")
    lacking(painted(local, key), "overwritten")
    assert not local.places


def test_pixels_of_a_file_that_is_overwritten_while_it_is_painted_are_not_told(
    local: Worker, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(local.do(large(path))) == []
    key = key_of(path)

    def overwritten(*arguments: Any) -> Any:
        overwrite(path, path.read_bytes()[:-1] + b"\xff")
        return tile_bytes(*arguments)

    monkeypatch.setattr(worker, "tile_bytes", overwritten)
    lacking(painted(local, key), "overwritten")


# -------------------------------------------------------------------------------------------------- on another machine


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "PIECE_BYTES", 20_000)


@pytest.mark.usefixtures("small_pieces")
def test_a_worker_of_another_machine_asks_for_pieces_whatever_path_it_is_told(path: Path) -> None:
    far, data = Worker(CONFIG), path.read_bytes()
    told = large(path)
    asked = list(far.do(told))
    at = 0
    while asked:
        want = asked.pop(0)
        assert isinstance(want, WantPiece)
        assert (want.sha256, want.begin) == (told.sha256, at)
        assert len(asked) <= 1
        at += 20_000
        asked += far.do(ModelPiece(sha256=told.sha256, begin=want.begin, content=data[want.begin : at]))
    assert at >= len(data)
    assert samples(painted(far, told.sha256)) == expected(path)
    assert not far.places


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("wrong", ["none", "short", "late", "other bytes"])
def test_a_piece_that_is_not_what_it_should_be_ends_that_and_it_may_come_again(path: Path, wrong: str) -> None:
    far, data, told = Worker(CONFIG), path.read_bytes(), large(path)

    def send(piece: int) -> list[FromWorker]:
        begin = 20_000 * piece
        content = data[begin : begin + 20_000]
        bad = {"none": b"", "short": content[:-1], "other bytes": bytes(len(content))}.get(wrong, content)
        if piece == 2 and not good:
            content, begin = bad, begin + (20_000 if wrong == "late" else 0)
        return list(far.do(ModelPiece(sha256=told.sha256, begin=begin, content=content)))

    for good in (False, True):
        assert len(list(far.do(told))) == 2
        for piece in range(-(-len(data) // 20_000)):
            send(piece)
        if good:
            assert samples(painted(far, told.sha256)) == expected(path)
        else:
            lacking(painted(far, told.sha256), "rock")


@pytest.fixture
def line() -> Iterator[tuple["zmq.Socket[Any]", "zmq.Socket[Any]"]]:
    """The front's end and the worker's end."""
    context: zmq.Context[Any] = zmq.Context()
    front, end = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
    front.bind("inproc://line")
    end.connect("inproc://line")
    yield front, end
    context.destroy(linger=0)


@pytest.mark.usefixtures("small_pieces")
def test_items_wait_for_their_model_and_are_done_in_order(
    path: Path, line: tuple["zmq.Socket[Any]", "zmq.Socket[Any]"]
) -> None:
    front, end = line
    far, data, told = Worker(CONFIG), path.read_bytes(), large(path, path=b"")
    thread = threading.Thread(target=far.serve, args=[end], daemon=True)
    thread.start()
    first = item(told.sha256)
    for message in (told, first, replace(first, number=2)):
        front.send_multipart(encode(message))
    answers: list[FromWorker] = []
    while len(answers) < 2:
        message = parse_from_worker(front.recv_multipart(), worker.__version__)
        if isinstance(message, WantPiece):
            piece = data[message.begin : message.begin + 20_000]
            front.send_multipart(encode(ModelPiece(sha256=told.sha256, begin=message.begin, content=piece)))
        elif not isinstance(message, Here):
            answers.append(message)
    assert [answer.number for answer in answers] == [1, 2]  # type: ignore[union-attr]
    assert samples(answers[0]) == samples(answers[1]) == expected(path)
    front.send_multipart(encode(Stop()))
    thread.join(30)
    assert not thread.is_alive()


def test_a_piece_is_small_enough_to_be_read_at_once() -> None:
    assert PIECE_BYTES <= 4 * 2**20
