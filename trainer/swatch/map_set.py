"""The maps of a material: found by their names, read, and aligned with the swatch, which is the base colour.

A map holds data, not colours: its stored values are used as they are, whatever profile the file claims. `recognised`
knows the file names that artists and libraries use, among them those of Poly Haven (`brick_nor_gl_1k.png`,
`brick_arm_1k.jpg`) and ambientCG (`Rock058_1K-JPG_NormalGL.jpg`).

Shapes: pixels are (1, channels of all maps, height, width), float32 in [0, 1]; normals have unit length, y up (OpenGL).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from server.files.picture_file import UnusablePicture, guarded, picture_bytes, pictures_in, quoted, stored_picture
from server.model.maps import (
    BASE_COLOUR,
    HEIGHT,
    MATERIAL,
    METALLIC,
    NORMAL,
    OCCLUSION,
    ROUGHNESS,
    Map,
    channels_of,
)
from trainer.swatch.derive import NOTE, derived
from trainer.swatch.relief import levelled
from trainer.swatch.swatch import MIN_SIDE_PX, Swatch, UnusableSwatch

DIRECTX = "normal_dx"
PACKED = "arm"
PARTS = {  # the maps in a file of that name on the command line, channel by channel
    NORMAL.name: (NORMAL,),
    DIRECTX: (NORMAL,),
    ROUGHNESS.name: (ROUGHNESS,),
    METALLIC.name: (METALLIC,),
    OCCLUSION.name: (OCCLUSION,),
    HEIGHT.name: (HEIGHT,),
    PACKED: (OCCLUSION, ROUGHNESS, METALLIC),
    "orm": (OCCLUSION, ROUGHNESS, METALLIC),
}
SPELLINGS = {
    BASE_COLOUR.name: "basecolor basecolour color colour col diffuse diff albedo",
    NORMAL.name: "normal normalgl normals nor nrm norgl",
    DIRECTX: "normaldx nordx",
    ROUGHNESS.name: "roughness rough",
    METALLIC.name: "metallic metalness metal",
    OCCLUSION.name: "ao ambientocclusion occlusion",
    HEIGHT.name: "height displacement disp",
    PACKED: "arm",
    "orm": "orm",
}
_BY_SPELLING = {word: part for part, words in SPELLINGS.items() for word in words.split()}
_NO_NAME = re.compile(r"\d+k|\d+|jpe?g|png|tiff?|exr")  # tokens for a size or a format
FLAT = 4 / 255  # standard deviation; a flatter map holds nothing but JPEG noise


@dataclass(frozen=True, kw_only=True, eq=False)
class MapSet:
    """All maps of a material, the base colour first. `notes`: a sentence for each conversion."""

    maps: tuple[Map, ...]
    pixels: Tensor
    notes: tuple[str, ...] = ()

    def channels(self, map: Map) -> slice:
        """The channels of this map."""
        return channels_of(self.maps, map.name)


def recognised(folder: Path) -> Mapping[str, Path]:
    """The files of a map set by part, or nothing if the folder lacks a base colour or any other map.

    Raises UnusableSwatch if two files look like the same map.
    """
    found: dict[str, Path] = {}
    for path in _pictures(folder):
        part = part_of(path)
        if part is None:
            continue
        if part in found:
            raise UnusableSwatch(
                f"{quoted(found[part])} and {quoted(path)} both look like the {part} map: keep only one of them."
            )
        found[part] = path
    if NORMAL.name in found:
        found.pop(DIRECTX, None)  # libraries give both
    return found if BASE_COLOUR.name in found and len(found) > 1 else {}


def part_of(path: Path) -> str | None:
    """The map that the file's name suggests: a key of SPELLINGS, or None."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+k?", path.stem)
    words = [word.lower() for word in words if not _NO_NAME.fullmatch(word.lower())]
    for count in (3, 2, 1):
        if part := _BY_SPELLING.get("".join(words[-count:])) if len(words) >= count else None:
            return part
    return None


def _pictures(folder: Path) -> list[Path]:
    try:
        return pictures_in(folder)
    except UnusablePicture as error:
        raise UnusableSwatch(str(error)) from error


def parse_map(text: str) -> tuple[str, Path]:
    """Read NAME=FILE from the command line. Raises ValueError."""
    name, equals, path = text.partition("=")
    if not (equals and path) or name not in PARTS:
        raise ValueError(f"--map {text!r} is not NAME=FILE. NAME is one of {', '.join(PARTS)}.")
    return name, Path(path)


