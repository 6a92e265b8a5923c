"""What a mesh says at the corners of its triangles, for masks: vertex colours, the slope of the surface, its height.

The mesh is the one that is seen, with its modifiers. Slope and height are in the world: how steep a surface is there,
and how high between the lowest and the highest point of the object.
"""

import math
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal

import bpy

from ..protocol.errors import TexserverError

Kind = Literal["ATTRIBUTE", "SLOPE", "HEIGHT"]
OUTSIDE: Final = 0.01  # by so much a UV map may leave its square
_COLOURS: Final = {"FLOAT_COLOR", "BYTE_COLOR"}


class NoMeshMask(TexserverError):
    """The object has nothing to make this mask from. The text says what to do."""


def attributes_of(thing: Any) -> list[str]:
    """The names of its vertex colours and attributes of one number."""
    if thing is None or thing.type != "MESH":
        return []
    return [each.name for each in thing.data.attributes if _is_usable(each)]


def _is_usable(attribute: Any) -> bool:
    kinds = attribute.data_type in _COLOURS or attribute.data_type == "FLOAT"
    return kinds and attribute.domain in ("POINT", "CORNER") and not attribute.name.startswith(".")


def refusal(thing: Any) -> str:
    """Why nothing of this object can be a mask, without a full stop; "" if it can."""
    if thing is None or thing.type != "MESH":
        return "This mask needs a mesh. Select one, or choose Spots or Image"
    if not thing.data.uv_layers.active:
        return f"{thing.name} has no UV map for the mask. Press Unwrap"
    return ""


def corners_of(thing: Any, kind: Kind, attribute: str = "") -> tuple[array, array]:  # type: ignore[type-arg]
    """u and v of each corner of each triangle, and the value there, from 0 to 1. Raises NoMeshMask.

    Of a slope: 0 is level, 1 upright, or overhanging.
    """
    if why := refusal(thing):
        raise NoMeshMask(f"{why}.")
    thing.update_from_editmode()
    with _seen(thing) as mesh:
        if not mesh.uv_layers.active:
            raise NoMeshMask(f"The modifiers of {thing.name} leave no UV map for the mask.")
        mesh.calc_loop_triangles()
        count = len(mesh.loop_triangles)
        loops, points = array("i", [0]) * (3 * count), array("i", [0]) * (3 * count)
        mesh.loop_triangles.foreach_get("loops", loops)
        mesh.loop_triangles.foreach_get("vertices", points)
        uvs = array("f", [0]) * (2 * len(mesh.loops))
        mesh.uv_layers.active.uv.foreach_get("vector", uvs)
        if uvs and not (min(uvs) > -OUTSIDE and max(uvs) < 1 + OUTSIDE):
            raise NoMeshMask(
                f"The UV map of {thing.name} leaves its square, so parts of the mask would lie on each other. Pack its "
                "islands into the square, or paint an image."
            )
        corners = array("f", (uvs[2 * loop + each] for loop in loops for each in (0, 1)))
        if kind == "ATTRIBUTE":
            return corners, _attribute(mesh, thing, attribute, points, loops)
        if kind == "HEIGHT":
            return corners, _heights(mesh, thing, points)
        return corners, _slopes(mesh, thing, loops)


@contextmanager
def _seen(thing: Any) -> Iterator[Any]:
    """The mesh with its modifiers."""
    context: Any = bpy.context
    seen = thing.evaluated_get(context.evaluated_depsgraph_get())
    try:
        yield seen.to_mesh()
    finally:
        seen.to_mesh_clear()


def _attribute(mesh: Any, thing: Any, name: str, points: Any, loops: Any) -> Any:
    found = mesh.attributes.get(name) if name else mesh.color_attributes.active_color
    if found is None or not _is_usable(found):
        there = ", ".join(attributes_of(thing)) or "none"
        what = f"no vertex colours {name!r}" if name else "no vertex colours"
        raise NoMeshMask(f"{thing.name} has {what}; it has: {there}. Paint some in Vertex Paint.")
    numbers = loops if found.domain == "CORNER" else points
    if found.data_type == "FLOAT":
        values = array("f", [0]) * len(found.data)
        found.data.foreach_get("value", values)
        return array("f", (values[each] for each in numbers))
    values = array("f", [0]) * (4 * len(found.data))
    found.data.foreach_get("color_srgb", values)  # as they are seen
    return array("f", (values[4 * each] for each in numbers))


def _heights(mesh: Any, thing: Any, points: Any) -> Any:
    places = array("f", [0]) * (3 * len(mesh.vertices))
    mesh.vertices.foreach_get("co", places)
    x, y, z, offset = thing.matrix_world[2]
    heights = [
        x * places[each] + y * places[each + 1] + z * places[each + 2] + offset for each in range(0, len(places), 3)
    ]
    low, high = min(heights, default=0.0), max(heights, default=0.0)
    if high - low < 1e-9:
        raise NoMeshMask(f"{thing.name} is level, so its height says nothing. Choose another mask.")
    return array("f", ((heights[each] - low) / (high - low) for each in points))


def _slopes(mesh: Any, thing: Any, loops: Any) -> Any:
    normals = array("f", [0]) * (3 * len(mesh.loops))
    mesh.corner_normals.foreach_get("vector", normals)
    turn = thing.matrix_world.to_3x3().inverted_safe().transposed()
    steep = array("f", [0]) * len(mesh.loops)
    rows = [tuple(row) for row in turn]
    for number in range(len(steep)):
        own = normals[3 * number : 3 * number + 3]
        x, y, z = (row[0] * own[0] + row[1] * own[1] + row[2] * own[2] for row in rows)
        length = math.sqrt(x * x + y * y + z * z) or 1.0
        steep[number] = min(1.0, math.acos(max(-1.0, min(1.0, z / length))) / (math.pi / 2))
    return array("f", (steep[each] for each in loops))
