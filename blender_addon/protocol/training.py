"""The messages of trainings: a client sends the maps of a material, or a painting, and the server makes a model of it.

docs/PROTOCOL.md defines them. A training is a job that survives its client: whoever has its token asks how it is.
Sizes are (height, width), points (down, across) as fractions of the picture. Standard library only, no bpy.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, ClassVar, Final

from .errors import Refused
from .fields import (
    ITEM_BYTES,
    MAX_ID,
    MAX_MODEL_NAME,
    MAX_TEXT,
    Buffer,
    Data,
    Fields,
    Limits,
    read_buffers,
    read_no_buffers,
    wrong,
)

FEATURE: Final = "train"  # of a server that trains for this client
STYLE_FEATURE: Final = "train_style"  # that trains styles, too
MAX_NEW_NAME = 64  # characters of the name of a model to be made
MAX_CATEGORY = 64  # characters
MIN_METRES = 0.001  # across a swatch
MAX_METRES = 10_000
MIN_SWATCH_SIZE = 64  # pixels of the shorter side
MAX_SWATCH_SIZE = 8192
MAX_JOBS = 100  # of a list
MAX_LEFT_OUT: Final = 16  # parts of a painting
MAX_BAND_BYTES: Final = 64 * 2**20  # of a buffer; a larger map comes in several, from top to bottom
MAX_ASPECT: Final = 16.0  # width of a straightened picture over its height, or the other way round
BASE: Final = "basecolor"
# What a buffer may hold, by its name: see pictures/map_names.py.
PARTS: Final = (
    BASE, "normal", "normal_gl", "normal_dx", "roughness", "gloss", "metallic", "ao", "height", "bump", "arm", "orm",
    "rma", "mra", "ord", "metallic_roughness", "metallic_smoothness", "mask_map", "specular_smoothness",
    "normal_gloss",
)  # fmt: skip
TEXTURE, STYLE = KINDS = ("texture", "style")  # of models
GUESSED: Final = ("normal", "height", "roughness")  # maps that can be guessed from the base colour
JOB_STATES: Final = ("waiting", "running", "done", "failed", "cancelled", "interrupted")
ENDED: Final = frozenset(JOB_STATES[2:])
TOKEN = re.compile(r"[0-9a-f]{32}")
NEW_NAME = re.compile(rf"[a-z0-9][a-z0-9_-]{{0,{MAX_NEW_NAME - 1}}}")
_RESERVED = re.compile(r"con|prn|aux|nul|(com|lpt)[0-9]")  # by Windows


@dataclass(frozen=True, kw_only=True)
class Train:
    """Asks for a model of these maps. Answered at once by Job. The token is the client's choice: asked again with the
    same one, it is the same job.

    `buffers`: maps by the names of PARTS, the base colour among them, each of its own size. For a style it is the
    painting as the base colour, and nothing else is told of it but what it leaves out. A map may come as several
    buffers of its name, one after the other: bands from top to bottom (see `in_bands`).
    """

    op: ClassVar[str] = "train"
    id: int
    token: str  # 32 random hexadecimal digits
    name: str  # of the model
    buffers: tuple[Buffer, ...]
    kind: str = TEXTURE  # one of KINDS; servers that announce no `train_style` ignore it and make textures
    leave_out: tuple[tuple[float, ...], ...] = ()  # of a painting: top, left, height, width as fractions
    metres: float | None = None  # width of the picture in reality; after straightening
    category: str = ""  # such as "Masonry"
    corners: tuple[float, ...] | None = None  # four points, clockwise from top left: this part is straightened first
    aspect: float | None = None  # width over height of that part in reality; default: by the lengths of its sides
    swatch_size: int | None = None  # shorter side that it is scaled down to; default: the trainer's
    keep_light: bool = False  # leave slow light and drift of colour
    derive: tuple[str, ...] | None = None  # maps to be guessed from the base colour
    replace: bool = False  # the model of that name, if there is one

    @classmethod
    def read(cls, id: int, header: Mapping[str, Any], frames: Sequence[Data], limits: Limits) -> "Train":
        values = Fields(header)
        buffers = read_buffers(header, frames)
        _check_maps(buffers, limits)
        request = cls(
            id=id,
            token=_read_token(values),
            name=_read_new_name(values),
            buffers=buffers,
            kind=_read_kind(values),
            leave_out=values.rectangles("leave_out", MAX_LEFT_OUT),
            metres=values.maybe_number("metres", MIN_METRES, MAX_METRES),
            category=_read_category(values),
            corners=None if header.get("corners") is None else values.numbers("corners", 8, 0, 1),
            aspect=values.maybe_number("aspect", 1 / MAX_ASPECT, MAX_ASPECT),
            swatch_size=values.maybe_whole("swatch_size", MIN_SWATCH_SIZE, MAX_SWATCH_SIZE),
            keep_light=values.flag("keep_light"),
            derive=_read_derive(values),
            replace=values.flag("replace"),
        )
        request._check_kind()
        return request

    def _check_kind(self) -> None:
        """Raises Refused for what models of this kind have not."""
        if self.kind == TEXTURE:
            alien = ["leave_out"] if self.leave_out else []
        else:
            names = ("metres", "corners", "aspect", "keep_light", "derive")
            alien = [name for name in names if getattr(self, name)]
            alien += [each.name for each in self.buffers if each.name != BASE]
        if alien:
            raise Refused("bad_request", f"{alien[0]}: a {self.kind} is learned without it; leave it out.")

    @property
    def bytes(self) -> int:
        """Of all maps together."""
        return sum(memoryview(each.data).nbytes for each in self.buffers)

    @property
    def maps(self) -> Mapping[str, tuple[Buffer, ...]]:
        """The bands of each map, from top to bottom."""
        return {name: tuple(bands) for name, bands in groupby(self.buffers, lambda each: each.name)}


@dataclass(frozen=True, kw_only=True)
class GetJob:
    """Asks how a training is. Answered by Job, or `not_found`."""

    op: ClassVar[str] = "job"
    id: int
    token: str
    seen: int = 0  # the number of the latest picture that the client has: only a newer one is sent

    @classmethod
    def read(cls, id: int, header: Mapping[str, Any], frames: Sequence[Data], limits: Limits) -> "GetJob":
        read_no_buffers(header, frames)
        values = Fields(header)
        return cls(id=id, token=_read_token(values), seen=values.whole("seen", 0, MAX_ID, 0))


@dataclass(frozen=True, kw_only=True)
class CancelJob:
    """Ends a training that waits or runs. Answered by Job as it is then, or `not_found`."""

    op: ClassVar[str] = "cancel_job"
    id: int
    token: str

    @classmethod
    def read(cls, id: int, header: Mapping[str, Any], frames: Sequence[Data], limits: Limits) -> "CancelJob":
        read_no_buffers(header, frames)
        return cls(id=id, token=_read_token(Fields(header)))


@dataclass(frozen=True, kw_only=True)
class ListJobs:
    """Asks for the trainings of the client's key, those that ended lately too. Answered by Jobs."""

    op: ClassVar[str] = "jobs"
    id: int

    @classmethod
    def read(cls, id: int, header: Mapping[str, Any], frames: Sequence[Data], limits: Limits) -> "ListJobs":
        read_no_buffers(header, frames)
        return cls(id=id)


