"""Facts about a worker and its pictures: it paints what `stylize` paints, tells how far it is, and can be stopped."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from blender_addon.protocol import wire
from server.front.work_item import picture_item
from server.model.receipt import receipt_of
from server.model.torus import Window
from server.model.work import Failed, Progress, encode
from server.network.devices import prepare
from server.network.model_file import read_model
from server.network.short_memory import NoMemory
from server.network.style_generator import StyleGenerator
from server.network.stylize import measure, stylize
from server.worker import stylist
from server.worker.stylist import SMALLEST_BLOCK, in_halves
from server.worker.worker import Worker
from server.worker.worker_config import WorkerConfig
from tests.models import save_tiny_style, tiny_style
from tests.server.worker.test_worker import do

BLOCK = 64  # pixels a side, so that small pictures have several
CONFIG = WorkerConfig(endpoint="", name="test", device="cpu", precision="exact")
TOO_LITTLE = (
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory: you tried"),
)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stylist, "BLOCK", BLOCK)


@pytest.fixture(scope="module")
def generator() -> StyleGenerator:
    return prepare(tiny_style().style_generator(), torch.device("cpu"), "exact")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_style(tmp_path_factory.mktemp("models"))


@pytest.fixture
def one(file: Path) -> Worker:
    one = Worker(CONFIG)
    do(one, {"do": "load", "sha256": "a", "name": "ink"}, file.read_bytes())
    return one


def photograph(shape: tuple[int, int, int] = (150, 200, 3), dtype: str = "uint8") -> "np.ndarray[Any, Any]":
    """Smooth and large, with a little of everything."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    waves = [np.sin(y / (7 + channel) + channel) * np.cos(x / (11 + channel)) for channel in range(shape[2])]
    return ((np.stack(waves, 2) + 1) / 2 * np.iinfo(dtype).max).astype(dtype)


def item_of(pixels: "np.ndarray[Any, Any]", statistics: bytes = b"", **fields: Any) -> Any:
    content = wire.Buffer(name="content", dtype=pixels.dtype.name, shape=pixels.shape, data=pixels.tobytes())
    request = wire.Stylize(id=1, model="ink", content=content, **fields)
    item = picture_item("key", request, "a", statistics, 0)  # type: ignore[var-annotated]
    item.numbered(9)
    return item.message


def painted(one: Worker, pixels: "np.ndarray[Any, Any]", **order: Any) -> tuple[list[dict[str, Any]], list[bytes]]:
    """What the worker answers, and the samples that come with the last of it."""
    answers = do(one, *encode(item_of(pixels, **order)))
    return [answer for answer, _ in answers], answers[-1][1]


