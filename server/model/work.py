"""What the front of the server and its workers say to each other: typed messages, and the frames that carry them.

    the front says      LoadModel, LoadLarge, ModelPiece, DropModel, PaintTile, BlendTile, StylizePicture, LeaveItem,
                        GoOn, Stop
    a worker says       Here, WantPiece, Progress, Done, Failed

A message is one frame with a msgpack map (`do` or `say` is its kind), and raw buffers in further frames. PaintTile,
BlendTile and StylizePicture are work items: the worker does them one after another and answers each with exactly one
Done or Failed that names its number. Samples are rows from top to bottom, interleaved, uint8 or little-endian uint16.

The file of a large model does not go along: a worker of this machine is told where it lies, and one of another machine
asks for it piece by piece, so that neither side ever waits for hundreds of megabytes.

A worker may run on another machine, so what it sends is checked in full before anybody uses it. No torch here.

    Exception
    └── MalformedMessage    the frames are no message of that side; the text says why, for the log
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, ClassVar, Final, Literal, cast

import msgpack

from blender_addon.protocol import wire
from blender_addon.protocol.edges import Edges, edges_of
from blender_addon.protocol.errors import BadRequest, Refused
from blender_addon.protocol.rect import Size, Window
from server.model.header import MAX_FILE_BYTES
from server.model.maps import MAX_MAPS, Depth
from server.model.receipt import RECEIPT_CHARACTERS
from server.msgpack_codec import MsgPack

MAX_HEADER_BYTES: Final = 64 * 1024
MAX_NUMBER: Final = wire.MAX_ID  # of a work item
MAX_MEMORY_MB: Final = 2**40
MAX_OTHERS: Final = 64  # devices
MAX_ARITHMETIC: Final = 300  # characters
MAX_PATH: Final = 32 * 1024  # bytes
PIECE_BYTES: Final = 2 * 2**20  # of a large model file at once
MAX_TEXT: Final = 10_000  # characters; a client is sent the first 500

Data = wire.Data
Precision = Literal["exact", "fast"]


class MalformedMessage(Exception):
    """The frames are no message of that side."""


class Fields(wire.Fields):
    """Those of a worker's messages, which may hold bytes too. Raises Refused."""

    def data(self, name: str, most: int) -> bytes:
        value = self._values.get(name)
        if not isinstance(value, bytes) or len(value) > most:
            raise BadRequest(f"{name}: it must be at most {most} bytes.")
        return value

    def devices(self, name: str) -> tuple[str, ...]:
        value = self._values.get(name, [])
        if not isinstance(value, list) or len(value) > MAX_OTHERS or not all(map(_is_device, value)):
            raise BadRequest(f"{name}: it must be a list of at most {MAX_OTHERS} devices.")
        return tuple(value)

    def edges(self, name: str) -> Edges | None:
        if self._values.get(name) is None:
            return None
        variant, wang = self.wholes(name, 2, "variant and wang")
        return edges_of(variant, wang)

    def depths(self, name: str) -> tuple[Depth, ...]:
        value = self._values.get(name)
        if not isinstance(value, list) or not 1 <= len(value) <= MAX_MAPS or not set(map(str, value)) <= {"8", "16"}:
            raise BadRequest(f"{name}: it must be 8 or 16 for each map.")
        return tuple(value)


# ------------------------------------------------------------------------------------------------- the front says these


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadModel:
    """Keep this model file in memory. If it cannot be used, the items that need it fail."""

    kind: ClassVar[str] = "load"
    sha256: str
    name: str
    content: Data = field(repr=False)

    @classmethod
    def read(cls, values: Fields, buffers: Sequence[Data]) -> "LoadModel":
        return cls(sha256=_sha256(values), name=values.text("name", MAX_TEXT), content=_only(buffers))


