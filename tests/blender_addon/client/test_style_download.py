"""A picture comes back in its style, whatever the server, the network and the disk do, or the download says why not."""

import errno
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from blender_addon.client.connection import Connection
from blender_addon.client.download import MOST_TRIES
from blender_addon.client.sinks import FileSink, MemorySink
from blender_addon.client.style_download import StyleDownload
from blender_addon.pictures import draft as draft_file
from blender_addon.pictures.draft import ImageFileError
from blender_addon.protocol import wire
from blender_addon.protocol.errors import Refused
from tests.blender_addon.client.test_texture_download import slowest_tick_s
from tests.blender_addon.fake_server import SHA256, STATISTICS, FakeServer, picture, refusal, times
from tests.blender_addon.pictures.test_image_file import decode_png

pytestmark = pytest.mark.timeout(60)

Pixels = NDArray[Any]


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


@pytest.fixture
def connection(server: FakeServer) -> Iterator[Connection]:
    with closing(Connection(lambda: server.pairing)) as connection:
        yield connection


def photograph(shape: tuple[int, int, int] = (30, 40, 3), dtype: str = "uint8") -> Pixels:
    pixels = np.random.default_rng(3).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    return pixels.astype(pixels.dtype.newbyteorder("<"))


def styled(pixels: Pixels) -> Pixels:
    colours = np.iinfo(pixels.dtype).max - np.broadcast_to(pixels[..., :3], (*pixels.shape[:2], 3))
    return np.concatenate((colours, pixels[..., 3:]), 2) if pixels.shape[2] == 4 else colours


def download_of(connection: Connection, pixels: Pixels, sink: Any, model: str = "ink", **options: Any) -> StyleDownload:
    options = {"dtype": pixels.dtype.name} | options
    return StyleDownload(connection, model, pixels.tobytes(), pixels.shape, sink, **options)  # type: ignore[arg-type]


def run(download: StyleDownload, within_s: float = 20.0, until: Callable[[], object] = lambda: False) -> StyleDownload:
    """Tick as Blender would, to the end or until it is so."""
    start = time.monotonic()
    while download.tick() and not until():
        assert time.monotonic() - start < within_s, download.message
        time.sleep(0.001)
    return download


def image_of(sink: MemorySink) -> Pixels:
    assert sink.painting
    assert list(sink.pixels) == ["image"]
    samples = np.frombuffer(sink.pixels["image"], f"<u{sink.painting.maps[0].depth // 8}")
    return samples.reshape(*sink.painting.size, -1)


def file(folder: Path, suffix: str = ".png") -> FileSink:
    return FileSink(lambda names: [folder / f"styled-{name}{suffix}" for name in names])


# -------------------------------------------------------------------------------------------------------------- pixels


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize(
    "shape", [(30, 40, 3), (30, 40, 1), (30, 40, 4), (1, 1, 1), (1, 16384, 3), (900, 700, 4)], ids=str
)
def test_a_picture_comes_back_in_its_style(
    server: FakeServer, connection: Connection, shape: tuple[int, int, int], dtype: str
) -> None:
    sink, pixels = MemorySink(), photograph(shape, dtype)
    download = run(download_of(connection, pixels, sink, strength=0.5, seed=2**64 - 1, keep_colours=True, noise=2.0))
    assert (download.state, download.message) == ("done", "The picture is in the style of ink.")
    np.testing.assert_array_equal(image_of(sink), styled(pixels))
    assert (download.done_pixels, download.fraction) == (shape[0] * shape[1], 1.0)
    (asked,) = server.asked(wire.Stylize)
    assert (asked.strength, asked.seed, asked.keep_colours, asked.noise) == (0.5, 2**64 - 1, True, 2.0)


def test_the_statistics_are_known_at_the_end_and_go_along_with_the_next(
    server: FakeServer, connection: Connection
) -> None:
    first = download_of(connection, photograph(), MemorySink())
    assert first.statistics == ""
    run(first)
    assert first.statistics == STATISTICS
    second = run(download_of(connection, photograph(), MemorySink(), statistics="b3RoZXI="))
    assert second.statistics == "b3RoZXI="
    assert [asked.statistics for asked in server.asked(wire.Stylize)] == ["", "b3RoZXI="]


def test_a_memoryview_will_do_and_is_not_copied_to_be_kept(connection: Connection) -> None:
    pixels = photograph()
    sink = MemorySink()
    download = StyleDownload(connection, "ink", pixels.data, pixels.shape, sink)  # type: ignore[arg-type]
    assert np.shares_memory(np.frombuffer(download.content.data, "u1"), pixels)
    run(download)
    np.testing.assert_array_equal(image_of(sink), styled(pixels))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("channels", [3, 4])
