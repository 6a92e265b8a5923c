"""A download brings every pixel to its place, whatever the server, the network and the disk do, or says why not."""

import errno
import json
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
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
from blender_addon.client.download import LONGEST_PAUSE_S, MOST_TRIES, Download
from blender_addon.client.sinks import FileSink, MemorySink
from blender_addon.client.texture_download import TextureDownload
from blender_addon.pictures import draft as draft_file
from blender_addon.pictures.draft import ImageFileError
from blender_addon.protocol import wire
from blender_addon.protocol.errors import Refused
from blender_addon.protocol.tile_grid import tile_side
from tests.blender_addon.fake_server import CHANNELS, SHA256, FakeServer, painted, refusal, result, times
from tests.blender_addon.pictures.test_image_file import decode_png

pytestmark = pytest.mark.timeout(60)

SMALL = wire.Limits(tile=64, max_window_pixels=64 * 64 * 3)  # a texture of 300 has 5 x 5 tiles of 60, three at once


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(limits=SMALL) as running:
        yield running


@pytest.fixture
def connection(server: FakeServer) -> Iterator[Connection]:
    with closing(Connection(lambda: server.pairing)) as connection:
        yield connection


def run(
    download: TextureDownload, within_s: float = 20.0, until: Callable[[], object] = lambda: False
) -> TextureDownload:
    """Tick as Blender would, to the end or until it is so."""
    start = time.monotonic()
    while download.tick() and not until():
        assert time.monotonic() - start < within_s, download.message
        time.sleep(0.001)
    return download


def pixels(sink: MemorySink, name: str = "basecolor") -> NDArray[Any]:
    assert sink.painting
    height, width = sink.painting.window[2:]
    (depth,) = (each.depth for each in sink.painting.maps if each.name == name)
    return np.frombuffer(sink.pixels[name], f"<u{depth // 8}").reshape(height, width, -1)


def files(folder: Path, suffix: str = ".png") -> FileSink:
    return FileSink(lambda names: [folder / f"wall-{name}{suffix}" for name in names])


def windows_asked(server: FakeServer) -> list[tuple[int, int, int, int]]:
    return [request.window for request in server.asked(wire.Generate)]


# ------------------------------------------------------------------------------------------------------------- pixels


@pytest.mark.parametrize("depth", [8, 16, None])
@pytest.mark.parametrize(
    ("size", "window"),
    [
        ((64, 64), None),
        ((300, 300), None),
        ((301, 173), None),
        ((97, 1000), None),
        ((301, 173), (290, 160, 100, 100)),
        ((301, 173), (-17, -5, 301, 173)),
        ((301, 173), (300, 172, 1, 1)),
    ],
    ids=str,
)
def test_every_pixel_comes_to_its_place(
    connection: Connection, size: tuple[int, int], window: tuple[int, int, int, int] | None, depth: int | None
) -> None:
    sink = MemorySink()
    download = run(TextureDownload(connection, "brick", 2**64 - 1, size, sink, window=window, depth=depth))
    assert (download.state, download.message) == ("done", "brick is painted.")
    assert download.done_pixels == download.total_pixels
    for name in CHANNELS:
        np.testing.assert_array_equal(pixels(sink, name), painted(2**64 - 1, size, window, name, depth))


@pytest.mark.parametrize("most", [1, 7, 500], ids=str)
def test_a_server_with_strange_limits_is_served_too(most: int) -> None:
    limits = wire.Limits(tile=64, max_window_pixels=most)
    with FakeServer(limits=limits) as server, closing(Connection(lambda: server.pairing)) as connection:
        sink = MemorySink()
        run(TextureDownload(connection, "brick", 7, (16, 20), sink))
        np.testing.assert_array_equal(pixels(sink), painted(7, (16, 20)))


