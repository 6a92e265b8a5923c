"""TX1, the protocol between clients and the texture server: typed requests and replies, and frames.

docs/PROTOCOL.md defines it; this module implements it for both sides. fields.py has what messages are made of,
training.py the messages of trainings, blending.py that of blends; all are reached through this module. A message is a
list of frames:

    frame 0    b"TX1j" (the header is JSON) or b"TX1m" (msgpack); a reply uses the letter of its request
    frame 1    the header, a map of at most 64 KiB: `op`, `id` and the op's own fields
    frame 2…   raw buffers in the order of the header's list `buffers`: row-major samples, uint16 little-endian

Standard library only, no bpy, no sockets. JSON is built in; a program that uses msgpack passes its codec. Sizes are
(height, width) and windows (top, left, height, width), in pixels; seeds are in [0, 2^64).

A message that breaks a rule raises Refused (errors.py), with a `code` of the closed list ERROR_CODES.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, ClassVar, Final, Protocol

from . import strict_json
from .blending import MAX_BLENDED as MAX_BLENDED
from .blending import MAX_MASK_SIDE as MAX_MASK_SIDE
from .blending import MIN_BLENDED as MIN_BLENDED
from .blending import Blend as Blend
from .edges import COLOURS, MAX_VARIANT, Edges, edges_of
from .errors import Refused as Refused
from .fields import ITEM_BYTES as ITEM_BYTES
from .fields import MAX_BUFFERS as MAX_BUFFERS
from .fields import MAX_DEADLINE_MS as MAX_DEADLINE_MS
from .fields import MAX_ID as MAX_ID
from .fields import MAX_MODEL_NAME as MAX_MODEL_NAME
from .fields import MAX_SEED as MAX_SEED
from .fields import MAX_TEXT as MAX_TEXT
from .fields import Buffer as Buffer
from .fields import Data as Data
from .fields import Fields as Fields
from .fields import Header as Header
from .fields import Limits as Limits
from .fields import read_buffers, read_no_buffers, read_size, read_window, wrong
from .rect import MIN_SIDE as MIN_SIDE
from .rect import is_whole
from .training import JOB_STATES as JOB_STATES
from .training import MAX_CATEGORY as MAX_CATEGORY
from .training import MAX_JOBS as MAX_JOBS
from .training import MAX_LEFT_OUT as MAX_LEFT_OUT
from .training import MAX_METRES as MAX_METRES
from .training import MAX_NEW_NAME as MAX_NEW_NAME
from .training import MAX_SWATCH_SIZE as MAX_SWATCH_SIZE
from .training import MIN_METRES as MIN_METRES
from .training import MIN_SWATCH_SIZE as MIN_SWATCH_SIZE
from .training import CancelJob as CancelJob
from .training import GetJob as GetJob
from .training import Job as Job
from .training import Jobs as Jobs
from .training import ListJobs as ListJobs
from .training import Train as Train

PROTOCOL = 1
MAX_HEADER_BYTES = 64 * 1024
MAX_DEPTH = 8  # of lists and maps in a header
MAX_ITEMS = 1024  # of one list or map in a header
MAX_STATISTICS = 44_000  # characters of a picture's statistics
MAX_CARRY = 16 * 2**20  # bytes of what a frame of a sequence takes from the one before
MAX_NOISE = 10  # times the noise of the training
STROKES = 0.25, 4  # the range of the size of strokes

ERROR_CODES: Final = (
    "bad_frame",  # not the frames of a TX1 message
    "unsupported_version",  # not TX1
    "bad_header",  # the header is not a map, or its op or id is wrong
    "too_large",  # more bytes than the limits allow
    "unknown_op",
    "bad_request",  # a field out of range; the text names it
    "unknown_model",
    "duplicate_id",  # the id is in use for something else
    "not_found",  # nothing to cancel under that id
    "busy",  # try again after retry_ms
    "cancelled",
    "expired",  # the request's own deadline passed
    "worker_lost",  # the process that computed it died, twice
    "oom",  # the device does not have enough memory
    "shutting_down",
    "internal",  # an error of the server; its log says why
)
RETRY_HELPS: Final = frozenset({"busy", "worker_lost", "shutting_down", "internal"})


# ------------------------------------------------------------------------------------------------------------- headers


class Codec(Protocol):
    """Writes and reads headers. `loads` raises ValueError for anything that is not exactly one value."""

    def dumps(self, header: Header) -> bytes:
        """The header as bytes."""

    def loads(self, data: bytes) -> object:
        """What the bytes hold, not yet checked."""


class Json:
    """Headers as JSON in UTF-8, read strictly (strict_json.py)."""

    def dumps(self, header: Header) -> bytes:
        return json.dumps(header, separators=(",", ":"), allow_nan=False).encode()

    def loads(self, data: bytes) -> object:
        return strict_json.loads(data)


JSON: Final = b"j"
MSGPACK: Final = b"m"
JSON_ONLY: Final[Mapping[bytes, Codec]] = MappingProxyType({JSON: Json()})
_MAP_BEGINS: Final = {JSON: frozenset(b"{ \t\r\n"), MSGPACK: frozenset({*range(0x80, 0x90), 0xDE, 0xDF})}


def _check_plain(value: object, depth: int = 0) -> None:
    """Raises ValueError for a value that JSON or msgpack lacks: only plain data, finite numbers, and text as keys."""
    if depth > MAX_DEPTH:
        raise ValueError(f"lists or maps nested more than {MAX_DEPTH} deep")
    if isinstance(value, dict | list) and len(value) > MAX_ITEMS:
        raise ValueError(f"a list or map of more than {MAX_ITEMS}")
    if isinstance(value, dict):
        for key, each in value.items():
            if not isinstance(key, str):
                raise ValueError("a key that is not text")
            _check_plain(key, depth + 1)
            _check_plain(each, depth + 1)
    elif isinstance(value, list):
        for each in value:
            _check_plain(each, depth + 1)
    elif isinstance(value, str):
        if not value.isascii():
            value.encode()  # raises ValueError for lone surrogates
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("a number that is not finite")
    elif value is not None and not isinstance(value, bool | int):
        raise ValueError(f"a value of the type {type(value).__name__}")


# ------------------------------------------------------------------------------------------------------------ requests


@dataclass(frozen=True, kw_only=True)
class Hello:
    """Greets the server. Optional; answered by Welcome."""

    op: ClassVar[str] = "hello"
    id: int
    client: str = ""  # name and version, for the server's log

    @classmethod
    def read(cls, id: int, header: Mapping[str, Any], frames: Sequence[Data], limits: Limits) -> "Hello":
        read_no_buffers(header, frames)
        return cls(id=id, client=Fields(header).text("client", 100, ""))


@dataclass(frozen=True, kw_only=True)
class ListModels:
    """Asks for the models by name, including broken ones, in pages. Answered by Models."""

    op: ClassVar[str] = "models"
    id: int
    after: str = ""  # only names after this one in the alphabet
    limit: int = 50

    @classmethod
    def read(cls, id: int, header: Mapping[str, Any], frames: Sequence[Data], limits: Limits) -> "ListModels":
        read_no_buffers(header, frames)
        values = Fields(header)
        return cls(id=id, after=values.text("after", MAX_MODEL_NAME, ""), limit=values.whole("limit", 1, 200, 50))


@dataclass(frozen=True, kw_only=True)
class GetThumbnail:
    """Asks for a model's thumbnail. Answered by a Result with one uint8 RGB buffer, "thumbnail"."""

    op: ClassVar[str] = "thumbnail"
    id: int
    model: str

    @classmethod
    def read(cls, id: int, header: Mapping[str, Any], frames: Sequence[Data], limits: Limits) -> "GetThumbnail":
        read_no_buffers(header, frames)
        return cls(id=id, model=_read_model(header))