def test_a_file_holds_the_picture_and_says_how_it_was_made(
    server: FakeServer, connection: Connection, tmp_path: Path, suffix: str, dtype: str, channels: int
) -> None:
    pixels = photograph((31, 45, channels), dtype)
    sink = file(tmp_path, suffix)
    download = run(download_of(connection, pixels, sink, strength=0.5, seed=7, keep_colours=True))
    assert download.state == "done", download.message
    (path,) = tmp_path.iterdir()
    assert sink.paths == {"image": path}
    if suffix == ".tif":
        np.testing.assert_array_equal(tifffile.imread(path), styled(pixels))
    else:
        np.testing.assert_array_equal(decode_png(path.read_bytes()), styled(pixels))
    with Image.open(path) as image:
        said = json.loads(image.tag_v2[270]) if suffix == ".tif" else image.text  # type: ignore[attr-defined]
    assert said == {
        "Software": "texserver 9.9",
        "Model": "ink",
        "Model SHA-256": SHA256,
        "Seed": "7",
        "Size": "45x31",
        "Strength": "0.5",
        "Keep colours": "yes",
        "Precision": "exact",
        "Server": f"127.0.0.1:{server.port}",
    }


@pytest.mark.serial
def test_ticks_are_short_whatever_arrives(connection: Connection, tmp_path: Path) -> None:
    download = download_of(connection, photograph((2048, 2048, 3)), file(tmp_path))
    assert slowest_tick_s(download) < 0.1


def test_a_full_disk_ends_the_job_with_a_sentence_and_leaves_nothing(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(draft: Any, data: draft_file.Data, *, at: int | None = None) -> None:
        with draft._disk():
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(draft_file.Draft, "write", full)
    download = run(download_of(connection, photograph((300, 300, 3)), file(tmp_path, ".tif")))
    assert download.state == "failed"
    assert isinstance(download.error, ImageFileError)
    assert "disk is full" in download.message
    assert list(tmp_path.iterdir()) == []


# ----------------------------------------------------------------------------------------------------------- failures


def test_a_server_that_dies_and_comes_back_elsewhere_is_no_loss(server: FakeServer, connection: Connection) -> None:
    server.script = lambda request: [] if isinstance(request, wire.Stylize) else None
    sink, pixels = MemorySink(), photograph()
    download = download_of(connection, pixels, sink)
    run(download, until=lambda: server.asked(wire.Stylize))
    server.die()
    run(download, until=lambda: connection.state == "failed-for-now")
    assert download.message.startswith("No texserver runs at")
    server.script = lambda request: None
    server.start()
    run(download)
    np.testing.assert_array_equal(image_of(sink), styled(pixels))


def test_a_job_that_finds_no_server_says_so_and_begins_when_there_is_one(server: FakeServer) -> None:
    server.die()
    with closing(Connection(lambda: server.pairing)) as connection:
        download = run(
            download_of(connection, photograph(), MemorySink()), until=lambda: connection.state != "connecting"
        )
        assert (download.state, download.tick()) == ("waiting", True)
        assert download.message.startswith("No texserver runs at")
        server.start()
        assert run(download).state == "done"


@pytest.mark.parametrize("code", ["busy", "shutting_down"])
def test_a_busy_server_is_asked_until_it_is_not(server: FakeServer, connection: Connection, code: str) -> None:
    server.script = times(3 * MOST_TRIES, code, retry_ms=1)
    download = download_of(connection, photograph(), MemorySink())
    run(download, until=lambda: "Trying again" in download.message)
    assert download.message == f"This is {code}. Trying again."
    assert run(download).state == "done"


@pytest.mark.parametrize("code", ["worker_lost", "internal", "expired"])
def test_what_the_server_fails_on_is_tried_a_few_times(server: FakeServer, connection: Connection, code: str) -> None:
    server.script = times(MOST_TRIES - 1, code, retry_ms=1)
    assert run(download_of(connection, photograph(), MemorySink())).state == "done"
    server.requests.clear()
    server.script = times(1000, code, retry_ms=1)
    download = run(download_of(connection, photograph(), MemorySink()))
    assert (download.state, download.message) == ("failed", f"This is {code}.")
    assert isinstance(download.error, Refused)
    assert download.error.code == code
    assert len(server.asked(wire.Stylize)) == MOST_TRIES


@pytest.mark.parametrize("code", ["oom", "bad_request", "unknown_model", "too_large", "cancelled"])
def test_what_asking_again_does_not_help_is_told_at_once(server: FakeServer, connection: Connection, code: str) -> None:
    server.script = times(1000, code)
    download = run(download_of(connection, photograph(), MemorySink()))
    assert (download.state, download.message) == ("failed", f"This is {code}.")
    assert len(server.asked(wire.Stylize)) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"strength": 1.5}, "strength: it is 1.5"),
        ({"strength": float("nan")}, "This request is not possible: "),
        ({"noise": -1.0}, "noise: it is -1.0"),
        ({"seed": -1}, "seed:"),
        ({"keep_colours": 1}, "keep_colours:"),
        ({"statistics": "x" * 50_000}, "statistics:"),
        ({"statistics": "x" * 100_000}, "This request is not possible: a header of"),
        ({"model": "x" * 300}, "model:"),
        ({"dtype": "float32"}, "dtype:"),
        ({"dtype": "uint16"}, "buffers:"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_nonsense_is_refused_before_anything_is_asked(
    server: FakeServer, connection: Connection, options: dict[str, Any], said: str
) -> None:
    download = run(download_of(connection, photograph(), MemorySink(), **options))
    assert download.state == "failed"
    assert download.message.startswith(said)
    assert not server.asked(wire.Stylize)


@pytest.mark.parametrize("shape", [(30, 40, 2), (31, 40, 3), (0, 40, 3), (1, 16385, 3)], ids=str)
def test_shapes_that_do_not_fit_are_refused_before_anything_is_asked(
    server: FakeServer, connection: Connection, shape: tuple[int, int, int]
) -> None:
    data = bytes(1 * 16385 * 3) if shape[1] > 40 else bytes(30 * 40 * 3)
    download = run(StyleDownload(connection, "ink", data, shape, MemorySink()))
    assert (download.state, isinstance(download.error, Refused)) == ("failed", True)
    assert not server.asked(wire.Stylize)


def test_a_picture_larger_than_the_server_takes_is_told_before_it_is_sent() -> None:
    limits = wire.Limits(max_content_pixels=1000)
    with FakeServer(limits=limits) as server, closing(Connection(lambda: server.pairing)) as connection:
        download = run(download_of(connection, photograph(), MemorySink()))
        assert download.message == "content: it has 1200 pixels, and at most 1000 are taken; send a smaller picture."
        assert not server.asked(wire.Stylize)


def test_a_server_that_does_not_stylize_is_told_as_such(server: FakeServer, connection: Connection) -> None:
    server.features = ("generate",)
    download = run(download_of(connection, photograph(), MemorySink()))
    assert download.state == "failed"
    assert "cannot stylize pictures. Update it" in download.message
    assert not server.asked(wire.Stylize)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda right: replace(right, buffers=()), "another picture"),
        (lambda right: replace(right, buffers=right.buffers * 2), "another picture"),
        (lambda right: replace(right, buffers=(replace(right.buffers[0], name="../x"),)), "another picture"),
        (
            lambda right: replace(right, buffers=(replace(right.buffers[0], shape=(40, 30, 3)),)),
            "another picture",
        ),
        (
            lambda right: replace(right, buffers=(replace(right.buffers[0], dtype="uint16", shape=(15, 40, 3)),)),
            "another",
        ),
        (lambda right: wire.Status(id=right.id, report={}), "answered with status"),
    ],
    ids=["nothing", "twice", "name", "shape", "dtype", "status"],
)
def test_answers_that_do_not_fit_end_the_job_and_leave_nothing(
    server: FakeServer, connection: Connection, tmp_path: Path, wrong: Callable[[wire.Result], wire.Reply], said: str
) -> None:
    server.script = lambda request: [wrong(picture(request))] if isinstance(request, wire.Stylize) else None
    download = run(download_of(connection, photograph(), file(tmp_path)))
    assert download.state == "failed"
    assert said in download.message
    assert list(tmp_path.iterdir()) == []


