"""Painting without a server: models of a folder, a device of this machine, the same sinks as for a client."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from blender_addon.client.blending import Blending
from blender_addon.client.sinks import PaintedMap, Painting, Sink
from blender_addon.client.style_download import IMAGE, StylizedPicture
from blender_addon.protocol.edges import edges_of
from blender_addon.protocol.rect import Rect
from server import __version__
from server.client.local_blends import LocalBlends
from server.client.stylized import Stylizer, Used, checked_content
from server.errors import BadRequest
from server.freed_memory import give_back
from server.model.common_edges import check_edges
from server.model.header import explained
from server.model.library import Library
from server.model.maps import Depth, depths_of
from server.model.statistics_token import carry_bytes, parse_carry, parse_statistics, statistics_text
from server.model.torus import Size, Window
from server.network.devices import choose_device, choose_precision, prepare
from server.network.model_file import AnyModel, AnyStyle, Model, read_model
from server.network.quilted import Wish
from server.network.styling import stylizing
from server.network.texture import bands
from server.precision import Precision


class LocalPainter(Stylizer):
    """Paints textures and stylizes pictures in this process. Raises NoSuchDevice."""

    def __init__(self, library: Library, device: str, precision: Precision) -> None:
        self._library = library
        self._device = choose_device(device)
        self._precision = choose_precision(self._device, precision)
        self._blends = LocalBlends(library, self._device)
        self._model: Model | None = None  # the one used last
        self._path = Path()  # its file
        self._prepared: AnyModel | None = None  # its generator, on the device

    def paint(
        self,
        model: str | Blending,
        *,
        seed: int,
        size: tuple[int, int],
        sink: Sink,
        window: tuple[int, int, int, int] | None = None,
        maps: Sequence[str] | None = None,
        depth: Depth | None = None,
        variant: int | None = None,
        wang: int = 0,
        progress: Callable[[int], None] = lambda pixels: None,
    ) -> None:
        """As `server.client.Client.paint`.

        Raises UnknownModel, WrongKind, BrokenModel, BadRequest, and what the sink raises.
        """
        if isinstance(model, Blending):
            self._blends.paint(
                model, seed=seed, size=size, sink=sink, window=window, maps=maps, depth=depth, progress=progress
            )
            return
        found = self._read(model)
        found.texture_generator()  # refuses a style
        generator = self._prepared
        assert generator is not None
        assert not isinstance(generator, AnyStyle)
        torus, edges = Size(*size), edges_of(variant, wang)
        if edges:
            check_edges(generator.architecture, generator.lattice, torus, edges)
        part = Window(*window) if window else torus.whole
        wanted = _wanted(found, maps, depth)
        painting = Painting(
            model=found.name,
            sha256=found.sha256,
            seed=seed,
            size=size,
            window=(part.top, part.left, part.height, part.width),
            maps=tuple(wanted),
            precision=self._precision,
            software=f"texserver {__version__}",
            server="",
            variant=variant,
            wang=wang,
        )
        done = 0
        try:
            sink.begin(painting)
            for band in bands(generator, seed, torus, part, depth, edges):
                rows = len(band[0])
                for each, index in wanted.items():
                    sink.write(each.name, Rect(done, 0, rows, part.width), band[index].numpy().data.cast("B"))
                done += rows
                self._check_place()
                give_back()  # or the heap grows with the texture
                progress(done * part.width)
            sink.finish()
        except BaseException:
            sink.abort()
            raise

    def stylize_into(
        self,
        sink: Sink,
        model: str,
        content: NDArray[Any],
        *,
        strength: float = 1.0,
        seed: int = 0,
        keep_colours: bool = False,
        noise: float = 1.0,
        stroke: float = 1.0,
        statistics: str = "",
        carry: bytes | None = None,
        progress: Callable[[int], None] = lambda pixels: None,
    ) -> Used:
        """As Stylizer. Raises UnknownModel, WrongKind, BrokenModel and BadRequest, and what the sink raises."""
        array = checked_content(content)
        found = self._read(model)
        architecture = found.style_generator().architecture
        generator = self._prepared
        assert isinstance(generator, AnyStyle)
        given = parse_statistics(statistics, found.sha256, architecture)
        pixels = torch.from_numpy(array if array.flags.writeable else array.copy())
        wish = Wish(seed=seed, strength=strength, keep_colours=keep_colours, noise=noise, stroke=stroke)
        taken = None if carry is None else bytes(parse_carry(carry, found.sha256))
        used, painted, carried = stylizing(generator, pixels, wish, given, taken)
        height, width, channels = array.shape
        picture = StylizedPicture(
            model=found.name,
            sha256=found.sha256,
            seed=seed,
            size=(height, width),
            window=(0, 0, height, width),
            maps=(PaintedMap(name=IMAGE, channels=max(channels, 3), colour_space="srgb", depth=8 * array.itemsize),),
            precision=self._precision,
            software=f"texserver {__version__}",
            server="",
            strength=strength,
            keep_colours=keep_colours,
            noise=noise,
            stroke=stroke,
        )
        done = 0
        try:
            sink.begin(picture)
            for band in painted:
                samples = band.contiguous().numpy()
                sink.write(IMAGE, Rect(done, 0, len(band), width), samples.data.cast("B"))
                done += len(band)
                progress(done * width)
            sink.finish()
        except BaseException:
            sink.abort()
            raise
        return Used(statistics_text(found.sha256, used), carry_bytes(found.sha256, carried()))

    def _read(self, name: str) -> Model:
        """The model of this name, its generator prepared for the device."""
        if self._model is None or self._model.name != name:
            self._path = self._library.path(name)
            self._model = read_model(self._path)
            self._prepared = prepare(self._model.generator, self._device, self._precision)
        return self._model

    def _check_place(self) -> None:
        """Raises BrokenModel when a large file was overwritten while it was painted from."""
        if self._model and self._model.place:
            with explained(self._path):
                self._model.place.check()


def _wanted(model: Model, names: Sequence[str] | None, depth: Depth | None) -> dict[PaintedMap, int]:
    """The maps wanted, and which of the model's each is."""
    maps = model.texture_generator().maps
    found = {
        each.name: (PaintedMap(name=each.name, channels=each.channels, colour_space=each.colour_space, depth=bits), at)
        for at, (each, bits) in enumerate(zip(maps, depths_of(maps, depth), strict=True))
    }
    for name in names or ():
        if name not in found:
            raise BadRequest(f"maps: there is no {name[:40]!a}; {model.name} has {', '.join(found)}.")
    return dict(found[name] for name in names or found)
