"""What the server has: its models by name, and a small picture of each in a folder. No bpy here.

A list comes in pages and replaces the one before as a whole, when it is complete; models come and go meanwhile, so the
list is asked for anew after each new connection, whenever someone wants it, and while models are being checked.

Pictures are PNG files named by the model file's sha256: what is there already is not asked for again, from whichever
server it came. They are no more than a comfort: whatever goes wrong with one is told, and the list stays.
"""

import re
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from ..client.connection import Connection
from ..client.image_file import ImageFileError, open_image
from ..protocol import wire
from .placement import Lattice, waves

State = Literal["ready", "broken", "checking"]
Kind = Literal["texture", "style"]

PAGE: Final = 200  # models, the most that may be asked for; the server may send fewer
MOST_MODELS: Final = 10_000
MOST_THUMBNAILS: Final = 500  # of one list, and in the folder
LARGEST_THUMBNAIL: Final = 256  # pixels a side
IN_FLIGHT: Final = 4  # thumbnails
TICK_S: Final = 0.02  # of taking answers, before Blender's window is given its turn
CHECK_AGAIN_S: Final = 1.0  # while the server checks models, doubled up to
CHECK_AGAIN_LATEST_S: Final = 8.0
ASK_AGAIN_S: Final = 0.5  # what the server could not answer, where it does not say how long that takes
MOST_TRIES: Final = 5

_STATES: Final[Mapping[str, State]] = {"ready": "ready", "broken": "broken", "checking": "checking"}
_KINDS: Final[Mapping[str, Kind]] = {"texture": "texture", "style": "style"}
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Model:
    """One model of the server. What is not told of it is empty: of a broken or unchecked one, all but the reason."""

    name: str
    state: State
    reason: str = ""  # why it is broken, in words that follow "it" or "its"
    warning: str = ""  # what is wrong with the file that was to replace it
    kind: Kind = "texture"  # what it makes: textures of nothing, or pictures of pictures
    sha256: str = ""  # of the model file
    maps: tuple[str, ...] = ()
    swatch: tuple[int, int] | None = None  # height, width of the photograph, in pixels
    lattice: Lattice | None = None  # the two steps (y, x), in pixels, by which the pattern repeats
    fits: tuple[int, ...] = ()  # sides at which it does so unstretched

    @classmethod
    def read(cls, entry: Mapping[str, Any]) -> "Model":
        """From the server's list. Raises wire.Refused or ValueError for what no model is like."""
        told = wire.Fields(entry)
        name, state = told.text("name", wire.MAX_MODEL_NAME), _state(told.text("state", 20))
        reason = told.text("reason", 2 * wire.MAX_TEXT, "")
        if state != "ready":
            return cls(name=name, state=state, reason=reason)
        sha256 = told.text("sha256", 64)
        if not _SHA256.fullmatch(sha256):  # it becomes a file's name
            raise ValueError("a sha256 that is none")
        return cls(
            name=name,
            state=state,
            warning=told.text("warning", 2 * wire.MAX_TEXT, ""),
            kind=_kind(told.text("kind", 20, "texture")),
            sha256=sha256,
            maps=tuple(wire.Fields(each).text("name", 64) for each in told.objects("maps", wire.MAX_BUFFERS)),
            swatch=None if entry.get("swatch") is None else _two(told.wholes("swatch", 2, "height and width")),
            lattice=None if entry.get("lattice") is None else _lattice(entry["lattice"]),
            fits=_wholes(entry.get("fits", [])),
        )