@dataclass(frozen=True, kw_only=True)
class Job:
    """Answers Train, GetJob and CancelJob: how a training is. At most one buffer, "picture": the growing texture, uint8
    RGB in sRGB, at most 512 pixels a side.
    """

    op: ClassVar[str] = "job"
    id: int
    token: str
    name: str  # of the model
    state: str  # one of JOB_STATES
    kind: str = TEXTURE  # of the model
    fraction: float = 0.0  # of the work that is done, to 1
    text: str = ""  # for people: what is being done, or why it failed
    picture: int = 0  # number of the latest picture, 0 before the first
    sha256: str = ""  # of the model file, once it is served
    buffers: tuple[Buffer, ...] = ()

    @classmethod
    def read(cls, id: int, header: Mapping[str, Any], buffers: tuple[Buffer, ...]) -> "Job":
        return cls(id=id, picture=Fields(header).whole("picture", 0, MAX_ID, 0), buffers=buffers, **_told(header))

    @property
    def ended(self) -> bool:
        return self.state in ENDED


@dataclass(frozen=True, kw_only=True)
class Jobs:
    """Answers ListJobs: token, name, state, kind, fraction, text and sha256 of each, as in Job, the latest first."""

    op: ClassVar[str] = "jobs"
    id: int
    jobs: tuple[Mapping[str, Any], ...]

    @classmethod
    def read(cls, id: int, header: Mapping[str, Any], buffers: tuple[Buffer, ...]) -> "Jobs":
        jobs = Fields(header).objects("jobs", MAX_JOBS)
        for each in jobs:
            _told(each)
        return cls(id=id, jobs=tuple(jobs))


