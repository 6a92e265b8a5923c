"""The maps of a material, read and aligned with the swatch, which is the base colour.

A map holds data, not colours: its stored values are used as they are, whatever profile the file claims.
blender_addon/pictures/map_names.py says which map a file holds; trainer/swatch/materials.py finds the files of a set.

Shapes: pixels are (1, channels of all maps, height, width), float32 in [0, 1]; normals have unit length, y up (OpenGL).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from blender_addon.pictures.map_names import PARTS, Take
from server.files.picture_file import UnusablePicture, quoted
from server.model.maps import BASE_COLOUR, HEIGHT, MATERIAL, NORMAL, Map, channels_of
from server.network.normals import central_steps
from trainer.swatch.derive import NOTE, derived
from trainer.swatch.relief import STEEPEST, levelled
from trainer.swatch.samples import Samples, read_samples
from trainer.swatch.straighten import turned
from trainer.swatch.swatch import MIN_SIDE_PX, Swatch, UnusableSwatch

FLAT = 4 / 255  # standard deviation; a flatter map holds nothing but JPEG noise
BEYOND = 0.02  # that a map of floating-point numbers may be below 0 or above 1, as filters leave it
FAINT = 1 / 16  # heights of floating-point numbers that differ by less are stretched, or 16 bits would be too few
ROWS = 256  # that are worked on at once
TELLING = 0.2  # of the correlation that shows which way the y of normals points


@dataclass(frozen=True, kw_only=True, eq=False)
class MapSet:
    """All maps of a material, the base colour first. `notes`: a sentence for each conversion. `guessed`: the names of
    those that were derived from the base colour.
    """

    maps: tuple[Map, ...]
    pixels: Tensor
    notes: tuple[str, ...] = ()
    guessed: tuple[str, ...] = ()

    def channels(self, map: Map) -> slice:
        """The channels of this map."""
        return channels_of(self.maps, map.name)


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
    wanted = _takes(parts, notes)
    stored = {part: _read(parts[part], swatch) for part in wanted}
    height, width = _common_size(swatch, [each.values.shape[:2] for each in stored.values()], size)
    found: dict[str, Tensor] = {BASE_COLOUR.name: swatch.pixels}  # not copied: it may be large
    if swatch.pixels.shape[2:] != (height, width):
        found[BASE_COLOUR.name] = _sized(swatch.pixels, (height, width)).clamp(0, 1)
    own = min(swatch.pixels.shape[2:])
    if own < min(height, width):
        notes.append(f"The base colour was scaled up from {own} px to the finest map's {min(height, width)} px.")
    for part, takes in wanted.items():
        path, samples = parts[part], stored.pop(part)
        notes += (f"{_name(path)}: {note}" for note in samples.notes)
        for take in takes:
            if take.map == NORMAL.name:
                values = _sized(_of_normals(path, samples), (height, width))
                values = _normals(path, values, part, notes)
                found[NORMAL.name] = turned(values, swatch.angle)
                continue
            if (own_values := _of_one(path, samples, take, notes)) is None:
                continue
            value = _sized(own_values, (height, width)).clamp(0, 1)
            if take.inverted:
                value = 1 - value
                notes.append(f"The roughness was made from the gloss of {_name(path)}.")
            if float(value.std()) < FLAT:
                notes.append(f"The {take.map} map is {float(value.mean()):.2f} everywhere, so it was left out.")
            else:
                found[take.map] = value
    if HEIGHT.name in found and not keep_hills:
        found |= levelled(found[HEIGHT.name], found.get(NORMAL.name), notes)
    if guessed := [name for name in derive if name not in found]:
        found |= derived(found[BASE_COLOUR.name], guessed)
        notes.append(NOTE.format(", ".join(guessed)))
    maps = tuple(each for each in MATERIAL if each.name in found)
    pixels = torch.empty(1, sum(each.channels for each in maps), height, width)
    for each in maps:  # one after the other is let go, so that a large set is never held twice
        pixels[:, channels_of(maps, each.name)] = found.pop(each.name)
    return MapSet(maps=maps, pixels=pixels, notes=tuple(notes), guessed=tuple(guessed))


def _takes(parts: Mapping[str, Path], notes: list[str]) -> Mapping[str, list[Take]]:
    """What to take from each file. Of a map that is in several files, the first in the order of PARTS is taken."""
    wanted: dict[str, list[Take]] = {}
    source: dict[str, Path] = {}
    for part in PARTS:
        if part not in parts:
            continue
        wanted[part] = [take for take in PARTS[part] if take.map not in source]
        there = [take.map for take in PARTS[part] if take.map in source]
        if there:
            others = ", ".join(dict.fromkeys(_name(source[name]) for name in there))
            notes.append(f"The {' and '.join(there)} in {_name(parts[part])} gave way to {others}.")
        source |= {take.map: parts[part] for take in wanted[part]}
    return {part: takes for part, takes in wanted.items() if takes}


def _read(path: Path, swatch: Swatch) -> Samples:
    """The stored numbers of a map, which must show the area of the swatch."""
    try:
        samples = read_samples(path, None, MIN_SIDE_PX, "too small: use the map that belongs to the swatch.")
    except UnusablePicture as error:
        raise UnusableSwatch(str(error)) from error
    if not np.isfinite(samples.values).all():
        raise UnusableSwatch(f"{quoted(path)} holds pixels that are infinite or no numbers (NaN): export it again.")
    if swatch.straighten is not None:
        samples = replace(samples, values=swatch.straighten.values(samples.values))
    height, width = samples.values.shape[:2]
    own_height, own_width = swatch.original_size
    if abs(height * own_width - width * own_height) > max(0.01 * height * own_width, max(own_width, own_height)):
        raise UnusableSwatch(
            f"{quoted(path)} is {width} x {height} pixels and the swatch {own_width} x {own_height}: "
            "they do not show the same area. Use maps of one set."
        )
    return samples


def _name(path: Path) -> str:
    return quoted(Path(path.name))


def _common_size(swatch: Swatch, others: Iterable[Sequence[int]], size: int | None) -> tuple[int, int]:
    """Height and width of the finest map, its shorter side at most `size`; never less than the swatch's."""
    height, width = swatch.pixels.shape[2:]
    if size is None:
        return height, width
    finest = max(others, key=min, default=(height, width))
    shorter = min(size, *finest)
    if shorter <= min(height, width):
        return height, width
    if shorter == min(finest):
        return finest[0], finest[1]
    return round(height * shorter / min(height, width)), round(width * shorter / min(height, width))


