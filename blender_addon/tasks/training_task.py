"""The task that makes a material from a picture: reads the maps, has the server learn them, and paints the texture. Or
a style: then nothing is painted.

    reading      the maps as samples, by a PictureSource (material/map_pictures.py)
    learning     the server's trainer at work; the growing texture comes as pictures from time to time
    painting     the finished model's texture, as any other (texture_task.py)

The server's trainer needs no client: close() leaves it at work, and cancel() ends it. No bpy here.

    TexserverError
    └── NoMaps    there are no pixels to learn from
"""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Protocol, TypeVar

from ..client.connection import Connection
from ..client.sinks import PaintedMap, Painting
from ..client.training import ServerTraining, new_token
from ..pictures.draft import ImageFileError
from ..pictures.image_file import open_image
from ..pictures.plan_size import plan_factor
from ..pictures.straighten import WHOLE, Corners, size_of, small_view
from ..protocol.errors import TexserverError
from ..protocol.training import TEXTURE, in_bands
from ..protocol.wire import Buffer, Train
from .catalogue import Catalogue, ListedModel
from .painted import Painted
from .task import PATIENCE_S, NameFiles, Task
from .texture_task import TextureTask

Step = TypeVar("Step")

READ_S: Final = 0.03  # of reading per tick
PLACEHOLDER: Final = 512  # pixels of its longer side
SWATCH: Final = 1024  # pixels of the shorter side that the trainer learns, unless it is told
GROWN: Final = 512  # of these, that the growing texture shows at most
LEARNING: Final = (0.05, 0.85)  # of the whole task
LISTED_WITHIN_S: Final = 60.0  # after the training


class NoMaps(TexserverError):
    """There are no pixels to learn from. The text says what to do."""


class PictureSource(Protocol):
    """Gives the maps of a material, a little at each step."""

    buffers: list[Buffer]  # by map, complete when step() returns False; the base colour is the first

    def step(self) -> bool:
        """Read a little more. False when all is read. Raises NoMaps."""

    def close(self) -> None:
        """Nothing more is needed."""


@dataclass(frozen=True, kw_only=True)
class TrainingOrder:
    """What to learn, and how it is called."""

    name: str  # of the model
    kind: str = TEXTURE  # of the model
    leave_out: tuple[tuple[float, ...], ...] = ()  # for a style: parts of the picture, as on the wire
    metres: float = 0.0  # width of what is learned, in reality; 0: not known
    category: str = ""
    corners: Corners = WHOLE  # of what is learned, in the picture
    derive: tuple[str, ...] = ()  # maps to be guessed from the base colour
    replace: bool = False  # a model of that name
    swatch_size: int = SWATCH  # pixels of the shorter side of what is learned that are kept

    def request(self, buffers: Sequence[Buffer], *, id: int, token: str) -> Train:
        """What the server is asked for."""
        corners = None if self.corners == WHOLE else tuple(each for x, y in self.corners for each in (y, x))
        return Train(
            id=id,
            token=token,
            name=self.name,
            buffers=tuple(in_bands(buffers)),
            kind=self.kind,
            leave_out=self.leave_out,
            metres=self.metres or None,
            category=self.category,
            corners=corners,
            derive=self.derive or None,
            replace=self.replace,
            swatch_size=None if self.swatch_size == SWATCH else self.swatch_size,
        )


Paint = Callable[[ListedModel], TextureTask]


