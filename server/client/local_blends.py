"""Textures of several models, painted without a server: as server/client/local_painter.py does those of one."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from blender_addon.client.blending import BlendedPainting, Blending
from blender_addon.client.sinks import PaintedMap, Sink
from blender_addon.protocol.blending import hash_of_all
from blender_addon.protocol.rect import Rect
from server import __version__
from server.errors import BadRequest
from server.freed_memory import give_back
from server.model.header import explained
from server.model.library import Library
from server.model.maps import Depth, Map, common_maps, depths_of
from server.model.torus import TILE, Size, Window, check_seed
from server.network.model_file import Model, read_model
from server.quilt.blend import Blend, BlendSettings
from server.quilt.quilt import Quilt


class LocalBlends:
    """Blends models of a folder on a device of this machine."""

    def __init__(self, library: Library, device: torch.device) -> None:
        self._library, self._device = library, device

    def paint(
        self,
        blending: Blending,
        *,
        seed: int,
        size: tuple[int, int],
        sink: Sink,
        window: tuple[int, int, int, int] | None,
        maps: Sequence[str] | None,
        depth: Depth | None,
        progress: Callable[[int], None],
    ) -> None:
        """As LocalPainter.paint. Raises UnknownModel, WrongKind, BrokenModel, BadRequest, and what the sink raises."""
        check_seed(seed)
        torus = Size(*size)
        part = Window(*window) if window else torus.whole
        models = [read_model(self._library.path(name)) for name in blending.models]
        quilts = [self._quilt_of(each) for each in models]
        wanted = _wanted(quilts, maps)
        depths = depths_of(wanted, depth)
        mask = torch.from_numpy(np.frombuffer(blending.mask, np.uint8).copy().reshape(blending.shape))
        settings = BlendSettings(softness=blending.softness, heights=blending.heights, reach=blending.reach)
        blend = Blend(quilts, wanted, mask, settings, seed, torus)
        painting = BlendedPainting(
            model=blending.name,
            sha256=hash_of_all([each.sha256 for each in models]),
            seed=seed,
            size=size,
            window=(part.top, part.left, part.height, part.width),
            maps=tuple(
                PaintedMap(name=each.name, channels=each.channels, colour_space=each.colour_space, depth=bits)
                for each, bits in zip(wanted, depths, strict=True)
            ),
            precision="exact",
            software=f"texserver {__version__}",
            server="",
            blend=blending,
        )
        try:
            sink.begin(painting)
            for done in range(0, part.height, TILE):
                rows = min(TILE, part.height - done)
                band = blend.samples(Window(part.top + done, part.left, rows, part.width), depths)
                for each, samples in zip(wanted, band, strict=True):
                    sink.write(each.name, Rect(done, 0, rows, part.width), samples.numpy().data.cast("B"))
                self._check_places(models)
                give_back()  # or the heap grows with the texture
                progress((done + rows) * part.width)
            sink.finish()
        except BaseException:
            sink.abort()
            raise

    def _quilt_of(self, model: Model) -> Quilt:
        generator = model.texture_generator()  # refuses a style
        if not isinstance(generator, Quilt):
            raise BadRequest(
                f"models: {model.name!r} is a network, and only quilts can be blended; train it again with the recipe "
                "quilt."
            )
        return generator.to(self._device)

    def _check_places(self, models: Sequence[Model]) -> None:
        """Raises BrokenModel when a large file was overwritten while it was painted from."""
        for each in models:
            if each.place:
                with explained(self._library.path(each.name)):
                    each.place.check()


def _wanted(quilts: Sequence[Quilt], names: Sequence[str] | None) -> list[Map]:
    common = {each.name: each for each in common_maps([quilt.maps for quilt in quilts])}
    if not common:
        raise BadRequest("models: they have no map in common, so nothing can be blended.")
    for name in names or ():
        if name not in common:
            raise BadRequest(f"maps: the models have no {name[:40]!a} in common; they have {', '.join(common)}.")
    return [common[name] for name in names or common]
