"""UDIM in Blender: which squares the UV map of an object reaches into, and images that have a file for each square."""

from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy

from ..pictures.udim import UdimSet, covered


def squares_of(thing: Any) -> tuple[int, ...]:
    """The numbers of the UDIM squares that an object's active UV map reaches into; none without a UV map."""
    if thing.type != "MESH" or not thing.data.uv_layers.active:
        return ()
    thing.update_from_editmode()
    return covered(_boxes(thing.data))


def _boxes(mesh: Any) -> Iterator[tuple[float, float, float, float]]:
    uvs = array("f", [0]) * (2 * len(mesh.loops))
    mesh.uv_layers.active.uv.foreach_get("vector", uvs)
    starts, counts = array("i", [0]) * len(mesh.polygons), array("i", [0]) * len(mesh.polygons)
    mesh.polygons.foreach_get("loop_start", starts)
    mesh.polygons.foreach_get("loop_total", counts)
    for start, count in zip(starts, counts, strict=True):
        corners = uvs[2 * start : 2 * (start + count)]
        across, up = corners[::2], corners[1::2]
        yield min(across), min(up), max(across), max(up)


def load(pattern: Path, squares: UdimSet) -> Any:
    """An image of these files, whose names have the squares' numbers in place of <UDIM>. Blender reads them later."""
    image: Any = bpy.data.images.new(pattern.stem, 1, 1, tiled=True)
    image.source = "TILED"
    image.filepath = str(pattern)
    there = {each.number for each in image.tiles}  # Blender has looked for files
    for number in sorted({*squares.numbers} - there):
        image.tiles.new(tile_number=number)
    for number in there - {*squares.numbers}:
        image.tiles.remove(next(each for each in image.tiles if each.number == number))
    return image