def test_cancelling_tells_the_server_and_leaves_nothing(
    server: FakeServer, connection: Connection, tmp_path: Path
) -> None:
    server.script = lambda request: [] if isinstance(request, wire.Stylize) else None
    download = download_of(connection, photograph(), file(tmp_path))
    run(download, until=lambda: server.asked(wire.Stylize))
    download.cancel()
    assert (download.state, download.message, download.tick()) == ("cancelled", "Cancelled.", False)
    assert list(tmp_path.iterdir()) == []
    deadline = time.monotonic() + 5
    while not server.asked(wire.Cancel) and time.monotonic() < deadline:
        connection.tick()
        time.sleep(0.001)
    assert [each.target for each in server.asked(wire.Cancel)] == [server.asked(wire.Stylize)[0].id]


def test_progress_of_the_server_is_counted(server: FakeServer, connection: Connection) -> None:
    server.script = lambda request: (
        [wire.Progress(id=request.id, done=300, of=1200)] if isinstance(request, wire.Stylize) else None
    )
    download = download_of(connection, photograph(), MemorySink())
    run(download, until=lambda: download.done_pixels)
    assert (download.state, download.done_pixels, download.total_pixels, download.fraction) == (
        "running",
        300,
        1200,
        0.25,
    )
    assert download.message == "Stylizing with ink: 25 %."


def test_a_refusal_is_told_in_the_servers_words(server: FakeServer, connection: Connection) -> None:
    download = run(download_of(connection, photograph(), MemorySink(), model="inc"))
    assert (download.state, download.message) == ("failed", "There is no model 'inc'. Did you mean 'brick'?")
    server.script = lambda request: (
        [refusal(request, "busy", retry_ms=1)] if isinstance(request, wire.Stylize) else None
    )
    download = download_of(connection, photograph(), MemorySink())
    run(download, until=lambda: len(server.asked(wire.Stylize)) > 3)
    download.cancel()
