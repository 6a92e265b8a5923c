"""Reads the header of a model file (server/network/model_file.py) and checks it in full. The file may be a stranger's.

No torch here, so the front of the server can list and check models that only workers run. Format:
https://huggingface.co/docs/safetensors (the length of the header in 8 bytes, little-endian; the header, JSON; the
tensors without a gap). Sizes that the file claims are compared with the shapes of its architecture before memory is
allocated for them.
"""

import dataclasses
import math
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, Literal, get_args

from blender_addon.protocol import strict_json
from server.errors import Refused, TexserverError
from server.model.architecture import MAX_LEVELS, Architecture, parameter_shapes
from server.model.lattice import MAX_HARMONICS, Lattice, Vector
from server.model.maps import MAX_MAPS, Map, check_maps
from server.model.quilt import QuiltArchitecture, Shape
from server.model.style_architecture import StyleArchitecture
from server.model.style_architecture import parameter_shapes as style_parameter_shapes
from server.model.style_quilt import MOST_PAINTINGS, StyleQuiltArchitecture

FORMAT = 1
SUFFIX = ".safetensors"
THUMBNAIL_SIDE = 256

MAX_FILE_BYTES = 2**30  # a set of eight maps of 8192 x 8192 pixels with one of 16 bits
MAX_HEADER_BYTES = 2**20
MAX_FACTS = 64
MAX_TEXT = 500
MAX_CATEGORY = 64  # characters
METRES = (0.001, 10_000.0)  # across a swatch

KEY = "texserver"
GENERATOR = "generator."
THUMBNAIL = "thumbnail"
_ITEM_BYTES = {"F32": 4, "U16": 2, "I16": 2, "U8": 1, "I8": 1}  # of safetensors' kinds

AnyStyleArchitecture = StyleArchitecture | StyleQuiltArchitecture
AnyArchitecture = Architecture | QuiltArchitecture | AnyStyleArchitecture
Fact = str | int | float | bool | None
Kind = Literal["texture", "style"]  # what a model does: paint textures, or put pictures into a style
KINDS: tuple[Kind, ...] = get_args(Kind)


class BrokenModel(TexserverError):
    """A model file that must not be used. `reason` says what is wrong with it and begins with "it" or "its"."""

    def __init__(self, path: Path, reason: str) -> None:
        self.reason = reason
        super().__init__(f"The model file {path} cannot be used: {reason}.")


class WrongKind(Refused):
    """A style where a texture is needed, or the other way round."""

    def __init__(self, name: str, kind: Kind) -> None:
        does = {
            "texture": "paints textures and stylizes no pictures; choose a model of a style",
            "style": "stylizes pictures and paints no textures; choose a model of a texture",
        }
        super().__init__("unknown_model", f"The model {name[:100]!a} {does[kind]}.")


@dataclass(frozen=True, kw_only=True)
class SwatchFacts:
    """The picture that a model was learned from: name and hash of its file, and its size in pixels in the training."""

    name: str
    sha256: str
    height: int
    width: int