@pytest.mark.parametrize(("depth", "pixel_bytes"), [(8, 4), (16, 8), (None, 5)])
def test_results_stay_within_the_bytes_the_server_allows(depth: int | None, pixel_bytes: int) -> None:
    limits = wire.Limits(tile=64, max_result_bytes=64 * 64 * pixel_bytes)
    with FakeServer(limits=limits) as server, closing(Connection(lambda: server.pairing)) as connection:
        run(TextureDownload(connection, "brick", 7, (256, 256), MemorySink(), depth=depth))
        assert all(
            height * width * pixel_bytes <= limits.max_result_bytes for _, _, height, width in windows_asked(server)
        )
        assert (64, 64) in {window[2:] for window in windows_asked(server)}


@pytest.mark.parametrize("window", [None, (-70, 10, 200, 300)], ids=str)
def test_no_tile_is_asked_for_twice(
    server: FakeServer, connection: Connection, window: tuple[int, int, int, int] | None
) -> None:
    run(TextureDownload(connection, "brick", 7, (300, 310), MemorySink(), window=window))
    down, across = tile_side(300, 64), tile_side(310, 64)
    tiles = [
        (y // down, x // across)
        for top, left, height, width in windows_asked(server)
        for y in {(top + row) % 300 // down * down for row in range(height)}
        for x in {(left + column) % 310 // across * across for column in range(width)}
    ]
    assert len(windows_asked(server)) > 5
    assert len(tiles) == len(set(tiles)) or window  # a window's first and last tile may be one, around the torus
    assert len(tiles) - len(set(tiles)) <= 7


def test_only_the_maps_wanted_come(connection: Connection) -> None:
    sink = MemorySink()
    run(TextureDownload(connection, "brick", 7, (64, 64), sink, maps=["height"]))
    assert list(sink.pixels) == ["height"]


def test_two_jobs_share_a_connection(connection: Connection) -> None:
    sinks = MemorySink(), MemorySink()
    downloads = [TextureDownload(connection, "brick", seed, (300, 300), sink) for seed, sink in enumerate(sinks)]
    while not all(download.ended for download in downloads):
        for download in downloads:
            download.tick()
        time.sleep(0.001)
    for seed, sink in enumerate(sinks):
        np.testing.assert_array_equal(pixels(sink), painted(seed, (300, 300)))


def test_parts_may_come_in_any_order(server: FakeServer, connection: Connection, tmp_path: Path) -> None:
    held: list[wire.Generate] = []

    def script(request: wire.Request) -> Any:
        if not isinstance(request, wire.Generate) or not request.sha256:
            return None
        held.append(request)
        if len(held) < 3 and sum(h * w for _, _, h, w in windows_asked(server)) < 300 * 300:
            return []
        answers = [result(each) for each in reversed(held)]
        held.clear()
        return answers

    server.script = script
    download = run(TextureDownload(connection, "brick", 7, (300, 300), files(tmp_path)))
    assert download.state == "done", download.message
    with Image.open(tmp_path / "wall-basecolor.png") as image:
        np.testing.assert_array_equal(np.asarray(image), painted(7, (300, 300)))


@pytest.mark.parametrize(
    ("maps", "depth", "told"),
    [(None, None, None), (["basecolor"], None, 8), (["height"], None, 16), (None, 8, 8), (None, 16, 16)],
)
def test_a_painting_tells_the_depth_to_ask_for_again(
    connection: Connection, maps: Any, depth: int | None, told: int | None
) -> None:
    sink = MemorySink()
    run(TextureDownload(connection, "brick", 7, (64, 64), sink, maps=maps, depth=depth))
    assert sink.painting
    assert sink.painting.depth == told


def test_a_server_that_has_8_bits_of_every_map_is_believed_unless_others_were_asked_for(
    server: FakeServer, connection: Connection
) -> None:
    """As servers did before maps had depths of their own."""
    server.script = lambda request: [result(replace(request, depth=8))] if isinstance(request, wire.Generate) else None
    sink = MemorySink()
    download = run(TextureDownload(connection, "brick", 7, (100, 200), sink))
    assert download.state == "done", download.message
    np.testing.assert_array_equal(pixels(sink, "height"), painted(7, (100, 200), name="height", depth=8))
    download = run(TextureDownload(connection, "brick", 7, (100, 200), MemorySink(), depth=16))
    assert (download.state, download.message[:27]) == ("failed", "The server sent other pixel")


# -------------------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("depth", [8, 16, None])
def test_files_hold_the_texture_and_say_how_it_was_made(
    server: FakeServer, connection: Connection, tmp_path: Path, suffix: str, depth: int | None
) -> None:
    size, window = (301, 173), (-17, 150, 250, 170)
    sink = files(tmp_path, suffix)
    download = run(TextureDownload(connection, "brick", 7, size, sink, window=window, depth=depth))
    assert download.state == "done", download.message
    assert sorted(each.name for each in tmp_path.iterdir()) == [f"wall-basecolor{suffix}", f"wall-height{suffix}"]
    for name, path in sink.paths.items():
        want = painted(7, size, window, name, depth)
        if suffix == ".tif":
            np.testing.assert_array_equal(tifffile.imread(path).reshape(want.shape), want)
        elif want.dtype == "u2":
            np.testing.assert_array_equal(decode_png(path.read_bytes()), want)
        with Image.open(path) as image:
            if want.dtype == "u1":
                np.testing.assert_array_equal(np.asarray(image).reshape(want.shape), want)
            said = json.loads(image.tag_v2[270]) if suffix == ".tif" else image.text  # type: ignore[attr-defined]
            assert said == {
                "Software": "texserver 9.9",
                "Model": "brick",
                "Model SHA-256": SHA256,
                "Map": name,
                "Seed": "7",
                "Size": "173x301",
                "Window": "150,-17,170x250",
                "Precision": "exact",
                "Server": f"127.0.0.1:{server.port}",
            }
            assert ("srgb" in image.info) == (name == "basecolor" and suffix == ".png")


def test_a_full_disk_ends_the_job_with_a_sentence_and_leaves_nothing(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = [0]
    write = draft_file.Draft.write

    def fills(draft: Any, data: draft_file.Data, *, at: int | None = None) -> None:
        written[0] += len(data)
        with draft._disk():
            if written[0] > 50_000:
                raise OSError(errno.ENOSPC, "No space left on device")
        write(draft, data, at=at)

    monkeypatch.setattr(draft_file.Draft, "write", fills)
    download = run(TextureDownload(connection, "brick", 7, (300, 300), files(tmp_path, ".tif")))
    assert download.state == "failed"
    assert isinstance(download.error, ImageFileError)
    assert "disk is full" in download.message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name_files", "said"),
    [
        (lambda names: [Path("no-such-folder") / f"{name}.png" for name in names], "There is no folder"),
        (lambda names: [Path(f"{name}.jpeg") for name in names], "Cannot tell a format"),
        (lambda names: [Path("same.png")] * len(names), "would be one file"),
        (lambda names: [Path(f"{name}{'.png' if name < 'c' else '.bmp'}") for name in names], "Cannot tell a format"),
    ],
    ids=["no folder", "no format", "one file", "the second"],
)
def test_files_that_cannot_be_are_told_of(
    connection: Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name_files: Callable[[Sequence[str]], Sequence[Path]],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    download = run(TextureDownload(connection, "brick", 7, (300, 300), FileSink(name_files)))
    assert download.state == "failed"
    assert said in download.message
    assert list(tmp_path.iterdir()) == []


def test_a_png_holds_back_no_more_than_a_row_of_tiles(tmp_path: Path) -> None:
    """The first part after the probe never comes; the download waits for it instead of filling the memory."""
    limits = wire.Limits(tile=64, max_window_pixels=64 * 64 * 4)
    lost: list[wire.Generate] = []

    def script(request: wire.Request) -> Any:
        if isinstance(request, wire.Generate) and request.sha256 and not lost:
            lost.append(request)
            return []
        return None

    with FakeServer(limits=limits, script=script) as server, closing(Connection(lambda: server.pairing)) as connection:
        size = (4096, 1024)
        sink = files(tmp_path)
        download = TextureDownload(connection, "brick", 7, size, sink, in_flight=3)
        tracemalloc.start()
        for _ in range(300):
            download.tick()
            time.sleep(0.002)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        a_row_of_tiles = 64 * 1024 * 5
        assert len(windows_asked(server)) <= 1 + 4  # a row of tiles is four parts
        held = sum(len(row) for file in sink._files.values() for row in file._rows.values())  # type: ignore[union-attr]
        assert 0 < held <= 2 * a_row_of_tiles
        assert peak < 16 * a_row_of_tiles  # of 64, though what the fake server holds is among it
        server.script = lambda request: None
        server.die()
        server.start()
        run(download)
        assert download.state == "done", download.message


def slowest_tick_s(download: Download) -> float:
    """In processor time, since the machine may be busy with others; the download must succeed."""
    slowest_s, going = 0.0, True
    while going:
        start = time.thread_time()
        going = download.tick()
        slowest_s = max(slowest_s, time.thread_time() - start)
        time.sleep(0.001)
    assert download.state == "done", download.message
    return slowest_s


@pytest.mark.serial
def test_ticks_are_short_whatever_arrives(tmp_path: Path) -> None:
    with FakeServer() as server, closing(Connection(lambda: server.pairing)) as connection:
        download = TextureDownload(connection, "brick", 7, (2048, 2048), files(tmp_path))
        assert slowest_tick_s(download) < 0.1


# ----------------------------------------------------------------------------------------------------------- failures


def test_a_server_that_dies_and_comes_back_elsewhere_is_no_loss(
    server: FakeServer, connection: Connection, tmp_path: Path
) -> None:
    server.script = lambda request: [] if len(server.asked(wire.Generate)) > 4 else None
    download = TextureDownload(connection, "brick", 7, (300, 300), files(tmp_path))
    run(download, until=lambda: len(server.asked(wire.Generate)) > 5)
    old_port = server.port
    server.die()
    run(download, until=lambda: connection.state == "failed-for-now")
    assert download.message.startswith(f"No texserver runs at 127.0.0.1:{old_port}.")
    assert 0 < download.done_pixels < download.total_pixels
    server.script = lambda request: None
    server.start()
    assert server.port != old_port
    run(download)
    with Image.open(tmp_path / "wall-basecolor.png") as image:
        np.testing.assert_array_equal(np.asarray(image), painted(7, (300, 300)))


def test_a_job_that_finds_no_server_says_so_and_begins_when_there_is_one(server: FakeServer) -> None:
    server.die()
    with closing(Connection(lambda: server.pairing)) as connection:
        sink = MemorySink()
        download = run(
            TextureDownload(connection, "brick", 7, (64, 64), sink), until=lambda: connection.state != "connecting"
        )
        assert (download.state, download.tick()) == ("waiting", True)
        assert download.message.startswith("No texserver runs at")
        server.start()
        run(download)
        np.testing.assert_array_equal(pixels(sink), painted(7, (64, 64)))


@pytest.mark.parametrize("code", ["busy", "shutting_down"])
def test_a_busy_server_is_asked_until_it_is_not(server: FakeServer, connection: Connection, code: str) -> None:
    server.script = times(3 * MOST_TRIES, code, retry_ms=1)
    sink = MemorySink()
    download = TextureDownload(connection, "brick", 7, (300, 300), sink)
    run(download, until=lambda: "Trying again" in download.message)
    assert download.message == f"This is {code}. Trying again."
    run(download)
    np.testing.assert_array_equal(pixels(sink), painted(7, (300, 300)))


@pytest.mark.parametrize("code", ["worker_lost", "internal", "expired"])
def test_what_the_server_fails_on_is_tried_a_few_times(server: FakeServer, connection: Connection, code: str) -> None:
    server.script = times(MOST_TRIES - 1, code, retry_ms=1)
    assert run(TextureDownload(connection, "brick", 7, (64, 64), MemorySink())).state == "done"
    server.requests.clear()
    server.script = times(1000, code, retry_ms=1)
    download = run(TextureDownload(connection, "brick", 7, (64, 64), MemorySink()))
    assert (download.state, download.message) == ("failed", f"This is {code}.")
    assert isinstance(download.error, Refused)
    assert download.error.code == code
    assert len(server.asked(wire.Generate)) == MOST_TRIES


def test_pauses_grow_when_the_server_gives_none(server: FakeServer, connection: Connection) -> None:
    clock = [0.0]
    server.script = times(9, "busy")
    download = TextureDownload(connection, "brick", 7, (64, 64), MemorySink(), clock=lambda: clock[0])
    asked_at: list[float] = []

    def settled() -> bool:
        if len(server.asked(wire.Generate)) > len(asked_at):
            asked_at.append(clock[0])
        elif "Trying again" in download.message and not connection._outstanding:  # not on its way to the server
            clock[0] += 0.05
        return False

    run(download, until=settled)
    pauses = np.diff(asked_at)[:8]
    want = [0.2, 0.4, 0.8, 1.6, 3.2, LONGEST_PAUSE_S, LONGEST_PAUSE_S, LONGEST_PAUSE_S]
    assert len(pauses) == 8
    assert all(want[i] - 0.01 <= pause <= want[i] + 0.5 for i, pause in enumerate(pauses)), pauses


def test_a_refusal_is_told_in_the_servers_words(connection: Connection) -> None:
    download = run(TextureDownload(connection, "brisk", 7, (64, 64), MemorySink()))
    assert (download.state, download.message) == ("failed", "There is no model 'brisk'. Did you mean 'brick'?")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"size": (64, 15)}, "size: it is [64, 15]"),
        ({"size": (64, 20000)}, "size: it is [64, 20000]"),
        ({"window": (64, 0, 8, 8)}, "window:"),
        ({"window": (0, 0, 0, 8)}, "window:"),
        ({"window": (0, 0, 8, 65)}, "window:"),
        ({"seed": -1}, "seed:"),
        ({"depth": 12}, "depth:"),
        ({"maps": []}, "maps:"),
        ({"model": "x" * 300}, "model:"),
    ],
    ids=str,
)
def test_nonsense_is_refused_before_anything_is_asked(
    server: FakeServer, connection: Connection, options: dict[str, Any], said: str
) -> None:
    wanted: dict[str, Any] = {"model": "brick", "seed": 7, "size": (64, 64)} | options
    download = run(TextureDownload(connection, sink=MemorySink(), **wanted))
    assert download.state == "failed"
    assert download.message.startswith(said)
    assert not server.asked(wire.Generate)