@dataclass(frozen=True, kw_only=True)
class Generate:
    """Asks for a window of a texture. Answered by a Result with one buffer for each requested map, in that order."""

    op: ClassVar[str] = "generate"
    id: int
    model: str
    seed: int
    size: tuple[int, int]  # height, width: the period of the texture
    window: tuple[int, int, int, int] | None = None  # top, left, height, width; it wraps; default: the whole texture
    maps: tuple[str, ...] | None = None  # default: all maps of the model
    depth: int | None = None  # bits per sample of all maps, 8 or 16; default: each map has its own
    sha256: str = ""  # only from the model file of this hash
    deadline_ms: int | None = None  # from arrival on; then it is answered by `expired`
    progress: bool = False  # whether Progress is wanted on the way
    variant: int | None = None  # one of the textures with common edges; default: the plain texture
    wang: int = 0  # corner colours of a Wang set, whose atlas `size` is; 0 for no set

    @classmethod
    def read(cls, id: int, header: Mapping[str, Any], frames: Sequence[Data], limits: Limits) -> "Generate":
        read_no_buffers(header, frames)
        values = Fields(header)
        size = read_size(values, limits)
        depth = values.maybe_whole("depth", 8, 16)
        if depth not in (None, 8, 16):
            raise wrong("depth", depth, "8 or 16")
        wang = values.whole("wang", 0, COLOURS, 0)
        if wang not in (0, COLOURS):
            raise wrong("wang", wang, f"0 or {COLOURS}")
        return cls(
            id=id,
            model=_read_model(header),
            seed=values.whole("seed", 0, MAX_SEED),
            size=size,
            window=read_window(header, size, limits),
            maps=values.texts("maps", MAX_BUFFERS),
            depth=depth,
            sha256=values.text("sha256", 64, ""),
            deadline_ms=values.maybe_whole("deadline_ms", 1, MAX_DEADLINE_MS),
            progress=values.flag("progress"),
            variant=values.maybe_whole("variant", 0, MAX_VARIANT),
            wang=wang,
        )

    @property
    def edges(self) -> Edges | None:
        """How the texture fits beside others; None for a plain one."""
        return edges_of(self.variant, self.wang)


