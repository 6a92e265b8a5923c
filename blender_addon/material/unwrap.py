"""A UV map in real lengths: each face is projected along the axis that it faces most, and one unit of the map is one of
Blender's units of length on the object.

It is the same layout as box mapping without a blend: walls stand upright and nothing is mirrored. An object's own scale
counts, so the map fits one whose scale was never applied. Faces lie over each other in the map, which suits textures
that repeat. No bpy here.
"""

from array import array
from typing import Any, Final

NAME: Final = "Texserver"


def unwrap(thing: Any) -> str:
    """Make a UV map, beside those that the mesh has; one made here before is made anew. Returns its name.

    Returns "" where a mesh has as many as it can have. Not in Edit Mode.
    """
    mesh = thing.data
    layer = mesh.uv_layers.get(NAME) or mesh.uv_layers.new(name=NAME if mesh.uv_layers else "UVMap", do_init=False)
    if layer is None:
        return ""
    scale = [abs(each) or 1.0 for each in thing.matrix_world.to_scale()]
    points = array("f", [0]) * (3 * len(mesh.vertices))
    corners = array("i", [0]) * len(mesh.loops)
    starts, totals = array("i", [0]) * len(mesh.polygons), array("i", [0]) * len(mesh.polygons)
    normals = array("f", [0]) * (3 * len(mesh.polygons))
    mesh.vertices.foreach_get("co", points)
    mesh.loops.foreach_get("vertex_index", corners)
    mesh.polygons.foreach_get("loop_start", starts)
    mesh.polygons.foreach_get("loop_total", totals)
    mesh.polygons.foreach_get("normal", normals)
    uvs = array("f", [0]) * (2 * len(mesh.loops))
    for face, (start, total) in enumerate(zip(starts, totals, strict=True)):
        facing = [normals[3 * face + axis] / scale[axis] for axis in range(3)]
        most = max(range(3), key=lambda axis: abs(facing[axis]))
        sign = -1.0 if facing[most] < 0 else 1.0
        for loop in range(start, start + total):
            x, y, z = (points[3 * corners[loop] + axis] * scale[axis] for axis in range(3))
            uvs[2 * loop : 2 * loop + 2] = array("f", ((y * sign, z), (-x * sign, z), (x, y * sign))[most])
    layer.uv.foreach_set("vector", uvs)
    mesh.uv_layers.active = layer
    layer.active_render = True
    mesh.update()
    return str(layer.name)
