"""Facts about a worker as function calls: what it is told, and what it answers. No process."""

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgpack
import pytest
import torch
import zmq

from blender_addon.protocol import wire
from server import __version__
from server.errors import TexserverError
from server.model.maps import BASE_COLOUR, Map
from server.model.receipt import receipt_of
from server.model.torus import Size, Window
from server.model.work import encode, parse_from_front
from server.network.devices import NoSuchDevice
from server.network.model_file import read_model, write_model
from server.network.short_memory import is_out_of_memory
from server.network.texture import texture_bytes, tile_bytes, window_bytes
from server.worker import worker
from server.worker.worker import SMALLEST_PX, Worker, in_pieces
from server.worker.worker_config import MISCONFIGURED, WorkerConfig
from tests.models import save_tiny, tiny_generator, tiny_model

CPU = torch.device("cpu")
NORMALS = Map(name="normal", channels=3, colour_space="linear")
CONFIG = WorkerConfig(endpoint="", name="test", device="cpu", precision="exact")
SIZE, TILE = (256, 300), (0, 0, 256, 300)


@pytest.fixture
def one() -> Worker:
    return Worker(CONFIG)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("models"), "brick", lattice=True)


def do(one: Worker, header: dict[str, Any] | wire.Data, *buffers: wire.Data) -> list[tuple[Any, list[bytes]]]:
    """What the worker answers to a message: headers and buffers."""
    first = msgpack.packb(header) if isinstance(header, dict) else header
    answers = [encode(each) for each in one.do(parse_from_front([first, *buffers]))]
    return [(msgpack.unpackb(header), [bytes(plane) for plane in planes]) for header, *planes in answers]


def load(one: Worker, content: bytes, sha256: str = "a") -> None:
    assert do(one, {"do": "load", "sha256": sha256, "name": "brick"}, content) == []


def paint(
    one: Worker,
    *,
    sha256: str = "a",
    depths: Sequence[int] = (8,),
    tile: tuple[int, int, int, int] = TILE,
    **more: Any,
) -> Any:
    order = {"do": "paint", "task": 5, "sha256": sha256, "seed": 7, "size": SIZE, "tile": tile, "depths": depths}
    order |= more
    ((answer, planes),) = do(one, order)
    assert answer["task"] == 5
    return answer, planes


def failed(one: Worker, **order: Any) -> tuple[str, str]:
    answer, planes = paint(one, **order)
    assert (answer["say"], planes) == ("failed", [])
    assert answer["code"] in wire.ERROR_CODES
    return answer["code"], answer["text"]


@pytest.fixture
def starve(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Exception], list[tuple[int, int]]]:
    """Let memory be too short for more than so many pixels a side; gives the sizes that were tried."""

    def starve(most: int, error: Exception) -> list[tuple[int, int]]:
        tried: list[tuple[int, int]] = []

        def check(area: Window) -> None:
            tried.append((area.height, area.width))
            if max(area.height, area.width) > most:
                raise error

        def starved_tile(*arguments: Any) -> list[torch.Tensor]:
            check(arguments[3])
            return tile_bytes(*arguments)

        def starved_piece(*arguments: Any) -> list[torch.Tensor]:
            check(arguments[3])
            return window_bytes(*arguments)

        monkeypatch.setattr(worker, "tile_bytes", starved_tile)
        monkeypatch.setattr(worker, "window_bytes", starved_piece)
        return tried

    return starve


# ------------------------------------------------------------------------------------------------------------ painting


@pytest.mark.parametrize("depth", [8, 16])
def test_a_tile_is_that_of_the_texture(one: Worker, file: Path, depth: Any) -> None:
    load(one, file.read_bytes())
    answer, planes = paint(one, depths=[depth])
    assert answer == {"say": "done", "task": 5, "receipt": receipt_of(planes), "in_pieces": False}
    (expected,) = texture_bytes(read_model(file).generator, 7, Size(*SIZE), Window(*TILE), depth)
    assert planes == [expected.numpy().tobytes()]


def test_of_a_tile_that_is_compared_only_the_receipt_goes_back(one: Worker, file: Path) -> None:
    load(one, file.read_bytes())
    _, planes = paint(one)
    answer, nothing = paint(one, receipt_only=True)
    assert answer == {"say": "done", "task": 5, "receipt": receipt_of(planes), "in_pieces": False}
    assert nothing == []


