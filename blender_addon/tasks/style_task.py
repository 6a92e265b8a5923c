"""What the tasks that stylize share: the parameters of a style, and the start of one picture's download.

Content is a file that picture_reader reads. No bpy here.

    TexserverError
    └── NoContent    there is no picture to stylize
"""

from dataclasses import dataclass
from pathlib import Path

from ..client.region_download import Region, RegionDownload
from ..client.sinks import Sink
from ..client.style_download import StyleDownload
from ..pictures.picture_reader import read_picture
from ..protocol.errors import TexserverError
from .task import Task


class NoContent(TexserverError):
    """There is no picture to stylize. The text says what to do."""


@dataclass(frozen=True, kw_only=True)
class StyleParameters:
    """The style that was chosen, and how strongly it is applied."""

    model: str
    strength: float = 1.0  # 0 is the content, 1 the style
    seed: int = 0
    keep_colours: bool = False  # take only light and dark from the style
    stroke: float = 1.0  # the size of strokes
    regions: tuple[Region, ...] = ()  # parts in other styles, the last one uppermost


class StyleTask(Task):
    """A task with at most one picture on its way at a time."""

    _download: StyleDownload | RegionDownload | None = None

    def _start(
        self,
        style: StyleParameters,
        content: Path,
        sink: Sink,
        *,
        statistics: str = "",
        carry: bytes | None = None,
        noise: float = 1.0,
    ) -> StyleDownload | RegionDownload:
        """Begin the download of one picture; `content` is a file for picture_reader. `carry`: of the frame before, b""
        where there is none, None for a picture by itself. Raises PictureError.
        """
        picture = read_picture(content)

        def begin(model: str, sink: Sink, statistics: str, before: bytes) -> StyleDownload:
            return StyleDownload(
                self._connection,
                model,
                picture.data,
                picture.shape,
                sink,
                dtype=picture.dtype,
                strength=style.strength,
                seed=style.seed,
                keep_colours=style.keep_colours,
                noise=noise,
                stroke=style.stroke,
                statistics=statistics,
                sequence=carry is not None,
                carry=before,
                clock=self._clock,
            )

        if not style.regions:
            return begin(style.model, sink, statistics, carry or b"")
        return RegionDownload(
            begin,
            style.model,
            style.regions,
            picture,
            sink,
            statistics=statistics,
            carry=carry or b"",
            clock=self._clock,
        )

    def _stop(self) -> None:
        if self._download:
            self._download.cancel()
        self._download = None  # it holds the whole picture
