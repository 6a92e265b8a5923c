"""The models folder as the front of the server sees it, kept up to date a few milliseconds at a time.

The folder is scanned about every second. A file that is new or has changed is read, hashed and checked in full, and
only then replaces the version before it. Until then that version is served; if the new file is broken, it is served on.
The bytes of a small file are kept in memory, because it may be overwritten in place. A large one
(server/model/checking.py) stays where it is, and workers are told where; it is served until it is replaced.

No torch, no threads, and nothing waits: the owner of the shelf calls `step` again and again.
"""

import hashlib
import json
import os
import time
from bisect import bisect_right
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from server.errors import Refused
from server.model.checking import Checked, checking
from server.model.header import THUMBNAIL, BrokenModel, Facts, Thumbnail, explained, opened
from server.model.library import UnknownModel, check_place, name_of, no_library
from server.model.quilt import QuiltArchitecture
from server.model.torus import Size

SCAN_EVERY_S = 1.0
KEPT_BYTES = 96 * 2**20  # of small checked model files; the least recently used are dropped first
FILES_AT_ONCE = 64  # that a scan looks at before it looks at the clock
PAGE_BYTES = 58 * 1024  # of the entries of one page, so that a header stays under 60 KiB
MAX_REASON = 300  # characters
RETRY_MS = 500
COMING_RETRY_MS = 2000
FIT_SIDES = (256, 512, 1024, 2048, 4096)

Stamp = tuple[int, ...]  # it differs if the file has changed


class UnusableModel(UnknownModel):
    """The folder lists the model, but it cannot be used."""

    def __init__(self, text: str) -> None:
        Refused.__init__(self, "unknown_model", text)


class Gone(UnusableModel):
    """A version of a model that was replaced and is no longer in memory."""

    def __init__(self, name: str) -> None:
        super().__init__(f"That version of the model {name[:100]!a} is gone; begin anew with the present one.")


class StillChecking(Refused):
    """The model's file has not been checked yet."""

    def __init__(self, name: str) -> None:
        text = f"The model {name!r} is still being checked; try again in a moment."
        super().__init__("busy", text, retry_ms=RETRY_MS)


class StillComing(Refused):
    """The model is being made."""

    def __init__(self, name: str, reason: str) -> None:
        text = f"The model {name!r} is not there yet: {reason}."
        super().__init__("busy", text, retry_ms=COMING_RETRY_MS)


@dataclass(frozen=True, kw_only=True, eq=False)
class Version:
    """A model that was read and checked. `sha256` and `bytes` are the hash and the size of its file.

    The thumbnail of `facts` has no pixels here, because thousands of thumbnails would fill the memory: see
    Shelf.thumbnail. The pixels begin at `thumbnail_at` in the file. `stamp`: of the file when it was checked.
    """

    name: str
    sha256: str
    facts: Facts
    bytes: int
    stamp: Stamp
    thumbnail_at: int
    is_small: bool


@dataclass(frozen=True, kw_only=True)
class FilePlace:
    """The file of a large model, and its size when it was last looked at."""

    path: Path
    bytes: int


@dataclass(eq=False)
class _Shelved:
    """A file of the folder, and the version that is served under its name."""

    name: str
    path: Path
    seen: Stamp  # of the file at the last scan
    checked: Stamp | None = None  # of the file when it was last checked
    reason: str = ""  # why it could not be used then, in words that follow "it"
    version: Version | None = None  # the latest that can be used
    entry: Mapping[str, Any] = field(init=False)
    entry_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        self.tell()

    @property
    def state(self) -> str:
        return "ready" if self.version else "broken" if self.reason else "checking"

    def tell(self) -> None:
        """Update the entry of the list (docs/PROTOCOL.md, Models)."""
        entry: dict[str, Any] = {"name": self.name, "state": self.state}
        if self.reason:
            entry["warning" if self.version else "reason"] = self.reason
        self.entry = entry | (_told(self.version) if self.version else {})
        self.entry_bytes = len(json.dumps(self.entry))


