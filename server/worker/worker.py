"""A worker: one process, one device, one work item after another. It keeps models in memory and nothing else.

The server starts it (`python -m server.worker`, with its configuration on standard input), or a person does on another
machine (`texserver --worker-of FILE`). It connects to the front, reports every two seconds, and does what the front
says (server/model/work.py). After every block of a picture it reports progress and looks for new messages.

A large model is painted from where its file lies, or on another machine from a copy in memory, which comes piece by
piece. Either way its hash is computed here, and must be the one that the front told.

Out of memory: models that are not in use leave the device, then the tile is painted in smaller pieces, which gives the
same pixels up to the last bit of a rounding. Blocks of a picture are treated likewise (server/worker/stylist.py).
"""

import json
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from mmap import mmap
from pathlib import Path
from typing import Any

import torch
import zmq

from blender_addon.protocol.edges import Edges
from blender_addon.protocol.keepalive import notice_lost_connections
from blender_addon.protocol.linger import LINGER_MS
from blender_addon.protocol.pairing import Keys, z85
from server import __version__
from server.errors import BadRequest, TexserverError
from server.model.header import BrokenModel
from server.model.mapped_file import MappedFile, Overwritten
from server.model.maps import Depth
from server.model.receipt import receipt_of
from server.model.torus import Size, Window
from server.model.work import (
    PIECE_BYTES,
    BlendTile,
    Done,
    DropModel,
    Failed,
    FromFront,
    FromWorker,
    Here,
    Item,
    LeaveItem,
    LoadLarge,
    LoadModel,
    MalformedMessage,
    ModelPiece,
    PaintTile,
    Progress,
    Stop,
    StylizePicture,
    WantPiece,
    encode,
    parse_from_front,
)
from server.network.devices import arithmetic_of, choose_device, choose_precision, prepare
from server.network.model_file import AnyModel, AnyStyle, AnyTexture, Model, parse_model, read_model
from server.network.short_memory import NoMemory, is_out_of_memory
from server.network.texture import tile_bytes, window_bytes
from server.printable import printable
from server.worker.blender import Blender
from server.worker.stylist import Stylist
from server.worker.worker_config import MISCONFIGURED, WorkerConfig

REPORT_EVERY_S = 2.0
IN_FLIGHT = 2  # pieces of a large model, so that the line never idles
SMALLEST_PX = 64  # side of the smallest pieces; if memory is too short for them, the item fails
NICENESS = 10  # the front, which must answer at once, and the artist's own programs come first


def main() -> int:
    """Read the configuration from standard input and work until it closes: then the server is gone."""
    line = sys.stdin.buffer.readline()
    if not line:  # the server ended before it wrote anything
        return 0
    config = WorkerConfig(**json.loads(line))
    threading.Thread(target=_leave_with_the_server, daemon=True).start()
    return run(config)


def _leave_with_the_server() -> None:
    while os.read(sys.stdin.fileno(), 4096):  # not through sys.stdin, whose lock must be free when the process ends
        pass
    os._exit(0)


def run(config: WorkerConfig) -> int:
    """Work for the server of the configuration until told to stop. Returns 2 if this machine lacks the device."""
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
    """A socket that connects to the front."""
    socket: zmq.Socket[Any] = context.socket(zmq.DEALER)
    socket.linger = LINGER_MS
    if config.routing_id:
        socket.routing_id = config.routing_id.encode()
    socket.ipv6 = "[" in config.endpoint
    notice_lost_connections(socket)
    if config.server_key:
        keys = Keys(server=bytes.fromhex(config.server_key), client=bytes.fromhex(config.own_key))
        socket.curve_serverkey = z85(keys.server)
        socket.curve_publickey = keys.client_public
        socket.curve_secretkey = z85(keys.client)
    socket.connect(config.endpoint)
    return socket


@dataclass(frozen=True)
class Unusable:
    """Why a model cannot be used: a code and a sentence, and whether it would help to send it again."""

    code: str
    text: str
    lacks_model: bool