def test_each_map_has_its_own_samples(one: Worker, tmp_path: Path) -> None:
    maps = (BASE_COLOUR, Map(name="height", channels=1, colour_space="linear"))
    write_model(tmp_path / "two.safetensors", tiny_model(maps=maps))
    load(one, (tmp_path / "two.safetensors").read_bytes())
    _, planes = paint(one, depths=[8, 16])
    expected = texture_bytes(tiny_generator(maps=maps), 7, Size(*SIZE), Window(*TILE))
    assert planes == [each.numpy().tobytes() for each in expected]
    assert [len(each) for each in planes] == [256 * 300 * 3, 256 * 300 * 2]


def test_a_model_that_was_dropped_or_never_sent_is_a_fault(
    one: Worker, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failed(one)[0] == "internal"
    load(one, file.read_bytes())
    assert do(one, {"do": "drop", "sha256": "a"}) == []
    assert do(one, {"do": "drop", "sha256": "never had"}) == []
    code, text = failed(one)
    assert code == "internal"
    assert "log says why" in text
    assert "KeyError" in capsys.readouterr().err


def test_what_it_is_told_to_go_on_with_is_nothing(one: Worker) -> None:
    assert do(one, {"do": "go on"}) == []


def test_a_model_that_cannot_be_read_is_told_when_it_is_asked_for(one: Worker, file: Path) -> None:
    load(one, file.read_bytes()[:-1])
    code, text = failed(one)
    assert code == "unknown_model"
    assert "'brick' cannot be used" in text
    load(one, file.read_bytes(), "b")
    assert paint(one, sha256="b")[0]["say"] == "done"


# -------------------------------------------------------------------------------------------------- too little memory

TOO_LITTLE = (
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory: you tried"),
)


def test_torch_says_on_the_cpu_what_is_looked_for() -> None:
    with pytest.raises(RuntimeError) as error:
        torch.empty(2**50)
    assert is_out_of_memory(error.value)


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("tile", [(0, 0, 256, 300), (131, 17, 129, 255), (200, 250, 256, 300)], ids=str)
def test_pieces_make_the_same_tile(tile: tuple[int, int, int, int], depth: Any) -> None:
    """Up to the last bit of a rounding: another shape may add up in another order, and short normals magnify that."""
    generator = tiny_generator(lattice=True, maps=(BASE_COLOUR, NORMALS))
    whole = tile_bytes(generator, 7, Size(*SIZE), Window(*tile), [8, depth])
    pieces = in_pieces(generator, CPU, 7, Size(*SIZE), Window(*tile), [8, depth])
    for one, other, bits, most in zip(pieces, whole, (8, depth), (1, 1 if depth == 8 else 4), strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        difference = (one.to(torch.int32) - other.to(torch.int32)).abs()
        assert difference.max() <= most
        assert difference.float().mean() < 0.01 * bits


@pytest.mark.parametrize("error", TOO_LITTLE, ids=lambda error: type(error).__name__)
def test_too_little_memory_means_smaller_pieces(
    one: Worker, file: Path, starve: Callable[..., list[tuple[int, int]]], error: Exception
) -> None:
    load(one, file.read_bytes())
    _, (whole,) = paint(one)
    tried = starve(128, error)
    answer, (pieces,) = paint(one)
    assert answer["say"] == "done"
    assert max(abs(a - b) for a, b in zip(whole, pieces, strict=True)) <= 1
    assert tried[0] == (256, 300)
    assert set(tried[1:]) == {(128, 150), (64, 75)}


@pytest.mark.parametrize("error", TOO_LITTLE, ids=lambda error: type(error).__name__)
def test_too_little_for_the_smallest_piece_is_told(
    one: Worker, file: Path, starve: Callable[..., list[tuple[int, int]]], error: Exception
) -> None:
    load(one, file.read_bytes())
    tried = starve(0, error)
    code, text = failed(one)
    assert code == "oom"
    assert "close other programs" in text
    assert min(min(each) for each in tried) >= SMALLEST_PX
    assert len(tried) < 10  # it gives up at the first


def test_another_error_is_not_taken_for_too_little_memory(
    one: Worker, file: Path, starve: Callable[..., list[tuple[int, int]]]
) -> None:
    load(one, file.read_bytes())
    tried = starve(128, RuntimeError("something else"))
    assert failed(one)[0] == "internal"
    assert len(tried) == 1


class Moved:
    """A generator that counts its moves."""

    def __init__(self) -> None:
        self.moves: list[str] = []

    def to(self, device: torch.device) -> "Moved":
        self.moves.append(str(device))
        return self

    def cpu(self) -> "Moved":
        self.moves.append("away")
        return self


def test_models_that_are_not_in_use_leave_the_device_first(
    one: Worker, file: Path, starve: Callable[..., list[tuple[int, int]]]
) -> None:
    load(one, file.read_bytes())
    other = one.generators["b"] = Moved()  # type: ignore[assignment]
    starve(128, MemoryError())
    paint(one)
    assert other.moves == ["away"]


@pytest.mark.parametrize("times", [1, 2])
def test_a_model_that_finds_no_room_is_tried_again_when_there_is_some(
    one: Worker, file: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    other = one.generators["b"] = Moved()  # type: ignore[assignment]
    left = iter(range(times))

    def cramped(*arguments: Any, prepare: Callable[..., Any] = worker.prepare) -> Any:
        for _ in left:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return prepare(*arguments)

    monkeypatch.setattr(worker, "prepare", cramped)
    load(one, file.read_bytes())
    assert other.moves
    if times == 1:
        assert paint(one)[0]["say"] == "done"
    else:
        assert failed(one)[0] == "oom"


# ------------------------------------------------------------------------------------------------------------- serving


@pytest.fixture
def line() -> Iterator[tuple["zmq.Socket[Any]", "zmq.Socket[Any]"]]:
    """The front's end and the worker's end."""
    context: zmq.Context[Any] = zmq.Context()
    front, end = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
    front.bind("inproc://line")
    end.connect("inproc://line")
    yield front, end
    context.destroy(linger=0)


def served(one: Worker, end: "zmq.Socket[Any]") -> tuple[threading.Thread, list[int]]:
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(one.serve(end)), daemon=True)
    thread.start()
    return thread, codes


def test_it_says_who_it_is_paints_and_stops_when_told(
    one: Worker, file: Path, line: tuple["zmq.Socket[Any]", "zmq.Socket[Any]"]
) -> None:
    front, end = line
    thread, codes = served(one, end)
    here = msgpack.unpackb(front.recv())
    assert here == {
        "say": "here", "name": "test", "device": "cpu", "others": [], "precision": "exact", "version": __version__,
        "memory_mb": here["memory_mb"], "arithmetic": here["arithmetic"],
    }  # fmt: skip
    assert here["memory_mb"] > 0
    assert torch.__version__ in here["arithmetic"]
    front.send_multipart([msgpack.packb({"do": "load", "sha256": "a", "name": "brick"}), file.read_bytes()])
    order = {"do": "paint", "task": 9, "sha256": "a", "seed": 7, "size": SIZE, "tile": TILE, "depths": [8]}
    front.send(msgpack.packb(order))
    while len(frames := front.recv_multipart()) == 1:
        assert msgpack.unpackb(frames[0])["say"] == "here"
    assert msgpack.unpackb(frames[0]) == {
        "say": "done",
        "task": 9,
        "receipt": receipt_of(frames[1:]),
        "in_pieces": False,
    }
    assert frames[1] == paint(one)[1][0]
    front.send(msgpack.packb({"do": "stop"}))
    thread.join(30)
    assert codes == [0]


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ([msgpack.packb({"do": "stop", "why": "it is too old"})], "sent away: it is too old."),
        (wire.encode(wire.error(wire.Refused("bad_frame", "No."))), "the line that texserver --pairing workers prints"),
    ],
    ids=["sent away", "answered as a client"],
)
def test_one_that_the_server_has_no_use_for_says_why_and_leaves(
    one: Worker,
    line: tuple["zmq.Socket[Any]", "zmq.Socket[Any]"],
    message: list[bytes],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    front, end = line
    thread, codes = served(one, end)
    front.send_multipart(message)
    thread.join(30)
    assert codes == [MISCONFIGURED]
    assert said in capsys.readouterr().err


def test_a_device_that_is_not_there_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    config = WorkerConfig(endpoint="tcp://127.0.0.1:1", name="cuda:77/0", device="cuda:77")
    with pytest.raises(NoSuchDevice):
        Worker(config)
    assert issubclass(NoSuchDevice, TexserverError)