class Shelf:
    """The models of a folder by name. `problem` is a sentence while the folder itself cannot be read, otherwise ""."""

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder = folder
        self.problem = ""
        self._clock = clock
        self._shelved: dict[str, _Shelved] = {}
        self._coming: Mapping[str, Mapping[str, Any]] = {}  # entries of models that are being made, by name
        self._names: list[str] | None = []  # sorted; None when they must be sorted anew
        self._queue: OrderedDict[str, None] = OrderedDict()  # to be checked
        self._scan: Iterator[None] | None = None
        self._check: tuple[str, Iterator[None]] | None = None
        self._next_scan = clock()
        self._scanned = False  # once at least
        self._kept: OrderedDict[tuple[str, str], bytes] = OrderedDict()  # by name and hash, least recently used first
        self._kept_bytes = 0

    # ----------------------------------------------------------------------------------------------------- questions

    def get(self, name: str) -> Version:
        """The version that is served under this name. Raises UnknownModel, StillChecking."""
        shelved = self._shelved.get(name)
        if shelved is None:
            if name in self._coming:
                raise StillComing(name, self._coming[name]["reason"])
            raise UnknownModel(name, self._sorted())
        if shelved.version:
            return shelved.version
        if shelved.reason:
            raise UnusableModel(f"The model {name!r} cannot be used: {shelved.reason}.")
        if name in self._queue:
            self._queue.move_to_end(name, last=False)  # somebody waits for it
        raise StillChecking(name)

    def has(self, name: str) -> bool:
        """Whether there is a file of that name, in whatever state."""
        return name in self._shelved

    def content(self, name: str, sha256: str) -> bytes | FilePlace:
        """The model file of this hash: its bytes, or where it lies if it is large.

        A small one comes from memory, even if it is no longer in the folder, or is read again. Raises UnknownModel if
        that version is gone.
        """
        if (name, sha256) in self._kept:
            self._kept.move_to_end((name, sha256))
            return self._kept[name, sha256]
        shelved = self._served(name, sha256)
        version = shelved.version
        assert version
        try:
            with self._at_its_place(shelved, exactly=not version.is_small) as (file, size):
                if not version.is_small:
                    return FilePlace(path=shelved.path.resolve(), bytes=size)
                data = file.read(size) if size == version.bytes else b""
        except BrokenModel:
            data = b""
        if hashlib.sha256(data).hexdigest() != sha256:
            self.lose(name, sha256)
            raise Gone(name)
        self._keep(name, sha256, data)
        return data

    def piece(self, name: str, sha256: str, begin: int, count: int) -> bytes:
        """Some bytes of a large model file, for a worker without access to it. Raises UnknownModel if it is gone."""
        shelved = self._served(name, sha256)
        try:
            with self._at_its_place(shelved) as (file, _):
                file.seek(begin)
                return file.read(count)
        except BrokenModel:
            self.lose(name, sha256)
            raise Gone(name) from None

    def lose(self, name: str, sha256: str) -> None:
        """Forget a version whose file has changed. The next scan looks at the file again."""
        shelved = self._shelved.get(name)
        if shelved and shelved.version and shelved.version.sha256 == sha256:
            shelved.version = None
            shelved.checked = None
            shelved.tell()

    def thumbnail(self, name: str) -> tuple[Version, Thumbnail]:
        """The small picture of the version that is served. Raises UnknownModel, StillChecking."""
        version = self.get(name)
        picture = version.facts.thumbnail
        begin, count = version.thumbnail_at, 3 * picture.height * picture.width
        if version.is_small:
            content = self.content(name, version.sha256)
            assert isinstance(content, bytes)
            return version, replace(picture, pixels=content[begin : begin + count])
        shelved = self._shelved[name]
        try:
            with self._at_its_place(shelved) as (file, _):
                file.seek(begin)
                return version, replace(picture, pixels=file.read(count))
        except BrokenModel:
            if _stamp(shelved.path) != shelved.checked:
                raise StillChecking(name) from None
            self.lose(name, version.sha256)
            raise Gone(name) from None

    def _served(self, name: str, sha256: str) -> _Shelved:
        """What is served under this name. Raises UnknownModel if it has another hash."""
        shelved = self._shelved.get(name)
        if shelved is None or shelved.version is None or shelved.version.sha256 != sha256:
            raise Gone(name)
        return shelved

    @contextmanager
    def _at_its_place(self, shelved: _Shelved, exactly: bool = True) -> Iterator[tuple[BinaryIO, int]]:
        """The open file and its size. Raises BrokenModel.

        `exactly`: also raise it if the file's times show that it is not the version that is served.
        """
        with explained(shelved.path):
            check_place(self.folder, shelved.path)
            with opened(shelved.path) as (file, size):
                assert shelved.version
                if exactly and _stamp_of(os.fstat(file.fileno())) != shelved.version.stamp:
                    raise ValueError("it has changed")
                yield file, size

    def page(self, after: str = "", limit: int = 50) -> tuple[list[Mapping[str, Any]], int, str]:
        """Entries by name, the number of all models, and the `after` of the next page, "" if this is the last."""
        names = self._sorted()
        begin = bisect_right(names, after)
        entries: list[Mapping[str, Any]] = []
        size = 0
        for name in names[begin : begin + limit]:
            shelved = self._shelved.get(name)
            entry = shelved.entry if shelved else self._coming[name]
            size += (shelved.entry_bytes if shelved else len(json.dumps(entry))) + 1
            if size > PAGE_BYTES:
                break
            entries.append(entry)
        more = entries and begin + len(entries) < len(names)
        return entries, len(names), entries[-1]["name"] if more else ""

    def hurry(self) -> None:
        """There is a new file: look at once."""
        self._next_scan = self._clock()

    def verdict(self, name: str) -> tuple[str, str]:
        """Of the file that is there now: its hash once it is served, or why it cannot be used; both "" before."""
        shelved = self._shelved.get(name)
        if shelved is None or shelved.checked is None or shelved.checked != _stamp(shelved.path):
            return "", ""
        return shelved.version.sha256 if shelved.version and not shelved.reason else "", shelved.reason

    def expect(self, coming: Mapping[str, str]) -> None:
        """List models that are being made beside those that are there. By name, why each is not there, after "it"."""
        self._coming = {
            name: {"name": name, "state": "checking", "reason": reason[:MAX_REASON]} for name, reason in coming.items()
        }
        self._names = None

    def counts(self) -> Mapping[str, int]:
        """How many models are ready, broken and being checked."""
        states = Counter(shelved.state for shelved in self._shelved.values())
        return {state: states[state] for state in ("ready", "broken", "checking")}

    @property
    def settled(self) -> bool:
        """Whether the folder has been scanned and every file in it checked."""
        return self._scanned and all(shelved.checked == shelved.seen for shelved in self._shelved.values())

    def _sorted(self) -> list[str]:
        if self._names is None:
            self._names = sorted(self._shelved.keys() | self._coming.keys())
        return self._names

    # ---------------------------------------------------------------------------------------------------------- work

    def step(self, budget_s: float = 0.004) -> bool:
        """Work for a moment. True if there is more to do."""
        end = self._clock() + budget_s
        while self._go_on():
            if self._clock() >= end:
                return True
        return False

    def _go_on(self) -> bool:
        """Work for about a millisecond. False if there is nothing to do."""
        if self._scan is None and self._clock() >= self._next_scan:
            self._scan = self._scanning()
        if self._scan is not None:
            if _ended(self._scan):
                self._scan = None
                self._scanned = True
                self._next_scan = self._clock() + SCAN_EVERY_S
            return True
        if self._check is None and self._queue:
            name, _ = self._queue.popitem(last=False)
            self._check = name, self._checking(self._shelved[name])
        if self._check is not None:
            if _ended(self._check[1]):
                self._check = None
            return True
        return False

    def _scanning(self) -> Iterator[None]:
        """Find files that are new, changed or gone. If the folder cannot be read, nothing changes."""
        found = set()
        try:
            with os.scandir(self.folder) as entries:
                for count, entry in enumerate(entries, 1):
                    name = name_of(entry.name)
                    if name is not None and name not in found:
                        found.add(name)
                        self._see(name, entry.path)
                    if count % FILES_AT_ONCE == 0:
                        yield
        except (OSError, ValueError) as error:
            self.problem = str(no_library(self.folder, error))
            return
        self.problem = ""
        for name in self._shelved.keys() - found:
            self._forget(name)

    def _see(self, name: str, path: str) -> None:
        stamp = _stamp(path)
        shelved = self._shelved.get(name)
        if shelved is None:
            shelved = self._shelved[name] = _Shelved(name, Path(path), stamp)
            self._names = None
        shelved.seen = stamp
        if stamp != shelved.checked and not (self._check and self._check[0] == name):
            self._queue[name] = None

    def _forget(self, name: str) -> None:
        del self._shelved[name]
        self._names = None
        self._queue.pop(name, None)
        if self._check and self._check[0] == name:
            self._check = None

    def _checking(self, shelved: _Shelved) -> Iterator[None]:
        """Read and check a file in full. A file that changes meanwhile is left to the next scan."""
        stamp, path = shelved.seen, shelved.path
        if _stamp(path) != stamp:
            return
        found, reason = None, ""
        try:
            with explained(path):
                check_place(self.folder, path)
                with opened(path) as (file, size):
                    found = yield from checking(file, size)
        except BrokenModel as error:
            reason = error.reason[:MAX_REASON]
        if _stamp(path) != stamp:
            return
        shelved.checked, shelved.reason = stamp, reason
        if found:
            shelved.version = _version(shelved, found, size, stamp)
            if found.content is not None:
                self._keep(shelved.name, found.sha256, found.content)
        shelved.tell()

    def _keep(self, name: str, sha256: str, data: bytes) -> None:
        self._kept_bytes += len(data) - len(self._kept.pop((name, sha256), b""))
        self._kept[name, sha256] = data
        while self._kept_bytes > KEPT_BYTES:
            _, dropped = self._kept.popitem(last=False)
            self._kept_bytes -= len(dropped)