@dataclass(frozen=True, kw_only=True)
class LoadLarge:
    """Keep this model at hand, whose file is large. `path`: where it lies, for a worker that may read files here; empty
    for others, who ask for its `bytes` by WantPiece. Only a file of this hash is the model.
    """

    kind: ClassVar[str] = "load large"
    sha256: str
    name: str
    bytes: int
    path: Data = b""

    @classmethod
    def read(cls, values: Fields, buffers: Sequence[Data]) -> "LoadLarge":
        return cls(
            sha256=_sha256(values),
            name=values.text("name", MAX_TEXT),
            bytes=values.whole("bytes", 1, MAX_FILE_BYTES),
            path=values.data("path", MAX_PATH),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelPiece:
    """The bytes of a large model file from `begin` on, at most PIECE_BYTES; none when that file is gone."""

    kind: ClassVar[str] = "piece"
    sha256: str
    begin: int
    content: Data = field(repr=False)

    @classmethod
    def read(cls, values: Fields, buffers: Sequence[Data]) -> "ModelPiece":
        return cls(sha256=_sha256(values), begin=values.whole("begin", 0, MAX_FILE_BYTES), content=_only(buffers))


@dataclass(frozen=True, kw_only=True)
class DropModel:
    """This model will not be needed for now."""

    kind: ClassVar[str] = "drop"
    sha256: str

    @classmethod
    def read(cls, values: Fields, buffers: Sequence[Data]) -> "DropModel":
        return cls(sha256=_sha256(values))


@dataclass(frozen=True, kw_only=True)
class PaintTile:
    """A work item: one canonical tile of one texture. Done brings the samples of each map of the model."""

    kind: ClassVar[str] = "paint"
    number: int
    sha256: str
    seed: int
    size: Size
    tile: Window
    depths: tuple[Depth, ...]  # bits a sample of each map
    edges: Edges | None = None
    receipt_only: bool = False  # Done brings no samples

    @property
    def hashes(self) -> tuple[str, ...]:
        """Of the models that it needs."""
        return (self.sha256,)

    @classmethod
    def read(cls, values: Fields, buffers: Sequence[Data]) -> "PaintTile":
        return cls(
            number=_number(values),
            sha256=_sha256(values),
            seed=values.whole("seed", 0, wire.MAX_SEED),
            size=Size(*values.wholes("size", 2, "height and width")),
            tile=Window(*values.wholes("tile", 4, "top, left, height and width")),
            depths=values.depths("depths"),
            edges=values.edges("edges"),
            receipt_only=values.flag("receipt_only"),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class BlendTile:
    """A work item: one canonical tile of a texture of several models. Done brings the samples of the maps `maps`."""

    kind: ClassVar[str] = "blend"
    number: int
    hashes: tuple[str, ...]  # of the models' files
    seed: int
    size: Size
    tile: Window
    maps: tuple[str, ...]
    depths: tuple[Depth, ...]  # bits a sample of each map
    softness: float
    heights: float
    reach: float
    shape: tuple[int, int, int]  # height, width and channels of the mask
    content: Data = field(repr=False)  # the mask
    receipt_only: bool = False  # Done brings no samples

    @classmethod
    def read(cls, values: Fields, buffers: Sequence[Data]) -> "BlendTile":
        height, width, channels = values.wholes("shape", 3, "height, width and channels")
        content = _only(buffers)
        if memoryview(content).nbytes != height * width * channels:
            raise MalformedMessage(f"the mask has no {height}x{width}x{channels} samples")
        return cls(
            number=_number(values),
            hashes=values.texts("hashes", wire.MAX_BLENDED) or (),
            seed=values.whole("seed", 0, wire.MAX_SEED),
            size=Size(*values.wholes("size", 2, "height and width")),
            tile=Window(*values.wholes("tile", 4, "top, left, height and width")),
            maps=values.texts("maps", MAX_MAPS) or (),
            depths=values.depths("depths"),
            softness=values.number("softness", 0, 1, 0),
            heights=values.number("heights", 0, 1, 0),
            reach=values.number("reach", 0, 1, 0),
            shape=(height, width, channels),
            content=content,
            receipt_only=values.flag("receipt_only"),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class StylizePicture:
    """A work item: one picture in one style. Done brings the samples, the statistics that were used, and in a sequence
    what the next frame takes from this one, which is empty for networks.
    """

    kind: ClassVar[str] = "stylize"
    number: int
    sha256: str
    shape: tuple[int, int, int]  # height, width and channels of the content
    dtype: str
    strength: float
    seed: int
    keep_colours: bool
    noise: float
    stroke: float
    statistics: bytes  # those to use; empty for the content's own
    sequence: bool = False  # whether what the next frame takes from this one is wanted
    content: Data = field(repr=False)
    carry: Data = field(default=b"", repr=False)  # from the frame before

    @property
    def hashes(self) -> tuple[str, ...]:
        """Of the models that it needs."""
        return (self.sha256,)

    @classmethod
    def read(cls, values: Fields, buffers: Sequence[Data]) -> "StylizePicture":
        height, width, channels = values.wholes("shape", 3, "height, width and channels")
        dtype = values.text("dtype", 16)
        content, carry = _only(buffers[:1]), _only(buffers[1:] or [b""])
        if dtype not in wire.ITEM_BYTES or (
            memoryview(content).nbytes != height * width * channels * wire.ITEM_BYTES[dtype]
        ):
            raise MalformedMessage(f"the content is no picture of {height}x{width}x{channels} {dtype!a} samples")
        return cls(
            number=_number(values),
            sha256=_sha256(values),
            shape=(height, width, channels),
            dtype=dtype,
            strength=values.number("strength", 0, 1, 1.0),
            seed=values.whole("seed", 0, wire.MAX_SEED),
            keep_colours=values.flag("keep_colours"),
            noise=values.number("noise", 0, wire.MAX_NOISE, 1.0),
            stroke=values.number("stroke", *wire.STROKES, 1.0),
            statistics=values.data("statistics", MAX_HEADER_BYTES),
            sequence=values.flag("sequence"),
            content=content,
            carry=carry,
        )


@dataclass(frozen=True, kw_only=True)
class LeaveItem:
    """Nobody waits for this work item any more; it may end as Failed with the code `cancelled`."""

    kind: ClassVar[str] = "leave"
    number: int

    @classmethod
    def read(cls, values: Fields, buffers: Sequence[Data]) -> "LeaveItem":
        return cls(number=_number(values))


@dataclass(frozen=True, kw_only=True)
class GoOn:
    """Nothing to do: if it could be sent, the worker is there."""

    kind: ClassVar[str] = "go on"

    @classmethod
    def read(cls, values: Fields, buffers: Sequence[Data]) -> "GoOn":
        return cls()


@dataclass(frozen=True, kw_only=True)
class Stop:
    """Exit. `why` says for what reason this worker cannot be used, "" for the end of the server."""

    kind: ClassVar[str] = "stop"
    why: str = ""

    @classmethod
    def read(cls, values: Fields, buffers: Sequence[Data]) -> "Stop":
        return cls(why=values.text("why", MAX_TEXT, ""))


# ------------------------------------------------------------------------------------------------- a worker says these


@dataclass(frozen=True, kw_only=True)
class Here:
    """The worker runs. One of another `version` says nothing else that can be relied on, so the rest is not read.

    `arithmetic`: what decides the last bit of a network's samples. Two workers that say the same compute the same; ""
    where that is not known.
    """

    kind: ClassVar[str] = "here"
    version: str
    name: str = ""
    device: str = ""
    precision: Precision = "exact"
    memory_mb: int = 0
    others: tuple[str, ...] = ()  # devices of the same kind that are free for further workers
    arithmetic: str = ""

    @classmethod
    def read(cls, values: Fields, buffers: Sequence[Data], version: str) -> "Here":
        """`version`: of the side that reads."""
        said = values.text("version", 40)
        if said != version:
            return cls(version=said)
        precision = values.text("precision", 10)
        if precision not in ("exact", "fast"):
            raise MalformedMessage(f"precision: it is {precision!a}")
        return cls(
            version=said,
            name=_printable(values, "name", 100),
            device=_printable(values, "device", 40),
            precision=cast(Precision, precision),
            memory_mb=values.whole("memory_mb", 0, MAX_MEMORY_MB),
            others=values.devices("others"),
            arithmetic=values.text("arithmetic", MAX_ARITHMETIC, ""),
        )


@dataclass(frozen=True, kw_only=True)
class WantPiece:
    """The next piece of a large model file, from `begin` on. Answered by ModelPiece."""

    kind: ClassVar[str] = "want"
    sha256: str
    begin: int

    @classmethod
    def read(cls, values: Fields, buffers: Sequence[Data]) -> "WantPiece":
        return cls(sha256=_sha256(values), begin=values.whole("begin", 0, MAX_FILE_BYTES))


@dataclass(frozen=True, kw_only=True)
class Progress:
    """So many pixels of this work item are done."""

    kind: ClassVar[str] = "progress"
    number: int
    done: int

    @classmethod
    def read(cls, values: Fields, buffers: Sequence[Data]) -> "Progress":
        return cls(number=_number(values), done=values.whole("done", 0, wire.MAX_ID))


@dataclass(frozen=True, kw_only=True, eq=False)
class Done:
    """This work item is done: its buffers, and their receipt (server/model/receipt.py).

    `in_pieces`: memory was short, so the last bit of a network's samples may differ.
    """

    kind: ClassVar[str] = "done"
    number: int
    planes: tuple[memoryview, ...] = field(repr=False)
    receipt: str = ""
    in_pieces: bool = False

    @classmethod
    def read(cls, values: Fields, buffers: Sequence[Data]) -> "Done":
        return cls(
            number=_number(values),
            planes=tuple(memoryview(each) for each in buffers),
            receipt=values.text("receipt", RECEIPT_CHARACTERS, ""),
            in_pieces=values.flag("in_pieces"),
        )


@dataclass(frozen=True, kw_only=True)
class Failed:
    """This work item cannot be done. `code` is of wire.ERROR_CODES, the text is for people. `lacks_model`: the worker
    has not got the model, since its file is no longer what it was.
    """

    kind: ClassVar[str] = "failed"
    number: int
    code: str
    text: str
    lacks_model: bool = False

    @classmethod
    def read(cls, values: Fields, buffers: Sequence[Data]) -> "Failed":
        code = values.text("code", 40)
        return cls(
            number=_number(values),
            code=code if code in wire.ERROR_CODES else "internal",
            text=values.text("text", MAX_TEXT),
            lacks_model=values.flag("lacks_model"),
        )


Item = PaintTile | BlendTile | StylizePicture
FromFront = LoadModel | LoadLarge | ModelPiece | DropModel | Item | LeaveItem | GoOn | Stop
FromWorker = Here | WantPiece | Progress | Done | Failed

_FROM_FRONT: Final[Mapping[str, Callable[[Fields, Sequence[Data]], FromFront]]] = MappingProxyType(
    {
        each.kind: each.read
        for each in (
            LoadModel,
            LoadLarge,
            ModelPiece,
            DropModel,
            PaintTile,
            BlendTile,
            StylizePicture,
            LeaveItem,
            GoOn,
            Stop,
        )
    }
)


# --------------------------------------------------------------------------------------------------------------- frames


def encode(message: FromFront | FromWorker) -> list[Data]:
    """The frames of a message. Buffers go along as they are, without a copy."""
    header: dict[str, Any] = {"do" if isinstance(message, FromFront) else "say": message.kind}
    buffers: Sequence[Data] = ()
    for each in fields(message):
        value = getattr(message, each.name)
        if each.name in ("content", "carry"):
            buffers = (*buffers, value) if each.name == "content" or len(value) else buffers
        elif each.name == "planes":
            buffers = value
        else:
            header["task" if each.name == "number" else each.name] = value
    packed: bytes = msgpack.packb(header)
    return [packed, *buffers]


def parse_from_front(frames: Sequence[Data]) -> FromFront:
    """What the front says. Raises MalformedMessage, also when a server takes this worker for a client."""
    header = _header(frames, _unpacked)
    kind = header.get("do")
    if not isinstance(kind, str) or kind not in _FROM_FRONT:
        raise MalformedMessage(f"do: it is {ascii(kind)[:60]}")
    try:
        return _FROM_FRONT[kind](Fields(header), frames[1:])
    except Refused as refused:
        raise MalformedMessage(str(refused)) from None


def parse_from_worker(frames: Sequence[Data], version: str) -> FromWorker:
    """What a worker says to a front of this version. Raises MalformedMessage and nothing else, whatever it is."""
    header = _header(frames, MsgPack().loads)
    values = Fields(header)
    try:
        match header.get("say"):
            case "here":
                return Here.read(values, frames[1:], version)
            case "want":
                return WantPiece.read(values, frames[1:])
            case "progress":
                return Progress.read(values, frames[1:])
            case "done":
                return Done.read(values, frames[1:])
            case "failed":
                return Failed.read(values, frames[1:])
            case other:
                raise MalformedMessage(f"say: it is {ascii(other)[:60]}")
    except Refused as refused:
        raise MalformedMessage(str(refused)) from None


def _header(frames: Sequence[Data], loads: Callable[[bytes], object]) -> dict[str, Any]:
    if not frames:
        raise MalformedMessage("it has no frame")
    if memoryview(frames[0]).nbytes > MAX_HEADER_BYTES:
        raise MalformedMessage(f"its header has {memoryview(frames[0]).nbytes} bytes")
    try:
        header = loads(bytes(frames[0]))
    except (ValueError, RecursionError) as error:
        raise MalformedMessage(f"its header cannot be read: {ascii(str(error))[:100]}") from None
    if not isinstance(header, dict):
        raise MalformedMessage("its header is no map")
    return header


def _unpacked(data: bytes) -> object:
    try:
        value: object = msgpack.unpackb(data)
    except (msgpack.UnpackException, TypeError) as error:
        raise ValueError(str(error)) from None
    return value


def _number(values: Fields) -> int:
    return values.whole("task", 1, MAX_NUMBER)


def _sha256(values: Fields) -> str:
    return values.text("sha256", 64)


def _printable(values: Fields, name: str, most: int) -> str:
    text = values.text(name, most)
    if not text.isprintable():
        raise MalformedMessage(f"{name}: it is {ascii(text)[:60]}")
    return text


def _is_device(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[a-z]{1,10}:[0-9]{1,3}", value, re.ASCII) is not None


def _only(buffers: Sequence[Data]) -> Data:
    if len(buffers) != 1:
        raise MalformedMessage(f"it has {len(buffers)} buffers, not one")
    return buffers[0]
