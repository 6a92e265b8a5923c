"""The models folder as the front of the server sees it: kept up to date, a few milliseconds at a time.

The folder is scanned about every second. A file that is new or has changed is read, hashed and checked in full, and
only then takes the place of the version before it; until then, and for good where it is broken, that version serves.
Its bytes are kept in memory, since a file that was overwritten in place cannot be read again.

Neither torch nor threads, and nothing waits: whoever owns the shelf calls `step` again and again.
"""

import hashlib
import json
import os
import time
from bisect import bisect_right
from collections import Counter, OrderedDict
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from server.errors import Refused
from server.model.header import (
    THUMBNAIL,
    BrokenModel,
    Facts,
    Thumbnail,
    check_weights,
    explained,
    opened,
    parse_file,
    read_file,
)
from server.model.library import UnknownModel, check_place, name_of, no_library
from server.model.torus import Size

SCAN_EVERY_S = 1.0
KEPT_BYTES = 96 * 2**20  # of verified model files, the least recently used dropped first
PIECE_BYTES = 2**20  # read and hashed between two looks at the clock: about a millisecond
FILES_AT_ONCE = 64  # looked at between two looks at the clock
PAGE_BYTES = 58 * 1024  # of a page's entries, so that a header stays under 60 KiB
MAX_REASON = 300  # characters
RETRY_MS = 500
FIT_SIDES = (256, 512, 1024, 2048, 4096)

Stamp = tuple[int, ...]  # tells two states of a file apart


class UnusableModel(UnknownModel):
    """The folder lists the model, but it cannot be used."""

    def __init__(self, text: str) -> None:
        Refused.__init__(self, "unknown_model", text)


class StillChecking(Refused):
    """The model's file has not been checked yet."""

    def __init__(self, name: str) -> None:
        text = f"The model {name!r} is still being checked; try again in a moment."
        super().__init__("busy", text, retry_ms=RETRY_MS)


@dataclass(frozen=True, kw_only=True, eq=False)
class Version:
    """A model as it was read and checked: `sha256` and `bytes` are its file's hash and size.

    The thumbnail of `facts` has no pixels here, since thousands of them would fill the memory: see Shelf.thumbnail.
    """

    name: str
    sha256: str
    facts: Facts
    bytes: int


@dataclass(eq=False)
class _Shelved:
    """A file of the folder, and the version that is served under its name."""

    name: str
    path: Path
    seen: Stamp  # the file at the last scan
    checked: Stamp | None = None  # the file as it was last checked
    reason: str = ""  # why it cannot be used as it was then, in words that follow "it"
    version: Version | None = None  # the latest that could
    entry: Mapping[str, Any] = field(init=False)
    entry_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        self.tell()

    @property
    def state(self) -> str:
        return "ready" if self.version else "broken" if self.reason else "checking"

    def tell(self) -> None:
        """Write the entry of the list anew (docs/PROTOCOL.md, Models)."""
        entry: dict[str, Any] = {"name": self.name, "state": self.state}
        if self.reason:
            entry["warning" if self.version else "reason"] = self.reason
        self.entry = entry | (_told(self.version) if self.version else {})
        self.entry_bytes = len(json.dumps(self.entry))


