"""Packs the maps of one texture as game engines and other programs take them. No bpy here.

| for | files | channels | normals |
|---|---|---|---|
| unreal | T_NAME_BC, T_NAME_ORM, T_NAME_N, T_NAME_H | ORM: occlusion, roughness, metallic | DirectX |
| unity | NAME_BaseColor, NAME_MaskMap, NAME_Normal, NAME_Height | metallic, occlusion, detail, smoothness | OpenGL |
| godot | NAME_albedo, NAME_orm, NAME_normal, NAME_height | ORM as for Unreal | OpenGL |
| gltf | NAME_baseColor, NAME_occlusionRoughnessMetallic, NAME_normal | as for Unreal | OpenGL |
| materialx | NAME_basecolor, NAME_roughness, … | a map in each | OpenGL |

All are PNG. Base colour is sRGB, everything else linear; heights keep their 16 bits, packed maps have 8. What a texture
has no map for is full light, half rough and no metal. Hue and value are written into the base colour, of 8 bits then,
and the range of the roughness into its map. Occlusion stays whole: engines let it darken as much as they are told. A
packed file of nothing but such values is not written. A file that is a PNG already, and needs no change, is copied.
Everything else is converted in bands, whatever the size.

Sources: Unity's manual on the mask map of HDRP, whose alpha and red URP's Lit shader reads as well; glTF 2.0, 3.9.2
(metallic is blue, roughness green) and 3.9.3 (occlusion is red); Godot's class reference, ORMMaterial3D, and its
normal maps (y up); Epic's recommended names for assets (T_ for textures) and Unreal's normals (y down).

    TexserverError
    └── NotPacked    a map cannot be used, or no map is there; the text says why
"""

import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from types import MappingProxyType
from typing import Final, Literal, get_args

from ..protocol.errors import TexserverError
from .draft import ImageFileError, advice
from .image_file import open_image
from .map_names import BASE_COLOUR, HEIGHT, METALLIC, NORMAL, OCCLUSION, ROUGHNESS
from .picture_rows import PictureRows
from .recolour import recolouring

Engine = Literal["unreal", "unity", "godot", "gltf", "materialx"]
ENGINES: Final[tuple[Engine, ...]] = get_args(Engine)
WITHOUT: Final[Mapping[str, float]] = MappingProxyType({OCCLUSION: 1.0, ROUGHNESS: 0.5, METALLIC: 0.0})
BAND_ROWS: Final = 64
_INVERT: Final = bytes(range(255, -1, -1))


class NotPacked(TexserverError):
    """The set was not written; the text says why, and what to do."""


@dataclass(frozen=True)
class Channel:
    """What one channel of a packed file holds: a map, or the value 1 where it names none."""

    map: str | None
    inverted: bool = False


@dataclass(frozen=True)
class SetFile:
    """One file of a set: a whole map, or a channel for each of its channels."""

    name: str  # with {name}
    channels: tuple[Channel, ...] = ()
    map: str = ""  # the whole map, where there are no channels
    flipped: bool = False  # a normal map whose green points down


def _orm(name: str) -> SetFile:
    return SetFile(name, (Channel(OCCLUSION), Channel(ROUGHNESS), Channel(METALLIC)))


SETS: Final[Mapping[Engine, tuple[SetFile, ...]]] = MappingProxyType(
    {
        "unreal": (
            SetFile("T_{name}_BC", map=BASE_COLOUR),
            _orm("T_{name}_ORM"),
            SetFile("T_{name}_N", map=NORMAL, flipped=True),
            SetFile("T_{name}_H", map=HEIGHT),
        ),
        "unity": (
            SetFile("{name}_BaseColor", map=BASE_COLOUR),
            SetFile(
                "{name}_MaskMap",
                (Channel(METALLIC), Channel(OCCLUSION), Channel(None), Channel(ROUGHNESS, inverted=True)),
            ),
            SetFile("{name}_Normal", map=NORMAL),
            SetFile("{name}_Height", map=HEIGHT),
        ),
        "godot": (
            SetFile("{name}_albedo", map=BASE_COLOUR),
            _orm("{name}_orm"),
            SetFile("{name}_normal", map=NORMAL),
            SetFile("{name}_height", map=HEIGHT),
        ),
        "gltf": (
            SetFile("{name}_baseColor", map=BASE_COLOUR),
            _orm("{name}_occlusionRoughnessMetallic"),
            SetFile("{name}_normal", map=NORMAL),
        ),
        "materialx": tuple(
            SetFile(f"{{name}}_{map}", map=map) for map in (BASE_COLOUR, ROUGHNESS, METALLIC, OCCLUSION, NORMAL, HEIGHT)
        ),
    }
)


@dataclass(frozen=True, kw_only=True)
class Sources:
    """The maps of one texture, as PNG or TIFF files of one size, and what is said of them."""

    maps: Mapping[str, Path]
    roughness: tuple[float, float] = (0.0, 1.0)  # what black and white of the roughness map mean
    hue: float = 0.0  # added to the colours, in turns
    value: float = 1.0  # a factor of the colours
    without: Mapping[str, float] = field(default_factory=dict)  # other values in place of maps that are not there
    metadata: Mapping[str, str] = field(default_factory=dict)  # text for each file that is not copied


def files_of(engine: Engine, name: str, maps: Mapping[str, object]) -> dict[Path, SetFile]:
    """The files that a set of these maps has, by their names."""
    there = [each for each in SETS[engine] if each.map in maps or any(c.map in maps for c in each.channels)]
    return {Path(f"{each.name.format(name=name)}.png"): each for each in there}