@dataclass(frozen=True, kw_only=True)
class Stylize:
    """Asks for a picture in a model's style. Answered by a Result with the buffer "image", like the content.

    `content` is sRGB, with 1 (grey), 3 or 4 (RGB and alpha) channels; "image" has 4 if the content has 4, else 3. In a
    `sequence` a second buffer, "carry", may follow it, which is for the request for the next frame.
    """

    op: ClassVar[str] = "stylize"
    id: int
    model: str
    content: Buffer
    strength: float = 1.0  # 0 is the content, 1 the style
    seed: int = 0  # of the noise
    keep_colours: bool = False  # the style's light and dark, the content's colours
    noise: float = 1.0  # the strength of the noise; 1 is that of the training
    stroke: float = 1.0  # the size of strokes; networks have one size
    statistics: str = ""  # from an earlier result, so that a sequence does not flicker; "": the content's own
    sequence: bool = False  # whether what the next frame takes from this one is wanted
    carry: Buffer | None = None  # from the result of the frame before; None for the first of a shot
    sha256: str = ""  # only from the model file of this hash
    deadline_ms: int | None = None  # from arrival on; then it is answered by `expired`
    progress: bool = False  # whether Progress is wanted on the way

    @classmethod
    def read(cls, id: int, header: Mapping[str, Any], frames: Sequence[Data], limits: Limits) -> "Stylize":
        buffers = read_buffers(header, frames)
        if [each.name for each in buffers] not in (["content"], ["content", "carry"]):
            raise Refused("bad_request", "buffers: there must be 'content', and after it 'carry' or nothing.")
        _check_content(buffers[0], limits)
        carry = buffers[1] if len(buffers) > 1 else None
        if carry and (carry.dtype != "uint8" or carry.shape[0] * carry.shape[2] != 1 or carry.shape[1] > MAX_CARRY):
            raise wrong("carry", list(carry.shape), f"1 x bytes x 1 of uint8, at most {MAX_CARRY}")
        values = Fields(header)
        return cls(
            id=id,
            model=_read_model(header),
            content=buffers[0],
            strength=values.number("strength", 0, 1, 1.0),
            seed=values.whole("seed", 0, MAX_SEED, 0),
            keep_colours=values.flag("keep_colours"),
            noise=values.number("noise", 0, MAX_NOISE, 1.0),
            stroke=values.number("stroke", *STROKES, 1.0),
            statistics=values.text("statistics", MAX_STATISTICS, ""),
            sequence=values.flag("sequence"),
            carry=carry,
            sha256=values.text("sha256", 64, ""),
            deadline_ms=values.maybe_whole("deadline_ms", 1, MAX_DEADLINE_MS),
            progress=values.flag("progress"),
        )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the answer."""
        height, width, channels = self.content.shape
        return height, width, max(channels, 3)


@dataclass(frozen=True, kw_only=True)
class GetStatus:
    """Asks for the state of the server. Answered by Status."""

    op: ClassVar[str] = "status"
    id: int

    @classmethod
    def read(cls, id: int, header: Mapping[str, Any], frames: Sequence[Data], limits: Limits) -> "GetStatus":
        read_no_buffers(header, frames)
        return cls(id=id)


@dataclass(frozen=True, kw_only=True)
class Cancel:
    """Ends one of the client's own requests with `cancelled`. Answered by an empty Result, or `not_found`."""

    op: ClassVar[str] = "cancel"
    id: int
    target: int  # the id of the request to end

    @classmethod
    def read(cls, id: int, header: Mapping[str, Any], frames: Sequence[Data], limits: Limits) -> "Cancel":
        read_no_buffers(header, frames)
        return cls(id=id, target=Fields(header).whole("target", 1, MAX_ID))


