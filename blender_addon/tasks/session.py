"""All that the add-on has going on with one server: the connection, the models, the tasks and the history. No bpy here.

One object, ticked by one timer. It opens nothing before it is wanted: an add-on that is enabled and not used makes no
connection.
"""

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

from ..client.connection import Connection
from ..client.sinks import Painting
from ..protocol import wire
from ..protocol.pairing import Pairing
from .catalogue import Catalogue
from .history import Entry, History
from .style_tasks import SequenceOrder, SequenceTask, Source, StyleOrder, StyleTask
from .tasks import Name, Order, Painted, Task
from .texture_files import TextureFiles

AT_ONCE: Final = 2  # tasks; the server is kept busy by one, and a small one need not wait for a large one
TICK_S: Final = 0.04  # of ticking tasks, before Blender's window is given its turn
STATUS_EVERY_S: Final = 3.0
PATIENCE_S: Final = 120.0  # without a pixel, before a task ends
CACHE_BYTES: Final = 4 * 2**30
PREVIEW_BYTES: Final = 64 * 2**20  # kept of previews and variations
MOST_ENDED: Final = 20  # tasks kept to be looked at and tried again

Find = Callable[[], Pairing]
AnyTask = Task | StyleTask | SequenceTask


class Session:
    """`folder` holds thumbnails, textures and the history; `find` says where the server is, each time anew."""

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
        self.tasks: list[AnyTask] = []
        self.variations: list[Task] = []  # small pictures of several seeds, to pick one from
        self.patience_s = PATIENCE_S
        self.wanted = False  # whether anyone has looked yet
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
        self._status_at = 0.0
        self._status: int | None = None  # id of the request

    # ----------------------------------------------------------------------------------------------------------- state

    @property
    def busy(self) -> bool:
        """Whether a task is under way."""
        return any(not task.ended for task in (*self.tasks, *self.variations))

    @property
    def connecting(self) -> bool:
        """Whether someone waits for the server to answer at all."""
        return self.wanted and self.connection.state == "connecting"

    @property
    def state_line(self) -> str:
        """The server in one line."""
        if not self.wanted:
            return "Not connected yet."
        if self.connection.state != "ready":
            return self.connection.reason
        ready = sum(model.state == "ready" for model in self.catalogue.models)
        queue = f", {self.waiting} waiting" if self.waiting else ""
        return f"{self.connection.place}: {ready} {'model' if ready == 1 else 'models'}{queue}"

    @property
    def version(self) -> tuple[Any, ...]:
        """Changes whenever a panel would show something else."""
        told = tuple(
            (task.id, task.state, round(task.fraction, 2), task.message) for task in (*self.tasks, *self.variations)
        )
        return self.catalogue.version, self.state_line, self.connection.state, told

    # ----------------------------------------------------------------------------------------------------------- tasks

    def order(self, order: Order, folder: Path | None = None, suffix: str = ".tif") -> Task:
        """A new task. Its files go into `folder`, or else into the cache."""
        files = TextureFiles(folder, self.files.cap_bytes) if folder else self.files
        task = self._task(order, partial(_name, files, suffix))
        self.tasks.append(task)
        return task

    def order_style(self, order: StyleOrder, folder: Path | None = None, suffix: str = ".tif") -> StyleTask:
        """A picture in a style. Its file goes into `folder`, or else into the cache."""
        self.wanted = True
        self._last_id += 1
        files = TextureFiles(folder, self.files.cap_bytes) if folder else self.files
        own = f"image_{token_hex(4)}"  # no other picture's file, though all else may be alike
        name = partial(_name, files, suffix, name=own)
        patience_s, clock = self.patience_s, self._clock
        task = StyleTask(self._last_id, order, self.connection, name, patience_s=patience_s, clock=clock)
        self.tasks.append(task)
        return task

    def order_sequence(self, order: SequenceOrder, source: Source) -> SequenceTask:
        """A sequence in a style. What of it is there is not made again."""
        self.wanted = True
        self._last_id += 1
        with suppress(OSError):  # whoever writes into it tells
            order.folder.mkdir(parents=True, exist_ok=True)
        patience_s, clock = self.patience_s, self._clock
        task = SequenceTask(self._last_id, order, self.connection, source, patience_s=patience_s, clock=clock)
        self.tasks.append(task)
        return task

    def vary(self, orders: Sequence[Order]) -> None:
        """Pictures of these, in place of those before."""
        for task in self.variations:
            task.cancel()
        name = partial(_name, self.previews, ".png")
        self.variations = [self._task(order, name) for order in orders]

    def _task(self, order: Order, name: Name) -> Task:
        self.wanted = True
        self._last_id += 1
        return Task(
            self._last_id,
            order,
            self.connection,
            name,
            partial(_name, self.previews, ".png"),
            patience_s=self.patience_s,
            clock=self._clock,
        )

    def task(self, id: int) -> AnyTask | None:
        return next((task for task in self.tasks if task.id == id), None)

    def drop(self, task: AnyTask) -> None:
        """Take it off the list, ended or not."""
        task.cancel()
        if task in self.tasks:
            self.tasks.remove(task)

    def keep_files(self, folder: Path | None, cap_bytes: int) -> None:
        """Where textures arrive from now on, and how much is kept there; None: the session's own folder."""
        self.files = TextureFiles(folder or self.folder / "textures", cap_bytes)

    def tidy(self, shown: Collection[Path]) -> None:
        """Remove files of the cache beyond what it may take, but none that is shown, nor one of a task in the list."""
        listed = [task.result for task in (*self.tasks, *self.variations) if task.result]
        keep = {*shown, *(path for result in listed for path in result.files.values())}
        self.files.prune(keep)
        self.previews.prune(keep)

    def remember(self, painted: Painted) -> None:
        """Into the history."""
        painting = painted.painting
        self.history.add(
            Entry(
                model=painting.model,
                sha256=painting.sha256,
                seed=painting.seed,
                size=painting.size,
                maps=tuple(each.name for each in painting.maps),
                depth=painting.depth,
                when=time.time(),
                place=painting.server,
            )
        )

    # --------------------------------------------------------------------------------------------------------- running

    def tick(self) -> None:
        """Go on a little with everything, without waiting."""
        if not self.wanted:
            return
        self.connection.tick()
        self.catalogue.tick()
        self._ask_status()
        under_way: list[AnyTask] = [task for task in (*self.variations, *self.tasks) if not task.ended][:AT_ONCE]
        until = self._clock() + TICK_S
        for index in range(len(under_way)):  # each gets its turn as the first
            under_way[(index + self._turn) % len(under_way)].tick()
            if self._clock() > until:
                break
        self._turn += 1
        ended = [task for task in self.tasks if task.ended]
        for task in ended[:-MOST_ENDED]:
            self.tasks.remove(task)

    def refresh(self) -> None:
        """Look at the server anew, at once."""
        self.wanted = True
        self.catalogue.refresh()
        self._status_at = 0.0

    def reconnect(self) -> None:
        """To another server: what is under way ends."""
        for task in (*self.tasks, *self.variations):
            task.cancel("Cancelled: another server was chosen. Press Retry to ask that one.")
        self.catalogue.close()
        self.connection.close()
        self._open()

    def close(self) -> None:
        """End everything at once."""
        for task in (*self.tasks, *self.variations):
            task.cancel()
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


def _name(files: TextureFiles, suffix: str, painting: Painting, *, name: str = "") -> list[Path]:
    """`name`: in place of that of the one map."""
    return files.paths(
        model=painting.model,
        sha256=painting.sha256,
        seed=painting.seed,
        size=painting.size,
        maps={name or each.name: each.depth for each in painting.maps},
        suffix=suffix,
    )