def pack(
    engine: Engine, name: str, sources: Sources, folder: Path, progress: Callable[[float], None] = lambda share: None
) -> list[Path]:
    """Write the set into the folder, in place of files of these names: all of them, or none. Its files.

    `progress` is called with the share that is done. Raises NotPacked, PictureError or ImageFileError.
    """
    files = files_of(engine, name, sources.maps)
    if not files:
        raise NotPacked(
            f"There is nothing to write for {engine}: the texture has only {', '.join(sources.maps) or 'no maps'}."
        )
    draft = folder / f".{name[:40]}.{token_hex(4)}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        draft.mkdir()
        for index, (path, each) in enumerate(files.items()):
            _write(each, sources, draft / path, lambda share, done=index: progress((done + share) / len(files)))  # type: ignore[misc]
        for path in files:
            (draft / path).replace(folder / path)
    except OSError as error:
        raise ImageFileError(advice(error, Path(error.filename2 or error.filename or folder))) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return [folder / path for path in files]


def _write(file: SetFile, sources: Sources, path: Path, progress: Callable[[float], None]) -> None:
    if not file.channels:
        _write_map(file, sources, path, progress)
        return
    with ExitStack() as stack:
        own = [c.map for c in file.channels if c.map in sources.maps and c.map is not None]
        rows = {name: stack.enter_context(PictureRows(sources.maps[name])) for name in own}
        sizes = {(each.raster.width, each.raster.height) for each in rows.values()}
        if len(sizes) > 1:
            raise NotPacked(
                f"{', '.join(own)} have different sizes, so they cannot be packed into one file. Paint them together."
            )
        ((width, height),) = sizes
        tables = {name: _table(name, sources) for name in own}
        channels = len(file.channels)
        metadata = {**sources.metadata, "Channels": ", ".join(_said(c) for c in file.channels)}
        written = open_image(path, width=width, height=height, channels=channels, metadata=metadata, durable=False)
        with written:
            for top in range(0, height, BAND_ROWS):
                count = min(BAND_ROWS, height - top)
                bands = {name: _grey(each, count).translate(tables[name]) for name, each in rows.items()}
                packed = bytearray(width * count * channels)
                for index, channel in enumerate(file.channels):
                    packed[index::channels] = _samples(channel, bands, width * count, sources)
                written.write_rows(packed)
                progress((top + count) / height)


def _samples(channel: Channel, bands: Mapping[str, bytes], count: int, sources: Sources) -> bytes:
    if channel.map is None:
        return b"\xff" * count
    band = bands.get(channel.map)
    if band is None:
        value = sources.without.get(channel.map, WITHOUT[channel.map])
        band = bytes([round(255 * min(max(value, 0.0), 1.0))]) * count
    return band.translate(_INVERT) if channel.inverted else band


def _table(map: str, sources: Sources) -> bytes:
    """What each sample of a map becomes."""
    low, high = sources.roughness if map == ROUGHNESS else (0.0, 1.0)
    values = (low + (high - low) * sample / 255 for sample in range(256))
    return bytes(round(255 * min(max(value, 0.0), 1.0)) for value in values)


def _grey(rows: PictureRows, count: int) -> bytes:
    """The next rows as (count, width) samples of 8 bits: the first channel of them."""
    raster, data = rows.raster, rows.read(count)
    if raster.depth == 16:
        data = _eight_bits(data)
    return data[:: raster.channels]


def _eight_bits(data: bytes) -> bytes:
    """Samples of 16 bits as the nearest of 8: 255 of 65535 is 1."""
    return bytes([(low + 256 * high + 128) // 257 for low, high in zip(data[::2], data[1::2], strict=True)])


def _write_map(file: SetFile, sources: Sources, path: Path, progress: Callable[[float], None]) -> None:
    source, map = sources.maps[file.map], file.map
    recoloured = map == BASE_COLOUR and (sources.hue, sources.value) != (0.0, 1.0)
    changed = file.flipped or recoloured or (map == ROUGHNESS and sources.roughness != (0.0, 1.0))
    if source.suffix.lower() == ".png" and not changed:
        shutil.copyfile(source, path)
        progress(1.0)
        return
    with PictureRows(source) as rows:
        raster = rows.raster
        if file.flipped and raster.channels < 3:
            raise NotPacked(f"The normal map {source} is grey, so it has no directions. Paint it again.")
        depth = 8 if map == ROUGHNESS or recoloured else raster.depth
        metadata = {**sources.metadata, **({"Normals": "directx"} if file.flipped else {})}
        written = open_image(
            path,
            width=raster.width,
            height=raster.height,
            channels=raster.channels,
            depth=depth,
            metadata=metadata,
            srgb=map == BASE_COLOUR,
            durable=False,
        )
        table, recolour = _table(map, sources), recolouring(sources.hue, sources.value)
        with written:
            for top in range(0, raster.height, BAND_ROWS):
                count = min(BAND_ROWS, raster.height - top)
                data = bytearray(rows.read(count))
                if raster.depth == 16 and depth == 8:
                    data = bytearray(_eight_bits(bytes(data)))
                if map == ROUGHNESS:
                    data = data.translate(table)
                if recoloured:
                    data = bytearray(recolour(data, raster.channels))
                for each in range(depth // 8) if file.flipped else ():  # of 16 bits, both bytes are inverted
                    green = slice(depth // 8 + each, None, raster.pixel_bytes)
                    data[green] = data[green].translate(_INVERT)
                written.write_rows(data)
                progress((top + count) / raster.height)


def _said(channel: Channel) -> str:
    if channel.map is None:
        return "1"
    return f"1 - {channel.map}" if channel.inverted else channel.map
