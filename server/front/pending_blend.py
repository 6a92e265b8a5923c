"""Requests for windows of textures of several models: as windows of one model's, with a mask that goes along."""

import hashlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from blender_addon.protocol import wire
from blender_addon.protocol.blending import hash_of_all
from server.errors import Refused
from server.front.assembly import Assembly
from server.front.pending_request import AnyItem, PendingRequest, same_bytes
from server.front.shelf import Version
from server.front.tile_cache import Planes
from server.front.work_item import NOT_GIVEN, WorkItem
from server.model.header import WrongKind
from server.model.maps import Depth, Map, common_maps, depths_of
from server.model.quilt import QuiltArchitecture
from server.model.torus import Size, Window
from server.model.work import BlendTile


class BlendKey(NamedTuple):
    """Everything that the samples of a tile of a blend depend on."""

    hashes: tuple[str, ...]  # of the model files
    seed: int
    size: Size
    tile: Window
    maps: tuple[str, ...]
    depths: tuple[Depth, ...]
    mask: tuple[str, tuple[int, int, int]]  # its hash and its shape
    softness: float
    heights: float
    reach: float


@dataclass(eq=False)
class PendingBlend(PendingRequest[wire.Blend]):
    """A window of a texture of several models."""

    hashes: tuple[str, ...] = ()  # of the models' versions
    maps: tuple[Map, ...] = ()  # that are answered, in this order
    depths: tuple[Depth, ...] = ()  # of each
    mask_hash: str = ""
    assembly: Assembly | None = None
    todo: deque[Window] = field(default_factory=deque)  # tiles that no worker was given yet

    @property
    def models(self) -> tuple[str, ...]:
        return self.request.models

    @property
    def pixels(self) -> int:
        assert self.request.window is not None
        return self.request.window[2] * self.request.window[3]

    @property
    def held_bytes(self) -> int:
        return memoryview(self.request.mask.data).nbytes

    def is_for(self, request: object) -> bool:
        if not isinstance(request, wire.Blend):
            return False
        mine, other = self.request.mask, request.mask
        return replace(request, mask=mine) == self.request and (
            mine.shape == other.shape and same_bytes(mine.data, other.data)
        )

    def check(self, versions: Sequence[Version], limits: wire.Limits) -> None:
        """Which maps the models have in common, and which of them are wanted."""
        request = self.request
        for name, version in zip(request.models, versions, strict=True):
            if version.facts.kind != "texture":
                raise WrongKind(name, version.facts.kind)
            if not isinstance(version.facts.architecture, QuiltArchitecture):
                raise Refused(
                    "bad_request",
                    f"models: {name!r} is a network, and only quilts can be blended; train it again with the recipe "
                    "quilt.",
                )
        self.hashes = tuple(each.sha256 for each in versions)
        if request.sha256 and request.sha256 != hash_of_all(self.hashes):
            raise Refused("unknown_model", "One of the models was replaced by another version; begin anew.")
        common = common_maps([each.facts.maps for each in versions])
        names = [each.name for each in common]
        if not names:
            raise Refused("bad_request", f"models: {' and '.join(map(repr, request.models))} have no map in common.")
        for name in request.maps or ():
            if name not in names:
                raise Refused(
                    "bad_request", f"maps: the models have no {name[:40]!a} in common; they have {', '.join(names)}."
                )
        self.maps = tuple(common[names.index(name)] for name in request.maps or names)
        self.depths = depths_of(self.maps, request.depth)  # type: ignore[arg-type]  # one that the wire lets through
        bits = sum(each.channels * depth for each, depth in zip(self.maps, self.depths, strict=True))
        self.result_bytes = self.pixels * bits // 8
        if self.result_bytes > limits.max_result_bytes:
            raise Refused(
                "bad_request",
                f"window: its samples would be {self.result_bytes} bytes, and at most {limits.max_result_bytes} are "
                "answered at once; ask for smaller windows or fewer maps.",
            )

    def begin(self, versions: Sequence[Version], limits: wire.Limits) -> None:
        """Cut the window into tiles."""
        self.check(versions, limits)
        self.version = versions[0]
        self.mask_hash = hashlib.sha256(self.request.mask.data).hexdigest()
        assert self.request.window is not None
        size, window = Size(*self.request.size), Window(*self.request.window)
        self.assembly = Assembly(size, window, self.maps, range(len(self.maps)), self.depths)
        self.todo = deque(self.assembly.missing)

    def next_item(self) -> AnyItem:
        request = self.request
        key = BlendKey(
            hashes=self.hashes,
            seed=request.seed,
            size=Size(*request.size),
            tile=self.todo[0],
            maps=tuple(each.name for each in self.maps),
            depths=self.depths,
            mask=(self.mask_hash, request.mask.shape),
            softness=request.softness,
            heights=request.heights,
            reach=request.reach,
        )
        pixels = key.tile.pixels
        return WorkItem(
            key=key,
            is_kept=True,
            models=request.models,
            pixels=pixels,
            message=BlendTile(
                number=NOT_GIVEN,
                hashes=key.hashes,
                seed=key.seed,
                size=key.size,
                tile=key.tile,
                maps=key.maps,
                depths=key.depths,
                softness=key.softness,
                heights=key.heights,
                reach=key.reach,
                shape=request.mask.shape,
                content=request.mask.data,
            ),
            answer_bytes=[
                pixels * each.channels * depth // 8 for each, depth in zip(self.maps, self.depths, strict=True)
            ],
            is_exact=True,  # it blends quilts alone
        )

    def item_given(self) -> bool:
        self.todo.popleft()
        return not self.todo

    def take(self, item: AnyItem, planes: Planes) -> bool:
        assert self.assembly is not None
        assert isinstance(item.key, BlendKey)
        self.done += self.assembly.add(item.key.tile, planes)
        return self.assembly.complete

    def result(self) -> wire.Result:
        assert self.assembly is not None
        assert self.request.window is not None
        buffers = tuple(
            wire.Buffer(
                name=each.name,
                dtype=f"uint{depth}",
                shape=(*self.request.window[2:], each.channels),
                data=plane,
                colour_space=each.colour_space,
            )
            for each, depth, plane in zip(self.maps, self.depths, self.assembly.planes(), strict=True)
        )
        return wire.Result(
            id=self.request.id, sha256=hash_of_all(self.hashes), precision=self.precision, buffers=buffers
        )

    def described(self) -> str:
        request = self.request
        height, width = request.size
        others = ascii(" ".join(request.models[1:]))[1:-1][:200]
        return f"with={others} seed={request.seed} size={width}x{height} window={request.window}"