# ------------------------------------------------------------------------------------------------------------- painting


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize(
    "shape", [(150, 200, 3), (150, 200, 1), (70, 90, 4), (1, 1, 3), (1, 700, 3), (300, 2, 1)], ids=str
)
def test_a_picture_is_that_of_stylize(
    one: Worker, generator: StyleGenerator, shape: tuple[int, int, int], dtype: str
) -> None:
    pixels = photograph(shape, dtype)
    manner: dict[str, Any] = {"seed": 7, "strength": 0.6, "keep_colours": True, "noise": 0.5}
    answers, (samples, statistics) = painted(one, pixels, **manner)
    expected = stylize(generator, torch.from_numpy(pixels), **manner, block=BLOCK).numpy()
    assert samples == expected.tobytes()
    assert statistics == measure(generator, torch.from_numpy(pixels), 7, 0.6, noise=0.5).to_bytes()
    assert answers[-1] == {"say": "done", "task": 9, "receipt": receipt_of([samples, statistics]), "in_pieces": False}
    assert [answer["say"] for answer in answers[:-1]] == ["progress"] * (len(answers) - 1)
    done = [answer["done"] for answer in answers[:-1]]
    assert done == sorted(set(done))
    assert done[-1] == shape[0] * shape[1]
    assert len(done) == -(-shape[0] // BLOCK) * -(-shape[1] // BLOCK)


def test_statistics_that_are_given_are_those_it_is_painted_by(one: Worker, generator: StyleGenerator) -> None:
    first, second = photograph(), photograph()[::-1, ::-2] // 2
    _, (_, statistics) = painted(one, first, strength=1.0)
    _, (by_first, told) = painted(one, second, statistics=statistics)
    _, (by_itself, _) = painted(one, second)
    assert told == statistics
    assert by_first != by_itself
    given = measure(generator, torch.from_numpy(first), 0, 1.0)
    expected = stylize(generator, torch.from_numpy(second.copy()), 0, 1.0, statistics=given, block=BLOCK)
    assert by_first == expected.numpy().tobytes()


def test_a_worker_that_lacks_the_model_or_cannot_read_it_says_so(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = Worker(CONFIG)
    ((answer),), _ = painted(one, photograph())
    assert (answer["say"], answer["code"]) == ("failed", "internal")
    assert "KeyError" in capsys.readouterr().err
    do(one, {"do": "load", "sha256": "a", "name": "ink"}, file.read_bytes()[:-1])
    ((answer),), _ = painted(one, photograph())
    assert (answer["say"], answer["code"]) == ("failed", "unknown_model")


def test_a_picture_that_nobody_waits_for_is_left_at_the_next_block(one: Worker) -> None:
    answers = []
    for answer in one.do(item_of(photograph())):
        answers.append(answer)
        one.leave(9)
        one.leave(10)  # which is none of its
    progress, failed = answers
    assert isinstance(progress, Progress)
    assert failed == Failed(number=9, code="cancelled", text="Nobody waits for it any more.")
    assert one.left == set()
    assert painted(one, photograph())[0][-1]["say"] == "done"


# -------------------------------------------------------------------------------------------------- too little memory


@pytest.fixture
def starve(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Exception], list[tuple[int, int]]]:
    """Let memory be too short for blocks of more than so many pixels a side; gives the sizes that were tried."""

    def starve(most: int, error: Exception) -> list[tuple[int, int]]:
        tried: list[tuple[int, int]] = []
        paint_block = stylist.paint_block

        def starved(*arguments: Any, **options: Any) -> torch.Tensor:
            place = arguments[4]
            tried.append((place.height, place.width))
            if max(tried[-1]) > most:
                raise error
            return paint_block(*arguments, **options)

        monkeypatch.setattr(stylist, "paint_block", starved)
        return tried

    return starve


@pytest.mark.parametrize("error", TOO_LITTLE, ids=lambda error: type(error).__name__)
def test_too_little_memory_means_smaller_blocks(
    one: Worker, monkeypatch: pytest.MonkeyPatch, starve: Callable[..., list[tuple[int, int]]], error: Exception
) -> None:
    monkeypatch.setattr(stylist, "BLOCK", 512)
    pixels = photograph((260, 300, 4))
    _, (whole, _) = painted(one, pixels)
    tried = starve(128, error)
    answers, (samples, _) = painted(one, pixels)
    assert answers[-1]["say"] == "done"
    apart = np.frombuffer(whole, "u1").astype(int) - np.frombuffer(samples, "u1")
    assert np.abs(apart).max() <= 1
    assert tried[0] == (260, 300)
    assert sum(height * width for height, width in tried if max(height, width) <= 128) == 260 * 300


@pytest.mark.parametrize("error", TOO_LITTLE, ids=lambda error: type(error).__name__)
def test_too_little_for_the_smallest_block_is_told(
    one: Worker, starve: Callable[..., list[tuple[int, int]]], error: Exception
) -> None:
    tried = starve(0, error)
    (answer,), planes = painted(one, photograph((260, 300, 3)))
    assert (answer["say"], answer["code"], planes) == ("failed", "oom", [])
    assert "close other programs" in answer["text"]
    assert len(tried) < 10  # it gives up at the first


def test_too_little_memory_for_the_first_look_is_told(one: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Models that are not in use have left the device by then."""
    away = []

    def starved(*_: Any, **__: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(stylist, "measure", starved)
    monkeypatch.setattr(Worker, "_make_room", lambda self, wanted: away.append(wanted))
    (answer,), _ = painted(one, photograph())
    assert (answer["say"], answer["code"]) == ("failed", "oom")
    assert away == [one.generators["a"]] * 2


def test_another_error_is_not_taken_for_too_little_memory(
    one: Worker, starve: Callable[..., list[tuple[int, int]]], capsys: pytest.CaptureFixture[str]
) -> None:
    tried = starve(0, RuntimeError("something else"))
    (answer,), _ = painted(one, photograph())
    assert (answer["code"], "something else" in answer["text"]) == ("internal", False)
    assert "something else" in capsys.readouterr().err
    assert len(tried) == 1


@pytest.mark.parametrize("size", [(512, 512), (512, 40), (4, 1024), (64, 516)], ids=str)
def test_halves_make_the_block_and_begin_at_the_stride(size: tuple[int, int]) -> None:
    places: list[Window] = []

    def paint(place: Window) -> torch.Tensor | None:
        if max(place.height, place.width) > 2 * SMALLEST_BLOCK:
            return None
        places.append(place)
        rows, columns = torch.arange(place.height), torch.arange(place.width)
        return ((rows[:, None] + place.top) * 10_000 + columns + place.left)[..., None]

    whole = in_halves(paint, Window(8, 12, *size), 4)
    rows, columns = torch.arange(size[0]) + 8, torch.arange(size[1]) + 12
    assert torch.equal(whole[..., 0], rows[:, None] * 10_000 + columns)
    assert all(place.top % 4 == place.left % 4 == place.height % 4 == place.width % 4 == 0 for place in places)


def test_halves_end_at_the_smallest() -> None:
    tried: list[int] = []

    def paint(place: Window) -> torch.Tensor | None:
        tried.append(max(place.height, place.width))

    with pytest.raises(NoMemory):
        in_halves(paint, Window(0, 0, 1024, 1024), 4)
    assert min(tried) == SMALLEST_BLOCK


def test_the_model_of_the_tests_stylizes(file: Path, generator: StyleGenerator) -> None:
    """Or the facts above would be about nothing."""
    assert read_model(file).kind == "style"
    pixels = torch.from_numpy(photograph())
    pictures = [stylize(generator, pixels, 0, strength).float() for strength in (0.0, 0.5, 1.0)]
    assert all((pictures[i] - pictures[j]).abs().mean() > 5 for i, j in ((0, 1), (1, 2)))
    assert all(picture.std() > 5 for picture in pictures)
