"""Requests that the server has accepted and not finished: windows of textures, and pictures in a style.

Each knows whether a version of a model can answer it, which work item it needs next, and how to make its result.
A window needs one item for each of its tiles, a picture needs one. No sockets and no torch: server/front/dispatcher.py
hands the items to workers.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from blender_addon.protocol import wire
from server.errors import Refused
from server.front.assembly import Assembly
from server.front.origin import NOBODY, Origin
from server.front.shelf import Version
from server.front.tile_cache import Planes, TileKey
from server.front.work_item import WorkItem, picture_item, tile_item
from server.model.common_edges import check_edges
from server.model.header import AnyStyleArchitecture, WrongKind
from server.model.maps import Depth, depths_of
from server.model.quilt import QuiltArchitecture
from server.model.statistics_token import carry_bytes, parse_carry, parse_statistics, statistics_text
from server.model.torus import Size, Window

COMPARED_BYTES = 2**20  # at once
SMALL_PIXELS = 2**18  # of a result that is small: about one tile, as for a preview

Request = TypeVar("Request", wire.Generate, wire.Blend, wire.Stylize)


@dataclass(eq=False)
class PendingRequest(ABC, Generic[Request]):
    """A request that was accepted and is not finished. `version` is None until work on it begins."""

    client: bytes  # a routing id
    letter: bytes
    request: Request
    arrived: float
    version: Version | None = None
    precision: str = ""
    done: int = 0  # pixels
    result_bytes: int = 0
    origin: Origin = NOBODY
    painters: set[Hashable] = field(default_factory=set)  # workers whose tiles are in its result

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models that answer it."""
        return (self.request.model,)

    @property
    @abstractmethod
    def pixels(self) -> int:
        """Of the result."""

    @property
    def path(self) -> tuple[bool, str, str, bytes]:
        """Where it waits in the queue. Small requests take turns with large ones, so that a preview never waits behind
        the textures of many; then keys, machines of a key and clients of a machine take turns.
        """
        return self.pixels > SMALL_PIXELS, self.origin.key, self.origin.peer, self.client

    @property
    def held_bytes(self) -> int:
        """Bytes of pixels that the client sent with it."""
        return 0

    @abstractmethod
    def is_for(self, request: object) -> bool:
        """Whether the request asks for the same."""

    @abstractmethod
    def check(self, versions: Sequence[Version], limits: wire.Limits) -> None:
        """Raises Refused if these versions of its models cannot answer it."""

    @abstractmethod
    def begin(self, versions: Sequence[Version], limits: wire.Limits) -> None:
        """Answer it from these versions. Raises as check()."""

    def begin_anew(self) -> None:
        """Forget what was computed for it."""
        self.version, self.done = None, 0
        self.painters.clear()

    @abstractmethod
    def next_item(self) -> "AnyItem":
        """What must be computed for it next."""

    @abstractmethod
    def item_given(self) -> bool:
        """A worker computes that item. Returns whether it was the last."""

    @abstractmethod
    def take(self, item: "AnyItem", planes: Planes) -> bool:
        """Take in the result of an item. Returns whether the request is complete."""

    @abstractmethod
    def result(self) -> wire.Result:
        """The reply, once it is complete."""

    @abstractmethod
    def described(self) -> str:
        """For the server's log."""

    def _check_hash(self, version: Version) -> None:
        name, sha256 = self.request.model, self.request.sha256
        if sha256 and sha256 != version.sha256:
            raise Refused("unknown_model", f"The model {name!r} was replaced by another version; begin anew.")