def _told(values: Mapping[str, Any]) -> dict[str, Any]:
    """What both replies tell of a training."""
    told = Fields(values)
    return {
        "token": _read_token(told),
        "name": told.text("name", MAX_MODEL_NAME),
        "state": told.text("state", 20),
        "kind": told.text("kind", 20, TEXTURE),
        "fraction": told.number("fraction", 0, 1, 0),
        "text": told.text("text", 2 * MAX_TEXT, ""),
        "sha256": told.text("sha256", 64, ""),
    }


def _read_token(values: Fields) -> str:
    token = values.text("token", 32)
    if not TOKEN.fullmatch(token):
        raise wrong("token", token, "32 hexadecimal digits in lower case")
    return token


def _read_new_name(values: Fields) -> str:
    name = values.text("name", MAX_MODEL_NAME)
    if not NEW_NAME.fullmatch(name) or _RESERVED.fullmatch(name):
        raise wrong("name", name, f"1 to {MAX_NEW_NAME} of a to z, 0 to 9, - and _, and no name of a device")
    return name


def _read_kind(values: Fields) -> str:
    kind = values.text("kind", 20, TEXTURE)
    if kind not in KINDS:
        raise wrong("kind", kind, f"one of {', '.join(KINDS)}")
    return kind


def _read_category(values: Fields) -> str:
    category = values.text("category", MAX_CATEGORY, "")
    if not category.isprintable():
        raise wrong("category", category, "printable")
    return category


def _read_derive(values: Fields) -> tuple[str, ...] | None:
    names = values.texts("derive", len(GUESSED))
    if names is not None and not set(names) <= set(GUESSED):
        raise wrong("derive", list(names), f"of {', '.join(GUESSED)}")
    return names


def in_bands(maps: Iterable[Buffer], most_bytes: int = MAX_BAND_BYTES) -> Iterator[Buffer]:
    """The buffers by which maps are sent: those of more than `most_bytes` cut into bands of whole rows, uncopied."""
    for each in maps:
        height, width, channels = each.shape
        row_bytes = width * channels * ITEM_BYTES[each.dtype]
        rows = max(1, most_bytes // row_bytes)
        if rows >= height:
            yield each
            continue
        data = memoryview(each.data).cast("B")
        for top in range(0, height, rows):
            band = data[top * row_bytes : (top + rows) * row_bytes]
            yield replace(each, shape=(len(band) // row_bytes, width, channels), data=band)


def _check_maps(buffers: Sequence[Buffer], limits: Limits) -> None:
    maps = [(name, tuple(bands)) for name, bands in groupby(buffers, lambda each: each.name)]
    names = [name for name, _ in maps]
    if BASE not in names or len(set(names)) != len(names) or not set(names) <= set(PARTS):
        raise Refused(
            "bad_request",
            f"buffers: they must be {BASE!r} and others of {', '.join(PARTS[1:])}, none of them at two places.",
        )
    for name, bands in maps:
        if len({(each.dtype, each.shape[1:]) for each in bands}) > 1:
            raise Refused("bad_request", f"buffers: the bands of {name} differ in type, width or channels.")
        height, width = sum(each.shape[0] for each in bands), bands[0].shape[1]
        if max(height, width) > limits.max_train_side:
            raise Refused(
                "too_large",
                f"{name}: it has {width} x {height} pixels, and at most {limits.max_train_side} a side are taken; make "
                "it smaller.",
            )
    size = sum(memoryview(each.data).nbytes for each in buffers)
    if size > limits.max_train_bytes:
        raise Refused(
            "too_large",
            f"buffers: they have {size} bytes together, and at most {limits.max_train_bytes} are taken; make the maps "
            "smaller.",
        )
