"""What messages are made of: the fields of their headers, the buffers beside them, and the limits of a server.

docs/PROTOCOL.md defines them; wire.py and training.py have the messages. Standard library only, no bpy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Final, TypeGuard

from .errors import Refused
from .rect import MIN_SIDE, is_whole

MAX_ID = 2**53
MAX_SEED = 2**64 - 1
MAX_DEADLINE_MS = 24 * 3600 * 1000
MAX_BUFFERS = 16
MAX_TEXT = 500  # characters of a sentence for people
MAX_MODEL_NAME = 200  # characters
ITEM_BYTES: Final = MappingProxyType({"uint8": 1, "uint16": 2})

Header = dict[str, Any]
Data = bytes | bytearray | memoryview


# -------------------------------------------------------------------------------------------------------------- fields


class Fields:
    """Reads the fields of one header by name and type. Raises Refused: the field's name, and what it must be."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def whole(self, name: str, least: int, most: int, default: int | None = None) -> int:
        value = self._values.get(name, default)
        if not is_whole(value) or not least <= value <= most:
            raise wrong(name, value, f"a whole number from {least} to {most}")
        return value

    def maybe_whole(self, name: str, least: int, most: int) -> int | None:
        return None if self._values.get(name) is None else self.whole(name, least, most)

    def number(self, name: str, least: float, most: float, default: float) -> float:
        value = self._values.get(name, default)
        if not _is_within(value, least, most):
            raise wrong(name, value, f"a number from {least:g} to {most:g}")
        return float(value)

    def maybe_number(self, name: str, least: float, most: float) -> float | None:
        return None if self._values.get(name) is None else self.number(name, least, most, least)

    def numbers(self, name: str, count: int, least: float, most: float) -> tuple[float, ...]:
        value = self._values.get(name)
        if not isinstance(value, list) or len(value) != count or not all(_is_within(v, least, most) for v in value):
            raise wrong(name, value, f"a list of {count} numbers from {least:g} to {most:g}")
        return tuple(float(each) for each in value)

    def wholes(self, name: str, count: int, what: str) -> tuple[int, ...]:
        value = self._values.get(name)
        if not isinstance(value, list) or len(value) != count or not all(is_whole(each) for each in value):
            raise wrong(name, value, f"a list of {count} whole numbers, {what}")
        return tuple(value)

    def rectangles(self, name: str, most: int) -> tuple[tuple[float, ...], ...]:
        """Parts of a picture: top, left, height and width of each, as fractions; by default none."""
        value = self._values.get(name, [])
        if not isinstance(value, list) or len(value) > most or not all(map(_is_part, value)):
            raise wrong(
                name, value, f"a list of at most {most} [top, left, height, width], each from 0 to 1 and none empty"
            )
        return tuple(tuple(map(float, each)) for each in value)

    def text(self, name: str, most: int, default: str | None = None) -> str:
        value = self._values.get(name, default)
        if not isinstance(value, str) or len(value) > most:
            raise wrong(name, value, f"a text of at most {most} characters")
        return value

    def flag(self, name: str) -> bool:
        value = self._values.get(name, False)
        if not isinstance(value, bool):
            raise wrong(name, value, "true or false")
        return value

    def texts(self, name: str, most: int) -> tuple[str, ...] | None:
        value = self._values.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or not 1 <= len(value) <= most or not all(isinstance(v, str) for v in value):
            raise wrong(name, value, f"a list of 1 to {most} texts")
        if len(set(value)) != len(value):
            raise wrong(name, value, "a list without repetitions")
        return tuple(value)

    def object(self, name: str) -> Mapping[str, Any]:
        value = self._values.get(name)
        if not isinstance(value, dict):
            raise wrong(name, value, "a map")
        return value

    def objects(self, name: str, most: int) -> list[Mapping[str, Any]]:
        value = self._values.get(name, [])
        if not isinstance(value, list) or len(value) > most or not all(isinstance(v, dict) for v in value):
            raise wrong(name, value, f"a list of at most {most} maps")
        return value


def _is_within(value: object, least: float, most: float) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


def _is_part(value: object) -> bool:
    if not isinstance(value, list) or len(value) != 4 or not all(_is_within(each, 0, 1) for each in value):
        return False
    return bool(value[2] and value[3])


def wrong(name: str, value: object, wanted: str) -> Refused:
    """The refusal of a field: its name, what came, and what it must be."""
    shown = "missing" if value is None else ascii(value)
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    return Refused("bad_request", f"{name}: it is {shown}; it must be {wanted}.")


# ------------------------------------------------------------------------------------------------------------- buffers