def _sized(values: Tensor, size: tuple[int, int]) -> Tensor:
    if values.shape[2:] != size:
        values = F.interpolate(values, size=size, mode="bicubic", antialias=True, align_corners=False)
    return values.contiguous()


def _tensor(values: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).permute(2, 0, 1)[None]


# ------------------------------------------------------------------------------------------------------- single maps


def _of_one(path: Path, samples: Samples, take: Take, notes: list[str]) -> Tensor | None:
    """A map of one channel, (1, 1, H, W) in [0, 1]; None if the file has no such channel."""
    values, name = samples.values, take.map
    channels = values.shape[2]
    if take.channel is None:
        values = values[..., :3].mean(2, keepdims=True) if channels > 2 else values[..., :1]
    elif take.channel < channels and (channels > 2 or take.channel == 0):
        values = values[..., take.channel : take.channel + 1]
    else:
        which = ("red", "green", "blue", "alpha")[take.channel]
        notes.append(f"{_name(path)} has no {which} channel, so no {name} was taken from it.")
        return None
    if samples.own_range:
        values = _in_range(path, values, take.map, samples.own_range, notes)
    return _tensor(values)


def _in_range(path: Path, values: NDArray[np.float32], map: str, kind: str, notes: list[str]) -> NDArray[np.float32]:
    """Numbers of the file's own range in [0, 1]. Heights may be in any unit; other maps have a meaning from 0 to 1."""
    low, high = float(values.min()), float(values.max())
    within = low >= -BEYOND and high <= 1 + BEYOND
    if map != HEIGHT.name:
        if not within:
            raise UnusableSwatch(
                f"{quoted(path)} holds {kind} from {low:.6g} to {high:.6g}, but a {map} map is from 0 to 1: "
                "export it in that range."
            )
        return values.clip(0, 1)
    if within and high - low >= FAINT:
        return values.clip(0, 1)
    if high == low:
        return np.zeros_like(values)
    notes.append(f"The heights of {_name(path)}, from {low:.6g} to {high:.6g}, were stretched to the range 0 to 1.")
    return (values - np.float32(low)) / np.float32(high - low)


# ------------------------------------------------------------------------------------------------------------ normals


def _of_normals(path: Path, samples: Samples) -> Tensor:
    """The colours of a normal map, (1, 3, H, W)."""
    values = samples.values
    if values.shape[2] < 3:
        raise UnusableSwatch(
            f"{quoted(path)} is grey, but a normal map has three channels. If it is the height map, name it height."
        )
    values = values[..., :3]
    if samples.own_range:
        low, high = float(values.min()), float(values.max())
        if low < -1 - BEYOND or high > 1 + BEYOND:
            raise UnusableSwatch(
                f"{quoted(path)} holds {samples.own_range} from {low:.6g} to {high:.6g}, but normals are from 0 to 1, "
                "or from -1 to 1: export it in that range."
            )
        if low < -BEYOND:  # vectors as they are
            values = (values + np.float32(1)) / np.float32(2)
    return _tensor(values)


def _normals(path: Path, values: Tensor, part: str, notes: list[str]) -> Tensor:
    """Normals of unit length with y up. Changes `values`."""
    values = values.clamp_(0, 1)
    if float(values[:, 2].mean()) < 0.6:
        raise UnusableSwatch(
            f"{quoted(path)} is not a normal map in tangent space: its blue is not the strongest channel. Use another."
        )
    seen = y_is_up(values)
    if part == "normal_dx" or (part != "normal_gl" and seen < -TELLING):
        values[:, 1].neg_().add_(1)
        notes.append("The normals were converted from DirectX (y down) to OpenGL (y up).")
    elif part == "normal_gl" and seen < -TELLING:
        notes.append(
            f"{_name(path)} is named for OpenGL, but its y seems to point down. If light comes from the wrong side, "
            "name it with --map normal_dx."
        )
    for rows in torch.split(values, ROWS, 2):
        rows.copy_(F.normalize(rows * 2 - 1, dim=1).add(1).div(2))
    return values


def y_is_up(normals: Tensor) -> float:
    """From 1, the y of these normals points up (OpenGL), to -1, it points down (DirectX); near 0 it cannot be told.

    The slopes p, right, and q, down, of a surface satisfy dp/dy = dq/dx, since both are its second derivative. If the y
    of the normals has the wrong sign, so has q. `normals`: (1, 3, H, W) in [0, 1].
    """
    vectors = F.avg_pool2d(normals, max(1, min(normals.shape[2:]) // 512)) * 2 - 1
    z = vectors[:, 2:].clamp_min(STEEPEST)
    right, down = -vectors[:, :1] / z, vectors[:, 1:2] / z
    one, other = central_steps(right)[:, 1], central_steps(down)[:, 0]
    return float((one * other).sum() / (one.norm() * other.norm()).clamp_min(1e-12))
