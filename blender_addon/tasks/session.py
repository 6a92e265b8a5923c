"""The add-on's session with one server: the connection, the models, the tasks and the history. No bpy here.

One object, ticked by one timer. It connects only when somebody uses it: an add-on that is enabled but not used opens
nothing.
"""

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

from ..client.blending import BlendedPainting
from ..client.connection import Connection
from ..client.sinks import Painting
from ..client.training import ServerTraining
from ..pictures.udim import TOKEN
from ..protocol import wire
from ..protocol.pairing import Pairing
from .catalogue import Catalogue, ListedModel
from .export_task import ExportOrder, ExportTask
from .favourites import Favourites
from .history import History, HistoryEntry
from .library_task import LibraryOrder, LibraryTask
from .masks import Masks
from .painted import Painted
from .picture_task import PictureOrder, PictureTask
from .recipes import Recipe, RecipeTask
from .sequence_task import ContentSource, SequenceOrder, SequenceTask
from .server_jobs import ServerJobs
from .task import PATIENCE_S, NameFiles, Task
from .texture_files import TextureFiles
from .texture_task import TextureOrder, TextureTask
from .training_task import PictureSource, TrainingOrder, TrainingTask

AT_ONCE: Final = 2  # tasks: one keeps the server busy, and with two a small one need not wait for a large one
TICK_S: Final = 0.04  # of ticking tasks, so that Blender's window stays responsive
STATUS_EVERY_S: Final = 3.0
LIST_EVERY_S: Final = 30.0  # and whenever the server has another number of models
CACHE_BYTES: Final = 4 * 2**30
PREVIEW_BYTES: Final = 64 * 2**20  # of previews and variations
MOST_ENDED: Final = 20  # ended tasks in the list, to look at or to retry

Find = Callable[[], Pairing]