def test_a_model_that_is_replaced_meanwhile_is_told_of(
    server: FakeServer, connection: Connection, tmp_path: Path
) -> None:
    def script(request: wire.Request) -> Any:
        if isinstance(request, wire.Generate) and len(server.asked(wire.Generate)) > 5:
            return [refusal(request, "unknown_model")]
        return None

    server.script = script
    download = run(TextureDownload(connection, "brick", 7, (300, 300), files(tmp_path)))
    assert download.state == "failed"
    assert "was replaced or removed" in download.message
    assert list(tmp_path.iterdir()) == []
    assert {each.sha256 for each in server.asked(wire.Generate)[1:]} == {SHA256}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda right: replace(right, buffers=right.buffers[:1]), "another precision"),
        (lambda right: replace(right, precision="fast"), "another precision"),
        (lambda right: replace(right, sha256="cd" * 32), "was replaced"),
        (lambda right: replace(right, buffers=()), "other pixels"),
        (lambda right: wire.Status(id=right.id, report={}), "answered with status"),
        (
            lambda right: replace(right, buffers=(replace(right.buffers[0], shape=(1, 1, 3), data=b"abc"),)),
            "other pixels",
        ),
        (lambda right: replace(right, buffers=(replace(right.buffers[0], name="../x"),)), "other pixels"),
        (lambda right: replace(right, buffers=right.buffers[:1] * 2), "other pixels"),
    ],
    ids=["maps", "precision", "model", "nothing", "status", "shape", "name", "twice"],
)
def test_answers_that_do_not_fit_end_the_download(
    server: FakeServer, connection: Connection, wrong: Callable[[wire.Result], wire.Reply], said: str
) -> None:
    def script(request: wire.Request) -> Any:
        if isinstance(request, wire.Generate) and len(server.asked(wire.Generate)) > 3:
            return [wrong(result(request))]
        return None

    server.script = script
    download = run(TextureDownload(connection, "brick", 7, (300, 300), MemorySink()))
    assert download.state == "failed"
    assert said in download.message