Request = (
    Hello
    | ListModels
    | GetThumbnail
    | Generate
    | Blend
    | Stylize
    | GetStatus
    | Cancel
    | Train
    | GetJob
    | CancelJob
    | ListJobs
)
_DRAWING = (Hello, ListModels, GetThumbnail, Generate, Blend, Stylize, GetStatus, Cancel)
_TRAINING = (Train, GetJob, CancelJob, ListJobs)
REQUESTS: Final[Mapping[str, type[Request]]] = MappingProxyType({each.op: each for each in (*_DRAWING, *_TRAINING)})


def _check_content(content: Buffer, limits: Limits) -> None:
    height, width, channels = content.shape
    if max(height, width) > limits.max_side:
        raise wrong("content", list(content.shape), f"a picture of 1 to {limits.max_side} pixels a side")
    if height * width > limits.max_content_pixels:
        raise Refused(
            "too_large",
            f"content: it has {height * width} pixels, and at most {limits.max_content_pixels} are taken; "
            "send a smaller picture.",
        )
    size = height * width * max(channels, 3) * ITEM_BYTES[content.dtype]
    if size > limits.max_result_bytes:
        raise Refused(
            "too_large",
            f"content: its result would have {size} bytes, and at most {limits.max_result_bytes} are answered; "
            "send a smaller picture, or one of 8 bits a sample.",
        )


def _read_model(header: Mapping[str, Any]) -> str:
    model = header.get("model")
    if not isinstance(model, str):
        raise wrong("model", model, "the name of a model")
    if len(model) > MAX_MODEL_NAME:
        raise Refused("unknown_model", f"model: no name is longer than {MAX_MODEL_NAME} characters.")
    return model


# ------------------------------------------------------------------------------------------------------------- replies


@dataclass(frozen=True, kw_only=True)
class Welcome:
    """Answers Hello: the server's name, state and limits."""

    op: ClassVar[str] = "welcome"
    id: int
    protocol: int
    server: str
    state: str  # "starting", "ready" or "draining"
    limits: Limits
    features: tuple[str, ...] = ()

    @classmethod
    def read(cls, id: int, header: Mapping[str, Any], buffers: tuple[Buffer, ...]) -> "Welcome":
        values = Fields(header)
        return cls(
            id=id,
            protocol=values.whole("protocol", 1, MAX_ID),
            server=values.text("server", 100),
            state=values.text("state", 20),
            limits=Limits.read(values.object("limits")),
            features=values.texts("features", 100) or (),
        )


@dataclass(frozen=True, kw_only=True)
class Models:
    """Answers ListModels. `after` is for the request for the next page, "" on the last page."""

    op: ClassVar[str] = "models"
    id: int
    models: tuple[Mapping[str, Any], ...]  # name, state, and a reason or facts; see docs/PROTOCOL.md
    total: int
    after: str = ""

    @classmethod
    def read(cls, id: int, header: Mapping[str, Any], buffers: tuple[Buffer, ...]) -> "Models":
        values = Fields(header)
        models = values.objects("models", 200)
        for each in models:
            Fields(each).text("name", MAX_MODEL_NAME)
            Fields(each).text("state", 20)
        return cls(
            id=id,
            models=tuple(models),
            total=values.whole("total", 0, MAX_ID),
            after=values.text("after", MAX_MODEL_NAME, ""),
        )


