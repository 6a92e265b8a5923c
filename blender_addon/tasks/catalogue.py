"""The models of the server, by name, and a folder with their thumbnails. No bpy here.

The list comes in pages. It replaces the earlier list as a whole, when it is complete. Models come and go, so the list
is requested again after each new connection, on refresh(), and while the server checks models.

Thumbnails are PNG files, named by the sha256 of the model file. One that is in the folder is not requested again, from
any server. If a thumbnail fails, `message` says so and the list stays.
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
from ..pictures.draft import ImageFileError
from ..pictures.image_file import open_image
from ..protocol import wire
from .placement import Lattice, waves

State = Literal["ready", "broken", "checking"]
Kind = Literal["texture", "style"]

PAGE: Final = 200  # models, the most that one request may ask for; the server may send fewer
MOST_MODELS: Final = 10_000
MOST_THUMBNAILS: Final = 500  # of one list, and in the folder
LARGEST_THUMBNAIL: Final = 256  # pixels a side
MOST_TEXELS: Final = 1e9  # per metre
MOST_CATEGORY: Final = 200  # characters
IN_FLIGHT: Final = 4  # thumbnails
TICK_S: Final = 0.02  # of taking answers per tick, so that Blender's window stays responsive
CHECK_AGAIN_S: Final = 1.0  # while the server checks models; doubled each time, up to
CHECK_AGAIN_LATEST_S: Final = 8.0
ASK_AGAIN_S: Final = 0.5  # before a retry, if the server does not say how long to wait
MOST_TRIES: Final = 5

_STATES: Final[Mapping[str, State]] = {"ready": "ready", "broken": "broken", "checking": "checking"}
_KINDS: Final[Mapping[str, Kind]] = {"texture": "texture", "style": "style"}
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class ListedModel:
    """One model of the server's list. Fields the server did not send are empty; an unready model has only a reason."""

    name: str
    state: State
    reason: str = ""  # why it is broken, in words that follow "it" or "its"
    warning: str = ""  # what is wrong with a new file that should replace it
    kind: Kind = "texture"  # what it does: paint textures, or stylize pictures
    sha256: str = ""  # of the model file
    maps: tuple[str, ...] = ()
    swatch: tuple[int, int] | None = None  # height, width of the photograph, in pixels
    lattice: Lattice | None = None  # the two steps (y, x) in pixels by which the pattern repeats
    fits: tuple[int, ...] = ()  # sides that fit the pattern without stretching it
    texels_per_metre: float | None = None  # at which the texture has its true scale
    category: str = ""  # such as "Masonry"
    exact: bool = False  # its samples are the same whatever the device and the precision

    @property
    def can_blend(self) -> bool:
        """Whether it can be in one texture with others: quilts can, and their samples alone are the same everywhere."""
        return self.kind == "texture" and self.exact

    @classmethod
    def read(cls, entry: Mapping[str, Any]) -> "ListedModel":
        """A model from an entry of the server's list. Raises wire.Refused, ValueError for one that makes no sense."""
        told = wire.Fields(entry)
        name, state = told.text("name", wire.MAX_MODEL_NAME), _state(told.text("state", 20))
        reason = told.text("reason", 2 * wire.MAX_TEXT, "")
        if state != "ready":
            return cls(name=name, state=state, reason=reason)
        sha256 = told.text("sha256", 64)
        if not _SHA256.fullmatch(sha256):  # it becomes a file name
            raise ValueError("not a sha256")
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
            texels_per_metre=told.number("texels_per_metre", 0, MOST_TEXELS, 0) or None,
            category=told.text("category", MOST_CATEGORY, ""),
            exact=told.flag("exact"),
        )