def _ended(work: Iterator[None]) -> bool:
    for _ in work:
        return False
    return True


def _stamp(path: Path | str) -> Stamp:
    """The stamp of a file, or of the file that a link leads to; empty if there is none."""
    try:
        return _stamp_of(os.stat(path))  # noqa: PTH116, five thousand Paths a second cost more than the files
    except OSError:
        return ()


def _stamp_of(status: os.stat_result) -> Stamp:
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_dev


def _version(shelved: _Shelved, found: Checked, size: int, stamp: Stamp) -> Version:
    return Version(
        name=shelved.name,
        sha256=found.sha256,
        facts=found.header.facts(shelved.path, b""),
        bytes=size,
        stamp=stamp,
        thumbnail_at=found.begin + found.header.places[THUMBNAIL].start,
        is_small=found.content is not None,
    )


def _told(version: Version) -> dict[str, Any]:
    """What lists show of a model that is ready."""
    facts = version.facts
    told: dict[str, Any] = {
        "sha256": version.sha256,
        "bytes": version.bytes,
        "kind": facts.kind,
        "maps": [
            {"name": each.name, "channels": each.channels, "colour_space": each.colour_space} for each in facts.maps
        ],
        "swatch": [facts.swatch.height, facts.swatch.width],
    }
    if isinstance(facts.architecture, QuiltArchitecture):
        told["exact"] = True
    if facts.texels_per_metre:
        told["texels_per_metre"] = round(facts.texels_per_metre, 3)
    if facts.category:
        told["category"] = facts.category
    if facts.lattice:
        told["lattice"] = [[round(value, 3) for value in period] for period in facts.lattice.periods()]
        told["fits"] = [side for side in FIT_SIDES if facts.lattice.fits(Size(side, side))]
    return told