@dataclass(frozen=True, kw_only=True)
class Buffer:
    """Raw samples beside a header: row-major, interleaved. `shape` is (height, width, channels)."""

    name: str
    dtype: str  # "uint8", or "uint16" in little-endian order
    shape: tuple[int, int, int]
    data: Data = field(repr=False)
    colour_space: str = ""  # of a map: "srgb" or "linear"; "" if it is not given

    def described(self) -> Header:
        described: Header = {"name": self.name, "dtype": self.dtype, "shape": list(self.shape)}
        return described | ({"colour_space": self.colour_space} if self.colour_space else {})


def read_buffers(header: Mapping[str, Any], frames: Sequence[Data]) -> tuple[Buffer, ...]:
    """The buffers in these frames, as the header describes them. Raises Refused."""
    described = Fields(header).objects("buffers", MAX_BUFFERS)
    if len(described) != len(frames):
        raise Refused("bad_request", f"buffers: the header tells of {len(described)}, and {len(frames)} came.")
    return tuple(_read_buffer(each, data) for each, data in zip(described, frames, strict=True))


def _read_buffer(described: Mapping[str, Any], data: Data) -> Buffer:
    values = Fields(described)
    name, dtype = values.text("name", 64), values.text("dtype", 16)
    if dtype not in ITEM_BYTES:
        raise wrong("dtype", dtype, f"one of {', '.join(ITEM_BYTES)}")
    height, width, channels = values.wholes("shape", 3, "height, width and channels")
    if min(height, width) < 1 or channels not in (1, 3, 4):
        raise wrong("shape", [height, width, channels], "[height, width, channels] with 1, 3 or 4 channels")
    size = memoryview(data).nbytes
    if height * width * channels * ITEM_BYTES[dtype] != size:
        raise Refused("bad_request", f"buffers: {name!a} has {size} bytes, which do not make its shape.")
    colour_space = values.text("colour_space", 16, "")
    return Buffer(name=name, dtype=dtype, shape=(height, width, channels), data=data, colour_space=colour_space)


def read_no_buffers(header: Mapping[str, Any], frames: Sequence[Data]) -> None:
    """Raises Refused where there are some."""
    if read_buffers(header, frames):
        raise Refused("bad_request", f"buffers: {header.get('op')} takes none.")


# -------------------------------------------------------------------------------------------------------------- limits


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a server allows; its welcome says so. Pixels are height * width; bytes are of all buffers of a message."""

    max_side: int = 16384  # of a texture or a content
    max_window_pixels: int = 4 * 2**20
    max_result_bytes: int = 64 * 2**20
    max_content_pixels: int = 16 * 2**20
    max_requests: int = 64  # waiting or running, of one client
    max_train_bytes: int = 640 * 2**20  # of all maps of one training: four of 8192 x 8192, heights of 16 bits
    max_train_side: int = 8192  # of each of its maps
    max_train_jobs: int = 4  # waiting or running, of one key
    tile: int = 512  # windows that end at multiples of ceil(side / ceil(side / tile)) pixels are cheapest

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> "Limits":
        """The limits in a welcome. Limits that it does not give keep their defaults."""
        return cls(**{each.name: Fields(values).whole(each.name, 1, MAX_ID, each.default) for each in fields(cls)})  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------------- parts of a texture


def read_size(values: Fields, limits: Limits) -> tuple[int, int]:
    """The period of a texture: height, width. Raises Refused."""
    height, width = values.wholes("size", 2, "height and width")
    if not (min(height, width) >= MIN_SIDE and max(height, width) <= limits.max_side):
        raise wrong("size", [height, width], f"from {MIN_SIDE} to {limits.max_side} pixels a side on this server")
    return height, width


def read_window(header: Mapping[str, Any], size: tuple[int, int], limits: Limits) -> tuple[int, int, int, int]:
    """The part of a texture that is wanted, by default all of it. Raises Refused."""
    if header.get("window") is None:
        window = (0, 0, *size)
    else:
        top, left, height, width = Fields(header).wholes("window", 4, "top, left, height and width")
        window = (top, left, height, width)
    top, left, height, width = window
    if not (-size[0] <= top < size[0] and -size[1] <= left < size[1]):
        raise wrong("window", list(window), "one that begins within the texture, or less than one period before it")
    if not (1 <= height <= size[0] and 1 <= width <= size[1]):
        raise wrong("window", list(window), "at least one pixel and at most the texture's own size")
    if height * width > limits.max_window_pixels:
        raise Refused(
            "bad_request",
            f"window: it has {height * width} pixels, and at most {limits.max_window_pixels} are answered at once; "
            "ask for smaller windows of the same texture.",
        )
    return window