class TrainingTask(Task):
    """`preview` changes: the picture itself, then the growing texture; `result` is the finished model's texture.

    `paint` None: only the model is made. `training`: one that the server does already; then there is no source.
    """

    def __init__(
        self,
        id: int,
        order: TrainingOrder,
        connection: Connection,
        catalogue: Catalogue,
        name_preview: NameFiles,
        *,
        source: PictureSource | None = None,
        training: ServerTraining | None = None,
        paint: Paint | None = None,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(id, connection, patience_s=patience_s, clock=clock)
        self.order = order
        self.preview: Painted | None = None
        self.texels = 0.0  # per metre, of the preview and then of the result
        self.picture: Path | None = None  # file of the growing texture, for the panel
        self._catalogue = catalogue
        self._name_preview = name_preview
        self._source = source
        self._training = training
        self._paint = paint
        self._texture: TextureTask | None = None
        self._shown: Buffer | None = None  # the growing texture that is the preview
        self._pictures = 0
        self._grown = 1.0  # how much of the width of what is learned the growing texture shows
        self._learned_at = 0.0
        self._steps = self._work()

    @property
    def title(self) -> str:
        return self.order.name if self.ended else f"Learning {self.order.name}"

    @property
    def fraction(self) -> float:
        if self.state == "done":
            return 1.0
        first, last = LEARNING
        if self._texture:
            return last + (1 - last) * self._texture.fraction
        return first + (last - first) * self._training.fraction if self._training else 0.0

    @property
    def token(self) -> str:
        """Of the training on the server, "" before it is sent."""
        return self._training.token if self._training else ""

    def leave(self, why: str = "Cancelled.") -> None:
        """End here, while the server goes on. Before anything was sent it is a cancellation."""
        if self._training and not self.ended:
            self._training.leave()
            self._training = None
        self.cancel(why)

    def forget_target(self) -> None:
        """The objects are gone: make the model and paint nothing."""
        self._paint = None

    def _advance(self) -> None:
        try:
            next(self._steps)
        except StopIteration:
            return
        except (NoMaps, ImageFileError) as error:
            self._end("failed", str(error))

    def _work(self) -> Iterator[None]:
        """From the picture to the texture; ends with the task."""
        if self._training is None:
            assert self._source
            yield from self._read(self._source)
        assert self._training
        yield from self._learn(self._training)
        if not self.ended:
            yield from self._wait_for_model()

    def _read(self, source: PictureSource) -> Iterator[None]:
        self.state, self.message = "running", "Reading the picture."
        yield from self._slowly(iter(source.step, False))
        self._training = ServerTraining(
            self._connection, new_token(), partial(self.order.request, source.buffers), clock=self._clock
        )
        source.close()
        first = source.buffers[0]
        self._grown = _grown(*size_of(self.order.corners, *first.shape[:2]), self.order.swatch_size)
        if first.dtype == "uint8" and first.shape[2] == 3:
            view = yield from self._slowly(small_view(first, self.order.corners, PLACEHOLDER))
            assert view
            self._show(view)

    def _slowly(self, steps: Iterator[Step]) -> Generator[None, None, Step | None]:
        """Do these, with a pause whenever they have taken long. Returns what the last one gave."""
        until = self._clock() + READ_S
        last: Step | None = None
        for each in steps:
            last = each
            if self._clock() > until:
                yield
                until = self._clock() + READ_S
        return last

    def _learn(self, training: ServerTraining) -> Iterator[None]:
        while training.tick():
            self.state, self.message = "running", training.message
            if training.picture is not None and training.picture is not self._shown:
                self._shown = training.picture
                self._show(training.picture, self._grown)
            yield
        if training.state != "done":
            self._end(training.state, training.message)

    def _wait_for_model(self) -> Iterator[None]:
        """Until the model is listed, and its texture painted."""
        self.message = "Waiting for the new model."
        self._learned_at = self._clock()
        self._catalogue.refresh()
        yield
        while True:
            model = self._catalogue.get(self.order.name) if self._catalogue.settled else None
            if model and model.state == "ready":
                break
            if self._clock() - self._learned_at > LISTED_WITHIN_S:
                why = f"It says: {model.reason}" if model and model.reason else "Press Refresh."
                self._end("failed", f"The server has learned {self.order.name} but does not list it. {why}")
                return
            if self._catalogue.settled:
                self._catalogue.refresh()
            yield
        if self._paint is None:
            self._end("done", f"{self.order.name} is in the gallery.")
            return
        texels = model.texels_per_metre or (model.swatch[1] if model.swatch else 1024) / (self.order.metres or 1)
        self._texture = texture = self._paint(model)
        while texture.tick():
            self.message = texture.message
            if texture.preview:
                self.preview, self.texels = texture.preview, texels
            yield
        self.result, self.texels = texture.result, texels
        self._end(texture.state, texture.message)

    def _show(self, picture: Buffer, share: float = 1.0) -> None:
        """Make a picture the preview, that shows this share of the width of what is learned."""
        height, width, channels = picture.shape
        painted_map = PaintedMap(name="basecolor", channels=channels, colour_space="srgb", depth=8)
        self._pictures += 1
        painting = Painting(
            model=self.order.name,
            sha256=f"{self._pictures:08x}",
            seed=self.id,
            size=(height, width),
            window=(0, 0, height, width),
            maps=(painted_map,),
            precision="",
            software="",
            server=self._connection.place,
        )
        (path,) = self._name_preview(painting)
        with open_image(path, width=width, height=height, channels=channels, srgb=True, durable=False) as file:
            file.write_rows(picture.data)
        self.picture = path
        if self.order.metres:  # or else nobody knows how large it is on the object
            self.texels = width / (share * self.order.metres)
            self.preview = Painted(painting=painting, files={"basecolor": path})

    def _stop(self) -> None:
        with suppress(ValueError):  # it is what ends the task now
            self._steps.close()  # type: ignore[attr-defined]
        for each in (self._training, self._texture):
            if each:
                each.cancel()
        if self._source:
            self._source.close()


def _grown(height: float, width: float, swatch_size: int = SWATCH) -> float:
    """How much of the width of a picture the growing texture shows, which is a square."""
    shorter, longer = sorted((height, width))
    swatch = min(swatch_size, shorter)
    planned = swatch / plan_factor(swatch, longer * swatch / shorter)
    return min(GROWN, planned) / planned * shorter / width
