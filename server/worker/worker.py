"""A worker: one process, one device, one task after another. It keeps models in memory and nothing else.

Started by the front of the server (`python -m server.worker`, told on its standard input where to report), or by
hand on another machine (`texserver --worker-of PAIRING`): the same code. It calls the front, says every two seconds
that it is there, and does what it is told:

    load    a model file's bytes, by their hash        drop    a model
    paint   one canonical tile of one texture          stop
    stylize one picture, whose samples come along      leave   a picture that nobody waits for any more
    go on   nothing: that it could be sent tells the front that the worker is there

and answers each tile by `done`, with the samples of each map of the model, each picture by `done`, with its samples and
its statistics, or either by `failed`, with a code and a sentence. After every block of a picture it tells `progress`
and looks what has come. A message is a msgpack map and raw buffers.

Out of memory: models that are not in use leave the device, then the tile is painted in smaller pieces, which gives the
same pixels up to the last bit of a rounding; a block of a picture likewise (server/worker/stylist.py).
"""

import json
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgpack
import torch
import zmq

from blender_addon.protocol.pairing import Keys, z85
from server import __version__
from server.errors import TexserverError
from server.model.maps import Depth
from server.model.torus import Size, Window
from server.network.devices import choose_device, choose_precision, prepare
from server.network.generator import Generator
from server.network.model_file import parse_model
from server.network.short_memory import NoMemory, is_out_of_memory
from server.network.style_generator import StyleGenerator
from server.network.texture import tile_bytes, window_bytes
from server.quilt.quilt import Quilt
from server.worker.stylist import Stylist
from server.worker.worker_config import MISCONFIGURED, WorkerConfig

SAYS_EVERY_S = 2.0
SMALLEST_PX = 64  # side of the pieces below which out of memory is given up
NICENESS = 10  # below the front, which must answer at once, and the artist's own programs


def main() -> int:
    """Read the configuration from standard input and work until it closes: then the server is gone."""
    told = sys.stdin.buffer.readline()
    if not told:  # the server ended before it said anything
        return 0
    config = WorkerConfig(**json.loads(told))
    threading.Thread(target=_leave_with_the_server, daemon=True).start()
    return run(config)


def _leave_with_the_server() -> None:
    while os.read(sys.stdin.fileno(), 4096):  # not through sys.stdin, whose lock must be free when the process ends
        pass
    os._exit(0)


def run(config: WorkerConfig) -> int:
    """Work for the server of the configuration until told to stop. 2 when the device cannot be had."""
    with suppress(OSError, AttributeError):
        os.nice(NICENESS)
    if config.threads:
        torch.set_num_threads(config.threads)
    try:
        worker = Worker(config)
    except TexserverError as error:
        print(f"texserver worker {config.name}: {error}", file=sys.stderr, flush=True)
        return MISCONFIGURED
    context = zmq.Context()
    try:
        with connected(context, config) as socket:
            return worker.serve(socket)
    except KeyboardInterrupt:
        return 130
    finally:
        context.destroy(linger=0)


def connected(context: "zmq.Context[Any]", config: WorkerConfig) -> "zmq.Socket[Any]":
    """A socket on its way to the front."""
    socket: zmq.Socket[Any] = context.socket(zmq.DEALER)
    socket.linger = 0
    socket.ipv6 = "[" in config.endpoint
    socket.set(zmq.HEARTBEAT_IVL, 5000)
    socket.set(zmq.HEARTBEAT_TIMEOUT, 20000)
    if config.server_key:
        keys = Keys(server=bytes.fromhex(config.server_key), client=bytes.fromhex(config.own_key))
        socket.curve_serverkey = z85(keys.server)
        socket.curve_publickey = keys.client_public
        socket.curve_secretkey = z85(keys.client)
    socket.connect(config.endpoint)
    return socket


Answer = tuple[Mapping[str, Any], Sequence[memoryview]]


