"""How long one unit of a UV map is on the object, so that textures have real sizes along it.

The derivatives of the position along u and v are taken for each triangle, in the object's own coordinates, and averaged
over the surface: per axis, the root of the mean square. The node group (live.py) multiplies these vectors by the
object's scale, so they hold for every scale of the object, also one per axis that was never applied.

A UV map is even if all of it has one density. Others cannot have one size everywhere; `spread` says how uneven it is.
Large meshes are sampled: every n-th triangle.
"""

import math
from array import array
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import bmesh
import bpy

ALONG_U: Final = "texserver_u"  # ID properties of the mesh, or of an object whose mesh is linked from another file
ALONG_V: Final = "texserver_v"
EVEN: Final = 1.15  # a spread that nobody sees
_MOST_TRIANGLES: Final = 4000

Vector = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Density:
    """The lengths of a UV unit, in Blender's units of length, and how much they differ over the surface."""

    u: Vector  # along the axes of the object, not scaled
    v: Vector
    per_unit: tuple[float, float]  # scaled as the object is
    spread: float  # 1 is even; 2 says that lengths differ by a factor of about 2 over the surface


def measure(thing: Any) -> Density | None:
    """Measure an object's active UV map. None where it has no surface, no UV map, or one without area."""
    if thing.type != "MESH" or not thing.data.uv_layers.active:
        return None
    scale = tuple(thing.matrix_world.to_scale())
    if not thing.data.is_editmode:
        return _measure(thing.data, scale)
    edited = bmesh.from_edit_mesh(thing.data).copy()  # the mesh itself has the state of before
    mesh = bpy.data.meshes.new("Measured")
    try:
        edited.to_mesh(mesh)
        return _measure(mesh, scale)
    finally:
        edited.free()
        bpy.data.meshes.remove(mesh)


def _measure(mesh: Any, scale: tuple[float, ...]) -> Density | None:
    mesh.calc_loop_triangles()
    count = len(mesh.loop_triangles)
    points, uvs = array("f", [0]) * (3 * len(mesh.vertices)), array("f", [0]) * (2 * len(mesh.loops))
    corners, loops = array("i", [0]) * (3 * count), array("i", [0]) * (3 * count)
    mesh.vertices.foreach_get("co", points)
    mesh.uv_layers.active.uv.foreach_get("vector", uvs)
    mesh.loop_triangles.foreach_get("vertices", corners)
    mesh.loop_triangles.foreach_get("loops", loops)
    step = max(1, count // _MOST_TRIANGLES)
    return _average([_derivatives(points, uvs, corners, loops, 3 * each) for each in range(0, count, step)], scale)


def note(thing: Any, density: Density) -> None:
    """Write a density where the node group finds it."""
    owner = thing if thing.data.library else thing.data
    for name, vector in ((ALONG_U, density.u), (ALONG_V, density.v)):
        now = tuple(owner.get(name, ()))
        if len(now) != 3 or math.dist(now, vector) > 1e-4 * math.hypot(*vector):
            owner[name] = vector
            owner.update_tag()


def measure_again(uids: Collection[int]) -> None:
    """Measure meshes of these session identifiers again, if they were measured before and are not being edited."""
    things: Any = bpy.data.objects
    for thing in [each for each in things if each.type == "MESH" and each.data.session_uid in uids]:
        known = ALONG_U in (thing if thing.data.library else thing.data)
        if known and not thing.data.is_editmode and (density := measure(thing)):
            note(thing, density)


def _derivatives(
    points: "array[float]", uvs: "array[float]", corners: "array[int]", loops: "array[int]", at: int
) -> tuple[float, Vector, Vector] | None:
    """Twice the area of a triangle, and its derivatives along u and v; None without area in the UV map."""
    a, b, c = (3 * corners[at + each] for each in range(3))
    i, j, k = (2 * loops[at + each] for each in range(3))
    u1, v1, u2, v2 = uvs[j] - uvs[i], uvs[j + 1] - uvs[i + 1], uvs[k] - uvs[i], uvs[k + 1] - uvs[i + 1]
    flat = u1 * v2 - u2 * v1
    if abs(flat) < 1e-14:
        return None
    one = [points[b + axis] - points[a + axis] for axis in range(3)]
    two = [points[c + axis] - points[a + axis] for axis in range(3)]
    across = (
        one[1] * two[2] - one[2] * two[1],
        one[2] * two[0] - one[0] * two[2],
        one[0] * two[1] - one[1] * two[0],
    )
    along_u = tuple((v2 * one[axis] - v1 * two[axis]) / flat for axis in range(3))
    along_v = tuple((u1 * two[axis] - u2 * one[axis]) / flat for axis in range(3))
    return math.hypot(*across), along_u, along_v  # type: ignore[return-value]


def _average(found: "list[tuple[float, Vector, Vector] | None]", scale: tuple[float, ...]) -> Density | None:
    triangles = [each for each in found if each is not None and each[0] > 0]
    total = sum(area for area, _, _ in triangles)
    if not total or len(triangles) < len(found) / 2:
        return None
    u = _root_mean_square([(area, along) for area, along, _ in triangles], total)
    v = _root_mean_square([(area, along) for area, _, along in triangles], total)
    per_unit = (_length(u, scale), _length(v, scale))
    if min(per_unit) <= 0:
        return None
    logs = [
        (area, math.log(max(_length(each, scale), 1e-12) / unit))
        for area, *both in triangles
        for each, unit in zip(both, per_unit, strict=True)
    ]
    spread = math.exp(2 * math.sqrt(sum(area * log**2 for area, log in logs) / (2 * total)))
    return Density(u=u, v=v, per_unit=per_unit, spread=spread)


def _root_mean_square(vectors: "list[tuple[float, Vector]]", total: float) -> Vector:
    x, y, z = (math.sqrt(sum(area * vector[axis] ** 2 for area, vector in vectors) / total) for axis in range(3))
    return x, y, z


def _length(vector: tuple[float, ...], scale: tuple[float, ...]) -> float:
    return math.hypot(*(a * b for a, b in zip(vector, scale, strict=True)))
