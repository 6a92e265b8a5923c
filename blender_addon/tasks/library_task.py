"""The task that publishes an asset library: it has the textures painted, then another Blender makes the materials.

The other Blender runs in the background, without a window and without the artist's file, so nothing here changes that
file or waits. What is finished stays: a task that is cancelled leaves a library of fewer models. No bpy here.
"""

import json
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from ..client.connection import Connection
from . import kept_file
from .catalogue import ListedModel
from .child_process import ChildProcess, last_lines, log_size, read_log
from .library import BUILT, FAILED, MAKES, OTHER, TEXTURES, Library, LibraryEntry, LibraryError, catalogue_id, file_of
from .painted import Painted
from .placement import Size, whole_periods
from .task import PATIENCE_S, Task
from .texture_files import TextureFiles
from .texture_task import FileDownload, TextureOrder

FORMAT: Final = 1
PAINTING: Final = 0.7  # of the time, about
SILENT_S: Final = 300.0  # of the other Blender, before it is ended
TAIL_BYTES: Final = 16 * 1024

Command = Callable[[Path], list[str]]  # of a Blender that makes what a file describes


@dataclass(frozen=True, kw_only=True)
class LibraryOrder:
    """Which models to publish, where, and how."""

    folder: Path
    models: tuple[ListedModel, ...]
    side: int  # pixels
    texels: Mapping[str, float]  # per metre, by model
    command: Command

    @property
    def title(self) -> str:
        """For one line of a panel."""
        count = len(self.models)
        return f"Library: {count} {'model' if count == 1 else 'models'}"

    def size_of(self, model: ListedModel) -> Size:
        """Height and width; of a regular material the nearest that shows whole periods."""
        size = (self.side, self.side)
        return whole_periods(model.lattice, size) if model.lattice else size


