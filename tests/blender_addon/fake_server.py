"""A texture server of a hundred lines: real sockets, real keys, made-up pixels, and any misbehaviour that a test wants.

Its texture is a pure function of seed, map, row and column, so that a test knows every pixel without asking.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import count
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self

import numpy as np
import zmq
from numpy.typing import NDArray
from zmq.utils import z85 as z85_codec

from blender_addon.protocol import wire
from blender_addon.protocol.linger import LINGER_MS
from blender_addon.protocol.pairing import Keys, Pairing, new_key, public_key, z85
from server.msgpack_codec import CODECS

SHA256 = "ab" * 32
CHANNELS = {"basecolor": 3, "height": 1}
COLOUR_SPACES = {"basecolor": "srgb", "height": "linear"}
DEPTHS = {"basecolor": 8, "height": 16}  # of whom nobody asks for another
STATISTICS = "c3RhdGlzdGljcw=="  # that its pictures are painted by, if by none other

Answer = wire.Reply | Sequence[bytes]  # a reply, or raw frames
Script = Callable[[wire.Request], Iterable[Answer]]


def painted(
    seed: int,
    size: tuple[int, int],
    window: tuple[int, int, int, int] | None = None,
    name: str = "basecolor",
    depth: int | None = None,
) -> NDArray[Any]:
    """The fake texture: (height, width, channels) of a window that wraps, uint8 or little-endian uint16."""
    top, left, height, width = window or (0, 0, *size)
    rows = ((top + np.arange(height)) % size[0]).astype(np.uint64)[:, None, None]
    columns = ((left + np.arange(width)) % size[1]).astype(np.uint64)[None, :, None]
    channels = np.arange(CHANNELS[name], dtype=np.uint64) + np.uint64(len(name))
    mixed = (rows * np.uint64(0x9E3779B1) ^ columns * np.uint64(0x85EBCA77)) + channels * np.uint64(0xC2B2AE3D)
    mixed = (mixed + np.uint64(seed % 2**32)) * np.uint64(0x27D4EB2F)
    return (mixed >> np.uint64(16)).astype("u1" if (depth or DEPTHS[name]) == 8 else "<u2")


def result(request: wire.Generate, sha256: str = SHA256, precision: str = "exact") -> wire.Result:
    """What an honest server answers."""
    buffers = []
    for name in request.maps or tuple(CHANNELS):
        pixels = painted(request.seed, request.size, request.window, name, request.depth)
        buffers.append(
            wire.Buffer(
                name=name,
                dtype=pixels.dtype.name,
                shape=pixels.shape,
                data=pixels.tobytes(),
                colour_space=COLOUR_SPACES[name],
            )
        )
    return wire.Result(id=request.id, sha256=sha256, precision=precision, buffers=tuple(buffers))


def styled(content: wire.Buffer) -> NDArray[Any]:
    """The fake style: the negative, with the content's alpha."""
    pixels = np.frombuffer(content.data, "u1" if content.dtype == "uint8" else "<u2").reshape(content.shape)
    colours = np.iinfo(pixels.dtype).max - np.broadcast_to(pixels[..., :3], (*pixels.shape[:2], 3))
    return np.concatenate((colours, pixels[..., 3:]), 2) if content.shape[2] == 4 else colours


def picture(request: wire.Stylize) -> wire.Result:
    """What an honest server answers."""
    pixels = styled(request.content)
    image = wire.Buffer(
        name="image",
        dtype=request.content.dtype,
        shape=pixels.shape,  # type: ignore[arg-type]
        data=pixels.tobytes(),
        colour_space="srgb",
    )
    statistics = request.statistics or STATISTICS
    return wire.Result(id=request.id, sha256=SHA256, precision="exact", statistics=statistics, buffers=(image,))


def refusal(request: wire.Request, code: str, text: str = "", retry_ms: int | None = None) -> wire.Error:
    return wire.Error(id=request.id, code=code, text=text or f"This is {code}.", retry_ms=retry_ms)