@dataclass(frozen=True, kw_only=True)
class Result:
    """Answers Generate, Blend, Stylize, GetThumbnail and Cancel. `sha256` is of the model file, "" if there is none."""

    op: ClassVar[str] = "result"
    id: int
    sha256: str = ""
    precision: str = ""  # "exact" or "fast": each gives its own pixels
    statistics: str = ""  # of the stylized picture, for the other frames of its sequence
    buffers: tuple[Buffer, ...] = ()

    @classmethod
    def read(cls, id: int, header: Mapping[str, Any], buffers: tuple[Buffer, ...]) -> "Result":
        values = Fields(header)
        return cls(
            id=id,
            sha256=values.text("sha256", 64, ""),
            precision=values.text("precision", 20, ""),
            statistics=values.text("statistics", MAX_STATISTICS, ""),
            buffers=buffers,
        )


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Comes before a Result: `done` pixels of `of`."""

    op: ClassVar[str] = "progress"
    id: int
    done: int
    of: int

    @classmethod
    def read(cls, id: int, header: Mapping[str, Any], buffers: tuple[Buffer, ...]) -> "Progress":
        values = Fields(header)
        return cls(id=id, done=values.whole("done", 0, MAX_ID), of=values.whole("of", 0, MAX_ID))


@dataclass(frozen=True, kw_only=True)
class Status:
    """Answers GetStatus. docs/PROTOCOL.md lists the figures of the report."""

    op: ClassVar[str] = "status"
    id: int
    report: Mapping[str, Any]

    @classmethod
    def read(cls, id: int, header: Mapping[str, Any], buffers: tuple[Buffer, ...]) -> "Status":
        return cls(id=id, report=Fields(header).object("report"))


@dataclass(frozen=True, kw_only=True)
class Error:
    """Ends a request. `id` is None if the request's could not be read; `retry_ms` is set if a retry helps."""

    op: ClassVar[str] = "error"
    id: int | None
    code: str
    text: str
    retry_ms: int | None = None

    @classmethod
    def read(cls, id: int | None, header: Mapping[str, Any], buffers: tuple[Buffer, ...]) -> "Error":
        values = Fields(header)
        return cls(
            id=id,
            code=values.text("code", 40),
            text=values.text("text", 2 * MAX_TEXT),
            retry_ms=values.maybe_whole("retry_ms", 0, MAX_ID),
        )


Reply = Welcome | Models | Result | Progress | Status | Job | Jobs | Error
REPLIES: Final[Mapping[str, Callable[..., Reply]]] = MappingProxyType(
    {each.op: each.read for each in (Welcome, Models, Result, Progress, Status, Job, Jobs, Error)}
)


def error(refused: Refused, id: int | None = None) -> Error:
    """The reply for a refusal. `id`: of the request that it ends; by default the one that the refusal names."""
    assert refused.code in ERROR_CODES
    text = str(refused)
    text = text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 3]}..."
    return Error(id=refused.id if id is None else id, code=refused.code, text=text, retry_ms=refused.retry_ms)


# -------------------------------------------------------------------------------------------------------------- frames


def encode(
    message: Request | Reply, letter: bytes = JSON, codecs: Mapping[bytes, Codec] = JSON_ONLY
) -> list[bytes | bytearray | memoryview]:
    """The frames of a message. Buffers are not copied. Raises ValueError for a header over 64 KiB."""
    header: Header = {"op": message.op}
    buffers: Sequence[Buffer] = ()
    for each in fields(message):
        value = getattr(message, each.name)
        if isinstance(value, Buffer):
            buffers = (*buffers, value)
        elif each.name == "buffers":
            buffers = value
        elif isinstance(value, Limits):
            header[each.name] = {limit.name: getattr(value, limit.name) for limit in fields(value)}
        elif value != each.default:
            header[each.name] = list(value) if isinstance(value, tuple) else value
    if buffers:
        header["buffers"] = [each.described() for each in buffers]
    data = codecs[letter].dumps(header)
    if len(data) > MAX_HEADER_BYTES:
        raise ValueError(f"a header of {len(data)} bytes")
    return [b"TX%d%b" % (PROTOCOL, letter), data, *(each.data for each in buffers)]


def letter_of(frames: Sequence[Data], codecs: Mapping[bytes, Codec] = JSON_ONLY) -> bytes:
    """The letter for the answer: that of frame 0, or JSON if frame 0 has none of `codecs`."""
    first = bytes(frames[0][:8]) if frames else b""
    letter = first[3:4] if len(first) == 4 and first.startswith(b"TX") else b""
    return letter if letter in codecs else JSON