class LibraryTask(Task):
    """Paints the models one by one, then has all materials made."""

    def __init__(
        self,
        id: int,
        order: LibraryOrder,
        connection: Connection,
        *,
        scratch: Path,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(id, connection, patience_s=patience_s, clock=clock)
        self.order = order
        self.made: list[str] = []
        self._library = Library(order.folder)
        self._files = TextureFiles(order.folder / TEXTURES, 0)
        self._left = deque(order.models)
        self._download: FileDownload | None = None
        self._painted: dict[str, Painted] = {}
        self._why_not: dict[str, str] = {}  # by model
        self._builder = _Builder(order.command, scratch, clock)

    @property
    def title(self) -> str:
        return self.order.title

    @property
    def fraction(self) -> float:
        if self.state == "done":
            return 1.0
        total = len(self.order.models) or 1
        under_way = self._download.download.fraction if self._download else 0.0
        painted = total - len(self._left) - (self._download is not None) + under_way
        return PAINTING * painted / total + (1 - PAINTING) * len(self.made) / total

    def _advance(self) -> None:
        try:
            if self.state == "waiting":
                self.state = "running"
                self._library.look()
            if self._download or self._left:
                self._paint()
            elif self._painted:
                self._build()
            else:
                self._finish()
        except LibraryError as error:
            self._end("failed", str(error))

    # -------------------------------------------------------------------------------------------------------- painting

    def _paint(self) -> None:
        if self._download is None:
            model = self._left.popleft()
            order = TextureOrder(model=model.name, seed=0, size=self.order.size_of(model))
            self._download = FileDownload(self._connection, order, order.size, self._name)
        download = self._download.download
        name = download.model
        self.message = f"Painting {name}."
        if download.tick():
            self._watch(download)
            return
        if painted := self._download.painted():
            self._painted[name] = painted
        else:
            self._why_not[name] = download.message
        self._download = None

    def _name(self, painting: Any) -> list[Path]:
        return self._files.paths(
            model=painting.model,
            sha256=painting.sha256,
            seed=painting.seed,
            size=painting.size,
            maps={each.name: each.depth for each in painting.maps},
            suffix=".png",
        )

    # -------------------------------------------------------------------------------------------------------- building

    def _build(self) -> None:
        if not self._builder.started:
            self._builder.start(self._job())
        self.message = f"Making materials: {len(self.made)} of {len(self._painted)}."
        for line in self._builder.lines():
            if line.startswith(BUILT):
                self._take(line.removeprefix(BUILT).strip())
            elif line.startswith(FAILED):
                name, _, why = line.removeprefix(FAILED).partition(": ")
                self._why_not[name] = why.strip()
        if self._builder.ended:
            for name in self._painted:
                if name not in self.made:
                    self._why_not.setdefault(name, self._builder.last_words)
            self._painted.clear()
            self._finish()

    def _take(self, name: str) -> None:
        """The material of a model is there."""
        painted, model = self._painted.get(name), self._model(name)
        if painted is None or model is None or name in self.made:
            return
        self._library.add(
            LibraryEntry(
                model=name,
                sha256=painted.painting.sha256,
                side=self.order.side,
                texels_per_metre=self.order.texels[name],
                category=model.category or OTHER,
                makes=MAKES,
                file=file_of(name),
                textures=tuple(path.name for path in painted.files.values()),
            )
        )
        self.made.append(name)

    def _job(self) -> dict[str, Any]:
        """What the other Blender reads; material/asset_build.py makes it."""
        items = []
        for name, painted in self._painted.items():
            model = self._model(name)
            category = model.category if model and model.category else OTHER
            items.append(
                {
                    "painting": asdict(painted.painting),
                    "files": {map: str(path) for map, path in painted.files.items()},
                    "lattice": [list(each) for each in model.lattice] if model and model.lattice else None,
                    "texels_per_metre": self.order.texels[name],
                    "category": category,
                    "catalogue": catalogue_id(category),
                    "file": str(self.order.folder / file_of(name)),
                }
            )
        return {"format": FORMAT, "items": items}

    def _model(self, name: str) -> ListedModel | None:
        return next((each for each in self.order.models if each.name == name), None)

    # ---------------------------------------------------------------------------------------------------------- ending

    def _finish(self) -> None:
        reasons = [f"{name}: {why}" for name, why in self._why_not.items()]
        if self.order.models and not self.made:
            self._end("failed", f"Nothing was published. {' '.join(reasons)} Then press Retry.")
            return
        if reasons:
            self.note = f"{len(reasons)} of {len(self.order.models)} models were not published. {' '.join(reasons)}"
        self._end("done", "Done.")

    def _stop(self) -> None:
        if self._download:
            self._download.download.cancel()
        self._builder.stop()
        self._remove_drafts()

    def _remove_drafts(self) -> None:
        """Of a Blender that was ended in the midst of its work."""
        with suppress(OSError):
            for path in self.order.folder.glob(".*.part.*"):
                path.unlink(missing_ok=True)


class _Builder:
    """The other Blender, and what it says."""

    def __init__(self, command: Command, scratch: Path, clock: Callable[[], float]) -> None:
        self.started = self.ended = False
        self._command = command
        self._job, self._log = scratch / "library-job.json", scratch / "library.log"
        self._clock = clock
        self._process: ChildProcess | None = None
        self._read = 0  # bytes of the log
        self._said_at = 0.0

    def start(self, job: dict[str, Any]) -> None:
        """Raises LibraryError."""
        self.started = True
        self._said_at = self._clock()
        try:
            kept_file.replace(self._job, json.dumps(job).encode())
            self._process = ChildProcess(self._command(self._job), self._log, self._log.parent)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise LibraryError(f"A second Blender that makes the materials cannot be started: {why}.") from None

    def lines(self) -> list[str]:
        """What it has said since the last call, in whole lines."""
        if self._process is None:
            return []
        self.ended = self._process.poll() is not None
        new = read_log(self._log, self._read, log_size(self._log) - self._read)
        whole = new.rfind(b"\n") + 1
        if whole:
            self._read += whole
            self._said_at = self._clock()
        elif self._clock() - self._said_at > SILENT_S:
            self._process.kill()
            self.ended = True
        return new[:whole].decode("utf-8", "replace").splitlines()

    @property
    def last_words(self) -> str:
        """Why it has ended before its work was done."""
        last = next(iter(reversed(last_lines(self._log, TAIL_BYTES))), "")
        return f"The second Blender ended early. Its log, {self._log}, may say why. Its last words: {last[:200]}."

    def stop(self) -> None:
        """End it, if it runs, and remove what it was told."""
        if self._process:
            self._process.close_input()
            self._process.kill()
        with suppress(OSError):
            self._job.unlink(missing_ok=True)
