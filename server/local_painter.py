"""Painting without a server: the models of a folder, on a device of this machine, into the same sinks as a client's."""

from collections.abc import Callable, Sequence

from blender_addon.sinks import PaintedMap, Painting, Sink
from server import __version__
from server.devices import choose_device, choose_precision, prepare
from server.errors import BadRequest
from server.generator import Generator
from server.library import Library
from server.model_file import Model, read_model
from server.precision import Precision
from server.texture import Depth, bands
from server.torus import Size, Window


class LocalPainter:
    """Paints textures in this process. Raises NoSuchDevice."""

    def __init__(self, library: Library, device: str, precision: Precision) -> None:
        self._library = library
        self._device = choose_device(device)
        self._precision = choose_precision(self._device, precision)
        self._ready: tuple[Model, Generator] | None = None  # the model used last

    def paint(
        self,
        model: str,
        *,
        seed: int,
        size: tuple[int, int],
        sink: Sink,
        window: tuple[int, int, int, int] | None = None,
        maps: Sequence[str] | None = None,
        depth: Depth = 8,
        progress: Callable[[int], None] = lambda pixels: None,
    ) -> None:
        """As `server.client.Client.paint`. Raises UnknownModel, BrokenModel, BadRequest, and what the sink raises."""
        found, generator = self._prepared(model)
        torus = Size(*size)
        part = Window(*window) if window else Window(0, 0, *size)
        wanted = _wanted(found, maps)
        painting = Painting(
            model=found.name,
            sha256=found.sha256,
            seed=seed,
            size=size,
            window=(part.top, part.left, part.height, part.width),
            maps=tuple(each for each, _ in wanted),
            depth=depth,
            precision=self._precision,
            software=f"texserver {__version__}",
            server="",
        )
        done = 0
        try:
            sink.begin(painting)
            for band in bands(generator, seed, torus, part, depth):
                for each, first in wanted:
                    samples = band[..., first : first + each.channels].contiguous().numpy()
                    sink.write(each.name, done, 0, band.shape[0], part.width, samples.data.cast("B"))
                done += band.shape[0]
                progress(done * part.width)
            sink.finish()
        except BaseException:
            sink.abort()
            raise

    def _prepared(self, name: str) -> tuple[Model, Generator]:
        if self._ready is None or self._ready[0].name != name:
            model = read_model(self._library.path(name))
            self._ready = model, prepare(model.generator, self._device, self._precision)
        return self._ready


def _wanted(model: Model, names: Sequence[str] | None) -> list[tuple[PaintedMap, int]]:
    """The maps wanted, and where the channels of each begin."""
    first, found = 0, {}
    for each in model.generator.maps:
        painted = PaintedMap(name=each.name, channels=each.channels, colour_space=each.colour_space)
        found[each.name] = (painted, first)
        first += each.channels
    for name in names or ():
        if name not in found:
            raise BadRequest(f"maps: there is no {name[:40]!a}; {model.name} has {', '.join(found)}.")
    return [found[name] for name in names or found]
