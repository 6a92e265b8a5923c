"""Paints tiles of textures of several models. What was worked out for one is kept for the next tiles of the same."""

import hashlib
from collections import OrderedDict
from collections.abc import Hashable, Iterator, Mapping

import numpy as np
import torch

from server.model.torus import Window
from server.model.work import BlendTile
from server.network.model_file import AnyModel
from server.quilt.blend import Blend, BlendSettings
from server.quilt.quilt import Quilt

BLENDS_KEPT = 4


class Blender:
    """The blends that a worker painted last. `generators`: its models by hash."""

    def __init__(self, generators: Mapping[str, AnyModel]) -> None:
        self._generators = generators
        self._blends: OrderedDict[Hashable, tuple[tuple[str, ...], Blend]] = OrderedDict()

    def prepare(self, item: BlendTile) -> Iterator[None]:
        """Work out what is the same for all tiles, model by model, so that the worker can say that it goes on."""
        for quilt in self._quilts_of(item):
            fitted, _ = quilt.fitted(item.size)
            if not fitted.is_prepared:
                fitted.prepare()
                yield

    def samples(self, item: BlendTile, device: torch.device) -> list[torch.Tensor]:
        """The tile: one tensor for each of its maps."""
        mask = hashlib.sha256(item.content).digest()
        key = item.hashes, item.seed, item.size, item.maps, item.shape, mask, item.softness, item.heights, item.reach
        if key not in self._blends:
            self._blends[key] = item.hashes, self._made(item)
            while len(self._blends) > BLENDS_KEPT:
                self._blends.popitem(last=False)
        self._blends.move_to_end(key)
        _, blend = self._blends[key]
        for each in blend.quilts:
            each.to(device)  # back, where memory had been short
        return blend.samples(Window(*item.tile), item.depths)

    def forget(self, sha256: str) -> None:
        """The worker does not keep this model any more."""
        for key in [key for key, (hashes, _) in self._blends.items() if sha256 in hashes]:
            del self._blends[key]

    def _made(self, item: BlendTile) -> Blend:
        quilts = self._quilts_of(item)
        maps = {each.name: each for each in quilts[0].maps}
        mask = torch.from_numpy(np.frombuffer(item.content, np.uint8).copy().reshape(item.shape))
        settings = BlendSettings(softness=item.softness, heights=item.heights, reach=item.reach)
        return Blend(quilts, [maps[name] for name in item.maps], mask, settings, item.seed, item.size)

    def _quilts_of(self, item: BlendTile) -> list[Quilt]:
        quilts = []
        for each in item.hashes:
            quilt = self._generators[each]
            assert isinstance(quilt, Quilt)  # the front knows the kinds
            quilts.append(quilt)
        return quilts