def read_map_set(
    swatch: Swatch,
    parts: Mapping[str, Path],
    derive: Sequence[str] = (),
    *,
    size: int | None = None,
    keep_hills: bool = False,
) -> MapSet:
    """The swatch with its other maps, and those that are to be derived (trainer/swatch/derive.py), all of one size.

    `size`: the shorter side they may have; the finest map's, where that is less. None: the swatch's. `keep_hills`:
    heights stay as they are stored, else their slow rise and fall is levelled (trainer/swatch/relief.py).

    Raises UnusableSwatch.
    """
    notes: list[str] = []
    stored = {part: _read(path, swatch) for part, path in parts.items() if part != BASE_COLOUR.name}
    height, width = _common_size(swatch, stored.values(), size)
    found: dict[str, Tensor] = {BASE_COLOUR.name: _sized(swatch.pixels, (height, width))}
    own = min(swatch.pixels.shape[2:])
    if own < min(height, width):
        notes.append(f"The base colour was scaled up from {own} px to the finest map's {min(height, width)} px.")
    for part, values in stored.items():
        path = parts[part]
        values = _sized(values, (height, width))
        maps = PARTS[part]
        if maps == (NORMAL,):
            found[NORMAL.name] = _normals(path, values, directx=part == DIRECTX, notes=notes)
            continue
        for index, each in enumerate(maps):
            if each.name in found:
                raise UnusableSwatch(f"There are two {each.name} maps, one of them in {quoted(path)}: name only one.")
            value = values[:, index : index + 1] if len(maps) > 1 else values.mean(1, keepdim=True)
            if float(value.std()) < FLAT:
                notes.append(f"The {each.name} map is {float(value.mean()):.2f} everywhere, so it was left out.")
            else:
                found[each.name] = value
    if HEIGHT.name in found and not keep_hills:
        found |= levelled(found[HEIGHT.name], found.get(NORMAL.name), notes)
    if guessed := [name for name in derive if name not in found]:
        found |= derived(found[BASE_COLOUR.name], guessed)
        notes.append(NOTE.format(", ".join(guessed)))
    maps = tuple(each for each in MATERIAL if each.name in found)
    return MapSet(maps=maps, pixels=torch.cat([found[each.name] for each in maps], 1), notes=tuple(notes))


def _read(path: Path, swatch: Swatch) -> Tensor:
    """A map's stored values, (1, 1 or 3, H, W), which show the area of the swatch."""
    try:
        data = picture_bytes(path)
        with guarded(path):
            stored = stored_picture(path, data, MIN_SIDE_PX, "too small: use the map that belongs to the swatch.")
            values = _values(stored.upright())
    except UnusablePicture as error:
        raise UnusableSwatch(str(error)) from error
    height, width = values.shape[:2]
    own_height, own_width = swatch.original_size
    if abs(height * own_width - width * own_height) > 0.01 * height * own_width:
        raise UnusableSwatch(
            f"{quoted(path)} is {width} x {height} pixels and the swatch {own_width} x {own_height}: "
            "they do not show the same area. Use maps of one set."
        )
    return torch.from_numpy(values).permute(2, 0, 1)[None]


def _common_size(swatch: Swatch, others: Iterable[Tensor], size: int | None) -> tuple[int, int]:
    """Height and width of the finest map, its shorter side at most `size`; never less than the swatch's."""
    height, width = swatch.pixels.shape[2:]
    if size is None:
        return height, width
    finest = max((each.shape[2:] for each in others), key=min, default=(height, width))
    shorter = min(size, *finest)
    if shorter <= min(height, width):
        return height, width
    if shorter == min(finest):
        return finest[0], finest[1]
    return round(height * shorter / min(height, width)), round(width * shorter / min(height, width))


def _sized(values: Tensor, size: tuple[int, int]) -> Tensor:
    if values.shape[2:] != size:
        values = F.interpolate(values, size=size, mode="bicubic", antialias=True, align_corners=False)
    return values.clamp(0, 1).contiguous()


def _values(image: Image.Image) -> NDArray[np.float32]:
    """The stored numbers, (H, W, 1 or 3) in [0, 1]; no colour profile is applied."""
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.float32)[..., None] / np.float32(65535)
    elif image.mode in ("L", "LA", "1"):
        values = np.asarray(image.convert("L"), np.float32)[..., None] / np.float32(255)
    else:
        values = np.asarray(image.convert("RGB"), np.float32) / np.float32(255)
    return values.clip(0, 1)


def _normals(path: Path, values: Tensor, *, directx: bool, notes: list[str]) -> Tensor:
    if values.shape[1] != 3:
        raise UnusableSwatch(
            f"{quoted(path)} is grey, but a normal map has three channels. If it is the height map, name it height."
        )
    if directx:
        values = torch.cat([values[:, :1], 1 - values[:, 1:2], values[:, 2:]], 1)
        notes.append("The normals were converted from DirectX (y down) to OpenGL (y up).")
    if float(values[:, 2].mean()) < 0.6:
        raise UnusableSwatch(
            f"{quoted(path)} is not a normal map in tangent space: its blue is not the strongest channel. Use another."
        )
    normals = values * 2 - 1
    return F.normalize(normals, dim=1).add(1).div(2)