def test_cancelling_tells_the_server_and_leaves_nothing(
    server: FakeServer, connection: Connection, tmp_path: Path
) -> None:
    server.script = lambda request: [] if isinstance(request, wire.Generate) and request.sha256 else None
    download = TextureDownload(connection, "brick", 7, (300, 300), files(tmp_path))
    run(download, until=lambda: len(server.asked(wire.Generate)) == 4)
    assert len(list(tmp_path.iterdir())) == 2  # drafts
    download.cancel()
    assert (download.state, download.message, download.tick()) == ("cancelled", "Cancelled.", False)
    assert list(tmp_path.iterdir()) == []
    deadline = time.monotonic() + 5
    while len(server.asked(wire.Cancel)) < 3 and time.monotonic() < deadline:
        connection.tick()
        time.sleep(0.001)
    waiting = {each.id for each in server.asked(wire.Generate)[1:]}
    assert {each.target for each in server.asked(wire.Cancel)} == waiting
    download.cancel()
    assert download.state == "cancelled"


def test_progress_of_the_server_is_counted(server: FakeServer, connection: Connection) -> None:
    def script(request: wire.Request) -> Any:
        if isinstance(request, wire.Generate):
            return [wire.Progress(id=request.id, done=1000, of=4096)]
        return None

    server.script = script
    download = TextureDownload(connection, "brick", 7, (64, 64), MemorySink())
    run(download, until=lambda: download.done_pixels)
    assert (download.done_pixels, download.total_pixels) == (1000, 4096)
    assert download.message == "Painting brick: 24 %."


@pytest.mark.parametrize("asked", [{"variant": 0}, {"wang": 2}])
def test_a_server_that_knows_no_common_edges_is_never_asked_for_them(
    server: FakeServer, connection: Connection, asked: dict[str, int]
) -> None:
    """It would ignore the fields and send another texture."""
    download = run(TextureDownload(connection, "brick", 1, (64, 64), MemorySink(), **asked))  # type: ignore[arg-type]
    assert download.state == "failed"
    assert "cannot paint textures with common edges. Update it" in download.message
    assert not server.asked(wire.Generate)


def test_what_fits_beside_others_says_so_with_every_request(server: FakeServer) -> None:
    server.features = (*server.features, "variants")
    with closing(Connection(lambda: server.pairing)) as connection:
        sink = MemorySink()
        run(TextureDownload(connection, "brick", 1, (300, 300), sink, variant=3, wang=2))
    assert sink.painting
    assert (sink.painting.variant, sink.painting.wang) == (3, 2)
    asked = server.asked(wire.Generate)
    assert len(asked) > 1
    assert {(each.variant, each.wang) for each in asked} == {(3, 2)}
