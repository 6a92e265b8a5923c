"""A picture in a style whose regions are in other styles, or as they were. No bpy here.

The whole picture is put into every style, one download after the other, and the results are laid over each other by the
regions' masks (pictures/region_mix.py), the last region uppermost. Every style has its own statistics, and gives to the
next frame of a sequence what is its own; here they stand one after the other.
"""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Final

from ..pictures.draft import ImageFileError
from ..pictures.picture_reader import PictureError, TiffPicture
from ..pictures.region_mix import Letter, in_colours, mixed_row
from ..protocol.errors import TexserverError
from ..protocol.rect import Rect
from .download import TICK_S, State
from .sinks import MemorySink, Sink
from .style_download import IMAGE, StyleDownload, StylizedPicture

_LETTERS: Final[dict[str, Letter]] = {"uint8": "B", "uint16": "H"}
_BETWEEN: Final = ","  # of statistics, which are base64

Begin = Callable[[str, Sink, str, bytes], StyleDownload]  # from the style, its statistics and its carry


@dataclass(frozen=True, kw_only=True)
class Region:
    """A part of a picture. `mask`: a share for each pixel, 255 within. `style`: "" for the picture itself."""

    name: str  # of the mask, for people
    style: str
    height: int
    width: int
    mask: bytes = field(repr=False)

    @property
    def told(self) -> str:
        """In one line, as texget's option has it."""
        return f"{self.name}={self.style or 'none'}"

    @property
    def identity(self) -> str:
        """Another one for each other look."""
        return f"{self.style}:{sha256(self.mask).hexdigest()[:32]}"


class RegionDownload:
    """Stands in the place of a StyleDownload (style_download.py). Raises PictureError for a mask of another size."""

    def __init__(
        self,
        begin: Begin,
        style: str,
        regions: Sequence[Region],
        content: TiffPicture,
        sink: Sink,
        *,
        statistics: str = "",
        carry: bytes = b"",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        height, width, _ = content.shape
        for each in regions:
            if (each.height, each.width) != (height, width):
                raise PictureError(
                    f"The mask {each.name} has {each.width} x {each.height} pixels and the picture {width} x {height}. "
                    "Paint a mask of the picture's size."
                )
        self.state: State = "waiting"
        self.message = "Waiting for its turn."
        self.error: TexserverError | None = None  # why it failed
        self.picture: StylizedPicture | None = None  # None until the answer
        self.statistics = statistics  # afterwards: those of all styles
        self.carry = carry  # afterwards: that of all styles
        self._regions, self._content, self._sink, self._clock = tuple(regions), content, sink, clock
        self._begin, self._style = begin, style
        self._download: StyleDownload | None = None
        self._done = 0  # downloads that are complete
        self._rows = 0  # that were mixed
        self._steps = self._work()

    @property
    def ended(self) -> bool:
        return self.state in ("done", "failed", "cancelled")

    @property
    def signs(self) -> object:
        """Changes with each sign of work."""
        return self._done, self._rows, self._download.signs if self._download else None

    @property
    def fraction(self) -> float:
        """How much is done, in [0, 1]."""
        of_one = self._download.fraction if self._download else 0.0
        return min(1.0, (self._done + of_one) / (1 + sum(bool(each.style) for each in self._regions)))

    def tick(self) -> bool:
        """Go on for a moment, without waiting. False when it has ended."""
        until = self._clock() + TICK_S
        try:
            while not self.ended and next(self._steps, False) and self._clock() < until:
                pass
        except ImageFileError as error:
            self.error = error
            self._end("failed", str(error))
        return not self.ended

    def cancel(self) -> None:
        """End without a result. Does nothing when it has ended."""
        if not self.ended:
            self._end("cancelled", "Cancelled.")

    def _end(self, state: State, message: str) -> None:
        if self._download:
            self._download.cancel()
        if state != "done":
            self._sink.abort()
        self._download = None
        self.state, self.message = state, message

    def _work(self) -> Generator[bool, None, None]:
        """Yields whether there is more to do at once."""
        count = 1 + len(self._regions)
        given = list(zip(split(self.statistics, count), unpacked(self.carry, count), strict=True))
        lowest = yield from self._styled(self._style, given[0])
        if lowest is None:
            return
        result, picture, used = lowest
        every = [used]
        for region, each in zip(self._regions, given[1:], strict=True):
            above, own = self._itself, ("", b"")
            if region.style:
                styled = yield from self._styled(region.style, each)
                if styled is None:
                    return
                above, _, own = styled
            every.append(own)
            result = yield from self._laid(result, above, region)
        self.statistics, self.carry = joined([each for each, _ in every]), packed([each for _, each in every])
        self.picture = replace(picture, regions=tuple(each.told for each in self._regions))
        self._sink.begin(self.picture)
        self._sink.write(IMAGE, Rect(0, 0, *picture.size), result)
        self._sink.finish()
        self._end("done", f"The picture is in the style of {self._style}, with {len(self._regions)} regions.")

    def _styled(
        self, style: str, given: tuple[str, bytes]
    ) -> Generator[bool, None, tuple[memoryview, StylizedPicture, tuple[str, bytes]] | None]:
        """The whole picture in a style; None where that failed."""
        memory = MemorySink()
        self._download = download = self._begin(style, memory, *given)
        while download.tick():
            self.state, self.message = download.state, download.message
            yield False
        if download.state != "done":
            self.error = download.error
            self._end(download.state, download.message)
            return None
        assert download.picture
        self._download, self._done = None, self._done + 1
        return memoryview(memory.pixels[IMAGE]), download.picture, (download.statistics, download.carry)

    @property
    def _itself(self) -> memoryview:
        """The picture, with three channels where it is grey."""
        data = memoryview(self._content.data)
        return in_colours(data, _LETTERS[self._content.dtype]) if self._content.shape[2] == 1 else data

    def _laid(self, below: memoryview, above: memoryview, region: Region) -> Generator[bool, None, memoryview]:
        laid = bytearray()
        mask, letter = memoryview(region.mask), _LETTERS[self._content.dtype]
        for row, (under, over) in enumerate(zip(_rows(below, region), _rows(above, region), strict=True)):
            shares = mask[row * region.width : (row + 1) * region.width]
            laid += mixed_row(under, over, shares, letter)
            self._rows += 1
            yield True
        return memoryview(laid)


def _rows(data: memoryview, region: Region) -> Iterator[memoryview]:
    row_bytes = len(data) // region.height
    return (data[start : start + row_bytes] for start in range(0, len(data), row_bytes))


def joined(statistics: Sequence[str]) -> str:
    """Those of several styles in one text; empty where all of them are."""
    return _BETWEEN.join(statistics) if any(statistics) else ""


def split(statistics: str, count: int) -> list[str]:
    """Those of so many styles; empty ones where the text has another number."""
    parts = statistics.split(_BETWEEN)
    return parts if len(parts) == count else [""] * count


def packed(parts: Sequence[bytes]) -> bytes:
    """Each after its length; empty where all of them are."""
    return b"".join(len(each).to_bytes(4, "little") + each for each in parts) if any(parts) else b""


def unpacked(data: bytes, count: int) -> list[bytes]:
    """So many parts; empty ones where these are not that many."""
    parts, rest = [], data
    while len(rest) >= 4:
        end = 4 + int.from_bytes(rest[:4], "little")
        parts.append(rest[4:end])
        rest = rest[end:]
    return parts if len(parts) == count else [b""] * count