class Catalogue:
    """The models of the server at the other end of a connection, which someone else ticks."""

    def __init__(self, connection: Connection, folder: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.models: tuple[Model, ...] = ()  # by name
        self.version = 0  # grows whenever models, thumbnails or the message change
        self._connection = connection
        self._folder = folder
        self._clock = clock
        self._by_name: dict[str, Model] = {}
        self._welcome: wire.Welcome | None = None  # of the connection that was listed last
        self._listing: _Listing | None = None
        self._wanted = False  # a list, at the next occasion
        self._list_at = float("inf")  # anew, since models are being checked
        self._pause_s = CHECK_AGAIN_S
        self._list_message = self._picture_message = ""
        self._pictures = _Pictures()
        self._inbox: deque[Callable[[], None]] = deque()
        self._closed = False

    @property
    def message(self) -> str:
        """For people: what is wrong with the list or the thumbnails, and what to do. Empty when all is well."""
        return self._list_message or self._picture_message

    @property
    def settled(self) -> bool:
        """Whether the list is complete and of the present connection, and no model is being checked."""
        known = self._welcome is not None and self._welcome is self._connection.welcome
        return known and not self._wanted and self._listing is None and self._list_at == float("inf")

    def get(self, name: str) -> Model | None:
        """The model of that name, whatever its state."""
        return self._by_name.get(name)

    def ready(self, kind: Kind) -> list[Model]:
        """The models that can be painted with, by name."""
        return [model for model in self.models if model.state == "ready" and model.kind == kind]

    def thumbnail(self, model: Model | str) -> Path | None:
        """A model's picture, by the model or its name, once it is there."""
        known = self._by_name.get(model) if isinstance(model, str) else model
        return self._file(known.sha256) if known and known.sha256 in self._pictures.there else None

    def refresh(self) -> None:
        """List anew: at once, or when the list that is under way is complete, or when there is a connection."""
        self._wanted = True

    def tick(self) -> None:
        """Take what has arrived, ask for more. Never waits; the connection is ticked by others."""
        until = self._clock() + TICK_S
        while self._inbox and self._clock() < until:
            self._inbox.popleft()()
        if self._closed or self._connection.state != "ready":
            return
        if self._connection.welcome is not self._welcome:  # a connection that was lost, or is the first
            self._welcome = self._connection.welcome
            self._leave()
            self._wanted = True
        if self._listing:
            self._ask_page(self._listing)
        elif self._wanted or self._clock() >= self._list_at:
            self._wanted, self._list_at = False, float("inf")
            self._listing = _Listing()
            self._ask_page(self._listing)
        self._ask_thumbnails()

    def close(self) -> None:
        """Ask nothing any more. What is known stays."""
        self._closed = True
        self._leave()

    def _leave(self) -> None:
        """Forget what is under way."""
        under_way = [*self._pictures.asked.values(), *([self._listing.id] if self._listing else [])]
        for id in under_way:
            if id is not None:
                self._connection.forget(id)
        self._listing = None
        self._pictures.asked.clear()
        self._pictures.queue.clear()
        self._inbox.clear()

    def _tell(self, *, of_list: str | None = None, of_pictures: str | None = None) -> None:
        before = self.message
        self._list_message = self._list_message if of_list is None else of_list
        self._picture_message = self._picture_message if of_pictures is None else of_pictures
        self.version += self.message != before

    def _later(self, take: Callable[[Any], None], reply: wire.Reply) -> None:
        """In our own tick: another's tick may run the connection's callbacks, and must not wait for a disk."""
        if not isinstance(reply, wire.Progress):
            self._inbox.append(partial(take, reply))

    # ----------------------------------------------------------------------------------------------------------- lists

    def _ask_page(self, listing: "_Listing") -> None:
        if listing.id is None and self._clock() >= listing.ask_at:
            make = partial(wire.ListModels, after=listing.after, limit=PAGE)
            listing.id = self._connection.ask(make, partial(self._later, partial(self._take_page, listing)))

    def _take_page(self, listing: "_Listing", reply: wire.Reply) -> None:
        if listing is not self._listing:
            return
        listing.id = None
        if isinstance(reply, wire.Error):
            listing.tries += 1
            if reply.code in wire.RETRY_HELPS and listing.tries < MOST_TRIES:
                listing.ask_at = self._clock() + _pause_s(reply)
            else:
                self._give_up(f"The server's models could not be listed. {reply.text}")
        elif not isinstance(reply, wire.Models):
            self._give_up("The server does not say which models it has. Update it, or this add-on.")
        else:
            listing.tries = 0
            listing.take(reply.models)
            listing.goes_on = bool(reply.after)
            if not listing.goes_on or listing.count >= MOST_MODELS:
                self._complete(listing)
            elif reply.after <= listing.after:
                self._give_up("The server's list of models does not end. Update it, or this add-on.")
            else:
                listing.after = reply.after

    def _give_up(self, why: str) -> None:
        """The list before stays."""
        self._listing = None
        self._tell(of_list=why)

    def _complete(self, listing: "_Listing") -> None:
        self._listing = None
        models = tuple(listing.models[name] for name in sorted(listing.models))
        if models != self.models:
            self.models = models
            self.version += 1
        self._by_name = {each.name: each for each in models}
        self._tell(of_list=listing.message, of_pictures="")
        if any(each.state == "checking" for each in models):
            self._list_at = self._clock() + self._pause_s
            self._pause_s = min(2 * self._pause_s, CHECK_AGAIN_LATEST_S)
        else:
            self._pause_s = CHECK_AGAIN_S
        self._look_for_thumbnails()

    # ------------------------------------------------------------------------------------------------------ thumbnails

    def _file(self, sha256: str) -> Path:
        return self._folder / f"{sha256}.png"

    def _look_for_thumbnails(self) -> None:
        """Which are there, and which have to be asked for."""
        wanted: dict[str, str] = {}  # by sha256, the name to ask for
        for each in self.models:
            if each.state == "ready" and len(wanted) < MOST_THUMBNAILS:
                wanted.setdefault(each.sha256, each.name)
        there = _thumbnails(self._folder, keep=wanted)
        if there != self._pictures.there:
            self._pictures.there = there
            self.version += 1
        missing = (sha256 for sha256 in wanted if sha256 not in there and sha256 not in self._pictures.asked)
        self._pictures.queue = deque(_Picture(sha256, wanted[sha256]) for sha256 in missing)

    def _ask_thumbnails(self) -> None:
        pictures = self._pictures
        while pictures.queue and len(pictures.asked) < IN_FLIGHT and self._clock() >= pictures.ask_at:
            picture = pictures.queue.popleft()
            make = partial(wire.GetThumbnail, model=picture.model)
            then = partial(self._later, partial(self._take_thumbnail, picture))
            pictures.asked[picture.sha256] = self._connection.ask(make, then)

    def _take_thumbnail(self, picture: "_Picture", reply: wire.Reply) -> None:
        pictures = self._pictures
        del pictures.asked[picture.sha256]
        if isinstance(reply, wire.Error):
            picture.tries += 1
            if reply.code in wire.RETRY_HELPS and picture.tries < MOST_TRIES:
                pictures.queue.append(picture)
                pictures.ask_at = self._clock() + _pause_s(reply)
            elif reply.code != "unknown_model":  # replaced or removed meanwhile: the next list knows
                self._tell(of_pictures=f"There is no picture of {picture.model}. {reply.text}")
            return
        if isinstance(reply, wire.Result) and reply.sha256 != picture.sha256:
            return  # of the file that has taken its place
        buffer = _picture_in(reply)
        if buffer is None:
            self._tell(of_pictures=f"The server sent no picture of {picture.model}. Update it, or this add-on.")
            return
        try:
            self._write(picture.sha256, buffer)
        except ImageFileError as error:  # of the others, too
            pictures.queue.clear()
            self._tell(of_pictures=f"Pictures of the models are missing. {error} Then refresh the list.")
        else:
            pictures.there.add(picture.sha256)
            self.version += 1

    def _write(self, sha256: str, buffer: wire.Buffer) -> None:
        height, width, channels = buffer.shape
        with suppress(OSError):  # open_image tells of it
            self._folder.mkdir(parents=True, exist_ok=True)
        path = self._file(sha256)
        with open_image(path, width=width, height=height, channels=channels, srgb=True, durable=False) as file:
            file.write_rows(buffer.data)


@dataclass(eq=False)
class _Listing:
    """A list on its way."""

    id: int | None = None  # of the request for the next page
    after: str = ""
    ask_at: float = 0.0
    tries: int = 0
    models: dict[str, Model] = field(default_factory=dict)
    count: int = 0  # entries that came, and at least one for a page
    unreadable: int = 0  # of them
    goes_on: bool = True

    def take(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """What of a page can be read."""
        self.count += max(1, len(entries))
        for entry in entries:
            try:
                model = Model.read(entry)
            except (wire.Refused, ValueError):
                self.unreadable += 1
            else:
                self.models[model.name] = model

    @property
    def message(self) -> str:
        """What is left out."""
        if self.unreadable:
            some = f"{self.unreadable} of the server's models cannot be read and are left out."
            return f"{some} Update the server, or this add-on."
        if self.goes_on:
            return f"Only {len(self.models)} of the server's models are listed. Move some to another folder there."
        return ""


@dataclass(eq=False)
class _Picture:
    """A thumbnail that is wanted."""

    sha256: str
    model: str
    tries: int = 0


@dataclass(eq=False)
class _Pictures:
    """How far the thumbnails are, each by the sha256 of its model."""

    there: set[str] = field(default_factory=set)
    queue: deque[_Picture] = field(default_factory=deque)
    asked: dict[str, int] = field(default_factory=dict)  # ids of requests
    ask_at: float = 0.0


def _pause_s(error: wire.Error) -> float:
    return ASK_AGAIN_S if error.retry_ms is None else max(0.05, error.retry_ms / 1000)


def _picture_in(reply: wire.Reply) -> wire.Buffer | None:
    """(height, width, 3) uint8 samples in sRGB, where the reply has them and nothing else."""
    if not isinstance(reply, wire.Result) or len(reply.buffers) != 1:
        return None
    (buffer,) = reply.buffers
    height, width, channels = buffer.shape
    return buffer if (buffer.dtype, channels) == ("uint8", 3) and max(height, width) <= LARGEST_THUMBNAIL else None


def _thumbnails(folder: Path, keep: Mapping[str, str]) -> set[str]:
    """The pictures that are there and wanted. Of the others the oldest go, so that the folder keeps its bound."""
    others, there = [], set()
    with suppress(OSError):  # no folder, no pictures
        for path in folder.iterdir():
            if path.suffix == ".png" and _SHA256.fullmatch(path.stem):
                if path.stem in keep:
                    there.add(path.stem)
                else:
                    others.append(path)
    surplus = len(others) + len(keep) - MOST_THUMBNAILS
    if surplus > 0:
        with suppress(OSError):
            for path in sorted(others, key=lambda path: path.stat().st_mtime)[:surplus]:
                path.unlink(missing_ok=True)
    return there


def _state(text: str) -> State:
    if text not in _STATES:
        raise ValueError("a state that is not known")
    return _STATES[text]


def _kind(text: str) -> Kind:
    if text not in _KINDS:
        raise ValueError("a kind that is not known")
    return _KINDS[text]


def _two(values: tuple[int, ...]) -> tuple[int, int]:
    first, second = values
    if min(values) < 1:
        raise ValueError("a size of nothing")
    return first, second


def _wholes(values: object) -> tuple[int, ...]:
    if not isinstance(values, list) or not all(type(each) is int for each in values):
        raise ValueError("no list of whole numbers")
    return tuple(values)


def _lattice(value: object) -> Lattice:
    """Two steps of two numbers each, that a pattern can have."""
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError("no pattern")
    first, second = (_step(each) for each in value)
    waves((first, second))  # ValueError where they are none
    return first, second


def _step(value: object) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2 or not all(type(each) in (int, float) for each in value):
        raise ValueError("no step")
    down, across = value
    return float(down), float(across)