def parse_request(frames: Sequence[Data], limits: Limits, codecs: Mapping[bytes, Codec] = JSON_ONLY) -> Request:
    """The request in these frames. Raises only Refused, with the request's id if it could be read."""
    header = _read_header(frames, codecs)
    id = header.get("id")
    if not is_whole(id) or not 1 <= id <= MAX_ID:
        raise Refused("bad_header", f"id: it is {ascii(id)[:60]}; it must be a whole number from 1 to 2^53.")
    op = header.get("op")
    try:
        if not isinstance(op, str):
            raise Refused("bad_header", "op: it must be the name of what is asked for.")
        if op not in REQUESTS:
            raise Refused("unknown_op", f"op: there is no {op[:40]!a}; there are {', '.join(REQUESTS)}.")
        _check_count(frames)
        return REQUESTS[op].read(id, header, frames[2:], limits)
    except Refused as refused:  # bound to no other name: it would keep the frames, which may be large, in memory
        refused.id = id
        raise


def id_of(frames: Sequence[Data], codecs: Mapping[bytes, Codec] = JSON_ONLY) -> int | None:
    """The id of a message, if that can be read, whatever the rest is."""
    try:
        id = _read_header(frames, codecs).get("id")
    except Exception:  # asked when something of ours is broken, perhaps the reading itself
        return None
    return id if is_whole(id) and 1 <= id <= MAX_ID else None


def parse_reply(frames: Sequence[Data], codecs: Mapping[bytes, Codec] = JSON_ONLY) -> Reply:
    """The reply in these frames. Raises Refused for anything that no TX1 server sends."""
    header = _read_header(frames, codecs)
    op, id = header.get("op"), header.get("id")
    if not isinstance(op, str) or op not in REPLIES:
        raise Refused("unknown_op", f"op: the server answered {ascii(op)[:40]}, which this client does not know.")
    if (id is None and op != Error.op) or (id is not None and (not is_whole(id) or not 1 <= id <= MAX_ID)):
        raise Refused("bad_header", f"id: the server answered {ascii(id)[:40]}.")
    _check_count(frames)
    return REPLIES[op](id, header, read_buffers(header, frames[2:]))


def _check_count(frames: Sequence[Data]) -> None:
    if len(frames) > 2 + MAX_BUFFERS:
        raise Refused("too_large", f"A message has at most {2 + MAX_BUFFERS} frames, and {len(frames)} came.")


def _read_header(frames: Sequence[Data], codecs: Mapping[bytes, Codec]) -> Header:
    if len(frames) < 2:
        raise Refused("bad_frame", f"A message has at least 2 frames, and {len(frames)} came.")
    first = bytes(frames[0][:8])
    if len(first) != 4 or not first.startswith(b"TX") or not first[2:3].isdigit():
        raise Refused("bad_frame", "Frame 0 must be TX1j or TX1m; use a DEALER socket, which adds no empty frame.")
    if first[2:3] != b"%d" % PROTOCOL:
        raise Refused(
            "unsupported_version", f"Frame 0 is {first.decode('ascii', 'replace')}; this side speaks TX{PROTOCOL}."
        )
    letter = first[3:4]
    if letter not in codecs:
        spoken = " or ".join(f"TX{PROTOCOL}{each.decode()}" for each in codecs)
        raise Refused("bad_frame", f"Frame 0 must be {spoken}.")
    data = frames[1]
    if memoryview(data).nbytes > MAX_HEADER_BYTES:
        raise Refused("too_large", f"A header has at most {MAX_HEADER_BYTES} bytes, and this has {len(data)}.")
    data = bytes(data)
    other = MSGPACK if letter == JSON else JSON
    if data and data[0] not in _MAP_BEGINS[letter] and data[0] in _MAP_BEGINS[other] - frozenset(b" \t\r\n"):
        raise Refused("bad_frame", "The header is not written in what frame 0 says: j is JSON, m is msgpack.")
    try:
        header = codecs[letter].loads(data)
        _check_plain(header)
    except (ValueError, RecursionError) as error:
        said = f": {error}" if str(error).isprintable() and len(str(error)) < 200 else ""
        raise Refused("bad_header", f"The header cannot be read{said}.") from None
    if not isinstance(header, dict):
        raise Refused("bad_header", "The header is not a map.")
    return header
