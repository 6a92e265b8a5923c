"""The task that stylizes one picture. No bpy here."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..client.connection import Connection
from ..client.sinks import FileSink, Painting
from ..pictures.picture_reader import PictureError
from .painted import Painted
from .style_task import StyleParameters, StyleTask
from .task import PATIENCE_S, NameFiles


@dataclass(frozen=True, kw_only=True)
class PictureOrder:
    """Which picture to stylize, and how."""

    style: StyleParameters
    content: Path  # the file of the picture; removed when the task is done
    name: str  # what people call the picture

    @property
    def title(self) -> str:
        """For one line of a panel."""
        return f"{self.name} in {self.style.model}"


class PictureTask(StyleTask):
    """Stylizes one picture. `result` is set when it is complete: one file, of the map "image"."""

    def __init__(
        self,
        id: int,
        order: PictureOrder,
        connection: Connection,
        name: NameFiles,
        *,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(id, connection, patience_s=patience_s, clock=clock)
        self.order = order
        self._sink = FileSink(lambda _: name(self._painting()), durable=False)

    @property
    def title(self) -> str:
        return self.order.title

    @property
    def fraction(self) -> float:
        return 1.0 if self.state == "done" else self._download.fraction if self._download else 0.0

    def _advance(self) -> None:
        try:
            self._download = download = self._download or self._start(self.order.style, self.order.content, self._sink)
        except PictureError as error:
            self._end("failed", str(error))
            return
        download.tick()
        self.state, self.message = download.state, download.message
        if download.state == "done":
            self.result = Painted(painting=self._painting(), files=self._sink.paths)
            with suppress(OSError):
                self.order.content.unlink()
        if self.ended:
            self._end(self.state, self.message)
        else:
            self._watch(download)

    def _painting(self) -> Painting:
        assert self._download
        assert self._download.picture  # set before the sink begins
        return self._download.picture