class Coming:
    """A large model on its way from another machine, piece by piece, into memory of its own."""

    def __init__(self, message: LoadLarge) -> None:
        self.name, self.content = message.name, mmap(-1, message.bytes)
        self._sha256 = message.sha256
        self._asked = self._taken = 0

    @property
    def complete(self) -> bool:
        return self._taken == len(self.content)

    def wants(self, count: int) -> Iterator[WantPiece]:
        """Ask for the next pieces, if there are any."""
        while count and self._asked < len(self.content):
            yield WantPiece(sha256=self._sha256, begin=self._asked)
            self._asked += PIECE_BYTES
            count -= 1

    def take(self, piece: ModelPiece) -> bool:
        """A piece that was asked for; they come in order. False for one that is not what it should be."""
        size = memoryview(piece.content).nbytes
        if piece.begin != self._taken or size != min(PIECE_BYTES, len(self.content) - self._taken):
            return False
        self.content[self._taken : self._taken + size] = bytes(piece.content)
        self._taken += size
        return True


class Worker:
    """What one worker does, message by message. Raises NoSuchDevice."""

    def __init__(self, config: WorkerConfig) -> None:
        self.name = config.name
        self.device = choose_device(config.device)
        self.precision = choose_precision(self.device, config.precision)
        self._arithmetic = arithmetic_of(self.device)
        self.generators: dict[str, AnyModel] = {}
        self.places: dict[str, MappedFile] = {}  # of large models, painted from where they lie
        self.unusable: dict[str, Unusable] = {}
        self.blender = Blender(self.generators)
        self.left: set[int] = set()  # items that are here and need not be done any more
        self._reads_files = config.reads_files
        self._coming: dict[str, Coming] = {}  # large models on their way
        self._messages: deque[FromFront] = deque()  # not yet acted on
        self._at = 0  # the item it is doing
        self._in_pieces = False  # whether the last tile was painted so

    def serve(self, socket: "zmq.Socket[Any]") -> int:
        """Work until told to stop. Returns 0, or 2 if the server has no use for this worker."""
        reported = -REPORT_EVERY_S
        try:
            while True:
                if time.monotonic() - reported >= REPORT_EVERY_S:
                    socket.send_multipart(encode(self.here()))
                    reported = time.monotonic()
                self._receive(socket, 0 if self._may_go_on else REPORT_EVERY_S)
                if not self._may_go_on:
                    continue
                message = self._messages.popleft()
                if isinstance(message, Stop):
                    if message.why:
                        why = printable(message.why)
                        print(f"texserver worker {self.name}: sent away: {why}.", file=sys.stderr, flush=True)
                    return MISCONFIGURED if message.why else 0
                for answer in self.do(message):
                    socket.send_multipart(encode(answer), copy=False)
                    self._receive(socket, 0)
        except MalformedMessage:
            print(
                f"texserver worker {self.name}: it is answered as a client; use the line that texserver --pairing "
                "workers prints.",
                file=sys.stderr,
                flush=True,
            )
            return MISCONFIGURED

    @property
    def _may_go_on(self) -> bool:
        """Whether there is a message, and no model on its way that it needs."""
        if not self._messages:
            return False
        first = self._messages[0]
        return not (isinstance(first, Item) and any(each in self._coming for each in first.hashes))

    def _receive(self, socket: "zmq.Socket[Any]", patience_s: float) -> None:
        """Queue all that has come. What need not be done any more is noted at once. Raises MalformedMessage."""
        while socket.poll(int(patience_s * 1000)):
            message = parse_from_front([frame.buffer for frame in socket.recv_multipart(copy=False)])
            if isinstance(message, LeaveItem):
                self.leave(message.number)
            elif isinstance(message, ModelPiece):
                self._messages.insert(sum(isinstance(each, ModelPiece) for each in self._messages), message)
            else:
                self._messages.append(message)
            patience_s = 0

    def leave(self, number: int) -> None:
        """Nobody waits for this item any more. One that has been answered already is ignored."""
        waiting = (each.number for each in self._messages if isinstance(each, Item))
        if number == self._at or number in waiting:
            self.left.add(number)

    def here(self) -> Here:
        """What it reports about itself."""
        count = torch.cuda.device_count() if self.device.type == "cuda" else 1
        return Here(
            version=__version__,
            name=self.name,
            device=str(self.device),
            others=tuple(f"cuda:{index}" for index in range(1, count)),
            precision=self.precision,
            memory_mb=_memory_mb(self.device),
            arithmetic=self._arithmetic,
        )

    def do(self, message: FromFront) -> Iterator[FromWorker]:
        """Do what one message says; yields the answers."""
        match message:
            case LoadModel():
                read = partial(parse_model, message.name, bytes(message.content))
                self._load(message.sha256, message.name, read, is_large=False)
            case LoadLarge():
                if message.path and self._reads_files:
                    path = Path(os.fsdecode(bytes(message.path)))
                    self._load(message.sha256, message.name, partial(read_model, path, message.sha256), is_large=True)
                else:
                    coming = self._coming[message.sha256] = Coming(message)
                    yield from coming.wants(IN_FLIGHT)
            case ModelPiece():
                yield from self._take(message)
            case DropModel():
                self._forget(message.sha256)
            case PaintTile():
                yield self._paint(message)
            case BlendTile():
                yield from self._blend(message)
            case StylizePicture():
                self._at = message.number
                yield from self._stylize(message)
                self.left.discard(self._at)
                self._at = 0

    def _load(self, sha256: str, name: str, read: Callable[[], Model], *, is_large: bool) -> None:
        self._forget(sha256)
        for _ in range(2):
            try:
                model = read()
                self.generators[sha256] = prepare(model.generator, self.device, self.precision)
                if model.place:
                    self.places[sha256] = model.place
                return
            except (ValueError, BrokenModel) as error:
                reason = error.reason if isinstance(error, BrokenModel) else str(error)
                text = f"The model {name!r} cannot be used: {reason}."
                self.unusable[sha256] = Unusable("unknown_model", text, lacks_model=is_large)
                return
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            self._make_room()
        text = f"The device has not enough memory for the model {name!r}."
        self.unusable[sha256] = Unusable("oom", text, lacks_model=False)

    def _take(self, piece: ModelPiece) -> Iterator[FromWorker]:
        """A piece of a large model: ask for the next one, or put the model to use."""
        coming = self._coming.get(piece.sha256)
        if coming is None:  # dropped meanwhile
            return
        if not coming.take(piece):
            del self._coming[piece.sha256]
            self._lose(piece.sha256, f"That version of the model {coming.name!r} is gone; begin anew.")
            return
        yield from coming.wants(1)
        if coming.complete:
            del self._coming[piece.sha256]
            read = partial(_whole, coming.name, coming.content, piece.sha256)
            self._load(piece.sha256, coming.name, read, is_large=True)

    def _forget(self, sha256: str) -> None:
        for models in (self.generators, self.places, self.unusable, self._coming):
            models.pop(sha256, None)
        self.blender.forget(sha256)

    def _lose(self, sha256: str, text: str) -> None:
        """A large model's file is no longer what it was."""
        self._forget(sha256)
        self.unusable[sha256] = Unusable("unknown_model", text, lacks_model=True)

    def _paint(self, item: PaintTile | BlendTile) -> Done | Failed:
        if any(each in self.unusable for each in item.hashes):
            return self._unusable(item)
        try:
            self._check_places(item)
            self._in_pieces = False
            planes = tuple(self._planes(item))
            self._check_places(item)
        except Overwritten as error:
            for sha256 in item.hashes:
                self._lose(sha256, f"The model's file cannot be used: {error}.")
            return self._unusable(item)
        except Exception as error:
            return self._failure(item.number, error)
        return Done(
            number=item.number,
            planes=() if item.receipt_only else planes,
            receipt=receipt_of(planes),
            in_pieces=self._in_pieces,
        )

    def _blend(self, item: BlendTile) -> Iterator[FromWorker]:
        """The first tile takes the time of several, so it reports in between."""
        if not any(each in self.unusable for each in item.hashes):
            try:
                for _ in self.blender.prepare(item):
                    yield Progress(number=item.number, done=0)
            except Exception as error:
                yield self._failure(item.number, error)
                return
        yield self._paint(item)

    def _check_places(self, item: Item) -> None:
        """Raises Overwritten."""
        for sha256 in item.hashes:
            if (place := self.places.get(sha256)) is not None:
                place.check()

    def _stylize(self, item: StylizePicture) -> Iterator[FromWorker]:
        number = item.number
        if item.sha256 in self.unusable:
            yield self._unusable(item)
            return
        try:
            generator = self.generators[item.sha256]
            assert isinstance(generator, AnyStyle)  # the front knows the kinds
            picture = Stylist(item, partial(self._make_room, generator))
            for done in picture.blocks(generator.to(self.device)):  # back, where memory had been short
                if number in self.left:
                    yield Failed(number=number, code="cancelled", text="Nobody waits for it any more.")
                    return
                yield Progress(number=number, done=done)
        except Exception as error:
            yield self._failure(number, error)
        else:
            planes = tuple(picture.answer())
            yield Done(number=number, planes=planes, receipt=receipt_of(planes))

    def _unusable(self, item: Item) -> Failed:
        why = next(self.unusable[each] for each in item.hashes if each in self.unusable)
        return Failed(number=item.number, code=why.code, text=why.text, lacks_model=why.lacks_model)

    def _failure(self, number: int, error: Exception) -> Failed:
        """For people. What is our own fault is described in the server's log alone."""
        if isinstance(error, NoMemory) or is_out_of_memory(error):
            text = "The device has not enough memory even for a small piece; close other programs that use it."
            return Failed(number=number, code="oom", text=text)
        if isinstance(error, BadRequest):
            return Failed(number=number, code=error.code, text=str(error))
        print(f"texserver worker {self.name}: item {number}: {error!r}", file=sys.stderr, flush=True)
        text = f"The worker {self.name} failed on this request; the server's log says why."
        return Failed(number=number, code="internal", text=text)

    def _planes(self, item: PaintTile | BlendTile) -> list[memoryview]:
        if isinstance(item, BlendTile):
            return [plane.numpy().data.cast("B") for plane in self._blended(item)]
        generator = self.generators[item.sha256]
        assert not isinstance(generator, AnyStyle)  # the front knows the kinds
        samples = self._samples(generator, item.seed, item.size, item.tile, item.depths, item.edges)
        return [plane.numpy().data.cast("B") for plane in samples]

    def _blended(self, item: BlendTile) -> list[torch.Tensor]:
        try:
            return self.blender.samples(item, self.device)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        self._make_room()
        return self.blender.samples(item, self.device)

    def _samples(
        self,
        generator: AnyTexture,
        seed: int,
        size: Size,
        tile: Window,
        depths: Sequence[Depth],
        edges: Edges | None,
    ) -> list[torch.Tensor]:
        try:
            placed = generator.to(self.device)  # back, where memory had been short
            return tile_bytes(placed, seed, size, tile, depths, edges)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        self._make_room(generator)
        self._in_pieces = True
        return in_pieces(generator, self.device, seed, size, tile, depths, edges)

    def _make_room(self, wanted: AnyModel | None = None) -> None:
        """All models but this one leave the device."""
        for generator in self.generators.values():
            if generator is not wanted:
                generator.cpu()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _whole(name: str, content: mmap, sha256: str) -> Model:
    """Raises ValueError with the reason."""
    content.seek(0)
    model = parse_model(name, content)
    if model.sha256 != sha256:
        raise ValueError("it was replaced by another version meanwhile")
    return model


def in_pieces(
    generator: AnyTexture,
    device: torch.device,
    seed: int,
    size: Size,
    tile: Window,
    depths: Sequence[Depth],
    edges: Edges | None = None,
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
            piece = _piece(generator, device, seed, size, part, depths, edges)
            if piece is None:  # here, where the failed one's tensors are gone
                piece = in_pieces(generator, device, seed, size, part, depths, edges)
            parts.append(piece)
        rows.append([torch.cat(planes, 1) for planes in zip(*parts, strict=True)])
    return [torch.cat(planes, 0) for planes in zip(*rows, strict=True)]


def _piece(
    generator: AnyTexture,
    device: torch.device,
    seed: int,
    size: Size,
    part: Window,
    depths: Sequence[Depth],
    edges: Edges | None,
) -> list[torch.Tensor] | None:
    """A part of a tile, or None where memory is too short for it."""
    try:
        return window_bytes(generator.to(device), seed, size, part, depths, edges)
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