class FakeServer:
    """Runs in a thread while a `with` block lasts. `script` answers what it is given; None is for the honest answer."""

    def __init__(
        self,
        *,
        with_keys: bool = True,
        limits: wire.Limits = wire.Limits(),  # noqa: B008, it is frozen
        script: Callable[[wire.Request], Iterable[Answer] | None] = lambda request: None,
    ) -> None:
        self.limits = limits
        self.script = script
        self.protocol = wire.PROTOCOL
        self.features: tuple[str, ...] = ("generate", "depth16", "stylize", "carry")
        self.secret, self.client_secret = new_key(), new_key()
        self.with_keys = with_keys
        self.requests: list[wire.Request] = []  # all that came, in order
        self.port = 0
        self._stop = Event()
        self._thread: Thread | None = None

    @property
    def pairing(self) -> Pairing:
        """Where it is now, for the one client it knows."""
        keys = Keys(server=public_key(self.secret), client=self.client_secret) if self.with_keys else None
        return Pairing(host="127.0.0.1", port=self.port, keys=keys)

    def asked(self, kind: type[wire.Request]) -> list[Any]:
        return [request for request in tuple(self.requests) if isinstance(request, kind)]

    def start(self) -> None:
        """On a new port, as restarted servers are."""
        bound = Event()
        self._stop.clear()
        self._thread = Thread(target=self._run, args=[bound])
        self._thread.start()
        assert bound.wait(5)

    def die(self) -> None:
        """Without a word."""
        self._stop.set()
        if self._thread:
            self._thread.join(5)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.die()

    def _run(self, bound: Event) -> None:
        # Closed from right to left: nobody may still be at a handshake when the one who answers for keys is gone.
        with zmq.Context() as context, context.socket(zmq.REP) as zap, context.socket(zmq.ROUTER) as router:
            zap.linger, router.linger = 0, LINGER_MS
            router.rcvhwm, router.sndhwm = 8, 10_000
            if self.with_keys:
                zap.bind("inproc://zeromq.zap.01")
                router.curve_server = True
                router.curve_secretkey = z85(self.secret)
                router.zap_domain = b"texserver"
            self.port = router.bind_to_random_port("tcp://127.0.0.1")
            bound.set()
            while not self._stop.is_set():
                if self.with_keys and zap.poll(0):
                    self._admit(zap)
                if router.poll(5):
                    self._answer(router)

    def _admit(self, zap: "zmq.Socket[bytes]") -> None:
        frames = zap.recv_multipart()
        known = frames[6:7] == [z85_codec.decode(z85(public_key(self.client_secret)))]
        zap.send_multipart([b"1.0", frames[1], b"200" if known else b"400", b"", b"", b""])

    def _answer(self, router: "zmq.Socket[bytes]") -> None:
        client, *frames = router.recv_multipart()
        letter = wire.letter_of(frames, CODECS)
        request = wire.parse_request(frames, self.limits, CODECS)
        self.requests.append(request)
        answers = self.script(request)
        for answer in self._honest(request) if answers is None else answers:
            raw = answer if isinstance(answer, list) else wire.encode(answer, letter, CODECS)  # type: ignore[arg-type]
            router.send_multipart([client, *raw])

    def _honest(self, request: wire.Request) -> Iterable[wire.Reply]:
        match request:
            case wire.Hello(id=id):
                yield wire.Welcome(
                    id=id,
                    protocol=self.protocol,
                    server="texserver 9.9",
                    state="ready",
                    limits=self.limits,
                    features=self.features,
                )
            case wire.Stylize(model="ink"):
                yield picture(request)
            case wire.Generate(model="brick", sha256=wanted) if wanted in ("", SHA256):
                yield result(request)
            case wire.Generate(model=model) | wire.GetThumbnail(model=model) | wire.Stylize(model=model) if (
                model != "brick"
            ):
                yield refusal(request, "unknown_model", f"There is no model {model!r}. Did you mean 'brick'?")
            case wire.GetThumbnail(id=id):
                pixels = painted(0, (16, 24)).tobytes()
                yield wire.Result(
                    id=id, buffers=(wire.Buffer(name="thumbnail", dtype="uint8", shape=(16, 24, 3), data=pixels),)
                )
            case wire.ListModels(id=id, after=after):
                names = [f"model-{number:03}" for number in range(7)]
                page = [name for name in names if name > after][:3]
                yield wire.Models(
                    id=id,
                    models=tuple({"name": name, "state": "ready", "maps": ["basecolor"]} for name in page),
                    total=len(names),
                    after="" if page[-1] == names[-1] else page[-1],
                )
            case wire.GetStatus(id=id):
                yield wire.Status(id=id, report={"waiting": 0})
            case _:
                yield refusal(request, "not_found")


def times(number: int, code: str, retry_ms: int | None = None) -> Script:
    """A script that refuses the first so many textures or pictures and is honest afterwards."""
    counter = count()

    def script(request: wire.Request) -> Any:
        if isinstance(request, wire.Generate | wire.Stylize) and next(counter) < number:
            return [refusal(request, code, retry_ms=retry_ms)]
        return None

    return script