class AddonSession:
    """`folder` holds thumbnails, textures and the history; `find` looks for the server, again at each attempt."""

    def __init__(
        self,
        folder: Path,
        find: Find,
        *,
        client: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder = folder
        self.files = TextureFiles(folder / "textures", CACHE_BYTES)
        self.previews = TextureFiles(folder / "previews", PREVIEW_BYTES)
        self.history = History(folder / "history.json")
        self.masks = Masks(folder / "masks")
        self.favourites = Favourites(folder / "favourites.json")
        self.tasks: list[Task] = []
        self.variations: list[TextureTask] = []  # small pictures of several seeds, to pick one from
        self.patience_s = PATIENCE_S
        self.wanted = False  # whether somebody has used it yet
        self.fetched: set[str] = set()  # tokens of trainings whose materials have come
        self.waiting: int | None = None  # requests in the server's queue, as it last said
        self._find = find
        self._client = client
        self._clock = clock
        self._last_id = 0
        self._turn = 0
        self._open()

    def _open(self) -> None:
        self.connection = Connection(self._find, client=self._client)
        self.catalogue = Catalogue(self.connection, self.folder / "thumbnails")
        self.server_jobs = ServerJobs(self.connection)
        self._status_at = 0.0
        self._status: int | None = None  # id of the request
        self._list_at = float("inf")
        self._counts: object = None  # of the server's models, by their states

    # ----------------------------------------------------------------------------------------------------------- state

    @property
    def busy(self) -> bool:
        """Whether a task is running or waiting."""
        return any(not task.ended for task in (*self.tasks, *self.variations))

    @property
    def connecting(self) -> bool:
        """Whether the first answer of the server is still missing."""
        return self.wanted and self.connection.state == "connecting"

    @property
    def state_line(self) -> str:
        """One line about the server."""
        if not self.wanted:
            return "Not connected yet."
        if self.connection.state != "ready":
            return self.connection.reason
        ready = sum(model.state == "ready" for model in self.catalogue.models)
        queue = f", {self.waiting} waiting" if self.waiting else ""
        return f"{self.connection.place}: {ready} {'model' if ready == 1 else 'models'}{queue}"

    @property
    def version(self) -> tuple[Any, ...]:
        """Changes whenever the panels must be drawn again."""
        told = tuple(
            (task.id, task.state, round(task.fraction, 2), task.message, task.note, task.seen)
            for task in (*self.tasks, *self.variations)
        )
        return self.catalogue.version, self.state_line, self.connection.state, self.server_jobs.jobs, told

    # ----------------------------------------------------------------------------------------------------------- tasks

    def order(self, order: TextureOrder, folder: Path | None = None, suffix: str = ".tif") -> TextureTask:
        """Add the task for a texture. Its files go into `folder`, or else into the cache."""
        if order.squares:
            suffix = f"-{order.squares.name}.{TOKEN}.png"
        task = self._texture_task(order, partial(_name, self._files_in(folder), suffix))
        self.tasks.append(task)
        return task

    def repaint(self, recipe: Recipe, models: Sequence[ListedModel]) -> RecipeTask:
        """Add the task that paints a recipe into its own files. `models`: those with its hashes."""
        task = RecipeTask(
            self._new_id(),
            recipe,
            self.connection,
            named=[each.name for each in models],
            exact=all(each.exact for each in models),
            **self._task_options,
        )
        self.tasks.append(task)
        return task

    def order_picture(self, order: PictureOrder, folder: Path | None = None, suffix: str = ".tif") -> PictureTask:
        """Add the task for a stylized picture. Its file goes into `folder`, or else into the cache."""
        own = f"image_{token_hex(4)}"  # two pictures may be alike in everything that names a file
        name = partial(_name, self._files_in(folder), suffix, name=own)
        task = PictureTask(self._new_id(), order, self.connection, name, **self._task_options)
        self.tasks.append(task)
        return task

    def order_sequence(self, order: SequenceOrder, source: ContentSource) -> SequenceTask:
        """Add the task for a stylized sequence. Frames whose files exist are not painted again."""
        with suppress(OSError):  # writing the first frame reports it
            order.folder.mkdir(parents=True, exist_ok=True)
        task = SequenceTask(self._new_id(), order, self.connection, source, **self._task_options)
        self.tasks.append(task)
        return task

    def order_export(self, order: ExportOrder) -> ExportTask:
        """Add the task that writes a texture set."""
        task = ExportTask(self._new_id(), order, self.connection, **self._task_options)
        self.tasks.append(task)
        return task

    def publish(self, order: LibraryOrder) -> LibraryTask:
        """Add the task for an asset library."""
        task = LibraryTask(self._new_id(), order, self.connection, scratch=self.folder, **self._task_options)
        self.tasks.append(task)
        return task

    def learn(
        self,
        order: TrainingOrder,
        *,
        source: PictureSource | None = None,
        training: ServerTraining | None = None,
        paint: Callable[[ListedModel], TextureOrder] | None = None,
        folder: Path | None = None,
        suffix: str = ".tif",
    ) -> TrainingTask:
        """Add the task that makes a model from a picture, or follows a training that the server does already.

        `paint` says which texture of the finished model is wanted; its files go into `folder`, or else the cache.
        """
        name = partial(_name, self._files_in(folder), suffix)

        def texture(model: ListedModel) -> TextureTask:
            assert paint
            return self._texture_task(paint(model), name)

        task = TrainingTask(
            self._new_id(),
            order,
            self.connection,
            self.catalogue,
            partial(_name, self.previews, ".png"),
            source=source,
            training=training,
            paint=texture if paint else None,
            **self._task_options,
        )
        self.tasks.append(task)
        return task

    def vary(self, orders: Sequence[TextureOrder]) -> None:
        """Paint small pictures in place of the earlier ones."""
        for task in self.variations:
            task.cancel()
        name = partial(_name, self.previews, ".png")
        self.variations = [self._texture_task(order, name) for order in orders]

    def _texture_task(self, order: TextureOrder, name: NameFiles) -> TextureTask:
        name_preview = partial(_name, self.previews, ".png")
        return TextureTask(self._new_id(), order, self.connection, name, name_preview, **self._task_options)

    def _new_id(self) -> int:
        self.wanted = True
        self._last_id += 1
        return self._last_id

    def _files_in(self, folder: Path | None) -> TextureFiles:
        return TextureFiles(folder, self.files.cap_bytes) if folder else self.files

    @property
    def _task_options(self) -> dict[str, Any]:
        return {"patience_s": self.patience_s, "clock": self._clock}

    def task(self, id: int) -> Task | None:
        """The task of this id, None when it is not in the list."""
        return next((task for task in self.tasks if task.id == id), None)

    def drop(self, task: Task) -> None:
        """Cancel a task and remove it from the list."""
        task.cancel()
        if task in self.tasks:
            self.tasks.remove(task)

    def keep_files(self, folder: Path | None, cap_bytes: int) -> None:
        """Set the cache and its limit. `folder` None: the session's own folder."""
        self.files = TextureFiles(folder or self.folder / "textures", cap_bytes)

    def tidy(self, shown: Collection[Path]) -> None:
        """Bring the cache below its limit. Files that are shown, or belong to a task in the list, stay."""
        listed = [task.result for task in (*self.tasks, *self.variations) if task.result]
        keep = {*shown, *(path for result in listed for path in result.files.values())}
        self.files.prune(keep)
        self.previews.prune(keep)

    def remember(self, painted: Painted) -> None:
        """Add a texture to the history."""
        painting = painted.painting
        blend = painting.blend if isinstance(painting, BlendedPainting) else None
        if blend:
            with suppress(OSError):  # then it cannot be painted again from the history, which will say so
                self.masks.keep(blend.mask)
        self.history.add(
            HistoryEntry(
                model=painting.model,
                sha256=painting.sha256,
                seed=painting.seed,
                size=painting.size,
                maps=tuple(each.name for each in painting.maps),
                depth=painting.depth,
                when=time.time(),
                place=painting.server,
                blend=blend.parameters if blend else None,
            )
        )
        self.masks.prune({str(each.blend["mask"]) for each in self.history.entries if each.blend})

    # --------------------------------------------------------------------------------------------------------- running

    def tick(self) -> None:
        """Advance everything a little, without waiting."""
        if not self.wanted:
            return
        self.connection.tick()
        self.catalogue.tick()
        self.server_jobs.tick()
        self._ask_status()
        under_way = [task for task in (*self.variations, *self.tasks) if not task.ended]
        painting = [task for task in under_way if not isinstance(task, TrainingTask)]
        running: list[Task] = [*painting[:AT_ONCE], *(task for task in under_way if task not in painting)]
        until = self._clock() + TICK_S
        for index in range(len(running)):  # each is the first in its turn
            running[(index + self._turn) % len(running)].tick()
            if self._clock() > until:
                break
        self._turn += 1
        self.fetched |= {task.token for task in self.tasks if isinstance(task, TrainingTask) and task.state == "done"}
        ended = [task for task in self.tasks if task.ended]
        for task in ended[:-MOST_ENDED]:
            self.tasks.remove(task)

    def refresh(self) -> None:
        """Ask the server for its models and its status, at once."""
        self.wanted = True
        self.catalogue.refresh()
        self.server_jobs.refresh()
        self._status_at = 0.0

    def reconnect(self) -> None:
        """Connect to another server. All tasks end."""
        for task in (*self.tasks, *self.variations):
            task.leave("Cancelled: another server was chosen. Press Retry to use that one.")
        self.catalogue.close()
        self.connection.close()
        self._open()

    def close(self) -> None:
        """End everything at once, without waiting. What the server learns it goes on learning."""
        for task in (*self.tasks, *self.variations):
            task.leave()
        self.catalogue.close()
        self.connection.close()

    def _ask_status(self) -> None:
        if self.connection.state == "ready" and self._status is None and self._clock() >= self._status_at:
            self._status = self.connection.ask(wire.GetStatus, self._told)
            self._status_at = self._clock() + STATUS_EVERY_S

    def _told(self, reply: wire.Reply) -> None:
        self._status = None
        if isinstance(reply, wire.Status):
            queue = reply.report.get("queue")
            waiting = queue.get("waiting") if isinstance(queue, dict) else None
            self.waiting = waiting if isinstance(waiting, int) else None
            counts = reply.report.get("models")
            if counts != self._counts or self._clock() >= self._list_at:
                if self._counts is not None:  # or else the first list has just been asked for
                    self.catalogue.refresh()
                self._counts = counts
                self._list_at = self._clock() + LIST_EVERY_S


def _name(files: TextureFiles, suffix: str, painting: Painting, *, name: str = "") -> list[Path]:
    """The files of a painting. `name` replaces the name of its only map."""
    return files.paths(
        model=painting.model,
        sha256=painting.identity,
        seed=painting.seed,
        size=painting.size,
        maps={name or each.name: each.depth for each in painting.maps},
        suffix=suffix,
        wang=painting.wang,
    )