@dataclass(frozen=True, kw_only=True)
class Thumbnail:
    """A small sample of what the model paints: uint8 (height, width, 3), sRGB, at most 256 pixels a side."""

    height: int
    width: int
    pixels: bytes


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Everything in a model file but the weights. A style has no maps and no lattice."""

    name: str
    maps: tuple[Map, ...]
    architecture: AnyArchitecture
    lattice: Lattice | None
    training: Mapping[str, Fact]
    descriptor: str
    swatch: SwatchFacts
    thumbnail: Thumbnail

    @property
    def kind(self) -> Kind:
        return "style" if isinstance(self.architecture, AnyStyleArchitecture) else "texture"

    @property
    def texels_per_metre(self) -> float | None:
        """Pixels of the swatch in a metre; None where the file does not tell how wide it was."""
        metres = self.training.get("metres")
        if isinstance(metres, bool) or not isinstance(metres, int | float) or not METRES[0] <= metres <= METRES[1]:
            return None
        return self.swatch.width / metres

    @property
    def category(self) -> str:
        """What kind of material it is, such as "Masonry"; "" where the file does not tell."""
        category = self.training.get("category")
        return category if isinstance(category, str) and len(category) <= MAX_CATEGORY else ""


def read_facts(path: Path) -> Facts:
    """Everything but the weights, which are not read or checked. Raises BrokenModel."""
    with explained(path):
        with opened(path) as (file, size):
            length = header_length(file.read(8), size)
            header = parse_header(file.read(length), size - 8 - length)
            place = header.places[THUMBNAIL]
            file.seek(8 + length + place.start)
            pixels = file.read(place.stop - place.start)
        return header.facts(path, pixels)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Raise BrokenModel in place of OSError, and of a ValueError whose text is the reason."""
    try:
        yield
    except OSError as error:
        raise BrokenModel(path, f"it cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise BrokenModel(path, str(error)) from error


@contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """A regular file and its size. It never waits, where a plain open() of a FIFO would."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with open(descriptor, "rb") as file:  # noqa: PTH123, of a descriptor
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is a folder or a device, not a file")
        if status.st_size > MAX_FILE_BYTES:
            raise ValueError(f"it is larger than {MAX_FILE_BYTES // 2**20} MiB, which no model is")
        yield file, status.st_size


@dataclass(frozen=True, kw_only=True)
class Header:
    """A checked header: every tensor has the shape that its architecture requires, and its bytes in the file."""

    maps: tuple[Map, ...]
    architecture: AnyArchitecture
    lattice: Lattice | None
    training: Mapping[str, Fact]
    descriptor: str
    swatch: SwatchFacts
    shapes: Mapping[str, Shape]
    kinds: Mapping[str, str]  # of each tensor: F32, U8, ...
    places: Mapping[str, slice]  # of each tensor, from the end of the header on

    def thumbnail(self, pixels: bytes) -> Thumbnail:
        height, width, _ = self.shapes[THUMBNAIL]
        return Thumbnail(height=height, width=width, pixels=pixels)

    def facts(self, path: Path, thumbnail: bytes) -> Facts:
        return Facts(
            name=path.stem,
            maps=self.maps,
            architecture=self.architecture,
            lattice=self.lattice,
            training=self.training,
            descriptor=self.descriptor,
            swatch=self.swatch,
            thumbnail=self.thumbnail(thumbnail),
        )


def header_length(first: bytes, size: int) -> int:
    """The header's length, from the file's first eight bytes. Raises ValueError if it cannot be right."""
    if not first:
        raise ValueError("it is empty")
    length = int.from_bytes(first, "little")
    if len(first) == 8 and 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
        return length
    if first.startswith(b"PK"):
        raise ValueError("it is a zip archive (a PyTorch .pt?), which texserver never opens")
    if first[0] == 0x80 and first[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        raise ValueError("it is a pickle (an old PyTorch .pt?), which texserver never opens")
    if length > MAX_HEADER_BYTES:
        raise ValueError("it is no safetensors file, or its header is damaged")
    raise ValueError("it is cut short: copy or train it again")


def parse_header(text: bytes, data_bytes: int) -> Header:
    """The checked header of a file with `data_bytes` after it. Raises ValueError with the reason."""
    table = _object(_json(text), "its header")
    metadata = _object(table.pop("__metadata__", {}), "its metadata")
    if not isinstance(metadata.get(KEY), str):
        raise ValueError("it is a safetensors file, but not of a texserver model")
    facts = _object(_json(metadata[KEY].encode("utf-8", "surrogatepass")), "its description")
    maps, architecture, lattice, parameters = _dimensions(facts)
    tensors = {GENERATOR + name: tensor for name, tensor in parameters.items()}
    tensors[THUMBNAIL] = "U8", _thumbnail_shape(table.get(THUMBNAIL))
    return Header(
        maps=maps,
        architecture=architecture,
        lattice=lattice,
        training=_training(facts["training"]),
        descriptor=_text(facts["descriptor"], "its descriptor"),
        swatch=_swatch(facts["swatch"]),
        shapes={name: shape for name, (_, shape) in tensors.items()},
        kinds={name: kind for name, (kind, _) in tensors.items()},
        places=_places(table, tensors, data_bytes),
    )


def _dimensions(
    facts: dict[str, Any],
) -> tuple[tuple[Map, ...], AnyArchitecture, Lattice | None, Mapping[str, tuple[str, Shape]]]:
    """Maps, architecture, lattice, and the kinds and shapes of the tensors, from the description in the metadata."""
    always = ("format", "kind", "architecture", "training", "descriptor", "swatch")
    if _kind(facts) == "style":
        _keys(facts, "its description", *always)
        if _object(facts["architecture"], "its architecture").get("name") == "quilt":
            sewn = _style_quilt(facts["architecture"])
            return (), sewn, None, sewn.tensors
        style = _style_architecture(facts["architecture"])
        return (), style, None, _floats(style_parameter_shapes(style))
    _keys(facts, "its description", *always, "maps", "lattice")
    maps = tuple(_map(value) for value in _list(facts["maps"], "its list of maps", 1, MAX_MAPS))
    check_maps(maps)
    lattice = None if facts["lattice"] is None else _lattice(facts["lattice"])
    if _object(facts["architecture"], "its architecture").get("name") == "quilt":
        quilt = _quilt(facts["architecture"])
        if unknown := set(quilt.deep) - {each.name for each in maps}:
            raise ValueError(f"it keeps 16 bits of a map {_quoted(min(unknown))} that it has not")
        return maps, quilt, lattice, quilt.tensors(maps)
    architecture = _architecture(facts["architecture"])
    return maps, architecture, lattice, _floats(parameter_shapes(architecture, maps, lattice))


def _floats(shapes: Mapping[str, Shape]) -> Mapping[str, tuple[str, Shape]]:
    return {name: ("F32", shape) for name, shape in shapes.items()}


def _kind(facts: Mapping[str, Any]) -> Kind:
    number = _whole(facts.get("format"), "its format", 1, 2**63)
    if number > FORMAT:
        raise ValueError(f"it was written by a newer texserver (format {number}, this one reads {FORMAT}); update")
    for kind in KINDS:
        if facts.get("kind") == kind:
            return kind
    raise ValueError(f"its kind is {_quoted(facts.get('kind'))}, and this texserver knows textures and styles only")


def _thumbnail_shape(value: object) -> tuple[int, ...]:
    if value is None:
        raise ValueError("it lacks its thumbnail")
    shape = _list(_object(value, "its thumbnail").get("shape"), "its thumbnail's shape", 3, 3)
    return (*(_whole(side, "its thumbnail's side", 1, THUMBNAIL_SIDE) for side in shape[:2]), 3)


def _places(table: Mapping[str, Any], tensors: Mapping[str, tuple[str, Shape]], data_bytes: int) -> dict[str, slice]:
    """Where each tensor lies. The file must have all tensors of the architecture, no other, and no gap between them."""
    if missing := tensors.keys() - table.keys():
        raise ValueError(f"it lacks the tensor {_quoted(min(missing))} of its architecture")
    if extra := table.keys() - tensors.keys():
        raise ValueError(f"it holds a tensor {_quoted(min(extra))} that its architecture has not")
    places = {}
    for name, value in table.items():
        entry = _keys(_object(value, f"its tensor {name!r}"), f"its tensor {name!r}", "dtype", "shape", "data_offsets")
        dtype, expected = tensors[name]
        if entry["dtype"] != dtype:
            raise ValueError(f"its tensor {name!r} is of type {_quoted(entry['dtype'])}, not {dtype}")
        shape = [_whole(side, f"a side of its tensor {name!r}", 0, 2**40) for side in _list(entry["shape"], name, 0, 4)]
        if tuple(shape) != expected:
            raise ValueError(
                f"its tensor {name!r} has the shape {shape}, not {list(expected)}: "
                "it is damaged, or was written by another trainer, and is to be trained anew"
            )
        begin, end = (
            _whole(offset, f"an offset of its tensor {name!r}", 0, data_bytes)
            for offset in _list(entry["data_offsets"], f"the place of its tensor {name!r}", 2, 2)
        )
        if end - begin != math.prod(shape) * _ITEM_BYTES[dtype]:
            raise ValueError(f"its tensor {name!r} has {end - begin} bytes, which do not make its shape")
        places[name] = slice(begin, end)
    done = 0
    for place in sorted(places.values(), key=lambda place: place.start):
        if place.start != done:
            raise ValueError("its tensors overlap or leave gaps")
        done = place.stop
    if done != data_bytes:
        raise ValueError(f"it has {data_bytes - done} bytes behind its tensors that belong to none")
    return places


def _map(value: object) -> Map:
    fields = _keys(_object(value, "a map"), "a map", "name", "channels", "colour_space")
    colour_space: Any = _text(fields["colour_space"], "a map's colour space")  # Map itself knows which there are
    return Map(
        name=_text(fields["name"], "a map's name"),
        channels=_whole(fields["channels"], "a map's number of channels", 1, 3),
        colour_space=colour_space,
    )


def _architecture(value: object) -> Architecture:
    fields = {"smooth": 0} | _object(value, "its architecture")  # models older than 0.2 have no such field
    _keys(fields, "its architecture", "name", "widths", "noise", "smooth")
    smooth = _whole(fields["smooth"], "how many of its levels are interpolated", 0, MAX_LEVELS)
    widths, noise = _levels(fields)
    return Architecture(
        name=_text(fields["name"], "its architecture's name"), widths=widths, noise=noise, smooth=smooth
    )


def _quilt(value: object) -> QuiltArchitecture:
    keys = tuple(field.name for field in dataclasses.fields(QuiltArchitecture))
    fields = _keys({"waves": []} | _object(value, "its architecture"), "its architecture", *keys)
    wraps = _list(fields["wraps"], "whether its swatch wraps", 2, 2)
    if not all(isinstance(each, bool) for each in wraps):
        raise ValueError("whether its swatch wraps is not a list of two of true and false")
    sizes = ("height", "width", "factor", "cell", "pitch", "overlap", "features", "most", "variance")
    return QuiltArchitecture(
        name=_text(fields["name"], "its architecture's name"),
        wraps=(wraps[0], wraps[1]),
        deep=tuple(_text(each, "a map's name") for each in _list(fields["deep"], "its maps of 16 bits", 0, MAX_MAPS)),
        waves=tuple(_wave(each) for each in _list(fields["waves"], "the waves of its courses", 0, 2)),
        **{key: _whole(fields[key], f"its {key}", 1, 2**20) for key in sizes},
    )


def _style_quilt(value: object) -> StyleQuiltArchitecture:
    fields = {"paintings": []} | _object(value, "its architecture")  # told where there are several
    _keys(fields, "its architecture", "name", "height", "width", "factor", "paintings")
    paintings = [
        [_whole(number, "a painting's place", 0, 2**20) for number in _list(each, "a painting's place", 4, 4)]
        for each in _list(fields["paintings"], "its paintings", 0, MOST_PAINTINGS)
    ]
    return StyleQuiltArchitecture(
        name=_text(fields["name"], "its architecture's name"),
        paintings=tuple((top, left, height, width) for top, left, height, width in paintings),
        **{key: _whole(fields[key], f"its {key}", 1, 2**20) for key in ("height", "width", "factor")},
    )


def _style_architecture(value: object) -> StyleArchitecture:
    fields = _keys(_object(value, "its architecture"), "its architecture", "name", "widths", "blocks", "noise")
    widths, noise = _levels(fields)
    return StyleArchitecture(
        name=_text(fields["name"], "its architecture's name"),
        widths=widths,
        blocks=_whole(fields["blocks"], "its number of blocks", 0, 2**20),
        noise=noise,
    )


def _levels(fields: Mapping[str, Any]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Widths and noise of an architecture's levels."""
    widths, noise = (
        tuple(_whole(each, f"a level's {key}", 1, 2**20) for each in _list(fields[key], f"its {key}", 1, 64))
        for key in ("widths", "noise")
    )
    return widths, noise


def _lattice(value: object) -> Lattice:
    fields = _keys(_object(value, "its lattice"), "its lattice", "basis", "harmonics", "strength")
    first, second = (_wave(vector) for vector in _list(fields["basis"], "its lattice's basis", 2, 2))
    harmonics = tuple(
        tuple(_whole(each, "a harmonic", -(2**20), 2**20) for each in _list(pair, "a harmonic", 2, 2))
        for pair in _list(fields["harmonics"], "its lattice's harmonics", 2, MAX_HARMONICS)
    )
    return Lattice(
        basis=(first, second),
        harmonics=tuple((m, n) for m, n in harmonics),
        strength=_number(fields["strength"], "its lattice's strength"),
    )


def _wave(value: object) -> Vector:
    down, across = (_number(each, "a wave of its swatch") for each in _list(value, "a wave of its swatch", 2, 2))
    return down, across


def _swatch(value: object) -> SwatchFacts:
    fields = _keys(_object(value, "its swatch"), "its swatch", "name", "sha256", "height", "width")
    sha256 = _text(fields["sha256"], "its swatch's hash")
    if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
        raise ValueError("its swatch's hash is not a SHA-256 of 64 hexadecimal digits")
    return SwatchFacts(
        name=_text(fields["name"], "its swatch's name"),
        sha256=sha256,
        height=_whole(fields["height"], "its swatch's height", 1, 2**20),
        width=_whole(fields["width"], "its swatch's width", 1, 2**20),
    )


def _training(value: object) -> Mapping[str, Fact]:
    facts = _object(value, "its training facts")
    if len(facts) > MAX_FACTS:
        raise ValueError(f"its training facts are more than {MAX_FACTS}")
    for key, fact in facts.items():
        _text(key, "the name of a training fact")
        if isinstance(fact, str):
            _text(fact, f"its training fact {key!r}")
        elif fact is not None and not isinstance(fact, bool | int | float):
            raise ValueError(f"its training fact {key!r} is neither text nor a number")
    return MappingProxyType(facts)


# ------------------------------------------------------------------------------------------- JSON from a stranger


def _json(text: bytes) -> object:
    try:
        return strict_json.loads(text)
    except ValueError as error:
        raise ValueError(f"its header holds {error}") from None


def _object(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is not a JSON object")
    return value


def _keys(fields: dict[str, Any], what: str, *keys: str) -> dict[str, Any]:
    if missing := [key for key in keys if key not in fields]:
        raise ValueError(f"{what} lacks {missing[0]!r}")
    if extra := fields.keys() - set(keys):
        raise ValueError(f"{what} holds {_quoted(min(extra))}, which this texserver does not know")
    return fields


def _list(value: object, what: str, least: int, most: int) -> list[Any]:
    if not isinstance(value, list) or not least <= len(value) <= most:
        count = f"{least}" if least == most else f"{least} to {most}"
        raise ValueError(f"{what} is not a list of {count}")
    return value


def _whole(value: object, what: str, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{what} is {_quoted(value)}, not a whole number from {least} to {most}")
    return value


def _number(value: object, what: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"{what} is {_quoted(value)}, not a number")
    return float(value)


def _text(value: object, what: str) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_TEXT or not value.isprintable():
        raise ValueError(f"{what} is not a text of 1 to {MAX_TEXT} printable characters")
    return value


def _quoted(value: object) -> str:
    """A value from a file, for a message: short and printable; of a nested one, only the type."""
    if isinstance(value, dict | list):
        return f"a JSON {'object' if isinstance(value, dict) else 'list'}"
    text = ascii(value[:60] if isinstance(value, str) else value)
    return text if len(text) <= 80 else f"{text[:77]}..."