class Worker:
    """What one worker does, message by message. Raises NoSuchDevice."""

    def __init__(self, config: WorkerConfig) -> None:
        self.name = config.name
        self.device = choose_device(config.device)
        self.precision = choose_precision(self.device, config.precision)
        self.generators: dict[str, Generator | Quilt | StyleGenerator] = {}
        self.unusable: dict[str, tuple[str, str]] = {}  # why a model could not be loaded: a code and a sentence
        self.left: set[int] = set()  # tasks that are here and need not be done any more
        self._orders: deque[tuple[Mapping[str, Any], Sequence[memoryview]]] = deque()  # that came and wait
        self._at = 0  # the task it is at

    def serve(self, socket: "zmq.Socket[Any]") -> int:
        """Until told to stop: 0, or 2 when the server has no use for this worker."""
        said = -SAYS_EVERY_S
        try:
            while True:
                if time.monotonic() - said >= SAYS_EVERY_S:
                    socket.send(msgpack.packb(self.here()))
                    said = time.monotonic()
                self._receive(socket, 0 if self._orders else SAYS_EVERY_S)
                if not self._orders:
                    continue
                message, buffers = self._orders.popleft()
                if message["do"] == "stop":
                    if why := message.get("why"):
                        print(f"texserver worker {self.name}: sent away: {why}.", file=sys.stderr, flush=True)
                    return MISCONFIGURED if why else 0
                for answer, planes in self.do(message, buffers):
                    socket.send_multipart([msgpack.packb(answer), *planes], copy=False)
                    self._receive(socket, 0)
        except _NoServer:
            print(
                f"texserver worker {self.name}: it is answered as a client; copy the --worker-of line that the "
                "server prints.",
                file=sys.stderr,
                flush=True,
            )
            return MISCONFIGURED

    def _receive(self, socket: "zmq.Socket[Any]", patience_s: float) -> None:
        """Take in all that has come, to be done in order; what need not be done any more is known at once."""
        while socket.poll(int(patience_s * 1000)):
            header, *buffers = socket.recv_multipart(copy=False)
            try:
                message = msgpack.unpackb(header.buffer)
                do = message["do"]
            except (ValueError, TypeError, KeyError, msgpack.UnpackException):
                raise _NoServer from None
            if do == "leave":
                self.leave(message["task"])
            else:
                self._orders.append((message, [buffer.buffer for buffer in buffers]))
            patience_s = 0

    def leave(self, task: int) -> None:
        """Nobody waits for it any more. One that has been answered already is none of ours."""
        if task == self._at or any(order.get("task") == task for order, _ in self._orders):
            self.left.add(task)

    def here(self) -> dict[str, Any]:
        """What it says of itself. `others`: devices of the same kind that are free for further workers."""
        count = torch.cuda.device_count() if self.device.type == "cuda" else 1
        return {
            "say": "here",
            "name": self.name,
            "device": str(self.device),
            "others": [f"cuda:{index}" for index in range(1, count)],
            "precision": self.precision,
            "version": __version__,
            "memory_mb": _memory_mb(self.device),
        }

    def do(self, message: Mapping[str, Any], buffers: Sequence[memoryview]) -> Iterator[Answer]:
        """Do what one message says; yields what is to be answered."""
        match message["do"]:
            case "load":
                self._load(message["sha256"], message["name"], buffers[0])
            case "drop":
                self.generators.pop(message["sha256"], None)
                self.unusable.pop(message["sha256"], None)
            case "paint":
                yield self._paint(message)
            case "stylize":
                self._at = message["task"]
                yield from self._stylize(message, buffers[0])
                self.left.discard(self._at)
                self._at = 0

    def _load(self, sha256: str, name: str, content: memoryview) -> None:
        for _ in range(2):
            try:
                model = parse_model(name, bytes(content))
                self.generators[sha256] = prepare(model.generator, self.device, self.precision)
                return
            except ValueError as error:
                self.unusable[sha256] = "unknown_model", f"The model {name!r} cannot be used: {error}."
                return
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            self._make_room()
        self.unusable[sha256] = "oom", f"The device has not enough memory for the model {name!r}."

    def _paint(self, message: Mapping[str, Any]) -> Answer:
        task, sha256 = message["task"], message["sha256"]
        if sha256 in self.unusable:
            return _failed(task, *self.unusable[sha256])
        try:
            planes = self._planes(message)
        except Exception as error:
            return self._failure(task, error)
        return {"say": "done", "task": task}, planes

    def _stylize(self, message: Mapping[str, Any], content: memoryview) -> Iterator[Answer]:
        task, sha256 = message["task"], message["sha256"]
        if sha256 in self.unusable:
            yield _failed(task, *self.unusable[sha256])
            return
        try:
            generator = self.generators[sha256]
            assert isinstance(generator, StyleGenerator)  # the front knows kinds
            picture = Stylist(message, content, partial(self._make_room, generator))
            for done in picture.blocks(generator.to(self.device)):  # back, where memory had been short
                if task in self.left:
                    yield _failed(task, "cancelled", "Nobody waits for it any more.")
                    return
                yield {"say": "progress", "task": task, "done": done}, []
        except Exception as error:
            yield self._failure(task, error)
        else:
            yield {"say": "done", "task": task}, picture.answer()

    def _failure(self, task: int, error: Exception) -> Answer:
        """What is our own fault stays in the server's log."""
        if isinstance(error, NoMemory) or is_out_of_memory(error):
            text = "The device has not enough memory even for a small piece; close other programs that use it."
            return _failed(task, "oom", text)
        print(f"texserver worker {self.name}: task {task}: {error!r}", file=sys.stderr, flush=True)
        return _failed(task, "internal", f"The worker {self.name} failed on this request; the server's log says why.")

    def _planes(self, message: Mapping[str, Any]) -> list[memoryview]:
        generator = self.generators[message["sha256"]]
        assert not isinstance(generator, StyleGenerator)  # the front knows kinds
        samples = self._samples(
            generator, message["seed"], Size(*message["size"]), Window(*message["tile"]), message["depths"]
        )
        return [plane.numpy().data.cast("B") for plane in samples]

    def _samples(
        self, generator: Generator | Quilt, seed: int, size: Size, tile: Window, depths: Sequence[Depth]
    ) -> list[torch.Tensor]:
        try:
            return tile_bytes(generator.to(self.device), seed, size, tile, depths)  # back, where memory had been short
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        self._make_room(generator)
        return in_pieces(generator, self.device, seed, size, tile, depths)

    def _make_room(self, wanted: Generator | Quilt | StyleGenerator | None = None) -> None:
        """Models that are not wanted leave the device."""
        for generator in self.generators.values():
            if generator is not wanted:
                generator.cpu()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