class Catalogue:
    """The models of the server at the other end of a connection. The caller ticks the connection."""

    def __init__(self, connection: Connection, folder: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.models: tuple[ListedModel, ...] = ()  # by name
        self.version = 0  # grows whenever models, thumbnails or the message change
        self._connection = connection
        self._folder = folder
        self._clock = clock
        self._by_name: dict[str, ListedModel] = {}
        self._welcome: wire.Welcome | None = None  # of the connection whose models were listed last
        self._listing: _Listing | None = None
        self._wanted = False  # whether to list the models again
        self._list_at = float("inf")  # when to list again, because models are being checked
        self._pause_s = CHECK_AGAIN_S
        self._list_message = self._thumbnail_message = ""
        self._thumbnails = _Thumbnails()
        self._inbox: deque[Callable[[], None]] = deque()
        self._closed = False

    @property
    def message(self) -> str:
        """For people: what is wrong with the list or the thumbnails, and what to do. Empty when nothing is wrong."""
        return self._list_message or self._thumbnail_message

    @property
    def settled(self) -> bool:
        """Whether the list is complete, comes from the present connection, and has no model that is being checked."""
        known = self._welcome is not None and self._welcome is self._connection.welcome
        return known and not self._wanted and self._listing is None and self._list_at == float("inf")

    def get(self, name: str) -> ListedModel | None:
        """The model of that name, in any state."""
        return self._by_name.get(name)

    def with_hash(self, sha256: str) -> ListedModel | None:
        """The model whose file has this hash, whatever it is called now."""
        return next((model for model in self.models if model.state == "ready" and model.sha256 == sha256), None)

    def with_hashes(self, hashes: Sequence[str]) -> tuple[ListedModel, ...] | None:
        """The models whose files have these hashes, in that order; None where one is missing."""
        found = [model for each in hashes if (model := self.with_hash(each))]
        return tuple(found) if len(found) == len(hashes) else None

    def ready(self, kind: Kind) -> list[ListedModel]:
        """The models of one kind that can be used, by name."""
        return [model for model in self.models if model.state == "ready" and model.kind == kind]

    def thumbnail(self, model: ListedModel | str) -> Path | None:
        """The thumbnail of a model, given the model or its name; None until it is there."""
        known = self._by_name.get(model) if isinstance(model, str) else model
        return self._file(known.sha256) if known and known.sha256 in self._thumbnails.there else None

    def refresh(self) -> None:
        """List the models again: as soon as there is a connection and no other list is being loaded."""
        self._wanted = True

    def tick(self) -> None:
        """Take what has arrived and request more. Never waits. The caller ticks the connection."""
        until = self._clock() + TICK_S
        while self._inbox and self._clock() < until:
            self._inbox.popleft()()
        if self._closed or self._connection.state != "ready":
            return
        if self._connection.welcome is not self._welcome:  # the first connection, or a new one
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
        """Send no more requests. What is known stays."""
        self._closed = True
        self._leave()

    def _leave(self) -> None:
        """Drop all requests that are running."""
        under_way = [*self._thumbnails.asked.values(), *([self._listing.id] if self._listing else [])]
        for id in under_way:
            if id is not None:
                self._connection.forget(id)
        self._listing = None
        self._thumbnails.asked.clear()
        self._thumbnails.queue.clear()
        self._inbox.clear()

    def _tell(self, *, of_list: str | None = None, of_thumbnails: str | None = None) -> None:
        before = self.message
        self._list_message = self._list_message if of_list is None else of_list
        self._thumbnail_message = self._thumbnail_message if of_thumbnails is None else of_thumbnails
        self.version += self.message != before

    def _later(self, take: Callable[[Any], None], reply: wire.Reply) -> None:
        """Handle the reply in our own tick: any tick may run this callback, and none may wait for a disk."""
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
            self._give_up("The server sent no list of models. Update the server or this add-on.")
        else:
            listing.tries = 0
            listing.take(reply.models)
            listing.goes_on = bool(reply.after)
            if not listing.goes_on or listing.count >= MOST_MODELS:
                self._complete(listing)
            elif reply.after <= listing.after:
                self._give_up("The server's list of models never ends. Update the server or this add-on.")
            else:
                listing.after = reply.after

    def _give_up(self, why: str) -> None:
        """Report why there is no new list. The earlier list stays."""
        self._listing = None
        self._tell(of_list=why)

    def _complete(self, listing: "_Listing") -> None:
        self._listing = None
        models = tuple(listing.models[name] for name in sorted(listing.models))
        if models != self.models:
            self.models = models
            self.version += 1
        self._by_name = {each.name: each for each in models}
        self._tell(of_list=listing.message, of_thumbnails="")
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
        """Find out which thumbnails are in the folder and which to request."""
        wanted: dict[str, str] = {}  # by sha256, the name to request it with
        for each in self.models:
            if each.state == "ready" and len(wanted) < MOST_THUMBNAILS:
                wanted.setdefault(each.sha256, each.name)
        there = _stored(self._folder, keep=wanted)
        if there != self._thumbnails.there:
            self._thumbnails.there = there
            self.version += 1
        missing = (sha256 for sha256 in wanted if sha256 not in there and sha256 not in self._thumbnails.asked)
        self._thumbnails.queue = deque(_WantedThumbnail(sha256, wanted[sha256]) for sha256 in missing)

    def _ask_thumbnails(self) -> None:
        thumbnails = self._thumbnails
        while thumbnails.queue and len(thumbnails.asked) < IN_FLIGHT and self._clock() >= thumbnails.ask_at:
            thumbnail = thumbnails.queue.popleft()
            make = partial(wire.GetThumbnail, model=thumbnail.model)
            then = partial(self._later, partial(self._take_thumbnail, thumbnail))
            thumbnails.asked[thumbnail.sha256] = self._connection.ask(make, then)

    def _take_thumbnail(self, thumbnail: "_WantedThumbnail", reply: wire.Reply) -> None:
        thumbnails = self._thumbnails
        del thumbnails.asked[thumbnail.sha256]
        if isinstance(reply, wire.Error):
            thumbnail.tries += 1
            if reply.code in wire.RETRY_HELPS and thumbnail.tries < MOST_TRIES:
                thumbnails.queue.append(thumbnail)
                thumbnails.ask_at = self._clock() + _pause_s(reply)
            elif reply.code != "unknown_model":  # replaced or removed meanwhile: the next list will show it
                self._tell(of_thumbnails=f"There is no picture of {thumbnail.model}. {reply.text}")
            return
        if isinstance(reply, wire.Result) and reply.sha256 != thumbnail.sha256:
            return  # the file was replaced meanwhile
        buffer = _thumbnail_in(reply)
        if buffer is None:
            self._tell(
                of_thumbnails=f"The server sent no picture of {thumbnail.model}. Update the server or this add-on."
            )
            return
        try:
            self._write(thumbnail.sha256, buffer)
        except ImageFileError as error:  # the others would fail as well
            thumbnails.queue.clear()
            self._tell(of_thumbnails=f"Pictures of the models are missing. {error} Then refresh the list.")
        else:
            thumbnails.there.add(thumbnail.sha256)
            self.version += 1

    def _write(self, sha256: str, buffer: wire.Buffer) -> None:
        height, width, channels = buffer.shape
        with suppress(OSError):  # open_image reports it
            self._folder.mkdir(parents=True, exist_ok=True)
        path = self._file(sha256)
        with open_image(path, width=width, height=height, channels=channels, srgb=True, durable=False) as file:
            file.write_rows(buffer.data)


@dataclass(eq=False)
class _Listing:
    """A list that is being loaded."""

    id: int | None = None  # of the request for the next page
    after: str = ""
    ask_at: float = 0.0
    tries: int = 0
    models: dict[str, ListedModel] = field(default_factory=dict)
    count: int = 0  # entries received, at least one per page
    unreadable: int = 0  # how many of them made no sense
    goes_on: bool = True

    def take(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Add the entries of a page that can be read."""
        self.count += max(1, len(entries))
        for entry in entries:
            try:
                model = ListedModel.read(entry)
            except (wire.Refused, ValueError):
                self.unreadable += 1
            else:
                self.models[model.name] = model

    @property
    def message(self) -> str:
        """What the list leaves out, "" where it is complete."""
        if self.unreadable:
            some = f"{self.unreadable} of the server's models cannot be read and are not listed."
            return f"{some} Update the server or this add-on."
        if self.goes_on:
            return f"Only {len(self.models)} of the server's models are listed. Move some to another folder there."
        return ""


@dataclass(eq=False)
class _WantedThumbnail:
    """A thumbnail to request."""

    sha256: str
    model: str
    tries: int = 0


@dataclass(eq=False)
class _Thumbnails:
    """All thumbnails, by the sha256 of their models: stored, waiting and requested."""

    there: set[str] = field(default_factory=set)
    queue: deque[_WantedThumbnail] = field(default_factory=deque)
    asked: dict[str, int] = field(default_factory=dict)  # the id of each running request
    ask_at: float = 0.0


def _pause_s(error: wire.Error) -> float:
    return ASK_AGAIN_S if error.retry_ms is None else max(0.05, error.retry_ms / 1000)


def _thumbnail_in(reply: wire.Reply) -> wire.Buffer | None:
    """(height, width, 3) uint8 samples in sRGB, None unless the reply has exactly that."""
    if not isinstance(reply, wire.Result) or len(reply.buffers) != 1:
        return None
    (buffer,) = reply.buffers
    height, width, channels = buffer.shape
    return buffer if (buffer.dtype, channels) == ("uint8", 3) and max(height, width) <= LARGEST_THUMBNAIL else None


def _stored(folder: Path, keep: Mapping[str, str]) -> set[str]:
    """The thumbnails of `keep` that are in the folder. Removes the oldest others, so that the folder stays small."""
    others, there = [], set()
    with suppress(OSError):  # no folder, no thumbnails
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
        raise ValueError("an unknown state")
    return _STATES[text]


def _kind(text: str) -> Kind:
    if text not in _KINDS:
        raise ValueError("an unknown kind")
    return _KINDS[text]


def _two(values: tuple[int, ...]) -> tuple[int, int]:
    first, second = values
    if min(values) < 1:
        raise ValueError("an empty size")
    return first, second


def _wholes(values: object) -> tuple[int, ...]:
    if not isinstance(values, list) or not all(type(each) is int for each in values):
        raise ValueError("not a list of whole numbers")
    return tuple(values)


def _lattice(value: object) -> Lattice:
    """Two steps of two numbers each. Raises ValueError for steps that no pattern has."""
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError("not a pattern")
    first, second = (_step(each) for each in value)
    waves((first, second))  # ValueError where they span no area
    return first, second


def _step(value: object) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2 or not all(type(each) in (int, float) for each in value):
        raise ValueError("not a step")
    down, across = value
    return float(down), float(across)