@dataclass(eq=False)
class PendingWindow(PendingRequest[wire.Generate]):
    """A window of a texture."""

    assembly: Assembly | None = None
    todo: deque[Window] = field(default_factory=deque)  # tiles that no worker was given yet
    wanted: list[int] = field(default_factory=list)  # indices into the version's maps
    depths: tuple[Depth, ...] = ()  # of all the version's maps

    @property
    def pixels(self) -> int:
        assert self.request.window is not None
        return self.request.window[2] * self.request.window[3]

    def is_for(self, request: object) -> bool:
        return request == self.request

    def check(self, versions: Sequence[Version], limits: wire.Limits) -> None:
        (version,) = versions
        self._choose(version, limits)

    def begin(self, versions: Sequence[Version], limits: wire.Limits) -> None:
        """Cut the window into tiles."""
        (version,) = versions
        self._choose(version, limits)
        self.version = version
        assert self.request.window is not None
        size, window = Size(*self.request.size), Window(*self.request.window)
        self.assembly = Assembly(size, window, version.facts.maps, self.wanted, self.depths)
        self.todo = deque(self.assembly.missing)

    def _choose(self, version: Version, limits: wire.Limits) -> None:
        """Which of the version's maps are wanted, and their depths."""
        request = self.request
        if version.facts.kind != "texture":
            raise WrongKind(request.model, version.facts.kind)
        self._check_hash(version)
        if request.edges:
            check_edges(version.facts.architecture, version.facts.lattice, Size(*request.size), request.edges)
        maps = version.facts.maps
        names = [each.name for each in maps]
        wanted = request.maps or tuple(names)
        for name in wanted:
            if name not in names:
                raise Refused(
                    "bad_request", f"maps: {request.model!r} has no {name[:40]!a}; it has {', '.join(names)}."
                )
        self.wanted = [names.index(name) for name in wanted]
        self.depths = depths_of(maps, request.depth)  # type: ignore[arg-type]  # one that the wire lets through
        size = self.pixels * sum(maps[index].channels * self.depths[index] // 8 for index in self.wanted)
        if size > limits.max_result_bytes:
            raise Refused(
                "bad_request",
                f"window: its samples would be {size} bytes, and at most {limits.max_result_bytes} are answered "
                "at once; ask for smaller windows or fewer maps.",
            )
        self.result_bytes = size

    def next_item(self) -> "AnyItem":
        assert self.version is not None
        request = self.request
        size, facts = Size(*request.size), self.version.facts
        key = TileKey(self.version.sha256, request.seed, size, self.todo[0], self.depths, request.edges)
        return tile_item(key, request.model, facts.maps, is_exact=isinstance(facts.architecture, QuiltArchitecture))

    def item_given(self) -> bool:
        self.todo.popleft()
        return not self.todo

    def take(self, item: "AnyItem", planes: Planes) -> bool:
        assert self.assembly is not None
        assert isinstance(item.key, TileKey)
        self.done += self.assembly.add(item.key.tile, planes)
        return self.assembly.complete

    def result(self) -> wire.Result:
        assert self.assembly is not None
        assert self.version is not None
        request = self.request
        assert request.window is not None
        maps = self.version.facts.maps
        buffers = tuple(
            wire.Buffer(
                name=maps[index].name,
                dtype=f"uint{self.depths[index]}",
                shape=(*request.window[2:], maps[index].channels),
                data=plane,
                colour_space=maps[index].colour_space,
            )
            for index, plane in zip(self.wanted, self.assembly.planes(), strict=True)
        )
        return wire.Result(id=request.id, sha256=self.version.sha256, precision=self.precision, buffers=buffers)

    def described(self) -> str:
        request = self.request
        height, width = request.size
        edges = f" variant={request.edges.variant} wang={request.edges.wang}" if request.edges else ""
        depth = request.depth or "own"
        return f"seed={request.seed} size={width}x{height} window={request.window} depth={depth}{edges}"


@dataclass(eq=False)
class PendingPicture(PendingRequest[wire.Stylize]):
    """A picture in a style: one item for one worker."""

    statistics: bytes = b""  # those to be used; empty for the picture's own
    carry: wire.Data = b""  # of the frame before
    planes: Planes = ()  # the samples, the statistics that were used, and what the next frame takes from this one

    @property
    def pixels(self) -> int:
        height, width, _ = self.request.image_shape
        return height * width

    @property
    def held_bytes(self) -> int:
        carry = self.request.carry
        return memoryview(self.request.content.data).nbytes + (memoryview(carry.data).nbytes if carry else 0)

    def is_for(self, request: object) -> bool:
        if not isinstance(request, wire.Stylize):
            return False
        mine = self.request
        return replace(request, content=mine.content, carry=mine.carry) == mine and all(
            each is other
            or (
                (each and other and (each.dtype, each.shape) == (other.dtype, other.shape))
                and same_bytes(each.data, other.data)
            )
            for each, other in ((mine.content, request.content), (mine.carry, request.carry))
        )

    def check(self, versions: Sequence[Version], limits: wire.Limits) -> None:
        (version,) = versions
        if version.facts.kind != "style":
            raise WrongKind(self.request.model, version.facts.kind)
        self._check_hash(version)
        self.statistics = parse_statistics(self.request.statistics, version.sha256, _architecture(version))
        self.carry = parse_carry(self.request.carry.data if self.request.carry else b"", version.sha256)
        height, width, channels = self.request.image_shape
        self.result_bytes = height * width * channels * wire.ITEM_BYTES[self.request.content.dtype]

    def begin(self, versions: Sequence[Version], limits: wire.Limits) -> None:
        self.check(versions, limits)
        (self.version,) = versions

    def next_item(self) -> "AnyItem":
        assert self.version is not None
        return picture_item(
            self,
            self.request,
            self.version.sha256,
            self.statistics,
            _architecture(self.version).statistics_bytes,
            self.carry,
        )

    def item_given(self) -> bool:
        return True

    def take(self, item: "AnyItem", planes: Planes) -> bool:
        self.planes = planes
        self.done = self.pixels
        return True

    def result(self) -> wire.Result:
        assert self.version is not None
        samples, statistics, *carry = self.planes
        sha256 = self.version.sha256
        image = wire.Buffer(
            name="image",
            dtype=self.request.content.dtype,
            shape=self.request.image_shape,
            data=samples,
            colour_space="srgb",
        )
        buffers = [image]
        if carry and (data := carry_bytes(sha256, carry[0])):
            buffers.append(wire.Buffer(name="carry", dtype="uint8", shape=(1, len(data), 1), data=data))
        return wire.Result(
            id=self.request.id,
            sha256=sha256,
            precision=self.precision,
            statistics=statistics_text(sha256, bytes(statistics)),
            buffers=tuple(buffers),
        )

    def described(self) -> str:
        request = self.request
        height, width, channels = request.content.shape
        return f"seed={request.seed} size={width}x{height}x{channels} strength={request.strength:g}"


AnyRequest = PendingRequest[Any]
AnyItem = WorkItem[AnyRequest]


def _architecture(version: Version) -> AnyStyleArchitecture:
    architecture = version.facts.architecture
    assert isinstance(architecture, AnyStyleArchitecture)
    return architecture


def same_bytes(one: wire.Data, other: wire.Data) -> bool:
    """Whether these hold the same bytes. Compared in pieces, because memoryviews compare byte by byte, in Python."""
    pieces = range(0, memoryview(one).nbytes, COMPARED_BYTES)
    return all(bytes(one[at : at + COMPARED_BYTES]) == bytes(other[at : at + COMPARED_BYTES]) for at in pieces)