class _NoServer(Exception):
    """What came is no message of a front."""


def _failed(task: int, code: str, text: str) -> Answer:
    return {"say": "failed", "task": task, "code": code, "text": text}, []


def in_pieces(
    generator: Generator | Quilt, device: torch.device, seed: int, size: Size, tile: Window, depths: Sequence[Depth]
) -> list[torch.Tensor]:
    """The tile, painted quarter by quarter on half the memory and less. Raises NoMemory at the smallest."""
    if min(tile.height, tile.width) < 2 * SMALLEST_PX:
        raise NoMemory
    middle, centre = tile.height // 2, tile.width // 2
    rows = []
    for top, bottom in ((0, middle), (middle, tile.height)):
        parts = []
        for left, right in ((0, centre), (centre, tile.width)):
            part = Window(tile.top + top, tile.left + left, bottom - top, right - left)
            piece = _piece(generator, device, seed, size, part, depths)
            if piece is None:  # here, where the failed one's tensors are gone
                piece = in_pieces(generator, device, seed, size, part, depths)
            parts.append(piece)
        rows.append([torch.cat(planes, 1) for planes in zip(*parts, strict=True)])
    return [torch.cat(planes, 0) for planes in zip(*rows, strict=True)]


def _piece(
    generator: Generator | Quilt, device: torch.device, seed: int, size: Size, part: Window, depths: Sequence[Depth]
) -> list[torch.Tensor] | None:
    """A part of a tile, or None where memory is too short for it."""
    try:
        return window_bytes(generator.to(device), seed, size, part, depths)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None


def _memory_mb(device: torch.device) -> int:
    """Of the device where it is one of its own, else of this process."""
    if device.type == "cuda":
        return int(torch.cuda.memory_reserved(device)) // 2**20
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[1]) * 4096 // 2**20
    except OSError:
        return 0


if __name__ == "__main__":
    sys.exit(main())