class Shelf:
    """The models of a folder by name. `problem` is a sentence while the folder itself cannot be read, and else ""."""

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder = folder
        self.problem = ""
        self._clock = clock
        self._shelved: dict[str, _Shelved] = {}
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
            raise UnknownModel(name, self._sorted())
        if shelved.version:
            return shelved.version
        if shelved.reason:
            raise UnusableModel(f"The model {name!r} cannot be used: {shelved.reason}.")
        if name in self._queue:
            self._queue.move_to_end(name, last=False)  # somebody waits for it
        raise StillChecking(name)

    def content(self, name: str, sha256: str) -> bytes:
        """The model file of this hash: from memory, also when it is no longer in the folder, or read again.

        Raises UnknownModel when that version is gone.
        """
        if (name, sha256) in self._kept:
            self._kept.move_to_end((name, sha256))
            return self._kept[name, sha256]
        shelved = self._shelved.get(name)
        if shelved and shelved.version and shelved.version.sha256 == sha256:
            if (data := self._read_again(shelved)) is not None:
                self._keep(name, sha256, data)
                return data
            shelved.version = None  # its file was overwritten, and is no longer in memory
            shelved.checked = None  # so the next scan looks again
            shelved.tell()
        raise UnusableModel(f"That version of the model {name[:100]!a} is gone; begin anew with the present one.")

    def thumbnail(self, name: str) -> tuple[Version, Thumbnail]:
        """The small picture of the version that is served. Raises UnknownModel, StillChecking."""
        version = self.get(name)
        header, body = parse_file(self.content(name, version.sha256))
        return version, header.thumbnail(bytes(body[header.places[THUMBNAIL]]))

    def page(self, after: str = "", limit: int = 50) -> tuple[list[Mapping[str, Any]], int, str]:
        """Entries by name, the number of all models, and what to go on after; "" when these were the last."""
        names = self._sorted()
        begin = bisect_right(names, after)
        entries: list[Mapping[str, Any]] = []
        size = 0
        for name in names[begin : begin + limit]:
            size += self._shelved[name].entry_bytes + 1
            if size > PAGE_BYTES:
                break
            entries.append(self._shelved[name].entry)
        more = entries and begin + len(entries) < len(names)
        return entries, len(names), entries[-1]["name"] if more else ""

    def counts(self) -> Mapping[str, int]:
        """How many models are ready, broken and being checked."""
        states = Counter(shelved.state for shelved in self._shelved.values())
        return {state: states[state] for state in ("ready", "broken", "checking")}

    @property
    def settled(self) -> bool:
        """Whether the folder was looked through, and every file in it checked as it was then."""
        return self._scanned and all(shelved.checked == shelved.seen for shelved in self._shelved.values())

    def _sorted(self) -> list[str]:
        if self._names is None:
            self._names = sorted(self._shelved)
        return self._names

    # ---------------------------------------------------------------------------------------------------------- work

    def step(self, budget_s: float = 0.004) -> bool:
        """Do a little of what is due. True when the time was over before the work was."""
        end = self._clock() + budget_s
        while self._go_on():
            if self._clock() >= end:
                return True
        return False

    def _go_on(self) -> bool:
        """About a millisecond's work; False when there is none."""
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
        """See which files there are and which have changed. A folder that cannot be read changes nothing."""
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
        """Read and check a file in full. One that changes meanwhile is left to the next scan."""
        stamp, path = shelved.seen, shelved.path
        if _stamp(path) != stamp:
            return
        version, data, reason = None, b"", ""
        try:
            with explained(path):
                check_place(self.folder, path)
                data, sha256 = yield from _reading(path)
                header, body = parse_file(data)
                yield
                yield from check_weights(header, body)
                facts = header.facts(path, b"")
                version = Version(name=shelved.name, sha256=sha256, facts=facts, bytes=len(data))
        except BrokenModel as error:
            reason = error.reason[:MAX_REASON]
        if _stamp(path) != stamp:
            return
        shelved.checked, shelved.reason = stamp, reason
        if version:
            shelved.version = version
            self._keep(version.name, version.sha256, data)
        shelved.tell()

    def _keep(self, name: str, sha256: str, data: bytes) -> None:
        self._kept_bytes += len(data) - len(self._kept.pop((name, sha256), b""))
        self._kept[name, sha256] = data
        while self._kept_bytes > KEPT_BYTES:
            _, dropped = self._kept.popitem(last=False)
            self._kept_bytes -= len(dropped)

    def _read_again(self, shelved: _Shelved) -> bytes | None:
        """The file, if it still is the version that was checked."""
        assert shelved.version
        try:
            with explained(shelved.path):
                check_place(self.folder, shelved.path)
                data = read_file(shelved.path)
        except BrokenModel:
            return None
        return data if hashlib.sha256(data).hexdigest() == shelved.version.sha256 else None


def _ended(work: Iterator[None]) -> bool:
    for _ in work:
        return False
    return True


def _stamp(path: Path | str) -> Stamp:
    """Changes whenever the file does; empty for one that is not there. Of a link, the file that it leads to."""
    try:
        status = os.stat(path)  # noqa: PTH116, five thousand Paths a second cost more than the files
    except OSError:
        return ()
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_dev


def _reading(path: Path) -> Generator[None, None, tuple[bytes, str]]:
    """The whole file and its SHA-256, in pieces. Raises OSError, and ValueError with the reason."""
    data, digest = BytesIO(), hashlib.sha256()
    with opened(path) as (file, size):
        while data.tell() <= size and (piece := file.read(PIECE_BYTES)):
            data.write(piece)
            digest.update(piece)
            yield
    if data.tell() != size:
        raise ValueError("it changed while it was read; try again")
    return data.getvalue(), digest.hexdigest()


def _told(version: Version) -> dict[str, Any]:
    """What a list says of a model that is ready."""
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
    if facts.lattice:
        told["lattice"] = [[round(value, 3) for value in period] for period in facts.lattice.periods()]
        told["fits"] = [side for side in FIT_SIDES if facts.lattice.fits(Size(side, side))]
    return told
